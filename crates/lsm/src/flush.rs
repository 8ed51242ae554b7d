//! Flush: the oldest sealed memtable becomes a run in level 0, and its log is no longer needed.
//!
//! Write the tables, sync them, enter them in the manifest (the same edit gives up the log),
//! install the view, take the log's file back. A crash before the edit leaves orphans and the
//! log; after it, the tables.

use std::sync::Arc;

use compaction::{Retain, Verdict};
use sstable::Cursor as _;

use crate::adaptive;
use crate::deadlines;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::filters;
use crate::inner::Inner;
use crate::ledger::Account;
use crate::manifest::Edit;
use crate::memory;
use crate::memtable::{Memtable, Sealed};
use crate::output::{Inherited, Outputs};
use crate::planted::{self, Bug};
use crate::range_delete::RangeDeletes;
use crate::state::{FamilyView, View};
use crate::version::{TableFile, retire_all};

/// The tables that one family's memtable became.
struct Flushed {
    family: u32,
    files: Vec<Arc<TableFile>>,
    ranges: Arc<RangeDeletes>,
}

/// Flushes sealed memtables, oldest first, until none is left.
pub(crate) fn run_all(inner: &Arc<Inner>) -> Result<()> {
    while !inner.state.peek().sealed.is_empty() {
        run(inner)?;
    }
    Ok(())
}

/// Flushes the oldest sealed memtables, if there are any. The next are a job of their own: this one
/// may run in the turn of a merge, which waits for it.
pub(crate) fn run(inner: &Arc<Inner>) -> Result<()> {
    let view = inner.state.view();
    let Some(sealed) = view.sealed.last() else { return Ok(()) };
    // Writers that have their number may still be inserting.
    if !inner.visible.wait(sealed.last_seqno) {
        return Err(inner.writes_stopped());
    }
    if inner.work.closing() {
        return Err(Error::Closed);
    }
    flush(inner, &view, sealed)?;
    drop(view);
    memory::job_ended(inner);
    inner.progress.notify();
    adaptive::observe(inner);
    crate::background::schedule(inner);
    Ok(())
}

/// Flushes one generation of memtables, and tells of it.
fn flush(inner: &Arc<Inner>, view: &View, sealed: &Arc<Sealed>) -> Result<()> {
    let begun = inner.env.clock.now();
    let memtables = || sealed.memtables.iter().map(|(_, memtable)| memtable);
    let memory = memtables().map(|memtable| memtable.memory_bytes()).sum();
    let entries = memtables().map(|memtable| memtable.len() as u64).sum();
    let reason = sealed.reason.to_owned();
    let (memory_bytes, why) = (memory as u64, reason.clone());
    inner.events.tell(&Event::FlushBegan { entries, memory_bytes, reason });
    let result = write_all(inner, view, sealed);
    let took = inner.env.clock.now().saturating_sub(begun);
    let bytes = result.as_ref().map_or(0, |files| files.iter().map(|file| file.info().bytes).sum());
    let error = result.as_ref().err().cloned();
    for file in result.iter().flatten() {
        inner.events.tell(&file.created(0));
    }
    inner.events.tell(&Event::FlushEnded { bytes, reason: why, took, error });
    result?;
    inner.counters.flushed(bytes, took);
    inner.timings.flush.add(took);
    inner.admission.flushed(memory, took);
    Ok(())
}

/// Writes one generation of memtables, and installs the tables that it returns.
fn write_all(inner: &Arc<Inner>, view: &View, sealed: &Arc<Sealed>) -> Result<Vec<Arc<TableFile>>> {
    let mut flushed = Vec::with_capacity(sealed.memtables.len());
    let installed = write_each(inner, view, sealed, &mut flushed)
        .and_then(|()| install(inner, sealed, &flushed));
    if installed.is_err() && !inner.is_stopped() {
        // No edit names them; after a doubtful one, one may.
        for flushed in &flushed {
            retire_all(&flushed.files);
        }
    }
    installed?;
    Ok(flushed.into_iter().flat_map(|flushed| flushed.files).collect())
}

/// Writes the memtable of each family that lives; `flushed` has what was done before an error.
fn write_each(
    inner: &Inner,
    view: &View,
    sealed: &Sealed,
    flushed: &mut Vec<Flushed>,
) -> Result<()> {
    for (family, memtable) in &sealed.memtables {
        if let Ok(view) = view.family(*family) {
            let files = write_tables(inner, view, memtable)?;
            let ranges = memtable.range_deletes().unwrap_or_default();
            flushed.push(Flushed { family: *family, files, ranges });
        }
    }
    Ok(())
}

/// Writes what a memtable holds, without versions that nobody can see.
fn write_tables(
    inner: &Inner,
    family: &FamilyView,
    memtable: &Arc<Memtable>,
) -> Result<Vec<Arc<TableFile>>> {
    let mut cursor = memtable.cursor();
    let mut retain = Retain::new(&inner.snapshots.list(), false);
    let inherited = Inherited {
        family: family.core.id,
        tombstones_since_us: deadlines::tombstones_since_us(inner, family, memtable),
        ranges_applied: 0,
    };
    let (options, shape) = (&family.core.options, &family.version.shape);
    let filter = filters::for_level(options, shape, 0, memtable.len() as u64);
    let cuts = family.core.policy.flush_cuts(shape);
    let size = (memtable.memory_bytes() as u64, memtable.len() as u64);
    let _reserved = memory::charge_flush(inner, options, size);
    let mut outputs = Outputs::new(inner, (options, 0, filter), (inherited, cuts));
    cursor.seek_to_first()?;
    while cursor.valid() {
        let (key, trailer) = (cursor.key(), cursor.trailer());
        if retain.verdict(key, trailer) == Verdict::Keep {
            outputs.add(key, trailer, cursor.value())?;
        }
        cursor.next()?;
    }
    outputs.finish()
}

/// Enters the tables in the manifest and puts them in the memtables' places.
fn install(inner: &Arc<Inner>, sealed: &Arc<Sealed>, flushed: &[Flushed]) -> Result<()> {
    let mut tree = inner.tree.lock();
    let view = inner.state.view();
    // An older spare that a giant batch passed over goes with the log.
    let last_log =
        sealed.log.map(|log| if planted::has(Bug::LogDroppedEarly) { u64::MAX } else { log });
    let dropped_logs: Vec<u64> = last_log.map_or_else(Vec::new, |log| tree.logs_up_to(log));
    let mut edit = Edit {
        dropped_logs: dropped_logs.clone(),
        flushed_seqno: Some(sealed.last_seqno),
        reason: "flush".into(),
        ..Edit::default()
    };
    let mut versions = Vec::with_capacity(flushed.len());
    for Flushed { family, files, ranges } in flushed {
        let Ok(current) = view.family(*family) else {
            retire_all(files); // dropped meanwhile
            continue;
        };
        let version = &current.version;
        let mut shape = version.shape.clone();
        if !files.is_empty() {
            let infos = files.iter().map(|file| Arc::clone(file.info())).collect();
            shape = shape.with_run(0, compaction::Run::new(tree.new_run_id(), infos));
        }
        let (next, step) = version.next(*family, shape, files, ranges);
        edit.added.extend(step.added);
        edit.run_order.extend(step.run_order);
        edit.added_range_deletes.extend(step.added_range_deletes);
        edit.removed_range_deletes.extend(step.removed_range_deletes);
        versions.push((*family, Arc::new(next)));
    }
    inner.append_edit(&mut tree, edit)?;
    inner.state.change(|view| {
        let oldest = view.sealed.pop().expect("the memtables are sealed");
        assert!(Arc::ptr_eq(&oldest, sealed), "memtables are flushed oldest first");
        for (family, memtable) in &sealed.memtables {
            view.change_family(*family, |view| view.sealed.retain(|m| !Arc::ptr_eq(m, memtable)));
        }
        for (family, version) in versions {
            view.change_family(family, |view| view.version = version);
        }
        inner.admission.update(inner, view);
    });
    drop(tree);
    for (_, memtable) in &sealed.memtables {
        memtable.settle(Account::Kept);
    }
    for log in dropped_logs {
        inner.unsynced.0.lock().retain(|segment| segment.number() != log);
        inner.logs.retire(inner, log);
    }
    Ok(())
}
