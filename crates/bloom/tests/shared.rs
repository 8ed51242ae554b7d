//! One filter, many threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use bloom::{Filter, Kind, SharedBuilder, build};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn hashes(count: usize, seed: u64) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random()).collect()
}

const BLOOM_KINDS: [Kind; 4] = [Kind::DoubleProbe, Kind::Standard, Kind::Blocked, Kind::SplitBlock];

#[test]
fn threads_make_the_bytes_that_one_makes() {
    for kind in BLOOM_KINDS {
        for count in [1usize, 100, 30_000] {
            let members = hashes(count, 1);
            let shared = SharedBuilder::new(kind, 10.0, count as u64).unwrap();
            std::thread::scope(|scope| {
                // Each key twice, from different threads, one by one and in batches.
                for part in members.chunks(count.div_ceil(3)) {
                    scope.spawn(|| part.iter().for_each(|hash| shared.insert_hash(*hash)));
                    scope.spawn(|| shared.insert_hashes(part));
                }
            });
            assert!(members.iter().all(|&hash| shared.may_contain_hash(hash)));
            assert!(shared.finish() == build(kind, 10.0, &members), "{kind:?} {count}");
        }
    }
}

#[test]
fn a_reader_finds_what_a_writer_has_announced() {
    for kind in BLOOM_KINDS {
        let members = hashes(20_000, 2);
        let shared = SharedBuilder::new(kind, 10.0, 20_000).unwrap();
        let announced = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (i, &hash) in members.iter().enumerate() {
                    shared.insert_hash(hash);
                    announced.store(i + 1, Ordering::Release);
                }
            });
            scope.spawn(|| check_announced(&shared, &members, &announced));
        });
    }
}

fn check_announced(shared: &SharedBuilder, members: &[u64], announced: &AtomicUsize) {
    let mut random = StdRng::seed_from_u64(3);
    let mut until = 0;
    while until < members.len() {
        until = announced.load(Ordering::Acquire);
        for _ in 0..until.min(10) {
            assert!(shared.may_contain_hash(members[random.random_range(0..until)]));
        }
    }
}

#[test]
fn it_behaves_on_every_budget_and_count() {
    assert!(SharedBuilder::new(Kind::Ribbon, 10.0, 10).is_none());
    for kind in BLOOM_KINDS {
        // More keys than expected, none expected, a billion on a small budget, no budget at all.
        for (bits, expected) in
            [(10.0, 10), (10.0, 0), (1e-3, 1_000_000_000), (0.0, 10), (f64::NAN, 10)]
        {
            let members = hashes(1_000, 4);
            let shared = SharedBuilder::new(kind, bits, expected).unwrap();
            shared.insert_hashes(&members);
            assert!(members.iter().all(|&hash| shared.may_contain_hash(hash)));
            assert!(shared.memory_usage() <= 130_000);
            let filter = Filter::decode(shared.finish()).unwrap();
            assert!(members.iter().all(|&hash| filter.may_contain_hash(hash)), "{kind:?} {bits}");
        }
        let fresh = SharedBuilder::new(kind, 10.0, 10).unwrap();
        assert!(!fresh.may_contain(b"nothing yet"));
    }
}
