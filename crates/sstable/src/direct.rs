//! Reads past the operating system's page cache: opt-in, for those whose block cache is larger
//! than what the system would keep.
//!
//! The medium wants offset, length and memory aligned to its sectors; reads go through a buffer of
//! the reading thread that is, and are copied out.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::read_at::ReadAt;

/// Satisfies every sector size in use, in bytes.
const ALIGN: usize = 4096;
/// Buffers larger than this are given back after the read, in bytes.
const KEEP_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A file that is read without the page cache (`O_DIRECT`).
#[derive(Debug)]
pub struct DirectFile {
    file: File,
}

impl DirectFile {
    /// Opens a file for direct reads.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidInput`] where the file system cannot do it.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path)?;
        Ok(Self { file })
    }
}

/// Rounds up to the alignment.
fn align_up(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(ALIGN)
}

/// Reads until `wanted` bytes are there; the file may end within the last sector.
fn fill(file: &File, buffer: &mut [u8], offset: u64, wanted: usize) -> io::Result<()> {
    let mut done = 0;
    while done < wanted {
        // Only whole sectors may be asked for again.
        let from = done - done % ALIGN;
        match file.read_at(&mut buffer[from..], offset + from as u64) {
            Ok(count) if from + count > done => done = from + count,
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl ReadAt for DirectFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let skip = usize::try_from(offset % ALIGN as u64).unwrap_or_default();
        let wanted = skip + buf.len();
        let too_large = || io::Error::from(io::ErrorKind::InvalidInput);
        let sectors = align_up(wanted).ok_or_else(too_large)?;
        BUFFER.with_borrow_mut(|memory| {
            memory.resize(memory.len().max(sectors + ALIGN), 0);
            let start = memory.as_ptr().align_offset(ALIGN);
            let aligned = memory.get_mut(start..start + sectors).ok_or_else(too_large)?;
            fill(&self.file, aligned, offset - skip as u64, wanted)?;
            buf.copy_from_slice(&aligned[skip..wanted]);
            if memory.len() > KEEP_BYTES_MAX {
                *memory = Vec::new();
            }
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}
