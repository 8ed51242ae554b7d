//! Wide layout: a static tree of 32-integer nodes, each searched whole by vector instructions.
//!
//! Four adjacent cache lines a level and five levels for ten million separators, against 23
//! dependent lines of a binary search. The shape and its sources are in [`crate::levels`].

use crate::levels::{self, Levels};
use crate::simd::{self, Count, LANES, Node, Search};

/// Integers in a node.
pub(crate) const WIDTH: usize = LANES;

/// One search, and what to do as soon as its leaf is known.
struct One<'a, H> {
    nodes: &'a [Node],
    levels: &'a Levels,
    wanted: u64,
    hint: H,
}

impl<H: Fn(usize, usize)> Search for One<'_, H> {
    type Answer = usize;

    #[inline(always)]
    fn run(self, count: impl Count) -> usize {
        let below = |node: &Node, wanted| count.below(node, wanted);
        levels::lower_bound::<LANES>(self.nodes, self.levels, self.wanted, below, self.hint)
    }
}

/// Several searches in step.
struct Many<'a, const BATCH: usize> {
    nodes: &'a [Node],
    levels: &'a Levels,
    wanted: &'a [u64; BATCH],
}

impl<const BATCH: usize> Search for Many<'_, BATCH> {
    type Answer = [usize; BATCH];

    #[inline(always)]
    fn run(self, count: impl Count) -> [usize; BATCH] {
        levels::lower_bounds::<LANES, BATCH>(
            self.nodes,
            self.levels,
            self.wanted,
            |node, wanted| count.below(node, wanted),
        )
    }
}

/// The rank of the first integer at or above `wanted`; at least the count if there is none. Calls
/// `hint` as [`levels::lower_bound`] does.
#[inline]
pub(crate) fn lower_bound(
    search: &[[u8; 8]],
    levels: &Levels,
    wanted: u64,
    hint: impl Fn(usize, usize),
) -> usize {
    simd::run(One { nodes: search.as_chunks().0, levels, wanted, hint })
}

/// [`lower_bound`] of several integers at once.
#[inline]
pub(crate) fn lower_bounds<const BATCH: usize>(
    search: &[[u8; 8]],
    levels: &Levels,
    wanted: &[u64; BATCH],
) -> [usize; BATCH] {
    simd::run(Many { nodes: search.as_chunks().0, levels, wanted })
}
