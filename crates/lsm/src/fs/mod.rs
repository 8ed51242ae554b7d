//! The only way to files: one trait, so that the whole engine runs on a real or a simulated disk.
//!
//! 1. Nothing is durable until it is synced: contents by [`WriteFile::sync`] or [`LogFile::sync`],
//!    names (creation, renaming, removal) by [`Fs::sync_dir`] on the folder that holds them.
//! 2. A failed sync says nothing about which bytes are on the medium, and a later sync that
//!    succeeds does not repair it (Rebello et al. 2020): callers stop writing to that file.
//! 3. Paths are plain: no implementation follows a relative path out of the folder it names.

mod fault;
mod mem;
mod std;
mod table_reads;

pub use self::fault::{Call, Effect, Fault, FaultFs};
pub use self::mem::{CrashMode, DataLoss, MemFs, NameLoss};
pub use self::std::StdFs;
pub use self::table_reads::TableReads;

use ::std::fmt::Debug;
use ::std::io;
use ::std::io::Write as _;
use ::std::path::{Path, PathBuf};
use ::std::sync::Arc;

pub use sstable::ReadAt;

use crate::names;

/// Files and folders, as the engine needs them.
///
/// Every method may fail with whatever the medium answers; errors that callers tell apart are
/// named at the method.
pub trait Fs: Send + Sync + Debug {
    /// Creates the folder and its missing parents, and makes their names durable.
    /// # Errors
    /// Whatever the medium answers.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Names of the entries of a folder, in no particular order; names that are not UTF-8 are
    /// left out (the engine writes none).
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such folder.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Whether a file or folder of this name exists.
    /// # Errors
    /// Whatever the medium answers, other than "not found".
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Length of a file in bytes.
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file.
    fn file_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Removes a file's name; open handles stay usable.
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Renames a file over whatever `to` names. Not durable before `sync_dir`.
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no file `from`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable: what was created, renamed and removed there.
    /// # Errors
    /// Whatever the medium answers.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a second name. Not durable before `sync_dir`.
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if `to` exists.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Opens a file for positioned reads.
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>>;

    /// Opens a table for positioned reads, in the way asked for if this file system has it, else
    /// as [`Fs::open_read`] does.
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file.
    fn open_table(&self, path: &Path, _reads: TableReads) -> io::Result<Arc<dyn ReadAt>> {
        self.open_read(path)
    }

    /// Creates a file for appending.
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if it exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Opens an existing file for appending at its end.
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file.
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Creates a log file of `capacity` bytes, all zero, with its space already taken from the
    /// medium, so that a full disk is met here and not in the middle of a commit.
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if it exists; [`io::ErrorKind::StorageFull`] if the space
    /// is not there (the file is removed again); [`io::ErrorKind::InvalidInput`] if `capacity` is
    /// zero or no multiple of 8.
    fn create_log(&self, path: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>>;

    /// Renames the finished log `old` to `new` and opens it for writing again, old bytes and all:
    /// written space is quicker to write again, and to sync (85 against 136 us on the two-core
    /// ext4 machine of 2026-11-20). Readers must tell old bytes from new ones.
    /// # Errors
    /// As [`Fs::create_log`]; [`io::ErrorKind::NotFound`] if there is no file `old`.
    fn reuse_log(&self, old: &Path, new: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>>;

    /// Opens an existing log, all of it, to write parts of it again.
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file; [`io::ErrorKind::InvalidInput`] if
    /// its length is zero or no multiple of 8.
    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// Takes an exclusive lock by way of a file, which is created if it is missing. The lock ends
    /// when the value is dropped or the process dies.
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another handle, here or in another process, holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// Replaces a file's contents as one durable step: whoever opens the file afterwards, power
    /// cuts included, finds the old contents or the new, never a mixture.
    /// # Errors
    /// Whatever the medium answers; the old contents are then in place, or the new ones.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let aside = self.write_aside(path, contents)?;
        self.rename(&aside, path)?;
        self.sync_dir(folder)
    }

    /// The first half of [`Fs::replace`]: puts the new contents on the medium beside the file,
    /// which stays as it is, and returns where.
    /// # Errors
    /// Whatever the medium answers, a full disk among others; nothing is left then, as far as
    /// possible.
    fn write_aside(&self, path: &Path, contents: &[u8]) -> io::Result<PathBuf> {
        let aside = names::aside(path);
        match self.remove(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {} // gone, or never there
        }
        let written = self.create(&aside).and_then(|mut file| {
            file.write_all(contents)?;
            file.sync()
        });
        if written.is_err()
            && let Err(error) = self.remove(&aside)
        {
            tracing::debug!(path = %aside.display(), %error, "half a file stays, or none was made");
        }
        written.map(|()| aside)
    }
}

/// A file that grows at its end.
///
/// Writes may be held back in memory until `flush` or `sync`; a drop without either may lose them.
pub trait WriteFile: io::Write + Send {
    /// Puts everything written so far, and the file's length, on the medium.
    /// # Errors
    /// Whatever the medium answers; see invariant 2 of this module.
    fn sync(&mut self) -> io::Result<()>;

    /// Length of the file in bytes, counting what is still held back.
    fn written(&self) -> u64;

    /// Cuts the file to `bytes` and goes on appending there. Not durable before `sync`.
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the file is shorter.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;

    /// Takes space for so many bytes behind the end, so that writes there do not meet a full disk.
    /// Does nothing where the medium has no such thing. [`WriteFile::truncate`] gives it back.
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if the space is not there.
    fn reserve(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
}

/// A log of fixed capacity that is written at chosen places.
///
/// What `write_at` has stored survives the death of the process; `sync` makes it survive a power
/// cut. Before that, stores may reach the medium in any order, sector by sector.
pub trait LogFile: Send + Sync + Debug {
    /// Stores `bytes` at `offset`; both `offset` and the length are multiples of 8.
    ///
    /// Several threads may write disjoint places at once. If places overlap, each 8-byte word
    /// holds what one of the threads stored.
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for odd places or beyond the capacity.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Puts all stores that returned before this call on the medium.
    /// # Errors
    /// Whatever the medium answers; see invariant 2 of this module.
    fn sync(&self) -> io::Result<()>;

    /// Size in bytes.
    fn capacity(&self) -> u64;

    /// Makes ready for stores all over the log, so that none of them waits for the system: a hint,
    /// for a thread that has the time. The next sync may then write all of the log.
    fn get_ready(&self) {}
}

/// An exclusive lock, held until it is dropped.
pub trait Lock: Send + Sync + Debug {}

/// Checks a capacity for [`Fs::create_log`].
pub(crate) fn check_capacity(capacity: u64) -> io::Result<()> {
    if capacity == 0 || !capacity.is_multiple_of(8) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a log's capacity is a multiple of 8 bytes, and not zero",
        ));
    }
    Ok(())
}

/// Checks a place for [`LogFile::write_at`] and returns it as indices.
pub(crate) fn check_place(
    offset: u64,
    length: usize,
    capacity: u64,
) -> io::Result<::std::ops::Range<usize>> {
    let place = || {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(length)?;
        (start.is_multiple_of(8)
            && length.is_multiple_of(8)
            && u64::try_from(end).ok()? <= capacity)
            .then_some(start..end)
    };
    place().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("no place for {length} bytes at {offset} in a log of {capacity} bytes"),
        )
    })
}

#[cfg(test)]
pub(crate) mod suite;
