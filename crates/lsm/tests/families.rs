//! Families: made, written together, dropped, recovered, against a map each.

use std::collections::BTreeMap;

use lsm::{Db, Error, Family, FamilyOptions, Options, WriteBatch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn small() -> Options {
    Options { write_buffer_bytes: 8 << 10, table_bytes: 8 << 10, ..Options::default() }
}

fn all(family: &Family) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entry = |entry: lsm::Result<(lsm::Key, lsm::Value)>| {
        let (key, value) = entry.expect("entry");
        (key.to_vec(), value.to_vec())
    };
    family.scan::<&[u8]>(..).expect("scan").map(entry).collect()
}

#[test]
fn families_share_nothing_but_the_batch() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("db");
    let db = Db::open(&path, small()).expect("open");
    let own = FamilyOptions {
        codec: lsm::Codec::None,
        strategy: lsm::compaction::Strategy::Tiered,
        ..FamilyOptions::default()
    };
    let users = db.create_family("users", own.clone()).expect("create");
    let again = db.create_family("users", own.clone());
    assert!(matches!(again, Err(Error::FamilyExists { .. })));
    let mut batch = WriteBatch::new();
    batch.put(b"k", b"default").put_in(&users, b"k", b"users").delete_in(&users, b"gone");
    db.write(batch).expect("write");
    let snapshot = db.snapshot();
    users.put(b"k", b"newer").expect("put");
    let then = snapshot.family(&users).expect("ours");
    assert_eq!(then.get(b"k").expect("get").as_deref(), Some(&b"users"[..]));
    assert_eq!(then.scan::<&[u8]>(..).expect("scan").count(), 1);
    drop(snapshot);
    drop((db, users));
    let db = Db::open(&path, small()).expect("reopen");
    assert_eq!(db.families(), ["default", "users"]);
    let users = db.family("users").expect("open").expect("it lives");
    assert_eq!(users.options(), own, "options are remembered");
    assert_eq!(db.get(b"k").expect("get").as_deref(), Some(&b"default"[..]));
    assert_eq!(users.get(b"k").expect("get").as_deref(), Some(&b"newer"[..]));
}

#[test]
fn a_dropped_family_is_gone_for_writers_and_stays_for_readers() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("db");
    let db = Db::open(&path, small()).expect("open");
    let logs = db.create_family("logs", FamilyOptions::default()).expect("create");
    for n in 0..500 {
        logs.put(format!("{n:05}"), "x".repeat(50)).expect("put");
    }
    db.flush().expect("flush");
    let scan = logs.scan::<&[u8]>(..).expect("scan");
    let mut batch = WriteBatch::new();
    batch.put(b"innocent", b"1").put_in(&logs, b"late", b"2");
    db.drop_family("logs").expect("drop");
    assert_eq!(scan.flatten().count(), 500, "an iterator outlives its family");
    assert!(matches!(logs.get(b"00001"), Err(Error::FamilyDropped { .. })));
    assert!(matches!(logs.put(b"k", b"v"), Err(Error::FamilyDropped { .. })));
    assert!(matches!(db.write(batch), Err(Error::FamilyDropped { .. })));
    assert!(!db.contains(b"innocent").expect("get"), "a batch is applied whole or not at all");
    assert!(matches!(db.drop_family("logs"), Err(Error::FamilyDropped { .. })));
    assert!(matches!(db.drop_family("default"), Err(Error::InvalidOptions(_))));
    let fresh = db.create_family("logs", FamilyOptions::default()).expect("the name is free");
    assert!(all(&fresh).is_empty());
    drop((db, logs, fresh));
    let db = Db::open(&path, small()).expect("reopen");
    assert!(all(&db.family("logs").expect("open").expect("it lives")).is_empty());
    let tables = std::fs::read_dir(&path).expect("list").filter(|entry| {
        entry.as_ref().expect("entry").file_name().to_string_lossy().ends_with(".sst")
    });
    assert_eq!(tables.count(), 0, "the dropped family's tables are removed");
}

#[test]
fn random_batches_over_families_agree_with_maps() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("db");
    let mut random = StdRng::seed_from_u64(7);
    let mut db = Db::open(&path, small()).expect("open");
    let mut models: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
    models.insert("default".into(), BTreeMap::new());
    for step in 0..1500 {
        match random.random_range(0..100) {
            0..3 => {
                let name = format!("f{}", random.random_range(0..6));
                let created = db.create_family(&name, FamilyOptions::default()).is_ok();
                assert_eq!(created, !models.contains_key(&name));
                models.entry(name).or_default();
            }
            3 => {
                let name = format!("f{}", random.random_range(0..6));
                let dropped = db.drop_family(&name).is_ok();
                assert_eq!(dropped, models.remove(&name).is_some());
            }
            4 => {
                drop(db);
                db = Db::open(&path, small()).expect("reopen");
            }
            5 => db.flush().expect("flush"),
            6 => db.compact().expect("compact"),
            _ => {
                let mut batch = WriteBatch::new();
                for _ in 0..random.random_range(1..12) {
                    let rank = random.random_range(0..models.len());
                    let (name, model) = models.iter_mut().nth(rank).expect("a family");
                    let family = db.family(name).expect("open").expect("it lives");
                    let key = format!("key{:03}", random.random_range(0..200)).into_bytes();
                    if random.random_bool(0.02) {
                        let end = format!("key{:03}", random.random_range(0..200)).into_bytes();
                        batch.delete_range_in(&family, &key, &end);
                        model.retain(|other, _| *other < key || *other >= end);
                    } else if random.random_bool(0.3) {
                        batch.delete_in(&family, &key);
                        model.remove(&key);
                    } else {
                        let value = format!("{step}").repeat(random.random_range(1..30));
                        batch.put_in(&family, &key, &value);
                        model.insert(key, value.into_bytes());
                    }
                }
                db.write(batch).expect("write");
            }
        }
        if step % 100 == 99 {
            for (name, model) in &models {
                let family = db.family(name).expect("open").expect("it lives");
                assert_eq!(all(&family), model.clone().into_iter().collect::<Vec<_>>(), "{name}");
            }
        }
    }
}

#[test]
fn a_handle_of_another_database_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let db = Db::open(folder.path().join("db"), small()).expect("open");
    let mine = db.create_family("mine", FamilyOptions::default()).expect("create");
    mine.put(b"k", b"mine").expect("put");
    db.checkpoint(folder.path().join("copy")).expect("checkpoint");
    let other = Db::open(folder.path().join("copy"), small()).expect("open the copy");
    let theirs = other.family("mine").expect("open").expect("it was copied");
    let refused = |result: lsm::Result<()>| {
        assert!(matches!(&result, Err(Error::ForeignFamily { .. })), "{result:?}");
    };
    let mut batch = WriteBatch::new();
    batch.put(b"k", b"default").put_in(&theirs, b"k", b"lost");
    refused(db.write(batch.clone()));
    other.write(batch).expect("where it belongs");
    let mut batch = WriteBatch::new();
    batch.delete_in(&theirs, b"k");
    refused(db.write(batch));
    let mut batch = WriteBatch::new();
    batch.delete_range_in(&theirs, b"a", b"z");
    refused(db.write(batch));
    let mut both = WriteBatch::new();
    both.put_in(&mine, b"k", b"1").put_in(&theirs, b"k", b"2");
    refused(db.write(both.clone()));
    refused(other.write(both.clone()));
    both.clear();
    both.put_in(&theirs, b"k", b"theirs");
    other.write(both).expect("a cleared batch has no home");
    let snapshot = db.snapshot();
    refused(snapshot.family(&theirs).map(drop));
    assert_eq!(db.get(b"k").expect("get"), None, "nothing of a refused batch");
    assert_eq!(mine.get(b"k").expect("get").as_deref(), Some(&b"mine"[..]));
    assert_eq!(theirs.get(b"k").expect("get").as_deref(), Some(&b"theirs"[..]));
}
