//! Snappy raw format, by the pure-Rust `snap`.

use crate::format::Fault;

/// Compresses `body` to the front of `out`; returns how many bytes that took.
pub(super) fn compress(encoder: &mut snap::raw::Encoder, body: &[u8], out: &mut Vec<u8>) -> usize {
    let room = super::room(out, snap::raw::max_compress_len(body.len()));
    encoder.compress(body, room).expect("the room is the maximum")
}

/// Fills `out` with what `data` holds.
pub(super) fn decompress(data: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    match snap::raw::Decoder::new().decompress(data, out) {
        Ok(bytes) if bytes == out.len() => Ok(()),
        _ => Err(Fault::Damaged("Snappy data of the size that the header names")),
    }
}
