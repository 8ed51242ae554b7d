//! What running jobs hold: tables that they read, and the place and keys where they will write.
//!
//! A new plan may run beside the others if
//!
//! 1. it takes none of their tables;
//! 2. it writes to no key range of a level that another writes to, and opens no second new run in
//!    a level;
//! 3. none of its inputs passes the place where another will write, if they may share a key, nor
//!    the other way round: a merge's outputs also cover the gaps between its inputs;
//! 4. it takes away no run that another will write into.
//!
//! Together with rule 2 of [`crate::Plan`] (nothing jumps over a table that stays, busy or not) the
//! jobs may then finish in any order.

use std::collections::{HashMap, HashSet};

use crate::levels::{KeyRange, Levels};
use crate::plan::{OutputRun, Plan};

/// A running job's claim, returned by [`Busy::start`] and handed back to [`Busy::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId(u64);

#[derive(Clone, Debug)]
struct Job {
    plan: Plan,
    hull: KeyRange,
}

/// The claims of all running jobs. Lives beside the tree, under the same lock.
#[derive(Clone, Debug, Default)]
pub struct Busy {
    tables: HashSet<u64>,
    jobs: HashMap<u64, Job>,
    started: u64,
}

impl Busy {
    /// Makes the set for no running job.
    pub fn new() -> Busy {
        Busy::default()
    }

    /// Returns whether no job runs.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Returns how many jobs run.
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// Returns whether a running job takes the table numbered `table_id`.
    pub fn holds(&self, table_id: u64) -> bool {
        self.tables.contains(&table_id)
    }

    /// Notes that `plan` runs.
    ///
    /// # Panics
    /// If the plan conflicts with a running job: policies never return such a plan.
    pub fn start(&mut self, plan: &Plan, levels: &Levels) -> JobId {
        assert!(!self.conflicts(plan, levels), "plan conflicts with a running job: {plan}");
        let hull = plan.hull(levels).expect("a checked plan has inputs");
        self.tables.extend(plan.inputs.iter().flat_map(|input| &input.table_ids));
        self.started += 1;
        self.jobs.insert(self.started, Job { plan: plan.clone(), hull });
        JobId(self.started)
    }

    /// Notes that the job has ended, well or badly. To be called after its result is installed.
    pub fn finish(&mut self, job: JobId) {
        if let Some(job) = self.jobs.remove(&job.0) {
            for table in job.plan.inputs.iter().flat_map(|input| &input.table_ids) {
                self.tables.remove(table);
            }
        }
    }

    /// Returns whether `plan` may not run beside the running jobs.
    pub fn conflicts(&self, plan: &Plan, levels: &Levels) -> bool {
        if self.jobs.is_empty() {
            return false;
        }
        if plan.inputs.iter().any(|i| i.table_ids.iter().any(|id| self.holds(*id))) {
            return true;
        }
        let Some(hull) = plan.hull(levels) else { return true };
        let clash = |job: &Job| {
            let (new, old) = (plan.output, job.plan.output);
            let same_level = job.plan.output_level == plan.output_level;
            same_level && (job.hull.overlaps(&hull) || new == OutputRun::New && new == old)
                || plan.passes(levels, &job.plan, &job.hull)
                || job.plan.passes(levels, plan, &hull)
        };
        self.jobs.values().any(clash)
            || self.takes_a_target(plan, levels)
            || self.target_may_vanish(plan, levels)
    }

    /// Returns whether the plan, with the running jobs, takes every table of a run that a job
    /// writes into without holding one of its tables: the run might be gone before that job ends.
    fn takes_a_target(&self, plan: &Plan, levels: &Levels) -> bool {
        plan.inputs.iter().any(|input| {
            let target = OutputRun::Into(input.run_id);
            let writes = |job: &&Job| job.plan.writes_into(input.level, target);
            let holds_none = |job: &Job| job.plan.inputs.iter().all(|i| i.run_id != input.run_id);
            let level = levels.level(input.level);
            let run = level.position(input.run_id).map(|rank| &level.runs[rank]);
            self.jobs.values().filter(writes).any(holds_none)
                && run.is_none_or(|run| {
                    let taken = |id: u64| self.holds(id) || input.table_ids.contains(&id);
                    run.tables.iter().all(|table| taken(table.id))
                })
        })
    }

    /// Returns whether every table of the plan's output run is being taken away by others.
    fn target_may_vanish(&self, plan: &Plan, levels: &Levels) -> bool {
        let OutputRun::Into(id) = plan.output else { return false };
        let level = levels.level(plan.output_level);
        let Some(run) = level.position(id).map(|rank| &level.runs[rank]) else { return true };
        run.tables.iter().all(|table| self.holds(table.id))
    }
}
