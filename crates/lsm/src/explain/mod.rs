//! [`GetPath`] and [`ScanPath`]: the way a read takes, as plain data that prints itself.
//!
//! An explained read goes where a plain one goes, over the same view, and gives the same answer;
//! what it adds is notes and the time of each step. So it can be run on a live database.

mod scan;
mod show;

use std::ops::RangeBounds;
use std::time::Duration;

pub(crate) use self::scan::scan;
pub use self::scan::{ScanPath, ScanSource};
pub use sstable::{BlockProbe, FenceProbe, FilterVerdict, Probe};
use sstable::{Kind, SeqNo, Trailer};

use crate::clock::Clock;
use crate::db::Db;
use crate::error::Result;
use crate::family::{DEFAULT_FAMILY, Family};
use crate::inner::Inner;
use crate::read::answer;
use crate::scan::{Bounds, bounds_of};
use crate::slice::{Slice, Value};
use crate::snapshot::{FamilySnapshot, Snapshot};
use crate::state::FamilyView;

/// The way of a point read, in order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GetPath {
    /// The key.
    pub key: Vec<u8>,
    /// The moment it was read at.
    pub seqno: SeqNo,
    /// The newest range delete over the key: older versions are hidden; 0 if there is none.
    pub range_deleted: SeqNo,
    /// Nanoseconds to look for range deletes.
    pub range_delete_nanos: u64,
    /// Everything that was looked at or passed over, newest first; the last one answered, unless
    /// nothing did.
    pub steps: Vec<GetStep>,
    /// The answer: what [`Db::get`] returns.
    pub value: Option<Value>,
    /// Nanoseconds in all.
    pub nanos: u64,
}

/// One place that a point read meets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GetStep {
    /// A memtable was searched.
    Memtable {
        /// 0 for the active one, then the sealed ones, newest first.
        rank: usize,
        /// Entries in it.
        entries: u64,
        /// What its filter says: [`FilterVerdict::Absent`] ends the step, else it is searched.
        filter: FilterVerdict,
        /// Nanoseconds to ask the filter.
        filter_nanos: u64,
        /// What it holds of the key.
        found: Option<FoundVersion>,
        /// Nanoseconds in all.
        nanos: u64,
    },
    /// A run was passed over: no table of it covers the key.
    OutOfRange {
        /// The level, 0 for the newest.
        level: usize,
        /// The run's number.
        run: u64,
        /// Tables in the run.
        tables: usize,
    },
    /// A table was asked.
    Table {
        /// The level, 0 for the newest.
        level: usize,
        /// The run's number.
        run: u64,
        /// The file's number.
        number: u64,
        /// Filter, fence and block.
        probe: Probe,
        /// What it holds of the key.
        found: Option<FoundVersion>,
        /// Nanoseconds.
        nanos: u64,
    },
}

/// The version of a key that a read finds in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundVersion {
    /// Its sequence number.
    pub seqno: SeqNo,
    /// Whether it is a deletion.
    pub tombstone: bool,
    /// Bytes of its value.
    pub value_bytes: u64,
}

/// Measures steps.
struct Watch<'a>(&'a dyn Clock);

impl Watch<'_> {
    fn time<T>(&self, step: impl FnOnce() -> T) -> (T, u64) {
        let begun = self.0.now();
        let done = step();
        (done, nanos(self.0.now().saturating_sub(begun)))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn version(trailer: Trailer, value: &[u8]) -> FoundVersion {
    FoundVersion {
        seqno: trailer.seqno(),
        tombstone: trailer.kind() == Some(Kind::Delete),
        value_bytes: value.len() as u64,
    }
}

/// The way to `key` at `at`.
pub(crate) fn get(
    view: &FamilyView,
    clock: &dyn Clock,
    (key, at): (&[u8], SeqNo),
) -> Result<GetPath> {
    let (watch, begun) = (Watch(clock), clock.now());
    let (range_deleted, range_delete_nanos) = watch.time(|| view.deleted_at(key, at));
    let mut path = GetPath {
        key: key.to_vec(),
        seqno: at,
        range_deleted,
        range_delete_nanos,
        steps: Vec::new(),
        value: None,
        nanos: 0,
    };
    path.value = search(view, &watch, &mut path)?;
    path.nanos = nanos(clock.now().saturating_sub(begun));
    Ok(path)
}

/// As `read::get_with`, with notes.
fn search(view: &FamilyView, watch: &Watch<'_>, path: &mut GetPath) -> Result<Option<Value>> {
    let newest = Trailer::newest_at(path.seqno);
    let hash = bloom::hash_key(&path.key);
    for (rank, memtable) in view.memtables().enumerate() {
        let (may_hold, filter_nanos) = watch.time(|| memtable.may_hold(hash));
        let search = || memtable.get((&path.key, hash), newest);
        let (got, search_nanos) = if may_hold { watch.time(search) } else { (None, 0) };
        let found = got.as_ref().map(|(trailer, value)| version(*trailer, value));
        let entries = memtable.len() as u64;
        let filter = if may_hold { FilterVerdict::Maybe } else { FilterVerdict::Absent };
        let nanos = filter_nanos + search_nanos;
        path.steps.push(GetStep::Memtable { rank, entries, filter, filter_nanos, found, nanos });
        if let Some((trailer, value)) = got {
            return answer(trailer, path.range_deleted, || Slice::from(&*value));
        }
    }
    for (level, run, tables) in runs(view) {
        let Some(file) = tables.find(&path.key) else {
            path.steps.push(GetStep::OutOfRange { level, run, tables: tables.tables.len() });
            continue;
        };
        let now = || watch.0.now();
        let (got, nanos) = watch.time(|| file.table().probe(&path.key, hash, newest, &now));
        let (got, probe) = got?;
        let found = got.as_ref().map(|found| version(found.trailer, &found.value));
        let number = file.info().id;
        path.steps.push(GetStep::Table { level, run, number, probe, found, nanos });
        if let Some(found) = got {
            return answer(found.trailer, path.range_deleted, || Slice::pinned(found.value));
        }
    }
    Ok(None)
}

/// The runs, newest first, with level and number.
fn runs(view: &FamilyView) -> impl Iterator<Item = (usize, u64, &crate::version::Run)> {
    let version = &view.version;
    let levels = version.levels.iter().zip(&version.shape.levels).enumerate();
    levels.flat_map(|(level, (runs, shape))| {
        runs.iter().zip(&shape.runs).map(move |(run, info)| (level, info.id, run))
    })
}

impl Inner {
    fn explain_get(&self, family: u32, key: &[u8], at: Option<SeqNo>) -> Result<GetPath> {
        self.check_open()?;
        let view = self.state.view();
        let at = at.unwrap_or_else(|| self.visible.get());
        get(view.family(family)?, &*self.env.clock, (key, at))
    }

    fn explain_scan(
        &self,
        family: u32,
        bounds: &Bounds,
        (at, limit): (Option<SeqNo>, u64),
    ) -> Result<ScanPath> {
        self.check_open()?;
        let view = self.state.view();
        let at = at.unwrap_or_else(|| self.visible.get());
        scan(view.family(family)?, &*self.env.clock, bounds, (at, limit))
    }
}

/// Explaining reads.
impl Db {
    /// Reads `key` as [`Db::get`] does, and says how: memtables, runs, filters, fences, blocks,
    /// and the time each took.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// db.put(b"apple", b"red")?;
    /// db.flush()?;
    /// let path = db.explain_get(b"apple")?;
    /// assert_eq!(path.value.as_deref(), Some(&b"red"[..]));
    /// println!("{path}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn explain_get(&self, key: impl AsRef<[u8]>) -> Result<GetPath> {
        self.inner().explain_get(DEFAULT_FAMILY, key.as_ref(), None)
    }

    /// Scans `range` as [`Db::scan`] does, over at most `limit` entries, and says what that takes:
    /// sources, tables and blocks, and everything that is read and not returned.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// db.put(b"apple", b"red")?;
    /// db.put(b"pear", b"green")?;
    /// db.delete(b"apple")?;
    /// let path = db.explain_scan::<&[u8]>(.., u64::MAX)?;
    /// assert_eq!((path.entries, path.tombstones, path.shadowed), (1, 1, 1));
    /// println!("{path}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Db::scan`], and a table that cannot be read.
    pub fn explain_scan<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: u64,
    ) -> Result<ScanPath> {
        self.inner().explain_scan(DEFAULT_FAMILY, &bounds_of(&range), (None, limit))
    }
}

/// Explaining reads.
impl Family {
    /// As [`Db::explain_get`].
    ///
    /// # Errors
    /// As [`Family::get`].
    pub fn explain_get(&self, key: impl AsRef<[u8]>) -> Result<GetPath> {
        self.inner().explain_get(self.id(), key.as_ref(), None)
    }

    /// As [`Db::explain_scan`].
    ///
    /// # Errors
    /// As [`Family::scan`].
    pub fn explain_scan<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: u64,
    ) -> Result<ScanPath> {
        self.inner().explain_scan(self.id(), &bounds_of(&range), (None, limit))
    }
}

/// Explaining reads.
impl Snapshot {
    /// As [`Db::explain_get`], at the snapshot's moment.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn explain_get(&self, key: impl AsRef<[u8]>) -> Result<GetPath> {
        self.default_family().explain_get(key)
    }

    /// As [`Db::explain_scan`], at the snapshot's moment.
    ///
    /// # Errors
    /// As [`Snapshot::scan`], and a table that cannot be read.
    pub fn explain_scan<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: u64,
    ) -> Result<ScanPath> {
        self.default_family().explain_scan(range, limit)
    }
}

/// Explaining reads.
impl FamilySnapshot<'_> {
    /// As [`Db::explain_get`], in this family at the snapshot's moment.
    ///
    /// # Errors
    /// As [`FamilySnapshot::get`].
    pub fn explain_get(&self, key: impl AsRef<[u8]>) -> Result<GetPath> {
        let (inner, family, at) = self.place();
        inner.explain_get(family, key.as_ref(), Some(at))
    }

    /// As [`Db::explain_scan`], in this family at the snapshot's moment.
    ///
    /// # Errors
    /// As [`FamilySnapshot::scan`], and a table that cannot be read.
    pub fn explain_scan<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: u64,
    ) -> Result<ScanPath> {
        let (inner, family, at) = self.place();
        inner.explain_scan(family, &bounds_of(&range), (Some(at), limit))
    }
}
