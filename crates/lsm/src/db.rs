//! [`Db`]: the public verbs. Each is a few lines; the work is in the file of its path.

use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sstable::Kind;

use crate::background;
use crate::batch::WriteBatch;
use crate::commit;
use crate::conditional::{self, Swap};
use crate::cursor::DbCursor;
use crate::env::Env;
use crate::error::Result;
use crate::events::Past;
use crate::family::{self, DEFAULT_FAMILY, Family};
use crate::family_options::FamilyOptions;
use crate::holdings;
use crate::inner::Inner;
use crate::latencies::Latencies;
use crate::manual;
use crate::memory::MemoryUsage;
use crate::metrics::Stats;
use crate::options::{Durability, Options};
use crate::recovery;
use crate::scan::{Scan, bounds_of, bounds_of_prefix};
use crate::shape::Shape;
use crate::slice::Value;
use crate::snapshot::Snapshot;
use crate::verify::{self, VerifyReport};

/// An open database. Clones are handles to the same one; it closes when the last is dropped.
///
/// ```
/// # fn main() -> lsm::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("fruit");
/// let db = lsm::Db::open(&path, lsm::Options::default())?;
/// db.put(b"apple", b"red")?;
/// db.put(b"pear", b"green")?;
/// assert_eq!(db.get(b"apple")?.as_deref(), Some(&b"red"[..]));
/// for entry in db.scan_prefix(b"p")? {
///     let (key, value) = entry?;
///     assert_eq!((&*key, &*value), (&b"pear"[..], &b"green"[..]));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Db {
    handle: Arc<Handle>,
}

/// Closes the database when the last [`Db`] goes; jobs and snapshots hold only `Inner`.
#[derive(Debug)]
struct Handle {
    inner: Arc<Inner>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = close(&self.inner) {
            tracing::error!(%error, "closing the database");
        }
    }
}

impl Db {
    /// Opens the database in the folder `path`, or makes one there if the options allow. What the
    /// manifest, the logs and the tables say of each other is always checked:
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Db, Options};
    /// let db = Db::open(path, Options::default())?;
    /// db.put("key", "value")?;
    /// db.flush()?;
    /// let table = db.shape().levels[0].runs[0].tables[0].number;
    /// db.close()?;
    /// let file = path.join(format!("{table:06}.sst"));
    /// let bytes = std::fs::read(&file).unwrap();
    /// std::fs::write(&file, &bytes[1..]).unwrap();
    /// let refused = Db::open(path, Options::default()).unwrap_err().to_string();
    /// assert!(refused.contains(&format!("{table:06}.sst")), "it names the file: {refused}");
    /// std::fs::remove_file(&file).unwrap();
    /// assert!(Db::open(path, Options::default()).is_err(), "nor may one be missing");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Options outside their ranges; a folder that is in use, holds something else, or cannot be
    /// read or written; damage that recovery may not pass over.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        options.validate()?;
        let env = Env::system(&options)?;
        Self::open_with(path, options, env)
    }

    /// Opens the database in a world of the caller's.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn open_with(path: impl AsRef<Path>, options: Options, env: Env) -> Result<Self> {
        options.validate()?;
        let inner = recovery::open(path.as_ref(), options, env)?;
        Ok(Self { handle: Arc::new(Handle { inner }) })
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// [`Error::TooLong`] for a key over 65,535 bytes, or a value with which the write comes to
    /// 4 GiB (some 20 bytes and the key go with it): nothing is written then, and other writes go
    /// on. A log that cannot be written.
    ///
    /// [`Error::TooLong`]: crate::Error::TooLong
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        commit::write_one(self.inner(), DEFAULT_FAMILY, Kind::Put, key.as_ref(), value.as_ref())
    }

    /// Deletes `key`, whether it is there or not.
    ///
    /// # Errors
    /// As [`Db::put`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        commit::write_one(self.inner(), DEFAULT_FAMILY, Kind::Delete, key.as_ref(), &[])
    }

    /// Deletes every key from `start` on, before `end`: one record, however many keys; nothing if
    /// the range is empty.
    ///
    /// # Errors
    /// As [`Db::put`].
    pub fn delete_range(&self, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.delete_range(start, end);
        self.write(batch)
    }

    /// Writes all of `batch`, or nothing.
    ///
    /// # Errors
    /// As [`Db::put`], for any of its operations. [`Error::TooLong`] too if all of it comes to
    /// 4 GiB in the log ([`WriteBatch::bytes`]), or to more than that in memory, where each
    /// operation takes up to 144 bytes more (48 with the default memtable).
    ///
    /// [`Error::TooLong`]: crate::Error::TooLong
    pub fn write(&self, mut batch: WriteBatch) -> Result<()> {
        commit::write(self.inner(), batch.payload_for(self.inner().opening)?)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// A table that cannot be read, or a closed database.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.inner().get_at(DEFAULT_FAMILY, key.as_ref(), None)
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get_with(key, |_| ())?.is_some())
    }

    /// What `read` makes of the value of `key`, which it sees where it lies: nothing is copied.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        self.inner().get_with_at(DEFAULT_FAMILY, key.as_ref(), None, read)
    }

    /// The values of many keys at one moment, in the order of the keys; cheaper than as many
    /// [`Db::get`]s.
    ///
    /// # Errors
    /// As [`Db::get`]; then there is no answer at all.
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>> {
        self.inner().get_many_at(DEFAULT_FAMILY, keys, None)
    }

    /// Replaces the value of `key` by `new` if it is `expected`, as one step; `None` stands for no
    /// value, so this inserts and deletes too.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// use lsm::Swap;
    /// assert_eq!(db.compare_and_swap(b"n", None, Some(b"1"))?, Swap::Done);
    /// let refused = db.compare_and_swap(b"n", None, Some(b"2"))?;
    /// assert!(matches!(refused, Swap::Refused(Some(found)) if &*found == b"1"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Db::get`] and [`Db::put`].
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Swap> {
        let change = (expected, new);
        conditional::compare_and_swap(self.inner(), DEFAULT_FAMILY, key.as_ref(), change)
    }

    /// The value of `key`; if there is none, sets it to `value` and returns `None`, as one step.
    ///
    /// # Errors
    /// As [`Db::get`] and [`Db::put`].
    pub fn get_or_insert(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Option<Value>> {
        conditional::get_or_insert(self.inner(), DEFAULT_FAMILY, key.as_ref(), value.as_ref())
    }

    /// The entries of `range` in key order, as of now.
    ///
    /// # Errors
    /// A closed database.
    pub fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<Scan> {
        self.inner().scan_at(DEFAULT_FAMILY, bounds_of(&range), None)
    }

    /// The entries whose keys begin with `prefix`, as of now.
    ///
    /// # Errors
    /// A closed database.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.inner().scan_at(DEFAULT_FAMILY, bounds_of_prefix(prefix.as_ref()), None)
    }

    /// A cursor over the entries of `range`, as of now: seeks both ways, lends keys and values.
    ///
    /// # Errors
    /// A closed database.
    pub fn cursor<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<DbCursor> {
        self.inner().cursor_at(DEFAULT_FAMILY, bounds_of(&range), None)
    }

    /// The database as it is now, for as long as the snapshot lives.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(self.inner()))
    }

    /// Puts every write so far on the medium, whatever the durability mode.
    ///
    /// Without a log ([`Durability::None`]) this flushes.
    ///
    /// # Errors
    /// A failed sync, which stops all writes.
    pub fn sync(&self) -> Result<()> {
        match self.inner().options.durability {
            Durability::None => self.flush(),
            Durability::Sync | Durability::Buffered => commit::sync(self.inner()),
        }
    }

    /// Writes what is in memory to tables, and returns when they are on the medium.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn flush(&self) -> Result<()> {
        manual::flush(self.inner())
    }

    /// Merges everything into the deepest level: nothing lies above another, and no deletion is
    /// left that no snapshot needs. A table there with nothing above it and no deletion in it stays
    /// as it is, also an old version in it whose snapshot has gone since. Under FIFO, which merges
    /// nothing, this only flushes.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn compact(&self) -> Result<()> {
        manual::compact(self.inner())
    }

    /// Returns when no flush and no compaction is left to do.
    ///
    /// # Errors
    /// The failure of one of them.
    pub fn wait_idle(&self) -> Result<()> {
        self.inner().check_open()?;
        background::wait_idle(self.inner())
    }

    /// Reads every byte of every live table and checks it.
    ///
    /// # Errors
    /// The first damage found: file, offset, and what was expected.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.inner().check_open()?;
        verify::verify(self.inner())
    }

    /// What the database has done since it was opened, and what it holds.
    pub fn stats(&self) -> Stats {
        let inner = self.inner();
        let view = inner.state.view();
        let mut stats = inner.counters.stats();
        stats.listener_panics = inner.events.panics();
        stats.events_dropped = inner.events.dropped();
        holdings::add(&mut stats, &view, inner.cache.as_deref());
        stats.compaction_debt_bytes = view.debt_bytes();
        stats.write_delay_us_per_mib = inner.admission.delay_us_per_mib();
        stats.pressure = inner.admission.reason();
        stats.snapshots = inner.snapshots.list().len() as u64;
        stats.seqno = inner.visible.get();
        stats
    }

    /// How long reads, writes and background work took, as histograms. Reads, writes and cursor
    /// steps are a sample, see [`Options::latency_sampling`].
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// let options = lsm::Options { latency_sampling: 1, ..lsm::Options::default() };
    /// let db = lsm::Db::open(folder.path().join("db"), options)?;
    /// for n in 0..100u32 {
    ///     db.put(n.to_le_bytes(), b"value")?;
    /// }
    /// let write = db.latencies().write;
    /// assert_eq!(write.count(), 100);
    /// println!("half took at most {:?}, all but 1 of 1,000 {:?}", write.percentile(50.0),
    ///     write.percentile(99.9));
    /// # Ok(())
    /// # }
    /// ```
    pub fn latencies(&self) -> Latencies {
        self.inner().timings.latencies()
    }

    /// What was decided lately, and why: flushes, compactions, stalls, delays, failures; the last
    /// 256 of them, oldest first.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// db.put(b"apple", b"red")?;
    /// db.compact()?;
    /// for past in db.history() {
    ///     if let lsm::Event::CompactionEnded { plan, reason, took, .. } = past.event {
    ///         println!("{plan} in {took:?} because {reason}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn history(&self) -> Vec<Past> {
        self.inner().events.history()
    }

    /// Where the database's memory is.
    pub fn memory(&self) -> MemoryUsage {
        MemoryUsage::of(self.inner())
    }

    /// The default family's tree: memtables, levels, runs and tables.
    pub fn shape(&self) -> Shape {
        let view = self.inner().state.view();
        view.family(DEFAULT_FAMILY).map_or_else(|_| Shape::default(), |family| Shape::of(family))
    }

    /// Makes a family: a tree of its own, with its own options, in this database.
    ///
    /// # Errors
    /// [`Error::FamilyExists`]; a name that is empty or over 255 bytes; options outside their
    /// ranges; a manifest that cannot be written.
    ///
    /// [`Error::FamilyExists`]: crate::Error::FamilyExists
    pub fn create_family(&self, name: &str, options: FamilyOptions) -> Result<Family> {
        family::create(self.inner(), name, options)
    }

    /// The family of this name, if it lives.
    ///
    /// # Errors
    /// A closed database.
    pub fn family(&self, name: &str) -> Result<Option<Family>> {
        family::named(self.inner(), name)
    }

    /// The names of all families; "default" is always among them.
    pub fn families(&self) -> Vec<String> {
        self.inner().state.view().families().map(|family| family.core.name.clone()).collect()
    }

    /// Drops a family and all it holds. Iterators that read it keep what they see; new reads, also
    /// by older snapshots, answer [`Error::FamilyDropped`].
    ///
    /// # Errors
    /// [`Error::FamilyDropped`] if there is none of this name; the default family stays.
    ///
    /// [`Error::FamilyDropped`]: crate::Error::FamilyDropped
    pub fn drop_family(&self, name: &str) -> Result<()> {
        family::drop_family(self.inner(), name)
    }

    /// The folder of the database.
    pub fn path(&self) -> &Path {
        &self.inner().path
    }

    /// Ends background work, puts the log on the medium and lets the folder go. Other handles,
    /// and snapshots, answer [`Error::Closed`] from then on.
    ///
    /// # Errors
    /// A failed sync of the log.
    ///
    /// [`Error::Closed`]: crate::Error::Closed
    pub fn close(self) -> Result<()> {
        close(self.inner())
    }
}

fn close(inner: &Arc<Inner>) -> Result<()> {
    // ORDERING: AcqRel; one caller closes, and the others see `closed` before it returns.
    if inner.closed.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    inner.work.close();
    inner.progress.notify();
    inner.env.scheduler.join();
    background::wait_for_callers(inner);
    let result = if inner.is_stopped() { Ok(()) } else { commit::end_log(inner) };
    inner.logs.clear(inner);
    inner.events.close();
    inner.tree.lock().close();
    *inner.lock.lock() = None;
    result
}
