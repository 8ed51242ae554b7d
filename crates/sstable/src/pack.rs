//! Bodies in, bodies as they are to be stored out: on the writer's own thread or on several.
//!
//! What comes out is the same either way, and in the order of what went in.

use std::sync::Arc;

use crate::block::Form;
use crate::block::mixed::mix;
use crate::codec::{self, Chooser, Codec, Coding, Compressor};
use crate::error::Result;
use crate::format::DECOMPRESSED_BYTES_MAX;
use crate::options::WriteOptions;
use crate::pool::Pool;

/// The body of a data block before compression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) entries: u16,
    pub(crate) coding: Coding,
    /// How it is to be handed to the codec; `body` itself is never mixed.
    pub(crate) form: Form,
}

/// The body of a data block as it is to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) entries: u16,
    pub(crate) codec: Codec,
    pub(crate) form: Form,
    /// Bytes of what was handed to the codec.
    pub(crate) original_bytes: usize,
}

/// When compression is worth it.
#[derive(Clone, Copy, Debug)]
struct Rules {
    ratio_min: f64,
    bytes_min: usize,
    chooser: Chooser,
}

/// Compresses one body after another.
#[derive(Debug)]
pub(crate) struct Packer {
    rules: Rules,
    compressor: Compressor,
    packed: Vec<u8>,
    columns: Vec<u8>,
    mixed: Vec<u8>,
}

/// How a body was compressed.
struct Packed {
    codec: Codec,
    form: Form,
    /// Bytes of what was handed to the codec.
    original_bytes: usize,
    /// Bytes that came out.
    bytes: usize,
}

impl Packer {
    pub(crate) fn new(options: &WriteOptions, dictionary: &Arc<[u8]>) -> Self {
        let rules = Rules {
            ratio_min: options.ratio_min,
            bytes_min: options.compress_bytes_min,
            chooser: options.chooser,
        };
        let compressor = Compressor::new(dictionary);
        let (packed, columns, mixed) = (Vec::new(), Vec::new(), Vec::new());
        Self { rules, compressor, packed, columns, mixed }
    }

    /// Returns what to store for a body: lies in this packer's memory, or is the body itself.
    pub(crate) fn pack<'a>(&'a mut self, raw: Raw<'a>) -> Ready<'a> {
        let (body, entries, original_bytes) = (raw.body, raw.entries, raw.body.len());
        let plain = Ready { body, entries, codec: Codec::None, form: Form::Apart, original_bytes };
        let Some(Packed { codec, form, original_bytes, bytes }) = self.choose(raw) else {
            return plain;
        };
        let pays = body.len() as f64 >= bytes as f64 * self.rules.ratio_min;
        match self.packed.get(..bytes) {
            Some(packed) if pays => Ready { body: packed, entries, codec, form, original_bytes },
            _ => plain,
        }
    }

    /// Compresses into `self.packed`; `None`: not to be compressed.
    fn choose(&mut self, Raw { body, entries, coding, form }: Raw<'_>) -> Option<Packed> {
        let small = body.len() < self.rules.bytes_min;
        let by_data = self.rules.chooser == Chooser::ByData;
        let plain = coding.codec == Codec::None;
        if plain && !by_data || small || body.len() > DECOMPRESSED_BYTES_MAX {
            return None;
        }
        let entries = usize::from(entries);
        let hopeless = by_data && (plain || codec::looks_random(body));
        let Self { compressor, packed, columns, mixed, .. } = self;
        let mut chosen = None;
        if !hopeless {
            let source = match form {
                Form::Apart => body,
                Form::Mixed => {
                    mix(body, entries, mixed).expect("the builder's own body");
                    mixed
                }
            };
            let bytes = compressor.compress(coding, source, entries, packed);
            let (codec, original_bytes) = (coding.codec, source.len());
            chosen = Some(Packed { codec, form, original_bytes, bytes });
        }
        if !by_data {
            return chosen;
        }
        let bytes = compressor.compress(Coding::new(Codec::Delta), body, entries, columns);
        if chosen.as_ref().is_none_or(|chosen| bytes <= chosen.bytes) {
            std::mem::swap(packed, columns);
            let (codec, form, original_bytes) = (Codec::Delta, Form::Apart, body.len());
            chosen = Some(Packed { codec, form, original_bytes, bytes });
        }
        chosen
    }
}

/// Where bodies are compressed.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// The writer's own.
    packer: Packer,
    pool: Option<Pool>,
}

impl Pipeline {
    /// Makes a pipeline with the threads that the options ask for; they start when there is enough
    /// to do.
    pub(crate) fn new(options: &WriteOptions, dictionary: &Arc<[u8]>) -> Self {
        let threads = options.compression_threads;
        Self {
            packer: Packer::new(options, dictionary),
            pool: (threads > 0).then(|| Pool::new(options, dictionary)),
        }
    }

    /// Body bytes that went in and did not come out yet.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.pool.as_ref().map_or(0, Pool::waiting_bytes)
    }

    /// Takes a body in; calls `write` for each that is ready, in order.
    #[inline]
    pub(crate) fn submit(
        &mut self,
        raw: Raw<'_>,
        write: &mut impl FnMut(Ready<'_>) -> Result<()>,
    ) -> Result<()> {
        match &mut self.pool {
            None => write(self.packer.pack(raw)),
            Some(pool) => pool.submit(raw, &mut self.packer, write),
        }
    }

    /// Calls `write` for all that is still under way, in order.
    pub(crate) fn drain(&mut self, write: &mut impl FnMut(Ready<'_>) -> Result<()>) -> Result<()> {
        match &mut self.pool {
            None => Ok(()),
            Some(pool) => pool.drain(&mut self.packer, write),
        }
    }
}

#[cfg(all(test, feature = "lz4"))]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// The codec and the bytes that are stored.
    fn pack(body: &[u8], options: &WriteOptions) -> (Codec, Vec<u8>) {
        let mut packer = Packer::new(options, &Arc::default());
        let (coding, form) = (Coding::new(Codec::Lz4), Form::Apart);
        let ready = packer.pack(Raw { body, entries: 1, coding, form });
        assert_eq!((ready.original_bytes, ready.entries), (body.len(), 1));
        (ready.codec, ready.body.to_vec())
    }

    fn packed_bytes(body: &[u8]) -> usize {
        let coding = Coding::new(Codec::Lz4);
        Compressor::new(&Arc::default()).compress(coding, body, 1, &mut Vec::new())
    }

    /// A body of 6,000 bytes that LZ4 makes `bytes` of: noise, then zeros.
    fn body_that_packs_to(bytes: usize) -> Vec<u8> {
        let mut random = StdRng::seed_from_u64(bytes as u64);
        let noise: Vec<u8> = (0..6000).map(|_| random.random()).collect();
        let cut = |noisy: usize| {
            let mut body = noise.clone();
            body[noisy..].fill(0);
            body
        };
        (bytes - 200..bytes).map(cut).find(|body| packed_bytes(body) == bytes).expect("some cut")
    }

    #[test]
    fn a_block_is_compressed_from_a_gain_of_1_2_on() {
        for chooser in [Chooser::Fixed, Chooser::ByData] {
            let options = WriteOptions { chooser, ..WriteOptions::default() };
            // 6,000 / 5,000 is 1.2 to the byte.
            for (bytes, pays) in [(4999, true), (5000, true), (5001, false)] {
                let body = body_that_packs_to(bytes);
                assert!(!codec::looks_random(&body), "it would not be tried");
                let (codec, stored) = pack(&body, &options);
                let expected = if pays { (Codec::Lz4, bytes) } else { (Codec::None, 6000) };
                assert_eq!((codec, stored.len()), expected, "{chooser:?}");
                assert!(pays || stored == body, "stored as it is");
            }
        }
        let all = WriteOptions { ratio_min: 1.0, ..WriteOptions::default() };
        assert_eq!(pack(&body_that_packs_to(5001), &all).0, Codec::Lz4);
    }

    #[test]
    fn a_block_is_compressed_from_512_bytes_on() {
        for chooser in [Chooser::Fixed, Chooser::ByData] {
            let options = WriteOptions { chooser, ..WriteOptions::default() };
            assert_eq!(pack(&[7; 511], &options), (Codec::None, vec![7; 511]), "{chooser:?}");
            assert_ne!(pack(&[7; 512], &options).0, Codec::None, "{chooser:?}");
            let from = |bytes| WriteOptions { compress_bytes_min: bytes, ..options.clone() };
            assert_eq!(pack(&[7; 512], &from(513)).0, Codec::None, "{chooser:?}");
            assert_ne!(pack(&[7; 100], &from(100)).0, Codec::None, "{chooser:?}");
        }
    }
}
