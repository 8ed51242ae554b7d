//! Compaction: runs a policy's plan on real tables.
//!
//! What to merge is the policy's answer, a pure function of the tree's shape. Here the plan's
//! tables are read side by side, versions that nobody can see and deletions that hide nothing are
//! left out, and the rest becomes new tables. Then as everywhere: sync, edit, install, reclaim.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use compaction::{
    Busy, Context, Input, JobId, Kind as PlanKind, Manual, OutputRun, Plan, Retain, TableInfo,
    Verdict,
};
use sstable::{Cursor as _, Kind, Merge, ReadOptions, SeqNo};

use crate::db::Inner;
use crate::error::{Error, Result};
use crate::filters;
use crate::manifest::Edit;
use crate::output::{Inherited, Outputs};
use crate::planted::{self, Bug};
use crate::range_delete::RangeDeletes;
use crate::source::{RunCursor, Source};
use crate::state::FamilyView;
use crate::version::{TableFile, Version, retire_all};

/// Entries between two looks at whether the database is closing.
const ENTRIES_PER_LOOK: u64 = 1024;

/// A plan for a family whose tables no other job may take.
#[derive(Debug)]
pub(crate) struct Job {
    family: u32,
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

/// What running jobs use, by family.
pub(crate) type BusyFamilies = HashMap<u32, Busy>;

/// A plan of some family's policy, beside the running jobs.
fn pick(inner: &Inner, busy: &BusyFamilies) -> Option<(Arc<FamilyView>, Plan)> {
    let view = inner.state.view();
    let snapshots = inner.snapshots.list();
    let context = context(inner, &snapshots);
    let idle = Busy::new();
    let mut families: Vec<_> = view.families().collect();
    // The longest level 0 first: it is what stops writers.
    families.sort_by_key(|family| Reverse(family.version.shape.level(0).runs.len()));
    families.into_iter().find_map(|family| {
        let busy = busy.get(&family.core.id).unwrap_or(&idle);
        if let Some(plan) = drop_hidden(&family.version, busy, &snapshots) {
            return Some((Arc::clone(family), plan));
        }
        let plan = family.core.policy.pick(&family.version.shape, busy, &context);
        let plan = plan.or_else(|| rewrite_hidden(family, busy, &snapshots))?;
        Some((Arc::clone(family), plan))
    })
}

/// The plan that drops the tables of a run which a range delete hides whole.
fn drop_hidden(version: &Version, busy: &Busy, snapshots: &[SeqNo]) -> Option<Plan> {
    if version.range_deletes.is_empty() {
        return None;
    }
    let hidden = |table: &&Arc<TableInfo>| {
        !busy.holds(table.id) && version.range_deletes.hides_table(table, snapshots)
    };
    let input = |(level, run): (usize, &Arc<compaction::Run>)| {
        let table_ids: Vec<u64> = run.tables.iter().filter(hidden).map(|t| t.id).collect();
        (!table_ids.is_empty()).then_some(Input { level, run_id: run.id, table_ids })
    };
    let plan = |input: Input| Plan {
        kind: PlanKind::Excise,
        output_level: input.level,
        inputs: vec![input],
        output: OutputRun::New,
        target_table_bytes: 0,
        bottommost: false,
        older: Vec::new(),
        reason: "a range delete hides all of these tables".into(),
    };
    let mut plans = version.shape.runs().filter_map(input).map(plan);
    plans.find(|plan| !busy.conflicts(plan, &version.shape))
}

/// The plan that rewrites a table of which a range delete hides a part.
fn rewrite_hidden(family: &FamilyView, busy: &Busy, snapshots: &[SeqNo]) -> Option<Plan> {
    let version = &family.version;
    if version.range_deletes.is_empty() {
        return None;
    }
    let shape = &version.shape;
    let (level, run, table) = shape.runs().find_map(|(level, run)| {
        let hidden = |table: &&Arc<TableInfo>| {
            !busy.holds(table.id) && version.range_deletes.may_hide_in(table, snapshots)
        };
        Some((level, run.id, run.tables.iter().find(hidden)?.id))
    })?;
    let reason = "a range delete hides a part of this table";
    let plan = Plan::rewrite(shape, (level, run, table), family.core.options.table_bytes, reason)?;
    (!busy.conflicts(&plan, shape)).then_some(plan)
}

/// Whether a policy has a plan.
pub(crate) fn wanted(inner: &Inner, busy: &BusyFamilies) -> bool {
    pick(inner, busy).is_some()
}

fn context(inner: &Inner, snapshots: &[SeqNo]) -> Context {
    Context {
        now_us: inner.env.clock.unix_micros(),
        oldest_snapshot: snapshots.first().copied(),
        ..Context::default()
    }
}

/// The next job of a manual compaction of a family.
pub(crate) fn pick_manual(inner: &Inner, family: u32, manual: &Manual) -> Picked {
    inner.work.with_busy(|busy| {
        let view = inner.state.view();
        let Ok(view) = view.family(family) else { return Picked::Done };
        let (shape, busy) = (&view.version.shape, busy.entry(family).or_default());
        let snapshots = inner.snapshots.list();
        let context = context(inner, &snapshots);
        let plan = match view.core.policy.pick_range(shape, busy, &context, manual) {
            compaction::Picked::Plan(plan) => Some(plan),
            compaction::Picked::Blocked => return Picked::Blocked,
            compaction::Picked::Done => drop_hidden(&view.version, busy, &snapshots)
                .or_else(|| rewrite_hidden(view, busy, &snapshots)),
        };
        plan.map_or(Picked::Done, |plan| {
            let id = busy.start(&plan, shape);
            Picked::Plan(Job { family, plan, id })
        })
    })
}

/// Runs one plan of a policy, if there is one.
pub(crate) fn run_picked(inner: &Arc<Inner>) -> Result<()> {
    let picked = inner.work.with_busy(|busy| {
        let (view, plan) = pick(inner, busy)?;
        let family = view.core.id;
        let id = busy.entry(family).or_default().start(&plan, &view.version.shape);
        Some(Job { family, plan, id })
    });
    picked.map_or(Ok(()), |job| run_job(inner, &job))
}

/// Runs a job and gives its tables free again.
pub(crate) fn run_job(inner: &Arc<Inner>, job: &Job) -> Result<()> {
    let _given_free_at_the_end = Release { inner, job };
    let view = inner.state.view();
    let Ok(family) = view.family(job.family) else { return Ok(()) };
    run(inner, family, &job.plan)
}

/// Gives a job's tables free, even if the job panics.
struct Release<'a> {
    inner: &'a Inner,
    job: &'a Job,
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.inner.work.with_busy(|busy| {
            if let Some(busy) = busy.get_mut(&self.job.family) {
                busy.finish(self.job.id);
            }
        });
        self.inner.progress.notify();
    }
}

fn run(inner: &Arc<Inner>, family: &FamilyView, plan: &Plan) -> Result<()> {
    let begun = inner.env.clock.now();
    tracing::debug!(family = family.core.name, %plan, reason = %plan.reason, "compaction");
    let inputs = plan.input_totals(&family.version.shape);
    let files = match plan.kind {
        PlanKind::Merge => merge(inner, family, plan)?,
        PlanKind::Move | PlanKind::Drop | PlanKind::Excise => Vec::new(),
    };
    install(inner, family.core.id, plan, &files)?;
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

fn merge(inner: &Inner, family: &FamilyView, plan: &Plan) -> Result<Vec<Arc<TableFile>>> {
    let version = &family.version;
    let sources = plan.inputs.iter().map(|input| input_cursor(version, input)).collect();
    let mut merged = Merge::new(sources);
    let snapshots = inner.snapshots.list();
    let ranges = Some(&*version.range_deletes).filter(|ranges| !ranges.is_empty());
    let mut retain = Retain::with_older(&snapshots, plan.older.clone());
    let inherited = Inherited {
        tombstones_since_us: plan.tombstones_since_us(&version.shape),
        ranges_applied: version.range_deletes.applied_up_to(&snapshots),
    };
    let options = &family.core.options;
    let entries = plan.input_totals(&version.shape).entries;
    let filter = filters::for_level(options, &version.shape, plan.output_level, entries);
    let mut outputs = Outputs::new(inner, (options, filter), inherited);
    let mut entries = 0u64;
    merged.seek_to_first()?;
    while merged.valid() {
        entries += 1;
        if entries.is_multiple_of(ENTRIES_PER_LOOK) && inner.work.closing() {
            return Err(Error::Closed);
        }
        let (key, trailer) = (merged.key(), merged.trailer());
        let hidden = ranges.is_some_and(|ranges| ranges.hides(key, trailer.seqno(), &snapshots));
        let dropped =
            planted::has(Bug::ResurrectedTombstone) && trailer.kind() == Some(Kind::Delete);
        if !hidden && retain.verdict(key, trailer) == Verdict::Keep && !dropped {
            outputs.add(key, trailer, merged.value())?;
        }
        merged.next()?;
    }
    outputs.finish()
}

/// Enters the change in the manifest and installs it.
fn install(inner: &Arc<Inner>, family: u32, plan: &Plan, files: &[Arc<TableFile>]) -> Result<()> {
    let mut tree = inner.tree.lock();
    let view = inner.state.view();
    let Ok(current) = view.family(family) else {
        retire_all(files); // dropped meanwhile
        return Ok(());
    };
    let version = &current.version;
    let infos = files.iter().map(|file| Arc::clone(file.info())).collect();
    let shape = version.shape.apply(plan, infos, tree.new_run_id());
    let (installed, edit) = version.next(family, shape, files, &RangeDeletes::default());
    let installed = Arc::new(installed);
    tree.append(Edit { reason: plan.reason.clone(), ..edit })
        .map_err(|error| inner.stop_writes(&error))?;
    let kept = installed.files();
    inner.state.change(|view| {
        view.change_family(family, |view| view.version = installed);
        inner.admission.update(view.l0_runs_max());
    });
    drop(tree);
    for file in version.tables().filter(|file| !kept.contains_key(&file.info().id)) {
        file.retire();
    }
    inner.progress.notify();
    Ok(())
}
