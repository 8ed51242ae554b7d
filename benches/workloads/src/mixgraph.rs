//! Production at Facebook as a synthetic load: db_bench's `mixgraph` (Cao, Dong, Vemuri, Du, FAST
//! 2020) with the parameters printed there for ZippyDB. Keys are 48 bytes, a big-endian number and
//! padding.
//!
//! Key ranges are weighted and shuffled; hot keys lie close together within them; what an operation
//! is and how large its value is come from one draw. A value is a function of its key and its
//! length.

use crate::engine::{Engine, Result};
use crate::keys::{Values, mix, shuffled};
use crate::points::index;
use crate::report::Measure;
use crate::run::{Extent, run};

const KEY_BYTES: usize = 48;
const LOADED_VALUE_BYTES: usize = 43;
/// The longest value that an operation draws.
pub const VALUE_BYTES_MAX: usize = 1024;
const RANGES: u64 = 30;
const RANGE_WEIGHT: [f64; 4] = [14.18, -2.917, 0.0164, -0.08082];
const KEY_POWER: [f64; 2] = [0.002_312, 0.3467];
/// Generalised Pareto (k, sigma) of value bytes and of entries that a seek reads.
const VALUE: [f64; 2] = [0.2615, 25.45];
const STEPS: [f64; 2] = [2.517, 14.236];

/// What to do, drawn before the clock runs.
#[derive(Debug, Clone, Copy)]
enum Step {
    Get(u64),
    Put(u64, usize),
    Seek(u64, u64),
}

fn key(rank: u64) -> [u8; KEY_BYTES] {
    let mut key = [b'0'; KEY_BYTES];
    #[expect(clippy::big_endian_bytes, reason = "keys sort by number, as db_bench's do")]
    key[..8].copy_from_slice(&rank.to_be_bytes());
    key
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn pareto([k, sigma]: [f64; 2], u: f64) -> u64 {
    (sigma * (u.powf(-k) - 1.0) / k).ceil().clamp(0.0, 1e15) as u64
}

/// The key ranges: each one's start and the sum of the weights up to its end.
struct Ranges {
    ends: Vec<(u64, u64)>,
    range_keys: u64,
}

impl Ranges {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, positive")]
    fn new(records: u64) -> Self {
        let [a, b, c, d] = RANGE_WEIGHT;
        let weight = |x: f64| a * (b * x).exp() + c * (d * x).exp();
        let least = weight(RANGES as f64);
        let weights: Vec<u64> =
            (1..=RANGES).map(|x| (weight(x as f64) / least).ceil() as u64).collect();
        let range_keys = (records / RANGES).max(1);
        let mut sum = 0;
        let ends = shuffled(RANGES, 31)
            .into_iter()
            .enumerate()
            .map(|(place, range)| {
                sum += weights[index(range)];
                (sum, place as u64 * range_keys)
            })
            .collect();
        Self { ends, range_keys }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, positive")]
    fn key(&self, draw: u64) -> u64 {
        let total = self.ends.last().map_or(1, |(end, _)| *end);
        let range = self.ends.partition_point(|(end, _)| *end <= draw % total);
        let v = (draw % self.range_keys) as f64 / self.range_keys as f64;
        let seed = (v / KEY_POWER[0]).powf(1.0 / KEY_POWER[1]).ceil() as u64;
        self.ends[range].1 + mix(seed) % self.range_keys
    }
}

fn step(ranges: &Ranges, records: u64, draw: u64) -> Step {
    let u = ((draw % records) as f64 / records as f64).max(1e-9);
    let rank = ranges.key(draw);
    match u {
        u if u < 0.83 => Step::Get(rank),
        u if u < 0.97 => {
            let bytes = pareto(VALUE, u).max(10);
            let bytes = if bytes > 1024 { bytes % 1024 } else { bytes };
            Step::Put(rank, index(bytes.max(10)))
        }
        u => Step::Seek(rank, pareto(STEPS, u) % 10_000),
    }
}

/// Loads `records` in random order and runs `calls` operations; two figures.
///
/// # Errors
/// Whatever the engine reports.
///
/// # Panics
/// If a value is wrong or an entry is missing.
pub fn mixgraph(
    engine: &dyn Engine,
    values: &Values,
    records: u64,
    extent: Extent,
) -> Result<Vec<Measure>> {
    let value = |rank: u64, bytes: usize| values.slice(rank, 0, bytes);
    let order = shuffled(records, 37);
    let load =
        run(engine, "mixgraph load", Extent { calls: records, ..extent }, &|session, at| {
            let rank = order[index(at)];
            session.put(&key(rank), value(rank, LOADED_VALUE_BYTES))?;
            Ok(1)
        })?;
    let mut session = engine.session()?;
    for rank in &order[index(load.calls[0])..] {
        session.put(&key(*rank), value(*rank, LOADED_VALUE_BYTES))?;
    }
    drop(session);
    engine.settle()?;
    let ranges = Ranges::new(records);
    let plan: Vec<Step> = (0..extent.calls).map(|at| step(&ranges, records, mix(at))).collect();
    let ran = run(engine, "mixgraph", extent, &|session, at| {
        match plan[index(at)] {
            Step::Put(rank, bytes) => session.put(&key(rank), value(rank, bytes))?,
            Step::Get(rank) => {
                let mut right = false;
                let check = &mut |found: &[u8]| right = found == value(rank, found.len());
                session.get(&key(rank), check)?;
                assert!(right || !engine.stores(), "record {rank}");
            }
            Step::Seek(rank, steps) => {
                let mut at = rank;
                session.scan(&key(rank), &mut |found, bytes| {
                    assert_eq!(found, key(at), "entries in order");
                    assert!(bytes == value(at, bytes.len()), "record {at}");
                    at += 1;
                    at <= rank + steps
                })?;
                let end = (rank + steps + 1).min(records);
                assert!(at == end || !engine.stores(), "{at} of {end}");
            }
        }
        Ok(1)
    })?;
    Ok(vec![load.measure, ran.measure])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_and_the_sizes_are_the_papers() {
        let (records, draws) = (100_000, 200_000);
        let ranges = Ranges::new(records);
        let (mut gets, mut puts, mut bytes, mut seeks) = (0, 0, 0, 0);
        let mut seen = std::collections::HashMap::<u64, u32>::new();
        for at in 0..draws {
            let rank = match step(&ranges, records, mix(at)) {
                Step::Get(rank) => {
                    gets += 1;
                    rank
                }
                Step::Put(rank, size) => {
                    puts += 1;
                    bytes += size;
                    assert!((10..=VALUE_BYTES_MAX).contains(&size));
                    rank
                }
                Step::Seek(rank, steps) => {
                    seeks += 1;
                    assert!(steps < 10_000);
                    rank
                }
            };
            assert!(rank < records);
            *seen.entry(rank).or_default() += 1;
        }
        let share = |count: u64| count as f64 / draws as f64;
        assert!((share(gets) - 0.83).abs() < 0.01 && (share(puts) - 0.14).abs() < 0.01);
        assert!((share(seeks) - 0.03).abs() < 0.01 && bytes > 0);
        let hottest = *seen.values().max().unwrap();
        assert!(hottest > 20, "hot keys are hot: {hottest}");
    }
}
