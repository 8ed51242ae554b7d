//! A static search tree without pointers: the sorted integers, and above them ever sparser samples.
//!
//! ```text
//!   search := top level | .. | the level above the leaves | leaves     each in whole nodes
//!   node   := integer: u64 little-endian * WIDTH, filled up with u64::MAX
//! ```
//!
//! 1. The leaves are all integers in order, so that a position in them is a rank.
//! 2. Integer `i` of a level is the last one of node `i` of the level below; the very last of each
//!    level is `u64::MAX` instead, so that a search can never leave the tree to the right.
//! 3. The shape follows from the count alone.
//!
//! With wide nodes this is the S+ tree of Koerkamp, "Static search trees" (2024), after Slotin,
//! "Algorithms for modern hardware" (2022); with nodes of four it is a set of express lanes.
#![deny(clippy::indexing_slicing)]

use crate::prefetch::prefetch;

/// Levels that suffice for 2^32 integers in nodes of 4.
const LEVELS_MAX: usize = 16;

/// Where each level begins, in nodes, the top first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Levels {
    starts: [usize; LEVELS_MAX],
    depth: usize,
    nodes: usize,
}

impl Levels {
    /// The tree of `count` integers (at most `u32::MAX`) in nodes of `width` (at least 4).
    pub(crate) fn new(count: usize, width: usize) -> Self {
        let mut sizes = [0; LEVELS_MAX];
        let (mut depth, mut size) = (0, count.div_ceil(width));
        for slot in &mut sizes {
            *slot = size;
            depth += usize::from(size > 0);
            size = if size > 1 { size.div_ceil(width) } else { 0 };
        }
        let mut levels = Self { depth, ..Self::default() };
        let upward = sizes.iter().take(depth).rev();
        for (start, size) in levels.starts.iter_mut().zip(upward) {
            *start = levels.nodes;
            levels.nodes += size;
        }
        levels
    }

    /// Nodes in all levels.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    /// Where each level begins, the top first.
    #[inline(always)]
    pub(crate) fn starts(&self) -> &[usize] {
        self.starts.get(..self.depth).unwrap_or_default()
    }

    /// Where the leaves begin, in nodes.
    #[inline(always)]
    pub(crate) fn leaves(&self) -> usize {
        self.starts().last().copied().unwrap_or_default()
    }
}

/// The search array for `integers`, which ascend.
pub(crate) fn encode<const WIDTH: usize>(integers: &[u64]) -> Vec<u8> {
    let levels = Levels::new(integers.len(), WIDTH);
    let mut built: Vec<Vec<u64>> = vec![integers.to_vec()];
    for _ in 1..levels.depth {
        let below = built.last().map(Vec::as_slice).unwrap_or_default();
        let ends = below.chunks(WIDTH).map(|node| node.last().copied().unwrap_or(u64::MAX));
        let mut level: Vec<u64> = ends.collect();
        if let Some(last) = level.last_mut() {
            *last = u64::MAX;
        }
        built.push(level);
    }
    let mut out = Vec::with_capacity(levels.nodes * WIDTH * 8);
    for mut level in built.into_iter().rev() {
        level.resize(level.len().next_multiple_of(WIDTH), u64::MAX);
        out.extend(level.into_iter().flat_map(u64::to_le_bytes));
    }
    out
}

/// The rank of the first integer at or above `wanted`; at least the count if there is none. Calls
/// `hint` with the first rank and the end of the leaf, before its integers arrive.
#[inline(always)]
pub(crate) fn lower_bound<const WIDTH: usize>(
    nodes: &[[[u8; 8]; WIDTH]],
    levels: &Levels,
    wanted: u64,
    below: impl Fn(&[[u8; 8]; WIDTH], u64) -> usize,
    hint: impl Fn(usize, usize),
) -> usize {
    let Some((leaves, above)) = levels.starts().split_last() else { return 0 };
    let mut index = 0;
    for start in above {
        // Never absent in a tree that `encode` made.
        let Some(node) = nodes.get(start + index) else { return 0 };
        index = index * WIDTH + below(node, wanted);
    }
    hint(index * WIDTH, index * WIDTH + WIDTH);
    let Some(node) = nodes.get(leaves + index) else { return 0 };
    index * WIDTH + below(node, wanted)
}

/// [`lower_bound`] of several integers, level by level, so that their cache misses overlap.
#[inline(always)]
pub(crate) fn lower_bounds<const WIDTH: usize, const BATCH: usize>(
    nodes: &[[[u8; 8]; WIDTH]],
    levels: &Levels,
    wanted: &[u64; BATCH],
    below: impl Fn(&[[u8; 8]; WIDTH], u64) -> usize,
) -> [usize; BATCH] {
    let mut indexes = [0; BATCH];
    let next_starts = levels.starts().iter().skip(1).map(Some).chain([None]);
    for (start, next) in levels.starts().iter().zip(next_starts) {
        for (index, wanted) in indexes.iter_mut().zip(wanted) {
            // Never absent in a tree that `encode` made.
            let Some(node) = nodes.get(start + *index) else { return [0; BATCH] };
            *index = *index * WIDTH + below(node, *wanted);
            if let Some(node) = next.and_then(|next| nodes.get(next + *index)) {
                prefetch_node(node.as_flattened());
            }
        }
    }
    indexes
}

/// Starts loading every line of a node.
#[inline(always)]
fn prefetch_node(node: &[u8]) {
    for line in (0..node.len()).step_by(64) {
        prefetch(node, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_levels() {
        for width in [4, 32] {
            for count in (0..300).chain([1023, 1024, 1025, 32_768, 32_769, u32::MAX as usize]) {
                let levels = Levels::new(count, width);
                let starts = levels.starts();
                let ends = starts.iter().copied().skip(1).chain([levels.nodes()]);
                let sizes: Vec<usize> = starts.iter().zip(ends).map(|(a, b)| b - a).collect();
                if count == 0 {
                    assert!(sizes.is_empty());
                    continue;
                }
                assert_eq!(sizes.first(), Some(&1), "one root: {count} of {width}");
                assert_eq!(sizes.last(), Some(&count.div_ceil(width)), "{count} of {width}");
                let above = sizes.iter().skip(1).map(|below| below.div_ceil(width));
                assert!(above.eq(sizes.iter().copied().take(sizes.len() - 1)), "{count}");
            }
        }
    }
}
