//! Stored entries of the memtables whose maps are not ours, and the cursor over them.
//!
//! 1. Entries sort by key ascending, then by version descending; a lookup borrows its key.
//! 2. A [`Chunks`] cursor copies a few entries at a time out of its map and walks over the copy.
//!    Entries inserted between two copies are newer than what the cursor's reader may see, so
//!    it does not matter whether they are met. No lock is held between two steps.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::Arc;

use sstable::{Cursor, Result, Trailer};

/// Entries of a cursor's first copy after a seek, and at most.
const CHUNK: usize = 8;
const CHUNK_MAX: usize = 128;

/// A key and a version, owned or borrowed.
pub(crate) trait Versioned {
    /// Key and version.
    fn parts(&self) -> (&[u8], u64);
}

/// A stored key.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(super) key: Arc<[u8]>,
    pub(super) version: u64,
}

/// A key to look for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe<'a>(pub(super) &'a [u8], pub(super) u64);

impl Versioned for Stored {
    fn parts(&self) -> (&[u8], u64) {
        (&self.key, self.version)
    }
}

impl Versioned for Probe<'_> {
    fn parts(&self) -> (&[u8], u64) {
        (self.0, self.1)
    }
}

impl<'a> Borrow<dyn Versioned + 'a> for Stored {
    fn borrow(&self) -> &(dyn Versioned + 'a) {
        self
    }
}

impl Ord for dyn Versioned + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((key, version), (other_key, other_version)) = (self.parts(), other.parts());
        key.cmp(other_key).then_with(|| other_version.cmp(&version))
    }
}

impl PartialOrd for dyn Versioned + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Versioned + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for dyn Versioned + '_ {}

impl Ord for Stored {
    fn cmp(&self, other: &Self) -> Ordering {
        let (this, other): (&dyn Versioned, &dyn Versioned) = (self, other);
        this.cmp(other)
    }
}

impl PartialOrd for Stored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Stored {}

/// An entry, shared with the map.
pub(crate) type Entry = (Stored, Arc<[u8]>);

/// Where a copy begins, in the order it goes.
pub(crate) type From<'a> = Bound<&'a (dyn Versioned + 'a)>;

/// A map that entries can be copied out of.
pub(crate) trait Copied: Debug {
    /// Appends at most `count` entries from `from` on, ascending.
    fn ascending(&self, from: From<'_>, count: usize, out: &mut Vec<Entry>);

    /// Appends at most `count` entries from `from` back, descending.
    fn descending(&self, from: From<'_>, count: usize, out: &mut Vec<Entry>);
}

/// A cursor that keeps its map alive.
#[derive(Debug)]
pub(crate) struct Chunks<M> {
    map: Arc<M>,
    /// Ascending.
    copy: Vec<Entry>,
    /// The place in `copy`; its length where the cursor is on no entry.
    rank: usize,
    /// Entries to copy next.
    count: usize,
    /// Whether the last step forward stayed on its key.
    repeats: bool,
}

impl<M: Copied> Chunks<M> {
    pub(super) fn new(map: Arc<M>) -> Self {
        Self { map, copy: Vec::new(), rank: 0, count: CHUNK, repeats: false }
    }

    fn ascend(&mut self, from: From<'_>) {
        self.copy.clear();
        self.map.ascending(from, self.count, &mut self.copy);
        self.rank = 0;
        self.count = (self.count * 4).min(CHUNK_MAX);
    }

    fn descend(&mut self, from: From<'_>) {
        self.copy.clear();
        self.map.descending(from, self.count, &mut self.copy);
        self.copy.reverse();
        self.rank = self.copy.len().saturating_sub(1);
        self.count = (self.count * 4).min(CHUNK_MAX);
    }

    fn entry(&self) -> &Entry {
        self.copy.get(self.rank).expect("the cursor must be on an entry")
    }
}

impl<M: Copied> Cursor for Chunks<M> {
    fn valid(&self) -> bool {
        self.rank < self.copy.len()
    }

    fn key(&self) -> &[u8] {
        &self.entry().0.key
    }

    fn trailer(&self) -> Trailer {
        Trailer::from_raw(self.entry().0.version)
    }

    fn value(&self) -> &[u8] {
        &self.entry().1
    }

    fn repeats(&self) -> bool {
        self.repeats
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.count = CHUNK;
        self.ascend(Bound::Unbounded);
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.count = CHUNK;
        self.descend(Bound::Unbounded);
        Ok(())
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        self.count = CHUNK;
        self.ascend(Bound::Included(&Probe(key, trailer.raw())));
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        self.count = CHUNK;
        self.descend(Bound::Included(&Probe(key, trailer.raw())));
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        if self.rank + 1 < self.copy.len() {
            self.rank += 1;
            self.repeats = self.copy[self.rank - 1].0.key == self.copy[self.rank].0.key;
        } else {
            let last = self.entry().0.clone();
            self.ascend(Bound::Excluded(&last));
            self.repeats = self.valid() && self.entry().0.key == last.key;
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        if self.rank > 0 {
            self.rank -= 1;
        } else {
            let first = self.entry().0.clone();
            self.descend(Bound::Excluded(&first));
        }
        Ok(())
    }
}
