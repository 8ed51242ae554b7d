//! The commit queue, the order in which readers look at view and number, and the delays of
//! admission, in every interleaving that loom finds: `scripts/loom.sh lsm`.

#![cfg(loom)]

mod sync;

#[path = "../../src/owed.rs"]
mod owed;
#[path = "../../src/publish.rs"]
mod publish;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use owed::Owed;
use publish::Visible;

/// Whoever sees a number sees all entries up to it; all writers return, and theirs is visible.
#[test]
fn a_visible_number_comes_with_its_entries() {
    loom::model(|| {
        let visible = Arc::new(Visible::new(0));
        let entries = Arc::new([AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)]);
        let writers: Vec<_> = [(1, 1), (2, 3)]
            .into_iter()
            .map(|(first, last)| {
                let (visible, entries) = (Arc::clone(&visible), Arc::clone(&entries));
                thread::spawn(move || {
                    for seqno in first..=last {
                        entries[seqno as usize - 1].store(seqno, Ordering::Relaxed);
                    }
                    assert!(visible.publish(first, last));
                    assert!(visible.get() >= last);
                })
            })
            .collect();
        let seen = visible.get();
        assert!([0, 1, 3].contains(&seen), "batches are whole: {seen}");
        for seqno in 1..=seen {
            assert_eq!(entries[seqno as usize - 1].load(Ordering::Relaxed), seqno);
        }
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(visible.get(), 3);
    });
}

/// A writer behind a gap is woken when the gap closes.
#[test]
fn nobody_sleeps_through_the_closing_of_a_gap() {
    loom::model(|| {
        let visible = Arc::new(Visible::new(0));
        let behind = {
            let visible = Arc::clone(&visible);
            thread::spawn(move || assert!(visible.publish(2, 2)))
        };
        let waiting = {
            let visible = Arc::clone(&visible);
            thread::spawn(move || assert!(visible.wait(2)))
        };
        assert!(visible.publish(1, 1));
        behind.join().unwrap();
        waiting.join().unwrap();
    });
}

/// What must be synced is hidden before, and whoever syncs publishes for all who have applied.
#[test]
fn a_sync_publishes_all_that_it_covers() {
    loom::model(|| {
        let visible = Arc::new(Visible::new(0));
        let synced = Arc::new(AtomicU64::new(0));
        let other = {
            let (visible, synced) = (Arc::clone(&visible), Arc::clone(&synced));
            thread::spawn(move || {
                visible.applied(2, 2);
                synced.store(2, Ordering::SeqCst);
                visible.durable(2);
                assert!(visible.wait(2));
            })
        };
        visible.applied(1, 1);
        let seen = visible.get();
        assert!(seen <= synced.load(Ordering::SeqCst), "{seen} is seen before it is synced");
        visible.durable(1);
        assert!(visible.wait(1));
        other.join().unwrap();
        assert_eq!(visible.get(), 2);
    });
}

/// After a failure nobody waits for the gap that it left, and nothing behind it becomes visible.
#[test]
fn a_stop_releases_everybody() {
    loom::model(|| {
        let visible = Arc::new(Visible::new(0));
        let behind = {
            let visible = Arc::clone(&visible);
            thread::spawn(move || visible.publish(2, 2))
        };
        visible.stop();
        assert!(!behind.join().unwrap());
        assert_eq!(visible.get(), 0);
    });
}

/// Versions of one key that a view holds beside the memtable, as bits.
type View = sync::Mutex<Arc<u64>>;

/// A reader between an overwrite, its publication, and the compaction that drops what it hides;
/// `number_first` is the order that readers must not take.
fn read_beside_a_compaction(number_first: bool) {
    loom::model(move || {
        let visible = Arc::new(Visible::new(1));
        let memtable = Arc::new(AtomicU64::new(0));
        let view: Arc<View> = Arc::new(sync::Mutex::new(Arc::new(0b10))); // version 1
        let writer = {
            let (visible, memtable) = (Arc::clone(&visible), Arc::clone(&memtable));
            let view = Arc::clone(&view);
            thread::spawn(move || {
                memtable.store(2, Ordering::Relaxed);
                assert!(visible.publish(2, 2));
                // Flushed and merged: version 1 is hidden from all that is visible.
                *view.lock() = Arc::new(0b100);
            })
        };
        let look = || Arc::clone(&view.lock());
        let (tables, at) = if number_first {
            let at = visible.get();
            (look(), at)
        } else {
            let tables = look();
            (tables, visible.get())
        };
        let in_memtable = memtable.load(Ordering::Relaxed) == 2 && at >= 2;
        let in_tables = (1..=at).any(|version| *tables & (1 << version) != 0);
        assert!(in_memtable || in_tables, "an acknowledged key is missed at {at}");
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_takes_the_view_first() {
    read_beside_a_compaction(false);
}

/// The model sees the difference.
#[test]
#[should_panic(expected = "an acknowledged key is missed")]
fn the_number_first_misses_a_key() {
    read_beside_a_compaction(true);
}

/// Every nanosecond that is owed is paid by somebody, once.
#[test]
fn what_is_owed_is_paid_once() {
    loom::model(|| {
        let owed = Arc::new(Owed::default());
        let pay = |owed: &Owed| {
            (0..2).filter_map(|_| owed.charge(300_000)).map(|pause| pause.as_nanos()).sum::<u128>()
        };
        let other = {
            let owed = Arc::clone(&owed);
            thread::spawn(move || pay(&owed))
        };
        let mine = pay(&owed);
        let theirs = other.join().unwrap();
        let rest = owed.charge(500_000).map_or(0, |pause| pause.as_nanos()) - 500_000;
        assert_eq!(mine + theirs + rest, 1_200_000);
    });
}
