//! Bytes as operations on a database and on a map: both must say the same at every step.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use lsm::clock::ManualClock;
use lsm::fs::MemFs;
use lsm::scheduler::InlineScheduler;
use lsm::{Codec, Db, Env, Options, Snapshot};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(choice: u8) -> Options {
    Options {
        write_buffer_bytes: [4096, 16 << 10][usize::from(choice & 1)],
        table_bytes: 4096,
        block_bytes: 512,
        codec: [Codec::None, Codec::Lz4][usize::from(choice >> 1 & 1)],
        size_ratio: [2, 4][usize::from(choice >> 2 & 1)],
        block_cache_bytes: [0, 1 << 20][usize::from(choice >> 3 & 1)],
        ..Options::default()
    }
}

fn open(fs: &MemFs, choice: u8) -> (Db, Arc<InlineScheduler>) {
    let scheduler = Arc::new(InlineScheduler::new(u64::from(choice)));
    let env = Env {
        fs: Arc::new(fs.clone()),
        clock: Arc::new(ManualClock::new()),
        scheduler: Arc::clone(&scheduler) as Arc<_>,
    };
    (Db::open_with("/db", options(choice), env).expect("open"), scheduler)
}

fn entries(scan: lsm::Scan, backward: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let owned = |entry: lsm::Result<(lsm::Key, lsm::Value)>| {
        let (key, value) = entry.expect("an entry");
        (key.to_vec(), value.to_vec())
    };
    if backward {
        let mut found: Vec<_> = scan.rev().map(owned).collect();
        found.reverse();
        found
    } else {
        scan.map(owned).collect()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, mut rest)) = bytes.split_first() else { return };
    let fs = MemFs::new();
    let (mut db, mut scheduler) = open(&fs, choice);
    let mut map = Map::new();
    let mut snapshot: Option<(Snapshot, Map)> = None;
    let mut step = 0u32;
    while let Some((&[what, a, b], tail)) = rest.split_first_chunk::<3>() {
        rest = tail;
        step += 1;
        // Keys of one or two bytes: prefixes of each other among them.
        let key = |n: u8| if n & 1 == 0 { vec![n / 2] } else { vec![n / 2, n] };
        match what % 16 {
            0..6 => {
                let value = [step.to_le_bytes().to_vec(), vec![b; usize::from(b) * 4]].concat();
                db.put(key(a), &value).expect("put");
                map.insert(key(a), value);
            }
            6 | 7 => {
                db.delete(key(a)).expect("delete");
                map.remove(&key(a));
            }
            8 => {
                let (low, high) = (key(a).min(key(b)), key(a).max(key(b)));
                db.delete_range(&low, &high).expect("delete");
                map.retain(|key, _| *key < low || *key >= high);
            }
            9 => {
                let found = db.get(key(a)).expect("get").map(|value| value.to_vec());
                assert_eq!(found.as_ref(), map.get(&key(a)), "get {a}");
            }
            10 => {
                let (low, high) = (key(a).min(key(b)), key(a).max(key(b)));
                let found = entries(db.scan(low.clone()..high.clone()).expect("scan"), what > 127);
                let expected = map.range(low..high).map(|(k, v)| (k.clone(), v.clone()));
                assert!(found.into_iter().eq(expected), "scan {a} {b}");
            }
            11 => drop(scheduler.run_one()),
            12 => db.flush().expect("flush"),
            13 if a & 7 == 0 => db.compact().expect("compact"),
            14 => match snapshot.take() {
                None => snapshot = Some((db.snapshot(), map.clone())),
                Some((taken, then)) => {
                    let found = entries(taken.scan::<&[u8]>(..).expect("scan"), what > 127);
                    assert!(found.into_iter().eq(then), "the snapshot has changed");
                }
            },
            15 if a & 3 == 0 => {
                snapshot = None;
                db.close().expect("close");
                scheduler.clear();
                (db, scheduler) = open(&fs, b);
            }
            _ => {}
        }
    }
    let found = entries(db.scan::<&[u8]>(..).expect("scan"), false);
    assert!(found.into_iter().eq(map), "the database differs from the map");
    db.verify().expect("verify");
});
