//! Threads that compress beside the one that writes a table.
//!
//! 1. Bodies change hands in groups of [`GROUP_BYTES`]: handing a single block over would cost more
//!    than compressing it. A group's memory goes round: filled, packed, written, filled again.
//! 2. Groups are written in the order in which they were filled, whoever packed them.
//! 3. The writer never waits while there is a group nobody has begun: it packs that one itself.
//! 4. At most [`GROUPS_PER_THREAD`] groups a thread are under way, and twice as many are not
//!    written yet: the bound of what is held in memory.
//! 5. A thread starts when a group is handed over and all others have one: a table of a group or
//!    two starts none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::block::Form;
use crate::codec::{Codec, Coding};
use crate::error::Result;
use crate::options::WriteOptions;
use crate::pack::{Packer, Raw, Ready};

/// Bytes of bodies that are handed over at once.
const GROUP_BYTES: usize = 128 << 10;
/// Groups under way for each thread, the one it packs included.
const GROUPS_PER_THREAD: usize = 2;

/// Bodies of some blocks, end to end, and what is to be stored of them.
#[derive(Debug, Default)]
struct Group {
    number: u64,
    bodies: Vec<u8>,
    packed: Vec<u8>,
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    entries: u16,
    coding: Coding,
    body_bytes: usize,
    /// As asked for, and as it came to be.
    form: Form,
    /// What follows is known once it is packed.
    codec: Codec,
    original_bytes: usize,
    packed_bytes: usize,
}

impl Group {
    fn push(&mut self, Raw { body, entries, coding, form }: Raw<'_>) {
        self.bodies.extend_from_slice(body);
        let (codec, original_bytes, packed_bytes) = (Codec::None, 0, 0);
        let body_bytes = body.len();
        self.blocks.push(Block {
            entries,
            coding,
            body_bytes,
            form,
            codec,
            original_bytes,
            packed_bytes,
        });
    }

    fn pack(&mut self, packer: &mut Packer) {
        let mut rest = self.bodies.as_slice();
        for block in &mut self.blocks {
            let (body, tail) = rest.split_at(block.body_bytes);
            rest = tail;
            let Block { entries, coding, form, .. } = *block;
            let ready = packer.pack(Raw { body, entries, coding, form });
            self.packed.extend_from_slice(ready.body);
            block.packed_bytes = ready.body.len();
            (block.codec, block.form) = (ready.codec, ready.form);
            block.original_bytes = ready.original_bytes;
        }
    }

    fn write(&self, write: &mut impl FnMut(Ready<'_>) -> Result<()>) -> Result<()> {
        let mut rest = self.packed.as_slice();
        for block in &self.blocks {
            let (body, tail) = rest.split_at(block.packed_bytes);
            rest = tail;
            let Block { entries, codec, form, original_bytes, .. } = *block;
            write(Ready { body, entries, codec, form, original_bytes })?;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.bodies.clear();
        self.packed.clear();
        self.blocks.clear();
    }
}

/// Groups that nobody has begun.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    groups: VecDeque<Group>,
    closed: bool,
}

impl Queue {
    /// Changes the queue and wakes one thread, or all if it was closed.
    fn change(&self, change: impl FnOnce(&mut QueueState)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if state.closed {
            self.changed.notify_all();
        } else {
            self.changed.notify_one();
        }
    }

    /// Takes a group, if there is one.
    fn try_take(&self) -> Option<Group> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).groups.pop_front()
    }

    /// Waits for a group; `None` once the queue is closed.
    fn take(&self) -> Option<Group> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.closed {
                return None;
            }
            if let Some(group) = state.groups.pop_front() {
                return Some(group);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Threads that compress; they end when the pool is dropped.
#[derive(Debug)]
pub(crate) struct Pool {
    options: WriteOptions,
    dictionary: Arc<[u8]>,
    threads: Vec<JoinHandle<()>>,
    threads_max: usize,
    filling: Group,
    queue: Arc<Queue>,
    /// `None` from a thread that panicked.
    packed: Receiver<Option<Group>>,
    packed_sender: Sender<Option<Group>>,
    /// Number of the group that is being filled, and of the one to be written next.
    next_in: u64,
    next_out: u64,
    /// Groups in the queue or with a thread.
    under_way: usize,
    /// What was packed before its turn.
    early: BTreeMap<u64, Group>,
    spare: Vec<Group>,
    waiting_bytes: usize,
}

impl Pool {
    pub(crate) fn new(options: &WriteOptions, dictionary: &Arc<[u8]>) -> Self {
        let (packed_sender, packed) = mpsc::channel();
        Self {
            options: options.clone(),
            dictionary: Arc::clone(dictionary),
            threads: Vec::new(),
            threads_max: options.compression_threads,
            filling: Group::default(),
            queue: Arc::default(),
            packed,
            packed_sender,
            next_in: 0,
            next_out: 0,
            under_way: 0,
            early: BTreeMap::new(),
            spare: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Body bytes that went in and did not come out yet.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes a body in; calls `write` for each that is ready, in order.
    pub(crate) fn submit(
        &mut self,
        raw: Raw<'_>,
        packer: &mut Packer,
        write: &mut impl FnMut(Ready<'_>) -> Result<()>,
    ) -> Result<()> {
        self.filling.push(raw);
        self.waiting_bytes += raw.body.len();
        if self.filling.bodies.len() < GROUP_BYTES {
            return Ok(());
        }
        if self.next_in == 0 {
            let group = self.take_filled();
            self.pack_here(group, packer);
        } else {
            self.hand_over();
        }
        while let Ok(group) = self.packed.try_recv() {
            self.accept(group);
        }
        self.settle(self.threads_max * GROUPS_PER_THREAD, packer);
        self.release(write)
    }

    /// Calls `write` for all that is still under way, in order.
    pub(crate) fn drain(
        &mut self,
        packer: &mut Packer,
        write: &mut impl FnMut(Ready<'_>) -> Result<()>,
    ) -> Result<()> {
        if !self.filling.blocks.is_empty() {
            let group = self.take_filled();
            self.pack_here(group, packer);
        }
        self.settle(0, packer);
        self.release(write)
    }

    fn take_filled(&mut self) -> Group {
        let next = self.spare.pop().unwrap_or_default();
        let mut group = std::mem::replace(&mut self.filling, next);
        group.number = self.next_in;
        self.next_in += 1;
        group
    }

    fn hand_over(&mut self) {
        let group = self.take_filled();
        if self.under_way >= self.threads.len() && self.threads.len() < self.threads_max {
            self.start_thread();
        }
        self.under_way += 1;
        self.queue.change(|state| state.groups.push_back(group));
    }

    /// Starts one more thread; without it the writer does more itself.
    fn start_thread(&mut self) {
        let packer = Packer::new(&self.options, &self.dictionary);
        let (queue, sender) = (Arc::clone(&self.queue), Sender::clone(&self.packed_sender));
        let work = move || pack_all(&queue, packer, &Farewell(sender));
        match std::thread::Builder::new().name("sstable-pack".into()).spawn(work) {
            Ok(thread) => self.threads.push(thread),
            Err(_no_more_threads) => self.threads_max = self.threads.len(),
        }
    }

    fn pack_here(&mut self, mut group: Group, packer: &mut Packer) {
        group.pack(packer);
        self.early.insert(group.number, group);
    }

    fn accept(&mut self, group: Option<Group>) {
        let group = group.expect("compression threads do not panic");
        self.under_way -= 1;
        self.early.insert(group.number, group);
    }

    /// Packs or waits until no more than `limit` groups are under way, and no more than twice as
    /// many are not written yet.
    fn settle(&mut self, limit: usize, packer: &mut Packer) {
        while self.under_way > limit || self.under_way > 0 && self.unwritten() > 2 * limit {
            if let Some(group) = self.queue.try_take() {
                self.under_way -= 1;
                self.pack_here(group, packer);
            } else {
                let group = self.packed.recv().expect("the pool holds a sender");
                self.accept(group);
            }
        }
    }

    /// Groups from the one to be written next on.
    fn unwritten(&self) -> usize {
        usize::try_from(self.next_in - self.next_out).unwrap_or(usize::MAX)
    }

    fn release(&mut self, write: &mut impl FnMut(Ready<'_>) -> Result<()>) -> Result<()> {
        while let Some(mut group) = self.early.remove(&self.next_out) {
            group.write(write)?;
            self.next_out += 1;
            self.waiting_bytes -= group.bodies.len();
            group.clear();
            self.spare.push(group);
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.change(|state| state.closed = true);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            drop(thread.join());
        }
    }
}

/// Where a thread sends what it packed; tells of its panic, so that nobody waits for it.
struct Farewell(Sender<Option<Group>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The pool may be gone: then nobody waits.
            drop(self.0.send(None));
        }
    }
}

fn pack_all(queue: &Queue, mut packer: Packer, packed: &Farewell) {
    while let Some(mut group) = queue.take() {
        group.pack(&mut packer);
        if packed.0.send(Some(group)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(blocks: usize, block_bytes: usize, threads: usize) -> Pool {
        let options = WriteOptions { compression_threads: threads, ..WriteOptions::default() };
        let (mut pool, mut packer) =
            (Pool::new(&options, &Arc::default()), Packer::new(&options, &Arc::default()));
        let coding = Coding::new(Codec::Delta);
        let body = |rank: usize| vec![u8::try_from(rank % 256).unwrap(); block_bytes + rank % 7];
        let mut next = 0;
        let mut write = |ready: Ready<'_>| {
            let raw = Raw { body: &body(next), entries: 1, coding, form: Form::Apart };
            let mut alone = Packer::new(&options, &Arc::default());
            let expected = alone.pack(raw);
            assert_eq!((ready.body, ready.codec), (expected.body, expected.codec), "block {next}");
            assert_eq!(ready.original_bytes, body(next).len());
            next += 1;
            Ok(())
        };
        for rank in 0..blocks {
            let raw = Raw { body: &body(rank), entries: 1, coding, form: Form::Apart };
            pool.submit(raw, &mut packer, &mut write).unwrap();
            assert!(pool.under_way <= threads * GROUPS_PER_THREAD);
            assert!(pool.unwritten() <= 2 * threads * GROUPS_PER_THREAD);
        }
        pool.drain(&mut packer, &mut write).unwrap();
        assert_eq!((next, pool.waiting_bytes(), pool.under_way), (blocks, 0, 0));
        pool
    }

    #[test]
    fn blocks_come_out_in_order_and_memory_is_bounded() {
        for threads in [1, 2, 5] {
            let pool = rounds(800, 5000, threads);
            assert!((1..=threads).contains(&pool.threads.len()));
            assert!(pool.spare.len() <= 2 * threads * GROUPS_PER_THREAD + 1);
        }
    }

    #[test]
    fn a_small_table_starts_no_thread() {
        assert!(rounds(0, 5000, 4).threads.is_empty());
        // 27 blocks make a group.
        assert!(rounds(53, 5000, 4).threads.is_empty());
        assert_eq!(rounds(54, 5000, 4).threads.len(), 1);
    }

    /// A body alone may be larger than a group.
    #[test]
    fn large_bodies_are_groups_of_their_own() {
        assert!(!rounds(40, 3 * GROUP_BYTES, 2).threads.is_empty());
    }

    #[test]
    #[should_panic(expected = "compression threads do not panic")]
    fn the_writer_does_not_wait_for_a_thread_that_panicked() {
        let options = WriteOptions { compression_threads: 1, ..WriteOptions::default() };
        let mut pool = Pool::new(&options, &Arc::default());
        let sender = Sender::clone(&pool.packed_sender);
        let thread = std::thread::spawn(move || {
            let _farewell = Farewell(sender);
            panic!("as planned");
        });
        assert!(thread.join().is_err());
        pool.under_way = 1;
        pool.settle(0, &mut Packer::new(&options, &Arc::default()));
    }
}
