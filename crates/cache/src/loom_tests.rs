//! Loom tries every interleaving, and every value a weak ordering allows, of small programs.
//!
//! Loom's cells report a read of an entry while a writer fills or empties its slot, so "nothing is
//! freed while read" is checked wherever a reader meets a writer. Run by `scripts/loom-cache.sh`.
#![expect(unsafe_code, reason = "stands in for the code that reads and frees what is published")]

use crate::hash::Seeds;
use crate::options::Policy;
use crate::policy::Label;
use crate::published::{Published, Retired};
use crate::readers::{self, Blocker};
use crate::shard::{Garbage, New, Shard};
use crate::sync::{Mutex, UnsafeCell, thread};
use crate::{Cache, Options};
use std::sync::Arc;

fn check(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 20_000;
    model.check(f);
}

type Pair = (u64, u64); // key and generation
type Small = Shard<u64, Pair>;

fn small(entries: u64) -> Arc<Small> {
    Arc::new(Shard::new(Policy::S3Fifo, entries * 100, &Seeds::random()))
}

/// Hashes that share a tag and a home bucket, so that readers look at each other's entries.
fn put(shard: &Small, key: u64, generation: u64) {
    let new = New {
        key,
        value: (key, generation),
        hash: 7,
        weight: 100,
        label: Label::default(),
        deadline_ms: u64::MAX,
    };
    let mut gone = Garbage::new();
    assert!(shard.lock().insert(new, &mut gone));
}

fn get(shard: &Small, key: u64) -> Option<Pair> {
    let tenancy = readers::all().sit();
    let found = shard.read(tenancy.seat(), (&key, 7), 0, |&value, _| value);
    if let Some((of, _)) = found {
        assert_eq!(of, key, "another key's value");
    }
    found
}

fn remove(shard: &Small, key: u64) {
    let mut gone = Garbage::new();
    assert!(shard.lock().remove(&key, 7, &mut gone).is_some());
}

/// A value is replaced and freed while it is read.
#[test]
fn published_value_is_not_freed_under_a_reader() {
    check(3, || {
        let cell = |n| Box::new(UnsafeCell::new(n));
        let published = Arc::new(Published::new(cell(1)));
        let reader = {
            let published = Arc::clone(&published);
            thread::spawn(move || {
                let tenancy = readers::all().sit();
                let guard = tenancy.seat().enter();
                let value: &UnsafeCell<u64> = published.load(&guard);
                // SAFETY: what the test is to show: it is not freed before `guard` ends.
                value.with(|value| unsafe { *value })
            })
        };
        let old: Retired<UnsafeCell<u64>> = published.replace(cell(2));
        let mut blockers = Vec::new();
        assert!(readers::all().inside(&mut blockers));
        while blockers.iter().any(Blocker::blocks) {
            thread::yield_now();
        }
        // SAFETY: every reader has left; loom complains if not.
        old.with(|old| old.with_mut(|value| unsafe { *value = 99 }));
        // SAFETY: as above.
        unsafe { old.free() };
        let seen = reader.join().expect("the reader ends");
        assert!(seen == 1 || seen == 2, "read {seen}");
    });
}

/// A read runs while its key is replaced and the old slot is filled again.
#[test]
fn read_against_replace_and_reuse() {
    check(2, || {
        let shard = small(3);
        put(&shard, 1, 0);
        let reader = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || get(&shard, 1))
        };
        put(&shard, 1, 1);
        put(&shard, 2, 0);
        assert!(reader.join().expect("the reader ends").is_some(), "it was there all the time");
        shard.lock().validate();
    });
}

/// What was removed is not served to a read that begins afterwards, and its slot may be reused.
#[test]
fn read_against_remove_and_reuse() {
    check(2, || {
        let shard = small(3);
        put(&shard, 1, 0);
        let reader = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || get(&shard, 1))
        };
        remove(&shard, 1);
        assert_eq!(get(&shard, 1), None, "served after removal");
        put(&shard, 3, 0);
        reader.join().expect("the reader ends");
        shard.lock().validate();
    });
}

/// A read runs while its key is evicted to make room.
#[test]
fn read_against_eviction() {
    check(2, || {
        let shard = small(1);
        put(&shard, 1, 0);
        let reader = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || (get(&shard, 1), get(&shard, 2)))
        };
        put(&shard, 2, 0);
        reader.join().expect("the reader ends");
        assert_eq!(get(&shard, 2), Some((2, 0)));
        shard.lock().validate();
    });
}

/// A read finds its key while the table is replaced by a larger one.
#[test]
fn read_against_growth() {
    check(2, || {
        let shard = small(10);
        (1..=5).for_each(|key| put(&shard, key, 0));
        let reader = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || get(&shard, 5))
        };
        put(&shard, 6, 0);
        assert!(reader.join().expect("the reader ends").is_some(), "it was there all the time");
        shard.lock().validate();
    });
}

/// Two threads miss the same key; the first loader fails.
#[test]
fn one_load_at_a_time() {
    check(2, || {
        let options = Options { capacity_bytes: 100, shards: 1, ..Options::default() };
        let cache: Arc<Cache<u64, u64>> = Arc::new(Cache::with_options(options));
        let flying = Arc::new(Mutex::new(0));
        let ask = |fails: bool| {
            let (cache, flying) = (Arc::clone(&cache), Arc::clone(&flying));
            move || {
                cache.get_or_load(&1, || {
                    *flying.lock() += 1;
                    thread::yield_now();
                    let mut flying = flying.lock();
                    assert_eq!(*flying, 1, "two loaders at once");
                    *flying -= 1;
                    if fails { Err("fails") } else { Ok((11, 10)) }
                })
            }
        };
        let other = thread::spawn(ask(true));
        assert_eq!(ask(false)(), Ok(11));
        let other = other.join().expect("the other ends");
        assert!(other == Ok(11) || other == Err("fails"));
        assert_eq!(cache.get(&1), Some(11));
        cache.validate();
    });
}
