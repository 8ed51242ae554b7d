//! What the child of the demo writes: batches that follow from a seed and their number alone.
//!
//! 1. Batch `n` is the same in every process: so the parent knows what the database must hold after
//!    `n` batches without having been told anything but `n`.
//! 2. Every batch sets [`LAST`] to its own number, so that the database itself says which was its
//!    last.

use std::collections::BTreeMap;

use crate::engine::WriteBatch;

/// What a database must hold: the oracle of the demo.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The key whose value is the number of the last batch.
pub(crate) const LAST: &[u8] = b"child/last batch";

/// How many keys the batches write to, over and over.
const KEYS: u64 = 4000;

/// How many operations a batch has at most, besides the one on [`LAST`].
const OPERATIONS_MAX: u64 = 24;

/// Random numbers: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// One write: a value, or `None` for a deletion.
pub(crate) type Write = (Vec<u8>, Option<Vec<u8>>);

/// The writes of batch `number`.
pub(crate) fn batch(seed: u64, number: u64) -> Vec<Write> {
    let mut random = Random::new(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
    let mut writes = vec![(LAST.to_vec(), Some(number.to_string().into_bytes()))];
    for _ in 0..=random.below(OPERATIONS_MAX) {
        let key = format!("child/{:04}", random.below(KEYS)).into_bytes();
        let value = match random.below(5) {
            0 => None,
            _ => Some(value(number, random.below(150))),
        };
        writes.push((key, value));
    }
    writes
}

/// A value that says which batch it is from, `dots` dots long.
fn value(number: u64, dots: u64) -> Vec<u8> {
    let mut value = format!("batch {number} ").into_bytes();
    (0..dots).for_each(|_| value.push(b'.'));
    value
}

/// The writes as the engine takes them.
pub(crate) fn write_batch(writes: &[Write]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, value) in writes {
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        };
    }
    batch
}

/// Does to `records` what the engine must do.
pub(crate) fn apply(writes: Vec<Write>, records: &mut Records) {
    for (key, value) in writes {
        match value {
            Some(value) => records.insert(key, value),
            None => records.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_depends_on_nothing_but_seed_and_number() {
        assert_eq!(batch(7, 42), batch(7, 42));
        assert_ne!(batch(7, 42), batch(7, 43));
        assert_ne!(batch(7, 42), batch(8, 42));
        assert_eq!(batch(7, 42)[0], (LAST.to_vec(), Some(b"42".to_vec())));
    }

    #[test]
    fn batches_put_and_delete() {
        let all: Vec<Write> = (0..100).flat_map(|number| batch(1, number)).collect();
        let deletions = all.iter().filter(|(_, value)| value.is_none()).count();
        assert!(deletions > 100 && deletions < all.len() / 3, "{deletions} of {}", all.len());
    }
}
