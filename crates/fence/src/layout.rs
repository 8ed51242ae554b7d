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
    /// Separators front-coded in groups of 16: the least memory.
    Compressed,
}

impl Layout {
    /// Every layout that can be stored.
    pub const ALL: &'static [Self] = &[
        Self::Standard,
        Self::Eytzinger,
        Self::FastLane,
        Self::Wide,
        Self::PrefixTree,
        Self::Compressed,
    ];

    /// The number of this layout in the encoded header.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Standard => 0,
            Self::Eytzinger => 1,
            Self::FastLane => 2,
            Self::Wide => 3,
            Self::PrefixTree => 4,
            Self::Compressed => 5,
        }
    }

    /// The layout with number `code`, if this version knows it.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|layout| layout.code() == code)
    }
}
