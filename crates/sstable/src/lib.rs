//! Sorted string tables: write a sorted file of keys and values, read it back fast and never wrong.

mod block;
mod codec;
mod cursor;
#[cfg(all(feature = "direct-io", target_os = "linux"))]
mod direct;
mod error;
mod format;
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
mod read_at;
mod salvage;
mod sink;
mod source;
mod table;
mod table_cursor;
pub mod varint;
mod verify;
mod writer;

pub use codec::{Chooser, Codec, Coding, Content, Load};
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
pub use read_at::ReadAt;
pub use salvage::{Lost, SalvageReport, salvage};
pub use table::{Block, BlockCache, BlockKey, Expect, Found, Table, ValueRef};
pub use table_cursor::TableCursor;
pub use verify::VerifyReport;
pub use writer::TableWriter;
