//! Real processes, killed without warning while they write at full speed: what was acknowledged
//! is there, and what is there is a prefix of whole batches.
//!
//! `LSM_KILLS=n` sets the kills a mode; `LSM_KILL_SEED=n` the moments.

#![expect(clippy::print_stderr, reason = "figures for docs/testing.md")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lsm::{Db, Durability, Options, WriteBatch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const THREADS: usize = 2;

/// Every key is written again after so many batches of its thread.
const CYCLE: u64 = 300;

fn options(durability: Durability) -> Options {
    Options {
        durability,
        write_buffer_bytes: 256 << 10, // flushes and compactions all the time
        table_bytes: 128 << 10,
        ..Options::default()
    }
}

fn durability(name: &str) -> Durability {
    match name {
        "sync" => Durability::Sync,
        "buffered" => Durability::Buffered,
        "none" => Durability::None,
        other => panic!("{other} is no mode"),
    }
}

fn last_key(thread: usize) -> Vec<u8> {
    format!("{thread}/last").into_bytes()
}

fn key(thread: usize, kind: char, n: u64) -> Vec<u8> {
    format!("{thread}/{kind}{:04}", n % CYCLE).into_bytes()
}

fn value(n: u64) -> Vec<u8> {
    format!("{n:020}{}", "v".repeat(usize::try_from(n % 150).expect("small"))).into_bytes()
}

/// Batch `n` of a thread: two puts of one value, now and then a deletion, and its own number.
fn batch(thread: usize, n: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut batch =
        vec![(key(thread, 'a', n), Some(value(n))), (key(thread, 'b', n), Some(value(n)))];
    if n.is_multiple_of(3) {
        batch.push((key(thread, 'a', n + CYCLE / 2), None));
    }
    batch.push((last_key(thread), Some(n.to_string().into_bytes())));
    batch
}

fn writes(thread: usize, n: u64) -> WriteBatch {
    let mut writes = WriteBatch::new();
    for (key, value) in batch(thread, n) {
        match value {
            Some(value) => writes.put(key, value),
            None => writes.delete(key),
        };
    }
    writes
}

fn last(db: &Db, thread: usize) -> u64 {
    let value = db.get(last_key(thread)).expect("get");
    value.map_or(0, |value| String::from_utf8_lossy(&value).parse().expect("a number"))
}

/// All entries of a thread after its batch `last`.
fn expected(thread: usize, last: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut entries = BTreeMap::new();
    for n in last.saturating_sub(3 * CYCLE).max(1)..=last {
        for (key, value) in batch(thread, n) {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
    }
    entries
}

fn progress_file(folder: &Path, thread: usize) -> File {
    let path = folder.join(format!("progress-{thread}"));
    File::options().read(true).write(true).create(true).truncate(false).open(path).expect("open")
}

fn read_progress(folder: &Path, thread: usize) -> u64 {
    let mut bytes = [0; 8];
    match progress_file(folder, thread).read_exact_at(&mut bytes, 0) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0, // nothing was acknowledged yet
    }
}

fn write_progress(file: &File, n: u64) {
    file.write_all_at(&n.to_le_bytes(), 0).expect("progress");
}

/// Writes for ever; each thread notes what was acknowledged.
#[test]
#[ignore = "the process that the other tests start and kill"]
fn child_process() {
    let folder = std::env::var("LSM_KILL_FOLDER").expect("started by a test");
    let mode = std::env::var("LSM_KILL_MODE").expect("started by a test");
    let folder = Path::new(&folder);
    let db = Db::open(folder.join("db"), options(durability(&mode))).expect("open");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let db = db.clone();
            scope.spawn(move || {
                let progress = progress_file(folder, thread);
                for n in last(&db, thread) + 1.. {
                    db.write(writes(thread, n)).expect("write");
                    write_progress(&progress, n);
                }
            });
        }
    });
}

/// A child that does not outlive the test.
struct Victim(Child);

impl Victim {
    fn start(folder: &Path, mode: &str) -> Self {
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "child_process", "--test-threads=1"])
            .env("LSM_KILL_FOLDER", folder)
            .env("LSM_KILL_MODE", mode)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("a child"))
    }

    /// Kills it without warning.
    /// # Panics
    /// If it has ended by itself: it found something wrong.
    fn kill(mut self) {
        assert!(self.0.try_wait().expect("a child").is_none(), "the child has failed");
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

fn kills(mode: &str) {
    let count: u64 = std::env::var("LSM_KILLS").map_or(334, |n| n.parse().expect("a number"));
    let seed: u64 = std::env::var("LSM_KILL_SEED").map_or(1, |n| n.parse().expect("a number"));
    let mut random = StdRng::seed_from_u64(seed);
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path();
    let mut batches = 0;
    let mut opened = [0; THREADS];
    for kill in 0..count {
        let victim = Victim::start(folder, mode);
        // Some die while they open, most while they write.
        let millis =
            if kill % 4 == 0 { random.random_range(0..10) } else { random.random_range(10..60) };
        std::thread::sleep(Duration::from_millis(millis));
        victim.kill();
        let db = Db::open(folder.join("db"), options(durability(mode))).expect("reopen");
        for (thread, opened) in opened.iter_mut().enumerate() {
            let (last, told) = (last(&db, thread), read_progress(folder, thread));
            let context = format!("{mode}, kill {kill}: batch {last} is there, {told} was told");
            let least = if mode == "none" { *opened } else { told };
            assert!(last >= least && last <= told + 1, "{context}");
            write_progress(&progress_file(folder, thread), last);
            let scan = db.scan_prefix(format!("{thread}/")).expect("scan");
            let found: BTreeMap<Vec<u8>, Vec<u8>> =
                scan.map(|e| e.map(|(k, v)| (k.to_vec(), v.to_vec())).expect("entry")).collect();
            assert!(found == expected(thread, last), "{context}: not a prefix of whole batches");
            batches += last - *opened;
            *opened = last;
        }
        db.close().expect("close");
    }
    assert!(batches > 0, "the children wrote nothing");
    eprintln!("{mode}: {count} kills, {batches} batches, none lost");
}

#[test]
fn killed_in_sync_mode() {
    kills("sync");
}

#[test]
fn killed_in_buffered_mode() {
    kills("buffered");
}

#[test]
fn killed_without_a_log() {
    kills("none");
}
