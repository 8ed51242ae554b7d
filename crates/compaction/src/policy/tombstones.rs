//! Tombstones on their way out: deadlines first, dense tables when there is time.
//!
//! A tombstone can be forgotten only where nothing older lies under it. So a table with overdue
//! tombstones is pushed down level by level until it gets there (Sarkar et al., "Lethe", 2020);
//! a table that is mostly tombstones makes scans crawl and is pushed down when nothing else is to
//! do (after Pebble's tombstone density, 2024).

use std::sync::Arc;

use crate::draft::{Scene, Seed, Target};
use crate::levels::{Run, TableInfo};
use crate::number::to_u64;
use crate::options::Options;
use crate::plan::{OutputRun, Plan, places};

/// Picks the table with the oldest overdue tombstone.
pub(crate) fn pick_expired(scene: &Scene<'_>, options: &Options, way: Way<'_>) -> Option<Plan> {
    let age = options.max_tombstone_age_us?;
    let overdue = |t: &TableInfo| {
        scene.ctx.now_us > 0 && t.tombstones_since_us.saturating_add(age) <= scene.ctx.now_us
    };
    let reason = format!("tombstones: older than {} s", age / 1_000_000);
    let rank = |t: &TableInfo| t.tombstones_since_us;
    pick(scene, (&overdue, &rank), (way, &reason))
}

/// Picks the table with the largest share of tombstones above the limit.
pub(crate) fn pick_dense(scene: &Scene<'_>, options: &Options, way: Way<'_>) -> Option<Plan> {
    let limit = options.tombstone_density;
    let share = |t: &TableInfo| t.tombstones as f64 / t.entries.max(1) as f64;
    let dense = |t: &TableInfo| limit > 0.0 && share(t) >= limit;
    let reason = format!("tombstones: more than {:.0} % of a table", limit * 100.0);
    let rank = |t: &TableInfo| u64::MAX - to_u64(share(t) * 1e9);
    pick(scene, (&dense, &rank), (way, &reason))
}

/// Returns whether a rewrite of the table at the bottom forgets all its tombstones: no snapshot
/// reads any of it.
fn forgettable(scene: &Scene<'_>, table: &TableInfo) -> bool {
    scene.ctx.oldest_snapshot.is_none_or(|snapshot| table.max_seqno <= snapshot)
}

/// The way down: which level is below a level, and how outputs enter a run of a level.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) below: &'a dyn Fn(usize) -> usize,
    pub(crate) into: &'a dyn Fn(usize, OutputRun) -> Target,
}

type Rule<'a> = (&'a dyn Fn(&TableInfo) -> bool, &'a dyn Fn(&TableInfo) -> u64);

fn pick(
    scene: &Scene<'_>,
    (wanted, rank): Rule<'_>,
    (way, reason): (Way<'_>, &str),
) -> Option<Plan> {
    let mut found: Vec<(u64, Seed, Arc<TableInfo>)> = Vec::new();
    for (level, here) in scene.levels.levels.iter().enumerate() {
        for (run, tables) in here.runs.iter().map(|run| &run.tables).enumerate() {
            for (place, table) in tables.iter().enumerate() {
                let free = table.tombstones > 0 && !scene.busy.holds(table.id);
                if free && wanted(table) {
                    let seed = Seed { level, run, tables: place..place + 1 };
                    found.push((rank(table), seed, Arc::clone(table)));
                }
            }
        }
    }
    found.sort_by_key(|(rank, _, table)| (*rank, table.id));
    found.into_iter().find_map(|(_, seed, table)| {
        let target = target(scene, &seed, &table, way)?;
        scene.draft_small(&[seed], target, reason.to_owned())
    })
}

/// Returns where the table goes: down, while anything older lies under it; else it is rewritten in
/// its place, if that helps.
fn target(scene: &Scene<'_>, seed: &Seed, table: &TableInfo, way: Way<'_>) -> Option<Target> {
    let range = table.range();
    let here = (seed.level, seed.run);
    let own = scene.levels.level(seed.level).runs.get(seed.run)?;
    let under = places(scene.levels)
        .filter(|(place, run)| *place > here && !run.overlapping(&range).is_empty())
        .last();
    let in_place = |run: &Run| (way.into)(seed.level, OutputRun::Into(run.id));
    match under {
        None => return forgettable(scene, table).then(|| in_place(own)),
        Some(((level, _), oldest)) if level == seed.level && level > 0 => {
            return Some(in_place(oldest));
        }
        Some(_) => {}
    }
    let level = (way.below)(seed.level);
    let output = match scene.levels.level(level).runs.first() {
        Some(front) => OutputRun::Into(front.id),
        None => OutputRun::New,
    };
    Some((way.into)(level, output))
}
