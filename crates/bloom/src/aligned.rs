//! A buffer that puts a filter's lines on cache lines.
//!
//! 1. `first` points at `len` bytes of the heap or of the pages, which nobody writes, moves or
//!    frees before the buffer is dropped. So a lookup finds them without asking where they live.

#![expect(unsafe_code, reason = "a pointer into memory that the same value owns")]

use std::fmt;
use std::ptr::NonNull;

use crate::format::HEADER_BYTES;

const CACHE_LINE_BYTES: usize = 64;

/// A copy of a filter's bytes whose body starts on a cache line; on huge pages if it is large and
/// the feature `huge-pages` is on.
///
/// A filter works at any address, but a line that lies across two cache lines costs two reads from
/// memory, and a filter of many small pages an address translation besides. Worth the copy for
/// filters that outlive a few lookups and do not fit the caches.
pub struct AlignedBytes {
    first: NonNull<u8>,
    len: usize,
    /// Owns the bytes, or has none.
    _heap: Vec<u8>,
    /// Owns the bytes if the heap has none.
    #[cfg(feature = "huge-pages")]
    _pages: Option<memmap2::MmapMut>,
}

// SAFETY: the bytes are owned and, by invariant 1, never written.
unsafe impl Send for AlignedBytes {}
// SAFETY: as above.
unsafe impl Sync for AlignedBytes {}

/// From here on a copy gets a mapping of its own, which the kernel aligns to huge pages.
#[cfg(feature = "huge-pages")]
const HUGE_BYTES_MIN: usize = 2 << 20;

impl AlignedBytes {
    /// Copies the bytes of a filter.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        #[cfg(feature = "huge-pages")]
        if let Some(pages) = huge_pages(bytes) {
            let first = pages.get(PAGE_START..).map_or(NonNull::dangling(), first_of);
            return Self { first, len: bytes.len(), _heap: Vec::new(), _pages: Some(pages) };
        }
        let len = bytes.len();
        let mut heap: Vec<u8> = Vec::with_capacity(len + CACHE_LINE_BYTES);
        let body = heap.as_ptr().addr() + HEADER_BYTES;
        let start = body.next_multiple_of(CACHE_LINE_BYTES) - body;
        // Neither call reallocates: there is room.
        heap.resize(start, 0);
        heap.extend_from_slice(bytes);
        let first = heap.get(start..).map_or(NonNull::dangling(), first_of);
        Self {
            first,
            len,
            _heap: heap,
            #[cfg(feature = "huge-pages")]
            _pages: None,
        }
    }
}

fn first_of(bytes: &[u8]) -> NonNull<u8> {
    NonNull::from(bytes).cast()
}

/// Where in a page a header begins whose body follows on a cache line.
#[cfg(feature = "huge-pages")]
const PAGE_START: usize = HEADER_BYTES.next_multiple_of(CACHE_LINE_BYTES) - HEADER_BYTES;

/// A copy of `bytes` on huge pages; `None` if they are few or the system has none to give.
#[cfg(feature = "huge-pages")]
fn huge_pages(bytes: &[u8]) -> Option<memmap2::MmapMut> {
    if bytes.len() < HUGE_BYTES_MIN {
        return None;
    }
    let mut pages = memmap2::MmapMut::map_anon(PAGE_START + bytes.len()).ok()?;
    #[cfg(target_os = "linux")]
    pages.advise(memmap2::Advice::HugePage).ok()?;
    pages.get_mut(PAGE_START..)?.copy_from_slice(bytes);
    Some(pages)
}

impl AsRef<[u8]> for AlignedBytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: invariant 1; the borrow is of `self`, which owns the bytes.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl Clone for AlignedBytes {
    fn clone(&self) -> Self {
        Self::copy_of(self.as_ref())
    }
}

impl fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBytes").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Filter, Kind, build};

    #[test]
    fn copies_are_aligned_and_equal() {
        // The last is large enough for huge pages.
        for count in [0, 1, 10, 5_000, 2_000_000] {
            let bytes = build(Kind::DoubleProbe, 10.0, &(0..count).collect::<Vec<u64>>());
            let copy = AlignedBytes::copy_of(&bytes);
            assert_eq!(copy.as_ref(), bytes);
            assert_eq!((copy.as_ref().as_ptr().addr() + HEADER_BYTES) % CACHE_LINE_BYTES, 0);
            let again = copy.clone();
            assert_eq!((again.as_ref().as_ptr().addr() + HEADER_BYTES) % CACHE_LINE_BYTES, 0);
            assert_eq!(again.as_ref(), bytes);
            assert!(Filter::decode(copy).is_ok());
        }
        assert_eq!(AlignedBytes::copy_of(b"").as_ref(), b"");
    }
}
