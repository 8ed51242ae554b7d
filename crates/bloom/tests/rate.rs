//! Measured false-positive rates against the theory of each layout.
//!
//! Quick by default; `BLOOM_ABSENT_KEYS=10000000` asks that many absent keys, in a release build.

#![expect(clippy::print_stdout, reason = "the table is shown by --nocapture")]

use bloom::{Filter, Kind, build, sizing, theory};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const MEMBERS: usize = 200_000;

#[test]
fn measured_rates_are_those_of_the_theory() {
    let absent = std::env::var("BLOOM_ABSENT_KEYS")
        .map_or(600_000, |count| count.parse::<usize>().expect("a number of keys"));
    let mut random = StdRng::seed_from_u64(20_26);
    let members: Vec<u64> = (0..MEMBERS).map(|_| random.random()).collect();
    println!("kind          bits   measured %  95 % interval     theory %");
    for &kind in Kind::ALL {
        for bits in [8.0, 10.0, 12.0, 16.0] {
            let bytes = build(kind, bits, &members);
            let filter = Filter::decode(&bytes).unwrap();
            let mut positives = 0;
            let mut answers = [false; 1_000];
            for _ in 0..absent / answers.len() {
                let asked: [u64; 1_000] = std::array::from_fn(|_| random.random());
                filter.may_contain_hashes(&asked, &mut answers);
                positives += answers.iter().filter(|answer| **answer).count();
            }
            let rate = positives as f64 / absent as f64;
            let sigma = (positives as f64).sqrt() / absent as f64;
            let probes = sizing::probes(kind, bits);
            let expected = match kind {
                // What the columns say; small filters pay a little more for them.
                Kind::Ribbon => sizing::rate(kind, bits),
                _ => theory::rate(kind, filter.bits_per_key(), probes.into()),
            };
            let (low, high) = (rate - 1.96 * sigma, rate + 1.96 * sigma);
            println!(
                "{:<12} {bits:>5} {:>11.4} {:>8.4}-{:<8.4} {:>9.4}",
                format!("{kind:?}"),
                rate * 100.0,
                low * 100.0,
                high * 100.0,
                expected * 100.0
            );
            let off = (rate / expected - 1.0).abs();
            assert!(off < f64::max(0.05, 3.5 * sigma / rate), "{kind:?} with {bits} bits: {off}");
            let spent = filter.bits_per_key();
            assert!(
                spent < bits * 1.01 && spent > bits * 0.97,
                "{kind:?} spends {spent} of {bits}"
            );
        }
    }
}
