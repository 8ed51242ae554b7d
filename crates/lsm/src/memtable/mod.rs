//! [`Memtable`]: the newest writes, sorted, in memory.
//!
//! 1. `commit` reserves room before it inserts, so an insert never fails for lack of it.
//! 2. Memtables of all families are sealed together with the last of the log segments that hold
//!    their writes ([`Sealed`]), so a flush frees exactly those logs.
//! 3. A sealed memtable's contents are complete when the visible sequence number has reached
//!    the last number of its seal.
//!
//! 4. A key's bits are in the memtable's filter before its write is visible. So a read whose key
//!    the filter does not know goes on without a search: a descent costs several cache misses,
//!    the filter at most one.
//!
//! Which sorted buffer it is, is an option ([`MemtableKind`]); all pass `suite.rs`.

mod entry;
mod kind;
mod sharded;
mod skipmap;
#[cfg(test)]
mod suite;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bloom::SharedBuilder;
use fastskip::SkipList;
use parking_lot::Mutex;
use sstable::{Allowance, Kind, SeqNo, Trailer};

pub use self::kind::{MemtableKind, Placement};

use self::entry::Chunks;
use self::sharded::Placed;
use crate::batch::Operation;
use crate::ledger::{Account, Charge, Ledger};
use crate::range_delete::{RangeDelete, RangeDeletes};
use crate::source::{MemtableCursor, Source};

/// Filter bits for each key that a memtable is expected to hold.
const FILTER_BITS_PER_KEY: f64 = 10.0;

/// Bytes of the write buffer that an entry is expected to take, for the size of the filter: it gets
/// a hundredth of the write buffer. Smaller entries make more false positives, nothing else.
const FILTER_ENTRY_BYTES: u64 = 128;

/// The share of a write buffer whose memory is got ahead: one of so many.
const AHEAD_SHARE: usize = 8;

/// Each time that memtables grow across a multiple of this, a power of two, in bytes, somebody
/// looks whether there is memory ahead.
const LOOK_BYTES: usize = 2 << 20;

/// The same under a memory budget, at least: there it is the smaller of a sixteenth of the write
/// buffer and [`LOOK_BYTES`].
const LOOK_BYTES_MIN: usize = 32 << 10;

/// Memory that is got ahead at a time, in bytes: more than is used up until the next look.
const AHEAD_STEP_BYTES: usize = 3 * LOOK_BYTES;

/// Memtables that share the write buffer's worth of filter: one in use and those that are flushed.
const FILTERS_WHOLE: usize = 4;

/// What the skip list of `crossbeam-skiplist` and one shard walk over.
pub(crate) type SkipMapCursor = Chunks<skipmap::Table>;
pub(crate) type ShardedCursor = sstable::Merge<Chunks<sharded::Shard>>;

/// What memtables are made of, and where the default kind gets its memory from: chunks of about a
/// sixteenth of the write buffer, which those that were flushed leave to those that follow.
#[derive(Debug)]
pub(crate) struct Arena {
    kind: MemtableKind,
    fastskip: fastskip::Options,
    placed: Placed,
    /// Keys that a full write buffer is expected to hold.
    filter_keys: u64,
    /// Counts memtables: many families must not have a filter for a whole write buffer each.
    alive: Arc<()>,
    /// Bytes of memory that should wait for memtables which are written to; 0 for kinds that take
    /// none from here.
    ahead_bytes: usize,
    /// Growth across a multiple of this, a power of two, in bytes, calls for a look.
    look_bytes: usize,
    /// Under a memory budget: growth is told to its books.
    counted: bool,
    ledger: Arc<Ledger>,
    /// Less waits, and memtables are written to.
    asked: AtomicBool,
}

impl Arena {
    pub(crate) fn new(kind: MemtableKind, write_buffer_bytes: usize, ledger: &Arc<Ledger>) -> Self {
        let pool = (kind == MemtableKind::FastSkip)
            .then(|| Arc::new(fastskip::ChunkPool::new(write_buffer_bytes)));
        let fastskip = fastskip::Options {
            chunk_bytes: write_buffer_bytes / 16,
            pool,
            ..fastskip::Options::default()
        };
        let placed = match kind {
            MemtableKind::Sharded { shards, placement } => Placed::new(shards, placement),
            MemtableKind::FastSkip | MemtableKind::SkipMap => Placed::new(1, Placement::Modulo),
        };
        let filter_keys = write_buffer_bytes as u64 / FILTER_ENTRY_BYTES;
        let pooled =
            fastskip.pool.is_some() && fastskip.chunk_bytes >= fastskip::ChunkPool::CHUNK_BYTES;
        let ahead_bytes = if pooled { write_buffer_bytes / AHEAD_SHARE } else { 0 };
        let (alive, asked) = (Arc::default(), AtomicBool::new(false));
        let look_bytes = if pooled { LOOK_BYTES } else { usize::MAX };
        let (counted, ledger) = (false, Arc::clone(ledger));
        Self {
            kind,
            fastskip,
            placed,
            filter_keys,
            alive,
            ahead_bytes,
            look_bytes,
            counted,
            ledger,
            asked,
        }
    }

    /// The same, that calls for a look at each sixteenth of the write buffer, if there is a memory
    /// budget.
    pub(crate) fn looked_at(self, memory_budget_bytes: usize) -> Self {
        if memory_budget_bytes == 0 {
            return self;
        }
        let sixteenth = (self.fastskip.chunk_bytes + 1).next_power_of_two() / 2;
        let look_bytes = sixteenth.clamp(LOOK_BYTES_MIN, LOOK_BYTES);
        Self { look_bytes, counted: true, ..self }
    }

    /// Takes note that memtables have grown from `before` to `after` bytes, and says what that
    /// calls for.
    #[inline]
    pub(crate) fn grew(&self, before: usize, after: usize) -> Growth {
        if (before ^ after) < self.look_bytes { Growth::Small } else { self.look() }
    }

    #[cold]
    fn look(&self) -> Growth {
        let wanted = self.idle_bytes() < self.ahead_bytes;
        // ORDERING: Relaxed; a hint, `get_ahead` looks for itself.
        self.asked.store(wanted, Ordering::Relaxed);
        if self.counted {
            Growth::Counts
        } else if wanted {
            Growth::WantsMemory
        } else {
            Growth::Small
        }
    }

    /// Whether [`Arena::get_ahead`] is called for.
    pub(crate) fn wants_memory(&self) -> bool {
        // ORDERING: Relaxed; see `look`.
        self.asked.load(Ordering::Relaxed)
    }

    /// Gets some memory from the system before a writer needs it: the first touch of a page costs a
    /// virtual machine 2 us a 4 KiB, and was a third of the time of filling a new database.
    pub(crate) fn get_ahead(&self) {
        // ORDERING: Relaxed; see `look`.
        self.asked.store(false, Ordering::Relaxed);
        if let Some(pool) = &self.fastskip.pool {
            pool.fill((pool.idle_bytes() + AHEAD_STEP_BYTES).min(self.ahead_bytes));
        }
    }

    fn filter(&self) -> SharedBuilder {
        let shares = Arc::strong_count(&self.alive).div_ceil(FILTERS_WHOLE);
        let keys = self.filter_keys / shares as u64;
        SharedBuilder::new(bloom::Kind::DoubleProbe, FILTER_BITS_PER_KEY, keys)
            .expect("only ribbons need all keys before")
    }

    /// Memory that an entry takes beyond its key and value: an estimate for the write buffer's
    /// limit, in bytes.
    #[inline]
    pub(crate) fn entry_overhead_bytes(&self) -> usize {
        self.kind.entry_overhead_bytes()
    }

    /// Bytes that wait for the next memtable.
    pub(crate) fn idle_bytes(&self) -> usize {
        self.fastskip.pool.as_ref().map_or(0, |pool| pool.idle_bytes())
    }
}

/// What the growth of memtables calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    /// Nothing.
    Small,
    /// [`Arena::get_ahead`].
    WantsMemory,
    /// [`crate::memory::rebalance`], and maybe that too.
    Counts,
}

/// A sorted buffer of writes, many versions a key, newest first.
#[derive(Debug)]
pub(crate) struct Memtable {
    table: Table,
    filter: SharedBuilder,
    /// Entries that are deletions.
    deletions: AtomicU64,
    _alive: Arc<()>,
    charge: Charge,
    ranges: Ranges,
}

/// The sorted buffer.
#[derive(Debug)]
enum Table {
    FastSkip(Arc<SkipList>),
    SkipMap(Arc<skipmap::Table>),
    Sharded(sharded::Table),
}

/// A value found in a memtable.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// Lies in the memtable for good.
    Lent(&'a [u8]),
    /// Shared with the memtable.
    Shared(Arc<[u8]>),
}

impl Deref for Found<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Found::Lent(bytes) => bytes,
            Found::Shared(bytes) => bytes,
        }
    }
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
    /// Why they were sealed.
    pub(crate) reason: &'static str,
    /// The last sequence number that the memtables may hold.
    pub(crate) last_seqno: SeqNo,
    /// The memtables by family; only those that were written to.
    pub(crate) memtables: Vec<(u32, Arc<Memtable>)>,
}

impl Memtable {
    /// An empty memtable with memory from `arena`.
    pub(crate) fn new(arena: &Arena) -> Self {
        let table = match arena.kind {
            MemtableKind::FastSkip => {
                Table::FastSkip(Arc::new(SkipList::with_options(&arena.fastskip)))
            }
            MemtableKind::SkipMap => Table::SkipMap(Arc::default()),
            MemtableKind::Sharded { .. } => Table::Sharded(sharded::Table::new(&arena.placed)),
        };
        let (filter, ranges) = (arena.filter(), Ranges::default());
        let deletions = AtomicU64::new(0);
        let charge = Charge::new(&arena.ledger, Account::Active, 0);
        let memtable =
            Self { table, filter, deletions, ranges, _alive: Arc::clone(&arena.alive), charge };
        memtable.settle(Account::Active);
        memtable
    }

    /// What iterators over this memtable, and over what lies below it, are charged to.
    pub(crate) fn allowance(&self) -> &Arc<Allowance> {
        self.charge.allowance()
    }

    /// Brings the books up to date: it is on `account`.
    pub(crate) fn settle(&self, account: Account) {
        self.charge.set(account, self.memory_bytes() as u64);
    }

    /// Inserts operation number `seqno`.
    #[inline]
    pub(crate) fn insert(&self, seqno: SeqNo, operation: &Operation<'_>) {
        if operation.kind == Kind::RangeDelete {
            let (start, end) = (operation.key.to_vec(), operation.value.to_vec());
            return self.ranges.add(RangeDelete { seqno, start, end });
        }
        if operation.kind == Kind::Delete {
            self.count_deletions(1);
        }
        let version = Trailer::new(seqno, operation.kind).raw();
        self.filter.insert(operation.key);
        match &self.table {
            Table::FastSkip(list) => list
                .insert(operation.key, version, operation.value)
                .unwrap_or_else(|error| panic!("a memtable refused a number of its own: {error}")),
            Table::SkipMap(table) => table.insert(operation.key, version, operation.value),
            Table::Sharded(table) => table.insert(operation.key, version, operation.value),
        }
    }

    fn count_deletions(&self, count: u64) {
        // ORDERING: Relaxed; a statistic publishes nothing.
        self.deletions.fetch_add(count, Ordering::Relaxed);
    }

    /// [`Memtable::insert`] for many operations with their numbers.
    pub(crate) fn insert_all<'a>(&self, operations: &[(SeqNo, Operation<'a>)]) {
        let Table::FastSkip(list) = &self.table else {
            return operations.iter().for_each(|(seqno, operation)| self.insert(*seqno, operation));
        };
        let is_range = |operation: &Operation<'_>| operation.kind == Kind::RangeDelete;
        for (seqno, range) in operations.iter().filter(|(_, operation)| is_range(operation)) {
            self.insert(*seqno, range);
        }
        let points = || operations.iter().filter(|(_, operation)| !is_range(operation));
        let deletions = points().filter(|(_, point)| point.kind == Kind::Delete).count();
        if deletions > 0 {
            self.count_deletions(deletions as u64);
        }
        let hashes: Vec<u64> = points().map(|(_, point)| bloom::hash_key(point.key)).collect();
        self.filter.insert_hashes(&hashes);
        let entry = |(seqno, point): &(SeqNo, Operation<'a>)| fastskip::Entry {
            key: point.key,
            version: Trailer::new(*seqno, point.kind).raw(),
            value: point.value,
        };
        let entries: Vec<_> = points().map(entry).collect();
        list.insert_batch(&entries)
            .unwrap_or_else(|error| panic!("a memtable refused numbers of its own: {error}"));
    }

    /// Whether the filter lets a search for the key of this hash go on.
    #[inline]
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        self.filter.may_contain_hash(hash)
    }

    /// The newest version of `key` at or before `at`, deletions included; `hash` is
    /// [`bloom::hash_key`] of the key.
    #[inline]
    pub(crate) fn get(
        &self,
        (key, hash): (&[u8], u64),
        at: Trailer,
    ) -> Option<(Trailer, Found<'_>)> {
        if !self.may_hold(hash) {
            return None;
        }
        let shared = match &self.table {
            Table::FastSkip(list) => {
                let entry = list.get(key, at.raw())?;
                return Some((Trailer::from_raw(entry.version), Found::Lent(entry.value)));
            }
            Table::SkipMap(table) => table.get(key, at.raw()),
            Table::Sharded(table) => table.get(key, at.raw()),
        };
        shared.map(|(trailer, value)| (trailer, Found::Shared(value)))
    }

    /// [`Memtable::get`] for many keys, in their order.
    pub(crate) fn get_many(
        &self,
        keys: &[&[u8]],
        at: Trailer,
    ) -> Vec<Option<(Trailer, Found<'_>)>> {
        let Table::FastSkip(list) = &self.table else {
            return keys.iter().map(|key| self.get((key, bloom::hash_key(key)), at)).collect();
        };
        let entries = list.get_many(keys, at.raw()).into_iter();
        entries
            .map(|entry| {
                entry.map(|found| (Trailer::from_raw(found.version), Found::Lent(found.value)))
            })
            .collect()
    }

    /// A cursor that keeps the memtable's entries alive.
    pub(crate) fn cursor(&self) -> Source {
        match &self.table {
            Table::FastSkip(list) => {
                Source::Memtable(MemtableCursor(fastskip::Cursor::new(Arc::clone(list))))
            }
            Table::SkipMap(table) => Source::SkipMap(Chunks::new(Arc::clone(table))),
            Table::Sharded(table) => Source::Sharded(Box::new(table.cursor())),
        }
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
        match &self.table {
            Table::FastSkip(list) => list.len(),
            Table::SkipMap(table) => table.len(),
            Table::Sharded(table) => table.len(),
        }
    }

    /// Number of entries that are deletions; ranges are not among them.
    pub(crate) fn deletions(&self) -> u64 {
        // ORDERING: Relaxed; a statistic publishes nothing.
        self.deletions.load(Ordering::Relaxed)
    }

    /// Bytes of memory it holds; an estimate where the allocations are not ours.
    pub(crate) fn memory_bytes(&self) -> usize {
        let filter = self.filter.memory_usage();
        let (kind, data_bytes) = match &self.table {
            Table::FastSkip(list) => return list.memory_reserved() + filter,
            Table::SkipMap(table) => (MemtableKind::SkipMap, table.data_bytes()),
            Table::Sharded(table) => (MemtableKind::sharded(1), table.data_bytes()),
        };
        filter + data_bytes + self.len() * kind.entry_overhead_bytes()
    }

    /// The smallest and the largest key of its entries, if there are any.
    pub(crate) fn key_range(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match &self.table {
            Table::FastSkip(list) => {
                let mut cursor = fastskip::Cursor::new(&**list);
                cursor.seek_to_first();
                let smallest = cursor.valid().then(|| cursor.key().to_vec())?;
                cursor.seek_to_last();
                Some((smallest, cursor.key().to_vec()))
            }
            Table::SkipMap(table) => table.key_range(),
            Table::Sharded(table) => table.key_range(),
        }
    }
}
