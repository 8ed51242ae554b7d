//! Sorted string tables: write a sorted file of keys and values, read it back fast and never wrong.

#![cfg_attr(not(test), expect(dead_code, reason = "the writer and the reader land next"))]

mod codec;
mod cursor;
mod error;
mod key;
mod merge;
mod meta;
mod read_at;
mod varint;

pub use codec::Codec;
pub use cursor::{Cursor, SliceCursor};
pub use error::{Error, Result};
pub use key::{KEY_BYTES_MAX, Kind, SEQNO_MAX, SeqNo, Trailer, VALUE_BYTES_MAX, compare};
pub use merge::Merge;
pub use meta::TableMeta;
pub use read_at::ReadAt;
