//! [`Visible`]: which sequence numbers readers may see.
//!
//! 1. The number only grows, and passes a write only after all writes before it are applied.
//! 2. A writer returns only when its own write is visible, so it reads what it wrote.
//! 3. Whoever closes the gap publishes for all writers that finished behind it; nobody hands
//!    over to a sleeping thread what could be published now.
//! 4. What must be synced first is not published before ([`Visible::applied`]); whoever synced
//!    publishes for all whom the sync has served ([`Visible::durable`]).

use sstable::SeqNo;
use std::collections::BTreeMap;

use crate::sync::{AtomicU64, Condvar, Mutex, Ordering, SPINS, spin_loop};

/// The last visible sequence number, and the writers on their way to it.
#[derive(Debug)]
pub(crate) struct Visible {
    last: AtomicU64,
    waiting: Mutex<Waiting>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Applied ranges that cannot be published yet, by their first numbers.
    applied: BTreeMap<SeqNo, Applied>,
    /// Up to here all numbers are on the medium that have to be.
    durable: SeqNo,
    sleepers: usize,
    stopped: bool,
}

/// An applied range.
#[derive(Debug, Clone, Copy)]
struct Applied {
    last: SeqNo,
    waits_for: WaitsFor,
}

/// What keeps an applied range from being published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    /// The ranges before it.
    Order,
    /// The ranges before it, and a sync.
    OrderAndSync,
}

impl Waiting {
    /// The last number that can be published, if `last` is the one that was.
    fn publishable(&mut self, mut last: SeqNo) -> SeqNo {
        while let Some(next) = self.applied.get(&(last + 1)) {
            if next.waits_for == WaitsFor::OrderAndSync && next.last > self.durable {
                break;
            }
            let first = last + 1;
            last = next.last;
            self.applied.remove(&first);
        }
        last
    }
}

impl Visible {
    /// Everything up to `last` is visible.
    pub(crate) fn new(last: SeqNo) -> Self {
        Self {
            last: AtomicU64::new(last),
            waiting: Mutex::new(Waiting::default()),
            moved: Condvar::new(),
        }
    }

    /// The last sequence number that readers may see.
    pub(crate) fn get(&self) -> SeqNo {
        // ORDERING: Acquire; pairs with the Release in `publish`: all entries up to the number
        // are in their memtables.
        self.last.load(Ordering::Acquire)
    }

    /// Publishes the applied numbers `first..=last` and returns once they are visible.
    ///
    /// Returns false if writing stopped before: then they never become visible.
    pub(crate) fn publish(&self, first: SeqNo, last: SeqNo) -> bool {
        let mut waiting = self.waiting.lock();
        // ORDERING: Relaxed; only holders of the lock store to it.
        if self.last.load(Ordering::Relaxed) + 1 == first {
            let end = waiting.publishable(last);
            self.show(&waiting, end);
            return true;
        }
        waiting.applied.insert(first, Applied { last, waits_for: WaitsFor::Order });
        drop(waiting);
        self.wait(last)
    }

    /// Takes note that the numbers `first..=last` are applied, and must be synced before anybody
    /// sees them.
    pub(crate) fn applied(&self, first: SeqNo, last: SeqNo) {
        let applied = Applied { last, waits_for: WaitsFor::OrderAndSync };
        self.waiting.lock().applied.insert(first, applied);
    }

    /// Publishes what is applied, now that everything up to `limit` is on the medium.
    pub(crate) fn durable(&self, limit: SeqNo) {
        if self.get() >= limit {
            return; // whoever synced has done it
        }
        let mut waiting = self.waiting.lock();
        waiting.durable = waiting.durable.max(limit);
        // ORDERING: Relaxed; only holders of the lock store to it.
        let last = self.last.load(Ordering::Relaxed);
        let end = waiting.publishable(last);
        if end > last {
            self.show(&waiting, end);
        }
    }

    /// Lets readers see everything up to `end`, and wakes who waits for that.
    fn show(&self, waiting: &Waiting, end: SeqNo) {
        // ORDERING: Release publishes the entries of this thread, and through the lock those of all
        // writers whose ranges were waiting; pairs with the Acquire in `get`.
        self.last.store(end, Ordering::Release);
        if waiting.sleepers > 0 {
            self.moved.notify_all();
        }
    }

    /// Returns once `seqno` is visible; false if writing stopped before.
    pub(crate) fn wait(&self, seqno: SeqNo) -> bool {
        for _ in 0..SPINS {
            if self.get() >= seqno {
                return true;
            }
            spin_loop();
        }
        let mut waiting = self.waiting.lock();
        waiting.sleepers += 1;
        while self.get() < seqno && !waiting.stopped {
            self.moved.wait(&mut waiting);
        }
        waiting.sleepers -= 1;
        self.get() >= seqno
    }

    /// Makes everything up to `last` visible: recovery, before there are writers.
    pub(crate) fn recover(&self, last: SeqNo) {
        let _no_writer_waits = self.waiting.lock();
        // ORDERING: Release; pairs with the Acquire in `get`.
        self.last.store(last, Ordering::Release);
    }

    /// Lets every waiting writer go: a write before theirs failed and leaves a gap for ever.
    pub(crate) fn stop(&self) {
        self.waiting.lock().stopped = true;
        self.moved.notify_all();
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn threads_publish_in_order() {
        let visible = Visible::new(0);
        let next = AtomicU64::new(1);
        let write = &|size: u64| {
            let first = next.fetch_add(size, Ordering::SeqCst);
            assert!(visible.publish(first, first + size - 1));
            assert!(visible.get() >= first + size - 1);
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || (1..500).for_each(write));
            }
        });
        assert_eq!(visible.get() + 1, next.load(Ordering::SeqCst));
    }

    #[test]
    fn what_must_be_synced_is_seen_after_the_sync_and_in_order() {
        let visible = Visible::new(4);
        visible.applied(7, 7);
        visible.applied(5, 6);
        assert_eq!(visible.get(), 4, "nothing is synced");
        visible.durable(6);
        assert_eq!(visible.get(), 6, "a sync covers a prefix");
        visible.durable(7);
        assert_eq!(visible.get(), 7);
        visible.durable(9); // two writers are still on their way into the memtable
        assert_eq!(visible.get(), 7);
        visible.applied(9, 9);
        visible.durable(9);
        assert_eq!(visible.get(), 7, "9 must wait for 8");
        visible.applied(8, 8);
        visible.durable(8);
        assert_eq!(visible.get(), 9, "who closes the gap publishes for all behind it");
        // What needs no sync, such as a bulk load, waits for those before it that do.
        visible.applied(10, 10);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| visible.publish(11, 11));
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert_eq!(visible.get(), 9);
            visible.durable(10);
            assert!(load.join().unwrap());
        });
        assert_eq!(visible.get(), 11);
    }

    #[test]
    fn a_gap_holds_back_and_a_stop_releases() {
        let visible = Arc::new(Visible::new(7));
        let behind = {
            let visible = Arc::clone(&visible);
            std::thread::spawn(move || visible.publish(9, 9))
        };
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(visible.get(), 7, "9 must wait for 8");
        visible.stop();
        assert!(!behind.join().unwrap());
        assert_eq!(visible.get(), 7);
    }
}
