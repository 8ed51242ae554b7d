//! Writers are slowed down, stopped and let go again, and are told why: no merge ends here before
//! the test allows it, and time moves only where the test or a delay moves it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use lsm::clock::ManualClock;
use lsm::fs::MemFs;
use lsm::scheduler::ThreadScheduler;
use lsm::{Codec, Db, Env, Event, Listeners, Options, Pressure};

/// Runs in level 0 from which writers are slowed down, and at which they stop.
const SLOWDOWN_RUNS: u64 = 12;
const STOP_RUNS: u64 = 36;

/// Holds merges up, just before they begin, until it is dropped.
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn new() -> (Self, Listeners) {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let held = Arc::clone(&gate);
        let listeners = Listeners::new().with(move |event: &Event| {
            if matches!(event, Event::CompactionBegan { .. }) {
                let open = held.0.lock().expect("lock");
                drop(held.1.wait_while(open, |open| !*open).expect("lock"));
            }
        });
        (Self(gate), listeners)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        *self.0.0.lock().expect("lock") = true;
        self.0.1.notify_all();
    }
}

/// A database in memory whose merges wait at a gate, what its listeners hear, and its clock.
struct World {
    gate: Option<Gate>,
    db: Db,
    clock: Arc<ManualClock>,
    heard: Arc<Mutex<Vec<Event>>>,
}

fn world(write_buffer_bytes: usize) -> World {
    let (gate, listeners) = Gate::new();
    let heard = Arc::<Mutex<Vec<Event>>>::default();
    let hears = Arc::clone(&heard);
    let listeners =
        listeners.with(move |event: &Event| hears.lock().expect("lock").push(event.clone()));
    let options = Options {
        listeners,
        write_buffer_bytes,
        codec: Codec::None,
        background_threads: 1,
        ..Options::default()
    };
    let clock = Arc::new(ManualClock::new());
    let scheduler = Arc::new(ThreadScheduler::new(1).expect("threads"));
    let (fs, own) = (Arc::new(MemFs::new()), Arc::clone(&clock));
    let db = Db::open_with("/db", options, Env { fs, clock: own, scheduler }).expect("open");
    World { gate: Some(gate), db, clock, heard }
}

impl World {
    /// One more run in level 0.
    fn add_run(&self, value: &[u8]) {
        self.db.put(b"k", value).expect("put");
        self.db.flush().expect("flush");
    }

    /// The delays that were told, with their reasons.
    fn delays(&self) -> Vec<(Pressure, Duration)> {
        let delay = |event: &Event| match event {
            Event::Slowed { reason, times: 1, took } => Some((*reason, *took)),
            Event::Slowed { .. } => panic!("listeners hear of each: {event:?}"),
            _ => None,
        };
        self.heard.lock().expect("lock").iter().filter_map(delay).collect()
    }

    fn heard(&self, what: impl Fn(&Event) -> bool) -> bool {
        self.heard.lock().expect("lock").iter().any(what)
    }
}

#[test]
fn runs_in_level_0_slow_writers_down_then_stop_them_and_a_merge_lets_them_go() {
    let mut world = world(1 << 20);
    let value = vec![7; 256 << 10];
    for runs in 0..STOP_RUNS {
        let over = runs.saturating_sub(SLOWDOWN_RUNS);
        let stats = world.db.stats();
        let reason = if over > 0 { Pressure::Level0 } else { Pressure::None };
        assert_eq!((stats.pressure, stats.write_delay_us_per_mib), (reason, over * 4000), "{runs}");
        let before = world.delays().len();
        world.add_run(&value);
        // A quarter of a MiB, within rounding and framing.
        match (over, world.delays().get(before..)) {
            (0, Some([])) => {}
            (1.., Some([(Pressure::Level0, took)])) => {
                let expected = Duration::from_millis(over);
                assert!(took.abs_diff(expected) < expected / 100, "{runs}: {took:?}");
            }
            (_, other) => panic!("{runs} runs: {other:?}"),
        }
    }
    let stats = world.db.stats();
    assert_eq!((stats.pressure, stats.write_delay_us_per_mib), (Pressure::Level0, u64::MAX));
    let slept: Duration = world.delays().iter().map(|(_, took)| *took).sum();
    assert_eq!((stats.slowdowns, stats.stalls), (STOP_RUNS - SLOWDOWN_RUNS - 1, 0));
    let told = Duration::from_micros(stats.slowdown_us);
    // Each is counted in whole microseconds.
    assert!(told <= slept && slept < told + Duration::from_micros(stats.slowdowns), "{told:?}");

    let db = world.db.clone();
    let writer = std::thread::spawn(move || db.put(b"k", b"at last"));
    let level_0 = |event: &Event| matches!(event, Event::StallBegan { reason: Pressure::Level0 });
    let deadline = Instant::now() + Duration::from_secs(30);
    while !world.heard(level_0) {
        assert!(Instant::now() < deadline, "no stall at {STOP_RUNS} runs");
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(20));
    assert!(!writer.is_finished());
    assert_eq!(world.db.get(b"k").expect("get").as_deref(), Some(&value[..]), "it waits");
    world.clock.advance(Duration::from_secs(3));
    drop(world.gate.take());
    writer.join().expect("no panic").expect("let go");
    assert_eq!(world.db.get(b"k").expect("get").as_deref(), Some(&b"at last"[..]));

    let stall = Duration::from_secs(3);
    let ended = |event: &Event| match event {
        Event::StallEnded { reason, took } => (*reason, *took) == (Pressure::Level0, stall),
        _ => false,
    };
    assert!(world.heard(ended), "{:?}", world.heard.lock().expect("lock"));
    world.db.wait_idle().expect("idle");
    let (stats, latencies) = (world.db.stats(), world.db.latencies());
    assert_eq!((stats.stalls, stats.stall_us), (1, 3_000_000));
    assert_eq!((latencies.stall.count(), latencies.stall.max()), (1, stall));
    assert_eq!((stats.pressure, stats.write_delay_us_per_mib), (Pressure::None, 0));
    assert!(world.db.history().iter().any(|past| ended(&past.event)));
    let before = world.delays().len();
    world.add_run(&value);
    assert_eq!(world.delays().len(), before, "full speed again");
}

#[test]
fn bytes_that_wait_for_merges_slow_writers_down_and_never_stop_them() {
    let mut world = world(4096);
    // A step is 128 write buffers: 512 KiB. Eleven runs are not too many.
    let value = vec![7; 256 << 10];
    for runs in 0..11u64 {
        let stats = world.db.stats();
        let over = (runs * 256).saturating_sub(512);
        let debt = if runs >= 4 { over * 20_000 / 512 } else { 0 };
        let told = stats.write_delay_us_per_mib;
        assert!(told >= debt && told <= debt + debt / 10 + 100, "{runs}: {told}, not {debt}");
        let reason = if debt > 0 { Pressure::Debt } else { Pressure::None };
        assert_eq!(stats.pressure, reason, "{runs}");
        world.add_run(&value);
    }
    let delays = world.delays();
    assert_eq!(delays.len(), 7, "{delays:?}");
    for (at, (reason, took)) in delays.iter().enumerate() {
        assert_eq!(*reason, Pressure::Debt);
        // A quarter of what a MiB costs at 4 runs and more.
        let least = Duration::from_micros((2 + at as u64) * 256 * 20_000 / 512 / 4);
        assert!(*took >= least && *took < least + least / 5, "{at}: {took:?}, not {least:?}");
    }
    let stats = world.db.stats();
    assert_eq!((stats.slowdowns, stats.stalls), (7, 0));
    drop(world.gate.take());
    world.db.wait_idle().expect("idle");
    let stats = world.db.stats();
    assert_eq!((stats.pressure, stats.write_delay_us_per_mib), (Pressure::None, 0), "{stats:?}");
}
