//! Options over time: stored, compared at open, changed while the database is open.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::{fmt, fs};

use lsm::compaction::Strategy;
use lsm::manifest::Manifest;
use lsm::{Codec, Db, Durability, Effect, Error, Family, FamilyOptions, Options, WriteBatch};

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

fn words(changes: &[lsm::OptionChange]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

fn family(db: &Db, name: &str) -> Family {
    db.family(name).expect("open").expect("it lives")
}

#[test]
fn options_of_a_family_change_at_once_and_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let db = Db::open(&path, Options::default()).unwrap();
    let own = FamilyOptions { codec: Codec::None, ..FamilyOptions::default() };
    let (users, others) =
        (db.create_family("users", own.clone()).unwrap(), db.create_family("others", own).unwrap());
    let fill = |round: u32| {
        for n in 0..2000u32 {
            let mut batch = WriteBatch::new();
            batch.put_in(&users, n.to_le_bytes(), [b'v'; 100]);
            batch.put_in(&others, n.to_le_bytes(), [b'v'; 100]);
            db.write(batch).unwrap();
        }
        db.flush().unwrap();
        db.wait_idle().unwrap();
        users.put(b"round", round.to_le_bytes()).unwrap();
    };
    fill(0);
    let changes = users.set_options(|options| {
        options.codec = Codec::Lz4;
        options.strategy = Strategy::Tiered;
        options.hash_index = true;
        options.tombstone_age_max = Some(std::time::Duration::from_secs(60));
    });
    let expected = [
        "codec: 0 -> 1, for tables written from now on",
        "hash_index: false -> true, for tables written from now on",
        "strategy: leveled -> tiered, for tables written from now on",
        "tombstone_age_max_us: unknown -> 60000000, for tables written from now on",
    ];
    assert_eq!(words(&changes.unwrap()), expected);
    assert!(users.set_options(|_| {}).unwrap().is_empty());
    assert_eq!((users.options().codec, others.options().codec), (Codec::Lz4, Codec::None));
    fill(1);
    let density = |family: &Family| {
        let shape = family.shape().unwrap();
        let mut runs = shape.levels.iter().flat_map(|level| &level.runs);
        let newest = &runs.next().unwrap().tables[0];
        newest.bytes * 100 / newest.raw_bytes
    };
    assert!(density(&users) < 50 && density(&others) > 90, "compressed, and not");
    users.set_options(|options| options.table_bytes = 4096).unwrap();
    let tables = |family: &Family| {
        family.compact::<&[u8]>(..).unwrap();
        family.shape().unwrap().levels.last().unwrap().runs[0].tables.len()
    };
    assert_eq!(tables(&others), 1);
    assert!(tables(&users) > 1, "compactions follow too");
    drop((users, others));
    db.close().unwrap();

    let db = Db::open(&path, Options::default()).unwrap();
    let users = family(&db, "users");
    let options = users.options();
    assert_eq!((options.codec, options.strategy), (Codec::Lz4, Strategy::Tiered));
    assert_eq!(family(&db, "others").options().codec, Codec::None);
    assert!(db.changed_options().is_empty(), "they are not the database's");
    assert_eq!(users.get(b"round").unwrap().as_deref(), Some(&1u32.to_le_bytes()[..]));
    for n in 0..2000u32 {
        assert_eq!(users.get(n.to_le_bytes()).unwrap().as_deref(), Some(&[b'v'; 100][..]));
    }
}

#[test]
fn options_of_the_default_family_are_those_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let db = Db::open(&path, Options::default()).unwrap();
    let default = family(&db, "default");
    let changes = default.set_options(|options| options.size_ratio = 4).unwrap();
    assert_eq!(words(&changes), ["size_ratio: 10 -> 4, for tables written from now on"]);
    assert_eq!((db.options().size_ratio, default.options().size_ratio), (4, 4));
    let refused = default.set_options(|options| options.base_bytes = 1 << 20);
    assert!(matches!(refused, Err(Error::InvalidOptions(_))), "{refused:?}");
    db.set_options(|options| options.size_ratio = 6).unwrap();
    assert_eq!(default.options().size_ratio, 6);
    let stored = fs::read_to_string(path.join("OPTIONS")).unwrap();
    assert!(stored.contains("\nsize_ratio=6\n"), "{stored}");
}

#[test]
fn what_a_family_cannot_be_is_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let db = Db::open(&path, Options::default()).unwrap();
    let users = db.create_family("users", FamilyOptions::default()).unwrap();
    let changes: [fn(&mut FamilyOptions); 4] = [
        |options| options.size_ratio = 1,
        |options| options.block_bytes = 1,
        |options| options.table_bytes = 0,
        |options| options.filter_bits_per_key = f64::NAN,
    ];
    for change in changes {
        let refused = users.set_options(|options| {
            options.codec = Codec::None;
            change(options);
        });
        assert!(matches!(refused, Err(Error::InvalidOptions(_))), "{refused:?}");
        assert_eq!(users.options(), FamilyOptions::default());
    }
    db.drop_family("users").unwrap();
    let dropped = users.set_options(|options| options.codec = Codec::None);
    assert!(matches!(dropped, Err(Error::FamilyDropped { .. })), "{dropped:?}");
    assert_eq!(users.options(), FamilyOptions::default(), "its last");
    let others = db.create_family("others", FamilyOptions::default()).unwrap();
    db.close().unwrap();
    let closed = others.set_options(|options| options.codec = Codec::None);
    assert!(matches!(closed, Err(Error::Closed)), "{closed:?}");
}

#[test]
fn options_of_a_family_change_under_writers_and_merges() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let options = Options { write_buffer_bytes: 16 << 10, ..Options::default() };
    let db = Db::open(&path, options.clone()).unwrap();
    let users = db.create_family("users", FamilyOptions::from(&options)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2u8 {
            let users = users.clone();
            scope.spawn(move || {
                for n in 0..4000u32 {
                    users.put([&[thread][..], &n.to_le_bytes()].concat(), [7; 100]).unwrap();
                }
            });
        }
        for round in 0..20usize {
            users
                .set_options(|options| {
                    options.codec = [Codec::None, Codec::Lz4, Codec::Snappy][round % 3];
                    options.table_bytes = (4 << 10) << (round % 5);
                    options.strategy =
                        if round % 2 == 0 { Strategy::Tiered } else { Strategy::LazyLeveled };
                })
                .unwrap();
        }
    });
    db.wait_idle().unwrap();
    let last = users.options();
    assert_eq!((last.codec, last.table_bytes), (Codec::Lz4, 64 << 10), "of round 19");
    let count = |users: &Family| users.scan::<&[u8]>(..).unwrap().map(Result::unwrap).count();
    assert_eq!(count(&users), 8000);
    db.verify().unwrap();
    drop(users);
    db.close().unwrap();
    let db = Db::open(&path, options).unwrap();
    assert_eq!(family(&db, "users").options(), last);
    assert_eq!(count(&family(&db, "users")), 8000);
}

/// Written by the build before manifests had version 2: two families, a third that was dropped,
/// tables, a log, a range delete.
#[test]
fn a_database_with_a_manifest_of_version_1_opens() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifest-1");
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let version = || {
        let manifest = Manifest::read(&lsm::fs::StdFs::new(), folder.path()).unwrap();
        fs::read(folder.path().join(format!("MANIFEST-{:06}", manifest.number))).unwrap()[8]
    };
    assert_eq!(version(), 1);
    let db = Db::open(folder.path(), Options::default()).unwrap();
    assert_eq!(version(), 2, "each opening goes on in a new file");
    assert_eq!(db.families(), ["default", "users"]);
    let users = family(&db, "users");
    assert_eq!(users.options().codec, Codec::None);
    for (family, flushed, logged) in [(&family(&db, "default"), b"1", b"3"), (&users, b"2", b"4")] {
        assert_eq!(family.get(b"flushed").unwrap().as_deref(), Some(&flushed[..]));
        assert_eq!(family.get(b"logged").unwrap().as_deref(), Some(&logged[..]));
    }
    users.set_options(|options| options.codec = Codec::Zstd).unwrap();
    drop(users);
    db.close().unwrap();
    let db = Db::open(folder.path(), Options::default()).unwrap();
    assert_eq!(family(&db, "users").options().codec, Codec::Zstd);
    assert_eq!(family(&db, "users").get(b"logged").unwrap().as_deref(), Some(&b"4"[..]));
}

/// What larger memtables take of the memory budget, the cache gives: at once, not at the next
/// opening.
#[test]
fn under_a_budget_the_cache_makes_room_for_larger_write_buffers() {
    let folder = tempfile::tempdir().expect("folder");
    let options = Options::default().with_memory_budget(32 << 20);
    let (small, share) = (options.write_buffer_bytes, options.block_cache_bytes as u64);
    let db = Db::open(folder.path().join("db"), options).expect("open");
    let mut word = 1_u64;
    let entries = (0..40_000_u32).map(|n| {
        let mut value = [0; 400];
        for piece in value.chunks_mut(8) {
            word = word.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            piece.copy_from_slice(&(word ^ word >> 32).to_le_bytes());
        }
        (format!("{n:05}"), value)
    });
    db.bulk_load(entries).expect("load");
    for n in 0..40_000_u32 {
        assert!(db.contains(format!("{n:05}")).expect("get"));
    }
    let before = db.memory().block_cache_bytes;
    assert!(before > share / 2, "{before} of {share} bytes are in use");
    db.set_options(|options| options.write_buffer_bytes = small * 2).expect("change");
    for n in 0..40_000_u32 {
        assert!(db.contains(format!("{n:05}")).expect("get"));
    }
    let after = db.memory().block_cache_bytes;
    assert!(after < before / 2, "{after} bytes, {before} before");
    db.put(b"a change of the tree", b"follows").expect("put");
    db.flush().expect("flush");
    db.set_options(|options| options.write_buffer_bytes = small).expect("change");
    for n in 0..40_000_u32 {
        assert!(db.contains(format!("{n:05}")).expect("get"));
    }
    assert!(db.memory().block_cache_bytes > before / 2, "and takes it back");
}

/// Keeps the words of warnings.
#[derive(Debug, Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Words<'a>(&'a mut Vec<String>);
        impl tracing::field::Visit for Words<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0.push(format!("{value:?}"));
                }
            }
        }
        event.record(&mut Words(&mut self.0.lock().expect("lock")));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn options_that_go_badly_together_are_told_at_the_opening() {
    let folder = tempfile::tempdir().expect("folder");
    let told = |name: &str, options: &Options| {
        let warnings = Warnings::default();
        let open = || Db::open(folder.path().join(name), options.clone()).expect("open");
        drop(tracing::subscriber::with_default(warnings.clone(), open));
        warnings.0.lock().expect("lock").clone()
    };
    let risky =
        Options { durability: Durability::None, block_cache_bytes: 0, ..Options::default() };
    assert_eq!(risky.check().len(), 2);
    assert_eq!(told("risky", &risky), risky.check());
    assert_eq!(told("fine", &Options::default()), Vec::<String>::new());
}
