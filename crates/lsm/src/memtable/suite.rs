//! What every memtable does, whatever it is made of: one suite, stamped on each kind.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sstable::{Cursor as _, Kind, Trailer};

use super::{Arena, Memtable, MemtableKind};
use crate::batch::Operation;
use crate::source::Source;

/// Entries as they sort: keys ascending, versions descending.
type Model = BTreeMap<(Vec<u8>, Reverse<u64>), Vec<u8>>;

fn arena(kind: MemtableKind) -> Arena {
    Arena::new(kind, 1 << 20, &Arc::default())
}

fn insert(memtable: &Memtable, seqno: u64, kind: Kind, key: &[u8], value: &[u8]) {
    memtable.insert(seqno, &Operation { family: 0, kind, key, value });
}

fn random_key(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..20) {
        0 => Vec::new(),
        1 => vec![0xff; random.random_range(1..20)],
        2 => vec![0; random.random_range(1..20)],
        3 => format!("{:0300}", random.random_range(0..9)).into_bytes(),
        n if n < 10 => format!("key{:03}", random.random_range(0..200)).into_bytes(),
        _ => random.random_range(0..300u32).to_le_bytes().to_vec(),
    }
}

/// A memtable and its model, with many versions of many keys.
fn filled(kind: MemtableKind, seed: u64, count: u64) -> (Memtable, Model) {
    let mut random = StdRng::seed_from_u64(seed);
    let (memtable, mut model) = (Memtable::new(&arena(kind)), Model::new());
    for seqno in 1..=count {
        let key = random_key(&mut random);
        let what = if random.random_bool(0.2) { Kind::Delete } else { Kind::Put };
        let value = if what == Kind::Put { random_key(&mut random) } else { Vec::new() };
        insert(&memtable, seqno, what, &key, &value);
        model.insert((key, Reverse(Trailer::new(seqno, what).raw())), value);
    }
    (memtable, model)
}

fn model_get<'a>(model: &'a Model, key: &[u8], at: Trailer) -> Option<(Trailer, &'a [u8])> {
    let ((found, version), value) = model.range((key.to_vec(), Reverse(at.raw()))..).next()?;
    (found == key).then_some((Trailer::from_raw(version.0), value))
}

fn entry(cursor: &Source) -> Option<(Vec<u8>, u64, Vec<u8>)> {
    cursor.valid().then(|| (cursor.key().to_vec(), cursor.trailer().raw(), cursor.value().to_vec()))
}

fn gets_see_the_newest_version_at_a_moment(kind: MemtableKind) {
    let (memtable, model) = filled(kind, 1, 2000);
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..2000 {
        let at = Trailer::newest_at(random.random_range(0..2100));
        let keys: Vec<_> =
            (0..random.random_range(1..8)).map(|_| random_key(&mut random)).collect();
        let lent: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let many = memtable.get_many(&lent, at);
        for (key, many) in keys.iter().zip(&many) {
            let expected = model_get(&model, key, at);
            let one = memtable.get((key, bloom::hash_key(key)), at);
            assert_eq!(one.as_ref().map(|(trailer, value)| (*trailer, &**value)), expected);
            assert_eq!(many.as_ref().map(|(trailer, value)| (*trailer, &**value)), expected);
        }
    }
}

fn all_of(memtable: &Memtable) -> Vec<(Vec<u8>, u64, Vec<u8>)> {
    let (mut cursor, mut all) = (memtable.cursor(), Vec::new());
    cursor.seek_to_first().unwrap();
    while let Some(entry) = entry(&cursor) {
        all.push(entry);
        cursor.next().unwrap();
    }
    all
}

/// The path of batches and of replay.
fn inserting_all_is_inserting_each(kind: MemtableKind) {
    let mut random = StdRng::seed_from_u64(7);
    let (each, all) = (Memtable::new(&arena(kind)), Memtable::new(&arena(kind)));
    let (mut model, mut ranges) = (Model::new(), Vec::new());
    let mut next = 1;
    // The longest batch is longer than what the list inserts in step.
    for count in (0..60).chain([0, 1, 500]) {
        let operations: Vec<(u64, Kind, Vec<u8>, Vec<u8>)> = (next..next + count)
            .map(|seqno| {
                let (key, value) = (random_key(&mut random), random_key(&mut random));
                match random.random_range(0..20) {
                    0 if key < value => (seqno, Kind::RangeDelete, key, value),
                    1..5 => (seqno, Kind::Delete, key, Vec::new()),
                    _ => (seqno, Kind::Put, key, value),
                }
            })
            .collect();
        next += count;
        let lent: Vec<(u64, Operation<'_>)> = operations
            .iter()
            .map(|(seqno, kind, key, value)| {
                (*seqno, Operation { family: 0, kind: *kind, key, value })
            })
            .collect();
        all.insert_all(&lent);
        for (seqno, operation) in &lent {
            each.insert(*seqno, operation);
        }
        for (seqno, what, key, value) in operations {
            if what == Kind::RangeDelete {
                ranges.push((seqno, key, value));
            } else {
                model.insert((key, Reverse(Trailer::new(seqno, what).raw())), value);
            }
        }
    }
    let expected: Vec<_> = model
        .iter()
        .map(|((key, version), value)| (key.clone(), version.0, value.clone()))
        .collect();
    for memtable in [&each, &all] {
        assert_eq!(memtable.len(), expected.len());
        assert_eq!(all_of(memtable), expected);
        let found = memtable.range_deletes().expect("there are some");
        let mut found: Vec<_> = found
            .iter()
            .map(|range| (range.seqno, range.start.clone(), range.end.clone()))
            .collect();
        found.sort();
        assert_eq!(found, ranges);
        for (key, ..) in &expected {
            let at = Trailer::newest_at(next);
            let found =
                memtable.get((key, bloom::hash_key(key)), at).expect("the filter lets it by");
            assert_eq!(Some((found.0, &*found.1)), model_get(&model, key, at));
        }
    }
    assert!(ranges.len() > 20, "{}", ranges.len());
}

fn cursors_walk_both_ways(kind: MemtableKind) {
    let (memtable, model) = filled(kind, 3, 1500);
    let all: Vec<_> =
        model.into_iter().map(|((key, version), value)| (key, version.0, value)).collect();
    let mut random = StdRng::seed_from_u64(4);
    let mut cursor = memtable.cursor();
    assert!(!cursor.valid(), "a fresh cursor is on no entry");
    let mut at: Option<usize> = None;
    for _ in 0..6000 {
        let (key, seqno) = (random_key(&mut random), random.random_range(0..1600));
        let trailer = Trailer::newest_at(seqno);
        let sought = (key.clone(), Reverse(trailer.raw()));
        let below =
            |(key, version, _): &(Vec<u8>, u64, Vec<u8>)| (key.clone(), Reverse(*version)) < sought;
        match random.random_range(0..40) {
            0 => {
                cursor.seek_to_first().unwrap();
                at = Some(0);
            }
            1 => {
                cursor.seek_to_last().unwrap();
                at = Some(all.len() - 1);
            }
            2 => {
                cursor.seek(&key, trailer).unwrap();
                at = Some(all.partition_point(below)).filter(|rank| *rank < all.len());
            }
            3 => {
                cursor.seek_for_prev(&key, trailer).unwrap();
                let rank = all.partition_point(below);
                let exact = all.get(rank).is_some_and(|e| (&e.0, Reverse(e.1)) == (&key, sought.1));
                at = if exact { Some(rank) } else { rank.checked_sub(1) };
            }
            n if at.is_some() && n < 22 => {
                cursor.next().unwrap();
                at = at.map(|rank| rank + 1).filter(|rank| *rank < all.len());
            }
            _ if at.is_some() => {
                cursor.prev().unwrap();
                at = at.and_then(|rank| rank.checked_sub(1));
            }
            _ => {}
        }
        assert_eq!(entry(&cursor), at.map(|rank| all[rank].clone()));
    }
}

fn a_cursor_outlives_its_memtable(kind: MemtableKind) {
    let (memtable, model) = filled(kind, 5, 700);
    let mut cursor = memtable.cursor();
    drop(memtable);
    cursor.seek_to_first().unwrap();
    for ((key, version), value) in model {
        assert_eq!(entry(&cursor), Some((key, version.0, value)));
        cursor.next().unwrap();
    }
    assert!(!cursor.valid());
}

fn an_empty_memtable_answers(kind: MemtableKind) {
    let memtable = Memtable::new(&arena(kind));
    assert!(memtable.is_empty());
    assert_eq!((memtable.len(), memtable.key_range()), (0, None));
    assert!(memtable.get((b"", bloom::hash_key(b"")), Trailer::newest_at(9)).is_none());
    let mut cursor = memtable.cursor();
    cursor.seek_to_first().unwrap();
    assert!(!cursor.valid());
    cursor.seek_to_last().unwrap();
    assert!(!cursor.valid());
    cursor.seek(b"a", Trailer::newest_at(9)).unwrap();
    assert!(!cursor.valid());
    cursor.seek_for_prev(b"a", Trailer::newest_at(9)).unwrap();
    assert!(!cursor.valid());
}

fn sizes_and_the_key_range_are_tracked(kind: MemtableKind) {
    let memtable = Memtable::new(&arena(kind));
    let (mut smallest, mut largest): (Option<Vec<u8>>, Option<Vec<u8>>) = (None, None);
    let mut random = StdRng::seed_from_u64(6);
    let mut data_bytes = 0;
    for seqno in 1..=3000 {
        let (key, value) = (random_key(&mut random), vec![7; 40]);
        insert(&memtable, seqno, Kind::Put, &key, &value);
        data_bytes += key.len() + value.len();
        if smallest.as_ref().is_none_or(|smallest| key < *smallest) {
            smallest = Some(key.clone());
        }
        if largest.as_ref().is_none_or(|largest| key > *largest) {
            largest = Some(key);
        }
        if seqno % 500 == 1 {
            assert_eq!(memtable.key_range(), smallest.clone().zip(largest.clone()));
        }
    }
    assert_eq!(memtable.len(), 3000);
    assert!(!memtable.is_empty());
    let most = 2 * (data_bytes + 3000 * kind.entry_overhead_bytes());
    let held = memtable.memory_bytes();
    assert!((data_bytes..most).contains(&held), "{held} bytes for {data_bytes} of data");
}

fn shared_key(seqno: u64) -> [u8; 8] {
    (seqno.wrapping_mul(0x9E37_79B9) % 1000).to_le_bytes()
}

fn shared_value(seqno: u64) -> Vec<u8> {
    [seqno.to_le_bytes(), (!seqno).to_le_bytes()].concat()
}

/// Inserts what has a number up to 6000, and says how far it is.
fn write_shared(memtable: &Memtable, next: &AtomicU64, done: &AtomicU64) {
    loop {
        // ORDERING: SeqCst, in all of this test: the memtable's orderings are on trial, not its.
        let seqno = next.fetch_add(1, Ordering::SeqCst);
        if seqno > 6000 {
            return;
        }
        insert(memtable, seqno, Kind::Put, &shared_key(seqno), &shared_value(seqno));
        // ORDERING: as above; pairs with the load in `read_shared`.
        done.store(seqno, Ordering::SeqCst);
    }
}

fn read_shared(memtable: &Memtable, done: &[AtomicU64; 3]) {
    for round in 0..2000 {
        // ORDERING: as above; pairs with the store in `write_shared`.
        let seqno = done[round % 3].load(Ordering::SeqCst);
        if seqno > 0 {
            let key = shared_key(seqno);
            let found = memtable.get((&key, bloom::hash_key(&key)), Trailer::newest_at(seqno));
            let (trailer, found) = found.expect("it was inserted");
            assert_eq!((trailer.seqno(), found.to_vec()), (seqno, shared_value(seqno)));
        }
    }
    let mut cursor = memtable.cursor();
    cursor.seek_to_first().unwrap();
    let mut last = (Vec::new(), Reverse(u64::MAX));
    while cursor.valid() {
        let here = (cursor.key().to_vec(), Reverse(cursor.trailer().raw()));
        assert!(here > last, "entries ascend");
        assert_eq!(cursor.value(), shared_value(cursor.trailer().seqno()));
        last = here;
        cursor.next().unwrap();
    }
}

/// Writers of one shared order; readers check that what was published is there, whole.
fn threads_read_what_others_have_written(kind: MemtableKind) {
    let memtable = Memtable::new(&arena(kind));
    let next = AtomicU64::new(1);
    let done: [AtomicU64; 3] = Default::default();
    std::thread::scope(|scope| {
        for done in &done {
            scope.spawn(|| write_shared(&memtable, &next, done));
        }
        for _ in 0..2 {
            scope.spawn(|| read_shared(&memtable, &done));
        }
    });
    assert_eq!(memtable.len(), 6000);
}

macro_rules! suite {
    ($($name:ident: $kind:expr;)*) => {$(
        mod $name {
            use super::*;

            suite!(@tests $kind,
                gets_see_the_newest_version_at_a_moment,
                inserting_all_is_inserting_each,
                cursors_walk_both_ways,
                a_cursor_outlives_its_memtable,
                an_empty_memtable_answers,
                sizes_and_the_key_range_are_tracked,
                threads_read_what_others_have_written,
            );
        }
    )*};
    (@tests $kind:expr, $($test:ident,)*) => {$(
        #[test]
        fn $test() {
            super::$test($kind);
        }
    )*};
}

suite! {
    fastskip: MemtableKind::FastSkip;
    skipmap: MemtableKind::SkipMap;
    one_shard: MemtableKind::sharded(1);
    sixteen_shards: MemtableKind::sharded(16);
    ring_of_five: MemtableKind::ring(5);
}
