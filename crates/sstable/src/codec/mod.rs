//! How a block's body is made smaller, and back.

mod bits;
mod choose;
mod columns;
#[cfg(feature = "zstd")]
mod cover;
mod load;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "lzma")]
mod lzma;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod train;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "zstd")]
pub(crate) use zstd::ReadDictionary;

pub(crate) use choose::looks_random;
pub use choose::{Chooser, Content};
pub use load::{Load, LoadGauge};

use std::sync::Arc;

use crate::block::bytes::{Bytes, Fresh};
use crate::format::{DECOMPRESSED_BYTES_MAX, Fault};

/// How the body of a block is stored. The numbers are part of the format.
///
/// Every codec has its number in every build; one that is not built in answers
/// [`crate::Error::UnsupportedCodec`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    None = 0,
    /// LZ4 block format (Yann Collet, 2011): fast both ways. The default.
    #[default]
    Lz4 = 1,
    /// Snappy raw format (Google, 2011).
    Snappy = 2,
    /// Zstandard (Yann Collet, 2015; RFC 8878): smaller, slower.
    Zstd = 3,
    /// LZMA (Igor Pavlov, 1998): smallest, slowest.
    Lzma = 4,
    /// Columns of fixed-width integers, each as the difference from its minimum in as few bits as
    /// will do.
    BitPack = 5,
    /// Columns of fixed-width integers, each as the difference from the one before it.
    Delta = 6,
    /// Zstandard with a dictionary trained on a part of the table's first blocks (COVER: Liao,
    /// Petri, Moffat and Wirth, 2016) and stored in the table.
    Dictionary = 7,
}

impl Codec {
    /// Count of codecs.
    pub const COUNT: usize = 8;

    /// All codecs, by number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::None,
        Self::Lz4,
        Self::Snappy,
        Self::Zstd,
        Self::Lzma,
        Self::BitPack,
        Self::Delta,
        Self::Dictionary,
    ];

    /// Returns the codec's name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
            Self::Lzma => "lzma",
            Self::BitPack => "bitpack",
            Self::Delta => "delta",
            Self::Dictionary => "dictionary",
        }
    }

    /// Returns whether this build can write and read the codec.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::None | Self::BitPack | Self::Delta => true,
            Self::Lz4 => cfg!(feature = "lz4"),
            Self::Snappy => cfg!(feature = "snappy"),
            Self::Zstd | Self::Dictionary => cfg!(feature = "zstd"),
            Self::Lzma => cfg!(feature = "lzma"),
        }
    }

    /// Whether it refers back to what came before, whatever that is.
    pub(crate) const fn finds_repetitions(self) -> bool {
        match self {
            Self::None | Self::BitPack | Self::Delta => false,
            Self::Lz4 | Self::Snappy | Self::Zstd | Self::Lzma | Self::Dictionary => true,
        }
    }

    /// Returns the codec with this number, or `None` if there is no such codec.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Lz4),
            2 => Some(Self::Snappy),
            3 => Some(Self::Zstd),
            4 => Some(Self::Lzma),
            5 => Some(Self::BitPack),
            6 => Some(Self::Delta),
            7 => Some(Self::Dictionary),
            _ => None,
        }
    }
}

/// A codec and how hard it is to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    /// The codec.
    pub codec: Codec,
    /// Zstandard and dictionaries: 1 to 22; LZMA: 0 to 9; others have no levels. 0 stands for the
    /// codec's default: 3 for Zstandard, 4 for dictionaries, 6 for LZMA.
    pub level: u8,
}

impl Coding {
    /// A codec at its default level.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        Self { codec, level: 0 }
    }

    /// The level with the default put in.
    const fn effort(self) -> u8 {
        match self.codec {
            _ if self.level > 0 => self.level,
            Codec::Zstd => 3,
            // With a dictionary smaller than at 3, and no slower.
            Codec::Dictionary => 4,
            Codec::Lzma => 6,
            _ => 0,
        }
    }

    /// The highest level of the codec.
    pub(crate) const fn level_max(self) -> u8 {
        match self.codec {
            Codec::Zstd | Codec::Dictionary => 22,
            Codec::Lzma => 9,
            _ => 0,
        }
    }
}

/// Compresses bodies one after another, keeping what a codec needs from one to the next.
pub(crate) struct Compressor {
    #[cfg(feature = "lz4")]
    lz4: lz4::Finder,
    #[cfg(feature = "snappy")]
    snappy: snap::raw::Encoder,
    /// The context of the level used last.
    #[cfg(feature = "zstd")]
    zstd: Option<(u8, ::zstd::bulk::Compressor<'static>)>,
    #[cfg(feature = "zstd")]
    dictionary: Option<(u8, ::zstd::bulk::Compressor<'static>)>,
    #[cfg(feature = "zstd")]
    dictionary_bytes: Arc<[u8]>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Compressor {
    /// Makes a compressor for a table with this dictionary (empty: none).
    pub(crate) fn new(dictionary: &Arc<[u8]>) -> Self {
        #[cfg(not(feature = "zstd"))]
        debug_assert!(dictionary.is_empty(), "there is no codec that could use it");
        Self {
            #[cfg(feature = "lz4")]
            lz4: lz4::Finder::default(),
            #[cfg(feature = "snappy")]
            snappy: snap::raw::Encoder::new(),
            #[cfg(feature = "zstd")]
            zstd: None,
            #[cfg(feature = "zstd")]
            dictionary: None,
            #[cfg(feature = "zstd")]
            dictionary_bytes: Arc::clone(dictionary),
        }
    }

    /// Compresses `body`, the body of a block of `entries`, to the front of `out`, and returns how
    /// many bytes that took; what is behind them means nothing and spares zeroing it the next time.
    ///
    /// # Panics
    /// If the codec is not built in: options are validated before.
    #[cfg_attr(
        not(any(feature = "lz4", feature = "snappy", feature = "zstd")),
        expect(clippy::unused_self, reason = "the codecs that keep something are off")
    )]
    pub(crate) fn compress(
        &mut self,
        coding: Coding,
        body: &[u8],
        entries: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        match coding.codec {
            Codec::None => {
                out.clear();
                out.extend_from_slice(body);
                out.len()
            }
            #[cfg(feature = "lz4")]
            Codec::Lz4 => lz4::compress(&mut self.lz4, body, out),
            #[cfg(feature = "snappy")]
            Codec::Snappy => snappy::compress(&mut self.snappy, body, out),
            #[cfg(feature = "zstd")]
            Codec::Zstd => zstd::compress(context(&mut self.zstd, coding, &[]), body, out),
            #[cfg(feature = "zstd")]
            Codec::Dictionary => {
                let context = context(&mut self.dictionary, coding, &self.dictionary_bytes);
                zstd::compress(context, body, out)
            }
            #[cfg(feature = "lzma")]
            Codec::Lzma => lzma::compress(u32::from(coding.effort()), body, out),
            Codec::BitPack => columns::compress(columns::Ways::BitPack, body, entries, out),
            Codec::Delta => columns::compress(columns::Ways::Delta, body, entries, out),
            #[cfg(not(all(
                feature = "lz4",
                feature = "snappy",
                feature = "zstd",
                feature = "lzma"
            )))]
            other => panic!("codec {} is not built in", other.name()),
        }
    }
}

#[cfg(feature = "zstd")]
fn context<'a>(
    kept: &'a mut Option<(u8, ::zstd::bulk::Compressor<'static>)>,
    coding: Coding,
    dictionary: &[u8],
) -> &'a mut ::zstd::bulk::Compressor<'static> {
    let effort = coding.effort();
    let make = || (effort, zstd::encoder(i32::from(effort), dictionary));
    let (level, _) = kept.get_or_insert_with(make);
    if *level != effort {
        *kept = Some(make());
    }
    &mut kept.get_or_insert_with(make).1
}

/// Makes room for `bytes` at the front of `out`, zeroing only what was not there before.
#[cfg(any(feature = "lz4", feature = "snappy", feature = "zstd"))]
fn room(out: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if out.len() < bytes {
        out.resize(bytes, 0);
    }
    out.get_mut(..bytes).unwrap_or_default()
}

/// Trains a dictionary of at most `bytes_max` on bodies, for the level of `coding`; empty if there
/// is too little to learn from.
#[cfg(feature = "zstd")]
pub(crate) fn train(bodies: &[&[u8]], bytes_max: usize, coding: Coding) -> Vec<u8> {
    train::train(bodies, bytes_max, coding.effort())
}

/// There is none to train: options are validated before.
#[cfg(not(feature = "zstd"))]
pub(crate) fn train(_: &[&[u8]], _: usize, _: Coding) -> Vec<u8> {
    Vec::new()
}

/// A dictionary that no build without Zstandard can have.
#[cfg(not(feature = "zstd"))]
#[derive(Debug)]
pub(crate) enum ReadDictionary {}

#[cfg(not(feature = "zstd"))]
impl ReadDictionary {
    pub(crate) fn new(_: &[u8]) -> Result<Self, Fault> {
        Err(Fault::UnsupportedCodec(Codec::Dictionary))
    }

    pub(crate) fn memory(&self) -> usize {
        match *self {}
    }
}

/// A stored body and what is needed to read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'a> {
    pub(crate) codec: Codec,
    pub(crate) data: &'a [u8],
    pub(crate) entries: usize,
    pub(crate) original_size: usize,
    #[cfg_attr(not(feature = "zstd"), expect(dead_code, reason = "only Zstandard has one"))]
    pub(crate) dictionary: Option<&'a ReadDictionary>,
}

/// Returns what a stored body holds, in fresh memory of exactly `original_size` bytes.
pub(crate) fn decompress(packed: Packed<'_>) -> Result<Bytes, Fault> {
    let Packed { codec, data, entries, original_size, .. } = packed;
    if original_size > DECOMPRESSED_BYTES_MAX && codec != Codec::None {
        return Err(Fault::Damaged("a compressed block of at most 64 MiB"));
    }
    match codec {
        Codec::None if data.len() == original_size => into_fresh(original_size, |out| {
            out.copy_from_slice(data);
            Ok(())
        }),
        Codec::None => Err(Fault::Damaged("equal sizes of a block stored plainly")),
        #[cfg(feature = "lz4")]
        Codec::Lz4 => into_fresh(original_size, |out| lz4::decompress(data, out)),
        #[cfg(feature = "snappy")]
        Codec::Snappy => into_fresh(original_size, |out| snappy::decompress(data, out)),
        #[cfg(feature = "zstd")]
        Codec::Zstd => into_fresh(original_size, |out| zstd::decompress(data, None, out)),
        #[cfg(feature = "zstd")]
        Codec::Dictionary if packed.dictionary.is_none() => {
            Err(Fault::Damaged("a table that holds the dictionary of its blocks"))
        }
        #[cfg(feature = "zstd")]
        Codec::Dictionary => {
            into_fresh(original_size, |out| zstd::decompress(data, packed.dictionary, out))
        }
        #[cfg(feature = "lzma")]
        Codec::Lzma => into_fresh(original_size, |out| lzma::decompress(data, out)),
        Codec::BitPack | Codec::Delta => columns::decompress(data, entries, original_size)
            .map(|body| Bytes::heap(body.into(), 0)),
        #[cfg(not(all(feature = "lz4", feature = "snappy", feature = "zstd", feature = "lzma")))]
        other => Err(Fault::UnsupportedCodec(other)),
    }
}

/// What `fill` writes, all of the bytes or none.
fn into_fresh(
    bytes: usize,
    fill: impl FnOnce(&mut [u8]) -> Result<(), Fault>,
) -> Result<Bytes, Fault> {
    let mut out = Fresh::new(bytes);
    fill(out.own())?;
    Ok(out.filled())
}
