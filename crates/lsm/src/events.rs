//! [`Event`]: what the database does on its own, told to [`Listeners`] and kept as a short history.
//!
//! 1. A listener is called while no lock of the database is held. What happens under a lock is
//!    queued, and told by a background job soon after: one job at most is queued or runs, and
//!    [`QUEUED_MAX`] events at most wait; what comes while so many do is dropped, and counted.
//! 2. A listener that panics is passed over for that event and counted; nothing else suffers.
//! 3. The history keeps the last [`KEPT`] events that say what was decided, with their reasons,
//!    whether anybody listens or not.
//!
//! Every event is also a `tracing` event of target `lsm::events`: failures as errors, the rest as
//! debug. Its fields are `kind` (the name in [`Event`]), `reason` and `took_us` where the event has
//! them, and `event`, all of it. None is on the path of a single read or write, except where a
//! write is held back.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::admission::Pressure;
use crate::clock::Clock;
use crate::error::Error;
use crate::pace::Haste;
use crate::scheduler::{Class, Scheduler};

/// Events in the history at most.
const KEPT: usize = 256;

/// Events that wait to be told at most: a listener that hangs must not take all memory.
const QUEUED_MAX: usize = 1024;

/// Events that a job tells; then whatever else is queued may come first.
const TOLD_AT_A_TIME: usize = 64;

/// Something that the database did, or that happened to it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Sealed memtables are about to become tables.
    FlushBegan {
        /// Entries in them.
        entries: u64,
        /// Bytes of memory they hold.
        memory_bytes: u64,
        /// Why they were sealed.
        reason: String,
    },
    /// They are tables now, or it failed.
    FlushEnded {
        /// Bytes of the tables.
        bytes: u64,
        /// Why they were sealed.
        reason: String,
        /// How long it took.
        took: Duration,
        /// Why it failed; the memtables are still there then.
        error: Option<Error>,
    },
    /// A compaction is about to run.
    CompactionBegan {
        /// The family's name.
        family: String,
        /// Which tables, into which level.
        plan: String,
        /// Why the policy wants it.
        reason: String,
    },
    /// A compaction has ended.
    CompactionEnded {
        /// The family's name.
        family: String,
        /// Which tables, into which level.
        plan: String,
        /// Why the policy wanted it.
        reason: String,
        /// Bytes of the tables it read; nothing where tables only changed their level.
        read_bytes: u64,
        /// Bytes of the tables it wrote.
        written_bytes: u64,
        /// How long it took.
        took: Duration,
        /// Why it failed; the tree is as before then.
        error: Option<Error>,
    },
    /// A running merge has given way to more urgent work, and goes on now.
    Preempted {
        /// The family whose merge it is.
        family: String,
        /// The plan of the merge that gave way.
        plan: String,
        /// What it gave way to.
        reason: String,
        /// How long that took.
        took: Duration,
    },
    /// Merges, which have a limit, go by another rule from now on.
    MergesPaced {
        /// The rule, and why.
        reason: Haste,
        /// Bytes a second that merges may write now.
        bytes_per_second: u64,
    },
    /// A writer must wait for background work. Two other waits are [`Event::HeldUp`].
    StallBegan {
        /// What it waits for.
        reason: Pressure,
    },
    /// The writer goes on, or gets an error.
    StallEnded {
        /// What it waited for.
        reason: Pressure,
        /// For how long.
        took: Duration,
    },
    /// Writers were held up, or would have been, by something that they do for each other: they
    /// make a log segment that is not ready, or install the tables of a load. Told from a
    /// millisecond on.
    HeldUp {
        /// By what.
        reason: Pressure,
        /// For how long.
        took: Duration,
    },
    /// Writers were slowed down by short delays.
    Slowed {
        /// What background work is behind with.
        reason: Pressure,
        /// Delays in a row; always 1 for listeners, more in the history.
        times: u64,
        /// Their sum.
        took: Duration,
    },
    /// A table became part of the tree.
    TableCreated {
        /// The number in its file's name.
        number: u64,
        /// Its level.
        level: usize,
        /// Bytes of its file.
        bytes: u64,
        /// Entries in it, deletions included.
        entries: u64,
    },
    /// A table is no longer part of the tree; its file goes when the last reader has left it.
    TableDeleted {
        /// The number in its file's name.
        number: u64,
    },
    /// Writes go to a new log segment from now on.
    LogRotated {
        /// The number in its file's name.
        number: u64,
        /// Bytes of its file.
        capacity_bytes: u64,
    },
    /// An adaptive family's tree has another shape from the next compaction on.
    Adapted {
        /// The family's name.
        family: String,
        /// The shape it has now.
        strategy: String,
        /// The operations that are cheaper with it.
        reason: String,
    },
    /// A background job failed. It is tried again when somebody needs its result.
    BackgroundFailed {
        /// The kind of job.
        job: String,
        /// Why.
        error: Error,
    },
    /// A failure left the log in doubt: no more writes are taken until the database is opened
    /// again.
    WritesStopped {
        /// The failure, in words.
        why: Arc<str>,
    },
}

impl Event {
    /// Whether the history keeps it.
    fn is_decision(&self) -> bool {
        match self {
            Self::FlushEnded { .. }
            | Self::CompactionEnded { .. }
            | Self::Preempted { .. }
            | Self::MergesPaced { .. }
            | Self::StallEnded { .. }
            | Self::HeldUp { .. }
            | Self::Slowed { .. }
            | Self::Adapted { .. }
            | Self::BackgroundFailed { .. }
            | Self::WritesStopped { .. } => true,
            Self::FlushBegan { .. }
            | Self::CompactionBegan { .. }
            | Self::StallBegan { .. }
            | Self::TableCreated { .. }
            | Self::TableDeleted { .. }
            | Self::LogRotated { .. } => false,
        }
    }

    /// Whether something went wrong.
    fn is_failure(&self) -> bool {
        match self {
            Self::BackgroundFailed { .. } | Self::WritesStopped { .. } => true,
            // Background jobs tell their failures themselves.
            _ => false,
        }
    }

    /// Its name.
    fn kind(&self) -> &'static str {
        match self {
            Self::FlushBegan { .. } => "FlushBegan",
            Self::FlushEnded { .. } => "FlushEnded",
            Self::CompactionBegan { .. } => "CompactionBegan",
            Self::CompactionEnded { .. } => "CompactionEnded",
            Self::Preempted { .. } => "Preempted",
            Self::MergesPaced { .. } => "MergesPaced",
            Self::StallBegan { .. } => "StallBegan",
            Self::StallEnded { .. } => "StallEnded",
            Self::HeldUp { .. } => "HeldUp",
            Self::Slowed { .. } => "Slowed",
            Self::TableCreated { .. } => "TableCreated",
            Self::TableDeleted { .. } => "TableDeleted",
            Self::LogRotated { .. } => "LogRotated",
            Self::Adapted { .. } => "Adapted",
            Self::BackgroundFailed { .. } => "BackgroundFailed",
            Self::WritesStopped { .. } => "WritesStopped",
        }
    }

    /// Why it came to that.
    fn reason(&self) -> Option<&str> {
        match self {
            Self::FlushBegan { reason, .. }
            | Self::FlushEnded { reason, .. }
            | Self::CompactionBegan { reason, .. }
            | Self::CompactionEnded { reason, .. }
            | Self::Preempted { reason, .. }
            | Self::Adapted { reason, .. } => Some(reason),
            Self::MergesPaced { reason, .. } => Some(reason.words()),
            Self::StallBegan { reason }
            | Self::StallEnded { reason, .. }
            | Self::HeldUp { reason, .. }
            | Self::Slowed { reason, .. } => Some(reason.words()),
            _ => None,
        }
    }

    /// How long it took, in microseconds.
    fn took_us(&self) -> Option<u64> {
        match self {
            Self::FlushEnded { took, .. }
            | Self::CompactionEnded { took, .. }
            | Self::Preempted { took, .. }
            | Self::StallEnded { took, .. }
            | Self::HeldUp { took, .. }
            | Self::Slowed { took, .. } => u64::try_from(took.as_micros()).ok(),
            _ => None,
        }
    }

    /// Tells the subscriber of the process, if there is one.
    fn trace(&self) {
        let (kind, reason, took_us) = (self.kind(), self.reason(), self.took_us());
        if self.is_failure() {
            tracing::error!(target: "lsm::events", kind, reason, took_us, event = ?self);
        } else {
            tracing::debug!(target: "lsm::events", kind, reason, took_us, event = ?self);
        }
    }
}

/// Is told what happens. Any `Fn(&Event)` is one.
///
/// It is called by the thread that did it, with no lock held, and holds that thread up: be quick.
/// It may read the database; it must not write to it, nor wait for it.
pub trait Listener: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Listener for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// Who is told what happens; nobody by default.
///
/// ```
/// # fn main() -> lsm::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// use std::sync::mpsc;
/// use lsm::{Db, Event, Listeners, Options};
///
/// let (sender, receiver) = mpsc::channel();
/// let listeners = Listeners::new().with(move |event: &Event| {
///     if let Event::TableCreated { level, entries, .. } = event {
///         sender.send((*level, *entries)).unwrap();
///     }
/// });
/// let db = Db::open(folder.path().join("db"), Options { listeners, ..Options::default() })?;
/// db.put(b"apple", b"red")?;
/// db.flush()?;
/// assert_eq!(receiver.recv().unwrap(), (0, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Listeners {
    all: Vec<Arc<dyn Listener>>,
}

impl Listeners {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn with(mut self, listener: impl Listener + 'static) -> Self {
        self.all.push(Arc::new(listener));
        self
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.all.len())
    }
}

/// An event of the past.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Past {
    /// When it was told, in microseconds since 1970; of delays in a row, the last.
    pub at_us: u64,
    /// What happened.
    pub event: Event,
}

/// Events that wait to be told.
#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    /// A job that tells them is queued or runs.
    has_job: bool,
    dropped: u64,
}

/// Tells listeners, and remembers.
pub(crate) struct Events {
    listeners: Listeners,
    clock: Arc<dyn Clock>,
    scheduler: Arc<dyn Scheduler>,
    queue: Mutex<Queue>,
    /// One thread at a time tells what is queued, so that it is told in order.
    telling: Mutex<()>,
    history: Mutex<VecDeque<Past>>,
    panics: AtomicU64,
    closed: AtomicBool,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new(
        listeners: Listeners,
        clock: Arc<dyn Clock>,
        scheduler: Arc<dyn Scheduler>,
    ) -> Arc<Self> {
        Arc::new(Self {
            listeners,
            clock,
            scheduler,
            queue: Mutex::default(),
            telling: Mutex::default(),
            history: Mutex::default(),
            panics: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// Tells an event at once. The caller holds no lock.
    pub(crate) fn tell(&self, event: &Event) {
        self.note(event);
        self.call(event);
    }

    /// Tells an event soon; for callers that hold locks.
    pub(crate) fn tell_later(self: &Arc<Self>, event: Event) {
        self.note(&event);
        if self.listeners.all.is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.events.len() == QUEUED_MAX {
            queue.dropped += 1;
            return;
        }
        queue.events.push_back(event);
        let needs_job = !std::mem::replace(&mut queue.has_job, true);
        drop(queue);
        if needs_job {
            self.submit();
        }
    }

    /// Queues the job that tells what is queued.
    fn submit(self: &Arc<Self>) {
        // ORDERING: Acquire; pairs with the Release in `close`, which tells what is queued.
        if !self.closed.load(Ordering::Acquire) {
            let events = Arc::clone(self);
            self.scheduler.submit(Class::Low, Box::new(move || events.run_job()));
        }
    }

    /// Tells some of what is queued, and leaves the rest to another job.
    fn run_job(self: &Arc<Self>) {
        self.tell_queued(TOLD_AT_A_TIME);
        let mut queue = self.queue.lock();
        queue.has_job = !queue.events.is_empty();
        let more = queue.has_job;
        drop(queue);
        if more {
            self.submit();
        }
    }

    /// Tells what is queued, `most` events at most.
    fn tell_queued(&self, most: usize) {
        // Held while listeners run, but by nobody who holds or wants a lock of the database.
        let _in_order = self.telling.lock();
        for _ in 0..most {
            let Some(event) = self.queue.lock().events.pop_front() else { return };
            self.call(&event);
        }
    }

    /// Tells what is left; the scheduler takes no more jobs.
    pub(crate) fn close(&self) {
        // ORDERING: Release; pairs with the Acquire in `tell_later`.
        self.closed.store(true, Ordering::Release);
        self.tell_queued(usize::MAX);
    }

    /// Events that listeners were not told, because too many waited.
    pub(crate) fn dropped(&self) -> u64 {
        self.queue.lock().dropped
    }

    /// Calls of listeners that panicked.
    pub(crate) fn panics(&self) -> u64 {
        // ORDERING: Relaxed; a statistic publishes nothing.
        self.panics.load(Ordering::Relaxed)
    }

    /// What was decided lately, oldest first.
    pub(crate) fn history(&self) -> Vec<Past> {
        self.history.lock().iter().cloned().collect()
    }

    fn call(&self, event: &Event) {
        for listener in &self.listeners.all {
            if catch_unwind(AssertUnwindSafe(|| listener.event(event))).is_err() {
                // ORDERING: Relaxed; a statistic publishes nothing.
                self.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(?event, "a listener panicked");
            }
        }
    }

    fn note(&self, event: &Event) {
        event.trace();
        if event.is_decision() {
            let at_us = self.clock.unix_micros();
            let mut history = self.history.lock();
            if let Some(past) = history.back_mut()
                && joined(&mut past.event, event)
            {
                past.at_us = at_us;
                return;
            }
            if history.len() == KEPT {
                history.pop_front();
            }
            history.push_back(Past { at_us, event: event.clone() });
        }
    }
}

/// Adds a delay to one just before it for the same reason.
fn joined(last: &mut Event, event: &Event) -> bool {
    match (last, event) {
        (
            Event::Slowed { reason, times, took },
            Event::Slowed { reason: again, times: more, took: longer },
        ) if reason == again => {
            *times += more;
            *took += *longer;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::scheduler::ThreadScheduler;

    fn events(listeners: Listeners) -> Arc<Events> {
        let scheduler = Arc::new(ThreadScheduler::new(1).unwrap());
        Events::new(listeners, Arc::new(ManualClock::new()), scheduler)
    }

    fn slowed(ms: u64, reason: Pressure) -> Event {
        Event::Slowed { reason, times: 1, took: Duration::from_millis(ms) }
    }

    #[test]
    fn the_history_is_bounded_and_delays_in_a_row_are_one() {
        let events = events(Listeners::new());
        for n in 0..1000 {
            events.tell(&slowed(1, Pressure::Debt));
            events.tell(&Event::TableDeleted { number: n });
        }
        let history = events.history();
        assert_eq!(history.len(), 1);
        let total = Duration::from_secs(1);
        assert!(
            matches!(history[0].event, Event::Slowed { times: 1000, took, .. } if took == total)
        );
        for n in 0..600 {
            let reason = if n % 2 == 0 { Pressure::Level0 } else { Pressure::Debt };
            events.tell(&slowed(n, reason));
        }
        assert_eq!(events.history().len(), KEPT);
        let last = events.history().pop().unwrap().event;
        assert!(matches!(last, Event::Slowed { took, .. } if took == Duration::from_millis(599)));
    }

    #[test]
    fn a_panicking_listener_is_passed_over_and_the_queue_keeps_its_order() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let listeners =
            Listeners::new().with(|_: &Event| panic!("on purpose")).with(move |event: &Event| {
                if let Event::TableDeleted { number } = event {
                    hears.lock().push(*number);
                }
            });
        let events = events(listeners);
        for number in 0..50 {
            events.tell_later(Event::TableDeleted { number });
        }
        events.close();
        events.tell_later(Event::TableDeleted { number: 50 });
        assert_eq!(heard.lock().clone(), (0..50).collect::<Vec<_>>(), "nothing after the close");
        assert_eq!(events.panics(), 50);
    }

    /// Counts the jobs that are queued, and runs none.
    #[derive(Debug, Default)]
    struct Counts(AtomicU64);

    impl Scheduler for Counts {
        fn submit(&self, class: Class, _: crate::scheduler::Job) {
            assert_eq!(class, Class::Low);
            // ORDERING: Relaxed; one thread.
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn wait(&self, _: &crate::scheduler::Signal, _: u64) {}

        fn join(&self) {}
    }

    #[test]
    fn one_job_is_queued_for_all_events_and_what_does_not_fit_is_counted() {
        let heard = Arc::new(AtomicU64::new(0));
        let hears = Arc::clone(&heard);
        let listeners = Listeners::new().with(move |event: &Event| {
            let Event::TableDeleted { number } = event else { panic!("{event:?}") };
            // ORDERING: Relaxed, here and below; one thread.
            assert_eq!(hears.fetch_add(1, Ordering::Relaxed), *number, "in order");
        });
        let jobs = Arc::new(Counts::default());
        let scheduler = Arc::<Counts>::clone(&jobs);
        let events = Events::new(listeners, Arc::new(ManualClock::new()), scheduler);
        let (most, left) = (QUEUED_MAX as u64, TOLD_AT_A_TIME as u64);
        let heard = || heard.load(Ordering::Relaxed);
        for number in 0..most + 10 {
            events.tell_later(Event::TableDeleted { number });
        }
        assert_eq!((jobs.0.load(Ordering::Relaxed), events.dropped(), heard()), (1, 10, 0));
        events.run_job();
        assert_eq!((jobs.0.load(Ordering::Relaxed), heard()), (2, left), "the rest is another's");
        while heard() < most {
            events.run_job();
        }
        let queued = jobs.0.load(Ordering::Relaxed);
        events.tell_later(Event::TableDeleted { number: most });
        assert_eq!(jobs.0.load(Ordering::Relaxed), queued + 1, "the job before has ended");
        events.close();
        assert_eq!((heard(), events.dropped(), events.panics()), (most + 1, 10, 0));
    }
}
