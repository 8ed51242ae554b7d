//! Build and lookup of every kind, in cache (100 k keys) and out of it (10 M keys,
//! `BLOOM_LARGE=1`).

#![expect(missing_docs, reason = "made by criterion's macros")]

use std::hint::black_box;

use bloom::{AlignedBytes, Filter, Kind, SharedBuilder, build, hash_key};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn hashes(count: usize, seed: u64) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random()).collect()
}

fn sizes() -> Vec<usize> {
    let mut sizes = vec![1_000, 100_000];
    if std::env::var_os("BLOOM_LARGE").is_some() {
        sizes.push(10_000_000);
    }
    sizes
}

fn builds(criterion: &mut Criterion) {
    for count in sizes() {
        let members = hashes(count, 1);
        let mut group = criterion.benchmark_group("build");
        group.throughput(Throughput::Elements(count as u64)).sample_size(10);
        for &kind in Kind::ALL {
            group.bench_function(BenchmarkId::new(format!("{kind:?}"), count), |bencher| {
                bencher.iter(|| build(kind, 10.0, black_box(&members)));
            });
        }
        group.bench_function(BenchmarkId::new("shared, one thread", count), |bencher| {
            bencher.iter(|| {
                let shared = SharedBuilder::new(Kind::DoubleProbe, 10.0, count as u64);
                shared.inspect(|shared| shared.insert_hashes(black_box(&members)))
            });
        });
        group.finish();
    }
}

fn lookups(criterion: &mut Criterion) {
    for count in sizes() {
        let members = hashes(count, 1);
        let present: Vec<u64> = members.iter().copied().step_by(count / 1_000).collect();
        for &kind in Kind::ALL {
            let bytes = AlignedBytes::copy_of(&build(kind, 10.0, &members));
            let filter = Filter::decode(bytes).expect("just built");
            lookup(criterion, &format!("{kind:?} hit"), count, &filter, &present);
            lookup(criterion, &format!("{kind:?} miss"), count, &filter, &hashes(1_000, 2));
        }
    }
}

fn lookup(
    criterion: &mut Criterion,
    name: &str,
    count: usize,
    filter: &Filter<AlignedBytes>,
    asked: &[u64],
) {
    let mut group = criterion.benchmark_group("lookup");
    group.throughput(Throughput::Elements(asked.len() as u64));
    group.bench_function(BenchmarkId::new(name, count), |bencher| {
        bencher.iter(|| asked.iter().filter(|&&hash| filter.may_contain_hash(hash)).count());
    });
    let mut answers = vec![false; asked.len()];
    group.bench_function(BenchmarkId::new(format!("{name}, batch"), count), |bencher| {
        bencher.iter(|| filter.may_contain_hashes(black_box(asked), &mut answers));
    });
    group.finish();
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash_key");
    for length in [8, 16, 32, 100] {
        let key = vec![b'k'; length];
        group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
            bencher.iter(|| hash_key(black_box(&key)));
        });
    }
    group.finish();
}

criterion_group!(benches, builds, lookups, hashing);
criterion_main!(benches);
