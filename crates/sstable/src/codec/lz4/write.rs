//! Compression, by the pure-Rust `lz4_flex` with its bounds checks on.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// Tables to look matches up in, kept from one body to the next.
pub(in crate::codec) struct Finder {
    short: CompressTable,
    long: CompressTable,
}

impl Default for Finder {
    fn default() -> Self {
        Self { short: CompressTable::small(), long: CompressTable::large() }
    }
}

/// Compresses `body` to the front of `out`; returns how many bytes that took.
pub(in crate::codec) fn compress(finder: &mut Finder, body: &[u8], out: &mut Vec<u8>) -> usize {
    let room = crate::codec::room(out, get_maximum_output_size(body.len()));
    // As the library does by itself: positions of 16 bits where they reach.
    let short = body.len() < usize::from(u16::MAX);
    let table = if short { &mut finder.short } else { &mut finder.long };
    compress_into_with_table(body, room, table).expect("the room is the maximum")
}
