//! Single flight: one load per missing key, whatever happens to the loader.

use cache::Cache;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

type Numbers = Cache<u64, Arc<u64>>;

#[test]
fn many_threads_one_load_per_key() {
    let cache = Numbers::new(1 << 20);
    let loads: Vec<AtomicUsize> = (0..200).map(|_| AtomicUsize::new(0)).collect();
    let start = Barrier::new(8);
    let load = |key: u64, count: &AtomicUsize| {
        count.fetch_add(1, SeqCst);
        thread::yield_now();
        Ok::<_, ()>((Arc::new(key * 3), 8))
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for (key, count) in (0..).zip(&loads) {
                    assert_eq!(cache.get_or_load(&key, || load(key, count)), Ok(Arc::new(key * 3)));
                }
            });
        }
    });
    assert!(loads.iter().all(|count| count.load(SeqCst) == 1));
    assert_eq!(cache.stats().loads, 200);
    cache.validate();
}

/// Starts a load of key 1 that ends as `first` says, has others wait for it, and returns how many
/// loaders ran.
fn waiters_survive(
    first: impl FnOnce() -> Result<(Arc<u64>, usize), &'static str> + Send,
) -> usize {
    let cache = Numbers::new(1 << 20);
    let loads = AtomicUsize::new(0);
    let (entered, inside) = mpsc::channel();
    let load_first = || {
        loads.fetch_add(1, SeqCst);
        entered.send(()).expect("the test waits");
        while cache.stats().load_waits < 4 {
            thread::sleep(Duration::from_millis(1));
        }
        first()
    };
    let load_next = || {
        loads.fetch_add(1, SeqCst);
        Ok::<_, ()>((Arc::new(11), 8))
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let outcome = catch_unwind(AssertUnwindSafe(|| cache.get_or_load(&1, load_first)));
            assert!(!matches!(outcome, Ok(Ok(_))), "the first loader was to fail");
        });
        inside.recv().expect("the first loader runs");
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(cache.get_or_load(&1, load_next), Ok(Arc::new(11))));
        }
    });
    assert_eq!(cache.stats().load_failures, 1);
    cache.validate();
    loads.load(SeqCst)
}

#[test]
fn failing_loader_hands_over_to_one_waiter() {
    assert_eq!(waiters_survive(|| Err("disk on fire")), 2);
}

#[test]
fn panicking_loader_hands_over_to_one_waiter() {
    assert_eq!(waiters_survive(|| panic!("loader panics on purpose")), 2);
}

#[test]
fn removal_during_a_load_wins() {
    let cache = Numbers::new(1 << 20);
    let value = cache.get_or_load(&5, || {
        cache.remove(&5);
        Ok::<_, ()>((Arc::new(50), 8))
    });
    assert_eq!(*value.unwrap(), 50);
    assert!(cache.get(&5).is_none(), "served after removal");
    cache
        .get_or_load(&5, || {
            cache.remove_if(|&key| key == 5);
            Ok::<_, ()>((Arc::new(51), 8))
        })
        .unwrap();
    assert!(cache.is_empty());
    cache
        .get_or_load(&5, || {
            cache.insert(5, Arc::new(99), 8);
            Ok::<_, ()>((Arc::new(52), 8))
        })
        .unwrap();
    assert_eq!(cache.get(&5).as_deref(), Some(&99), "the newer value stays");
}

#[test]
fn entry_larger_than_a_shard_is_returned_but_not_stored() {
    let cache = Numbers::new(100);
    let value = cache.get_or_load(&1, || Ok::<_, ()>((Arc::new(1), 101)));
    assert_eq!(*value.unwrap(), 1);
    assert!(cache.is_empty());
    assert_eq!(cache.stats().rejected, 1);
    assert!(!cache.insert(2, Arc::new(2), usize::MAX));
}

#[test]
#[should_panic(expected = "must not ask the cache for the key it is loading")]
fn loader_that_asks_for_its_own_key_panics_instead_of_hanging() {
    let cache = Numbers::new(100);
    let load = || cache.get_or_load(&1, || Ok::<_, ()>((Arc::new(1), 1))).map(|v| (v, 1));
    drop(cache.get_or_load(&1, load));
}

#[test]
fn loader_may_load_other_keys() {
    let cache = Numbers::new(1 << 20);
    let value = cache.get_or_load(&1, || {
        let inner = cache.get_or_load(&2, || Ok::<_, ()>((Arc::new(20), 8)))?;
        Ok::<_, ()>((Arc::new(*inner + 1), 8))
    });
    assert_eq!(*value.unwrap(), 21);
    assert_eq!(cache.len(), 2);
}
