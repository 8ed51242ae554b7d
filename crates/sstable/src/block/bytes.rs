//! The bytes of a block: memory that its holders share, or a part of a mapped file.
//!
//! A value is small enough to lie within a cache's own slots, so that a reader who found the slot
//! has the address of the bytes at hand.

use std::ops::Deref;
use std::sync::Arc;

use crate::read_at::ReadAt;

/// A run of immutable bytes that keeps its owner alive.
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    /// All of the bytes from `start` on.
    Heap {
        bytes: Arc<[u8]>,
        start: u32,
    },
    Mapped(Arc<Part>),
}

/// A part of a mapped file.
#[derive(Debug)]
pub(crate) struct Part {
    file: Arc<dyn ReadAt>,
    start: usize,
    end: usize,
}

/// Memory of so many bytes, zeroed, that nobody else knows yet.
pub(crate) fn fresh(bytes: usize) -> Arc<[u8]> {
    std::iter::repeat_n(0, bytes).collect()
}

/// The bytes of memory that nobody else knows yet.
pub(crate) fn own(bytes: &mut Arc<[u8]>) -> &mut [u8] {
    Arc::get_mut(bytes).expect("not shared before it is filled")
}

impl Bytes {
    /// All of `bytes` from `start` on, which is the end of a header.
    pub(crate) fn heap(bytes: Arc<[u8]>, start: usize) -> Self {
        let start = u32::try_from(start).expect("headers are short");
        Self::Heap { bytes, start }
    }

    /// A part of a mapped file; empty if the file is not mapped that far.
    pub(crate) fn mapped(file: Arc<dyn ReadAt>, start: usize, end: usize) -> Self {
        Self::Mapped(Arc::new(Part { file, start, end }))
    }

    /// Returns the memory this keeps from being freed, in bytes; what is mapped does not count.
    pub(crate) fn memory(&self) -> usize {
        match self {
            // With its two reference counts.
            Self::Heap { bytes, .. } => size_of_val(&**bytes) + 2 * size_of::<usize>(),
            Self::Mapped(_) => size_of::<Part>(),
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Heap { bytes, start } => bytes.get(*start as usize..).unwrap_or_default(),
            Self::Mapped(part) => {
                let whole = part.file.mapped().unwrap_or_default();
                whole.get(part.start..part.end).unwrap_or_default()
            }
        }
    }
}

impl AsRef<[u8]> for Bytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}
