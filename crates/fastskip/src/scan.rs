//! Looking at all slots of a node at once: the innermost loops of every search.
//!
//! Each slot is loaded as the atomic it is; the comparisons are done eight at a time where the
//! processor has AVX-512 (found out at run time), else one at a time. Sets of slots are bits, the
//! lowest for rank 0.
#![expect(unsafe_code, reason = "calls functions compiled for AVX-512 where it was found")]

use crate::node::{Node, SLOTS, Word};

/// Which slots of a node an insert has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranks {
    /// Slots never used.
    pub(crate) empty: u32,
    /// Slots with the hint of the target.
    pub(crate) tied: u32,
    /// Slots whose hint is that of the next node's low entry: dead perhaps.
    pub(crate) at_end: u32,
    /// Slots whose hint is greater than that: dead.
    pub(crate) dead: u32,
}

impl Node {
    /// The greatest word up to `limit`; 0 if there is none.
    #[inline]
    pub(crate) fn greatest_below(&self, limit: Word) -> Word {
        #[cfg(all(target_arch = "x86_64", not(loom)))]
        if wide::is_here() {
            // SAFETY: the processor has what the function is compiled for.
            return Word(unsafe { wide::greatest_below(self, limit.0) });
        }
        greatest_below(self, limit)
    }

    /// The slots with this hint, empty ones included.
    #[inline]
    pub(crate) fn tied_ranks(&self, hint: u32) -> u32 {
        #[cfg(all(target_arch = "x86_64", not(loom)))]
        if wide::is_here() {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { wide::tied(self, hint) };
        }
        (0..SLOTS).fold(0, |ranks, rank| ranks | u32::from(self.slot(rank).hint() == hint) << rank)
    }

    /// The links with this hint.
    #[inline]
    pub(crate) fn tied(&self, hint: u32) -> impl Iterator<Item = Word> {
        let mut ranks = self.tied_ranks(hint);
        std::iter::from_fn(move || {
            while ranks != 0 {
                let word = self.slot(ranks.trailing_zeros() as usize);
                ranks &= ranks - 1;
                // Between the two reads a dead link may have made room for another.
                if !word.is_none() && word.hint() == hint {
                    return Some(word);
                }
            }
            None
        })
    }

    /// What an insert of `hint` into a node with this `next` has to look at.
    #[inline]
    pub(crate) fn ranks(&self, hint: u32, next: Word) -> Ranks {
        let end = if next.is_none() { None } else { Some(next.hint()) };
        #[cfg(all(target_arch = "x86_64", not(loom)))]
        if wide::is_here() {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { wide::ranks(self, hint, end) };
        }
        ranks(self, hint, end)
    }
}

fn greatest_below(node: &Node, limit: Word) -> Word {
    // Four chains of maxima, so that they overlap.
    let mut best = [Word::NONE; 4];
    for rank in 0..SLOTS {
        let word = node.slot(rank);
        let word = if word <= limit { word } else { Word::NONE };
        best[rank % 4] = best[rank % 4].max(word);
    }
    best[0].max(best[1]).max(best[2].max(best[3]))
}

fn ranks(node: &Node, hint: u32, end: Option<u32>) -> Ranks {
    let mut ranks = Ranks { empty: 0, tied: 0, at_end: 0, dead: 0 };
    for rank in 0..SLOTS {
        let word = node.slot(rank);
        let bit = 1 << rank;
        if word.is_none() {
            ranks.empty |= bit;
            continue;
        }
        ranks.tied |= if word.hint() == hint { bit } else { 0 };
        ranks.at_end |= if Some(word.hint()) == end { bit } else { 0 };
        ranks.dead |= if end.is_some_and(|end| word.hint() > end) { bit } else { 0 };
    }
    ranks
}

/// The same with 512-bit vectors: three of 8 slots, and one of the last 4.
#[cfg(all(target_arch = "x86_64", not(loom)))]
mod wide {
    use super::Ranks;
    use crate::node::Node;
    use std::arch::x86_64::{
        __m512i, _mm512_cmpeq_epi64_mask, _mm512_cmpgt_epu64_mask, _mm512_cmple_epu64_mask,
        _mm512_mask_max_epu64, _mm512_max_epu64, _mm512_reduce_max_epu64, _mm512_set_epi64,
        _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64,
    };

    #[inline]
    pub(super) fn is_here() -> bool {
        is_x86_feature_detected!("avx512f")
    }

    /// Slots `first` to `first + 7`; those behind the last count as empty.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(node: &Node, first: usize) -> __m512i {
        let word = |rank: usize| node.slot(first + rank).0.cast_signed();
        match first {
            24 => _mm512_set_epi64(0, 0, 0, 0, word(3), word(2), word(1), word(0)),
            _ => _mm512_set_epi64(
                word(7),
                word(6),
                word(5),
                word(4),
                word(3),
                word(2),
                word(1),
                word(0),
            ),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load_all(node: &Node) -> [__m512i; 4] {
        [load(node, 0), load(node, 8), load(node, 16), load(node, 24)]
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn splat(number: u32) -> __m512i {
        _mm512_set1_epi64(i64::from(number))
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn greatest_below(node: &Node, limit: u64) -> u64 {
        let limit = _mm512_set1_epi64(limit.cast_signed());
        let zero = _mm512_setzero_si512();
        let [a, b, c, d] = load_all(node).map(|words| {
            let below = _mm512_cmple_epu64_mask(words, limit);
            _mm512_mask_max_epu64(zero, below, words, zero)
        });
        _mm512_reduce_max_epu64(_mm512_max_epu64(_mm512_max_epu64(a, b), _mm512_max_epu64(c, d)))
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn tied(node: &Node, hint: u32) -> u32 {
        let hint = splat(hint);
        let masks = load_all(node)
            .map(|words| _mm512_cmpeq_epi64_mask(_mm512_srli_epi64::<32>(words), hint));
        u32::from_le_bytes(masks) & ALL
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn ranks(node: &Node, hint: u32, end: Option<u32>) -> Ranks {
        let words = load_all(node);
        let hints = words.map(|words| _mm512_srli_epi64::<32>(words));
        let zero = _mm512_setzero_si512();
        let empty = words.map(|words| _mm512_cmpeq_epi64_mask(words, zero));
        let empty = u32::from_le_bytes(empty) & ALL;
        let hint = splat(hint);
        let tied = hints.map(|hints| _mm512_cmpeq_epi64_mask(hints, hint));
        let tied = u32::from_le_bytes(tied) & ALL & !empty;
        let Some(end) = end else { return Ranks { empty, tied, at_end: 0, dead: 0 } };
        let end = splat(end);
        let at_end = hints.map(|hints| _mm512_cmpeq_epi64_mask(hints, end));
        let dead = hints.map(|hints| _mm512_cmpgt_epu64_mask(hints, end));
        let [at_end, dead] = [at_end, dead].map(|masks| u32::from_le_bytes(masks) & ALL & !empty);
        Ranks { empty, tied, at_end, dead }
    }

    /// A bit for each slot.
    const ALL: u32 = u32::MAX >> (32 - crate::node::SLOTS);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::key::Lens;
    use crate::node::NewNode;
    use crate::options::Options;
    use crate::record::Stamps;

    #[test]
    fn wide_and_narrow_answers_are_the_same() {
        let arena = Arena::new(&Options::default(), Stamps::Without);
        let mut random = 1_u32;
        for count in (0..=SLOTS).cycle().take(2_000) {
            let hints = [0, 1, 7, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
            let mut hint = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                hints[(random >> 16) as usize % hints.len()]
            };
            let words: Vec<Word> = (1..).take(count).map(|n| Word::new(hint(), n)).collect();
            let (wanted, end) = (hint(), Word::new(hint(), 9));
            let (lens, next) = (Lens::WHOLE, Word::NONE);
            let new = NewNode { level: 0, lens, low: None, first: true, next, words: &words };
            let node = arena.node(arena.add_node(0, &new).unwrap());
            let limit = Word::new(wanted, u32::MAX);
            let best = words.iter().copied().filter(|word| *word <= limit).max();
            assert_eq!(node.greatest_below(limit), best.unwrap_or(Word::NONE));
            assert_eq!(greatest_below(node, limit), best.unwrap_or(Word::NONE));
            let tied = words.iter().copied().filter(|word| word.hint() == wanted);
            assert!(node.tied(wanted).eq(tied));
            assert_eq!(node.ranks(wanted, end), ranks(node, wanted, Some(end.hint())));
            assert_eq!(node.ranks(wanted, Word::NONE), ranks(node, wanted, None));
            assert_eq!(node.ranks(wanted, end).empty.count_ones() as usize, SLOTS - count);
        }
    }
}
