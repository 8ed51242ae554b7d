//! Random operations against `BTreeMap`, with reopens: whatever the engine does in between, its
//! answers are the map's.
//!
//! `LSM_MODEL_SEED=n` replays one seed, `LSM_MODEL_STEPS=n` sets the steps a seed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use lsm::compaction::Strategy;
use lsm::{
    Db, Durability, MemtableKind, Options, ReadOnly, ReadOnlyOptions, Scan, Snapshot, Swap,
    WriteBatch,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Options that make flushes, compactions and several levels out of a few thousand writes.
fn options(random: &mut StdRng) -> Options {
    let strategy = if random.random_bool(0.5) { Strategy::Leveled } else { Strategy::Tiered };
    Options {
        durability: if random.random_bool(0.1) { Durability::Sync } else { Durability::Buffered },
        write_buffer_bytes: [4096, 16 << 10, 64 << 10][random.random_range(0..3)],
        sealed_memtables_max: random.random_range(1..4),
        memtable: memtable(random),
        write_buffer_entries: [0, 0, 0, 300][random.random_range(0..4)],
        block_cache_bytes: [0, 64 << 10, 1 << 20][random.random_range(0..3)],
        block_bytes: [512, 4096][random.random_range(0..2)],
        codec: if random.random_bool(0.5) { lsm::Codec::Lz4 } else { lsm::Codec::None },
        filter_bits_per_key: [0.0, 10.0][random.random_range(0..2)],
        fence: if random.random_bool(0.5) {
            lsm::fence::Layout::Eytzinger
        } else {
            lsm::fence::Layout::Standard
        },
        table_bytes: [8 << 10, 64 << 10][random.random_range(0..2)],
        strategy,
        ..Options::default()
    }
}

fn memtable(random: &mut StdRng) -> MemtableKind {
    match random.random_range(0..6) {
        0 => MemtableKind::SkipMap,
        1 => MemtableKind::sharded(random.random_range(1..20)),
        2 => MemtableKind::ring(random.random_range(1..20)),
        _ => MemtableKind::FastSkip,
    }
}

/// Keys collide often, share prefixes and include the edges.
fn key(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..40) {
        0 => Vec::new(),
        1 => vec![0xff; random.random_range(1..4)],
        2 => vec![0; random.random_range(1..4)],
        3 => format!("{:0200}", random.random_range(0..50)).into_bytes(),
        n if n < 20 => format!("user{:05}", random.random_range(0..600)).into_bytes(),
        _ => (random.random_range(0..400u32) * 7919).to_le_bytes().to_vec(),
    }
}

fn value(random: &mut StdRng) -> Vec<u8> {
    let bytes = match random.random_range(0..50) {
        0 => random.random_range(0..8000),
        1..10 => 0,
        _ => random.random_range(1..120),
    };
    let seed: u8 = random.random();
    (0..bytes).map(|at: u32| seed.wrapping_mul(31).wrapping_add((at / 3 % 251) as u8)).collect()
}

fn range(random: &mut StdRng) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let mut bound = || match random.random_range(0..3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(key(random)),
        _ => Bound::Excluded(key(random)),
    };
    (bound(), bound())
}

/// `BTreeMap::range` refuses reversed ranges; for us they are empty.
fn model_range(
    model: &Model,
    bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>),
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let inside = |key: &Vec<u8>| {
        (match &bounds.0 {
            Bound::Unbounded => true,
            Bound::Included(low) => key >= low,
            Bound::Excluded(low) => key > low,
        }) && (match &bounds.1 {
            Bound::Unbounded => true,
            Bound::Included(high) => key <= high,
            Bound::Excluded(high) => key < high,
        })
    };
    model.iter().filter(|(key, _)| inside(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn check_scan(scan: Scan, expected: &[(Vec<u8>, Vec<u8>)], random: &mut StdRng) {
    let mut scan = scan.map(|entry| {
        let (key, value) = entry.expect("scan");
        (key.to_vec(), value.to_vec())
    });
    match random.random_range(0..3) {
        0 => assert_eq!(scan.collect::<Vec<_>>(), expected),
        1 => {
            let mut back: Vec<_> = scan.rev().collect();
            back.reverse();
            assert_eq!(back, expected);
        }
        _ => {
            let (mut front, mut back) = (Vec::new(), Vec::new());
            loop {
                let from_front = random.random_bool(0.5);
                let entry = if from_front { scan.next() } else { scan.next_back() };
                match entry {
                    Some(entry) if from_front => front.push(entry),
                    Some(entry) => back.push(entry),
                    None => break,
                }
            }
            back.reverse();
            front.extend(back);
            assert_eq!(front, expected);
        }
    }
}

struct Run {
    db: Option<Db>,
    model: Model,
    snapshots: Vec<(Snapshot, Model)>,
    random: StdRng,
}

impl Run {
    fn db(&self) -> &Db {
        self.db.as_ref().expect("open")
    }

    fn check_everything(&mut self) {
        let expected: Vec<_> = self.model.clone().into_iter().collect();
        let scan = self.db().scan::<&[u8]>(..).expect("scan");
        check_scan(scan, &expected, &mut self.random);
        for (key, value) in &expected {
            assert_eq!(self.db().get(key).expect("get").as_deref(), Some(&value[..]), "{key:?}");
        }
    }

    fn reopen(&mut self, path: &Path) {
        self.snapshots.clear();
        self.db.take().expect("open").close().expect("close");
        let options = options(&mut self.random);
        self.db = Some(Db::open(path, options).expect("reopen"));
        self.check_everything();
    }

    fn write_batch(&mut self) {
        let mut batch = WriteBatch::new();
        for _ in 0..self.random.random_range(0..60) {
            let key = key(&mut self.random);
            if self.random.random_bool(0.01) {
                let end: Vec<u8> = key.iter().copied().chain([b'9']).collect();
                batch.delete_range(&key, &end);
                self.model.retain(|other, _| *other < key || *other >= end);
            } else if self.random.random_bool(0.3) {
                batch.delete(&key);
                self.model.remove(&key);
            } else {
                let value = value(&mut self.random);
                batch.put(&key, &value);
                self.model.insert(key, value);
            }
        }
        self.db().write(batch).expect("write");
    }

    fn conditional(&mut self) {
        let (key, value) = (key(&mut self.random), value(&mut self.random));
        let model = self.model.get(&key).cloned();
        if self.random.random_bool(0.5) {
            let found = self.db().get_or_insert(&key, &value).expect("get_or_insert");
            assert_eq!(found.as_deref(), model.as_deref());
            self.model.entry(key).or_insert(value);
            return;
        }
        let expected =
            if self.random.random_bool(0.7) { model.clone() } else { Some(value.clone()) };
        let new = self.random.random_bool(0.7).then_some(value);
        let swap = self.db().compare_and_swap(&key, expected.as_deref(), new.as_deref());
        match swap.expect("compare_and_swap") {
            Swap::Done => {
                assert_eq!(model, expected);
                match new {
                    Some(new) => drop(self.model.insert(key, new)),
                    None => drop(self.model.remove(&key)),
                }
            }
            Swap::Refused(found) => {
                assert_ne!(model, expected);
                assert_eq!(found.as_deref(), model.as_deref());
            }
        }
    }

    fn walk_a_cursor(&mut self) {
        let bounds = range(&mut self.random);
        let expected = model_range(&self.model, &bounds);
        let mut cursor = self.db().cursor(bounds).expect("cursor");
        let mut at: Option<usize> = None;
        for _ in 0..20 {
            match self.random.random_range(0..6) {
                0 => {
                    cursor.seek_to_first().expect("seek");
                    at = (!expected.is_empty()).then_some(0);
                }
                1 => {
                    cursor.seek_to_last().expect("seek");
                    at = expected.len().checked_sub(1);
                }
                2 => {
                    let key = key(&mut self.random);
                    cursor.seek(&key).expect("seek");
                    let rank = expected.partition_point(|(k, _)| *k < key);
                    at = (rank < expected.len()).then_some(rank);
                }
                3 => {
                    let key = key(&mut self.random);
                    cursor.seek_for_prev(&key).expect("seek");
                    at = expected.partition_point(|(k, _)| *k <= key).checked_sub(1);
                }
                4 => {
                    cursor.next().expect("next");
                    at = at.map(|rank| rank + 1).filter(|rank| *rank < expected.len());
                }
                _ => {
                    cursor.prev().expect("prev");
                    at = at.and_then(|rank| rank.checked_sub(1));
                }
            }
            assert_eq!(cursor.valid(), at.is_some());
            if let Some(rank) = at {
                assert_eq!(
                    (cursor.key(), cursor.value()),
                    (&*expected[rank].0, &*expected[rank].1)
                );
            }
        }
    }

    fn get(&mut self) {
        let key = key(&mut self.random);
        let found = self.db().get(&key).expect("get");
        assert_eq!(found.as_deref(), self.model.get(&key).map(|v| &v[..]), "{key:?}");
        let path = self.db().explain_get(&key).expect("explain");
        assert_eq!(path.value.as_deref(), found.as_deref(), "{path}");
    }

    /// Loads sorted entries, as they come or from a table made elsewhere.
    fn load(&mut self, path: &Path) {
        let count = self.random.random_range(0..300);
        let entries: Model =
            (0..count).map(|_| (key(&mut self.random), value(&mut self.random))).collect();
        if self.random.random_bool(0.5) {
            self.db().bulk_load(&entries).expect("bulk load");
        } else {
            let options = sstable::WriteOptions::default();
            let mut writer = sstable::TableWriter::new(Vec::new(), "t", 7, &options).expect("new");
            let trailer = sstable::Trailer::new(5, sstable::Kind::Put);
            for (key, value) in &entries {
                writer.add(key, trailer, value).expect("add");
            }
            let file = path.with_extension("sst");
            std::fs::write(&file, writer.finish().expect("finish").1).expect("write");
            self.db().ingest(&[file]).expect("ingest");
        }
        self.model.extend(entries);
    }

    /// Reads without the lock, and from a checkpoint.
    fn look_from_outside(&mut self, path: &Path) {
        let expected: Vec<_> = self.model.clone().into_iter().collect();
        let look = |path: &Path| ReadOnly::open(path, ReadOnlyOptions::default()).expect("look");
        check_scan(look(path).scan::<&[u8]>(..), &expected, &mut self.random);
        let folder = tempfile::tempdir().expect("a temporary folder");
        self.db().checkpoint(folder.path()).expect("checkpoint");
        check_scan(look(folder.path()).scan::<&[u8]>(..), &expected, &mut self.random);
    }

    fn step(&mut self, path: &Path) {
        match self.random.random_range(0..1000) {
            0..5 => {
                let (start, end) = (key(&mut self.random), key(&mut self.random));
                self.db().delete_range(&start, &end).expect("delete_range");
                self.model.retain(|key, _| *key < start || *key >= end);
            }
            5..450 => {
                let (key, value) = (key(&mut self.random), value(&mut self.random));
                self.db().put(&key, &value).expect("put");
                self.model.insert(key, value);
            }
            450..600 => {
                let key = key(&mut self.random);
                self.db().delete(&key).expect("delete");
                self.model.remove(&key);
            }
            600..660 => self.write_batch(),
            660..680 => self.conditional(),
            680..720 => {
                let count = self.random.random_range(0..40);
                let keys: Vec<_> = (0..count).map(|_| key(&mut self.random)).collect();
                let found = self.db().multi_get(&keys).expect("multi_get");
                for (key, found) in keys.iter().zip(found) {
                    assert_eq!(found.as_deref(), self.model.get(key).map(|v| &v[..]), "{key:?}");
                }
            }
            720..860 => self.get(),
            860..900 => {
                let bounds = range(&mut self.random);
                let expected = model_range(&self.model, &bounds);
                let path = self.db().explain_scan(bounds.clone(), u64::MAX).expect("explain");
                let bytes: usize = expected.iter().map(|(k, v)| k.len() + v.len()).sum();
                let told = (path.entries, path.entry_bytes);
                assert_eq!(told, (expected.len() as u64, bytes as u64), "{path}");
                self.db().approximate_sizes(std::slice::from_ref(&bounds)).expect("sizes");
                let scan = self.db().scan(bounds).expect("scan");
                check_scan(scan, &expected, &mut self.random);
            }
            900..920 => self.walk_a_cursor(),
            920..945 => {
                let snapshot = (self.db().snapshot(), self.model.clone());
                self.snapshots.push(snapshot);
                if self.snapshots.len() > 4 {
                    let rank = self.random.random_range(0..self.snapshots.len());
                    drop(self.snapshots.swap_remove(rank));
                }
            }
            945..970 => {
                if let Some((snapshot, model)) = self.snapshots.first() {
                    let expected: Vec<_> = model.clone().into_iter().collect();
                    let scan = snapshot.scan::<&[u8]>(..).expect("scan");
                    check_scan(scan, &expected, &mut self.random);
                    for (key, value) in expected.iter().take(20) {
                        assert_eq!(snapshot.get(key).expect("get").as_deref(), Some(&value[..]));
                    }
                }
            }
            970..985 => self.db().flush().expect("flush"),
            985..990 => self.db().compact().expect("compact"),
            990..992 => self.db().wait_idle().expect("idle"),
            992 => self.load(path),
            993 => self.look_from_outside(path),
            994..996 => {
                self.db().verify().expect("verify");
            }
            _ => self.reopen(path),
        }
    }
}

/// Says how to run a failing seed again.
struct Replay(String);

impl Drop for Replay {
    #[expect(clippy::print_stderr, reason = "the one line that a failing test must say")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: {} cargo test -p lsm --test model", self.0);
        }
    }
}

fn run(seed: u64, steps: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("db");
    let mut random = StdRng::seed_from_u64(seed);
    let db = Db::open(&path, options(&mut random)).expect("open");
    let mut run = Run { db: Some(db), model: Model::new(), snapshots: Vec::new(), random };
    for _ in 0..steps {
        run.step(&path);
    }
    run.check_everything();
    run.reopen(&path);
}

#[test]
fn random_operations_agree_with_a_map() {
    let steps = number("LSM_MODEL_STEPS").unwrap_or(3000);
    let seeds = match number("LSM_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LSM_MODEL_SEEDS").unwrap_or(6),
    };
    for seed in seeds {
        let replay = Replay(format!("LSM_MODEL_SEED={seed} LSM_MODEL_STEPS={steps}"));
        run(seed, steps);
        drop(replay);
    }
}
