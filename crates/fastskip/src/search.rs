//! Searching: down the levels to a leaf, and in the leaf.

use crate::key::{Target, compare};
use crate::list::SkipList;
use crate::node::{NodePlace, SLOTS, Word};
use crate::record::{Entry, RecordPlace};
use crate::sync::Ordering;
use std::cmp;

impl SkipList {
    pub(crate) fn root(&self) -> NodePlace {
        // ORDERING: Acquire: the node is whole; pairs with the Release in `grow`.
        NodePlace(self.root.load(Ordering::Acquire))
    }

    /// The node of `level` that answers for `target`, or one to the left of it.
    pub(crate) fn descend(&self, target: &Target<'_>, level: u8) -> NodePlace {
        let mut place = self.root();
        loop {
            let node = self.arena.node(place);
            if node.level() == level {
                return place;
            }
            let child = self.choose_child(place, target);
            place = match self.beyond(place, node.next(), target) {
                Some(next) => next,
                None => child,
            };
        }
    }

    /// The next node, if the target lies beyond the node at `place`, whose `next` was read before.
    #[inline]
    pub(crate) fn beyond(
        &self,
        place: NodePlace,
        next: Word,
        target: &Target<'_>,
    ) -> Option<NodePlace> {
        if next.is_none() {
            return None;
        }
        let beyond = match self.hint(place, target).cmp(&next.hint()) {
            cmp::Ordering::Less => false,
            cmp::Ordering::Greater => true,
            cmp::Ordering::Equal => self.covers_low(next.node(), target),
        };
        beyond.then_some(next.node())
    }

    /// The hint of `target` under the lens of the node at `place`.
    #[inline]
    pub(crate) fn hint(&self, place: NodePlace, target: &Target<'_>) -> u32 {
        self.arena.node(place).lens().hint(target, || self.prefix_key(place))
    }

    /// A key that begins with what the node's lens skips.
    fn prefix_key(&self, place: NodePlace) -> &[u8] {
        self.arena.node(place).prefix().map_or(&[], |record| self.arena.record(record).key())
    }

    pub(crate) fn low_key(&self, place: NodePlace) -> &[u8] {
        self.arena.node(place).low().map_or(&[], |low| self.arena.record(low).key())
    }

    /// Whether the low entry of the node at `place` lies before `target`, or at it.
    pub(crate) fn covers_low(&self, place: NodePlace, target: &Target<'_>) -> bool {
        self.arena.node(place).low().is_none_or(|low| target.covers(self.arena.record(low)))
    }

    /// The child with the greatest low entry that `target` covers.
    #[inline]
    pub(crate) fn choose_child(&self, place: NodePlace, target: &Target<'_>) -> NodePlace {
        let node = self.arena.node(place);
        let hint = self.hint(place, target);
        let limit = Word::new(hint, 0);
        let (mut best, mut ties) = (Word::NONE, 0_u32);
        for rank in 0..SLOTS {
            let word = node.slot(rank);
            if word.is_none() {
                break;
            }
            if word < limit && word > best {
                best = word;
            }
            ties |= u32::from(word.hint() == hint) << rank;
        }
        let tied = self.best_tie(place, ties, |child| self.covers_low(child, target));
        if let Some(child) = tied {
            return child;
        }
        // Children that share the best hint: the greatest of them, or the search walks too far.
        let equals = (0..SLOTS).filter(|&rank| {
            let word = node.slot(rank);
            !word.is_none() && word.hint() == best.hint()
        });
        let equals = equals.fold(0, |ranks, rank| ranks | 1_u32 << rank);
        if equals.count_ones() > 1 {
            return self.best_tie(place, equals, |_| true).unwrap_or(best.node());
        }
        best.node()
    }

    /// Among the slots in `ranks` that are `allowed`, the child with the greatest low entry.
    fn best_tie(
        &self,
        place: NodePlace,
        mut ranks: u32,
        allowed: impl Fn(NodePlace) -> bool,
    ) -> Option<NodePlace> {
        let mut best: Option<NodePlace> = None;
        while ranks != 0 {
            let child = self.arena.node(place).slot(ranks.trailing_zeros() as usize).node();
            ranks &= ranks - 1;
            let better = best.is_none_or(|best| self.compare_lows(child, best).is_gt());
            if better && allowed(child) {
                best = Some(child);
            }
        }
        best
    }

    pub(crate) fn compare_lows(&self, a: NodePlace, b: NodePlace) -> cmp::Ordering {
        let [a, b] = [a, b].map(|place| self.arena.node(place).low());
        match (a, b) {
            (Some(a), Some(b)) => self.compare_records(a, b),
            _ => a.is_some().cmp(&b.is_some()),
        }
    }

    pub(crate) fn compare_records(&self, a: RecordPlace, b: RecordPlace) -> cmp::Ordering {
        let a = self.arena.record(a);
        compare(a.key(), a.version(), self.arena.record(b))
    }

    /// The newest entry with the target's key and a version not newer than the target's.
    #[inline]
    pub(crate) fn find_in_leaf(
        &self,
        mut place: NodePlace,
        target: &Target<'_>,
    ) -> Option<Entry<'_>> {
        loop {
            let node = self.arena.node(place);
            let hint = self.hint(place, target);
            let mut best: Option<Entry<'_>> = None;
            for rank in 0..SLOTS {
                let word = node.slot(rank);
                if word.is_none() {
                    break;
                }
                if word.hint() == hint {
                    best = self.newer(best, word.record(), target);
                }
            }
            let next = node.next();
            if let Some(next) = self.beyond(place, next, target) {
                place = next; // split since we came here
                continue;
            }
            if !next.is_none() && next.hint() == hint {
                // Perhaps all live versions here are too new, and `best` is a dead one: the next
                // node begins with the newest of the others.
                let low = self.arena.node(next.node()).low()?;
                best = self.newer(best, low, target);
            }
            return best;
        }
    }

    /// `best`, or the record, if that is of the target's key and the better answer.
    #[inline]
    fn newer<'a>(
        &'a self,
        best: Option<Entry<'a>>,
        place: RecordPlace,
        target: &Target<'_>,
    ) -> Option<Entry<'a>> {
        let record = self.arena.record(place);
        let version = record.version();
        let newer = version <= target.version && best.is_none_or(|best| version > best.version);
        if newer && record.key() == target.key { Some(record.entry()) } else { best }
    }

    /// Orders the live words of a level 0 node: by hint, and by the entries where hints are equal.
    pub(crate) fn sort_records(&self, words: &mut [Word]) {
        words.sort_unstable();
        sort_ties(words, |a, b| self.compare_records(a.record(), b.record()));
    }

    /// Whether the link lies beyond the node at `place`, whose `next` is given.
    #[inline]
    pub(crate) fn is_dead(&self, word: Word, next: Word, level: u8) -> bool {
        if next.is_none() || word.hint() < next.hint() {
            return false;
        }
        word.hint() > next.hint() || self.compare_link(word, next, level).is_ge()
    }

    /// Compares the low entry behind a link of a node of `level` with that of the next node.
    fn compare_link(&self, word: Word, next: Word, level: u8) -> cmp::Ordering {
        if level > 0 {
            return self.compare_lows(word.node(), next.node());
        }
        match self.arena.node(next.node()).low() {
            Some(low) => self.compare_records(word.record(), low),
            None => cmp::Ordering::Greater,
        }
    }
}

/// Sorts each run of equal hints in words that are sorted by hint.
pub(crate) fn sort_ties(words: &mut [Word], order: impl Fn(&Word, &Word) -> cmp::Ordering) {
    for run in words.chunk_by_mut(|a, b| a.hint() == b.hint()) {
        if run.len() > 1 {
            run.sort_unstable_by(&order);
        }
    }
}
