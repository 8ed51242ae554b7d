//! The fence itself: one face over every layout.
//!
//! 1. `find(key)` equals `separators.partition_point(|s| s < key)` for every layout.
//! 2. Nothing here panics on bytes that passed `decode`, whatever they are: sections are cut with
//!    checks, and what is missing reads as empty.
#![deny(clippy::indexing_slicing)]

use std::ops::Range;

use crate::compressed::{self, Compressed};
use crate::flat::Flat;
use crate::format::{self, Header};
use crate::keys::{self, Strip, Tails, strip};
use crate::levels::Levels;
use crate::linear::{self, Line};
use crate::prefix_tree::{self, PrefixTree};
use crate::simd::LANES;
use crate::{DecodeError, Layout, fastlane, wide};

/// A decoded fence over a borrowed, shared or owned buffer `B`.
///
/// Decoding copies nothing and allocates nothing; searching allocates nothing.
#[derive(Clone, Debug)]
pub struct Fence<B> {
    bytes: B,
    header: Header,
    levels: Levels,
    line: Line,
}

/// Keys that [`Fence::find_many`] searches in step: enough to keep the memory busy.
const BATCH: usize = 32;

/// A batch this small is not worth filling up: the processor overlaps a few searches by itself.
const FEW: usize = 8;

/// A rank that the search has yet to find; no fence is so long.
const UNKNOWN: usize = usize::MAX;

impl<B: AsRef<[u8]>> Fence<B> {
    /// Reads the fence that [`Builder::finish`](crate::Builder::finish) made; `bytes` must hold it
    /// and nothing else. Every byte is covered by a CRC32C, which is checked here, once.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes were cut, changed, or written by a newer version.
    pub fn decode(bytes: B) -> Result<Self, DecodeError> {
        let header = Header::decode(bytes.as_ref())?;
        let levels = match header.layout {
            Layout::FastLane => Levels::new(header.count, fastlane::WIDTH),
            Layout::Wide => Levels::new(header.count, wide::WIDTH),
            Layout::PrefixTree => Levels::new(header.count, prefix_tree::WIDTH),
            _ => Levels::default(),
        };
        let mut fence = Self { bytes, header, levels, line: Line::default() };
        fence.check_counts()?;
        if fence.layout() == Layout::Linear {
            fence.line = Line::of(fence.flat().search, fence.len());
        }
        Ok(fence)
    }

    /// Whether the sections are as long as the count says.
    fn check_counts(&self) -> Result<(), DecodeError> {
        let Header { layout, count, .. } = self.header;
        let corrupt =
            DecodeError::Corrupt { offset: 16, expected: "a count that fits the sections" };
        let groups = count.div_ceil(compressed::GROUP);
        let (words, offsets) = match layout {
            // Never stored; reads as Standard.
            Layout::Standard | Layout::Adaptive => (count, count),
            Layout::Eytzinger => (count.saturating_add(1), count),
            Layout::FastLane => (self.levels.nodes().saturating_mul(fastlane::WIDTH), count),
            Layout::Wide => (self.levels.nodes().saturating_mul(wide::WIDTH), count),
            Layout::Linear => (linear::words(count), count),
            Layout::PrefixTree => (self.levels.nodes().saturating_mul(LANES), count),
            Layout::Compressed => (groups, groups),
        };
        let width = keys::offset_width(self.header.flags);
        let no_offsets = layout == Layout::PrefixTree || self.header.has(format::UNIFORM);
        let offset_bytes =
            if no_offsets { 0 } else { offsets.saturating_add(1).saturating_mul(width) };
        let fits = u32::try_from(count).is_ok()
            && words.saturating_mul(8) == self.header.search.len()
            && offset_bytes == self.header.offsets.len();
        if fits { Ok(()) } else { Err(corrupt) }
    }

    /// How many separators there are, that is: how many blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.count
    }

    /// Whether there is no separator.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the separators are arranged.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.header.layout
    }

    /// Bytes this fence occupies: the buffer, and the fence's own fields. Exact, unless `B` is
    /// shared or allocates more than it shows.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        self.bytes.as_ref().len() + size_of::<Self>()
    }

    /// Gives the buffer back.
    #[must_use]
    pub fn into_inner(self) -> B {
        self.bytes
    }

    /// The smallest key behind the blocks, if the builder was told.
    #[must_use]
    pub fn smallest(&self) -> Option<&[u8]> {
        self.header.has(format::BOUNDS).then(|| self.section(&self.header.smallest))
    }

    /// The largest key behind the blocks, if the builder was told.
    #[must_use]
    pub fn largest(&self) -> Option<&[u8]> {
        self.header.has(format::BOUNDS).then(|| self.section(&self.header.largest))
    }

    /// Whether `key` may lie behind some block: false only if it is outside of the bounds that the
    /// builder was told, or above the last separator.
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        match (self.smallest(), self.largest()) {
            (Some(smallest), Some(largest)) => smallest <= key && key <= largest,
            _ => self.find(key) < self.len(),
        }
    }

    /// Whether some key in `lo..hi` (`hi` excluded) may lie behind some block.
    #[must_use]
    pub fn may_overlap(&self, lo: &[u8], hi: &[u8]) -> bool {
        let outside = match (self.smallest(), self.largest()) {
            (Some(smallest), Some(largest)) => hi <= smallest || largest < lo,
            _ => self.find(lo) == self.len(),
        };
        lo < hi && !outside
    }

    /// The rank of the first separator at or above `key`: the only block that may hold it.
    /// [`len`](Self::len) if `key` is above all.
    #[must_use]
    #[inline]
    pub fn find(&self, key: &[u8]) -> usize {
        match strip(self.section(&self.header.common), key) {
            Strip::Below => 0,
            Strip::Above => self.len(),
            Strip::Rest(rest) => self.find_rest(rest),
        }
    }

    /// The blocks that may hold keys in `lo..hi` (`hi` excluded): from `find(lo)` to `find(hi)`,
    /// the latter included if there is such a block. Empty if `lo >= hi`.
    #[must_use]
    pub fn find_range(&self, lo: &[u8], hi: &[u8]) -> Range<usize> {
        let start = self.find(lo);
        if lo >= hi {
            return start..start;
        }
        start..self.find(hi).saturating_add(1).min(self.len()).max(start)
    }

    /// Writes `find(keys[i])` to `ranks[i]`, for all `i`.
    ///
    /// # Panics
    /// If `keys` and `ranks` differ in length.
    pub fn find_many<K: AsRef<[u8]>>(&self, keys: &[K], ranks: &mut [usize]) {
        assert_eq!(keys.len(), ranks.len(), "one rank for each key");
        for (keys, ranks) in keys.chunks(BATCH).zip(ranks.chunks_mut(BATCH)) {
            if keys.len() > FEW {
                self.find_batch(keys, ranks);
                continue;
            }
            for (key, rank) in keys.iter().zip(ranks) {
                *rank = self.find(key.as_ref());
            }
        }
    }

    /// [`find_many`](Self::find_many) of at most `BATCH` keys.
    fn find_batch<K: AsRef<[u8]>>(&self, keys: &[K], ranks: &mut [usize]) {
        let common = self.section(&self.header.common);
        let mut rests: [&[u8]; BATCH] = [&[]; BATCH];
        for ((key, rank), rest) in keys.iter().zip(&mut *ranks).zip(&mut rests) {
            (*rank, *rest) = match strip(common, key.as_ref()) {
                Strip::Below => (0, &[][..]),
                Strip::Above => (self.len(), &[][..]),
                Strip::Rest(rest) => (UNKNOWN, rest),
            };
        }
        let found = match self.header.layout {
            Layout::Compressed => self.compressed().find_batch(&rests),
            Layout::PrefixTree => self.prefix_tree().find_batch(&rests),
            _ => self.flat().find_batch(&rests),
        };
        for (rank, found) in ranks.iter_mut().zip(found) {
            if *rank == UNKNOWN {
                *rank = found;
            }
        }
    }

    /// Separator number `rank`, put together from its parts.
    ///
    /// # Panics
    /// If `rank` is not below [`len`](Self::len).
    #[must_use]
    pub fn separator(&self, rank: usize) -> Vec<u8> {
        assert!(rank < self.len(), "rank {rank} of {} separators", self.len());
        let mut out = self.section(&self.header.common).to_vec();
        match self.header.layout {
            Layout::Compressed => self.compressed().append(rank, &mut out),
            Layout::PrefixTree => self.prefix_tree().append(rank, &mut out),
            _ => self.flat().append(rank, &mut out),
        }
        out
    }

    #[inline]
    fn section(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.as_ref().get(range.clone()).unwrap_or_default()
    }

    #[inline]
    fn flat(&self) -> Flat<'_> {
        Flat {
            layout: self.header.layout,
            count: self.header.count,
            search: self.section(&self.header.search).as_chunks().0,
            levels: &self.levels,
            line: &self.line,
            tails: Tails {
                flags: self.header.flags,
                uniform: self.header.uniform,
                offsets: self.section(&self.header.offsets),
                bytes: self.section(&self.header.tails),
            },
        }
    }

    #[inline]
    fn compressed(&self) -> Compressed<'_> {
        Compressed {
            count: self.header.count,
            flags: self.header.flags,
            search: self.section(&self.header.search).as_chunks().0,
            offsets: self.section(&self.header.offsets),
            groups: self.section(&self.header.tails),
        }
    }

    #[inline]
    fn prefix_tree(&self) -> PrefixTree<'_> {
        PrefixTree {
            count: self.header.count,
            flags: self.header.flags,
            uniform: self.header.uniform,
            search: self.section(&self.header.search).as_chunks().0,
            levels: &self.levels,
            tails: self.section(&self.header.tails),
        }
    }

    #[inline]
    fn find_rest(&self, rest: &[u8]) -> usize {
        match self.header.layout {
            Layout::Compressed => self.compressed().find(rest),
            Layout::PrefixTree => self.prefix_tree().find(rest),
            _ => self.flat().find(rest),
        }
    }
}
