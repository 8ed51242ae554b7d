//! Pieces of memory from the system, the raw material of the arena, and a pool to use them again.
//!
//! A page touched for the first time costs about 2 us a 4 KiB page on a virtual machine, ten times
//! a warm insert, and a tenth of that with 2 MiB pages. So full chunks are 2 MiB long and aligned,
//! are offered to the system as huge pages, and a [`ChunkPool`] hands them from a list that was
//! dropped to the next one.
#![expect(unsafe_code, reason = "asks the system for memory and gives it back")]

use crate::sync::{AtomicPtr, Ordering};
use std::alloc::{Layout, alloc, dealloc};
use std::fmt;
use std::ptr::NonNull;
#[cfg(not(loom))]
use std::sync::{Arc, LazyLock};

/// Chunks start on a cache line, and their sizes are whole lines.
pub(crate) const LINE: usize = 64;

/// A full chunk: the size and the alignment of a huge page.
pub(crate) const FULL_BYTES: usize = 2 << 20;

/// Pages are at least so long.
const PAGE_BYTES_MIN: usize = 4 << 10;

/// Memory owned by whoever holds this value; uninitialised at first.
#[derive(Debug)]
pub(crate) struct Chunk {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a chunk owns its memory and lends it only through raw pointers.
unsafe impl Send for Chunk {}
// SAFETY: as above; no method of a shared chunk touches the memory.
unsafe impl Sync for Chunk {}

impl Chunk {
    /// Gets `bytes` (a multiple of [`LINE`], not zero) from the system, if it has them.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        assert!(bytes > 0 && bytes.is_multiple_of(LINE));
        let start = match bytes {
            FULL_BYTES => map_full()?,
            // SAFETY: the size is not zero.
            _ => NonNull::new(unsafe { alloc(layout(bytes)?) })?,
        };
        Some(Self { start, bytes })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Has the system give the pages now.
    fn touch(&self) {
        for offset in (0..self.bytes).step_by(PAGE_BYTES_MIN) {
            let byte = self.start.as_ptr().wrapping_add(offset);
            // SAFETY: the byte lies in the chunk, which is ours alone.
            unsafe { byte.write_volatile(0) };
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        match layout(self.bytes) {
            // SAFETY: got from `map_full`, and given back only here.
            _ if self.bytes == FULL_BYTES => unsafe { unmap_full(self.start) },
            // SAFETY: allocated in `new` with this layout, and freed only here.
            Some(layout) => unsafe { dealloc(self.start.as_ptr(), layout) },
            None => unreachable!("checked in `new`"),
        }
    }
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes, LINE).ok()
}

/// Maps twice as much as needed and gives back what is not aligned.
#[cfg(all(target_os = "linux", not(loom)))]
fn map_full() -> Option<NonNull<u8>> {
    let (read_write, private) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping touches nothing that exists.
    let mapped =
        unsafe { libc::mmap(std::ptr::null_mut(), 2 * FULL_BYTES, read_write, private, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return None;
    }
    let before = mapped.align_offset(FULL_BYTES);
    let start = mapped.wrapping_byte_add(before);
    let behind = start.wrapping_byte_add(FULL_BYTES);
    if before > 0 {
        // SAFETY: the beginning of our own mapping, which nobody uses; whole pages.
        unsafe { libc::munmap(mapped, before) };
    }
    // SAFETY: the end of our own mapping, which nobody uses; whole pages, at least one.
    unsafe { libc::munmap(behind, FULL_BYTES - before) };
    // SAFETY: advice about our own mapping; if the system does not take it, pages are small.
    unsafe { libc::madvise(start, FULL_BYTES, libc::MADV_HUGEPAGE) };
    NonNull::new(start.cast())
}

#[cfg(all(target_os = "linux", not(loom)))]
unsafe fn unmap_full(start: NonNull<u8>) {
    // SAFETY: the caller gives back a mapping of `map_full`, FULL_BYTES long.
    let result = unsafe { libc::munmap(start.as_ptr().cast(), FULL_BYTES) };
    debug_assert_eq!(result, 0, "unmapping our own mapping");
}

/// Lets the system take the pages of a full chunk, whose content nobody needs, when it is short of
/// them. Until then they stay as they are, and are written again without a fault.
#[cfg(all(target_os = "linux", not(loom)))]
fn offer_pages(start: NonNull<u8>) {
    // SAFETY: the content of a chunk in a pool is not read again before it is written; a page that
    // was taken reads as zeros. If the system does not know the advice, the pages stay.
    unsafe { libc::madvise(start.as_ptr().cast(), FULL_BYTES, libc::MADV_FREE) };
}

#[cfg(not(any(target_os = "linux", loom)))]
fn offer_pages(_start: NonNull<u8>) {}

#[cfg(not(all(target_os = "linux", not(loom))))]
const FULL_LAYOUT: Layout = match Layout::from_size_align(FULL_BYTES, FULL_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("2 MiB is a power of two"),
};

#[cfg(not(all(target_os = "linux", not(loom))))]
fn map_full() -> Option<NonNull<u8>> {
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { alloc(FULL_LAYOUT) })
}

#[cfg(not(all(target_os = "linux", not(loom))))]
unsafe fn unmap_full(start: NonNull<u8>) {
    // SAFETY: the caller gives back memory of `map_full`, which has this layout.
    unsafe { dealloc(start.as_ptr(), FULL_LAYOUT) };
}

/// Full chunks (2 MiB) of lists that were dropped, kept for the next ones.
///
/// Share one among the lists that follow each other, through
/// [`Options::pool`](crate::Options::pool). Taking and giving is lock-free.
pub struct ChunkPool {
    /// Starts of full chunks, or null.
    slots: Box<[AtomicPtr<u8>]>,
    keeping: Keeping,
}

/// What the system may do with chunks that wait in a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    /// Nothing: they are there when they are needed.
    Firm,
    /// Take their pages when it runs short of memory.
    #[cfg(not(loom))]
    Lazy,
}

/// Bytes that [`ChunkPool::shared`] keeps.
#[cfg(not(loom))]
const SHARED_BYTES: usize = 256 << 20;

impl ChunkPool {
    /// Bytes of the chunks that a pool keeps; lists with smaller ones take none from it.
    pub const CHUNK_BYTES: usize = FULL_BYTES;

    /// A pool that keeps at most `max_idle_bytes` (whole chunks of 2 MiB) for later use.
    pub fn new(max_idle_bytes: usize) -> Self {
        Self::keeping(max_idle_bytes, Keeping::Firm)
    }

    fn keeping(max_idle_bytes: usize, keeping: Keeping) -> Self {
        let slot = |_| AtomicPtr::new(std::ptr::null_mut());
        Self { slots: (0..max_idle_bytes / FULL_BYTES).map(slot).collect(), keeping }
    }

    /// The pool of the process, used by lists that were given no other. It keeps at most 256 MiB,
    /// and on Linux the system may take the pages of what waits in it when memory runs short.
    #[cfg(not(loom))]
    pub fn shared() -> &'static Arc<Self> {
        static SHARED: LazyLock<Arc<ChunkPool>> =
            LazyLock::new(|| Arc::new(ChunkPool::keeping(SHARED_BYTES, Keeping::Lazy)));
        &SHARED
    }

    /// Gets chunks from the system, pages and all, until `bytes` wait in the pool or it is full.
    ///
    /// A list that takes one of them later meets no page fault, which would cost it some 0.2 ms a
    /// chunk on a virtual machine: for a thread that has the time, ahead of one that has not.
    pub fn fill(&self, bytes: usize) {
        let room = self.slots.len() * FULL_BYTES;
        while self.idle_bytes() + FULL_BYTES <= bytes.min(room) {
            let Some(chunk) = Chunk::new(FULL_BYTES) else { return };
            chunk.touch();
            self.give(chunk);
        }
    }

    /// Gives all that waits in the pool to the system.
    pub fn clear(&self) {
        while let Some(chunk) = self.take() {
            drop(chunk);
        }
    }

    /// Bytes kept for later use.
    pub fn idle_bytes(&self) -> usize {
        // ORDERING: Relaxed: a statistic.
        let kept = |slot: &&AtomicPtr<u8>| !slot.load(Ordering::Relaxed).is_null();
        self.slots.iter().filter(kept).count() * FULL_BYTES
    }

    pub(crate) fn take(&self) -> Option<Chunk> {
        self.slots.iter().find_map(|slot| {
            // ORDERING: Relaxed: a look before the swap, which decides.
            if slot.load(Ordering::Relaxed).is_null() {
                return None;
            }
            // ORDERING: Acquire: what the former owner did with the memory comes before what the
            // next one does; pairs with the Release in `give`.
            let start = slot.swap(std::ptr::null_mut(), Ordering::Acquire);
            NonNull::new(start).map(|start| Chunk { start, bytes: FULL_BYTES })
        })
    }

    /// Keeps the chunk if it is a full one and there is room, else gives it to the system.
    pub(crate) fn give(&self, chunk: Chunk) {
        if chunk.bytes != FULL_BYTES {
            return;
        }
        let start = chunk.start.as_ptr();
        #[cfg(not(loom))]
        if self.keeping == Keeping::Lazy {
            offer_pages(chunk.start);
        }
        for slot in &self.slots {
            // ORDERING: Relaxed: a look before the exchange, which decides.
            if !slot.load(Ordering::Relaxed).is_null() {
                continue;
            }
            // ORDERING: Release: see `take`.
            let (success, failure) = (Ordering::Release, Ordering::Relaxed);
            if slot.compare_exchange(std::ptr::null_mut(), start, success, failure).is_ok() {
                let _kept_by_the_slot = std::mem::ManuallyDrop::new(chunk);
                return;
            }
        }
    }
}

impl Drop for ChunkPool {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for ChunkPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.slots.len();
        f.debug_struct("ChunkPool")
            .field("slots", &slots)
            .field("keeping", &self.keeping)
            .field("idle", &self.idle_bytes())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_shared_pool_keeps_chunks_that_may_be_written_again() {
        let pool = ChunkPool::keeping(FULL_BYTES, Keeping::Lazy);
        for round in 0..3 {
            let chunk = pool.take().or_else(|| Chunk::new(FULL_BYTES)).unwrap();
            // SAFETY: the chunk is ours, and so long.
            unsafe { chunk.start().write_bytes(round, FULL_BYTES) };
            let last = chunk.start().as_ptr().wrapping_add(FULL_BYTES - 1);
            // SAFETY: the last byte of it, written the line before.
            assert_eq!(unsafe { last.read() }, round);
            pool.give(chunk);
            assert_eq!(pool.idle_bytes(), FULL_BYTES);
        }
        pool.clear();
        assert_eq!(pool.idle_bytes(), 0);
    }

    #[test]
    fn a_pool_is_filled_up_to_what_was_asked_for_and_no_more_than_it_holds() {
        let pool = ChunkPool::new(3 * FULL_BYTES);
        pool.fill(FULL_BYTES - 1);
        assert_eq!(pool.idle_bytes(), 0);
        pool.fill(2 * FULL_BYTES);
        assert_eq!(pool.idle_bytes(), 2 * FULL_BYTES);
        pool.fill(FULL_BYTES);
        assert_eq!(pool.idle_bytes(), 2 * FULL_BYTES, "nothing is given back");
        pool.fill(usize::MAX);
        assert_eq!(pool.idle_bytes(), 3 * FULL_BYTES);
    }

    #[test]
    fn chunks_are_aligned_and_go_round() {
        let pool = ChunkPool::new(2 * FULL_BYTES);
        assert!(pool.take().is_none());
        let chunks: Vec<Chunk> = (0..3).map(|_| Chunk::new(FULL_BYTES).unwrap()).collect();
        let starts: Vec<_> = chunks.iter().map(Chunk::start).collect();
        for start in &starts {
            assert!(start.as_ptr().is_aligned());
            assert_eq!(start.as_ptr().align_offset(FULL_BYTES), 0);
        }
        for chunk in chunks {
            pool.give(chunk);
        }
        pool.give(Chunk::new(4096).unwrap());
        assert_eq!(pool.idle_bytes(), 2 * FULL_BYTES);
        assert_eq!(pool.take().unwrap().start(), starts[0]);
        assert_eq!(pool.take().unwrap().start(), starts[1]);
        assert!(pool.take().is_none());
    }
}
