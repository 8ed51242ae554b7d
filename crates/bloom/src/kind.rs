//! The kinds of filter, and their numbers on disk.

/// A layout of bits. The numbers are part of the format and never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// One cache line a key, two bits of one 64-bit word a probe. At 10 bits a key for 1 % as small
    /// as any Bloom filter that touches a single line, and fast to build, also by several threads.
    /// Use it unless there is a reason not to.
    #[default]
    DoubleProbe = 1,
    /// The textbook filter: bits anywhere, one cache line a probe. 9.6 bits a key for 1 %.
    Standard = 2,
    /// One cache line a key, single bits anywhere in it, in the manner of RocksDB. As small as
    /// [`DoubleProbe`](Self::DoubleProbe); better beyond 16 bits a key.
    Blocked = 3,
    /// A static filter that comes within 3 % of what any filter needs: 6.8 bits a key for 1 %.
    /// Costs ten times as much to build and holds all keys' hashes while it does; for large,
    /// long-lived sets.
    Ribbon = 4,
    /// Half a cache line a key, one bit in each of its eight words of 32 bits: the fastest to build
    /// and to ask, and 10.5 bits a key for 1 %. From 12 bits on the others are ahead by more. The
    /// body is the bitset of a Parquet split-block filter.
    SplitBlock = 5,
}

impl Kind {
    /// Every kind.
    pub const ALL: &[Self] =
        &[Self::DoubleProbe, Self::Standard, Self::Blocked, Self::Ribbon, Self::SplitBlock];

    /// Returns the kind whose number on disk is `number`.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| *kind as u8 == number)
    }
}
