//! Memtables of every kind through the public face: same answers, limits by bytes and by entries,
//! key ranges, and a database that is opened with another kind each time.

use lsm::{Db, MemtableKind, Options};

const KINDS: [MemtableKind; 4] = [
    MemtableKind::FastSkip,
    MemtableKind::SkipMap,
    MemtableKind::Sharded { shards: 5, placement: lsm::Placement::Modulo },
    MemtableKind::Sharded { shards: 3, placement: lsm::Placement::Ring },
];

#[test]
fn a_database_may_be_opened_with_another_kind_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    for (round, memtable) in (0u32..).zip(KINDS) {
        let db = Db::open(&path, Options { memtable, ..Options::default() }).unwrap();
        let view = db.scan_prefix("key").unwrap();
        assert_eq!(view.count(), round as usize * 50, "{memtable}");
        for n in 0..50 {
            db.put(format!("key {round} {n:02}"), memtable.to_string()).unwrap();
        }
        db.delete_range("key 9", "key :").unwrap();
        let snapshot = db.snapshot();
        db.put("key 0 00", "changed").unwrap();
        assert_eq!(snapshot.get("key 0 00").unwrap().as_deref(), Some(&b"fastskip"[..]));
        db.put("key 0 00", "fastskip").unwrap();
        let (front, back) = {
            let mut scan = db.scan_prefix(format!("key {round}")).unwrap();
            (scan.next().unwrap().unwrap().0, scan.next_back().unwrap().unwrap().0)
        };
        assert_eq!(&*front, format!("key {round} 00").as_bytes());
        assert_eq!(&*back, format!("key {round} 49").as_bytes());
        let range = db.shape().memtables[0].key_range.clone().unwrap();
        assert_eq!(range, (b"key 0 00".to_vec(), format!("key {round} 49").into_bytes()));
    }
}

#[test]
fn memtables_are_sealed_at_their_limits() {
    for memtable in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { memtable, write_buffer_entries: 100, ..Options::default() };
        let db = Db::open(folder.path().join("entries"), options).unwrap();
        for n in 0..1000u32 {
            db.put(n.to_le_bytes(), b"value").unwrap();
        }
        assert!(db.shape().memtables.iter().all(|memtable| memtable.entries <= 100));
        db.wait_idle().unwrap();
        assert_eq!(db.stats().flushes, 9, "{memtable}: the tenth hundred is in memory");

        let options = Options { memtable, write_buffer_bytes: 1 << 20, ..Options::default() };
        let db = Db::open(folder.path().join("bytes"), options).unwrap();
        for n in 0..5000u32 {
            db.put(n.to_le_bytes(), [7; 1000]).unwrap();
            let active = &db.shape().memtables[0];
            assert!(active.memory_bytes <= 5 << 18, "{memtable}: {active:?}");
        }
        db.wait_idle().unwrap();
        assert!((4..7).contains(&db.stats().flushes), "{memtable}: {}", db.stats().flushes);
        assert_eq!(db.get(7u32.to_le_bytes()).unwrap().as_deref(), Some(&[7; 1000][..]));
    }
}
