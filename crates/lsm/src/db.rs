//! [`Db`]: the public verbs. Each is a few lines; the work is in the file of its path.

use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use sstable::{BlockCache, Kind, SeqNo};

use crate::adaptive::Watch;
use crate::admission::Admission;
use crate::background::{self, Work};
use crate::batch::WriteBatch;
use crate::clock::{Clock, StdClock};
use crate::commit::{self, Tail, Unsynced};
use crate::conditional::{self, Swap};
use crate::cursor::DbCursor;
use crate::error::{Error, Result};
use crate::events::{Event, Events, Past};
use crate::family::{self, DEFAULT_FAMILY, Family};
use crate::family_options::FamilyOptions;
use crate::fs::{Fs, Lock, StdFs};
use crate::holdings;
use crate::latencies::{Latencies, Lines, Timings};
use crate::logs::Logs;
use crate::manual;
use crate::memory::MemoryUsage;
use crate::memtable::Arena;
use crate::metrics::{Counters, Stats};
use crate::multi_get;
use crate::open_files::OpenFiles;
use crate::option_changes::Live;
use crate::options::{Durability, Options};
use crate::publish::Visible;
use crate::read::{self, Bytes};
use crate::recovery;
use crate::scan::{Bounds, Scan, bounds_of, bounds_of_prefix};
use crate::scheduler::{Scheduler, Signal, ThreadScheduler};
use crate::shape::Shape;
use crate::slice::Value;
use crate::snapshot::{Snapshot, Snapshots};
use crate::state::State;
use crate::tree::Tree;
use crate::verify::{self, VerifyReport};

/// The world a database runs in: files, time and background work.
///
/// The default is the real one; a simulation brings its own.
#[derive(Debug, Clone)]
pub struct Env {
    /// Where the files are.
    pub fs: Arc<dyn Fs>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who does the background work.
    pub scheduler: Arc<dyn Scheduler>,
}

impl Env {
    /// The operating system's files and clock, and threads.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn system(options: &Options) -> Result<Self> {
        let scheduler = ThreadScheduler::new(options.background_threads)
            .map_err(|error| Error::io("start threads for", Path::new("the database"), error))?;
        Ok(Self {
            fs: Arc::new(StdFs::new()),
            clock: Arc::new(StdClock::new()),
            scheduler: Arc::new(scheduler),
        })
    }
}

/// Everything an open database consists of. Locks are taken in the order `tail` -> `logs` ->
/// `tree` -> `state`; `work` is held only for a look.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) path: PathBuf,
    /// As they were at the opening; what may change since is in `live`.
    pub(crate) options: Options,
    pub(crate) live: Live,
    pub(crate) env: Env,
    pub(crate) db_id: u64,
    pub(crate) cache: Option<Arc<BlockCache>>,
    /// Slows merges down, if they are to be.
    pub(crate) merge_pace: Option<Arc<sstable::BytesPerSecond>>,
    pub(crate) arena: Arena,
    pub(crate) open_files: Arc<OpenFiles>,
    pub(crate) tail: Mutex<Tail>,
    pub(crate) unsynced: Unsynced,
    pub(crate) logs: Logs,
    pub(crate) tree: Mutex<Tree>,
    pub(crate) state: State,
    pub(crate) visible: Visible,
    pub(crate) snapshots: Snapshots,
    pub(crate) admission: Admission,
    pub(crate) work: Work,
    pub(crate) progress: Signal,
    pub(crate) counters: Counters,
    pub(crate) watch: Watch,
    pub(crate) timings: Timings,
    pub(crate) events: Arc<Events>,
    pub(crate) stopped: OnceLock<Arc<str>>,
    pub(crate) closed: AtomicBool,
    /// The folder's lock; let go when the database closes.
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
}

impl Inner {
    /// Refuses any use after close.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        // ORDERING: Acquire; pairs with the Release in `close`.
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Refuses writes after close or after a failure that leaves the log in doubt.
    #[inline]
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        match self.stopped.get() {
            None => Ok(()),
            Some(why) => Err(Error::WritesStopped { why: Arc::clone(why) }),
        }
    }

    /// Whether writes have stopped for good.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    /// Takes no more writes; `cause` is what every later write is told.
    pub(crate) fn stop_writes(&self, cause: &Error) -> Error {
        let why = self.stopped.get_or_init(|| {
            let why: Arc<str> = Arc::from(cause.to_string());
            self.events.tell_later(Event::WritesStopped { why: Arc::clone(&why) });
            why
        });
        self.visible.stop();
        self.progress.notify();
        Error::WritesStopped { why: Arc::clone(why) }
    }

    /// The time now, if the operation of this number is to be timed.
    #[inline]
    pub(crate) fn timer(&self, number: u64) -> Option<Duration> {
        self.timings.sampled(number).then(|| self.env.clock.now())
    }

    /// Adds the time since `begun`.
    #[inline]
    pub(crate) fn timed(&self, lines: &Lines, begun: Option<Duration>) {
        if let Some(begun) = begun {
            lines.add(self.env.clock.now().saturating_sub(begun));
        }
    }

    pub(crate) fn get_at(
        &self,
        family: u32,
        key: &[u8],
        at: Option<SeqNo>,
    ) -> Result<Option<Value>> {
        self.check_open()?;
        let begun = self.timer(self.counters.gets_here());
        let view = self.state.peek();
        let at = at.unwrap_or_else(|| self.visible.get());
        let value = read::get(view.family(family)?, &self.counters, key, at)?;
        self.counters.got(value.is_some());
        self.timed(&self.timings.get, begun);
        Ok(value)
    }

    /// What `read` makes of the value of `key`.
    pub(crate) fn get_with_at<T>(
        &self,
        family: u32,
        key: &[u8],
        at: Option<SeqNo>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        self.check_open()?;
        let begun = self.timer(self.counters.gets_here());
        let view = self.state.peek();
        let at = at.unwrap_or_else(|| self.visible.get());
        let view = view.family(family)?;
        let found = read::get_with(view, &self.counters, (key, at), |bytes| match bytes {
            Bytes::Lent(bytes) => read(bytes),
            Bytes::InBlock(value) => read(&value),
        })?;
        self.counters.got(found.is_some());
        self.timed(&self.timings.get, begun);
        Ok(found)
    }

    pub(crate) fn get_many_at<K: AsRef<[u8]>>(
        &self,
        family: u32,
        keys: &[K],
        at: Option<SeqNo>,
    ) -> Result<Vec<Option<Value>>> {
        self.check_open()?;
        let view = self.state.view();
        let at = at.unwrap_or_else(|| self.visible.get());
        let values = multi_get::get_many(view.family(family)?, keys, at)?;
        for value in &values {
            self.counters.got(value.is_some());
        }
        Ok(values)
    }

    pub(crate) fn scan_at(&self, family: u32, bounds: Bounds, at: Option<SeqNo>) -> Result<Scan> {
        self.check_open()?;
        let view = Arc::clone(self.state.peek().family(family)?);
        let at = at.unwrap_or_else(|| self.visible.get());
        self.counters.scanned();
        Ok(Scan::new(view, at, bounds))
    }

    pub(crate) fn cursor_at(
        &self,
        family: u32,
        bounds: Bounds,
        at: Option<SeqNo>,
    ) -> Result<DbCursor> {
        self.check_open()?;
        let view = Arc::clone(self.state.peek().family(family)?);
        let at = at.unwrap_or_else(|| self.visible.get());
        self.counters.scanned();
        Ok(read::cursor(&view, at, bounds))
    }
}

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
    /// Opens the database in the folder `path`, or makes one there if the options allow.
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
    /// A key over 65,535 bytes, a value over 4 GiB - 1; a log that cannot be written.
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
    /// As [`Db::put`], for any of its operations.
    pub fn write(&self, mut batch: WriteBatch) -> Result<()> {
        commit::write(self.inner(), batch.payload()?)
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

    /// Merges everything into the deepest level: no old version and no deletion is left that no
    /// snapshot needs.
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

    /// Drops a family and all it holds. Snapshots and iterators that read it keep what they see.
    ///
    /// # Errors
    /// [`Error::FamilyDropped`] if there is none of this name; the default family stays.
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
    let result = if inner.is_stopped() { Ok(()) } else { commit::end_log(inner) };
    inner.logs.clear(inner);
    inner.events.close();
    *inner.lock.lock() = None;
    result
}
