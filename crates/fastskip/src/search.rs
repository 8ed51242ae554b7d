//! Searching: down the levels to a leaf, and in the leaf.

use crate::key::{Target, compare};
use crate::list::{Fingers, SkipList};
use crate::node::{Node, NodePlace, SLOTS, Word};
use crate::record::{Record, RecordPlace};
use crate::sync::{Ordering, Padded};
use crate::token;
use std::cmp;

/// Gets in a row that a finger may miss before it is no more looked at.
const CREDIT: u64 = 4;

impl SkipList {
    pub(crate) fn root(&self) -> NodePlace {
        // ORDERING: Acquire: the node is whole; pairs with the Release in `grow`.
        NodePlace(self.root.load(Ordering::Acquire))
    }

    /// The node of `level` that answers for `target`, or one to the left of it.
    #[inline]
    pub(crate) fn descend(&self, target: &Target<'_>, level: u8) -> NodePlace {
        let mut place = self.root();
        loop {
            let node = self.arena.node(place);
            if node.level() == level {
                return place;
            }
            let hint = self.hint(node, target);
            let child = self.choose_child(node, hint, target);
            self.arena.prefetch_node(child);
            place = self.beyond(node.next(), hint, target).unwrap_or(child);
        }
    }

    /// The leaf that answers for `target`, or one to the left of it: the one of the last get of
    /// this thread if the target is there, else found from the root. (A finger search: Guibas,
    /// McCreight, Plass & Roberts, 1977.)
    #[inline]
    pub(crate) fn leaf_of(&self, target: &Target<'_>) -> NodePlace {
        // Threads without a finger of their own would only take each other's away.
        let Some(Padded(Fingers { got, .. })) = self.fingers.get(token::current()) else {
            return self.descend(target, 0);
        };
        // ORDERING: Acquire: the node is whole; pairs with the Release below.
        let finger = got.load(Ordering::Acquire);
        let (place, credit) = (NodePlace((finger & 0xffff_ffff) as u32), finger >> 32);
        if credit > 0 && self.holds(place, target) {
            return place;
        }
        let leaf = self.descend(target, 0);
        // Two gets in one leaf give credit. Random gets have none: looking at the leaf of the get
        // before would tie one get to the memory the other waits for (7 % slower).
        let credit = if leaf == place { CREDIT } else { credit.saturating_sub(1) };
        // ORDERING: Release: the node is whole for the thread that holds this token next.
        got.store(credit << 32 | u64::from(leaf.0), Ordering::Release);
        leaf
    }

    /// Whether the node at `place` surely answers for `target`, or did until it was split. `false`
    /// may be wrong.
    #[inline]
    pub(crate) fn holds(&self, place: NodePlace, target: &Target<'_>) -> bool {
        let node = self.arena.node(place);
        let hint = self.hint(node, target);
        let next = node.next();
        // The low entry's hint is 0: its key is the base of the lens.
        hint != 0 && hint < if next.is_none() { u32::MAX } else { next.hint() }
    }

    /// The next node, if the target lies beyond a node with this `next`, under whose lens the
    /// target's hint is `hint`.
    #[inline]
    pub(crate) fn beyond(&self, next: Word, hint: u32, target: &Target<'_>) -> Option<NodePlace> {
        if next.is_none() || hint < next.hint() {
            return None;
        }
        let beyond = hint > next.hint() || self.covers_low(next.node(), target);
        beyond.then_some(next.node())
    }

    /// The hint of `target` under the lens of the node.
    #[inline]
    pub(crate) fn hint(&self, node: &Node, target: &Target<'_>) -> u32 {
        node.lens().hint(target, || match node.sample() {
            Some(record) => self.arena.record(record),
            None => unreachable!("a lens that skips bytes was made of a record"),
        })
    }

    /// Whether the low entry of the node at `place` lies before `target`, or at it.
    pub(crate) fn covers_low(&self, place: NodePlace, target: &Target<'_>) -> bool {
        self.arena.node(place).low().is_none_or(|low| target.covers(self.arena.record(low)))
    }

    /// The child with the greatest low entry that `target` covers, or one to the left of it.
    #[inline]
    pub(crate) fn choose_child(&self, node: &Node, hint: u32, target: &Target<'_>) -> NodePlace {
        let best = node.greatest_below(Word::new(hint, u32::MAX));
        if best.hint() == hint { self.choose_tied(node, hint, target) } else { best.node() }
    }

    /// As [`choose_child`](Self::choose_child), when the hint of a child equals the target's.
    #[cold]
    fn choose_tied(&self, node: &Node, hint: u32, target: &Target<'_>) -> NodePlace {
        let mut best: Option<NodePlace> = None;
        for child in node.tied(hint) {
            let better = best.is_none_or(|best| self.compare_lows(child.node(), best).is_gt());
            if better && self.covers_low(child.node(), target) {
                best = Some(child.node());
            }
        }
        best.unwrap_or_else(|| node.greatest_below(Word::new(hint, 0)).node())
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
    ) -> Option<Record<'_>> {
        loop {
            let node = self.arena.node(place);
            let hint = self.hint(node, target);
            let mut best = None;
            for word in node.tied(hint) {
                best = self.newer(best, word.record(), target);
            }
            let one_key = node.lens().tells_versions();
            if one_key && best.is_none() {
                best = self.find_above(node, hint, target);
            }
            let next = node.next();
            if let Some(next) = self.beyond(next, hint, target) {
                place = next; // split since we came here
                continue;
            }
            if !next.is_none() && (next.hint() == hint || one_key) {
                // Perhaps all live versions here are too new, and `best` is a dead one: the next
                // node begins with the newest of the others.
                let low = self.arena.node(next.node()).low()?;
                best = self.newer(best, low, target);
            }
            return best;
        }
    }

    /// In a node whose hints tell versions: the newest version older than all that share `hint`.
    fn find_above(&self, node: &Node, hint: u32, target: &Target<'_>) -> Option<Record<'_>> {
        let words = (0..SLOTS).map(|rank| node.slot(rank));
        let least = words.filter(|word| !word.is_none() && word.hint() > hint).min()?;
        node.tied(least.hint()).fold(None, |best, word| self.newer(best, word.record(), target))
    }

    /// `best`, or the record, if that is of the target's key and the better answer.
    #[inline]
    fn newer<'a>(
        &'a self,
        best: Option<Record<'a>>,
        place: RecordPlace,
        target: &Target<'_>,
    ) -> Option<Record<'a>> {
        let record = self.arena.record(place);
        let version = record.version();
        let newer = version <= target.version && best.is_none_or(|best| version > best.version());
        if newer && record.key() == target.key { Some(record) } else { best }
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
