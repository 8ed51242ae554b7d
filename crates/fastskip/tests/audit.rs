//! What the published `fastskip` 0.1.1 got wrong, one test a finding.

use fastskip::{BatchError, ConcurrentSkipList, InsertError, SealError};
use std::sync::{Arc, Barrier};
use std::thread;

fn key(n: u32) -> [u8; 4] {
    n.wrapping_mul(0x9e37_79b9).to_le_bytes()
}

fn fill(list: &ConcurrentSkipList, from: u32, to: u32) {
    for n in from..to {
        assert!(list.insert(&key(n), &n.to_le_bytes()));
    }
}

fn check(list: &ConcurrentSkipList, count: u32) {
    assert_eq!(list.len(), count as usize);
    assert_eq!(list.iter().count(), count as usize);
    for n in 0..count {
        assert_eq!(list.get(&key(n)), Some((&n.to_le_bytes()[..], false)));
    }
}

#[test]
fn one_shard_is_enough() {
    let list = ConcurrentSkipList::with_shards(1);
    fill(&list, 0, 1_000);
    check(&list, 1_000);
}

#[test]
fn more_writers_than_shards_and_cpus() {
    for list in [ConcurrentSkipList::new(), ConcurrentSkipList::with_shards(2)] {
        let cpus = thread::available_parallelism().unwrap().get();
        let threads = 3 * u32::try_from(cpus).unwrap();
        thread::scope(|scope| {
            for thread in 0..threads {
                let list = &list;
                scope.spawn(move || fill(list, thread * 500, thread * 500 + 500));
            }
        });
        check(&list, threads * 500);
    }
}

#[test]
fn a_list_may_move_between_inserts() {
    let list = ConcurrentSkipList::with_shards(1);
    fill(&list, 0, 100);
    let mut places = vec![list];
    for n in 1..20 {
        let list = places.pop().unwrap();
        places = Vec::with_capacity(n as usize * 10); // somewhere else
        places.push(list);
        fill(&places[0], n * 100, n * 100 + 100);
    }
    check(&places[0], 2_000);
}

#[test]
fn reset_gives_an_empty_list_that_works() {
    let mut list = ConcurrentSkipList::with_shards(2);
    for _ in 0..10 {
        fill(&list, 0, 300);
        check(&list, 300);
        list.reset();
        check(&list, 0);
        assert_eq!(list.get(&key(1)), None);
    }
}

#[test]
fn one_thread_uses_many_lists_at_once() {
    let lists: Vec<_> = (0..40).map(|_| ConcurrentSkipList::with_shards(2)).collect();
    for round in 0..20 {
        for list in &lists {
            fill(list, round * 10, round * 10 + 10);
        }
    }
    for list in &lists {
        check(list, 200);
    }
}

/// Threads outlive list after list, and the next one may lie at the same address.
#[test]
fn worker_threads_outlive_lists() {
    let rounds = 200;
    let slot = shared_slot();
    let barrier = Arc::new(Barrier::new(3));
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let (slot, barrier) = (Arc::clone(&slot), Arc::clone(&barrier));
            thread::spawn(move || {
                for _ in 0..rounds {
                    barrier.wait();
                    let list = slot.read().unwrap();
                    fill(&list, worker * 200, worker * 200 + 200);
                    drop(list);
                    barrier.wait();
                }
            })
        })
        .collect();
    for _ in 0..rounds {
        *slot.write().unwrap() = ConcurrentSkipList::with_shards(2);
        barrier.wait();
        barrier.wait();
        check(&slot.read().unwrap(), 400);
    }
    for worker in workers {
        worker.join().unwrap();
    }
}

fn shared_slot() -> Arc<std::sync::RwLock<ConcurrentSkipList>> {
    Arc::new(std::sync::RwLock::new(ConcurrentSkipList::with_shards(2)))
}

#[test]
fn deleting_an_absent_key_is_recorded() {
    let list = ConcurrentSkipList::new();
    assert!(!list.delete(b"in an older table"), "nothing live was here");
    assert_eq!(list.get(b"in an older table"), Some((&b""[..], true)));
    let (frozen, _) = list.seal().unwrap();
    let entries: Vec<_> = frozen.iter().map(|entry| (entry.key, entry.is_tombstone)).collect();
    assert_eq!(entries, [(&b"in an older table"[..], true)]);
}

#[test]
fn overwrite_and_insert_after_delete() {
    let list = ConcurrentSkipList::new();
    assert_eq!(list.put(b"k", b"1"), Ok(false));
    assert_eq!(list.put(b"k", b"2"), Ok(true));
    assert_eq!(list.get_live(b"k"), Some(&b"2"[..]));
    assert_eq!(list.try_insert(b"k", b"3"), Err(InsertError::DuplicateKey));
    assert!(list.delete(b"k"));
    assert!(!list.delete(b"k"), "deleted before");
    assert!(list.insert(b"k", b"4"));
    assert_eq!(list.get(b"k"), Some((&b"4"[..], false)));
    assert_eq!((list.len(), list.iter().count()), (1, 1));
}

#[test]
fn get_or_insert_on_a_deleted_key_stores() {
    let list = ConcurrentSkipList::new();
    list.insert(b"k", b"old");
    list.delete(b"k");
    assert_eq!(list.get_or_insert(b"k", b"new"), (&b"new"[..], true));
    assert_eq!(list.get_live(b"k"), Some(&b"new"[..]));
    assert_eq!(list.get_or_insert(b"k", b"newer"), (&b"new"[..], false));
    list.seal().unwrap();
    assert_eq!(list.get_or_insert(b"other", b"v"), (&b"v"[..], false));
    assert_eq!(list.try_get_or_insert(b"other", b"v"), Err(InsertError::Sealed));
    assert_eq!(list.get(b"other"), None);
}

#[test]
fn a_snapshot_does_not_see_later_deletes() {
    let list = ConcurrentSkipList::new();
    list.insert(b"k", b"v");
    let before = list.snapshot();
    list.delete(b"k");
    let after = list.snapshot();
    list.put(b"k", b"w").unwrap();
    assert_eq!(before.get(b"k"), Some((&b"v"[..], false)));
    assert_eq!(before.iter().next().map(|entry| entry.is_tombstone), Some(false));
    assert_eq!(after.get(b"k"), Some((&b""[..], true)));
    assert_eq!(list.get_live(b"k"), Some(&b"w"[..]));
}

fn put_and_delete(list: &ConcurrentSkipList, writer: u32) {
    for n in 0..2_000 {
        let key = key((n * 2 + writer) % 1_500);
        assert!(list.put(&key, &n.to_le_bytes()).is_ok());
        if n % 5 == 0 {
            list.delete(&key);
        }
    }
}

/// What a snapshot shows during inserts, it shows after them, from both ends and by `get`.
#[test]
fn a_snapshot_is_the_same_during_and_after_inserts() {
    for round in 0..40_u32 {
        let list = &ConcurrentSkipList::new();
        thread::scope(|scope| {
            for writer in 0..2 {
                scope.spawn(move || put_and_delete(list, writer));
            }
            let mut seen = Vec::new();
            for _ in 0..20 + round {
                let snapshot = list.snapshot();
                seen.push((snapshot, snapshot.iter().collect::<Vec<_>>()));
            }
            for (snapshot, first) in &seen {
                assert!(snapshot.iter().eq(first.iter().copied()));
            }
            for (snapshot, first) in seen.iter().rev() {
                assert!(snapshot.iter().rev().eq(first.iter().rev().copied()));
                for entry in first.iter().step_by(50) {
                    assert_eq!(snapshot.get(entry.key), Some((entry.value, entry.is_tombstone)));
                }
            }
        });
    }
}

/// Descending, so that a scan passes a place before its key is there.
fn insert_descending(list: &ConcurrentSkipList, writer: u8) {
    for n in 0..1_000_u16 {
        let [low, high] = (1_000 - n).to_le_bytes();
        assert!(list.insert(&[writer, high, low], &n.to_le_bytes()));
    }
}

/// A thread that wrote a, then b: a snapshot with b has a.
#[test]
fn a_snapshot_is_a_cut_in_each_writers_history() {
    for _ in 0..50 {
        let list = &ConcurrentSkipList::new();
        thread::scope(|scope| {
            for writer in 0..2_u8 {
                scope.spawn(move || insert_descending(list, writer));
            }
            for _ in 0..30 {
                let snapshot = list.snapshot();
                for writer in 0..2_u8 {
                    let numbers = snapshot
                        .prefix(&[writer])
                        .rev()
                        .map(|entry| u16::from_le_bytes(*entry.value.first_chunk().unwrap()));
                    assert!(numbers.enumerate().all(|(rank, n)| rank == usize::from(n)));
                }
            }
        });
    }
}

#[test]
fn batches_keep_to_the_limits() {
    let list = ConcurrentSkipList::with_capacity_and_shards(64 << 10, 2, 0, 10);
    let batch: Vec<_> = (0..25).map(|n| (key(n), b"value")).collect();
    let failure = BatchError::PartialFailure { succeeded: 10, failed: 15 };
    assert_eq!(list.insert_batch(&batch), Err(failure));
    assert_eq!((list.len(), list.is_sealed()), (10, true));
    let limit = 100_000;
    let list = ConcurrentSkipList::with_capacity_and_shards(64 << 10, 2, limit, 0);
    let batch: Vec<_> = (0..100_000).map(|n| (key(n), [0; 10])).collect();
    let Err(BatchError::PartialFailure { succeeded, failed }) = list.insert_batch(&batch) else {
        panic!("the batch does not fit")
    };
    assert_eq!((succeeded, succeeded + failed), (list.len(), batch.len()));
    assert!(list.memory_usage() <= limit && list.memory_usage() > limit / 2);
    assert!(list.is_sealed() && list.is_under_backpressure());
    let (_, fresh) = list.seal().unwrap();
    assert_eq!((fresh.max_memory_bytes(), fresh.max_entries()), (limit, 0));
    assert_eq!(fresh.insert_batch(&batch[..100]), Ok(100));
}

#[test]
fn seal_works_through_a_shared_reference() {
    let list = Arc::new(ConcurrentSkipList::new());
    let barrier = Arc::new(Barrier::new(4));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (list, barrier) = (Arc::clone(&list), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                let inserted = (0_u32..).take_while(|n| list.insert(&key(n * 3 + writer), b"v"));
                inserted.count()
            })
        })
        .collect();
    barrier.wait();
    thread::sleep(std::time::Duration::from_millis(2));
    let (frozen, fresh) = list.seal().unwrap();
    let at_seal: Vec<_> = frozen.iter().map(|entry| entry.key.to_vec()).collect();
    let inserted: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    assert_eq!((at_seal.len(), frozen.len()), (inserted, inserted));
    assert!(frozen.iter().map(|entry| entry.key.to_vec()).eq(at_seal));
    assert_eq!(list.seal().err(), Some(SealError::AlreadySealed));
    assert!(fresh.insert(b"k", b"v") && list.is_sealed() && !fresh.is_sealed());
    drop(list);
    assert_eq!(frozen.len(), inserted, "the frozen content does not need the list");
}

#[test]
fn a_sealed_list_says_so() {
    let list = ConcurrentSkipList::new();
    list.insert(b"k", b"v");
    list.seal().unwrap();
    assert_eq!(list.try_insert(b"k", b"v"), Err(InsertError::Sealed));
    assert_eq!(list.try_insert(b"new", b"v"), Err(InsertError::Sealed));
    assert_eq!(list.put(b"k", b"v"), Err(InsertError::Sealed));
    assert_eq!(list.try_delete(b"k"), Err(InsertError::Sealed));
    assert!(!list.delete(b"k") && !list.insert(b"new", b"v"));
}

/// Run with the thread sanitizer, this is the test that statistics do not race.
#[test]
fn statistics_may_be_read_while_others_write() {
    let list = &ConcurrentSkipList::new();
    thread::scope(|scope| {
        for writer in 0..2 {
            scope.spawn(move || fill(list, writer * 5_000, writer * 5_000 + 5_000));
        }
        for _ in 0..2_000 {
            assert!(list.memory_usage() <= list.memory_reserved());
            assert!(list.memory_utilization() <= 1.0);
            assert!(list.len() <= 10_000 && list.total_inserts() <= 10_000);
        }
    });
    assert_eq!(list.total_inserts(), 10_000);
    assert_eq!(list.memory_usage() + list.memory_idle(), list.memory_reserved());
}

#[test]
fn mean_sizes_are_exact() {
    let list = ConcurrentSkipList::new();
    assert_eq!((list.avg_key_size(), list.avg_value_size()), (0.0, 0.0));
    list.insert(b"12345678", &[0; 100]);
    list.insert(b"1234", &[0; 50]);
    assert_eq!((list.avg_key_size(), list.avg_value_size()), (6.0, 75.0));
}

/// Upper levels stay in order and complete under concurrency: a search does not get longer. Here:
/// every key is found by a cursor, in order, after writers raced to split the same nodes.
#[test]
fn concurrent_splits_lose_no_order() {
    for _ in 0..20 {
        let list = &ConcurrentSkipList::with_shards(4);
        thread::scope(|scope| {
            for writer in 0..4 {
                let keys = (0..2_000_u32).map(move |n| (n * 4 + writer).swap_bytes());
                scope.spawn(move || {
                    keys.for_each(|key| assert!(list.insert(&key.to_le_bytes(), b"")));
                });
            }
        });
        let keys = list.iter().map(|entry| u32::from_le_bytes(*entry.key.first_chunk().unwrap()));
        assert!(keys.eq((0..8_000_u32).map(u32::swap_bytes)));
        for n in 0..8_000_u32 {
            let cursor = list.cursor_at(&n.swap_bytes().to_le_bytes()).unwrap();
            assert_eq!(cursor.entry().unwrap().key, n.swap_bytes().to_le_bytes());
        }
    }
}

/// A new level links all that is there: whatever the size at which the list grew, the next search
/// from the top finds each key, by `get` and by a cursor.
#[test]
fn new_levels_are_linked() {
    let in_order = |n: u32| {
        let [low, high, ..] = n.to_le_bytes();
        [0, 0, high, low]
    };
    for make in [&in_order as &dyn Fn(u32) -> [u8; 4], &key] {
        let list = ConcurrentSkipList::with_shards(1);
        let keys: Vec<_> = (0..3_000).map(make).collect();
        for (count, key) in keys.iter().enumerate() {
            assert!(list.insert(key, b"v"));
            for known in keys[..=count].iter().step_by(1 + count / 8) {
                assert!(list.contains_key(known));
                assert_eq!(list.cursor_at(known).unwrap().entry().unwrap().key, known);
            }
        }
    }
}

#[test]
fn the_cursor_of_the_documentation() {
    let list = ConcurrentSkipList::new();
    for key in [b"apple", b"banan", b"cherr", b"dates"] {
        list.insert(key, b"");
    }
    let mut cursor = list.cursor_at(b"banan").unwrap();
    let mut keys = vec![cursor.entry().unwrap().key];
    while cursor.next_entry() {
        keys.push(cursor.entry().unwrap().key);
    }
    assert_eq!(keys, [b"banan", b"cherr", b"dates"]);
    assert!(list.cursor_at(b"zebra").is_none());
    assert_eq!(list.cursor_at(b"c").unwrap().count(), 2);
}
