//! Cursors: a position in the list, moved both ways.
//!
//! A cursor copies the links of the node it stands in, sorted, and walks the copy. The copy is
//! current as long as the node's lowest free slot and its `next` are what they were (invariants 2
//! and 3 of `node`): two loads a step tell that, and a changed node is copied anew. So a cursor
//! sees every insert that ended before its step began, and never an entry twice or out of order.

use crate::chunk::LINE;
use crate::key::Target;
use crate::list::SkipList;
use crate::node::{NodePlace, SLOTS, Word};
use crate::record::{Entry, Record};
use crate::sync::prefetch;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// A position in a list: at an entry, or not valid (fresh, or moved beyond either end).
///
/// `L` borrows the list (`&SkipList`) or owns a share of it (`Arc<SkipList>`). Entries are ordered
/// by key, the versions of a key newest first. Moving a cursor that is not valid leaves it so.
///
/// ```
/// use fastskip::{Cursor, SkipList};
/// use std::sync::Arc;
///
/// let list = Arc::new(SkipList::new());
/// list.insert(b"b", 1, b"")?;
/// list.insert(b"a", 1, b"")?;
/// let mut cursor = Cursor::new(Arc::clone(&list)); // may outlive `list`
/// cursor.seek_to_first();
/// assert_eq!(cursor.key(), b"a");
/// cursor.advance();
/// assert_eq!(cursor.key(), b"b");
/// cursor.advance();
/// assert!(!cursor.valid());
/// # Ok::<(), fastskip::InsertError>(())
/// ```
#[derive(Clone)]
pub struct Cursor<L: Deref<Target = SkipList>> {
    list: L,
    leaf: Leaf,
    /// Rank in the leaf; valid while below its count.
    rank: usize,
    /// Leaves entered from the one before since the last seek: from the second on it is a walk, and
    /// the records of the leaf to come are fetched ahead.
    entered: usize,
    /// The entry that the last step forward left, if that was the last move.
    left: Word,
}

/// A sorted copy of what a level 0 node answers for.
#[derive(Clone)]
struct Leaf {
    place: NodePlace,
    next: Word,
    /// The lowest free slot and what it held; none: all slots were live.
    free: Option<(usize, Word)>,
    count: usize,
    words: [Word; SLOTS],
}

impl<L: Deref<Target = SkipList>> Cursor<L> {
    /// A cursor that is not valid yet: seek first.
    pub fn new(list: L) -> Self {
        let place = list.first_leaf();
        let words = [Word::NONE; SLOTS];
        let leaf = Leaf { place, next: Word::NONE, free: None, count: 0, words };
        Self { list, leaf, rank: 0, entered: 0, left: Word::NONE }
    }

    /// The list.
    pub fn list(&self) -> &SkipList {
        &self.list
    }

    /// Whether the cursor stands at an entry.
    #[inline]
    pub fn valid(&self) -> bool {
        self.rank < self.leaf.count
    }

    /// The entry's key.
    ///
    /// # Panics
    /// If the cursor is not valid.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.record().key()
    }

    /// The entry's version.
    ///
    /// # Panics
    /// If the cursor is not valid.
    #[inline]
    pub fn version(&self) -> u64 {
        self.record().version()
    }

    /// The entry's value.
    ///
    /// # Panics
    /// If the cursor is not valid.
    #[inline]
    pub fn value(&self) -> &[u8] {
        self.record().value()
    }

    /// Whether the last move was a step forward that stayed on its key: to an older version.
    #[inline]
    pub fn repeats(&self) -> bool {
        let repeats = |left: Word| self.list.arena.record(left.record()).key() == self.key();
        self.valid() && !self.left.is_none() && repeats(self.left)
    }

    /// The entry, if the cursor stands at one.
    #[inline]
    pub fn entry(&self) -> Option<Entry<'_>> {
        self.valid().then(|| self.record().entry())
    }

    /// Moves to the first entry at or after (`key`, `version`): of `key`, the newest one that is
    /// not newer than `version`.
    pub fn seek(&mut self, key: &[u8], version: u64) {
        let target = Target::before(key, version);
        self.move_to_leaf_of(&target);
        self.rank = self.leaf.covered(&self.list, &target);
        (self.entered, self.left) = (0, Word::NONE);
        if self.rank == self.leaf.count {
            self.enter_next();
        } else {
            self.leaf.prefetch(&self.list, self.rank);
        }
    }

    /// Moves to the last entry at or before (`key`, `version`).
    pub fn seek_for_prev(&mut self, key: &[u8], version: u64) {
        self.seek_last_of(&Target::at(key, version));
    }

    /// Moves to the first entry.
    pub fn seek_to_first(&mut self) {
        self.leaf.load(&self.list, self.list.first_leaf());
        self.rank = 0;
        (self.entered, self.left) = (0, Word::NONE);
        self.leaf.prefetch(&self.list, 0);
    }

    /// Moves to the last entry.
    pub fn seek_to_last(&mut self) {
        self.seek_last_of(&Target::end());
    }

    /// Moves to the next entry.
    #[inline]
    pub fn advance(&mut self) {
        if !self.valid() {
            return;
        }
        if !self.leaf.is_current(&self.list) {
            self.refresh();
        }
        self.left = self.leaf.words[self.rank];
        self.rank += 1;
        if self.rank == self.leaf.count {
            self.enter_next();
        }
    }

    /// Moves to the entry before.
    #[inline]
    pub fn retreat(&mut self) {
        self.left = Word::NONE;
        if !self.valid() {
            return;
        }
        if !self.leaf.is_current(&self.list) {
            self.refresh();
        }
        if self.rank > 0 {
            self.rank -= 1;
            return;
        }
        let first = self.list.arena.record(self.leaf.words[0].record());
        let target = Target::before(first.key(), first.version());
        self.leaf.load_for(&self.list, self.list.descend(&target, 0), &target);
        let covered = self.leaf.covered(&self.list, &target);
        self.rank = covered.checked_sub(1).unwrap_or(usize::MAX);
    }

    #[inline]
    fn record(&self) -> Record<'_> {
        assert!(self.valid(), "the cursor stands at no entry");
        self.list.arena.record(self.leaf.words[self.rank].record())
    }

    fn seek_last_of(&mut self, target: &Target<'_>) {
        self.move_to_leaf_of(target);
        let covered = self.leaf.covered(&self.list, target);
        self.rank = covered.checked_sub(1).unwrap_or(usize::MAX);
        (self.entered, self.left) = (0, Word::NONE);
    }

    /// Copies the leaf that answers for `target`, unless it is this one.
    fn move_to_leaf_of(&mut self, target: &Target<'_>) {
        let here = self.leaf.place;
        let stays = self.leaf.count > 0 && self.list.holds(here, target);
        if stays && self.leaf.is_current(&self.list) {
            return;
        }
        let start = if stays { here } else { self.list.descend(target, 0) };
        self.leaf.load_for(&self.list, start, target);
    }

    /// From behind the last entry of the leaf to the first of the next one, if there is one.
    fn enter_next(&mut self) {
        if self.leaf.next.is_none() {
            self.rank = usize::MAX;
            return;
        }
        self.leaf.load(&self.list, self.leaf.next.node());
        self.rank = 0;
        self.entered += 1;
        if self.entered <= 2 {
            self.leaf.prefetch(&self.list, 0);
        }
        if self.entered >= 2 {
            self.leaf.prefetch_next(&self.list);
        }
    }

    /// Copies the leaf anew and finds the entry again where the cursor stands.
    #[cold]
    fn refresh(&mut self) {
        let here = self.list.arena.record(self.leaf.words[self.rank].record());
        let target = Target::at(here.key(), here.version());
        self.leaf.load_for(&self.list, self.leaf.place, &target);
        self.rank = self.leaf.covered(&self.list, &target) - 1;
    }
}

impl<'a> Cursor<&'a SkipList> {
    /// The record, if the cursor stands at one.
    #[inline]
    pub(crate) fn record_in_list(&self) -> Option<Record<'a>> {
        let list: &'a SkipList = self.list;
        self.valid().then(|| list.arena.record(self.leaf.words[self.rank].record()))
    }

    /// The entry, if the cursor stands at one, borrowed from the list and not from the cursor.
    #[inline]
    pub fn entry_in_list(&self) -> Option<Entry<'a>> {
        let list: &'a SkipList = self.list;
        self.valid().then(|| list.arena.record(self.leaf.words[self.rank].record()).entry())
    }
}

impl<L: Deref<Target = SkipList>> fmt::Debug for Cursor<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("entry", &self.entry()).finish_non_exhaustive()
    }
}

impl Leaf {
    /// Copies the node at `place`.
    fn load(&mut self, list: &SkipList, place: NodePlace) {
        self.place = place;
        let node = list.arena.node(place);
        loop {
            let next = node.next();
            self.copy_slots(list, next);
            // If a slot was filled behind a split, the split is seen now (see `Node::next`).
            if node.next() == next {
                break;
            }
        }
        list.sort_records(&mut self.words[..self.count]);
    }

    /// Copies the node that answers for `target`: the one at `place`, or one to the right of it.
    fn load_for(&mut self, list: &SkipList, mut place: NodePlace, target: &Target<'_>) {
        loop {
            self.load(list, place);
            let hint = list.hint(list.arena.node(place), target);
            match list.beyond(self.next, hint, target) {
                Some(next) => place = next,
                None => return,
            }
        }
    }

    /// Copies the links that are live with this `next`.
    fn copy_slots(&mut self, list: &SkipList, next: Word) {
        let node = list.arena.node(self.place);
        (self.next, self.free, self.count) = (next, None, 0);
        for rank in 0..SLOTS {
            let word = node.slot(rank);
            if word.is_none() {
                self.free = self.free.or(Some((rank, word)));
                break;
            }
            if list.is_dead(word, next, 0) {
                self.free = self.free.or(Some((rank, word)));
            } else {
                self.words[self.count] = word;
                self.count += 1;
            }
        }
    }

    /// Whether the node still is as it was copied.
    #[inline]
    fn is_current(&self, list: &SkipList) -> bool {
        let node = list.arena.node(self.place);
        let unfilled = |(rank, word)| node.slot(rank) == word;
        self.free.is_none_or(unfilled) && node.next() == self.next
    }

    /// How many entries of the leaf `target` covers.
    fn covered(&self, list: &SkipList, target: &Target<'_>) -> usize {
        let hint = list.hint(list.arena.node(self.place), target);
        self.words[..self.count].partition_point(|word| match word.hint().cmp(&hint) {
            Ordering::Less => true,
            Ordering::Equal => target.covers(list.arena.record(word.record())),
            Ordering::Greater => false,
        })
    }

    /// Brings the records from `rank` on nearer, and the next node.
    fn prefetch(&self, list: &SkipList, rank: usize) {
        for word in &self.words[rank..self.count] {
            prefetch(list.arena.address(word.place()));
        }
        if !self.next.is_none() {
            list.arena.prefetch_node(self.next.node());
        }
    }

    /// Brings the records of the next node nearer, and the node behind it: for a walk, which is
    /// busy with this leaf meanwhile.
    fn prefetch_next(&self, list: &SkipList) {
        if self.next.is_none() {
            return;
        }
        let node = list.arena.node(self.next.node());
        for rank in 0..SLOTS {
            let word = node.slot(rank);
            if word.is_none() {
                break;
            }
            prefetch_record(list, word);
        }
        let behind = node.next();
        if !behind.is_none() {
            list.arena.prefetch_node(behind.node());
        }
    }
}

/// Brings a record's header, its key and the beginning of its value nearer: the lines of some 130
/// bytes, as long as neither is long.
#[inline]
fn prefetch_record(list: &SkipList, word: Word) {
    let start = list.arena.address(word.place());
    for line in 0..3 {
        prefetch(start.wrapping_add(line * LINE));
    }
}
