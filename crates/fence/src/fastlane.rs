//! FastLane layout: express lanes of every 4th, 16th, 64th .. separator above the sorted integers.
//!
//! Each lane leads to four neighbours in the lane below: half a cache line and two comparisons'
//! worth of narrowing a step, without vector instructions. The shape is that of [`crate::levels`].
#![deny(clippy::indexing_slicing)]

use crate::levels::{self, Levels};

/// Entries of a lane that stand for one entry of the lane above.
pub(crate) const WIDTH: usize = 4;

#[inline(always)]
fn below(node: &[[u8; 8]; WIDTH], wanted: u64) -> usize {
    node.iter().map(|bytes| usize::from(u64::from_le_bytes(*bytes) < wanted)).sum()
}

/// The rank of the first integer at or above `wanted`; at least the count if there is none.
#[inline]
pub(crate) fn lower_bound(search: &[[u8; 8]], levels: &Levels, wanted: u64) -> usize {
    levels::lower_bound::<WIDTH>(search.as_chunks().0, levels, wanted, below, |_, _| {})
}

/// [`lower_bound`] of several integers at once.
#[inline]
pub(crate) fn lower_bounds<const BATCH: usize>(
    search: &[[u8; 8]],
    levels: &Levels,
    wanted: &[u64; BATCH],
) -> [usize; BATCH] {
    levels::lower_bounds::<WIDTH, BATCH>(search.as_chunks().0, levels, wanted, below)
}
