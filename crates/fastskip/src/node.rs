//! Wide nodes: up to [`SLOTS`] links of one level, each with the hint of its key, in no order.
//!
//! ```text
//! node := base: u128 | next: u64 | low: u32 | skip: u16 | shift: u8 | level: 7 bits, first: 1 bit
//!         | slot: u64 * 28                                                       256 bytes in all
//! slot := hint: u32 | place: u32          place: of a record (level 0) or of a node one level down
//! next := hint of the next node's low key, under this node's lens: u32 | place of the next: u32
//! ```
//!
//! A node answers for the entries from its *low* entry (included) up to the low entry of the next
//! node (excluded). A slot whose key lies beyond is *dead*; it was copied to the next node.
//!
//! Invariants
//! 1. What stands before the slots, `next` excepted, is written before the node is published.
//! 2. A slot is *free* while it is 0 or dead. It is filled by one compare-exchange, always the
//!    lowest free one; it never becomes 0 again.
//! 3. `next` changes only while no slot is free, to a new node whose low entry is in this node.
//!    So a node without free slots stands still until `next` changes, and each change shrinks the
//!    range: what was dead stays dead.
//! 4. Two inserts of equal keys contend for the same slot: with one `next`, the slots only fill up,
//!    the lowest free one first; so of two, the later saw the earlier or lost the compare-exchange.
#![expect(unsafe_code, reason = "makes references to nodes in arena memory")]

use crate::arena::{Arena, Purpose};
use crate::chunk::LINE;
use crate::error::InsertError;
use crate::key::Lens;
use crate::record::RecordPlace;
use crate::sync::{AtomicU64, Ordering, prefetch};

/// Links in a node.
#[cfg(not(loom))]
pub(crate) const SLOTS: usize = 28;
/// Small, so that loom's few steps reach a split.
#[cfg(loom)]
pub(crate) const SLOTS: usize = 3;

/// Marks the first node of a level.
const FIRST: u8 = 0x80;

/// Bytes a node takes.
pub(crate) const NODE_BYTES: usize = size_of::<Node>().next_multiple_of(LINE);

/// Where a node is; never 0. It names a node that was wholly written before the place was
/// published, in the arena it is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodePlace(pub(crate) u32);

/// A slot's or `next`'s word: a hint and a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word(pub(crate) u64);

#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Node {
    base: u128,
    next: AtomicU64,
    low: u32,
    skip: u16,
    shift: u8,
    level_and_first: u8,
    slots: [AtomicU64; SLOTS],
    #[cfg(loom)]
    watch: loom::cell::UnsafeCell<()>,
}

#[cfg(not(loom))]
const _: () = assert!(NODE_BYTES == 256);

impl Word {
    pub(crate) const NONE: Self = Self(0);

    #[inline]
    pub(crate) fn new(hint: u32, place: u32) -> Self {
        Self(u64::from(hint) << 32 | u64::from(place))
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) fn hint(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(crate) fn place(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    #[inline]
    pub(crate) fn record(self) -> RecordPlace {
        RecordPlace(self.place())
    }

    #[inline]
    pub(crate) fn node(self) -> NodePlace {
        NodePlace(self.place())
    }
}

/// What a new node starts with.
#[derive(Debug)]
pub(crate) struct NewNode<'a> {
    pub(crate) level: u8,
    pub(crate) lens: Lens,
    /// The low entry, or for the first node of a level any whose key the lens was made of.
    pub(crate) low: Option<RecordPlace>,
    /// Whether the node answers from the beginning of the list.
    pub(crate) first: bool,
    pub(crate) next: Word,
    pub(crate) words: &'a [Word],
}

impl Node {
    #[inline]
    pub(crate) fn lens(&self) -> Lens {
        Lens { base: self.base, skip: self.skip, shift: self.shift }
    }

    #[inline]
    pub(crate) fn level(&self) -> u8 {
        self.level_and_first & !FIRST
    }

    /// The low entry; `None` in the first node of a level.
    #[inline]
    pub(crate) fn low(&self) -> Option<RecordPlace> {
        (self.level_and_first & FIRST == 0).then_some(RecordPlace(self.low))
    }

    /// A record whose key begins with what the lens skips; `None` if it skips nothing.
    pub(crate) fn sample(&self) -> Option<RecordPlace> {
        (self.low != 0).then_some(RecordPlace(self.low))
    }

    /// The link to the next node of this level.
    #[inline]
    pub(crate) fn next(&self) -> Word {
        // ORDERING: Acquire: the next node is whole; pairs with the Release in `set_next`. A search
        // reads the slots first and this afterwards: if a slot was filled after a split, the split
        // is seen here (the inserter had read it by this same load).
        Word(self.next.load(Ordering::Acquire))
    }

    /// Splits: what lies beyond `to` belongs to the next node from now on.
    pub(crate) fn set_next(&self, from: Word, to: Word) -> bool {
        // ORDERING: Release publishes the new node; pairs with the Acquire in `next`.
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        self.next.compare_exchange(from.0, to.0, success, failure).is_ok()
    }

    #[inline]
    pub(crate) fn slot(&self, rank: usize) -> Word {
        // ORDERING: Acquire: the record or node behind the word is whole; pairs with the Release in
        // `fill`.
        Word(self.slots[rank].load(Ordering::Acquire))
    }

    /// Puts `to` into a free slot that holds `from`.
    #[inline]
    pub(crate) fn fill(&self, rank: usize, from: Word, to: Word) -> bool {
        // ORDERING: Release publishes the record or node; pairs with the Acquire in `slot`. SeqCst
        // for `ConcurrentSkipList`: who links an entry reads the epoch afterwards, who makes a
        // snapshot moves the epoch and reads slots afterwards; one of them must see the other.
        let (success, failure) = (Ordering::SeqCst, Ordering::Relaxed);
        self.slots[rank].compare_exchange(from.0, to.0, success, failure).is_ok()
    }
}

impl Arena {
    /// Writes a node.
    ///
    /// # Errors
    /// As [`Arena::alloc`].
    pub(crate) fn add_node(
        &self,
        shard: usize,
        new: &NewNode<'_>,
    ) -> Result<NodePlace, InsertError> {
        let place = self.alloc(shard, Purpose::Node, NODE_BYTES)?;
        let word = |rank| AtomicU64::new(new.words.get(rank).map_or(0, |word: &Word| word.0));
        let node = Node {
            base: new.lens.base,
            skip: new.lens.skip,
            shift: new.lens.shift,
            low: new.low.map_or(0, |low| low.0),
            level_and_first: new.level | if new.first { FIRST } else { 0 },
            next: AtomicU64::new(new.next.0),
            slots: std::array::from_fn(word),
            #[cfg(loom)]
            watch: loom::cell::UnsafeCell::new(()),
        };
        #[cfg(loom)]
        node.watch.with_mut(|_| ());
        let start = self.node_address(NodePlace(place)).cast_mut();
        // SAFETY: `alloc` gave us these bytes alone, enough of them, on a line of their own.
        unsafe { start.write(node) };
        Ok(NodePlace(place))
    }

    /// Takes back a node that was never published.
    pub(crate) fn take_node_back(&self, shard: usize, place: NodePlace) {
        self.take_back(shard, Purpose::Node, place.0, NODE_BYTES);
    }

    /// The node at `place`.
    #[inline]
    pub(crate) fn node(&self, place: NodePlace) -> &Node {
        // SAFETY: a node place names a whole node of this arena (see [`NodePlace`]); it is never
        // moved, freed or written but through its atomics while the arena is borrowed.
        let node = unsafe { &*self.node_address(place) };
        #[cfg(loom)]
        node.watch.with(|_| ());
        node
    }

    #[inline]
    fn node_address(&self, place: NodePlace) -> *const Node {
        self.address(place.0).cast_const().cast()
    }

    /// Brings the node at `place` nearer.
    #[inline]
    pub(crate) fn prefetch_node(&self, place: NodePlace) {
        let start = self.address(place.0).cast_const();
        for line in 0..NODE_BYTES / LINE {
            prefetch(start.wrapping_add(line * LINE));
        }
    }
}
