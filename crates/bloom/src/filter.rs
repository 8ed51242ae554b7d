//! A filter over bytes that someone else holds: nothing is copied.

#![deny(clippy::indexing_slicing)]

use crate::format::{Shape, body_of};
use crate::simd::{Core, Isa};
use crate::{DecodeError, Kind, PrefixRule, format, hash_key, hash_prefix, ribbon, sizing};

/// A filter that reads from `B`: a borrowed slice, a `Vec`, or a shared buffer.
///
/// Whatever happens to the bytes after [`decode`](Self::decode), an answer is never a panic.
#[derive(Clone, Copy, Debug)]
pub struct Filter<B> {
    bytes: B,
    core: Core,
}

impl<B: AsRef<[u8]>> Filter<B> {
    /// Checks `bytes`, checksum included, and makes them a filter.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are cut, changed, or of a version or kind that is not known.
    pub fn decode(bytes: B) -> Result<Self, DecodeError> {
        let filter = Self::decode_unverified(bytes)?;
        format::verify(filter.bytes.as_ref())?;
        Ok(filter)
    }

    /// Checks the header of `bytes` but not the checksum, for bytes that a checksum of the caller's
    /// already covers. Takes the same time whatever the size of the filter.
    ///
    /// If the body has changed since it was written, answers may be wrong in both directions.
    ///
    /// # Errors
    /// [`DecodeError`] if the header is damaged or not known, or calls for another length.
    pub fn decode_unverified(bytes: B) -> Result<Self, DecodeError> {
        let all = bytes.as_ref();
        let shape = Shape::read(all)?;
        let mut ribbon = ribbon::Layout::default();
        if shape.kind == Kind::Ribbon && shape.units != 0 {
            ribbon = ribbon::Layout::read(body_of(all), shape.probes, shape.seed)?;
        }
        Ok(Self { core: Core::new(shape, ribbon, Isa::detect()), bytes })
    }

    /// Returns `false` if `key` is certainly not in the set.
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.may_contain_hash(hash_key(key))
    }

    /// Returns `false` if the key whose [`hash_key`] is `hash` is certainly not in the set.
    #[must_use]
    #[inline(always)]
    pub fn may_contain_hash(&self, hash: u64) -> bool {
        self.core.contains(self.bytes.as_ref(), hash)
    }

    /// Returns `false` if certainly no key that starts with `prefix` is in the set.
    ///
    /// Says *maybe* if the filter holds no prefixes, or if `prefix` is too short for its rule.
    #[must_use]
    pub fn may_contain_prefix(&self, prefix: &[u8]) -> bool {
        match self.core.shape.prefixes.and_then(|rule| rule.extract(prefix)) {
            Some(prefix) => self.may_contain_hash(hash_prefix(prefix)),
            None => self.core.shape.keys != 0,
        }
    }

    /// Answers for many hashes at once: `answers[i]` is what
    /// [`may_contain_hash`](Self::may_contain_hash) says of `hashes[i]`.
    ///
    /// Asks for the memory of many keys before it looks at the first, which is several times faster
    /// than single lookups when the filter is larger than the processor's caches.
    ///
    /// # Panics
    /// If the two slices differ in length.
    pub fn may_contain_hashes(&self, hashes: &[u64], answers: &mut [bool]) {
        assert_eq!(hashes.len(), answers.len(), "one answer for each hash");
        self.core.contains_many(self.bytes.as_ref(), hashes, answers);
    }

    /// Returns the kind of the filter.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.core.shape.kind
    }

    /// Returns how many keys, and prefixes, the filter was built from.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.core.shape.keys
    }

    /// Returns the rule by which prefixes were added, if any were.
    #[must_use]
    pub fn prefix_rule(&self) -> Option<PrefixRule> {
        self.core.shape.prefixes
    }

    /// Returns the false-positive rate to expect, by the measured curve of the kind.
    #[must_use]
    pub fn expected_rate(&self) -> f64 {
        match self.core.shape.keys {
            0 => 0.0,
            _ => sizing::rate(self.core.shape.kind, self.bits_per_key()),
        }
    }

    /// Returns the bits spent on each key, the header not counted; 0 for a filter without keys.
    #[must_use]
    pub fn bits_per_key(&self) -> f64 {
        if self.core.shape.keys == 0 {
            return 0.0;
        }
        self.core.shape.body_bytes() as f64 * 8.0 / self.core.shape.keys as f64
    }

    /// Returns the bytes that the filter takes in memory, its buffer included.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.bytes.as_ref().len()
    }

    /// Gives the bytes back.
    pub fn into_inner(self) -> B {
        self.bytes
    }
}
