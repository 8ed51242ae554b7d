//! When and how compactions run: in parts side by side, paced, whatever the strategy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use lsm::compaction::{Granularity, Selection, Strategy};
use lsm::fs::MemFs;
use lsm::scheduler::Signal;
use lsm::{Codec, Db, Durability, Env, Event, FamilyOptions, Haste, Listeners, Options, Pressure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn options(strategy: Strategy) -> Options {
    Options {
        strategy,
        write_buffer_bytes: 128 << 10,
        table_bytes: 16 << 10,
        size_ratio: 4,
        codec: Codec::None,
        background_threads: 3,
        durability: Durability::None,
        ..Options::default()
    }
}

fn key(n: u32) -> String {
    format!("key{n:06}")
}

/// Random puts and deletes, in the database and in the model.
fn churn(db: &Db, model: &mut BTreeMap<String, u64>, rng: &mut StdRng, steps: u32) {
    for _ in 0..steps {
        let (key, value) = (key(rng.random_range(0..20_000)), rng.random::<u64>());
        if value.is_multiple_of(5) {
            db.delete(&key).expect("ok");
            model.remove(&key);
        } else {
            db.put(&key, [value.to_le_bytes(); 8].concat()).expect("ok");
            model.insert(key, value);
        }
    }
}

fn same(db: &Db, model: &BTreeMap<String, u64>) {
    let found = db.scan::<&[u8]>(..).expect("ok").map(|item| {
        let (key, value) = item.expect("ok");
        let key = String::from_utf8(key.to_vec()).expect("text");
        assert_eq!(value.len(), 64);
        (key, u64::from_le_bytes(value[..8].try_into().expect("ok")))
    });
    assert!(
        found.eq(model.iter().map(|(key, value)| (key.clone(), *value))),
        "the database differs"
    );
}

#[test]
fn large_merges_are_cut_into_parts_and_nothing_is_lost_between_them() {
    let folder = tempfile::tempdir().expect("ok");
    let db = Db::open(folder.path(), options(Strategy::Leveled)).expect("ok");
    let (mut model, mut rng) = (BTreeMap::new(), StdRng::seed_from_u64(11));
    for _ in 0..4 {
        churn(&db, &mut model, &mut rng, 15_000);
        db.compact().expect("ok");
        same(&db, &model);
    }
    let stats = db.stats();
    assert!(stats.compaction_parts > stats.compactions, "{stats:?}");
    assert_eq!(stats.table_tombstones, 0, "everything is in the last level");
    db.wait_idle().expect("ok");
    db.verify().expect("ok");
}

#[test]
fn every_selection_keeps_the_database_equal_to_its_model() {
    let all = [
        Selection::LeastOverlap,
        Selection::RoundRobin,
        Selection::MostTombstones,
        Selection::Oldest,
        Selection::Coldest,
    ];
    for (n, selection) in all.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("ok");
        let strategy = if n % 2 == 0 {
            Strategy::Partial(selection)
        } else {
            let granularity = Granularity::Partial(selection);
            Strategy::Fluid { inner_runs: 1, last_runs: 1, granularity }
        };
        let db = Db::open(folder.path(), options(strategy)).expect("ok");
        let (mut model, mut rng) = (BTreeMap::new(), StdRng::seed_from_u64(n as u64));
        for _ in 0..3 {
            churn(&db, &mut model, &mut rng, 8_000);
            for _ in 0..500 {
                let key = key(rng.random_range(0..2_000));
                let found = db.get(&key).expect("ok");
                assert_eq!(found.is_some(), model.contains_key(&key));
            }
        }
        db.wait_idle().expect("ok");
        same(&db, &model);
        let stats = db.stats();
        assert!(stats.compactions > 0, "{selection:?}: {stats:?}");
        assert_eq!((stats.pressure, stats.write_delay_us_per_mib), (Pressure::None, 0));
    }
}

/// A tree that is written to and never read becomes cheaper to write to; nothing is lost on the
/// way, and listeners are told why.
#[test]
fn a_fifo_tree_of_many_runs_stops_no_writer_and_keeps_to_its_size() {
    let folder = tempfile::tempdir().expect("ok");
    let fifo = |max_bytes| options(Strategy::Fifo { max_bytes, ttl_us: None });
    let db = Db::open(folder.path(), fifo(u64::MAX)).expect("ok");
    let (mut model, mut rng) = (BTreeMap::new(), StdRng::seed_from_u64(31));
    // More runs than writers would wait for under any other strategy.
    for _ in 0..50 {
        churn(&db, &mut model, &mut rng, 100);
        db.flush().expect("ok");
    }
    assert!(db.shape().levels[0].runs.len() >= 50, "nothing is merged");
    same(&db, &model);
    db.close().expect("ok");
    let max_bytes = 100_000;
    let db = Db::open(folder.path(), fifo(max_bytes)).expect("ok");
    for n in 0..3000 {
        db.put(key(n), [7; 64]).expect("ok");
    }
    db.flush().expect("ok");
    db.wait_idle().expect("ok");
    let shape = db.shape();
    let runs = shape.levels.iter().flat_map(|level| &level.runs);
    let bytes: u64 = runs.flat_map(|run| &run.tables).map(|table| table.bytes).sum();
    assert!(bytes > 0 && bytes <= max_bytes, "{bytes} bytes are kept of {max_bytes}");
    assert_eq!(db.get(key(2999)).expect("ok").as_deref(), Some(&[7; 64][..]), "the newest stay");
}

/// What happened, in order: merges that begin and end by their plans, and who gave way.
fn words(event: &Event) -> Option<String> {
    match event {
        Event::CompactionBegan { plan, .. } => Some(format!("begins: {plan}")),
        Event::CompactionEnded { plan, error: None, .. } => Some(format!("ends: {plan}")),
        Event::Preempted { plan, reason, .. } => Some(format!("gave way: {plan}: {reason}")),
        _ => None,
    }
}

/// Opens the gates of a test that ends, well or badly: the database could not close else.
struct Opens {
    armed: Arc<AtomicBool>,
    gates: Arc<(Signal, Signal)>,
}

impl Drop for Opens {
    fn drop(&mut self) {
        self.armed.store(false, Ordering::SeqCst);
        self.gates.1.notify();
    }
}

/// Merges that run, by family, and the most that ever did at once.
#[derive(Default)]
struct AtOnce {
    running: BTreeMap<String, usize>,
    most_in_one: usize,
    most_families: usize,
}

/// Each merge waits a moment for another before it begins: two of disjoint ranges in one family,
/// and merges of two families, are under way at once, and nothing is lost.
#[test]
fn merges_of_disjoint_ranges_and_of_families_run_at_once() {
    let at_once = Arc::new((Mutex::new(AtOnce::default()), Condvar::new()));
    let counts = Arc::clone(&at_once);
    let listeners = Listeners::new().with(move |event: &Event| match event {
        Event::CompactionBegan { family, plan, .. } if plan.starts_with("merge") => {
            let mut now = counts.0.lock().expect("lock");
            *now.running.entry(family.clone()).or_default() += 1;
            now.most_in_one = now.most_in_one.max(now.running[family]);
            now.most_families = now.most_families.max(now.running.len());
            counts.1.notify_all();
            let alone = |now: &mut AtOnce| now.running.values().sum::<usize>() < 2;
            let moment = Duration::from_millis(20);
            drop(counts.1.wait_timeout_while(now, moment, alone).expect("lock"));
        }
        Event::CompactionEnded { family, plan, .. } if plan.starts_with("merge") => {
            let mut now = counts.0.lock().expect("lock");
            *now.running.get_mut(family).expect("it began") -= 1;
            now.running.retain(|_, count| *count > 0);
        }
        _ => {}
    });
    let options = Options { write_buffer_bytes: 32 << 10, listeners, ..options(Strategy::Leveled) };
    let env = Env { fs: Arc::new(MemFs::new()), ..Env::system(&options).expect("threads") };
    let db = Db::open_with("/db", options.clone(), env).expect("open");
    let other = db.create_family("other", FamilyOptions::from(&options)).expect("a family");
    let (mut model, mut others) = (BTreeMap::new(), BTreeMap::new());
    let mut rng = StdRng::seed_from_u64(61);
    for _ in 0..40 {
        churn(&db, &mut model, &mut rng, 2000);
        for _ in 0..2000 {
            let (key, value) = (key(rng.random_range(0..20_000)), rng.random::<u64>());
            other.put(&key, value.to_le_bytes()).expect("put");
            others.insert(key, value);
        }
    }
    db.wait_idle().expect("idle");
    same(&db, &model);
    let found = other.scan::<&[u8]>(..).expect("scan").map(|item| {
        let (key, value) = item.expect("an entry");
        let value = u64::from_le_bytes(value[..].try_into().expect("eight bytes"));
        (String::from_utf8(key.to_vec()).expect("text"), value)
    });
    assert!(found.eq(others), "the other family differs");
    db.verify().expect("sound");
    let seen = at_once.0.lock().expect("lock");
    assert!(seen.running.is_empty(), "each has ended: {:?}", seen.running);
    assert!(seen.most_in_one >= 2, "two merges of one family at once");
    assert!(seen.most_families == 2, "merges of two families at once");
}

/// One run a level, and a level at a time, so that deep merges are long.
fn whole_levels() -> Strategy {
    Strategy::Fluid { inner_runs: 1, last_runs: 1, granularity: Granularity::Whole }
}

/// A database of small tables whose merges have one worker.
fn with_one_worker(listeners: Listeners) -> Db {
    let options = Options {
        write_buffer_bytes: 8 << 10,
        table_bytes: 4 << 10,
        background_threads: 1,
        listeners,
        ..options(whole_levels())
    };
    let env = Env { fs: Arc::new(MemFs::new()), ..Env::system(&options).expect("threads") };
    Db::open_with("/db", options, env).expect("open")
}

/// One worker, and it is in a deep merge: level 0 fills up meanwhile, and is merged before the
/// deep merge has ended, at its beginning and in its midst, as are the flushes.
#[test]
fn a_deep_merge_gives_way_to_level_0_when_it_has_the_only_worker() {
    let (sender, story) = channel::<String>();
    let (armed, gates) =
        (Arc::new(AtomicBool::new(false)), Arc::new((Signal::new(), Signal::new())));
    let (watch, gate) = (Arc::clone(&armed), Arc::clone(&gates));
    let deep = |text: &str| text.contains("merge L") && !text.contains(" L0");
    let listeners = Listeners::new().with(move |event: &Event| {
        let Some(text) = words(event) else { return };
        let is_held = deep(&text) && text.starts_with("begins")
            || text.starts_with("gave way") && text.contains("level 0");
        sender.send(text).expect("the test listens");
        // At the first deep merge, and after the first two times it gave way.
        if is_held && watch.load(Ordering::SeqCst) && gate.0.epoch() < 3 {
            let opened = gate.1.epoch();
            gate.0.notify();
            gate.1.wait_past(opened);
        }
    });
    let db = with_one_worker(listeners);
    let _goes_on = Opens { armed: Arc::clone(&armed), gates: Arc::clone(&gates) };
    let (mut model, mut rng) = (BTreeMap::new(), StdRng::seed_from_u64(41));
    churn(&db, &mut model, &mut rng, 40_000);
    db.wait_idle().expect("idle");
    assert!(story.try_iter().count() > 0);
    armed.store(true, Ordering::SeqCst);
    let flushes = |db: &Db| db.stats().flushes;
    for round in 0..3 {
        // Until the only worker is held in a deep merge.
        while gates.0.epoch() <= round {
            churn(&db, &mut model, &mut rng, 50);
        }
        let before = flushes(&db);
        for _ in 0..10 {
            churn(&db, &mut model, &mut rng, 50);
            db.flush().expect("nobody merges, and flushes go on");
        }
        assert!(flushes(&db) >= before + 10, "a flush has its own worker");
        gates.1.notify();
    }
    db.wait_idle().expect("idle");
    same(&db, &model);
    let stats = db.stats();
    assert!(stats.preemptions >= 2 && stats.preemption_us > 0, "{stats:?}");
    let story: Vec<String> = story.try_iter().collect();
    let gave_way = |text: &String| text.starts_with("gave way") && text.contains("level 0 must");
    let begun = story.iter().position(gave_way).expect("it gave way");
    let plan = story[begun].split(": ").nth(1).expect("a plan").to_owned();
    let at = |what: &str| story.iter().position(|text| *text == format!("{what}: {plan}"));
    let inside = &story[at("begins").expect("begun")..at("ends").expect("ended")];
    let merged = inside.iter().filter(|text| text.starts_with("ends: merge L0")).count();
    assert!(merged >= 2, "level 0 is merged within the deep merge: {inside:#?}");
}

/// A limit so low that a deep merge takes minutes: level 0 is merged all the same, and a higher
/// limit counts at once.
#[test]
fn level_0_does_not_wait_for_the_limit_of_merges_which_may_change_at_any_time() {
    let (sender, story) = channel::<String>();
    let listeners = Listeners::new().with(move |event: &Event| {
        if let Some(text) = words(event) {
            sender.send(text).expect("the test listens");
        }
    });
    let db = with_one_worker(listeners);
    let (mut model, mut rng) = (BTreeMap::new(), StdRng::seed_from_u64(43));
    churn(&db, &mut model, &mut rng, 40_000);
    db.wait_idle().expect("idle");
    assert_eq!(db.stats().paced_us, 0);
    let changes = db.set_options(|options| options.merge_bytes_per_second = 20_000).expect("ok");
    let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["merge_bytes_per_second: 0 -> 20000, at once"]);
    let deep = |text: &String| {
        text.starts_with("gave way: merge L") && text.contains("level 0 must be merged")
    };
    assert!(story.try_iter().count() > 0);
    let mut steps = 0;
    while !story.try_iter().any(|text| deep(&text)) {
        churn(&db, &mut model, &mut rng, 100);
        steps += 1;
        assert!(steps < 10_000, "no deep merge ever gave way: {:?}", db.stats());
    }
    let stats = db.stats();
    assert!(stats.paced_us > 0, "{stats:?}");
    let paced = |past: &lsm::Past| match past.event {
        Event::MergesPaced { reason, .. } => Some(reason),
        _ => None,
    };
    let reasons: Vec<Haste> = db.history().iter().filter_map(paced).collect();
    assert!(reasons.contains(&Haste::Level0), "{reasons:?}");
    let begun = Instant::now();
    db.set_options(|options| options.merge_bytes_per_second = 0).expect("ok");
    db.wait_idle().expect("idle");
    assert!(begun.elapsed() < Duration::from_secs(20), "all of a sudden: {:?}", begun.elapsed());
    same(&db, &model);
}

#[test]
fn an_adaptive_tree_follows_the_operations() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sender, receiver) = std::sync::mpsc::channel();
    let listeners = Listeners::new().with(move |event: &Event| {
        if let Event::Adapted { strategy, reason, .. } = event {
            sender.send(format!("{strategy}: {reason}")).expect("the test listens");
        }
    });
    let options = Options { adaptive: true, listeners, ..options(Strategy::Leveled) };
    let db = Db::open(folder.path(), options).expect("open");
    let (mut model, mut rng) = (BTreeMap::new(), StdRng::seed_from_u64(21));
    for _ in 0..40 {
        churn(&db, &mut model, &mut rng, 4_000);
    }
    same(&db, &model);
    let steps: Vec<String> = receiver.try_iter().collect();
    assert!(!steps.is_empty(), "no step in 40 windows of writes");
    assert!(steps[0].contains("writes"), "{steps:?}");
}

/// Deletions in a tree that is otherwise at rest reach the last level in time.
#[test]
fn deletions_do_not_outlive_their_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    let age = Duration::from_millis(300);
    let options = Options { tombstone_age_max: Some(age), ..options(Strategy::Leveled) };
    let db = Db::open(folder.path(), options).expect("open");
    for n in 0..20_000 {
        db.put(key(n), [7; 64]).expect("ok");
    }
    db.compact().expect("ok");
    for n in 0..200 {
        db.delete(key(n * 7)).expect("ok");
    }
    db.flush().expect("ok");
    assert!(db.stats().table_tombstones > 0);
    std::thread::sleep(age * 2);
    // Nothing wakes an idle tree but what happens to it.
    db.put(b"something", b"happens").expect("ok");
    db.flush().expect("ok");
    db.wait_idle().expect("ok");
    assert_eq!(db.stats().table_tombstones, 0, "they are merged with what they hide");
    assert_eq!(db.get(key(7)).expect("ok"), None);
}

/// Tables that overlap nothing below go down without being read or written, and say so.
#[test]
fn tables_that_overlap_nothing_are_moved_and_not_rewritten() {
    let disk = MemFs::new();
    let options = Options {
        write_buffer_bytes: 16 << 10,
        table_bytes: 16 << 10,
        size_ratio: 2,
        latency_sampling: 0,
        ..Options::default()
    };
    let open = || {
        let scheduler = Arc::new(lsm::scheduler::InlineScheduler::new(1));
        let fs = Arc::new(disk.clone());
        let env = Env { fs, scheduler, ..Env::system(&options).expect("env") };
        Db::open_with("/db", options.clone(), env).expect("open")
    };
    let db = open();
    for n in 0..4000 {
        db.put(key(n), [b'v'; 100]).expect("put");
        if n == 1000 {
            db.delete_range(key(10), key(20)).expect("delete");
        }
    }
    db.flush().expect("flush");
    db.wait_idle().expect("idle");
    let stats = db.stats();
    assert!(stats.moves > 4, "{stats:?}");
    assert!(stats.moved_bytes > 4 * (8 << 10), "{stats:?}");
    let deepest = db.shape().levels.len();
    assert!(deepest > 2, "they went down: {deepest} levels");
    let mut moves = 0;
    for past in db.history() {
        let Event::CompactionEnded { plan, reason, read_bytes, written_bytes, error, .. } =
            past.event
        else {
            continue;
        };
        assert!(error.is_none() && !reason.is_empty(), "{plan}");
        if plan.starts_with("move") {
            assert_eq!((read_bytes, written_bytes), (0, 0), "{plan} because {reason}");
            moves += 1;
        }
    }
    assert!(moves > 4, "{moves}");
    let check = |db: &Db| {
        assert_eq!(db.scan::<&[u8]>(..).expect("scan").count(), 3990);
        assert!(db.get(key(15)).expect("get").is_none(), "a moved table stays under its deletes");
        db.verify().expect("verify");
    };
    check(&db);
    db.close().expect("close");
    check(&open());
}
