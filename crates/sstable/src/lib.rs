//! Sorted string tables: write a sorted file of keys and values, read it back fast and never wrong.

mod block;
mod codec;
mod cursor;
mod error;
mod format;
mod index;
mod key;
mod merge;
mod meta;
mod options;
mod pack;
mod read_at;
mod sink;
mod source;
mod table;
mod table_cursor;
pub mod varint;
mod verify;
mod writer;

pub use codec::{Chooser, Codec, Coding, Content, Load};
pub use cursor::{Cursor, SliceCursor};
pub use error::{Error, Result};
pub use key::{KEY_BYTES_MAX, Kind, SEQNO_MAX, SeqNo, Trailer, VALUE_BYTES_MAX, compare};
pub use merge::Merge;
pub use meta::TableMeta;
pub use options::{ReadOptions, WriteOptions};
pub use read_at::ReadAt;
pub use table::{Block, BlockCache, BlockKey, Expect, Found, Table, ValueRef};
pub use table_cursor::TableCursor;
pub use verify::VerifyReport;
pub use writer::TableWriter;
