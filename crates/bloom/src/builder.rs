//! Building a filter from keys or their hashes.

use crate::format::{HEADER_BYTES, Shape};
use crate::probe::LINE_BYTES;
use crate::simd::Isa;
use crate::{Filter, Kind, PrefixRule, format, hash_key, hash_prefix, ribbon, sizing};

/// More bits a key than this gain nothing and are not spent.
const BITS_PER_KEY_MAX: f64 = 64.0;

/// Collects keys, then builds a filter of just the right size.
///
/// Holds 8 bytes a key until [`finish`](Self::finish). A key equal to the one added last is
/// dropped, so that the versions of one key, added in a row, count once.
#[derive(Clone, Debug)]
pub struct Builder {
    kind: Kind,
    bits_per_key: f64,
    hashes: Vec<u64>,
    prefixes: Option<PrefixRule>,
    last_prefix: Option<u64>,
}

impl Builder {
    /// Starts a filter of `kind` that spends `bits_per_key` bits on each key.
    ///
    /// A budget that is zero, negative or not a number gives a filter without bits, which says
    /// *maybe* to every key as soon as it holds one; a budget over 64 counts as 64.
    #[must_use]
    pub fn new(kind: Kind, bits_per_key: f64) -> Self {
        Self { kind, bits_per_key, hashes: Vec::new(), prefixes: None, last_prefix: None }
    }

    /// Also adds the prefix, by `rule`, of every key that is added with [`add`](Self::add) from now
    /// on, so that the filter can answer
    /// [`may_contain_prefix`](crate::Filter::may_contain_prefix). Each different prefix costs as
    /// much as a key, provided that keys with the same prefix come in a row, as sorted keys do.
    #[must_use]
    pub fn with_prefixes(mut self, rule: PrefixRule) -> Self {
        self.prefixes = Some(rule);
        self
    }

    /// Adds `key`.
    pub fn add(&mut self, key: &[u8]) {
        if let Some(prefix) = self.prefixes.and_then(|rule| rule.extract(key)) {
            let hash = hash_prefix(prefix);
            if self.last_prefix != Some(hash) {
                self.last_prefix = Some(hash);
                self.hashes.push(hash);
            }
        }
        self.add_hash(hash_key(key));
    }

    /// Adds the key whose [`hash_key`] is `hash`, but not its prefix, which a hash does not show.
    pub fn add_hash(&mut self, hash: u64) {
        if self.hashes.last() != Some(&hash) {
            self.hashes.push(hash);
        }
    }

    /// Returns how many keys and prefixes were added, repetitions in a row not counted.
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
        let mut bytes = build(self.kind, self.bits_per_key, &self.hashes);
        if self.prefixes.is_some()
            && let Ok(mut shape) = Shape::read(&bytes)
        {
            shape.prefixes = self.prefixes;
            shape.seal(&mut bytes);
        }
        bytes
    }
}

/// Builds a filter over `hashes` and returns its bytes; see [`Builder`] for the rules.
///
/// # Panics
/// If the filter is larger than the address space.
#[must_use]
pub fn build(kind: Kind, bits_per_key: f64, hashes: &[u64]) -> Vec<u8> {
    if kind == Kind::Ribbon {
        return build_ribbon(bits_per_key, hashes);
    }
    build_bloom(plan(kind, bits_per_key, hashes.len() as u64), hashes)
}

/// Builds a Bloom filter with a number of probes of the caller's choice, to study the layouts;
/// [`build`] knows the best number. A ribbon has no probes and a split block always eight: they are
/// built as by [`build`].
///
/// # Panics
/// If the filter is larger than the address space, or `probes` is 0 or more than the layout has.
#[must_use]
pub fn build_with_probes(kind: Kind, bits_per_key: f64, probes: u8, hashes: &[u64]) -> Vec<u8> {
    if kind == Kind::Ribbon || kind == Kind::SplitBlock {
        return build(kind, bits_per_key, hashes);
    }
    assert!((1..=format::probes_max(kind)).contains(&probes), "probes out of range");
    let mut shape = plan(kind, bits_per_key, hashes.len() as u64);
    if shape.units != 0 {
        shape.probes = probes;
    }
    build_bloom(shape, hashes)
}

fn build_bloom(shape: Shape, hashes: &[u64]) -> Vec<u8> {
    let body_bytes = usize::try_from(shape.body_bytes()).expect("a filter fits the address space");
    // A line that lies across two cache lines costs twice as much to write, so the body is filled
    // where lines are aligned. Large allocations are so from the start; others move once.
    let mut bytes = vec![0; HEADER_BYTES + body_bytes + LINE_BYTES];
    let first = bytes.as_ptr().addr() + HEADER_BYTES;
    let body_at = HEADER_BYTES + first.next_multiple_of(LINE_BYTES) - first;
    let (body, _) = bytes.split_at_mut(body_at).1.split_at_mut(body_bytes);
    Isa::detect().insert_many(&shape, body, hashes);
    if body_at != HEADER_BYTES {
        bytes.copy_within(body_at..body_at + body_bytes, HEADER_BYTES);
    }
    bytes.truncate(HEADER_BYTES + body_bytes);
    shape.seal(&mut bytes);
    bytes
}

fn build_ribbon(bits_per_key: f64, hashes: &[u64]) -> Vec<u8> {
    let mut shape = Shape::bare(Kind::Ribbon, hashes.len() as u64);
    let mut bytes = vec![0; HEADER_BYTES];
    if let Some(built) = ribbon::build(hashes, bits_per_key, HEADER_BYTES)
        && let Ok(units) = u32::try_from((built.bytes.len() - HEADER_BYTES) / 8)
    {
        shape.units = units;
        shape.probes = built.columns;
        shape.seed = built.seed;
        bytes = built.bytes;
    }
    shape.seal(&mut bytes);
    assert_members(&bytes, hashes);
    bytes
}

/// Asks a new ribbon for all its keys: a fault in the elimination would show nowhere else until a
/// key is not found, and asking costs a tenth of building.
fn assert_members(bytes: &[u8], hashes: &[u64]) {
    let filter = Filter::decode_unverified(bytes).expect("a filter reads what it wrote");
    let mut answers = [false; 1024];
    for hashes in hashes.chunks(answers.len()) {
        let (answers, _) = answers.split_at_mut(hashes.len());
        filter.may_contain_hashes(hashes, answers);
        assert!(answers.iter().all(|answer| *answer), "a member is not found");
    }
}

/// Chooses size and probes of a Bloom filter for `keys` keys.
pub(crate) fn plan(kind: Kind, bits_per_key: f64, keys: u64) -> Shape {
    let mut shape = Shape::bare(kind, keys);
    if keys == 0 || bits_per_key.is_nan() || bits_per_key <= 0.0 {
        return shape;
    }
    let bits_per_key = bits_per_key.min(BITS_PER_KEY_MAX);
    let unit_bits = match kind {
        Kind::Standard => 64.0,
        Kind::SplitBlock => 256.0,
        _ => 512.0,
    };
    let units = (keys as f64 * bits_per_key / unit_bits).ceil().clamp(1.0, f64::from(u32::MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
    let units = units as u32;
    shape.units = units;
    shape.probes = sizing::probes(kind, bits_per_key);
    shape
}
