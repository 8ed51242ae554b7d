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
#[cfg(not(all(feature = "lz4", feature = "snappy", feature = "zstd", feature = "lzma")))]
use sstable::{Coding, Error, TableWriter};

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
    for rank in 0_u64..2000 {
        let value = (1_700_000_000 + rank * 60 + rank % 7).to_le_bytes().to_vec();
        let key = format!("zz-series/{rank:08}").into_bytes();
        all.push((key, Trailer::new(5000 + rank, Kind::Put), value));
    }
    all
}

/// What must not change about a golden file.
#[derive(Clone, Copy, PartialEq)]
enum Stable {
    /// Its bytes: all of them are ours.
    Bytes,
    #[cfg(any(feature = "lz4", feature = "snappy", feature = "zstd", feature = "lzma"))]
    /// What it holds: another version of the codec's library may pack it in other bytes.
    Meaning,
}

fn check(name: &str, options: &WriteOptions, stable: Stable) {
    check_entries(name, &entries(), options, stable);
}

fn check_entries(name: &str, entries: &[Entry], options: &WriteOptions, stable: Stable) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let bytes = common::build(entries, options);
    if !path.exists() && std::env::var_os("SSTABLE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if stable == Stable::Bytes {
        assert!(golden == bytes, "{name} differs from what is written now");
    }
    let table = open(golden, None).unwrap();
    table.verify().unwrap();
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    assert_eq!(scan(&mut cursor).unwrap(), entries);
}

fn with(codec: Codec) -> WriteOptions {
    // The smallest dictionary, so that so little data is enough to train it.
    WriteOptions { codec, ratio_min: 1.0, dictionary_bytes: 1024, ..WriteOptions::default() }
}

#[test]
fn version_1_plain() {
    check("v1-none.sst", &with(Codec::None), Stable::Bytes);
}

#[test]
fn version_1_with_hash_index_and_partitions() {
    let options = WriteOptions {
        block_bytes: 512,
        hash_index: true,
        restart_interval: 4,
        partition_blocks: 16,
        ..with(Codec::None)
    };
    check("v1-hash.sst", &options, Stable::Bytes);
}

#[test]
fn version_1_columns() {
    check("v1-bitpack.sst", &with(Codec::BitPack), Stable::Bytes);
    check("v1-delta.sst", &with(Codec::Delta), Stable::Bytes);
}

#[cfg(feature = "lz4")]
#[test]
fn version_1_lz4() {
    check("v1-lz4.sst", &with(Codec::Lz4), Stable::Meaning);
}

#[cfg(feature = "snappy")]
#[test]
fn version_1_snappy() {
    check("v1-snappy.sst", &with(Codec::Snappy), Stable::Meaning);
}

#[cfg(feature = "zstd")]
#[test]
fn version_1_zstd() {
    check("v1-zstd.sst", &with(Codec::Zstd), Stable::Meaning);
    check("v1-dictionary.sst", &with(Codec::Dictionary), Stable::Meaning);
}

/// Records that name their own keys: values are stored behind them.
#[cfg(feature = "zstd")]
fn version_2(name: &str, codec: Codec) {
    let mut state = 1_u64;
    let mut number = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 20
    };
    let mut all: Vec<Entry> = Vec::new();
    for rank in 0_u64..500 {
        let key = format!("{rank:05}/{:011x}", number());
        let words = "so many words that say nothing. ".repeat(3 + number() as usize % 9);
        let value = format!("{{\"key\":\"{key}\",\"noise\":{},\"text\":\"{words}\"}}", number());
        all.push((key.into_bytes(), Trailer::new(rank, Kind::Put), value.into_bytes()));
    }
    let options = WriteOptions { block_bytes: 64 << 10, ..with(codec) };
    let bytes = common::build(&all, &options);
    let footer = bytes.len() - 64;
    assert_eq!(bytes[footer], 2, "the footer's version");
    check_entries(name, &all, &options, Stable::Meaning);
}

#[cfg(feature = "zstd")]
#[test]
fn version_2_zstd() {
    version_2("v2-zstd.sst", Codec::Zstd);
}

#[cfg(feature = "lzma")]
#[test]
fn version_1_lzma() {
    check("v1-lzma.sst", &with(Codec::Lzma), Stable::Meaning);
}

#[cfg(not(all(feature = "lz4", feature = "snappy", feature = "zstd", feature = "lzma")))]
fn names(error: &Error, expected: Codec, at: Option<&str>) {
    let Error::UnsupportedCodec { file, codec } = error else { panic!("{error}") };
    assert_eq!((file.as_deref(), *codec), (at, expected), "{error}");
    let named = format!("codec {} is not built in", codec.name());
    assert!(error.to_string().ends_with(&named), "{error}");
    assert!(error.to_string().starts_with(at.unwrap_or("codec")), "{error}");
}

/// A build without a codec says so and gives no wrong answer.
#[cfg(not(all(feature = "lz4", feature = "snappy", feature = "zstd", feature = "lzma")))]
#[test]
fn a_codec_that_is_not_built_in_is_named() {
    let off: Vec<Codec> = Codec::ALL.into_iter().filter(|codec| !codec.is_built_in()).collect();
    assert!(!off.is_empty());
    for codec in off {
        let name = format!("tests/golden/v1-{}.sst", codec.name());
        let golden = std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        // A dictionary is read when the table is opened, all else when it is asked for.
        let error = match open(golden, None) {
            Ok(table) => {
                assert_ne!(codec, Codec::Dictionary);
                let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
                assert!(table.verify().is_err(), "{}", codec.name());
                scan(&mut cursor).unwrap_err()
            }
            Err(error) => error,
        };
        names(&error, codec, Some("test.sst"));
        // And so does a writer that is asked for it, at the beginning or later.
        let refused = TableWriter::new(Vec::new(), "t", 1, &with(codec)).unwrap_err();
        names(&refused, codec, Some("t"));
        names(&with(codec).validate().unwrap_err(), codec, None);
        let mut writer = TableWriter::new(Vec::new(), "t", 1, &with(Codec::None)).unwrap();
        names(&writer.set_coding(Coding::new(codec)).unwrap_err(), codec, Some("t"));
        writer.add(b"key", Trailer::new(1, Kind::Put), b"value").unwrap();
        let (_, bytes) = writer.finish().unwrap();
        assert!(bytes.len() > 64, "the table goes on as it was");
    }
}
