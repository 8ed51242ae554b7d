//! What to compact next: the question, its circumstances, and the options of the answer.
//!
//! A policy is a pure function of the tree, the running jobs and a few facts from outside. It
//! reads no clock and no file and keeps no state, so the simulator runs the same code as the
//! engine, and a test case is three pieces of text.
//!
//! All strategies but FIFO are points of one shape (Dayan & Idreos, "Dostoevsky", 2018): a size
//! ratio, how many runs rest in an inner level, how many in the last, and how much moves at once.

pub(crate) mod adaptive;
mod columns;
pub(crate) mod fifo;
pub(crate) mod fluid;
mod geometry;
pub(crate) mod lazy;
pub(crate) mod leveled;
mod manual;
pub(crate) mod partial;
pub(crate) mod tiered;
mod tombstones;

use std::collections::HashMap;
use std::fmt::Debug;

use crate::busy::Busy;
use crate::cuts::Cuts;
use crate::levels::{KeyRange, Levels, Run};
use crate::options::Options;
use crate::plan::{Input, Plan};

/// Decides what to compact next.
pub trait Policy: Send + Sync + Debug {
    /// Returns the strategy's name, in lower case.
    fn name(&self) -> &'static str;

    /// Returns the options that the policy was built from.
    fn options(&self) -> &Options;

    /// Returns the most urgent job that may start beside the running ones, or `None`. To fill
    /// several workers, note the plan in `busy` and ask again.
    fn pick(&self, levels: &Levels, busy: &Busy, ctx: &Context) -> Option<Plan>;

    /// Returns the next job towards having all keys of `manual.range` in one run of their last
    /// level, without tombstones that no snapshot needs. Ask again after each job.
    fn pick_range(&self, levels: &Levels, busy: &Busy, ctx: &Context, manual: &Manual) -> Picked;

    /// Returns how urgent each level is, L0 first: 1.0 and above asks for a job.
    fn scores(&self, levels: &Levels) -> Vec<f64>;

    /// Returns how many bytes must be merged until no level asks for a job: what admission weighs.
    fn debt_bytes(&self, levels: &Levels) -> u64;

    /// Returns how many runs may rest in `level` of this tree: 1 in a leveled one.
    fn max_runs(&self, levels: &Levels, level: usize) -> usize;

    /// Returns the ratio between the sizes of neighbouring levels.
    fn size_ratio(&self) -> u32;

    /// Returns where the tables of a flush end, so that a large first level can take them in by
    /// columns. By size alone if the policy does not say otherwise.
    fn flush_cuts(&self, _levels: &Levels) -> Cuts {
        Cuts::by_size(self.options().target_table_bytes)
    }
}

/// What a policy must be told beside the tree.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The time, in microseconds since 1970; 0 switches everything off that depends on age.
    pub now_us: u64,
    /// The oldest sequence number that a snapshot still reads.
    pub oldest_snapshot: Option<u64>,
    /// The largest key up to which each level was last taken: where round-robin and a merge that
    /// goes on in columns take up again.
    pub cursors: HashMap<usize, Vec<u8>>,
    /// For coldest-first: reads of each table, in any unit.
    pub reads: HashMap<u64, u64>,
    /// Whether all that was written is in tables, and nobody writes: then what is in L0 may go
    /// down early, where reads want one run (leveled, partial).
    pub quiet: bool,
}

impl Context {
    /// Notes that `plan` was started on `levels`, so that the next one goes on behind it.
    pub fn note_started(&mut self, plan: &Plan, levels: &Levels) {
        let Some(Input { level: rank, .. }) = plan.inputs.first() else { return };
        let level = levels.level(*rank);
        let last = |input: &Input| {
            let run = &level.runs[level.position(input.run_id)?];
            run.tables.iter().rfind(|t| input.table_ids.contains(&t.id)).map(|t| &t.largest)
        };
        // What stays of any of the runs lies behind the least of their ends.
        let ends = plan.inputs.iter().filter(|input| input.level == *rank).filter_map(last);
        let Some(end) = ends.min() else { return };
        // Once nothing waits behind it, what comes later must not be taken for the rest.
        let taken = |id: u64| plan.inputs.iter().any(|input| input.table_ids.contains(&id));
        let places = plan.inputs.iter().filter(|input| input.level == *rank);
        let newest = places.filter_map(|input| level.position(input.run_id)).min().unwrap_or(0);
        let waits = |run: &std::sync::Arc<Run>| {
            let behind = run.tables.iter().rev().take_while(|table| table.smallest > *end);
            behind.into_iter().any(|table| !taken(table.id))
        };
        if level.runs[newest..].iter().any(waits) {
            self.cursors.insert(*rank, end.clone());
        } else {
            self.cursors.remove(rank);
        }
    }
}

/// A compaction that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manual {
    /// The keys to compact; `None` means all.
    pub range: Option<KeyRange>,
    /// The newest sequence number in a table at the moment of the request: tables with younger
    /// data alone are left where they are. So the work ends while writers go on.
    pub before_seqno: u64,
    /// The next table number at the moment of the request: tables made later are not rewritten a
    /// second time in the last level. So the work ends.
    pub before_table_id: u64,
}

impl Manual {
    /// Asks for all keys of `levels` as it is now.
    pub fn all(levels: &Levels) -> Manual {
        Manual::new(levels, None)
    }

    /// Asks for the keys of `range` in `levels` as it is now.
    pub fn new(levels: &Levels, range: Option<KeyRange>) -> Manual {
        let tables = || levels.tables().map(|(_, table)| table);
        Manual {
            range,
            before_seqno: tables().map(|t| t.max_seqno).max().unwrap_or(0),
            before_table_id: tables().map(|t| t.id + 1).max().unwrap_or(0),
        }
    }
}

/// The answer of [`Policy::pick_range`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picked {
    /// Do this and ask again.
    Plan(Plan),
    /// Running jobs stand in the way: ask again when one has ended.
    Blocked,
    /// Nothing is left to do.
    Done,
}
