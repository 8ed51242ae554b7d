//! The bytes of a block: its own memory, or a part of a mapped file.

use std::ops::Deref;
use std::sync::Arc;

use crate::read_at::ReadAt;

/// A run of immutable bytes that keeps its owner alive.
#[derive(Debug)]
pub(crate) struct Bytes {
    owner: Owner,
    start: usize,
    end: usize,
}

#[derive(Debug)]
enum Owner {
    Heap(Vec<u8>),
    Mapped(Arc<dyn ReadAt>),
}

impl Bytes {
    /// All of `bytes` from `start` on.
    pub(crate) fn heap(bytes: Vec<u8>, start: usize) -> Self {
        let end = bytes.len();
        Self { owner: Owner::Heap(bytes), start: start.min(end), end }
    }

    /// A part of a mapped file; empty if the file is not mapped that far.
    pub(crate) fn mapped(file: Arc<dyn ReadAt>, start: usize, end: usize) -> Self {
        Self { owner: Owner::Mapped(file), start, end }
    }

    /// Returns the memory this keeps from being freed, in bytes; what is mapped does not count.
    pub(crate) fn memory(&self) -> usize {
        match &self.owner {
            Owner::Heap(bytes) => bytes.capacity(),
            Owner::Mapped(_) => 0,
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let whole = match &self.owner {
            Owner::Heap(bytes) => bytes.as_slice(),
            Owner::Mapped(file) => file.mapped().unwrap_or_default(),
        };
        whole.get(self.start..self.end).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
