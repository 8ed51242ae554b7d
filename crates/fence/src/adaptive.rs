//! Which layout suits these separators, and why.
//!
//! 1. The choice is a pure function of a few measured properties; the same separators always get
//!    the same layout.
//! 2. The thresholds are crossovers that were measured; `docs/performance.md` has the tables.

use std::fmt;

use crate::Layout;

/// What memory is worth to whoever holds the fence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Memory {
    /// Time matters more.
    #[default]
    Plenty,
    /// Bytes matter more: fences of many tables share a budget.
    Tight,
}

/// What the choice of a layout depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shape {
    /// Separators.
    pub count: usize,
    /// Share of neighbours whose first 8 bytes after the common prefix are equal, 0 to 1.
    pub tied: f64,
    /// Share of separators in stretches too dense for [`Layout::Linear`], 0 to 1.
    pub crowded: f64,
    /// Bytes of [`Layout::Compressed`] for each byte of [`Layout::Standard`], if it was tried out:
    /// only tight memory asks.
    pub compressed: Option<f64>,
}

/// A layout and the reason for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What was chosen; never [`Layout::Adaptive`].
    pub layout: Layout,
    /// Why, in one sentence with the figures that decided.
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.layout, self.reason)
    }
}

/// Up to here two steps over four neighbours are as fast as one wide node (15.3 against 16.0 ns at
/// 16 separators, 17.3 against 16.0 ns at 32), and nothing is filled up.
pub const SMALL_COUNT_MAX: usize = 16;

/// From here on, telling ties apart costs more than stripping a prefix in each node: the crossover
/// lies at 35 % of 100,000 separators with all lines in the nearest caches, and at 70 % without.
pub const TIED_SHARE_MIN: f64 = 0.5;

/// Above this, too many searches by a line end in halving (38 against 40 ns of a wide tree at 15 %,
/// 42 against 40 ns at 20 % of 100,000 separators).
pub const CROWDED_SHARE_MAX: f64 = 0.15;

/// With memory tight, compression must save at least a tenth to be worth its time.
pub const COMPRESSED_SHARE_MAX: f64 = 0.9;

/// Chooses a layout for separators of this shape.
#[must_use]
pub fn choose(shape: &Shape, memory: Memory) -> Choice {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let Shape { count, tied, crowded, compressed } = *shape;
    let worth = compressed.filter(|share| *share < COMPRESSED_SHARE_MAX);
    if let (Memory::Tight, Some(compressed)) = (memory, worth) {
        let saved = percent(1.0 - compressed);
        let reason = format!("memory is tight, and front coding saves {saved}");
        return Choice { layout: Layout::Compressed, reason };
    }
    if count <= SMALL_COUNT_MAX {
        let reason = format!("{count} separators need no wide nodes");
        return Choice { layout: Layout::FastLane, reason };
    }
    if tied >= TIED_SHARE_MIN {
        let tied = percent(tied);
        let reason = format!("{tied} of neighbours share 8 bytes, so each node strips its prefix");
        return Choice { layout: Layout::PrefixTree, reason };
    }
    if crowded <= CROWDED_SHARE_MAX {
        let crowded = percent(crowded);
        let reason = format!("spread evenly, {crowded} in crowded stretches: a line finds them");
        return Choice { layout: Layout::Linear, reason };
    }
    let crowded = percent(crowded);
    let reason =
        format!("distinct in 8 bytes, but {crowded} are in crowded stretches: a wide tree");
    Choice { layout: Layout::Wide, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_decides_somewhere() {
        let even = Shape { count: 10_000, tied: 0.0, crowded: 0.0, compressed: Some(0.95) };
        let cases = [
            (even, Layout::Linear, "spread evenly, 0.0 %"),
            (Shape { crowded: 0.4, ..even }, Layout::Wide, "40.0 % are in crowded"),
            (Shape { tied: 0.5, crowded: 0.4, ..even }, Layout::PrefixTree, "50.0 %"),
            (Shape { count: 16, ..even }, Layout::FastLane, "16 separators"),
            (Shape { count: 17, ..even }, Layout::Linear, "spread evenly"),
        ];
        for (shape, layout, reason) in cases {
            for memory in [Memory::Plenty, Memory::Tight] {
                let choice = choose(&shape, memory);
                assert_eq!(choice.layout, layout, "{shape:?}");
                assert!(choice.reason.contains(reason), "{choice}");
            }
            let choice = choose(&Shape { compressed: Some(0.4), ..shape }, Memory::Tight);
            assert_eq!(choice.layout, Layout::Compressed, "{shape:?}");
            assert_eq!(
                choice.to_string(),
                "Compressed: memory is tight, and front coding saves 60.0 %"
            );
        }
    }
}
