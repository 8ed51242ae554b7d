//! Batches: many searches at once, so that their cache misses overlap.
//!
//! One search waits for memory at every level below the cached ones, and at the record. Here a
//! group of searches goes down side by side: each step asks for the line that search needs next,
//! and by the time its turn comes again the line is there.

use crate::error::{BatchStopped, InsertError};
use crate::insert::Path;
use crate::key::Target;
use crate::list::SkipList;
use crate::node::NodePlace;
use crate::record::{Entry, Record};
use crate::sync::prefetch;
use crate::token;

/// Searches side by side: about as many lines as a core fetches at a time.
pub(crate) const LANES: usize = 16;

/// The search of one insert of a group.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) place: NodePlace,
    pub(crate) path: Path,
}

/// Brings the first bytes of a key nearer: the caller's keys may be as cold as the list.
fn prefetch_key<K: AsRef<[u8]>>(key: &K) {
    prefetch(key.as_ref().as_ptr());
}

impl SkipList {
    /// The newest version at or before `at` of each of `keys`, in their order. Same as a
    /// [`get`](Self::get) each, and faster by the cache misses that overlap.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K], at: u64) -> Vec<Option<Entry<'_>>> {
        self.find_all(keys, at, Record::entry)
    }

    /// As [`get_many`](Self::get_many), each answer made into what is wanted.
    pub(crate) fn find_all<'a, K: AsRef<[u8]>, T>(
        &'a self,
        keys: &[K],
        at: u64,
        make: impl Fn(Record<'a>) -> T,
    ) -> Vec<Option<T>> {
        let mut found = Vec::with_capacity(keys.len());
        let mut lanes = [const { (Target::end(), NodePlace(0)) }; LANES];
        let mut to_come = keys.iter();
        to_come.by_ref().take(LANES).for_each(prefetch_key);
        for group in keys.chunks(LANES) {
            let lanes = &mut lanes[..group.len()];
            let root = self.root();
            for (lane, key) in lanes.iter_mut().zip(group) {
                *lane = (Target::at(key.as_ref(), at), root);
            }
            to_come.by_ref().take(LANES).for_each(prefetch_key);
            self.descend_together(lanes);
            for (target, leaf) in lanes.iter() {
                self.prefetch_record(*leaf, target);
            }
            let find = |(target, leaf): &(Target<'_>, NodePlace)| self.find_in_leaf(*leaf, target);
            found.extend(lanes.iter().map(|lane| find(lane).map(&make)));
        }
        found
    }

    /// Moves each search from the root to its leaf. Searches that stay behind (a node was split)
    /// catch up by themselves: see [`find_in_leaf`](Self::find_in_leaf).
    fn descend_together(&self, lanes: &mut [(Target<'_>, NodePlace)]) {
        let mut is_done = lanes.is_empty();
        while !is_done {
            is_done = true;
            for (target, place) in lanes.iter_mut() {
                let node = self.arena.node(*place);
                if node.level() == 0 {
                    continue;
                }
                let hint = self.hint(node, target);
                let child = self.choose_child(node, hint, target);
                *place = self.beyond(node.next(), hint, target).unwrap_or(child);
                self.arena.prefetch_node(*place);
                is_done = false;
            }
        }
    }

    /// Adds entries in their order; other threads may see some before the others. Same as an
    /// [`insert`](Self::insert) each, and faster.
    ///
    /// # Errors
    /// [`BatchStopped`] at the first entry that is refused, for the reasons of `insert`.
    pub fn insert_batch(&self, entries: &[Entry<'_>]) -> Result<(), BatchStopped> {
        let token = token::current();
        let shard = token % self.fingers.len();
        let stopped = |inserted| move |error| BatchStopped { inserted, error };
        let pass = self.gate.enter(token).ok_or(InsertError::Sealed);
        let mut pass = pass.map_err(stopped(0))?;
        let mut inserted = 0;
        for group in entries.chunks(LANES) {
            let targets = group.iter().map(|entry| Target::at(entry.key, entry.version));
            let mut lanes = self.descend_all(shard, targets);
            for (lane, entry) in lanes.iter_mut().zip(group) {
                let done = self.insert_from(lane.place, &lane.target, entry.value, &mut lane.path);
                done.map_err(stopped(inserted))?;
                pass.count(entry.key.len(), entry.value.len());
                inserted += 1;
            }
        }
        Ok(())
    }

    /// As [`descend_together`](Self::descend_together), for at most [`LANES`] inserts.
    pub(crate) fn descend_all<'a>(
        &self,
        shard: usize,
        targets: impl Iterator<Item = Target<'a>>,
    ) -> Vec<Lane<'a>> {
        let root = self.root();
        let lane = |target| Lane { target, place: root, path: Path::new(shard) };
        let mut lanes: Vec<Lane<'a>> = targets.map(lane).collect();
        let mut running = (1_u32 << lanes.len()) - 1;
        while running != 0 {
            let mut ranks = running;
            while ranks != 0 {
                let rank = ranks.trailing_zeros();
                ranks &= ranks - 1;
                let Lane { target, place, path } = &mut lanes[rank as usize];
                if self.step_down(place, target, path) {
                    running &= !(1 << rank);
                }
            }
        }
        lanes
    }

    /// Brings nearer what `find_in_leaf` will read.
    #[inline]
    pub(crate) fn prefetch_record(&self, leaf: NodePlace, target: &Target<'_>) {
        let node = self.arena.node(leaf);
        let ranks = node.tied_ranks(self.hint(node, target));
        if ranks != 0 {
            let word = node.slot(ranks.trailing_zeros() as usize);
            let start = self.arena.address(word.place());
            prefetch(start);
            prefetch(start.wrapping_add(64));
            prefetch(start.wrapping_add(128));
        }
    }
}
