//! The options of a policy, their limits, and how a strategy becomes a shape.

use std::fmt;

use crate::policy::Policy;
use crate::policy::fifo::Fifo;
use crate::policy::fluid::{Fluid, Shape};
use crate::policy::partial::Selection;
use crate::policy::{lazy, leveled, tiered};

/// The strategies, from the cheapest reads to the cheapest writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// One run a level below L0: cheapest reads and least space, dearest writes.
    #[default]
    Leveled,
    /// Leveled, with a chosen rule for which table goes down next.
    Partial(Selection),
    /// Several runs in every level but the last, which keeps one (Dayan & Idreos 2018).
    LazyLeveled,
    /// Only L0 holds several runs; whole levels move, in columns. The CS265 report's "lazy
    /// leveled".
    LazyL0,
    /// Several runs in every level: cheapest writes, dearest reads and space.
    Tiered,
    /// Any point between: runs that may rest in an inner and in the last level.
    Fluid {
        /// Runs that may rest in every level but the last: 1 up to the size ratio less 1.
        inner_runs: u32,
        /// Runs that may rest in the last level: 1 up to the size ratio less 1.
        last_runs: u32,
        /// How much moves at once.
        granularity: Granularity,
    },
    /// No merging: the oldest tables are deleted when there is too much or they are too old.
    Fifo {
        /// Bytes above which the oldest tables go; `u64::MAX` for no limit.
        max_bytes: u64,
        /// Age in microseconds above which a table goes; `None` for no limit.
        ttl_us: Option<u64>,
    },
}

/// How much one job takes from a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// The whole level, in columns of keys that are installed one after the other.
    Whole,
    /// One table and what lies under it. For levels of one run; others move in columns.
    Partial(Selection),
}

impl Default for Granularity {
    fn default() -> Granularity {
        Granularity::Partial(Selection::default())
    }
}

/// The options of every policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The strategy. Default: leveled.
    pub strategy: Strategy,
    /// Ratio between the sizes of neighbouring levels, 2 to 32. Default: 10. Larger means fewer
    /// levels: in leveled trees cheaper reads and dearer writes, in tiered ones the reverse.
    pub size_ratio: u32,
    /// Runs in L0 that ask for a compaction, 1 to 64. Default: 4.
    pub l0_runs: u32,
    /// Bytes that the first level below L0 should hold at most. Default: 256 MiB. Best about
    /// `l0_runs` times the write buffer.
    pub base_bytes: u64,
    /// Bytes at which an output table is closed. Default: 64 MiB. Smaller tables mean finer jobs
    /// and more files.
    pub target_table_bytes: u64,
    /// Bytes that one job takes, with what lies under it: at most these and one table of each run
    /// that takes part. Bounds the temporary space: it is that of the running jobs. Output tables
    /// are cut so that their way down is such a job; a tree that other options made may hold a
    /// table that alone lies over more. Default: 1 GiB.
    pub max_job_bytes: u64,
    /// Age in microseconds at which a tombstone is pushed to the last level, so that deleted data
    /// is gone by then (Sarkar et al., "Lethe", 2020). Default: `None`.
    pub max_tombstone_age_us: Option<u64>,
    /// Share of tombstones among a table's entries above which the table is compacted when nothing
    /// else is to do, 0 to 1; 0 switches it off. Default: 0.5.
    pub tombstone_density: f64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            strategy: Strategy::default(),
            size_ratio: 10,
            l0_runs: 4,
            base_bytes: 256 << 20,
            target_table_bytes: 64 << 20,
            max_job_bytes: 1 << 30,
            max_tombstone_age_us: None,
            tombstone_density: 0.5,
        }
    }
}

/// An option outside of its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOption {
    /// The option's name.
    pub name: &'static str,
    /// What would be right.
    pub expected: &'static str,
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compaction option {}: expected {}", self.name, self.expected)
    }
}

impl std::error::Error for InvalidOption {}

impl Options {
    /// Options for `strategy`, the rest as by default.
    pub fn new(strategy: Strategy) -> Options {
        Options { strategy, ..Options::default() }
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// The first option that is outside of its limits.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        let fail = |name, expected| Err(InvalidOption { name, expected });
        if !(2..=32).contains(&self.size_ratio) {
            return fail("size_ratio", "2 to 32");
        }
        if !(1..=64).contains(&self.l0_runs) {
            return fail("l0_runs", "1 to 64");
        }
        if self.base_bytes == 0 || self.target_table_bytes == 0 || self.max_job_bytes == 0 {
            return fail("base_bytes, target_table_bytes, max_job_bytes", "more than 0");
        }
        if !(0.0..=1.0).contains(&self.tombstone_density) {
            return fail("tombstone_density", "0 to 1");
        }
        if let Strategy::Fluid { inner_runs, last_runs, .. } = self.strategy {
            let most = self.size_ratio - 1;
            if !(1..=most).contains(&inner_runs) || !(1..=most).contains(&last_runs) {
                return fail("inner_runs, last_runs", "1 to size_ratio - 1");
            }
        }
        Ok(())
    }

    /// Builds the policy.
    ///
    /// # Errors
    /// As [`Options::validate`].
    pub fn build(&self) -> Result<Box<dyn Policy>, InvalidOption> {
        self.validate()?;
        if let Strategy::Fifo { max_bytes, ttl_us } = self.strategy {
            return Ok(Box::new(Fifo::new(self.clone(), max_bytes, ttl_us)));
        }
        Ok(Box::new(Fluid::new(self.clone())))
    }

    /// Returns the strategy as a point of the one shape; `None` for FIFO, which merges nothing.
    pub fn shape(&self) -> Option<Shape> {
        match self.strategy {
            Strategy::Leveled => Some(leveled::shape(Selection::default())),
            Strategy::Partial(selection) => Some(leveled::shape(selection)),
            Strategy::LazyLeveled => Some(lazy::shape(self.size_ratio)),
            Strategy::LazyL0 => Some(lazy::l0_shape()),
            Strategy::Tiered => Some(tiered::shape(self.size_ratio)),
            Strategy::Fluid { inner_runs, last_runs, granularity } => {
                Some(Shape { inner_runs, last_runs, granularity })
            }
            Strategy::Fifo { .. } => None,
        }
    }
}
