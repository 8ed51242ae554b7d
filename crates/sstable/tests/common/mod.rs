//! What the tests of tables share: random entries, the sorted list as oracle, ways to build.

#![allow(dead_code, reason = "every test file uses a part")]
#![allow(clippy::allow_attributes, reason = "expect would be unfulfilled in some test files")]

use std::sync::Arc;

use rand::{Rng, rngs::StdRng};
use sstable::{
    BlockCache, Cursor, Expect, Kind, Result, Table, TableWriter, Trailer, WriteOptions, compare,
};

pub(crate) type Entry = (Vec<u8>, Trailer, Vec<u8>);

/// How keys and values of a random table look.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A few hot keys of many versions among others; values of all lengths.
    Mixed,
    /// Eight-byte integers, ascending, with eight-byte values.
    Integers,
    /// Long shared prefixes, short alphabet.
    Prefixed,
}

pub(crate) const SHAPES: [Shape; 3] = [Shape::Mixed, Shape::Integers, Shape::Prefixed];

pub(crate) fn entries(shape: Shape, count: usize, random: &mut StdRng) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (0..count).map(|rank| entry(shape, rank, random)).collect();
    entries.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
    entries.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
    entries
}

fn entry(shape: Shape, rank: usize, random: &mut StdRng) -> Entry {
    let seqno = random.random_range(0..100_000);
    let kind = [Kind::Put, Kind::Put, Kind::Put, Kind::Delete][random.random_range(0..4)];
    match shape {
        Shape::Mixed => {
            let key = if random.random_bool(0.3) {
                vec![b'h'; random.random_range(1..4)]
            } else {
                (0..random.random_range(0..40)).map(|_| random.random()).collect()
            };
            let value_bytes = match random.random_range(0..50) {
                0 => random.random_range(0..9000),
                1..10 => 0,
                _ => random.random_range(0..60),
            };
            let byte = random.random();
            let value = (0..value_bytes).map(|at| if at % 3 == 0 { at as u8 } else { byte });
            (key, Trailer::new(seqno, kind), value.collect())
        }
        Shape::Integers => {
            let key = (rank as u64 * 3).to_be_bytes().to_vec();
            let value = (rank as u64 * 1000 + random.random_range(0..50)).to_le_bytes().to_vec();
            (key, Trailer::new(rank as u64, Kind::Put), value)
        }
        Shape::Prefixed => {
            let mut key = b"a/rather/long/prefix/".to_vec();
            key.extend(
                (0..random.random_range(0..12)).map(|_| b"ab\xff\0"[random.random_range(0..4)]),
            );
            (key, Trailer::new(seqno, kind), b"value of a sort".to_vec())
        }
    }
}

pub(crate) fn build(entries: &[Entry], options: &WriteOptions) -> Vec<u8> {
    let mut writer = TableWriter::new(Vec::new(), "test.sst", 42, options).unwrap();
    for (key, trailer, value) in entries {
        writer.add(key, *trailer, value).unwrap();
    }
    assert_eq!(writer.entries(), entries.len() as u64);
    let (meta, bytes) = writer.finish().unwrap();
    assert_eq!(meta.file_bytes, bytes.len() as u64);
    bytes
}

pub(crate) fn open(bytes: Vec<u8>, cache: Option<Arc<BlockCache>>) -> Result<Arc<Table>> {
    let expect = Expect { table_id: Some(42), file_bytes: None };
    Table::open(Arc::new(bytes), "test.sst", expect, cache).map(Arc::new)
}

pub(crate) fn get(table: &Table, key: &[u8], at: Trailer) -> Result<Option<(Trailer, Vec<u8>)>> {
    let found = table.get(key, bloom::hash_key(key), at)?;
    Ok(found.map(|found| (found.trailer, found.value.to_vec())))
}

/// What a point read must answer.
pub(crate) fn expected(entries: &[Entry], key: &[u8], at: Trailer) -> Option<(Trailer, Vec<u8>)> {
    let rank = entries.partition_point(|e| compare(&e.0, e.1, key, at).is_lt());
    entries.get(rank).filter(|e| e.0 == key).map(|e| (e.1, e.2.clone()))
}

pub(crate) fn here(cursor: &impl Cursor) -> Option<Entry> {
    let shown = || (cursor.key().to_vec(), cursor.trailer(), cursor.value().to_vec());
    cursor.valid().then(shown)
}

/// Everything a cursor shows from its start on, or the error that ended it.
pub(crate) fn scan(cursor: &mut impl Cursor) -> Result<Vec<Entry>> {
    let mut seen = Vec::new();
    cursor.seek_to_first()?;
    while let Some(entry) = here(cursor) {
        seen.push(entry);
        cursor.next()?;
    }
    Ok(seen)
}
