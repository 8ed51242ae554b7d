//! [`GetPath`] and [`ScanPath`]: the way a read takes, as plain data that prints itself.
//!
//! An explained read goes where a plain one goes, over the same view, and gives the same answer;
//! what it adds is notes and the time of each step. So it can be run on a live database.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

pub use sstable::{BlockProbe, FenceProbe, FilterVerdict, Probe};
use sstable::{Cursor as _, Kind, Merge, ReadOptions, SeqNo, Trailer};

use crate::clock::Clock;
use crate::db::Db;
use crate::error::Result;
use crate::family::{DEFAULT_FAMILY, Family};
use crate::inner::Inner;
use crate::read::answer;
use crate::scan::{Bounds, bounds_of};
use crate::slice::{Slice, Value};
use crate::source::{RunCursor, Source};
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
        /// What it holds of the key.
        found: Option<FoundVersion>,
        /// Nanoseconds.
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

/// The way of a scan: what it reads from, and what it passes over.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ScanPath {
    /// The moment it was read at.
    pub seqno: SeqNo,
    /// Memtables and runs, newest first.
    pub sources: Vec<ScanSource>,
    /// Entries that a plain scan returns, up to the limit.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub entry_bytes: u64,
    /// Whether the limit ended the scan.
    pub limited: bool,
    /// Versions too new for the moment.
    pub too_new: u64,
    /// Versions behind a newer one of the same key.
    pub shadowed: u64,
    /// Deletions crossed.
    pub tombstones: u64,
    /// Values hidden by a range delete.
    pub range_deleted: u64,
    /// Range deletes that a version was held against.
    pub range_deletes: u64,
    /// Nanoseconds to set up and to find the first entry.
    pub seek_nanos: u64,
    /// Nanoseconds for the rest.
    pub scan_nanos: u64,
}

/// One source of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanSource {
    /// A memtable.
    Memtable {
        /// 0 for the active one, then the sealed ones, newest first.
        rank: usize,
        /// Versions read from it.
        versions: u64,
    },
    /// A run.
    Run {
        /// The level, 0 for the newest.
        level: usize,
        /// The run's number.
        run: u64,
        /// Tables within the range.
        tables: usize,
        /// Tables that the range leaves out.
        pruned: usize,
        /// Data blocks that the range may touch.
        blocks: u64,
        /// Those of them that were in the cache before.
        cached_blocks: u64,
        /// Versions read from it.
        versions: u64,
    },
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
        let (got, nanos) = watch.time(|| memtable.get((&path.key, hash), newest));
        let found = got.as_ref().map(|(trailer, value)| version(*trailer, value));
        let entries = memtable.len() as u64;
        path.steps.push(GetStep::Memtable { rank, entries, found, nanos });
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

/// The way of a scan of `bounds` at `at`, over at most `limit` entries.
pub(crate) fn scan(
    view: &FamilyView,
    clock: &dyn Clock,
    bounds: &Bounds,
    (at, limit): (SeqNo, u64),
) -> Result<ScanPath> {
    let begun = clock.now();
    let ranges = view.range_deletes();
    let mut path = ScanPath {
        seqno: at,
        range_deletes: ranges.iter().map(|ranges| ranges.iter().count() as u64).sum(),
        ..ScanPath::default()
    };
    let mut merge = Merge::new(sources(view, bounds, &mut path)?);
    match &bounds.0 {
        Bound::Unbounded => merge.seek_to_first()?,
        Bound::Included(key) | Bound::Excluded(key) => merge.seek(key, Trailer::FIRST)?,
    }
    path.seek_nanos = nanos(clock.now().saturating_sub(begun));
    let begun = clock.now();
    let mut last: Option<Vec<u8>> = None;
    while merge.valid() && !above(&bounds.1, merge.key()) {
        if path.entries == limit {
            path.limited = true;
            break;
        }
        let (key, trailer) = (merge.key(), merge.trailer());
        if matches!(&bounds.0, Bound::Excluded(low) if key == low.as_slice()) {
            merge.next()?;
            continue;
        }
        path.count_version(merge.child());
        let hidden = ranges.iter().any(|ranges| ranges.newest_at(key, at) > trailer.seqno());
        if trailer.seqno() > at {
            path.too_new += 1;
        } else if last.as_deref() == Some(key) {
            path.shadowed += 1;
        } else {
            last = Some(key.to_vec());
            match answer(trailer, 0, || ())? {
                None => path.tombstones += 1,
                Some(()) if hidden => path.range_deleted += 1,
                Some(()) => {
                    path.entries += 1;
                    path.entry_bytes += (key.len() + merge.value().len()) as u64;
                }
            }
        }
        merge.next()?;
    }
    path.scan_nanos = nanos(clock.now().saturating_sub(begun));
    Ok(path)
}

/// The sources of a scan in the order of the merge's children, noted in `path`.
fn sources(view: &FamilyView, bounds: &Bounds, path: &mut ScanPath) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for (rank, memtable) in view.memtables().enumerate() {
        sources.push(memtable.cursor());
        path.sources.push(ScanSource::Memtable { rank, versions: 0 });
    }
    let (low, high) = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
    for (level, run, tables) in runs(view) {
        let inside = tables.within(bounds);
        let (mut blocks, mut cached_blocks) = (0, 0);
        for file in inside {
            let (all, cached) = file.table().range_cached(low, high)?;
            blocks += all;
            cached_blocks += cached;
        }
        let ranks = (Arc::clone(&tables.tables), tables.ranks_within(bounds));
        sources.push(Source::Run(RunCursor::new(ranks, ReadOptions::default())));
        path.sources.push(ScanSource::Run {
            level,
            run,
            tables: inside.len(),
            pruned: tables.tables.len() - inside.len(),
            blocks,
            cached_blocks,
            versions: 0,
        });
    }
    Ok(sources)
}

impl ScanPath {
    fn count_version(&mut self, child: Option<usize>) {
        let source = child.and_then(|child| self.sources.get_mut(child));
        if let Some(ScanSource::Memtable { versions, .. } | ScanSource::Run { versions, .. }) =
            source
        {
            *versions += 1;
        }
    }

    /// Versions read for each entry returned: 1 is the best there is.
    pub fn read_amplification(&self) -> f64 {
        let hidden = self.too_new + self.shadowed + self.tombstones + self.range_deleted;
        (self.entries + hidden) as f64 / self.entries.max(1) as f64
    }
}

/// Whether `key` lies behind the range.
fn above(bound: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match bound {
        Bound::Unbounded => false,
        Bound::Included(high) => key > high.as_slice(),
        Bound::Excluded(high) => key >= high.as_slice(),
    }
}

impl Inner {
    fn explain_get(&self, family: u32, key: &[u8]) -> Result<GetPath> {
        self.check_open()?;
        let view = self.state.view();
        let at = self.visible.get();
        get(view.family(family)?, &*self.env.clock, (key, at))
    }

    fn explain_scan(&self, family: u32, bounds: &Bounds, limit: u64) -> Result<ScanPath> {
        self.check_open()?;
        let view = self.state.view();
        let at = self.visible.get();
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
        self.inner().explain_get(DEFAULT_FAMILY, key.as_ref())
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
        self.inner().explain_scan(DEFAULT_FAMILY, &bounds_of(&range), limit)
    }
}

/// Explaining reads.
impl Family {
    /// As [`Db::explain_get`].
    ///
    /// # Errors
    /// As [`Family::get`].
    pub fn explain_get(&self, key: impl AsRef<[u8]>) -> Result<GetPath> {
        self.inner().explain_get(self.id(), key.as_ref())
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
        self.inner().explain_scan(self.id(), &bounds_of(&range), limit)
    }
}

impl fmt::Display for FoundVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tombstone {
            write!(f, "a deletion, number {}", self.seqno)
        } else {
            write!(f, "a value of {} bytes, number {}", self.value_bytes, self.seqno)
        }
    }
}

struct Told<'a>(&'a Option<FoundVersion>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("nothing"),
            Some(found) => found.fmt(f),
        }
    }
}

impl fmt::Display for GetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "get \"{}\" at {}", self.key.escape_ascii(), self.seqno)?;
        if self.range_deleted > 0 {
            writeln!(f, "  range delete {}: what is older is hidden", self.range_deleted)?;
        }
        for step in &self.steps {
            step.fmt(f)?;
        }
        match &self.value {
            Some(value) => write!(f, "  answer: {} bytes, {} ns", value.len(), self.nanos),
            None => write!(f, "  answer: no value, {} ns", self.nanos),
        }
    }
}

impl fmt::Display for GetStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memtable { rank, entries, found, nanos } => {
                let kind = if *rank == 0 { "active" } else { "sealed" };
                writeln!(
                    f,
                    "  memtable {rank} ({kind}, {entries} entries): {}, {nanos} ns",
                    Told(found)
                )
            }
            Self::OutOfRange { level, run, tables } => {
                writeln!(f, "  level {level}, run {run}: outside its {tables} tables' ranges")
            }
            Self::Table { level, run, number, probe, found, nanos } => {
                let told = Told(found);
                writeln!(f, "  level {level}, run {run}, table {number}: {told}, {nanos} ns")?;
                show_probe(f, probe)
            }
        }
    }
}

fn show_probe(f: &mut fmt::Formatter<'_>, probe: &Probe) -> fmt::Result {
    if let Some(verdict) = probe.filter {
        let words = match verdict {
            FilterVerdict::Absent => "certainly absent",
            FilterVerdict::Maybe => "maybe",
            _ => "none",
        };
        writeln!(f, "    filter: {words}, {} ns", probe.filter_nanos)?;
    }
    if let Some(FenceProbe { layout, blocks, rank, nanos, .. }) = probe.fence {
        match rank {
            Some(rank) => {
                writeln!(f, "    fence ({layout:?}): block {rank} of {blocks}, {nanos} ns")?;
            }
            None => writeln!(f, "    fence ({layout:?}): behind all {blocks} blocks, {nanos} ns")?,
        }
    }
    if let Some(block) = probe.block {
        let from = if block.cached { "from the cache" } else { "from the file" };
        let (offset, bytes) = (block.offset, block.bytes);
        writeln!(f, "    block at {offset}, {bytes} bytes {from}, {} ns", block.fetch_nanos)?;
        writeln!(f, "    search in the block, {} ns", block.search_nanos)?;
    }
    Ok(())
}

impl fmt::Display for ScanPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scan at {}", self.seqno)?;
        for source in &self.sources {
            match source {
                ScanSource::Memtable { rank, versions } => {
                    writeln!(f, "  memtable {rank}: {versions} versions")?;
                }
                ScanSource::Run { level, run, tables, pruned, blocks, cached_blocks, versions } => {
                    writeln!(
                        f,
                        "  level {level}, run {run}: {versions} versions from {tables} tables \
                     ({pruned} outside), {blocks} blocks ({cached_blocks} in the cache)"
                    )?;
                }
            }
        }
        let (shadowed, tombstones) = (self.shadowed, self.tombstones);
        writeln!(
            f,
            "  passed over: {shadowed} older versions, {tombstones} deletions, {} under {} range \
             deletes, {} too new",
            self.range_deleted, self.range_deletes, self.too_new
        )?;
        let limited = if self.limited { " (the limit)" } else { "" };
        write!(
            f,
            "  answer: {} entries{limited}, {} bytes; {} ns to the first, {} ns for the rest",
            self.entries, self.entry_bytes, self.seek_nanos, self.scan_nanos
        )
    }
}
