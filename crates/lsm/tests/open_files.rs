//! Many tables, few file descriptors.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;

use lsm::{Db, Options};

/// Descriptors of this process that are tables in `path`.
fn open_tables(path: &Path) -> usize {
    let fds = fs::read_dir("/proc/self/fd").expect("the process's descriptors");
    let targets = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    targets.filter(|to| to.starts_with(path) && to.extension().is_some_and(|e| e == "sst")).count()
}

#[test]
fn a_database_of_many_tables_opens_few_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().canonicalize().expect("a path").join("db");
    let options = Options {
        open_files_max: 8,
        table_bytes: 4096,
        block_cache_bytes: 0,
        codec: lsm::Codec::None,
        ..Options::default()
    };
    let db = Db::open(&path, options.clone()).expect("open");
    let entries = (0..6000u32).map(|n| (format!("{n:05}"), [7; 100]));
    let report = db.bulk_load(entries).expect("load");
    assert!(report.tables > 100, "{report:?}");
    assert!(open_tables(&path) <= 8, "{}", open_tables(&path));
    drop(db);
    let db = Db::open(&path, options).expect("open");
    for n in 0..3000u32 {
        let key = format!("{:05}", n * 7919 % 6000);
        assert!(db.get(key).expect("get").is_some());
        assert!(n % 100 != 0 || open_tables(&path) <= 8);
    }
    assert_eq!(db.scan::<&[u8]>(..).expect("scan").count(), 6000);
    db.compact().expect("compact");
    assert!(open_tables(&path) <= 8, "{}", open_tables(&path));
    db.verify().expect("verify");
}
