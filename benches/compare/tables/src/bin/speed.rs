//! Tables against what they are made of: a hash map of the same records for point reads, the codec
//! alone for scans and builds; and RocksDB's table files, read as the only one of a database.
//! Processor time of this thread, best of five rounds that take turns.
//!
//! `cargo run --release -p tables --bin speed [ENTRIES] [SECTION]... [=PART]`: 16-byte keys,
//! 100-byte values of which half compresses; only the cases that have PART in their names.

use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sstable::{
    BlockCache, Codec, Cursor, Expect, Kind, Merge, ReadOptions, Table, TableCursor, TableWriter,
    Trailer, WriteOptions, hash_key,
};
use tables::rocksdb::{self, Compression, Reader};
use tables::{Pairs, cpu_time, records};

fn options(codec: Codec, block_bytes: usize) -> WriteOptions {
    WriteOptions { codec, block_bytes, ..WriteOptions::default() }
}

fn write<W: Write>(sink: W, pairs: &Pairs, options: &WriteOptions) -> W {
    let mut writer = TableWriter::new(sink, "speed", 1, options).expect("valid options");
    for (rank, (key, value)) in pairs.iter().enumerate() {
        writer.add(key, Trailer::new(rank as u64, Kind::Put), value).expect("memory");
    }
    writer.finish().expect("memory").1
}

fn build(pairs: &Pairs, options: &WriteOptions) -> Vec<u8> {
    write(Vec::new(), pairs, options)
}

fn open(bytes: Vec<u8>, cache_bytes: usize) -> Arc<Table> {
    let cache = (cache_bytes > 0).then(|| Arc::new(BlockCache::new(cache_bytes)));
    let table = Table::open(Arc::new(bytes), "speed", Expect::default(), cache);
    Arc::new(table.expect("just written"))
}

fn walk(cursor: &mut impl Cursor) {
    cursor.seek_to_first().expect("memory");
    while cursor.valid() {
        black_box((cursor.key(), cursor.value()));
        cursor.next().expect("memory");
    }
}

fn scan(table: &Arc<Table>, fill_cache: bool) {
    let options = ReadOptions { fill_cache, ..ReadOptions::default() };
    walk(&mut TableCursor::new(Arc::clone(table), options));
}

fn read_all(table: &Table, keys: &[Vec<u8>]) {
    for key in keys {
        let wanted = (&key[..], hash_key(key), Trailer::FIRST);
        black_box(table.read(wanted, |_, value| value[99]).expect("memory"));
    }
}

/// The same, with a share of each block.
fn keep_all(table: &Table, keys: &[Vec<u8>]) {
    for key in keys {
        let found = table.get(key, hash_key(key), Trailer::FIRST).expect("memory");
        black_box(found.map(|found| found.value[99]));
    }
}

/// Time that has passed since the first call.
fn wall_time() -> Duration {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGUN.elapsed()
}

/// Named pieces of work, run in turns; the best time of each.
#[derive(Default)]
struct Cases<'a> {
    cases: Vec<(String, f64, Box<dyn FnMut() + 'a>)>,
}

impl<'a> Cases<'a> {
    /// `units` is what the time is divided by.
    fn add(&mut self, name: impl Into<String>, units: usize, work: impl FnMut() + 'a) {
        self.cases.push((name.into(), units as f64, Box::new(work)));
    }

    /// By the processor's time of this thread.
    fn run(self, unit: &str) {
        self.run_by(cpu_time, unit);
    }

    fn run_by(mut self, clock: fn() -> Duration, unit: &str) {
        let part = |word: String| Some(word.strip_prefix('=')?.to_owned());
        if let Some(part) = std::env::args().find_map(part) {
            self.cases.retain(|(name, ..)| name.contains(&part));
        }
        let mut best = vec![f64::MAX; self.cases.len()];
        for _ in 0..5 {
            for ((_, _, work), best) in self.cases.iter_mut().zip(&mut best) {
                let start = clock();
                work();
                *best = best.min((clock() - start).as_secs_f64());
            }
        }
        for ((name, units, _), best) in self.cases.iter().zip(best) {
            println!(
                "{name:32} {:9.1} ns/{unit} {:9.1} M/s",
                best * 1e9 / units,
                units / best / 1e6
            );
        }
    }
}

fn points(pairs: &Pairs) {
    let mut keys: Vec<Vec<u8>> = pairs.iter().map(|pair| pair.0.clone()).collect();
    keys.sort_by_key(|key| hash_key(key));
    keys.truncate(200_000);
    let absent: Vec<Vec<u8>> = keys.iter().map(|key| [&key[..15], b"1"].concat()).collect();
    let map: HashMap<Vec<u8>, Vec<u8>> = pairs.iter().cloned().collect();
    let plain = open(build(pairs, &options(Codec::None, 4096)), 1 << 30);
    let hashed = WriteOptions { hash_index: true, ..options(Codec::None, 4096) };
    let hashed = open(build(pairs, &hashed), 1 << 30);
    scan(&plain, true);
    scan(&hashed, true);
    let uncached = open(build(pairs, &options(Codec::Lz4, 4096)), 0);
    let mut cases = Cases::default();
    cases.add("hash map", keys.len(), || {
        for key in &keys {
            black_box(map[key][99]);
        }
    });
    cases.add("get, cached", keys.len(), || read_all(&plain, &keys));
    cases.add("get, cached, kept", keys.len(), || keep_all(&plain, &keys));
    cases.add("get, cached, hash index", keys.len(), || read_all(&hashed, &keys));
    cases.add("get, absent", absent.len(), || read_all(&plain, &absent));
    cases.add("get, LZ4 4K, not cached", keys.len() / 10, || {
        read_all(&uncached, &keys[..keys.len() / 10]);
    });
    cases.run("get");
}

fn scans(pairs: &Pairs) {
    let raw = pairs.len() * 116;
    let bytes: Vec<u8> = pairs.iter().flat_map(|pair| [&pair.0[..], &pair.1].concat()).collect();
    let mut cases = Cases::default();
    for block_bytes in [4096, 65_536] {
        let kib = block_bytes >> 10;
        let table = open(build(pairs, &options(Codec::None, block_bytes)), 1 << 30);
        scan(&table, true);
        let merged = Arc::clone(&table);
        cases.add(format!("entries, cached {kib}K"), pairs.len(), move || scan(&table, true));
        cases.add(format!("entries, merge of one {kib}K"), pairs.len(), move || {
            let cursor = TableCursor::new(Arc::clone(&merged), ReadOptions::default());
            walk(&mut Merge::new(vec![cursor]));
        });
        let table = open(build(pairs, &options(Codec::Lz4, block_bytes)), 0);
        cases.add(format!("bytes, LZ4 scan {kib}K"), raw, move || scan(&table, false));
        let chunks = bytes.chunks(block_bytes);
        let packed: Vec<Vec<u8>> = chunks.map(lz4_flex::block::compress).collect();
        let mut out = vec![0; block_bytes];
        cases.add(format!("bytes, LZ4 alone {kib}K"), raw, move || {
            for chunk in &packed {
                lz4_flex::block::decompress_into(chunk, &mut out).expect("just compressed");
            }
        });
    }
    cases.run("unit");
}

fn builds(pairs: &Pairs) {
    let raw = pairs.len() * 116;
    let bytes: Vec<u8> = pairs.iter().flat_map(|pair| [&pair.0[..], &pair.1].concat()).collect();
    let mut cases = Cases::default();
    for block_bytes in [4096, 65_536] {
        let kib = block_bytes >> 10;
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            cases.add(format!("bytes, {} build {kib}K", codec.name()), raw, move || {
                write(std::io::sink(), pairs, &options(codec, block_bytes));
            });
        }
        let mut out = vec![0; block_bytes * 2];
        let chunks = bytes.chunks(block_bytes);
        let again = chunks.clone();
        cases.add(format!("bytes, lz4 alone {kib}K"), raw, move || {
            for chunk in chunks.clone() {
                black_box(lz4_flex::block::compress_into(chunk, &mut out).expect("room"));
            }
        });
        let mut zstd = zstd::bulk::Compressor::new(3).expect("memory");
        let mut out = vec![0; block_bytes * 2];
        cases.add(format!("bytes, zstd alone {kib}K"), raw, move || {
            for chunk in again.clone() {
                black_box(zstd.compress_to_buffer(chunk, &mut out[..]).expect("room"));
            }
        });
    }
    cases.run("unit");
}

/// Wall time: what a caller waits for who gives the writer a thread that compresses. Needs two idle
/// cores.
fn builds_with_a_thread(pairs: &Pairs) {
    let raw = pairs.len() * 116;
    let mut cases = Cases::default();
    for block_bytes in [4096, 65_536] {
        for codec in [Codec::Lz4, Codec::Zstd] {
            for threads in [0, 1] {
                let (name, kib) = (codec.name(), block_bytes >> 10);
                let name = format!("bytes, {name} build {kib}K, {threads} threads more, wall");
                let options =
                    WriteOptions { compression_threads: threads, ..options(codec, block_bytes) };
                cases.add(name, raw, move || {
                    write(std::io::sink(), pairs, &options);
                });
            }
        }
    }
    cases.run_by(wall_time, "unit");
}

/// Our table in a file.
fn file_of(path: &Path, pairs: &Pairs, options: &WriteOptions) {
    let file = BufWriter::new(File::create(path).expect("a folder to write to"));
    write(file, pairs, options);
}

fn open_file(path: &Path, cache_bytes: usize) -> Arc<Table> {
    let cache = (cache_bytes > 0).then(|| Arc::new(BlockCache::new(cache_bytes)));
    let file = Arc::new(File::open(path).expect("just written"));
    Arc::new(Table::open(file, "speed", Expect::default(), cache).expect("just written"))
}

const RIVALS: [(Codec, Compression); 3] = [
    (Codec::None, Compression::None),
    (Codec::Lz4, Compression::Lz4),
    (Codec::Zstd, Compression::Zstd),
];

/// Both from files in a scratch folder, which the system caches.
fn beside_rocksdb(pairs: &Pairs, scratch: &Path) {
    let path = |name: &str| -> PathBuf { scratch.join(name) };
    let mut keys: Vec<Vec<u8>> = pairs.iter().map(|pair| pair.0.clone()).collect();
    keys.sort_by_key(|key| hash_key(key));
    keys.truncate(200_000);
    let absent: Vec<Vec<u8>> = keys.iter().map(|key| [&key[..15], b"1"].concat()).collect();
    file_of(&path("ours"), pairs, &options(Codec::None, 4096));
    rocksdb::write(&path("theirs"), pairs, Compression::None, 4096, 0);
    let ours = open_file(&path("ours"), 1 << 30);
    let theirs = Reader::new(&path("db"), &path("theirs"), 1 << 30);
    scan(&ours, true);
    theirs.scan(|_, _| ());
    let read = |keys: &[Vec<u8>]| {
        for key in keys {
            black_box(theirs.get(key, |value| value[99]));
        }
    };
    let mut cases = Cases::default();
    cases.add("get, cached", keys.len(), || read_all(&ours, &keys));
    cases.add("get, cached, RocksDB", keys.len(), || read(&keys));
    cases.add("get, absent", keys.len(), || read_all(&ours, &absent));
    cases.add("get, absent, RocksDB", keys.len(), || read(&absent));
    cases.add("scan, cached 4K", pairs.len(), || scan(&ours, true));
    cases.add("scan, cached 4K, RocksDB", pairs.len(), || {
        theirs.scan(|key, value| {
            black_box((key, value));
        });
    });
    cases.run("entry");
    let fewer = pairs[..pairs.len() / 5].to_vec();
    files_beside_rocksdb(&fewer, scratch);
}

/// Scans without a block cache, and builds.
fn files_beside_rocksdb(pairs: &Pairs, scratch: &Path) {
    let raw = pairs.len() * 116;
    let mut cases = Cases::default();
    for block_bytes in [4096, 65_536] {
        for (codec, theirs) in RIVALS {
            let name = format!("{} {}K", codec.name(), block_bytes >> 10);
            let (file, rival) = (scratch.join(&name), scratch.join(format!("{name} theirs")));
            file_of(&file, pairs, &options(codec, block_bytes));
            rocksdb::write(&rival, pairs, theirs, block_bytes, 0);
            let table = open_file(&file, 0);
            let reader = Reader::new(&scratch.join(format!("{name} db")), &rival, 0);
            cases.add(format!("scan {name}"), raw, move || scan(&table, false));
            cases.add(format!("scan {name}, RocksDB"), raw, move || {
                reader.scan(|key, value| {
                    black_box((key, value));
                });
            });
            cases.add(format!("build {name}"), raw, move || {
                file_of(&file, pairs, &options(codec, block_bytes));
            });
            cases.add(format!("build {name}, RocksDB"), raw, move || {
                rocksdb::write(&rival, pairs, theirs, block_bytes, 0);
            });
        }
    }
    cases.run("byte");
}

fn main() {
    let mut sections: Vec<String> = std::env::args().skip(1).collect();
    let count = sections.iter().find_map(|word| word.parse().ok()).unwrap_or(1_000_000);
    sections.retain(|word| word.parse::<usize>().is_err() && !word.starts_with('='));
    let wanted = |name: &str| sections.is_empty() || sections.iter().any(|word| word == name);
    let pairs = records(count);
    if wanted("points") {
        points(&pairs);
    }
    if wanted("rocksdb") {
        let scratch = std::env::temp_dir().join(format!("speed-{}", std::process::id()));
        std::fs::create_dir(&scratch).expect("a folder of our own");
        beside_rocksdb(&pairs, &scratch);
        std::fs::remove_dir_all(&scratch).expect("made above");
    }
    let fewer: Pairs = pairs[..count / 5].to_vec();
    drop(pairs);
    if wanted("scans") {
        scans(&fewer);
    }
    if wanted("builds") {
        builds(&fewer);
        builds_with_a_thread(&fewer);
    }
}
