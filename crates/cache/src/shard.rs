//! One shard: a map from keys to slots, the policy's lists, and the loads under way, behind a lock.
//!
//! 1. A key is in the map exactly when its slot is occupied and its node is on a list.
//! 2. `weight` is the sum of the weights of occupied slots and never exceeds `capacity`.
//! 3. Values are dropped after the lock is released: their destructors may call the cache.

use crate::flight::Flight;
use crate::hash::Seeds;
use crate::lists::Nodes;
use crate::options;
use crate::policy::{Kind, Label, Marks, Policy, linked};
use crate::stats::KindStats;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// An entry.
#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    kind: Kind,
    /// Milliseconds on the cache's clock; `u64::MAX` for ever.
    deadline_ms: u64,
}

#[derive(Debug, Default)]
struct MarkVec(Vec<AtomicU8>);

impl Marks for MarkVec {
    fn mark(&self, index: u32) -> u8 {
        // ORDERING: Relaxed, a mark is a hint and guards nothing.
        self.0[index as usize].load(Ordering::Relaxed)
    }

    fn set_mark(&self, index: u32, mark: u8) {
        // ORDERING: Relaxed, as above.
        self.0[index as usize].store(mark, Ordering::Relaxed);
    }
}

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

/// The contents of a shard.
#[derive(Debug)]
pub(crate) struct Shard<K, V> {
    map: HashMap<K, u32, Seeds>,
    slots: Vec<Option<Slot<K, V>>>,
    free: Vec<u32>,
    marks: MarkVec,
    nodes: Nodes,
    policy: Policy,
    capacity: u64,
    weight: u64,
    flights: HashMap<K, Arc<Flight<V>>, Seeds>,
    pub(crate) kinds: [KindStats; Kind::COUNT],
}

impl<K: Hash + Eq + Clone, V: Clone> Shard<K, V> {
    pub(crate) fn new(policy: options::Policy, capacity: u64, seeds: &Seeds) -> Self {
        Self {
            map: HashMap::with_hasher(seeds.clone()),
            slots: Vec::new(),
            free: Vec::new(),
            marks: MarkVec::default(),
            nodes: Nodes::default(),
            policy: Policy::new(policy, capacity),
            capacity,
            weight: 0,
            flights: HashMap::with_hasher(seeds.clone()),
            kinds: [KindStats::default(); Kind::COUNT],
        }
    }

    /// Finds `key`, notes the hit, and drops the entry instead if its time is over.
    pub(crate) fn get(&mut self, key: &K, now_ms: u64, gone: &mut Garbage<K, V>) -> Option<V> {
        let &index = self.map.get(key)?;
        let slot = self.slots[index as usize].as_ref()?;
        if slot.deadline_ms <= now_ms {
            self.take(index, gone);
            return None;
        }
        self.kinds[slot.kind as usize].hits += 1;
        self.policy.touch(&mut self.nodes, &self.marks, index);
        Some(slot.value.clone())
    }

    /// Stores an entry in place of any other of its key. `false` if it is larger than the shard.
    pub(crate) fn insert(&mut self, new: New<K, V>, gone: &mut Garbage<K, V>) -> bool {
        if let Some(&index) = self.map.get(&new.key) {
            self.take(index, gone);
        }
        let kind = new.label.kind;
        let weight = match u32::try_from(new.weight) {
            Ok(weight) if u64::from(weight) <= self.capacity => weight,
            _ => {
                self.kinds[kind as usize].rejected += 1;
                gone.0.push((new.key, new.value));
                return false;
            }
        };
        self.evict_to(self.capacity - u64::from(weight), gone);
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.marks.0.push(AtomicU8::new(0));
            u32::try_from(self.slots.len() - 1).expect("fewer than four thousand million entries")
        });
        #[expect(clippy::cast_possible_truncation, reason = "32 bits are kept")]
        self.nodes.reset(index, weight, new.hash as u32);
        self.policy.insert(&mut self.nodes, &self.marks, index, new.label.priority);
        self.weight += u64::from(weight);
        let stats = &mut self.kinds[kind as usize];
        stats.inserts += 1;
        stats.entries += 1;
        stats.bytes += u64::from(weight);
        self.map.insert(new.key.clone(), index);
        self.slots[index as usize] =
            Some(Slot { key: new.key, value: new.value, kind, deadline_ms: new.deadline_ms });
        true
    }

    pub(crate) fn remove(&mut self, key: &K, gone: &mut Garbage<K, V>) -> Option<V> {
        self.flights.remove(key);
        let &index = self.map.get(key)?;
        let value = self.slots[index as usize].as_ref().map(|slot| slot.value.clone());
        self.take(index, gone);
        value
    }

    /// Removes every entry, and calls off every load, whose key `unwanted` names.
    pub(crate) fn remove_if(
        &mut self,
        unwanted: &mut impl FnMut(&K) -> bool,
        gone: &mut Garbage<K, V>,
    ) -> usize {
        self.flights.retain(|key, _| !unwanted(key));
        let before = self.map.len();
        for at in 0..self.slots.len() {
            if self.slots[at].as_ref().is_some_and(|slot| unwanted(&slot.key)) {
                #[expect(clippy::cast_possible_truncation, reason = "slots are numbered in u32")]
                self.take(at as u32, gone);
            }
        }
        before - self.map.len()
    }

    /// Forgets what the policy remembers of entries that are gone.
    pub(crate) fn forget(&mut self) {
        self.policy.forget();
    }

    pub(crate) fn set_capacity(&mut self, capacity: u64, gone: &mut Garbage<K, V>) {
        self.capacity = capacity;
        self.policy.set_capacity(capacity);
        self.evict_to(capacity, gone);
    }

    fn evict_to(&mut self, limit: u64, gone: &mut Garbage<K, V>) {
        while self.weight > limit {
            let index = self.policy.evict(&mut self.nodes, &self.marks);
            let index = index.expect("what weighs is on a list");
            let kind = self.vacate(index, gone);
            self.kinds[kind as usize].evictions += 1;
        }
    }

    fn take(&mut self, index: u32, gone: &mut Garbage<K, V>) {
        self.policy.unlink(&mut self.nodes, index);
        self.vacate(index, gone);
    }

    /// Empties a slot that is on no list any more.
    fn vacate(&mut self, index: u32, gone: &mut Garbage<K, V>) -> Kind {
        let slot = self.slots[index as usize].take().expect("the slot is occupied");
        self.map.remove(&slot.key);
        let weight = u64::from(self.nodes.get(index).weight);
        self.weight -= weight;
        let stats = &mut self.kinds[slot.kind as usize];
        stats.entries -= 1;
        stats.bytes -= weight;
        self.free.push(index);
        gone.0.push((slot.key, slot.value));
        slot.kind
    }

    pub(crate) fn flight(&self, key: &K) -> Option<Arc<Flight<V>>> {
        self.flights.get(key).map(Arc::clone)
    }

    pub(crate) fn take_off(&mut self, key: &K) -> Arc<Flight<V>> {
        let flight = Arc::new(Flight::new());
        self.flights.insert(key.clone(), Arc::clone(&flight));
        flight
    }

    /// Ends a flight; `false` if it was called off meanwhile.
    pub(crate) fn touch_down(&mut self, key: &K, flight: &Arc<Flight<V>>) -> bool {
        let ours = self.flights.get(key).is_some_and(|found| Arc::ptr_eq(found, flight));
        if ours {
            self.flights.remove(key);
        }
        ours
    }

    /// Makes a load under way land outside the cache: its value is older than what is stored now.
    pub(crate) fn call_off(&mut self, key: &K) {
        self.flights.remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    pub(crate) fn pinned_bytes(&self) -> u64 {
        self.policy.pinned_bytes()
    }

    pub(crate) fn memory_usage(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Slot<K, V>>>()
            + self.free.capacity() * size_of::<u32>()
            + self.marks.0.capacity()
            + self.nodes.memory_usage()
            + self.policy.memory_usage()
            + self.map.capacity() * (size_of::<(K, u32)>() + 1)
    }

    /// Checks the invariants at the head of this file.
    /// # Panics
    /// If one does not hold.
    pub(crate) fn validate(&self) {
        let (count, bytes) = self.policy.validate(&self.nodes);
        assert_eq!(count, self.map.len(), "every entry is on a list");
        assert_eq!(bytes, self.weight, "the lists weigh what the shard weighs");
        assert!(self.weight <= self.capacity, "{} over {}", self.weight, self.capacity);
        let occupied = self.slots.iter().filter(|slot| slot.is_some()).count();
        assert_eq!(occupied, self.map.len(), "every occupied slot is in the map");
        assert_eq!(self.slots.len() - occupied, self.free.len(), "every other slot is free");
        for (key, &index) in &self.map {
            let slot = self.slots[index as usize].as_ref().expect("the map names occupied slots");
            assert!(slot.key == *key, "the map and the slot agree on the key");
            assert!(linked(&self.nodes, index), "entry {index} is on a list");
        }
        let kinds = self.kinds.iter().fold((0, 0), |(n, b), k| (n + k.entries, b + k.bytes));
        assert_eq!(kinds, (count as u64, bytes), "the kinds add up");
    }
}
