//! The bytes of a block: memory that its holders share, or a part of a mapped file.
//!
//! A value is small enough to lie within a cache's own slots, so that a reader who found the slot
//! has the address of the bytes at hand.
#![expect(unsafe_code, reason = "a drop takes the memory out, for the next block")]

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;

use super::pool;
use crate::read_at::ReadAt;

/// A run of immutable bytes that keeps its owner alive.
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    /// All of the bytes from `start` on.
    Heap {
        /// Taken out only by the drop.
        bytes: ManuallyDrop<Arc<[u8]>>,
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

/// Memory that nobody else knows yet, to be filled: what it holds until then is anything.
#[derive(Debug)]
pub(crate) struct Fresh {
    bytes: Arc<[u8]>,
    start: usize,
}

impl Fresh {
    /// Memory for `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        let memory = pool::take(bytes);
        Self { start: memory.as_ref().len() - bytes, bytes: memory }
    }

    /// The bytes to be filled, all of them.
    pub(crate) fn own(&mut self) -> &mut [u8] {
        let bytes = Arc::get_mut(&mut self.bytes).expect("not shared before it is filled");
        bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// What it was filled with.
    pub(crate) fn filled(self) -> Bytes {
        Bytes::heap(self.bytes, self.start)
    }
}

impl Drop for Bytes {
    #[inline]
    fn drop(&mut self) {
        if let Self::Heap { bytes, .. } = self {
            // SAFETY: taken once, by this drop; nothing looks at it afterwards.
            pool::give(unsafe { ManuallyDrop::take(bytes) });
        }
    }
}

impl Bytes {
    /// All of `bytes` from `start` on.
    pub(crate) fn heap(bytes: Arc<[u8]>, start: usize) -> Self {
        let start = u32::try_from(start).expect("pieces and headers are short");
        Self::Heap { bytes: ManuallyDrop::new(bytes), start }
    }

    /// The bytes behind the first `header` ones, which are as many at least.
    pub(crate) fn behind(mut self, header: usize) -> Self {
        if let Self::Heap { start, .. } = &mut self {
            *start += u32::try_from(header).expect("headers are short");
        }
        self
    }

    /// A part of a mapped file; empty if the file is not mapped that far.
    pub(crate) fn mapped(file: Arc<dyn ReadAt>, start: usize, end: usize) -> Self {
        Self::Mapped(Arc::new(Part { file, start, end }))
    }

    /// Returns the memory this keeps from being freed, in bytes; what is mapped does not count.
    pub(crate) fn memory(&self) -> usize {
        match self {
            // With its two reference counts.
            Self::Heap { bytes, .. } => size_of_val(&***bytes) + 2 * size_of::<usize>(),
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
