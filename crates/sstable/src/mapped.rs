//! Reads through a memory map: opt-in, for data that fits in memory and is read far more than it
//! is written.
//!
//! What a map costs is why it is not the default (Crotty, Leis and Pavlo, 2022): a read may stall
//! on a page fault that nothing can bound or overlap, and a file that shrinks under the map ends
//! the process with a signal. What it gives: blocks that are stored plainly are used where they
//! lie, without a copy.

#![expect(unsafe_code, reason = "mapping a file is a promise about who else writes it")]

use std::fs::File;
use std::io;

use memmap2::Mmap;

use crate::read_at::ReadAt;

/// A file mapped into memory as a whole, read-only.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps `file`.
    ///
    /// # Errors
    /// What the system says; among other things if the file is larger than the address space.
    ///
    /// # Safety
    /// Nobody, in this process or another, may write to the file or shorten it while the value
    /// lives. Tables are never changed once written, so whoever owns their folder can promise it.
    pub unsafe fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the caller promises that the bytes do not change while they are mapped.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self { map })
    }
}

impl ReadAt for MappedFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        ReadAt::read_exact_at(&self.map[..], buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.map.len() as u64)
    }

    fn mapped(&self) -> Option<&[u8]> {
        Some(&self.map)
    }
}
