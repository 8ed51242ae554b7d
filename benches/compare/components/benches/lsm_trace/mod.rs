//! Block traces recorded from `lsm` itself: a database without a block cache reads every block it
//! needs from its file system, and this file system writes down which.

use std::io;
use std::path::Path;
use std::sync::Arc;

use lsm::fs::{Fs, Lock, LogFile, MemFs, ReadAt, WriteFile};
use lsm::{Codec, Db, Env, Options};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::traces::zipf::{Zipf, fnv};

const BLOCK_BYTES: u64 = 4096;
const RECORDS: u64 = 400_000;
const READS: u64 = 400_000;

/// `(file, block)` of every read; a read ahead of a scan counts for each block's worth of bytes.
type Log = Arc<Mutex<Vec<(u64, u64)>>>;

#[derive(Debug)]
struct Recorder {
    fs: MemFs,
    log: Log,
}

#[derive(Debug)]
struct Recorded {
    file: Arc<dyn ReadAt>,
    number: u64,
    log: Log,
}

impl ReadAt for Recorded {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let last = (offset + buf.len().max(1) as u64 - 1) / BLOCK_BYTES;
        // A block that lies across a border is one block.
        let first = if buf.len() as u64 <= 2 * BLOCK_BYTES { last } else { offset / BLOCK_BYTES };
        self.log.lock().extend((first..=last).map(|block| (self.number, block)));
        self.file.read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

impl Fs for Recorder {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.fs.list(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.fs.exists(path)
    }
    fn file_bytes(&self, path: &Path) -> io::Result<u64> {
        self.fs.file_bytes(path)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.fs.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.sync_dir(path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.hard_link(from, to)
    }
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        let file = self.fs.open_read(path)?;
        let digits = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        match digits.parse() {
            Ok(number) => Ok(Arc::new(Recorded { file, number, log: Arc::clone(&self.log) })),
            Err(_not_a_table) => Ok(file),
        }
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.fs.create(path)
    }
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.fs.open_append(path)
    }
    fn create_log(&self, path: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        self.fs.create_log(path, capacity)
    }
    fn reuse_log(&self, old: &Path, new: &Path, capacity: u64) -> io::Result<Box<dyn LogFile>> {
        self.fs.reuse_log(old, new, capacity)
    }
    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.fs.open_log(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.fs.lock(path)
    }
}

/// What the database is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Point reads, Zipf 0.99 over scattered keys.
    Reads,
    /// The same, with a scan of 1,000 records after every hundred.
    ReadsAndScans,
    /// The same as `Reads`, one put for nine reads: tables come and go.
    ReadsAndWrites,
}

impl Load {
    pub(crate) const ALL: [Self; 3] = [Self::Reads, Self::ReadsAndScans, Self::ReadsAndWrites];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reads => "lsm, Zipf reads",
            Self::ReadsAndScans => "lsm, Zipf reads and scans",
            Self::ReadsAndWrites => "lsm, Zipf reads and writes",
        }
    }

    /// Blocks asked for, in order, numbered from 0, and how many there are.
    pub(crate) fn record(self) -> (Vec<(u64, bool)>, u64) {
        let log = Log::default();
        let fs = Arc::new(Recorder { fs: MemFs::new(), log: Arc::clone(&log) });
        let options = Options {
            block_cache_bytes: 0,
            codec: Codec::None,
            write_buffer_bytes: 4 << 20,
            table_bytes: 4 << 20,
            ..Options::default()
        };
        let env = Env { fs, ..Env::system(&options).expect("threads") };
        let db = Db::open_with("/trace", options, env).expect("an empty folder");
        let key = |item: u64| format!("{:016}", fnv(item) % 10_000_000_000_000_000);
        let value = [7_u8; 100];
        (0..RECORDS).for_each(|item| db.put(key(item), value).expect("memory"));
        db.flush().expect("memory");
        db.wait_idle().expect("memory");
        log.lock().clear();
        let mut rng = StdRng::seed_from_u64(7);
        let zipf = Zipf::new(RECORDS, 0.99);
        for n in 0..READS {
            let item = zipf.draw(&mut rng);
            match self {
                Self::ReadsAndWrites if n % 10 == 9 => db.put(key(item), value).expect("memory"),
                Self::ReadsAndScans if n % 100 == 99 => {
                    let from = key(rng.random_range(0..RECORDS));
                    let scan = db.scan(from.as_bytes()..).expect("memory");
                    let found = scan.take(1000).filter(Result::is_ok).count();
                    std::hint::black_box(found);
                }
                _ => drop(db.get(key(item)).expect("memory").expect("it was put")),
            }
        }
        number(&log.lock())
    }
}

/// Gives blocks numbers in the order of their first use.
fn number(log: &[(u64, u64)]) -> (Vec<(u64, bool)>, u64) {
    let mut numbers = std::collections::HashMap::new();
    let mut requests = Vec::with_capacity(log.len());
    for block in log {
        let next = numbers.len() as u64;
        requests.push((*numbers.entry(*block).or_insert(next), false));
    }
    (requests, numbers.len() as u64)
}
