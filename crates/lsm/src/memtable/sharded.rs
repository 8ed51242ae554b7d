//! A memtable of B-trees behind a lock each; the XXH3 hash of a key says in which it is.
//!
//! 1. All versions of a key are in one shard, so a point read asks one.
//! 2. Each shard keeps its smallest and largest key under its own lock: a read outside that range
//!    ends there, and the range of all is the union. (The CS265 report of 2025 keeps one range
//!    under one lock, where all writers meet.)
//! 3. No lock is held while a caller's code runs.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;
use sstable::{Merge, Trailer};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

use super::entry::{Chunks, Copied, Entry, From, Probe, Stored, Versioned};
use super::kind::Placement;

/// Points that each shard has on the ring. More spread better and take longer to search; with 128
/// the largest of 16 shards has about a quarter more than its share.
const VIRTUAL_NODES: u16 = 128;

/// Which shard a key is in. Made once for all memtables of a database.
#[derive(Debug, Clone)]
pub(crate) enum Placed {
    Modulo {
        shards: u16,
    },
    /// Points on the ring, ascending, each with its shard.
    Ring {
        shards: u16,
        points: Arc<[(u128, u16)]>,
    },
}

impl Placed {
    pub(super) fn new(shards: u16, placement: Placement) -> Self {
        match placement {
            Placement::Modulo => Self::Modulo { shards },
            Placement::Ring => {
                let nodes = |shard| (0..VIRTUAL_NODES).map(move |node| (point(shard, node), shard));
                let mut points: Vec<_> = (0..shards).flat_map(nodes).collect();
                points.sort_unstable();
                Self::Ring { shards, points: points.into() }
            }
        }
    }

    pub(super) fn shards(&self) -> u16 {
        match self {
            Self::Modulo { shards } | Self::Ring { shards, .. } => *shards,
        }
    }

    /// The shard of `key`.
    pub(super) fn shard(&self, key: &[u8]) -> usize {
        match self {
            Self::Modulo { shards } => {
                usize::try_from(xxh3_64(key) % u64::from(*shards)).expect("shards are few")
            }
            Self::Ring { points, .. } => {
                let hash = xxh3_128(key);
                let rank = points.partition_point(|(point, _)| *point < hash);
                // Behind the last point comes the first.
                let (_, shard) = points.get(rank).unwrap_or(&points[0]);
                usize::from(*shard)
            }
        }
    }
}

/// Where a virtual node is on the ring; depends on nothing but the two numbers.
fn point(shard: u16, node: u16) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.write(&shard.to_le_bytes());
    hasher.write(&node.to_le_bytes());
    hasher.digest128()
}

/// The shards.
#[derive(Debug)]
pub(crate) struct Table {
    placed: Placed,
    shards: Vec<Arc<Shard>>,
}

/// One B-tree. On cache lines of its own, so that locks do not share one.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Shard {
    held: RwLock<Held>,
}

/// A smallest and a largest key.
type KeyRange = (Arc<[u8]>, Arc<[u8]>);

#[derive(Debug, Default)]
struct Held {
    map: BTreeMap<Stored, Arc<[u8]>>,
    /// The smallest and the largest key, if there is any.
    range: Option<KeyRange>,
    /// Bytes of keys and values.
    data_bytes: usize,
}

impl Held {
    fn include(&mut self, key: &Arc<[u8]>) {
        match &mut self.range {
            None => self.range = Some((Arc::clone(key), Arc::clone(key))),
            Some((smallest, _)) if key < smallest => *smallest = Arc::clone(key),
            Some((_, largest)) if key > largest => *largest = Arc::clone(key),
            Some(_) => {}
        }
    }
}

impl Table {
    pub(super) fn new(placed: &Placed) -> Self {
        let shards = (0..placed.shards()).map(|_| Arc::default()).collect();
        Self { placed: placed.clone(), shards }
    }

    /// Inserts an entry; no two have the same key and version.
    pub(super) fn insert(&self, key: &[u8], version: u64, value: &[u8]) {
        let (stored, kept): (Arc<[u8]>, Arc<[u8]>) = (key.into(), value.into());
        let mut held = self.shards[self.placed.shard(key)].held.write();
        held.include(&stored);
        held.data_bytes += key.len() + value.len();
        held.map.insert(Stored { key: stored, version }, kept);
    }

    /// The newest version of `key` at or before `version`.
    pub(super) fn get(&self, key: &[u8], version: u64) -> Option<(Trailer, Arc<[u8]>)> {
        let held = self.shards[self.placed.shard(key)].held.read();
        let (smallest, largest) = held.range.as_ref()?;
        if key < &**smallest || key > &**largest {
            return None;
        }
        let probe: &dyn Versioned = &Probe(key, version);
        let from = (Bound::Included(probe), Bound::Unbounded);
        let (stored, value) = held.map.range::<dyn Versioned + '_, _>(from).next()?;
        (*stored.key == *key).then(|| (Trailer::from_raw(stored.version), Arc::clone(value)))
    }

    pub(super) fn cursor(&self) -> Merge<Chunks<Shard>> {
        Merge::new(self.shards.iter().map(|shard| Chunks::new(Arc::clone(shard))).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.held.read().map.len()).sum()
    }

    pub(super) fn data_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.held.read().data_bytes).sum()
    }

    /// The smallest and the largest key.
    pub(super) fn key_range(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let ranges = || self.shards.iter().filter_map(|shard| shard.held.read().range.clone());
        let smallest = ranges().map(|(smallest, _)| smallest).min()?;
        let largest = ranges().map(|(_, largest)| largest).max()?;
        Some((smallest.to_vec(), largest.to_vec()))
    }
}

fn copy((stored, value): (&Stored, &Arc<[u8]>)) -> Entry {
    (stored.clone(), Arc::clone(value))
}

impl Copied for Shard {
    fn ascending(&self, from: From<'_>, count: usize, out: &mut Vec<Entry>) {
        let held = self.held.read();
        let entries = held.map.range::<dyn Versioned + '_, _>((from, Bound::Unbounded));
        out.extend(entries.take(count).map(copy));
    }

    fn descending(&self, from: From<'_>, count: usize, out: &mut Vec<Entry>) {
        let held = self.held.read();
        let entries = held.map.range::<dyn Versioned + '_, _>((Bound::Unbounded, from));
        out.extend(entries.rev().take(count).map(copy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(placed: &Placed, keys: u32) -> Vec<u32> {
        let mut counts = vec![0; usize::from(placed.shards())];
        for n in 0..keys {
            counts[placed.shard(&n.to_le_bytes())] += 1;
        }
        counts
    }

    #[test]
    fn modulo_spreads_evenly_and_the_ring_within_its_bounds() {
        let share = 160_000 / 16;
        for count in counts(&Placed::new(16, Placement::Modulo), 160_000) {
            assert!(count.abs_diff(share) < share / 20, "{count}");
        }
        for count in counts(&Placed::new(16, Placement::Ring), 160_000) {
            assert!(count.abs_diff(share) < share * 2 / 5, "{count}");
        }
    }

    #[test]
    fn a_new_shard_on_the_ring_takes_its_share_and_moves_nothing_else() {
        let (before, after) = (Placed::new(16, Placement::Ring), Placed::new(17, Placement::Ring));
        let mut moved = 0;
        for n in 0..100_000u32 {
            let key = n.to_le_bytes();
            if before.shard(&key) != after.shard(&key) {
                assert_eq!(after.shard(&key), 16, "only the new shard takes keys");
                moved += 1;
            }
        }
        assert!((3_000..9_000).contains(&moved), "about a seventeenth of 100,000, not {moved}");
    }
}
