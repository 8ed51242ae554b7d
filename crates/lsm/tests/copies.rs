//! Families and range deletes in every state (in the log, in the manifest, already merged) through
//! what looks, copies and repairs: all show what the database shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lsm::{Db, FamilyOptions, Options, ReadOnly, ReadOnlyOptions};

type Model = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

fn options() -> Options {
    Options { table_bytes: 16 << 10, block_bytes: 512, ..Options::default() }
}

fn key(n: u32) -> String {
    format!("key{n:05}")
}

/// Three families, each with: entries merged under a range delete, entries hidden by one that is
/// only in the manifest, entries hidden by one that is only in the log, and newer ones on top.
fn filled(path: &Path) -> Db {
    let db = Db::open(path, options()).expect("open");
    for name in ["default", "f", "g"] {
        let family = db.family(name).expect("open");
        let make = || db.create_family(name, FamilyOptions::from(&options())).expect("create");
        let family = family.unwrap_or_else(make);
        for n in 0..2000 {
            family.put(key(n), [name, " old"].concat().repeat(5)).expect("put");
        }
        family.delete_range(key(100), key(200)).expect("delete");
        family.put(key(150), "on top").expect("put");
        family.compact::<&str>(..).expect("compact");
        family.delete_range(key(1000), key(1300)).expect("delete");
        family.put(key(1200), "on top").expect("put");
    }
    db.flush().expect("flush"); // into the manifest
    for name in ["default", "g"] {
        let family = db.family(name).expect("open").expect("it lives");
        family.delete_range(key(500), key(600)).expect("delete");
        family.put(key(550), "on top").expect("put");
        family.delete(key(551)).expect("delete");
    }
    db.sync().expect("sync");
    db
}

fn shown(db: &Db) -> Model {
    let read = |name: String| {
        let family = db.family(&name).expect("open").expect("it lives");
        let scan = family.scan::<&str>(..).expect("scan");
        (name, scan.map(|e| e.map(|(k, v)| (k.to_vec(), v.to_vec())).expect("entry")).collect())
    };
    db.families().into_iter().map(read).collect()
}

fn looked_at(path: &Path) -> Model {
    let seen = ReadOnly::open(path, ReadOnlyOptions::default()).expect("open for reading");
    let read = |name: String| {
        let family = seen.family(&name).expect("it lives");
        let scan = family.scan::<&str>(..);
        (name, scan.map(|e| e.map(|(k, v)| (k.to_vec(), v.to_vec())).expect("entry")).collect())
    };
    seen.families().into_iter().map(read).collect()
}

fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(path).expect("list").map(|entry| entry.expect("entry").path());
    paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

#[test]
fn looks_and_copies_show_families_and_range_deletes_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("db");
    let db = filled(&path);
    let model = shown(&db);
    let counts: Vec<usize> = model.values().map(BTreeMap::len).collect();
    let with_all = 2000 - 99 - 299 - 99;
    assert_eq!(counts, [with_all, 2000 - 99 - 299, with_all]);
    assert_eq!(looked_at(&path), model, "beside the writer");
    let copy = folder.path().join("copy");
    db.checkpoint(&copy).expect("checkpoint");
    assert_eq!(looked_at(&copy), model);
    let copied = Db::open(&copy, options()).expect("open the copy");
    assert_eq!(shown(&copied), model);
    // Each goes on for itself; merging changes nothing that is seen.
    copied.drop_family("g").expect("drop");
    copied.compact().expect("compact");
    copied.verify().expect("verify");
    let mut without = model.clone();
    without.remove("g");
    assert_eq!(shown(&copied), without);
    let again = folder.path().join("again");
    copied.checkpoint(&again).expect("a checkpoint of a checkpoint");
    copied.close().expect("close");
    assert_eq!((looked_at(&copy), looked_at(&again)), (without.clone(), without));
    assert_eq!(shown(&db), model, "the first one is as it was");
    db.compact().expect("compact");
    assert_eq!(shown(&db), model);
    db.close().expect("close");
    assert_eq!(looked_at(&path), model, "closed");
}

#[test]
fn a_repair_keeps_range_deletes_of_every_family_while_the_manifest_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("db");
    let db = filled(&path);
    let model = shown(&db);
    drop(db);
    let report = Db::repair(&path, &options()).expect("repair");
    assert!(report.lost.is_empty(), "{report:?}");
    let db = Db::open(&path, options()).expect("open");
    assert_eq!(shown(&db), model, "nothing was damaged");
    drop(db);
    // A block of one table rots: elsewhere, nothing changes, and nothing that was deleted shows.
    let table = files(&path, ".sst")
        .into_iter()
        .max_by_key(|path| fs::metadata(path).map_or(0, |m| m.len()));
    let table = table.expect("tables");
    let mut bytes = fs::read(&table).expect("read");
    bytes[700] ^= 0xff;
    fs::write(&table, bytes).expect("write");
    let report = Db::repair(&path, &options()).expect("repair");
    let [loss] = &report.lost[..] else { panic!("{report:?}") };
    let (low, high) = loss.keys.clone().expect("a table's range");
    let db = Db::open(&path, options()).expect("open");
    db.verify().expect("verify");
    let found = shown(&db);
    assert_eq!(found.keys().collect::<Vec<_>>(), model.keys().collect::<Vec<_>>());
    let mut missing = 0;
    for (name, entries) in &model {
        for (key, value) in entries {
            match found[name].get(key) {
                Some(same) => assert_eq!(same, value),
                None => missing += usize::from(low <= *key && *key <= high || panic!("{key:?}")),
            }
        }
        let more = found[name].keys().find(|key| !entries.contains_key(*key));
        assert_eq!(more, None, "{name}: what was deleted shows");
    }
    assert!(missing > 0);
}

/// Without a manifest the range deletes that only it knew are gone, as the report says; those in
/// the log still hold.
#[test]
fn a_rebuilt_manifest_says_that_flushed_range_deletes_are_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("db");
    let db = filled(&path);
    let model = shown(&db);
    drop(db);
    for manifest in
        files(&path, "").into_iter().filter(|p| p.to_string_lossy().contains("MANIFEST"))
    {
        fs::remove_file(manifest).expect("remove");
    }
    let report = Db::repair(&path, &options()).expect("repair");
    let said = format!("{report:?}");
    assert!(said.contains("range deletes"), "{said}");
    let db = Db::open(&path, options()).expect("open");
    let found = shown(&db);
    assert_eq!(found.len(), 3);
    for (expected, found) in model.values().zip(found.values()) {
        assert!(expected.iter().all(|(key, value)| found.get(key) == Some(value)));
        let extra: Vec<&Vec<u8>> =
            found.keys().filter(|key| !expected.contains_key(*key)).collect();
        let flushed = |key: &&&Vec<u8>| {
            let text = String::from_utf8_lossy(key).into_owned();
            key_range(1000, 1300).contains(&text)
        };
        assert!(extra.iter().all(|key| flushed(&key)), "only what those hid: {extra:?}");
    }
}

fn key_range(from: u32, to: u32) -> std::ops::Range<String> {
    key(from)..key(to)
}
