//! [`Memtable`]: the newest writes, sorted, in memory.
//!
//! 1. One memtable has one log segment; both are sealed together, so a flushed memtable frees
//!    exactly its log.
//! 2. `commit` reserves room before it inserts, so an insert never fails for lack of it.
//! 3. Once sealed, `last_seqno` is known; the contents are complete when the visible sequence
//!    number has reached it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastskip::SkipList;
use sstable::{SeqNo, Trailer};

use crate::batch::Operations;

/// Memory that an entry takes beyond its key and value: an estimate for the write buffer's
/// limit, in bytes.
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 48;

/// `last_seqno` of a memtable that still takes writes.
const OPEN: u64 = u64::MAX;

/// `log` of a memtable whose writes are in no log of its own.
const NO_LOG: u64 = u64::MAX;

/// A sorted buffer of writes, many versions a key, newest first.
#[derive(Debug)]
pub(crate) struct Memtable {
    list: Arc<SkipList>,
    log: AtomicU64,
    last_seqno: AtomicU64,
}

impl Memtable {
    /// An empty memtable whose writes go to log segment `log`.
    pub(crate) fn new(log: Option<u64>) -> Self {
        Self {
            list: Arc::new(SkipList::new()),
            log: AtomicU64::new(log.unwrap_or(NO_LOG)),
            last_seqno: AtomicU64::new(OPEN),
        }
    }

    /// The log segment that is not needed once this memtable is flushed, nor are those before it;
    /// none without a log, or where a later memtable answers for the log.
    pub(crate) fn log(&self) -> Option<u64> {
        // ORDERING: Relaxed; set before the memtable is shared, or when recovery, alone, seals it.
        let log = self.log.load(Ordering::Relaxed);
        (log != NO_LOG).then_some(log)
    }

    /// Inserts a batch whose first operation has number `first`.
    ///
    /// # Errors
    /// What was expected of the batch's bytes, if they are not a batch.
    pub(crate) fn apply(&self, first: SeqNo, payload: &[u8]) -> Result<(), &'static str> {
        for (seqno, operation) in (first..).zip(Operations::new(payload)?) {
            let operation = operation?;
            let version = Trailer::new(seqno, operation.kind).raw();
            self.list
                .insert(operation.key, version, operation.value)
                .unwrap_or_else(|error| panic!("a memtable refused a number of its own: {error}"));
        }
        Ok(())
    }

    /// The newest version of `key` at or before `at`, deletions included.
    pub(crate) fn get(&self, key: &[u8], at: Trailer) -> Option<(Trailer, &[u8])> {
        let entry = self.list.get(key, at.raw())?;
        Some((Trailer::from_raw(entry.version), entry.value))
    }

    /// A cursor that keeps the memtable's entries alive.
    pub(crate) fn cursor(&self) -> fastskip::Cursor<Arc<SkipList>> {
        fastskip::Cursor::new(Arc::clone(&self.list))
    }

    /// Says that no write after `last` will come, and which log goes with the memtable, if that
    /// was not known before.
    pub(crate) fn seal(&self, last: SeqNo, log: Option<u64>) {
        if let Some(log) = log {
            // ORDERING: Relaxed; see `log`.
            self.log.store(log, Ordering::Relaxed);
        }
        // ORDERING: Release; pairs with the Acquire in `last_seqno`. The entries themselves are
        // published by the visible sequence number, not by this store.
        self.last_seqno.store(last, Ordering::Release);
    }

    /// The last sequence number it may hold, once sealed.
    pub(crate) fn last_seqno(&self) -> Option<SeqNo> {
        // ORDERING: Acquire; pairs with the Release in `seal`.
        let last = self.last_seqno.load(Ordering::Acquire);
        (last != OPEN).then_some(last)
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Bytes of memory it holds.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.list.memory_reserved()
    }
}
