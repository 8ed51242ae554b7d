//! Background work: real threads, or a queue that a seed plays back one job at a time.
//!
//! 1. A flush never waits for compactions: threads keep one worker that takes nothing else.
//! 2. A foreground thread waits only by [`Scheduler::wait`], so that without threads the wait
//!    itself runs the work it waits for.
//! 3. A long job asks now and then whether to give way ([`Scheduler::give_way`]): what is more
//!    urgent and finds no worker then runs within that job's turn (after Balmau et al., "SILK",
//!    2019). Nothing of the long job is lost, and nothing waits for it to end.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::random::Random;

/// A piece of background work. It reports its own failures; it must not panic.
pub type Job = Box<dyn FnOnce() + Send>;

/// What a job is for; earlier classes go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Writes a sealed memtable out: frees memory and log space, so writers may be waiting.
    Flush,
    /// Merges level 0, whose length stops writers, when other merges have all workers.
    Level0,
    /// Merges tables.
    Compaction,
    /// Anything that nobody waits for.
    Low,
}

/// Counts events, so that a thread can wait for one that it has not seen.
///
/// Read [`Signal::epoch`], then look whether what you need is there, and only then wait past that
/// epoch: an event between the look and the wait is not missed.
#[derive(Debug, Default)]
pub struct Signal {
    epoch: Mutex<u64>,
    raised: Condvar,
}

impl Signal {
    /// No events yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of events so far.
    pub fn epoch(&self) -> u64 {
        *self.epoch.lock()
    }

    /// Reports an event and wakes all who wait.
    pub fn notify(&self) {
        *self.epoch.lock() += 1;
        self.raised.notify_all();
    }

    /// Blocks until there have been more than `seen` events. Use [`Scheduler::wait`] instead
    /// where the event comes from background work.
    pub fn wait_past(&self, seen: u64) {
        let mut epoch = self.epoch.lock();
        while *epoch <= seen {
            self.raised.wait(&mut epoch);
        }
    }
}

/// A job for later.
pub struct Alarm {
    /// When, by the clock of whoever sets it.
    pub at: Duration,
    /// How long from now that is.
    pub after: Duration,
    /// What to do then. It may run in vain: whoever set it may be gone.
    pub job: Job,
}

impl Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Runs background jobs.
pub trait Scheduler: Send + Sync + Debug {
    /// Queues a job.
    fn submit(&self, class: Class, job: Job);

    /// Returns once `signal` has counted more than `seen_epoch` events. Without threads this runs
    /// queued jobs until one of them raises it.
    /// # Panics
    /// Without threads, if nothing is queued that could raise the signal: the caller would wait
    /// for ever.
    fn wait(&self, signal: &Signal, seen_epoch: u64);

    /// Runs one queued job of a class before `class` within the caller's own job, if no worker is
    /// free to take it, and returns its class. The caller holds no lock.
    fn give_way(&self, class: Class) -> Option<Class> {
        let _ = class;
        None
    }

    /// Waits, `most` at most, while jobs that go before the caller's own, which is of `class`, take
    /// all processors but one; returns for how long. Earlier classes go first, then older jobs, so
    /// somebody always goes on. The caller holds no lock.
    fn pause(&self, class: Class, most: Duration) -> Duration {
        let _ = (class, most);
        Duration::ZERO
    }

    /// Queues a job of the last class once its time has come; until then nobody waits for it.
    fn alarm(&self, alarm: Alarm) {
        drop(alarm);
    }

    /// Runs all of `parts`, side by side where there are threads, and returns when all have ended.
    /// # Panics
    /// If a part panics, after all have ended.
    fn run_together(&self, parts: Vec<Box<dyn FnOnce() + Send + '_>>) {
        for part in parts {
            part();
        }
    }

    /// Returns when no job is queued or running, not counting the caller's own. Jobs submitted
    /// meanwhile are waited for too. May be called any number of times.
    fn join(&self);
}

// ------------------------------------------------------------------------------------- threads

/// Worker threads: as many as asked for, and one that runs only flushes.
///
/// Dropping it finishes what is running, discards what is queued and ends the threads.
pub struct ThreadScheduler {
    shared: Arc<Shared>,
    /// Processors that background work may take while others have work too.
    spare: usize,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    flushes: VecDeque<Job>,
    level0: VecDeque<Job>,
    compactions: VecDeque<Job>,
    low: VecDeque<Job>,
    /// Jobs whose time has not come.
    alarms: Vec<(Instant, Job)>,
    /// Workers that wait for work, by what they take.
    idle: [usize; 2],
    running: Vec<Running>,
    /// Counts jobs that were taken.
    taken: u64,
    panics: u64,
    ending: bool,
}

/// A job that runs, or a part of one, which has the job's number.
#[derive(Clone, Copy)]
struct Running {
    thread: ThreadId,
    class: Class,
    number: u64,
}

/// Counts a part of a job as running in a thread of its own.
struct RunningPart<'a> {
    shared: &'a Shared,
}

impl<'a> RunningPart<'a> {
    fn begin(shared: &'a Shared, whole: Running) -> Self {
        let part = Running { thread: std::thread::current().id(), ..whole };
        shared.queues.lock().running.push(part);
        Self { shared }
    }
}

impl Drop for RunningPart<'_> {
    fn drop(&mut self) {
        self.shared.queues.lock().end();
        self.shared.changed.notify_all();
    }
}

/// Which jobs a worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Flushes,
    Everything,
}

impl Queues {
    fn take(&mut self, takes: Takes) -> Option<(Class, Job)> {
        let all = [
            (Class::Flush, &mut self.flushes),
            (Class::Level0, &mut self.level0),
            (Class::Compaction, &mut self.compactions),
            (Class::Low, &mut self.low),
        ];
        let classes = if takes == Takes::Flushes { 1 } else { all.len() };
        let mut classes = all.into_iter().take(classes);
        classes.find_map(|(class, queue)| queue.pop_front().map(|job| (class, job)))
    }

    /// Queues the jobs whose time has come, and says when the next one's does.
    fn ring(&mut self) -> Option<Instant> {
        if self.alarms.is_empty() {
            return None;
        }
        let now = Instant::now();
        let due = |alarm: &mut (Instant, Job)| alarm.0 <= now;
        self.low.extend(self.alarms.extract_if(.., due).map(|(_, job)| job));
        self.alarms.iter().map(|(at, _)| *at).min()
    }

    /// Notes that this thread runs a job, perhaps within another.
    fn begin(&mut self, class: Class) {
        self.taken += 1;
        let thread = std::thread::current().id();
        self.running.push(Running { thread, class, number: self.taken });
    }

    /// Threads with jobs that go before this thread's own, which is of `class`. Parts of one job go
    /// side by side, and of jobs within each other only the innermost runs.
    fn ahead(&mut self, class: Class) -> usize {
        let me = std::thread::current().id();
        let mut number = u64::MAX;
        if let Some(mine) = self.running.iter_mut().rfind(|job| job.thread == me) {
            mine.class = class; // it knows better than who queued it
            number = mine.number;
        }
        let before = |job: &Running| {
            job.thread != me && job.number != number && (job.class, job.number) < (class, number)
        };
        let innermost = |rank: usize, job: &Running| {
            self.running[rank + 1..].iter().all(|later| later.thread != job.thread)
        };
        let running = self.running.iter().enumerate();
        running.filter(|(rank, job)| before(job) && innermost(*rank, job)).count()
    }

    /// Ends the innermost job of this thread; one that gave way to it runs on.
    fn end(&mut self) {
        let me = std::thread::current().id();
        if let Some(at) = self.running.iter().rposition(|job| job.thread == me) {
            self.running.remove(at);
        }
    }

    /// Takes a job of a class before `class` that no idle worker is about to take.
    fn take_waiting(&mut self, class: Class) -> Option<(Class, Job)> {
        let [for_flushes, for_all] = self.idle;
        let flushes_left = self.flushes.len().saturating_sub(for_flushes);
        if class > Class::Flush && flushes_left > for_all {
            return Some((Class::Flush, self.flushes.pop_front()?));
        }
        if class > Class::Level0 && self.level0.len() > for_all.saturating_sub(flushes_left) {
            return Some((Class::Level0, self.level0.pop_front()?));
        }
        None
    }

    fn is_idle_but_for(&self, me: ThreadId) -> bool {
        let merges = self.level0.len() + self.compactions.len();
        let queued = self.flushes.len() + merges + self.low.len();
        queued == 0 && self.running.iter().all(|job| job.thread == me)
    }
}

impl ThreadScheduler {
    /// Starts `threads` workers (at least one) and one more that runs only flushes.
    /// # Errors
    /// If the operating system gives no thread.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let spare = processors.saturating_sub(1).max(1);
        let mut scheduler = Self { shared: Arc::default(), spare, workers: Vec::new() };
        scheduler.spawn("lsm-flush".into(), Takes::Flushes)?;
        for i in 0..threads.max(1) {
            scheduler.spawn(format!("lsm-worker-{i}"), Takes::Everything)?;
        }
        Ok(scheduler)
    }

    /// Number of jobs that panicked; each is a bug.
    pub fn panics(&self) -> u64 {
        self.shared.queues.lock().panics
    }

    fn spawn(&mut self, name: String, takes: Takes) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let worker = std::thread::Builder::new().name(name).spawn(move || shared.work(takes))?;
        self.workers.push(worker);
        Ok(())
    }
}

impl Shared {
    fn work(&self, takes: Takes) {
        let mut queues = self.queues.lock();
        loop {
            if queues.ending {
                return;
            }
            let next = if takes == Takes::Everything { queues.ring() } else { None };
            let Some((class, job)) = queues.take(takes) else {
                queues.idle[takes as usize] += 1;
                match next {
                    Some(next) => drop(self.changed.wait_until(&mut queues, next)),
                    None => self.changed.wait(&mut queues),
                }
                queues.idle[takes as usize] -= 1;
                continue;
            };
            queues.begin(class);
            drop(queues);
            queues = self.run(job);
        }
    }

    /// Runs a job that is counted as running, to its end.
    fn run(&self, job: Job) -> MutexGuard<'_, Queues> {
        let outcome: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(job));
        let mut queues = self.queues.lock();
        queues.end();
        queues.panics += u64::from(outcome.is_err()); // the hook has printed it
        self.changed.notify_all();
        queues
    }
}

impl Scheduler for ThreadScheduler {
    fn submit(&self, class: Class, job: Job) {
        let mut queues = self.shared.queues.lock();
        match class {
            Class::Flush => queues.flushes.push_back(job),
            Class::Level0 => queues.level0.push_back(job),
            Class::Compaction => queues.compactions.push_back(job),
            Class::Low => queues.low.push_back(job),
        }
        drop(queues);
        self.shared.changed.notify_all();
    }

    fn wait(&self, signal: &Signal, seen_epoch: u64) {
        signal.wait_past(seen_epoch);
    }

    fn give_way(&self, class: Class) -> Option<Class> {
        let mut queues = self.shared.queues.lock();
        let (class, job) = queues.take_waiting(class)?;
        queues.begin(class);
        drop(queues);
        drop(self.shared.run(job));
        Some(class)
    }

    fn alarm(&self, alarm: Alarm) {
        // So far ahead that the machine's clock cannot tell is never.
        let Some(at) = Instant::now().checked_add(alarm.after) else { return };
        self.shared.queues.lock().alarms.push((at, alarm.job));
        self.shared.changed.notify_all();
    }

    fn pause(&self, class: Class, most: Duration) -> Duration {
        let mut queues = self.shared.queues.lock();
        if queues.ahead(class) < self.spare {
            return Duration::ZERO;
        }
        let begun = Instant::now();
        while queues.ahead(class) >= self.spare && begun.elapsed() < most {
            self.shared.changed.wait_until(&mut queues, begun + most);
        }
        begun.elapsed()
    }

    fn run_together(&self, parts: Vec<Box<dyn FnOnce() + Send + '_>>) {
        let mut parts = parts.into_iter();
        let Some(mine) = parts.next() else { return };
        let me = std::thread::current().id();
        let whole = self.shared.queues.lock().running.iter().rfind(|job| job.thread == me).copied();
        // Threads of their own: a part that waited for a worker might wait for its own caller.
        std::thread::scope(|scope| {
            for part in parts {
                scope.spawn(move || {
                    let _counted = whole.map(|whole| RunningPart::begin(&self.shared, whole));
                    part();
                });
            }
            mine();
        });
    }

    fn join(&self) {
        let me = std::thread::current().id();
        let mut queues = self.shared.queues.lock();
        while !queues.is_idle_but_for(me) {
            self.shared.changed.wait(&mut queues);
        }
    }
}

impl Drop for ThreadScheduler {
    fn drop(&mut self) {
        let mut queues = self.shared.queues.lock();
        queues.ending = true;
        let flushes = std::mem::take(&mut queues.flushes);
        let level0 = std::mem::take(&mut queues.level0);
        let compactions = std::mem::take(&mut queues.compactions);
        let alarms = std::mem::take(&mut queues.alarms);
        let discarded = (flushes, level0, compactions, std::mem::take(&mut queues.low), alarms);
        drop(queues);
        drop(discarded); // outside the lock: jobs may own things whose drop comes back here
        self.shared.changed.notify_all();
        let me = std::thread::current().id();
        for worker in self.workers.drain(..) {
            // A job may drop the last handle of its own scheduler: it cannot wait for itself.
            if worker.thread().id() != me {
                assert!(worker.join().is_ok(), "workers catch the panics of their jobs");
            }
        }
    }
}

impl Debug for ThreadScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = self.shared.queues.lock();
        f.debug_struct("ThreadScheduler")
            .field("workers", &self.workers.len())
            .field("flushes", &queues.flushes.len())
            .field("level0", &queues.level0.len())
            .field("compactions", &queues.compactions.len())
            .field("low", &queues.low.len())
            .field("running", &queues.running.len())
            .finish_non_exhaustive()
    }
}

// -------------------------------------------------------------------------------------- inline

/// No threads: jobs wait until somebody runs one, and the seed chooses which. One seed, one order.
pub struct InlineScheduler {
    state: Mutex<InlineState>,
    finished: Signal,
}

struct InlineState {
    jobs: Vec<(Class, Job)>,
    alarms: Vec<Alarm>,
    running: Vec<ThreadId>,
    random: Random,
}

impl InlineScheduler {
    /// An empty queue; `seed` decides the order in which jobs will run.
    pub fn new(seed: u64) -> Self {
        let state = InlineState {
            jobs: Vec::new(),
            alarms: Vec::new(),
            running: Vec::new(),
            random: Random::new(seed),
        };
        Self { state: Mutex::new(state), finished: Signal::new() }
    }

    /// Runs one queued job to its end; false if none is queued.
    pub fn run_one(&self) -> bool {
        let mut state = self.state.lock();
        if state.jobs.is_empty() {
            return false;
        }
        let jobs = state.jobs.len();
        let chosen = state.random.below(jobs);
        let (_, job) = state.jobs.swap_remove(chosen);
        self.run(state, job);
        true
    }

    /// Runs a job that was taken out of the queue.
    fn run(&self, mut state: MutexGuard<'_, InlineState>, job: Job) {
        let me = std::thread::current().id();
        state.running.push(me);
        drop(state);
        let outcome = catch_unwind(AssertUnwindSafe(job));
        let mut state = self.state.lock();
        if let Some(at) = state.running.iter().rposition(|id| *id == me) {
            state.running.swap_remove(at);
        }
        drop(state);
        self.finished.notify();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    /// Queues the jobs whose time has come at `now`, and returns how many.
    pub fn ring(&self, now: Duration) -> usize {
        let mut state = self.state.lock();
        let due: Vec<Alarm> = state.alarms.extract_if(.., |alarm| alarm.at <= now).collect();
        let count = due.len();
        state.jobs.extend(due.into_iter().map(|alarm| (Class::Low, alarm.job)));
        count
    }

    /// Number of jobs waiting.
    pub fn queued(&self) -> usize {
        self.state.lock().jobs.len()
    }

    /// Forgets what is queued, as a crash does.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        let jobs = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.alarms));
        drop(state);
        drop(jobs);
    }

    /// Whether another thread is inside a job.
    fn others_run(&self) -> bool {
        let me = std::thread::current().id();
        self.state.lock().running.iter().any(|id| *id != me)
    }
}

impl Scheduler for InlineScheduler {
    fn submit(&self, class: Class, job: Job) {
        self.state.lock().jobs.push((class, job));
    }

    fn wait(&self, signal: &Signal, seen_epoch: u64) {
        while signal.epoch() <= seen_epoch {
            let finished = self.finished.epoch();
            if self.run_one() {
                continue;
            }
            let others_run = self.others_run();
            if signal.epoch() > seen_epoch || self.finished.epoch() > finished {
                continue;
            }
            assert!(others_run, "waiting for an event that no queued job can raise");
            self.finished.wait_past(finished);
        }
    }

    fn alarm(&self, alarm: Alarm) {
        self.state.lock().alarms.push(alarm);
    }

    /// The seed says whether, and which.
    fn give_way(&self, class: Class) -> Option<Class> {
        let mut state = self.state.lock();
        let before = |(_, (queued, _)): &(usize, &(Class, Job))| *queued < class;
        let urgent: Vec<usize> =
            state.jobs.iter().enumerate().filter(before).map(|(at, _)| at).collect();
        if urgent.is_empty() || state.random.below(2) == 0 {
            return None;
        }
        let chosen = urgent[state.random.below(urgent.len())];
        let (class, job) = state.jobs.swap_remove(chosen);
        self.run(state, job);
        Some(class)
    }

    fn join(&self) {
        loop {
            let finished = self.finished.epoch();
            if self.run_one() {
                continue;
            }
            if !self.others_run() {
                return;
            }
            self.finished.wait_past(finished);
        }
    }
}

impl Debug for InlineScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let classes: Vec<Class> = state.jobs.iter().map(|(class, _)| *class).collect();
        f.debug_struct("InlineScheduler").field("queued", &classes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn noting(log: &Arc<Mutex<Vec<usize>>>, n: usize) -> Job {
        let log = Arc::clone(log);
        Box::new(move || log.lock().push(n))
    }

    #[test]
    fn threads_run_everything_and_join_waits_for_jobs_of_jobs() {
        let scheduler = Arc::new(ThreadScheduler::new(2).unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        for i in 0..300_usize {
            let class = [Class::Flush, Class::Compaction, Class::Low][i % 3];
            let (inner, count) = (Arc::clone(&scheduler), Arc::clone(&count));
            let job = move || {
                count.fetch_add(1, Ordering::SeqCst);
                let again = Arc::clone(&count);
                inner.submit(
                    class,
                    Box::new(move || {
                        again.fetch_add(1, Ordering::SeqCst);
                    }),
                );
            };
            scheduler.submit(class, Box::new(job));
        }
        scheduler.join();
        scheduler.join();
        assert_eq!(count.load(Ordering::SeqCst), 600);
    }

    #[test]
    fn a_flush_does_not_wait_for_compactions() {
        let scheduler = ThreadScheduler::new(1).unwrap();
        let (blocked, flushed) = (Arc::new(Signal::new()), Arc::new(Signal::new()));
        let gate = Arc::clone(&blocked);
        scheduler.submit(Class::Compaction, Box::new(move || gate.wait_past(0)));
        let done = Arc::clone(&flushed);
        scheduler.submit(Class::Flush, Box::new(move || done.notify()));
        scheduler.wait(&flushed, 0); // would hang
        blocked.notify();
        scheduler.join();
    }

    /// Found by review: a part of a split merge waited for the merge that waited for it, as long
    /// as writers wrote.
    #[test]
    fn parts_of_a_job_do_not_wait_for_it_and_others_do() {
        let mut scheduler = ThreadScheduler::new(3).unwrap();
        scheduler.spare = 1;
        let scheduler = Arc::new(scheduler);
        let most = Duration::from_millis(20);
        let [started, go] = [(); 2].map(|()| Arc::new(Signal::new()));
        let log: Arc<Mutex<Vec<bool>>> = Arc::default();
        let (mine, begun, end, seen) =
            (Arc::clone(&scheduler), Arc::clone(&started), Arc::clone(&go), Arc::clone(&log));
        scheduler.submit(
            Class::Compaction,
            Box::new(move || {
                let part = |_: usize| {
                    let (mine, seen, begun, end) = (&mine, &seen, &begun, &end);
                    Box::new(move || {
                        let waited = !mine.pause(Class::Compaction, most).is_zero();
                        seen.lock().push(waited);
                        begun.notify();
                        end.wait_past(0);
                    }) as Box<dyn FnOnce() + Send + '_>
                };
                mine.run_together((0..3).map(part).collect());
            }),
        );
        started.wait_past(2);
        assert_eq!(*log.lock(), [false; 3], "no part waits for another or for the whole");
        let (other, seen, done) = (Arc::clone(&scheduler), Arc::clone(&log), Arc::clone(&started));
        scheduler.submit(
            Class::Compaction,
            Box::new(move || {
                seen.lock().push(!other.pause(Class::Compaction, most).is_zero());
                done.notify();
            }),
        );
        started.wait_past(3);
        assert_eq!(log.lock().last(), Some(&true), "a younger job waits for it");
        go.notify();
        scheduler.join();
        assert!(scheduler.shared.queues.lock().running.is_empty());
    }

    /// With its only worker in a long job: the flush and then the merge of level 0 run within it,
    /// and what is no more urgent than itself does not.
    #[test]
    fn a_long_job_gives_way_to_what_is_more_urgent_and_finds_no_worker() {
        let scheduler = Arc::new(ThreadScheduler::new(1).unwrap());
        let [held, go, on] = [(); 3].map(|()| Arc::new(Signal::new()));
        let log: Arc<Mutex<Vec<usize>>> = Arc::default();
        let (mine, wait, seen) = (Arc::clone(&scheduler), Arc::clone(&go), Arc::clone(&log));
        let started = Arc::clone(&on);
        let long = move || {
            started.notify();
            wait.wait_past(0);
            let classes = [(); 3].map(|()| mine.give_way(Class::Compaction));
            assert_eq!(classes, [Some(Class::Flush), Some(Class::Level0), None]);
            seen.lock().push(3);
        };
        scheduler.submit(Class::Compaction, Box::new(long));
        on.wait_past(0);
        // The worker for flushes is busy too, as with a log that it makes.
        let (started, gate) = (Arc::clone(&on), Arc::clone(&held));
        let flush = move || {
            started.notify();
            gate.wait_past(0);
        };
        scheduler.submit(Class::Flush, Box::new(flush));
        on.wait_past(1);
        scheduler.submit(Class::Level0, noting(&log, 2));
        scheduler.submit(Class::Flush, noting(&log, 1));
        scheduler.submit(Class::Compaction, noting(&log, 4));
        go.notify();
        while log.lock().len() < 4 && scheduler.panics() == 0 {
            std::thread::yield_now();
        }
        held.notify();
        scheduler.join();
        assert_eq!((scheduler.panics(), &*log.lock()), (0, &vec![1, 2, 3, 4]));
    }

    #[test]
    fn a_job_does_not_give_way_where_a_worker_is_free() {
        let scheduler = Arc::new(ThreadScheduler::new(1).unwrap());
        let (go, ran) = (Arc::new(Signal::new()), Arc::new(Signal::new()));
        let (mine, wait, flushed) = (Arc::clone(&scheduler), Arc::clone(&go), Arc::clone(&ran));
        let me = move || {
            wait.wait_past(0);
            let own = std::thread::current().id();
            let note = move || {
                assert_ne!(std::thread::current().id(), own, "the flush has a worker of its own");
                flushed.notify();
            };
            mine.submit(Class::Flush, Box::new(note));
            while mine.give_way(Class::Compaction).is_none() && ran.epoch() == 0 {
                std::thread::yield_now();
            }
        };
        scheduler.submit(Class::Compaction, Box::new(me));
        while scheduler.shared.queues.lock().idle[Takes::Flushes as usize] == 0 {
            std::thread::yield_now(); // its thread has only just started
        }
        go.notify();
        scheduler.join();
        assert_eq!(scheduler.panics(), 0);
    }

    /// With one processor to spare, a merge waits for the flush that takes it, and a flush for
    /// nobody.
    #[test]
    fn a_job_makes_room_for_one_that_goes_before_it() {
        let mut scheduler = ThreadScheduler::new(1).unwrap();
        scheduler.spare = 1;
        let scheduler = Arc::new(scheduler);
        let [held, on] = [(); 2].map(|()| Arc::new(Signal::new()));
        let (gate, started, mine) = (Arc::clone(&held), Arc::clone(&on), Arc::clone(&scheduler));
        let flush = move || {
            let long = Duration::from_secs(60);
            assert_eq!(mine.pause(Class::Flush, long), Duration::ZERO, "nobody goes before it");
            started.notify();
            gate.wait_past(0);
        };
        scheduler.submit(Class::Flush, Box::new(flush));
        on.wait_past(0);
        let short = Duration::from_millis(5);
        assert!(scheduler.pause(Class::Compaction, short) >= short, "the flush runs");
        held.notify();
        scheduler.join();
        assert_eq!(scheduler.pause(Class::Compaction, short), Duration::ZERO, "nothing runs");
        assert_eq!(scheduler.panics(), 0);
    }

    #[test]
    fn an_alarm_is_a_job_when_its_time_has_come() {
        let inline = InlineScheduler::new(1);
        let log: Arc<Mutex<Vec<usize>>> = Arc::default();
        let alarm = |seconds, n| {
            let at = Duration::from_secs(seconds);
            Alarm { at, after: at, job: noting(&log, n) }
        };
        inline.alarm(alarm(5, 1));
        inline.alarm(alarm(7, 2));
        inline.join(); // does not wait for alarms
        assert_eq!([4, 5, 6].map(|now| inline.ring(Duration::from_secs(now))), [0, 1, 0]);
        inline.join();
        assert_eq!(*log.lock(), [1]);
        let threads = ThreadScheduler::new(1).unwrap();
        threads.alarm(alarm(1_000_000, 9));
        let rung = Arc::new(Signal::new());
        let rings = Arc::clone(&rung);
        let after = Duration::from_millis(20);
        let begun = Instant::now();
        threads.alarm(Alarm { at: after, after, job: Box::new(move || rings.notify()) });
        threads.wait(&rung, 0);
        assert!(begun.elapsed() >= after);
        drop(threads);
        assert_eq!(*log.lock(), [1], "what never came due is forgotten");
    }

    #[test]
    fn a_seed_decides_who_gives_way() {
        let gave_way = |seed| {
            let scheduler = Arc::new(InlineScheduler::new(seed));
            let (mine, log) = (Arc::clone(&scheduler), Arc::default());
            let seen: Arc<Mutex<Vec<usize>>> = Arc::clone(&log);
            let long = move || {
                for n in 0..8 {
                    mine.submit(Class::Flush, noting(&seen, n));
                    mine.submit(Class::Low, noting(&seen, 100 + n));
                    mine.give_way(Class::Level0);
                }
                seen.lock().push(50);
            };
            scheduler.submit(Class::Compaction, Box::new(long));
            scheduler.run_one();
            let order = log.lock().clone();
            assert!(order.iter().all(|n| *n <= 50), "low ones wait: {order:?}");
            order
        };
        assert_eq!(gave_way(1), gave_way(1));
        assert!((2..9).any(|seed| gave_way(seed) != gave_way(1)));
    }

    #[test]
    fn a_panicking_job_takes_no_worker_with_it() {
        let scheduler = ThreadScheduler::new(1).unwrap();
        for _ in 0..4 {
            scheduler.submit(Class::Low, Box::new(|| std::panic::resume_unwind(Box::new("test"))));
        }
        let log = Arc::default();
        scheduler.submit(Class::Low, noting(&log, 1));
        scheduler.join();
        assert_eq!((scheduler.panics(), log.lock().len()), (4, 1));
    }

    #[test]
    fn the_last_handle_may_go_inside_a_job() {
        let scheduler = Arc::new(ThreadScheduler::new(1).unwrap());
        let (go, gone) = (Arc::new(Signal::new()), Arc::new(Signal::new()));
        let (mine, wait, done) = (Arc::clone(&scheduler), Arc::clone(&go), Arc::clone(&gone));
        let job = move || {
            wait.wait_past(0);
            drop(mine);
            done.notify();
        };
        scheduler.submit(Class::Low, Box::new(job));
        drop(scheduler);
        go.notify();
        gone.wait_past(0);
    }

    #[test]
    fn a_seed_decides_the_order() {
        let order = |seed| {
            let (scheduler, log) = (InlineScheduler::new(seed), Arc::default());
            for n in 0..20 {
                scheduler.submit(Class::Compaction, noting(&log, n));
            }
            scheduler.join();
            let order: Vec<usize> = log.lock().clone();
            order
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn waiting_runs_jobs_until_one_raises_the_signal() {
        let (scheduler, log) = (InlineScheduler::new(5), Arc::default());
        let signal = Arc::new(Signal::new());
        for n in 0..10 {
            scheduler.submit(Class::Compaction, noting(&log, n));
        }
        let raised = Arc::clone(&signal);
        scheduler.submit(Class::Flush, Box::new(move || raised.notify()));
        let seen = signal.epoch();
        scheduler.wait(&signal, seen);
        assert_eq!(signal.epoch(), 1);
        assert_eq!(log.lock().len() + scheduler.queued(), 10);
    }

    #[test]
    #[should_panic(expected = "no queued job can raise")]
    fn waiting_for_nothing_is_a_bug() {
        InlineScheduler::new(1).wait(&Signal::new(), 0);
    }

    #[test]
    fn a_waiter_sees_what_another_thread_runs() {
        let scheduler = Arc::new(InlineScheduler::new(1));
        let (go, started, raised) =
            (Arc::new(Signal::new()), Arc::new(Signal::new()), Arc::new(Signal::new()));
        let (wait, on, raise) = (Arc::clone(&go), Arc::clone(&started), Arc::clone(&raised));
        let job = move || {
            on.notify();
            wait.wait_past(0);
            raise.notify();
        };
        scheduler.submit(Class::Low, Box::new(job));
        let other = Arc::clone(&scheduler);
        let runner = std::thread::spawn(move || other.run_one());
        started.wait_past(0);
        go.notify();
        scheduler.wait(&raised, 0);
        assert!(runner.join().unwrap());
    }
}
