//! A disk in memory that knows what a power cut would leave of it.
//!
//! 1. What is written and what is durable are kept apart: a file has its durable bytes and the
//!    list of changes since its last sync; a folder has the list of its name changes.
//! 2. [`MemFs::crash`] makes the disk that a machine finds after a cut, by a seed and a
//!    [`CrashMode`]; the disk it is called on goes on as before.
//! 3. A file whose sync failed has lost its changes: reads still show them, as the page cache
//!    does, but no later sync brings them to the medium (Rebello et al. 2020).

mod file;
mod names;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::file::Content;
use self::names::{Names, Target};
use super::{Fs, Lock, LogFile, ReadAt, WriteFile, check_capacity, check_place};
use crate::random::Random;

/// Bytes that a [`WriteFile`] holds back, as a real one does: a killed process loses them.
const HELD_BYTES: usize = 8 << 10;

/// What happens to file contents that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataLoss {
    /// Nothing is lost: the process was killed, the machine went on.
    Nothing,
    /// Everything not synced is lost.
    Unsynced,
    /// Changes reached the medium in order up to some point, and the last one only in part.
    Torn,
    /// Each sector (512 bytes) has reached the medium at its own moment, lengths at theirs; new
    /// sectors that did not reach it hold zeros or rubbish.
    Reordered,
}

/// What happens to names (creations, renamings, removals) whose folder was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameLoss {
    /// Nothing is lost.
    Nothing,
    /// They survive up to some moment, in order, and every file sync makes all before it durable:
    /// a journaling file system such as ext4.
    Journaled,
    /// Each name has its own moment, until its folder is synced: what POSIX allows. A renaming may
    /// be half done (both names are there).
    Strict,
}

/// What a crash does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashMode {
    /// To contents.
    pub data: DataLoss,
    /// To names.
    pub names: NameLoss,
}

impl CrashMode {
    /// The process dies; the machine goes on.
    pub const KILL: Self = Self { data: DataLoss::Nothing, names: NameLoss::Nothing };

    /// Every power cut, on journaling and on strict file systems.
    pub const POWER_CUTS: [Self; 6] = [
        Self { data: DataLoss::Unsynced, names: NameLoss::Journaled },
        Self { data: DataLoss::Torn, names: NameLoss::Journaled },
        Self { data: DataLoss::Reordered, names: NameLoss::Journaled },
        Self { data: DataLoss::Unsynced, names: NameLoss::Strict },
        Self { data: DataLoss::Torn, names: NameLoss::Strict },
        Self { data: DataLoss::Reordered, names: NameLoss::Strict },
    ];
}

/// A disk in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemFs {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    names: Names,
    locks: BTreeSet<PathBuf>,
    capacity_bytes: Option<u64>,
    /// File syncs that go well before one loses what it should have kept.
    losing_sync: Option<u64>,
}

type Shared = Arc<Mutex<Content>>;

impl MemFs {
    /// An empty disk: the root folder, and nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk after a crash now; nothing is locked on it. After a power cut all that it holds is
    /// durable; after the death of a process, what was not durable still is not.
    pub fn crash(&self, seed: u64, mode: CrashMode) -> Self {
        let mut random = Random::new(seed);
        let disk = self.disk.lock();
        let names = disk.names.after_crash(&mut random, mode);
        let capacity_bytes = disk.capacity_bytes;
        drop(disk);
        let disk = Disk { names, capacity_bytes, ..Disk::default() };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// Limits the sum of all file lengths; `None` lifts the limit. Writes beyond it fail with
    /// [`io::ErrorKind::StorageFull`].
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk.lock().capacity_bytes = bytes;
    }

    /// The sum of all file lengths in bytes.
    pub fn used_bytes(&self) -> u64 {
        self.disk.lock().names.used_bytes()
    }

    /// Flips bits of a byte, on the medium and in the cache: bit rot. Every block has a checksum,
    /// so what is read is what was written, or an error.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// use std::sync::Arc;
    /// use lsm::fs::MemFs;
    /// use lsm::{Db, Env, Error, Options};
    /// let disk = MemFs::new();
    /// let open = || {
    ///     let options = Options::default();
    ///     let env = Env { fs: Arc::new(disk.clone()), ..Env::system(&options)? };
    ///     Db::open_with("/db", options, env)
    /// };
    ///
    /// let db = open()?;
    /// db.put("key", "a value that will rot")?;
    /// db.flush()?;
    /// let table = disk.files().into_iter().find(|file| file.extension() == Some("sst".as_ref()));
    /// disk.flip(&table.unwrap(), 20, 0x01).unwrap();
    /// match db.get("key") {
    ///     Err(Error::Table(why)) => assert!(why.to_string().contains("damaged at byte"), "{why}"),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    /// # Errors
    /// [`io::ErrorKind::NotFound`]; [`io::ErrorKind::InvalidInput`] beyond the file's end.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        self.content(path)?.lock().flip(offset, mask)
    }

    /// Cuts a file short, on the medium and in the cache.
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    pub fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let content = self.content(path)?;
        let mut content = content.lock();
        content.resize(bytes);
        content.sync();
        Ok(())
    }

    /// Loses the changes of a file that were not synced, as a failed sync does (invariant 3).
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    pub fn lose_unsynced(&self, path: &Path) -> io::Result<()> {
        self.content(path)?.lock().lose_unsynced();
        Ok(())
    }

    /// Lets one file sync fail, after `after` good ones, and lose all changes of its file since
    /// the last good one (invariant 3).
    pub fn lose_at_sync(&self, after: u64) {
        self.disk.lock().losing_sync = Some(after);
    }

    /// A whole file, as reads see it.
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.content(path)?.lock().written().to_vec())
    }

    /// Names all files, with their folders.
    pub fn files(&self) -> Vec<PathBuf> {
        self.disk.lock().names.files()
    }

    fn content(&self, path: &Path) -> io::Result<Shared> {
        self.disk.lock().names.file(path)
    }

    /// Fails if the disk has no room for `bytes` more.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let disk = self.disk.lock();
        let Some(capacity) = disk.capacity_bytes else { return Ok(()) };
        if disk.names.used_bytes() + bytes > capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&self, content: &Shared) -> io::Result<()> {
        let mut disk = self.disk.lock();
        match disk.losing_sync {
            Some(0) => {
                disk.losing_sync = None;
                content.lock().lose_unsynced();
                return Err(io::Error::other("the medium refused some pages"));
            }
            Some(left) => disk.losing_sync = Some(left - 1),
            None => {}
        }
        content.lock().sync();
        disk.names.file_synced();
        Ok(())
    }

    fn new_file(&self, path: &Path) -> io::Result<Shared> {
        let content = Shared::default();
        let mut disk = self.disk.lock();
        disk.names.must_be_free(path)?;
        disk.names.set(path, Some(Target::File(Arc::clone(&content))))?;
        Ok(content)
    }

    fn mem_log(&self, content: Shared, capacity: u64) -> Box<dyn LogFile> {
        Box::new(MemLog { fs: self.clone(), content, capacity })
    }
}

impl fmt::Debug for MemFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for path in self.files() {
            map.entry(&path, &self.file_bytes(&path).unwrap_or(0));
        }
        map.finish()
    }
}

impl Fs for MemFs {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let folders: Vec<&Path> = path.ancestors().collect();
        for folder in folders.into_iter().rev() {
            match disk.names.get(folder) {
                Some(Target::Folder) => {}
                Some(Target::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => disk.names.set(folder, Some(Target::Folder))?,
            }
            if let Some(parent) = folder.parent() {
                disk.names.sync(parent);
            }
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.lock().names.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.disk.lock().names.get(path).is_some())
    }

    fn file_bytes(&self, path: &Path) -> io::Result<u64> {
        Ok(self.content(path)?.lock().written().len() as u64)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.names.file(path)?;
        disk.names.set(path, None)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.lock().names.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.names.must_be_folder(path)?;
        disk.names.sync(path);
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let content = disk.names.file(from)?;
        disk.names.must_be_free(to)?;
        disk.names.set(to, Some(Target::File(content)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(MemReader { content: self.content(path)? }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let content = self.new_file(path)?;
        Ok(Box::new(MemWriter { fs: self.clone(), content, held: Vec::new() }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let content = self.content(path)?;
        Ok(Box::new(MemWriter { fs: self.clone(), content, held: Vec::new() }))
    }

    fn create_log(&self, path: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        check_capacity(capacity)?;
        let content = self.new_file(path)?;
        if let Err(error) = self.make_room(capacity) {
            self.remove(path)?;
            return Err(error);
        }
        content.lock().resize(capacity);
        Ok(self.mem_log(content, capacity))
    }

    fn reuse_log(&self, old: &Path, new: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        check_capacity(capacity)?;
        let content = self.content(old)?;
        let length = content.lock().written().len() as u64;
        self.make_room(capacity.saturating_sub(length))?;
        let mut disk = self.disk.lock();
        disk.names.must_be_free(new)?;
        disk.names.rename(old, new)?;
        drop(disk);
        if length < capacity {
            content.lock().resize(capacity);
        }
        Ok(self.mem_log(content, capacity))
    }

    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let content = self.content(path)?;
        let capacity = content.lock().written().len() as u64;
        check_capacity(capacity)?;
        Ok(self.mem_log(content, capacity))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut disk = self.disk.lock();
        if disk.names.get(path).is_none() {
            disk.names.set(path, Some(Target::File(Shared::default())))?;
        }
        if !disk.locks.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemLock { fs: self.clone(), path: path.to_path_buf() }))
    }
}

#[derive(Debug)]
struct MemReader {
    content: Shared,
}

impl ReadAt for MemReader {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.content.lock();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = content.written().get(start..start.saturating_add(buf.len()));
        buf.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().written().len() as u64)
    }
}

struct MemWriter {
    fs: MemFs,
    content: Shared,
    held: Vec<u8>,
}

impl MemWriter {
    fn pass_on(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        let more = self.content.lock().space_for(held.len());
        self.fs.make_room(more)?;
        let mut content = self.content.lock();
        let end = content.written().len();
        content.write(end, &held);
        Ok(())
    }
}

impl Write for MemWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= HELD_BYTES {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

impl WriteFile for MemWriter {
    fn sync(&mut self) -> io::Result<()> {
        self.pass_on()?;
        self.fs.sync(&self.content)
    }

    fn written(&self) -> u64 {
        (self.content.lock().written().len() + self.held.len()) as u64
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.written() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut content = self.content.lock();
        let passed_on = content.written().len() as u64;
        let kept = usize::try_from(bytes.saturating_sub(passed_on)).unwrap_or(usize::MAX);
        self.held.truncate(kept);
        content.resize(bytes.min(passed_on));
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = self.held.len() + usize::try_from(bytes).map_err(io::Error::other)?;
        let more = self.content.lock().space_for(bytes);
        self.fs.make_room(more)?;
        self.content.lock().reserve(bytes);
        Ok(())
    }
}

#[derive(Debug)]
struct MemLog {
    fs: MemFs,
    content: Shared,
    capacity: u64,
}

impl LogFile for MemLog {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let place = check_place(offset, bytes.len(), self.capacity)?;
        self.content.lock().write(place.start, bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.sync(&self.content)
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }
}

#[derive(Debug)]
struct MemLock {
    fs: MemFs,
    path: PathBuf,
}

impl Lock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.fs.disk.lock().locks.remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::suite;

    fn put(fs: &MemFs, path: &str, bytes: &[u8]) {
        let mut file = fs.create(Path::new(path)).unwrap();
        file.write_all(bytes).unwrap();
        file.sync().unwrap();
    }

    /// Every state that crashes leave of the folder `/d`, as names with the first byte of each.
    fn outcomes(fs: &MemFs, names: NameLoss) -> BTreeSet<String> {
        let state = |seed| {
            let after = fs.crash(seed, CrashMode { data: DataLoss::Unsynced, names });
            let mut found = after.list(Path::new("/d")).unwrap();
            found.sort();
            let first = |name: &String| {
                let bytes = after.contents(&Path::new("/d").join(name)).unwrap();
                format!("{name}={}", bytes.first().map_or('-', |byte| char::from(*byte)))
            };
            found.iter().map(first).collect::<Vec<_>>().join(" ")
        };
        (0..200).map(state).collect()
    }

    fn set(states: &[&str]) -> BTreeSet<String> {
        states.iter().map(|state| (*state).to_owned()).collect()
    }

    #[test]
    fn the_disk_in_memory_passes_the_suite() {
        let fs = MemFs::new();
        fs.create_dir_all(Path::new("/root")).unwrap();
        suite::all(&fs, Path::new("/root"));
        let fs = MemFs::new();
        fs.create_dir_all(Path::new("relative")).unwrap();
        suite::all(&fs, Path::new("relative"));
    }

    #[test]
    fn a_name_lasts_once_its_folder_is_synced() {
        let fs = MemFs::new();
        fs.create_dir_all(Path::new("/d")).unwrap();
        put(&fs, "/d/a", b"1");
        assert_eq!(outcomes(&fs, NameLoss::Strict), set(&["", "a=1"]));
        assert_eq!(outcomes(&fs, NameLoss::Journaled), set(&["a=1"]), "the file's sync did it");
        fs.sync_dir(Path::new("/d")).unwrap();
        assert_eq!(outcomes(&fs, NameLoss::Strict), set(&["a=1"]));
        fs.remove(Path::new("/d/a")).unwrap();
        assert_eq!(outcomes(&fs, NameLoss::Strict), set(&["", "a=1"]));
        assert_eq!(outcomes(&fs, NameLoss::Journaled), set(&["", "a=1"]));
    }

    #[test]
    fn a_renaming_may_be_half_done_but_loses_nothing() {
        let fs = MemFs::new();
        fs.create_dir_all(Path::new("/d")).unwrap();
        put(&fs, "/d/a", b"1");
        put(&fs, "/d/b", b"2");
        fs.sync_dir(Path::new("/d")).unwrap();
        fs.rename(Path::new("/d/b"), Path::new("/d/a")).unwrap();
        assert_eq!(outcomes(&fs, NameLoss::Journaled), set(&["a=1 b=2", "a=2"]));
        assert_eq!(outcomes(&fs, NameLoss::Strict), set(&["a=1 b=2", "a=2 b=2", "a=2"]));
        fs.sync_dir(Path::new("/d")).unwrap();
        assert_eq!(outcomes(&fs, NameLoss::Strict), set(&["a=2"]));
    }

    #[test]
    fn replacing_a_file_leaves_the_old_or_the_new_one() {
        let fs = MemFs::new();
        fs.create_dir_all(Path::new("/d")).unwrap();
        fs.replace(Path::new("/d/a"), b"1").unwrap();
        fs.replace(Path::new("/d/a"), b"2").unwrap();
        assert_eq!(outcomes(&fs, NameLoss::Strict), set(&["a=2"]));
    }

    #[test]
    fn a_killed_process_loses_only_what_it_held_back() {
        let fs = MemFs::new();
        let mut file = fs.create(Path::new("/f")).unwrap();
        file.write_all(b"flushed").unwrap();
        file.flush().unwrap();
        file.write_all(b"held").unwrap();
        let lock = fs.lock(Path::new("/LOCK")).unwrap();
        let after = fs.crash(1, CrashMode::KILL);
        assert_eq!(after.contents(Path::new("/f")).unwrap(), b"flushed");
        after.lock(Path::new("/LOCK")).unwrap();
        drop((file, lock));
    }

    #[test]
    fn what_a_killed_process_left_unsynced_goes_with_a_later_power_cut() {
        let fs = MemFs::new();
        let mut file = fs.create(Path::new("/f")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        file.write_all(b"x").unwrap();
        file.flush().unwrap();
        fs.create(Path::new("/g")).unwrap();
        let next = fs.crash(1, CrashMode::KILL);
        assert_eq!(next.contents(Path::new("/f")).unwrap(), b"x");
        let after: Vec<MemFs> = (0..50).map(|n| next.crash(n, CrashMode::POWER_CUTS[3])).collect();
        assert!(after.iter().all(|fs| fs.contents(Path::new("/f")).unwrap().is_empty()));
        assert!(after.iter().any(|fs| !fs.exists(Path::new("/g")).unwrap()));
    }

    #[test]
    fn a_failed_sync_loses_its_changes_for_good() {
        let fs = MemFs::new();
        let mut file = fs.create(Path::new("/f")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        fs.lose_at_sync(1);
        file.write_all(b"kept").unwrap();
        file.sync().unwrap();
        file.write_all(b"lost").unwrap();
        assert!(file.sync().is_err());
        file.sync().unwrap();
        assert_eq!(fs.contents(Path::new("/f")).unwrap(), b"keptlost");
        let after = fs.crash(1, CrashMode::POWER_CUTS[0]);
        assert_eq!(after.contents(Path::new("/f")).unwrap(), b"kept");
    }

    #[test]
    fn a_full_disk_says_so_and_heals() {
        let fs = MemFs::new();
        fs.set_capacity(Some(100));
        put(&fs, "/a", &[0; 60]);
        let full =
            |result: io::Result<()>| result.unwrap_err().kind() == io::ErrorKind::StorageFull;
        let mut file = fs.create(Path::new("/b")).unwrap();
        file.write_all(&[0; 60]).unwrap();
        assert!(full(file.sync()));
        assert!(full(fs.create_log(Path::new("/log"), 48).map(drop)));
        assert!(!fs.exists(Path::new("/log")).unwrap());
        assert_eq!(fs.used_bytes(), 60);
        fs.remove(Path::new("/a")).unwrap();
        fs.create_log(Path::new("/log"), 48).unwrap();
    }
}
