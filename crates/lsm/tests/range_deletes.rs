//! Range deletes: seen at once, hidden from older snapshots, gone for good, and cheap.

use lsm::{Db, Options, WriteBatch};

fn small() -> Options {
    Options { write_buffer_bytes: 16 << 10, table_bytes: 16 << 10, ..Options::default() }
}

fn key(n: u32) -> String {
    format!("key{n:06}")
}

fn filled(path: &std::path::Path, count: u32) -> Db {
    let db = Db::open(path, small()).expect("open");
    for n in 0..count {
        db.put(key(n), format!("value {n}")).expect("put");
    }
    db
}

fn keys(db: &Db) -> Vec<String> {
    let key = |entry: lsm::Result<(lsm::Key, lsm::Value)>| {
        String::from_utf8(entry.expect("entry").0.to_vec()).expect("text")
    };
    db.scan::<&[u8]>(..).expect("scan").map(key).collect()
}

#[test]
fn a_range_is_deleted_for_everyone_but_older_snapshots() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("db");
    let db = filled(&path, 3000);
    let before = db.snapshot();
    db.delete_range(key(500), key(2500)).expect("delete");
    db.put(key(1000), "new").expect("put");
    let check = |db: &Db| {
        assert!(db.get(key(500)).expect("get").is_none());
        assert!(db.get(key(2500)).expect("get").is_some(), "the end is outside");
        assert_eq!(db.get(key(1000)).expect("get").as_deref(), Some(&b"new"[..]));
        let expected: Vec<_> = (0..500).chain([1000]).chain(2500..3000).map(key).collect();
        assert_eq!(keys(db), expected);
        let back = db.scan::<&[u8]>(..).expect("scan").rev().count();
        assert_eq!(back, expected.len());
    };
    check(&db);
    db.flush().expect("flush");
    check(&db);
    db.compact().expect("compact");
    check(&db);
    assert_eq!(before.scan::<&[u8]>(..).expect("scan").count(), 3000);
    assert_eq!(before.get(key(1000)).expect("get").as_deref(), Some(&b"value 1000"[..]));
    drop(before);
    drop(db);
    let db = Db::open(&path, small()).expect("reopen");
    check(&db);
    db.compact().expect("compact");
    check(&db);
    assert_eq!(db.stats().table_entries, 1001, "what is hidden is gone");
    assert_eq!(db.stats().range_deletes, 0, "and so is the range delete");
}

#[test]
fn whole_tables_under_a_range_go_without_being_read() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("db");
    let db = filled(&path, 20_000);
    db.flush().expect("flush");
    db.wait_idle().expect("idle");
    let before = db.stats();
    db.delete_range("", "z").expect("delete");
    db.flush().expect("flush");
    db.wait_idle().expect("idle");
    let after = db.stats();
    assert_eq!((after.tables, after.range_deletes), (0, 0));
    // A merge may already have begun on a few of them when the range delete is flushed.
    let read = after.compaction_read_bytes - before.compaction_read_bytes;
    assert!(read < before.table_bytes / 10, "{read} bytes of {}", before.table_bytes);
    assert!(keys(&db).is_empty());
}

#[test]
fn the_order_within_a_batch_decides() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("db");
    let db = filled(&path, 10);
    let mut batch = WriteBatch::new();
    batch.put(key(3), "before").delete_range(key(2), key(8)).put(key(5), "after");
    batch.delete_range(key(9), key(1)); // empty: deletes nothing
    db.write(batch).expect("write");
    let check = |db: &Db| {
        assert_eq!(keys(db), [0, 1, 5, 8, 9].map(key));
        assert_eq!(db.get(key(5)).expect("get").as_deref(), Some(&b"after"[..]));
    };
    check(&db);
    drop(db);
    check(&Db::open(&path, small()).expect("the log brings it back"));
}

#[test]
fn many_ranges_that_overlap() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("db");
    let db = filled(&path, 2000);
    for n in 0..300u32 {
        let start = n * 37 % 2000;
        db.delete_range(key(start), key(start + 5)).expect("delete");
        db.put(key(start + 2), "kept").expect("put");
    }
    let mut expected: std::collections::BTreeSet<u32> = (0..2000).collect();
    for n in 0..300u32 {
        let start = n * 37 % 2000;
        expected.retain(|key| !(start..start + 5).contains(key));
        expected.insert(start + 2);
    }
    let expected: Vec<_> = expected.into_iter().map(key).collect();
    assert_eq!(keys(&db), expected);
    db.compact().expect("compact");
    assert_eq!(keys(&db), expected);
    drop(db);
    assert_eq!(keys(&Db::open(&path, small()).expect("reopen")), expected);
}
