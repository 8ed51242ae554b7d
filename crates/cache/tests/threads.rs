//! Threads that read, store, load, remove and resize at once, and check all they are handed.

use cache::{Cache, Label, Options, Policy, Priority};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const POLICIES: [Policy; 2] = [Policy::Lru, Policy::S3Fifo];
const ALIVE: u64 = 0x600D_600D_600D_600D;

/// Knows its key, and whether it was dropped; counts the living.
struct Block {
    key: u64,
    words: [u64; 8],
    living: Arc<AtomicUsize>,
}

impl Block {
    fn new(key: u64, living: &Arc<AtomicUsize>) -> Arc<Self> {
        living.fetch_add(1, SeqCst);
        Arc::new(Self { key, words: [ALIVE ^ key; 8], living: Arc::clone(living) })
    }

    fn check(&self, key: u64) {
        assert_eq!(self.key, key, "another key's value");
        assert!(self.words.iter().all(|&word| word == ALIVE ^ key), "read after free");
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        assert!(self.words.iter().all(|&word| word == ALIVE ^ self.key), "dropped twice");
        self.words = [0; 8];
        self.living.fetch_sub(1, SeqCst);
    }
}

fn seconds() -> f64 {
    std::env::var("CACHE_STRESS_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0)
}

struct Stress {
    cache: Cache<u64, Arc<Block>>,
    living: Arc<AtomicUsize>,
    stop: AtomicBool,
}

impl Stress {
    fn new(policy: Policy, capacity_bytes: usize) -> Self {
        let options = Options { capacity_bytes, shards: 2, policy, ..Options::default() };
        let cache = Cache::with_options(options);
        Self { cache, living: Arc::default(), stop: AtomicBool::new(false) }
    }

    fn step(&self, rng: &mut StdRng, keys: u64) {
        let key = rng.random_range(0..keys).min(rng.random_range(0..keys));
        let block = || Block::new(key, &self.living);
        match rng.random_range(0..20) {
            0..8 => drop(self.cache.get(&key).inspect(|found| found.check(key))),
            8..12 => drop(self.cache.read(&key, |found| found.check(key))),
            12..17 => {
                let load = || Ok::<_, ()>((block(), 100));
                self.cache.get_or_load(&key, load).expect("it never fails").check(key);
            }
            17 => {
                let priority = Priority::High;
                let label = Label { priority, ..Label::default() };
                assert!(self.cache.insert_as(key, block(), 100, label));
            }
            18 => drop(self.cache.remove(&key).inspect(|found| found.check(key))),
            _ if rng.random_range(0..200) == 0 => {
                self.cache.remove_if(|&other| other % 7 == key % 7);
            }
            _ => assert!(self.cache.insert(key, block(), 90)),
        }
    }

    fn work(&self, seed: u64, keys: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        while !self.stop.load(SeqCst) {
            (0..100).for_each(|_| self.step(&mut rng, keys));
        }
    }

    fn run(&self, threads: u64, keys: u64) {
        thread::scope(|scope| {
            for seed in 0..threads {
                scope.spawn(move || self.work(seed, keys));
            }
            let mut rng = StdRng::seed_from_u64(99);
            let end = Instant::now() + Duration::from_secs_f64(seconds() / 4.0);
            while Instant::now() < end {
                self.cache.set_capacity(rng.random_range(2000..20_000));
                thread::sleep(Duration::from_millis(2));
                assert!(self.cache.weight_bytes() <= 20_000);
                self.cache.validate();
            }
            self.stop.store(true, SeqCst);
        });
    }
}

#[test]
fn nothing_is_freed_while_read_or_lost_for_ever() {
    for policy in POLICIES {
        for (threads, keys) in [(4, 100), (8, 3000)] {
            let stress = Stress::new(policy, 10_000);
            stress.run(threads, keys);
            stress.cache.validate();
            // Nobody reads this cache, but a test beside this one may be reading its own.
            let end = Instant::now() + Duration::from_secs(20);
            loop {
                stress.cache.clear();
                if stress.cache.stats().limbo_bytes == 0 {
                    break;
                }
                assert!(Instant::now() < end, "no read lasts so long, so nothing waits");
                thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(stress.living.load(SeqCst), 0, "{policy:?}: values leak");
        }
    }
}

#[test]
fn values_that_left_are_dropped_soon() {
    let living = Arc::new(AtomicUsize::new(0));
    let options = Options { capacity_bytes: 100 * 1000, shards: 1, ..Options::default() };
    let cache = Cache::with_options(options);
    for key in 0..10_000 {
        cache.insert(key, Block::new(key, &living), 1000);
        let stats = cache.stats();
        let dropped_late = living.load(SeqCst) - cache.len();
        assert_eq!(stats.limbo_bytes, dropped_late as u64 * 1000);
        assert!(dropped_late <= 4, "{dropped_late} values linger");
    }
}

#[test]
fn a_read_that_stops_holds_up_memory_but_nobody() {
    let living = Arc::new(AtomicUsize::new(0));
    let options = Options { capacity_bytes: 10 * 1000, shards: 1, ..Options::default() };
    let cache = Cache::with_options(options);
    cache.insert(0, Block::new(0, &living), 1000);
    cache.read(&0, |block| {
        let flood = || {
            assert!((1..200).all(|key| cache.insert(key, Block::new(key, &living), 1000)));
        };
        cache.remove(&0);
        thread::scope(|scope| drop(scope.spawn(flood)));
        // This thread stores, too, and finds what it stored.
        cache.insert(500, Block::new(500, &living), 1000);
        assert!(cache.get(&500).is_some() && cache.get(&0).is_none());
        block.check(0);
        assert!(living.load(SeqCst) > 190, "a reader might see them");
    });
    cache.clear();
    assert_eq!(living.load(SeqCst), 0);
    cache.validate();
}

#[test]
fn a_thread_that_ends_may_use_the_cache_to_the_last() {
    struct Last(Arc<Cache<u64, u64>>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.insert(2, 22, 1);
            assert_eq!((self.0.get(&1), self.0.get(&2)), (Some(11), Some(22)));
        }
    }
    thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });
    let cache = Arc::new(Cache::new(1000));
    cache.insert(1, 11, 1);
    for early in [true, false] {
        let cache = Arc::clone(&cache);
        let user = thread::spawn(move || {
            if early {
                assert_eq!(cache.get(&1), Some(11));
            }
            LAST.set(Some(Last(Arc::clone(&cache))));
            assert_eq!(cache.get(&1), Some(11));
        });
        user.join().expect("the destructor found what it looked for");
    }
    cache.validate();
}
