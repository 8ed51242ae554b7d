//! [`TableReads`]: by which way of the operating system tables are read.
#![expect(unsafe_code, reason = "mapping a file is a promise about who else writes it")]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

#[cfg(target_os = "linux")]
use sstable::DirectFile;
use sstable::{MappedFile, ReadAt};

/// How tables are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableReads {
    /// Positioned reads through the page cache. The default.
    #[default]
    Positioned,
    /// Through a memory map: blocks stored plainly are used where they lie. For data that fits in
    /// memory: a read may stall on a page fault, and a table that another program shortens ends
    /// the process with a signal (Crotty, Leis and Pavlo, 2022).
    Mapped,
    /// Past the page cache, for a block cache larger than what the system would keep. As
    /// `Positioned` on file systems that cannot do it.
    Direct,
}

impl TableReads {
    /// Opens a file of the real file system.
    pub(super) fn open(self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        match self {
            Self::Positioned => Ok(Arc::new(File::open(path)?)),
            Self::Mapped => {
                let file = File::open(path)?;
                // SAFETY: tables are written once, before they are opened, and then only removed,
                // which leaves the map its pages; the database's lock keeps other databases out of
                // the folder. That no other program changes them is the option's condition.
                let mapped = unsafe { MappedFile::new(&file) }?;
                Ok(Arc::new(mapped))
            }
            #[cfg(not(target_os = "linux"))]
            Self::Direct => Ok(Arc::new(File::open(path)?)),
            #[cfg(target_os = "linux")]
            Self::Direct => match DirectFile::open(path) {
                Ok(file) => Ok(Arc::new(file)),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    Ok(Arc::new(File::open(path)?))
                }
                Err(error) => Err(error),
            },
        }
    }
}
