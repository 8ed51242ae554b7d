//! A filter over bytes that someone else holds: nothing is copied.

#![deny(clippy::indexing_slicing)]

use crate::format::{HEADER_BYTES, Shape};
use crate::{DecodeError, Kind, format, hash_key, probe};

/// A filter that reads from `B`: a borrowed slice, a `Vec`, or a shared buffer.
///
/// Whatever happens to the bytes after [`decode`](Self::decode), an answer is never a panic.
#[derive(Clone, Copy, Debug)]
pub struct Filter<B> {
    bytes: B,
    shape: Shape,
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
        let shape = Shape::read(bytes.as_ref())?;
        Ok(Self { bytes, shape })
    }

    /// Returns `false` if `key` is certainly not in the set.
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.may_contain_hash(hash_key(key))
    }

    /// Returns `false` if the key whose [`hash_key`] is `hash` is certainly not in the set.
    #[must_use]
    #[inline]
    pub fn may_contain_hash(&self, hash: u64) -> bool {
        let shape = &self.shape;
        match self.lines().get(probe::line_of(hash, shape.units)) {
            Some(line) => probe::double_contains(line, hash, shape.probes),
            None => shape.keys != 0,
        }
    }

    /// Answers for many hashes at once: `answers[i]` is [`may_contain_hash`](Self::may_contain_hash)
    /// of `hashes[i]`.
    ///
    /// # Panics
    /// If the two slices differ in length.
    pub fn may_contain_hashes(&self, hashes: &[u64], answers: &mut [bool]) {
        assert_eq!(hashes.len(), answers.len(), "one answer for each hash");
        for (answer, hash) in answers.iter_mut().zip(hashes) {
            *answer = self.may_contain_hash(*hash);
        }
    }

    /// Returns the kind of the filter.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.shape.kind
    }

    /// Returns how many keys the filter was built from.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.shape.keys
    }

    /// Returns the bits spent on each key, the header not counted; 0 for a filter without keys.
    #[must_use]
    pub fn bits_per_key(&self) -> f64 {
        if self.shape.keys == 0 {
            return 0.0;
        }
        self.shape.body_bytes() as f64 * 8.0 / self.shape.keys as f64
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

    #[inline]
    fn lines(&self) -> &[probe::Line] {
        let body = self.bytes.as_ref().get(HEADER_BYTES..).unwrap_or(&[]);
        body.as_chunks().0
    }
}
