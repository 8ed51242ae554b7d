//! Tiered: a level collects runs, and when there are enough they become one run of the next level.
//!
//! Each entry is rewritten about once a level; in return a read looks into every run. A large
//! merge is cut into columns of keys that are installed one by one ([`super::columns`]), so that it
//! needs the space of a column and not of the level.

use std::ops::Range;

use crate::levels::{KeyRange, Level, Run};
use crate::options::Granularity;
use crate::policy::fluid::Shape;

/// The shape: `size_ratio - 1` runs rest in every level; one more and they are merged.
pub(crate) fn shape(size_ratio: u32) -> Shape {
    let runs = size_ratio.saturating_sub(1).max(1);
    Shape { inner_runs: runs, last_runs: runs, granularity: Granularity::Whole }
}

/// Returns which runs of `level` belong to a merge into `front` that has begun and is not done, if
/// there is one.
///
/// Its outputs hold entries as new as those that still wait, and lie before them in key order but
/// for the tables at the cut. A run of an earlier merge is older than all of them; two levels of a
/// leveled tree overlap everywhere.
pub(crate) fn unfinished(level: &Level, front: &Run) -> Option<Range<usize>> {
    let newest = front.max_seqno();
    let first = level.runs.iter().position(|run| run.min_seqno() <= newest)?;
    let waiting = &level.runs[first..];
    let mut hull: KeyRange = waiting.first()?.range();
    for run in waiting {
        hull.include(&run.range());
    }
    let under = front.overlapping(&hull);
    let at_the_cut = under.is_empty() && front.range().largest < hull.smallest
        || under.end == front.tables.len() && under.len() <= waiting.len() + 1 && under.start > 0;
    at_the_cut.then_some(first..level.runs.len())
}
