//! [`Outputs`]: the tables that a flush or a compaction writes.
//!
//! 1. A table is closed only between two user keys: all versions of a key are in one table.
//! 2. Every file is synced, and their folder, before any of them is trusted; then each is opened
//!    and checked as a reader would.
//! 3. What is not taken by [`Outputs::finish`] is removed again.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compaction::{Cuts, TableInfo};
use sstable::{BlockCache, Expect, Paced, SeqNo, Table, TableMeta, TableWriter, Trailer};

use crate::error::{Error, Result};
use crate::family_options::FamilyOptions;
use crate::fs::{Fs, TableReads};
use crate::inner::Inner;
use crate::ledger::{Account, Charge, Ledger};
use crate::memory;
use crate::meter::Timed;
use crate::names;
use crate::open_files::OpenFiles;
use crate::pace::Turn;
use crate::planted::{self, Bug};
use crate::version::{self, TableFile};

/// Bytes handed to the operating system at a time.
pub(crate) const WRITE_BYTES: usize = 256 << 10;

type Sink<'a> = io::BufWriter<Paced<Timed, Option<Turn<'a>>>>;

/// What tables owe to where their entries come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inherited {
    /// The family.
    pub(crate) family: u32,
    /// When the oldest deletion among the entries may have been written.
    pub(crate) tombstones_since_us: u64,
    /// Entries hidden by range deletes up to this sequence number are left out.
    pub(crate) ranges_applied: SeqNo,
}

/// Tables in the making, in ascending order of keys.
pub(crate) struct Outputs<'a> {
    inner: &'a Inner,
    level: usize,
    table_options: sstable::WriteOptions,
    cuts: Cuts,
    inherited: Inherited,
    /// Slows the writing down, if anything does.
    turn: Option<Turn<'a>>,
    open: Option<(u64, TableWriter<Sink<'a>>)>,
    last_key: Vec<u8>,
    written: Vec<(u64, TableMeta)>,
    /// Every file made so far; emptied when they are taken.
    paths: Vec<PathBuf>,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(
        inner: &'a Inner,
        (options, level, filter): (&FamilyOptions, usize, (bloom::Kind, f64)),
        (inherited, cuts): (Inherited, Cuts),
    ) -> Self {
        Self {
            inner,
            level,
            table_options: options.table_options(level, filter),
            cuts,
            inherited,
            turn: None,
            open: None,
            last_key: Vec::new(),
            written: Vec::new(),
            paths: Vec::new(),
        }
    }

    /// The same, within the limit for merges.
    pub(crate) fn in_turn(mut self, turn: Turn<'a>) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Appends an entry; entries ascend.
    pub(crate) fn add(&mut self, key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        // A border lies between two user keys; only length may ask for a cut within one.
        let bytes = self.open.as_ref().map_or(0, |(_, writer)| writer.estimated_bytes());
        if self.cuts.ends_before(key, bytes) && self.open.is_some() && self.last_key != key {
            self.close_table()?;
        }
        if self.open.is_none() {
            self.open = Some(self.open_table()?);
        }
        let (_, writer) = self.open.as_mut().expect("opened above");
        writer.add(key, trailer, value)?;
        if writer.estimated_bytes() >= self.cuts.longest_bytes() {
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        Ok(())
    }

    fn open_table(&mut self) -> Result<(u64, TableWriter<Sink<'a>>)> {
        let number = self.inner.tree.lock().new_file_number();
        let path = names::table_path(&self.inner.path, number);
        let file = self.inner.env.fs.create(&path);
        let file = file.map_err(|error| Error::io("create", &path, error))?;
        self.paths.push(path.clone());
        let file = Timed::new(file, self.inner.meter.clone());
        let sink = io::BufWriter::with_capacity(WRITE_BYTES, Paced::new(file, self.turn));
        let id = table_id(self.inner.db_id, number);
        let options = &self.table_options;
        let writer = TableWriter::new(sink, &path.to_string_lossy(), id, options)?;
        let level = u32::try_from(self.level).unwrap_or(u32::MAX);
        let writer = writer.with_origin(level, self.inner.env.clock.unix_micros());
        let writer = writer.with_owner(u64::from(self.inherited.family));
        let Some(meter) = &self.inner.meter else { return Ok((number, writer)) };
        meter.look(memory::share(self.inner));
        Ok((number, writer.with_load(meter.gauge())))
    }

    fn close_table(&mut self) -> Result<()> {
        let Some((number, writer)) = self.open.take() else { return Ok(()) };
        let (meta, sink) = writer.finish()?;
        let path = names::table_path(&self.inner.path, number);
        let file = sink.into_inner().map_err(|error| Error::io("write", &path, error.into()));
        let mut file = file?.into_inner();
        if !planted::has(Bug::EditBeforeSync) {
            file.sync().map_err(|error| Error::io("sync", &path, error))?;
        }
        // A flush, as a sync implies: the file is about to be read.
        file.flush().map_err(|error| Error::io("write", &path, error))?;
        self.written.push((number, meta));
        Ok(())
    }

    /// Tables that are closed.
    #[inline]
    pub(crate) fn tables(&self) -> usize {
        self.written.len()
    }

    /// Closes, syncs and opens the tables.
    pub(crate) fn finish(mut self) -> Result<Vec<Arc<TableFile>>> {
        self.close_table()?;
        if self.written.is_empty() {
            return Ok(Vec::new());
        }
        let (fs, folder) = (&self.inner.env.fs, &self.inner.path);
        fs.sync_dir(folder).map_err(|error| Error::io("sync", folder, error))?;
        let now_us = self.inner.env.clock.unix_micros();
        let mut files = Vec::with_capacity(self.written.len());
        for (number, meta) in &self.written {
            let info = TableInfo {
                id: *number,
                bytes: meta.file_bytes,
                entries: meta.entries,
                tombstones: meta.tombstones,
                smallest: meta.smallest.clone(),
                largest: meta.largest.clone(),
                min_seqno: meta.min_seqno,
                max_seqno: meta.max_seqno,
                created_at_us: now_us,
                tombstones_since_us: self.inherited.tombstones_since_us.min(now_us),
                ranges_applied: self.inherited.ranges_applied,
            };
            files.push(open_table(self.inner, Arc::new(info))?);
        }
        self.paths.clear();
        Ok(files)
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {
        self.open = None;
        for path in &self.paths {
            // What cannot be removed is an orphan, gone at the next open.
            if let Err(error) = self.inner.env.fs.remove(path) {
                tracing::warn!(path = %path.display(), %error, "an unfinished table stays");
            }
        }
    }
}

/// Where a database's tables are, and what opening them takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) fs: &'a Arc<dyn Fs>,
    pub(crate) folder: &'a Path,
    pub(crate) db_id: u64,
    pub(crate) reads: TableReads,
    pub(crate) cache: Option<&'a Arc<BlockCache>>,
    /// Which keeps few files open; without it every table's stays open.
    pub(crate) open_files: Option<&'a Arc<OpenFiles>>,
    pub(crate) ledger: &'a Arc<Ledger>,
}

/// Opens the file of a live table and checks that it is the one that was written.
pub(crate) fn open_table(inner: &Inner, info: Arc<TableInfo>) -> Result<Arc<TableFile>> {
    let (fs, folder, cache) = (&inner.env.fs, inner.path.as_path(), inner.cache.as_ref());
    let (reads, open_files) = (inner.options.table_reads, Some(&inner.open_files));
    let (db_id, ledger) = (inner.db_id, &inner.ledger);
    open_table_in(&Place { fs, folder, db_id, reads, cache, open_files, ledger }, info)
}

/// [`open_table`] for any folder.
pub(crate) fn open_table_in(place: &Place<'_>, info: Arc<TableInfo>) -> Result<Arc<TableFile>> {
    let path = names::table_path(place.folder, info.id);
    let file = match place.open_files {
        Some(open_files) => open_files.file(place.fs, path.clone(), place.reads),
        None => place.fs.open_table(&path, place.reads),
    };
    let file = file.map_err(|error| Error::io("open", &path, error))?;
    let expect =
        Expect { table_id: Some(table_id(place.db_id, info.id)), file_bytes: Some(info.bytes) };
    let cache = place.cache.cloned();
    let mut table = Table::open(file, &path.to_string_lossy(), expect, cache.clone())?;
    if table.meta().max_seqno == 0 && info.max_seqno > 0 {
        table.set_seqno(info.max_seqno); // loaded: only the manifest knows its number
    }
    let charge = Charge::new(place.ledger, Account::Tables, version::memory_bytes(&table, &path));
    Ok(TableFile::new(info, Arc::new(table), (path, Arc::clone(place.fs)), (cache, charge)))
}

/// The identity that a table's checksums carry: a file of another database, or of another number,
/// is not mistaken for it.
pub(crate) fn table_id(db_id: u64, number: u64) -> u64 {
    db_id ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
