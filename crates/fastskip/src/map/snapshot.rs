//! The list as it was at one moment.

use super::iter::Iter;
use super::read::{get_at, live};
use super::store::Store;
use std::fmt;
use std::ops::RangeBounds;

/// An iterator over a [`Snapshot`].
pub type SnapshotIter<'a> = Iter<'a>;

/// A list as it was when [`snapshot`](super::ConcurrentSkipList::snapshot) was called. It never
/// changes: each answer is given for ever.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    store: &'a Store,
    epoch: u32,
}

impl<'a> Snapshot<'a> {
    pub(super) fn of(store: &'a Store) -> Self {
        Self { store, epoch: store.take_epoch() }
    }

    /// The key's value and `false`, or nothing and `true` if it was deleted; `None` if the list
    /// knew nothing about it.
    pub fn get(&self, key: &[u8]) -> Option<(&'a [u8], bool)> {
        get_at(self.store, key, self.epoch)
    }

    /// The key's value, if it was there and not deleted.
    pub fn get_live(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.get(key).and_then(live)
    }

    /// Whether the key was there and not deleted.
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.get_live(key).is_some()
    }

    /// All entries in the order of their keys, tombstones included, from either end.
    pub fn iter(&self) -> SnapshotIter<'a> {
        Iter::new::<&[u8]>(self.store, self.epoch, ..)
    }

    /// The entries with keys in `range`, as [`iter`](Self::iter).
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> SnapshotIter<'a> {
        Iter::new(self.store, self.epoch, range)
    }

    /// The entries whose keys start with `prefix`, as [`iter`](Self::iter).
    pub fn prefix(&self, prefix: &[u8]) -> SnapshotIter<'a> {
        Iter::with_prefix(self.store, self.epoch, prefix)
    }
}

impl<'a> IntoIterator for &Snapshot<'a> {
    type Item = super::Entry<'a>;
    type IntoIter = SnapshotIter<'a>;

    fn into_iter(self) -> SnapshotIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
