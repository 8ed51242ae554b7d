//! Sharded, byte-weighted, single-flight cache with scan-resistant eviction.
//!
//! ```
//! use std::sync::Arc;
//!
//! // 8 MiB of blocks, found by (table, offset).
//! let cache: cache::Cache<(u64, u64), Arc<[u8]>> = cache::Cache::new(8 << 20);
//!
//! // The closure runs once per missing key, however many threads ask for it at the same time.
//! let block = cache.get_or_load(&(7, 4096), || {
//!     let bytes: Arc<[u8]> = Arc::from(vec![0_u8; 4096]);
//!     Ok::<_, std::io::Error>((bytes, 4096))
//! })?;
//! assert_eq!(block.len(), 4096);
//! assert!(cache.get(&(7, 4096)).is_some());
//!
//! // A table is dropped: so are its blocks.
//! cache.remove_if(|&(table, _)| table == 7);
//! assert_eq!(cache.weight_bytes(), 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Weights are the caller's: the cache adds up what it is told and evicts before an insertion would
//! exceed the capacity.

mod barrier;
mod cache;
mod counters;
mod flight;
mod ghost;
mod hash;
mod limbo;
mod lists;
#[cfg(all(test, loom))]
mod loom_tests;
mod lru;
mod options;
mod policy;
mod published;
mod readers;
mod s3fifo;
mod shard;
mod slab;
mod stats;
mod sync;
mod table;

pub use cache::Cache;
pub use options::{Clock, Options, OptionsError, Policy, Ttl};
pub use policy::{Kind, Label, Priority};
pub use stats::{KindStats, Stats};
