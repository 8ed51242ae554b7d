//! [`Inner`]: everything an open database consists of, and the reads that its handles share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use sstable::{BlockCache, SeqNo};

use crate::adaptive::Watch;
use crate::admission::Admission;
use crate::background::Work;
use crate::commit::{Tail, Unsynced};
use crate::cursor::DbCursor;
use crate::deadlines::Deadlines;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::events::{Event, Events};
use crate::fs::Lock;
use crate::latencies::{Lines, StepTimer, Timings};
use crate::ledger::Ledger;
use crate::logs::Logs;
use crate::manifest::Edit;
use crate::memtable::Arena;
use crate::meter::Meter;
use crate::metrics::Counters;
use crate::multi_get;
use crate::open_files::OpenFiles;
use crate::option_changes::Live;
use crate::options::Options;
use crate::pace::Pace;
use crate::publish::Visible;
use crate::read::{self, Bytes};
use crate::scan::{Bounds, Scan};
use crate::scheduler::Signal;
use crate::slice::Value;
use crate::snapshot::Snapshots;
use crate::state::State;
use crate::tree::Tree;
use crate::wal::Segment;

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
    /// No other database that this process has opened has the same number, not even a checkpoint
    /// of this one.
    pub(crate) opening: u64,
    pub(crate) cache: Option<Arc<BlockCache>>,
    pub(crate) pace: Pace,
    /// Watches the load, if codecs go by it.
    pub(crate) meter: Option<Arc<Meter>>,
    pub(crate) ledger: Arc<Ledger>,
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
    pub(crate) deadlines: Deadlines,
    pub(crate) watch: Watch,
    pub(crate) timings: Arc<Timings>,
    pub(crate) events: Arc<Events>,
    pub(crate) stopped: OnceLock<Arc<str>>,
    pub(crate) closed: AtomicBool,
    /// The folder's lock; let go when the database closes.
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
}

/// A new number for [`Inner::opening`]; never 0.
pub(crate) fn new_opening() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // ORDERING: Relaxed; each number is given once, and publishes nothing.
    NEXT.fetch_add(1, Ordering::Relaxed)
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

    /// Writes an edit to the medium. After an error it is undone, if writes have not stopped.
    pub(crate) fn append_edit(&self, tree: &mut Tree, edit: Edit) -> Result<()> {
        let appended = tree.append(edit);
        appended.map_err(|error| {
            if tree.manifest().takes_edits() { error } else { self.stop_writes(&error) }
        })
    }

    /// What a failure of `log` means for the writes to come.
    pub(crate) fn log_failed(&self, log: &Segment, error: Error) -> Error {
        if log.has_failed() { self.stop_writes(&error) } else { error }
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

    /// The value of `key`.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is of one lifetime")]
    pub(crate) fn get_at(
        &self,
        family: u32,
        key: &[u8],
        at: Option<SeqNo>,
    ) -> Result<Option<Value>> {
        self.look_at(family, (key, at), |bytes| bytes.keep())
    }

    /// What `read` makes of the value of `key`.
    pub(crate) fn get_with_at<T>(
        &self,
        family: u32,
        key: &[u8],
        at: Option<SeqNo>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        self.look_at(family, (key, at), |bytes| read(&bytes))
    }

    /// What `read` makes of the value of `key` where it lies; counted, and timed now and then.
    #[inline]
    fn look_at<T>(
        &self,
        family: u32,
        (key, at): (&[u8], Option<SeqNo>),
        read: impl FnOnce(Bytes<'_>) -> T,
    ) -> Result<Option<T>> {
        self.check_open()?;
        let begun = self.timer(self.counters.gets_here());
        let view = self.state.peek();
        let at = at.unwrap_or_else(|| self.visible.get());
        let found = read::get_with(view.family(family)?, &self.counters, (key, at), read)?;
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
        let begun = self.timer(self.counters.multi_got());
        let view = self.state.view();
        let at = at.unwrap_or_else(|| self.visible.get());
        let values = multi_get::get_many(view.family(family)?, keys, at)?;
        for value in &values {
            self.counters.got(value.is_some());
        }
        self.timed(&self.timings.multi_get, begun);
        Ok(values)
    }

    pub(crate) fn scan_at(&self, family: u32, bounds: Bounds, at: Option<SeqNo>) -> Result<Scan> {
        self.check_open()?;
        let view = Arc::clone(self.state.peek().family(family)?);
        let at = at.unwrap_or_else(|| self.visible.get());
        Ok(Scan::new(view, at, bounds, self.step_timer()))
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
        Ok(read::cursor(&view, at, bounds, self.step_timer()))
    }

    /// Counts a scan or cursor that begins, and times its steps.
    fn step_timer(&self) -> StepTimer {
        StepTimer::new(&self.timings, self.counters.scanned())
    }
}
