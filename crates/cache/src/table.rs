//! Where a key's slot is: buckets of six that readers search without a lock.
//!
//!   bucket  := control: u64 | slot index: u32 * 6            32 bytes, two to a cache line
//!   control := tag: u8 * 6 | entries placed further on: u16   tag 0 = empty way
//!
//! An entry lives in its home bucket, or in the next one with a free way; every full bucket it had
//! to pass counts it, so that a search knows where to stop (the scheme of Bronson and Shi's F14,
//! 2019). Entries never move within a table, so a search never misses an entry that is there
//! throughout.
//!
//! 1. Only the holder of the shard's lock writes.
//! 2. A way whose index is not `NIL` names a slot that is occupied or retired, never a vacant one.
//! 3. The tag is a hint; the index alone is trusted, and publishes the entry.

use crate::lists::NIL;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const WAYS: usize = 6;
const TAGS: u64 = 0x0000_ffff_ffff_ffff;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;
/// One entry placed further on.
const FURTHER: u64 = 1 << 48;

#[derive(Debug)]
#[repr(align(32))]
struct Bucket {
    control: AtomicU64,
    slots: [AtomicU32; WAYS],
}

impl Bucket {
    fn new() -> Self {
        Self { control: AtomicU64::new(0), slots: std::array::from_fn(|_| AtomicU32::new(NIL)) }
    }

    /// The control word, for the writer.
    fn control(&self) -> u64 {
        // ORDERING: Relaxed, only the holder of the lock writes it.
        self.control.load(Ordering::Relaxed)
    }

    fn set_control(&self, control: u64) {
        // ORDERING: Relaxed, a hint. A read that comes after an insertion sees its tag as it sees
        // everything; one at the same time may miss.
        self.control.store(control, Ordering::Relaxed);
    }
}

/// The tags of `control` equal to `tag`, as the high bit of each byte.
#[inline]
fn matches(control: u64, tag: u8) -> u64 {
    let differ = control ^ (LOW_BITS * u64::from(tag));
    let low = !LOW_BITS.rotate_right(1); // all but the high bit of each byte
    !(((differ & low) + low) | differ | low) & TAGS
}

#[inline]
fn way(bits: u64) -> usize {
    (bits.trailing_zeros() / 8) as usize
}

/// Never 0, which means an empty way.
#[inline]
fn tag_of(hash: u32) -> u8 {
    ((hash >> 24) as u8).max(1)
}

/// A table of a fixed number of buckets.
#[derive(Debug)]
pub(crate) struct Table {
    buckets: Box<[Bucket]>,
}

impl Table {
    /// A table that holds at least `entries` entries with a fifth of its ways to spare.
    pub(crate) fn for_entries(entries: usize) -> Self {
        let buckets = (entries * 5 / 4 / WAYS + 1).next_power_of_two();
        Self { buckets: (0..buckets).map(|_| Bucket::new()).collect() }
    }

    /// How many entries it should hold at most.
    pub(crate) fn entries_max(&self) -> usize {
        self.buckets.len() * WAYS / 5 * 4 + 1
    }

    pub(crate) fn memory_usage(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// The first answer of `look` to an index whose hash may be `hash`.
    #[inline]
    pub(crate) fn find<R>(&self, hash: u32, mut look: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let mask = self.buckets.len() - 1;
        let tag = tag_of(hash);
        let mut at = hash as usize & mask;
        let mut left = self.buckets.len();
        while left > 0 {
            let bucket = &self.buckets[at];
            // ORDERING: Relaxed, a hint; see `set_control`.
            let control = bucket.control.load(Ordering::Relaxed);
            let mut bits = matches(control, tag);
            while bits != 0 {
                // ORDERING: Acquire sees the entry written before the Release in `place`.
                let index = bucket.slots[way(bits)].load(Ordering::Acquire);
                if index != NIL
                    && let Some(found) = look(index)
                {
                    return Some(found);
                }
                bits &= bits - 1;
            }
            if control < FURTHER {
                return None;
            }
            at = (at + 1) & mask;
            left -= 1;
        }
        None
    }

    /// Adds `index`. There must be a free way.
    pub(crate) fn insert(&self, hash: u32, index: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        for _ in 0..=mask {
            let bucket = &self.buckets[at];
            let control = bucket.control();
            let empty = matches(control, 0);
            if empty != 0 {
                let way = way(empty);
                bucket.place(way, index);
                bucket.set_control(control | u64::from(tag_of(hash)) << (8 * way));
                return;
            }
            // A full count stays full: searches go on a little longer than they need to.
            bucket.set_control(control.checked_add(FURTHER).unwrap_or(control));
            at = (at + 1) & mask;
        }
        panic!("a table is grown before it is full");
    }

    /// Removes `index`, which must be there.
    pub(crate) fn remove(&self, hash: u32, index: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        for _ in 0..=mask {
            let bucket = &self.buckets[at];
            let control = bucket.control();
            if let Some(way) = bucket.way_of(index) {
                bucket.set_control(control & !(0xff << (8 * way)));
                bucket.place(way, NIL);
                return;
            }
            let full = control >> 48 == u64::from(u16::MAX);
            bucket.set_control(if full { control } else { control - FURTHER });
            at = (at + 1) & mask;
        }
        panic!("what is removed was in the table");
    }

    /// Puts `new` where `old` is, with no moment in which neither is there.
    pub(crate) fn replace(&self, hash: u32, old: u32, new: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        for _ in 0..=mask {
            let bucket = &self.buckets[at];
            if let Some(way) = bucket.way_of(old) {
                bucket.place(way, new);
                return;
            }
            at = (at + 1) & mask;
        }
        panic!("what is replaced was in the table");
    }

    /// Every index, for the writer.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = u32> + '_ {
        self.buckets.iter().flat_map(|bucket| {
            let indexes = bucket.slots.iter().map(|slot| {
                // ORDERING: Relaxed, only the holder of the lock writes it.
                slot.load(Ordering::Relaxed)
            });
            indexes.filter(|&index| index != NIL)
        })
    }

    /// Checks that the tags agree with the indexes.
    /// # Panics
    /// If they do not.
    pub(crate) fn validate(&self) {
        for bucket in &self.buckets {
            for (way, slot) in bucket.slots.iter().enumerate() {
                // ORDERING: Relaxed, only the holder of the lock writes it.
                let used = slot.load(Ordering::Relaxed) != NIL;
                let tag = bucket.control() >> (8 * way) & 0xff;
                assert_eq!(used, tag != 0, "a way has a tag exactly when it has an index");
            }
        }
    }
}

impl Bucket {
    fn place(&self, way: usize, index: u32) {
        // ORDERING: Release publishes the entry of a new index to the Acquire in `Table::find`.
        self.slots[way].store(index, Ordering::Release);
    }

    /// Where `index` is in this bucket.
    fn way_of(&self, index: u32) -> Option<usize> {
        // ORDERING: Relaxed, only the holder of the lock writes it.
        self.slots.iter().position(|slot| slot.load(Ordering::Relaxed) == index)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Table, matches};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use std::collections::HashMap;

    #[test]
    fn matches_agrees_with_a_loop_over_the_bytes() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..20_000 {
            let bytes: [u8; 8] = std::array::from_fn(|_| rng.random_range(0..4) * 85);
            let tag = rng.random_range(0..4_u8) * 85;
            let expected = (0..6).filter(|&i| bytes[i] == tag).map(|i| 0x80_u64 << (8 * i)).sum();
            assert_eq!(matches(u64::from_le_bytes(bytes), tag), expected);
        }
    }

    /// Against a map from index to hash, with hashes of `spread` different values: few of them make
    /// long runs of full buckets.
    fn against_a_map(spread: u32, steps: usize) {
        let mut rng = StdRng::seed_from_u64(u64::from(spread));
        let table = Table::for_entries(300);
        let mut map: HashMap<u32, u32> = HashMap::new();
        for step in 0..steps {
            let index = rng.random_range(0..300_u32);
            if let Some(&hash) = map.get(&index) {
                assert_eq!(
                    table.find(hash, |found| (found == index).then_some(found)),
                    Some(index)
                );
                if rng.random_bool(0.3) {
                    table.replace(hash, index, 1000 + index);
                    assert_eq!(table.find(hash, |found| (found == index).then_some(found)), None);
                    table.replace(hash, 1000 + index, index);
                } else {
                    table.remove(hash, index);
                    map.remove(&index);
                }
            } else {
                let hash = rng.random_range(0..spread).wrapping_mul(0x9e37_79b1);
                assert_eq!(table.find(hash, |found| (found == index).then_some(found)), None);
                table.insert(hash, index);
                map.insert(index, hash);
            }
            if step % 100 == 0 {
                table.validate();
                let mut indexes: Vec<u32> = table.indexes().collect();
                let mut expected: Vec<u32> = map.keys().copied().collect();
                indexes.sort_unstable();
                expected.sort_unstable();
                assert_eq!(indexes, expected);
            }
        }
        for (index, hash) in map {
            table.remove(hash, index);
        }
        assert!(table.buckets.iter().all(|b| b.control() == 0), "nothing is left behind");
    }

    #[test]
    fn finds_what_a_map_finds() {
        against_a_map(u32::MAX, 20_000);
        against_a_map(17, 20_000);
        against_a_map(1, 5_000);
    }
}
