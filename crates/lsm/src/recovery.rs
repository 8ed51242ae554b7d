//! Opening: from what a folder holds to a database that takes writes.
//!
//! ```text
//! 1 folder    made if missing; refused if it holds something else; locked
//! 2 manifest  CURRENT names it; it alone says which tables and logs are live
//! 3 tables    each opened and checked against the manifest; a missing one fails the open
//! 4 logs      replayed in order into sealed memtables; a torn tail ends the order
//! 5 begin     a new log in the manifest; files that nobody names are removed
//! ```
//!
//! 1. Nothing is removed before 1 to 4 have succeeded.
//! 2. A crash anywhere leaves a folder that opens to the same contents.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Sender, SyncSender, TrySendError};

use parking_lot::Mutex;
use sstable::SeqNo;

use crate::apply::apply_all;
use crate::batch::Operations;
use crate::commit::{Memtables, Tail, Unsynced};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::family::{Core, DEFAULT_FAMILY, DEFAULT_FAMILY_NAME};
use crate::family_options::FamilyOptions;
use crate::flush;
use crate::fs::{Fs, Lock};
use crate::inner::Inner;
use crate::latencies::Timings;
use crate::ledger::Ledger;
use crate::logs::Logs;
use crate::manifest::{self, AddedFamily, Edit, Manifest, Presence};
use crate::memtable::{Arena, Growth, Memtable, Sealed};
use crate::meter::Meter;
use crate::names::{self, FileKind};
use crate::open_files::OpenFiles;
use crate::option_changes::{self, Live};
use crate::options::{Durability, Options};
use crate::output;
use crate::planted::{self, Bug};
use crate::publish::Visible;
use crate::state::{FamilyView, State, View};
use crate::tree::{self, Tree};
use crate::version::Version;
use crate::wal::{self, LogReport, RecoveryMode, Sink};

/// Opens or makes the database in `path`.
pub(crate) fn open(path: &Path, options: Options, env: Env) -> Result<Arc<Inner>> {
    let names = list_folder(path, &options, &*env.fs)?;
    // A folder that is not ours does not get so much as a lock.
    let ours = |name: &String| {
        !matches!(
            names::parse(name),
            None | Some(FileKind::Lock | FileKind::Temporary | FileKind::Options)
        )
    };
    if !names.iter().any(ours) {
        check_vacant(path, &names)?;
        if !options.create_if_missing {
            return Err(not_a_database(path, "it has no CURRENT file"));
        }
    }
    let lock = lock_folder(path, &*env.fs)?;
    let fs = Arc::clone(&env.fs);
    let manifest = match Manifest::presence(&*fs, path)? {
        Presence::Present => Manifest::open(fs, path)?.0,
        Presence::Absent | Presence::Unfinished => {
            check_vacant(path, &names)?;
            if !options.create_if_missing {
                return Err(not_a_database(path, "it has no CURRENT file"));
            }
            // Once more: a process may have died between making the folder and syncing its name.
            fs.create_dir_all(path).map_err(|error| Error::io("create", path, error))?;
            Manifest::create(fs, path, new_db_id(path, &env), &first_edit(&options))?
        }
    };
    option_changes::check_order(&*env.fs, path)?;
    let inner = assemble(path, options, env, (manifest, lock));
    let (flushed, old_logs) = load_tables(&inner)?;
    check_stray_logs(&inner, &names)?;
    skip_taken_numbers(&inner, &names);
    replay_logs(&inner, &old_logs, flushed)?;
    begin(&inner, &old_logs)?;
    remove_orphans(&inner, &names)?;
    option_changes::opened(&inner)?;
    for warning in inner.options.check() {
        tracing::warn!(path = %inner.path.display(), "{warning}");
    }
    crate::memory::rebalance(&inner);
    inner.work.start();
    crate::background::schedule(&inner);
    crate::deadlines::begin(&inner);
    Ok(inner)
}

/// The names in the folder, which is made if it is missing and may be made.
fn list_folder(path: &Path, options: &Options, fs: &dyn Fs) -> Result<Vec<String>> {
    match fs.list(path) {
        Ok(names) => Ok(names),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !options.create_if_missing {
                return Err(not_a_database(path, "the folder does not exist"));
            }
            fs.create_dir_all(path).map_err(|error| Error::io("create", path, error))?;
            Ok(Vec::new())
        }
        Err(error) => Err(Error::io("open the folder", path, error)),
    }
}

pub(crate) fn lock_folder(path: &Path, fs: &dyn Fs) -> Result<Box<dyn Lock>> {
    let lock = path.join(names::LOCK);
    fs.lock(&lock).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { path: path.to_path_buf() },
        _ => Error::io("lock", &lock, error),
    })
}

fn not_a_database(path: &Path, why: &str) -> Error {
    Error::NotADatabase { path: path.to_path_buf(), why: why.to_owned() }
}

/// A new database goes into an empty folder, or on what a creation that was cut short has left.
fn check_vacant(path: &Path, names: &[String]) -> Result<()> {
    for name in names {
        // OPTIONS comes after the manifest: without one, it is not ours.
        let foreign = matches!(names::parse(name), None | Some(FileKind::Options));
        if foreign && name != "lost+found" {
            return Err(not_a_database(path, &format!("it holds {name}, which is foreign")));
        }
    }
    Ok(())
}

/// The edit that a new database begins with.
fn first_edit(options: &Options) -> Edit {
    let options = FamilyOptions::from(options).to_text();
    let name = DEFAULT_FAMILY_NAME.to_owned();
    Edit {
        added_families: vec![AddedFamily { id: DEFAULT_FAMILY, name, options }],
        next_family_id: Some(u64::from(DEFAULT_FAMILY) + 1),
        reason: "create".into(),
        ..Edit::default()
    }
}

/// A number that tells this database's files from others': time and path, mixed.
fn new_db_id(path: &Path, env: &Env) -> u64 {
    let name = path.to_string_lossy();
    bloom::hash_key(format!("{} {name}", env.clock.unix_micros()).as_bytes())
}

/// Puts the parts together; no table is open and no log is read yet.
fn assemble(
    path: &Path,
    options: Options,
    env: Env,
    (manifest, lock): (Manifest, Box<dyn Lock>),
) -> Arc<Inner> {
    let cache = (options.block_cache_bytes > 0)
        .then(|| Arc::new(sstable::BlockCache::new(options.block_cache_bytes)));
    let clock = Arc::clone(&env.clock);
    let ledger = Arc::<Ledger>::default();
    let events = Events::new(options.listeners.clone(), clock, Arc::clone(&env.scheduler));
    Arc::new(Inner {
        path: path.to_path_buf(),
        events,
        timings: Arc::new(Timings::new(options.latency_sampling, Arc::clone(&env.clock))),
        db_id: manifest.database(),
        opening: crate::inner::new_opening(),
        cache,
        pace: crate::pace::Pace::default(),
        meter: options.codec_by_load.then(|| Meter::new(Arc::clone(&env.clock))),
        open_files: OpenFiles::new(options.open_files_max),
        arena: Arena::new(options.memtable, options.write_buffer_bytes, &ledger)
            .looked_at(options.memory_budget_bytes),
        ledger,
        tail: Mutex::new(Tail::default()),
        unsynced: Unsynced::default(),
        logs: Logs::default(),
        tree: Mutex::new(Tree::new(manifest)),
        state: State::new(View::default()),
        visible: Visible::new(0),
        snapshots: crate::snapshot::Snapshots::default(),
        admission: crate::admission::Admission::default(),
        deadlines: crate::deadlines::Deadlines::default(),
        watch: crate::adaptive::Watch::default(),
        work: crate::background::Work::default(),
        progress: crate::scheduler::Signal::new(),
        counters: crate::metrics::Counters::default(),
        live: Live::new(&options),
        stopped: std::sync::OnceLock::new(),
        closed: AtomicBool::new(false),
        lock: Mutex::new(Some(lock)),
        options,
        env,
    })
}

/// Opens every live table of every family, and says up to where operations are in tables and
/// which logs are live.
fn load_tables(inner: &Arc<Inner>) -> Result<(SeqNo, Vec<u64>)> {
    let (state, path) = {
        let tree = inner.tree.lock();
        let number = tree.manifest().number();
        (tree.manifest().state().clone(), manifest::manifest_path(&inner.path, number))
    };
    for (&id, found) in &state.families {
        let options = if id == DEFAULT_FAMILY {
            FamilyOptions::from(&inner.options)
        } else {
            FamilyOptions::from_text(&found.options).map_err(|line| Error::Unsupported {
                path: path.clone(),
                what: format!("family {} has the option {line:?}", found.name),
            })?
        };
        let core = Core::new(id, &found.name, options)?;
        let shape = tree::levels(&found.levels);
        let open = |(_, info): (usize, &Arc<compaction::TableInfo>)| {
            Ok((info.id, output::open_table(inner, Arc::clone(info))?))
        };
        let files = shape.tables().map(open).collect::<Result<HashMap<_, _>>>()?;
        let version = Arc::new(Version::new(shape, &files, tree::range_deletes(found)));
        let active = Arc::new(Memtable::new(&inner.arena));
        inner.tail.lock().set_memtable(id, Some(Arc::clone(&active)));
        let view = FamilyView { core, active, sealed: Vec::new(), version };
        inner.state.change(|all| {
            all.set_family(id, Arc::new(view));
            inner.admission.update(inner, all);
        });
    }
    Ok((state.flushed_seqno, state.logs.iter().copied().collect()))
}

/// A log takes writes only after its edit is on the medium. So one that the manifest never heard
/// of and that holds writes means that edits were lost.
fn check_stray_logs(inner: &Inner, names: &[String]) -> Result<()> {
    let next = inner.tree.lock().manifest().state().next_file_number;
    for name in names {
        let Some(FileKind::Log(number)) = names::parse(name) else { continue };
        if number < next {
            continue; // given up, or made for a manifest edit that never came to be
        }
        let mut records = 0u64;
        let count = &mut |_: SeqNo, _: &[u8]| {
            records += 1;
            Ok(())
        };
        let (fs, mode) = (&*inner.env.fs, wal::RecoveryMode::Salvage);
        // A log that does not read at all holds nothing that was acknowledged.
        if wal::replay(fs, &inner.path, &[number], inner.db_id, 0, mode, count).is_ok()
            && records > 0
        {
            let manifest = inner.tree.lock().manifest().number();
            let path = manifest::manifest_path(&inner.path, manifest);
            return Err(Error::corruption(
                &path,
                inner.tree.lock().manifest().bytes(),
                format!("an edit that adds {name}, which holds writes"),
            ));
        }
    }
    Ok(())
}

/// A crash may leave files whose numbers the manifest has not given out; they are removed only
/// after recovery, which makes files of its own before.
fn skip_taken_numbers(inner: &Inner, names: &[String]) {
    let mut tree = inner.tree.lock();
    for name in names.iter().filter(|_| !planted::has(Bug::ReusedFileNumber)) {
        if let Some(FileKind::Log(number) | FileKind::Table(number)) = names::parse(name) {
            tree.skip_file_number(number);
        }
    }
}

/// Replayed batches that are applied together, at most.
const HELD_MAX: usize = 64;

/// Their bytes, at most; or one more batch.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Collects replayed batches in memtables; full ones are sealed, and flushed when there are too
/// many, so that recovery needs no more memory than running does.
struct Replayed<'a> {
    inner: &'a Arc<Inner>,
    memtables: Memtables,
    bytes: usize,
    last: SeqNo,
    held: Held,
    /// Asks for memory to be got ahead.
    wants_memory: SyncSender<()>,
    /// Logs that were read, to be made durable.
    read: Sender<LogReport>,
}

impl Sink for Replayed<'_> {
    fn batch(&mut self, first: SeqNo, payload: &[u8]) -> Result<()> {
        self.take(first, payload)
    }

    fn log_read(&mut self, report: &LogReport) {
        self.read.send(report.clone()).expect("who receives waits for the last log");
    }
}

impl Replayed<'_> {
    fn take(&mut self, first: SeqNo, payload: &[u8]) -> Result<()> {
        let damaged = |expected: &str| {
            let what = format!("{expected} in the batch of operation {first}");
            Error::corruption(Path::new(""), 0, what) // the replay knows where
        };
        let count = Operations::new(payload).map_err(damaged)?.left();
        let memory = payload.len() + count as usize * self.inner.arena.entry_overhead_bytes();
        for operation in Operations::new(payload).map_err(damaged)? {
            operation.map_err(damaged)?;
        }
        if self.bytes > 0 && self.bytes + memory > self.inner.options.write_buffer_bytes {
            self.seal(None)?;
        }
        if self.held.is_full() {
            self.held.apply(&self.memtables);
        }
        self.held.add(first, payload);
        if self.inner.arena.grew(self.bytes, self.bytes + memory) != Growth::Small {
            // If it is full, memory was asked for already.
            match self.wants_memory.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => unreachable!("who receives stays"),
            }
        }
        self.bytes += memory;
        self.last = first + u64::from(count) - 1;
        Ok(())
    }

    /// Seals the memtables; flushing them, or later ones, gives up the logs up to `log`.
    fn seal(&mut self, log: Option<u64>) -> Result<()> {
        self.held.apply(&self.memtables);
        let full = std::mem::replace(
            &mut self.memtables,
            fresh_memtables(&self.inner.state.peek(), &self.inner.arena),
        );
        let ids = (0..).zip(full).filter_map(|(id, memtable)| Some((id, memtable?)));
        let memtables: Vec<_> = ids.filter(|(_, memtable)| !memtable.is_empty()).collect();
        self.bytes = 0;
        self.inner.visible.recover(self.last);
        self.inner.state.change(|view| {
            for (id, memtable) in &memtables {
                view.change_family(*id, |family| family.sealed.insert(0, Arc::clone(memtable)));
            }
            view.sealed.insert(
                0,
                Arc::new(Sealed {
                    log,
                    last_seqno: self.last,
                    memtables,
                    reason: "a log is replayed",
                }),
            );
        });
        let sealed = self.inner.state.peek().sealed.len();
        if sealed > self.inner.options.sealed_memtables_max {
            flush::run_all(self.inner)
        } else {
            Ok(())
        }
    }
}

/// Batches that were checked, one behind the other, and are applied together.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// First numbers, and where the batches end.
    batches: Vec<(SeqNo, usize)>,
}

impl Held {
    fn is_full(&self) -> bool {
        self.batches.len() >= HELD_MAX || self.bytes.len() >= HELD_BYTES_MAX
    }

    fn add(&mut self, first: SeqNo, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.batches.push((first, self.bytes.len()));
    }

    fn apply(&mut self, memtables: &Memtables) {
        let mut start = 0;
        let batches = self.batches.iter().map(|&(first, end)| {
            let payload = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (first, payload)
        });
        apply_all(memtables, batches).expect("checked before they were held");
        self.bytes.clear();
        self.batches.clear();
    }
}

/// A memtable for each living family.
fn fresh_memtables(view: &View, arena: &Arena) -> Memtables {
    let mut memtables = Memtables::new();
    for family in view.families() {
        let id = family.core.id as usize;
        memtables.resize(id + 1, None);
        memtables[id] = Some(Arc::new(Memtable::new(arena)));
    }
    memtables
}

/// Reads the live logs back. What they held is then in sealed memtables or already in tables.
///
/// Beside the reading, memory is got ahead of it, and the logs that were read are made durable.
fn replay_logs(inner: &Arc<Inner>, logs: &[u64], flushed: SeqNo) -> Result<()> {
    let ((wants_memory, memory_wanted), (read, to_sync)) = (mpsc::sync_channel(1), mpsc::channel());
    let (memtables, held) = (fresh_memtables(&inner.state.peek(), &inner.arena), Held::default());
    let replayed = Replayed { inner, memtables, bytes: 0, last: flushed, held, wants_memory, read };
    let (mut report, mut durable) = (Ok(wal::ReplayReport::default()), Ok(()));
    inner.env.scheduler.run_together(vec![
        Box::new(|| report = read_logs(replayed, logs, flushed)),
        Box::new(|| {
            for log in to_sync {
                if durable.is_ok() {
                    durable = wal::make_durable(&*inner.env.fs, &inner.path, &log);
                }
            }
        }),
        Box::new(|| memory_wanted.into_iter().for_each(|()| inner.arena.get_ahead())),
    ]);
    let report = report?;
    check_last(inner, &report)?;
    inner.visible.recover(report.last_seqno);
    inner.tail.lock().begin_at(report.last_seqno + 1);
    durable?;
    if report.torn.is_some() {
        tracing::warn!(?report.torn, "the log ends in a write that was cut");
        // What lies behind the tear must never meet new operations of the same numbers.
        flush::run_all(inner)?;
    }
    Ok(())
}

fn read_logs(mut to: Replayed<'_>, logs: &[u64], flushed: SeqNo) -> Result<wal::ReplayReport> {
    let inner = to.inner;
    let how = (flushed, inner.options.recovery);
    let report = wal::replay_into(&*inner.env.fs, &inner.path, logs, inner.db_id, how, &mut to)?;
    if to.bytes > 0 {
        to.seal(logs.last().copied())?;
    }
    Ok(report)
}

/// Checks that everything is there that was on the medium when the database was closed.
fn check_last(inner: &Inner, report: &wal::ReplayReport) -> Result<()> {
    let mut tree = inner.tree.lock();
    let promised = tree.manifest().state().last_seqno;
    if report.last_seqno >= promised {
        return Ok(());
    }
    match inner.options.recovery {
        RecoveryMode::Strict | RecoveryMode::TolerateTornTail => {
            let manifest = (tree.manifest().number(), tree.manifest().bytes());
            let (path, offset) = match report.logs.last() {
                Some(log) => (names::log_path(&inner.path, log.number), log.end),
                None => (manifest::manifest_path(&inner.path, manifest.0), manifest.1),
            };
            let expected = format!("operations {} to {promised}", report.last_seqno + 1);
            Err(Error::corruption(&path, offset, expected))
        }
        // Asked for: from now on, less is promised.
        RecoveryMode::PointInTime | RecoveryMode::Salvage => {
            tree.append(Edit { last_seqno: Some(report.last_seqno), ..Edit::default() })
        }
    }
}

/// Gives the database a log to write to, and gives up the old ones that hold nothing.
fn begin(inner: &Arc<Inner>, old_logs: &[u64]) -> Result<()> {
    let nothing_sealed = inner.state.peek().sealed.is_empty();
    if nothing_sealed && !old_logs.is_empty() {
        let mut tree = inner.tree.lock();
        let still: Vec<u64> = tree.logs_up_to(u64::MAX);
        if !still.is_empty() {
            let flushed = Some(inner.visible.get());
            let edit = Edit { dropped_logs: still, flushed_seqno: flushed, ..Edit::default() };
            tree.append(edit)?;
        }
    }
    let mut tail = inner.tail.lock();
    if inner.options.durability == Durability::None {
        inner.logs.disable();
    } else {
        let log = inner.logs.next(inner, 0)?;
        log.vouch(tail.next_seqno - 1)?;
        tail.log = Some(log);
    }
    Ok(())
}

/// Removes tables and logs that the manifest does not name, and half-made files.
fn remove_orphans(inner: &Inner, names: &[String]) -> Result<()> {
    let tree = inner.tree.lock();
    let view = inner.state.view();
    let files = view.families().flat_map(|family| family.version.tables());
    let tables: HashSet<u64> = files.map(|file| file.info().id).collect();
    let live_logs = tree.logs_up_to(u64::MAX);
    for name in names {
        let orphan = match names::parse(name) {
            Some(FileKind::Table(number)) => !tables.contains(&number),
            Some(FileKind::Log(number)) => {
                !live_logs.contains(&number) && !inner.logs.keeps(inner, number)
            }
            Some(FileKind::Manifest(number)) => number != tree.manifest().number(),
            Some(FileKind::Temporary) => true,
            Some(FileKind::Lock | FileKind::Current | FileKind::Options) | None => false,
        };
        if orphan {
            let path = inner.path.join(name);
            match inner.env.fs.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &path, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
