//! `fastskip` beside the published `fastskip` 0.1.1, `crossbeam-skiplist`, `masstree` and
//! `RwLock<BTreeMap>`: the same keys in the same order, one process, medians.
//!
//! ```text
//! cargo bench --bench fastskip -- goals       1 M decimal keys, and a table of goal and reached:
//!                                             4 minutes at most on an idle machine
//! cargo bench --bench fastskip -- all         100 k, 1 M and 10 M entries, decimal, random and
//!                                             8 byte keys, 1, 2 and 4 threads: some 30 minutes
//! cargo bench --bench fastskip -- [entries=1000000] [keys=dec16,rand16,be8] [repeat=3]
//!                                 [peers=fastskip,published,...] [threads=1,2,4] [minutes=N]
//! ```
//!
//! One thread is timed on its CPU clock (a descheduled moment does not count), several on the wall
//! clock. Figures are million operations a second; memory is bytes an entry beyond key and value.
//! No further round of a table begins that would end after `minutes` (default: none; 4 for `goals`,
//! 30 for `all`), and after them no further table; each table that began has one round at least.

use crossbeam_skiplist::SkipMap;
use fastskip::{ChunkPool, Entry};
use masstree::{MassTree15, RangeBound};
use parking_lot::RwLock;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngCore, SeedableRng};
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::ops::Bound;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const VALUE: [u8; 100] = [7; 100];
const BATCH: usize = 64;

/// What is measured of each map.
trait Peer: Sync {
    fn new(threads: usize) -> Self;
    fn insert(&self, key: &[u8]);
    /// The first and the last byte of the value, so that its lines are touched.
    fn get(&self, key: &[u8]) -> Option<u64>;
    /// Entries from `from` on (at most `limit`), each with its key and the first byte of its value.
    fn walk(&self, from: &[u8], limit: usize) -> (usize, u64);
    fn get_batch(&self, _keys: &[&[u8]]) -> Option<u64> {
        None
    }
    fn insert_batch(&self, _keys: &[&[u8]]) -> bool {
        false
    }
    fn bytes(&self) -> Option<usize> {
        None
    }
}

/// `fastskip` in memory fresh from the system, as the first list of a process finds it.
struct Cold(fastskip::SkipList);

impl Peer for Cold {
    fn new(_threads: usize) -> Self {
        let options = fastskip::Options { pool: None, ..fastskip::Options::default() };
        Self(fastskip::SkipList::with_options(&options))
    }
    fn insert(&self, key: &[u8]) {
        self.0.insert(key, 1, &VALUE).expect("inserted");
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key, u64::MAX).map(|entry| touch(entry.value))
    }
    fn walk(&self, from: &[u8], limit: usize) -> (usize, u64) {
        walk_cursor(&self.0, from, limit)
    }
    fn bytes(&self) -> Option<usize> {
        Some(self.0.memory_usage())
    }
}

fn walk_cursor(list: &fastskip::SkipList, from: &[u8], limit: usize) -> (usize, u64) {
    let mut cursor = list.cursor();
    let (mut count, mut sum) = (0, 0);
    cursor.seek(from, u64::MAX);
    while count < limit {
        let Some(entry) = cursor.entry() else { break };
        sum += touch_entry(entry.key, entry.value);
        count += 1;
        cursor.advance();
    }
    (count, sum)
}

fn touch(value: &[u8]) -> u64 {
    u64::from(value[0]) + u64::from(value[value.len() - 1])
}

fn touch_entry(key: &[u8], value: &[u8]) -> u64 {
    u64::from(key[key.len() - 1]) + u64::from(value[0])
}

struct Ours(fastskip::SkipList);

/// Chunks of the lists before: a memtable follows another.
static POOL: LazyLock<Arc<ChunkPool>> = LazyLock::new(|| Arc::new(ChunkPool::new(4 << 30)));

impl Peer for Ours {
    fn new(_threads: usize) -> Self {
        let pool = Some(Arc::clone(&POOL));
        let options = fastskip::Options { pool, ..fastskip::Options::default() };
        Self(fastskip::SkipList::with_options(&options))
    }
    fn get_batch(&self, keys: &[&[u8]]) -> Option<u64> {
        let found = self.0.get_many(keys, u64::MAX);
        Some(found.into_iter().map(|entry| entry.map_or(0, |entry| touch(entry.value))).sum())
    }
    fn insert_batch(&self, keys: &[&[u8]]) -> bool {
        let entries = keys.iter().map(|key| Entry { key, version: 1, value: &VALUE });
        self.0.insert_batch(&entries.collect::<Vec<_>>()).is_ok()
    }
    fn insert(&self, key: &[u8]) {
        self.0.insert(key, 1, &VALUE).expect("inserted");
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key, u64::MAX).map(|entry| touch(entry.value))
    }
    fn walk(&self, from: &[u8], limit: usize) -> (usize, u64) {
        walk_cursor(&self.0, from, limit)
    }
    fn bytes(&self) -> Option<usize> {
        Some(self.0.memory_usage())
    }
}

struct Published(fastskip_published::ConcurrentSkipList);

impl Peer for Published {
    fn new(threads: usize) -> Self {
        // It panics with fewer shards than writers and one more.
        Self(fastskip_published::ConcurrentSkipList::with_shards(threads + 2))
    }
    fn insert(&self, key: &[u8]) {
        assert!(self.0.insert(key, &VALUE));
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get_live(key).map(touch)
    }
    fn walk(&self, from: &[u8], limit: usize) -> (usize, u64) {
        let Some(mut cursor) = self.0.cursor_at(from) else { return (0, 0) };
        let (mut count, mut sum) = (0, 0);
        while count < limit {
            let Some(entry) = cursor.entry() else { break };
            sum += touch_entry(entry.key, entry.value);
            count += 1;
            if !cursor.next_entry() {
                break;
            }
        }
        (count, sum)
    }
    fn get_batch(&self, keys: &[&[u8]]) -> Option<u64> {
        Some(self.0.get_many(keys).into_iter().map(|value| value.map_or(0, touch)).sum())
    }
    fn bytes(&self) -> Option<usize> {
        Some(self.0.memory_usage())
    }
}

struct Crossbeam(SkipMap<Box<[u8]>, Box<[u8]>>);

impl Peer for Crossbeam {
    fn new(_threads: usize) -> Self {
        Self(SkipMap::new())
    }
    fn insert(&self, key: &[u8]) {
        self.0.insert(key.into(), VALUE.into());
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key).map(|entry| touch(entry.value()))
    }
    fn walk(&self, from: &[u8], limit: usize) -> (usize, u64) {
        let range = self.0.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        let touched = range.take(limit).map(|entry| touch_entry(entry.key(), entry.value()));
        touched.fold((0, 0), |(count, sum), touched| (count + 1, sum + touched))
    }
}

struct Tree(RwLock<BTreeMap<Box<[u8]>, Box<[u8]>>>);

impl Peer for Tree {
    fn new(_threads: usize) -> Self {
        Self(RwLock::default())
    }
    fn insert(&self, key: &[u8]) {
        self.0.write().insert(key.into(), VALUE.into());
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.read().get(key).map(|value| touch(value))
    }
    fn walk(&self, from: &[u8], limit: usize) -> (usize, u64) {
        let tree = self.0.read();
        let range = tree.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        let touched = range.take(limit).map(|(key, value)| touch_entry(key, value));
        touched.fold((0, 0), |(count, sum), touched| (count + 1, sum + touched))
    }
}

struct Masstree(MassTree15<[u8; 100]>);

impl Peer for Masstree {
    fn new(_threads: usize) -> Self {
        Self(MassTree15::new())
    }
    fn insert(&self, key: &[u8]) {
        let guard = self.0.guard();
        self.0.insert_with_guard(key, VALUE, &guard);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        let guard = self.0.guard();
        self.0.get_ref(key, &guard).map(|value| touch(&value[..]))
    }
    fn walk(&self, from: &[u8], limit: usize) -> (usize, u64) {
        let guard = self.0.guard();
        let (mut count, mut sum) = (0, 0);
        let visit = |key: &[u8], value: &[u8; 100]| {
            sum += touch_entry(key, value);
            count += 1;
            count < limit
        };
        self.0.scan_ref(RangeBound::Included(from), RangeBound::Unbounded, visit, &guard);
        (count, sum)
    }
}

/// Keys in ascending order.
fn make_keys(family: &str, count: usize) -> Vec<Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(1);
    let mut keys: Vec<Vec<u8>> = match family {
        "dec16" => (0..count).map(|n| format!("{n:016}").into_bytes()).collect(),
        "be8" => (0..count as u64).map(|n| n.to_be_bytes().to_vec()).collect(),
        "rand16" => {
            let key = |_| (0..2).flat_map(|_| rng.next_u64().to_be_bytes()).collect();
            (0..count).map(key).collect()
        }
        other => panic!("unknown keys: {other}"),
    };
    keys.sort_unstable();
    keys
}

/// Keys that are not in the list, spread over the same range.
fn make_missing(family: &str, keys: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let longer = |key: &Vec<u8>| match family {
        "be8" => [&key[..], b"\0"].concat(),
        _ => [&key[..15], &[key[15] ^ 0x80]].concat(),
    };
    keys.iter().map(longer).collect()
}

fn cpu_now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is valid for the call to fill in.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn heap_bytes() -> usize {
    // SAFETY: no arguments; reads the allocator's counters.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

struct Table {
    rows: Vec<(&'static str, &'static str)>,
    cells: HashMap<(&'static str, &'static str), Vec<f64>>,
}

impl Table {
    fn add(&mut self, peer: &'static str, case: &'static str, value: f64) {
        if !self.rows.contains(&(peer, case)) {
            self.rows.push((peer, case));
        }
        self.cells.entry((peer, case)).or_default().push(value);
    }

    /// Millions a second for `count` operations on the CPU clock.
    fn time(&mut self, peer: &'static str, case: &'static str, count: usize, work: impl FnOnce()) {
        let start = cpu_now();
        work();
        let taken = cpu_now() - start;
        self.add(peer, case, count as f64 / taken.as_secs_f64() / 1e6);
    }

    fn median(&mut self, peer: &str, case: &str) -> Option<f64> {
        let cell = self.cells.iter_mut().find(|((p, c), _)| *p == peer && *c == case);
        cell.map(|(_, values)| {
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        })
    }

    fn print(&mut self, title: &str) {
        let mut cases: Vec<&str> = Vec::new();
        let mut peers: Vec<&str> = Vec::new();
        for (peer, case) in &self.rows {
            if !cases.contains(case) {
                cases.push(case);
            }
            if !peers.contains(peer) {
                peers.push(peer);
            }
        }
        let (names, rule) = (peers.join(" | "), "---|".repeat(peers.len()));
        println!("\n### {title}\n\n| | {names} |\n|---|{rule}");
        for case in cases {
            print!("| {case} |");
            for peer in &peers {
                match self.median(peer, case) {
                    Some(value) => print!(" {value:.2} |"),
                    None => print!(" |"),
                }
            }
            println!();
        }
    }
}

/// What a goal compares with.
enum Against {
    /// Another map, in the same case.
    Peer(&'static str),
    /// Another case of our own.
    Case(&'static str),
    /// Nothing: the figure itself, at least or at most.
    Least,
    Most,
}

const PUBLISHED: Against = Against::Peer("published 0.1.1");
const CROSSBEAM: Against = Against::Peer("crossbeam-skiplist");
const MASSTREE: Against = Against::Peer("masstree");

/// Case, compared with what, and how many times that is wanted.
const GOALS: [(&str, Against, f64); 21] = [
    ("insert random", PUBLISHED, 4.0),
    ("insert random", MASSTREE, 1.0),
    ("insert random", CROSSBEAM, 4.0),
    ("get random", PUBLISHED, 3.5),
    ("get random", MASSTREE, 1.0),
    ("get random", CROSSBEAM, 4.0),
    ("get missing", CROSSBEAM, 4.0),
    ("get random, batches of 64", Against::Case("get random"), 3.0),
    ("insert sequential", PUBLISHED, 3.0),
    ("iterate, built at random", Against::Least, 25.0),
    ("iterate, built at random", PUBLISHED, 6.0),
    ("iterate, built at random", CROSSBEAM, 4.0),
    ("seek + 10", PUBLISHED, 3.0),
    ("seek + 10", CROSSBEAM, 4.0),
    ("memory beyond key and value", Against::Most, 35.0),
    ("insert random 2T", Against::Case("insert random 1T (wall)"), 1.7),
    ("get random 2T", Against::Case("get random 1T (wall)"), 1.7),
    ("mixed 2T", Against::Case("mixed 1T (wall)"), 1.7),
    ("insert random 2T", CROSSBEAM, 4.0),
    ("get random 2T", CROSSBEAM, 4.0),
    ("mixed 2T", CROSSBEAM, 4.0),
];

/// Each goal with what was reached; those that were not measured are left out.
fn print_goals(title: &str, table: &mut Table) {
    println!("\n### {title}: goals\n");
    println!("| case | ours | compared with | its figure | goal | reached | |");
    println!("|---|---|---|---|---|---|---|");
    for (case, against, goal) in GOALS {
        let Some(ours) = table.median("fastskip", case) else { continue };
        let (name, other) = match against {
            Against::Peer(peer) => (peer, table.median(peer, case)),
            Against::Case(other) => (other, table.median("fastskip", other)),
            Against::Least => ("at least", Some(1.0)),
            Against::Most => ("at most", Some(1.0)),
        };
        let Some(other) = other else { continue };
        let reached = ours / other;
        let (figure, is_met) = match against {
            Against::Most => (String::new(), reached <= goal),
            Against::Least => (String::new(), reached >= goal),
            _ => (format!("{other:.2}"), reached >= goal),
        };
        let verdict = if is_met { "yes" } else { "**no**" };
        println!(
            "| {case} | {ours:.2} | {name} | {figure} | {goal:.1} | {reached:.2} | {verdict} |"
        );
    }
}

struct Workload {
    family: String,
    sorted: Vec<Vec<u8>>,
    random: Vec<Vec<u8>>,
    /// The same keys in another random order.
    lookups: Vec<Vec<u8>>,
    missing: Vec<Vec<u8>>,
}

fn insert_all<P: Peer>(map: &P, keys: &[Vec<u8>]) {
    for key in keys {
        map.insert(key);
    }
}

fn single<P: Peer>(name: &'static str, work: &Workload, table: &mut Table) {
    let count = work.random.len();
    let payload = work.random[0].len() + VALUE.len();
    // Not timed: what a map leaves to the next one, of memory and of its allocator's state.
    insert_all(&P::new(1), &work.sorted);
    {
        let map = P::new(1);
        table.time(name, "insert sequential", count, || insert_all(&map, &work.sorted));
        table.time(name, "get sequential", count, || {
            for key in &work.sorted {
                black_box(map.get(key).expect("found"));
            }
        });
        table.time(name, "iterate, built in order", count, || {
            assert_eq!(black_box(map.walk(b"", usize::MAX)).0, count);
        });
    }
    let heap = heap_bytes();
    let map = P::new(1);
    table.time(name, "insert random", count, || insert_all(&map, &work.random));
    let bytes = map.bytes().unwrap_or_else(|| heap_bytes() - heap);
    table.add(name, "memory beyond key and value", bytes as f64 / count as f64 - payload as f64);
    table.time(name, "get random", count, || {
        for key in &work.lookups {
            black_box(map.get(key).expect("found"));
        }
    });
    table.time(name, "get missing", count, || {
        for key in &work.missing {
            assert!(map.get(key).is_none());
        }
    });
    table.time(name, "iterate, built at random", count, || {
        assert_eq!(black_box(map.walk(b"", usize::MAX)).0, count);
    });
    // masstree's range seeks are O(n) on keys that share their first 8 bytes: few of them.
    let seeks = if name == "masstree" { 200 } else { count / 4 };
    table.time(name, "seek + 10", seeks, || {
        for key in &work.lookups[..seeks] {
            black_box(map.walk(key, 10));
        }
    });
    let keys: Vec<&[u8]> = work.lookups.iter().map(Vec::as_slice).collect();
    if map.get_batch(&keys[..1]).is_some() {
        table.time(name, "get random, batches of 64", count, || {
            for batch in keys.chunks(BATCH) {
                black_box(map.get_batch(batch));
            }
        });
    }
    drop(map);
    let map = P::new(1);
    let keys: Vec<&[u8]> = work.random.iter().map(Vec::as_slice).collect();
    if map.insert_batch(&keys[..BATCH]) {
        table.time(name, "insert random, batches of 64", count - BATCH, || {
            for batch in keys[BATCH..].chunks(BATCH) {
                black_box(map.insert_batch(batch));
            }
        });
    }
}

/// Each thread works on its part of the keys; millions a second of all together, wall clock.
fn threaded<P: Peer>(name: &'static str, work: &Workload, threads: usize, table: &mut Table) {
    let map = P::new(threads);
    let count = work.random.len();
    let run = |act: &(dyn Fn(usize, &[u8]) + Sync), keys: &[Vec<u8>]| {
        let barrier = std::sync::Barrier::new(threads + 1);
        let barrier = &barrier;
        let mut start = Instant::now();
        std::thread::scope(|scope| {
            for part in keys.chunks(count.div_ceil(threads)) {
                scope.spawn(move || {
                    barrier.wait();
                    for (rank, key) in part.iter().enumerate() {
                        act(rank, key);
                    }
                });
            }
            barrier.wait();
            start = Instant::now();
        });
        count as f64 / start.elapsed().as_secs_f64() / 1e6
    };
    let cases = match threads {
        1 => ["insert random 1T (wall)", "get random 1T (wall)", "mixed 1T (wall)"],
        2 => ["insert random 2T", "get random 2T", "mixed 2T"],
        _ => ["insert random 4T", "get random 4T", "mixed 4T"],
    };
    table.add(name, cases[0], run(&|_, key| map.insert(key), &work.random));
    let get = |_: usize, key: &[u8]| {
        black_box(map.get(key));
    };
    table.add(name, cases[1], run(&get, &work.lookups));
    let fresh = P::new(threads);
    insert_all(&fresh, &work.random[..count / 2]);
    let mixed = |rank: usize, key: &[u8]| {
        if rank % 2 == 0 {
            black_box(fresh.get(key));
        } else {
            fresh.insert(key);
        }
    };
    // Half of the operations insert keys that are new, half look up keys old and new.
    let mut keys = work.random[count / 2..].to_vec();
    keys.extend(work.lookups[..count / 2].iter().map(|key| [&key[..], b"+"].concat()));
    table.add(name, cases[2], run(&mixed, &keys));
}

fn measure<P: Peer>(name: &'static str, settings: &Settings, work: &Workload, table: &mut Table) {
    if !settings.peers.is_empty() && !settings.peers.iter().any(|peer| name.starts_with(peer)) {
        return;
    }
    eprintln!("{} {} {name}, after {:?}", work.family, work.random.len(), settings.start.elapsed());
    single::<P>(name, work, table);
    for &threads in &settings.threads {
        threaded::<P>(name, work, threads, table);
    }
}

struct Settings {
    entries: Vec<usize>,
    keys: Vec<String>,
    peers: Vec<String>,
    repeat: usize,
    threads: Vec<usize>,
    time: Duration,
    start: Instant,
}

impl Settings {
    fn is_over(&self) -> bool {
        self.start.elapsed() > self.time
    }

    /// Whether there is time for a round as long as those before on average.
    fn has_time(&self, rounds: u32, began: Instant) -> bool {
        rounds == 0 || self.start.elapsed() + began.elapsed() / rounds <= self.time
    }
}

fn settings() -> Settings {
    let strings = |value: &str| value.split(',').map(String::from).collect::<Vec<_>>();
    let numbers = |value: &str| -> Vec<usize> {
        value.split(',').map(|number| number.parse().expect("a number")).collect()
    };
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let mut settings = Settings {
        entries: vec![1_000_000],
        keys: strings("dec16,rand16,be8"),
        peers: Vec::new(),
        repeat: 3,
        threads: vec![1, 2, 4],
        time: Duration::MAX,
        start: Instant::now(),
    };
    for argument in std::env::args().skip(1) {
        match argument.split_once('=').unwrap_or((&argument, "")) {
            ("goals", _) => {
                settings.keys = strings("dec16");
                settings.threads = vec![1, 2];
                // No goal names the others.
                settings.peers = strings("fastskip,published 0.1.1,crossbeam-skiplist,masstree");
                settings.time = minutes(4);
            }
            ("all", _) => {
                settings.entries = vec![100_000, 1_000_000, 10_000_000];
                settings.time = minutes(30);
            }
            ("entries", value) => settings.entries = numbers(value),
            ("repeat", value) => settings.repeat = numbers(value)[0],
            ("minutes", value) => settings.time = minutes(numbers(value)[0] as u64),
            ("keys", value) => settings.keys = strings(value),
            ("peers", value) => settings.peers = strings(value),
            ("threads", value) => settings.threads = numbers(value),
            ("--bench", _) => {}
            _ => panic!("unknown setting: {argument}"),
        }
    }
    settings
}

/// All maps on the same keys; `repeat` rounds of all of them, so that a disturbance hits one round.
fn run(family: &str, entries: usize, settings: &Settings) {
    let sorted = make_keys(family, entries);
    let shuffled = |seed| {
        let mut keys = sorted.clone();
        keys.shuffle(&mut StdRng::seed_from_u64(seed));
        keys
    };
    let (random, lookups) = (shuffled(2), shuffled(3));
    let missing = make_missing(family, &lookups);
    let work = Workload { family: family.into(), sorted, random, lookups, missing };
    let mut table = Table { rows: Vec::new(), cells: HashMap::new() };
    // Ten million entries take minutes a round.
    let rounds = if entries > 2_000_000 { 1 } else { settings.repeat as u32 };
    let (mut done, began) = (0, Instant::now());
    while done < rounds && settings.has_time(done, began) {
        measure::<Ours>("fastskip", settings, &work, &mut table);
        measure::<Cold>("fresh memory", settings, &work, &mut table);
        measure::<Published>("published 0.1.1", settings, &work, &mut table);
        measure::<Crossbeam>("crossbeam-skiplist", settings, &work, &mut table);
        measure::<Masstree>("masstree", settings, &work, &mut table);
        measure::<Tree>("RwLock<BTreeMap>", settings, &work, &mut table);
        done += 1;
    }
    let title = format!("{family} keys, {entries} entries, Mops/s, {done} rounds");
    table.print(&title);
    print_goals(&title, &mut table);
}

fn main() {
    let settings = settings();
    for &entries in &settings.entries {
        for family in &settings.keys {
            if !settings.is_over() {
                run(family, entries, &settings);
            }
        }
    }
}
