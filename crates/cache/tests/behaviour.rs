//! Time to live, priorities, scans, destructors.

use cache::{Cache, Kind, Label, Options, Policy, Priority, Ttl};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

const POLICIES: [Policy; 2] = [Policy::Lru, Policy::S3Fifo];

fn one_shard<V: Clone>(policy: Policy, capacity_bytes: usize) -> Cache<u64, V> {
    Cache::with_options(Options { capacity_bytes, shards: 1, policy, ttl: None })
}

#[test]
fn entries_live_until_their_time_is_over() {
    for policy in POLICIES {
        let now = Arc::new(AtomicU64::new(0));
        let reader = Arc::clone(&now);
        let ttl = Some(Ttl {
            limit: Duration::from_millis(100),
            clock: Arc::new(move || Duration::from_millis(reader.load(SeqCst))),
        });
        let options = Options { capacity_bytes: 1000, policy, ttl, ..Options::default() };
        let cache = Cache::with_options(options);
        cache.insert(1, 'a', 10);
        now.store(60, SeqCst);
        cache.insert(2, 'b', 10);
        now.store(99, SeqCst);
        assert_eq!((cache.get(&1), cache.get(&2)), (Some('a'), Some('b')));
        now.store(100, SeqCst);
        assert_eq!((cache.get(&1), cache.get(&2)), (None, Some('b')), "a hit does not prolong");
        let loaded = cache.get_or_load(&1, || Ok::<_, ()>(('c', 10)));
        assert_eq!((loaded, cache.get(&1)), (Ok('c'), Some('c')));
        now.store(200, SeqCst);
        assert_eq!((cache.get(&1), cache.get(&2)), (None, None));
        cache.validate();
    }
}

#[test]
fn a_scan_does_not_evict_what_is_hot() {
    let cache = one_shard(Policy::S3Fifo, 1000);
    for round in 0..5 {
        for key in 0..50 {
            cache.get_or_load(&key, || Ok::<_, ()>((round, 10))).unwrap();
        }
    }
    for key in 1000..20_000 {
        cache.get_or_load(&key, || Ok::<_, ()>((0, 10))).unwrap();
    }
    let left = (0..50).filter(|key| cache.get(key).is_some()).count();
    assert_eq!(left, 50);
}

#[test]
fn priorities_order_the_evictions() {
    for policy in POLICIES {
        let cache = one_shard(policy, 1000);
        let mut key = 0;
        for priority in [Priority::Pinned, Priority::High, Priority::Normal, Priority::Low] {
            for _ in 0..20 {
                let label = Label { kind: Kind::Index, priority };
                assert!(cache.insert_as(key, (), 10, label));
                key += 1;
            }
        }
        assert_eq!(cache.stats().pinned_bytes, 200);
        let left = |from: u64| (from..from + 20).filter(|key| cache.get(key).is_some()).count();
        for other in 1000..1040 {
            cache.insert(other, (), 10);
        }
        assert_eq!(left(0), 20, "{policy:?} keeps what is pinned");
        assert!(left(20) >= left(40) && left(60) == 0, "{policy:?}: low goes first");
        for other in 2000..5000 {
            cache.insert(other, (), 10);
        }
        assert_eq!(left(0), 20, "{policy:?}: pinned outlives a flood");
        cache.set_capacity(150);
        cache.validate();
        assert!(cache.weight_bytes() <= 150, "{policy:?}: the limit binds pinned entries too");
    }
}

#[test]
fn no_more_than_three_quarters_are_pinned() {
    for policy in POLICIES {
        let cache = one_shard(policy, 1000);
        let label = Label { kind: Kind::Filter, priority: Priority::Pinned };
        assert!((0..1000).all(|key| cache.insert_as(key, (), 10, label)));
        let stats = cache.stats();
        assert_eq!(stats.pinned_bytes, 750);
        assert!(stats.kinds[Kind::Filter as usize].bytes <= 1000);
        assert!(cache.insert(5000, (), 900) && cache.get(&5000).is_some(), "room can be made");
        cache.validate();
    }
}

#[test]
fn statistics_count_by_kind() {
    let cache = one_shard(Policy::S3Fifo, 100);
    let index = Label { kind: Kind::Index, priority: Priority::Normal };
    cache.insert_as(1, (), 40, index);
    cache.insert(2, (), 40);
    cache.get(&1);
    cache.get(&2);
    cache.get(&2);
    cache.get_as(&3, Kind::Filter);
    cache.insert(4, (), 101);
    cache.insert(5, (), 90);
    let stats = cache.stats();
    let kind = |kind: Kind| stats.kinds[kind as usize];
    assert_eq!((kind(Kind::Index).hits, kind(Kind::Data).hits), (1, 2));
    assert_eq!((kind(Kind::Filter).misses, stats.misses, stats.hits), (1, 1, 3));
    assert_eq!((stats.inserts, stats.evictions, stats.rejected), (3, 2, 1));
    assert_eq!((stats.entries, stats.bytes, stats.capacity_bytes), (1, 90, 100));
    assert!((stats.hit_ratio() - 0.75).abs() < 1e-9);
}

/// Calls the cache from its destructor, which deadlocks if values are dropped under a lock.
#[derive(Clone)]
struct Caller(#[expect(dead_code, reason = "held for its destructor")] Arc<Inner>);
struct Inner(Weak<Cache<u64, Caller>>, Arc<AtomicUsize>);
impl Drop for Inner {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
        if let Some(cache) = self.0.upgrade() {
            cache.get(&1);
            cache.remove(&2);
        }
    }
}

#[test]
fn destructors_may_call_the_cache_and_run_once_each() {
    for policy in POLICIES {
        let dropped = Arc::new(AtomicUsize::new(0));
        let cache = Arc::new(one_shard(policy, 1000));
        for key in 0..1000 {
            let value = Caller(Arc::new(Inner(Arc::downgrade(&cache), Arc::clone(&dropped))));
            cache.insert(key % 300, value, 10);
        }
        cache.remove_if(|key| key % 2 == 0);
        cache.set_capacity(100);
        cache.clear();
        cache.validate();
        drop(cache);
        assert_eq!(dropped.load(SeqCst), 1000);
    }
}
