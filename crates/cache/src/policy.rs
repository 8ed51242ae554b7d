//! What a policy decides: where a new entry goes, and which entry leaves.
//!
//! Policies are safe code over index lists, called with the shard's lock held. Readers talk to them
//! only through an entry's mark, a small number that a hit raises and an eviction round lowers.

use crate::lists::{Nodes, Queue};
use crate::lru::Lru;
use crate::options;
use crate::s3fifo::S3Fifo;

/// A label of the caller's for entries of one sort, counted apart in [`crate::Stats::kinds`].
///
/// The names are a convention of block caches; the cache treats all kinds alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Data blocks.
    #[default]
    Data,
    /// Index (fence) blocks.
    Index,
    /// Filter blocks.
    Filter,
    /// Everything else.
    Other,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 4;
    /// Every kind, in the order of [`crate::Stats::kinds`].
    pub const ALL: [Self; Self::COUNT] = [Self::Data, Self::Index, Self::Filter, Self::Other];
}

/// How hard the cache holds on to an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// First to go unless it is hit soon: for blocks read by a long scan.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Skips the trial and outlives normal entries: for index and filter blocks.
    High,
    /// Evicted only when nothing else is left. At most three quarters of a shard may be pinned;
    /// beyond that an entry is treated as [`Priority::High`].
    Pinned,
}

/// Kind and priority of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Label {
    /// What it is counted as.
    pub kind: Kind,
    /// How hard it is held.
    pub priority: Priority,
}

/// Largest mark.
pub(crate) const MARK_MAX: u8 = 3;

/// The marks of a shard's entries.
pub(crate) trait Marks {
    fn mark(&self, index: u32) -> u8;
    fn set_mark(&self, index: u32, mark: u8);
}

/// The policy of one shard.
#[derive(Debug)]
pub(crate) enum Policy {
    Lru(Lru),
    S3Fifo(S3Fifo),
}

impl Policy {
    pub(crate) fn new(policy: options::Policy, capacity: u64) -> Self {
        match policy {
            options::Policy::Lru => Self::Lru(Lru::new(capacity)),
            options::Policy::S3Fifo => Self::S3Fifo(S3Fifo::new(capacity)),
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        match self {
            Self::Lru(lru) => lru.set_capacity(capacity),
            Self::S3Fifo(fifo) => fifo.set_capacity(capacity),
        }
    }

    /// Links a new entry.
    pub(crate) fn insert(
        &mut self,
        nodes: &mut Nodes,
        marks: &impl Marks,
        index: u32,
        priority: Priority,
    ) {
        match self {
            Self::Lru(lru) => lru.insert(nodes, index, priority),
            Self::S3Fifo(fifo) => fifo.insert(nodes, marks, index, priority),
        }
    }

    /// Notes a hit under the lock.
    pub(crate) fn touch(&mut self, nodes: &mut Nodes, marks: &impl Marks, index: u32) {
        match self {
            Self::Lru(lru) => lru.touch(nodes, index),
            Self::S3Fifo(_) => marks.set_mark(index, (marks.mark(index) + 1).min(MARK_MAX)),
        }
    }

    /// Unlinks an entry that leaves for another reason than eviction.
    pub(crate) fn unlink(&mut self, nodes: &mut Nodes, index: u32) {
        match self {
            Self::Lru(lru) => lru.unlink(nodes, index),
            Self::S3Fifo(fifo) => fifo.unlink(nodes, index),
        }
    }

    /// Unlinks and returns the entry that leaves next.
    pub(crate) fn evict(&mut self, nodes: &mut Nodes, marks: &impl Marks) -> Option<u32> {
        match self {
            Self::Lru(lru) => lru.evict(nodes),
            Self::S3Fifo(fifo) => fifo.evict(nodes, marks),
        }
    }

    /// Forgets what it remembers of entries that are gone.
    pub(crate) fn forget(&mut self) {
        if let Self::S3Fifo(fifo) = self {
            fifo.forget();
        }
    }

    /// Bytes of pinned entries.
    pub(crate) fn pinned_bytes(&self) -> u64 {
        match self {
            Self::Lru(lru) => lru.pinned_bytes(),
            Self::S3Fifo(fifo) => fifo.pinned_bytes(),
        }
    }

    pub(crate) fn memory_usage(&self) -> usize {
        match self {
            Self::Lru(_) => 0,
            Self::S3Fifo(fifo) => fifo.memory_usage(),
        }
    }

    /// Checks every list and returns the count and bytes of all entries on them.
    /// # Panics
    /// If a list disagrees with itself.
    pub(crate) fn validate(&self, nodes: &Nodes) -> (usize, u64) {
        let lists = match self {
            Self::Lru(lru) => lru.lists(),
            Self::S3Fifo(fifo) => fifo.lists(),
        };
        lists.iter().fold((0, 0), |(count, bytes), list| {
            list.validate(nodes);
            (count + list.count() as usize, bytes + list.bytes())
        })
    }
}

/// Whether a node is held by a policy.
pub(crate) fn linked(nodes: &Nodes, index: u32) -> bool {
    nodes.get(index).queue() != Queue::None
}

/// The share of a shard that may be pinned.
pub(crate) fn pinned_limit(capacity: u64) -> u64 {
    capacity / 4 * 3
}
