//! Standard layout: the integers in ascending order, found by branch-free binary search.
//!
//! ```text
//!   search := integer: u64 little-endian * count
//! ```
#![deny(clippy::indexing_slicing)]

use std::hint::select_unpredictable;

use crate::prefetch::prefetch;

/// The integer at `rank`; the largest there is beyond the end.
#[inline(always)]
pub(crate) fn integer(search: &[[u8; 8]], rank: usize) -> u64 {
    search.get(rank).map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

/// The search array for `integers`, which ascend.
pub(crate) fn encode(integers: &[u64]) -> Vec<u8> {
    integers.iter().flat_map(|integer| integer.to_le_bytes()).collect()
}

/// The rank of the first integer at or above `wanted`.
#[inline]
pub(crate) fn lower_bound(search: &[[u8; 8]], wanted: u64) -> usize {
    let (mut base, mut len) = (0, search.len());
    while len > 1 {
        let half = len / 2;
        // The next comparison is as likely to go either way: no branch on it.
        let below = integer(search, base + half - 1) < wanted;
        base = select_unpredictable(below, base + half, base);
        len -= half;
    }
    base + usize::from(len == 1 && integer(search, base) < wanted)
}

/// [`lower_bound`] of several integers in step, so that their cache misses overlap.
#[inline]
pub(crate) fn lower_bounds<const BATCH: usize>(
    search: &[[u8; 8]],
    wanted: &[u64; BATCH],
) -> [usize; BATCH] {
    let (mut bases, mut len) = ([0; BATCH], search.len());
    while len > 1 {
        let half = len / 2;
        len -= half;
        for (base, wanted) in bases.iter_mut().zip(wanted) {
            let below = integer(search, *base + half - 1) < *wanted;
            *base = select_unpredictable(below, *base + half, *base);
            prefetch(search.as_flattened(), (*base + (len / 2).max(1) - 1) * 8);
        }
    }
    for (base, wanted) in bases.iter_mut().zip(wanted) {
        *base += usize::from(len == 1 && integer(search, *base) < *wanted);
    }
    bases
}
