//! Lock-free, arena-backed, multi-version skip list: the memtable of an LSM tree.
//!
//! Two faces on one core:
//!
//! - [`SkipList`] keeps many versions of a key, newest first, under versions the caller gives:
//!   insert and batch insert, get at a version and batched get, [`Cursor`]s both ways that borrow
//!   the list or own a share of it, and a [`seal`](SkipList::seal) through a shared reference.
//! - [`ConcurrentSkipList`] keeps one value a key: insert, put, delete (tombstones), snapshots that
//!   never change, ranges and prefixes from both ends, limits at which the list seals itself.
//!
//! Any number of threads insert and read at once. *Lock-free* means: a thread stopped anywhere in
//! an insert or a get stops nobody else. Only `seal` waits, for the inserts in flight.
//!
//! # How it is built
//!
//! Levels of linked nodes as in any skip list, but wide ones: 28 links a node, each with 32 bits
//! of its key beside it, so that a search reads one node a level and touches a key only when 32
//! bits cannot decide. Entries lie in an arena of 2 MiB chunks (huge pages where the system gives
//! them) and never move; dropping a list hands the chunks to the next list through a [`ChunkPool`],
//! or frees all of them at once.
//!
//! An insert is one compare-exchange of a slot; a node without a free slot stands still by itself,
//! so a split is one compare-exchange more, of its `next` link, and whoever needs the room does
//! it. The files, from the bottom: `chunk`, `arena`, `record`, `key` (hints), `node`, `scan`,
//! `search`, `insert`, `batch`, `cursor`, `gate` (seal), `list`, `map`.
//!
//! # Limits
//!
//! 16 GiB a list; keys and values up to 4 GiB - 1 bytes; no removal of single entries: a delete is
//! an entry too, as a memtable wants it.

mod arena;
mod batch;
mod chunk;
mod cursor;
mod entries;
mod error;
mod gate;
mod insert;
mod key;
mod list;
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
pub use map::{Builder, ConcurrentSkipList, FrozenMemtable, Iter, Snapshot, SnapshotIter};
pub use options::Options;
pub use record::Entry;

/// The README's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
