//! Options over time: stored, compared at open, changed while the database is open.

use std::fs;

use lsm::compaction::Strategy;
use lsm::{Codec, Db, Durability, Effect, Error, Options};

fn fill(db: &Db, records: u32) {
    for n in 0..records {
        db.put(n.to_le_bytes(), [b'v'; 100]).expect("put");
    }
}

#[test]
fn what_differs_at_open_is_reported_and_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let db = Db::open(&path, Options::default()).unwrap();
    assert!(db.changed_options().is_empty(), "a new database has no past");
    db.close().unwrap();
    let changed = Options {
        strategy: Strategy::Tiered,
        durability: Durability::Sync,
        block_cache_bytes: 1 << 20,
        ..Options::default()
    };
    let db = Db::open(&path, changed.clone()).unwrap();
    let changes = db.changed_options();
    let names: Vec<_> = changes.iter().map(|change| (&*change.name, change.effect)).collect();
    let expected = [
        ("block_cache_bytes", Effect::AtOnce),
        ("durability", Effect::AtOnce),
        ("strategy", Effect::NewTables),
    ];
    assert_eq!(names, expected);
    assert_eq!(
        changes[1].to_string(),
        "durability: Buffered -> Sync, at once",
        "this is the next opening"
    );
    db.close().unwrap();
    let db = Db::open(&path, changed).unwrap();
    assert!(db.changed_options().is_empty(), "nothing has changed since");
    db.close().unwrap();

    let text = fs::read_to_string(path.join("OPTIONS")).unwrap();
    assert!(text.contains("\nstrategy=tiered\n") && text.contains("\ndurability=Sync\n"), "{text}");
    let newer = text.replace("durability=Sync", "durability=Replicated\nshiny=1");
    fs::write(path.join("OPTIONS"), newer).unwrap();
    let db = Db::open(&path, Options::default()).unwrap();
    let words: Vec<_> = db.changed_options().iter().map(ToString::to_string).collect();
    assert!(words.contains(&"shiny: 1 -> unknown, at once".to_owned()), "{words:?}");
}

#[test]
fn another_order_of_keys_and_damage_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    Db::open(&path, Options::default()).unwrap().put(b"k", b"v").unwrap();
    let file = path.join("OPTIONS");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("bytewise", "reverse")).unwrap();
    let refused = Db::open(&path, Options::default()).unwrap_err();
    assert!(refused.to_string().contains("keys in reverse order"), "{refused}");
    fs::write(&file, [0xff, 0xfe]).unwrap();
    let refused = Db::open(&path, Options::default());
    assert!(matches!(refused, Err(Error::Corruption { .. })), "{refused:?}");
    fs::write(&file, vec![b'x'; 100_000]).unwrap();
    let refused = Db::open(&path, Options::default());
    assert!(matches!(refused, Err(Error::Corruption { .. })), "{refused:?}");
    fs::remove_file(&file).unwrap();
    let db = Db::open(&path, Options::default()).unwrap();
    assert_eq!(db.get(b"k").unwrap().as_deref(), Some(&b"v"[..]), "it is not needed");
    assert!(file.exists(), "and made again");
}

#[test]
fn buffers_and_cache_change_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let db = Db::open(&path, Options::default()).unwrap();
    fill(&db, 3000);
    db.wait_idle().unwrap();
    assert_eq!(db.stats().flushes, 0);
    let changes = db.set_options(|options| options.write_buffer_bytes = 64 << 10).unwrap();
    assert!(changes.iter().any(|c| c.name == "write_buffer_bytes" && c.effect == Effect::AtOnce));
    fill(&db, 3000);
    db.wait_idle().unwrap();
    assert!(db.stats().flushes >= 5, "{}", db.stats().flushes);

    for n in 0..3000u32 {
        db.get(n.to_le_bytes()).unwrap().unwrap();
    }
    assert!(db.stats().cache_bytes > 100 << 10, "{}", db.stats().cache_bytes);
    db.set_options(|options| options.block_cache_bytes = 64 << 10).unwrap();
    assert!(db.stats().cache_bytes <= 64 << 10);
    db.set_options(|options| options.write_buffer_entries = 50).unwrap();
    fill(&db, 500);
    assert!(db.shape().memtables[0].entries <= 50);
    let options = db.options();
    db.close().unwrap();
    let db = Db::open(&path, options).unwrap();
    assert!(db.changed_options().is_empty(), "changes were stored: {:?}", db.changed_options());
}

#[test]
fn tables_and_compactions_follow_new_options() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { codec: Codec::None, strategy: Strategy::Tiered, ..Options::default() };
    let db = Db::open(folder.path().join("db"), options).unwrap();
    for _ in 0..3 {
        fill(&db, 5000);
        db.flush().unwrap();
    }
    db.wait_idle().unwrap();
    let plain = db.stats().table_bytes;
    assert_eq!(db.stats().runs, 3, "tiered, below its limit");
    db.set_options(|options| {
        options.codec = Codec::Lz4;
        options.filter_bits_per_key = 0.0;
        options.strategy = Strategy::Leveled;
    })
    .unwrap();
    fill(&db, 5000);
    db.compact().unwrap();
    let stats = db.stats();
    assert_eq!(stats.runs, 1);
    assert!(stats.table_bytes * 6 < plain, "{} {plain}", stats.table_bytes);
    assert_eq!(db.get(7u32.to_le_bytes()).unwrap().as_deref(), Some(&[b'v'; 100][..]));
}

#[test]
fn what_cannot_change_is_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), Options::default()).unwrap();
    let changes: [fn(&mut Options); 6] = [
        |options| options.durability = Durability::Sync,
        |options| options.memtable = lsm::MemtableKind::SkipMap,
        |options| options.background_threads = 3,
        |options| options.memory_budget_bytes = 64 << 20,
        |options| options.block_cache_bytes = 0,
        |options| options.size_ratio = 1,
    ];
    for change in changes {
        let refused = db.set_options(|options| {
            options.write_buffer_bytes = 1 << 20;
            change(options);
        });
        assert!(matches!(refused, Err(Error::InvalidOptions(_))), "{refused:?}");
        assert_eq!(db.options().write_buffer_bytes, Options::default().write_buffer_bytes);
    }
}

#[test]
fn options_change_under_writers() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), Options::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2u8 {
            let db = db.clone();
            scope.spawn(move || {
                for n in 0..4000u32 {
                    db.put([&[thread][..], &n.to_le_bytes()].concat(), [7; 100]).unwrap();
                }
            });
        }
        for round in 0..20usize {
            db.set_options(|options| {
                options.write_buffer_bytes = (16 << 10) << (round % 4);
                options.sealed_memtables_max = 1 + round % 3;
                options.strategy =
                    if round % 2 == 0 { Strategy::Tiered } else { Strategy::LazyLeveled };
            })
            .unwrap();
        }
    });
    db.wait_idle().unwrap();
    let mut entries = 0;
    for entry in db.scan::<&[u8]>(..).unwrap() {
        entries += usize::from(entry.unwrap().1.len() == 100);
    }
    assert_eq!(entries, 8000);
    db.verify().unwrap();
}
