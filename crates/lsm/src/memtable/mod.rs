//! [`Memtable`]: the newest writes, sorted, in memory.
//!
//! 1. `commit` reserves room before it inserts, so an insert never fails for lack of it.
//! 2. Memtables of all families are sealed together with the last of the log segments that hold
//!    their writes ([`Sealed`]), so a flush frees exactly those logs.
//! 3. A sealed memtable's contents are complete when the visible sequence number has reached
//!    the last number of its seal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use fastskip::SkipList;
use parking_lot::Mutex;
use sstable::{Kind, SeqNo, Trailer};

use crate::batch::Operation;
use crate::range_delete::{RangeDelete, RangeDeletes};

/// Memory that an entry takes beyond its key and value: an estimate for the write buffer's
/// limit, in bytes.
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 48;

/// Where memtables get their memory from: chunks of about a sixteenth of the write buffer, which
/// those that were flushed leave to those that follow.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    options: fastskip::Options,
}

impl Arena {
    pub(crate) fn new(write_buffer_bytes: usize) -> Self {
        let pool = Arc::new(fastskip::ChunkPool::new(write_buffer_bytes));
        let options = fastskip::Options {
            chunk_bytes: write_buffer_bytes / 16,
            pool: Some(pool),
            ..fastskip::Options::default()
        };
        Self { options }
    }

    /// Bytes that wait for the next memtable.
    pub(crate) fn idle_bytes(&self) -> usize {
        self.options.pool.as_ref().map_or(0, |pool| pool.idle_bytes())
    }
}

/// A sorted buffer of writes, many versions a key, newest first.
#[derive(Debug)]
pub(crate) struct Memtable {
    list: Arc<SkipList>,
    ranges: Ranges,
}

/// Range deletes, replaced whole; most memtables have none.
#[derive(Debug, Default)]
struct Ranges {
    any: AtomicBool,
    all: ArcSwap<RangeDeletes>,
    change: Mutex<()>,
}

impl Ranges {
    fn add(&self, range: RangeDelete) {
        let _one_at_a_time = self.change.lock();
        self.all.store(Arc::new(self.all.load().with([Arc::new(range)])));
        // ORDERING: Relaxed; readers see it through the visible sequence number, as the entries.
        self.any.store(true, Ordering::Relaxed);
    }
}

/// Memtables that were sealed together, and the log that is not needed once they are flushed.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// This log, and those before it, hold nothing but what is in these memtables and older ones;
    /// none without a log, or where later memtables answer for the log.
    pub(crate) log: Option<u64>,
    /// The last sequence number that the memtables may hold.
    pub(crate) last_seqno: SeqNo,
    /// The memtables by family; only those that were written to.
    pub(crate) memtables: Vec<(u32, Arc<Memtable>)>,
}

impl Memtable {
    /// An empty memtable with memory from `arena`.
    pub(crate) fn new(arena: &Arena) -> Self {
        let list = Arc::new(SkipList::with_options(&arena.options));
        Self { list, ranges: Ranges::default() }
    }

    /// Inserts operation number `seqno`.
    pub(crate) fn insert(&self, seqno: SeqNo, operation: &Operation<'_>) {
        if operation.kind == Kind::RangeDelete {
            let (start, end) = (operation.key.to_vec(), operation.value.to_vec());
            return self.ranges.add(RangeDelete { seqno, start, end });
        }
        let version = Trailer::new(seqno, operation.kind).raw();
        self.list
            .insert(operation.key, version, operation.value)
            .unwrap_or_else(|error| panic!("a memtable refused a number of its own: {error}"));
    }

    /// The newest version of `key` at or before `at`, deletions included.
    pub(crate) fn get(&self, key: &[u8], at: Trailer) -> Option<(Trailer, &[u8])> {
        let entry = self.list.get(key, at.raw())?;
        Some((Trailer::from_raw(entry.version), entry.value))
    }

    /// [`Memtable::get`] for many keys, in their order.
    pub(crate) fn get_many(&self, keys: &[&[u8]], at: Trailer) -> Vec<Option<(Trailer, &[u8])>> {
        let entries = self.list.get_many(keys, at.raw()).into_iter();
        entries
            .map(|entry| entry.map(|entry| (Trailer::from_raw(entry.version), entry.value)))
            .collect()
    }

    /// A cursor that keeps the memtable's entries alive.
    pub(crate) fn cursor(&self) -> fastskip::Cursor<Arc<SkipList>> {
        fastskip::Cursor::new(Arc::clone(&self.list))
    }

    /// The range deletes in it, if there are any.
    #[inline]
    pub(crate) fn range_deletes(&self) -> Option<Arc<RangeDeletes>> {
        // ORDERING: Relaxed; whoever has seen the range delete's sequence number as visible sees
        // this flag too (Release and Acquire of the visible number).
        self.ranges.any.load(Ordering::Relaxed).then(|| self.ranges.all.load_full())
    }

    /// Whether it holds nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && self.range_deletes().is_none()
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
