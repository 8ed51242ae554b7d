//! Flush: the oldest sealed memtable becomes a run in level 0, and its log is no longer needed.
//!
//! Write the tables, sync them, enter them in the manifest (the same edit gives up the log),
//! install the view, take the log's file back. A crash before the edit leaves orphans and the
//! log; after it, the tables.

use std::sync::Arc;

use compaction::{Retain, Verdict};
use sstable::Cursor as _;

use crate::db::Inner;
use crate::error::{Error, Result};
use crate::manifest::Edit;
use crate::memtable::Memtable;
use crate::output::Outputs;
use crate::source::MemtableCursor;
use crate::version::TableFile;

/// Flushes sealed memtables, oldest first, until none is left.
pub(crate) fn run(inner: &Arc<Inner>) -> Result<()> {
    loop {
        let Some(memtable) = inner.state.view().sealed.last().cloned() else { return Ok(()) };
        let last = memtable.last_seqno().expect("a sealed memtable knows its last write");
        // Writers that have their number may still be inserting.
        if !inner.visible.wait(last) {
            return Err(inner.writes_stopped());
        }
        if inner.work.closing() {
            return Err(Error::Closed);
        }
        let begun = inner.env.clock.now();
        let files = write_tables(inner, &memtable)?;
        install(inner, &memtable, &files)?;
        let bytes = files.iter().map(|file| file.info().bytes).sum();
        inner.counters.flushed(bytes, inner.env.clock.now().saturating_sub(begun));
        inner.progress.notify();
        crate::background::schedule(inner);
    }
}

/// Writes what a memtable holds, without versions that nobody can see.
pub(crate) fn write_tables(inner: &Inner, memtable: &Memtable) -> Result<Vec<Arc<TableFile>>> {
    let mut cursor = MemtableCursor(memtable.cursor());
    let mut retain = Retain::new(&inner.snapshots.list(), false);
    let now_us = inner.env.clock.unix_micros();
    let mut outputs = Outputs::new(inner, 0, inner.options.table_bytes, now_us);
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

/// Enters the tables in the manifest and puts them in the memtable's place.
fn install(inner: &Arc<Inner>, memtable: &Arc<Memtable>, files: &[Arc<TableFile>]) -> Result<()> {
    let mut tree = inner.tree.lock();
    let version = Arc::clone(&inner.state.peek().version);
    let mut shape = version.shape.clone();
    if !files.is_empty() {
        let infos = files.iter().map(|file| Arc::clone(file.info())).collect();
        shape = shape.with_run(0, compaction::Run::new(tree.new_run_id(), infos));
    }
    // An older spare that a giant batch passed over goes with the log.
    let dropped_logs: Vec<u64> = memtable.log().map_or_else(Vec::new, |log| tree.logs_up_to(log));
    let edit = Edit {
        dropped_logs: dropped_logs.clone(),
        flushed_seqno: memtable.last_seqno(),
        ..version.edit_to(&shape, files, "flush")
    };
    tree.append(edit).map_err(|error| inner.stop_writes(&error))?;
    let version = Arc::new(version.with(shape, files));
    inner.admission.update(version.shape.level(0).runs.len());
    inner.state.change(|view| {
        let oldest = view.sealed.pop().expect("the memtable is sealed");
        assert!(Arc::ptr_eq(&oldest, memtable), "memtables are flushed oldest first");
        view.version = version;
    });
    drop(tree);
    for log in dropped_logs {
        inner.unsynced.0.lock().retain(|segment| segment.number() != log);
        inner.logs.retire(inner, log);
    }
    Ok(())
}
