//! Values that a read found: lent where they lie, or kept with a share of their block.

use std::ops::Deref;

use crate::block::bytes::Bytes;
use crate::key::Trailer;

/// An entry that a point read found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its version and kind.
    pub trailer: Trailer,
    /// Its value.
    pub value: ValueRef,
}

/// A value within a block; keeps the block in memory for as long as it lives.
#[derive(Clone)]
pub struct ValueRef {
    bytes: Bytes,
    start: usize,
    end: usize,
}

impl ValueRef {
    fn new(bytes: Bytes, start: usize, end: usize) -> Self {
        Self { bytes, start, end }
    }
}

impl Deref for ValueRef {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

impl AsRef<[u8]> for ValueRef {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for ValueRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ValueRef({} bytes)", self.end - self.start)
    }
}

/// A value where it lies, lent for a moment; see [`Table::read`](crate::Table::read).
#[derive(Clone, Copy, Debug)]
pub struct Lent<'a> {
    block: &'a Bytes,
    bytes: &'a [u8],
    start: usize,
}

impl<'a> Lent<'a> {
    /// The value `bytes`, which begins at `start` of `block`.
    #[inline]
    pub(crate) fn new(block: &'a Bytes, bytes: &'a [u8], start: usize) -> Self {
        Self { block, bytes, start }
    }

    /// Returns the value with a share of its block, to keep.
    #[must_use]
    pub fn keep(&self) -> ValueRef {
        ValueRef::new(self.block.clone(), self.start, self.start + self.bytes.len())
    }
}

impl Deref for Lent<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

/// A version with a share of its block.
pub(crate) fn kept(trailer: Trailer, value: Lent<'_>) -> Found {
    Found { trailer, value: value.keep() }
}
