//! Settings of a `ConcurrentSkipList`, by name.

use super::ConcurrentSkipList;
use crate::chunk::ChunkPool;
use crate::options::Options;
use std::sync::Arc;

/// Settings of a [`ConcurrentSkipList`], kept by the fresh lists that follow it.
///
/// ```
/// let list = fastskip::ConcurrentSkipList::builder()
///     .shards(4)
///     .max_memory_bytes(50 << 20)
///     .max_entries(1_000_000)
///     .build();
/// assert_eq!(list.max_entries(), 1_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    arena_bytes: usize,
    shards: usize,
    max_memory_bytes: usize,
    max_entries: usize,
    pool: Option<Arc<ChunkPool>>,
}

impl Default for Builder {
    fn default() -> Self {
        let Options { chunk_bytes, shards, pool, .. } = Options::default();
        Self { arena_bytes: chunk_bytes, shards, max_memory_bytes: 0, max_entries: 0, pool }
    }
}

impl Builder {
    /// Bytes asked from the system at a time, from 64 KiB to 2 MiB (other values are brought into
    /// that range). Default 2 MiB.
    #[must_use]
    pub fn arena_bytes(self, arena_bytes: usize) -> Self {
        Self { arena_bytes, ..self }
    }

    /// Threads that write without sharing a cache line, 1 to 1024; more threads work as well.
    /// Default: the number of CPUs.
    #[must_use]
    pub fn shards(self, shards: usize) -> Self {
        Self { shards, ..self }
    }

    /// The list seals itself rather than use more bytes than this (writes in flight on other
    /// threads may pass it by an entry each). Default 0: no limit.
    #[must_use]
    pub fn max_memory_bytes(self, max_memory_bytes: usize) -> Self {
        Self { max_memory_bytes, ..self }
    }

    /// The list seals itself when it holds so many entries, tombstones and overwritten values
    /// counted. Default 0: no limit.
    #[must_use]
    pub fn max_entries(self, max_entries: usize) -> Self {
        Self { max_entries, ..self }
    }

    /// Where memory of dropped lists is kept for the next ones. Default: the pool of the process,
    /// [`ChunkPool::shared`].
    #[must_use]
    pub fn pool(self, pool: Arc<ChunkPool>) -> Self {
        Self { pool: Some(pool), ..self }
    }

    /// The list.
    ///
    /// # Panics
    /// If the system has no 64 KiB of memory to give.
    pub fn build(self) -> ConcurrentSkipList {
        ConcurrentSkipList::from_settings(self)
    }

    pub(super) fn options(&self) -> Options {
        let (chunk_bytes, shards, pool) = (self.arena_bytes, self.shards, self.pool.clone());
        Options { chunk_bytes, shards, max_bytes: None, pool }
    }

    /// The limits on bytes and on entries; 0 is none.
    pub(super) fn limits(&self) -> (usize, usize) {
        (self.max_memory_bytes, self.max_entries)
    }
}
