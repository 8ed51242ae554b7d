//! [`ReadOnly`]: a database that is only looked at.
//!
//! Nothing in the folder is made or changed, and no lock is taken: it opens while another process
//! writes, and on a medium that cannot be written.
//!
//! ```text
//! 1 manifest  which tables and logs are live
//! 2 tables    all opened; open files stay readable after a compaction removes their names
//! 3 logs      read into memtables of our own
//! 4 manifest  once more: if a log of ours was given up meanwhile, what we read of it may be
//!             another's, and everything starts over
//! ```
//!
//! 1. What is seen is the state after some operation: a prefix of the writes, as after a crash.
//! 2. With [`Damage::PassOver`] what cannot be read is left out and listed; what is left may then
//!    be older than the newest state, key by key.

use std::collections::HashMap;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sstable::{BlockCache, SeqNo};

use crate::apply::apply;
use crate::clock::{Clock, StdClock};
use crate::commit;
use crate::cursor::DbCursor;
use crate::error::{Error, Result};
use crate::explain::{self, GetPath, ScanPath};
use crate::family::{Core, DEFAULT_FAMILY};
use crate::family_options::FamilyOptions;
use crate::fs::{Fs, StdFs, TableReads};
use crate::latencies::StepTimer;
use crate::manifest::{self, Contents, FamilyState, Manifest};
use crate::memtable::{Arena, Memtable, MemtableKind};
use crate::metrics::{Counters, Stats};
use crate::multi_get;
use crate::output::{self, Place};
use crate::read;
use crate::scan::{Bounds, Scan, bounds_of, bounds_of_prefix};
use crate::shape::Shape;
use crate::sizes::{self, RangeSize};
use crate::slice::Value;
use crate::state::{FamilyView, View};
use crate::tree;
use crate::verify::{self, VerifyReport};
use crate::version::Version;
use crate::wal::{self, RecoveryMode};
use crate::{holdings, names};

/// Times the files are read anew if a writer changes them meanwhile.
const ATTEMPTS: u32 = 20;

/// What to do with what cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Damage {
    /// Opening fails.
    #[default]
    Refuse,
    /// It is left out and listed in [`ReadOnly::skipped`].
    PassOver,
}

/// How a database is opened for reading only. Each table takes an open file of the process: beside
/// a writer, who may remove it, it could not be opened again.
#[derive(Debug, Clone, Copy)]
pub struct ReadOnlyOptions {
    /// Bytes of the block cache. Default 32 MiB. 0 keeps no blocks.
    pub block_cache_bytes: usize,
    /// What to do with what cannot be read. Default [`Damage::Refuse`].
    pub damage: Damage,
}

impl Default for ReadOnlyOptions {
    fn default() -> Self {
        Self { block_cache_bytes: 32 << 20, damage: Damage::default() }
    }
}

/// A file, or a part of one, that was left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: Error,
}

/// A family of a database, as it was when the database was opened, for reading only.
///
/// Clones, and the handles of other families, share the files and the cache.
///
/// ```
/// # fn main() -> lsm::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("db");
/// let db = lsm::Db::open(&path, lsm::Options::default())?;
/// db.put(b"k", b"v")?;
/// // The writer may stay open.
/// let seen = lsm::ReadOnly::open(&path, lsm::ReadOnlyOptions::default())?;
/// assert_eq!(seen.get(b"k")?.as_deref(), Some(&b"v"[..]));
/// db.put(b"k", b"w")?;
/// assert_eq!(seen.get(b"k")?.as_deref(), Some(&b"v"[..]), "as it was when it was opened");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ReadOnly {
    shared: Arc<Shared>,
    family: Arc<FamilyView>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    cache: Option<Arc<BlockCache>>,
    counters: Counters,
    view: View,
    at: SeqNo,
    skipped: Vec<Skipped>,
}

/// Opening.
impl ReadOnly {
    /// Opens the database in the folder `path`, its default family first.
    ///
    /// # Errors
    /// A folder that holds no database; files that cannot be read, unless the options pass over
    /// them; a manifest that cannot be read at all, always.
    pub fn open(path: impl AsRef<Path>, options: ReadOnlyOptions) -> Result<Self> {
        let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) =
            (Arc::new(StdFs::new()), Arc::new(StdClock::new()));
        Self::open_with(path, options, &fs, &clock)
    }

    /// Opens a database in a world of the caller's.
    ///
    /// # Errors
    /// As [`ReadOnly::open`].
    pub fn open_with(
        path: impl AsRef<Path>,
        options: ReadOnlyOptions,
        fs: &Arc<dyn Fs>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let mut wait = Duration::from_micros(100);
        let mut attempt = 1;
        loop {
            // Until the last attempt, trouble may be a writer's doing.
            let last = attempt == ATTEMPTS;
            let damage = if last { options.damage } else { Damage::Refuse };
            let mut load = Load::new(path, options, Arc::clone(fs), damage);
            match load.run() {
                Ok(Some((view, at))) => return load.finish(Arc::clone(clock), view, at),
                Ok(None) if last => return Err(load.restless()),
                Err(error) if last || matches!(error, Error::NotADatabase { .. }) => {
                    return Err(error);
                }
                // The same trouble thrice is no writer's.
                Err(_) if attempt >= 3 && load.unchanged() => attempt = ATTEMPTS - 1,
                _ => {}
            }
            clock.sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(10));
            attempt += 1;
        }
    }
}

/// One attempt.
struct Load<'a> {
    path: &'a Path,
    fs: Arc<dyn Fs>,
    damage: Damage,
    cache: Option<Arc<BlockCache>>,
    contents: Option<Contents>,
    skipped: Vec<Skipped>,
}

impl<'a> Load<'a> {
    fn new(path: &'a Path, options: ReadOnlyOptions, fs: Arc<dyn Fs>, damage: Damage) -> Self {
        let bytes = options.block_cache_bytes;
        let cache = (bytes > 0).then(|| Arc::new(BlockCache::new(bytes)));
        Self { path, fs, damage, cache, contents: None, skipped: Vec::new() }
    }

    /// The contents, and the last operation; `None` if a writer got in the way.
    fn run(&mut self) -> Result<Option<(View, SeqNo)>> {
        let contents = Manifest::read(&*self.fs, self.path)?;
        self.contents = Some(contents.clone());
        let mut view = View::default();
        for (&id, state) in &contents.state.families {
            let family = self.family(contents.database, id, state)?;
            view.set_family(id, Arc::new(family));
        }
        let at = self.replay(&contents, &view)?;
        // Logs that were given up while we read them.
        let now = Manifest::read(&*self.fs, self.path)?;
        let kept = contents.state.logs.iter().all(|log| now.state.logs.contains(log));
        Ok(kept.then_some((view, at)))
    }

    /// Whether the manifest is still the one of this attempt.
    fn unchanged(&self) -> bool {
        let now = Manifest::read(&*self.fs, self.path).ok();
        match (&self.contents, now) {
            (Some(then), Some(now)) => (then.number, then.edit) == (now.number, now.edit),
            (then, now) => then.is_none() && now.is_none(),
        }
    }

    fn restless(&self) -> Error {
        let error = std::io::Error::other(format!("a writer changed it {ATTEMPTS} times"));
        Error::io("read", self.path, error)
    }

    fn finish(self, clock: Arc<dyn Clock>, view: View, at: SeqNo) -> Result<ReadOnly> {
        let family = Arc::clone(view.family(DEFAULT_FAMILY)?);
        let shared = Shared {
            path: self.path.to_path_buf(),
            clock,
            cache: self.cache,
            counters: Counters::default(),
            view,
            at,
            skipped: self.skipped,
        };
        Ok(ReadOnly { shared: Arc::new(shared), family })
    }

    /// Passes over a fault, if that is asked for.
    fn pass_over(&mut self, path: PathBuf, why: Error) -> Result<()> {
        match self.damage {
            Damage::Refuse => Err(why),
            Damage::PassOver => {
                self.skipped.push(Skipped { path, why });
                Ok(())
            }
        }
    }

    fn family(&mut self, database: u64, id: u32, state: &FamilyState) -> Result<FamilyView> {
        // Options matter to writers; what a later version calls them does not matter here.
        let options = FamilyOptions::from_text(&state.options).unwrap_or_default();
        let core = Core::new(id, &state.name, options)?;
        let (fs, cache) = (Arc::clone(&self.fs), self.cache.clone());
        // A writer may remove names: every file stays open.
        let (reads, cache, open_files) = (TableReads::default(), cache.as_ref(), None);
        let ledger = &Arc::default();
        let (folder, db_id) = (self.path, database);
        let place = Place { fs: &fs, folder, db_id, reads, cache, open_files, ledger };
        let (mut files, mut levels) = (HashMap::new(), state.levels.clone());
        for (_, info) in tree::levels(&state.levels).tables() {
            match output::open_table_in(&place, Arc::clone(info)) {
                Ok(file) => drop(files.insert(info.id, file)),
                Err(why) => {
                    self.pass_over(names::table_path(self.path, info.id), why)?;
                    for run in levels.iter_mut().flat_map(|level| &mut level.runs) {
                        run.tables.retain(|table| table.number != info.id);
                    }
                }
            }
        }
        for level in &mut levels {
            level.runs.retain(|run| !run.tables.is_empty());
        }
        let version = Version::new(tree::levels(&levels), &files, tree::range_deletes(state));
        let active = Arc::new(Memtable::new(&arena()));
        Ok(FamilyView { core, active, sealed: Vec::new(), version: Arc::new(version) })
    }

    /// Reads the logs into the memtables; returns the last operation.
    fn replay(&mut self, contents: &Contents, view: &View) -> Result<SeqNo> {
        let state = &contents.state;
        let logs: Vec<u64> = state.logs.iter().copied().collect();
        let mut memtables = commit::Memtables::new();
        for family in view.families() {
            let id = family.core.id as usize;
            memtables.resize(id + 1, None);
            memtables[id] = Some(Arc::clone(&family.active));
        }
        let mode = match self.damage {
            Damage::Refuse => RecoveryMode::TolerateTornTail,
            Damage::PassOver => RecoveryMode::Salvage,
        };
        let mut apply = |first: SeqNo, payload: &[u8]| {
            apply(&memtables, first, payload).map_err(|expected| {
                let what = format!("{expected} in the batch of operation {first}");
                Error::corruption(Path::new(""), 0, what)
            })
        };
        let (fs, after) = (Arc::clone(&self.fs), state.flushed_seqno);
        let replayed =
            wal::replay(&*fs, self.path, &logs, contents.database, after, mode, &mut apply)?;
        if let (Damage::PassOver, Some(torn)) = (self.damage, &replayed.torn) {
            let why = Error::corruption(&torn.path, torn.offset, "a whole record");
            self.pass_over(torn.path.clone(), why)?;
        }
        if replayed.last_seqno < state.last_seqno {
            let path = manifest::manifest_path(self.path, contents.number);
            let expected = format!("operations up to {}", state.last_seqno);
            let why = Error::corruption(&path, contents.end, expected);
            self.pass_over(path, why)?;
        }
        Ok(replayed.last_seqno)
    }
}

/// Memory for memtables that hold what a log holds.
fn arena() -> Arena {
    Arena::new(MemtableKind::default(), 1 << 20, &Arc::default())
}

/// What is there.
impl ReadOnly {
    /// The family of this name, at the same moment.
    pub fn family(&self, name: &str) -> Option<Self> {
        let family = Arc::clone(self.shared.view.named(name)?);
        Some(Self { shared: Arc::clone(&self.shared), family })
    }

    /// The names of all families; "default" is always among them.
    pub fn families(&self) -> Vec<String> {
        self.shared.view.families().map(|family| family.core.name.clone()).collect()
    }

    /// The name of this family.
    pub fn name(&self) -> &str {
        &self.family.core.name
    }

    /// What was left out; always empty with [`Damage::Refuse`].
    pub fn skipped(&self) -> &[Skipped] {
        &self.shared.skipped
    }

    /// The folder of the database.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The last operation that is seen.
    pub fn seqno(&self) -> u64 {
        self.shared.at
    }

    /// What the database holds, and the reads so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared.counters.stats();
        holdings::add(&mut stats, &self.shared.view, self.shared.cache.as_deref());
        stats.seqno = self.shared.at;
        stats
    }

    /// The family's tree.
    pub fn shape(&self) -> Shape {
        Shape::of(&self.family)
    }

    /// As [`Db::verify`](crate::Db::verify).
    ///
    /// # Errors
    /// The first damage found: file, offset, and what was expected.
    pub fn verify(&self) -> Result<VerifyReport> {
        verify::verify_view(&self.shared.view, || Ok(()))
    }
}

/// Reading.
impl ReadOnly {
    /// The value of `key`.
    ///
    /// # Errors
    /// A table that cannot be read.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        let counters = &self.shared.counters;
        let value = read::get(&self.family, counters, key.as_ref(), self.shared.at)?;
        counters.got(value.is_some());
        Ok(value)
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`ReadOnly::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get_with(key, |_| ())?.is_some())
    }

    /// What `read` makes of the value of `key`, which it sees where it lies.
    ///
    /// # Errors
    /// As [`ReadOnly::get`].
    pub fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        let (counters, place) = (&self.shared.counters, (key.as_ref(), self.shared.at));
        let found = read::get_with(&self.family, counters, place, |bytes| read(&bytes))?;
        counters.got(found.is_some());
        Ok(found)
    }

    /// The values of many keys, in the order of the keys.
    ///
    /// # Errors
    /// As [`ReadOnly::get`]; then there is no answer at all.
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>> {
        multi_get::get_many(&self.family, keys, self.shared.at)
    }

    /// The entries of `range` in key order.
    pub fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Scan {
        self.scan_bounds(bounds_of(&range))
    }

    /// The entries whose keys begin with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Scan {
        self.scan_bounds(bounds_of_prefix(prefix.as_ref()))
    }

    fn scan_bounds(&self, bounds: Bounds) -> Scan {
        Scan::new(Arc::clone(&self.family), self.shared.at, bounds, StepTimer::default())
    }

    /// A cursor over the entries of `range`.
    pub fn cursor<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> DbCursor {
        read::cursor(&self.family, self.shared.at, bounds_of(&range), StepTimer::default())
    }

    /// As [`Db::explain_get`](crate::Db::explain_get).
    ///
    /// # Errors
    /// As [`ReadOnly::get`].
    pub fn explain_get(&self, key: impl AsRef<[u8]>) -> Result<GetPath> {
        explain::get(&self.family, &*self.shared.clock, (key.as_ref(), self.shared.at))
    }

    /// As [`Db::explain_scan`](crate::Db::explain_scan).
    ///
    /// # Errors
    /// A table that cannot be read.
    pub fn explain_scan<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: u64,
    ) -> Result<ScanPath> {
        let place = (self.shared.at, limit);
        explain::scan(&self.family, &*self.shared.clock, &bounds_of(&range), place)
    }

    /// As [`Db::approximate_len`](crate::Db::approximate_len).
    pub fn approximate_len(&self) -> u64 {
        sizes::len(&self.family)
    }

    /// As [`Db::approximate_sizes`](crate::Db::approximate_sizes).
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn approximate_sizes<K: AsRef<[u8]>, R: RangeBounds<K>>(
        &self,
        ranges: &[R],
    ) -> Result<Vec<RangeSize>> {
        ranges.iter().map(|range| sizes::range_size(&self.family, &bounds_of(range))).collect()
    }
}
