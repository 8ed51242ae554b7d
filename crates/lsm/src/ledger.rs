//! [`Ledger`]: who holds how much of the database's memory, account by account, as it changes.
//!
//! 1. An account changes when something large comes or goes: a memtable has grown by a sixteenth of
//!    the write buffer, a table is opened, a job begins, a cursor reads further ahead. No single
//!    put, get or step of a scan touches a line of it.
//! 2. What was charged is given back when its [`Charge`] is dropped, wherever its owner ends: a
//!    memtable that an iterator keeps alive after its flush is on the books until the iterator
//!    goes.
//! 3. A job reserves what it may need before it begins, and takes less if there is less: smaller
//!    read-ahead first, then fewer parts. If nothing runs, a job begins with the least it can do
//!    with, whatever the books say: so work never stops for want of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use sstable::Allowance;

/// Bytes that a merge reads ahead in each run at least.
const READ_AHEAD_BYTES_MIN: usize = 16 << 10;

/// What memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// Memtables that take writes.
    Active,
    /// Memtables that wait for their flush.
    Sealed,
    /// Memtables that were flushed, and that somebody still reads.
    Kept,
    /// Filters, indexes and books of open tables, those among them that only readers keep.
    Tables,
    /// What running jobs have reserved.
    Jobs,
}

/// An account on a line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// The accounts of a database.
#[derive(Debug)]
pub(crate) struct Ledger {
    accounts: [Line; 5],
    /// Bytes given back since [`Ledger::take_released`].
    released: AtomicU64,
    /// The most that the cache has held since it was last emptied.
    cache_most: AtomicU64,
    /// What all jobs together may reserve.
    job_room: AtomicU64,
    /// Merges under way.
    merges: Mutex<usize>,
    /// A merge was refused, and none has ended since.
    starved: AtomicBool,
    /// What iterators and cursors hold beside the cache.
    pub(crate) iterators: Arc<Allowance>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            accounts: Default::default(),
            released: AtomicU64::new(0),
            cache_most: AtomicU64::new(0),
            job_room: AtomicU64::new(u64::MAX),
            merges: Mutex::new(0),
            starved: AtomicBool::new(false),
            iterators: Arc::new(Allowance::new(u64::MAX)),
        }
    }
}

impl Ledger {
    /// Bytes on an account.
    pub(crate) fn held(&self, account: Account) -> u64 {
        // ORDERING: Relaxed, here and below; numbers that steer, and publish nothing.
        self.accounts[account as usize].0.load(Ordering::Relaxed)
    }

    fn add(&self, account: Account, bytes: u64) {
        // ORDERING: Relaxed; as for `held`.
        self.accounts[account as usize].0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take_off(&self, account: Account, bytes: u64) {
        // ORDERING: Relaxed; as for `held`.
        self.accounts[account as usize].0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes note of memory that went back to the allocator.
    pub(crate) fn note_released(&self, bytes: u64) {
        // ORDERING: Relaxed; as for `held`.
        self.released.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether `bytes` at least were given back since this last said so.
    pub(crate) fn take_released(&self, bytes: u64) -> bool {
        // ORDERING: Relaxed, both; as for `held`.
        let enough = self.released.load(Ordering::Relaxed) >= bytes;
        enough && self.released.swap(0, Ordering::Relaxed) >= bytes
    }

    /// The most that the cache has held since it was last emptied, now that it holds `bytes`.
    pub(crate) fn cache_most(&self, bytes: u64) -> u64 {
        // ORDERING: Relaxed; as for `held`.
        self.cache_most.fetch_max(bytes, Ordering::Relaxed).max(bytes)
    }

    /// Takes note that the cache was emptied.
    pub(crate) fn forget_cache_most(&self) {
        // ORDERING: Relaxed; as for `held`.
        self.cache_most.store(0, Ordering::Relaxed);
    }

    /// Lets jobs reserve `bytes` altogether.
    pub(crate) fn set_job_room(&self, bytes: u64) {
        // ORDERING: Relaxed; as for `held`.
        self.job_room.store(bytes, Ordering::Relaxed);
    }

    /// Whether a merge was refused, so that another must end first.
    pub(crate) fn is_starved(&self) -> bool {
        // ORDERING: Relaxed; a hint, `reserve` decides under its lock.
        self.starved.load(Ordering::Relaxed)
    }

    /// Reserves what a merge asks for, or less; nothing if there is not even the least, and other
    /// merges run, unless it `must` begin.
    pub(crate) fn reserve(self: &Arc<Self>, ask: &Ask, urgency: Urgency) -> Option<Grant> {
        let mut merges = self.merges.lock();
        // ORDERING: Relaxed; as for `held`.
        let room = self.job_room.load(Ordering::Relaxed).saturating_sub(self.held(Account::Jobs));
        let (parts, read_ahead_bytes) = match ask.fitted(room) {
            Some(fitted) => fitted,
            None if *merges == 0 || urgency == Urgency::MustBegin => (1, READ_AHEAD_BYTES_MIN),
            None => {
                // ORDERING: Relaxed; read under no lock as a hint, cleared under this one.
                self.starved.store(true, Ordering::Relaxed);
                return None;
            }
        };
        *merges += 1;
        let charge = Charge::new(self, Account::Jobs, ask.bytes(parts, read_ahead_bytes));
        Some(Grant { charge, ask: *ask, parts, read_ahead_bytes })
    }
}

/// Whether a merge may be put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    MayWait,
    /// Somebody waits for this very merge.
    MustBegin,
}

/// What a merge would like to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    /// Parts that are merged side by side.
    pub(crate) parts: usize,
    /// Runs that each part reads.
    pub(crate) runs: usize,
    /// Bytes for each run beside its read-ahead: the block it stands on, and the one to come.
    pub(crate) run_bytes: u64,
    /// Bytes for what each part writes: a buffer, and a table's index and filter in the making.
    pub(crate) output_bytes: u64,
    /// Bytes to read ahead in each run.
    pub(crate) read_ahead_bytes: usize,
}

impl Ask {
    fn bytes(&self, parts: usize, read_ahead_bytes: usize) -> u64 {
        let run_bytes = self.run_bytes + read_ahead_bytes as u64;
        parts as u64 * (self.runs as u64 * run_bytes + self.output_bytes)
    }

    /// The most parts, and the longest read-ahead for them, that fit into `room`.
    fn fitted(&self, room: u64) -> Option<(usize, usize)> {
        (1..=self.parts.max(1)).rev().find_map(|parts| {
            let halves = (0..32).map(|halvings| self.read_ahead_bytes >> halvings);
            let mut tried = halves.take_while(|&ahead| ahead >= READ_AHEAD_BYTES_MIN);
            tried.find(|&ahead| self.bytes(parts, ahead) <= room).map(|ahead| (parts, ahead))
        })
    }
}

/// What a merge may use, until it is dropped.
#[derive(Debug)]
pub(crate) struct Grant {
    charge: Charge,
    ask: Ask,
    pub(crate) parts: usize,
    pub(crate) read_ahead_bytes: usize,
}

impl Grant {
    /// Gives back what more than `parts` parts would have taken.
    pub(crate) fn use_parts(&self, parts: usize) {
        let bytes = self.ask.bytes(parts.min(self.parts), self.read_ahead_bytes);
        self.charge.set(Account::Jobs, bytes);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.charge.set(Account::Jobs, 0);
        let ledger = &self.charge.ledger;
        let mut merges = ledger.merges.lock();
        *merges -= 1;
        // ORDERING: Relaxed; see `reserve`.
        ledger.starved.store(false, Ordering::Relaxed);
    }
}

/// Bytes on an account, until it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    ledger: Arc<Ledger>,
    place: Mutex<(Account, u64)>,
}

impl Charge {
    pub(crate) fn new(ledger: &Arc<Ledger>, account: Account, bytes: u64) -> Self {
        ledger.add(account, bytes);
        Self { ledger: Arc::clone(ledger), place: Mutex::new((account, bytes)) }
    }

    /// What iterators of the same database are charged to.
    pub(crate) fn allowance(&self) -> &Arc<Allowance> {
        &self.ledger.iterators
    }

    /// Makes it `bytes`, on `account`.
    pub(crate) fn set(&self, account: Account, bytes: u64) {
        let mut place = self.place.lock();
        let before = std::mem::replace(&mut *place, (account, bytes));
        if before != *place {
            self.ledger.add(account, bytes);
            self.ledger.take_off(before.0, before.1);
            self.ledger.note_released(before.1.saturating_sub(bytes));
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let (account, bytes) = *self.place.get_mut();
        self.ledger.take_off(account, bytes);
        self.ledger.note_released(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(parts: usize, runs: usize) -> Ask {
        let (run_bytes, output_bytes) = (8 << 10, 512 << 10);
        Ask { parts, runs, run_bytes, output_bytes, read_ahead_bytes: 128 << 10 }
    }

    #[test]
    fn charges_move_and_go() {
        let ledger = Arc::new(Ledger::default());
        let held = |account| ledger.held(account);
        let charge = Charge::new(&ledger, Account::Active, 100);
        let other = Charge::new(&ledger, Account::Active, 7);
        charge.set(Account::Active, 150);
        assert_eq!((held(Account::Active), held(Account::Sealed)), (157, 0));
        charge.set(Account::Sealed, 160);
        assert_eq!((held(Account::Active), held(Account::Sealed)), (7, 160));
        charge.set(Account::Sealed, 60);
        drop(other);
        assert_eq!((held(Account::Active), held(Account::Sealed)), (0, 60));
        drop(charge);
        assert_eq!(held(Account::Sealed), 0);
        assert!(!ledger.take_released(168), "100, 7 and 60; a move gives nothing back");
        assert!(ledger.take_released(167) && !ledger.take_released(1));
    }

    #[test]
    fn a_merge_takes_less_where_there_is_less() {
        let ledger = Arc::new(Ledger::default());
        let whole = ledger.reserve(&ask(2, 10), Urgency::MayWait).unwrap();
        assert_eq!((whole.parts, whole.read_ahead_bytes), (2, 128 << 10));
        let bytes = ledger.held(Account::Jobs);
        assert_eq!(bytes, 2 * (10 * (136 << 10) + (512 << 10)));
        whole.use_parts(1);
        assert_eq!(ledger.held(Account::Jobs), bytes / 2);
        drop(whole);
        assert_eq!(ledger.held(Account::Jobs), 0);

        ledger.set_job_room(bytes - 1);
        let less = ledger.reserve(&ask(2, 10), Urgency::MayWait).unwrap();
        assert_eq!((less.parts, less.read_ahead_bytes), (2, 64 << 10), "read-ahead first");
        drop(less);
        ledger.set_job_room(1 << 20);
        let least = ledger.reserve(&ask(2, 10), Urgency::MayWait).unwrap();
        assert_eq!((least.parts, least.read_ahead_bytes), (1, 32 << 10), "then parts");
    }

    #[test]
    fn one_merge_always_begins_and_the_others_wait_for_it() {
        let ledger = Arc::new(Ledger::default());
        ledger.set_job_room(0);
        let first = ledger.reserve(&ask(2, 10), Urgency::MayWait).unwrap();
        assert_eq!((first.parts, first.read_ahead_bytes), (1, READ_AHEAD_BYTES_MIN));
        assert!(!ledger.is_starved());
        assert!(ledger.reserve(&ask(1, 1), Urgency::MayWait).is_none());
        assert!(ledger.is_starved());
        assert!(ledger.reserve(&ask(1, 1), Urgency::MustBegin).is_some());
        assert!(!ledger.is_starved(), "one has ended");
        assert!(ledger.reserve(&ask(1, 1), Urgency::MayWait).is_none());
        drop(first);
        assert!(!ledger.is_starved());
        assert!(ledger.reserve(&ask(1, 1), Urgency::MayWait).is_some());
    }
}
