//! The cache: keys hashed to shards.

use crate::flight::Flight;
use crate::hash::Seeds;
use crate::options::{Options, Ttl};
use crate::policy::Label;
use crate::shard::{Garbage, New, Shard};
use crate::stats::Stats;
use parking_lot::Mutex;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A concurrent cache from `K` to `V`, limited by the sum of its entries' weights.
///
/// Values are handed out as clones, so `V` should be cheap to clone: an [`Arc`], say. A value that
/// was handed out lives on after its entry is evicted; the cache counts only what it holds itself.
///
/// No method calls `V`'s destructor or a loader with a lock held.
pub struct Cache<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    seeds: Seeds,
    ttl: Option<Ttl>,
    /// Also serialises changes of capacity.
    capacity_bytes: Mutex<usize>,
    misses: [AtomicU64; crate::Kind::COUNT],
    loads: AtomicU64,
    load_failures: AtomicU64,
    load_waits: AtomicU64,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("shards", &self.shards.len())
            .field("capacity_bytes", &self.capacity_bytes)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// A cache of `capacity_bytes` with default options.
    pub fn new(capacity_bytes: usize) -> Self {
        Self::with_options(Options { capacity_bytes, ..Options::default() })
    }

    /// A cache as `options` say.
    /// # Panics
    /// If [`Options::validate`] refuses them.
    pub fn with_options(options: Options) -> Self {
        if let Err(error) = options.validate() {
            panic!("{error}");
        }
        let seeds = Seeds::random();
        let count = options.shard_count();
        let shards = (0..count)
            .map(|rank| {
                let part = shard_capacity(options.capacity_bytes, count, rank);
                Mutex::new(Shard::new(options.policy, part, &seeds))
            })
            .collect();
        Self {
            shards,
            seeds,
            ttl: options.ttl,
            capacity_bytes: Mutex::new(options.capacity_bytes),
            misses: Default::default(),
            loads: AtomicU64::new(0),
            load_failures: AtomicU64::new(0),
            load_waits: AtomicU64::new(0),
        }
    }

    /// Returns the value of `key`, if present. A miss is counted as [`crate::Kind::Data`].
    pub fn get(&self, key: &K) -> Option<V> {
        self.get_as(key, crate::Kind::Data)
    }

    /// Returns the value of `key`, if present. A miss is counted as `kind`, a hit as the kind the
    /// entry was stored with.
    pub fn get_as(&self, key: &K, kind: crate::Kind) -> Option<V> {
        let found = self.lookup(key, self.seeds.hash(key));
        if found.is_none() {
            count(&self.misses[kind as usize]);
        }
        found
    }

    fn lookup(&self, key: &K, hash: u64) -> Option<V> {
        let now_ms = self.now_ms();
        let mut gone = Garbage::new();
        self.shard(hash).lock().get(key, now_ms, &mut gone)
    }

    /// Stores `value` under `key` with default label, in place of any older value.
    ///
    /// Returns `false` if the entry is larger than a shard (capacity divided by the number of
    /// shards) or than 4 GiB - 1: then it is not stored, and an older value is gone all the same.
    pub fn insert(&self, key: K, value: V, weight_bytes: usize) -> bool {
        self.insert_as(key, value, weight_bytes, Label::default())
    }

    /// As [`Cache::insert`], with kind and priority.
    pub fn insert_as(&self, key: K, value: V, weight_bytes: usize, label: Label) -> bool {
        let new = self.new_entry(key, value, weight_bytes, label);
        let mut gone = Garbage::new();
        let mut shard = self.shard(new.hash).lock();
        shard.call_off(&new.key);
        shard.insert(new, &mut gone)
    }

    fn new_entry(&self, key: K, value: V, weight: usize, label: Label) -> New<K, V> {
        let deadline_ms = self
            .ttl
            .as_ref()
            .map_or(u64::MAX, |ttl| millis((ttl.clock)()).saturating_add(millis(ttl.limit)));
        let hash = self.seeds.hash(&key);
        New { key, value, hash, weight, label, deadline_ms }
    }

    /// Returns the value of `key`, loading it if it is missing.
    ///
    /// However many threads ask at once, one loader runs; the others wait for its value. If it
    /// fails or panics, one of those that wait runs its own loader, and so on. `load` returns the
    /// value and its weight in bytes. A key removed or stored while its loader runs keeps that
    /// state: the value loaded is returned but not stored.
    /// # Errors
    /// The loader's own.
    /// # Panics
    /// If the loader panics, and if a loader asks for the key it is loading.
    pub fn get_or_load<E>(
        &self,
        key: &K,
        load: impl FnOnce() -> Result<(V, usize), E>,
    ) -> Result<V, E> {
        self.get_or_load_as(key, Label::default(), load)
    }

    /// As [`Cache::get_or_load`], with kind and priority for an entry that is loaded.
    /// # Errors
    /// The loader's own.
    /// # Panics
    /// If the loader panics, and if a loader asks for the key it is loading.
    pub fn get_or_load_as<E>(
        &self,
        key: &K,
        label: Label,
        load: impl FnOnce() -> Result<(V, usize), E>,
    ) -> Result<V, E> {
        let hash = self.seeds.hash(key);
        if let Some(value) = self.lookup(key, hash) {
            return Ok(value);
        }
        count(&self.misses[label.kind as usize]);
        loop {
            match self.board(key, hash) {
                Boarding::Found(value) => return Ok(value),
                Boarding::Loader(flight) => return self.fly(key, label, &flight, load),
                Boarding::Passenger(flight) => {
                    count(&self.load_waits);
                    if let Some(value) = flight.wait() {
                        return Ok(value);
                    }
                }
            }
        }
    }

    /// With the lock held: is it there by now, is somebody loading it, or is that for us to do?
    fn board(&self, key: &K, hash: u64) -> Boarding<V> {
        let now_ms = self.now_ms();
        let mut gone = Garbage::new();
        let mut shard = self.shard(hash).lock();
        if let Some(value) = shard.get(key, now_ms, &mut gone) {
            return Boarding::Found(value);
        }
        match shard.flight(key) {
            Some(flight) => Boarding::Passenger(flight),
            None => Boarding::Loader(shard.take_off(key)),
        }
    }

    fn fly<E>(
        &self,
        key: &K,
        label: Label,
        flight: &Arc<Flight<V>>,
        load: impl FnOnce() -> Result<(V, usize), E>,
    ) -> Result<V, E> {
        count(&self.loads);
        let mut crash = Crash { cache: self, key, flight, armed: true };
        let (value, weight) = load()?; // an error or a panic drops `crash`
        crash.armed = false;
        let new = self.new_entry(key.clone(), value.clone(), weight, label);
        let mut gone = Garbage::new();
        {
            let mut shard = self.shard(new.hash).lock();
            if shard.touch_down(key, flight) {
                shard.insert(new, &mut gone);
            }
        }
        flight.land(value.clone());
        Ok(value)
    }

    /// Removes `key` and returns its value. A load of `key` under way will not be stored.
    pub fn remove(&self, key: &K) -> Option<V> {
        let mut gone = Garbage::new();
        self.shard(self.seeds.hash(key)).lock().remove(key, &mut gone)
    }

    /// Removes every entry whose key `unwanted` accepts, and returns how many there were. Loads of
    /// such keys under way will not be stored.
    ///
    /// `unwanted` is called with a shard's lock held and must not call the cache. Looks at every
    /// entry: about 10 ns each.
    pub fn remove_if(&self, mut unwanted: impl FnMut(&K) -> bool) -> usize {
        let mut removed = 0;
        for shard in &self.shards {
            let mut gone = Garbage::new();
            removed += shard.lock().remove_if(&mut unwanted, &mut gone);
        }
        removed
    }

    /// Removes every entry and what the policy remembers of entries evicted before.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut gone = Garbage::new();
            let mut shard = shard.lock();
            shard.remove_if(&mut |_| true, &mut gone);
            shard.forget();
        }
    }

    /// Changes the capacity. A smaller one evicts at once; the number of shards stays.
    pub fn set_capacity(&self, capacity_bytes: usize) {
        let mut whole = self.capacity_bytes.lock();
        *whole = capacity_bytes;
        for (rank, shard) in self.shards.iter().enumerate() {
            let part = shard_capacity(capacity_bytes, self.shards.len(), rank);
            let mut gone = Garbage::new();
            shard.lock().set_capacity(part, &mut gone);
        }
    }

    /// The largest sum of weights, in bytes.
    pub fn capacity_bytes(&self) -> usize {
        *self.capacity_bytes.lock()
    }

    /// The sum of the weights of the entries present, in bytes.
    pub fn weight_bytes(&self) -> usize {
        let weight: u64 = self.shards.iter().map(|shard| shard.lock().weight()).sum();
        usize::try_from(weight).unwrap_or(usize::MAX)
    }

    /// The number of entries present, those included whose time is over but which were not looked
    /// up since.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether no entry is present.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory the cache uses for itself: keys, tables and lists, without what values
    /// point to.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>()
            + self.shards.iter().map(|shard| shard.lock().memory_usage()).sum::<usize>()
            + size_of_val(&*self.shards)
    }

    /// What the cache did and holds.
    pub fn stats(&self) -> Stats {
        // ORDERING: Relaxed throughout, counters guard nothing.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            loads: read(&self.loads),
            load_failures: read(&self.load_failures),
            load_waits: read(&self.load_waits),
            capacity_bytes: self.capacity_bytes() as u64,
            ..Stats::default()
        };
        for shard in &self.shards {
            let shard = shard.lock();
            stats.add_kinds(&shard.kinds);
            stats.pinned_bytes += shard.pinned_bytes();
        }
        for (kind, misses) in stats.kinds.iter_mut().zip(&self.misses) {
            kind.misses = read(misses);
        }
        stats.total()
    }

    /// Checks every internal invariant; for tests.
    /// # Panics
    /// If one does not hold.
    pub fn validate(&self) {
        for shard in &self.shards {
            shard.lock().validate();
        }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard<K, V>> {
        &self.shards[(hash >> 54) as usize & (self.shards.len() - 1)]
    }

    fn now_ms(&self) -> u64 {
        self.ttl.as_ref().map_or(0, |ttl| millis((ttl.clock)()))
    }
}

/// What a thread that missed is to do.
enum Boarding<V> {
    Found(V),
    Loader(Arc<Flight<V>>),
    Passenger(Arc<Flight<V>>),
}

/// Dropped when a loader fails or panics: wakes those that wait.
struct Crash<'a, K: Hash + Eq + Clone, V: Clone> {
    cache: &'a Cache<K, V>,
    key: &'a K,
    flight: &'a Arc<Flight<V>>,
    armed: bool,
}

impl<K: Hash + Eq + Clone, V: Clone> Drop for Crash<'_, K, V> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        count(&self.cache.load_failures);
        let hash = self.cache.seeds.hash(self.key);
        self.cache.shard(hash).lock().touch_down(self.key, self.flight);
        self.flight.fail();
    }
}

fn count(counter: &AtomicU64) {
    // ORDERING: Relaxed, counters guard nothing.
    counter.fetch_add(1, Ordering::Relaxed);
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The part of shard `rank`: parts differ by a byte at most and add up to the whole.
fn shard_capacity(capacity_bytes: usize, shards: usize, rank: usize) -> u64 {
    (capacity_bytes / shards + usize::from(rank < capacity_bytes % shards)) as u64
}
