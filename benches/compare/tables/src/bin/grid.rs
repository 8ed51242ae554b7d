//! Speed of every codec at every block size: build, scan and point reads, from a file that the
//! system caches and from a block cache. Processor time of this thread, best of five.
//!
//! `cargo run --release -p tables --bin grid [CODEC]...`: 200,000 entries with 16-byte keys and
//! 100-byte values of which half compresses (20,000 for LZMA); for BitPack and Delta a million
//! pairs of two 8-byte integers. The same build, 10 filter bits a key.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use sstable::{
    BlockCache, Codec, Cursor, Expect, Kind, ReadOptions, Table, TableCursor, TableWriter, Trailer,
    WriteOptions, hash_key,
};
use tables::{Pairs, cpu_time, records, series};

const ROUNDS: usize = 5;
const READS: usize = 50_000;
/// Reads of blocks that have to be decompressed each time.
const SLOW_READS: usize = 2000;

fn write<W: std::io::Write>(sink: W, pairs: &Pairs, options: &WriteOptions) {
    let mut writer = TableWriter::new(sink, "grid", 1, options).expect("valid options");
    for (rank, (key, value)) in pairs.iter().enumerate() {
        writer.add(key, Trailer::new(rank as u64, Kind::Put), value).expect("memory or file");
    }
    writer.finish().expect("memory or file");
}

fn open(path: &Path, cache_bytes: usize) -> Arc<Table> {
    let cache = (cache_bytes > 0).then(|| Arc::new(BlockCache::new(cache_bytes)));
    let file = Arc::new(File::open(path).expect("just written"));
    Arc::new(Table::open(file, "grid", Expect::default(), cache).expect("just written"))
}

fn scan(table: &Arc<Table>, fill_cache: bool) {
    let options = ReadOptions { fill_cache, ..ReadOptions::default() };
    let mut cursor = TableCursor::new(Arc::clone(table), options);
    cursor.seek_to_first().expect("a sound table");
    while cursor.valid() {
        black_box((cursor.key(), cursor.value()));
        cursor.next().expect("a sound table");
    }
}

fn read(table: &Table, keys: &[Vec<u8>]) {
    for key in keys {
        let wanted = (&key[..], hash_key(key), Trailer::FIRST);
        black_box(table.read(wanted, |_, value| value[0]).expect("a sound table"));
    }
}

/// Nanoseconds of each of `count` units, the best of some rounds.
fn best(count: usize, mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let start = cpu_time();
        work();
        (cpu_time() - start).as_secs_f64() * 1e9 / count as f64
    };
    (0..ROUNDS).map(round).fold(f64::MAX, f64::min)
}

fn row(pairs: &Pairs, codec: Codec, block_bytes: usize, path: &Path) {
    let raw: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    let mut keys: Vec<Vec<u8>> = pairs.iter().map(|pair| pair.0.clone()).collect();
    keys.sort_by_key(|key| hash_key(key));
    keys.truncate(READS);
    // One more than a key that is there, and less than the next.
    let absent: Vec<Vec<u8>> = keys.iter().map(|key| [&key[..], b"1"].concat()).collect();
    let options = WriteOptions { codec, block_bytes, ..WriteOptions::default() };
    let build = best(raw, || write(std::io::sink(), pairs, &options));
    let file = std::io::BufWriter::new(File::create(path).expect("a folder to write to"));
    write(file, pairs, &options);
    let (uncached, cached) = (open(path, 0), open(path, 1 << 30));
    scan(&cached, true);
    let few = SLOW_READS.min(keys.len());
    let numbers = [
        1e3 / build,
        1e3 / best(raw, || scan(&uncached, false)),
        best(few, || read(&uncached, &keys[..few])),
        best(absent.len(), || read(&uncached, &absent)),
        1e3 / best(pairs.len(), || scan(&cached, true)),
        best(keys.len(), || read(&cached, &keys)),
        best(absent.len(), || read(&cached, &absent)),
    ];
    let [build, scanned, got, missed, walked, found, absent] = numbers;
    println!(
        "| {} | {}K | {build:.0} | {scanned:.0} | {got:.0} | {missed:.0} | {walked:.0} \
         | {found:.0} | {absent:.0} |",
        codec.name(),
        block_bytes >> 10
    );
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let path = std::env::temp_dir().join(format!("grid-{}", std::process::id()));
    let (records, series) = (records(200_000), series());
    let few: Pairs = records[..20_000].to_vec();
    println!(
        "| codec | block | build, MB/s | scan, file, MB/s | get, file, ns | absent, file, ns \
         | scan, cached, M entries/s | get, cached, ns | absent, cached, ns |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for codec in Codec::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == codec.name()) {
            continue;
        }
        let pairs = match codec {
            Codec::BitPack | Codec::Delta => &series,
            Codec::Lzma => &few,
            _ => &records,
        };
        for block_bytes in [4096, 16_384, 65_536] {
            row(pairs, codec, block_bytes, &path);
        }
    }
    std::fs::remove_file(&path).ok();
}
