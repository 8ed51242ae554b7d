//! Bad luck: full disks, failed syncs, folders in use, dropped families, closed databases. Each is
//! an error that says so, what was acknowledged stays readable, and iterators outlive all of it.

use std::sync::Arc;

use lsm::clock::StdClock;
use lsm::fs::{Call, Fault, FaultFs, MemFs};
use lsm::scheduler::{InlineScheduler, ThreadScheduler};
use lsm::{Db, Env, Error, FamilyOptions, Options, WriteBatch};

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
fn a_folder_in_use_is_an_error_here_and_in_other_processes() {
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
fn a_dropped_family_is_an_error_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), options()).unwrap();
    let family = db.create_family("f", FamilyOptions::default()).unwrap();
    family.put(b"k", b"v").unwrap();
    let snapshot = db.snapshot();
    db.drop_family("f").unwrap();
    let dropped = |result: lsm::Result<()>| {
        assert!(matches!(&result, Err(Error::FamilyDropped { name }) if name == "f"), "{result:?}");
    };
    dropped(family.put(b"k", b"v"));
    dropped(family.delete(b"k"));
    dropped(family.delete_range(b"a", b"z"));
    dropped(family.get(b"k").map(|_| ()));
    dropped(family.get_with(b"k", |_| ()).map(|_| ()));
    dropped(family.multi_get(&[b"k"]).map(|_| ()));
    dropped(family.get_or_insert(b"k", b"v").map(|_| ()));
    dropped(family.compare_and_swap(b"k", None, None).map(|_| ()));
    dropped(family.scan::<&[u8]>(..).map(|_| ()));
    dropped(family.scan_prefix(b"k").map(|_| ()));
    dropped(family.cursor::<&[u8]>(..).map(|_| ()));
    dropped(family.compact::<&[u8]>(..));
    dropped(family.shape().map(|_| ()));
    dropped(snapshot.family(&family).and_then(|then| then.get(b"k")).map(|_| ()));
    dropped(db.drop_family("f"));
    let mut batch = WriteBatch::new();
    batch.put(b"kept", b"no").put_in(&family, b"k", b"v");
    dropped(db.write(batch));
    assert_eq!(db.get(b"kept").unwrap(), None, "all of a batch or nothing");
    let again = db.create_family("f", FamilyOptions::default()).unwrap();
    assert_eq!(again.get(b"k").unwrap(), None, "a new family of the name is empty");
    dropped(family.put(b"k", b"v"));
}

#[test]
fn a_closed_database_is_an_error_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), options()).unwrap();
    let family = db.create_family("f", FamilyOptions::default()).unwrap();
    let snapshot = db.snapshot();
    db.put(b"k", b"v").unwrap();
    db.clone().close().unwrap();
    let closed = |result: lsm::Result<()>| {
        assert!(matches!(result, Err(Error::Closed)), "{result:?}");
    };
    closed(db.put(b"k", b"v"));
    closed(db.delete(b"k"));
    closed(db.delete_range(b"a", b"z"));
    closed(db.write(WriteBatch::new()));
    closed(db.get(b"k").map(|_| ()));
    closed(db.contains(b"k").map(|_| ()));
    closed(db.multi_get(&[b"k"]).map(|_| ()));
    closed(db.get_or_insert(b"k", b"v").map(|_| ()));
    closed(db.compare_and_swap(b"k", None, Some(b"v")).map(|_| ()));
    closed(db.scan::<&[u8]>(..).map(|_| ()));
    closed(db.cursor::<&[u8]>(..).map(|_| ()));
    closed(db.sync());
    closed(db.flush());
    closed(db.compact());
    closed(db.wait_idle());
    closed(db.verify().map(|_| ()));
    closed(db.create_family("g", FamilyOptions::default()).map(|_| ()));
    closed(db.family("f").map(|_| ()));
    closed(db.drop_family("f"));
    closed(db.set_options(|_| ()).map(|_| ()));
    closed(family.put(b"k", b"v"));
    closed(family.shape().map(|_| ()));
    closed(snapshot.get(b"k").map(|_| ()));
    assert_eq!(db.clone().close().map_err(|error| error.to_string()), Ok(()), "closing is done");
    // What only looks does not fail.
    drop((db.stats(), db.memory(), db.history(), db.latencies(), db.options()));
}

#[test]
fn iterators_outlive_compactions_family_drops_and_close() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), options()).unwrap();
    let family = db.create_family("f", FamilyOptions::default()).unwrap();
    for n in 0..2000u32 {
        family.put(key(n), [n.to_le_bytes(); 50].concat()).unwrap();
    }
    db.flush().unwrap();
    let mut scan = family.scan::<&[u8]>(..).unwrap();
    let mut cursor = family.cursor::<&[u8]>(..).unwrap();
    cursor.seek_to_last().unwrap();
    let pinned = family.get(key(7)).unwrap().unwrap();
    for n in 0..100 {
        assert_eq!(&*scan.next().unwrap().unwrap().0, key(n).as_bytes());
    }
    family.delete_range("key", "kez").unwrap();
    db.compact().unwrap();
    assert_eq!(family.get(key(7)).unwrap(), None);
    for n in 100..200 {
        assert_eq!(&*scan.next().unwrap().unwrap().0, key(n).as_bytes());
    }
    db.drop_family("f").unwrap();
    for n in 200..300 {
        assert_eq!(&*scan.next().unwrap().unwrap().0, key(n).as_bytes());
    }
    db.close().unwrap();
    for n in 300..2000 {
        let (found, value) = scan.next().unwrap().unwrap();
        assert_eq!((&*found, &value[..4]), (key(n).as_bytes(), &n.to_le_bytes()[..]));
    }
    assert!(scan.next().is_none());
    for n in (0..2000).rev() {
        assert_eq!(cursor.key(), key(n).as_bytes());
        cursor.prev().unwrap();
    }
    assert!(!cursor.valid());
    assert_eq!(&pinned[..4], 7u32.to_le_bytes());
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
