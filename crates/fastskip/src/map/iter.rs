//! Walking a `ConcurrentSkipList` or a snapshot of it: one entry a key, from either end.
//!
//! The versions of a key stand newest first in the list below. Forwards, the first version that the
//! reader sees is the answer and the older ones are passed over; backwards, the last one seen.

use super::Entry;
use super::store::{LIVE, Store, is_tombstone};
use crate::cursor::Cursor as VersionCursor;
use crate::list::SkipList;
use crate::record::Record;
use std::borrow::Cow;
use std::fmt;
use std::ops::{Bound, RangeBounds};

/// No version has this number, so it is the place behind all versions of a key.
const BEHIND: u64 = 0;
/// No version has this number, so it is the place before all versions of a key.
const BEFORE: u64 = u64::MAX;

/// The entries of a range, in the order of their keys; `rev()` and `next_back` give them from the
/// end. Over a list that is being written it is live, over a [`Snapshot`](super::Snapshot) not.
pub struct Iter<'a> {
    store: &'a Store,
    epoch: u32,
    front: Option<VersionCursor<&'a SkipList>>,
    back: Option<VersionCursor<&'a SkipList>>,
    /// Keys still to come; moves inwards as entries are given.
    from: Bound<Cow<'a, [u8]>>,
    to: Bound<Cow<'a, [u8]>>,
}

/// A position in a [`ConcurrentSkipList`](super::ConcurrentSkipList): at an entry, or not valid
/// (beyond either end). It is live. As an iterator it gives the entry it stands at and moves on.
pub struct Cursor<'a> {
    store: &'a Store,
    versions: VersionCursor<&'a SkipList>,
}

impl Store {
    pub(super) fn iter<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Iter<'_> {
        Iter::new(self, LIVE, range)
    }

    pub(super) fn prefix(&self, prefix: &[u8]) -> Iter<'_> {
        Iter::with_prefix(self, LIVE, prefix)
    }
}

impl<'a> Iter<'a> {
    pub(super) fn new<K: AsRef<[u8]>>(
        store: &'a Store,
        epoch: u32,
        range: impl RangeBounds<K>,
    ) -> Self {
        let owned = |bound: Bound<&K>| bound.map(|key| Cow::Owned(key.as_ref().to_vec()));
        let (from, to) = (owned(range.start_bound()), owned(range.end_bound()));
        Self { store, epoch, front: None, back: None, from, to }
    }

    pub(super) fn with_prefix(store: &'a Store, epoch: u32, prefix: &[u8]) -> Self {
        // The first key behind all with the prefix: its last byte that can grow, grown.
        let grows = prefix.iter().rposition(|&byte| byte < u8::MAX);
        let end = grows.map(|rank| {
            let mut end = prefix[..=rank].to_vec();
            end[rank] += 1;
            end
        });
        let to = end.map_or(Bound::Unbounded, |end| Bound::Excluded(Cow::Owned(end)));
        let from = Bound::Included(Cow::Owned(prefix.to_vec()));
        Self { store, epoch, front: None, back: None, from, to }
    }

    fn ends_before(&self, key: &[u8]) -> bool {
        match &self.to {
            Bound::Included(to) => key > &**to,
            Bound::Excluded(to) => key >= &**to,
            Bound::Unbounded => false,
        }
    }

    fn begins_after(&self, key: &[u8]) -> bool {
        match &self.from {
            Bound::Included(from) => key < &**from,
            Bound::Excluded(from) => key <= &**from,
            Bound::Unbounded => false,
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let cursor = match &mut self.front {
            Some(cursor) => {
                pass_versions(cursor);
                cursor
            }
            None => self.front.insert(start_forward(self.store, &self.from)),
        };
        let found = first_visible(self.store, self.epoch, cursor)?;
        if self.ends_before(found.key()) {
            return None;
        }
        self.from = Bound::Excluded(Cow::Borrowed(found.key()));
        Some(entry(found))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let cursor = match &mut self.back {
            Some(cursor) => {
                cursor.retreat();
                cursor
            }
            None => self.back.insert(start_backward(self.store, &self.to)),
        };
        let found = last_visible(self.store, self.epoch, cursor)?;
        if !cursor.valid() {
            self.back = None; // before the first entry; there may be others when we are asked again
        }
        if self.begins_after(found.key()) {
            return None;
        }
        self.to = Bound::Excluded(Cow::Borrowed(found.key()));
        Some(entry(found))
    }
}

fn start_forward<'a>(store: &'a Store, from: &Bound<Cow<'_, [u8]>>) -> VersionCursor<&'a SkipList> {
    let mut cursor = store.list().cursor();
    match from {
        Bound::Included(key) => cursor.seek(key, BEFORE),
        Bound::Excluded(key) => cursor.seek(key, BEHIND),
        Bound::Unbounded => cursor.seek_to_first(),
    }
    cursor
}

fn start_backward<'a>(store: &'a Store, to: &Bound<Cow<'_, [u8]>>) -> VersionCursor<&'a SkipList> {
    let mut cursor = store.list().cursor();
    match to {
        Bound::Included(key) => cursor.seek_for_prev(key, BEHIND),
        Bound::Excluded(key) => cursor.seek_for_prev(key, BEFORE),
        Bound::Unbounded => cursor.seek_to_last(),
    }
    cursor
}

/// Moves forward to the first version that a reader of `epoch` sees.
#[inline]
fn first_visible<'a>(
    store: &Store,
    epoch: u32,
    cursor: &mut VersionCursor<&'a SkipList>,
) -> Option<Record<'a>> {
    loop {
        let record = cursor.record_in_list()?;
        if store.sees(epoch, record) {
            return Some(record);
        }
        cursor.advance();
    }
}

/// Moves forward behind the versions of the key that the cursor stands at.
#[inline]
fn pass_versions(cursor: &mut VersionCursor<&SkipList>) {
    let Some(record) = cursor.record_in_list() else { return };
    cursor.advance();
    if record.version() == 1 {
        return; // the oldest
    }
    while cursor.record_in_list().is_some_and(|next| next.key() == record.key()) {
        cursor.advance();
    }
}

/// Moves backward to the first version of a key of which the reader of `epoch` sees any, and gives
/// the newest it sees. The cursor is not valid afterwards if that is the first key of the list.
fn last_visible<'a>(
    store: &Store,
    epoch: u32,
    cursor: &mut VersionCursor<&'a SkipList>,
) -> Option<Record<'a>> {
    let mut best: Option<Record<'a>> = None;
    while let Some(record) = cursor.record_in_list() {
        if best.is_some_and(|best| best.key() != record.key()) {
            cursor.advance(); // back to the key that is given
            break;
        }
        if store.sees(epoch, record) {
            best = Some(record);
        }
        cursor.retreat();
    }
    best
}

fn entry(record: Record<'_>) -> Entry<'_> {
    Entry { key: record.key(), value: record.value(), is_tombstone: is_tombstone(record) }
}

impl<'a> Cursor<'a> {
    pub(super) fn at_first(store: &'a Store) -> Self {
        let mut versions = store.list().cursor();
        versions.seek_to_first();
        Self { store, versions }
    }

    /// The entry the cursor stands at.
    pub fn entry(&self) -> Option<Entry<'a>> {
        let record = self.versions.record_in_list()?;
        self.store.sees(LIVE, record).then(|| entry(record))
    }

    /// Whether the cursor stands at an entry.
    pub fn valid(&self) -> bool {
        self.versions.valid()
    }

    /// Moves to the next key. Whether there is one; the cursor is not valid otherwise.
    pub fn next_entry(&mut self) -> bool {
        pass_versions(&mut self.versions);
        self.valid()
    }

    /// Moves to the key before. Whether there is one; the cursor is not valid otherwise.
    pub fn prev_entry(&mut self) -> bool {
        let Some(record) = self.versions.record_in_list() else { return false };
        self.versions.seek_for_prev(record.key(), BEFORE);
        self.move_to_newest()
    }

    /// Moves to the first entry whose key is `target` or greater. Whether there is one.
    pub fn seek(&mut self, target: &[u8]) -> bool {
        self.versions.seek(target, BEFORE);
        self.valid()
    }

    /// Moves to the last entry whose key is `target` or less. Whether there is one.
    pub fn seek_for_prev(&mut self, target: &[u8]) -> bool {
        self.versions.seek_for_prev(target, BEHIND);
        self.move_to_newest()
    }

    /// Moves to the first entry. Whether there is one.
    pub fn seek_to_first(&mut self) -> bool {
        self.versions.seek_to_first();
        self.valid()
    }

    /// Moves to the last entry. Whether there is one.
    pub fn seek_to_last(&mut self) -> bool {
        self.versions.seek_to_last();
        self.move_to_newest()
    }

    /// From any version of a key to the newest.
    fn move_to_newest(&mut self) -> bool {
        if let Some(record) = self.versions.record_in_list() {
            self.versions.seek(record.key(), BEFORE);
        }
        self.valid()
    }
}

impl<'a> Iterator for Cursor<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let entry = self.entry()?;
        self.next_entry();
        Some(entry)
    }
}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("entry", &self.entry()).finish_non_exhaustive()
    }
}
