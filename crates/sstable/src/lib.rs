//! Sorted string tables: write a sorted file of keys and values, read it back fast and never wrong.
//!
//! A table holds *entries*: a user key, a [`Trailer`] (sequence number and [`Kind`]) and a value,
//! in stored order: keys ascending bytewise, of each key the newest version first ([`compare`]).
//! [`TableWriter`] writes one in a single pass; [`Table`] answers point reads; [`TableCursor`]
//! walks over it both ways; [`Merge`] makes one sequence of several cursors.
//!
//! ```
//! use std::sync::Arc;
//! use sstable::{Cursor, Expect, Kind, ReadOptions, Table, TableCursor, TableWriter, Trailer};
//!
//! # fn main() -> sstable::Result<()> {
//! let options = sstable::WriteOptions::default();
//! let mut writer = TableWriter::new(Vec::new(), "fruit.sst", 1, &options)?;
//! writer.add(b"apple", Trailer::new(7, Kind::Put), b"red")?;
//! writer.add(b"cherry", Trailer::new(4, Kind::Put), b"black")?;
//! let (_, bytes) = writer.finish()?;
//!
//! let table = Table::open(Arc::new(bytes), "fruit.sst", Expect::default(), None)?;
//! let mut cursor = TableCursor::new(Arc::new(table), ReadOptions::default());
//! cursor.seek(b"b", Trailer::FIRST)?;
//! assert_eq!((cursor.key(), cursor.value()), (&b"cherry"[..], &b"black"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - An answer is what was written, or an error that names file, place and expectation: every byte
//!   is covered by a checksum that includes the table's number and the block's place.
//! - Equal entries under equal options give equal bytes (with a codec of another library: as long
//!   as that library's version stays the same).
//! - A table of any earlier version can be read, or is refused by name.
//! - Bytes from disk never panic, hang, or take memory beyond 64 MiB plus the file's own size.
//!
//! # Where ideas come from
//!
//! Sorted tables with blocks and an index: Bigtable (Chang and others, 2006) and LevelDB (Dean and
//! Ghemawat, 2011), whose restarts within blocks these are. Separators cut short: prefix B-trees
//! (Bayer and Unterauer, 1977). Other sources stand with what they gave.

mod allowance;
mod arrange;
mod block;
mod codec;
mod crc;
mod cursor;
#[cfg(all(feature = "direct-io", target_os = "linux"))]
mod direct;
mod error;
mod format;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod key;
#[cfg(feature = "mmap")]
mod mapped;
mod merge;
mod meta;
mod multi;
mod options;
mod pace;
mod pack;
mod pool;
mod prefetch;
mod probe;
mod read_at;
mod salvage;
mod sink;
mod source;
mod table;
mod table_cursor;
mod value;
pub mod varint;
mod verify;
mod writer;

pub use allowance::Allowance;
pub use bloom::hash_key;
pub use codec::{Chooser, Codec, Coding, Content, Load, LoadGauge};
pub use cursor::{Cursor, SliceCursor};
#[cfg(all(feature = "direct-io", target_os = "linux"))]
pub use direct::DirectFile;
pub use error::{Error, Result};
pub use key::{KEY_BYTES_MAX, Kind, SEQNO_MAX, SeqNo, Trailer, VALUE_BYTES_MAX, compare};
#[cfg(feature = "mmap")]
pub use mapped::MappedFile;
pub use merge::Merge;
pub use meta::TableMeta;
pub use multi::Wanted;
pub use options::{ReadOptions, WriteOptions};
pub use pace::{BytesPerSecond, Pace, Paced};
pub use probe::{BlockProbe, FenceProbe, FilterVerdict, Probe, RangeBlock, RangeSize};
pub use read_at::ReadAt;
pub use salvage::{Lost, SalvageReport, salvage};
pub use table::{Block, BlockCache, BlockKey, Expect, Table};
pub use table_cursor::TableCursor;
pub use value::{Found, Lent, ValueRef};
pub use verify::VerifyReport;
pub use writer::TableWriter;

// What the options and the faces above name.
pub use {bloom, cache, fence};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
