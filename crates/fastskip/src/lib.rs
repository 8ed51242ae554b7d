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
mod node;
mod options;
mod record;
mod search;
mod sync;
mod token;

pub use chunk::ChunkPool;
pub use cursor::Cursor;
pub use error::{BatchStopped, InsertError};
pub use list::SkipList;
pub use options::Options;
pub use record::Entry;
