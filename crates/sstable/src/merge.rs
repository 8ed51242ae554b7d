//! Several cursors as one: a binary heap of children with the runner-up remembered.
//!
//! 1. `heap` holds the ranks of exactly the children that stand on an entry; `heap[0]` is the
//!    entry shown. After an error the heap is empty.
//! 2. All children stand on the same side of the entry shown: at or after it in stored order when
//!    moving forward, at or before it when moving backward.
//! 3. Entries that are equal in key and trailer are all shown, the lower child rank first.
//!
//! 4. `heap` keeps beside each rank the first 16 bytes of the child's key as a number, padded with
//!    zeros: numbers that differ order as the keys do, so most comparisons look at no key.
//! 5. Going forward, `tied` says whether the runner-up has the user key of the entry shown. So
//!    whether the next entry repeats that key is known without keeping or comparing keys.
//!
//! While one child keeps winning, a step costs one comparison, against the runner-up; with one
//! child left it costs none.

use std::cmp::Ordering;

use crate::cursor::Cursor;
use crate::error::Result;
use crate::key::Trailer;

/// Walks over the entries of several cursors in one sorted sequence, both ways.
///
/// Equal `(key, trailer)` in several children are all returned, the one of the earlier child first.
#[derive(Debug)]
pub struct Merge<C> {
    children: Vec<C>,
    /// The valid children, a binary heap in the order of `direction`.
    heap: Vec<Head>,
    /// Place in `heap` of the second best; meaningless when fewer than two are left.
    runner_up: usize,
    tied: bool,
    repeats: bool,
    direction: Direction,
    /// The key at which the direction changed; kept to reuse its memory.
    turning_key: Vec<u8>,
}

/// A valid child.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// The beginning of its key.
    word: u128,
    rank: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// How two children stand to each other.
#[derive(Clone, Copy, Debug)]
struct Stand {
    /// Whether the first comes before the second.
    before: bool,
    same_key: bool,
}

/// The first 16 bytes of a key, as a number that orders as they do.
#[inline]
#[expect(clippy::big_endian_bytes, reason = "big-endian numbers order as bytes do; in memory only")]
fn word(key: &[u8]) -> u128 {
    if let Some(first) = key.first_chunk::<16>() {
        return u128::from_be_bytes(*first);
    }
    let mut padded = [0; 16];
    padded[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(padded)
}

impl<C: Cursor> Merge<C> {
    /// Merges `children`; the cursor stands nowhere until it is told to seek.
    #[must_use]
    pub fn new(children: Vec<C>) -> Self {
        Self {
            heap: Vec::with_capacity(children.len()),
            children,
            runner_up: 1,
            tied: false,
            repeats: false,
            direction: Direction::Forward,
            turning_key: Vec::new(),
        }
    }

    /// Returns the rank of the child whose entry is shown, or `None` if there is no entry.
    #[must_use]
    pub fn child(&self) -> Option<usize> {
        self.heap.first().map(|head| head.rank)
    }

    /// Returns the children.
    #[must_use]
    pub fn into_children(self) -> Vec<C> {
        self.children
    }

    #[inline]
    fn top(&self) -> &C {
        let top = self.heap.first().expect("the cursor stands on no entry");
        &self.children[top.rank]
    }

    /// How the child at place `a` of the heap stands to the one at place `b`.
    #[inline]
    fn stand(&self, a: usize, b: usize) -> Stand {
        let (a, b) = (self.heap[a], self.heap[b]);
        if a.word == b.word {
            return self.stand_by_keys(a.rank, b.rank);
        }
        let before = (a.word < b.word) == (self.direction == Direction::Forward);
        Stand { before, same_key: false }
    }

    fn stand_by_keys(&self, a: usize, b: usize) -> Stand {
        let (left, right) = (&self.children[a], &self.children[b]);
        let (left_key, right_key) = (left.key(), right.key());
        // Up to the length of a word, equal words of equal lengths are equal keys.
        let by_key = if left_key.len() == right_key.len() && left_key.len() <= 16 {
            Ordering::Equal
        } else {
            left_key.cmp(right_key)
        };
        let order = by_key.then_with(|| right.trailer().cmp(&left.trailer()));
        let before = match (self.direction, order) {
            (Direction::Forward, Ordering::Less) | (Direction::Backward, Ordering::Greater) => true,
            (Direction::Forward, Ordering::Equal) => a < b,
            (Direction::Backward, Ordering::Equal) => a > b,
            _ => false,
        };
        Stand { before, same_key: by_key.is_eq() }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut best = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.stand(child, best).before {
                    best = child;
                }
            }
            if best == at {
                return;
            }
            self.heap.swap(at, best);
            at = best;
        }
    }

    fn choose_runner_up(&mut self) {
        self.runner_up = if self.heap.len() > 2 && self.stand(2, 1).before { 2 } else { 1 };
        self.tied = self.heap.len() > 1 && self.stand(self.runner_up, 0).same_key;
    }

    /// Builds the heap from where the children stand now.
    fn rebuild(&mut self, direction: Direction) {
        self.direction = direction;
        self.repeats = false;
        self.heap.clear();
        for (rank, child) in self.children.iter().enumerate().filter(|(_, child)| child.valid()) {
            self.heap.push(Head { word: word(child.key()), rank });
        }
        for at in (0..self.heap.len() / 2).rev() {
            self.sift_down(at);
        }
        self.choose_runner_up();
    }

    /// Puts the heap right after the child on top has moved.
    #[inline]
    fn settle_top(&mut self) {
        let top = self.top();
        if !top.valid() {
            self.repeats = self.tied;
            self.heap.swap_remove(0);
            return self.choose_top();
        }
        if self.heap.len() < 2 {
            self.repeats = top.repeats();
            return;
        }
        self.heap[0].word = word(top.key());
        let Stand { before, same_key } = self.stand(0, self.runner_up);
        if before {
            self.repeats = self.top().repeats();
            self.tied = same_key;
            return;
        }
        self.repeats = self.tied;
        if self.heap.len() == 2 {
            self.heap.swap(0, 1);
            self.tied = same_key;
        } else {
            self.choose_top();
        }
    }

    fn choose_top(&mut self) {
        self.sift_down(0);
        self.choose_runner_up();
    }

    fn seek_all(
        &mut self,
        direction: Direction,
        mut seek: impl FnMut(&mut C) -> Result<()>,
    ) -> Result<()> {
        self.heap.clear();
        for child in &mut self.children {
            seek(child)?;
        }
        self.rebuild(direction);
        Ok(())
    }

    /// Moves the other children to the far side of the entry shown, and the child on top one step.
    #[cold]
    fn turn(&mut self, direction: Direction) -> Result<()> {
        let here = self.heap[0].rank;
        let mut key = std::mem::take(&mut self.turning_key);
        key.clear();
        key.extend_from_slice(self.children[here].key());
        let trailer = self.children[here].trailer();
        self.heap.clear();
        for (rank, child) in self.children.iter_mut().enumerate() {
            step_over(child, rank.cmp(&here), direction, (&key, trailer))?;
        }
        self.rebuild(direction);
        self.repeats = self.valid() && self.key() == key;
        self.turning_key = key;
        Ok(())
    }
}

/// Moves one child to its next place after `position`, which the child at `side == Equal` shows.
fn step_over<C: Cursor>(
    child: &mut C,
    side: Ordering,
    direction: Direction,
    (key, trailer): (&[u8], Trailer),
) -> Result<()> {
    // Among equal entries the lower rank comes first: such an entry of an earlier child lies before
    // the one shown, that of a later child behind it.
    let (ahead, behind) = match direction {
        Direction::Forward => (Ordering::Greater, Ordering::Less),
        Direction::Backward => (Ordering::Less, Ordering::Greater),
    };
    if side != Ordering::Equal {
        match direction {
            Direction::Forward => child.seek(key, trailer)?,
            Direction::Backward => child.seek_for_prev(key, trailer)?,
        }
        if side == ahead || !child.valid() || child.key() != key || child.trailer() != trailer {
            return Ok(());
        }
        debug_assert_eq!(side, behind);
    }
    match direction {
        Direction::Forward => child.next(),
        Direction::Backward => child.prev(),
    }
}

impl<C: Cursor> Cursor for Merge<C> {
    #[inline]
    fn valid(&self) -> bool {
        !self.heap.is_empty()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.top().key()
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        self.top().trailer()
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.top().value()
    }

    #[inline]
    fn repeats(&self) -> bool {
        self.repeats
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.seek_all(Direction::Forward, Cursor::seek_to_first)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.seek_all(Direction::Backward, Cursor::seek_to_last)
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        self.seek_all(Direction::Forward, |child| child.seek(key, trailer))
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        self.seek_all(Direction::Backward, |child| child.seek_for_prev(key, trailer))
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        assert!(self.valid(), "the cursor stands on no entry");
        if self.direction == Direction::Backward {
            return self.turn(Direction::Forward);
        }
        let top = self.heap[0].rank;
        if let Err(error) = self.children[top].next() {
            self.heap.clear();
            return Err(error);
        }
        self.settle_top();
        Ok(())
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        assert!(self.valid(), "the cursor stands on no entry");
        if self.direction == Direction::Forward {
            return self.turn(Direction::Backward);
        }
        let top = self.heap[0].rank;
        if let Err(error) = self.children[top].prev() {
            self.heap.clear();
            return Err(error);
        }
        self.settle_top();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::SliceCursor;
    use crate::key::{Kind, compare};
    use rand::{Rng, SeedableRng, rngs::StdRng};

    type Entry = (Vec<u8>, Trailer, Vec<u8>);

    /// Keys of 1, 10 and 19 bytes; many begin alike, some differ in trailing zeros only.
    fn bytes(key: u8) -> Vec<u8> {
        let mut bytes = vec![0; usize::from(key % 3) * 9];
        bytes.push(key / 3);
        bytes
    }

    fn entry(key: u8, seqno: u64, child: u8) -> Entry {
        (bytes(key), Trailer::new(seqno, Kind::Put), vec![child])
    }

    fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
        entries.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
        entries
    }

    /// The same moves on the merge and on one sorted list of everything.
    fn walk(children: &[Vec<Entry>], random: &mut StdRng, steps: usize) {
        let mut all = children.concat();
        all.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1).then(a.2.cmp(&b.2)));
        let mut merge = Merge::new(children.iter().map(|c| SliceCursor::new(c)).collect());
        let mut at: Option<usize> = None;
        for _ in 0..steps {
            let (key, t) = ([random.random_range(0..12)], random.random_range(0..6));
            let t = Trailer::new(t, Kind::Put);
            match (random.random_range(0..20), at) {
                (0, _) => {
                    merge.seek_to_first().unwrap();
                    at = (!all.is_empty()).then_some(0);
                }
                (1, _) => {
                    merge.seek_to_last().unwrap();
                    at = all.len().checked_sub(1);
                }
                (2, _) => {
                    merge.seek(&key, t).unwrap();
                    let rank = all.partition_point(|e| compare(&e.0, e.1, &key, t).is_lt());
                    at = (rank < all.len()).then_some(rank);
                }
                (3, _) => {
                    merge.seek_for_prev(&key, t).unwrap();
                    let rank = all.partition_point(|e| compare(&e.0, e.1, &key, t).is_le());
                    at = rank.checked_sub(1);
                }
                (4..=11, Some(rank)) => {
                    merge.next().unwrap();
                    at = (rank + 1 < all.len()).then_some(rank + 1);
                    if at.is_some() {
                        assert_eq!(merge.repeats(), all[rank].0 == all[rank + 1].0);
                    }
                }
                (_, Some(rank)) => {
                    merge.prev().unwrap();
                    at = rank.checked_sub(1);
                }
                (_, None) => {}
            }
            assert_eq!(merge.valid(), at.is_some());
            if let Some(rank) = at {
                let shown = (merge.key().to_vec(), merge.trailer(), merge.value().to_vec());
                assert_eq!(shown, all[rank]);
                assert_eq!(merge.child(), Some(usize::from(all[rank].2[0])));
            }
        }
    }

    #[test]
    fn random_walks_agree_with_one_sorted_list() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..300 {
            let children: Vec<Vec<Entry>> = (0..random.random_range(0..6_u8))
                .map(|child| {
                    let entries = (0..random.random_range(0..20)).map(|_| {
                        entry(random.random_range(0..12), random.random_range(0..6), child)
                    });
                    sorted(entries.collect())
                })
                .collect();
            walk(&children, &mut random, 200);
        }
    }

    /// Fails on its n-th move.
    struct Failing<'a>(SliceCursor<'a>, usize);

    impl Failing<'_> {
        fn count(&mut self) -> Result<()> {
            self.1 = self.1.saturating_sub(1);
            if self.1 > 0 {
                return Ok(());
            }
            Err(crate::Error::InvalidOptions("told to fail".into()))
        }
    }

    impl Cursor for Failing<'_> {
        fn valid(&self) -> bool {
            self.0.valid()
        }
        fn key(&self) -> &[u8] {
            self.0.key()
        }
        fn trailer(&self) -> Trailer {
            self.0.trailer()
        }
        fn value(&self) -> &[u8] {
            self.0.value()
        }
        fn repeats(&self) -> bool {
            self.0.repeats()
        }
        fn seek_to_first(&mut self) -> Result<()> {
            self.count().and_then(|()| self.0.seek_to_first())
        }
        fn seek_to_last(&mut self) -> Result<()> {
            self.count().and_then(|()| self.0.seek_to_last())
        }
        fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
            self.count().and_then(|()| self.0.seek(key, trailer))
        }
        fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
            self.count().and_then(|()| self.0.seek_for_prev(key, trailer))
        }
        fn next(&mut self) -> Result<()> {
            self.count().and_then(|()| self.0.next())
        }
        fn prev(&mut self) -> Result<()> {
            self.count().and_then(|()| self.0.prev())
        }
    }

    #[test]
    fn an_error_of_a_child_is_passed_on_and_leaves_no_entry() {
        let entries: Vec<Entry> = (0..10).map(|key| entry(key, 1, 0)).collect();
        for fail_at in 1..=10 {
            let children = vec![
                Failing(SliceCursor::new(&entries), 100),
                Failing(SliceCursor::new(&entries), fail_at),
            ];
            let mut merge = Merge::new(children);
            let mut outcome = merge.seek_to_first();
            while outcome.is_ok() {
                assert!(merge.valid(), "the end must not hide the error");
                outcome = merge.next();
            }
            assert!(!merge.valid());
        }
    }
}
