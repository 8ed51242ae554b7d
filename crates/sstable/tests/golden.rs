//! Tables written by this and by earlier versions: the bytes are stable and stay readable.
//!
//! A file here is never rewritten. A change of the format adds files and keeps these readable. To
//! add one: `SSTABLE_WRITE_GOLDEN=1 cargo test -p sstable --test golden` writes what is missing.

#![expect(
    clippy::unwrap_used,
    clippy::big_endian_bytes,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests: what fails must stop them, and their numbers are small"
)]

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::{Entry, open, scan};
use sstable::{Codec, Kind, ReadOptions, TableCursor, Trailer, WriteOptions};

/// A fixed set of entries that no library's random numbers can change.
fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    for rank in 0_u64..300 {
        let key = format!("user{:05}/{}", rank * 7, ["mail", "name"][rank as usize % 2]);
        let value = format!("value {} of a record that compresses", rank * rank % 1000);
        if rank % 10 == 0 {
            all.push((key.clone().into_bytes(), Trailer::new(1000 + rank, Kind::Delete), vec![]));
        }
        all.push((key.into_bytes(), Trailer::new(rank, Kind::Put), value.into_bytes()));
    }
    all
}

fn check(name: &str, options: &WriteOptions) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let bytes = common::build(&entries(), options);
    if !path.exists() && std::env::var_os("SSTABLE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(golden == bytes, "{name} differs from what is written now");
    let table = open(golden, None).unwrap();
    table.verify().unwrap();
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    assert_eq!(scan(&mut cursor).unwrap(), entries());
}

#[test]
fn version_1_plain() {
    check("v1-none.sst", &WriteOptions { codec: Codec::None, ..WriteOptions::default() });
}

#[test]
fn version_1_with_hash_index_and_partitions() {
    let options = WriteOptions {
        codec: Codec::None,
        block_bytes: 512,
        hash_index: true,
        restart_interval: 4,
        partition_blocks: 16,
        ..WriteOptions::default()
    };
    check("v1-hash.sst", &options);
}

#[cfg(feature = "lz4")]
#[test]
fn version_1_lz4() {
    check("v1-lz4.sst", &WriteOptions { codec: Codec::Lz4, ..WriteOptions::default() });
}
