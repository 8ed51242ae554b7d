//! What Standard, Eytzinger, FastLane, Wide and Linear share: a search over the integers alone
//! gives a rank, and tails settle it if the integer there equals the wanted one.
#![deny(clippy::indexing_slicing)]

use crate::eytzinger::{self, Shape};
use crate::keys::{Tails, leading};
use crate::levels::Levels;
use crate::linear::{self, Line};
use crate::standard::integer;
use crate::{Layout, fastlane, standard, wide};

/// A fence of one of these layouts, its sections cut out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flat<'a> {
    pub(crate) layout: Layout,
    pub(crate) count: usize,
    pub(crate) search: &'a [[u8; 8]],
    pub(crate) levels: &'a Levels,
    pub(crate) line: &'a Line,
    pub(crate) tails: Tails<'a>,
}

impl Flat<'_> {
    /// The rank of the first separator at or above the key of which `rest` follows the prefix.
    #[inline]
    pub(crate) fn find(&self, rest: &[u8]) -> usize {
        let wanted = leading(rest);
        // Stored keys end in their tail: its line is on its way while the integers are.
        let hint = |start, end| self.tails.prefetch_range(start, end);
        let rank = match self.layout {
            Layout::Eytzinger => eytzinger::lower_bound(self.search, wanted),
            Layout::FastLane => fastlane::lower_bound(self.search, self.levels, wanted),
            Layout::Wide => wide::lower_bound(self.search, self.levels, wanted, hint),
            Layout::Linear => linear::lower_bound(self.search, self.line, self.count, wanted, hint),
            _ => standard::lower_bound(self.search, wanted),
        };
        if rank >= self.count {
            return self.count;
        }
        if self.integer(rank) == wanted { self.settle(rank, wanted, rest) } else { rank }
    }

    /// [`find`](Self::find) of several keys in step.
    #[inline]
    pub(crate) fn find_batch<const BATCH: usize>(&self, rests: &[&[u8]; BATCH]) -> [usize; BATCH] {
        let wanted = rests.map(leading);
        let mut ranks = match self.layout {
            Layout::Eytzinger => eytzinger::lower_bounds(self.search, &wanted),
            Layout::FastLane => fastlane::lower_bounds(self.search, self.levels, &wanted),
            Layout::Wide => wide::lower_bounds(self.search, self.levels, &wanted),
            Layout::Linear => linear::lower_bounds(self.search, self.line, self.count, &wanted),
            _ => standard::lower_bounds(self.search, &wanted),
        };
        let mut tied = [false; BATCH];
        for ((rank, wanted), tied) in ranks.iter_mut().zip(wanted).zip(&mut tied) {
            *rank = self.count.min(*rank);
            *tied = *rank < self.count && self.integer(*rank) == wanted;
            if *tied {
                self.tails.prefetch_first(*rank);
            }
        }
        for (rank, tied) in ranks.iter().zip(tied) {
            if tied {
                self.tails.prefetch_second(*rank);
            }
        }
        for (((rank, wanted), tied), rest) in ranks.iter_mut().zip(wanted).zip(tied).zip(rests) {
            if tied {
                *rank = self.settle(*rank, wanted, rest);
            }
        }
        ranks
    }

    /// The integer of separator `rank`.
    #[inline]
    fn integer(&self, rank: usize) -> u64 {
        match self.layout {
            Layout::Eytzinger => integer(self.search, Shape::new(self.count).slot(rank)),
            Layout::FastLane => integer(self.search, self.levels.leaves() * fastlane::WIDTH + rank),
            Layout::Wide => integer(self.search, self.levels.leaves() * wide::WIDTH + rank),
            Layout::Linear => integer(self.search, linear::table_words(self.count) + rank),
            _ => integer(self.search, rank),
        }
    }

    /// Appends separator `rank` without the common prefix.
    pub(crate) fn append(&self, rank: usize, out: &mut Vec<u8>) {
        self.tails.append(rank, self.integer(rank), out);
    }

    /// The first separator at or above the key among those from `rank` on that share its integer:
    /// steps of doubling size, then halving (Bentley and Yao, 1976).
    fn settle(&self, rank: usize, wanted: u64, rest: &[u8]) -> usize {
        let below = |rank: usize| {
            rank < self.count
                && self.integer(rank) == wanted
                && self.tails.compare(rank, rest).is_lt()
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
