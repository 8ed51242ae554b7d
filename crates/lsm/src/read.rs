//! Point reads and the making of cursors: memtables first, then runs, newest first.
//!
//! The first answer wins, and a deletion is an answer.

use std::ops::Deref;
use std::sync::Arc;

use sstable::{Kind, ReadOptions, SeqNo, Trailer};

use crate::cursor::{DbCursor, unknown_kind};
use crate::error::Result;
use crate::latencies::StepTimer;
use crate::metrics::Counters;
use crate::scan::Bounds;
use crate::slice::{Slice, Value};
use crate::source::{RunCursor, Source};
use crate::state::FamilyView;

/// The value of `key` at `at`.
#[expect(clippy::redundant_closure_for_method_calls, reason = "a path is of one lifetime")]
pub(crate) fn get(
    view: &FamilyView,
    counters: &Counters,
    key: &[u8],
    at: SeqNo,
) -> Result<Option<Value>> {
    get_with(view, counters, (key, at), |bytes| bytes.keep())
}

/// A value where it lies.
pub(crate) enum Bytes<'a> {
    /// In a memtable that the view keeps alive.
    Lent(&'a [u8]),
    /// In a block.
    InBlock(sstable::Lent<'a>),
}

impl Bytes<'_> {
    /// The value, for longer: a copy, or its block is kept.
    pub(crate) fn keep(self) -> Value {
        match self {
            Self::Lent(bytes) => Slice::from(bytes),
            Self::InBlock(value) => Slice::pinned(value.keep()),
        }
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::InBlock(value) => value,
        }
    }
}

/// What `read` makes of the value of `key` at `at`.
#[inline]
pub(crate) fn get_with<T>(
    view: &FamilyView,
    counters: &Counters,
    (key, at): (&[u8], SeqNo),
    read: impl FnOnce(Bytes<'_>) -> T,
) -> Result<Option<T>> {
    let newest = Trailer::newest_at(at);
    let deleted = view.deleted_at(key, at);
    let hash = bloom::hash_key(key);
    for memtable in view.memtables() {
        if let Some((trailer, value)) = memtable.get((key, hash), newest) {
            return answer(trailer, deleted, || read(Bytes::Lent(&value)));
        }
    }
    let mut missed = 0;
    let mut read = Some(read);
    for run in view.version.runs() {
        let Some(file) = run.find(key) else { continue };
        let found = file.table().read((key, hash, newest), |trailer, value| {
            let read = read.take().expect("the table that finds the key is the last one asked");
            answer(trailer, deleted, || read(Bytes::InBlock(value)))
        })?;
        if let Some(answer) = found {
            counters.missed_tables(missed);
            file.note_read();
            return answer;
        }
        missed += 1;
    }
    counters.missed_tables(missed);
    Ok(None)
}

/// What a version says: a value, or that there is none.
#[inline]
pub(crate) fn answer<T>(
    trailer: Trailer,
    deleted: SeqNo,
    value: impl FnOnce() -> T,
) -> Result<Option<T>> {
    match trailer.kind() {
        _ if trailer.seqno() < deleted => Ok(None),
        Some(Kind::Put) => Ok(Some(value())),
        Some(Kind::Delete) => Ok(None),
        _ => Err(unknown_kind(trailer)),
    }
}

/// A cursor over the entries within `bounds` at `at`.
pub(crate) fn cursor(
    view: &Arc<FamilyView>,
    at: SeqNo,
    bounds: Bounds,
    timer: StepTimer,
) -> DbCursor {
    // What comes into an empty memtable from now on is newer than `at`.
    let filled = view.memtables().filter(|table| !table.is_empty());
    let mut sources: Vec<Source> = filled.map(|table| table.cursor()).collect();
    for run in view.version.runs() {
        let within = run.ranks_within(&bounds);
        if !within.is_empty() {
            let tables = (Arc::clone(&run.tables), within);
            let cursor = RunCursor::new(tables, ReadOptions::default());
            sources.push(Source::Run(cursor.with_allowance(view.active.allowance())));
        }
    }
    DbCursor::new(Arc::clone(view), (at, bounds), sources, timer)
}
