//! The content of a sealed list, to be read, flushed and dropped.

use super::iter::{Cursor, Iter};
use super::snapshot::Snapshot;
use super::store::Store;
use super::{Entry, live};
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

/// What a list held when it was sealed; it changes no more. Its memory goes back, all at once, when
/// neither this nor the list is left.
#[derive(Clone)]
pub struct FrozenMemtable {
    store: Arc<Store>,
}

impl FrozenMemtable {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// As [`ConcurrentSkipList::get`](super::ConcurrentSkipList::get).
    pub fn get(&self, key: &[u8]) -> Option<(&[u8], bool)> {
        self.store.get(key)
    }

    /// The key's value, if it is there and was not deleted.
    pub fn get_live(&self, key: &[u8]) -> Option<&[u8]> {
        self.get(key).and_then(live)
    }

    /// Whether the key is there and was not deleted.
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.get_live(key).is_some()
    }

    /// The live values of `keys`, in their order.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<&[u8]>> {
        self.store.get_many(keys)
    }

    /// All entries in the order of their keys, tombstones included, from either end.
    pub fn iter(&self) -> Iter<'_> {
        self.store.iter::<&[u8]>(..)
    }

    /// The entries with keys in `range`, as [`iter`](Self::iter).
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Iter<'_> {
        self.store.iter(range)
    }

    /// The entries whose keys start with `prefix`, as [`iter`](Self::iter).
    pub fn prefix(&self, prefix: &[u8]) -> Iter<'_> {
        self.store.prefix(prefix)
    }

    /// A snapshot: the same content.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot::of(&self.store)
    }

    /// A cursor at the first entry.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::at_first(&self.store)
    }

    /// A cursor at the first entry whose key is `target` or greater, if there is one.
    pub fn cursor_at(&self, target: &[u8]) -> Option<Cursor<'_>> {
        let mut cursor = self.cursor();
        cursor.seek(target).then_some(cursor)
    }

    /// Keys that are there and not deleted.
    pub fn len(&self) -> usize {
        self.store.live_count()
    }

    /// Whether no key is live. There may be tombstones.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in use.
    pub fn memory_usage(&self) -> usize {
        self.store.list().memory_usage()
    }

    /// Bytes got from the system.
    pub fn memory_reserved(&self) -> usize {
        self.store.list().memory_reserved()
    }

    /// Share of the reserved bytes that is in use, 0 to 1.
    pub fn memory_utilization(&self) -> f64 {
        self.memory_usage() as f64 / self.memory_reserved().max(1) as f64
    }

    /// Reserved bytes that hold nothing.
    pub fn memory_idle(&self) -> usize {
        self.memory_reserved().saturating_sub(self.memory_usage())
    }
}

impl<'a> IntoIterator for &'a FrozenMemtable {
    type Item = Entry<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for FrozenMemtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenMemtable").field("len", &self.len()).finish_non_exhaustive()
    }
}
