//! Time to build, decode and search each layout: 100,000 random separators of 16 bytes, and as many
//! of 40 bytes with shared prefixes. Rivals are in `benches/compare`.
#![expect(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fence::{AlignedBytes, Builder, Fence, Layout};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const COUNT: usize = 100_000;
const BATCH: usize = 1024;

fn random16() -> Vec<Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(1);
    let mut keys: Vec<Vec<u8>> = (0..COUNT).map(|_| rng.random::<[u8; 16]>().to_vec()).collect();
    keys.sort();
    keys
}

fn shared40() -> Vec<Vec<u8>> {
    let key = |n| format!("tenant{:04}/orders/eu-west-1/{:012}", n / 2500, n * 977).into_bytes();
    (0..COUNT).map(key).collect()
}

fn encode(layout: Layout, keys: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = Builder::new(layout);
    for key in keys {
        builder.push(key);
    }
    builder.finish()
}

fn search(c: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(2);
    for (name, keys) in [("random16", random16()), ("shared40", shared40())] {
        let asked: Vec<&[u8]> = (0..BATCH).map(|_| &keys[rng.random_range(0..COUNT)][..]).collect();
        let mut ranks = [0; BATCH];
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(BATCH as u64));
        for layout in Layout::ALL {
            let bytes = AlignedBytes::copy_of(&encode(*layout, &keys));
            let fence = Fence::decode(bytes).expect("what was just encoded");
            group.bench_function(BenchmarkId::new("find", format!("{layout:?}")), |b| {
                b.iter(|| asked.iter().fold(0, |rank, key| rank ^ fence.find(black_box(key))));
            });
            group.bench_function(BenchmarkId::new("find_many", format!("{layout:?}")), |b| {
                b.iter(|| fence.find_many(black_box(&asked), &mut ranks));
            });
        }
    }
}

fn build(c: &mut Criterion) {
    let keys = random16();
    let mut group = c.benchmark_group("random16");
    group.throughput(Throughput::Elements(COUNT as u64)).sample_size(10);
    for layout in Layout::ALL.iter().chain([&Layout::Adaptive]) {
        group.bench_function(BenchmarkId::new("build", format!("{layout:?}")), |b| {
            b.iter(|| encode(*layout, &keys));
        });
    }
    let bytes = encode(Layout::Wide, &keys);
    group.bench_function("decode", |b| b.iter(|| Fence::decode(black_box(&bytes[..]))));
}

criterion_group!(benches, search, build);
criterion_main!(benches);
