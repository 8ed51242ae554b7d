//! Sizes of tables: ours beside RocksDB's, same records, codec, block size, 10 filter bits a key.
//!
//! `cargo run --release -p tables -- DIR` reads DIR/*.tsv (see `scripts/realdata.sh`) and adds a
//! series of integers. RocksDB's writer of table files gives all records sequence number 0; so do
//! we, and show beside it what numbers as a load would give them cost. A second table tells what a
//! dictionary gains over plain Zstandard of the same level.

use std::path::Path;
use std::time::Instant;

use sstable::{Codec, Kind, TableWriter, Trailer, WriteOptions};
use tables::rocksdb::{self, Compression};
use tables::{Pairs, load, series};

fn ours(pairs: &Pairs, options: &WriteOptions, seqno: impl Fn(usize) -> u64) -> (u64, f64) {
    let start = Instant::now();
    let mut writer = TableWriter::new(Vec::new(), "ours", 1, options).expect("valid options");
    for (rank, (key, value)) in pairs.iter().enumerate() {
        writer.add(key, Trailer::new(seqno(rank), Kind::Put), value).expect("memory");
    }
    let (meta, _) = writer.finish().expect("memory");
    (meta.file_bytes, start.elapsed().as_secs_f64())
}

fn main() {
    let dir = std::env::args().nth(1).expect("usage: tables DIR");
    let scratch = std::env::temp_dir().join(format!("tables-{}.sst", std::process::id()));
    println!(
        "| data | block | codec | raw MB | RocksDB MB | ours MB | ours / RocksDB | numbered |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut sets: Vec<(String, Pairs)> = vec![("series".into(), series())];
    for name in ["wordnet", "unihan", "packages"] {
        sets.push((name.into(), load(&Path::new(&dir).join(format!("{name}.tsv")))));
    }
    for (name, pairs) in &sets {
        let raw: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
        for block_bytes in [4096, 16_384, 65_536] {
            let cases = [
                (Codec::None, Some((Compression::None, 0))),
                (Codec::Lz4, Some((Compression::Lz4, 0))),
                (Codec::Snappy, Some((Compression::Snappy, 0))),
                (Codec::Zstd, Some((Compression::Zstd, 0))),
                (Codec::Dictionary, Some((Compression::Zstd, 16 << 10))),
                (Codec::BitPack, None),
                (Codec::Delta, None),
            ];
            for (codec, rival) in cases {
                let integers = matches!(codec, Codec::BitPack | Codec::Delta);
                if integers && name != "series" {
                    continue;
                }
                // RocksDB's level with a dictionary is 3 as well.
                let codec_level = if codec == Codec::Dictionary { 3 } else { 0 };
                let options =
                    WriteOptions { codec, codec_level, block_bytes, ..WriteOptions::default() };
                let (bytes, _) = ours(pairs, &options, |_| 0);
                let (numbered, _) = ours(pairs, &options, |rank| rank as u64);
                let mb = |bytes: u64| format!("{:.2}", bytes as f64 / 1e6);
                let theirs = rival.map(|(compression, dict_bytes)| {
                    rocksdb::write(&scratch, pairs, compression, block_bytes, dict_bytes)
                });
                println!(
                    "| {name} | {}K | {} | {} | {} | {} | {} | {} |",
                    block_bytes >> 10,
                    codec.name(),
                    mb(raw as u64),
                    theirs.map_or("-".into(), mb),
                    mb(bytes),
                    theirs.map_or("-".into(), |t| format!("{:.3}", bytes as f64 / t as f64)),
                    mb(numbered),
                );
            }
        }
    }
    std::fs::remove_file(&scratch).expect("written above");
    println!("\n| data | block | level | plain MB | 16 KiB | 112 KiB | 256 KiB |");
    println!("|---|---|---|---|---|---|---|");
    for (name, pairs) in &sets {
        for (block_bytes, codec_level) in
            [1024, 2048, 4096].into_iter().flat_map(|b| [(b, 3), (b, 6)])
        {
            let plain = WriteOptions {
                codec: Codec::Zstd,
                codec_level,
                block_bytes,
                ..WriteOptions::default()
            };
            let (plain_bytes, _) = ours(pairs, &plain, |_| 0);
            let gain = |dictionary_bytes: usize| {
                let codec = Codec::Dictionary;
                let options = WriteOptions { codec, dictionary_bytes, ..plain.clone() };
                let (bytes, _) = ours(pairs, &options, |_| 0);
                format!("{:.2} = {:.3}", bytes as f64 / 1e6, plain_bytes as f64 / bytes as f64)
            };
            println!(
                "| {name} | {}K | {codec_level} | {:.2} | {} | {} | {} |",
                block_bytes >> 10,
                plain_bytes as f64 / 1e6,
                gain(16 << 10),
                gain(112 << 10),
                gain(256 << 10),
            );
        }
    }
}
