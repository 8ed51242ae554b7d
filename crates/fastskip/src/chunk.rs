//! Pieces of memory from the system, the raw material of the arena.
#![expect(unsafe_code, reason = "asks the allocator for memory and gives it back")]

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

/// Chunks start on a cache line, and their sizes are whole lines.
pub(crate) const LINE: usize = 64;

/// Memory owned by whoever holds this value; uninitialised at first.
#[derive(Debug)]
pub(crate) struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a chunk owns its memory and lends it only through raw pointers.
unsafe impl Send for Chunk {}
// SAFETY: as above; no method of a shared chunk touches the memory.
unsafe impl Sync for Chunk {}

impl Chunk {
    /// Gets `bytes` (a multiple of [`LINE`], not zero) from the system, if it has them.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        assert!(bytes > 0 && bytes.is_multiple_of(LINE));
        let layout = Layout::from_size_align(bytes, LINE).ok()?;
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        Some(Self { start, layout })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
