//! Compaction that somebody asked for: all keys of a range into one run of their last level, one
//! column of keys after the other, so that the temporary space stays small.

use crate::draft::{Scene, Seed, Target};
use crate::levels::{KeyRange, Levels, Run};
use crate::options::Options;
use crate::plan::{OutputRun, places};
use crate::policy::{Manual, Picked};

/// Picks the next step of `manual`; data that lies in L0 alone goes to level `last`.
pub(crate) fn pick(scene: &Scene<'_>, options: &Options, manual: &Manual, last: usize) -> Picked {
    let touches = |run: &Run| !in_range(run, manual).is_empty();
    let found = places(scene.levels).filter(|(_, run)| touches(run)).last();
    let Some(((level, rank), oldest)) = found else { return Picked::Done };
    let table_bytes = options.target_table_bytes;
    let (target, above) = if level == 0 {
        let output = OutputRun::New;
        (Target { level: last, output, table_bytes }, (last, 0))
    } else {
        let output = OutputRun::Into(oldest.id);
        (Target { level, output, table_bytes }, (level, rank))
    };
    let seeds = column(scene.levels, manual, above, options.max_job_bytes);
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

/// The next tables, in key order, that lie in places newer than `above` and hold data from before
/// the request.
fn column(levels: &Levels, manual: &Manual, above: (usize, usize), max_bytes: u64) -> Vec<Seed> {
    let old = |seqno: u64| seqno <= manual.before_seqno;
    let mut tables = Vec::new();
    for (place, run) in places(levels).filter(|(place, _)| *place < above) {
        for rank in in_range(run, manual).filter(|&rank| old(run.tables[rank].min_seqno)) {
            tables.push((&run.tables[rank].smallest, run.tables[rank].bytes, place, rank));
        }
    }
    tables.sort();
    let (mut seeds, mut sum): (Vec<Seed>, u64) = (Vec::new(), 0);
    for (_, bytes, (level, run), rank) in tables {
        if sum > 0 && sum.saturating_add(bytes) > max_bytes {
            break;
        }
        sum += bytes;
        match seeds.iter_mut().find(|s| (s.level, s.run) == (level, run)) {
            Some(seed) => seed.tables.end = rank + 1,
            None => seeds.push(Seed { level, run, tables: rank..rank + 1 }),
        }
    }
    seeds
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
