//! PrefixTree layout: a static tree of wide nodes in which every node strips its own prefix.
//!
//! ```text
//!   search := nodes, the root's level first, as in `crate::levels` with 31 entries a node
//!   node   := head: u64 | slice: u64 * 31, filled up with u64::MAX      all little-endian
//!   head   := tail offset: 40 bits | skip: 16 | entries: 5 | wide ends: 1 | zero: 2
//!   slice  := 8 bytes of the separator after `skip`, zero padded, as an integer ordered like them
//!   tails  := [end of each tail: u16, or u32 if wide, not in UNIFORM fences]
//!             [bytes of the slice that are the separator's own: u8, only in SHORT fences] tail ..
//!             [the skipped bytes, only in leaves]
//! ```
//!
//! 1. A search comes to a node only with a key above the last separator of its left neighbour and
//!    not above its own last one. What those two share, the key shares: it is skipped unseen. (The
//!    fence keys of Graefe, "Write-optimized B-trees", 2004, put to prefix truncation.)
//! 2. The first node of a level skips nothing, as nothing bounds it from the left; nor does the
//!    last, whose last separator is left out of the levels above the leaves.
//! 3. Equal slices are told apart by the tails of the same node: no other node is asked.
//! 4. Reading is total: damaged bytes give a wrong rank at worst.
#![deny(clippy::indexing_slicing)]

use std::cmp::Ordering;

use crate::format::{self, Parts};
use crate::keys::{Collected, compare_tails, leading, leading_bytes, shared};
use crate::levels::Levels;
use crate::prefetch::prefetch;
use crate::simd::{self, Count, LANES, Node, Search};

/// Separators in a node; the first lane is the head.
pub(crate) const WIDTH: usize = LANES - 1;

const SKIP_MAX: usize = 0xffff;

/// The first lane of a node, taken apart.
#[derive(Clone, Copy, Debug)]
struct Head {
    word: u64,
    offset: usize,
    skip: usize,
    entries: usize,
    wide_ends: bool,
}

impl Head {
    #[inline(always)]
    fn new(node: &Node) -> Self {
        let [word, ..] = node;
        let word = u64::from_le_bytes(*word);
        Self {
            word,
            offset: (word & ((1 << 40) - 1)) as usize,
            skip: (word >> 40 & 0xffff) as usize,
            entries: (word >> 56 & 0x1f) as usize,
            wide_ends: word >> 61 & 1 == 1,
        }
    }
}

/// The slice of entry `lane`.
#[inline(always)]
fn slice(node: &Node, lane: usize) -> u64 {
    node.get(lane + 1).map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

/// A fence of this layout, its sections cut out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrefixTree<'a> {
    pub(crate) count: usize,
    pub(crate) flags: u16,
    pub(crate) uniform: usize,
    pub(crate) search: &'a [[u8; 8]],
    pub(crate) levels: &'a Levels,
    pub(crate) tails: &'a [u8],
}

/// What the tails of one node are read with.
#[derive(Clone, Copy, Debug)]
struct NodeTails<'a> {
    flags: u16,
    uniform: usize,
    wide_ends: bool,
    entries: usize,
    bytes: &'a [u8],
}

impl<'a> NodeTails<'a> {
    #[inline]
    fn new(tree: &PrefixTree<'a>, head: Head) -> Self {
        Self {
            flags: tree.flags,
            uniform: tree.uniform.saturating_sub(head.skip),
            wide_ends: head.wide_ends,
            entries: head.entries,
            bytes: tree.tails.get(head.offset..).unwrap_or_default(),
        }
    }

    /// Where tail `lane` begins, counted from the start of the node's part of the section.
    #[inline]
    fn start(&self, lane: usize) -> usize {
        if self.flags & format::UNIFORM != 0 {
            return lane.saturating_mul(self.uniform.saturating_sub(8));
        }
        let before = lane.checked_sub(1);
        if self.wide_ends {
            let end = before.and_then(|i| self.bytes.as_chunks().0.get(i).copied());
            let end = end.map_or(0, |end| u32::from_le_bytes(end) as usize);
            end.saturating_add(self.entries * 4)
        } else {
            let end = before.and_then(|i| self.bytes.as_chunks().0.get(i).copied());
            self.entries * 2 + end.map_or(0, |end| usize::from(u16::from_le_bytes(end)))
        }
    }

    /// Of entry `lane`: how many bytes of its slice are its own, and the bytes beyond them.
    #[inline]
    fn get(&self, lane: usize) -> (usize, &'a [u8]) {
        let tail = self.bytes.get(self.start(lane)..self.start(lane + 1)).unwrap_or_default();
        if self.flags & format::UNIFORM != 0 {
            return (self.uniform.min(8), tail);
        }
        if self.flags & format::SHORT == 0 {
            return (8, tail);
        }
        tail.split_first().map_or((0, &[][..]), |(own, rest)| (usize::from(*own).min(8), rest))
    }

    /// Compares entry `lane` with a key of equal slice, of which `rest` follows the skipped bytes.
    #[inline]
    fn compare(&self, lane: usize, rest: &[u8]) -> Ordering {
        let (own, tail) = self.get(lane);
        own.cmp(&rest.len().min(8)).then_with(|| compare_tails(tail, rest))
    }
}

/// The first entry at or above the key among those from `lane` on that have the slice `wanted`.
fn settle(tails: NodeTails<'_>, node: &Node, lane: usize, wanted: u64, rest: &[u8]) -> usize {
    let (mut low, mut high) = (lane, lane + 1);
    while high < tails.entries && slice(node, high) == wanted {
        high += 1;
    }
    while low < high {
        let middle = low.midpoint(high);
        if tails.compare(middle, rest).is_lt() { low = middle + 1 } else { high = middle }
    }
    low
}

/// Where a key stands in a node, if slices tell.
struct Place<'a> {
    head: Head,
    lane: usize,
    wanted: u64,
    rest: &'a [u8],
    tied: bool,
}

#[inline(always)]
fn place<'a>(node: &Node, rest: &'a [u8], count: impl Count) -> Place<'a> {
    let head = Head::new(node);
    let rest = rest.get(head.skip..).unwrap_or_default();
    let wanted = leading(rest);
    // The head is counted with the slices, and taken out again.
    let lane = count.below(node, wanted) - usize::from(head.word < wanted);
    Place { head, lane, wanted, rest, tied: lane < head.entries && slice(node, lane) == wanted }
}

/// One search.
struct One<'a>(PrefixTree<'a>, &'a [u8]);

impl Search for One<'_> {
    type Answer = usize;

    #[inline(always)]
    fn run(self, count: impl Count) -> usize {
        let Self(tree, rest) = self;
        let nodes: &[Node] = tree.search.as_chunks().0;
        let mut index = 0;
        for start in tree.levels.starts() {
            // Never absent in a tree that `encode` made.
            let Some(node) = nodes.get(start + index) else { return 0 };
            let mut at = place(node, rest, count);
            if at.tied {
                let tails = NodeTails::new(&tree, at.head);
                at.lane = settle(tails, node, at.lane, at.wanted, at.rest);
            }
            index = index * WIDTH + at.lane;
        }
        index
    }
}

/// Several searches, level by level, so that their cache misses overlap.
struct Many<'a, const BATCH: usize>(PrefixTree<'a>, &'a [&'a [u8]; BATCH]);

impl<const BATCH: usize> Search for Many<'_, BATCH> {
    type Answer = [usize; BATCH];

    #[inline(always)]
    fn run(self, count: impl Count) -> [usize; BATCH] {
        let Self(tree, rests) = self;
        let nodes: &[Node] = tree.search.as_chunks().0;
        let mut indexes = [0; BATCH];
        let next_starts = tree.levels.starts().iter().skip(1).chain([&usize::MAX]);
        for (start, next) in tree.levels.starts().iter().zip(next_starts) {
            let mut tied = [false; BATCH];
            let mut lanes = [0; BATCH];
            let asked = indexes.iter().zip(rests);
            for ((index, rest), (lane, tied)) in asked.zip(lanes.iter_mut().zip(&mut tied)) {
                // Never absent in a tree that `encode` made.
                let Some(node) = nodes.get(start + index) else { return [0; BATCH] };
                let at = place(node, rest, count);
                (*lane, *tied) = (at.lane, at.tied);
                if at.tied {
                    let ends = NodeTails::new(&tree, at.head).start(0);
                    prefetch(tree.tails, at.head.offset);
                    let tail = at.head.offset.saturating_add(ends).saturating_add(at.lane * 8);
                    prefetch(tree.tails, tail);
                }
            }
            let asked = indexes.iter_mut().zip(rests);
            for ((index, rest), (lane, tied)) in asked.zip(lanes.into_iter().zip(tied)) {
                let mut lane = lane;
                if tied && let Some(node) = nodes.get(start + *index) {
                    let head = Head::new(node);
                    let rest = rest.get(head.skip..).unwrap_or_default();
                    let tails = NodeTails::new(&tree, head);
                    lane = settle(tails, node, lane, leading(rest), rest);
                }
                *index = *index * WIDTH + lane;
                if let Some(node) = nodes.get(next.saturating_add(*index)) {
                    (0..4).for_each(|line| prefetch(node.as_flattened(), line * 64));
                }
            }
        }
        indexes
    }
}

impl PrefixTree<'_> {
    /// The rank of the first separator at or above the key of which `rest` follows the prefix.
    #[inline]
    pub(crate) fn find(&self, rest: &[u8]) -> usize {
        simd::run(One(*self, rest)).min(self.count)
    }

    /// [`find`](Self::find) of several keys in step.
    #[inline]
    pub(crate) fn find_batch<const BATCH: usize>(&self, rests: &[&[u8]; BATCH]) -> [usize; BATCH] {
        simd::run(Many(*self, rests)).map(|rank| rank.min(self.count))
    }

    /// Appends separator `rank` without the common prefix.
    pub(crate) fn append(&self, rank: usize, out: &mut Vec<u8>) {
        let nodes: &[Node] = self.search.as_chunks().0;
        let (leaf, lane) = (rank / WIDTH, rank % WIDTH);
        let Some(node) = nodes.get(self.levels.leaves().saturating_add(leaf)) else { return };
        let head = Head::new(node);
        let tails = NodeTails::new(self, head);
        let skipped = tails.start(head.entries);
        let skipped = tails.bytes.get(skipped..skipped.saturating_add(head.skip));
        out.extend_from_slice(skipped.unwrap_or_default());
        let (own, tail) = tails.get(lane);
        out.extend(leading_bytes(slice(node, lane), own));
        out.extend_from_slice(tail);
    }
}

/// A node while it is made.
struct Draft<'a> {
    skip: usize,
    leaf: bool,
    /// The separators of the node, without the common prefix.
    rests: Vec<&'a [u8]>,
}

/// Makes the nodes of a tree and their tails.
struct Encoder<'a> {
    keys: &'a Collected,
    common: usize,
    flags: u16,
    search: Vec<u8>,
    tails: Vec<u8>,
}

impl<'a> Encoder<'a> {
    fn rest(&self, rank: usize) -> &'a [u8] {
        self.keys.get(rank).get(self.common..).unwrap_or_default()
    }

    /// All nodes of the level whose entries stand for `span` separators each.
    fn drafts(&self, span: usize) -> Vec<Draft<'a>> {
        let count = self.keys.len();
        let entries = count.div_ceil(span);
        let nodes = entries.div_ceil(WIDTH);
        let last_of = |entry: usize| ((entry + 1).saturating_mul(span)).min(count) - 1;
        let draft = |node: usize| {
            let (first, end) = (node * WIDTH, ((node + 1) * WIDTH).min(entries));
            let edge = node == 0 || node + 1 == nodes;
            let skip = if edge {
                0
            } else {
                shared(self.rest(last_of(first - 1)), self.rest(last_of(end - 1))).min(SKIP_MAX)
            };
            // Above the leaves the very last separator is left out: nothing is to its right.
            let end = if span > 1 && end == entries { end - 1 } else { end };
            let rests = (first..end).map(|entry| self.rest(last_of(entry))).collect();
            Draft { skip, leaf: span == 1, rests }
        };
        (0..nodes).map(draft).collect()
    }

    fn push(&mut self, draft: &Draft<'_>) {
        let offset = self.tails.len();
        assert!(offset < 1 << 40, "the tails of a fence take less than a TiB");
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let mut lanes = [[0xff; 8]; LANES];
        for (rest, lane) in draft.rests.iter().zip(lanes.iter_mut().skip(1)) {
            let rest = rest.get(draft.skip..).unwrap_or_default();
            *lane = leading(rest).to_le_bytes();
            if self.flags & format::SHORT != 0 {
                bytes.push(u8::try_from(rest.len().min(8)).unwrap_or(8));
            }
            bytes.extend_from_slice(rest.get(8..).unwrap_or_default());
            ends.push(u32::try_from(bytes.len()).expect("31 separators take less than 4 GiB"));
        }
        let wide_ends = ends.last().is_some_and(|end| u16::try_from(*end).is_err());
        if self.flags & format::UNIFORM == 0 {
            for end in &ends {
                let width = if wide_ends { 4 } else { 2 };
                self.tails.extend(end.to_le_bytes().into_iter().take(width));
            }
        }
        self.tails.extend_from_slice(&bytes);
        if draft.leaf {
            let skipped = draft.rests.first().and_then(|rest| rest.get(..draft.skip));
            self.tails.extend_from_slice(skipped.unwrap_or_default());
        }
        let head = offset as u64
            | (draft.skip as u64) << 40
            | (draft.rests.len() as u64) << 56
            | u64::from(wide_ends) << 61;
        let [first, ..] = &mut lanes;
        *first = head.to_le_bytes();
        self.search.extend_from_slice(lanes.as_flattened());
    }
}

/// Everything but the bounds.
pub(crate) fn encode(keys: &Collected) -> Parts {
    let common = keys.common();
    let uniform = keys.uniform();
    let mut encoder = Encoder { keys, common, flags: 0, search: Vec::new(), tails: Vec::new() };
    let mut spans = vec![1];
    while let Some(span) = spans.last().filter(|span| keys.len().div_ceil(**span) > WIDTH) {
        spans.push(span * WIDTH);
    }
    let levels: Vec<Vec<Draft<'_>>> =
        spans.iter().rev().map(|span| encoder.drafts(*span)).collect();
    let drafts = || levels.iter().flatten();
    let short = drafts().any(|draft| draft.rests.iter().any(|rest| rest.len() < draft.skip + 8));
    encoder.flags = match (uniform.is_some(), short) {
        (true, _) => format::UNIFORM,
        (false, true) => format::SHORT,
        (false, false) => 0,
    };
    drafts().for_each(|draft| encoder.push(draft));
    Parts {
        flags: encoder.flags,
        count: keys.len(),
        uniform: uniform.map_or(0, |len| len.saturating_sub(common)),
        common: keys.get(0).get(..common).unwrap_or_default().to_vec(),
        search: encoder.search,
        tails: encoder.tails,
        ..Parts::default()
    }
}
