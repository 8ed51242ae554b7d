//! The list alone: inserts, gets, walks, at 100,000 and 1,000,000 entries (`FASTSKIP_BENCH_MAX`
//! entries at most, default 1,000,000). Beside its rivals: `benches/compare`.
#![expect(clippy::big_endian_bytes, reason = "keys whose order is that of the numbers")]
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastskip::{ChunkPool, ConcurrentSkipList, Entry, Options, SkipList};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::hint::black_box;
use std::sync::Arc;

const VALUE: [u8; 100] = [7; 100];

struct Keys {
    name: &'static str,
    sorted: Vec<Vec<u8>>,
    random: Vec<Vec<u8>>,
}

fn families(count: usize) -> [Keys; 2] {
    let keys = |name, sorted: Vec<Vec<u8>>| {
        let mut random = sorted.clone();
        random.shuffle(&mut StdRng::seed_from_u64(2));
        Keys { name, sorted, random }
    };
    let decimal = (0..count).map(|n| format!("{n:016}").into_bytes()).collect();
    let binary = (0..count as u64).map(|n| n.to_be_bytes().to_vec()).collect();
    [keys("decimal 16 B", decimal), keys("big-endian 8 B", binary)]
}

fn counts() -> Vec<usize> {
    let max = std::env::var("FASTSKIP_BENCH_MAX").map_or(Ok(1_000_000), |max| max.parse());
    let max: usize = max.expect("FASTSKIP_BENCH_MAX is a number");
    [100_000, 1_000_000, 10_000_000].into_iter().filter(|&count| count <= max).collect()
}

fn options(pool: &Arc<ChunkPool>) -> Options {
    Options { pool: Some(Arc::clone(pool)), ..Options::default() }
}

fn filled(pool: &Arc<ChunkPool>, keys: &[Vec<u8>]) -> SkipList {
    let list = SkipList::with_options(&options(pool));
    for key in keys {
        list.insert(key, 1, &VALUE).expect("inserted");
    }
    list
}

fn filled_in_batches(pool: &Arc<ChunkPool>, entries: &[Entry<'_>]) -> SkipList {
    let list = SkipList::with_options(&options(pool));
    for batch in entries.chunks(64) {
        list.insert_batch(batch).expect("inserted");
    }
    list
}

/// Sums a byte of each key and value.
fn walk_forward(list: &SkipList) -> u64 {
    let (mut cursor, mut sum) = (list.cursor(), 0);
    cursor.seek_to_first();
    while let Some(entry) = cursor.entry() {
        sum += u64::from(entry.key[0]) + u64::from(entry.value[0]);
        cursor.advance();
    }
    sum
}

/// As [`walk_forward`], from the end.
fn walk_backward(list: &SkipList) -> u64 {
    let (mut cursor, mut sum) = (list.cursor(), 0);
    cursor.seek_to_last();
    while let Some(entry) = cursor.entry() {
        sum += u64::from(entry.key[0]) + u64::from(entry.value[0]);
        cursor.retreat();
    }
    sum
}

fn inserts(c: &mut Criterion) {
    let pool = Arc::new(ChunkPool::new(4 << 30));
    let mut group = c.benchmark_group("insert");
    group.sample_size(10);
    for count in counts() {
        group.throughput(Throughput::Elements(count as u64));
        for keys in families(count) {
            for (order, keys_in_order) in [("ascending", &keys.sorted), ("random", &keys.random)] {
                let id = BenchmarkId::new(format!("{order}, {}", keys.name), count);
                group.bench_function(id, |b| b.iter(|| filled(&pool, keys_in_order)));
            }
            let id = BenchmarkId::new(format!("random in batches of 64, {}", keys.name), count);
            let entries: Vec<Entry<'_>> =
                keys.random.iter().map(|key| Entry { key, version: 1, value: &VALUE }).collect();
            group.bench_function(id, |b| b.iter(|| filled_in_batches(&pool, &entries)));
        }
    }
    group.finish();
}

fn reads(c: &mut Criterion) {
    let pool = Arc::new(ChunkPool::new(4 << 30));
    let mut group = c.benchmark_group("read");
    for count in counts() {
        for keys in families(count) {
            let list = filled(&pool, &keys.random);
            let mut lookups = keys.sorted.clone();
            lookups.shuffle(&mut StdRng::seed_from_u64(3));
            let mut next = (0..lookups.len()).cycle();
            let mut key = || &lookups[next.next().expect("endless")];
            let id = |what: &str| BenchmarkId::new(format!("{what}, {}", keys.name), count);
            group.throughput(Throughput::Elements(1));
            group.bench_function(id("get"), |b| {
                b.iter(|| list.get(key(), 1).map(|entry| entry.value[99]));
            });
            group.throughput(Throughput::Elements(11));
            group.bench_function(id("seek and 10 steps"), |b| {
                b.iter(|| {
                    let mut cursor = list.cursor();
                    cursor.seek(key(), u64::MAX);
                    (0..10).for_each(|_| cursor.advance());
                    cursor.entry().map(|entry| entry.value[0])
                });
            });
            group.throughput(Throughput::Elements(64));
            let mut batches = lookups.chunks_exact(64).cycle();
            group.bench_function(id("get in batches of 64"), |b| {
                b.iter(|| list.get_many(batches.next().expect("endless"), 1));
            });
        }
    }
    group.finish();
}

fn walks(c: &mut Criterion) {
    let pool = Arc::new(ChunkPool::new(4 << 30));
    let mut group = c.benchmark_group("walk");
    group.sample_size(10);
    for count in counts() {
        let keys = &families(count)[0];
        group.throughput(Throughput::Elements(count as u64));
        for (order, keys) in [("in order", &keys.sorted), ("at random", &keys.random)] {
            let list = filled(&pool, keys);
            let id = |way: &str| BenchmarkId::new(format!("{way}, built {order}"), count);
            group.bench_function(id("forward"), |b| b.iter(|| walk_forward(&list)));
            group.bench_function(id("backward"), |b| b.iter(|| walk_backward(&list)));
        }
    }
    group.finish();
}

fn one_value_a_key(c: &mut Criterion) {
    let count = 100_000;
    let keys = &families(count)[0];
    let mut group = c.benchmark_group("ConcurrentSkipList");
    group.sample_size(10).throughput(Throughput::Elements(count as u64));
    let fill = || {
        let list = ConcurrentSkipList::new();
        keys.random.iter().for_each(|key| assert!(list.insert(key, &VALUE)));
        list
    };
    group.bench_function("insert", |b| b.iter(fill));
    group.bench_function("overwrite", |b| {
        let overwrite = |list: ConcurrentSkipList| {
            keys.random.iter().for_each(|key| assert!(list.put(key, &VALUE).is_ok()));
            list
        };
        b.iter_batched(fill, overwrite, BatchSize::LargeInput);
    });
    let list = fill();
    group.bench_function("walk a snapshot", |b| {
        let snapshot = list.snapshot();
        b.iter(|| snapshot.iter().map(|entry| u64::from(black_box(entry.value)[0])).sum::<u64>());
    });
    group.finish();
}

criterion_group!(benches, inserts, reads, walks, one_value_a_key);
criterion_main!(benches);
