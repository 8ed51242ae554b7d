//! The cache: keys hashed to shards.

use crate::counters::Counters;
use crate::flight::Flight;
use crate::hash::Seeds;
use crate::options::{Options, Policy, Ttl};
use crate::policy::{Kind, Label};
use crate::readers::{self, Seat};
use crate::shard::{Garbage, Locked, New, Shard};
use crate::stats::Stats;
use crate::sync::{AtomicU64, Mutex, Ordering, thread};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// How often a writer lets others run before it goes on with much in limbo.
const PATIENCE: usize = 100;

/// A concurrent cache from `K` to `V`, limited by the sum of its entries' weights.
///
/// Values are handed out as clones, so `V` should be cheap to clone: an [`Arc`], say. A value that
/// was handed out lives on after its entry is evicted; the cache counts only what it holds itself.
///
/// No method calls `V`'s destructor or a loader with a lock held.
pub struct Cache<K, V> {
    shards: Box<[Shard<K, V>]>,
    seeds: Seeds,
    policy: Policy,
    ttl: Option<Ttl>,
    /// Also serialises changes of capacity.
    capacity_bytes: Mutex<usize>,
    counters: Counters,
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
                Shard::new(options.policy, part, &seeds)
            })
            .collect();
        Self {
            shards,
            seeds,
            policy: options.policy,
            ttl: options.ttl,
            capacity_bytes: Mutex::new(options.capacity_bytes),
            counters: Counters::new(),
            loads: AtomicU64::new(0),
            load_failures: AtomicU64::new(0),
            load_waits: AtomicU64::new(0),
        }
    }

    /// Returns the value of `key`, if present. A miss is counted as [`Kind::Data`].
    pub fn get(&self, key: &K) -> Option<V> {
        self.get_as(key, Kind::Data)
    }

    /// Returns the value of `key`, if present. A miss is counted as `kind`, a hit as the kind the
    /// entry was stored with.
    pub fn get_as(&self, key: &K, kind: Kind) -> Option<V> {
        self.find(key, self.seeds.hash(key), kind, V::clone)
    }

    /// Calls `f` with the value of `key`, if present, without cloning it.
    ///
    /// Saves the clone's write to a reference count that other threads hit as well. While `f` runs,
    /// memory of entries that leave the cache meanwhile is not freed, so it should be short.
    pub fn read<R>(&self, key: &K, f: impl FnOnce(&V) -> R) -> Option<R> {
        self.find(key, self.seeds.hash(key), Kind::Data, f)
    }

    #[inline]
    fn find<R>(&self, key: &K, hash: u64, kind: Kind, f: impl FnOnce(&V) -> R) -> Option<R> {
        let now_ms = self.now_ms();
        readers::with(|seat| {
            let found = match seat {
                Some(seat) if self.policy != Policy::Lru => {
                    self.shard(hash).read(seat, (key, hash), now_ms, |value, kind| {
                        self.counters.hit(Some(seat), kind);
                        f(value)
                    })
                }
                _ => self.find_locked(seat, (key, hash), now_ms, f),
            };
            if found.is_none() {
                self.counters.miss(seat, kind);
            }
            found
        })
    }

    #[inline(never)]
    fn find_locked<R>(
        &self,
        seat: Option<&Seat>,
        (key, hash): (&K, u64),
        now_ms: u64,
        f: impl FnOnce(&V) -> R,
    ) -> Option<R> {
        let mut gone = Garbage::new();
        let found = self.shard(hash).lock().get((key, hash), now_ms, &mut gone);
        found.map(|(value, kind)| {
            self.counters.hit(seat, kind);
            f(&value)
        })
    }

    /// Stores `value` under `key` with default label, in place of any older value.
    ///
    /// Returns `false` if the entry is larger than a shard (capacity divided by the number of
    /// shards) or than 1 GiB - 1: then it is not stored, and an older value is gone all the same.
    pub fn insert(&self, key: K, value: V, weight_bytes: usize) -> bool {
        self.insert_as(key, value, weight_bytes, Label::default())
    }

    /// As [`Cache::insert`], with kind and priority.
    pub fn insert_as(&self, key: K, value: V, weight_bytes: usize, label: Label) -> bool {
        let new = self.new_entry(key, value, weight_bytes, label);
        self.store(new, |shard, new, gone| {
            shard.call_off(&new.key);
            shard.insert(new, gone)
        })
    }

    /// Runs `insert` with the shard's lock held. If readers keep the memory of much that left,
    /// gives them time to end.
    fn store(
        &self,
        new: New<K, V>,
        insert: impl FnOnce(&mut Locked<'_, K, V>, New<K, V>, &mut Garbage<K, V>) -> bool,
    ) -> bool {
        let shard = self.shard(new.hash);
        let mut gone = Garbage::new();
        let mut locked = shard.lock();
        let stored = insert(&mut locked, new, &mut gone);
        let crowded = locked.is_crowded();
        drop(locked);
        if crowded {
            Self::wait_for_readers(shard);
        }
        stored
    }

    #[cold]
    fn wait_for_readers(shard: &Shard<K, V>) {
        if readers::with(|seat| seat.is_none_or(Seat::is_reading)) {
            return; // it would wait for itself
        }
        for _ in 0..PATIENCE {
            thread::yield_now();
            let mut gone = Garbage::new();
            let mut locked = shard.lock();
            locked.sweep_all(&mut gone);
            if !locked.is_crowded() {
                return;
            }
        }
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
        match self.find(key, hash, label.kind, V::clone) {
            Some(value) => Ok(value),
            None => self.load(key, hash, label, load),
        }
    }

    /// Calls `read` with the value of `key`, loading it if it is missing. A value that is present
    /// is not cloned; see [`Cache::read`] for what that saves, and why `read` should be short.
    /// # Errors
    /// The loader's own.
    /// # Panics
    /// If `read` or the loader panics, and if a loader asks for the key it is loading.
    #[inline]
    pub fn read_or_load_as<R, E>(
        &self,
        key: &K,
        label: Label,
        read: impl FnOnce(&V) -> R,
        load: impl FnOnce() -> Result<(V, usize), E>,
    ) -> Result<R, E> {
        let hash = self.seeds.hash(key);
        let mut read = Some(read);
        let mut once = |value: &V| read.take().map(|read| read(value));
        if let Some(answer) = self.find(key, hash, label.kind, &mut once).flatten() {
            return Ok(answer);
        }
        let value = self.load(key, hash, label, load)?;
        Ok(once(&value).expect("what was not found was not read"))
    }

    /// The value of a key that was missing a moment ago.
    #[inline(never)]
    fn load<E>(
        &self,
        key: &K,
        hash: u64,
        label: Label,
        load: impl FnOnce() -> Result<(V, usize), E>,
    ) -> Result<V, E> {
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
        if let Some((value, _)) = shard.get((key, hash), now_ms, &mut gone) {
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
        self.store(new, |shard, new, gone| {
            shard.touch_down(key, flight) && shard.insert(new, gone)
        });
        flight.land(value.clone());
        Ok(value)
    }

    /// Removes `key` and returns its value. A load of `key` under way will not be stored.
    pub fn remove(&self, key: &K) -> Option<V> {
        let mut gone = Garbage::new();
        let hash = self.seeds.hash(key);
        self.shard(hash).lock().remove(key, hash, &mut gone)
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
            + self.counters.memory_usage()
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
            stats.add_kinds(shard.kinds());
            stats.pinned_bytes += shard.pinned_bytes();
            stats.limbo_bytes += shard.limbo_bytes();
        }
        self.counters.add_to(&mut stats.kinds);
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

    fn shard(&self, hash: u64) -> &Shard<K, V> {
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
