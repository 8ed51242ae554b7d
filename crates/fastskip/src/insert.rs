//! Inserting: a slot in a leaf, splits, and links to new nodes in the levels above.

use crate::error::InsertError;
use crate::key::{Lens, Target, compare};
use crate::list::SkipList;
use crate::node::{NewNode, Node, NodePlace, SLOTS, Word};
use crate::record::{Entry, Record, RecordPlace};
use crate::search::sort_ties;
use crate::sync::Ordering;
use crate::token;

/// Levels a list can have: nodes are at least half full, 14 links, so this is beyond any arena.
const LEVELS_MAX: usize = 16;

/// What an insert carries along: its shard, and the nodes its search came through, by level.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) shard: usize,
    /// The first stamp of the record, if records have stamps.
    pub(crate) stamp: u32,
    nodes: [u32; LEVELS_MAX],
    /// A node that was found by a `next` link, not from above: it may not be linked there yet.
    unlinked: Option<NodePlace>,
}

/// A node without free slots, as read.
#[derive(Debug)]
struct Full {
    place: NodePlace,
    level: u8,
    next: Word,
    words: [Word; SLOTS],
}

/// What [`SkipList::add_word`] found or did.
enum Added {
    Done(NodePlace),
    Duplicate,
}

/// The ranks in a set.
fn ranks_of(mut ranks: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let rank = ranks.trailing_zeros() as usize;
        ranks &= ranks.wrapping_sub(1);
        (rank < SLOTS).then_some(rank)
    })
}

/// The words of a set of slots.
fn words_of(node: &Node, ranks: u32) -> impl Iterator<Item = Word> {
    ranks_of(ranks).map(|rank| node.slot(rank))
}

impl Path {
    pub(crate) fn new(shard: usize) -> Self {
        Self { shard, stamp: 0, nodes: [0; LEVELS_MAX], unlinked: None }
    }
}

impl SkipList {
    /// Adds an entry. Key and value are copied.
    ///
    /// # Errors
    /// [`InsertError::Sealed`] after [`seal`](Self::seal); [`InsertError::Duplicate`] if the list
    /// holds this key at this version; [`InsertError::OutOfMemory`] if the arena is full;
    /// [`InsertError::TooLarge`] for a key or value beyond 4 GiB - 1.
    pub fn insert(&self, key: &[u8], version: u64, value: &[u8]) -> Result<(), InsertError> {
        let token = token::current();
        let shard = token % self.fingers.len();
        let mut pass = self.gate.enter(token).ok_or(InsertError::Sealed)?;
        let target = Target::at(key, version);
        let mut path = Path::new(shard);
        let start = self.start_of_insert(&target, &mut path);
        self.insert_from(start, &target, value, &mut path)?;
        pass.count(key.len(), value.len());
        Ok(())
    }

    /// Adds an entry whose leaf is at `start` or to the right of it, and tells where it is.
    pub(crate) fn insert_from(
        &self,
        start: NodePlace,
        target: &Target<'_>,
        value: &[u8],
        path: &mut Path,
    ) -> Result<RecordPlace, InsertError> {
        let (shard, stamp) = (path.shard, path.stamp);
        let entry = Entry { key: target.key, version: target.version, value };
        let mut record: Option<RecordPlace> = None;
        let make = || {
            let place = match record {
                Some(place) => place,
                None => self.arena.add_record(shard, stamp, entry)?,
            };
            record = Some(place);
            Ok(place.0)
        };
        let added = self.add_word(start, target, make, path);
        let (leaf, place) = match (added, record) {
            (Ok(Added::Done(leaf)), Some(place)) => (leaf, place),
            (refused, made) => {
                if let Some(place) = made {
                    self.arena.take_record_back(shard, place, entry.key, value);
                }
                return refused.and(Err(InsertError::Duplicate));
            }
        };
        // ORDERING: Release: the leaf is whole for who starts from it; pairs with the Acquire in
        // `start_of_insert`.
        self.fingers[shard].0.inserted.store(leaf.0, Ordering::Release);
        if let Some(node) = path.unlinked.take() {
            // Losing a link costs time only: the entry itself is in.
            let _linked = self.link(node, path).is_ok();
        }
        Ok(place)
    }

    /// As [`descend`](Self::descend) to level 0, and remembers the way.
    fn descend_along(&self, target: &Target<'_>, path: &mut Path) -> NodePlace {
        let mut place = self.root();
        while !self.step_down(&mut place, target, path) {}
        place
    }

    /// One step of a descent: down, or to the right. Whether `place` is the leaf.
    #[inline]
    pub(crate) fn step_down(
        &self,
        place: &mut NodePlace,
        target: &Target<'_>,
        path: &mut Path,
    ) -> bool {
        let node = self.arena.node(*place);
        let hint = self.hint(node, target);
        if let Some(next) = self.beyond(node.next(), hint, target) {
            path.unlinked = Some(next);
            *place = next;
            return false;
        }
        path.nodes[usize::from(node.level())] = place.0;
        if node.level() == 0 {
            return true;
        }
        *place = self.choose_child(node, hint, target);
        self.arena.prefetch_node(*place);
        false
    }

    /// Where to begin: at the shard's finger if the target is there, else down from the root.
    pub(crate) fn start_of_insert(&self, target: &Target<'_>, path: &mut Path) -> NodePlace {
        // ORDERING: Acquire: the node is whole; pairs with the Release in `insert_from`.
        let finger = NodePlace(self.fingers[path.shard].0.inserted.load(Ordering::Acquire));
        if self.holds(finger, target) { finger } else { self.descend_along(target, path) }
    }

    /// Puts a link into the node that answers for `target`, from `place` on to the right. `make`
    /// gives the place to link; it is called when there is room for it, maybe several times.
    fn add_word(
        &self,
        mut place: NodePlace,
        target: &Target<'_>,
        mut make: impl FnMut() -> Result<u32, InsertError>,
        path: &mut Path,
    ) -> Result<Added, InsertError> {
        loop {
            let node = self.arena.node(place);
            let next = node.next();
            let hint = self.hint(node, target);
            if let Some(next) = self.beyond(next, hint, target) {
                place = next;
                continue;
            }
            let level = node.level();
            let ranks = node.ranks(hint, next);
            for word in words_of(node, ranks.tied) {
                if word.hint() == hint && self.is_link_of(word, target, level) {
                    return Ok(Added::Duplicate);
                }
            }
            let mut free = ranks.empty | ranks.dead;
            for rank in ranks_of(ranks.at_end) {
                let word = node.slot(rank);
                if self.is_dead(word, next, level) {
                    free |= 1 << rank;
                } else if word.hint() == hint && self.is_link_of(word, target, level) {
                    // Dead at the scan, and filled since with this very key.
                    return Ok(Added::Duplicate);
                }
            }
            if free == 0 {
                let words = std::array::from_fn(|rank| node.slot(rank));
                self.split(Full { place, level, next, words }, target, path)?;
                continue;
            }
            let rank = free.trailing_zeros() as usize;
            let word = node.slot(rank);
            // Filled since? Then look again.
            let is_free = word.is_none() || self.is_dead(word, next, level);
            if is_free && node.fill(rank, word, Word::new(hint, make()?)) {
                return Ok(Added::Done(place));
            }
        }
    }

    /// Whether a link of a node of `level` leads to the target's entry.
    fn is_link_of(&self, word: Word, target: &Target<'_>, level: u8) -> bool {
        self.low_of(word, level).is_some_and(|record| {
            compare(target.key, target.version, self.arena.record(record)).is_eq()
        })
    }

    /// The low entry behind a link of a node of `level`.
    fn low_of(&self, word: Word, level: u8) -> Option<RecordPlace> {
        match level {
            0 => Some(word.record()),
            _ => self.arena.node(word.node()).low(),
        }
    }

    /// Moves the upper part of a node to a new one. Returns without that if somebody else was
    /// faster.
    fn split(
        &self,
        mut full: Full,
        target: &Target<'_>,
        path: &mut Path,
    ) -> Result<(), InsertError> {
        let Full { place, level, next, .. } = full;
        let node = self.arena.node(place);
        // Links in ascending order, and the target behind them: they come in order, so leave this
        // node full and begin a new one; half-empty nodes would never be filled.
        let in_order = full.words.is_sorted_by(|a, b| a.hint() < b.hint());
        full.words.sort_unstable();
        sort_ties(&mut full.words, |a, b| match level {
            0 => self.compare_records(a.record(), b.record()),
            _ => self.compare_lows(a.node(), b.node()),
        });
        let ascending = in_order && self.hint(node, target) > full.words[SLOTS - 1].hint();
        let middle = if ascending { SLOTS - 1 } else { SLOTS / 2 };
        let Some(low) = self.low_of(full.words[middle], level) else {
            unreachable!("only the first link of a level has no low entry")
        };
        let new = self.add_upper_node(path.shard, &full, middle, low)?;
        let low = self.arena.record(low);
        let hint = self.hint(node, &Target::at(low.key(), low.version()));
        if !node.set_next(next, Word::new(hint, new.0)) {
            self.arena.take_node_back(path.shard, new);
            return Ok(());
        }
        self.link(new, path)
    }

    /// Writes the node that takes over the links of `full`, sorted, from `middle` on; their low
    /// entry is `low`.
    fn add_upper_node(
        &self,
        shard: usize,
        full: &Full,
        middle: usize,
        low: RecordPlace,
    ) -> Result<NodePlace, InsertError> {
        let &Full { level, next, ref words, .. } = full;
        let low_record = self.arena.record(low);
        let next_low = (!next.is_none()).then(|| self.arena.node(next.node()).low()).flatten();
        let end = next_low.map(|end| self.arena.record(end));
        // One link says nothing about the keys to come; the links before it do.
        let sample = if middle == SLOTS - 1 { words[1] } else { words[SLOTS - 1] };
        let sample = self.low_of(sample, level).unwrap_or(low);
        let lens = match end {
            Some(end) => Lens::between(low_record, end),
            None => Lens::guess(low_record, self.arena.record(sample)),
        };
        let hint = |record: Record<'_>| {
            lens.hint(&Target::at(record.key(), record.version()), || low_record)
        };
        let mut upper = [Word::NONE; SLOTS];
        for (to, from) in upper.iter_mut().zip(&words[middle..]) {
            let low = self.low_of(*from, level).unwrap_or(low);
            *to = Word::new(hint(self.arena.record(low)), from.place());
        }
        let next = end.map_or(Word::NONE, |end| Word::new(hint(end), next.place()));
        let words = &upper[..SLOTS - middle];
        let low = Some(low);
        self.arena.add_node(shard, &NewNode { level, lens, low, first: false, next, words })
    }

    /// Links the node one level up, if it is not linked there yet.
    fn link(&self, child: NodePlace, path: &mut Path) -> Result<(), InsertError> {
        let node = self.arena.node(child);
        let Some(low) = node.low() else { return Ok(()) };
        let low = self.arena.record(low);
        let target = Target::at(low.key(), low.version());
        let level = node.level() + 1;
        let start = loop {
            let root = self.root();
            if self.arena.node(root).level() < level {
                if self.grow(path.shard, root, child)? {
                    return Ok(());
                }
                continue;
            }
            match path.nodes[usize::from(level)] {
                0 => break self.descend(&target, level),
                known => break NodePlace(known),
            }
        };
        self.add_word(start, &target, || Ok(child.0), path).map(drop)
    }

    /// Puts a new root on top of `root`, with links to it and to `child`, its sibling.
    fn grow(&self, shard: usize, root: NodePlace, child: NodePlace) -> Result<bool, InsertError> {
        let Some(low) = self.arena.node(child).low() else { return Ok(false) };
        let record = self.arena.record(low);
        let lens = self.root_lens(root, child);
        let target = Target::at(record.key(), record.version());
        let hint = lens.0.hint(&target, || self.arena.record(lens.1));
        let words = [Word::new(0, root.0), Word::new(hint, child.0)];
        let level = self.arena.node(root).level() + 1;
        let (low, next) = (Some(lens.1), Word::NONE);
        let new = NewNode { level, lens: lens.0, low, first: true, next, words: &words };
        let new = self.arena.add_node(shard, &new)?;
        // ORDERING: Release publishes the node; pairs with the Acquire in `root`.
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        let grown = self.root.compare_exchange(root.0, new.0, success, failure).is_ok();
        if !grown {
            self.arena.take_node_back(shard, new);
        }
        Ok(grown)
    }

    /// The lens of a root above two siblings, and the record it is made of: what the keys so far
    /// cover is the best guess at what the keys to come cover.
    fn root_lens(&self, left: NodePlace, right: NodePlace) -> (Lens, RecordPlace) {
        let records = [left, right].into_iter().flat_map(|place| {
            let node = self.arena.node(place);
            let words = (0..SLOTS).map(|rank| node.slot(rank)).filter(|word| !word.is_none());
            words.filter_map(|word| self.low_of(word, node.level()))
        });
        let edges = records.fold(None, |edges, record| match edges {
            None => Some((record, record)),
            Some((least, _)) if self.compare_records(record, least).is_lt() => {
                edges.map(|(_, greatest)| (record, greatest))
            }
            Some((least, greatest)) if self.compare_records(record, greatest).is_gt() => {
                Some((least, record))
            }
            _ => edges,
        });
        let Some((least, greatest)) = edges else {
            unreachable!("a node that was split has links")
        };
        (Lens::guess(self.arena.record(least), self.arena.record(greatest)), least)
    }
}
