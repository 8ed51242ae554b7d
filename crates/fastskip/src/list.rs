//! The list: searches down the levels, inserts, splits.
//!
//! Every level is a linked list of wide nodes; a node of level `n + 1` links nodes of level `n`,
//! level 0 links the records. Level 0 and its `next` links alone decide what the list holds: the
//! levels above only say where to begin, so that it does not matter when a split is announced
//! there, or by whom. (Wide nodes on skip list levels: the deterministic skip list of Munro,
//! Papadakis & Sedgewick, 1992; right links that make a split visible at once: Lehman & Yao, 1981.)
//!
//! An insert is one compare-exchange of a slot, at level 0. When there is no free slot, the upper
//! half of the node is copied to a new one, one compare-exchange of `next` makes that valid, and
//! the slots of the copied half are free. Whoever finds a full node splits it, and whoever finds a
//! node that is not linked above links it: nobody waits for anybody.

use crate::arena::Arena;
use crate::cursor::Cursor;
use crate::gate::Gate;
use crate::key::{Lens, Target};
use crate::node::{NewNode, NodePlace, Word};
use crate::options::Options;
use crate::record::{Entry, Record, Stamps};
use crate::sync::{AtomicU32, AtomicU64, Padded};

/// An ordered map from (key, version) to value, with the versions of a key newest first: lock-free
/// to insert and to read, nothing is ever removed or moved.
///
/// ```
/// use fastskip::SkipList;
///
/// let list = SkipList::new();
/// list.insert(b"apple", 1, b"green")?;
/// list.insert(b"apple", 2, b"red")?;
/// assert_eq!(list.get(b"apple", 1).unwrap().value, b"green");
/// assert_eq!(list.get(b"apple", u64::MAX).unwrap().value, b"red");
/// # Ok::<(), fastskip::InsertError>(())
/// ```
#[derive(Debug)]
pub struct SkipList {
    pub(crate) arena: Arena,
    pub(crate) gate: Gate,
    /// The top node.
    pub(crate) root: AtomicU32,
    /// The first node of level 0; it never changes.
    first: NodePlace,
    /// Where each shard was last.
    pub(crate) fingers: Box<[Padded<Fingers>]>,
}

/// The leaves of a shard's last insert and get: the next ones are often near.
#[derive(Debug)]
pub(crate) struct Fingers {
    pub(crate) inserted: AtomicU32,
    /// Leaf, and above it the credit: misses it may have before it is no more looked at.
    pub(crate) got: AtomicU64,
}

impl Default for SkipList {
    fn default() -> Self {
        Self::new()
    }
}

impl SkipList {
    /// An empty list with default [`Options`].
    ///
    /// # Panics
    /// If the system has no 64 KiB of memory to give.
    pub fn new() -> Self {
        Self::with_options(&Options::default())
    }

    /// An empty list.
    ///
    /// # Panics
    /// If the memory limit is below 4 KiB, or the system has no 64 KiB to give.
    pub fn with_options(options: &Options) -> Self {
        Self::with_stamps(options, Stamps::Without)
    }

    /// An empty list whose records have stamps, or not.
    pub(crate) fn with_stamps(options: &Options, stamps: Stamps) -> Self {
        let arena = Arena::new(options, stamps);
        let shard_count = arena.shard_count();
        let (next, words) = (Word::NONE, &[][..]);
        let leaf = NewNode { level: 0, lens: Lens::WHOLE, low: None, first: true, next, words };
        let Ok(first) = arena.add_node(0, &leaf) else {
            panic!("no memory for an empty list: limit {:?}", options.max_bytes)
        };
        let finger = |_| {
            let (inserted, got) = (AtomicU32::new(first.0), AtomicU64::new(u64::from(first.0)));
            Padded(Fingers { inserted, got })
        };
        Self {
            arena,
            gate: Gate::new(shard_count),
            root: AtomicU32::new(first.0),
            first,
            fingers: (0..shard_count).map(finger).collect(),
        }
    }

    /// The newest version of `key` at or before version `at`.
    #[inline]
    pub fn get(&self, key: &[u8], at: u64) -> Option<Entry<'_>> {
        let target = Target::at(key, at);
        self.find_in_leaf(self.leaf_of(&target), &target).map(Record::entry)
    }

    /// Takes no more entries, and returns when no insert is in flight any more. What the list then
    /// holds, it holds for ever.
    pub fn seal(&self) {
        self.gate.seal();
    }

    /// Whether [`seal`](Self::seal) was called.
    pub fn is_sealed(&self) -> bool {
        self.gate.is_sealed()
    }

    /// Number of entries, each version counted.
    pub fn len(&self) -> usize {
        usize::try_from(self.gate.entries()).unwrap_or(usize::MAX)
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys, each counted once an entry.
    pub fn key_bytes(&self) -> u64 {
        self.gate.totals().key_bytes
    }

    /// Bytes of all values.
    pub fn value_bytes(&self) -> u64 {
        self.gate.totals().value_bytes
    }

    /// Bytes in use: records, nodes, and what alignment costs.
    pub fn memory_usage(&self) -> usize {
        self.memory_reserved().saturating_sub(self.arena.idle_bytes())
    }

    /// Bytes got from the system for records and nodes.
    pub fn memory_reserved(&self) -> usize {
        self.arena.reserved_bytes()
    }

    /// A cursor that borrows the list; [`Cursor::new`] makes one that owns its share of it.
    pub fn cursor(&self) -> Cursor<&Self> {
        Cursor::new(self)
    }

    pub(crate) fn first_leaf(&self) -> NodePlace {
        self.first
    }
}
