//! [`ConcurrentSkipList`]: one value a key, with tombstones, snapshots, limits and a seal.
//!
//! It is a [`SkipList`](crate::SkipList) whose versions count the changes of each key by itself:
//! the first write of a key is version 1, and a change of version `n` is an insert of version
//! `n + 1`, which fails if somebody else was faster. So no counter is shared among keys, and
//! "insert if absent" is exact.
//!
//! Snapshots go by *epochs*. An entry is linked first and stamped with the epoch afterwards, once,
//! by whoever comes across it; a snapshot takes the epoch as its own and moves the list on to the
//! next, and sees the entries stamped up to its own. An entry linked after the snapshot was taken
//! can only get a later stamp, so what a snapshot sees never changes, and nobody waits.
//!
//! ```text
//! stamp := tombstone: 1 bit | epoch: 31 bits           epoch 0: not stamped yet
//! ```

#[macro_use]
mod read;

mod builder;
mod frozen;
mod iter;
mod snapshot;
mod store;

pub use builder::Builder;
pub use frozen::FrozenMemtable;
pub use iter::{Cursor, Iter};
pub use snapshot::{Snapshot, SnapshotIter};

use crate::error::{BatchError, InsertError, SealError};
use std::fmt;
use std::sync::Arc;
use store::{Rule, Store, Wish};

/// An entry of a [`ConcurrentSkipList`], borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value; empty for a tombstone.
    pub value: &'a [u8],
    /// Whether the key was deleted. Tombstones are entries like others, so that a flush can pass
    /// the deletion on to older tables.
    pub is_tombstone: bool,
}

/// A lock-free ordered map for memtables: one value a key, tombstones, snapshots, limits, a seal.
///
/// Any number of threads read and write through a shared reference (share it in an `Arc`); none
/// ever waits for another, except [`seal`](Self::seal) for the writes in flight.
///
/// ```
/// use fastskip::ConcurrentSkipList;
///
/// let list = ConcurrentSkipList::new();
/// assert!(list.insert(b"user:1001", b"alice"));
/// assert!(!list.insert(b"user:1001", b"bob"), "the key is there");
/// let snapshot = list.snapshot();
/// assert!(list.delete(b"user:1001"));
/// assert_eq!(list.get_live(b"user:1001"), None);
/// assert_eq!(snapshot.get_live(b"user:1001"), Some(&b"alice"[..]));
/// ```
pub struct ConcurrentSkipList {
    store: Arc<Store>,
}

impl ConcurrentSkipList {
    /// An empty list without limits, with a shard for each CPU.
    pub fn new() -> Self {
        Builder::default().build()
    }

    /// An empty list that asks the system for memory in pieces of `arena_bytes`.
    pub fn with_capacity(arena_bytes: usize) -> Self {
        Builder::default().arena_bytes(arena_bytes).build()
    }

    /// An empty list with `shards` shards: as many threads write without sharing a cache line. More
    /// threads work as well.
    pub fn with_shards(shards: usize) -> Self {
        Builder::default().shards(shards).build()
    }

    /// An empty list with all four settings: see [`Builder`]. A limit of 0 is none.
    pub fn with_capacity_and_shards(
        arena_bytes: usize,
        shards: usize,
        max_memory_bytes: usize,
        max_entries: usize,
    ) -> Self {
        let builder = Builder::default().arena_bytes(arena_bytes).shards(shards);
        builder.max_memory_bytes(max_memory_bytes).max_entries(max_entries).build()
    }

    /// Settings by name.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn from_settings(settings: Builder) -> Self {
        Self { store: Arc::new(Store::new(settings)) }
    }
}

// Writing.
impl ConcurrentSkipList {
    /// Adds a key that is not there, or was deleted. `false` if it is there, or the list is sealed
    /// or full: [`try_insert`](Self::try_insert) tells which.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> bool {
        self.try_insert(key, value).is_ok()
    }

    /// Adds a key that is not there, or was deleted.
    ///
    /// # Errors
    /// [`InsertError::Duplicate`] if the key is there; [`InsertError::OutOfMemory`] if the entry
    /// does not fit into the limits (the list then seals itself) or the system's memory;
    /// [`InsertError::Sealed`] after that, and after [`seal`](Self::seal);
    /// [`InsertError::TooLarge`] for a key or value beyond 4 GiB - 1.
    pub fn try_insert(&self, key: &[u8], value: &[u8]) -> Result<(), InsertError> {
        let written = self.store.write(Wish::Value(value), key, Rule::UnlessLive)?;
        if written.done { Ok(()) } else { Err(InsertError::Duplicate) }
    }

    /// Sets the value of a key, there or not. Whether a live value was replaced.
    ///
    /// # Errors
    /// As [`try_insert`](Self::try_insert), but never `Duplicate`.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<bool, InsertError> {
        self.store.write(Wish::Value(value), key, Rule::Always).map(|written| written.was_live)
    }

    /// Deletes a key: records a tombstone, also for a key that is not in this list (an older table
    /// may hold it). Whether a live value was deleted; also `false` if the list is sealed or full:
    /// [`try_delete`](Self::try_delete) tells.
    pub fn delete(&self, key: &[u8]) -> bool {
        self.try_delete(key).unwrap_or(false)
    }

    /// As [`delete`](Self::delete).
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn try_delete(&self, key: &[u8]) -> Result<bool, InsertError> {
        self.store.write(Wish::Tombstone, key, Rule::UnlessDeleted).map(|written| written.was_live)
    }

    /// The value of the key and `false`; or, if it is not there (or was deleted), adds it and gives
    /// the stored value and `true`. If the list is sealed or full, nothing is stored and the
    /// answer is `(value, false)`: [`try_get_or_insert`](Self::try_get_or_insert) tells.
    pub fn get_or_insert<'a>(&'a self, key: &[u8], value: &'a [u8]) -> (&'a [u8], bool) {
        self.try_get_or_insert(key, value).unwrap_or((value, false))
    }

    /// As [`get_or_insert`](Self::get_or_insert).
    ///
    /// # Errors
    /// As [`put`](Self::put); never for a key that is there.
    pub fn try_get_or_insert(
        &self,
        key: &[u8],
        value: &[u8],
    ) -> Result<(&[u8], bool), InsertError> {
        if let Some(found) = self.get_live(key) {
            return Ok((found, false));
        }
        let written = self.store.write(Wish::Value(value), key, Rule::UnlessLive)?;
        Ok((written.record.value(), written.done))
    }

    /// Inserts each entry as [`insert`](Self::insert) does, in order, and goes on after one that
    /// is refused; faster than an `insert` each. Gives the number of entries.
    ///
    /// # Errors
    /// [`BatchError::PartialFailure`] if any was refused, with how many were and how many not.
    pub fn insert_batch<K, V>(&self, entries: &[(K, V)]) -> Result<usize, BatchError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let succeeded = self.store.insert_batch(entries);
        match entries.len() - succeeded {
            0 => Ok(succeeded),
            failed => Err(BatchError::PartialFailure { succeeded, failed }),
        }
    }
}

read_verbs!(ConcurrentSkipList);

// Sealing.
impl ConcurrentSkipList {
    /// Takes no more writes, waits for those in flight, and gives the frozen content and a fresh
    /// list with the same settings. This list stays readable for those who share it.
    ///
    /// # Errors
    /// [`SealError::AlreadySealed`] from the second call on (a list that sealed itself because it
    /// was full was not sealed by a call).
    pub fn seal(&self) -> Result<(FrozenMemtable, Self), SealError> {
        self.store.seal()?;
        let fresh = Self::from_settings(self.store.settings().clone());
        Ok((FrozenMemtable::new(Arc::clone(&self.store)), fresh))
    }

    /// Whether the list takes no more writes: sealed by a call, or by itself at a limit.
    pub fn is_sealed(&self) -> bool {
        self.store.list().is_sealed()
    }

    /// Empties the list: as new, with the same settings. What [`seal`](Self::seal) gave stays.
    pub fn reset(&mut self) {
        *self = Self::from_settings(self.store.settings().clone());
    }
}

// Statistics: exact when nobody writes.
impl ConcurrentSkipList {
    /// Mean bytes of a key, over all versions and tombstones; 0 if there are none.
    pub fn avg_key_size(&self) -> f64 {
        let list = self.store.list();
        list.key_bytes() as f64 / list.len().max(1) as f64
    }

    /// Mean bytes of a value, over all versions; tombstones count with 0 bytes.
    pub fn avg_value_size(&self) -> f64 {
        let list = self.store.list();
        list.value_bytes() as f64 / list.len().max(1) as f64
    }

    /// Writes asked for by `insert`, `put`, `get_or_insert` and batches, refused ones included.
    pub fn total_inserts(&self) -> usize {
        self.store.attempt_count()
    }

    /// The limit on [`memory_usage`](Self::memory_usage) at which the list seals itself; 0 is none.
    pub fn max_memory_bytes(&self) -> usize {
        self.store.settings().limits().0
    }

    /// The limit on entries (tombstones and overwritten values count) at which the list seals
    /// itself; 0 is none.
    pub fn max_entries(&self) -> usize {
        self.store.settings().limits().1
    }

    /// Whether 90 % of a limit is reached: time to seal.
    pub fn is_under_backpressure(&self) -> bool {
        self.store.is_under_backpressure()
    }
}

impl Default for ConcurrentSkipList {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ConcurrentSkipList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrentSkipList")
            .field("len", &self.len())
            .field("sealed", &self.is_sealed())
            .field("memory_usage", &self.memory_usage())
            .finish()
    }
}
