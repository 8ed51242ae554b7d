//! LZMA in its stand-alone container (13 bytes of header, end marker), by liblzma.

use liblzma::stream::{Action, LzmaOptions, Status, Stream};

use crate::format::{DECOMPRESSED_BYTES_MAX, Fault};

/// What a decoder may allocate: the largest window that the encoder uses, and its tables.
const DECODER_BYTES_MAX: u64 = DECOMPRESSED_BYTES_MAX as u64 + (16 << 20);
const WINDOW_BYTES_MIN: usize = 4096;

/// Makes `out` the body, compressed at this preset, 0 to 9, and returns its length.
pub(super) fn compress(preset: u32, body: &[u8], out: &mut Vec<u8>) -> usize {
    let mut options = LzmaOptions::new_preset(preset).expect("presets are 0 to 9");
    let window = body.len().clamp(WINDOW_BYTES_MIN, DECOMPRESSED_BYTES_MAX);
    options.dict_size(u32::try_from(window).unwrap_or(u32::MAX));
    let mut stream = Stream::new_lzma_encoder(&options).expect("memory for a compression context");
    out.clear();
    out.reserve(body.len() + body.len() / 2 + 1024);
    let status = stream.process_vec(body, out, Action::Finish).expect("valid options");
    assert!(matches!(status, Status::StreamEnd), "room for data that does not compress");
    out.len()
}

/// Fills `out` with what `data` holds.
pub(super) fn decompress(data: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    let damaged = || Fault::Damaged("LZMA data of the size that the header names");
    let mut stream = Stream::new_lzma_decoder(DECODER_BYTES_MAX).map_err(|_refused| damaged())?;
    let status = stream.process(data, out, Action::Finish).map_err(|_refused| damaged())?;
    // With the buffer full the end marker may still be unread: one more call sees it.
    let ended = matches!(status, Status::StreamEnd) || {
        let read = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        let rest = data.get(read..).ok_or_else(damaged)?;
        matches!(stream.process(rest, &mut [], Action::Finish), Ok(Status::StreamEnd))
    };
    if ended && stream.total_out() == out.len() as u64 { Ok(()) } else { Err(damaged()) }
}
