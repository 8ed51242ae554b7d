//! S3-FIFO: three queues, first in, first out (Yang, Zhang, Qiu, Yue and Vinayak, 2023).
//!
//! A new entry goes on trial in a small queue. At its end, an entry that was hit moves to the main
//! queue; one that was not is evicted and leaves its hash in the ghost set. A new entry found there
//! goes to the main queue at once. The main queue gives an entry another round for every mark it
//! has. A scan passes through the trial queue and leaves the main queue alone.
//!
//! Chosen by measurement (see the hit-ratio bench): the trial queue is a fiftieth of the shard, for
//! which the paper says a tenth, one hit on trial is enough, and the ghost set remembers 1.2 times
//! as many entries as there are. Until the shard is full for the first time, entries go straight to
//! the main queue, so that a loop over more than fits keeps what it found first (as CLOCK-Pro does;
//! Jiang, Chen and Zhang, 2005) in place of nothing.
//!
//! A hit only raises the entry's mark, and only while it is below its limit: no list moves, so no
//! lock is needed.

use crate::ghost::Ghost;
use crate::lists::{List, Nodes, Queue};
use crate::policy::{MARK_MAX, Marks, Priority, pinned_limit};

#[derive(Debug)]
pub(crate) struct S3Fifo {
    trial: List,
    main: List,
    pinned: List,
    ghost: Ghost,
    /// Entries in both queues when the ghost set was last sized.
    ghost_sized_for: u32,
    capacity: u64,
    /// Nothing was evicted yet.
    filling: bool,
}

impl S3Fifo {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            trial: List::new(Queue::First),
            main: List::new(Queue::Main),
            pinned: List::new(Queue::Pinned),
            ghost: Ghost::new(),
            ghost_sized_for: 0,
            capacity,
            filling: true,
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn trial_limit(&self) -> u64 {
        self.capacity / 50
    }

    /// Whether an entry of `weight` goes to the main queue because there is room for all.
    fn has_room(&self, weight: u64) -> bool {
        self.filling && self.main.bytes() + weight <= self.capacity - self.trial_limit()
    }

    pub(crate) fn insert(
        &mut self,
        nodes: &mut Nodes,
        marks: &impl Marks,
        index: u32,
        priority: Priority,
    ) {
        let &node = nodes.get(index);
        marks.set_mark(index, 0);
        match priority {
            Priority::Pinned
                if self.pinned.bytes() + node.weight() <= pinned_limit(self.capacity) =>
            {
                self.pinned.push_front(nodes, index);
            }
            Priority::High | Priority::Pinned => {
                marks.set_mark(index, MARK_MAX);
                self.main.push_front(nodes, index);
            }
            Priority::Low => self.trial.push_back(nodes, index),
            Priority::Normal if self.has_room(node.weight()) || self.ghost.take(node.hash) => {
                self.main.push_front(nodes, index);
            }
            Priority::Normal => self.trial.push_front(nodes, index),
        }
    }

    pub(crate) fn unlink(&mut self, nodes: &mut Nodes, index: u32) {
        match nodes.get(index).queue() {
            Queue::First => self.trial.unlink(nodes, index),
            Queue::Main => self.main.unlink(nodes, index),
            Queue::Pinned => self.pinned.unlink(nodes, index),
            Queue::None => unreachable!("the entry is on a list"),
        }
    }

    pub(crate) fn evict(&mut self, nodes: &mut Nodes, marks: &impl Marks) -> Option<u32> {
        self.filling = false;
        // Readers may go on marking entries while this looks for one without a mark: after as many
        // rounds as marks can last, the entry at the end goes whatever its mark.
        let rounds = u64::from(self.main.count()) * u64::from(MARK_MAX + 1);
        let mut patience = u64::from(self.trial.count()) + rounds;
        loop {
            let tired = patience == 0;
            patience = patience.saturating_sub(1);
            if (self.trial.bytes() > self.trial_limit() || self.main.count() == 0)
                && let Some(index) = self.trial.back()
            {
                self.trial.unlink(nodes, index);
                if marks.mark(index) > 0 && !tired {
                    marks.set_mark(index, 0);
                    self.main.push_front(nodes, index);
                    continue;
                }
                self.remember(nodes.get(index).hash);
                return Some(index);
            }
            let Some(index) = self.main.back() else {
                let index = self.pinned.back()?;
                self.pinned.unlink(nodes, index);
                return Some(index);
            };
            self.main.unlink(nodes, index);
            let mark = marks.mark(index);
            if mark == 0 || tired {
                return Some(index);
            }
            marks.set_mark(index, mark - 1);
            self.main.push_front(nodes, index);
        }
    }

    fn remember(&mut self, hash: u32) {
        let entries = self.trial.count() + self.main.count();
        if entries.abs_diff(self.ghost_sized_for) > self.ghost_sized_for / 8 {
            self.ghost.set_window(entries / 5 * 6);
            self.ghost_sized_for = entries;
        }
        self.ghost.add(hash);
    }

    pub(crate) fn forget(&mut self) {
        self.ghost.clear();
        self.filling = self.trial.count() + self.main.count() == 0;
    }

    pub(crate) fn pinned_bytes(&self) -> u64 {
        self.pinned.bytes()
    }

    pub(crate) fn memory_usage(&self) -> usize {
        self.ghost.memory_usage()
    }

    pub(crate) fn lists(&self) -> [&List; 3] {
        [&self.trial, &self.main, &self.pinned]
    }
}
