//! Tables: point reads, scans and builds, by codec and block size, cached and not.
//!
//! 16-byte keys, 100-byte values of which half compresses. `SSTABLE_BENCH_ENTRIES` sets the count
//! (default 1,000,000); a filter as argument picks cases: `cargo bench -p sstable -- get`.

#![expect(clippy::unwrap_used, reason = "a bench that fails must stop")]

use std::cell::LazyCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use sstable::{
    BlockCache, Codec, Cursor, Expect, Kind, Merge, ReadOptions, Table, TableCursor, TableWriter,
    Trailer, WriteOptions,
};

type Pair = ([u8; 16], [u8; 100]);

fn entry_count() -> usize {
    let set = std::env::var("SSTABLE_BENCH_ENTRIES").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

fn key_of(number: usize) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(format!("{number:016}").as_bytes());
    key
}

fn pairs(count: usize) -> Vec<Pair> {
    let mut random = StdRng::seed_from_u64(1);
    let pair = |rank| {
        let mut value = [b'x'; 100];
        random.fill(&mut value[..50]);
        (key_of(rank * 2), value)
    };
    (0..count).map(pair).collect()
}

fn build(pairs: &[Pair], options: &WriteOptions) -> Vec<u8> {
    let mut writer = TableWriter::new(Vec::new(), "bench", 1, options).unwrap();
    for (rank, (key, value)) in pairs.iter().enumerate() {
        writer.add(key, Trailer::new(rank as u64, Kind::Put), value).unwrap();
    }
    writer.finish().unwrap().1
}

fn open(bytes: Vec<u8>, cache_bytes: usize) -> Arc<Table> {
    let cache = (cache_bytes > 0).then(|| Arc::new(BlockCache::new(cache_bytes)));
    Arc::new(Table::open(Arc::new(bytes), "bench", Expect::default(), cache).unwrap())
}

fn options(codec: Codec, block_bytes: usize) -> WriteOptions {
    WriteOptions { codec, block_bytes, ..WriteOptions::default() }
}

fn codecs() -> Vec<Codec> {
    let all = [Codec::None, Codec::Lz4, Codec::Snappy, Codec::Zstd, Codec::Dictionary, Codec::Lzma];
    all.into_iter().filter(|codec| codec.is_built_in()).collect()
}

fn shuffled(pairs: &[Pair]) -> Vec<[u8; 16]> {
    let mut keys: Vec<_> = pairs.iter().map(|pair| pair.0).collect();
    keys.shuffle(&mut StdRng::seed_from_u64(2));
    keys
}

fn scan_all(table: &Arc<Table>, options: ReadOptions) -> usize {
    let mut cursor = TableCursor::new(Arc::clone(table), options);
    let mut bytes = 0;
    cursor.seek_to_first().unwrap();
    while cursor.valid() {
        bytes += cursor.key().len() + cursor.value().len();
        cursor.next().unwrap();
    }
    bytes
}

fn point_reads(c: &mut Criterion) {
    let pairs = pairs(entry_count());
    let keys = shuffled(&pairs);
    let mut group = c.benchmark_group("get");
    group.throughput(Throughput::Elements(1));
    // Built when a case first needs them: a filter on the command line skips the others.
    let map: LazyCell<HashMap<Vec<u8>, Vec<u8>>, _> =
        LazyCell::new(|| pairs.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect());
    let mut next = keys.iter().cycle();
    group.bench_function("hash map", |b| {
        b.iter(|| black_box(map[next.next().unwrap().as_slice()][99]));
    });
    let at = Trailer::FIRST;
    for (name, hash_index) in [("cached", false), ("cached, hash index", true)] {
        let options = WriteOptions { hash_index, ..options(Codec::None, 4096) };
        let table = LazyCell::new(|| {
            let table = open(build(&pairs, &options), 1 << 30);
            scan_all(&table, ReadOptions::default());
            table
        });
        let mut next = keys.iter().cycle();
        group.bench_function(BenchmarkId::new("hit", name), |b| {
            b.iter(|| {
                let key = next.next().unwrap();
                black_box(table.get(key, bloom::hash_key(key), at).unwrap().unwrap().value[99])
            });
        });
    }
    let table = LazyCell::new(|| open(build(&pairs, &options(Codec::None, 4096)), 1 << 30));
    let mut absent = 0;
    group.bench_function("miss", |b| {
        b.iter(|| {
            absent = (absent + 1_000_003) % pairs.len();
            let key = key_of(absent * 2 + 1);
            black_box(table.get(&key, bloom::hash_key(&key), at).unwrap().is_none())
        });
    });
    for codec in codecs() {
        for block_bytes in [4096, 16_384, 65_536] {
            let table = LazyCell::new(|| open(build(&pairs, &options(codec, block_bytes)), 0));
            let mut next = keys.iter().cycle();
            let name = format!("{} {}K", codec.name(), block_bytes >> 10);
            group.bench_function(BenchmarkId::new("uncached", name), |b| {
                b.iter(|| {
                    let key = next.next().unwrap();
                    black_box(table.get(key, bloom::hash_key(key), at).unwrap().is_some())
                });
            });
        }
    }
    group.finish();
}

fn scans(c: &mut Criterion) {
    let pairs = pairs(entry_count() / 4);
    let mut group = c.benchmark_group("scan");
    group.throughput(Throughput::Elements(pairs.len() as u64));
    for block_bytes in [4096, 65_536] {
        let table = LazyCell::new(|| {
            let table = open(build(&pairs, &options(Codec::None, block_bytes)), 1 << 30);
            scan_all(&table, ReadOptions::default());
            table
        });
        let name = format!("none {}K", block_bytes >> 10);
        group.bench_function(BenchmarkId::new("cached", &name), |b| {
            b.iter(|| scan_all(&table, ReadOptions::default()));
        });
        group.bench_function(BenchmarkId::new("cached backward", &name), |b| {
            b.iter(|| {
                let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
                cursor.seek_to_last().unwrap();
                while cursor.valid() {
                    black_box(cursor.value()[0]);
                    cursor.prev().unwrap();
                }
            });
        });
        group.bench_function(BenchmarkId::new("cached, merge of one", &name), |b| {
            b.iter(|| {
                let cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
                let mut merge = Merge::new(vec![cursor]);
                merge.seek_to_first().unwrap();
                while merge.valid() {
                    black_box(merge.value()[0]);
                    merge.next().unwrap();
                }
            });
        });
    }
    let read = ReadOptions { fill_cache: false, ..ReadOptions::default() };
    for codec in codecs() {
        for block_bytes in [4096, 65_536] {
            let table = LazyCell::new(|| open(build(&pairs, &options(codec, block_bytes)), 0));
            let name = format!("{} {}K", codec.name(), block_bytes >> 10);
            group.bench_function(BenchmarkId::new("uncached", name), |b| {
                b.iter(|| scan_all(&table, read));
            });
        }
    }
    group.finish();
}

fn builds(c: &mut Criterion) {
    let pairs = pairs(entry_count() / 10);
    let mut group = c.benchmark_group("build");
    group.throughput(Throughput::Bytes(pairs.len() as u64 * 116));
    for codec in codecs() {
        for block_bytes in [4096, 65_536] {
            let options = options(codec, block_bytes);
            let name = format!("{} {}K", codec.name(), block_bytes >> 10);
            group.bench_function(BenchmarkId::from_parameter(name), |b| {
                b.iter(|| build(&pairs, &options).len());
            });
        }
    }
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

mod group {
    //! Keeps what criterion generates, undocumented, out of reach.

    use super::{builds, criterion_group, point_reads, quick, scans};

    criterion_group! { name = benches; config = quick(); targets = point_reads, scans, builds }
}
criterion_main!(group::benches);
