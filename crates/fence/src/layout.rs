//! The layouts a fence can be stored in, and their numbers on disk.
//!
//! 1. The number of a layout is part of the format and never changes its meaning.
//! 2. Every layout gives the same answer to every question; they differ in bytes and in time.

/// How the separators are arranged for searching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// Sorted 8-byte prefixes, branch-free binary search.
    #[default]
    Standard,
    /// Prefixes in breadth-first order of a binary tree, prefetched three levels ahead
    /// (the order of Eytzinger's tables of 1590; searched as in Khuong and Morin, 2017).
    Eytzinger,
    /// Sorted prefixes with express lanes of every 4th, 16th, 64th .. entry above them.
    FastLane,
    /// A static tree of 32-prefix nodes searched by vector instructions (Koerkamp's S+ tree, 2024).
    Wide,
    /// A static tree of 31-prefix nodes, each of which strips the prefix its own keys share: for
    /// keys that differ only far behind.
    PrefixTree,
    /// A straight line through the prefixes, corrected by a table: two cache misses at any count,
    /// for keys spread evenly (a learned index of one segment; Kraska et al., 2018).
    Linear,
    /// Separators front-coded in groups of 16: the least memory.
    Compressed,
    /// Whichever of the others suits the separators, chosen when the fence is built; what is
    /// stored is the layout that was chosen.
    Adaptive,
}

impl Layout {
    /// Every layout that can be stored: all but [`Adaptive`](Self::Adaptive).
    pub const ALL: &'static [Self] = &[
        Self::Standard,
        Self::Eytzinger,
        Self::FastLane,
        Self::Wide,
        Self::PrefixTree,
        Self::Linear,
        Self::Compressed,
    ];

    /// The number of this layout in the encoded header.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Adaptive | Self::Standard => 0,
            Self::Eytzinger => 1,
            Self::FastLane => 2,
            Self::Wide => 3,
            Self::PrefixTree => 4,
            Self::Linear => 5,
            Self::Compressed => 6,
        }
    }

    /// The layout with number `code`, if this version knows it.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|layout| layout.code() == code)
    }
}
