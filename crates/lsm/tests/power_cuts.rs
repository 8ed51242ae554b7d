//! Power cuts on real files: the engine runs on a real file system, with threads and mapped logs,
//! while every call is recorded beside it in a disk in memory. From the record come the images
//! that a power cut might have left at any moment; each is written out as files and opened.
//!
//! `LSM_IMAGES=n` sets the images a mode; `LSM_IMAGE_SEED=n` the moments and what is lost.

#![expect(clippy::print_stderr, reason = "figures for docs/testing.md")]

mod batches;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use batches::{expected, found, last, writes};
use lsm::fs::{CrashMode, Fs, Lock, LogFile, MemFs, ReadAt, StdFs, WriteFile};
use lsm::{Db, Durability, Env, Options};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const THREADS: usize = 2;

/// Real files, and the record of what was done to them. What the real call has done is recorded
/// before it returns, so whatever was acknowledged is in the record.
#[derive(Debug, Clone)]
struct RecordFs {
    real: StdFs,
    record: MemFs,
    /// The record leaves out that logs are synced: as if the medium lied.
    lies: bool,
}

impl Fs for RecordFs {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.real.create_dir_all(path)?;
        self.record.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.real.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.real.exists(path)
    }

    fn file_bytes(&self, path: &Path) -> io::Result<u64> {
        self.real.file_bytes(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.real.remove(path)?;
        self.record.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename(from, to)?;
        self.record.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.real.sync_dir(path)?;
        self.record.sync_dir(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.hard_link(from, to)?;
        self.record.hard_link(from, to)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        self.real.open_read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let (real, record) = (self.real.create(path)?, self.record.create(path)?);
        Ok(Box::new(RecordFile { real, record }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let (real, record) = (self.real.open_append(path)?, self.record.open_append(path)?);
        Ok(Box::new(RecordFile { real, record }))
    }

    fn create_log(&self, path: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        let real = self.real.create_log(path, capacity)?;
        let record = self.record.create_log(path, capacity)?;
        Ok(Box::new(RecordLog { real, record, lies: self.lies }))
    }

    fn reuse_log(&self, old: &Path, new: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        let real = self.real.reuse_log(old, new, capacity)?;
        let record = self.record.reuse_log(old, new, capacity)?;
        Ok(Box::new(RecordLog { real, record, lies: self.lies }))
    }

    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let (real, record) = (self.real.open_log(path)?, self.record.open_log(path)?);
        Ok(Box::new(RecordLog { real, record, lies: self.lies }))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.real.lock(path)
    }
}

struct RecordFile {
    real: Box<dyn WriteFile>,
    record: Box<dyn WriteFile>,
}

impl Write for RecordFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.real.write(bytes)?;
        self.record.write_all(&bytes[..count])?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.real.flush()?;
        self.record.flush()
    }
}

impl WriteFile for RecordFile {
    fn sync(&mut self) -> io::Result<()> {
        self.real.sync()?;
        self.record.sync()
    }

    fn written(&self) -> u64 {
        self.real.written()
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.real.truncate(bytes)?;
        self.record.truncate(bytes)
    }
}

#[derive(Debug)]
struct RecordLog {
    real: Box<dyn LogFile>,
    record: Box<dyn LogFile>,
    lies: bool,
}

impl LogFile for RecordLog {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.real.write_at(offset, bytes)?;
        self.record.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.real.sync()?;
        if self.lies { Ok(()) } else { self.record.sync() }
    }

    fn capacity(&self) -> u64 {
        self.real.capacity()
    }
}

fn options(durability: Durability) -> Options {
    Options {
        durability,
        write_buffer_bytes: 64 << 10, // flushes and compactions all the time
        table_bytes: 32 << 10,
        ..Options::default()
    }
}

/// Batches by thread: begun, and those that a power cut must leave.
#[derive(Debug, Default)]
struct Progress {
    begun: [AtomicU64; THREADS],
    safe: [AtomicU64; THREADS],
    ending: AtomicBool,
}

fn read(numbers: &[AtomicU64; THREADS]) -> [u64; THREADS] {
    std::array::from_fn(|thread| numbers[thread].load(Ordering::SeqCst))
}

/// Writes until told to end. In mode `Buffered` a batch is safe after a call of `sync`.
fn write(db: &Db, thread: usize, durability: Durability, progress: &Progress) {
    for n in last(db, thread) + 1.. {
        if progress.ending.load(Ordering::SeqCst) {
            return;
        }
        progress.begun[thread].store(n, Ordering::SeqCst);
        db.write(writes(thread, n)).expect("write");
        let sync = durability == Durability::Buffered && n.is_multiple_of(16);
        if sync {
            db.sync().expect("sync");
        }
        if sync || durability == Durability::Sync {
            progress.safe[thread].store(n, Ordering::SeqCst);
        }
    }
}

/// Writes an image out as files below `to` and opens it.
fn open_image(image: &MemFs, from: &Path, to: &Path, durability: Durability) -> lsm::Result<Db> {
    for path in image.files() {
        let inside = path.strip_prefix(from).expect("the engine stays in its folder");
        let place = to.join(inside);
        std::fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        std::fs::write(place, image.contents(&path).expect("a file")).expect("a file");
    }
    Db::open(to.join("db"), options(durability))
}

/// Looks at images of a database that is being written to.
/// # Errors
/// What an image shows that may not be.
fn power_cuts(durability: Durability, lies: bool) -> Result<(), String> {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse().expect("a number"));
    let count: u64 = number("LSM_IMAGES").unwrap_or(150);
    let seed: u64 = number("LSM_IMAGE_SEED").unwrap_or(1);
    let mut random = StdRng::seed_from_u64(seed);
    let root = tempfile::tempdir().expect("a folder");
    let fs = RecordFs { real: StdFs::new(), record: MemFs::new(), lies };
    fs.record.create_dir_all(root.path()).expect("a folder");
    let settings = options(durability);
    let env = Env { fs: Arc::new(fs.clone()), ..Env::system(&settings).expect("threads") };
    let db = Db::open_with(root.path().join("db"), settings, env).expect("open");
    let progress = Progress::default();
    let mut batches = 0;
    std::thread::scope(|scope| -> Result<(), String> {
        for thread in 0..THREADS {
            let (db, progress) = (&db, &progress);
            scope.spawn(move || write(db, thread, durability, progress));
        }
        let _end_them = End(&progress);
        for n in 0..count {
            std::thread::sleep(Duration::from_millis(random.random_range(0..20)));
            let mode = CrashMode::POWER_CUTS[random.random_range(0..CrashMode::POWER_CUTS.len())];
            let safe = read(&progress.safe);
            let image = fs.record.crash(random.random(), mode);
            let begun = read(&progress.begun);
            let place = tempfile::tempdir().expect("a folder");
            let left = open_image(&image, root.path(), place.path(), durability);
            let left = left.map_err(|error| format!("image {n} of seed {seed}: {error}"))?;
            for thread in 0..THREADS {
                let last = last(&left, thread);
                let context =
                    format!("image {n} of seed {seed}, {mode:?}: batch {last} of {thread}");
                let (least, most) = (safe[thread], begun[thread]);
                if !(least..=most).contains(&last) {
                    return Err(format!("{context}, not {least} to {most}"));
                }
                if found(&left, thread) != expected(thread, last) {
                    return Err(format!("{context}: not a prefix of whole batches"));
                }
                batches = batches.max(last);
            }
            left.close().expect("close");
        }
        Ok(())
    })?;
    db.close().expect("close");
    assert!(batches > 0, "nothing survived");
    eprintln!("{durability:?}: {count} images, {batches} batches of a thread at most");
    Ok(())
}

/// Ends the writers, even if the test panics.
struct End<'a>(&'a Progress);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.ending.store(true, Ordering::SeqCst);
    }
}

#[test]
fn power_cuts_in_sync_mode() {
    power_cuts(Durability::Sync, false).expect("a prefix with all that was synced");
}

#[test]
fn power_cuts_in_buffered_mode() {
    power_cuts(Durability::Buffered, false).expect("a prefix with all that was synced");
}

/// These images show what is lost: without the logs' syncs some of them miss batches.
#[test]
fn a_log_that_is_not_synced_is_found_out() {
    power_cuts(Durability::Sync, true).expect_err("batches are lost");
}
