//! Explained reads give the answers of plain ones and name what they met; sizes are near the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lsm::clock::Clock;
use lsm::fs::MemFs;
use lsm::scheduler::InlineScheduler;
use lsm::{Db, Env, FamilyOptions, FilterVerdict, GetStep, Options, ScanSource, WriteBatch};

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

/// A clock that is a nanosecond on at each look: a step takes 1 ns, and whatever looks between.
#[derive(Debug, Default)]
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn unix_micros(&self) -> u64 {
        0
    }

    fn sleep(&self, _time: Duration) {}
}

/// A database in which nothing happens by itself, with two runs and a memtable in a family:
/// `k000` to `k099` with a block for every few keys, every tenth key again, and `k005` in memory.
fn settled() -> (Db, lsm::Family) {
    let options = Options { latency_sampling: 0, ..Options::default() };
    let env = Env {
        fs: Arc::new(MemFs::new()),
        clock: Arc::new(Ticks::default()),
        scheduler: Arc::new(InlineScheduler::new(1)),
    };
    let db = Db::open_with("/db", options, env).expect("open");
    let family =
        FamilyOptions { block_bytes: 512, codec: lsm::Codec::None, ..FamilyOptions::default() };
    let family = db.create_family("f", family).expect("create");
    for n in 0..100 {
        family.put(format!("k{n:03}"), [b'1'; 50]).expect("put");
    }
    db.compact().expect("compact");
    for n in (0..100).step_by(10) {
        family.put(format!("k{n:03}"), [b'2'; 50]).expect("put");
    }
    db.flush().expect("flush");
    family.put("k005", [b'3'; 50]).expect("put");
    (db, family)
}

#[test]
fn a_get_tells_the_filter_of_each_memtable_and_the_time_of_each_step() {
    let (db, family) = settled();
    let found = family.explain_get("k005").expect("explain");
    let [GetStep::Memtable { rank, entries, filter, filter_nanos, found: Some(f), nanos }] =
        found.steps[..]
    else {
        panic!("{found}")
    };
    assert_eq!((rank, entries, filter, filter_nanos, nanos), (0, 1, FilterVerdict::Maybe, 1, 2));
    assert_eq!((f.seqno, f.tombstone, f.value_bytes), (111, false, 50));
    assert_eq!(
        found.to_string(),
        "get \"k005\" at 111\n  memtable 0 (active, 1 entries): a value of 50 bytes, number 111, \
         2 ns\n    filter: maybe, 1 ns\n  answer: 50 bytes, 7 ns"
    );
    // A key that the filter does not know is not searched for.
    let passed = family.explain_get("k010").expect("explain");
    let [memtable, GetStep::Table { .. }] = &passed.steps[..] else { panic!("{passed}") };
    let GetStep::Memtable { filter, filter_nanos, found: None, nanos, .. } = memtable else {
        panic!("{passed}")
    };
    assert_eq!((*filter, *filter_nanos, *nanos), (FilterVerdict::Absent, 1, 1));
    assert!(passed.to_string().contains("nothing, 1 ns\n    filter: certainly absent, 1 ns"));
    // The default family has nothing of it.
    assert!(db.explain_get("k005").expect("explain").value.is_none());
}

#[test]
fn a_scan_tells_the_time_and_the_blocks_of_each_source() {
    let (_db, family) = settled();
    let told = |limit| {
        let path = family.explain_scan("k000".."k050", limit).expect("explain");
        let [
            ScanSource::Memtable { versions: memtable, nanos: memtable_nanos, .. },
            ScanSource::Run { level: 0, versions: new, nanos: new_nanos, blocks_read: 1, .. },
            ScanSource::Run {
                versions, blocks, blocks_read, cached_read, nanos, level: 1.., ..
            },
        ] = path.sources[..]
        else {
            panic!("{path}")
        };
        assert_eq!(path.entries, limit.min(50));
        // A seek, and a step for each version: the last of them only where the scan goes on.
        assert_eq!((memtable, memtable_nanos), (u64::from(limit > 5), 1 + u64::from(limit > 5)));
        assert!(new_nanos == 1 + new && nanos == 1 + versions, "{path}");
        assert!(blocks > 5, "{path}");
        (path.to_string(), (blocks, blocks_read, cached_read))
    };
    let (_, first) = told(3);
    assert_eq!((first.1, first.2), (1, 0), "a block of four or so entries, from the file");
    let (_, again) = told(3);
    assert_eq!((again.1, again.2), (1, 1), "from the cache");
    let (text, all) = told(u64::MAX);
    assert!(all.1 == all.0 && all.2 == 1, "all that the range touches: {text}");
    assert!(text.contains(&format!("{} blocks read (1 from the cache)", all.1)), "{text}");
    let (text, all) = told(u64::MAX);
    assert!(all.2 == all.1, "all from the cache: {text}");
}

#[test]
fn reads_are_explained_at_a_snapshot_in_every_family() {
    let (db, family) = settled();
    db.put("k", "old").expect("put");
    let snapshot = db.snapshot();
    let then = snapshot.family(&family).expect("of this database");
    db.put("k", "new").expect("put");
    family.delete("k005").expect("delete");
    family.put("k0005", "later").expect("put");
    let path = then.explain_get("k005").expect("explain");
    assert_eq!((path.seqno, path.value.as_deref()), (112, Some(&[b'3'; 50][..])));
    let path = family.explain_get("k005").expect("explain");
    assert_eq!((path.seqno, path.value), (115, None));
    let path = then.explain_scan("k".."k006", u64::MAX).expect("explain");
    assert_eq!((path.seqno, path.entries, path.too_new, path.tombstones), (112, 6, 2, 0));
    let path = family.explain_scan("k".."k006", u64::MAX).expect("explain");
    assert_eq!((path.seqno, path.entries, path.too_new, path.tombstones), (115, 6, 0, 1));
    let path = snapshot.explain_get("k").expect("explain");
    assert_eq!((path.seqno, path.value.as_deref()), (112, Some(&b"old"[..])));
    assert_eq!(snapshot.explain_scan::<&[u8]>(.., 9).expect("explain").too_new, 1);
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
