//! Every event is a `tracing` event too, with fields to filter by. In a process of its own: the
//! subscriber is the whole process's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lsm::clock::StdClock;
use lsm::fs::{Call, Fault, FaultFs, MemFs};
use lsm::scheduler::ThreadScheduler;
use lsm::{Db, Env, Event, Listeners, Options};
use tracing::Level;
use tracing::field::{Field, Visit};

/// The fields of an event, as text.
#[derive(Debug, Default, Clone)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

/// Keeps the engine's events.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<(Level, Fields)>>>);

impl tracing::Subscriber for Kept {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "lsm::events"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().expect("lock").push((*event.metadata().level(), fields));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Makes a database do everything that an event tells of, but adapt.
fn do_everything(listeners: Listeners) {
    let fs = FaultFs::new(Arc::new(MemFs::new()));
    let scheduler = Arc::new(ThreadScheduler::new(2).expect("threads"));
    let env = Env { fs: Arc::new(fs.clone()), clock: Arc::new(StdClock::new()), scheduler };
    // Flushes are slow because a listener is: writers wait for them. Merges wait for the writers.
    let written = Arc::new(AtomicBool::new(false));
    let all = Arc::clone(&written);
    let listeners = listeners.with(move |event: &Event| match event {
        Event::FlushBegan { .. } => std::thread::sleep(Duration::from_millis(5)),
        Event::CompactionBegan { .. } => {
            while !all.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        _ => {}
    });
    let options = Options {
        listeners,
        write_buffer_bytes: 16 << 10,
        sealed_memtables_max: 1,
        codec: lsm::Codec::None,
        ..Options::default()
    };
    let db = Db::open_with("/db", options, env).expect("open");
    for _ in 0..25u8 {
        db.put(b"k", vec![7; 128 << 10]).expect("put"); // a run each: slow from 12 on
    }
    written.store(true, Ordering::SeqCst);
    db.wait_idle().expect("idle");
    db.put(b"k", b"v").expect("put");
    fs.add(Fault::next(Call::Create));
    db.flush().expect_err("no table can be made");
    db.flush().expect("the second try succeeds");
    fs.add(Fault::next(Call::LogSync));
    db.put(b"k", b"w").expect("put");
    db.sync().expect_err("the log cannot be synced");
    db.close().expect("close");
}

#[test]
fn every_event_is_a_tracing_event_with_fields_to_filter_by() {
    let kept = Kept::default();
    tracing::subscriber::set_global_default(kept.clone()).expect("the only subscriber");
    let told = Arc::<Mutex<Vec<String>>>::default();
    let hears = Arc::clone(&told);
    do_everything(Listeners::new().with(move |event: &Event| {
        hears.lock().expect("lock").push(format!("{event:?}"));
    }));

    let kept = kept.0.lock().expect("lock").clone();
    let mut traced: Vec<&String> = kept.iter().map(|(_, fields)| &fields.0["event"]).collect();
    let told = told.lock().expect("lock").clone();
    let mut heard: Vec<&String> = told.iter().collect();
    traced.sort();
    heard.sort();
    assert_eq!(traced, heard, "each event once, and no other");

    let mut kinds: BTreeSet<&str> = kept.iter().map(|(_, fields)| &*fields.0["kind"]).collect();
    kinds.remove("Preempted"); // where all workers happen to be in merges
    kinds.remove("HeldUp"); // where a log takes its time
    let all = [
        "BackgroundFailed",
        "CompactionBegan",
        "CompactionEnded",
        "FlushBegan",
        "FlushEnded",
        "LogRotated",
        "Slowed",
        "StallBegan",
        "StallEnded",
        "TableCreated",
        "TableDeleted",
        "WritesStopped",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    for (level, fields) in &kept {
        let fields = &fields.0;
        let (kind, words) = (&*fields["kind"], &fields["event"]);
        assert!(words.starts_with(kind), "{kind}: {words}");
        let failure = matches!(kind, "BackgroundFailed" | "WritesStopped");
        assert_eq!(*level, if failure { Level::ERROR } else { Level::DEBUG }, "{words}");
        let reasoned = [
            "CompactionBegan",
            "CompactionEnded",
            "FlushBegan",
            "FlushEnded",
            "HeldUp",
            "Preempted",
            "Slowed",
            "StallBegan",
            "StallEnded",
        ];
        let reason = fields.get("reason");
        assert_eq!(reason.is_some(), reasoned.contains(&kind), "{words}");
        assert!(reason.is_none_or(|reason| !reason.is_empty()), "{words}");
        let timed =
            ["FlushEnded", "CompactionEnded", "HeldUp", "Preempted", "Slowed", "StallEnded"];
        let took_us = fields.get("took_us").map(|text| text.parse::<u64>().expect("a number"));
        assert_eq!(took_us.is_some(), timed.contains(&kind), "{words}");
    }
    let reasons: BTreeSet<_> = kept.iter().filter_map(|(_, f)| f.0.get("reason")).collect();
    assert!(
        reasons.iter().any(|reason| *reason == "memtables wait for their flush"),
        "{reasons:?}"
    );
}
