//! Bad luck: full disks, failed syncs, folders in use, limits. Each is an error that says so, and
//! what was acknowledged stays readable.

#![expect(clippy::print_stdout, reason = "a process tells another")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use lsm::clock::StdClock;
use lsm::fs::{Call, Fault, FaultFs, MemFs};
use lsm::scheduler::{InlineScheduler, ThreadScheduler};
use lsm::{Db, Env, Error, FamilyOptions, Options, ReadOnly, ReadOnlyOptions};

fn options() -> Options {
    Options { write_buffer_bytes: 64 << 10, table_bytes: 64 << 10, ..Options::default() }
}

/// A world whose files are in memory and fail when told to; and a second one on the same files.
fn world(disk: &MemFs) -> (FaultFs, Env) {
    let fs = FaultFs::new(Arc::new(disk.clone()));
    let scheduler = Arc::new(ThreadScheduler::new(2).expect("threads"));
    let env = Env { fs: Arc::new(fs.clone()), clock: Arc::new(StdClock::new()), scheduler };
    (fs, env)
}

fn key(n: u32) -> String {
    format!("key{n:06}")
}

fn filled(db: &Db, records: u32) {
    for n in 0..records {
        db.put(key(n), [n.to_le_bytes(); 50].concat()).expect("put");
    }
}

fn check(db: &Db, records: u32) {
    let mut count = 0;
    for (n, entry) in (0..).zip(db.scan_prefix("key").expect("scan")) {
        let (found, value) = entry.expect("entry");
        assert_eq!((&*found, &value[..4]), (key(n).as_bytes(), &n.to_le_bytes()[..]));
        count += 1;
    }
    assert_eq!(count, records);
}

#[test]
fn a_full_disk_fails_writes_reads_go_on_and_space_heals() {
    let disk = MemFs::new();
    let (fs, env) = world(&disk);
    let db = Db::open_with("/db", options(), env).unwrap();
    filled(&db, 500);
    db.wait_idle().unwrap();
    fs.limit_space(300 << 10);
    let mut written = 500;
    let refused = loop {
        match db.put(key(written), [written.to_le_bytes(); 50].concat()) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100_000, "the disk never fills");
    };
    assert!(matches!(refused, Error::Io { .. } | Error::Table(_)), "{refused:?}");
    check(&db, written);
    for _ in 0..3 {
        // Background work may find a little room; what it lets in is there.
        if db.put(key(written), [written.to_le_bytes(); 50].concat()).is_ok() {
            written += 1;
        }
        check(&db, written);
    }
    fs.clear();
    for n in written..written + 500 {
        db.put(key(n), [n.to_le_bytes(); 50].concat()).unwrap();
    }
    db.flush().unwrap();
    check(&db, written + 500);
    db.close().unwrap();
    let db = Db::open_with("/db", options(), world(&disk).1).unwrap();
    check(&db, written + 500);
}

#[test]
fn a_failed_sync_stops_writes_for_good_and_says_so() {
    for call in [Call::LogSync, Call::Sync, Call::SyncDir] {
        let disk = MemFs::new();
        let (fs, env) = world(&disk);
        let db = Db::open_with("/db", options(), env).unwrap();
        filled(&db, 100);
        fs.add(Fault { times: 1, ..Fault::next(call) });
        let failed = if call == Call::LogSync { db.sync() } else { db.flush() };
        let failed = failed.unwrap_err();
        if call == Call::LogSync {
            assert!(matches!(failed, Error::WritesStopped { .. }), "{failed:?}");
            assert!(failed.to_string().contains("sync"), "{failed}");
            for _ in 0..3 {
                let refused = db.put("more", "no").unwrap_err();
                assert_eq!(refused.to_string(), failed.to_string(), "the first failure is told");
            }
            assert!(db.flush().is_err() && db.sync().is_err());
            assert!(db.create_family("f", FamilyOptions::default()).is_err());
        } else if let Err(again) = db.flush() {
            // It was the manifest's.
            assert!(matches!(again, Error::WritesStopped { .. }), "{again:?}");
            assert!(matches!(db.put("more", "no"), Err(Error::WritesStopped { .. })));
        } // or a table's: nothing depends on that file yet, so another was written
        check(&db, 100);
        db.close().unwrap();
        check(&Db::open_with("/db", options(), world(&disk).1).unwrap(), 100);
    }
}

#[test]
fn a_failed_manifest_stops_writes_for_good() {
    let disk = MemFs::new();
    let (fs, env) = world(&disk);
    let db = Db::open_with("/db", options(), env).unwrap();
    filled(&db, 100);
    let family = db.create_family("f", FamilyOptions::default()).unwrap();
    fs.add(Fault { times: 1, ..Fault::next(Call::Sync) });
    let failed = db.drop_family("f").unwrap_err();
    assert!(matches!(failed, Error::WritesStopped { .. }), "{failed:?}");
    assert!(matches!(family.put(b"k", b"v"), Err(Error::WritesStopped { .. })));
    check(&db, 100);
}

/// A table that rots fails the compactions that read it, and whoever waits for them; flushes, and
/// the writers that wait for those, go on.
#[test]
fn a_compaction_that_fails_fails_no_flush() {
    for seed in 0..8 {
        let disk = MemFs::new();
        let scheduler = Arc::new(InlineScheduler::new(seed));
        let env = Env { scheduler, ..world(&disk).1 };
        let options = Options { block_cache_bytes: 0, sealed_memtables_max: 1, ..options() };
        let db = Db::open_with("/db", options, env).unwrap();
        filled(&db, 100);
        db.flush().unwrap();
        let table = db.shape().levels[0].runs[0].tables[0].number;
        let file = std::path::PathBuf::from(format!("/db/{table:06}.sst"));
        disk.flip(&file, 20, 0x10).unwrap();
        for _ in 0..8 {
            filled(&db, 100);
            db.flush().unwrap();
        }
        filled(&db, 1000);
        db.flush().unwrap();
        assert!(db.stats().background_failures > 0, "seed {seed}: no compaction met the damage");
        let failed = db.wait_idle().unwrap_err().to_string();
        assert!(failed.contains(&format!("{table:06}.sst")), "{failed}");
        db.put("and", "on").unwrap();
    }
}

#[test]
fn a_folder_in_use_is_an_error_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let db = Db::open(&path, options()).unwrap();
    let refused = Db::open(&path, options());
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    db.put(b"k", b"v").unwrap();
    let other_handle = db.clone();
    db.close().unwrap();
    let db = Db::open(&path, options()).unwrap();
    assert_eq!(db.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert!(matches!(other_handle.get(b"k"), Err(Error::Closed)), "it belongs to the old one");
}

#[test]
#[ignore = "the process that another test starts"]
fn a_process_that_has_the_folder_open() {
    let path = std::env::var("LSM_OPEN_FOLDER").expect("started by a test");
    let db = Db::open(path, options()).unwrap();
    db.put("k", "v").unwrap();
    println!("it is open");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(db);
}

#[test]
fn a_folder_in_use_by_another_process_is_an_error_until_that_dies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "a_process_that_has_the_folder_open", "--nocapture"])
        .env("LSM_OPEN_FOLDER", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("it is open")));
    let refused = Db::open(&path, options()).unwrap_err();
    assert!(matches!(&refused, Error::Locked { path: at } if *at == path), "{refused}");
    assert!(refused.to_string().ends_with("in use by another process"), "{refused}");
    let refused = Db::repair(&path, &options()).map(|_| ());
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    // Reading only needs no lock.
    let seen = ReadOnly::open(&path, ReadOnlyOptions::default()).unwrap();
    assert_eq!(seen.get("k").unwrap().as_deref(), Some(&b"v"[..]));
    other.kill().unwrap();
    other.wait().unwrap();
    let db = Db::open(&path, options()).unwrap();
    assert_eq!(db.get("k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn every_limit_has_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), options()).unwrap();
    let long = vec![0; 65_536];
    assert!(matches!(db.put(&long, b"v"), Err(Error::TooLong { what: "key", .. })));
    assert!(matches!(db.delete(&long), Err(Error::TooLong { .. })));
    assert!(matches!(db.delete_range(b"", &long), Err(Error::TooLong { .. })));
    db.put(&long[1..], b"the longest key there may be").unwrap();
    assert!(db.get(&long[1..]).unwrap().is_some());
    assert_eq!(db.get(&long).unwrap(), None, "no such key can be");
    for name in ["", &"n".repeat(256)] {
        let refused = db.create_family(name, FamilyOptions::default());
        assert!(matches!(refused, Err(Error::InvalidOptions(_))), "{refused:?}");
    }
    db.create_family(&"n".repeat(255), FamilyOptions::default()).unwrap();
    let refused = db.create_family(&"n".repeat(255), FamilyOptions::default());
    assert!(matches!(refused, Err(Error::FamilyExists { .. })), "{refused:?}");
    assert!(matches!(db.drop_family("default"), Err(Error::InvalidOptions(_))));
    let broken = FamilyOptions { block_bytes: 1, ..FamilyOptions::default() };
    assert!(matches!(db.create_family("b", broken), Err(Error::InvalidOptions(_))));
}
