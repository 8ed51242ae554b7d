//! Real processes, killed without warning while they write at full speed: what was acknowledged
//! is there, and what is there is a prefix of whole batches.
//!
//! `LSM_KILLS=n` sets the kills a mode; `LSM_KILL_SEED=n` the moments.

#![expect(clippy::print_stderr, reason = "figures for docs/testing.md")]

mod batches;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use batches::{expected, found, last, writes};
use lsm::{Db, Durability, Options};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const THREADS: usize = 2;

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
            let found = found(&db, thread);
            assert!(found == expected(thread, last), "{context}: not a prefix of whole batches");
            batches += last - *opened;
            *opened = last;
        }
        db.close().expect("close");
    }
    assert!(batches > 0, "the children wrote nothing");
    eprintln!("{mode}: {count} kills, {batches} batches, none lost");
}

/// The newest log of a database.
fn newest_log(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|path| path.extension().is_some_and(|e| e == "log")).max()
}

/// Somebody shortens a log while a process has it mapped: its next store there ends the process,
/// and what is opened then is a prefix, or refused by name. Nothing hangs.
#[test]
fn a_log_shortened_under_its_process() {
    for round in 0..6_u64 {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path();
        let mut victim = Victim::start(folder, "buffered");
        std::thread::sleep(Duration::from_millis(40 + round * 15));
        if let Some(log) = newest_log(&folder.join("db")) {
            let log = File::options().write(true).open(log).expect("a log");
            log.set_len(round * 4096).expect("shorter");
        }
        std::thread::sleep(Duration::from_millis(100));
        if let Some(status) = victim.0.try_wait().expect("a child") {
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(signal, Some(7), "SIGBUS, or alive in the next log: {status}");
            eprintln!("round {round}: ended by SIGBUS");
        } else {
            victim.kill();
        }
        match Db::open(folder.join("db"), options(Durability::Buffered)) {
            Err(error) => assert!(error.to_string().contains(".log"), "{error}"),
            Ok(db) => {
                for thread in 0..THREADS {
                    let last = last(&db, thread);
                    assert!(last <= read_progress(folder, thread) + 1, "more than was written");
                    assert!(found(&db, thread) == expected(thread, last), "not a prefix");
                }
            }
        }
    }
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
