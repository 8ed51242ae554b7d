//! LZ4 block format, by the pure-Rust `lz4_flex` with its bounds checks on.

use crate::format::Fault;

/// Appends `body`, compressed, to `out`.
pub(super) fn compress(body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + lz4_flex::block::get_maximum_output_size(body.len()), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let bytes = lz4_flex::block::compress_into(body, room).expect("the room is the maximum");
    out.truncate(start + bytes);
}

/// Fills `out` with what `data` holds.
pub(super) fn decompress(data: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    match lz4_flex::block::decompress_into(data, out) {
        Ok(bytes) if bytes == out.len() => Ok(()),
        _ => Err(Fault::Damaged("LZ4 data of the size that the header names")),
    }
}
