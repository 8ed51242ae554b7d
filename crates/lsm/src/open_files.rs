//! [`OpenFiles`]: table files are open while they are read, and so many at most.
//!
//! A table keeps its filter and index in memory and needs its file only for blocks that the cache
//! lacks. So the handle may be closed at any time and opened again by name: as long as the table
//! is in use, its file keeps its name.
//!
//! 1. A read holds its handle until it is done, so that handles over the limit are those of reads
//!    under way, one a thread.
//! 2. Which handle goes is decided by a clock (second chance; Corbató, 1968): the oldest that was
//!    not used since it was last looked at.
//! 3. A map must stay where it is for as long as its table lives, since blocks are used in it. So
//!    maps are never taken away; once there are as many as handles may be open, tables are read by
//!    handles like the others.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use sstable::ReadAt;

use crate::fs::{Fs, TableReads};

/// The open handles of a database's tables.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    most: usize,
    /// The slots that hold a handle, those of dropped tables among them, oldest first.
    hand: Mutex<VecDeque<Weak<Slot>>>,
    /// Tables that are mapped.
    maps: AtomicUsize,
}

/// A place for the handle of one table.
#[derive(Debug, Default)]
struct Slot {
    handle: ArcSwapOption<Handle>,
    used: AtomicBool,
}

#[derive(Debug)]
struct Handle(Arc<dyn ReadAt>);

/// A table's file, open or not.
#[derive(Debug)]
struct PooledFile {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    reads: TableReads,
    pool: Arc<OpenFiles>,
    slot: Arc<Slot>,
}

/// A mapped table.
#[derive(Debug)]
struct Map {
    file: Arc<dyn ReadAt>,
    pool: Arc<OpenFiles>,
}

/// How many files may be kept open if `asked` for so many: at most half of those that this process
/// may have (`RLIMIT_NOFILE`).
fn within_limit(asked: usize) -> usize {
    #[cfg(unix)]
    let most = {
        use rustix::process::{Resource, getrlimit};
        let most = getrlimit(Resource::Nofile).current;
        most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
    };
    #[cfg(not(unix))]
    let most = usize::MAX;
    asked.min((most / 2).max(1))
}

impl OpenFiles {
    /// Keeps `most` files open, or half of what the process may have.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let (most, hand) = (within_limit(most), Mutex::default());
        Arc::new(Self { most, hand, maps: AtomicUsize::new(0) })
    }

    /// The file at `path`, which is there and keeps its name while the result lives.
    pub(crate) fn file(
        self: &Arc<Self>,
        fs: &Arc<dyn Fs>,
        path: PathBuf,
        reads: TableReads,
    ) -> io::Result<Arc<dyn ReadAt>> {
        let mut reads = reads;
        if reads == TableReads::Mapped {
            if let Some(map) = self.map(fs, &path)? {
                return Ok(map);
            }
            reads = TableReads::Positioned;
        }
        let (fs, pool, slot) = (Arc::clone(fs), Arc::clone(self), Arc::default());
        let file = PooledFile { fs, path, reads, pool, slot };
        file.handle()?;
        Ok(Arc::new(file))
    }

    /// The file as a map, if there are not too many.
    fn map(self: &Arc<Self>, fs: &Arc<dyn Fs>, path: &Path) -> io::Result<Option<Arc<dyn ReadAt>>> {
        // ORDERING: Relaxed; a count that publishes nothing.
        if self.maps.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.unmapped();
            return Ok(None);
        }
        let file = fs.open_table(path, TableReads::Mapped).inspect_err(|_| self.unmapped())?;
        Ok(Some(Arc::new(Map { file, pool: Arc::clone(self) })))
    }

    fn unmapped(&self) {
        // ORDERING: Relaxed; as in `map`.
        self.maps.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes a new handle in, and closes others.
    fn admit(&self, slot: &Arc<Slot>, opened: Arc<Handle>) -> Arc<Handle> {
        let mut hand = self.hand.lock();
        if let Some(handle) = slot.handle.load_full() {
            return handle; // another thread was faster
        }
        slot.handle.store(Some(Arc::clone(&opened)));
        // ORDERING: Relaxed; a hint for the clock.
        slot.used.store(true, Ordering::Relaxed);
        hand.push_back(Arc::downgrade(slot));
        while hand.len() > self.most {
            let Some(oldest) = hand.pop_front() else { break };
            let Some(oldest) = oldest.upgrade() else { continue };
            // ORDERING: Relaxed; a hint for the clock. It is cleared once round, so this ends.
            if oldest.used.swap(false, Ordering::Relaxed) {
                hand.push_back(Arc::downgrade(&oldest));
            } else {
                oldest.handle.store(None);
            }
        }
        opened
    }
}

impl PooledFile {
    fn handle(&self) -> io::Result<Arc<Handle>> {
        if let Some(handle) = self.slot.handle.load_full() {
            // ORDERING: Relaxed; a hint for the clock.
            self.slot.used.store(true, Ordering::Relaxed);
            return Ok(handle);
        }
        let opened = Arc::new(Handle(self.fs.open_table(&self.path, self.reads)?));
        Ok(self.pool.admit(&self.slot, opened))
    }
}

impl ReadAt for PooledFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.handle()?.0.read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.handle()?.0.len()
    }
}

impl ReadAt for Map {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn mapped(&self) -> Option<&[u8]> {
        self.file.mapped()
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        self.pool.unmapped();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::fs::MemFs;

    fn open(pool: &OpenFiles) -> usize {
        let hand = pool.hand.lock();
        let slots = hand.iter().filter_map(Weak::upgrade);
        slots.filter(|slot| slot.handle.load().is_some()).count()
    }

    #[test]
    fn so_many_files_are_open_and_all_can_be_read() {
        let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
        fs.create_dir_all(Path::new("/d")).unwrap();
        let pool = OpenFiles::new(4);
        let mut files = Vec::new();
        for n in 0u8..20 {
            let path = PathBuf::from(format!("/d/{n}"));
            let mut file = fs.create(&path).unwrap();
            file.write_all(&[n; 10]).unwrap();
            file.sync().unwrap();
            files.push(pool.file(&fs, path, TableReads::Positioned).unwrap());
            assert!(open(&pool) <= 4);
        }
        for step in 0..200 {
            let n = step * 7 % 20;
            let mut bytes = [0; 10];
            files[n].read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(usize::from(bytes[0]), n);
            assert_eq!((open(&pool), files[n].len().unwrap()), (4, 10));
        }
        // One that is used all the time stays open, though its name is gone.
        let mut bytes = [0; 10];
        files[3].read_exact_at(&mut bytes, 0).unwrap();
        fs.remove(Path::new("/d/3")).unwrap();
        for step in 0..12 {
            files[4 + step % 2].read_exact_at(&mut bytes, 0).unwrap();
            files[3].read_exact_at(&mut bytes, 0).unwrap();
        }
        drop(files);
        assert_eq!(open(&pool), 0, "dropped files are closed");
    }
}
