//! The operating system's files; logs are shared, writable memory maps.
//!
//! 1. A log is mapped whole, and its file is never shortened while it is mapped: the space is
//!    taken from the medium first, so that no store meets a full disk (which would be SIGBUS).
//! 2. Stores to a map are relaxed atomic words: any threads may store anywhere, at any time.
//! 3. A store to a shared map is in the page cache at once, so it outlives a killed process
//!    without a system call; `fdatasync` writes the dirty pages of the map like any others.
//! 4. Where a file cannot be mapped, the same face is kept with positioned writes.
#![expect(unsafe_code, reason = "stores into a memory map go through pointers")]

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::{MmapOptions, MmapRaw};
use sstable::ReadAt;

use super::{Fs, Lock, LogFile, TableReads, WriteFile, check_capacity, check_place};

/// Bytes gathered before a system call: large enough that the call's cost (about 0.7 us) and the
/// per-call file system work vanish beside the copy.
const BUFFER_BYTES: usize = 256 << 10;

/// Files of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdFs {
    mapping: Mapping,
}

/// How [`StdFs`] writes logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mapping {
    /// Through a memory map where the file can be mapped.
    #[default]
    WherePossible,
    /// By positioned writes only.
    Never,
}

impl StdFs {
    /// Logs are mapped into memory where possible.
    pub fn new() -> Self {
        Self::default()
    }

    /// Logs are written by system calls, about 0.7 us each: for file systems whose maps are not
    /// to be trusted (some network and copy-on-write ones answer a full disk with SIGBUS).
    pub fn without_mapping() -> Self {
        Self { mapping: Mapping::Never }
    }

    fn map_log(self, file: File, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        let length = usize::try_from(capacity).map_err(io::Error::other)?;
        if self.mapping == Mapping::WherePossible
            && let Ok(map) = MmapOptions::new().len(length).map_raw(&file)
        {
            return Ok(Box::new(MappedLog { map, file, capacity }));
        }
        Ok(Box::new(CalledLog { file, capacity }))
    }
}

impl Fs for StdFs {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = std::path::absolute(path)?;
        let mut missing: Vec<&Path> = Vec::new();
        let mut existing = None;
        for ancestor in path.ancestors() {
            if ancestor.is_dir() {
                existing = Some(ancestor);
                break;
            }
            missing.push(ancestor);
        }
        // An earlier process may have died between creating this one and making it durable.
        if let Some(parent) = existing.and_then(Path::parent) {
            match self.sync_dir(parent) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {} // not ours
                done => done?,
            }
        }
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                done => done?,
            }
            if let Some(parent) = folder.parent() {
                self.sync_dir(parent)?;
            }
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name()));
        let names: Vec<OsString> = names.collect::<io::Result<_>>()?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn file_bytes(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place; callers sync the folder")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn open_table(&self, path: &Path, reads: TableReads) -> io::Result<Arc<dyn ReadAt>> {
        reads.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(AppendedFile { file, held: Vec::new(), passed_on: 0 }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        let passed_on = file.seek(SeekFrom::End(0))?;
        Ok(Box::new(AppendedFile { file, held: Vec::new(), passed_on }))
    }

    fn create_log(&self, path: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        check_capacity(capacity)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let taken = take_space(&file, 0, capacity).and_then(|()| self.map_log(file, capacity));
        if taken.is_err() {
            fs::remove_file(path)?; // half a log would only be in the way
        }
        taken
    }

    fn reuse_log(&self, old: &Path, new: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        check_capacity(capacity)?;
        if fs::exists(new)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = OpenOptions::new().read(true).write(true).open(old)?;
        let length = file.metadata()?.len();
        if length < capacity {
            take_space(&file, length, capacity)?;
        }
        self.rename(old, new)?;
        self.map_log(file, capacity)
    }

    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let capacity = file.metadata()?.len();
        check_capacity(capacity)?;
        // Large pieces are written once and synced: calls cost less than faults in a map.
        Ok(Box::new(CalledLog { file, capacity }))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(FileLock::take(path)?))
    }
}

/// Makes the file `end` bytes long with its space taken; what lies beyond `start` reads as zero.
fn take_space(file: &File, start: u64, end: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(file, FallocateFlags::empty(), start, end - start) {
            Ok(()) => return Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {} // write the zeros ourselves
            Err(errno) => return Err(errno.into()),
        }
    }
    let zeros = [0_u8; 16 << 10];
    let mut offset = start;
    while offset < end {
        let step = zeros.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
        file.write_all_at(zeros.get(..step).unwrap_or(&zeros), offset)?;
        offset += step as u64;
    }
    Ok(())
}

/// A growing file with its last bytes still in memory.
struct AppendedFile {
    file: File,
    held: Vec<u8>,
    passed_on: u64,
}

impl AppendedFile {
    fn pass_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.passed_on += bytes.len() as u64;
        Ok(())
    }

    fn pass_on_held(&mut self) -> io::Result<()> {
        let mut held = std::mem::take(&mut self.held);
        let done = self.pass_on(&held);
        held.clear();
        self.held = held;
        done
    }
}

impl Write for AppendedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() + bytes.len() > BUFFER_BYTES {
            self.pass_on_held()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            self.pass_on(bytes)?;
        } else {
            self.held.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on_held()
    }
}

impl WriteFile for AppendedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.pass_on_held()?;
        self.file.sync_data() // the length is data that later reads need, so it is included
    }

    fn written(&self) -> u64 {
        self.passed_on + self.held.len() as u64
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.written() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let kept = usize::try_from(bytes.saturating_sub(self.passed_on)).unwrap_or(usize::MAX);
        self.held.truncate(kept);
        // Also where all of it was held: a write that failed may have left a part behind the end.
        self.passed_on = self.passed_on.min(bytes);
        self.file.set_len(self.passed_on)?;
        self.file.seek(SeekFrom::Start(self.passed_on))?;
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.written(), bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// A log written through a shared memory map.
#[derive(Debug)]
struct MappedLog {
    map: MmapRaw,
    file: File,
    capacity: u64,
}

impl LogFile for MappedLog {
    #[expect(clippy::cast_ptr_alignment, reason = "maps start on a page, places on a word")]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let place = check_place(offset, bytes.len(), self.capacity)?;
        // SAFETY: `check_place` has checked that the place lies within the map.
        let start = unsafe { self.map.as_mut_ptr().add(place.start) };
        let (words, _) = bytes.as_chunks::<8>();
        for (i, word) in words.iter().enumerate() {
            // SAFETY: `check_place` has checked that all words lie within the map.
            let target = unsafe { start.cast::<u64>().add(i) };
            // SAFETY: the map lives as long as `self`, `target` is a word in it, aligned since
            // maps start on a page and places are multiples of 8, and invariant 2 has every
            // access in this process atomic.
            let target = unsafe { AtomicU64::from_ptr(target) };
            // ORDERING: Relaxed: the page cache is the reader, in order on one machine; threads
            // that need order among themselves have it from the commit lock.
            target.store(u64::from_le_bytes(*word).to_le(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if cfg!(not(target_os = "linux")) {
            self.map.flush()?; // elsewhere a file sync may leave out what only the map knows
        }
        self.file.sync_data()
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn get_ready(&self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = self.map.advise(Advice::PopulateWrite) {
            // Systems before Linux 5.14 do not know it: then each page waits for its first store.
            tracing::debug!(%error, "the pages of a log were not made ready");
        }
    }
}

/// A log written by system calls.
#[derive(Debug)]
struct CalledLog {
    file: File,
    capacity: u64,
}

impl LogFile for CalledLog {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        check_place(offset, bytes.len(), self.capacity)?;
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }
}

/// A lock that the operating system ends with the process.
#[derive(Debug)]
struct FileLock {
    path: PathBuf,
    file: File,
}

impl FileLock {
    fn take(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), file }),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Lock for FileLock {}

impl Drop for FileLock {
    /// Unlocks the file itself: closing it is not enough where a child that is being started still
    /// has a copy of the descriptor.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "the lock ends with the process");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::suite;

    #[test]
    fn mapped_logs_pass_the_suite() {
        let root = tempfile::tempdir().unwrap();
        suite::all(&StdFs::new(), root.path());
    }

    #[test]
    fn called_logs_pass_the_suite() {
        let root = tempfile::tempdir().unwrap();
        suite::all(&StdFs::without_mapping(), root.path());
    }

    /// Found by killing processes: a database was closed while another thread was starting a
    /// child, whose copy of the descriptor kept it locked.
    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("LOCK");
        let lock = FileLock::take(&path).unwrap();
        let copy = lock.file.try_clone().unwrap();
        assert_eq!(FileLock::take(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        drop(FileLock::take(&path).unwrap());
        drop(copy);
    }

    #[test]
    fn logs_are_mapped_here() {
        let root = tempfile::tempdir().unwrap();
        let log = StdFs::new().create_log(&root.path().join("log"), 4096).unwrap();
        assert!(format!("{log:?}").starts_with("MappedLog"), "the fast path is the one in use");
        let log = StdFs::without_mapping().create_log(&root.path().join("2"), 4096).unwrap();
        assert!(format!("{log:?}").starts_with("CalledLog"));
    }

    #[test]
    fn a_new_log_owns_its_space() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        let log = StdFs::new().create_log(&path, 1 << 20).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1 << 20, "no sparse file");
        drop(log);
    }

    #[test]
    fn a_missing_folder_is_created_under_a_relative_path_too() {
        StdFs::new().create_dir_all(Path::new(".")).unwrap();
        StdFs::new().create_dir_all(Path::new("/")).unwrap();
    }

    #[test]
    fn a_file_in_the_way_of_a_folder_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(StdFs::new().create_dir_all(&file).is_err());
        assert!(StdFs::new().create_dir_all(&file.join("below")).is_err());
    }
}
