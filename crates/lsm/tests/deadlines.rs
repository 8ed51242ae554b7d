//! A database at rest keeps its deadlines: nobody writes, flushes or asks for a merge here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lsm::clock::{Clock, ManualClock};
use lsm::compaction::Strategy;
use lsm::fs::MemFs;
use lsm::scheduler::InlineScheduler;
use lsm::{Db, Env, Event, Options};

/// A database in memory, its clock, and who does the work.
struct World {
    db: Db,
    clock: Arc<ManualClock>,
    scheduler: Arc<InlineScheduler>,
}

impl World {
    fn new(options: Options) -> Self {
        let (clock, scheduler) = (Arc::new(ManualClock::new()), Arc::new(InlineScheduler::new(17)));
        clock.advance(Duration::from_secs(1_000_000));
        let env = Env {
            fs: Arc::new(MemFs::new()),
            clock: Arc::clone(&clock) as Arc<_>,
            scheduler: Arc::clone(&scheduler) as Arc<_>,
        };
        Self { db: Db::open_with("/db", options, env).expect("open"), clock, scheduler }
    }

    /// Lets time pass, second by second, until `done`; returns how long.
    fn wait(&self, done: impl Fn(&Db) -> bool) -> u64 {
        for second in 0..10_000 {
            if done(&self.db) {
                return second;
            }
            self.clock.advance(Duration::from_secs(1));
            self.scheduler.ring(self.clock.now());
            while self.scheduler.run_one() {}
        }
        panic!("it never happens: {:?}", self.db.stats());
    }
}

fn options(age: Duration) -> Options {
    Options {
        tombstone_age_max: Some(age),
        tombstone_density: 0.0,
        write_buffer_bytes: 64 << 10,
        table_bytes: 4 << 10,
        ..Options::default()
    }
}

fn fill(db: &Db) {
    for n in 0..2000 {
        db.put(format!("key{n:05}"), [7; 50]).expect("put");
    }
    db.compact().expect("compact");
}

/// No deletion is anywhere, in memory or in a table.
fn is_clean(db: &Db) -> bool {
    db.stats().table_tombstones == 0 && db.stats().memtable_entries == 0
}

#[test]
fn deletions_in_memory_are_gone_from_the_files_by_their_deadline() {
    let world = World::new(options(Duration::from_secs(800)));
    fill(&world.db);
    for before in [0, 37, 99, 250] {
        world.wait(|db| world.clock.now().as_secs() % 800 == before && is_clean(db));
        for n in 0..50 {
            world.db.delete(format!("key{:05}", n * 31)).expect("delete");
        }
        world.db.put("key00001", "something else").expect("put");
        let flushed = world.wait(|db| db.stats().memtable_entries == 0);
        assert!((300..=510).contains(&flushed), "a table after {flushed} s of 800");
        let gone = flushed + world.wait(is_clean);
        assert!((500..=800).contains(&gone), "gone after {gone} s of 800");
        assert_eq!(world.db.get("key00031").expect("get"), None);
    }
    let reason = |past: &lsm::Past| match &past.event {
        Event::FlushEnded { reason, .. } => reason.contains("deadline"),
        _ => false,
    };
    assert!(world.db.history().iter().any(reason), "{:?}", world.db.history());
    assert!(world.db.get("key00032").expect("get").is_some());
}

#[test]
fn a_deadline_may_come_with_an_option_and_counts_for_tables_that_are_there() {
    let world = World::new(Options { tombstone_age_max: None, ..options(Duration::ZERO) });
    fill(&world.db);
    world.db.delete("key00007").expect("delete");
    world.db.flush().expect("flush");
    world.clock.advance(Duration::from_secs(5000));
    assert_eq!(world.scheduler.ring(world.clock.now()), 0, "nothing is due without a deadline");
    let age = Some(Duration::from_secs(80));
    world.db.set_options(|options| options.tombstone_age_max = age).expect("ok");
    assert!(world.wait(is_clean) <= 10);
}

#[test]
fn what_a_snapshot_sees_waits_for_it() {
    let world = World::new(options(Duration::from_secs(80)));
    fill(&world.db);
    world.db.delete("key00007").expect("delete");
    let snapshot = world.db.snapshot();
    world.db.delete("key00008").expect("delete");
    for _ in 0..300 {
        world.clock.advance(Duration::from_secs(1));
        world.scheduler.ring(world.clock.now());
        while world.scheduler.run_one() {}
    }
    assert!(snapshot.get("key00008").expect("get").is_some());
    assert!(world.db.stats().flushes < 20, "it is not asked all the time");
    drop(snapshot);
    assert!(world.wait(is_clean) <= 80);
    assert_eq!(world.db.get("key00008").expect("get"), None);
}

#[test]
fn a_time_to_live_ends_in_a_database_at_rest() {
    let ttl_us = Some(80_000_000);
    let strategy = Strategy::Fifo { max_bytes: u64::MAX, ttl_us };
    let world = World::new(Options { strategy, tombstone_age_max: None, ..Options::default() });
    for _ in 0..3 {
        for n in 0..100 {
            world.db.put(format!("key{n:05}"), "value").expect("put");
        }
        world.wait(|db| db.stats().memtable_entries == 0);
        assert!(world.db.get("key00001").expect("get").is_some());
        let gone = world.wait(|db| db.stats().tables == 0);
        assert!((75..=100).contains(&gone), "after {gone} s of 80");
        assert_eq!(world.db.get("key00001").expect("get"), None);
    }
}

/// The same with threads and the machine's clock.
#[test]
fn an_idle_worker_wakes_for_a_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    let age = Duration::from_secs(2);
    let db = Db::open(folder.path().join("db"), options(age)).expect("open");
    fill(&db);
    db.wait_idle().expect("idle");
    for n in 0..50 {
        db.delete(format!("key{:05}", n * 31)).expect("delete");
    }
    let begun = Instant::now();
    while !is_clean(&db) {
        std::thread::sleep(Duration::from_millis(10));
        let late = Duration::from_secs(8); // other tests take the processors
        assert!(begun.elapsed() < age + late, "{:?}", db.stats());
    }
    assert!(begun.elapsed() > age / 4, "not at once: {:?}", begun.elapsed());
    assert_eq!(db.get("key00031").expect("get"), None);
    db.close().expect("an alarm that is set does not hold it up");
}
