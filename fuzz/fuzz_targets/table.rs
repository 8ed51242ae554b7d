//! Any bytes as a table file: opened, scanned both ways, asked, verified, salvaged. Nothing may
//! panic, hang or take memory without bound. Checksums do not count here (`cfg(fuzzing)`).
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sstable::{
    Cursor, Expect, ReadOptions, SalvageReport, Table, TableCursor, Trailer, Wanted, salvage,
};

fuzz_target!(|bytes: &[u8]| {
    let file = Arc::new(bytes.to_vec());
    let recovered = salvage(Arc::<Vec<u8>>::clone(&file), "fuzz", Some(1), |_, _, _| Ok(()));
    let lost = |report: &SalvageReport| report.lost.iter().map(|lost| lost.bytes).sum::<u64>();
    assert!(recovered.is_err() || recovered.is_ok_and(|r| lost(&r) <= bytes.len() as u64));
    let Ok(table) = Table::open(file, "fuzz", Expect::default(), None) else { return };
    let table = Arc::new(table);
    // Blocks may overlap here: a small file can name itself over and over.
    let steps_max = 100_000;
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    let mut moved = cursor.seek_to_first();
    for _ in 0..steps_max {
        if moved.is_err() || !cursor.valid() {
            break;
        }
        let found = table.get(cursor.key(), bloom::hash_key(cursor.key()), cursor.trailer());
        drop(found);
        moved = cursor.next();
    }
    moved = cursor.seek_to_last();
    for _ in 0..steps_max {
        if moved.is_err() || !cursor.valid() {
            break;
        }
        moved = cursor.prev();
    }
    drop(cursor.seek(b"key", Trailer::FIRST));
    drop(cursor.seek_for_prev(b"key", Trailer::FIRST));
    drop(table.get_many(&[Wanted::new(b"a", Trailer::FIRST), Wanted::new(b"z", Trailer::LAST)]));
    drop(table.verify());
});
