//! The hot paths, each in a function of its own, for `scripts/gates.sh` to count instructions.
//!
//! Nothing here depends on time or chance; background threads do not count. `GATES_SAMPLING=n` sets
//! the option `latency_sampling`, to count what that costs: 0 switches it off.

use std::hint::black_box;

use lsm::{Db, Options, Result};
use workloads::keys::{Keyed, Values, keyed, shuffled};

/// Records in the tables; as many more are put into the memtable.
const RECORDS: u64 = 20_000;
/// Calls of each path.
const CALLS: usize = 5_000;

#[inline(never)]
fn gate_put(db: &Db, values: &Values, order: &[Keyed]) -> Result<()> {
    order.iter().try_for_each(|(rank, key)| db.put(key, values.value(*rank, 1)))
}

#[inline(never)]
fn gate_get_table(db: &Db, order: &[Keyed]) -> Result<usize> {
    let mut bytes = 0;
    for (_, key) in order {
        bytes += db.get_with(key, <[u8]>::len)?.unwrap_or(0);
    }
    Ok(bytes)
}

#[inline(never)]
fn gate_get_memtable(db: &Db, order: &[Keyed]) -> Result<usize> {
    // Backwards, so that the compiler does not take it for the function above.
    let mut bytes = 0;
    for (_, key) in order.iter().rev() {
        bytes += db.get_with(key, <[u8]>::len)?.unwrap_or(0);
    }
    Ok(bytes)
}

#[inline(never)]
fn gate_get_missing(db: &Db, absent: &[[u8; 17]]) -> Result<usize> {
    let mut found = 0;
    for key in absent {
        found += usize::from(db.get_with(key, <[u8]>::len)?.is_some());
    }
    Ok(found)
}

#[inline(never)]
fn gate_seek_10(db: &Db, order: &[Keyed]) -> Result<usize> {
    let mut bytes = 0;
    for (_, key) in order {
        let mut cursor = db.cursor::<&[u8]>(..)?;
        cursor.seek(key)?;
        for _ in 0..10 {
            if !cursor.valid() {
                break;
            }
            bytes += cursor.key().len() + cursor.value().len();
            cursor.next()?;
        }
    }
    Ok(bytes)
}

#[inline(never)]
fn gate_scan(db: &Db) -> Result<usize> {
    let mut cursor = db.cursor::<&[u8]>(..)?;
    cursor.seek_to_first()?;
    let mut entries = 0;
    while cursor.valid() {
        entries += usize::from(cursor.key().len() + cursor.value().len() > 0);
        cursor.next()?;
    }
    Ok(entries)
}

#[expect(clippy::print_stdout, reason = "the script divides by these")]
fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut options = Options { write_buffer_bytes: 8 << 20, ..Options::default() };
    if let Ok(sampling) = std::env::var("GATES_SAMPLING") {
        options.latency_sampling = sampling.parse()?;
    }
    let db = Db::open(folder.path(), options)?;
    let values = Values::new(100, 100);
    for (rank, key) in keyed(shuffled(RECORDS, 1)) {
        db.put(key, values.value(rank, 0))?;
    }
    db.compact()?;
    db.wait_idle()?;
    let mut order = keyed(shuffled(RECORDS, 2));
    order.truncate(CALLS);
    let absent: Vec<[u8; 17]> = order
        .iter()
        .map(|(_, key)| {
            let mut absent = [b'.'; 17];
            absent[..16].copy_from_slice(key);
            absent
        })
        .collect();
    let entries = usize::try_from(RECORDS)?;
    // Once before, so that the blocks are in the cache.
    black_box(db.scan::<&[u8]>(..)?.count());
    assert_eq!(gate_get_table(&db, &order)?, CALLS * 100);
    assert_eq!(gate_get_missing(&db, &absent)?, 0);
    assert!(gate_seek_10(&db, &order)? > CALLS * 116 * 9);
    assert_eq!(gate_scan(&db)?, entries);
    gate_put(&db, &values, &order)?;
    assert_eq!(gate_get_memtable(&db, &order)?, CALLS * 100);
    for (gate, calls) in [
        ("put", CALLS),
        ("get_table", CALLS),
        ("get_memtable", CALLS),
        ("get_missing", CALLS),
        ("seek_10", CALLS),
        ("scan", entries),
    ] {
        println!("{gate} {calls}");
    }
    db.close()?;
    Ok(())
}
