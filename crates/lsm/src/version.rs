//! [`Version`]: the live tables, by level and run, at one moment.
//!
//! A version never changes. What the policies see of it, [`Levels`], and what reads use of it,
//! open [`TableFile`]s, are built together and say the same.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use compaction::{Levels, TableInfo};
use sstable::{BlockCache, SeqNo, Table};

use crate::events::Event;
use crate::fs::Fs;
use crate::ledger::Charge;
use crate::manifest::Edit;
use crate::range_delete::RangeDeletes;
use crate::scan::Bounds;
use crate::tree;

/// Of so many point reads of tables, a thread counts one.
const READS_PER_NOTE: u32 = 32;

/// An open table file. When a compaction has replaced it and the last reader has left, dropping
/// it removes the file and its blocks in the cache.
#[derive(Debug)]
pub(crate) struct TableFile {
    info: Arc<TableInfo>,
    table: Arc<Table>,
    path: PathBuf,
    fs: Arc<dyn Fs>,
    cache: Option<Arc<BlockCache>>,
    obsolete: AtomicBool,
    reads: AtomicU64,
    _charge: Charge,
}

/// Bytes of memory of an open table beside [`Table::memory_usage`] and its keys: itself, its place
/// among open files, in the tree, in the manifest and in the policy's view of them.
const BOOKS_BYTES: u64 = 1024;

/// Copies of a table's smallest and largest key, beside the table's own.
const KEY_COPIES: u64 = 2;

/// Bytes of memory that an open table takes.
pub(crate) fn memory_bytes(table: &Table, path: &Path) -> u64 {
    let keys = table.meta().smallest.len() + table.meta().largest.len();
    let names = 3 * path.as_os_str().len() as u64;
    table.memory_usage() as u64 + KEY_COPIES * keys as u64 + names + BOOKS_BYTES
}

impl TableFile {
    pub(crate) fn new(
        info: Arc<TableInfo>,
        table: Arc<Table>,
        (path, fs): (PathBuf, Arc<dyn Fs>),
        (cache, charge): (Option<Arc<BlockCache>>, Charge),
    ) -> Arc<Self> {
        let (obsolete, reads) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { info, table, path, fs, cache, obsolete, reads, _charge: charge })
    }

    /// Gives all entries of a new table the number `seqno`.
    ///
    /// # Panics
    /// If the table is in use already.
    pub(crate) fn set_seqno(self: &mut Arc<Self>, seqno: SeqNo) {
        let file = Arc::get_mut(self).expect("a new table has one owner");
        Arc::get_mut(&mut file.table).expect("a new table has one owner").set_seqno(seqno);
        let info = TableInfo { min_seqno: seqno, max_seqno: seqno, ..TableInfo::clone(&file.info) };
        file.info = Arc::new(info);
    }

    pub(crate) fn info(&self) -> &Arc<TableInfo> {
        &self.info
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(crate) fn smallest(&self) -> &[u8] {
        &self.info.smallest
    }

    pub(crate) fn largest(&self) -> &[u8] {
        &self.info.largest
    }

    /// Takes note of a point read that went through the filter: one in [`READS_PER_NOTE`], so
    /// that threads seldom meet on the counter.
    #[inline]
    pub(crate) fn note_read(&self) {
        thread_local! {
            static SKIPPED: Cell<u32> = const { Cell::new(0) };
        }
        let skipped = SKIPPED.get() + 1;
        SKIPPED.set(skipped % READS_PER_NOTE);
        if skipped == READS_PER_NOTE {
            // ORDERING: Relaxed; a statistic publishes nothing.
            self.reads.fetch_add(u64::from(READS_PER_NOTE), Ordering::Relaxed);
        }
    }

    /// Point reads since the table was opened, about: how warm it is.
    pub(crate) fn reads(&self) -> u64 {
        // ORDERING: Relaxed; as for `note_read`.
        self.reads.load(Ordering::Relaxed)
    }

    /// The event that it has become part of a level.
    pub(crate) fn created(&self, level: usize) -> Event {
        let (number, bytes, entries) = (self.info.id, self.info.bytes, self.info.entries);
        Event::TableCreated { number, level, bytes, entries }
    }

    /// The event that it is no longer part of the tree.
    pub(crate) fn deleted(&self) -> Event {
        Event::TableDeleted { number: self.info.id }
    }

    /// Says that the manifest no longer names the file.
    pub(crate) fn retire(&self) {
        // ORDERING: Relaxed; the reference count orders this store before the drop that reads it.
        self.obsolete.store(true, Ordering::Relaxed);
    }
}

/// Says that the manifest names none of `files`.
pub(crate) fn retire_all(files: &[Arc<TableFile>]) {
    for file in files {
        file.retire();
    }
}

impl Drop for TableFile {
    fn drop(&mut self) {
        if *self.obsolete.get_mut() {
            let id = self.table.meta().table_id;
            if let Some(cache) = &self.cache {
                cache.remove_if(|key| key.table_id == id);
            }
            // A file that stays is an orphan, removed at the next open.
            if let Err(error) = self.fs.remove(&self.path) {
                tracing::warn!(path = %self.path.display(), %error, "a replaced table stays");
            }
        }
    }
}

/// Tables in ascending order, none overlapping another.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) tables: Arc<[Arc<TableFile>]>,
}

impl Run {
    /// The one table whose range holds `key`.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<&Arc<TableFile>> {
        let rank = match &*self.tables {
            [_] => 0,
            tables => tables.partition_point(|file| file.largest() < key),
        };
        let file = self.tables.get(rank)?;
        (file.smallest() <= key && key <= file.largest()).then_some(file)
    }
}

impl Run {
    /// The tables that may hold keys within `bounds`.
    pub(crate) fn within(&self, bounds: &Bounds) -> &[Arc<TableFile>] {
        self.tables.get(self.ranks_within(bounds)).unwrap_or_default()
    }

    /// The ranks of the tables that may hold keys within `bounds`.
    pub(crate) fn ranks_within(&self, (low, high): &Bounds) -> Range<usize> {
        let first = match low {
            Bound::Included(low) | Bound::Excluded(low) => {
                self.tables.partition_point(|file| file.largest() < low.as_slice())
            }
            Bound::Unbounded => 0,
        };
        let last = match high {
            Bound::Included(high) | Bound::Excluded(high) => {
                self.tables.partition_point(|file| file.smallest() <= high.as_slice())
            }
            Bound::Unbounded => self.tables.len(),
        };
        first..last.max(first)
    }
}

/// The live tables. Levels newest first; in a level, runs newest first.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) levels: Vec<Vec<Run>>,
    pub(crate) shape: Levels,
    /// Deleted ranges that hide entries of these tables.
    pub(crate) range_deletes: Arc<RangeDeletes>,
}

impl Version {
    /// Pairs every table of `shape` with its open file.
    ///
    /// # Panics
    /// If `files` lacks one of them.
    pub(crate) fn new(
        shape: Levels,
        files: &HashMap<u64, Arc<TableFile>>,
        range_deletes: Arc<RangeDeletes>,
    ) -> Self {
        let open = |info: &Arc<TableInfo>| {
            Arc::clone(files.get(&info.id).expect("every live table is open"))
        };
        let run =
            |run: &Arc<compaction::Run>| Run { tables: run.tables.iter().map(open).collect() };
        let levels =
            shape.levels.iter().map(|level| level.runs.iter().map(run).collect()).collect();
        Self { levels, shape, range_deletes }
    }

    /// No tables.
    pub(crate) fn empty() -> Self {
        Self::new(Levels::new(), &HashMap::new(), Arc::default())
    }

    /// This version with another shape, where `made` are the tables that are new, and with more
    /// deleted ranges; and the edit that leads there, without a reason. Ranges that hide nothing
    /// in that shape are left out.
    pub(crate) fn next(
        &self,
        family: u32,
        shape: Levels,
        made: &[Arc<TableFile>],
        more: &RangeDeletes,
    ) -> (Self, Edit) {
        let mut files = self.files();
        files.extend(made.iter().map(|file| (file.info.id, Arc::clone(file))));
        let metas = made.iter().map(|file| (file.info.id, file.table.meta())).collect();
        let mut edit = tree::difference(family, &self.shape, &shape, &metas);
        let range_deletes = if self.range_deletes.is_empty() && more.is_empty() {
            Arc::clone(&self.range_deletes)
        } else {
            let all = self.range_deletes.with(more.iter().cloned());
            Arc::new(all.needed_in(&shape))
        };
        tree::add_range_difference(&mut edit, family, &self.range_deletes, &range_deletes);
        (Self::new(shape, &files, range_deletes), edit)
    }

    /// All tables, newest level first.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableFile>> {
        self.levels.iter().flatten().flat_map(|run| run.tables.iter())
    }

    /// All runs, newest first.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.levels.iter().flatten()
    }

    /// The open files by number.
    pub(crate) fn files(&self) -> HashMap<u64, Arc<TableFile>> {
        self.tables().map(|file| (file.info.id, Arc::clone(file))).collect()
    }
}
