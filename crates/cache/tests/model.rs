//! Random operations against a `HashMap` with weights; every policy runs the same suite.

use cache::{Cache, Kind, Label, Options, Policy, Priority};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::sync::Arc;

const POLICIES: [Policy; 2] = [Policy::Lru, Policy::S3Fifo];
const PRIORITIES: [Priority; 4] =
    [Priority::Low, Priority::Normal, Priority::High, Priority::Pinned];

type Value = Arc<(u64, u64)>; // key and generation

fn seeds() -> u64 {
    std::env::var("CACHE_MODEL_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20)
}

fn label(rng: &mut StdRng) -> Label {
    Label { kind: Kind::ALL[rng.random_range(0..4)], priority: PRIORITIES[rng.random_range(0..4)] }
}

/// What was stored last under each key; the cache may have evicted it, but must not hold another.
struct Model {
    entries: HashMap<u64, (Value, usize)>,
    generation: u64,
}

impl Model {
    fn value(&mut self, key: u64) -> Value {
        self.generation += 1;
        Arc::new((key, self.generation))
    }

    fn check(&self, key: u64, got: Option<&Value>) {
        if let Some(value) = got {
            let stored = self.entries.get(&key).map(|(value, _)| value);
            assert_eq!(Some(value), stored, "key {key} holds something else");
        }
    }
}

/// Loads `key`, one time in four with a loader that fails.
fn load(cache: &Cache<u64, Value>, model: &mut Model, key: u64, rng: &mut StdRng) {
    let fresh = model.value(key);
    let fails = rng.random_range(0..4) == 0;
    let mut ran = false;
    let got = cache.get_or_load_as(&key, label(rng), || {
        ran = true;
        if fails { Err("no") } else { Ok((Arc::clone(&fresh), 50)) }
    });
    match got {
        Ok(value) if ran => {
            assert_eq!(value, fresh);
            model.entries.insert(key, (fresh, 50));
        }
        Ok(value) => model.check(key, Some(&value)),
        Err(_) => assert!(ran && fails && cache.get(&key).is_none()),
    }
}

fn run(policy: Policy, seed: u64, shards: usize, capacity: usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    let options = Options { capacity_bytes: capacity, shards, policy, ..Options::default() };
    let cache: Cache<u64, Value> = Cache::with_options(options);
    let mut model = Model { entries: HashMap::new(), generation: 0 };
    let mut capacity = capacity;
    let keys = rng.random_range(10..400);
    for step in 0..3000 {
        let key = rng.random_range(0..keys);
        match rng.random_range(0..100) {
            0..40 => model.check(key, cache.get(&key).as_ref()),
            40..70 => {
                let value = model.value(key);
                let weight = rng.random_range(0..200);
                let stored = cache.insert_as(key, Arc::clone(&value), weight, label(&mut rng));
                assert_eq!(stored, cache.get(&key).is_some(), "stored is found at once");
                model.entries.insert(key, (value, weight));
                if !stored {
                    assert!(weight > capacity / shards, "{weight} B would have fitted");
                    model.entries.remove(&key);
                }
            }
            70..90 => load(&cache, &mut model, key, &mut rng),
            90..96 => {
                model.check(key, cache.remove(&key).as_ref());
                model.entries.remove(&key);
                assert_eq!(cache.get(&key), None, "removed");
            }
            96..98 => {
                let modulus = rng.random_range(2..9);
                let before = cache.len();
                let removed = cache.remove_if(|key| key % modulus == 0);
                assert_eq!(before - removed, cache.len());
                model.entries.retain(|key, _| key % modulus != 0);
                assert!((0..keys).filter(|k| k % modulus == 0).all(|k| cache.get(&k).is_none()));
            }
            98 => {
                capacity = rng.random_range(0..6000);
                cache.set_capacity(capacity);
                assert_eq!(cache.capacity_bytes(), capacity);
            }
            _ if step % 10 == 0 => {
                cache.clear();
                model.entries.clear();
                assert!(cache.is_empty() && cache.weight_bytes() == 0);
            }
            _ => model.check(key, cache.get_as(&key, Kind::Index).as_ref()),
        }
        cache.validate();
        assert!(cache.weight_bytes() <= capacity);
        let stats = cache.stats();
        assert_eq!(stats.entries, cache.len() as u64);
        assert_eq!(stats.bytes, cache.weight_bytes() as u64);
    }
    let present = model.entries.iter().filter(|(key, _)| cache.get(key).is_some());
    let weight: usize = present.clone().map(|(_, (_, weight))| weight).sum();
    assert_eq!((present.count(), weight), (cache.len(), cache.weight_bytes()), "nothing else");
}

#[test]
fn small_cache_never_holds_anything_but_the_last_value() {
    for policy in POLICIES {
        for seed in 0..seeds() {
            run(policy, seed, 1 << (seed % 3), 4000);
        }
    }
}

#[test]
fn a_cache_that_is_large_enough_is_a_map() {
    for policy in POLICIES {
        let options = Options { capacity_bytes: 1 << 20, policy, ..Options::default() };
        let cache: Cache<String, Value> = Cache::with_options(options);
        let mut map = HashMap::new();
        let mut rng = StdRng::seed_from_u64(7);
        for generation in 0..20_000 {
            let number = rng.random_range(0..5000_u64);
            let key = format!("key-{number}");
            if rng.random_bool(0.2) {
                assert_eq!(cache.remove(&key), map.remove(&key));
            } else if rng.random_bool(0.5) {
                assert_eq!(cache.get(&key).as_ref(), map.get(&key));
            } else {
                let value = Arc::new((number, generation));
                assert!(cache.insert(key.clone(), Arc::clone(&value), 10));
                map.insert(key, value);
            }
        }
        cache.validate();
        assert_eq!(cache.len(), map.len());
        assert!(map.iter().all(|(key, value)| cache.get(key).as_ref() == Some(value)));
    }
}
