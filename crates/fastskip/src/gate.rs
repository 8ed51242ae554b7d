//! Who may insert: inserts in flight are counted, and a sealed gate lets no new one in.
//!
//! One word a shard: `sealed: 1 bit | inserts in flight: 15 bits | entries: 48 bits`, so that
//! entering tells at once whether the gate is sealed, and leaving counts the new entries.
//!
//! Invariants: 1. after [`Gate::seal`] returns, no insert is in flight and none will be;
//! 2. what an insert wrote before it left is seen by whoever returned from `seal`.

use crate::sync::{AtomicU64, Ordering, Padded, pause};

const SEALED: u64 = 1 << 63;
const ONE_IN_FLIGHT: u64 = 1 << 48;
const IN_FLIGHT: u64 = SEALED - ONE_IN_FLIGHT;
const ENTRIES: u64 = ONE_IN_FLIGHT - 1;

/// The gate of one list.
#[derive(Debug)]
pub(crate) struct Gate {
    lanes: Box<[Padded<Lane>]>,
}

#[derive(Debug)]
struct Lane {
    word: AtomicU64,
    key_bytes: AtomicU64,
    value_bytes: AtomicU64,
}

/// The right to insert; leaves the gate when dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    lane: &'a Lane,
    entries: u64,
}

/// What the list holds: entries, and the bytes of their keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) key_bytes: u64,
    pub(crate) value_bytes: u64,
}

impl Gate {
    pub(crate) fn new(lanes: usize) -> Self {
        let lane = |_| {
            let [word, key_bytes, value_bytes] = [0; 3].map(AtomicU64::new);
            Padded(Lane { word, key_bytes, value_bytes })
        };
        Self { lanes: (0..lanes).map(lane).collect() }
    }

    /// Lets an insert of shard `lane` in, unless the gate is sealed.
    #[inline]
    pub(crate) fn enter(&self, lane: usize) -> Option<Pass<'_>> {
        let lane = &self.lanes[lane].0;
        // ORDERING: AcqRel: one total order with the sealing `fetch_or` of this word: either this
        // reads the bit, or `seal` counts this insert. Acquire pairs with that `fetch_or`.
        let before = lane.word.fetch_add(ONE_IN_FLIGHT, Ordering::AcqRel);
        debug_assert!(before & IN_FLIGHT != IN_FLIGHT, "32767 inserts in flight in one shard");
        let pass = Pass { lane, entries: 0 };
        (before & SEALED == 0).then_some(pass)
    }

    /// Lets no more inserts in, and waits until those in flight have left.
    pub(crate) fn seal(&self) {
        self.close();
        for lane in &self.lanes {
            let mut round = 0;
            // ORDERING: Acquire pairs with the Release of the leaving inserts: their entries are
            // seen by the caller.
            while lane.0.word.load(Ordering::Acquire) & IN_FLIGHT != 0 {
                pause(round);
                round = round.saturating_add(1);
            }
        }
    }

    /// Lets no more inserts in.
    pub(crate) fn close(&self) {
        for lane in &self.lanes {
            // ORDERING: AcqRel: see `enter`.
            lane.0.word.fetch_or(SEALED, Ordering::AcqRel);
        }
    }

    /// Whether the gate was closed.
    pub(crate) fn is_sealed(&self) -> bool {
        // ORDERING: Acquire: who reads the bit sees what the sealing thread did before.
        self.lanes[0].0.word.load(Ordering::Acquire) & SEALED != 0
    }

    /// Exact when no insert is in flight; otherwise those in flight may be missing.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for Padded(lane) in &self.lanes {
            // ORDERING: Acquire pairs with the Release of leaving inserts, so that the bytes of
            // every counted entry are counted; the bytes are sums, Relaxed is enough.
            totals.entries += lane.word.load(Ordering::Acquire) & ENTRIES;
            totals.key_bytes += lane.key_bytes.load(Ordering::Relaxed);
            totals.value_bytes += lane.value_bytes.load(Ordering::Relaxed);
        }
        totals
    }

    /// Number of entries.
    pub(crate) fn entries(&self) -> u64 {
        // ORDERING: Acquire: who counts an entry can find it; pairs with the Release in `drop`.
        let count = |lane: &Padded<Lane>| lane.0.word.load(Ordering::Acquire) & ENTRIES;
        self.lanes.iter().map(count).sum()
    }
}

impl Pass<'_> {
    /// Counts an entry that was inserted.
    #[inline]
    pub(crate) fn count(&mut self, key_bytes: usize, value_bytes: usize) {
        self.entries += 1;

        // ORDERING: Relaxed: sums, published by the Release in `drop`.
        self.lane.key_bytes.fetch_add(key_bytes as u64, Ordering::Relaxed);
        self.lane.value_bytes.fetch_add(value_bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        let change = self.entries.wrapping_sub(ONE_IN_FLIGHT);
        // ORDERING: Release publishes the inserted entries to `seal` and to the counters.
        self.lane.word.fetch_add(change, Ordering::Release);
    }
}
