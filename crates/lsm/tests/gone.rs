//! What is gone: dropped families and closed databases answer with an error, in every method, and
//! iterators outlive both.

use std::path::Path;

use lsm::fs::TableReads;
use lsm::{Db, Error, Family, FamilyOptions, FamilySnapshot, Options, Snapshot, WriteBatch};

const NONE: [&str; 0] = [];
const ALL: std::ops::RangeFull = ..;

fn options() -> Options {
    Options { write_buffer_bytes: 64 << 10, table_bytes: 64 << 10, ..Options::default() }
}

fn key(n: u32) -> String {
    format!("key{n:06}")
}

type Answer = lsm::Result<()>;

/// Every method of a family that answers with a result, by its name.
fn family_methods(family: &Family) -> Vec<(&'static str, Answer)> {
    let none = std::iter::empty::<(&str, &str)>;
    vec![
        ("put", family.put("k", "v")),
        ("delete", family.delete("k")),
        ("delete_range", family.delete_range("a", "z")),
        ("get", family.get("k").map(drop)),
        ("contains", family.contains("k").map(drop)),
        ("get_with", family.get_with("k", |_| ()).map(drop)),
        ("multi_get", family.multi_get(&["k"]).map(drop)),
        ("multi_get", family.multi_get(&NONE).map(drop)),
        ("compare_and_swap", family.compare_and_swap("k", None, Some(b"v")).map(drop)),
        ("get_or_insert", family.get_or_insert("k", "v").map(drop)),
        ("scan", family.scan::<&str>(ALL).map(drop)),
        ("scan_prefix", family.scan_prefix("k").map(drop)),
        ("cursor", family.cursor::<&str>(ALL).map(drop)),
        ("compact", family.compact::<&str>(ALL)),
        ("shape", family.shape().map(drop)),
        ("set_options", family.set_options(|options| options.block_bytes = 8192).map(drop)),
        ("approximate_len", family.approximate_len().map(drop)),
        ("approximate_sizes", family.approximate_sizes(&["a".."z"]).map(drop)),
        ("explain_get", family.explain_get("k").map(drop)),
        ("explain_scan", family.explain_scan::<&str>(ALL, 1).map(drop)),
        ("bulk_load", family.bulk_load([("k", "v")]).map(drop)),
        ("bulk_load", family.bulk_load(none()).map(drop)),
        ("ingest", family.ingest(&["/nowhere.sst"]).map(drop)),
        ("ingest", family.ingest(&NONE).map(drop)),
    ]
}

/// Every method of a snapshot's family, likewise; the snapshot's own are the same ones.
fn family_snapshot_methods(then: FamilySnapshot<'_>) -> Vec<(&'static str, Answer)> {
    vec![
        ("get", then.get("k").map(drop)),
        ("contains", then.contains("k").map(drop)),
        ("get_with", then.get_with("k", |_| ()).map(drop)),
        ("multi_get", then.multi_get(&["k"]).map(drop)),
        ("scan", then.scan::<&str>(ALL).map(drop)),
        ("scan_prefix", then.scan_prefix("k").map(drop)),
        ("cursor", then.cursor::<&str>(ALL).map(drop)),
        ("explain_get", then.explain_get("k").map(drop)),
        ("explain_scan", then.explain_scan::<&str>(ALL, 1).map(drop)),
    ]
}

/// Every method of a snapshot, likewise.
fn snapshot_methods(snapshot: &Snapshot) -> Vec<(&'static str, Answer)> {
    vec![
        ("get", snapshot.get("k").map(drop)),
        ("contains", snapshot.contains("k").map(drop)),
        ("get_with", snapshot.get_with("k", |_| ()).map(drop)),
        ("multi_get", snapshot.multi_get(&["k"]).map(drop)),
        ("scan", snapshot.scan::<&str>(ALL).map(drop)),
        ("scan_prefix", snapshot.scan_prefix("k").map(drop)),
        ("cursor", snapshot.cursor::<&str>(ALL).map(drop)),
        ("explain_get", snapshot.explain_get("k").map(drop)),
        ("explain_scan", snapshot.explain_scan::<&str>(ALL, 1).map(drop)),
    ]
}

/// Every method of a database, likewise.
fn db_methods(db: &Db, elsewhere: &Path) -> Vec<(&'static str, Answer)> {
    let none = std::iter::empty::<(&str, &str)>;
    let mut batch = WriteBatch::new();
    batch.put("k", "v");
    vec![
        ("put", db.put("k", "v")),
        ("delete", db.delete("k")),
        ("delete_range", db.delete_range("a", "z")),
        ("write", db.write(batch)),
        ("write", db.write(WriteBatch::new())),
        ("get", db.get("k").map(drop)),
        ("contains", db.contains("k").map(drop)),
        ("get_with", db.get_with("k", |_| ()).map(drop)),
        ("multi_get", db.multi_get(&["k"]).map(drop)),
        ("multi_get", db.multi_get(&NONE).map(drop)),
        ("compare_and_swap", db.compare_and_swap("k", None, Some(b"v")).map(drop)),
        ("get_or_insert", db.get_or_insert("k", "v").map(drop)),
        ("scan", db.scan::<&str>(ALL).map(drop)),
        ("scan_prefix", db.scan_prefix("k").map(drop)),
        ("cursor", db.cursor::<&str>(ALL).map(drop)),
        ("sync", db.sync()),
        ("flush", db.flush()),
        ("compact", db.compact()),
        ("wait_idle", db.wait_idle()),
        ("verify", db.verify().map(drop)),
        ("create_family", db.create_family("g", FamilyOptions::default()).map(drop)),
        ("family", db.family("f").map(drop)),
        ("drop_family", db.drop_family("f")),
        ("set_options", db.set_options(|options| options.block_bytes = 8192).map(drop)),
        ("set_options", db.set_options(|_| ()).map(drop)),
        ("approximate_len", db.approximate_len().map(drop)),
        ("approximate_sizes", db.approximate_sizes(&["a".."z"]).map(drop)),
        ("explain_get", db.explain_get("k").map(drop)),
        ("explain_scan", db.explain_scan::<&str>(ALL, 1).map(drop)),
        ("bulk_load", db.bulk_load([("k", "v")]).map(drop)),
        ("bulk_load", db.bulk_load(none()).map(drop)),
        ("ingest", db.ingest(&["/nowhere.sst"]).map(drop)),
        ("ingest", db.ingest(&NONE).map(drop)),
        ("checkpoint", db.checkpoint(elsewhere).map(drop)),
        ("stored_entries", db.stored_entries().map(drop)),
    ]
}

#[test]
fn a_dropped_family_is_an_error_in_every_method() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), options()).unwrap();
    let family = db.create_family("f", FamilyOptions::default()).unwrap();
    family.put("k", "v").unwrap();
    let snapshot = db.snapshot();
    let then = snapshot.family(&family).unwrap();
    db.drop_family("f").unwrap();
    let dropped = |what: &str, answer: Answer| {
        let named = matches!(&answer, Err(Error::FamilyDropped { name }) if name == "f");
        assert!(named, "{what}: {answer:?}");
    };
    let all_dropped = || {
        for (what, answer) in
            family_methods(&family).into_iter().chain(family_snapshot_methods(then))
        {
            dropped(what, answer);
        }
    };
    all_dropped();
    assert_eq!(family.name(), "f", "what only looks does not fail");
    assert_eq!(family.options(), FamilyOptions::default());
    dropped("drop_family", db.drop_family("f"));
    assert!(db.family("f").unwrap().is_none() && db.families() == ["default"]);
    let mut batch = WriteBatch::new();
    batch.put("kept", "no").put_in(&family, "k", "v");
    dropped("write", db.write(batch));
    assert_eq!(db.get("kept").unwrap(), None, "all of a batch or nothing");
    let again = db.create_family("f", FamilyOptions::default()).unwrap();
    assert_eq!(again.get("k").unwrap(), None, "a new family of the name is empty");
    all_dropped();
    assert_eq!(snapshot.family(&again).unwrap().scan::<&str>(ALL).unwrap().count(), 0);
    assert!(snapshot.get("k").unwrap().is_none(), "the default family is as it was");
}

#[test]
fn a_closed_database_is_an_error_in_every_method() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), options()).unwrap();
    let family = db.create_family("f", FamilyOptions::default()).unwrap();
    let snapshot = db.snapshot();
    let then = snapshot.family(&family).unwrap();
    db.put("k", "v").unwrap();
    db.clone().close().unwrap();
    let methods = db_methods(&db, &folder.path().join("copy"))
        .into_iter()
        .chain(family_methods(&family))
        .chain(snapshot_methods(&snapshot))
        .chain(family_snapshot_methods(then));
    for (what, answer) in methods {
        assert!(matches!(answer, Err(Error::Closed)), "{what}: {answer:?}");
    }
    assert!(!folder.path().join("copy").exists(), "nothing was made");
    assert_eq!(db.clone().close().map_err(|error| error.to_string()), Ok(()), "closing is done");
    // What only looks does not fail.
    drop((db.stats(), db.memory(), db.history(), db.latencies(), db.options(), db.shape()));
    drop((db.families(), db.path(), db.activity(), db.changed_options(), db.snapshot()));
    drop((family.name(), family.options()));
}

/// The text of all source files in a folder.
fn sources(folder: &Path) -> Vec<String> {
    let paths = std::fs::read_dir(folder)
        .expect("the sources")
        .map(|entry| entry.expect("the sources").path());
    let read = |path: std::path::PathBuf| {
        if path.is_dir() {
            return sources(&path);
        }
        vec![std::fs::read_to_string(path).expect("the sources")]
    };
    paths.flat_map(read).collect()
}

/// The names of the public methods after each `head` that answer with a result.
fn methods<'a>(code: &'a str, head: &str) -> impl Iterator<Item = &'a str> {
    let blocks = code.split(head).skip(1).filter_map(|block| block.split("\n}\n").next());
    let methods = blocks.flat_map(|block| block.split("\n    pub fn ").skip(1));
    methods.filter_map(|method| {
        let result = method.split('{').next()?.contains("-> Result<");
        method.split(['(', '<']).next().filter(|_| result)
    })
}

/// Each method that answers with a result is in the lists above.
#[test]
fn the_lists_of_methods_are_whole() {
    let this = include_str!("gone.rs");
    let list = |start: &str| {
        let from = this.find(start).expect("a list");
        this[from..].split("\n}\n").next().expect("its end")
    };
    let lists = [
        (
            "impl Db {",
            list("fn db_methods"),
            &["open", "open_with", "repair", "repair_with", "close"][..],
        ),
        ("impl Family {", list("fn family_methods"), &[]),
        ("impl Snapshot {", list("fn snapshot_methods"), &["family"]),
        ("impl FamilySnapshot<'_> {", list("fn family_snapshot_methods"), &[]),
    ];
    let mut found = 0;
    for code in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        for (head, list, others) in &lists {
            for name in methods(&code, head).filter(|name| !others.contains(name)) {
                assert!(list.contains(&format!("(\"{name}\", ")), "{name} of {head}");
                found += 1;
            }
        }
    }
    assert!(found > 60, "{found}");
}

#[test]
fn iterators_outlive_compactions_family_drops_and_close() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), options()).unwrap();
    let family = db.create_family("f", FamilyOptions::default()).unwrap();
    for n in 0..2000u32 {
        family.put(key(n), [n.to_le_bytes(); 50].concat()).unwrap();
    }
    db.flush().unwrap();
    let mut scan = family.scan::<&[u8]>(..).unwrap();
    let mut cursor = family.cursor::<&[u8]>(..).unwrap();
    cursor.seek_to_last().unwrap();
    let pinned = family.get(key(7)).unwrap().unwrap();
    for n in 0..100 {
        assert_eq!(&*scan.next().unwrap().unwrap().0, key(n).as_bytes());
    }
    family.delete_range("key", "kez").unwrap();
    db.compact().unwrap();
    assert_eq!(family.get(key(7)).unwrap(), None);
    for n in 100..200 {
        assert_eq!(&*scan.next().unwrap().unwrap().0, key(n).as_bytes());
    }
    db.drop_family("f").unwrap();
    for n in 200..300 {
        assert_eq!(&*scan.next().unwrap().unwrap().0, key(n).as_bytes());
    }
    db.close().unwrap();
    for n in 300..2000 {
        let (found, value) = scan.next().unwrap().unwrap();
        assert_eq!((&*found, &value[..4]), (key(n).as_bytes(), &n.to_le_bytes()[..]));
    }
    assert!(scan.next().is_none());
    for n in (0..2000).rev() {
        assert_eq!(cursor.key(), key(n).as_bytes());
        cursor.prev().unwrap();
    }
    assert!(!cursor.valid());
    assert_eq!(&pinned[..4], 7u32.to_le_bytes());
}

/// The folder belongs to another opening meanwhile, which merges and removes what the iterators
/// read. Tables whose files are open stay readable; with more tables than may be open, an iterator
/// may end with an error, but never with wrong entries.
#[test]
fn iterators_outlive_another_opening_that_removes_their_tables() {
    let ways = [
        (4096, TableReads::Positioned),
        (4096, TableReads::Mapped),
        (4096, TableReads::Direct),
        (4, TableReads::Positioned),
    ];
    for (open_files_max, table_reads) in ways {
        outlive_another_opening(open_files_max, table_reads);
    }
}

fn outlive_another_opening(open_files_max: usize, table_reads: TableReads) {
    let folder = tempfile::tempdir().expect("goes well");
    let path = folder.path().join("db");
    let options = Options {
        open_files_max,
        table_reads,
        table_bytes: 4096,
        block_cache_bytes: 0,
        ..options()
    };
    let db = Db::open(&path, options.clone()).expect("goes well");
    for n in 0..2000u32 {
        db.put(key(n), [n.to_le_bytes(); 50].concat()).expect("goes well");
    }
    db.compact().expect("goes well");
    db.put(key(2000), [2000u32.to_le_bytes(); 50].concat()).expect("goes well"); // in a memtable
    let mut scan = db.scan::<&str>(ALL).expect("goes well");
    let mut cursor = db.cursor::<&str>(ALL).expect("goes well");
    cursor.seek_to_last().expect("goes well");
    let (pinned, snapshot) =
        (db.get(key(7)).expect("goes well").expect("goes well"), db.snapshot());
    let mut last = 0;
    for _ in 0..10 {
        assert_eq!(&*scan.next().expect("goes well").expect("goes well").0, key(last).as_bytes());
        last += 1;
    }
    db.close().expect("goes well");

    let next = Db::open(&path, options.clone()).expect("goes well");
    for n in 0..2001u32 {
        next.put(key(n), "other").expect("goes well");
    }
    next.compact().expect("goes well");
    next.bulk_load((3000..4000u32).map(|n| (key(n), "more"))).expect("goes well");
    let whole = open_files_max == 4096;
    let mut failed = None;
    for entry in scan {
        match entry {
            Ok((found, value)) => {
                assert_eq!((&*found, &value[..4]), (key(last).as_bytes(), &last.to_le_bytes()[..]));
                last += 1;
            }
            Err(error) => failed = Some(error),
        }
    }
    assert_eq!((last == 2001, failed.is_none()), (whole, whole), "{last}: {failed:?}");
    let mut before = 2001;
    let ended = loop {
        if !cursor.valid() {
            break Ok(());
        }
        before -= 1;
        assert_eq!(cursor.key(), key(before).as_bytes());
        if let Err(error) = cursor.prev() {
            break Err(error);
        }
    };
    assert_eq!((before == 0, ended.is_ok()), (whole, whole), "{before}: {ended:?}");
    assert!(!cursor.valid());
    assert_eq!(&pinned[..4], 7u32.to_le_bytes());
    assert!(matches!(snapshot.get("k"), Err(Error::Closed)));
    drop((cursor, snapshot));
    // Letting go of them takes nothing from the other.
    next.verify().expect("goes well");
    assert_eq!(next.scan::<&str>(ALL).expect("goes well").count(), 3001);
    next.close().expect("goes well");
    Db::open(&path, options).expect("goes well").verify().expect("goes well");
}
