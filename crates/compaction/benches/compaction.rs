//! What the engine pays for deciding: a pick, an apply, a verdict. `cargo bench -p compaction`

#![expect(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::sync::Arc;

use compaction::simulate::{Setup, Workload, simulate};
use compaction::{Busy, Context, Levels, Options, Retain, Run, Strategy, TableInfo};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sstable::{Kind, Trailer};

/// A leveled tree: L5 with a tenth of the tables of L6, ranges that do not line up.
fn tree(tables: u64) -> Levels {
    let run = |id: u64, count: u64, first: u64, width: u64| {
        let tables = (0..count).map(|i| {
            let key = |at: u64| format!("{at:016}").into_bytes();
            Arc::new(TableInfo {
                id: first + i,
                bytes: 64 << 20,
                entries: 500_000,
                smallest: key(i * width),
                largest: key(i * width + width - 1),
                min_seqno: first + i,
                max_seqno: first + i,
                ..TableInfo::default()
            })
        });
        Run::new(id, tables.collect())
    };
    let above = tables / 8;
    Levels::new()
        .with_run(6, run(1, tables, 1_000_000, 700))
        .with_run(5, run(2, above, 1, 700 * tables / above - 1))
}

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    for tables in [1_000u64, 10_000] {
        let levels = tree(tables);
        let policy = Options::new(Strategy::Leveled).build().expect("valid options");
        let (busy, ctx) = (Busy::new(), Context::default());
        let plan = policy.pick(&levels, &busy, &ctx).expect("L5 is too large");
        group.bench_function(format!("pick/{tables} tables"), |b| {
            b.iter(|| policy.pick(black_box(&levels), &busy, &ctx));
        });
        let outputs: Vec<_> = plan
            .input_tables(&levels)
            .into_iter()
            .filter(|t| t.id >= 1_000_000)
            .map(|t| Arc::new(TableInfo { id: t.id + 5_000_000, ..t.as_ref().clone() }))
            .collect();
        group.bench_function(format!("apply/{tables} tables"), |b| {
            let outputs = || outputs.clone();
            b.iter_batched(outputs, |new| levels.apply(&plan, new, 99), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn verdicts(c: &mut Criterion) {
    let keys: Vec<Vec<u8>> = (0..5_000u64).map(|i| format!("user{i:012}").into_bytes()).collect();
    let mut group = c.benchmark_group("retain");
    group.throughput(Throughput::Elements(10_000));
    for snapshots in [vec![], vec![50, 100, 7_000]] {
        group.bench_function(format!("{} snapshots", snapshots.len()), |b| {
            b.iter(|| {
                let mut retain = Retain::new(&snapshots, true);
                for key in &keys {
                    black_box(retain.verdict(key, Trailer::new(9_000, Kind::Put)));
                    black_box(retain.verdict(key, Trailer::new(60, Kind::Put)));
                }
            });
        });
    }
    group.finish();
}

fn simulations(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulate");
    group.sample_size(10);
    let petabyte = Workload { entries: 1_000_000_000_000_000 / 116, ..Workload::default() };
    for strategy in [Strategy::Leveled, Strategy::LazyL0, Strategy::LazyLeveled, Strategy::Tiered] {
        for size_ratio in [4, 10] {
            let options = Options { size_ratio, ..Options::new(strategy) };
            let setup = Setup { options, ..Setup::default() };
            group.bench_function(format!("1 PB {strategy} T = {size_ratio}"), |b| {
                b.iter(|| simulate(&petabyte, &setup).expect("valid options"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decide, verdicts, simulations);
criterion_main!(benches);
