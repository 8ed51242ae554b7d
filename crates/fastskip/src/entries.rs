//! The arena's table of chunks: null pointers, so many, of which most stay null.
//!
//! A list of a few chunks uses a few of 8,191 entries. On Linux their pages come when they are
//! first written, so an empty list has none of the 64 KiB, and a small one 4 KiB.
//!
//! Invariant: the entries, `len` of them, are valid as long as the table, and written only as
//! atomics.
#![cfg_attr(
    all(target_os = "linux", not(loom)),
    expect(unsafe_code, reason = "asks the system for zeroed pages and gives them back")
)]

use crate::sync::AtomicPtr;
use std::fmt;
use std::ops::Deref;

#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) struct Entries {
    start: std::ptr::NonNull<AtomicPtr<u8>>,
    len: usize,
}

// SAFETY: the table owns its entries, and they are atomics.
#[cfg(all(target_os = "linux", not(loom)))]
unsafe impl Send for Entries {}
// SAFETY: as above.
#[cfg(all(target_os = "linux", not(loom)))]
unsafe impl Sync for Entries {}

#[cfg(all(target_os = "linux", not(loom)))]
impl Entries {
    /// # Panics
    /// If the system has no memory, as an allocation does.
    pub(crate) fn new(len: usize) -> Self {
        let bytes = len.max(1) * size_of::<AtomicPtr<u8>>();
        let (read_write, private) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping touches nothing that exists.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), bytes, read_write, private, -1, 0) };
        let start = std::ptr::NonNull::new(mapped.cast::<AtomicPtr<u8>>());
        match start.filter(|_| mapped != libc::MAP_FAILED) {
            // Zero bytes are null pointers, and the pages are aligned for them.
            Some(start) => Self { start, len },
            None => std::alloc::handle_alloc_error(
                std::alloc::Layout::array::<AtomicPtr<u8>>(len).expect("a few thousand"),
            ),
        }
    }
}

#[cfg(all(target_os = "linux", not(loom)))]
impl Deref for Entries {
    type Target = [AtomicPtr<u8>];

    #[inline]
    fn deref(&self) -> &[AtomicPtr<u8>] {
        // SAFETY: the invariant.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

#[cfg(all(target_os = "linux", not(loom)))]
impl Drop for Entries {
    fn drop(&mut self) {
        let bytes = self.len.max(1) * size_of::<AtomicPtr<u8>>();
        // SAFETY: our own mapping, of this length, which nobody else can have.
        let result = unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
        debug_assert_eq!(result, 0, "unmapping our own mapping");
    }
}

/// Elsewhere all of it is there from the start.
#[cfg(not(all(target_os = "linux", not(loom))))]
pub(crate) struct Entries(Box<[AtomicPtr<u8>]>);

#[cfg(not(all(target_os = "linux", not(loom))))]
impl Entries {
    pub(crate) fn new(len: usize) -> Self {
        Self((0..len).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect())
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
impl Deref for Entries {
    type Target = [AtomicPtr<u8>];

    #[inline]
    fn deref(&self) -> &[AtomicPtr<u8>] {
        &self.0
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("len", &self.len()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::Ordering;

    #[test]
    fn entries_begin_as_null_and_keep_what_is_stored() {
        // ORDERING: Relaxed, throughout; one thread.
        for len in [0, 1, 16, 511, 512, 513, 8191] {
            let entries = Entries::new(len);
            assert_eq!(entries.len(), len);
            assert!(entries.iter().all(|entry| entry.load(Ordering::Relaxed).is_null()));
            let mut bytes = vec![0_u8; len];
            for (entry, byte) in entries.iter().zip(&mut bytes) {
                entry.store(byte, Ordering::Relaxed);
            }
            for (entry, byte) in entries.iter().zip(&mut bytes) {
                assert_eq!(entry.load(Ordering::Relaxed), std::ptr::from_mut(byte));
            }
        }
    }
}
