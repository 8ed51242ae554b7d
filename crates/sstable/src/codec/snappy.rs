//! Snappy raw format, by the pure-Rust `snap`.

use crate::format::Fault;

/// Appends `body`, compressed, to `out`.
pub(super) fn compress(encoder: &mut snap::raw::Encoder, body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + snap::raw::max_compress_len(body.len()), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let bytes = encoder.compress(body, room).expect("the room is the maximum");
    out.truncate(start + bytes);
}

/// Fills `out` with what `data` holds.
pub(super) fn decompress(data: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    match snap::raw::Decoder::new().decompress(data, out) {
        Ok(bytes) if bytes == out.len() => Ok(()),
        _ => Err(Fault::Damaged("Snappy data of the size that the header names")),
    }
}
