//! How much a database or a range of it holds, about: from indexes and counts, without reading
//! data.

use std::ops::{Bound, RangeBounds};

use sstable::{Cursor as _, Trailer};

use crate::db::Db;
use crate::error::Result;
use crate::family::{DEFAULT_FAMILY, Family};
use crate::inner::Inner;
use crate::memtable::Memtable;
use crate::scan::{Bounds, bounds_of};
use crate::state::FamilyView;

/// What a range of keys takes, about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeSize {
    /// Bytes of table files, with their share of filters and indexes.
    pub table_bytes: u64,
    /// Versions and deletions in tables.
    pub table_entries: u64,
    /// Bytes of keys and values in memtables.
    pub memtable_bytes: u64,
    /// Versions and deletions in memtables.
    pub memtable_entries: u64,
}

impl RangeSize {
    /// Bytes in tables and memtables.
    pub fn bytes(&self) -> u64 {
        self.table_bytes + self.memtable_bytes
    }

    /// Versions and deletions in tables and memtables.
    pub fn entries(&self) -> u64 {
        self.table_entries + self.memtable_entries
    }
}

/// What `bounds` take: tables to half a block at each end, memtables counted.
pub(crate) fn range_size(view: &FamilyView, bounds: &Bounds) -> Result<RangeSize> {
    let mut size = RangeSize::default();
    let (low, high) = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
    for run in view.version.runs() {
        for file in run.within(bounds) {
            let part = file.table().range_size(low, high)?;
            size.table_bytes += part.bytes;
            size.table_entries += part.entries;
        }
    }
    for memtable in view.memtables() {
        count(memtable, bounds, &mut size)?;
    }
    Ok(size)
}

fn count(memtable: &Memtable, bounds: &Bounds, size: &mut RangeSize) -> Result<()> {
    let mut cursor = memtable.cursor();
    match &bounds.0 {
        Bound::Unbounded => cursor.seek_to_first()?,
        Bound::Included(key) | Bound::Excluded(key) => cursor.seek(key, Trailer::FIRST)?,
    }
    let inside = |key: &[u8]| match &bounds.1 {
        Bound::Unbounded => true,
        Bound::Included(high) => key <= high.as_slice(),
        Bound::Excluded(high) => key < high.as_slice(),
    };
    while cursor.valid() && inside(cursor.key()) {
        if !matches!(&bounds.0, Bound::Excluded(low) if low.as_slice() == cursor.key()) {
            size.memtable_entries += 1;
            size.memtable_bytes += (cursor.key().len() + cursor.value().len()) as u64;
        }
        cursor.next()?;
    }
    Ok(())
}

/// Keys with a value, about: every put counts, and every deletion takes one away.
pub(crate) fn len(view: &FamilyView) -> u64 {
    let tables = view.version.tables().map(|file| (file.info().entries, file.info().tombstones));
    let memtables = view.memtables().map(|memtable| (memtable.len() as u64, memtable.deletions()));
    let (entries, deletions) =
        tables.chain(memtables).fold((0, 0), |(all, gone), (e, d)| (all + e, gone + d));
    // What a deletion takes away is in another table, as a rule: only the sums can be compared.
    entries.saturating_sub(2 * deletions)
}

impl Inner {
    fn range_sizes(&self, family: u32, ranges: &[Bounds]) -> Result<Vec<RangeSize>> {
        self.check_open()?;
        let view = self.state.view();
        let view = view.family(family)?;
        ranges.iter().map(|bounds| range_size(view, bounds)).collect()
    }

    fn approximate_len(&self, family: u32) -> Result<u64> {
        self.check_open()?;
        Ok(len(self.state.view().family(family)?))
    }
}

/// Sizes.
impl Db {
    /// The number of keys, about, in constant time a table: puts less deletions. Keys that were
    /// written several times count several times until they are merged; the deletion of a key that
    /// is not there takes one away, until it is merged. A range delete takes nothing away: what it
    /// hides counts until it is merged.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// for n in 0..1000 {
    ///     db.put(format!("key{n:04}"), b"value")?;
    /// }
    /// db.flush()?;
    /// assert_eq!(db.approximate_len()?, 1000);
    /// db.delete("key0000")?;
    /// assert_eq!(db.approximate_len()?, 999);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A closed database.
    pub fn approximate_len(&self) -> Result<u64> {
        self.inner().approximate_len(DEFAULT_FAMILY)
    }

    /// What each of `ranges` takes in tables (good to half a block at each end of each table) and
    /// in memtables (counted, about 50 ns an entry).
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// for n in 0..10_000 {
    ///     db.put(format!("key{n:04}"), b"value")?;
    /// }
    /// db.flush()?;
    /// let sizes = db.approximate_sizes(&["key0000".."key5000", "key5000".."key6000"])?;
    /// assert!(sizes[0].entries().abs_diff(5000) < 500);
    /// assert!(sizes[1].bytes() * 4 < sizes[0].bytes());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An index that cannot be read, or a closed database.
    pub fn approximate_sizes<K: AsRef<[u8]>, R: RangeBounds<K>>(
        &self,
        ranges: &[R],
    ) -> Result<Vec<RangeSize>> {
        let ranges: Vec<Bounds> = ranges.iter().map(bounds_of).collect();
        self.inner().range_sizes(DEFAULT_FAMILY, &ranges)
    }
}

/// Sizes.
impl Family {
    /// As [`Db::approximate_len`].
    ///
    /// # Errors
    /// A closed database; [`Error::FamilyDropped`](crate::Error::FamilyDropped).
    pub fn approximate_len(&self) -> Result<u64> {
        self.inner().approximate_len(self.id())
    }

    /// As [`Db::approximate_sizes`].
    ///
    /// # Errors
    /// As there; [`Error::FamilyDropped`](crate::Error::FamilyDropped).
    pub fn approximate_sizes<K: AsRef<[u8]>, R: RangeBounds<K>>(
        &self,
        ranges: &[R],
    ) -> Result<Vec<RangeSize>> {
        let ranges: Vec<Bounds> = ranges.iter().map(bounds_of).collect();
        self.inner().range_sizes(self.id(), &ranges)
    }
}
