//! Compaction that somebody asked for: all keys of a range into one run of their last level, one
//! column of keys after the other, so that the temporary space stays small.

use crate::draft::{Scene, Seed, Target};
use crate::levels::{KeyRange, Levels, Run};
use crate::plan::{OutputRun, places};
use crate::policy::columns::{self, Part};
use crate::policy::{Manual, Picked};

/// Picks the next step of `manual`; data that lies in L0 alone goes to level `last`.
pub(crate) fn pick(
    scene: &Scene<'_>,
    manual: &Manual,
    last: usize,
    into: &dyn Fn(usize, OutputRun) -> Target,
) -> Picked {
    let touches = |run: &Run| !in_range(run, manual).is_empty();
    let found = places(scene.levels).filter(|(_, run)| touches(run)).last();
    let Some(((level, rank), oldest)) = found else { return Picked::Done };
    let (target, above, under) = if level == 0 {
        (into(last, OutputRun::New), (last, 0), None)
    } else {
        (into(level, OutputRun::Into(oldest.id)), (level, rank), Some(oldest.as_ref()))
    };
    let parts = parts(scene.levels, manual, above);
    // Runs that end at different keys draw each other in: then the older half of them goes first.
    let mut newest = 0;
    let seeds = loop {
        let seeds = columns::column(&parts[newest..], under, target.job_bytes);
        let plan = scene.draft(&seeds, target, String::new());
        if newest + 1 >= parts.len() || plan.is_none_or(|p| p.fits(scene.levels, target.job_bytes))
        {
            break seeds;
        }
        newest += (parts.len() - newest).div_ceil(2);
    };
    let reason = |what: &str| format!("manual: {what} L{}", target.level);
    if !seeds.is_empty() {
        let plan = scene.draft(&seeds, target, reason("brings old data to"));
        return plan.map_or(Picked::Blocked, Picked::Plan);
    }
    match rewrite(scene, manual, ((level, rank), oldest), target, &reason("drops tombstones in")) {
        Picked::Done if waits_for_others(scene, manual) => Picked::Blocked,
        picked => picked,
    }
}

/// Ranks of the tables of `run` that the request touches.
fn in_range(run: &Run, manual: &Manual) -> std::ops::Range<usize> {
    match &manual.range {
        Some(range) => run.overlapping(range),
        None => 0..run.tables.len(),
    }
}

/// The tables of each run that lie in places newer than `above` and hold data from before the
/// request, and what lies between them.
fn parts<'a>(levels: &'a Levels, manual: &Manual, above: (usize, usize)) -> Vec<Part<'a>> {
    let part = |((level, rank), run): ((usize, usize), &'a std::sync::Arc<Run>)| {
        let range = in_range(run, manual);
        let old = |rank: &usize| run.tables[*rank].min_seqno <= manual.before_seqno;
        let (first, last) = (range.clone().find(old)?, range.rev().find(old)?);
        Some(Part { level, run: rank, first, tables: &run.tables[first..=last] })
    };
    places(levels).filter(|(place, _)| *place < above).filter_map(part).collect()
}

/// Rewrites a table of the last run whose tombstones no snapshot needs any more.
fn rewrite(
    scene: &Scene<'_>,
    manual: &Manual,
    ((level, run), oldest): ((usize, usize), &Run),
    target: Target,
    reason: &str,
) -> Picked {
    let snapshot = scene.ctx.oldest_snapshot.unwrap_or(u64::MAX);
    let mut blocked = false;
    for rank in in_range(oldest, manual) {
        let table = &oldest.tables[rank];
        let helps = table.tombstones > 0 && table.max_seqno <= snapshot;
        if level == 0 || !helps || table.id >= manual.before_table_id {
            continue;
        }
        let seed = Seed { level, run, tables: rank..rank + 1 };
        if let Some(plan) = scene.draft(&[seed], target, reason.to_owned()) {
            return Picked::Plan(plan);
        }
        blocked = true;
    }
    if blocked { Picked::Blocked } else { Picked::Done }
}

/// Whether running jobs still handle tables of the range.
fn waits_for_others(scene: &Scene<'_>, manual: &Manual) -> bool {
    let touched = |range: &KeyRange| manual.range.as_ref().is_none_or(|r| r.overlaps(range));
    let mut tables = scene.levels.tables();
    tables.any(|(_, table)| scene.busy.holds(table.id) && touched(&table.range()))
}
