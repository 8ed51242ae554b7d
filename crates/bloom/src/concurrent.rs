//! A Bloom filter that many threads fill at once; the only atomics of the crate.
//!
//! 1. Bits are only ever set. So the order in which threads set them does not matter, the bytes at
//!    the end are those that one thread would have made, and a key that was inserted before (in
//!    the sense of happens-before) is found.
//! 2. There is no counter: a number that every insert writes would cost more than the insert.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::builder::plan;
use crate::format::{HEADER_BYTES, Shape};
use crate::probe::{blocked, double, line_of, split, standard};
use crate::{Kind, hash_key, simd};

/// Keys whose lines are asked for before the first bit is set.
const CHUNK: usize = 16;

/// A filter of fixed size that threads share by reference while they add keys and ask for them.
///
/// ```
/// use bloom::{Filter, Kind, SharedBuilder, hash_key};
///
/// let builder = SharedBuilder::new(Kind::DoubleProbe, 10.0, 2_000).expect("not a ribbon");
/// std::thread::scope(|scope| {
///     for thread in 0..2u64 {
///         let builder = &builder;
///         scope.spawn(move || {
///             for n in 0..1_000 {
///                 builder.insert(&(thread * 1_000 + n).to_le_bytes());
///             }
///         });
///     }
/// });
/// let filter = Filter::decode(builder.finish())?;
/// assert!((0..2_000u64).all(|n| filter.may_contain(&n.to_le_bytes())));
/// # Ok::<(), bloom::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct SharedBuilder {
    shape: Shape,
    lines: Vec<Line>,
}

/// Eight words on a cache line of their own.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Line([AtomicU64; 8]);

impl SharedBuilder {
    /// Makes a filter of `kind` with `bits_per_key` bits for each of `expected_keys` keys (0 counts
    /// as 1). More keys may be inserted: the rate rises, nothing else happens.
    ///
    /// A budget that is zero, negative or not a number gives a filter that says *maybe* to every
    /// key. Returns `None` for [`Kind::Ribbon`], which needs all its keys before it can set a bit.
    #[must_use]
    pub fn new(kind: Kind, bits_per_key: f64, expected_keys: u64) -> Option<Self> {
        if kind == Kind::Ribbon {
            return None;
        }
        let shape = plan(kind, bits_per_key, expected_keys.max(1));
        let lines = match kind {
            Kind::Standard => shape.units.div_ceil(8),
            Kind::SplitBlock => shape.units.div_ceil(2),
            _ => shape.units,
        };
        Some(Self { shape, lines: (0..lines).map(|_| Line::default()).collect() })
    }

    /// Adds `key`.
    pub fn insert(&self, key: &[u8]) {
        self.insert_hash(hash_key(key));
    }

    /// Adds the key whose [`hash_key`] is `hash`.
    #[inline]
    pub fn insert_hash(&self, hash: u64) {
        let Shape { probes, units, .. } = self.shape;
        match self.shape.kind {
            Kind::DoubleProbe => self.set_in_line(hash, double(hash, probes)),
            Kind::Standard => {
                for (word, mask) in standard(hash, probes, units) {
                    self.word(word).inspect(|word| set(word, mask));
                }
            }
            Kind::SplitBlock => {
                if let Some(words) = self.block(hash) {
                    for (word, mask) in split(hash) {
                        set(&words[word & 3], mask);
                    }
                }
            }
            _ => self.set_in_line(hash, blocked(hash, probes)),
        }
    }

    /// Adds many keys by their hashes; in a filter larger than the caches several times as fast as
    /// one by one.
    pub fn insert_hashes(&self, hashes: &[u64]) {
        for chunk in hashes.chunks(CHUNK) {
            for &hash in chunk {
                self.prefetch(hash);
            }
            for &hash in chunk {
                self.insert_hash(hash);
            }
        }
    }

    /// Returns `false` if the key whose [`hash_key`] is `hash` has certainly not been added.
    #[must_use]
    #[inline]
    pub fn may_contain_hash(&self, hash: u64) -> bool {
        let Shape { probes, units, .. } = self.shape;
        match self.shape.kind {
            Kind::DoubleProbe => self.all_in_line(hash, double(hash, probes)),
            Kind::Standard => standard(hash, probes, units)
                .all(|(word, mask)| self.word(word).is_none_or(|word| is_set(word, mask))),
            Kind::SplitBlock => self
                .block(hash)
                .is_none_or(|words| split(hash).all(|(word, mask)| is_set(&words[word & 3], mask))),
            _ => self.all_in_line(hash, blocked(hash, probes)),
        }
    }

    /// Returns `false` if `key` has certainly not been added.
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.may_contain_hash(hash_key(key))
    }

    /// Returns the bytes that this builder holds.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    /// Returns the bytes of the filter, header and checksum included: those that
    /// [`build`](crate::build) makes of the same keys, if they were as many as expected.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let body_bytes = usize::try_from(self.shape.body_bytes()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; HEADER_BYTES + body_bytes];
        let (_, body) = bytes.split_at_mut(HEADER_BYTES);
        let all = self.lines.iter().flat_map(|line| &line.0);
        for (out, word) in body.as_chunks_mut::<8>().0.iter_mut().zip(all) {
            // ORDERING: Relaxed: `self` is owned, so whoever inserted has already synchronised
            // with this thread; there is nothing left to race with.
            *out = word.load(Ordering::Relaxed).to_le_bytes();
        }
        self.shape.seal(&mut bytes);
        bytes
    }

    #[inline(always)]
    fn prefetch(&self, hash: u64) {
        match self.shape.kind {
            Kind::Standard => {}
            Kind::SplitBlock => self.block(hash).into_iter().for_each(simd::prefetch),
            _ => {
                let line = self.lines.get(line_of(hash, self.shape.units));
                line.into_iter().for_each(simd::prefetch);
            }
        }
    }

    #[inline(always)]
    fn set_in_line(&self, hash: u64, probes: impl Iterator<Item = (usize, u64)>) {
        if let Some(Line(words)) = self.lines.get(line_of(hash, self.shape.units)) {
            for (word, mask) in probes {
                set(&words[word & 7], mask);
            }
        }
    }

    #[inline(always)]
    fn all_in_line(&self, hash: u64, mut probes: impl Iterator<Item = (usize, u64)>) -> bool {
        match self.lines.get(line_of(hash, self.shape.units)) {
            Some(Line(words)) => probes.all(|(word, mask)| is_set(&words[word & 7], mask)),
            None => true,
        }
    }

    /// The block of `hash`: half a line.
    #[inline(always)]
    fn block(&self, hash: u64) -> Option<&[AtomicU64; 4]> {
        let block = line_of(hash, self.shape.units);
        let (halves, _) = self.lines.get(block / 2)?.0.as_chunks::<4>();
        halves.get(block % 2)
    }

    #[inline(always)]
    fn word(&self, word: usize) -> Option<&AtomicU64> {
        self.lines.get(word / 8).map(|line| &line.0[word % 8])
    }
}

#[inline(always)]
fn set(word: &AtomicU64, mask: u64) {
    // A word that has the bits already is only read, so that its line can stay shared.
    if !is_set(word, mask) {
        // ORDERING: Relaxed: the bits publish nothing but themselves (invariant 1).
        word.fetch_or(mask, Ordering::Relaxed);
    }
}

#[inline(always)]
fn is_set(word: &AtomicU64, mask: u64) -> bool {
    // ORDERING: Relaxed: an insert that happens before this load is seen by coherence alone, and
    // no other memory is read on the strength of what is seen.
    word.load(Ordering::Relaxed) & mask == mask
}
