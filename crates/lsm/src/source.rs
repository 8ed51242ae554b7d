//! [`Source`]: one sorted input of a scan: a memtable or a run of tables.
//!
//! A run's cursor opens its tables one after the other, so a scan over many tables holds one
//! block of each run.

use std::ops::Range;
use std::sync::Arc;

use fastskip::SkipList;
use sstable::{Allowance, Cursor, Merge, ReadOptions, Result, TableCursor, Trailer};

use crate::memtable::{ShardedCursor, SkipMapCursor};
use crate::version::TableFile;

/// A cursor over a memtable or over a run.
#[derive(Debug)]
pub(crate) enum Source {
    Memtable(MemtableCursor),
    Run(RunCursor),
    SkipMap(SkipMapCursor),
    Sharded(Box<ShardedCursor>),
}

/// Calls the same method on whichever cursor it is.
macro_rules! each {
    ($self:ident, $cursor:ident => $call:expr) => {
        match $self {
            Source::Memtable($cursor) => $call,
            Source::Run($cursor) => $call,
            Source::SkipMap($cursor) => $call,
            Source::Sharded($cursor) => $call,
        }
    };
}

impl Cursor for Source {
    #[inline]
    fn valid(&self) -> bool {
        each!(self, cursor => cursor.valid())
    }

    #[inline]
    fn key(&self) -> &[u8] {
        each!(self, cursor => cursor.key())
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        each!(self, cursor => cursor.trailer())
    }

    #[inline]
    fn value(&self) -> &[u8] {
        each!(self, cursor => cursor.value())
    }

    #[inline]
    fn repeats(&self) -> bool {
        each!(self, cursor => cursor.repeats())
    }

    fn seek_to_first(&mut self) -> Result<()> {
        each!(self, cursor => cursor.seek_to_first())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        each!(self, cursor => cursor.seek_to_last())
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        each!(self, cursor => cursor.seek(key, trailer))
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        each!(self, cursor => cursor.seek_for_prev(key, trailer))
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        each!(self, cursor => cursor.next())
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        each!(self, cursor => cursor.prev())
    }
}

/// All inputs of a scan as one: merged, unless there is only one, as in a settled tree.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a cursor; a box would be one more line to load")]
pub(crate) enum Sources {
    One(Source),
    Many(Merge<Source>),
}

impl Sources {
    pub(crate) fn new(mut sources: Vec<Source>) -> Self {
        match (sources.len(), sources.pop()) {
            (1, Some(only)) => Self::One(only),
            (_, last) => {
                sources.extend(last);
                Self::Many(Merge::new(sources))
            }
        }
    }
}

/// Calls the same method on the one source or on the merge.
macro_rules! all {
    ($self:ident, $cursor:ident => $call:expr) => {
        match $self {
            Sources::One($cursor) => $call,
            Sources::Many($cursor) => $call,
        }
    };
}

impl Cursor for Sources {
    #[inline]
    fn valid(&self) -> bool {
        all!(self, cursor => cursor.valid())
    }

    #[inline]
    fn key(&self) -> &[u8] {
        all!(self, cursor => cursor.key())
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        all!(self, cursor => cursor.trailer())
    }

    #[inline]
    fn value(&self) -> &[u8] {
        all!(self, cursor => cursor.value())
    }

    #[inline]
    fn repeats(&self) -> bool {
        all!(self, cursor => cursor.repeats())
    }

    fn seek_to_first(&mut self) -> Result<()> {
        all!(self, cursor => cursor.seek_to_first())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        all!(self, cursor => cursor.seek_to_last())
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        all!(self, cursor => cursor.seek(key, trailer))
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        all!(self, cursor => cursor.seek_for_prev(key, trailer))
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        all!(self, cursor => cursor.next())
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        all!(self, cursor => cursor.prev())
    }
}

/// A memtable's cursor in the words of [`Cursor`].
#[derive(Debug)]
pub(crate) struct MemtableCursor(pub(crate) fastskip::Cursor<Arc<SkipList>>);

impl Cursor for MemtableCursor {
    #[inline]
    fn valid(&self) -> bool {
        self.0.valid()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.0.key()
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        Trailer::from_raw(self.0.version())
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.0.value()
    }

    #[inline]
    fn repeats(&self) -> bool {
        self.0.repeats()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.0.seek_to_first();
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.0.seek_to_last();
        Ok(())
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        self.0.seek(key, trailer.raw());
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        self.0.seek_for_prev(key, trailer.raw());
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.0.advance();
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        self.0.retreat();
        Ok(())
    }
}

/// A cursor over a run: tables in ascending order, none overlapping another.
#[derive(Debug)]
pub(crate) struct RunCursor {
    /// Those of the whole run; the cursor walks over the ones in `range`.
    tables: Arc<[Arc<TableFile>]>,
    range: Range<usize>,
    options: ReadOptions,
    /// Who is charged for blocks and read-ahead; nobody where a job has reserved them.
    allowance: Option<Arc<Allowance>>,
    rank: usize,
    open: Option<TableCursor>,
}

impl RunCursor {
    /// A cursor over a range of `tables`, not yet on an entry.
    pub(crate) fn new(
        (tables, range): (Arc<[Arc<TableFile>]>, Range<usize>),
        options: ReadOptions,
    ) -> Self {
        Self { tables, range, options, allowance: None, rank: 0, open: None }
    }

    /// The same, that charges `allowance`.
    pub(crate) fn with_allowance(self, allowance: &Arc<Allowance>) -> Self {
        Self { allowance: Some(Arc::clone(allowance)), ..self }
    }

    /// The table and the place in it of the block that the cursor stands in.
    pub(crate) fn block(&self) -> Option<(u64, u64)> {
        let number = self.tables().get(self.rank)?.info().id;
        Some((number, self.open.as_ref()?.block_offset()?))
    }

    fn tables(&self) -> &[Arc<TableFile>] {
        self.tables.get(self.range.clone()).unwrap_or_default()
    }

    /// Opens the table at `rank`, or keeps it if it is open.
    fn open(&mut self, rank: usize) -> Option<&mut TableCursor> {
        if self.open.is_none() || self.rank != rank {
            let file = self.tables().get(rank)?;
            let cursor = TableCursor::new(Arc::clone(file.table()), self.options);
            self.open = Some(match &self.allowance {
                Some(allowance) => cursor.with_allowance(Arc::clone(allowance)),
                None => cursor,
            });
            self.rank = rank;
        }
        self.open.as_mut()
    }

    /// Goes to the first entry of the following tables while the open one is exhausted.
    fn skip_forward(&mut self) -> Result<()> {
        while self.open.as_ref().is_some_and(|cursor| !cursor.valid()) {
            let next = self.rank + 1;
            match self.open(next) {
                Some(cursor) => cursor.seek_to_first()?,
                None => self.open = None,
            }
        }
        Ok(())
    }

    /// Goes to the last entry of the tables before while the open one is exhausted.
    fn skip_backward(&mut self) -> Result<()> {
        while self.open.as_ref().is_some_and(|cursor| !cursor.valid()) {
            match self.rank.checked_sub(1).and_then(|rank| self.open(rank)) {
                Some(cursor) => cursor.seek_to_last()?,
                None => self.open = None,
            }
        }
        Ok(())
    }

    fn current(&self) -> &TableCursor {
        self.open.as_ref().expect("the cursor must be on an entry")
    }

    /// Moves the open table's cursor; an error leaves the run's cursor on no entry.
    fn step(&mut self, step: impl FnOnce(&mut TableCursor) -> Result<()>) -> Result<()> {
        let result = step(self.open.as_mut().expect("the cursor must be on an entry"));
        if result.is_err() {
            self.open = None;
        }
        result
    }
}

impl Cursor for RunCursor {
    #[inline]
    fn valid(&self) -> bool {
        self.open.as_ref().is_some_and(Cursor::valid)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.current().key()
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        self.current().trailer()
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.current().value()
    }

    #[inline]
    fn repeats(&self) -> bool {
        // No key is in two tables of a run, and a table's first entry repeats none.
        self.current().repeats()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.open = None;
        if self.open(0).is_some() {
            self.step(Cursor::seek_to_first)?;
        }
        self.skip_forward()
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.open = None;
        if let Some(rank) = self.tables().len().checked_sub(1) {
            self.open(rank);
            self.step(Cursor::seek_to_last)?;
        }
        self.skip_backward()
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        let rank = self.tables().partition_point(|file| file.largest() < key);
        if self.open(rank).is_none() {
            self.open = None;
            return Ok(());
        }
        self.step(|cursor| cursor.seek(key, trailer))?;
        self.skip_forward()
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        let after = self.tables().partition_point(|file| file.smallest() <= key);
        let Some(rank) = after.checked_sub(1) else {
            self.open = None;
            return Ok(());
        };
        self.open(rank);
        self.step(|cursor| cursor.seek_for_prev(key, trailer))?;
        self.skip_backward()
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        let cursor = self.open.as_mut().expect("the cursor must be on an entry");
        match cursor.next() {
            Ok(()) if cursor.valid() => Ok(()),
            Ok(()) => self.skip_forward(),
            Err(error) => {
                self.open = None;
                Err(error)
            }
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        self.step(Cursor::prev)?;
        if self.valid() { Ok(()) } else { self.skip_backward() }
    }
}
