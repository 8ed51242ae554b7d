//! [`Visible`]: which sequence numbers readers may see.
//!
//! 1. The number only grows, and passes a write only after all writes before it are applied.
//! 2. A writer returns only when its own write is visible, so it reads what it wrote.
//! 3. Whoever closes the gap publishes for all writers that finished behind it; nobody hands
//!    over to a sleeping thread what could be published now.

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
    /// Applied ranges behind a gap: first number to last.
    applied: BTreeMap<SeqNo, SeqNo>,
    sleepers: usize,
    stopped: bool,
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
            let mut end = last;
            while let Some(next) = waiting.applied.remove(&(end + 1)) {
                end = next;
            }
            // ORDERING: Release publishes the entries of this writer, and through the lock those
            // of the writers whose ranges were waiting; pairs with the Acquire in `get`.
            self.last.store(end, Ordering::Release);
            if waiting.sleepers > 0 {
                self.moved.notify_all();
            }
            return true;
        }
        waiting.applied.insert(first, last);
        drop(waiting);
        self.wait(last)
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
