//! Least recently used, with a protected part for high priority.
//!
//! High-priority entries may fill half of the shard; what they have beyond that moves to the main
//! list as if just used (the scheme of RocksDB's LRU cache). Low-priority entries enter at the cold
//! end. A hit moves its entry to the front, so hits take the shard's lock.

use crate::lists::{List, Nodes, Queue};
use crate::policy::{Priority, pinned_limit};

#[derive(Debug)]
pub(crate) struct Lru {
    main: List,
    high: List,
    pinned: List,
    capacity: u64,
}

impl Lru {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            main: List::new(Queue::Main),
            high: List::new(Queue::First),
            pinned: List::new(Queue::Pinned),
            capacity,
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    pub(crate) fn insert(&mut self, nodes: &mut Nodes, index: u32, priority: Priority) {
        let weight = nodes.get(index).weight();
        match priority {
            Priority::Low => self.main.push_back(nodes, index),
            Priority::Normal => self.main.push_front(nodes, index),
            Priority::Pinned if self.pinned.bytes() + weight <= pinned_limit(self.capacity) => {
                self.pinned.push_front(nodes, index);
            }
            Priority::High | Priority::Pinned => {
                self.high.push_front(nodes, index);
                self.demote(nodes);
            }
        }
    }

    pub(crate) fn touch(&mut self, nodes: &mut Nodes, index: u32) {
        let list = match nodes.get(index).queue() {
            Queue::Main => &mut self.main,
            Queue::First => &mut self.high,
            Queue::Pinned | Queue::None => return,
        };
        list.unlink(nodes, index);
        list.push_front(nodes, index);
    }

    pub(crate) fn unlink(&mut self, nodes: &mut Nodes, index: u32) {
        match nodes.get(index).queue() {
            Queue::Main => self.main.unlink(nodes, index),
            Queue::First => self.high.unlink(nodes, index),
            Queue::Pinned => self.pinned.unlink(nodes, index),
            Queue::None => unreachable!("the entry is on a list"),
        }
    }

    pub(crate) fn evict(&mut self, nodes: &mut Nodes) -> Option<u32> {
        self.demote(nodes);
        let list = [&mut self.main, &mut self.high, &mut self.pinned]
            .into_iter()
            .find(|list| list.back().is_some())?;
        let index = list.back()?;
        list.unlink(nodes, index);
        Some(index)
    }

    fn demote(&mut self, nodes: &mut Nodes) {
        while self.high.bytes() > self.capacity / 2 {
            let Some(index) = self.high.back() else { return };
            self.high.unlink(nodes, index);
            self.main.push_front(nodes, index);
        }
    }

    pub(crate) fn pinned_bytes(&self) -> u64 {
        self.pinned.bytes()
    }

    pub(crate) fn lists(&self) -> [&List; 3] {
        [&self.main, &self.high, &self.pinned]
    }
}
