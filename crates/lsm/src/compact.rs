//! Compaction: runs a policy's plan on real tables.
//!
//! What to merge is the policy's answer, a pure function of the tree's shape. Here the plan's
//! tables are read side by side, versions that nobody can see and deletions that hide nothing are
//! left out, and the rest becomes new tables. Then as everywhere: sync, edit, install, reclaim.

use std::sync::Arc;

use compaction::{Busy, Context, JobId, Kind as PlanKind, Manual, Plan, Retain, Verdict};
use sstable::{Cursor as _, Merge, ReadOptions};

use crate::db::Inner;
use crate::error::{Error, Result};
use crate::output::Outputs;
use crate::source::{RunCursor, Source};
use crate::version::{TableFile, Version};

/// Entries between two looks at whether the database is closing.
const ENTRIES_PER_LOOK: u64 = 1024;

/// A plan whose tables no other job may take.
#[derive(Debug)]
pub(crate) struct Job {
    plan: Plan,
    id: JobId,
}

/// What there is to do towards a manual compaction.
#[derive(Debug)]
pub(crate) enum Picked {
    Plan(Job),
    Blocked,
    Done,
}

/// Whether the policy has a plan.
pub(crate) fn wanted(inner: &Inner, busy: &Busy) -> bool {
    let version = Arc::clone(&inner.state.peek().version);
    inner.policy.pick(&version.shape, busy, &context(inner)).is_some()
}

fn context(inner: &Inner) -> Context {
    Context {
        now_us: inner.env.clock.unix_micros(),
        oldest_snapshot: inner.snapshots.list().first().copied(),
        ..Context::default()
    }
}

/// The next job of a manual compaction.
pub(crate) fn pick_manual(inner: &Inner, manual: &Manual) -> Picked {
    inner.work.with_busy(|busy| {
        let version = Arc::clone(&inner.state.peek().version);
        let shape = &version.shape;
        match inner.policy.pick_range(shape, busy, &context(inner), manual) {
            compaction::Picked::Plan(plan) => {
                let id = busy.start(&plan, shape);
                Picked::Plan(Job { plan, id })
            }
            compaction::Picked::Blocked => Picked::Blocked,
            compaction::Picked::Done => Picked::Done,
        }
    })
}

/// Runs one plan of the policy, if it has one.
pub(crate) fn run_picked(inner: &Arc<Inner>) -> Result<()> {
    let picked = inner.work.with_busy(|busy| {
        let version = Arc::clone(&inner.state.peek().version);
        let plan = inner.policy.pick(&version.shape, busy, &context(inner))?;
        let id = busy.start(&plan, &version.shape);
        Some(Job { plan, id })
    });
    picked.map_or(Ok(()), |job| run_job(inner, &job))
}

/// Runs a job and gives its tables free again.
pub(crate) fn run_job(inner: &Arc<Inner>, job: &Job) -> Result<()> {
    let result = run(inner, &job.plan);
    inner.work.with_busy(|busy| busy.finish(job.id));
    inner.progress.notify();
    result
}

/// Runs `plan`.
fn run(inner: &Arc<Inner>, plan: &Plan) -> Result<()> {
    let begun = inner.env.clock.now();
    tracing::debug!(%plan, reason = %plan.reason, "compaction");
    let version = Arc::clone(&inner.state.peek().version);
    let inputs = plan.input_totals(&version.shape);
    let files = match plan.kind {
        PlanKind::Merge => merge(inner, plan, &version)?,
        PlanKind::Move | PlanKind::Drop => Vec::new(),
    };
    install(inner, plan, &files)?;
    if plan.kind == PlanKind::Merge {
        let written = files.iter().map(|file| file.info().bytes).sum();
        let took = inner.env.clock.now().saturating_sub(begun);
        inner.counters.compacted(inputs.bytes, written, took);
    } else {
        inner.counters.moved(inputs.bytes);
    }
    Ok(())
}

/// The tables that `plan` takes from one run, as a cursor.
fn input_cursor(version: &Version, input: &compaction::Input) -> Source {
    let level = version.shape.level(input.level);
    let rank = level.position(input.run_id).expect("a checked plan's runs are there");
    let tables = version.levels[input.level][rank]
        .tables
        .iter()
        .filter(|file| input.table_ids.contains(&file.info().id))
        .cloned()
        .collect();
    Source::Run(RunCursor::new(tables, ReadOptions { fill_cache: false, ..ReadOptions::default() }))
}

fn merge(inner: &Inner, plan: &Plan, version: &Version) -> Result<Vec<Arc<TableFile>>> {
    let sources = plan.inputs.iter().map(|input| input_cursor(version, input)).collect();
    let mut merged = Merge::new(sources);
    let mut retain = Retain::with_older(&inner.snapshots.list(), plan.older.clone());
    let since_us = plan.tombstones_since_us(&version.shape);
    let mut outputs = Outputs::new(inner, plan.output_level, plan.target_table_bytes, since_us);
    let mut entries = 0u64;
    merged.seek_to_first()?;
    while merged.valid() {
        entries += 1;
        if entries.is_multiple_of(ENTRIES_PER_LOOK) && inner.work.closing() {
            return Err(Error::Closed);
        }
        let (key, trailer) = (merged.key(), merged.trailer());
        if retain.verdict(key, trailer) == Verdict::Keep {
            outputs.add(key, trailer, merged.value())?;
        }
        merged.next()?;
    }
    outputs.finish()
}

/// Enters the change in the manifest and installs it.
fn install(inner: &Arc<Inner>, plan: &Plan, files: &[Arc<TableFile>]) -> Result<()> {
    let mut tree = inner.tree.lock();
    let version = Arc::clone(&inner.state.peek().version);
    let infos = files.iter().map(|file| Arc::clone(file.info())).collect();
    let shape = version.shape.apply(plan, infos, tree.new_run_id());
    let edit = version.edit_to(&shape, files, &plan.reason);
    tree.append(edit).map_err(|error| inner.stop_writes(&error))?;
    let installed = Arc::new(version.with(shape, files));
    let kept = installed.files();
    inner.admission.update(installed.shape.level(0).runs.len());
    inner.state.change(|view| view.version = Arc::clone(&installed));
    drop(tree);
    for file in version.tables().filter(|file| !kept.contains_key(&file.info().id)) {
        file.retire();
    }
    inner.progress.notify();
    Ok(())
}
