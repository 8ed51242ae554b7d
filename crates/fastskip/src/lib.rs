//! Lock-free, arena-backed, multi-version skip list: the memtable of an LSM tree.
//!
//! [`SkipList`] keeps many versions of a key, newest first, in memory that never moves; any number
//! of threads insert and read at once, and none ever waits for another. [`Cursor`] walks it both
//! ways. [`SkipList::seal`] ends writing through a shared reference.

mod arena;
mod batch;
mod chunk;
mod cursor;
mod error;
mod gate;
mod insert;
mod key;
mod list;
#[cfg(not(loom))]
pub mod map;
mod node;
mod options;
mod record;
mod scan;
mod search;
mod sync;
mod token;

pub use chunk::ChunkPool;
pub use cursor::Cursor;
pub use error::{BatchError, BatchStopped, InsertError, SealError};
pub use list::SkipList;
#[cfg(not(loom))]
pub use map::{Builder, ConcurrentSkipList, FrozenMemtable, Iter, Snapshot, SnapshotIter};
pub use options::Options;
pub use record::Entry;
