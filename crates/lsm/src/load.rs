//! Loading sorted data as tables, past memtables and log.
//!
//! ```text
//! 1 write    the entries become tables, each with the number 0; nobody sees them, writes go on
//! 2 flush    what is in memory becomes tables
//! 3 lock     no new writer gets a number; what was written during 2 is flushed as well
//! 4 number   the next sequence number stands for the whole load
//! 5 edit     the tables, with that number, enter the manifest; then the view, then `visible`
//! ```
//!
//! 1. A load is one write in the order of writes: all of its entries are newer than what was
//!    written before and older than what comes after. Snapshots from before do not see it.
//! 2. The number stands in the manifest only; a table whose own entries have the number 0 takes
//!    its number from there. The edit says that all up to it is in tables, so no log mentions it.
//! 3. Nothing of the load is seen before the edit is on the medium, and all of it after.
//! 4. From the lock to the end of the edit writers wait at the lock. That is not told as a stall:
//!    the load does not know of them; it is in the latencies of their writes.
//! 5. The tables go to the deepest level that they and all levels above leave free; while jobs
//!    run, whose outputs may cover gaps, to level 0.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use compaction::{KeyRange, Levels, TableInfo};
use sstable::{Cursor as _, Expect, Kind, ReadOptions, SeqNo, Table, TableCursor, Trailer};

use crate::admission::{self, Pressure, wait_until};
use crate::background::{self, Awaited};
use crate::commit::{self, Tail};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::family::{DEFAULT_FAMILY, Family};
use crate::filters;
use crate::inner::Inner;
use crate::manifest::Edit;
use crate::manual;
use crate::memtable::Memtable;
use crate::output::{Inherited, Outputs};
use crate::range_delete::RangeDeletes;
use crate::state::FamilyView;
use crate::version::{TableFile, retire_all};

/// Entries between two looks whether the database is closing.
const ENTRIES_PER_LOOK: u64 = 4096;

/// Bytes of an entry, for a guess at the entries of a table before they are seen.
const ENTRY_BYTES_GUESS: u64 = 64;

/// Bytes of a key that an error shows.
const SHOWN_KEY_BYTES: usize = 64;

/// What a load has brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Entries loaded.
    pub entries: u64,
    /// Tables they became.
    pub tables: u64,
    /// Bytes of those tables.
    pub bytes: u64,
    /// The level they went to.
    pub level: usize,
    /// The sequence number that all of them have; 0 if there was nothing to load.
    pub seqno: SeqNo,
}

/// Takes the entries of a load.
struct Loader<'a> {
    inner: &'a Arc<Inner>,
    family: u32,
    outputs: Outputs<'a>,
    entries: u64,
    last_key: Vec<u8>,
}

impl<'a> Loader<'a> {
    fn new(inner: &'a Arc<Inner>, view: &'a FamilyView) -> Self {
        let (options, shape) = (&view.core.options, &view.version.shape);
        let (level, guess) =
            (shape.deepest().unwrap_or(1), options.table_bytes / ENTRY_BYTES_GUESS);
        let filter = filters::for_level(options, shape, level, guess);
        let now_us = inner.env.clock.unix_micros();
        let inherited =
            Inherited { family: view.core.id, tombstones_since_us: now_us, ranges_applied: 0 };
        let cuts = compaction::Cuts::by_size(options.table_bytes);
        let outputs = Outputs::new(inner, (options, level, filter), (inherited, cuts));
        Self { inner, family: view.core.id, outputs, entries: 0, last_key: Vec::new() }
    }

    fn add(&mut self, key: &[u8], kind: Kind, value: &[u8]) -> Result<()> {
        if self.entries > 0 && key <= self.last_key.as_slice() {
            let shown = key.get(..SHOWN_KEY_BYTES).unwrap_or(key);
            let key = shown.escape_ascii().to_string();
            return Err(Error::NotAscending { rank: self.entries, key });
        }
        if self.entries.is_multiple_of(ENTRIES_PER_LOOK) {
            self.inner.check_writable()?;
        }
        self.outputs.add(key, Trailer::new(0, kind), value)?;
        self.entries += 1;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    fn finish(self) -> Result<LoadReport> {
        self.inner.check_writable()?;
        let _until_it_is_in = background::enter(self.inner)?;
        let (inner, family, entries) = (self.inner, self.family, self.entries);
        let mut files = self.outputs.finish()?;
        if files.is_empty() {
            return Ok(LoadReport::default());
        }
        let installed = install(inner, family, &mut files);
        if installed.is_err() && !inner.is_stopped() {
            retire_all(&files); // no edit names them; after a failed edit, one may
        }
        let (level, seqno) = installed?;
        let bytes = files.iter().map(|file| file.info().bytes).sum();
        background::schedule(inner);
        Ok(LoadReport { entries, tables: files.len() as u64, bytes, level, seqno })
    }
}

/// Steps 2 to 5; returns level and number.
fn install(
    inner: &Arc<Inner>,
    family: u32,
    files: &mut [Arc<TableFile>],
) -> Result<(usize, SeqNo)> {
    manual::flush(inner)?; // most of it, while writers go on
    let mut tail = inner.tail.lock();
    let begun = inner.env.clock.now();
    let installed = install_alone(inner, family, files, &mut tail);
    drop(tail);
    admission::held_up(inner, Pressure::Load, begun);
    installed
}

/// The same, while nobody can get a number.
fn install_alone(
    inner: &Arc<Inner>,
    family: u32,
    files: &mut [Arc<TableFile>],
    tail: &mut Tail,
) -> Result<(usize, SeqNo)> {
    inner.check_writable()?;
    empty_memtables(inner, tail)?;
    let seqno = tail.next_seqno;
    for file in files.iter_mut() {
        file.set_seqno(seqno);
    }
    // No job may be picked for the old tree before the new one is there.
    let level = inner.work.with_jobs(|jobs| {
        let mut tree = inner.tree.lock();
        let view = inner.state.view();
        let current = view.family(family)?;
        let shape = &current.version.shape;
        let idle = jobs.get(&family).is_none_or(crate::compact::Jobs::is_idle);
        let level = if idle { free_level(shape, files) } else { 0 };
        let shape = placed(shape, level, files, tree.new_run_id());
        let none = RangeDeletes::default();
        let (next, edit) = current.version.next(family, shape, files, &none);
        let edit = Edit { flushed_seqno: Some(seqno), reason: "load".into(), ..edit };
        inner.append_edit(&mut tree, edit)?;
        // Whoever still reads the old view must not see writes that come after the load.
        let active = Arc::new(Memtable::new(&inner.arena));
        tail.set_memtable(family, Some(Arc::clone(&active)));
        inner.state.change(|view| {
            view.change_family(family, |view| {
                view.version = Arc::new(next);
                view.active = active;
            });
            inner.admission.update(inner, view);
        });
        Ok::<usize, Error>(level)
    })?;
    tail.begin_at(seqno + 1);
    if inner.visible.publish(seqno, seqno) {
        Ok((level, seqno))
    } else {
        Err(inner.writes_stopped())
    }
}

/// Flushes all that has a number, while nobody can get a new one.
fn empty_memtables(inner: &Arc<Inner>, tail: &mut Tail) -> Result<()> {
    if tail.memtable_bytes > 0 {
        commit::seal(inner, tail, (0, "tables are loaded on top of it"))?;
    }
    if !inner.visible.wait(tail.next_seqno - 1) {
        return Err(inner.writes_stopped());
    }
    wait_until(inner, Awaited::Flushes, |inner| inner.state.peek().sealed.is_empty())
}

/// The deepest level such that neither it nor any above it holds a key within the tables' range.
fn free_level(shape: &Levels, files: &[Arc<TableFile>]) -> usize {
    let mut ranges = files.iter().map(|file| file.info().range());
    let Some(mut hull) = ranges.next() else { return 0 };
    ranges.for_each(|range| hull.include(&range));
    let taken = |hull: &KeyRange, rank: usize| {
        shape.level(rank).runs.iter().any(|run| !run.overlapping(hull).is_empty())
    };
    let deepest = shape.deepest().unwrap_or(0).max(1);
    let free = (0..=deepest).take_while(|&rank| !taken(&hull, rank)).count();
    free.saturating_sub(1)
}

/// The tree with the tables in `level`: in its only run if they go between its tables, else as
/// its newest run.
fn placed(shape: &Levels, level: usize, files: &[Arc<TableFile>], run_id: u64) -> Levels {
    let infos: Vec<Arc<TableInfo>> = files.iter().map(|file| Arc::clone(file.info())).collect();
    let mut next = shape.clone();
    match next.levels.get_mut(level).map(|level| level.runs.as_mut_slice()) {
        Some([only]) if level > 0 => {
            let mut tables = only.tables.clone();
            tables.extend(infos);
            tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
            *only = Arc::new(compaction::Run::new(only.id, tables));
        }
        _ => next.push_run(level, compaction::Run::new(run_id, infos)),
    }
    next
}

fn bulk_load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    inner: &Arc<Inner>,
    family: u32,
    entries: impl IntoIterator<Item = (K, V)>,
) -> Result<LoadReport> {
    inner.check_writable()?;
    let begun = inner.env.clock.now();
    let view = Arc::clone(inner.state.view().family(family)?);
    let mut loader = Loader::new(inner, &view);
    for (key, value) in entries {
        loader.add(key.as_ref(), Kind::Put, value.as_ref())?;
    }
    finish(inner, loader, begun)
}

/// Installs what was loaded since `begun`.
fn finish(inner: &Inner, loader: Loader<'_>, begun: Duration) -> Result<LoadReport> {
    let report = loader.finish()?;
    inner.timed(&inner.timings.load, Some(begun));
    Ok(report)
}

/// Loads the entries of tables that others have written.
fn ingest<P: AsRef<Path>>(inner: &Arc<Inner>, family: u32, paths: &[P]) -> Result<LoadReport> {
    inner.check_writable()?;
    let begun = inner.env.clock.now();
    let view = Arc::clone(inner.state.view().family(family)?);
    let mut tables = Vec::with_capacity(paths.len());
    for path in paths {
        let path = path.as_ref();
        let file = inner.env.fs.open_read(path).map_err(|error| Error::io("open", path, error))?;
        let table = Table::open(file, &path.to_string_lossy(), Expect::default(), None)?;
        // All of them, and all of each, before anything is written.
        table.verify()?;
        if table.meta().entries > 0 {
            tables.push((path, Arc::new(table)));
        }
    }
    tables.sort_by(|(_, a), (_, b)| a.meta().smallest.cmp(&b.meta().smallest));
    let mut loader = Loader::new(inner, &view);
    for (path, table) in tables {
        let mut cursor = TableCursor::new(table, ReadOptions::default());
        cursor.seek_to_first()?;
        while cursor.valid() {
            let kind = cursor.trailer().kind();
            let Some(kind @ (Kind::Put | Kind::Delete)) = kind else {
                let what = "an entry that is neither a put nor a delete".to_owned();
                return Err(Error::Unsupported { path: path.to_path_buf(), what });
            };
            loader.add(cursor.key(), kind, cursor.value())?;
            cursor.next()?;
        }
    }
    finish(inner, loader, begun)
}

/// Loading sorted data.
impl Db {
    /// Writes entries whose keys ascend straight into tables: one pass over the data, no log, no
    /// memtable, and no compaction if their range is free. They become visible, and durable,
    /// together when this returns; then they are the newest writes. Writers wait only while the
    /// memtables are emptied at the end.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// let report = db.bulk_load((0..10_000u32).map(|n| (n.to_be_bytes(), "value")))?;
    /// assert_eq!(report.entries, 10_000);
    /// assert_eq!(db.get(77u32.to_be_bytes())?.as_deref(), Some(&b"value"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotAscending`] if a key is not above the one before: nothing is loaded then; as
    /// [`Db::put`].
    pub fn bulk_load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<LoadReport> {
        bulk_load(self.inner(), DEFAULT_FAMILY, entries)
    }

    /// Loads tables written with the `sstable` crate: all or none of them. Their entries, puts
    /// and deletes, count as written now, whatever their own numbers; no key may be in them
    /// twice. Every byte is checked before anything happens, and then written again as tables of
    /// this database, with its own codec and filters; the files stay as they are.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// use sstable::{Kind, TableWriter, Trailer, WriteOptions};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// # let path = folder.path().join("made elsewhere.sst");
    /// let options = WriteOptions::default();
    /// let mut writer = TableWriter::new(Vec::new(), "made elsewhere", 1, &options)?;
    /// writer.add(b"apple", Trailer::new(0, Kind::Put), b"red")?;
    /// let (_, bytes) = writer.finish()?;
    /// std::fs::write(&path, bytes).unwrap();
    ///
    /// db.ingest(&[&path])?;
    /// assert_eq!(db.get(b"apple")?.as_deref(), Some(&b"red"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A file that cannot be read or is damaged; [`Error::NotAscending`] if the tables overlap or
    /// hold several versions of a key; as [`Db::put`]. Nothing is loaded then.
    pub fn ingest<P: AsRef<Path>>(&self, tables: &[P]) -> Result<LoadReport> {
        ingest(self.inner(), DEFAULT_FAMILY, tables)
    }
}

/// Loading sorted data.
impl Family {
    /// As [`Db::bulk_load`].
    ///
    /// # Errors
    /// As there; [`Error::FamilyDropped`].
    pub fn bulk_load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<LoadReport> {
        bulk_load(self.inner(), self.id(), entries)
    }

    /// As [`Db::ingest`].
    ///
    /// # Errors
    /// As there; [`Error::FamilyDropped`].
    pub fn ingest<P: AsRef<Path>>(&self, tables: &[P]) -> Result<LoadReport> {
        ingest(self.inner(), self.id(), tables)
    }
}
