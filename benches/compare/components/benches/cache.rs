//! `cache` beside published caches: `cargo bench --bench cache -- hits|lsm|speed|instructions`.
//!
//! Hit ratios count every request, first touches included. Values are reference-counted and weigh
//! 4096 bytes; each cache may hold the stated share of all items. Requests of a scan have a hit
//! ratio of their own only in the sum: "Zipf + scans" counts the Zipf half, which is what a scan
//! must not spoil.

mod lsm_trace;
#[path = "../../../../crates/cache/benches/traces/mod.rs"]
mod traces;

use foyer_memory::{Cache as Foyer, CacheBuilder, EvictionConfig, LfuConfig, S3FifoConfig};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Barrier};
use traces::Trace;
use traces::zipf::{Zipf, fnv};

type Key = (u64, u64);
type Value = Arc<u64>;
const WEIGHT: usize = 4096;

/// What the benches need of a cache.
trait Peer: Send + Sync {
    fn get(&self, key: &Key) -> Option<Value>;
    fn put(&self, key: Key, value: Value);
    /// Sum of the weights held.
    fn held(&self) -> u64;
}

struct Ours(cache::Cache<Key, Value>);
impl Ours {
    fn new(policy: cache::Policy, bytes: usize) -> Self {
        let options = cache::Options { capacity_bytes: bytes, policy, ..Default::default() };
        Self(cache::Cache::with_options(options))
    }
}
impl Peer for Ours {
    fn get(&self, key: &Key) -> Option<Value> {
        self.0.get(key)
    }
    fn put(&self, key: Key, value: Value) {
        self.0.insert(key, value, WEIGHT);
    }
    fn held(&self) -> u64 {
        self.0.weight_bytes() as u64
    }
}

/// Ours without a clone: the value is looked at where it is.
struct Borrowing(Ours);
impl Peer for Borrowing {
    fn get(&self, key: &Key) -> Option<Value> {
        self.0.0.read(key, |value| std::hint::black_box(**value));
        None
    }
    fn put(&self, key: Key, value: Value) {
        self.0.put(key, value);
    }
    fn held(&self) -> u64 {
        self.0.held()
    }
}

#[derive(Clone)]
struct Weighs;
impl quick_cache::Weighter<Key, Value> for Weighs {
    fn weight(&self, _: &Key, _: &Value) -> u64 {
        WEIGHT as u64
    }
}
struct Quick(quick_cache::sync::Cache<Key, Value, Weighs>);
impl Peer for Quick {
    fn get(&self, key: &Key) -> Option<Value> {
        self.0.get(key)
    }
    fn put(&self, key: Key, value: Value) {
        self.0.insert(key, value);
    }
    fn held(&self) -> u64 {
        self.0.weight()
    }
}

struct Moka(moka::sync::Cache<Key, Value>);
impl Peer for Moka {
    fn get(&self, key: &Key) -> Option<Value> {
        self.0.get(key)
    }
    fn put(&self, key: Key, value: Value) {
        self.0.insert(key, value);
    }
    fn held(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size()
    }
}

struct FoyerPeer(Foyer<Key, Value>);
impl FoyerPeer {
    fn new(bytes: usize, eviction: impl Into<EvictionConfig>) -> Self {
        let builder = CacheBuilder::new(bytes).with_eviction_config(eviction);
        Self(builder.with_weighter(|_, _| WEIGHT).build())
    }
}
impl Peer for FoyerPeer {
    fn get(&self, key: &Key) -> Option<Value> {
        self.0.get(key).map(|entry| Arc::clone(entry.value()))
    }
    fn put(&self, key: Key, value: Value) {
        self.0.insert(key, value);
    }
    fn held(&self) -> u64 {
        self.0.usage() as u64
    }
}

/// The `lru` crate behind sixteen locks.
struct Lru16 {
    shards: Vec<Mutex<lru::LruCache<Key, Value>>>,
    hasher: RandomState,
}
impl Lru16 {
    fn new(bytes: usize) -> Self {
        let entries = (bytes / WEIGHT / 16).max(1).try_into().expect("not zero");
        let shards = (0..16).map(|_| Mutex::new(lru::LruCache::new(entries))).collect();
        Self { shards, hasher: RandomState::new() }
    }
    fn shard(&self, key: &Key) -> &Mutex<lru::LruCache<Key, Value>> {
        &self.shards[(self.hasher.hash_one(key) % 16) as usize]
    }
}
impl Peer for Lru16 {
    fn get(&self, key: &Key) -> Option<Value> {
        self.shard(key).lock().get(key).map(Arc::clone)
    }
    fn put(&self, key: Key, value: Value) {
        self.shard(&key).lock().put(key, value);
    }
    fn held(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().len() * WEIGHT).sum::<usize>() as u64
    }
}

const NAMES: [&str; 8] = [
    "cache (S3-FIFO)",
    "cache (S3-FIFO), read in place",
    "cache (LRU)",
    "quick_cache",
    "moka",
    "foyer (S3-FIFO)",
    "foyer (LFU)",
    "lru, 16 mutexes",
];

fn peer(name: &str, entries: usize) -> Box<dyn Peer> {
    let bytes = entries * WEIGHT;
    match name {
        "cache (S3-FIFO)" => Box::new(Ours::new(cache::Policy::S3Fifo, bytes)),
        "cache (S3-FIFO), read in place" => {
            Box::new(Borrowing(Ours::new(cache::Policy::S3Fifo, bytes)))
        }
        "cache (LRU)" => Box::new(Ours::new(cache::Policy::Lru, bytes)),
        "quick_cache" => {
            let quick = quick_cache::sync::Cache::with_weighter(entries, bytes as u64, Weighs);
            Box::new(Quick(quick))
        }
        "moka" => {
            let builder = moka::sync::Cache::builder().max_capacity(bytes as u64);
            Box::new(Moka(builder.weigher(|_, _| WEIGHT as u32).build()))
        }
        "foyer (S3-FIFO)" => Box::new(FoyerPeer::new(bytes, S3FifoConfig::default())),
        "foyer (LFU)" => Box::new(FoyerPeer::new(bytes, LfuConfig::default())),
        "lru, 16 mutexes" => Box::new(Lru16::new(bytes)),
        _ => unreachable!("a name of the list"),
    }
}

fn key_of(item: u64) -> Key {
    (item >> 12, (item & 0xfff) * 4096) // table and offset
}

/// Share of the requests that count which found their key.
fn hit_ratio(peer: &dyn Peer, requests: &[(u64, bool)]) -> f64 {
    let (mut hits, mut counted) = (0_u64, 0_u64);
    for &(item, scan) in requests {
        let key = key_of(item);
        let found = peer.get(&key).is_some();
        if !found {
            peer.put(key, Arc::new(item));
        }
        counted += u64::from(!scan);
        hits += u64::from(found && !scan);
    }
    hits as f64 / counted as f64 * 100.0
}

fn hits(names: &[&str]) {
    const ITEMS: u64 = 200_000;
    println!("| trace, cache as a share of {ITEMS} items | {} |", names.join(" | "));
    println!("|---|{}", "---:|".repeat(names.len()));
    let which = std::env::var("TRACES").unwrap_or_default();
    for trace in Trace::ALL {
        if !which.is_empty() && !which.contains(&format!("{trace:?},")) {
            continue;
        }
        let requests = trace.requests(ITEMS, 2_000_000);
        for percent in [1, 5, 10, 20] {
            let entries = ITEMS as usize * percent / 100;
            let cells: Vec<String> = names
                .iter()
                .map(|name| format!("{:.2}", hit_ratio(&*peer(name, entries), &requests)))
                .collect();
            println!("| {}, {percent} % | {} |", trace.name(), cells.join(" | "));
        }
    }
}

/// Hit ratios over the blocks that a database asks for.
fn recorded(names: &[&str]) {
    println!("| trace, cache as a share of its blocks | {} |", names.join(" | "));
    println!("|---|{}", "---:|".repeat(names.len()));
    for load in lsm_trace::Load::ALL {
        let (requests, blocks) = load.record();
        for percent in [1, 5, 10, 20] {
            let entries = blocks as usize * percent / 100;
            let cells: Vec<String> = names
                .iter()
                .map(|name| format!("{:.2}", hit_ratio(&*peer(name, entries), &requests)))
                .collect();
            let (count, name) = (requests.len(), load.name());
            println!("| {name} ({count} of {blocks}), {percent} % | {} |", cells.join(" | "));
        }
    }
}

/// Seconds of processor time this thread has used: other programs on the machine do not count.
fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(code, 0, "the clock exists");
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Nanoseconds of processor time an operation, on average over `threads` threads that each run
/// `operation` over their keys at the same time.
fn cost(threads: usize, keys: &[Vec<Key>], operation: &(dyn Fn(usize, &Key) + Sync)) -> f64 {
    let start = Barrier::new(threads);
    let work = |keys: &[Key]| {
        start.wait();
        let begun = processor_seconds();
        keys.iter().enumerate().for_each(|(n, key)| operation(n, key));
        processor_seconds() - begun
    };
    let seconds: f64 = std::thread::scope(|scope| {
        let workers: Vec<_> =
            keys[..threads].iter().map(|keys| scope.spawn(|| work(keys))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no operation panics")).sum()
    });
    seconds / (threads * keys[0].len()) as f64 * 1e9
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn speed(names: &[&str]) {
    let items: u64 = std::env::var("ITEMS").map_or(100_000, |n| n.parse().expect("a number"));
    let threads_max: usize =
        std::env::var("THREADS_MAX").map_or(16, |n| n.parse().expect("a number"));
    let counts = [1, 2, 4, 8, 16].into_iter().filter(|&n| n <= threads_max);
    let requests: usize = if cfg!(debug_assertions) { 10_000 } else { 400_000 };
    let zipf = Zipf::new(items, 0.99);
    let draw = |uniform: bool, threads: usize| -> Vec<Vec<Key>> {
        (0..threads)
            .map(|seed| {
                let mut rng = StdRng::seed_from_u64(seed as u64);
                let count = requests / threads;
                let item = |rng: &mut StdRng| match uniform {
                    true => rng.random_range(0..items),
                    false => fnv(zipf.draw(rng)) % items,
                };
                (0..count).map(|_| key_of(item(&mut rng))).collect()
            })
            .collect()
    };
    println!("| case, threads | {} | first / quick_cache | goal |", names.join(" | "));
    println!("|---|{}", "---:|".repeat(names.len() + 2));
    let rival = names.iter().position(|name| *name == "quick_cache");
    for (case, uniform, share) in [
        ("hits, uniform", true, 100),
        ("hits, Zipf", false, 100),
        ("90 % get, 10 % put, Zipf", false, 100),
        ("get or put, Zipf, 10 % held", false, 10),
    ] {
        for threads in counts.clone() {
            let keys = draw(uniform, threads);
            let costs: Vec<f64> = names
                .iter()
                .map(|name| {
                    // Room to spare, so that no shard is short: these are to be hits.
                    let room =
                        if share == 100 { items as usize * 3 / 2 } else { items as usize / 10 };
                    let peer = peer(name, room);
                    let value: Value = Arc::new(1);
                    (0..items).for_each(|item| peer.put(key_of(item), Arc::new(item)));
                    let get = |_: usize, key: &Key| drop(std::hint::black_box(peer.get(key)));
                    let mixed = |n: usize, key: &Key| match n % 10 {
                        9 => peer.put(*key, Arc::new(n as u64)),
                        _ => get(n, key),
                    };
                    let load = |_: usize, key: &Key| {
                        if peer.get(key).is_none() {
                            peer.put(*key, Arc::clone(&value));
                        }
                    };
                    let operation: &(dyn Fn(usize, &Key) + Sync) = match case {
                        "90 % get, 10 % put, Zipf" => &mixed,
                        "get or put, Zipf, 10 % held" => &load,
                        _ => &get,
                    };
                    let runs = (0..3).map(|_| cost(threads, &keys, operation)).collect();
                    median(runs)
                })
                .collect();
            let cells: Vec<String> = costs.iter().map(|cost| format!("{cost:.0}")).collect();
            let ratio = rival.map_or(String::new(), |at| format!("{:.2}", costs[0] / costs[at]));
            let goal = match (case.starts_with("hits"), threads) {
                (true, 1) => "1.00",
                (true, _) => "below 1",
                _ => "",
            };
            println!("| {case}, {threads} | {} | {ratio} | {goal} |", cells.join(" | "));
        }
    }
}

/// One thread, hits only, for instruction counts under callgrind.
fn instructions(name: &str) {
    let peer = peer(name, 150_000);
    (0..100_000).for_each(|item| peer.put(key_of(item), Arc::new(item)));
    let requests: usize = std::env::var("REQUESTS").map_or(0, |n| n.parse().expect("a number"));
    let mut item = 1_u64;
    for _ in 0..requests {
        item = item.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::hint::black_box(peer.get(&key_of((item >> 33) % 100_000)));
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let filter = args.get(1).map_or("", String::as_str);
    let mut names: Vec<&str> = NAMES.into_iter().filter(|name| name.contains(filter)).collect();
    match args.first().map(String::as_str) {
        Some("hits") => {
            names.retain(|name| !name.contains("in place"));
            hits(&names);
        }
        Some("lsm") => {
            names.retain(|name| !name.contains("in place"));
            recorded(&names);
        }
        Some("speed") => speed(&names),
        Some("instructions") => instructions(names[0]),
        _ => println!("usage: cache hits|lsm|speed|instructions [peer]"),
    }
}
