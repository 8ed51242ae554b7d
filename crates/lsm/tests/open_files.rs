//! Many tables, few file descriptors.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;

use lsm::fs::TableReads;
use lsm::{Db, Options};

/// Descriptors of this process that are tables in `path`.
fn open_tables(path: &Path) -> usize {
    let fds = fs::read_dir("/proc/self/fd").expect("the process's descriptors");
    let targets = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    targets.filter(|to| to.starts_with(path) && to.extension().is_some_and(|e| e == "sst")).count()
}

/// Entries enough for more than a hundred tables.
fn entries() -> impl Iterator<Item = (String, [u8; 100])> {
    (0..6000u32).map(|n| (format!("{n:05}"), [7; 100]))
}

fn options(open_files_max: usize, table_reads: TableReads) -> Options {
    Options {
        open_files_max,
        table_reads,
        table_bytes: 4096,
        block_cache_bytes: 0,
        codec: lsm::Codec::None,
        ..Options::default()
    }
}

#[test]
fn a_database_of_many_tables_opens_few_files() {
    for reads in [TableReads::Positioned, TableReads::Direct, TableReads::Mapped] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().canonicalize().expect("a path").join("db");
        let options = options(8, reads);
        let db = Db::open(&path, options.clone()).expect("open");
        let report = db.bulk_load(entries()).expect("load");
        assert!(report.tables > 100, "{report:?}");
        assert!(open_tables(&path) <= 8, "{reads:?}: {}", open_tables(&path));
        drop(db);
        let db = Db::open(&path, options).expect("open");
        for n in 0..3000u32 {
            let key = format!("{:05}", n * 7919 % 6000);
            assert!(db.get(key).expect("get").is_some());
            assert!(n % 100 != 0 || (open_tables(&path) <= 8 && maps(&path) <= 8), "{reads:?}");
        }
        assert_eq!(maps(&path), if reads == TableReads::Mapped { 8 } else { 0 }, "{reads:?}");
        assert_eq!(db.scan::<&[u8]>(..).expect("scan").count(), 6000);
        db.delete_range("00000", "03000").expect("delete");
        db.compact().expect("compact");
        assert!(open_tables(&path) <= 8, "{reads:?}: {}", open_tables(&path));
        // The tables that are gone have left their places; those that come next are mapped.
        db.bulk_load((6000..7000u32).map(|n| (format!("{n:05}"), [7; 100]))).expect("load");
        assert!(maps(&path) <= 8 && (reads != TableReads::Mapped || maps(&path) > 0));
        db.verify().expect("verify");
        db.close().expect("close");
    }
}

/// Maps of this process that are tables in `path`.
fn maps(path: &Path) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("the process's maps");
    let path = path.to_str().expect("text");
    maps.lines().filter(|line| line.contains(path) && line.contains(".sst")).count()
}

/// What the process may have bounds what a database asks for.
#[test]
fn a_database_takes_at_most_half_of_the_files_of_its_process() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(100), maximum: before.maximum };
    setrlimit(Resource::Nofile, few).expect("a lower limit");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().canonicalize().expect("a path").join("db");
    let asked = Options::default().open_files_max;
    assert!(asked > 100);
    let db = Db::open(&path, options(asked, TableReads::Positioned)).expect("open");
    let tables = db.bulk_load(entries()).expect("load").tables;
    for n in 0..6000u32 {
        assert!(db.contains(format!("{n:05}")).expect("a file may be opened"));
    }
    let open = open_tables(&path);
    assert!(tables > 100 && (20..=50).contains(&open), "{open} of {tables}");
    db.close().expect("close");
    setrlimit(Resource::Nofile, before).expect("as it was");
}
