//! How many filter bits a key a new table gets: an equal share, or the share of its level that
//! makes the reads wasted by false positives fewest (Monkey; Dayan, Athanassoulis, Idreos, 2017).
//!
//! The budget is the tree's keys times the bits a key of the options. Newer levels are small, so
//! many bits cost little there; the largest level gives what they take. A table keeps the bits it
//! was written with; levels are rewritten often enough for the split to follow the tree's growth.

use bloom::monkey::{self, Level};
use compaction::Levels;

use crate::family_options::FamilyOptions;

/// Bits a key beyond which filters of one cache line a key gain little.
const BITS_MAX: f64 = 16.0;

/// How filter bits are split over the levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FilterSplit {
    /// By the levels' sizes, so that false positives are fewest in sum.
    #[default]
    Monkey,
    /// The same in every level.
    Even,
}

/// Kind and bits a key of the filter of a table with `entries` entries, for `level` of a tree of
/// this shape.
pub(crate) fn for_level(
    options: &FamilyOptions,
    shape: &Levels,
    level: usize,
    entries: u64,
) -> (bloom::Kind, f64) {
    let last = shape.deepest().unwrap_or(0).max(level);
    let kind_of = |rank: usize| {
        let own = options.filter_kind_last.filter(|_| rank == last && rank > 0);
        own.unwrap_or(options.filter_kind)
    };
    let kind = kind_of(level);
    if options.filter_split == FilterSplit::Even || options.filter_bits_per_key <= 0.0 {
        return (kind, options.filter_bits_per_key);
    }
    let levels: Vec<Level> = (0..=last)
        .map(|rank| {
            let found = shape.level(rank);
            let mut keys = found.totals().entries;
            if rank == level {
                keys = keys.max(entries);
            }
            let runs = u32::try_from(found.runs.len().max(1)).unwrap_or(u32::MAX);
            Level { keys: keys as f64, runs, kind: kind_of(rank) }
        })
        .collect();
    let budget = levels.iter().map(|level| level.keys).sum::<f64>() * options.filter_bits_per_key;
    let cap = BITS_MAX.max(options.filter_bits_per_key);
    let bits =
        monkey::allocate(&levels, budget, cap).ok().and_then(|bits| bits.get(level).copied());
    (kind, bits.unwrap_or(options.filter_bits_per_key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use compaction::{Run, TableInfo};
    use std::sync::Arc;

    fn tree(entries: &[u64]) -> Levels {
        let mut levels = Levels::new();
        for (rank, &entries) in entries.iter().enumerate().filter(|(_, entries)| **entries > 0) {
            let info = TableInfo { id: rank as u64, entries, ..TableInfo::default() };
            levels.push_run(rank, Run::new(rank as u64, vec![Arc::new(info)]));
        }
        levels
    }

    #[test]
    fn small_levels_get_more_bits_and_the_budget_holds() {
        let options = FamilyOptions::default();
        let tree = tree(&[1_000, 10_000, 100_000]);
        let bits: Vec<f64> = (0..3).map(|level| for_level(&options, &tree, level, 0).1).collect();
        assert!(bits[0] > bits[1] && bits[1] > bits[2], "{bits:?}");
        assert!(bits[0] <= BITS_MAX && bits[2] > 8.0, "{bits:?}");
        let spent = bits[0] * 1e3 + bits[1] * 1e4 + bits[2] * 1e5;
        assert!(spent <= 10.0 * 111e3 + 1.0, "{spent}");
        let even = FamilyOptions { filter_split: FilterSplit::Even, ..options.clone() };
        assert!((for_level(&even, &tree, 0, 0).1 - 10.0).abs() < 1e-9);
        let none = FamilyOptions { filter_bits_per_key: 0.0, ..options };
        assert!(for_level(&none, &tree, 0, 0).1.abs() < 1e-9);
    }

    #[test]
    fn an_only_level_gets_the_bits_it_asks_for() {
        let options = FamilyOptions::default();
        let (kind, bits) = for_level(&options, &Levels::new(), 0, 1000);
        assert_eq!(kind, options.filter_kind);
        assert!((bits - 10.0).abs() < 0.01, "{bits}");
    }

    #[test]
    fn the_last_level_may_have_a_kind_of_its_own() {
        let last = Some(bloom::Kind::Ribbon);
        let options = FamilyOptions { filter_kind_last: last, ..FamilyOptions::default() };
        let tree = tree(&[1_000, 10_000, 100_000]);
        assert_eq!(for_level(&options, &tree, 1, 0).0, options.filter_kind);
        assert_eq!(for_level(&options, &tree, 2, 0).0, bloom::Kind::Ribbon);
        assert_eq!(for_level(&options, &tree, 3, 500_000).0, bloom::Kind::Ribbon);
    }
}
