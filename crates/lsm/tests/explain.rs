//! Explained reads give the answers of plain ones and name what they met; sizes are near the truth.

use lsm::{Db, FilterVerdict, GetStep, Options, ScanSource, WriteBatch};

fn open(folder: &tempfile::TempDir) -> Db {
    let options = Options { block_bytes: 512, ..Options::default() };
    Db::open(folder.path().join("db"), options).expect("open")
}

#[test]
fn a_get_is_told_step_by_step() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = open(&folder);
    for n in 0..1000 {
        db.put(format!("key{n:04}"), format!("old {n}")).expect("put");
    }
    db.compact().expect("compact");
    db.put(b"key0007", b"new").expect("put");
    db.put(b"key0003", b"new").expect("put");
    db.flush().expect("flush");
    db.delete(b"key0009").expect("delete");

    let deleted = db.explain_get(b"key0009").expect("explain");
    assert!(deleted.value.is_none());
    assert!(
        matches!(&deleted.steps[..], [GetStep::Memtable { found: Some(f), .. }] if f.tombstone)
    );
    assert!(deleted.to_string().contains("a deletion, number 1003"), "{deleted}");

    let old = db.explain_get(b"key0005").expect("explain");
    assert_eq!(old.value.as_deref(), Some(&b"old 5"[..]));
    let [
        GetStep::Memtable { found: None, .. },
        GetStep::Table { level: 0, probe: first, .. },
        last,
    ] = &old.steps[..]
    else {
        panic!("{old}")
    };
    assert!(first.filter.is_some(), "{old}");
    let GetStep::Table { level, probe, found: Some(found), .. } = last else { panic!("{old}") };
    assert!(*level > 0 && found.value_bytes == 5, "{old}");
    let block = probe.block.expect("a block was read");
    assert_eq!(probe.filter, Some(FilterVerdict::Maybe));
    assert!(!block.cached && block.fetch_nanos > 0, "{old}");
    let again = db.explain_get(b"key0005").expect("explain");
    let Some(GetStep::Table { probe, .. }) = again.steps.last() else { panic!("{again}") };
    assert!(probe.block.expect("a block").cached, "{again}");

    let outside = db.explain_get(b"key0999").expect("explain");
    assert!(matches!(outside.steps[1], GetStep::OutOfRange { level: 0, tables: 1, .. }));
    db.delete_range(b"key0000", b"key0500").expect("delete");
    let hidden = db.explain_get(b"key0005").expect("explain");
    assert!(hidden.value.is_none() && hidden.range_deleted == 1004, "{hidden}");
}

#[test]
fn a_scan_is_told_with_what_it_passes_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = open(&folder);
    for n in 0..1000 {
        db.put(format!("key{n:04}"), b"first").expect("put");
    }
    db.flush().expect("flush");
    for n in (0..1000).step_by(2) {
        db.put(format!("key{n:04}"), b"second").expect("put");
    }
    for n in (0..1000).step_by(10) {
        db.delete(format!("key{n:04}")).expect("delete");
    }
    db.delete_range(b"key0901", b"key0905").expect("delete");
    let path = db.explain_scan("key0100".."key0950", u64::MAX).expect("explain");
    let plain = db.scan("key0100".."key0950").expect("scan").count() as u64;
    assert_eq!(path.entries, plain, "{path}");
    assert_eq!((path.tombstones, path.range_deleted), (85, 4), "{path}");
    assert_eq!(path.shadowed, 425 + 85, "{path}");
    let [ScanSource::Memtable { versions, .. }, ScanSource::Run { tables: 1, blocks, .. }] =
        path.sources[..]
    else {
        panic!("{path}")
    };
    assert!(versions == 425 + 85 && blocks > 10, "{path}");
    let few = db.explain_scan("key0100".."key0950", 3).expect("explain");
    assert!(few.entries == 3 && few.limited, "{few}");
    assert!(few.to_string().contains("3 entries (the limit)"), "{few}");
    let nothing = db.explain_scan("z".."a", 3).expect("explain");
    assert_eq!(nothing.entries, 0);
}

#[test]
fn sizes_are_near_the_truth_in_tables_and_memtables() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = open(&folder);
    assert_eq!(db.approximate_len().expect("len"), 0);
    for n in 0..20_000 {
        db.put(format!("key{n:05}"), b"some value or other").expect("put");
    }
    db.compact().expect("compact");
    for n in 0..100 {
        db.put(format!("key{n:05}x"), b"0123456789").expect("put");
        db.delete(format!("key{n:05}y")).expect("delete");
    }
    let len = db.approximate_len().expect("len");
    assert!(len.abs_diff(20_000) <= 200, "{len}");
    let ranges = ["key00000".."key10000", "key10000".."key20000", "a".."b"];
    let sizes = db.approximate_sizes(&ranges).expect("sizes");
    assert!(sizes[0].table_entries.abs_diff(10_000) < 300, "{sizes:?}");
    assert_eq!((sizes[0].memtable_entries, sizes[0].memtable_bytes), (200, 100 * 28));
    assert!(sizes[1].table_entries.abs_diff(10_000) < 300, "{sizes:?}");
    assert_eq!(sizes[1].memtable_entries, 0);
    assert_eq!(sizes[2], lsm::RangeSize::default());
    let stored: u64 = db.stats().table_bytes;
    assert!((sizes[0].table_bytes + sizes[1].table_bytes).abs_diff(stored) < stored / 20);
}

#[test]
fn deletions_take_away_wherever_they_are() {
    for kind in ["fastskip", "skipmap", "sharded:4"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options { memtable: kind.parse().expect("a kind"), ..Options::default() };
        let db = Db::open(folder.path(), options).expect("open");
        let len = || db.approximate_len().expect("len");
        let key = |n: u32| format!("key{n:04}");
        for n in 0..1000 {
            db.put(key(n), b"value").expect("put");
        }
        for n in 0..100 {
            db.delete(key(n)).expect("delete");
        }
        assert_eq!(len(), 900, "{kind}: put and deleted in one memtable");
        db.compact().expect("compact");
        assert_eq!(len(), 900, "{kind}: merged");
        let mut batch = WriteBatch::new();
        for n in 100..400 {
            batch.delete(key(n));
        }
        db.write(batch).expect("write");
        for n in 400..500 {
            db.delete(key(n)).expect("delete");
        }
        assert_eq!(len(), 500, "{kind}: a table, and a memtable of deletions");
        db.flush().expect("flush");
        assert_eq!(len(), 500, "{kind}: a table, and one of deletions");
        db.delete_range(key(500), key(600)).expect("delete a range");
        assert_eq!(len(), 500, "{kind}: ranges do not count");
        db.compact().expect("compact");
        assert_eq!(len(), 400, "{kind}: merged");
        for n in 0..500 {
            db.delete(key(n)).expect("delete");
        }
        assert_eq!(len(), 0, "{kind}: absent keys, deleted; not less than nothing");
    }
}
