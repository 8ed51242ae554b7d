//! Eytzinger layout: the integers in breadth-first order of a complete binary tree.
//!
//! ```text
//!   search := 0: u64 | integer of slot 1, 2, .. count: u64, all little-endian
//! ```
//!
//! 1. The children of slot `k` are slots `2k` and `2k + 1`; slot 1 is the root; slot 0 is unused,
//!    so that the eight descendants three levels below a slot share one aligned cache line.
//! 2. An in-order walk of the slots meets the integers in ascending order, so ranks are computed,
//!    not stored: the tree is full but for its last level, which is filled from the left.
//!
//! After Khuong and Morin, "Array layouts for comparison-based searching" (2017).
#![deny(clippy::indexing_slicing)]

use crate::prefetch::prefetch;
use crate::standard::integer;

/// The shape of a complete binary tree of `count` slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Levels, the incomplete one included.
    height: u32,
    /// Slots of the last level.
    last: usize,
}

impl Shape {
    #[inline]
    pub(crate) fn new(count: usize) -> Self {
        let height = usize::BITS - count.leading_zeros();
        let above = (1_usize << height.saturating_sub(1)) - 1;
        Self { height, last: count.saturating_sub(above) }
    }

    /// In-order position of `slot`, which is 1 to `count`.
    #[inline]
    fn rank(self, slot: usize) -> usize {
        let depth = usize::BITS - 1 - slot.leading_zeros();
        let across = slot - (1_usize << depth);
        // Its position were the last level full, less the slots of that level that are not there.
        let full = ((2 * across + 1) << (self.height - 1 - depth)) - 1;
        full - full.div_ceil(2).saturating_sub(self.last)
    }

    /// The slot at in-order position `rank`, which is below `count`.
    #[inline]
    pub(crate) fn slot(self, rank: usize) -> usize {
        let full = if rank < 2 * self.last { rank } else { 2 * (rank - self.last) + 1 };
        let up = (full + 1).trailing_zeros();
        let depth = self.height.saturating_sub(1 + up);
        (1_usize << depth) + (full >> (up + 1))
    }
}

/// The search array for `integers`, which ascend.
pub(crate) fn encode(integers: &[u64]) -> Vec<u8> {
    let shape = Shape::new(integers.len());
    let mut slots = vec![[0; 8]; integers.len() + 1];
    for (rank, integer) in integers.iter().enumerate() {
        if let Some(slot) = slots.get_mut(shape.slot(rank)) {
            *slot = integer.to_le_bytes();
        }
    }
    slots.into_flattened()
}

/// The slot below `slot` on the way to `wanted`; the descendants beyond are on their way meanwhile.
#[inline(always)]
fn step(search: &[[u8; 8]], slot: usize, wanted: u64) -> usize {
    prefetch(search.as_flattened(), slot.saturating_mul(64));
    2 * slot + usize::from(integer(search, slot) < wanted)
}

/// The rank at which a search ended that fell out of the tree at `slot`.
#[inline(always)]
fn landed(slot: usize, shape: Shape, count: usize) -> usize {
    // Undo the final run of right turns and the left turn before it.
    let slot = slot >> (slot.trailing_ones() + 1);
    if slot == 0 { count } else { shape.rank(slot) }
}

/// The rank of the first integer at or above `wanted`.
#[inline]
pub(crate) fn lower_bound(search: &[[u8; 8]], wanted: u64) -> usize {
    let count = search.len().saturating_sub(1);
    let mut slot = 1;
    while slot <= count {
        slot = step(search, slot, wanted);
    }
    landed(slot, Shape::new(count), count)
}

/// [`lower_bound`] of several integers in step, so that their cache misses overlap.
#[inline]
pub(crate) fn lower_bounds<const BATCH: usize>(
    search: &[[u8; 8]],
    wanted: &[u64; BATCH],
) -> [usize; BATCH] {
    let count = search.len().saturating_sub(1);
    let shape = Shape::new(count);
    let mut slots = [1; BATCH];
    for _ in 1..shape.height {
        for (slot, wanted) in slots.iter_mut().zip(wanted) {
            *slot = step(search, *slot, *wanted);
        }
    }
    for (slot, wanted) in slots.iter_mut().zip(wanted) {
        // Some fall out of the tree above its last level, which may be incomplete.
        if *slot <= count {
            *slot = step(search, *slot, *wanted);
        }
        *slot = landed(*slot, shape, count);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order by its definition: a node between its left and its right subtree.
    fn walk(slot: usize, count: usize, out: &mut Vec<usize>) {
        if slot <= count {
            walk(2 * slot, count, out);
            out.push(slot);
            walk(2 * slot + 1, count, out);
        }
    }

    #[test]
    fn slots_follow_the_in_order_walk() {
        for count in (0..200).chain([255, 256, 257, 1023, 1024, 1025]) {
            let mut expected = Vec::new();
            walk(1, count, &mut expected);
            let shape = Shape::new(count);
            let slots: Vec<usize> = (0..count).map(|rank| shape.slot(rank)).collect();
            assert_eq!(slots, expected, "count {count}");
            let ranks: Vec<usize> = slots.iter().map(|slot| shape.rank(*slot)).collect();
            assert_eq!(ranks, (0..count).collect::<Vec<_>>(), "count {count}");
        }
    }

    #[test]
    fn seven_keys_lie_as_the_definition_says() {
        let bytes = encode(&[0, 1, 2, 3, 4, 5, 6]);
        let slots: Vec<u64> = bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        assert_eq!(slots, [0, 3, 1, 5, 0, 2, 4, 6]);
    }
}
