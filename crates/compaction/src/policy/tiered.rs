//! Tiered: a level collects runs, and when there are enough they become one run of the next level.
//!
//! Each entry is rewritten about once a level; in return a read looks into every run. A large
//! merge is cut into columns of keys that are installed one by one, so that it needs the space of a
//! column and not of the level (the idea of Dayan et al., "Spooky", 2022). That is for levels of
//! several runs: a lone run that moves as a whole (lazy-l0, or a size ratio of 2) is one job.

use std::ops::Range;

use crate::draft::{Scene, Seed, Target};
use crate::levels::{KeyRange, Level, Run};
use crate::options::Granularity;
use crate::plan::Plan;
use crate::policy::fluid::Shape;

/// The shape: `size_ratio - 1` runs rest in every level; one more and they are merged.
pub(crate) fn shape(size_ratio: u32) -> Shape {
    let runs = size_ratio.saturating_sub(1).max(1);
    Shape { inner_runs: runs, last_runs: runs, granularity: Granularity::Whole }
}

/// Merges the runs `ranks` of `level` into `target`: all of them, or, if they hold more than
/// `max_job_bytes`, the column with their smallest keys.
pub(crate) fn pick_column(
    scene: &Scene<'_>,
    level: usize,
    ranks: Range<usize>,
    (target, max_job_bytes): (Target, u64),
    reason: String,
) -> Option<Plan> {
    let seeds = column(scene.levels.level(level), level, ranks, max_job_bytes);
    scene.draft(&seeds, target, reason)
}

/// Returns the first tables of each run, up to a common key, that hold about `max_bytes` together.
pub(crate) fn column(level: &Level, rank: usize, ranks: Range<usize>, max_bytes: u64) -> Vec<Seed> {
    let runs = &level.runs[ranks.clone()];
    let total: u64 = runs.iter().map(|run| run.bytes()).sum();
    let mut ends: Vec<usize> = runs.iter().map(|run| run.tables.len()).collect();
    if total > max_bytes {
        let mut tables: Vec<_> = runs.iter().flat_map(|run| run.tables.iter()).collect();
        tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        let mut sum = 0;
        let inside = tables.iter().take_while(|t| {
            sum += t.bytes;
            sum <= max_bytes
        });
        let count = inside.count().max(1);
        let limit = &tables[count - 1].smallest;
        for (end, run) in ends.iter_mut().zip(runs) {
            *end = run.tables.partition_point(|t| t.smallest <= *limit);
        }
    }
    let pieces = ranks.zip(ends).filter(|(_, end)| *end > 0);
    pieces.map(|(run, end)| Seed { level: rank, run, tables: 0..end }).collect()
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
