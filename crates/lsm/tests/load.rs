//! Loading sorted data: one write among the others, all or nothing, in the deepest free level.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use lsm::{Db, Error, FamilyOptions, Options};
use sstable::{Kind, TableWriter, Trailer, WriteOptions};

fn open(path: &Path) -> Db {
    let options = Options {
        write_buffer_bytes: 64 << 10,
        table_bytes: 16 << 10,
        block_bytes: 512,
        ..Options::default()
    };
    Db::open(path, options).expect("open")
}

fn key(n: u32) -> Vec<u8> {
    format!("key{n:06}").into_bytes()
}

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("db");
    (folder, path)
}

/// A table made elsewhere.
fn table(path: &Path, entries: &[(Vec<u8>, u64, Kind)]) {
    let options = WriteOptions::default();
    let mut writer = TableWriter::new(Vec::new(), "t", 99, &options).expect("a writer");
    for (key, seqno, kind) in entries {
        writer.add(key, Trailer::new(*seqno, *kind), b"ingested").expect("add");
    }
    std::fs::write(path, writer.finish().expect("finish").1).expect("write");
}

#[test]
fn a_load_is_newer_than_what_was_and_older_than_what_comes() {
    let (_folder, path) = temporary();
    let db = open(&path);
    for n in 0..100 {
        db.put(key(n), b"before").expect("put");
    }
    let before = db.snapshot();
    let report = db.bulk_load((50..5000).map(|n| (key(n), "loaded"))).expect("load");
    assert_eq!((report.entries, report.level), (4950, 0), "level 0 is taken: {report:?}");
    assert!(report.tables > 1 && report.seqno == 101, "{report:?}");
    let after = db.snapshot();
    db.put(key(60), b"after").expect("put");
    db.delete_range(key(4000), key(4100)).expect("delete");
    let check = |db: &Db| {
        for (n, value) in [(49, "before"), (50, "loaded"), (60, "after"), (4999, "loaded")] {
            let found = db.get(key(n)).expect("get");
            assert_eq!(found.as_deref(), Some(value.as_bytes()), "{n}");
            assert_eq!(db.explain_get(key(n)).expect("explain").value.as_deref(), found.as_deref());
        }
        assert!(db.get(key(4050)).expect("get").is_none());
        assert_eq!(db.scan::<&[u8]>(..).expect("scan").count(), 4900);
        assert_eq!(db.scan::<&[u8]>(..).expect("scan").rev().count(), 4900);
        let many = db.multi_get(&[key(49), key(60), key(70), key(4050)]).expect("get");
        let many: Vec<_> = many.iter().map(|value| value.as_deref().map(<[u8]>::len)).collect();
        assert_eq!(many, [Some(6), Some(5), Some(6), None]);
        db.verify().expect("verify");
    };
    check(&db);
    assert!(before.get(key(3000)).expect("get").is_none(), "taken before the load");
    assert_eq!(before.get(key(60)).expect("get").as_deref(), Some(&b"before"[..]));
    assert_eq!(before.scan::<&[u8]>(..).expect("scan").count(), 100);
    assert_eq!(before.multi_get(&[key(60), key(3000)]).expect("get")[1], None);
    assert_eq!(after.get(key(60)).expect("get").as_deref(), Some(&b"loaded"[..]));
    assert_eq!(after.scan::<&[u8]>(..).expect("scan").count(), 5000);
    db.compact().expect("compact");
    check(&db);
    assert_eq!(before.scan::<&[u8]>(..).expect("scan").count(), 100);
    drop((before, after));
    db.close().expect("close");
    let db = open(&path);
    check(&db);
    db.compact().expect("compact");
    check(&db);
}

#[test]
fn loads_go_as_deep_as_they_are_free_and_need_no_compaction() {
    let (_folder, path) = temporary();
    let db = open(&path);
    let first = db.bulk_load((1000..2000).map(|n| (key(n), "a"))).expect("load");
    // A table that is being moved down would be in the way.
    db.wait_idle().expect("idle");
    let second = db.bulk_load((0..500).map(|n| (key(n), "b"))).expect("load");
    assert!(first.level > 0 && second.level > 0, "nothing is in the way: {first:?} {second:?}");
    assert_eq!(db.stats().compaction_write_bytes, 0, "nothing is written twice");
    db.wait_idle().expect("idle");
    let third = db.bulk_load((400..1200).map(|n| (key(n), "c"))).expect("load");
    db.wait_idle().expect("idle");
    assert_eq!(third.entries, 800);
    for (n, value) in [(399, "b"), (400, "c"), (1199, "c"), (1200, "a")] {
        assert_eq!(db.get(key(n)).expect("get").as_deref(), Some(value.as_bytes()));
    }
    let nothing = db.bulk_load(Vec::<(&str, &str)>::new()).expect("nothing");
    assert_eq!(nothing, lsm::LoadReport::default());
    drop(db);
    let db = open(&path);
    assert_eq!(db.scan::<&[u8]>(..).expect("scan").count(), 2000);
    assert_eq!(db.stats().seqno, 3);
    db.put(b"x", b"y").expect("numbers go on");
    assert_eq!(db.stats().seqno, 4);
}

#[test]
fn what_does_not_ascend_is_refused_whole() {
    let (_folder, path) = temporary();
    let db = open(&path);
    let files = || std::fs::read_dir(&path).expect("list").count();
    let before = files();
    let twice = (0..3000).chain([2999]).map(|n| (key(n), "v"));
    let refused = db.bulk_load(twice).expect_err("refused");
    assert!(matches!(refused, Error::NotAscending { rank: 3000, .. }), "{refused}");
    assert!(refused.to_string().contains("key002999"), "{refused}");
    assert!(db.scan::<&[u8]>(..).expect("scan").next().is_none());
    assert_eq!(files(), before, "nothing is left behind");
}

#[test]
fn tables_of_others_are_checked_and_all_or_none() {
    let (folder, path) = temporary();
    let db = open(&path);
    let other = db.create_family("other", FamilyOptions::default()).expect("family");
    db.put(key(5), b"old").expect("put");
    db.put(key(7), b"old").expect("put");
    let file = |name: &str| folder.path().join(name);
    let put = |n| (key(n), 1_000_000, Kind::Put);
    table(&file("late"), &[put(20), put(30)]);
    table(&file("early"), &[put(3), (key(5), 9, Kind::Delete), put(7)]);
    table(&file("overlapping"), &[put(25), put(26)]);
    table(&file("versions"), &[put(40), (key(40), 3, Kind::Put)]);
    table(&file("damaged"), &[put(50)]);
    let mut bytes = std::fs::read(file("damaged")).expect("read");
    bytes[40] ^= 1;
    std::fs::write(file("damaged"), bytes).expect("write");
    for bad in ["overlapping", "versions", "damaged", "missing"] {
        db.ingest(&[file("late"), file(bad)]).expect_err(bad);
        assert!(db.get(key(20)).expect("get").is_none(), "{bad}");
    }
    let report = db.ingest(&[file("late"), file("early")]).expect("ingest");
    assert_eq!((report.entries, report.seqno), (5, 3));
    let found: Vec<_> = db.scan::<&[u8]>(..).expect("scan").map(|e| e.expect("e").0).collect();
    let found: Vec<&[u8]> = found.iter().map(|key| &key[..]).collect();
    assert_eq!(found, [&key(3)[..], &key(7), &key(20), &key(30)]);
    assert_eq!(db.get(key(7)).expect("get").as_deref(), Some(&b"ingested"[..]));
    other.ingest(&[file("late")]).expect("ingest");
    assert_eq!(other.scan::<&[u8]>(..).expect("scan").count(), 2);
    assert!(file("late").exists(), "copied");
}

#[test]
fn writers_and_readers_go_on_during_loads() {
    let (_folder, path) = temporary();
    let db = open(&path);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                db.put(format!("own{:04}", n % 1000), vec![b'v'; 50]).expect("put");
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let values = db.scan_prefix(b"key").expect("scan");
                let values: Vec<_> = values.map(|e| e.expect("entry").1.to_vec()).collect();
                assert!(values.is_empty() || values.len() == 2000, "{}", values.len());
                assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "one load at a time");
            }
        });
        for round in 0..20 {
            db.bulk_load((0..2000).map(|n| (key(n), format!("{round}")))).expect("load");
            assert_eq!(
                db.get(key(1999)).expect("get").as_deref(),
                Some(format!("{round}").as_bytes())
            );
        }
        done.store(true, Ordering::Relaxed);
    });
    db.verify().expect("verify");
}
