//! What tools look at and applications do not need: stored entries as they are, jobs that run,
//! the operations of a logged batch.
//!
//! Nothing here changes a database or holds one up: a [`StoredEntries`] keeps alive the tables it
//! reads, as any reader does.

use std::collections::VecDeque;
use std::sync::Arc;

pub use sstable::Kind;
use sstable::{Cursor as _, ReadOptions, SeqNo, TableCursor};

use crate::batch::Operations;
use crate::db::Db;
use crate::error::Result;
use crate::family::DEFAULT_FAMILY;
use crate::inner::Inner;
use crate::state::FamilyView;
use crate::version::TableFile;

/// Background work at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Whether a memtable is being flushed.
    pub flushing: bool,
    /// Compactions that run, moves not counted.
    pub compactions: usize,
    /// Numbers of the default family's tables that they read, newest level first.
    pub compacting: Vec<u64>,
    /// Bytes of the tables of all families that they read.
    pub compacting_bytes: u64,
    /// Memtables that wait for their flush.
    pub sealed_memtables: usize,
    /// Whether writes have stopped for good after a failure.
    pub stopped: bool,
}

impl Activity {
    fn of(inner: &Inner) -> Self {
        let view = inner.state.view();
        let (flushing, compactions) = inner.work.running();
        let mut activity = Self {
            flushing,
            compactions,
            sealed_memtables: view.sealed.len(),
            stopped: inner.is_stopped(),
            ..Self::default()
        };
        let taken: Vec<(u32, u64, u64)> = inner.work.with_jobs(|jobs| {
            let tables = view.families().flat_map(|family| {
                let jobs = jobs.get(&family.core.id);
                let held = move |id| jobs.is_some_and(|jobs| jobs.holds(id));
                let infos = family.version.tables().map(|file| file.info());
                infos.filter(move |info| held(info.id)).map(|i| (family.core.id, i.id, i.bytes))
            });
            tables.collect()
        });
        activity.compacting_bytes = taken.iter().map(|(_, _, bytes)| bytes).sum();
        let own = taken.iter().filter(|(family, _, _)| *family == DEFAULT_FAMILY);
        activity.compacting = own.map(|(_, number, _)| *number).collect();
        activity
    }
}

/// One entry of a table, as it is stored: superseded versions and deletions too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEntry<'a> {
    /// The level of its table; 0 is the newest.
    pub level: usize,
    /// The key.
    pub key: &'a [u8],
    /// The value; empty for a deletion.
    pub value: &'a [u8],
    /// What the entry does.
    pub kind: Kind,
    /// The sequence number of its write.
    pub seqno: SeqNo,
}

/// Reads every entry of the default family's tables, level by level, newest level first; in a
/// level run by run, newest first; in a run by key.
///
/// ```
/// # fn main() -> lsm::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
/// db.put(b"k", b"v")?;
/// db.flush()?;
/// let mut entries = db.stored_entries()?;
/// let entry = entries.next()?.expect("one entry");
/// assert_eq!((entry.level, entry.key, entry.value), (0, &b"k"[..], &b"v"[..]));
/// assert!(entries.next()?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StoredEntries {
    levels: Vec<(usize, u64)>,
    tables: VecDeque<(usize, Arc<TableFile>)>,
    /// The level in hand, and the place in its table. The cursor stands on the entry that
    /// [`StoredEntries::next`] gives next.
    current: Option<(usize, TableCursor)>,
    /// Whether the cursor's entry was given.
    given: bool,
}

impl StoredEntries {
    fn of(view: &FamilyView) -> Self {
        let (mut levels, mut tables) = (Vec::new(), VecDeque::new());
        for (level, runs) in view.version.levels.iter().enumerate() {
            let files = runs.iter().flat_map(|run| run.tables.iter());
            let entries = files.clone().map(|file| file.info().entries).sum();
            if entries > 0 {
                levels.push((level, entries));
            }
            tables.extend(files.map(|file| (level, Arc::clone(file))));
        }
        Self { levels, tables, current: None, given: false }
    }

    /// The levels that hold entries, and how many.
    pub fn levels(&self) -> &[(usize, u64)] {
        &self.levels
    }

    /// Leaves out what is left of the level of the entry given last.
    pub fn skip_level(&mut self) {
        if let Some((level, _)) = self.current.take() {
            self.tables.retain(|(of, _)| *of != level);
        }
        self.given = false;
    }

    /// Returns the next entry, or `None` after the last.
    ///
    /// # Errors
    /// A table that cannot be read, or is damaged.
    #[expect(clippy::should_implement_trait, reason = "the entry is lent from the cursor")]
    pub fn next(&mut self) -> Result<Option<StoredEntry<'_>>> {
        if std::mem::take(&mut self.given)
            && let Some((_, cursor)) = &mut self.current
        {
            cursor.next()?;
        }
        while self.current.as_ref().is_none_or(|(_, cursor)| !cursor.valid()) {
            self.current = None;
            let Some((level, file)) = self.tables.pop_front() else { return Ok(None) };
            let options = ReadOptions { fill_cache: false, ..ReadOptions::default() };
            let mut cursor = TableCursor::new(Arc::clone(file.table()), options);
            cursor.seek_to_first()?;
            self.current = Some((level, cursor));
        }
        self.given = true;
        Ok(self.current.as_ref().map(|(level, cursor)| StoredEntry {
            level: *level,
            key: cursor.key(),
            value: cursor.value(),
            kind: cursor.trailer().kind().unwrap_or(Kind::Delete),
            seqno: cursor.trailer().seqno(),
        }))
    }
}

impl Db {
    /// Background work at this moment.
    pub fn activity(&self) -> Activity {
        Activity::of(self.inner())
    }

    /// Every entry of the default family's tables as it is stored, of the tables that are live
    /// now. What is in memtables only is not among them: [`Db::flush`] first.
    ///
    /// # Errors
    /// A closed database.
    pub fn stored_entries(&self) -> Result<StoredEntries> {
        self.inner().check_open()?;
        let view = self.inner().state.view();
        Ok(StoredEntries::of(view.family(DEFAULT_FAMILY)?))
    }
}

/// One operation of a batch in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedOperation<'a> {
    /// The number of the family it writes to.
    pub family: u32,
    /// What it does.
    pub kind: Kind,
    /// The key, or the start of a deleted range.
    pub key: &'a [u8],
    /// The value, or the end of a deleted range; empty for a deletion.
    pub value: &'a [u8],
}

/// Reads the operations of a batch, as [`crate::wal::replay`] hands it on.
///
/// # Errors
/// What was expected instead, in words; nothing comes after an error.
pub fn logged_operations(
    payload: &[u8],
) -> impl Iterator<Item = std::result::Result<LoggedOperation<'_>, &'static str>> {
    let (operations, bad) = match Operations::new(payload) {
        Ok(operations) => (Some(operations), None),
        Err(expected) => (None, Some(Err(expected))),
    };
    let read = operations.into_iter().flatten().map(|operation| {
        let crate::batch::Operation { family, kind, key, value } = operation?;
        Ok(LoggedOperation { family, kind, key, value })
    });
    bad.into_iter().chain(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, WriteBatch};

    #[test]
    fn entries_come_level_by_level_and_levels_can_be_left() {
        let folder = tempfile::tempdir().unwrap();
        // A tree that leaves level 0 alone while nobody writes, deletions in it or not.
        let strategy = compaction::Strategy::Tiered;
        let options = Options { strategy, tombstone_density: 0.0, ..Options::default() };
        let db = Db::open(folder.path(), options).unwrap();
        for key in [b"a", b"b", b"c"] {
            db.put(key, b"old").unwrap();
        }
        db.compact().unwrap();
        db.delete(b"b").unwrap();
        db.put(b"d", b"new").unwrap();
        db.flush().unwrap();
        let mut entries = db.stored_entries().unwrap();
        let last = entries.levels()[1].0;
        assert_eq!(entries.levels(), [(0, 2), (last, 3)]);
        let mut seen = Vec::new();
        while let Some(entry) = entries.next().unwrap() {
            seen.push((entry.level, entry.key.to_vec(), entry.value.to_vec(), entry.kind));
        }
        let put =
            |level, key: &[u8], value: &[u8]| (level, key.to_vec(), value.to_vec(), Kind::Put);
        let deleted = (0, b"b".to_vec(), Vec::new(), Kind::Delete);
        assert_eq!(
            seen,
            [
                deleted,
                put(0, b"d", b"new"),
                put(last, b"a", b"old"),
                put(last, b"b", b"old"),
                put(last, b"c", b"old")
            ]
        );
        assert!(entries.next().unwrap().is_none(), "and it stays at the end");

        let mut entries = db.stored_entries().unwrap();
        entries.next().unwrap();
        entries.skip_level();
        assert_eq!(entries.next().unwrap().map(|entry| entry.level), Some(last));
        // The tables that it reads stay, whatever becomes of the tree.
        db.compact().unwrap();
        assert_eq!(entries.next().unwrap().map(|entry| entry.key.to_vec()), Some(b"b".to_vec()));
    }

    #[test]
    fn an_idle_database_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path(), Options::default()).unwrap();
        db.put(b"k", b"v").unwrap();
        db.flush().unwrap();
        db.wait_idle().unwrap();
        assert_eq!(db.activity(), Activity::default());
    }

    #[test]
    fn logged_operations_are_those_of_the_batch_and_bad_bytes_end_them() {
        let mut batch = WriteBatch::new();
        batch.put(b"k", b"v").delete(b"old").delete_range(b"m", b"n");
        let payload = batch.payload().unwrap().bytes.to_vec();
        let read: Vec<_> = logged_operations(&payload).map(|o| o.unwrap()).collect();
        let kinds: Vec<Kind> = read.iter().map(|operation| operation.kind).collect();
        assert_eq!(kinds, [Kind::Put, Kind::Delete, Kind::RangeDelete]);
        assert_eq!((read[0].key, read[0].value, read[2].value), (&b"k"[..], &b"v"[..], &b"n"[..]));
        for cut in 0..payload.len() {
            let end = logged_operations(&payload[..cut]).last();
            assert!(matches!(end, Some(Err(_))), "cut at {cut}: {end:?}");
        }
    }
}
