//! What a shape costs in the long run, in closed form (Dayan & Idreos, "Dostoevsky", 2018, with the
//! filters of Dayan, Athanassoulis & Idreos, "Monkey", 2017).
//!
//! The formulas hold for a full tree of whole-level merges under uniform updates. The simulator
//! says how far a given engine and workload are from that.
//!
//! With size ratio T, K runs in an inner level, Z in the last, L levels, p the false positive rate
//! of a filter:
//!
//! | what | formula |
//! |---|---|
//! | levels | `L = ceil(log_T(data / buffer * (T - 1) / T))` |
//! | write amplification | `1 + (L - 1) (T - 1) / (K + 1) + (T - 1) / (Z + 1)` |
//! | runs | `K (L - 1) + Z` |
//! | blocks read for an absent key | `p * runs`, or with bits set by Monkey less |
//! | space amplification | `Z + 1 / T`, at most |

use crate::number::to_u64;
use crate::options::Options;

/// The shape of a tree and what it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tree {
    /// Size ratio between levels (T).
    pub size_ratio: f64,
    /// Runs in an inner level (K).
    pub inner_runs: f64,
    /// Runs in the last level (Z).
    pub last_runs: f64,
    /// Bytes of what arrives in the first level at once: the write buffer, times the runs of an L0.
    pub buffer_bytes: f64,
    /// Bytes of live data.
    pub data_bytes: f64,
    /// Bytes of one entry.
    pub entry_bytes: f64,
    /// Filter bits for each key.
    pub filter_bits_per_key: f64,
}

impl Tree {
    /// Describes what `options` make of `data_bytes` with a write buffer of `buffer_bytes`; `None`
    /// for FIFO, which has no such shape.
    pub fn of(options: &Options, buffer_bytes: u64, data_bytes: u64) -> Option<Tree> {
        let shape = options.shape()?;
        Some(Tree {
            size_ratio: f64::from(options.size_ratio),
            inner_runs: f64::from(shape.inner_runs),
            last_runs: f64::from(shape.last_runs),
            buffer_bytes: buffer_bytes as f64 * f64::from(options.l0_runs),
            data_bytes: data_bytes as f64,
            entry_bytes: 116.0,
            filter_bits_per_key: 10.0,
        })
    }

    /// The count of levels, at least 1; a buffer (or L0) in front of them does not count.
    pub fn level_count(&self) -> u64 {
        let t = self.size_ratio;
        let ratio = self.data_bytes / self.buffer_bytes.max(1.0) * (t - 1.0) / t;
        to_u64((ratio.ln() / t.ln()).ceil()).max(1)
    }

    /// How often each byte is written to a level, its flush into L0 included.
    pub fn write_amplification(&self) -> f64 {
        let inner = (self.size_ratio - 1.0) / (self.inner_runs + 1.0);
        let last = (self.size_ratio - 1.0) / (self.last_runs + 1.0);
        1.0 + (self.level_count() - 1) as f64 * inner + last
    }

    /// The runs of a full tree: where a scan must look.
    pub fn run_count(&self) -> f64 {
        (self.level_count() - 1) as f64 * self.inner_runs + self.last_runs
    }

    /// Blocks read by a get of an absent key with the same bits for every key.
    pub fn absent_key_blocks(&self) -> f64 {
        bloom_rate(self.filter_bits_per_key) * self.run_count()
    }

    /// Blocks read by a get of an absent key when the same memory is split among the levels as
    /// Monkey does: rates grow with the size of a run, up to 1.
    pub fn absent_key_blocks_monkey(&self) -> f64 {
        let sizes = self.run_sizes();
        let keys: f64 = sizes.iter().map(|(count, keys)| count * keys).sum();
        let memory = keys * self.filter_bits_per_key;
        // Rates proportional to size: rate = min(1, scale * keys). Find the scale that uses the
        // memory by halving the interval of its logarithm.
        let (mut low, mut high) = (-200.0f64, 0.0f64);
        for _ in 0..200 {
            let scale = f64::midpoint(low, high).exp();
            let bits = |keys: f64| -(scale * keys).min(1.0).ln() / (2f64.ln() * 2f64.ln());
            let used: f64 = sizes.iter().map(|(count, keys)| count * keys * bits(*keys)).sum();
            if used > memory { low = scale.ln() } else { high = scale.ln() }
        }
        sizes.iter().map(|(count, keys)| count * (high.exp() * keys).min(1.0)).sum()
    }

    /// Blocks read by a get of a present key in the last level, on average: its own, and the false
    /// positives of the runs before it.
    pub fn present_key_blocks(&self) -> f64 {
        let before = self.run_count() - f64::midpoint(self.last_runs, 1.0);
        1.0 + bloom_rate(self.filter_bits_per_key) * before.max(0.0)
    }

    /// Bytes on disk for one byte of live data, at most.
    pub fn space_amplification(&self) -> f64 {
        self.last_runs + 1.0 / self.size_ratio
    }

    /// Count of runs and keys in a run, level by level, the smallest first.
    fn run_sizes(&self) -> Vec<(f64, f64)> {
        let levels = self.level_count();
        let t = self.size_ratio;
        let last_keys = self.data_bytes / self.entry_bytes * (t - 1.0) / t;
        (1..=levels)
            .map(|level| {
                let keys = last_keys / t.powf((levels - level) as f64);
                let runs = if level == levels { self.last_runs } else { self.inner_runs };
                (runs, keys / runs)
            })
            .collect()
    }
}

/// The least false positive rate of a Bloom filter with that many bits for each key.
pub fn bloom_rate(bits_per_key: f64) -> f64 {
    (-bits_per_key.max(0.0) * 2f64.ln() * 2f64.ln()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(inner_runs: f64, last_runs: f64) -> Tree {
        Tree {
            size_ratio: 10.0,
            inner_runs,
            last_runs,
            buffer_bytes: 1e6,
            data_bytes: 0.9e11, // five levels
            entry_bytes: 100.0,
            filter_bits_per_key: 9.585,
        }
    }

    /// The report's table for ratio 10 and 5 levels, one memtable included.
    #[test]
    fn runs_are_those_of_the_textbook() {
        let places = |tree: Tree| 1.0 + tree.run_count();
        assert_eq!(tree(1.0, 1.0).level_count(), 5);
        assert!((places(tree(1.0, 1.0)) - 6.0).abs() < 1e-9);
        assert!((places(tree(10.0, 10.0)) - 51.0).abs() < 1e-9);
        // One tiered level in front of four leveled ones.
        let lazy = 10.0 + places(Tree { data_bytes: 0.9e10, ..tree(1.0, 1.0) });
        assert!((lazy - 15.0).abs() < 1e-9);
        assert!((1.0 + tree(1.0, 1.0).absent_key_blocks() - 1.05).abs() < 0.001);
        assert!((1.0 + tree(10.0, 10.0).absent_key_blocks() - 1.5).abs() < 0.01);
    }

    #[test]
    fn costs_go_where_the_papers_say() {
        let (leveled, tiered, lazy) = (tree(1.0, 1.0), tree(9.0, 9.0), tree(9.0, 1.0));
        assert!(tiered.write_amplification() < lazy.write_amplification());
        assert!(lazy.write_amplification() < leveled.write_amplification());
        assert!(leveled.run_count() < lazy.run_count());
        assert!(lazy.run_count() < tiered.run_count());
        assert!((leveled.write_amplification() - (1.0 + 5.0 * 4.5)).abs() < 1e-9);
        assert!((tiered.write_amplification() - (1.0 + 5.0 * 0.9)).abs() < 1e-9);
        assert!((leveled.space_amplification() - 1.1).abs() < 1e-9);
        assert!((lazy.space_amplification() - 1.1).abs() < 1e-9);
    }

    /// In a leveled tree Monkey's sum is about `T / (T - 1)` times the rate of the last level.
    #[test]
    fn monkey_beats_equal_bits() {
        for shape in [tree(1.0, 1.0), tree(9.0, 9.0), tree(9.0, 1.0)] {
            let (equal, monkey) = (shape.absent_key_blocks(), shape.absent_key_blocks_monkey());
            assert!(monkey < 0.5 * equal, "{monkey} against {equal}");
        }
        let no_memory = Tree { filter_bits_per_key: 0.0, ..tree(1.0, 1.0) };
        assert!((no_memory.absent_key_blocks_monkey() - 5.0).abs() < 1e-6);
    }
}
