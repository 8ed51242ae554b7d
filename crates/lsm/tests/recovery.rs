//! What each recovery mode makes of a log that does not end as it should, seen from outside: which
//! batches are there, and that the database goes on from there in the strictest mode.

use std::path::PathBuf;
use std::sync::Arc;

use lsm::clock::ManualClock;
use lsm::fs::{CrashMode, Fs, MemFs};
use lsm::scheduler::InlineScheduler;
use lsm::{Db, Durability, Env, Error, FamilyOptions, Options, RecoveryMode, WriteBatch};

const MODES: [RecoveryMode; 4] = [
    RecoveryMode::Strict,
    RecoveryMode::TolerateTornTail,
    RecoveryMode::PointInTime,
    RecoveryMode::Salvage,
];

const BATCHES: u32 = 12;

fn open(disk: &MemFs, durability: Durability, recovery: RecoveryMode) -> lsm::Result<Db> {
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::new()),
        scheduler: Arc::new(InlineScheduler::new(1)),
    };
    Db::open_with("/db", Options { durability, recovery, ..Options::default() }, env)
}

/// Writes batches to two families, and lets the process die. Each deletes, by a range, what the
/// one before has put in the second family.
fn died(durability: Durability) -> MemFs {
    let disk = MemFs::new();
    let db = open(&disk, durability, RecoveryMode::Strict).expect("open");
    let family = db.create_family("f", FamilyOptions::default()).expect("create");
    for n in 0..BATCHES {
        let mut batch = WriteBatch::new();
        batch.put(format!("key{n:03}"), format!("value {n:03}"));
        batch.put_in(&family, format!("{n:03}"), "newest");
        batch.delete_range_in(&family, "x", "y").put_in(&family, format!("x{n:03}"), "newest");
        db.write(batch).expect("write");
    }
    disk.crash(0, CrashMode::KILL)
}

/// The batches that are there; each is whole.
fn found(db: &Db) -> Vec<u32> {
    let scan = db.scan_prefix("key").expect("scan");
    let batches: Vec<u32> = scan
        .map(|entry| {
            let (key, value) = entry.expect("entry");
            let number = std::str::from_utf8(&key[3..]).expect("text").parse().expect("a number");
            assert_eq!(value, format!("value {number:03}").as_bytes());
            number
        })
        .collect();
    let family = db.family("f").expect("open").expect("it lives");
    let scan = family.scan::<&str>(..).expect("scan");
    let seen: Vec<String> =
        scan.map(|e| String::from_utf8(e.expect("entry").0.to_vec()).expect("text")).collect();
    let last = batches.iter().filter(|n| **n < BATCHES).max();
    let expected = batches.iter().map(|n| format!("{n:03}"));
    let expected = expected.chain(last.map(|n| format!("x{n:03}"))).collect::<Vec<_>>();
    assert_eq!(seen, expected, "all that a batch does");
    batches
}

fn logs(disk: &MemFs) -> Vec<PathBuf> {
    disk.files().into_iter().filter(|path| path.extension() == Some("log".as_ref())).collect()
}

/// Where the batch of this number stands: the log, and the place of its value.
fn place(disk: &MemFs, n: u32) -> (PathBuf, u64) {
    let wanted = format!("value {n:03}");
    let find = |path: PathBuf| {
        let bytes = disk.contents(&path).expect("it is there");
        let at = bytes.windows(wanted.len()).position(|found| found == wanted.as_bytes())?;
        Some((path, at as u64))
    };
    logs(disk).into_iter().find_map(find).expect("it is in a log")
}

/// Opens in each mode; `expected` says which batches each must show, or that it must refuse.
fn check(disk: &MemFs, durability: Durability, expected: [Option<&[u32]>; 4]) {
    for (mode, expected) in MODES.into_iter().zip(expected) {
        let left = disk.crash(0, CrashMode::KILL);
        let opened = open(&left, durability, mode);
        let Some(expected) = expected else {
            let error = opened.expect_err("it must be refused");
            let Error::Corruption { path, .. } = &error else { panic!("{mode:?}: {error}") };
            assert!(logs(disk).contains(path), "{mode:?} names the log: {error}");
            continue;
        };
        let db = opened.unwrap_or_else(|error| panic!("{mode:?}: {error}"));
        assert_eq!(found(&db), expected, "{mode:?}");
        // It goes on; what was left out stays so, and nothing is wrong with it any more.
        let family = db.family("f").expect("open").expect("it lives");
        let mut batch = WriteBatch::new();
        batch.put("key900", "value 900").put_in(&family, "900", "newest");
        db.write(batch).expect("write");
        drop((db, family));
        let db = open(&left, durability, RecoveryMode::Strict).expect("as if nothing had been");
        assert_eq!(found(&db), [expected, &[900]].concat(), "after {mode:?}");
        db.verify().expect("verify");
    }
}

fn up_to(end: u32) -> Vec<u32> {
    (0..end).collect()
}

#[test]
fn a_killed_process_loses_nothing_in_any_mode() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let all = up_to(BATCHES);
        check(&died(durability), durability, [Some(&all); 4]);
    }
}

#[test]
fn a_cut_write_is_refused_only_by_the_strict_mode() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let disk = died(durability);
        let (log, at) = place(&disk, BATCHES - 1);
        disk.flip(&log, at, 0x55).expect("flip");
        let most = up_to(BATCHES - 1);
        check(&disk, durability, [None, Some(&most), Some(&most), Some(&most)]);
    }
}

#[test]
fn damage_among_synced_writes_is_refused_unless_less_is_asked_for() {
    let disk = died(Durability::Sync);
    let (log, at) = place(&disk, 5);
    disk.flip(&log, at, 0x55).expect("flip");
    let (before, others) = (up_to(5), [up_to(5), (6..BATCHES).collect()].concat());
    check(&disk, Durability::Sync, [None, None, Some(&before), Some(&others)]);
}

#[test]
fn writes_that_were_not_synced_may_end_anywhere() {
    let disk = died(Durability::Buffered);
    let (log, at) = place(&disk, 5);
    disk.flip(&log, at, 0x55).expect("flip");
    let (before, others) = (up_to(5), [up_to(5), (6..BATCHES).collect()].concat());
    check(&disk, Durability::Buffered, [None, Some(&before), Some(&before), Some(&others)]);
}

#[test]
fn a_log_that_is_missing_or_cut_short_is_never_an_empty_database() {
    let disk = died(Durability::Sync);
    let (log, _) = place(&disk, 0);
    disk.remove(&log).expect("remove");
    for mode in MODES {
        let opened = open(&disk.crash(0, CrashMode::KILL), Durability::Sync, mode);
        let said = opened.err().map(|error| error.to_string());
        let strict = matches!(mode, RecoveryMode::Strict | RecoveryMode::TolerateTornTail);
        assert!(said.is_some() || !strict, "{mode:?}: {said:?}");
        let name = log.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(said.is_none_or(|said| said.contains(&name)), "{mode:?} names it");
    }
    // Cut after the fifth batch, though later ones were synced: the file's own length is known.
    for beyond in [0, 3] {
        let disk = died(Durability::Sync);
        let (log, at) = place(&disk, 5);
        disk.cut(&log, at / 8 * 8 + beyond).expect("cut");
        let before = up_to(5);
        check(&disk, Durability::Sync, [None, None, Some(&before), Some(&before)]);
    }
}
