//! What listeners are told, that no lock is held meanwhile, and the history and the histograms
//! that go with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use lsm::clock::StdClock;
use lsm::fs::{Call, Fault, FaultFs, MemFs};
use lsm::scheduler::ThreadScheduler;
use lsm::{Db, Env, Error, Event, FamilyOptions, Listeners, Options};

type Heard = Arc<Mutex<Vec<Event>>>;

/// A listener and what it has heard.
fn ear() -> (Listeners, Heard) {
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    let listeners =
        Listeners::new().with(move |event: &Event| hears.lock().expect("lock").push(event.clone()));
    (listeners, heard)
}

fn rank(heard: &[Event], what: impl Fn(&Event) -> bool) -> usize {
    heard.iter().position(what).unwrap_or_else(|| panic!("not among {heard:#?}"))
}

/// A world whose files are in memory and fail when told to.
fn world() -> (FaultFs, Env) {
    let fs = FaultFs::new(Arc::new(MemFs::new()));
    let scheduler = Arc::new(ThreadScheduler::new(2).expect("threads"));
    let env = Env { fs: Arc::new(fs.clone()), clock: Arc::new(StdClock::new()), scheduler };
    (fs, env)
}

#[test]
fn flushes_compactions_tables_and_logs_are_told_in_order_with_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let (listeners, heard) = ear();
    let options = Options { listeners, ..Options::default() };
    let db = Db::open(folder.path().join("db"), options).unwrap();
    let family = db.create_family("other", FamilyOptions::default()).unwrap();
    for round in 0..2u8 {
        for n in 0..300u32 {
            db.put(n.to_le_bytes(), [round; 4096]).unwrap();
        }
        db.flush().unwrap();
    }
    family.put(b"k", b"v").unwrap();
    db.compact().unwrap();
    db.drop_family("other").unwrap();
    let history = db.history();
    db.close().unwrap();

    let heard = heard.lock().unwrap().clone();
    let began = rank(&heard, |e| matches!(e, Event::FlushBegan { entries: 300, .. }));
    let created = rank(&heard, |e| matches!(e, Event::TableCreated { level: 0, .. }));
    let ended =
        rank(&heard, |e| matches!(e, Event::FlushEnded { bytes, error: None, .. } if *bytes > 0));
    assert!(began < created && created < ended, "{heard:#?}");
    let began = rank(&heard, |e| matches!(e, Event::CompactionBegan { .. }));
    let ended = rank(&heard, |e| matches!(e, Event::CompactionEnded { .. }));
    assert!(began < ended);
    let merged = |event: &Event| match event {
        Event::CompactionEnded { family, plan, reason, read_bytes, written_bytes, .. } => {
            assert!(!plan.is_empty() && !reason.is_empty(), "{event:?}");
            family == "default" && *read_bytes > 0 && *written_bytes > 0
        }
        _ => false,
    };
    assert!(heard.iter().any(merged), "{heard:#?}");
    assert!(history.iter().any(|past| merged(&past.event)), "{history:#?}");
    let numbers = |what: fn(&Event) -> Option<u64>| {
        let mut numbers: Vec<u64> = heard.iter().filter_map(what).collect();
        numbers.sort_unstable();
        numbers
    };
    let made = numbers(|event| match event {
        Event::TableCreated { number, .. } => Some(*number),
        _ => None,
    });
    let gone = numbers(|event| match event {
        Event::TableDeleted { number } => Some(*number),
        _ => None,
    });
    assert!(gone.len() >= 3, "two flushed tables and the dropped family's: {gone:?}");
    assert!(gone.iter().all(|number| made.contains(number)), "{made:?} {gone:?}");
    // The first segment has 1 MiB, and 2.4 MiB were written.
    let logs = heard.iter().filter(|event| matches!(event, Event::LogRotated { .. })).count();
    assert!(logs >= 3, "{logs}");
}

#[test]
fn a_listener_holds_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let open: Arc<Mutex<Option<Db>>> = Arc::default();
    let probed = Arc::new(AtomicUsize::new(0));
    let (db, count) = (Arc::clone(&open), Arc::clone(&probed));
    // Another thread takes every lock of the database while the listener waits for it.
    let listeners = Listeners::new().with(move |event: &Event| {
        let Some(db) = db.lock().unwrap().clone() else { return };
        let (sender, receiver) = mpsc::channel();
        let event = event.clone();
        std::thread::spawn(move || {
            let n = format!("{:?}", std::thread::current().id());
            db.put(&n, b"v").unwrap();
            db.create_family(&n, FamilyOptions::default()).unwrap();
            assert!(db.snapshot().get(&n).unwrap().is_some());
            let (_, _, _) = (db.stats(), db.memory(), db.history());
            drop(db);
            sender.send(event).unwrap();
        });
        receiver.recv_timeout(Duration::from_secs(20)).expect("a lock is held");
        count.fetch_add(1, Ordering::SeqCst);
    });
    let options = Options { listeners, ..Options::default() };
    let db = Db::open(folder.path().join("db"), options).unwrap();
    let family = db.create_family("other", FamilyOptions::default()).unwrap();
    *open.lock().unwrap() = Some(db.clone());
    for n in 0..300u32 {
        db.put(n.to_le_bytes(), [1; 8192]).unwrap();
    }
    family.put(b"k", b"v").unwrap();
    db.flush().unwrap();
    db.put(b"k", b"v").unwrap();
    db.compact().unwrap();
    db.drop_family("other").unwrap();
    *open.lock().unwrap() = None;
    db.close().unwrap();
    assert!(probed.load(Ordering::SeqCst) >= 8, "{probed:?}");
}

#[test]
fn stalls_have_a_reason_a_length_and_a_histogram() {
    let folder = tempfile::tempdir().unwrap();
    let (listeners, heard) = ear();
    // Flushes are slow because a listener is: every flush is waited for.
    let listeners = listeners.with(|event: &Event| {
        if matches!(event, Event::FlushBegan { .. }) {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (write_buffer_bytes, sealed_memtables_max) = (16 << 10, 1);
    let options = Options {
        listeners,
        write_buffer_bytes,
        sealed_memtables_max,
        latency_sampling: 1,
        ..Options::default()
    };
    let db = Db::open(folder.path().join("db"), options).unwrap();
    for n in 0..100u32 {
        db.put(n.to_le_bytes(), [1; 1000]).unwrap();
        db.get(n.to_le_bytes()).unwrap().unwrap();
    }
    db.wait_idle().unwrap();
    let (latencies, stats) = (db.latencies(), db.stats());
    let began =
        heard.lock().unwrap().iter().filter(|e| matches!(e, Event::StallBegan { .. })).count();
    assert!(began >= 3, "{began}");
    assert_eq!(stats.stalls, began as u64);
    assert_eq!(latencies.stall.count(), began as u64);
    assert!(latencies.stall.max() >= Duration::from_millis(10), "{latencies:?}");
    assert!(latencies.stall.max() >= latencies.stall.percentile(99.9));
    assert_eq!((latencies.write.count(), latencies.get.count()), (100, 100));
    assert!(latencies.write.max() >= latencies.stall.max(), "{latencies:?}");
    assert_eq!(latencies.flush.count(), stats.flushes);
    let why = db.history().into_iter().find_map(|past| match past.event {
        Event::StallEnded { reason, took } => Some((reason.to_string(), took)),
        _ => None,
    });
    let (reason, took) = why.expect("a stall in the history");
    assert_eq!(reason, "memtables wait for their flush");
    assert!(took > Duration::ZERO);
}

#[test]
fn one_of_so_many_operations_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    for (sampling, expected) in [(0, 0), (1, 640), (60, 10), (64, 10)] {
        let options = Options { latency_sampling: sampling, ..Options::default() };
        let db = Db::open(folder.path().join(format!("{sampling}")), options).unwrap();
        for n in 0..640u32 {
            db.put(n.to_le_bytes(), b"v").unwrap();
            db.get_with(n.to_le_bytes(), |_| ()).unwrap();
            db.multi_get(&[n.to_le_bytes(); 64]).unwrap();
            let mut scan = db.scan::<&[u8]>(..).unwrap();
            scan.next().expect("a record").unwrap(); // a seek
            scan.next().transpose().unwrap(); // a step
        }
        let times = db.latencies();
        for times in [&times.write, &times.get, &times.multi_get, &times.seek, &times.next] {
            assert_eq!(times.count(), expected, "one of {sampling}");
        }
        // What is long and rare is timed always.
        db.bulk_load([(b"a", b"b")]).unwrap();
        db.checkpoint(folder.path().join(format!("{sampling} again"))).unwrap();
        let times = db.latencies();
        assert_eq!((times.load.count(), times.checkpoint.count()), (1, 1));
    }
}

#[test]
fn failures_are_told() {
    let (fs, env) = world();
    let (listeners, heard) = ear();
    let db = Db::open_with("/db", Options { listeners, ..Options::default() }, env).unwrap();
    db.put(b"k", b"v").unwrap();
    fs.add(Fault::next(Call::Create));
    assert!(matches!(db.flush(), Err(Error::Io { .. })));
    db.flush().expect("the second try succeeds");
    fs.add(Fault::next(Call::LogSync));
    db.put(b"k", b"w").unwrap();
    assert!(matches!(db.sync(), Err(Error::WritesStopped { .. })));
    assert!(matches!(db.put(b"k", b"x"), Err(Error::WritesStopped { .. })));
    assert_eq!(db.get(b"k").unwrap().as_deref(), Some(&b"w"[..]), "reads go on");
    let history = db.history();
    db.close().unwrap();
    let heard = heard.lock().unwrap();
    rank(&heard, |e| matches!(e, Event::FlushEnded { error: Some(Error::Io { .. }), .. }));
    rank(&heard, |e| matches!(e, Event::BackgroundFailed { job, .. } if job == "Flush"));
    rank(&heard, |e| matches!(e, Event::WritesStopped { why } if why.contains("sync")));
    assert!(history.iter().any(|past| matches!(past.event, Event::WritesStopped { .. })));
}

#[test]
fn a_listener_that_panics_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let listeners = Listeners::new().with(|_: &Event| panic!("on purpose"));
    let options = Options { listeners, ..Options::default() };
    let db = Db::open(folder.path().join("db"), options).unwrap();
    db.put(b"k", b"v").unwrap();
    db.flush().unwrap();
    db.compact().unwrap();
    assert_eq!(db.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert!(db.stats().listener_panics >= 3);
    db.close().unwrap();
}
