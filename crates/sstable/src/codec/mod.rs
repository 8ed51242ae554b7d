//! How a block's body is made smaller, and back.

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
