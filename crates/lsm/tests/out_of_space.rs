//! No space, wherever it is met: the call says so and did nothing, reads go on, and the same call
//! goes well once there is room; after that nothing is missing, a power cut included.
//!
//! `LSM_OUT_OF_SPACE=all` tries every way of failing at every call.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use lsm::clock::ManualClock;
use lsm::fs::{Call, CrashMode, Effect, Fault, FaultFs, Fs, MemFs};
use lsm::scheduler::InlineScheduler;
use lsm::{Db, Durability, Env, Error, FamilyOptions, Options};
use sstable::{Kind, TableWriter, Trailer, WriteOptions};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Calls that take space, or may.
const TAKERS: [Call; 6] =
    [Call::CreateDir, Call::Rename, Call::Create, Call::Write, Call::CreateLog, Call::LogWrite];

struct World {
    disk: MemFs,
    fs: FaultFs,
    db: Option<Db>,
    /// By family, then key.
    model: BTreeMap<&'static str, Model>,
    refused: u32,
}

fn options() -> Options {
    Options {
        durability: Durability::Sync,
        write_buffer_bytes: 8192,
        table_bytes: 8192,
        sealed_memtables_max: 1,
        ..Options::default()
    }
}

fn open(fs: Arc<dyn Fs>) -> lsm::Result<Db> {
    let scheduler = Arc::new(InlineScheduler::new(3));
    Db::open_with("/disk/db", options(), Env { fs, clock: Arc::new(ManualClock::new()), scheduler })
}

fn read(db: &Db) -> BTreeMap<&'static str, Model> {
    let mut found = BTreeMap::new();
    for name in ["default", "f"] {
        let Some(family) = db.family(name).expect("open") else { continue };
        let scan = family.scan::<&[u8]>(..).expect("scan");
        let entries = scan.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())));
        found.insert(name, entries.collect::<lsm::Result<Model>>().expect("reads go on"));
    }
    found
}

impl World {
    fn new() -> Self {
        let disk = MemFs::new();
        disk.create_dir_all(Path::new("/disk")).expect("a folder");
        let entries = (0..50u32).map(|n| (key(3 * n + 1), Kind::Put));
        let options = WriteOptions::default();
        let mut writer = TableWriter::new(Vec::new(), "t", 9, &options).expect("a writer");
        for (key, kind) in entries {
            writer.add(&key, Trailer::new(0, kind), b"ingested").expect("add");
        }
        let mut file = disk.create(Path::new("/disk/made.sst")).expect("a file");
        file.write_all(&writer.finish().expect("a table").1).expect("room");
        file.sync().expect("sync");
        let fs = FaultFs::new(Arc::new(disk.clone()));
        Self { disk, fs, db: None, model: BTreeMap::new(), refused: 0 }
    }

    /// Does a step; if there is no space for it, checks that nothing has happened, makes room, and
    /// does it again.
    fn step<T>(&mut self, what: &str, step: impl Fn(&Db) -> lsm::Result<T>) -> T {
        let db = self.db.as_ref().expect("open");
        match step(db) {
            Ok(done) => done,
            Err(error) => {
                assert!(error.is_out_of_space(), "{what}: {error}");
                assert_eq!(read(db), self.model, "{what}: {error}");
                self.refused += 1;
                self.fs.clear();
                step(db).unwrap_or_else(|error| panic!("{what}, with room again: {error}"))
            }
        }
    }

    fn open(&mut self) {
        let opened = open(Arc::new(self.fs.clone())).or_else(|error| {
            assert!(error.is_out_of_space(), "open: {error}");
            self.refused += 1;
            self.fs.clear();
            open(Arc::new(self.fs.clone()))
        });
        self.db = Some(opened.expect("open"));
    }

    fn put(&mut self, name: &'static str, n: u32, value: &str) {
        let (key, value) = (key(n), value.repeat(20).into_bytes());
        self.step("put", |db| db.family(name)?.expect("it lives").put(&key, &value));
        self.of(name).insert(key, value);
    }

    fn of(&mut self, name: &'static str) -> &mut Model {
        self.model.entry(name).or_default()
    }

    /// Everything that writes, one after the other.
    fn live(&mut self) {
        self.open();
        self.of("default");
        self.put("default", 7, "early");
        self.step("create a family", |db| db.create_family("f", FamilyOptions::default()));
        self.of("f");
        for n in 0..60 {
            self.put("default", n, "first");
            self.put("f", 2 * n, "other");
        }
        self.step("flush", Db::flush);
        self.step("delete a range", |db| db.delete_range(key(20), key(30)));
        self.of("default").retain(|k, _| *k < key(20) || *k >= key(30));
        for n in 0..60 {
            self.put("default", 3 * n, "second");
        }
        self.step("compact", Db::compact);
        let load = |db: &Db| db.bulk_load((200..500).map(|n| (key(n), b"loaded")));
        self.step("load", load);
        self.of("default").extend((200..500).map(|n| (key(n), b"loaded".to_vec())));
        self.step("ingest", |db| db.family("f")?.expect("it lives").ingest(&["/disk/made.sst"]));
        self.of("f").extend((0..50).map(|n| (key(3 * n + 1), b"ingested".to_vec())));
        self.step("change options", |db| db.set_options(|o| o.block_cache_bytes += 1 << 20));
        self.step("change a family", |db| {
            db.family("f")?.expect("it lives").set_options(|o| o.table_bytes = 16 << 10)
        });
        for n in 0..60 {
            self.put("f", 5 * n, "third");
        }
        self.step("checkpoint", |db| db.checkpoint("/disk/copy"));
        self.step("wait", Db::wait_idle);
        self.step("drop the family", |db| db.drop_family("f"));
        self.model.remove("f");
        for n in 0..60 {
            self.put("default", 5 * n, "fourth");
        }
        self.step("sync", Db::sync);
        self.step("verify", |db| db.verify().map(drop));
    }

    /// What must be there, and what must not.
    fn end(mut self) {
        let db = self.db.take().expect("open");
        assert_eq!(read(&db), self.model);
        let named = |kind: &str| {
            let inside = |path: &&std::path::PathBuf| {
                path.starts_with("/disk/db") && path.extension().is_some_and(|e| e == kind)
            };
            self.disk.files().iter().filter(inside).count() as u64
        };
        assert_eq!(named("sst"), db.stats().tables, "tables that nobody knows");
        assert_eq!(named("tmp"), 0);
        for (seed, mode) in (0..).zip(CrashMode::POWER_CUTS) {
            let left = open(Arc::new(self.disk.crash(seed, mode))).expect("open after a power cut");
            assert_eq!(read(&left), self.model, "{mode:?}");
            left.verify().expect("verify");
        }
        if let Err(error) = db.close() {
            assert!(error.is_out_of_space(), "close: {error}");
        }
        self.fs.clear();
        self.open();
        let db = self.db.take().expect("open");
        assert_eq!(read(&db), self.model);
        db.close().expect("close");
        let scheduler = Arc::new(InlineScheduler::new(1));
        let (fs, clock) = (Arc::new(self.disk.clone()), Arc::new(ManualClock::new()));
        let copy = Db::open_with("/disk/copy", options(), Env { fs, clock, scheduler });
        copy.expect("the checkpoint is whole").verify().expect("verify");
    }
}

fn key(n: u32) -> Vec<u8> {
    format!("key{n:04}").into_bytes()
}

fn takers(fs: &FaultFs) -> u64 {
    TAKERS.iter().map(|call| fs.calls_of(*call)).sum()
}

#[test]
fn at_every_call_it_is_an_error_that_room_heals() {
    let mut plain = World::new();
    plain.live();
    assert_eq!(plain.refused, 0);
    let calls = takers(&plain.fs);
    plain.end();
    assert!(calls > 500, "{calls}");
    let all = std::env::var("LSM_OUT_OF_SPACE").is_ok_and(|all| all == "all");
    let effects = [Effect::Nothing, Effect::Half, Effect::Done];
    let (mut refused, mut runs) = (0, 0);
    for after in 0..calls {
        for (rank, effect) in (0..).zip(effects) {
            // Once, or for as long as nobody makes room. A log takes its space when it is made; if
            // a part of it is not there later (copy on write), that is final when it stays so.
            for (times, kinds) in [(1, 6), (u64::MAX, 5)] {
                if !all && !(after + rank + times % 2).is_multiple_of(6) {
                    continue;
                }
                let mut world = World::new();
                let error = io::ErrorKind::StorageFull;
                let mut calls = TAKERS[..kinds].to_vec();
                // A name that was made is no failure that the system could tell of.
                let named = |call: &Call| matches!(call, Call::Rename | Call::Create);
                calls.retain(|call| effect != Effect::Done || !named(call));
                let fault = Fault { calls, after, times, error, effect };
                world.fs.add(fault);
                world.live();
                refused += world.refused;
                runs += 1;
                world.end();
            }
        }
    }
    assert!(refused > runs / 4, "{refused} of {runs} were met by a caller");
}

/// A disk with less and less room, and none of it planned: after every refusal there is more.
#[test]
fn a_disk_that_fills_up_again_and_again() {
    let mut met = 0;
    for room in (0..60).map(|n| n * 1234) {
        let mut world = World::new();
        world.fs.limit_space(room);
        world.live();
        met += world.refused;
        world.end();
    }
    assert!(met > 40, "{met}");
}

/// What gives space back works when nothing else does.
#[test]
fn a_family_can_be_dropped_on_a_full_disk() {
    let mut world = World::new();
    world.open();
    let db = world.db.take().expect("open");
    let family = db.create_family("f", FamilyOptions::default()).expect("create");
    family.bulk_load((0..5000).map(|n| (key(n), [7; 100]))).expect("load");
    db.put("k", "v").expect("put");
    world.disk.set_capacity(Some(world.disk.used_bytes()));
    assert!(db.flush().expect_err("there is no room").is_out_of_space());
    assert!(family.bulk_load([("a", "b")]).expect_err("no room").is_out_of_space());
    let before = world.disk.used_bytes();
    db.drop_family("f").expect("an edit has room");
    assert!(matches!(family.get("a"), Err(Error::FamilyDropped { .. })));
    assert!(world.disk.used_bytes() < before);
    db.flush().expect("the room of the family");
    db.close().expect("close");
}

/// Nobody waits for a compaction here, and nobody asks for one: a flush that finds room is a sign.
#[test]
fn compactions_that_had_no_space_go_on_when_a_flush_finds_some() {
    let disk = MemFs::new();
    let scheduler = Arc::new(InlineScheduler::new(3));
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::new()),
        scheduler: Arc::clone(&scheduler) as _,
    };
    let options = Options {
        durability: Durability::None,
        sealed_memtables_max: 4,
        codec: lsm::Codec::None,
        ..options()
    };
    let db = Db::open_with("/db", options, env).expect("open");
    let mut n = 0;
    let mut round = |room: Option<u64>| {
        for _ in 0..80 {
            db.put(key(n * 7919 % 1000), [7; 100]).expect("memtables have room");
            n += 1;
        }
        disk.set_capacity(room.map(|room| disk.used_bytes() + room));
        while scheduler.run_one() {}
    };
    let mut rounds = 0;
    while db.stats().background_failures == 0 {
        round(Some(20_000)); // a flush takes some 9,000 bytes, a merge as much a run
        rounds += 1;
        assert!(rounds < 50, "no compaction was in need of space: {:?}", db.stats());
    }
    let (flushes, compactions) = (db.stats().flushes, db.stats().compactions);
    assert!(flushes >= 2 && db.shape().levels[0].runs.len() > 2, "{:?}", db.stats());
    // Not at once: each failure has halved how often it is tried.
    let mut more = 0;
    while db.stats().compactions == compactions {
        round(None);
        more += 1;
        assert!(more <= 8, "it is not tried again: {:?}", db.stats());
    }
    assert!(db.stats().flushes > flushes, "{:?}", db.stats());
    assert!(db.shape().levels[0].runs.len() <= 2, "{:?}", db.shape());
}
