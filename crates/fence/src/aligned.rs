//! A buffer that begins on a cache line, so that the nodes of a fence do too.
//!
//! 1. The bytes never move while the buffer lives: `start` stays right.

use std::fmt;

/// Owned bytes at an address that is a multiple of 64, on huge pages if they are many and the
/// feature `huge-pages` is on.
///
/// A [`Fence`](crate::Fence) reads any buffer; one that stays in memory for long is searched with
/// fewer cache lines and address translations from here. Costs up to 64 bytes beyond the length,
/// or the rest of the last 4 KiB page.
pub struct AlignedBytes {
    store: Store,
    start: usize,
    len: usize,
}

/// Where the bytes live.
enum Store {
    Heap(Vec<u8>),
    #[cfg(feature = "huge-pages")]
    Pages(memmap2::MmapMut),
}

/// A cache line.
const LINE_BYTES: usize = 64;

/// From here on a copy gets a mapping of its own, which the kernel aligns to huge pages.
#[cfg(feature = "huge-pages")]
const HUGE_BYTES_MIN: usize = 2 << 20;

impl AlignedBytes {
    /// A copy of `bytes`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        #[cfg(feature = "huge-pages")]
        if let Some(pages) = huge_pages(bytes) {
            return Self { store: Store::Pages(pages), start: 0, len: bytes.len() };
        }
        let mut heap: Vec<u8> = Vec::with_capacity(bytes.len() + LINE_BYTES);
        let start = heap.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES);
        heap.resize(start, 0);
        heap.extend_from_slice(bytes);
        Self { store: Store::Heap(heap), start, len: bytes.len() }
    }
}

/// A copy of `bytes` on huge pages; `None` if they are few or the system has none to give.
#[cfg(feature = "huge-pages")]
fn huge_pages(bytes: &[u8]) -> Option<memmap2::MmapMut> {
    if bytes.len() < HUGE_BYTES_MIN {
        return None;
    }
    let mut pages = memmap2::MmapMut::map_anon(bytes.len()).ok()?;
    #[cfg(target_os = "linux")]
    pages.advise(memmap2::Advice::HugePage).ok()?;
    pages.copy_from_slice(bytes);
    Some(pages)
}

impl AsRef<[u8]> for AlignedBytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        #[cfg_attr(
            not(feature = "huge-pages"),
            expect(clippy::infallible_destructuring_match, reason = "one variant without pages")
        )]
        let store: &[u8] = match &self.store {
            Store::Heap(heap) => heap,
            #[cfg(feature = "huge-pages")]
            Store::Pages(pages) => pages,
        };
        store.get(self.start..self.start + self.len).unwrap_or_default()
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

    #[test]
    fn copies_begin_on_a_line_and_hold_the_bytes() {
        for len in [0, 1, 63, 64, 65, 4096, 9 << 20] {
            let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
            let copy = AlignedBytes::copy_of(&bytes);
            assert_eq!(copy.as_ref(), bytes);
            assert_eq!(copy.as_ref().as_ptr().align_offset(LINE_BYTES), 0);
            assert_eq!(copy.clone().as_ref(), bytes);
            let moved = Box::new(copy);
            assert_eq!((*moved).as_ref(), bytes, "moving the handle does not move the bytes");
        }
    }
}
