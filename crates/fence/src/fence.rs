//! The fence itself: one face over every layout.
//!
//! 1. `find(key)` equals `separators.partition_point(|s| s < key)` for every layout.
//! 2. Nothing here panics on bytes that passed `decode`, whatever they are: sections are cut with
//!    checks, and what is missing reads as empty.
#![deny(clippy::indexing_slicing)]

use std::ops::Range;

use crate::format::{self, Header};
use crate::keys::{Strip, Tails, leading, strip};
use crate::{DecodeError, Layout, eytzinger, standard};

/// A decoded fence over a borrowed, shared or owned buffer `B`.
///
/// Decoding copies nothing and allocates nothing; searching allocates nothing.
#[derive(Clone, Debug)]
pub struct Fence<B> {
    bytes: B,
    header: Header,
}

impl<B: AsRef<[u8]>> Fence<B> {
    /// Reads the fence that [`Builder::finish`](crate::Builder::finish) made; `bytes` must hold it
    /// and nothing else. Every byte is covered by a CRC32C, which is checked here, once.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes were cut, changed, or written by a newer version.
    pub fn decode(bytes: B) -> Result<Self, DecodeError> {
        let header = Header::decode(bytes.as_ref())?;
        let fence = Self { bytes, header };
        fence.check_counts()?;
        Ok(fence)
    }

    /// Whether the sections are as long as `count` says.
    fn check_counts(&self) -> Result<(), DecodeError> {
        let header = &self.header;
        let words = match header.layout {
            Layout::Standard => Some(header.count),
            Layout::Eytzinger => header.count.checked_add(1),
        };
        let offset_bytes = match (header.has(format::UNIFORM), header.has(format::WIDE_OFFSETS)) {
            (true, _) => Some(0),
            (false, false) => header.count.checked_add(1).and_then(|count| count.checked_mul(4)),
            (false, true) => header.count.checked_add(1).and_then(|count| count.checked_mul(8)),
        };
        let search_bytes = words.and_then(|words| words.checked_mul(8));
        if search_bytes != Some(header.search.len()) || offset_bytes != Some(header.offsets.len()) {
            return Err(DecodeError::Corrupt {
                offset: 16,
                expected: "a count that fits the sections",
            });
        }
        Ok(())
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
        for (key, rank) in keys.iter().zip(ranks) {
            *rank = self.find(key.as_ref());
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
        self.tails().append(rank, self.integer(rank), &mut out);
        out
    }

    fn section(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.as_ref().get(range.clone()).unwrap_or_default()
    }

    fn search(&self) -> &[[u8; 8]] {
        self.section(&self.header.search).as_chunks().0
    }

    fn tails(&self) -> Tails<'_> {
        Tails {
            flags: self.header.flags,
            uniform: self.header.uniform,
            offsets: self.section(&self.header.offsets),
            bytes: self.section(&self.header.tails),
        }
    }

    fn integer(&self, rank: usize) -> u64 {
        match self.header.layout {
            Layout::Standard => standard::integer(self.search(), rank),
            Layout::Eytzinger => {
                let slot = eytzinger::Shape::new(self.len()).slot(rank);
                standard::integer(self.search(), slot)
            }
        }
    }

    fn find_rest(&self, rest: &[u8]) -> usize {
        let wanted = leading(rest);
        let rank = match self.header.layout {
            Layout::Standard => standard::lower_bound(self.search(), wanted),
            Layout::Eytzinger => eytzinger::lower_bound(self.search(), wanted),
        };
        if rank < self.len() && self.integer(rank) == wanted {
            return self.settle(rank, wanted, rest);
        }
        rank
    }

    /// The first separator at or above the key among those from `rank` on that share its integer:
    /// steps of doubling size, then halving (Bentley and Yao, 1976).
    fn settle(&self, rank: usize, wanted: u64, rest: &[u8]) -> usize {
        let tails = self.tails();
        let below = |rank: usize| {
            rank < self.len() && self.integer(rank) == wanted && tails.compare(rank, rest).is_lt()
        };
        let (mut low, mut step) = (rank, 1);
        while below(low + step - 1) {
            low += step;
            step *= 2;
        }
        let mut high = low + step - 1;
        while low < high {
            let middle = low.midpoint(high);
            if below(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }
}
