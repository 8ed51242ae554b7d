//! Zstandard frames, with or without a dictionary; by the reference library.
//!
//! A frame is stored without its magic number, which the block header makes superfluous.
//!
//! Contexts are costly to make, so the writer keeps one a codec and each reading thread keeps one.

use std::cell::RefCell;

use zstd::bulk::Compressor;
use zstd::dict::DecoderDictionary;
use zstd::zstd_safe::{CParameter, DCtx};

use crate::format::Fault;

/// What every frame starts with.
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// What a reading thread keeps.
struct Decoder {
    context: DCtx<'static>,
    /// The frame with its magic number put back.
    frame: Vec<u8>,
}

thread_local! {
    static DECODER: RefCell<Decoder> =
        RefCell::new(Decoder { context: DCtx::create(), frame: Vec::new() });
}

/// Frames larger than this are not kept room for, in bytes.
const FRAME_KEEP_MAX: usize = 1 << 20;

/// A dictionary as a reader needs it.
pub(crate) struct ReadDictionary {
    prepared: DecoderDictionary<'static>,
    bytes: usize,
}

impl std::fmt::Debug for ReadDictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReadDictionary({} bytes)", self.bytes)
    }
}

impl ReadDictionary {
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, Fault> {
        let prepared = DecoderDictionary::try_copy(bytes);
        let prepared = prepared.map_err(|_refused| Fault::Damaged("a Zstandard dictionary"))?;
        Ok(Self { prepared, bytes: bytes.len() })
    }

    /// Memory it takes, in bytes: the copy and its tables.
    pub(crate) fn memory(&self) -> usize {
        self.bytes + (32 << 10)
    }
}

/// Makes a context for this level, 1 to 22, and dictionary (empty: none).
pub(super) fn encoder(level: i32, dictionary: &[u8]) -> Compressor<'static> {
    let mut encoder =
        Compressor::with_dictionary(level, dictionary).expect("memory for a compression context");
    // The table names the dictionary; four bytes a block would only repeat it.
    encoder
        .set_parameter(CParameter::DictIdFlag(false))
        .expect("a parameter that this version of the library knows");
    encoder
}

/// Compresses `body` to the front of `out`; returns how many bytes that took.
pub(super) fn compress(encoder: &mut Compressor<'static>, body: &[u8], out: &mut Vec<u8>) -> usize {
    let room = super::room(out, zstd::zstd_safe::compress_bound(body.len()));
    let bytes = encoder.compress_to_buffer(body, room).expect("the room is the maximum");
    debug_assert!(room.starts_with(&MAGIC));
    room.copy_within(MAGIC.len()..bytes, 0);
    bytes - MAGIC.len()
}

/// Fills `out` with what `data` holds.
pub(super) fn decompress(
    data: &[u8],
    dictionary: Option<&ReadDictionary>,
    out: &mut [u8],
) -> Result<(), Fault> {
    let done = DECODER.with_borrow_mut(|Decoder { context, frame }| {
        frame.clear();
        frame.extend_from_slice(&MAGIC);
        frame.extend_from_slice(data);
        let done = match dictionary {
            Some(dictionary) => {
                context.decompress_using_ddict(out, frame, dictionary.prepared.as_ddict())
            }
            None => context.decompress(out, frame),
        };
        if frame.capacity() > FRAME_KEEP_MAX {
            *frame = Vec::new();
        }
        done
    });
    match done {
        Ok(bytes) if bytes == out.len() => Ok(()),
        _ => Err(Fault::Damaged("Zstandard data of the size that the header names")),
    }
}
