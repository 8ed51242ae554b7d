//! What an operation costs, by policy and number of threads: `cargo bench -p cache --bench speed`.
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use cache::{Cache, Options, Policy};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zipf::{Zipf, fnv};

#[path = "traces/zipf.rs"]
mod zipf;

type Blocks = Cache<(u64, u64), Arc<u64>>;
const ITEMS: u64 = 20_000;
const WEIGHT: usize = 4096;

fn key(item: u64) -> (u64, u64) {
    (item >> 12, (item & 0xfff) * 4096)
}

/// A cache with room for `percent` of the items, warm.
fn cache(policy: Policy, percent: usize) -> Blocks {
    let capacity_bytes = usize::try_from(ITEMS).expect("small") * WEIGHT / 100 * percent;
    let cache = Cache::with_options(Options { capacity_bytes, policy, ..Options::default() });
    assert!((0..ITEMS).all(|item| cache.insert(key(item), Arc::new(item), WEIGHT)));
    cache
}

fn keys(seed: u64) -> Vec<(u64, u64)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let zipf = Zipf::new(ITEMS, 0.99);
    (0..50_000).map(|_| key(fnv(zipf.draw(&mut rng)) % ITEMS)).collect()
}

/// Time for `count` operations on each of `threads` threads at once.
fn together(threads: u64, count: u64, operation: impl Fn((u64, u64)) + Sync) -> Duration {
    let all: Vec<_> = (0..threads).map(keys).collect();
    let count = usize::try_from(count).expect("a run is shorter");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for keys in &all {
            scope.spawn(|| keys.iter().cycle().take(count).for_each(|&key| operation(key)));
        }
    });
    begun.elapsed()
}

fn hits(c: &mut Criterion) {
    let mut group = c.benchmark_group("hit");
    for policy in [Policy::S3Fifo, Policy::Lru] {
        let cache = cache(policy, 150);
        for threads in [1, 2, 4] {
            group.throughput(Throughput::Elements(threads));
            let id = BenchmarkId::new(format!("{policy:?}"), threads);
            group.bench_function(id, |b| {
                b.iter_custom(|count| {
                    together(threads, count, |key| drop(black_box(cache.get(&key))))
                });
            });
        }
    }
    let cache = cache(Policy::S3Fifo, 150);
    group.throughput(Throughput::Elements(1));
    group.bench_function("S3Fifo, read in place", |b| {
        b.iter_custom(|count| {
            together(1, count, |key| {
                cache.read(&key, |value| black_box(**value));
            })
        });
    });
    group.finish();
}

fn loads(c: &mut Criterion) {
    let mut group = c.benchmark_group("get or load, 10 % held");
    for policy in [Policy::S3Fifo, Policy::Lru] {
        let cache = cache(policy, 10);
        let load = |key| cache.get_or_load(&key, || Ok::<_, ()>((Arc::new(key.0), WEIGHT)));
        group.bench_function(format!("{policy:?}"), |b| {
            b.iter_custom(|count| together(1, count, |key| drop(black_box(load(key)))));
        });
    }
    group.finish();
}

fn evictions(c: &mut Criterion) {
    let mut group = c.benchmark_group("insert and evict");
    for policy in [Policy::S3Fifo, Policy::Lru] {
        let cache = cache(policy, 10);
        let mut item = ITEMS;
        group.bench_function(format!("{policy:?}"), |b| {
            b.iter(|| {
                item += 1;
                cache.insert(key(item), Arc::new(item), WEIGHT)
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = hits, loads, evictions
}
criterion_main!(benches);
