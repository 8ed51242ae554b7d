//! [`Group`]: one sync for all who wait for one.
//!
//! 1. At most one runs at a time. Who comes meanwhile waits for the next: what it has written may
//!    have come too late for this one.
//! 2. Writers that were served together tend to come back together. Whoever leads the next sync
//!    waits for as many as there were, for half the time of a sync at most: without that, the first
//!    one back would sync for itself alone, and all the others would wait for two.
//! 3. All who were served are woken at once, and not one by the other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait for others, however slow the medium is.
const GATHER_MAX: Duration = Duration::from_micros(500);

/// Those who wait for a sync, and the one that runs.
#[derive(Debug, Default)]
pub(super) struct Group {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// Threads in [`Group::join`].
    inside: usize,
    /// As many as were inside when the last sync ended.
    expected: usize,
    /// How long the last sync took.
    took: Duration,
}

/// One that syncs for all; gives its place back even if the sync panics.
struct Leader<'a> {
    group: &'a Group,
    begun: Instant,
}

impl Group {
    /// Returns once `is_done` answers yes or fails, or this thread's own `sync` has returned.
    ///
    /// At most one `sync` runs at a time. It must cover what was written before it began.
    pub(super) fn join<E>(
        &self,
        is_done: impl Fn() -> Result<bool, E>,
        sync: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.lock();
        state.inside += 1;
        loop {
            match is_done() {
                Ok(false) => {}
                answer => {
                    state.inside -= 1;
                    return answer.map(|_| ());
                }
            }
            if !state.running {
                break;
            }
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.running = true;
        self.gather(state);
        let _gives_its_place_back = Leader { group: self, begun: Instant::now() };
        sync()
    }

    /// Waits for those who are expected.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        let limit = (state.took / 2).min(GATHER_MAX);
        let mut begun = None;
        while state.inside < state.expected {
            let begun = *begun.get_or_insert_with(Instant::now);
            drop(state);
            if begun.elapsed() >= limit {
                return;
            }
            std::thread::yield_now();
            state = self.lock();
        }
    }

    /// A thread that panicked here has left nothing half done: see [`Leader`].
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let mut state = self.group.lock();
        state.took = took;
        state.running = false;
        state.expected = state.inside;
        state.inside -= 1;
        drop(state);
        self.group.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

    use super::*;

    /// A counter of writes, and how far a sync has come.
    #[derive(Default)]
    struct Medium {
        written: AtomicU64,
        synced: AtomicU64,
        syncing: AtomicBool,
        syncs: AtomicU64,
    }

    impl Medium {
        fn write_and_sync(&self, group: &Group) -> Result<(), ()> {
            let mine = self.written.fetch_add(1, SeqCst) + 1;
            let sync = || {
                assert!(!self.syncing.swap(true, SeqCst), "one sync at a time");
                let covered = self.written.load(SeqCst);
                std::thread::sleep(Duration::from_micros(300));
                self.synced.store(covered, SeqCst);
                self.syncs.fetch_add(1, SeqCst);
                self.syncing.store(false, SeqCst);
                Ok(())
            };
            group.join(|| Ok(self.synced.load(SeqCst) >= mine), sync)?;
            assert!(self.synced.load(SeqCst) >= mine, "who returns is served");
            Ok(())
        }
    }

    #[test]
    fn all_are_served_and_few_syncs_serve_many() {
        let (group, medium) = (Group::default(), Medium::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..50).for_each(|_| medium.write_and_sync(&group).unwrap()));
            }
        });
        assert_eq!(medium.written.load(SeqCst), 400);
        let syncs = medium.syncs.load(SeqCst);
        assert!((50..=400).contains(&syncs), "{syncs} syncs for 50 rounds of 8");
        let state = group.lock();
        assert!(!state.running && state.inside == 0, "nobody is left inside");
    }

    #[test]
    fn a_failure_reaches_those_who_wait_and_a_panic_holds_nobody_up() {
        let group = Group::default();
        assert_eq!(group.join(|| Err("failed before"), || Ok(())), Err("failed before"));
        assert_eq!(group.join(|| Ok(false), || Err("fails now")), Err("fails now"));
        let panics = || group.join(|| Ok::<_, ()>(false), || panic!("as a medium never should"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(group.join(|| Ok::<_, ()>(false), || Ok(())), Ok(()));
        assert_eq!(group.lock().inside, 0);
    }
}
