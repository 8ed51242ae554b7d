//! Building a filter from keys or their hashes.

use crate::format::{HEADER_BYTES, Shape};
use crate::{Kind, hash_key, probe};

/// More bits a key than this gain nothing and are not spent.
const BITS_PER_KEY_MAX: f64 = 64.0;

/// Collects keys, then builds a filter of just the right size.
///
/// Holds 8 bytes a key until [`finish`](Self::finish). A key equal to the one added last is dropped,
/// so that the versions of one key, added in a row, count once.
#[derive(Clone, Debug)]
pub struct Builder {
    kind: Kind,
    bits_per_key: f64,
    hashes: Vec<u64>,
}

impl Builder {
    /// Starts a filter of `kind` that spends `bits_per_key` bits on each key.
    ///
    /// A budget that is zero, negative or not a number gives a filter without bits, which says
    /// *maybe* to every key as soon as it holds one; a budget over 64 counts as 64.
    #[must_use]
    pub fn new(kind: Kind, bits_per_key: f64) -> Self {
        Self { kind, bits_per_key, hashes: Vec::new() }
    }

    /// Adds `key`.
    pub fn add(&mut self, key: &[u8]) {
        self.add_hash(hash_key(key));
    }

    /// Adds the key whose [`hash_key`] is `hash`.
    pub fn add_hash(&mut self, hash: u64) {
        if self.hashes.last() != Some(&hash) {
            self.hashes.push(hash);
        }
    }

    /// Returns how many keys were added, repetitions in a row not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Returns whether no key was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Returns the bytes that this builder holds.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
    }

    /// Builds the filter and returns its bytes, header and checksum included.
    ///
    /// # Panics
    /// If the filter is larger than the address space.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        build(self.kind, self.bits_per_key, &self.hashes)
    }
}

/// Builds a filter over `hashes` and returns its bytes; see [`Builder`] for the rules.
///
/// # Panics
/// If the filter is larger than the address space.
#[must_use]
pub fn build(kind: Kind, bits_per_key: f64, hashes: &[u64]) -> Vec<u8> {
    let shape = plan(kind, bits_per_key, hashes.len() as u64);
    // At most 64 bits for each of the hashes in memory, and a line.
    let body_bytes = usize::try_from(shape.body_bytes()).expect("a filter fits the address space");
    let mut bytes = vec![0; HEADER_BYTES + body_bytes];
    if shape.units != 0 {
        let (_, body) = bytes.split_at_mut(HEADER_BYTES);
        let (lines, _) = body.as_chunks_mut::<{ probe::LINE_BYTES }>();
        for &hash in hashes {
            let line = &mut lines[probe::line_of(hash, shape.units)];
            probe::double_insert(line, hash, shape.probes);
        }
    }
    shape.seal(&mut bytes);
    bytes
}

/// Chooses size and probes for `keys` keys.
fn plan(kind: Kind, bits_per_key: f64, keys: u64) -> Shape {
    if keys == 0 || bits_per_key.is_nan() || bits_per_key <= 0.0 {
        return Shape::bare(kind, keys);
    }
    let bits_per_key = bits_per_key.min(BITS_PER_KEY_MAX);
    let bits = keys as f64 * bits_per_key;
    let units = (bits / (8 * probe::LINE_BYTES) as f64).ceil().clamp(1.0, f64::from(u32::MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
    let units = units as u32;
    Shape { probes: double_probes(bits_per_key), units, ..Shape::bare(kind, keys) }
}

/// The number of probes with the lowest rate, by measurement.
fn double_probes(bits_per_key: f64) -> u8 {
    match bits_per_key {
        ..4.2 => 1,
        ..7.3 => 2,
        ..11.3 => 3,
        ..14.9 => 4,
        ..19.5 => 5,
        ..26.0 => 6,
        ..34.0 => 7,
        _ => 8,
    }
}
