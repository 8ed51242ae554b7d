//! What a list and its frozen form answer alike: one text for both, over the [`Store`] they share.

use super::store::{LIVE, Store, is_tombstone};

/// What a snapshot of `epoch` answers for a key: value, and whether it is a tombstone.
#[inline]
pub(super) fn get_at<'a>(store: &'a Store, key: &[u8], epoch: u32) -> Option<(&'a [u8], bool)> {
    store.find(key, epoch).map(|record| (record.value(), is_tombstone(record)))
}

/// As [`get_at`], now.
#[inline]
pub(super) fn get<'a>(store: &'a Store, key: &[u8]) -> Option<(&'a [u8], bool)> {
    get_at(store, key, LIVE)
}

/// The value of an answer, unless it is a tombstone.
#[inline]
pub(super) fn live((value, is_tombstone): (&[u8], bool)) -> Option<&[u8]> {
    (!is_tombstone).then_some(value)
}

/// Adds the verbs that read, and the statistics of what is read, to a type with a `store`.
macro_rules! read_verbs {
    ($list:ident) => {
        // Reading.
        impl $list {
            /// The key's value and `false`, or nothing and `true` if it was deleted here; `None` if
            /// this list knows nothing about it.
            pub fn get(&self, key: &[u8]) -> Option<(&[u8], bool)> {
                $crate::map::read::get(&self.store, key)
            }

            /// The key's value, if it is there and was not deleted.
            pub fn get_live(&self, key: &[u8]) -> Option<&[u8]> {
                self.get(key).and_then($crate::map::read::live)
            }

            /// Whether the key is there and was not deleted.
            pub fn contains_key(&self, key: &[u8]) -> bool {
                self.get_live(key).is_some()
            }

            /// The live values of `keys`, in their order; faster than a
            /// [`get_live`](Self::get_live) each.
            pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<&[u8]>> {
                self.store.get_many(keys)
            }

            /// All entries in the order of their keys, tombstones included, from either end. Over a
            /// list that is being written the iterator is live: it sees what is written while it
            /// walks.
            pub fn iter(&self) -> $crate::map::Iter<'_> {
                self.store.iter::<&[u8]>(..)
            }

            /// The entries with keys in `range`, as [`iter`](Self::iter).
            pub fn range<K: AsRef<[u8]>>(
                &self,
                range: impl std::ops::RangeBounds<K>,
            ) -> $crate::map::Iter<'_> {
                self.store.iter(range)
            }

            /// The entries whose keys start with `prefix`, as [`iter`](Self::iter).
            pub fn prefix(&self, prefix: &[u8]) -> $crate::map::Iter<'_> {
                self.store.prefix(prefix)
            }

            /// The content as it is now, for as long as the snapshot is kept.
            ///
            /// # Panics
            /// After 2^31 snapshots of one list.
            pub fn snapshot(&self) -> $crate::map::Snapshot<'_> {
                $crate::map::Snapshot::of(&self.store)
            }

            /// A cursor at the first entry.
            pub fn cursor(&self) -> $crate::map::Cursor<'_> {
                $crate::map::Cursor::at_first(&self.store)
            }

            /// A cursor at the first entry whose key is `target` or greater, if there is one.
            pub fn cursor_at(&self, target: &[u8]) -> Option<$crate::map::Cursor<'_>> {
                let mut cursor = self.cursor();
                cursor.seek(target).then_some(cursor)
            }
        }

        // What there is to read: exact when nobody writes.
        impl $list {
            /// Keys that are there and not deleted.
            pub fn len(&self) -> usize {
                self.store.live_count()
            }

            /// Whether no key is live. There may be tombstones.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Bytes in use: records with their keys and values, and the links. O(shards).
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

            /// Reserved bytes that hold nothing (yet).
            pub fn memory_idle(&self) -> usize {
                self.memory_reserved().saturating_sub(self.memory_usage())
            }
        }

        impl<'a> IntoIterator for &'a $list {
            type Item = $crate::map::Entry<'a>;
            type IntoIter = $crate::map::Iter<'a>;

            fn into_iter(self) -> $crate::map::Iter<'a> {
                self.iter()
            }
        }
    };
}
