//! What a list may use: memory and shards.

use crate::chunk::ChunkPool;
use std::sync::Arc;

/// Settings of a list. `Default` suits a memtable of 1 MiB to 1 GiB.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory is asked from the system in pieces of this many bytes, except for the first, which
    /// is 16 KiB at most, and for values larger than a piece. Default 2 MiB, which is also the
    /// largest; range 64 KiB to 2 MiB, other values are brought into it. Behind the first 1,023
    /// pieces all are as large as they can be, since a list has 8,191 at most.
    pub chunk_bytes: usize,
    /// How many threads may insert without sharing a cache line. More threads work as well, they
    /// share. Default: the number of CPUs; range 1 to 1024.
    pub shards: usize,
    /// The most memory the list may reserve, in bytes; inserts that would need more fail with
    /// [`OutOfMemory`](crate::InsertError::OutOfMemory). Default `None`: up to 16 GiB, of which
    /// values of more than half a piece may leave a part unused; 4 GiB of entries, each with 40
    /// bytes beyond key and value, always fit.
    pub max_bytes: Option<usize>,
    /// Where chunks of 2 MiB come from and go to, before the system is asked. Default: the pool
    /// of the process, [`ChunkPool::shared`]. `None`: all memory is fresh, and goes back at once.
    pub pool: Option<Arc<ChunkPool>>,
}

impl Default for Options {
    fn default() -> Self {
        let shards = std::thread::available_parallelism().map_or(4, std::num::NonZero::get);
        #[cfg(not(loom))]
        let pool = Some(Arc::clone(ChunkPool::shared()));
        #[cfg(loom)] // a pool of one model cannot serve the next
        let pool = None;
        Self { chunk_bytes: 2 << 20, shards, max_bytes: None, pool }
    }
}
