//! A file system that is really full: writes fail with a clear error, reads go on, nothing that
//! was acknowledged is lost, and room that comes back is used.
//!
//! Needs a small file system; `scripts/crash.sh` makes one and names it in `LSM_FULL_FOLDER`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lsm::{Db, Durability, Error, Options};

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

fn fill(folder: &Path, durability: Durability) {
    let path = folder.join("db");
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 4 << 20]).expect("room for the ballast");
    let mut model = BTreeMap::new();
    let db = Db::open(&path, options(durability)).expect("open");
    let mut full = None;
    for n in 0..100_000_u64 {
        let (key, value) = (format!("key{n:06}").into_bytes(), value(n));
        match db.put(&key, &value) {
            Ok(()) => drop(model.insert(key, value)),
            Err(error) => {
                full = Some(error);
                break;
            }
        }
    }
    let full = full.expect("the file system is small");
    let text = full.to_string();
    assert!(
        matches!(full, Error::Io { .. } | Error::Table(_) | Error::WritesStopped { .. })
            && text.to_lowercase().contains("no s"),
        "the error tells of the missing space: {text}"
    );
    assert!(model.len() > 5000, "only {} entries before the disk was full", model.len());
    check(&db, &model); // reads go on
    // A small write may still fit; a refused one must never be seen.
    for n in 0..50 {
        let key = format!("key-small-{n}").into_bytes();
        if db.put(&key, "x").is_ok() {
            model.insert(key, b"x".to_vec());
        }
    }
    check(&db, &model);
    drop(db);
    fs::remove_file(&ballast).expect("room comes back");
    let db = Db::open(&path, options(durability)).expect("open again");
    check(&db, &model);
    for n in 0..1000 {
        let (key, value) = (format!("key-later-{n}").into_bytes(), value(n));
        db.put(&key, &value).expect("there is room");
        model.insert(key, value);
    }
    db.flush().expect("flush");
    check(&db, &model);
    db.verify().expect("verify");
    db.close().expect("close");
}

#[test]
#[ignore = "needs a small file system: scripts/crash.sh"]
fn a_full_disk_loses_nothing() {
    let root = std::env::var("LSM_FULL_FOLDER").expect("the folder of a small file system");
    for (name, durability) in [("sync", Durability::Sync), ("buffered", Durability::Buffered)] {
        let folder = Path::new(&root).join(name);
        fs::create_dir(&folder).expect("a folder");
        fill(&folder, durability);
        fs::remove_dir_all(&folder).expect("clean up");
    }
}
