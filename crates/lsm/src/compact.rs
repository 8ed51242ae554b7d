//! Compaction: runs a policy's plan on real tables.
//!
//! What to compact is the policy's answer, a pure function of the tree's shape. A merge's tables
//! become new ones in `merge.rs`. Then as everywhere: sync, edit, install, reclaim.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use compaction::{
    Busy, Context, Granularity, Input, JobId, Kind as PlanKind, Levels, Manual, OutputRun, Plan,
    Selection, Span, TableInfo,
};
use sstable::SeqNo;

use crate::background;
use crate::error::Result;
use crate::events::Event;
use crate::inner::Inner;
use crate::ledger::{Grant, Urgency};
use crate::manifest::Edit;
use crate::memory;
use crate::merge;
use crate::range_delete::RangeDeletes;
use crate::state::{FamilyTables, FamilyView};
use crate::version::{TableFile, Version, retire_all};

/// A plan for a family whose tables no other job may take.
#[derive(Debug)]
pub(crate) struct Job {
    family: u32,
    plan: Plan,
    id: JobId,
    /// What a merge may use.
    grant: Option<Grant>,
}

impl Job {
    /// Claims a plan's tables and, for a merge, memory; nothing if that must wait.
    fn start(
        inner: &Inner,
        jobs: &mut Jobs,
        (view, plan): (&FamilyView, Plan),
        urgency: Urgency,
    ) -> Option<Self> {
        let grant = match plan.kind {
            PlanKind::Merge => Some(memory::reserve_merge(inner, view, &plan, urgency)?),
            PlanKind::Move | PlanKind::Drop | PlanKind::Excise => None,
        };
        let id = jobs.start(&plan, &view.version.shape);
        Some(Self { family: view.core.id, plan, id, grant })
    }
}

/// What there is to do towards a manual compaction.
#[derive(Debug)]
pub(crate) enum Picked {
    Plan(Box<Job>),
    Blocked,
    Done,
}

/// What picks of a family depend on beside its tree.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// What running jobs use.
    busy: Busy,
    /// For round-robin: the largest key that was last taken from each level.
    cursors: HashMap<usize, Vec<u8>>,
}

/// The jobs by family.
pub(crate) type FamilyJobs = HashMap<u32, Jobs>;

impl Jobs {
    /// Whether a running job takes the table of this number.
    pub(crate) fn holds(&self, table: u64) -> bool {
        self.busy.holds(table)
    }

    /// Whether no job runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }

    /// Claims a plan's tables.
    fn start(&mut self, plan: &Plan, shape: &Levels) -> JobId {
        let mut context =
            Context { cursors: std::mem::take(&mut self.cursors), ..Context::default() };
        context.note_started(plan, shape);
        self.cursors = context.cursors;
        self.busy.start(plan, shape)
    }
}

/// A plan of some family's policy, beside the running jobs.
fn pick(inner: &Inner, jobs: &FamilyJobs) -> Option<(Arc<FamilyView>, Plan)> {
    let view = inner.state.view();
    let snapshots = inner.snapshots.list();
    let idle = Jobs::default();
    let mut families: Vec<_> = view.families().collect();
    // The longest level 0 first: it is what stops writers.
    families.sort_by_key(|family| Reverse(family.version.shape.level(0).runs.len()));
    families.into_iter().find_map(|family| {
        let jobs = jobs.get(&family.core.id).unwrap_or(&idle);
        let (busy, context) = (&jobs.busy, context(inner, &snapshots, family, jobs));
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
        span: Span::Free,
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

/// Whether a range delete hides something in a table that the jobs under way stand before.
fn hides_behind(busy: &Busy, version: &Version, snapshots: &[SeqNo]) -> bool {
    let hidden = |table: &Arc<TableInfo>| version.range_deletes.may_hide_in(table, snapshots);
    let mut tables = version.shape.tables().map(|(_, table)| table);
    !busy.is_empty() && !version.range_deletes.is_empty() && tables.any(hidden)
}

/// Whether a policy has a plan.
pub(crate) fn wanted(inner: &Inner, jobs: &FamilyJobs) -> bool {
    pick(inner, jobs).is_some()
}

/// A plan for a level 0 that asks for one, whatever the deeper levels are about.
fn pick_level0(inner: &Inner, jobs: &FamilyJobs) -> Option<(Arc<FamilyView>, Plan)> {
    let view = inner.state.view();
    let runs = |family: &FamilyView| family.version.shape.level(0).runs.len();
    let asks = |family: &&Arc<FamilyView>| {
        let policy = &family.core.policy;
        runs(family) >= policy.options().l0_runs as usize
            && policy.max_runs(&family.version.shape, 0) != usize::MAX
    };
    let mut families: Vec<_> = view.families().filter(asks).collect();
    families.sort_by_key(|family| Reverse(runs(family)));
    let snapshots = if families.is_empty() { Vec::new() } else { inner.snapshots.list() };
    let idle = Jobs::default();
    families.into_iter().find_map(|family| {
        let jobs = jobs.get(&family.core.id).unwrap_or(&idle);
        let context = context(inner, &snapshots, family, jobs);
        let plan = family.core.policy.pick(&family.version.shape, &jobs.busy, &context)?;
        // What is no merge costs nothing, and may stand before one of level 0.
        (plan.takes_level0() || plan.kind != PlanKind::Merge).then(|| (Arc::clone(family), plan))
    })
}

/// Whether a level 0 asks for a merge that may run beside the running ones.
pub(crate) fn level0_wanted(inner: &Inner, jobs: &FamilyJobs) -> bool {
    pick_level0(inner, jobs).is_some()
}

fn context(inner: &Inner, snapshots: &[SeqNo], family: &FamilyView, jobs: &Jobs) -> Context {
    let shape = family.core.policy.options().shape();
    let coldest = Granularity::Partial(Selection::Coldest);
    let by_reads = shape.is_some_and(|shape| shape.granularity == coldest);
    let tables = || family.version.tables().map(|file| (file.info().id, file.reads()));
    Context {
        now_us: inner.env.clock.unix_micros(),
        oldest_snapshot: snapshots.first().copied(),
        cursors: jobs.cursors.clone(),
        reads: if by_reads { tables().collect() } else { HashMap::new() },
        quiet: inner.state.peek().is_quiet() && inner.counters.has_flushed(),
    }
}

/// The next job of a manual compaction of a family.
pub(crate) fn pick_manual(inner: &Inner, family: u32, manual: &Manual) -> Picked {
    inner.work.with_jobs(|jobs| {
        let view = inner.state.view();
        let Ok(view) = view.family(family) else { return Picked::Done };
        let (shape, jobs) = (&view.version.shape, jobs.entry(family).or_default());
        let snapshots = inner.snapshots.list();
        let (context, busy) = (context(inner, &snapshots, view, jobs), &jobs.busy);
        let plan = match view.core.policy.pick_range(shape, busy, &context, manual) {
            compaction::Picked::Plan(plan) => Some(plan),
            compaction::Picked::Blocked => return Picked::Blocked,
            compaction::Picked::Done => drop_hidden(&view.version, busy, &snapshots)
                .or_else(|| rewrite_hidden(view, busy, &snapshots)),
        };
        let Some(plan) = plan else {
            // What a job under way writes anew may hold what is hidden still: that is looked at
            // when the job has ended and given its tables free.
            let hidden = hides_behind(busy, &view.version, &snapshots);
            return if hidden { Picked::Blocked } else { Picked::Done };
        };
        let job = Job::start(inner, jobs, (view, plan), Urgency::MustBegin);
        job.map_or(Picked::Blocked, |job| Picked::Plan(Box::new(job)))
    })
}

/// Runs one plan of a policy, if there is one.
pub(crate) fn run_picked(inner: &Arc<Inner>) -> Result<()> {
    run_first(inner, pick, Urgency::MayWait)
}

/// Merges a level 0 that asks for it, if there is one.
pub(crate) fn run_level0(inner: &Arc<Inner>) -> Result<()> {
    // Writers may stop for want of it, and another merge may give way to it and go on only then.
    run_first(inner, pick_level0, Urgency::MustBegin)
}

/// Runs the plan that `pick` finds.
fn run_first(
    inner: &Arc<Inner>,
    pick: impl FnOnce(&Inner, &FamilyJobs) -> Option<(Arc<FamilyView>, Plan)>,
    urgency: Urgency,
) -> Result<()> {
    let picked = inner.work.with_jobs(|jobs| {
        let (view, plan) = pick(inner, jobs)?;
        let jobs = jobs.entry(view.core.id).or_default();
        Job::start(inner, jobs, (&view, plan), urgency)
    });
    let Some(job) = picked else { return Ok(()) };
    // Another worker may find something beside this job, if nobody writes and asks again.
    background::schedule(inner);
    run_job(inner, job)
}

/// Runs a job and gives its tables and its memory free again.
pub(crate) fn run_job(inner: &Arc<Inner>, job: Job) -> Result<()> {
    let release = Release { inner, job };
    memory::rebalance(inner);
    let job = &release.job;
    let view = inner.state.view();
    let Ok(family) = view.family(job.family) else { return Ok(()) };
    let family = family.tables_only();
    drop(view); // a long job must not keep memtables that are flushed meanwhile
    run(inner, &family, job)
}

/// Gives a job's tables free, even if the job panics.
struct Release<'a> {
    inner: &'a Arc<Inner>,
    job: Job,
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.inner.work.with_jobs(|jobs| {
            if let Some(jobs) = jobs.get_mut(&self.job.family) {
                jobs.busy.finish(self.job.id);
            }
        });
        if self.job.grant.take().is_some() {
            memory::job_ended(self.inner);
            background::schedule(self.inner); // others may have waited for the memory
        }
        self.inner.progress.notify();
    }
}

/// Runs a plan, and tells of it.
fn run(inner: &Arc<Inner>, family: &FamilyTables, job: &Job) -> Result<()> {
    let plan = &job.plan;
    let begun = inner.env.clock.now();
    let (name, words, reason) = (family.core.name.clone(), plan.to_string(), plan.reason.clone());
    inner.events.tell(&Event::CompactionBegan {
        family: name.clone(),
        plan: words.clone(),
        reason: reason.clone(),
    });
    let result = run_quietly(inner, family, job);
    let took = inner.env.clock.now().saturating_sub(begun);
    let files = || result.iter().flatten();
    for file in files() {
        inner.events.tell(&file.created(plan.output_level));
    }
    let merged = plan.kind == PlanKind::Merge;
    let input_bytes = plan.input_totals(&family.version.shape).bytes;
    let read_bytes = if merged { input_bytes } else { 0 };
    let written_bytes = files().map(|file| file.info().bytes).sum();
    let error = result.as_ref().err().cloned();
    if error.is_none() && merged {
        inner.counters.compacted(read_bytes, written_bytes, took);
        inner.timings.compaction.add(took);
    } else if error.is_none() {
        inner.counters.moved(input_bytes);
    }
    inner.events.tell(&Event::CompactionEnded {
        family: name,
        plan: words,
        reason,
        read_bytes,
        written_bytes,
        took,
        error,
    });
    result.map(|_| ())
}

/// Runs a plan and returns the tables it has made.
fn run_quietly(
    inner: &Arc<Inner>,
    family: &FamilyTables,
    Job { plan, grant, .. }: &Job,
) -> Result<Vec<Arc<TableFile>>> {
    let files = match grant {
        Some(grant) => merge::run(inner, family, plan, grant)?,
        None => Vec::new(),
    };
    let installed = install(inner, family.core.id, plan, &files);
    if installed.is_err() && !inner.is_stopped() {
        retire_all(&files); // no edit names them; after a doubtful one, one may
    }
    installed?;
    Ok(files)
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
    inner.append_edit(&mut tree, Edit { reason: plan.reason.clone(), ..edit })?;
    let kept = installed.files();
    inner.state.change(|view| {
        view.change_family(family, |view| view.version = installed);
        inner.admission.update(inner, view);
    });
    drop(tree);
    for file in version.tables().filter(|file| !kept.contains_key(&file.info().id)) {
        file.retire();
        inner.events.tell(&file.deleted());
    }
    inner.progress.notify();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::DEFAULT_FAMILY;
    use crate::scheduler::InlineScheduler;
    use crate::{Db, Env, Options};

    /// It was done while a job was at work on the only table: what the job wrote anew kept all
    /// that the range delete hid.
    #[test]
    fn a_full_compaction_waits_for_a_job_on_a_table_with_hidden_entries() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::default();
        let scheduler = Arc::new(InlineScheduler::new(5));
        let env = Env { scheduler, ..Env::system(&options).unwrap() };
        let db = Db::open_with(folder.path().join("db"), options, env).unwrap();
        for n in 0..100 {
            db.put(format!("{n:02}"), "value").unwrap();
        }
        db.compact().unwrap();
        db.delete_range("20", "40").unwrap();
        db.flush().unwrap();
        let inner = db.inner();
        let shape = inner.state.view().family(DEFAULT_FAMILY).unwrap().version.shape.clone();
        let pick = || pick_manual(inner, DEFAULT_FAMILY, &Manual::all(&shape));
        let Picked::Plan(job) = pick() else { panic!("a table with hidden entries is rewritten") };
        assert!(matches!(pick(), Picked::Blocked), "not done before the job is");
        run_job(inner, *job).unwrap();
        assert!(matches!(pick(), Picked::Done));
        assert_eq!(db.approximate_len().unwrap(), 80);
    }

    /// Found by review: `close` did not wait for a compaction in a caller's thread, whose edit then
    /// went to a manifest that the next opening had replaced; the inputs that it removed were live.
    #[test]
    fn a_merge_in_a_callers_thread_changes_nothing_once_the_database_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let db = Db::open(&path, Options::default()).unwrap();
        let inner = Arc::clone(db.inner());
        // Until there is something to merge that no worker has taken.
        let job = loop {
            for n in 0..100 {
                db.put(format!("{n:02}"), "value").unwrap();
            }
            db.flush().unwrap();
            let shape = inner.state.view().family(DEFAULT_FAMILY).unwrap().version.shape.clone();
            let picked = pick_manual(&inner, DEFAULT_FAMILY, &Manual::all(&shape));
            match picked {
                Picked::Plan(job) if job.plan.kind == PlanKind::Merge => break job,
                Picked::Plan(job) => run_job(&inner, *job).unwrap(),
                Picked::Blocked | Picked::Done => {}
            }
        };
        let view = inner.state.view();
        let family = view.family(DEFAULT_FAMILY).unwrap();
        let files =
            merge::run(&inner, &family.tables_only(), &job.plan, job.grant.as_ref().unwrap())
                .unwrap();
        // It is past its last look when another handle closes.
        db.close().unwrap();
        let again = Db::open(&path, Options::default()).unwrap();
        let refused = install(&inner, DEFAULT_FAMILY, &job.plan, &files);
        assert!(matches!(refused, Err(crate::Error::Closed)), "{refused:?}");
        drop((files, view, inner));
        again.verify().unwrap();
        assert_eq!(again.scan::<&str>(..).unwrap().map(Result::unwrap).count(), 100);
        drop(again);
        Db::open(&path, Options::default()).unwrap().verify().unwrap();
    }

    #[test]
    fn closing_waits_for_callers_that_change_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("db"), Options::default()).unwrap();
        let inner = Arc::clone(db.inner());
        let caller = background::enter(&inner).unwrap();
        let (send, closed) = std::sync::mpsc::channel();
        let closing = std::thread::spawn(move || {
            db.close().unwrap();
            send.send(()).unwrap();
        });
        let still = closed.recv_timeout(std::time::Duration::from_millis(50));
        assert!(still.is_err(), "it waits");
        drop(caller);
        closing.join().unwrap();
        assert!(background::enter(&inner).is_err(), "and lets nobody in any more");
    }
}
