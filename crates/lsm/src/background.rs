//! Which background jobs run: at most one flush, and as many compactions as there are threads; one
//! of level 0 beyond them, which the others give way to.
//!
//! A job that fails leaves its error here and is not repeated by itself: whoever needs its
//! result next (a writer that waits for room, a call of `flush` or `compact`) lets it try again,
//! and gets the error if it fails again. So a full disk fails writes cleanly, and space that
//! comes back heals. A flush that goes well lets compactions try again that had no space.

use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

use compaction::Plan;
use parking_lot::Mutex;

use crate::admission::Pressure;
use crate::compact::{self, FamilyJobs};
use crate::deadlines;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::flush;
use crate::inner::Inner;
use crate::scheduler::Class;

/// How long a merge makes room for others before it looks again.
const PAUSE_MAX: Duration = Duration::from_millis(2);

/// Shorter pauses are counted and not told: there is one for each flush.
const PAUSE_TOLD: Duration = Duration::from_millis(1);

/// What is queued or running.
#[derive(Debug, Default)]
pub(crate) struct Work {
    state: Mutex<WorkState>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "jobs of which one at a time is queued or runs")]
struct WorkState {
    flushing: bool,
    preparing_log: bool,
    getting_memory: bool,
    compactions: usize,
    /// A merge of level 0 is queued, or runs, beyond those that the threads are for.
    level0: bool,
    /// What running compactions use, by family.
    jobs: FamilyJobs,
    flush_failure: Option<Error>,
    compaction_failure: Option<Error>,
    /// Compactions in a row that had no space, and flushes until the next is tried.
    without_space: Backoff,
    /// Threads of callers that are changing the tree by themselves.
    callers: Vec<ThreadId>,
    phase: Phase,
}

/// When compactions that had no space are tried again: a failing one takes what others need, so
/// after each time half as often.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    flushes_left: u32,
}

impl Backoff {
    /// A compaction has ended.
    fn ended(&mut self, failure: Option<&Error>) {
        if failure.is_some_and(Error::is_out_of_space) {
            self.flushes_left = (1 << self.failures.min(BACKOFF_DOUBLINGS)) - 1;
            self.failures += 1;
        } else {
            *self = Self::default();
        }
    }

    /// A flush has found room; whether that is reason to try again.
    fn may_try(&mut self) -> bool {
        let may = self.flushes_left == 0;
        self.flushes_left = self.flushes_left.saturating_sub(1);
        may
    }
}

/// At the latest, every so many flushes, as a power of two.
const BACKOFF_DOUBLINGS: u32 = 6;

/// Where the database is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// Recovery does its flushes by itself.
    #[default]
    Opening,
    /// Jobs may start.
    Running,
    /// No new jobs, and compactions give up.
    Closing,
}

impl Work {
    /// From now on jobs may start; recovery does its flushes by itself.
    pub(crate) fn start(&self) {
        self.state.lock().phase = Phase::Running;
    }

    /// Whether jobs must end early.
    pub(crate) fn closing(&self) -> bool {
        self.state.lock().phase == Phase::Closing
    }

    /// From now on no job starts, and running compactions give up.
    pub(crate) fn close(&self) {
        self.state.lock().phase = Phase::Closing;
    }

    /// Whether a flush runs, and how many compactions.
    pub(crate) fn running(&self) -> (bool, usize) {
        let state = self.state.lock();
        (state.flushing, state.compactions + usize::from(state.level0))
    }

    /// Picks under one lock, so that two jobs never take the same tables.
    pub(crate) fn with_jobs<T>(&self, pick: impl FnOnce(&mut FamilyJobs) -> T) -> T {
        pick(&mut self.state.lock().jobs)
    }
}

/// A caller's thread that changes the tree by itself; [`wait_for_callers`] waits for it.
pub(crate) struct Caller<'a> {
    inner: &'a Inner,
}

/// Enters a caller that is about to change the tree.
pub(crate) fn enter(inner: &Inner) -> Result<Caller<'_>> {
    let mut work = inner.work.state.lock();
    if work.phase == Phase::Closing {
        return Err(Error::Closed);
    }
    work.callers.push(std::thread::current().id());
    Ok(Caller { inner })
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        let me = std::thread::current().id();
        let mut work = self.inner.work.state.lock();
        if let Some(rank) = work.callers.iter().rposition(|caller| *caller == me) {
            work.callers.swap_remove(rank);
        }
        drop(work);
        self.inner.progress.notify();
    }
}

/// Waits until no other thread of a caller changes the tree: none begins, and compactions give up.
pub(crate) fn wait_for_callers(inner: &Inner) {
    let me = std::thread::current().id();
    loop {
        let seen = inner.progress.epoch();
        if inner.work.state.lock().callers.iter().all(|caller| *caller == me) {
            return;
        }
        inner.progress.wait_past(seen);
    }
}

/// Workers that help with a job which is not theirs.
pub(crate) struct Helpers<'a> {
    inner: &'a Arc<Inner>,
    pub(crate) count: usize,
}

/// Takes idle workers, `most` at most; they count as compactions until the result is dropped.
pub(crate) fn helpers(inner: &Arc<Inner>, most: usize) -> Helpers<'_> {
    let mut work = inner.work.state.lock();
    let count = inner.options.background_threads.saturating_sub(work.compactions).min(most);
    work.compactions += count;
    Helpers { inner, count }
}

impl Drop for Helpers<'_> {
    fn drop(&mut self) {
        self.inner.work.state.lock().compactions -= self.count;
        schedule(self.inner);
    }
}

/// Queues the jobs that have something to do.
pub(crate) fn schedule(inner: &Arc<Inner>) {
    let mut work = inner.work.state.lock();
    if work.phase != Phase::Running || inner.is_stopped() {
        return;
    }
    if !work.flushing && work.flush_failure.is_none() && !inner.state.peek().sealed.is_empty() {
        work.flushing = true;
        submit(inner, Class::Flush, JobKind::Flush);
    }
    if !work.preparing_log && inner.logs.wants_spare() {
        work.preparing_log = true;
        submit(inner, Class::Flush, JobKind::PrepareLog);
    }
    if !work.getting_memory && inner.arena.wants_memory() {
        work.getting_memory = true;
        submit(inner, Class::Flush, JobKind::GetMemory);
    }
    if work.compaction_failure.is_some() {
        return;
    }
    // Where the others wait for memory, level 0 does not.
    if work.compactions < inner.options.background_threads && !inner.ledger.is_starved() {
        if compact::wanted(inner, &work.jobs) {
            work.compactions += 1;
            submit(inner, Class::Compaction, JobKind::Compaction);
        }
    } else if !work.level0 && compact::level0_wanted(inner, &work.jobs) {
        work.level0 = true;
        submit(inner, Class::Level0, JobKind::Level0);
    }
}

/// What a merge of this plan gives way to lies before this class.
fn class_of(plan: &Plan) -> Class {
    if plan.takes_level0() { Class::Level0 } else { Class::Compaction }
}

/// Lets more urgent work that finds no worker go before a merge of `plan`, and tells of it.
pub(crate) fn give_way(inner: &Inner, family: &str, plan: &Plan) {
    let class = class_of(plan);
    loop {
        let begun = inner.env.clock.now();
        let Some(urgent) = inner.env.scheduler.give_way(class) else { return };
        let took = inner.env.clock.now().saturating_sub(begun);
        inner.counters.preempted(took);
        let reason = match urgent {
            Class::Flush => "a flush has no worker",
            _ => "level 0 must be merged and has no worker",
        };
        tell_preempted(inner, (family, plan), reason, took);
    }
}

fn tell_preempted(inner: &Inner, (family, plan): (&str, &Plan), reason: &str, took: Duration) {
    inner.events.tell(&Event::Preempted {
        family: family.to_owned(),
        plan: plan.to_string(),
        reason: reason.to_owned(),
        took,
    });
}

#[derive(Debug, Clone, Copy)]
enum JobKind {
    Flush,
    PrepareLog,
    GetMemory,
    Level0,
    Compaction,
}

fn submit(inner: &Arc<Inner>, class: Class, kind: JobKind) {
    let owner = Arc::clone(inner);
    inner.env.scheduler.submit(
        class,
        Box::new(move || {
            let finish = Finish { inner: &owner, kind, result: None };
            finish.run();
        }),
    );
}

/// Takes note of a job's end, even if the job panics.
struct Finish<'a> {
    inner: &'a Arc<Inner>,
    kind: JobKind,
    result: Option<Result<()>>,
}

impl Finish<'_> {
    fn run(mut self) {
        self.result = Some(match self.kind {
            JobKind::Flush => flush::run(self.inner),
            JobKind::PrepareLog => self.inner.logs.prepare(self.inner),
            JobKind::GetMemory => {
                self.inner.arena.get_ahead();
                Ok(())
            }
            JobKind::Level0 => compact::run_level0(self.inner),
            JobKind::Compaction => compact::run_picked(self.inner),
        });
    }
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let failure = match self.result.take() {
            Some(Ok(()) | Err(Error::Closed)) => None,
            Some(Err(error)) => Some(error),
            None => Some(Error::InternalPanic { job: format!("{:?}", self.kind) }),
        };
        if let Some(error) = &failure {
            self.inner.counters.background_failed();
            let job = format!("{:?}", self.kind);
            self.inner.events.tell(&Event::BackgroundFailed { job, error: error.clone() });
        }
        let mut work = self.inner.work.state.lock();
        match self.kind {
            JobKind::Flush => {
                work.flushing = false;
                let full = work.compaction_failure.as_ref().is_some_and(Error::is_out_of_space);
                if failure.is_none() && full && work.without_space.may_try() {
                    work.compaction_failure = None; // there was room for this
                }
                work.flush_failure = failure;
            }
            // The writer that needs the log makes it itself, and gets the error if there is one.
            JobKind::PrepareLog => work.preparing_log = false,
            JobKind::GetMemory => work.getting_memory = false,
            JobKind::Level0 => {
                work.level0 = false;
                work.without_space.ended(failure.as_ref());
                work.compaction_failure = failure;
            }
            JobKind::Compaction => {
                work.compactions -= 1;
                work.without_space.ended(failure.as_ref());
                work.compaction_failure = failure;
            }
        }
        drop(work);
        schedule(self.inner);
        deadlines::arm(self.inner);
        self.inner.progress.notify();
    }
}

/// Makes a merge of `plan` wait while writers write and more urgent work, a flush before all,
/// takes all processors but one: what writers need is a processor, and the merge has time. Not
/// while writers are held back because compaction is behind.
pub(crate) fn make_room(inner: &Inner, family: &str, plan: &Plan) {
    let behind = || matches!(inner.admission.reason(), Pressure::Level0 | Pressure::Debt);
    let (class, mut waited) = (class_of(plan), Duration::ZERO);
    while !behind() && !inner.work.closing() {
        let seqno = inner.visible.get();
        let step = inner.env.scheduler.pause(class, PAUSE_MAX);
        waited += step;
        if step.is_zero() || inner.visible.get() == seqno {
            break;
        }
        give_way(inner, family, plan);
    }
    inner.counters.made_room(waited);
    if waited >= PAUSE_TOLD {
        let reason = "writers and more urgent work take all processors";
        tell_preempted(inner, (family, plan), reason, waited);
    }
}

/// Lets failed work try again.
pub(crate) fn retry(inner: &Arc<Inner>) {
    let mut work = inner.work.state.lock();
    work.flush_failure = None;
    work.compaction_failure = None;
}

/// What is waited for, and whose failure ends the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Flushes: a compaction that fails has nothing to do with them.
    Flushes,
    /// Compactions, likewise.
    Compactions,
    /// All that is to do.
    Everything,
}

/// The error of the work waited for, if it has failed since [`retry`].
pub(crate) fn failure(inner: &Inner, awaited: Awaited) -> Option<Error> {
    let work = inner.work.state.lock();
    let (flush, compaction) = (&work.flush_failure, &work.compaction_failure);
    match awaited {
        Awaited::Flushes => flush.clone(),
        Awaited::Compactions => compaction.clone(),
        Awaited::Everything => flush.as_ref().or(compaction.as_ref()).cloned(),
    }
}

/// Waits until nothing is left to do.
pub(crate) fn wait_idle(inner: &Arc<Inner>) -> Result<()> {
    crate::admission::wait_until(inner, Awaited::Everything, |inner| {
        let work = inner.work.state.lock();
        let preparing = work.preparing_log || work.getting_memory;
        let busy = work.flushing || work.compactions > 0 || work.level0 || preparing;
        !busy && inner.state.peek().sealed.is_empty() && !compact::wanted(inner, &work.jobs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_no_space_is_tried_half_as_often_each_time() {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let full = Error::io("write", std::path::Path::new("table"), source);
        let mut backoff = Backoff::default();
        let flushes = |backoff: &mut Backoff| {
            backoff.ended(Some(&full));
            (1..100).find(|_| backoff.may_try()).unwrap()
        };
        let tries: Vec<u32> = (0..9).map(|_| flushes(&mut backoff)).collect();
        assert_eq!(tries, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        backoff.ended(None);
        assert_eq!(flushes(&mut backoff), 1, "one that went well begins anew");
    }
}
