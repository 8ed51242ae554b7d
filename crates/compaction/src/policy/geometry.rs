//! How large each level of a given tree may be, and which levels are in use.
//!
//! 1. Trees with one run in the last level are measured from below: the last level is given, each
//!    level above may hold a `size_ratio`th of the one under it, up to the base level, where L0
//!    empties. That one holds between half of `base_bytes` and `size_ratio / 2` times as much: a
//!    smaller level would cost more rewriting than it saves. (Between all and `size_ratio` times
//!    as much if several runs may rest there: then a level costs one rewrite only.) Levels above
//!    it should be empty.
//! 2. Trees with several runs in the last level grow downwards from L1.

use crate::levels::Levels;
use crate::number::{to_u64, to_usize};
use crate::options::Options;
use crate::policy::fluid::Shape;

/// The last level of a tree measured from below while it is small: so most trees look alike.
const LAST_LEVEL_MIN: usize = 6;

/// The levels of one tree and their limits.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    /// The level that L0 empties into; at least 1.
    pub(crate) base: usize,
    /// The last level.
    pub(crate) last: usize,
    /// Bytes that each level may hold, by rank; L0 and levels above the base have 0.
    pub(crate) limits: Vec<u64>,
}

impl Geometry {
    pub(crate) fn of(levels: &Levels, shape: Shape, options: &Options) -> Geometry {
        if shape.last_runs > 1 {
            let runs = u64::from(shape.inner_runs.max(1));
            let base_bytes = options.base_bytes.saturating_mul(runs);
            Geometry::from_above(levels, base_bytes, options.size_ratio)
        } else {
            Geometry::from_below(levels, shape, options)
        }
    }

    fn from_above(levels: &Levels, base_bytes: u64, ratio: u32) -> Geometry {
        let last = levels.deepest().unwrap_or(1).max(1);
        let mut limits = vec![0];
        let mut limit = base_bytes;
        for _ in 1..=last + 1 {
            limits.push(limit);
            limit = limit.saturating_mul(u64::from(ratio));
        }
        Geometry { base: 1, last, limits }
    }

    fn from_below(levels: &Levels, shape: Shape, options: &Options) -> Geometry {
        let (base_bytes, ratio) = (options.base_bytes, options.size_ratio);
        let most_at_base = if shape.inner_runs > 1 {
            base_bytes as f64 * f64::from(ratio)
        } else {
            base_bytes as f64 * f64::from(ratio) / 2.0
        };
        let span = (levels.bytes() as f64 / base_bytes as f64).max(1.0);
        let wanted = 1 + to_usize((span.ln() / f64::from(ratio).ln()).ceil());
        let last = wanted.max(LAST_LEVEL_MIN).max(levels.deepest().unwrap_or(0));
        let most = (1..=last).map(|rank| levels.level(rank).bytes()).max().unwrap_or(0);
        let mut limits = vec![0; last + 2];
        let (mut base, mut limit) = (last, most as f64);
        while base > 1 && limit > most_at_base {
            limits[base] = to_u64(limit);
            base -= 1;
            limit /= f64::from(ratio);
        }
        limits[base] = to_u64(limit).max(base_bytes / 2).max(1);
        limits[last] = limits[last].max(base_bytes);
        limits[last + 1] = u64::MAX;
        Geometry { base, last, limits }
    }

    /// Returns where data of `level` goes next.
    pub(crate) fn below(&self, level: usize) -> usize {
        if level < self.base { self.base } else { level + 1 }
    }

    /// Returns how many bytes `level` may hold.
    pub(crate) fn limit(&self, level: usize) -> u64 {
        self.limits.get(level).copied().unwrap_or(u64::MAX)
    }
}
