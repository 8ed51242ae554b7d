//! Who may insert: inserts in flight are counted, and a sealed gate lets no new one in.
//!
//! ```text
//! lane := entered: u64 (its top bit: sealed) | left: u64 | entries, key bytes, value bytes: u64
//! ```
//! An insert is in flight while its lane's `left` is behind its `entered`. A lane belongs to the
//! thread that holds its token, except for the last one, which all others share: the owner enters
//! by one read-modify-write, so that it and a sealing thread cannot miss each other, and leaves by
//! plain stores. (An uncontended read-modify-write costs some 7 ns, and waits for all stores
//! before it: three of six went, a third of an insert in order.)
//!
//! Invariants: 1. after [`Gate::seal`] returns, no insert is in flight and none will be;
//! 2. what an insert wrote before it left is seen by whoever returned from `seal`;
//! 3. at most one thread at a time uses a lane other than the last, and what the one before did
//!    there comes before (see `token`).

use crate::sync::{AtomicU64, Ordering, Padded, pause};

const SEALED: u64 = 1 << 63;

/// The gate of one list.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Owned lanes, and behind them the shared one.
    lanes: Box<[Padded<Lane>]>,
}

#[derive(Debug)]
struct Lane {
    entered: AtomicU64,
    left: AtomicU64,
    entries: AtomicU64,
    key_bytes: AtomicU64,
    value_bytes: AtomicU64,
}

/// Whose a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The calling thread's, alone.
    Caller,
    Shared,
}

/// The right to insert; leaves the gate when dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    lane: &'a Lane,
    owner: Owner,
    added: Totals,
}

/// What the list holds: entries, and the bytes of their keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) key_bytes: u64,
    pub(crate) value_bytes: u64,
}

impl Gate {
    /// A gate where the threads with tokens below `owned_lanes` have lanes of their own.
    pub(crate) fn new(owned_lanes: usize) -> Self {
        let lane = |_| {
            let [entered, left, entries, key_bytes, value_bytes] = [0; 5].map(AtomicU64::new);
            Padded(Lane { entered, left, entries, key_bytes, value_bytes })
        };
        Self { lanes: (0..=owned_lanes).map(lane).collect() }
    }

    /// Lets an insert of the thread that holds `token` in, unless the gate is sealed.
    #[inline]
    pub(crate) fn enter(&self, token: usize) -> Option<Pass<'_>> {
        let shared = self.lanes.len() - 1;
        let owner = if token < shared { Owner::Caller } else { Owner::Shared };
        let lane = &self.lanes[token.min(shared)].0;
        // ORDERING: AcqRel: one total order with the sealing `fetch_or` of this word: either this
        // reads the bit, or `seal` counts this insert. Acquire pairs with that `fetch_or`.
        let before = lane.entered.fetch_add(1, Ordering::AcqRel);
        let pass = Pass { lane, owner, added: Totals::default() };
        (before & SEALED == 0).then_some(pass)
    }

    /// Lets no more inserts in, and waits until those in flight have left.
    pub(crate) fn seal(&self) {
        self.close();
        for Padded(lane) in &self.lanes {
            let mut round = 0;
            while lane.is_in_flight() {
                pause(round);
                round = round.saturating_add(1);
            }
        }
    }

    /// Lets no more inserts in.
    pub(crate) fn close(&self) {
        for Padded(lane) in &self.lanes {
            // ORDERING: AcqRel: see `enter`.
            lane.entered.fetch_or(SEALED, Ordering::AcqRel);
        }
    }

    /// Whether the gate was closed.
    pub(crate) fn is_sealed(&self) -> bool {
        // ORDERING: Acquire: who reads the bit sees what the sealing thread did before.
        self.lanes[0].0.entered.load(Ordering::Acquire) & SEALED != 0
    }

    /// Exact when no insert is in flight; otherwise those in flight may be missing.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for Padded(lane) in &self.lanes {
            totals.entries += lane.entries();
            // ORDERING: Relaxed: the bytes of every counted entry were added before it was counted
            // (see `entries`); the rest are sums.
            totals.key_bytes += lane.key_bytes.load(Ordering::Relaxed);
            totals.value_bytes += lane.value_bytes.load(Ordering::Relaxed);
        }
        totals
    }

    /// Number of entries.
    pub(crate) fn entries(&self) -> u64 {
        self.lanes.iter().map(|Padded(lane)| lane.entries()).sum()
    }
}

impl Lane {
    fn entries(&self) -> u64 {
        // ORDERING: Acquire: who counts an entry can find it; pairs with the Release in `leave`.
        self.entries.load(Ordering::Acquire)
    }

    /// Whether an insert that entered before the lane was closed has not left.
    fn is_in_flight(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of the leaving inserts: their entries are seen
        // by the caller, and `entered`, read behind it, counts them.
        let left = self.left.load(Ordering::Acquire);
        // ORDERING: Relaxed: not older than the `fetch_or` of `close`, which came after every
        // insert that was let in.
        self.entered.load(Ordering::Relaxed) & !SEALED != left
    }

    /// Counts what was added, and that an insert left.
    #[inline]
    fn leave(&self, owner: Owner, added: &Totals) {
        if added.entries > 0 {
            // ORDERING: Relaxed: sums, published by the Release of the entries.
            add(&self.key_bytes, added.key_bytes, owner, Ordering::Relaxed);
            add(&self.value_bytes, added.value_bytes, owner, Ordering::Relaxed);
            // ORDERING: Release publishes the inserted entries to who counts them.
            add(&self.entries, added.entries, owner, Ordering::Release);
        }

        // ORDERING: Release publishes the inserted entries to `seal`.
        add(&self.left, 1, owner, Ordering::Release);
    }
}

/// Adds to a counter: without a read-modify-write if nobody else writes it.
#[inline]
fn add(counter: &AtomicU64, more: u64, owner: Owner, order: Ordering) {
    match owner {
        // ORDERING: Relaxed: our own last store, or one that came before (invariant 3).
        Owner::Caller => counter.store(counter.load(Ordering::Relaxed) + more, order),
        Owner::Shared => {
            counter.fetch_add(more, order);
        }
    }
}

impl Pass<'_> {
    /// Counts an entry that was inserted.
    #[inline]
    pub(crate) fn count(&mut self, key_bytes: usize, value_bytes: usize) {
        self.added.entries += 1;
        self.added.key_bytes += key_bytes as u64;
        self.added.value_bytes += value_bytes as u64;
    }
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lane.leave(self.owner, &self.added);
    }
}
