//! Random operations on several families against a `BTreeMap` each, under random options that
//! change while the database is open, with reopens: whatever the engine does in between, its
//! answers are the maps'.
//!
//! `LSM_MODEL_SEED=n` replays one seed, `LSM_MODEL_STEPS=n` sets the steps a seed,
//! `LSM_MODEL_SEEDS=n` and `LSM_MODEL_FIRST=n` the seeds. `scripts/model.sh` runs it at length.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use lsm::bloom::Kind;
use lsm::compaction::{Granularity, Selection, Strategy};
use lsm::fs::TableReads;
use lsm::{
    Chooser, Codec, Coding, Db, Durability, Error, Family, FamilyOptions, FamilySnapshot,
    MemtableKind, Options, ReadOnly, ReadOnlyOptions, Scan, Snapshot, Swap, WriteBatch,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A model for each family, by name.
type Models = BTreeMap<String, Model>;

/// The family that is always there, and those that come and go.
const DEFAULT: &str = "default";
const OTHERS: [&str; 3] = ["f1", "f2", "f3"];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Options that make flushes, compactions and several levels out of a few thousand writes.
fn options(random: &mut StdRng) -> Options {
    let reads = [TableReads::Positioned, TableReads::Mapped, TableReads::Direct];
    let options = Options {
        durability: match random.random_range(0..10) {
            0 => Durability::Sync,
            1 | 2 => Durability::None,
            _ => Durability::Buffered,
        },
        table_reads: reads[random.random_range(0..3)],
        memtable: memtable(random),
        write_buffer_entries: [0, 0, 0, 300][random.random_range(0..4)],
        block_cache_bytes: [0, 64 << 10, 1 << 20][random.random_range(0..3)],
        open_files_max: [4, 512][random.random_range(0..2)],
        ..Options::default()
    };
    live_options(random, options)
}

/// The same with other values of what may change while the database is open.
fn live_options(random: &mut StdRng, options: Options) -> Options {
    let own = family_options(random);
    Options {
        write_buffer_bytes: [4096, 16 << 10, 64 << 10][random.random_range(0..3)],
        sealed_memtables_max: random.random_range(1..4),
        block_bytes: own.block_bytes,
        codec: own.codec,
        level_codecs: own.level_codecs,
        chooser: own.chooser,
        dictionary_bytes: own.dictionary_bytes,
        compression_threads: own.compression_threads,
        hash_index: own.hash_index,
        partition_blocks: own.partition_blocks,
        filter_bits_per_key: own.filter_bits_per_key,
        filter_kind: own.filter_kind,
        filter_kind_last: own.filter_kind_last,
        fence: own.fence,
        strategy: own.strategy,
        size_ratio: own.size_ratio,
        adaptive: own.adaptive,
        table_bytes: own.table_bytes,
        ..options
    }
}

fn strategy(random: &mut StdRng) -> Strategy {
    let granularity = [Granularity::Whole, Granularity::default()][random.random_range(0..2)];
    let (inner_runs, last_runs) = (random.random_range(1..3), random.random_range(1..3));
    match random.random_range(0..8) {
        0 => Strategy::Tiered,
        1 => Strategy::LazyLeveled,
        2 => Strategy::LazyL0,
        3 => Strategy::Partial(Selection::RoundRobin),
        4 | 5 => Strategy::Fluid { inner_runs, last_runs, granularity },
        // One that drops nothing.
        6 => Strategy::Fifo { max_bytes: u64::MAX, ttl_us: None },
        _ => Strategy::Leveled,
    }
}

fn family_options(random: &mut StdRng) -> FamilyOptions {
    let codecs = [Codec::None, Codec::Lz4, Codec::Snappy, Codec::Zstd, Codec::Dictionary];
    let codec = codecs[random.random_range(0..codecs.len())];
    let zstd = Coding { codec: Codec::Zstd, level: random.random_range(0..12) };
    let by_level = vec![Coding::new(Codec::None), Coding::new(codec), zstd];
    let kinds = [Kind::DoubleProbe, Kind::Standard, Kind::Blocked, Kind::SplitBlock];
    FamilyOptions {
        block_bytes: [512, 4096][random.random_range(0..2)],
        codec,
        level_codecs: if random.random_bool(0.5) { by_level } else { Vec::new() },
        dictionary_bytes: 1024,
        compression_threads: [0, 0, 0, 1][random.random_range(0..4)],
        chooser: [Chooser::Fixed, Chooser::ByData][random.random_range(0..2)],
        hash_index: random.random_bool(0.3),
        filter_bits_per_key: [0.0, 10.0][random.random_range(0..2)],
        filter_kind: kinds[random.random_range(0..4)],
        filter_kind_last: random.random_bool(0.3).then_some(Kind::Ribbon),
        partition_blocks: [8, 32_768][random.random_range(0..2)],
        fence: if random.random_bool(0.5) {
            lsm::fence::Layout::ALL[random.random_range(0..lsm::fence::Layout::ALL.len())]
        } else {
            lsm::fence::Layout::Adaptive
        },
        strategy: strategy(random),
        size_ratio: random.random_range(3..6),
        adaptive: random.random_bool(0.2),
        table_bytes: [8 << 10, 64 << 10][random.random_range(0..2)],
        base_bytes: 64 << 10,
        ..FamilyOptions::default()
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

/// Every way of reading keys at a snapshot.
fn check_points(then: FamilySnapshot<'_>, keys: &[Vec<u8>], model: &Model) {
    let many = then.multi_get(keys).expect("multi_get");
    for (key, found) in keys.iter().zip(many) {
        let expected = model.get(key).map(|value| &value[..]);
        assert_eq!(found.as_deref(), expected);
        assert_eq!(then.get(key).expect("get").as_deref(), expected);
        assert_eq!(then.contains(key).expect("contains"), expected.is_some());
        assert_eq!(then.get_with(key, <[u8]>::to_vec).expect("get_with").as_deref(), expected);
        assert_eq!(then.explain_get(key).expect("explain").value.as_deref(), expected);
    }
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
    models: Models,
    /// The family that this step is about.
    name: String,
    /// The options of each family but the default one, as they were set last.
    options: BTreeMap<String, FamilyOptions>,
    snapshots: Vec<(Snapshot, Models)>,
    /// A version that only a snapshot needed may outlive it, in a table that nothing lies above.
    had_snapshots: bool,
    random: StdRng,
}

impl Run {
    fn db(&self) -> &Db {
        self.db.as_ref().expect("open")
    }

    fn handle(&self, name: &str) -> Family {
        self.db().family(name).expect("family").expect("it lives")
    }

    fn family(&self) -> Family {
        self.handle(&self.name)
    }

    fn model(&mut self) -> &mut Model {
        self.models.get_mut(&self.name).expect("a model for each family")
    }

    fn entries(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.model().clone().into_iter().collect()
    }

    fn check_everything(&mut self) {
        for (name, model) in self.models.clone() {
            let family = self.handle(&name);
            let expected: Vec<_> = model.into_iter().collect();
            let scan = family.scan::<&[u8]>(..).expect("scan");
            check_scan(scan, &expected, &mut self.random);
            for (key, value) in &expected {
                assert_eq!(family.get(key).expect("get").as_deref(), Some(&value[..]), "{key:?}");
            }
            if let Some(options) = self.options.get(&name).filter(|options| !options.adaptive) {
                assert_eq!(family.options(), *options, "{name}");
            }
        }
        assert_eq!(self.db().families().len(), self.models.len());
    }

    /// Without a log, only what is in tables is seen from outside, or after the end.
    fn flush_without_log(&self) {
        if self.db().options().durability == Durability::None {
            self.db().sync().expect("sync");
        }
    }

    fn reopen(&mut self, path: &Path) {
        self.snapshots.clear();
        self.flush_without_log();
        self.db.take().expect("open").close().expect("close");
        let options = options(&mut self.random);
        self.db = Some(Db::open(path, options).expect("reopen"));
        self.check_everything();
    }

    /// Makes a family, or drops it.
    fn come_or_go(&mut self) {
        let name = OTHERS[self.random.random_range(0..OTHERS.len())];
        let handle = self.db().family(name).expect("family");
        assert_eq!(handle.is_some(), self.models.contains_key(name));
        let Some(handle) = handle else {
            let options = family_options(&mut self.random);
            self.db().create_family(name, options.clone()).expect("create");
            self.options.insert(name.into(), options);
            self.models.insert(name.into(), Model::new());
            return;
        };
        if self.random.random_bool(0.5) {
            return; // they live longer so
        }
        let expected: Vec<_> = self.models.remove(name).expect("it lives").into_iter().collect();
        let scan = handle.scan::<&[u8]>(..).expect("scan");
        self.db().drop_family(name).expect("drop");
        check_scan(scan, &expected, &mut self.random);
        assert!(matches!(handle.get(b"key"), Err(Error::FamilyDropped { .. })));
        for (snapshot, models) in &mut self.snapshots {
            models.remove(name);
            let dropped = snapshot.family(&handle).expect("of this database").get(b"key");
            assert!(matches!(dropped, Err(Error::FamilyDropped { .. })), "{dropped:?}");
        }
        self.options.remove(name);
    }

    /// Changes what may change while the database is open.
    fn change_options(&mut self) {
        if self.name == DEFAULT {
            let random = &mut self.random;
            let change = |options: &mut Options| *options = live_options(random, options.clone());
            self.db.as_ref().expect("open").set_options(change).expect("set_options");
        } else {
            let options = family_options(&mut self.random);
            let change = |own: &mut FamilyOptions| own.clone_from(&options);
            self.family().set_options(change).expect("set_options");
            self.options.insert(self.name.clone(), options);
        }
    }

    fn check_snapshot(&mut self) {
        let Some((snapshot, models)) = self.snapshots.first() else { return };
        for (name, model) in models {
            let family = self.handle(name);
            let expected: Vec<_> = model.clone().into_iter().collect();
            let then = snapshot.family(&family).expect("of this database");
            check_scan(then.scan::<&[u8]>(..).expect("scan"), &expected, &mut self.random);
            if name == DEFAULT {
                let scan = snapshot.scan::<&[u8]>(..).expect("scan");
                check_scan(scan, &expected, &mut self.random);
            }
            let mut cursor = then.cursor::<&[u8]>(..).expect("cursor");
            cursor.seek_to_last().expect("seek");
            for (key, value) in expected.iter().rev().take(200) {
                assert_eq!((cursor.key(), cursor.value()), (&**key, &**value));
                cursor.prev().expect("prev");
            }
            assert_eq!(cursor.valid(), expected.len() > 200);
            let keys: Vec<_> = (0..20).map(|_| key(&mut self.random)).collect();
            check_points(then, &keys, model);
            let prefix = &keys[0][..keys[0].len().min(4)];
            let inside = expected.iter().filter(|(key, _)| key.starts_with(prefix)).cloned();
            let scan = then.scan_prefix(prefix).expect("scan");
            check_scan(scan, &inside.collect::<Vec<_>>(), &mut self.random);
            if self.random.random_bool(0.2) {
                let path = then.explain_scan::<&[u8]>(.., u64::MAX).expect("explain");
                assert_eq!(path.entries, expected.len() as u64, "{path}");
            }
        }
    }

    fn write_batch(&mut self) {
        let mut batch = WriteBatch::new();
        for _ in 0..self.random.random_range(0..60) {
            let rank = self.random.random_range(0..self.models.len());
            let name = self.models.keys().nth(rank).expect("a family").clone();
            let family = self.handle(&name);
            let model = self.models.get_mut(&name).expect("a model for each family");
            let key = key(&mut self.random);
            if self.random.random_bool(0.01) {
                let end: Vec<u8> = key.iter().copied().chain([b'9']).collect();
                batch.delete_range_in(&family, &key, &end);
                model.retain(|other, _| *other < key || *other >= end);
            } else if self.random.random_bool(0.3) {
                batch.delete_in(&family, &key);
                model.remove(&key);
            } else {
                let value = value(&mut self.random);
                batch.put_in(&family, &key, &value);
                model.insert(key, value);
            }
        }
        self.db().write(batch).expect("write");
    }

    fn conditional(&mut self) {
        let (key, value) = (key(&mut self.random), value(&mut self.random));
        let (family, model) = (self.family(), self.model().get(&key).cloned());
        if self.random.random_bool(0.5) {
            let found = family.get_or_insert(&key, &value).expect("get_or_insert");
            assert_eq!(found.as_deref(), model.as_deref());
            self.model().entry(key).or_insert(value);
            return;
        }
        let expected =
            if self.random.random_bool(0.7) { model.clone() } else { Some(value.clone()) };
        let new = self.random.random_bool(0.7).then_some(value);
        let swap = family.compare_and_swap(&key, expected.as_deref(), new.as_deref());
        match swap.expect("compare_and_swap") {
            Swap::Done => {
                assert_eq!(model, expected);
                match new {
                    Some(new) => drop(self.model().insert(key, new)),
                    None => drop(self.model().remove(&key)),
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
        let expected = model_range(self.model(), &bounds);
        let mut cursor = self.family().cursor(bounds).expect("cursor");
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

    fn scan_prefix(&mut self) {
        let mut prefix = key(&mut self.random);
        prefix.truncate(self.random.random_range(0..8));
        let mut expected = self.entries();
        expected.retain(|(key, _)| key.starts_with(&prefix));
        let scan = self.family().scan_prefix(&prefix).expect("scan_prefix");
        check_scan(scan, &expected, &mut self.random);
    }

    fn compact(&mut self) {
        self.db().compact().expect("compact");
        let merges = !matches!(self.family().options().strategy, Strategy::Fifo { .. });
        if merges && self.snapshots.is_empty() {
            let keys = self.model().len() as u64;
            let length = self.family().approximate_len().expect("len");
            assert!(length == keys || self.had_snapshots && length > keys, "{length}, not {keys}");
        }
    }

    fn get(&mut self) {
        let key = key(&mut self.random);
        let found = self.family().get(&key).expect("get");
        let length = self.family().get_with(&key, <[u8]>::len).expect("get_with");
        assert_eq!(length, found.as_deref().map(<[u8]>::len));
        assert_eq!(self.family().contains(&key).expect("contains"), found.is_some());
        assert_eq!(found.as_deref(), self.model().get(&key).map(|v| &v[..]), "{key:?}");
        let path = self.family().explain_get(&key).expect("explain");
        assert_eq!(path.value.as_deref(), found.as_deref(), "{path}");
    }

    /// Loads sorted entries, as they come or from a table made elsewhere.
    fn load(&mut self, path: &Path) {
        let count = self.random.random_range(0..300);
        let entries: Model =
            (0..count).map(|_| (key(&mut self.random), value(&mut self.random))).collect();
        if self.random.random_bool(0.5) {
            self.family().bulk_load(&entries).expect("bulk load");
        } else {
            let options = sstable::WriteOptions::default();
            let mut writer = sstable::TableWriter::new(Vec::new(), "t", 7, &options).expect("new");
            let trailer = sstable::Trailer::new(5, sstable::Kind::Put);
            for (key, value) in &entries {
                writer.add(key, trailer, value).expect("add");
            }
            let file = path.with_extension("sst");
            std::fs::write(&file, writer.finish().expect("finish").1).expect("write");
            self.family().ingest(&[file]).expect("ingest");
        }
        self.model().extend(entries);
    }

    /// Reads without the lock, and from a checkpoint.
    fn look_from_outside(&mut self, path: &Path) {
        self.flush_without_log();
        let (name, expected) = (self.name.clone(), self.entries());
        let look = |path: &Path| ReadOnly::open(path, ReadOnlyOptions::default()).expect("look");
        let found = look(path).family(&name).expect("it lives");
        check_scan(found.scan::<&[u8]>(..), &expected, &mut self.random);
        let folder = tempfile::tempdir().expect("a temporary folder");
        self.db().checkpoint(folder.path()).expect("checkpoint");
        let found = look(folder.path()).family(&name).expect("it lives");
        check_scan(found.scan::<&[u8]>(..), &expected, &mut self.random);
    }

    fn step(&mut self, path: &Path) {
        self.name = DEFAULT.into();
        if self.random.random_bool(0.4) {
            let rank = self.random.random_range(0..self.models.len());
            self.name = self.models.keys().nth(rank).expect("a family").clone();
        }
        match self.random.random_range(0..1000) {
            0..5 => {
                let (start, end) = (key(&mut self.random), key(&mut self.random));
                self.family().delete_range(&start, &end).expect("delete_range");
                self.model().retain(|key, _| *key < start || *key >= end);
            }
            5..450 => {
                let (key, value) = (key(&mut self.random), value(&mut self.random));
                self.family().put(&key, &value).expect("put");
                self.model().insert(key, value);
            }
            450..600 => {
                let key = key(&mut self.random);
                self.family().delete(&key).expect("delete");
                self.model().remove(&key);
            }
            600..660 => self.write_batch(),
            660..680 => self.conditional(),
            680..720 => {
                let count = self.random.random_range(0..40);
                let keys: Vec<_> = (0..count).map(|_| key(&mut self.random)).collect();
                let found = self.family().multi_get(&keys).expect("multi_get");
                for (key, found) in keys.iter().zip(found) {
                    assert_eq!(found.as_deref(), self.model().get(key).map(|v| &v[..]), "{key:?}");
                }
            }
            720..860 => self.get(),
            860..870 => self.scan_prefix(),
            870..900 => {
                let bounds = range(&mut self.random);
                let expected = model_range(self.model(), &bounds);
                let path = self.family().explain_scan(bounds.clone(), u64::MAX).expect("explain");
                let bytes: usize = expected.iter().map(|(k, v)| k.len() + v.len()).sum();
                let told = (path.entries, path.entry_bytes);
                assert_eq!(told, (expected.len() as u64, bytes as u64), "{path}");
                self.family().approximate_sizes(std::slice::from_ref(&bounds)).expect("sizes");
                let scan = self.family().scan(bounds).expect("scan");
                check_scan(scan, &expected, &mut self.random);
            }
            900..920 => self.walk_a_cursor(),
            920..945 => {
                let snapshot = (self.db().snapshot(), self.models.clone());
                self.snapshots.push(snapshot);
                self.had_snapshots = true;
                if self.snapshots.len() > 4 {
                    let rank = self.random.random_range(0..self.snapshots.len());
                    drop(self.snapshots.swap_remove(rank));
                }
            }
            945..970 => self.check_snapshot(),
            970..985 => self.db().flush().expect("flush"),
            985..988 => self.compact(),
            988 => self.family().compact(range(&mut self.random)).expect("compact a range"),
            989 => self.come_or_go(),
            990..992 => self.db().wait_idle().expect("idle"),
            992 => self.load(path),
            993 => self.look_from_outside(path),
            994 => drop(self.db().verify().expect("verify")),
            995 => self.change_options(),
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
    let mut run = Run {
        db: Some(db),
        models: BTreeMap::from([(DEFAULT.into(), Model::new())]),
        name: DEFAULT.into(),
        options: BTreeMap::new(),
        snapshots: Vec::new(),
        had_snapshots: false,
        random,
    };
    for _ in 0..steps {
        run.step(&path);
    }
    run.check_everything();
    run.reopen(&path);
}

#[test]
fn random_operations_agree_with_a_map() {
    let steps = number("LSM_MODEL_STEPS").unwrap_or(3000);
    let seeds = if let Some(seed) = number("LSM_MODEL_SEED") {
        seed..seed + 1
    } else {
        let first = number("LSM_MODEL_FIRST").unwrap_or(0);
        first..first + number("LSM_MODEL_SEEDS").unwrap_or(6)
    };
    for seed in seeds {
        let replay = Replay(format!("LSM_MODEL_SEED={seed} LSM_MODEL_STEPS={steps}"));
        run(seed, steps);
        drop(replay);
    }
}
