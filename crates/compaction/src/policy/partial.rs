//! Which table of a sorted level goes down next.
//!
//! Moving one table at a time keeps jobs short and temporary space small; the choice of the table
//! decides what is rewritten (Sarkar et al., "Constructing and analyzing the LSM compaction design
//! space", 2021).

use crate::draft::Scene;
use crate::levels::{Run, TableInfo};

/// The rule that picks a table. Ties go to the older table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Selection {
    /// The table with the fewest bytes under it, per byte of its own: the least write
    /// amplification.
    #[default]
    LeastOverlap,
    /// One after the other through the key space: even wear, no favourites.
    RoundRobin,
    /// The table with the largest share of tombstones: frees space early.
    MostTombstones,
    /// The table whose newest entry is the oldest: leaves what is being overwritten where it is.
    Oldest,
    /// The table that is read least: keeps the cached blocks alive.
    Coldest,
}

/// How many tables are tried before the level counts as blocked by running jobs.
const TRIES: usize = 32;

/// Returns ranks of free tables of `run` (in `level`), best first by `selection`; `target` is the
/// run that lies under it.
pub(crate) fn order(
    scene: &Scene<'_>,
    (level, run): (usize, &Run),
    target: Option<&Run>,
    selection: Selection,
) -> Vec<usize> {
    let busy = scene.busy;
    let free = (0..run.tables.len()).filter(|&rank| !busy.holds(run.tables[rank].id));
    if selection == Selection::RoundRobin {
        let cursor = scene.ctx.cursors.get(&level);
        let start = cursor.map_or(0, |key| run.tables.partition_point(|t| t.smallest <= *key));
        let (mut ranks, wrapped): (Vec<_>, Vec<_>) = free.partition(|&rank| rank >= start);
        ranks.extend(wrapped);
        ranks.truncate(TRIES);
        return ranks;
    }
    let under = match (selection, target) {
        (Selection::LeastOverlap, Some(target)) => bytes_under(run, target),
        _ => Vec::new(),
    };
    let weight = |rank: usize| -> f64 {
        let table: &TableInfo = &run.tables[rank];
        match selection {
            Selection::LeastOverlap => {
                under.get(rank).copied().unwrap_or(0) as f64 / table.bytes.max(1) as f64
            }
            Selection::MostTombstones => -(table.tombstones as f64) / table.entries.max(1) as f64,
            Selection::Coldest => scene.ctx.reads.get(&table.id).copied().unwrap_or(0) as f64,
            Selection::Oldest | Selection::RoundRobin => 0.0,
        }
    };
    let mut ranked: Vec<(f64, u64, u64, usize)> =
        free.map(|r| (weight(r), run.tables[r].max_seqno, run.tables[r].id, r)).collect();
    let less = |a: &(f64, u64, u64, usize), b: &(f64, u64, u64, usize)| {
        a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)))
    };
    if ranked.len() > TRIES {
        ranked.select_nth_unstable_by(TRIES - 1, less);
        ranked.truncate(TRIES);
    }
    ranked.sort_unstable_by(less);
    ranked.into_iter().map(|(_, _, _, rank)| rank).collect()
}

/// Returns for each table of `run` the bytes of the tables of `target` that share a key with it:
/// one walk over both.
fn bytes_under(run: &Run, target: &Run) -> Vec<u64> {
    let mut sums = Vec::with_capacity(run.tables.len());
    let mut from = 0;
    for table in &run.tables {
        while from < target.tables.len() && target.tables[from].largest < table.smallest {
            from += 1;
        }
        let under = target.tables[from..].iter();
        sums.push(under.take_while(|t| t.smallest <= table.largest).map(|t| t.bytes).sum());
    }
    sums
}
