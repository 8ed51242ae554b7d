//! Readers that verify every entry while writers insert, and sealing under fire.
#![expect(clippy::big_endian_bytes, reason = "keys whose order is that of the numbers")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fastskip::{Cursor, InsertError, SkipList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// A hash of (key, version), so that an entry can be checked by itself.
fn hash(key: &[u8], version: u64) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    key.iter().chain(&version.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, fold)
}

fn value(key: &[u8], version: u64) -> Vec<u8> {
    let mut value = key.to_vec();
    value.extend(version.to_le_bytes());
    value.extend(hash(key, version).to_le_bytes());
    value
}

fn check(key: &[u8], version: u64, found: &[u8]) {
    assert_eq!(found, value(key, version), "entry {key:?} at {version}");
}

/// The n-th key of a writer: some shared by all writers, some ascending, some spread out.
fn key(writer: u64, n: u64) -> Vec<u8> {
    match n % 3 {
        0 => format!("shared{:08}", n.wrapping_mul(0x9e37_79b9) % 5_000).into_bytes(),
        1 => format!("up{writer}{n:012}").into_bytes(),
        _ => (n * 4 + writer).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec(),
    }
}

fn scaled(count: u64) -> u64 {
    count * std::env::var("FASTSKIP_STRESS").map_or(1, |times| times.parse().expect("a number"))
}

const WRITERS: u64 = 4;

/// What the threads of `readers_verify_while_writers_insert` share.
struct Stress {
    list: Arc<SkipList>,
    done: AtomicBool,
    /// Entries each writer has written.
    written: [AtomicU64; 4],
}

impl Stress {
    fn write(&self, writer: u64, count: u64) {
        for n in 0..count {
            let (key, version) = (key(writer, n), n * WRITERS + writer);
            self.list.insert(&key, version, &value(&key, version)).unwrap();
            self.written(writer).store(n + 1, Ordering::Release);
        }
    }

    fn written(&self, writer: u64) -> &AtomicU64 {
        &self.written[usize::try_from(writer).unwrap()]
    }

    fn get_what_was_written(&self) {
        let mut n = 0_u64;
        while !self.done.load(Ordering::Acquire) {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let writer = (n >> 60) % WRITERS;
            let known = self.written(writer).load(Ordering::Acquire);
            if known == 0 {
                continue;
            }
            let rank = (n >> 20) % known;
            let (key, version) = (key(writer, rank), rank * WRITERS + writer);
            let found = self.list.get(&key, version).expect("written before");
            assert_eq!((found.key, found.version), (&key[..], version));
            check(found.key, found.version, found.value);
        }
    }

    fn walk_both_ways(&self) {
        let mut cursor = Cursor::new(Arc::clone(&self.list));
        while !self.done.load(Ordering::Acquire) {
            let known: u64 = self.written.iter().map(|count| count.load(Ordering::Acquire)).sum();
            let (mut before, mut seen) = (None, 0);
            cursor.seek_to_first();
            while let Some(here) = checked(&cursor) {
                assert!(before.is_none_or(|before| before < here), "ascending");
                before = Some(here);
                seen += 1;
                cursor.advance();
            }
            assert!(seen >= known, "{seen} seen, {known} written before");
            cursor.seek_to_last();
            let mut after = None;
            for _ in 0..2_000 {
                let Some(here) = checked(&cursor) else { break };
                assert!(after.is_none_or(|after| here < after), "descending");
                after = Some(here);
                cursor.retreat();
            }
        }
    }
}

/// Where the cursor stands, once the entry is verified.
fn checked(cursor: &Cursor<Arc<SkipList>>) -> Option<(Vec<u8>, std::cmp::Reverse<u64>)> {
    let entry = cursor.entry()?;
    check(entry.key, entry.version, entry.value);
    Some((entry.key.to_vec(), std::cmp::Reverse(entry.version)))
}

#[test]
fn readers_verify_while_writers_insert() {
    let count = scaled(20_000);
    let stress = Stress {
        list: Arc::new(SkipList::new()),
        done: AtomicBool::new(false),
        written: std::array::from_fn(|_| AtomicU64::new(0)),
    };
    let stress = &stress;
    thread::scope(|scope| {
        let writers = (0..WRITERS).map(|writer| scope.spawn(move || stress.write(writer, count)));
        let writers: Vec<_> = writers.collect();
        scope.spawn(|| stress.get_what_was_written());
        scope.spawn(|| stress.walk_both_ways());
        for writer in writers {
            writer.join().unwrap();
        }
        stress.done.store(true, Ordering::Release);
    });
    assert_eq!(stress.list.len() as u64, WRITERS * count);
}

fn insert_all(list: &SkipList, thread: u8, count: u64) -> u64 {
    let mut wins = 0;
    for n in 0..count {
        let key = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        match list.insert(&key, 7, &[thread]) {
            Ok(()) => wins += 1,
            Err(error) => assert_eq!(error, InsertError::Duplicate),
        }
        let found = list.get(&key, 7).unwrap().value[0];
        assert!(found < 4);
    }
    wins
}

#[test]
fn one_of_several_equal_inserts_wins() {
    let count = scaled(20_000);
    let list = &SkipList::new();
    let wins: u64 = thread::scope(|scope| {
        let threads = (0..4).map(|thread| scope.spawn(move || insert_all(list, thread, count)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(wins, count);
    assert_eq!(list.len() as u64, count);
}

fn insert_until_sealed(list: &SkipList, writer: u64) -> u64 {
    for n in 0.. {
        if let Err(error) = list.insert(&key(writer, n), n * 3 + writer, b"v") {
            assert_eq!(error, InsertError::Sealed);
            return n;
        }
    }
    unreachable!("sealed at last")
}

fn count_entries(list: &SkipList) -> u64 {
    let mut cursor = list.cursor();
    cursor.seek_to_first();
    let mut count = 0;
    while cursor.valid() {
        count += 1;
        cursor.advance();
    }
    count
}

#[test]
fn seal_waits_for_inserts_in_flight() {
    for round in 0..scaled(100) {
        let list = &SkipList::new();
        thread::scope(|scope| {
            let writers =
                (0..3).map(|writer| scope.spawn(move || insert_until_sealed(list, writer)));
            let writers: Vec<_> = writers.collect();
            thread::sleep(std::time::Duration::from_micros(round * 10 % 500));
            list.seal();
            let at_seal = count_entries(list);
            assert_eq!(at_seal, list.len() as u64);
            let inserted: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
            assert_eq!((inserted, count_entries(list)), (at_seal, at_seal));
        });
    }
}
