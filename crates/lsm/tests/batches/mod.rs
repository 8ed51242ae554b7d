//! What the tests of real crashes write: numbered batches of several threads, so that a database
//! tells which were there, and whether each is whole.

use std::collections::BTreeMap;

use lsm::{Db, WriteBatch};

/// Every key is written again after so many batches of its thread.
const CYCLE: u64 = 300;

fn last_key(thread: usize) -> Vec<u8> {
    format!("{thread}/last").into_bytes()
}

fn key(thread: usize, kind: char, n: u64) -> Vec<u8> {
    format!("{thread}/{kind}{:04}", n % CYCLE).into_bytes()
}

fn value(n: u64) -> Vec<u8> {
    format!("{n:020}{}", "v".repeat(usize::try_from(n % 150).expect("small"))).into_bytes()
}

/// Batch `n` of a thread: two puts of one value, now and then a deletion, and its own number.
fn batch(thread: usize, n: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut batch =
        vec![(key(thread, 'a', n), Some(value(n))), (key(thread, 'b', n), Some(value(n)))];
    if n.is_multiple_of(3) {
        batch.push((key(thread, 'a', n + CYCLE / 2), None));
    }
    batch.push((last_key(thread), Some(n.to_string().into_bytes())));
    batch
}

/// Batch `n` as the database takes it.
pub(crate) fn writes(thread: usize, n: u64) -> WriteBatch {
    let mut writes = WriteBatch::new();
    for (key, value) in batch(thread, n) {
        match value {
            Some(value) => writes.put(key, value),
            None => writes.delete(key),
        };
    }
    writes
}

/// The last batch of a thread that is there.
pub(crate) fn last(db: &Db, thread: usize) -> u64 {
    let value = db.get(last_key(thread)).expect("get");
    value.map_or(0, |value| String::from_utf8_lossy(&value).parse().expect("a number"))
}

/// All entries of a thread after its batch `last`.
pub(crate) fn expected(thread: usize, last: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut entries = BTreeMap::new();
    for n in last.saturating_sub(3 * CYCLE).max(1)..=last {
        for (key, value) in batch(thread, n) {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
    }
    entries
}

/// All entries of a thread that are there.
pub(crate) fn found(db: &Db, thread: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let scan = db.scan_prefix(format!("{thread}/")).expect("scan");
    scan.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).expect("entry")).collect()
}
