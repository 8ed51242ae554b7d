//! What one write costs in the log alone: through the memory map, and by system calls; and what a
//! sync costs in new and in recycled space.
//!
//! The limits it stands against: a `write()` a put is 0.68 us on the machine of 2026-11-20, so a
//! log without system calls is what lets single puts pass 1.5 million a second.
#![expect(missing_docs, reason = "criterion's macros make an undocumented function")]

use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lsm::fs::{Fs, StdFs};
use lsm::wal::{Segment, payload_crc};

const CAPACITY: u64 = 64 << 20;

/// A batch of one put: 16 bytes of key, 100 of value.
fn payload() -> Vec<u8> {
    let mut payload = 1_u32.to_le_bytes().to_vec();
    payload.extend([7; 121]);
    payload
}

/// Segments one after the other, each from its predecessor's file.
struct Log<'a> {
    fs: &'a dyn Fs,
    dir: &'a Path,
    segment: Segment,
    seqno: u64,
}

impl<'a> Log<'a> {
    fn new(fs: &'a dyn Fs, dir: &'a Path) -> Self {
        let segment = Segment::create(fs, dir, 1, 1, CAPACITY, None).expect("a log");
        Self { fs, dir, segment, seqno: 1 }
    }

    fn append(&mut self, payload: &[u8]) -> u64 {
        let crc = payload_crc(payload);
        loop {
            if let Some(end) = self.segment.try_append(self.seqno, payload, crc).expect("append") {
                self.seqno += 1;
                return end;
            }
            let old: PathBuf = self.segment.path().to_path_buf();
            let number = self.segment.number() + 1;
            let next = Segment::create(self.fs, self.dir, number, 1, CAPACITY, Some(&old));
            self.segment = next.expect("a log");
        }
    }
}

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/append 116 bytes");
    group.throughput(Throughput::Elements(1));
    let payload = payload();
    for (name, fs) in [("mapped", StdFs::new()), ("called", StdFs::without_mapping())] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::new(&fs, folder.path());
        group.bench_function(name, |bencher| bencher.iter(|| log.append(&payload)));
    }
    group.finish();
}

fn syncs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/append and sync");
    group.sample_size(10);
    let payload = payload();
    let ways = [("mapped", StdFs::new()), ("called", StdFs::without_mapping())];
    for ((way, fs), recycled) in ways.iter().flat_map(|way| [(way, false), (way, true)]) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::new(fs, folder.path());
        if recycled {
            while log.segment.number() == 1 {
                log.append(&payload); // all of its space is written once
            }
        }
        let name = format!("{way}, {}", if recycled { "recycled" } else { "new" });
        let step = |log: &mut Log<'_>| {
            let end = log.append(&payload);
            log.segment.sync_to(end).expect("sync");
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| (), |()| step(&mut log), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, appends, syncs);
criterion_main!(benches);
