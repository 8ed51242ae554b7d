//! A file system that is really full: writes fail with a clear error, reads go on, nothing that
//! was acknowledged is lost, and room that comes back is used.
//!
//! Needs a small file system; `scripts/crash.sh` makes one and names it in `LSM_FULL_FOLDER`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use lsm::{Db, Durability, Error, FamilyOptions, Options, ReadOnly, ReadOnlyOptions};

fn options(durability: Durability) -> Options {
    let (write_buffer_bytes, table_bytes) = (256 << 10, 256 << 10);
    Options { durability, write_buffer_bytes, table_bytes, ..Options::default() }
}

fn check(db: &Db, model: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let scan = db.scan_prefix("key").expect("scan");
    let found: BTreeMap<Vec<u8>, Vec<u8>> =
        scan.map(|e| e.map(|(k, v)| (k.to_vec(), v.to_vec())).expect("entry")).collect();
    assert!(found == *model, "{} entries, not {}", found.len(), model.len());
}

/// Bytes that neither LZ4 nor the file system makes smaller.
fn value(n: u64) -> Vec<u8> {
    let mut word = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::new();
    for _ in 0..64 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Writes from `n` on until there is no space, and checks what that says and leaves.
fn fill(db: &Db, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, n: &mut u64) {
    let full = loop {
        let (key, value) = (format!("key{n:06}").into_bytes(), value(*n));
        match db.put(&key, &value) {
            Ok(()) => drop(model.insert(key, value)),
            Err(error) => break error,
        }
        *n += 1;
        assert!(*n < 100_000, "the file system is small");
    };
    let text = full.to_string().to_lowercase();
    assert!(full.is_out_of_space() && text.contains("no s"), "it tells of the space: {text}");
    check(db, model); // reads go on
    // A small write may still fit; a refused one must never be seen.
    for small in 0..50 {
        let key = format!("key-small-{n}-{small}").into_bytes();
        match db.put(&key, "x") {
            Ok(()) => drop(model.insert(key, b"x".to_vec())),
            Err(error) => assert!(error.is_out_of_space(), "{error}"),
        }
    }
    check(db, model);
}

/// Does what there is room for. A merge may have that room while it runs, and gives it back.
fn do_it(what: impl Fn() -> lsm::Result<()>) {
    let mut last = None;
    for _ in 0..1000 {
        match what() {
            Ok(()) => return,
            Err(error) => last = Some(error),
        }
        assert!(last.as_ref().is_some_and(Error::is_out_of_space), "{last:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("there is room, and it is not found: {last:?}");
}

/// Writes that must go well, and a flush.
fn go_on(db: &Db, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, n: &mut u64) {
    for _ in 0..1000 {
        let (key, value) = (format!("key{n:06}").into_bytes(), value(*n));
        do_it(|| db.put(&key, &value));
        model.insert(key, value);
        *n += 1;
    }
    do_it(|| db.flush());
    check(db, model);
}

fn live(folder: &Path, durability: Durability) {
    let path = folder.join("db");
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 4 << 20]).expect("room for the ballast");
    let (mut model, mut n) = (BTreeMap::new(), 0);
    let db = Db::open(&path, options(durability)).expect("open");
    let scrap = db.create_family("scrap", FamilyOptions::default()).expect("create");
    let entries = (0..4000_u64).map(|n| (format!("{n:06}"), value(n)));
    scrap.bulk_load(entries).expect("load");
    fill(&db, &mut model, &mut n);
    assert!(model.len() > 5000, "only {} entries before the disk was full", model.len());
    // What the database itself can give: an edit fits when nothing else does.
    db.drop_family("scrap").expect("drop");
    go_on(&db, &mut model, &mut n);
    fill(&db, &mut model, &mut n);
    // And what others give, without reopening.
    fs::remove_file(&ballast).expect("room comes back");
    go_on(&db, &mut model, &mut n);
    fill(&db, &mut model, &mut n);
    // Full when it closes, and when it is opened to look.
    if let Err(error) = db.close() {
        assert!(error.is_out_of_space(), "{error}");
    }
    let look = ReadOnly::open(&path, ReadOnlyOptions::default()).expect("a look needs no space");
    let (key, value) = model.iter().next_back().expect("entries");
    assert_eq!(look.get(key).expect("get").as_deref(), Some(&value[..]));
    drop(look);
    let db = match Db::open(&path, options(durability)) {
        Ok(db) => db,
        Err(error) => {
            assert!(error.is_out_of_space(), "{error}");
            return;
        }
    };
    check(&db, &model);
    db.verify().expect("verify");
    db.delete_range("key", "kez").expect("one small record");
    db.compact().expect("all of it goes");
    model.clear();
    go_on(&db, &mut model, &mut n);
    db.close().expect("close");
}

#[test]
#[ignore = "needs a small file system: scripts/crash.sh"]
fn a_full_disk_loses_nothing() {
    let root = std::env::var("LSM_FULL_FOLDER").expect("the folder of a small file system");
    for (name, durability) in [("sync", Durability::Sync), ("buffered", Durability::Buffered)] {
        let folder = Path::new(&root).join(name);
        fs::create_dir(&folder).expect("a folder");
        live(&folder, durability);
        fs::remove_dir_all(&folder).expect("clean up");
    }
}
