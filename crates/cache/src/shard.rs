//! One shard: a table and slots that readers see without a lock, and behind a lock the rest.
//!
//! A slot's life: *vacant* -> filled and put into the table: *occupied* -> taken out of the table
//! and put into limbo: *retired* -> every reader of that moment has left: *vacant*.
//!
//! 1. An index is in the table exactly when its slot is occupied and its node is on a list.
//! 2. Every other slot made is retired and in limbo, or vacant and in `free`.
//! 3. `weight` is the sum of the weights of occupied slots and never exceeds `capacity`.
//! 4. Values are dropped after the lock is released: their destructors may call the cache.
#![expect(unsafe_code, reason = "decides when a slot may be read, filled and emptied")]

use crate::flight::Flight;
use crate::hash::Seeds;
use crate::limbo::{Dead, Limbo};
use crate::lists::{Nodes, WEIGHT_MAX};
use crate::options;
use crate::policy::{Kind, Label, Policy, linked};
use crate::published::Published;
use crate::readers::{self, Readers, Seat};
use crate::slab::{Entry, Slab};
use crate::stats::KindStats;
use crate::sync::{Mutex, MutexGuard};
use crate::table::Table;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// What a shard is asked to store.
#[derive(Debug)]
pub(crate) struct New<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    pub(crate) hash: u64,
    pub(crate) weight: usize,
    pub(crate) label: Label,
    pub(crate) deadline_ms: u64,
}

/// Entries that left, to be dropped without the lock.
#[derive(Debug)]
pub(crate) struct Garbage<K, V>(Vec<(K, V)>);

impl<K, V> Garbage<K, V> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }
}

/// A part of the cache.
#[derive(Debug)]
pub(crate) struct Shard<K, V> {
    table: Published<Table>,
    slab: Slab<K, V>,
    readers: &'static Readers,
    core: Apart<Mutex<Core<K, V>>>,
}

/// On cache lines of its own: writers must not slow readers down.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// What the lock guards.
#[derive(Debug)]
struct Core<K, V> {
    nodes: Nodes,
    policy: Policy,
    /// Slots made: indexes below it exist.
    made: u32,
    free: Vec<u32>,
    count: usize,
    weight: u64,
    capacity: u64,
    limbo: Limbo,
    flights: HashMap<K, Arc<Flight<V>>, Seeds>,
    kinds: [KindStats; Kind::COUNT],
}

/// A shard whose lock is held.
#[derive(Debug)]
pub(crate) struct Locked<'a, K, V> {
    shard: &'a Shard<K, V>,
    core: MutexGuard<'a, Core<K, V>>,
}

#[expect(clippy::cast_possible_truncation, reason = "32 bits are kept")]
fn short(hash: u64) -> u32 {
    hash as u32
}

impl<K: Hash + Eq + Clone, V: Clone> Shard<K, V> {
    pub(crate) fn new(policy: options::Policy, capacity: u64, seeds: &Seeds) -> Self {
        Self {
            table: Published::new(Box::new(Table::for_entries(0))),
            slab: Slab::new(),
            readers: readers::all(),
            core: Apart(Mutex::new(Core {
                nodes: Nodes::default(),
                policy: Policy::new(policy, capacity),
                made: 0,
                free: Vec::new(),
                count: 0,
                weight: 0,
                capacity,
                limbo: Limbo::default(),
                flights: HashMap::with_hasher(seeds.clone()),
                kinds: [KindStats::default(); Kind::COUNT],
            })),
        }
    }

    /// Finds `key` without the lock, marks the hit, and calls `then` with the value and its kind.
    ///
    /// What `then` is given is not freed before it returns.
    #[inline]
    pub(crate) fn read<R>(
        &self,
        seat: &Seat,
        (key, hash): (&K, u64),
        now_ms: u64,
        then: impl FnOnce(&V, Kind) -> R,
    ) -> Option<R> {
        let guard = seat.enter();
        let mut then = Some(then);
        self.table.load(&guard).find(short(hash), |index| {
            // SAFETY: the index is from the table, and `guard` is a read under way.
            unsafe {
                self.slab.hit(index, key, now_ms, |found| {
                    let (value, kind) = found?;
                    then.take().map(|then| then(value, kind))
                })
            }
        })?
    }

    pub(crate) fn lock(&self) -> Locked<'_, K, V> {
        Locked { shard: self, core: self.core.0.lock() }
    }
}

impl<K, V> Drop for Shard<K, V> {
    fn drop(&mut self) {
        let mut core = self.core.0.lock();
        // SAFETY: `&mut self`: nobody replaces the table.
        let mut indexes: Vec<u32> = unsafe { self.table.current() }.indexes().collect();
        for dead in core.limbo.drain() {
            match dead {
                Dead::Slot(index, _) => indexes.push(index),
                // SAFETY: `&mut self`: there are no readers.
                Dead::Table(table) => unsafe { table.free() },
            }
        }
        for index in indexes {
            // SAFETY: occupied or retired, each once (invariants 1 and 2), and `&mut self`: there
            // are no readers.
            drop(unsafe { self.slab.vacate(index) });
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Locked<'_, K, V> {
    fn table(&self) -> &Table {
        // SAFETY: the table is replaced only by the holder of the lock, in `make_room`, which
        // borrows `self` mutably.
        unsafe { self.shard.table.current() }
    }

    fn find(&self, key: &K, hash: u64) -> Option<u32> {
        self.table().find(short(hash), |index| {
            // SAFETY: the lock is held, and the index is in the table.
            let is_key = unsafe { self.shard.slab.with(index, |entry| entry.key == *key) };
            is_key.then_some(index)
        })
    }

    /// Finds `key`, notes the hit, and drops the entry instead if its time is over.
    pub(crate) fn get(
        &mut self,
        (key, hash): (&K, u64),
        now_ms: u64,
        gone: &mut Garbage<K, V>,
    ) -> Option<(V, Kind)> {
        let index = self.find(key, hash)?;
        let over = self.shard.slab.is_over(index, now_ms);
        let value = (!over).then(|| {
            // SAFETY: the lock is held, and the index is in the table.
            unsafe { self.shard.slab.with(index, |entry| entry.value.clone()) }
        });
        if value.is_some() {
            let core = &mut *self.core;
            core.policy.touch(&mut core.nodes, &self.shard.slab, index);
        } else {
            self.take(index);
            self.sweep(gone);
        }
        value.map(|value| (value, self.shard.slab.kind(index)))
    }

    /// Stores an entry in place of any other of its key. `false` if it is larger than the shard.
    pub(crate) fn insert(&mut self, new: New<K, V>, gone: &mut Garbage<K, V>) -> bool {
        let New { key, value, hash, weight, label, deadline_ms } = new;
        let old = self.find(&key, hash);
        let limit = self.core.capacity.min(u64::from(WEIGHT_MAX));
        let Some(weight) = u32::try_from(weight).ok().filter(|&w| u64::from(w) <= limit) else {
            self.core.kinds[label.kind as usize].rejected += 1;
            if let Some(old) = old {
                self.take(old);
            }
            gone.0.push((key, value));
            self.sweep(gone);
            return false;
        };
        if let Some(old) = old {
            self.release(old); // it stays in the table until the new one takes its place
        }
        self.evict_to(self.core.capacity - u64::from(weight));
        self.make_room();
        let index = self.vacant_slot();
        // SAFETY: the slot is vacant and the lock is held.
        unsafe { self.shard.slab.occupy(index, Entry { key, value }, label.kind, deadline_ms) };
        let core = &mut *self.core;
        core.nodes.reset(index, weight, short(hash));
        core.policy.insert(&mut core.nodes, &self.shard.slab, index, label.priority);
        core.weight += u64::from(weight);
        core.count += 1;
        let stats = &mut core.kinds[label.kind as usize];
        stats.inserts += 1;
        stats.entries += 1;
        stats.bytes += u64::from(weight);
        if let Some(old) = old {
            self.table().replace(short(hash), old, index);
            self.retire(old);
        } else {
            self.table().insert(short(hash), index);
        }
        self.sweep(gone);
        true
    }

    /// Grows the table if one more entry would crowd it.
    fn make_room(&mut self) {
        let entries = self.core.count + 1;
        if entries > self.table().entries_max() {
            self.rebuild(entries * 5 / 4);
        }
    }

    /// Replaces the table by one for `entries` entries.
    fn rebuild(&mut self, entries: usize) {
        let table = Box::new(Table::for_entries(entries));
        for index in self.table().indexes() {
            table.insert(self.core.nodes.get(index).hash, index);
        }
        let old = self.shard.table.replace(table);
        self.core.limbo.add(Dead::Table(old));
    }

    fn vacant_slot(&mut self) -> u32 {
        let core = &mut *self.core;
        core.free.pop().unwrap_or_else(|| {
            let index = core.made;
            self.shard.slab.make(index);
            core.made += 1;
            index
        })
    }

    pub(crate) fn remove(&mut self, key: &K, hash: u64, gone: &mut Garbage<K, V>) -> Option<V> {
        self.core.flights.remove(key);
        let index = self.find(key, hash)?;
        // SAFETY: the lock is held, and the index is in the table.
        let value = unsafe { self.shard.slab.with(index, |entry| entry.value.clone()) };
        self.take(index);
        self.sweep(gone);
        Some(value)
    }

    /// Removes every entry, and calls off every load, whose key `unwanted` names.
    pub(crate) fn remove_if(
        &mut self,
        unwanted: &mut impl FnMut(&K) -> bool,
        gone: &mut Garbage<K, V>,
    ) -> usize {
        self.core.flights.retain(|key, _| !unwanted(key));
        let before = self.core.count;
        let indexes: Vec<u32> = self.table().indexes().collect();
        for index in indexes {
            // SAFETY: the lock is held, and the index is in the table.
            if unsafe { self.shard.slab.with(index, |entry| unwanted(&entry.key)) } {
                self.take(index);
            }
        }
        self.shrink();
        self.sweep_all(gone);
        before - self.core.count
    }

    /// Forgets what the policy remembers of entries that are gone.
    pub(crate) fn forget(&mut self) {
        self.core.policy.forget();
    }

    pub(crate) fn set_capacity(&mut self, capacity: u64, gone: &mut Garbage<K, V>) {
        self.core.capacity = capacity;
        self.core.policy.set_capacity(capacity);
        self.evict_to(capacity);
        self.shrink();
        self.sweep_all(gone);
    }

    /// Replaces a table that has become eight times too large.
    fn shrink(&mut self) {
        if self.core.count < self.table().entries_max() / 8 {
            self.rebuild(self.core.count);
        }
    }

    fn evict_to(&mut self, limit: u64) {
        while self.core.weight > limit {
            let core = &mut *self.core;
            let index = core.policy.evict(&mut core.nodes, &self.shard.slab);
            let index = index.expect("what weighs is on a list");
            let kind = self.uncount(index);
            self.core.kinds[kind as usize].evictions += 1;
            self.table().remove(self.core.nodes.get(index).hash, index);
            self.retire(index);
        }
    }

    /// Takes an occupied slot off its list and out of the table, into limbo.
    fn take(&mut self, index: u32) {
        self.release(index);
        self.table().remove(self.core.nodes.get(index).hash, index);
        self.retire(index);
    }

    /// Takes an occupied slot off its list and out of the sums.
    fn release(&mut self, index: u32) {
        let core = &mut *self.core;
        core.policy.unlink(&mut core.nodes, index);
        self.uncount(index);
    }

    fn uncount(&mut self, index: u32) -> Kind {
        let kind = self.shard.slab.kind(index);
        let core = &mut *self.core;
        let weight = core.nodes.get(index).weight();
        core.weight -= weight;
        core.count -= 1;
        let stats = &mut core.kinds[kind as usize];
        stats.entries -= 1;
        stats.bytes -= weight;
        kind
    }

    /// Puts a slot that was just taken out of the table into limbo.
    fn retire(&mut self, index: u32) {
        let weight = self.core.nodes.get(index).weight();
        self.core.limbo.add(Dead::Slot(index, weight));
    }

    /// Moves what nobody can see any more from limbo to `gone`.
    fn sweep(&mut self, gone: &mut Garbage<K, V>) {
        if !self.core.limbo.is_empty() {
            self.sweep_beyond(self.core.capacity / 32, gone);
        }
    }

    /// The same, however little is in limbo.
    pub(crate) fn sweep_all(&mut self, gone: &mut Garbage<K, V>) {
        self.sweep_beyond(0, gone);
    }

    fn sweep_beyond(&mut self, bytes_max: u64, gone: &mut Garbage<K, V>) {
        let Core { limbo, free, .. } = &mut *self.core;
        let (readers, slab) = (self.shard.readers, &self.shard.slab);
        limbo.sweep(readers, bytes_max, |dead| match dead {
            Dead::Slot(index, _) => {
                // SAFETY: the lock is held, and limbo has seen every reader of the slot leave.
                let entry = unsafe { slab.vacate(index) };
                gone.0.push((entry.key, entry.value));
                free.push(index);
            }
            // SAFETY: limbo has seen every reader of the table leave.
            Dead::Table(table) => unsafe { table.free() },
        });
    }

    pub(crate) fn flight(&self, key: &K) -> Option<Arc<Flight<V>>> {
        self.core.flights.get(key).map(Arc::clone)
    }

    pub(crate) fn take_off(&mut self, key: &K) -> Arc<Flight<V>> {
        let flight = Arc::new(Flight::new());
        self.core.flights.insert(key.clone(), Arc::clone(&flight));
        flight
    }

    /// Ends a flight; `false` if it was called off meanwhile.
    pub(crate) fn touch_down(&mut self, key: &K, flight: &Arc<Flight<V>>) -> bool {
        let ours = self.flight(key).is_some_and(|found| Arc::ptr_eq(&found, flight));
        if ours {
            self.core.flights.remove(key);
        }
        ours
    }

    /// Makes a load under way land outside the cache: its value is older than what is stored now.
    pub(crate) fn call_off(&mut self, key: &K) {
        if !self.core.flights.is_empty() {
            self.core.flights.remove(key);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.core.count
    }

    pub(crate) fn weight(&self) -> u64 {
        self.core.weight
    }

    /// Weight of entries that left but are not freed yet.
    pub(crate) fn limbo_bytes(&self) -> u64 {
        self.core.limbo.bytes()
    }

    /// Whether readers hold up the freeing of more than an eighth of the capacity.
    pub(crate) fn is_crowded(&self) -> bool {
        self.core.limbo.bytes() > self.core.capacity / 8
    }

    pub(crate) fn pinned_bytes(&self) -> u64 {
        self.core.policy.pinned_bytes()
    }

    pub(crate) fn kinds(&self) -> &[KindStats; Kind::COUNT] {
        &self.core.kinds
    }

    pub(crate) fn memory_usage(&self) -> usize {
        let core = &*self.core;
        self.table().memory_usage()
            + self.shard.slab.memory_usage()
            + core.nodes.memory_usage()
            + core.policy.memory_usage()
            + core.limbo.memory_usage()
            + core.free.capacity() * size_of::<u32>()
    }

    /// Checks the invariants at the head of this file.
    /// # Panics
    /// If one does not hold.
    pub(crate) fn validate(&self) {
        let core = &*self.core;
        let (count, bytes) = core.policy.validate(&core.nodes);
        assert_eq!(count, core.count, "every entry is on a list");
        assert_eq!(bytes, core.weight, "the lists weigh what the shard weighs");
        assert!(core.weight <= core.capacity, "{} over {}", core.weight, core.capacity);
        self.table().validate();
        let mut seen = vec![0_u8; core.made as usize];
        for index in self.table().indexes() {
            assert!(linked(&core.nodes, index), "entry {index} is on a list");
            let hash = core.nodes.get(index).hash;
            let found = self.table().find(hash, |found| (found == index).then_some(found));
            assert_eq!(found, Some(index), "entry {index} is found by its hash");
            seen[index as usize] += 1;
        }
        assert_eq!(
            seen.iter().copied().map(usize::from).sum::<usize>(),
            core.count,
            "the table counts right"
        );
        core.limbo.slots().chain(core.free.iter().copied()).for_each(|i| seen[i as usize] += 1);
        assert!(seen.iter().all(|&n| n == 1), "every slot is occupied, retired or vacant");
        let kinds = core.kinds.iter().fold((0, 0), |(n, b), k| (n + k.entries, b + k.bytes));
        assert_eq!(kinds, (count as u64, bytes), "the kinds add up");
    }
}
