//! Checkpoints, and databases opened for reading only, on real files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lsm::{Damage, Db, Error, FamilyOptions, Options, ReadOnly, ReadOnlyOptions, Scan};

fn small() -> Options {
    Options { write_buffer_bytes: 16 << 10, block_bytes: 512, ..Options::default() }
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn all(scan: Scan) -> BTreeMap<Vec<u8>, Vec<u8>> {
    scan.map(|entry| {
        let (key, value) = entry.expect("scan");
        (key.to_vec(), value.to_vec())
    })
    .collect()
}

fn look(path: &Path) -> ReadOnly {
    ReadOnly::open(path, ReadOnlyOptions::default()).expect("open for reading")
}

/// Every file of a folder with its contents.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).expect("list").map(|entry| entry.expect("entry"));
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("read"))
        })
        .collect()
}

#[test]
fn a_checkpoint_is_one_moment_while_writers_go_on() {
    let folder = temporary();
    let db = Db::open(folder.path().join("db"), small()).expect("open");
    let other = db.create_family("other", FamilyOptions::default()).expect("family");
    let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Each batch writes one number in two places of two families.
            for n in 0u64.. {
                let mut batch = lsm::WriteBatch::new();
                let key = format!("key{:04}", n % 5000);
                batch.put(b"last", n.to_le_bytes()).put(&key, vec![b'v'; 100]);
                batch.put_in(&other, b"last", n.to_le_bytes());
                db.write(batch).expect("write");
                written.store(n + 1, Ordering::Relaxed);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut before = None;
        for round in 0..5 {
            // One write may be in the checkpoint before and not be counted yet.
            let seen = written.load(Ordering::Relaxed);
            while written.load(Ordering::Relaxed) < seen + 2 {
                std::thread::yield_now();
            }
            let path = folder.path().join(format!("checkpoint{round}"));
            let report = db.checkpoint(&path).expect("checkpoint");
            assert!(report.linked + report.copied > 0 && report.bytes > 0, "{report:?}");
            let copy = Db::open(&path, small()).expect("open the checkpoint");
            let last = copy.get(b"last").expect("get").map(|value| value.to_vec());
            let twin = copy.family("other").expect("families").expect("it is there");
            assert_eq!(twin.get(b"last").expect("get").map(|v| v.to_vec()), last);
            let number = last.map(|last| u64::from_le_bytes(last.try_into().expect("8 bytes")));
            assert!(number > before, "{number:?} after {before:?}");
            before = number;
            copy.verify().expect("verify");
            copy.put(b"own", b"way").expect("a database of its own");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(db.get(b"own").expect("get").is_none());
}

#[test]
fn a_checkpoint_needs_a_folder_of_its_own() {
    let folder = temporary();
    let db = Db::open(folder.path().join("db"), small()).expect("open");
    db.put(b"k", b"v").expect("put");
    let within = db.checkpoint(folder.path().join("db/backup")).expect_err("refused");
    assert!(matches!(within, Error::InvalidOptions(_)), "{within}");
    fs::create_dir(folder.path().join("full")).expect("create");
    fs::write(folder.path().join("full/letter"), "dear").expect("write");
    let full = db.checkpoint(folder.path().join("full")).expect_err("refused");
    assert!(full.to_string().contains("letter"), "{full}");
    assert_eq!(contents(&folder.path().join("full")).len(), 1);
}

#[test]
fn reading_changes_nothing_and_sees_everything() {
    let folder = temporary();
    let path = folder.path().join("db");
    let db = Db::open(&path, small()).expect("open");
    let other = db.create_family("other", FamilyOptions::default()).expect("family");
    for n in 0..3000 {
        db.put(format!("key{n:05}"), vec![b'v'; 30]).expect("put");
        other.put(format!("{n}"), b"x").expect("put");
    }
    db.delete_range(b"key00100", b"key00200").expect("delete");
    db.wait_idle().expect("idle");
    db.put(b"key00150", b"again").expect("put");
    let expected = all(db.scan::<&[u8]>(..).expect("scan"));
    let check = || {
        let seen = look(&path);
        assert_eq!(all(seen.scan::<&[u8]>(..)), expected);
        for (key, value) in expected.iter().step_by(17) {
            assert_eq!(seen.get(key).expect("get").as_deref(), Some(&value[..]));
            let told = seen.explain_get(key).expect("explain");
            assert_eq!(told.value.as_deref(), Some(&value[..]));
        }
        assert!(!seen.contains(b"key00120").expect("get"));
        let many = seen.multi_get(&["key00000", "nothing"]).expect("get");
        assert!(many[0].is_some() && many[1].is_none());
        let other = seen.family("other").expect("it is there");
        assert_eq!(other.scan::<&[u8]>(..).count(), 3000);
        let mut families = seen.families();
        families.sort();
        assert_eq!(families, ["default", "other"]);
        assert!(seen.skipped().is_empty() && seen.stats().tables > 0);
        assert!(seen.verify().expect("verify").tables > 0);
    };
    let before = contents(&path);
    check();
    assert_eq!(contents(&path), before, "with the writer open");
    db.close().expect("close");
    let before = contents(&path);
    check();
    assert_eq!(contents(&path), before, "with the writer gone");
    let missing = ReadOnly::open(folder.path().join("none"), ReadOnlyOptions::default());
    assert!(matches!(missing, Err(Error::NotADatabase { .. })), "{missing:?}");
}

#[test]
fn readers_follow_a_writer_that_flushes_and_compacts_all_the_time() {
    let folder = temporary();
    let path = folder.path().join("db");
    let db = Db::open(&path, small()).expect("open");
    db.put(b"last", 0u64.to_le_bytes()).expect("put");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1u64.. {
                let mut batch = lsm::WriteBatch::new();
                let value = [&n.to_le_bytes()[..], &[7; 400]].concat();
                batch.put(b"last", n.to_le_bytes()).put(format!("key{:03}", n % 200), value);
                db.write(batch).expect("write");
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut before = 0;
        for _ in 0..30 {
            let seen = look(&path);
            let last = seen.get(b"last").expect("get").expect("it is there");
            let last = u64::from_le_bytes(last[..].try_into().expect("8 bytes"));
            assert!(last >= before, "{last} after {before}");
            before = last;
            // The newest write of each of the last 200 is seen.
            for n in last.saturating_sub(199).max(1)..=last {
                let value = seen.get(format!("key{:03}", n % 200)).expect("get").expect("there");
                assert_eq!(value[..8], n.to_le_bytes(), "{n} of {last}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_damaged_database_is_shown_as_far_as_it_can_be() {
    let folder = temporary();
    let path = folder.path().join("db");
    let db = Db::open(&path, small()).expect("open");
    for n in 0..3000 {
        db.put(format!("key{n:05}"), vec![b'v'; 30]).expect("put");
    }
    db.wait_idle().expect("idle");
    let shape = db.shape();
    db.close().expect("close");
    let tables: Vec<_> = shape.levels.iter().flat_map(lsm::LevelShape::tables).collect();
    assert!(tables.len() > 1);
    let lost = tables[0];
    fs::remove_file(path.join(format!("{:06}.sst", lost.number))).expect("remove");
    let refused = ReadOnly::open(&path, ReadOnlyOptions::default());
    assert!(refused.is_err());
    let options = ReadOnlyOptions { damage: Damage::PassOver, ..ReadOnlyOptions::default() };
    let seen = ReadOnly::open(&path, options).expect("as far as possible");
    let [skipped] = seen.skipped() else { panic!("{:?}", seen.skipped()) };
    assert!(skipped.path.ends_with(format!("{:06}.sst", lost.number)));
    for n in 0..3000 {
        let key = format!("key{n:05}");
        let inside =
            lost.smallest <= key.as_bytes().to_vec() && key.as_bytes() <= &lost.largest[..];
        assert!(inside || seen.contains(&key).expect("get"), "{key}");
    }
}
