//! How a block's body is made smaller, and back.

#[cfg(feature = "lz4")]
mod lz4;

use crate::format::{DECOMPRESSED_BYTES_MAX, Fault};

/// How the body of a block is stored. The numbers are part of the format.
///
/// Every codec has its number in every build; one that is not built in answers
/// [`crate::Error::Unsupported`].
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
    /// LZMA in an xz stream (Igor Pavlov, 1998): smallest, slowest.
    Lzma = 4,
    /// Columns of fixed-width integers, each as the difference from its minimum in as few bits as
    /// will do.
    BitPack = 5,
    /// Columns of fixed-width integers, each as the difference from the one before it.
    Delta = 6,
    /// Zstandard with a dictionary trained on the table's first blocks and stored in the table.
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
        matches!(self, Self::None) || matches!(self, Self::Lz4) && cfg!(feature = "lz4")
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

/// Appends `body`, compressed with `codec`, to `out`.
///
/// # Panics
/// If the codec is not built in: options are validated before.
pub(crate) fn compress(codec: Codec, body: &[u8], out: &mut Vec<u8>) {
    match codec {
        #[cfg(feature = "lz4")]
        Codec::Lz4 => lz4::compress(body, out),
        Codec::None => out.extend_from_slice(body),
        other => panic!("codec {} is not built in", other.name()),
    }
}

/// Returns what a stored body holds, in fresh memory of exactly `original_size` bytes.
pub(crate) fn decompress(
    codec: Codec,
    data: &[u8],
    original_size: usize,
) -> Result<Vec<u8>, Fault> {
    if original_size > DECOMPRESSED_BYTES_MAX && codec != Codec::None {
        return Err(Fault::Damaged("a compressed block of at most 64 MiB"));
    }
    match codec {
        Codec::None if data.len() == original_size => Ok(data.to_vec()),
        Codec::None => Err(Fault::Damaged("equal sizes of a block stored plainly")),
        #[cfg(feature = "lz4")]
        Codec::Lz4 => into_fresh(original_size, |out| lz4::decompress(data, out)),
        other => Err(Fault::Unsupported(format!("codec {} is not built in", other.name()))),
    }
}

fn into_fresh(
    bytes: usize,
    fill: impl FnOnce(&mut [u8]) -> Result<(), Fault>,
) -> Result<Vec<u8>, Fault> {
    let mut out = vec![0; bytes];
    fill(&mut out)?;
    Ok(out)
}
