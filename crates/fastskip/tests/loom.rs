//! Every interleaving of a few threads, as loom's memory model allows them: run by
//! `scripts/loom.sh` (nodes have 3 slots there, so that a split is near, and records and nodes
//! carry a cell that makes a read without a happens-before a failure).
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fastskip::{ConcurrentSkipList, InsertError, Options, SkipList};
use loom::sync::Arc;
use loom::thread;

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(
        std::env::var("LOOM_MAX_PREEMPTIONS").map_or(3, |bound| bound.parse().expect("a number")),
    );
    model.max_branches = 20_000;
    model.check(body);
}

fn list() -> SkipList {
    SkipList::with_options(&Options { shards: 1, ..Options::default() })
}

fn contents(list: &SkipList) -> Vec<(u8, u64, u8)> {
    let mut cursor = list.cursor();
    let mut found = Vec::new();
    cursor.seek_to_first();
    while let Some(entry) = cursor.entry() {
        found.push((entry.key[0], entry.version, entry.value[0]));
        cursor.advance();
    }
    found
}

#[test]
fn insert_and_insert_of_the_same_entry() {
    explore(|| {
        let list = Arc::new(list());
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || other.insert(b"k", 1, b"a").is_ok());
        let mine = list.insert(b"k", 1, b"b").is_ok();
        // Whoever lost sees the entry of the winner at once.
        let found = list.get(b"k", 1).unwrap().value[0];
        let theirs = thread.join().unwrap();
        assert!(mine != theirs, "one of them wins");
        assert_eq!(found, if mine { b'b' } else { b'a' });
        assert_eq!(contents(&list), [(b'k', 1, found)]);
    });
}

#[test]
fn insert_and_insert_of_neighbours() {
    explore(|| {
        let list = Arc::new(list());
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || {
            other.insert(b"b", 1, b"1").unwrap();
            assert_eq!(other.get(b"b", 1).unwrap().value, b"1");
        });
        list.insert(b"a", 1, b"2").unwrap();
        assert_eq!(list.get(b"a", 1).unwrap().value, b"2");
        thread.join().unwrap();
        assert_eq!(contents(&list), [(b'a', 1, b'2'), (b'b', 1, b'1')]);
        assert_eq!(list.len(), 2);
    });
}

#[test]
fn get_reads_whole_records() {
    explore(|| {
        let list = Arc::new(list());
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || other.insert(b"k", 2, b"v").unwrap());
        if let Some(entry) = list.get(b"k", 5) {
            assert_eq!((entry.key, entry.version, entry.value), (&b"k"[..], 2, &b"v"[..]));
        }
        thread.join().unwrap();
        assert_eq!(list.get(b"k", 5).unwrap().value, b"v");
    });
}

#[test]
fn insert_and_seal() {
    explore(|| {
        let list = Arc::new(list());
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || other.insert(b"k", 1, b"v"));
        list.seal();
        // Nothing is in flight any more: what is there now, stays.
        let at_seal = contents(&list);
        let count = list.len();
        assert_eq!(list.insert(b"x", 1, b"v"), Err(InsertError::Sealed));
        let inserted = thread.join().unwrap();
        assert!(matches!(inserted, Ok(()) | Err(InsertError::Sealed)));
        assert_eq!(at_seal.len(), usize::from(inserted.is_ok()));
        assert_eq!(count, at_seal.len());
        assert_eq!(contents(&list), at_seal);
    });
}

/// The first chunk is full: both need another, or one writes into the chunk the other got.
#[test]
fn insert_and_insert_in_a_new_chunk() {
    explore(|| {
        let list = Arc::new(list());
        list.insert(b"a", 1, &[b'a'; 52_000]).unwrap();
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || other.insert(b"b", 1, &[b'b'; 12_000]).unwrap());
        list.insert(b"c", 1, &[b'c'; 12_000]).unwrap();
        assert_eq!(list.get(b"c", 1).unwrap().value, [b'c'; 12_000]);
        thread.join().unwrap();
        assert_eq!(contents(&list), [b'a', b'b', b'c'].map(|key| (key, 1, key)));
    });
}

/// A writer that is refused sees what the sealing thread did before, such as the next list.
#[test]
fn refused_insert_sees_what_came_before_the_seal() {
    explore(|| {
        let list = Arc::new(list());
        let next_list = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let (other, published) = (Arc::clone(&list), Arc::clone(&next_list));
        let relaxed = loom::sync::atomic::Ordering::Relaxed;
        let thread = thread::spawn(move || {
            published.store(1, relaxed);
            other.seal();
        });
        if list.insert(b"k", 1, b"v").is_err() {
            assert_eq!(next_list.load(relaxed), 1);
        }
        if list.is_sealed() {
            assert_eq!(next_list.load(relaxed), 1);
        }
        thread.join().unwrap();
    });
}

/// Who counts an entry can find it.
#[test]
fn a_counted_entry_is_there() {
    explore(|| {
        let list = Arc::new(list());
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || other.insert(b"k", 1, b"v").unwrap());
        if list.len() == 1 {
            assert!(list.get(b"k", 1).is_some());
        }
        thread.join().unwrap();
    });
}

/// The bytes of a counted entry are counted.
#[test]
fn bytes_are_counted_before_entries() {
    for warm in [false, true] {
        explore(move || {
            let list = Arc::new(list());
            if warm {
                // The first thread to insert owns a lane of the gate; now the other shares one.
                list.insert(b"a", 1, b"v").unwrap();
            }
            let other = Arc::clone(&list);
            let thread = thread::spawn(move || other.insert(b"k", 1, b"v").unwrap());
            let count = list.len();
            let bytes = list.key_bytes();
            assert!(bytes >= count as u64, "{bytes} bytes of {count} keys");
            thread.join().unwrap();
            let count = list.len() as u64;
            assert_eq!((list.key_bytes(), list.value_bytes()), (count, count));
        });
    }
}

/// Two threads share a lane of the gate: none of them is taken for gone while it inserts.
#[test]
fn two_inserts_and_seal() {
    explore(|| {
        let list = Arc::new(list());
        list.insert(b"a", 1, b"v").unwrap(); // takes the lane with an owner
        let spawn = |key: &'static [u8]| {
            let other = Arc::clone(&list);
            thread::spawn(move || other.insert(key, 1, b"v").is_ok())
        };
        let threads = [spawn(b"b"), spawn(b"c")];
        list.seal();
        let at_seal = contents(&list);
        let inserted = threads.into_iter().map(|thread| usize::from(thread.join().unwrap()));
        assert_eq!(at_seal.len(), 1 + inserted.sum::<usize>());
        assert_eq!(contents(&list), at_seal);
    });
}

/// The node is full: each of the two has to split it, or finds it split.
#[test]
fn insert_and_split() {
    explore(|| {
        let list = Arc::new(list());
        for key in [b"a", b"c", b"e"] {
            list.insert(key, 1, key).unwrap();
        }
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || {
            other.insert(b"d", 1, b"d").unwrap();
            assert_eq!(other.get(b"d", 1).unwrap().value, b"d");
        });
        list.insert(b"b", 1, b"b").unwrap();
        assert_eq!(list.get(b"b", 1).unwrap().value, b"b");
        thread.join().unwrap();
        let expected = [b'a', b'b', b'c', b'd', b'e'].map(|key| (key, 1, key));
        assert_eq!(contents(&list), expected);
        for (key, ..) in expected {
            assert_eq!(list.get(&[key], 9).unwrap().value, [key]);
        }
    });
}

/// A reader comes by while a node is split and its slots are used again.
#[test]
fn get_and_split() {
    explore(|| {
        let list = Arc::new(list());
        for key in [b"a", b"c", b"e"] {
            list.insert(key, 1, key).unwrap();
        }
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || {
            other.insert(b"b", 1, b"b").unwrap();
        });
        for key in [b"e", b"c", b"a"] {
            assert_eq!(list.get(key, 9).unwrap().value, key);
        }
        assert!(list.get(b"d", 9).is_none());
        thread.join().unwrap();
    });
}

/// A cursor over a node that is split under it sees every old entry once and in order.
#[test]
fn insert_and_cursor() {
    explore(|| {
        let list = Arc::new(list());
        for key in [b"a", b"c", b"e"] {
            list.insert(key, 1, key).unwrap();
        }
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || other.insert(b"d", 1, b"d").unwrap());
        let mut keys = contents(&list);
        assert!(keys.is_sorted());
        keys.retain(|&(key, ..)| key != b'd');
        assert_eq!(keys, [b'a', b'c', b'e'].map(|key| (key, 1, key)));
        let mut cursor = list.cursor();
        cursor.seek_to_last();
        assert_eq!(cursor.key(), b"e");
        cursor.retreat();
        assert!([&b"c"[..], b"d"].contains(&cursor.key()));
        thread.join().unwrap();
    });
}

/// What an insert that ended before wrote is seen by a cursor's next step.
#[test]
fn cursor_step_after_insert() {
    explore(|| {
        let list = Arc::new(list());
        list.insert(b"a", 1, b"a").unwrap();
        list.insert(b"e", 1, b"e").unwrap();
        let mut cursor = list.cursor();
        cursor.seek_to_first();
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || other.insert(b"c", 1, b"c").unwrap());
        list.insert(b"b", 1, b"b").unwrap();
        cursor.advance();
        assert_eq!(cursor.key(), b"b");
        thread.join().unwrap();
        cursor.advance();
        assert_eq!(cursor.key(), b"c");
    });
}

fn map() -> ConcurrentSkipList {
    ConcurrentSkipList::with_shards(1)
}

/// What a snapshot shows once, it shows for ever: an insert is stamped after it is linked.
#[test]
fn snapshot_and_insert() {
    explore(|| {
        let list = Arc::new(map());
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || assert!(other.insert(b"k", b"v")));
        let snapshot = list.snapshot();
        let first = snapshot.get_live(b"k").is_some();
        assert_eq!(snapshot.get_live(b"k").is_some(), first);
        thread.join().unwrap();
        assert_eq!(snapshot.get_live(b"k").is_some(), first);
        assert!(list.contains_key(b"k"));
    });
}

/// The same over a key that is there and is deleted.
#[test]
fn snapshot_and_delete() {
    explore(|| {
        let list = Arc::new(map());
        assert!(list.insert(b"k", b"v"));
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || assert!(other.delete(b"k")));
        let snapshot = list.snapshot();
        let first = snapshot.get(b"k");
        thread.join().unwrap();
        assert_eq!(snapshot.get(b"k"), first);
        assert_eq!(list.get(b"k"), Some((&b""[..], true)));
        assert_eq!(list.len(), 0);
    });
}

/// What a thread wrote before, a snapshot has if it has what the thread wrote after.
#[test]
fn a_snapshot_cuts_a_history() {
    explore(|| {
        let list = Arc::new(map());
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || {
            assert!(other.insert(b"a", b"1"));
            assert!(other.insert(b"b", b"2"));
        });
        let snapshot = list.snapshot();
        // In this order: a scan that passed `a` must not find `b` behind it.
        let first = snapshot.contains_key(b"a");
        let second = snapshot.contains_key(b"b");
        assert!(first || !second);
        thread.join().unwrap();
    });
}

/// Of two writes of one key both count, one after the other.
#[test]
fn put_and_put() {
    explore(|| {
        let list = Arc::new(map());
        let other = Arc::clone(&list);
        let thread = thread::spawn(move || other.put(b"k", b"1").unwrap());
        let mine = list.put(b"k", b"2").unwrap();
        let theirs = thread.join().unwrap();
        assert!(mine != theirs, "one of them replaced the other");
        let last = if mine { b"2" } else { b"1" };
        assert_eq!(list.get_live(b"k"), Some(&last[..]));
        assert_eq!(list.len(), 1);
    });
}
