//! Hits and misses, counted by each thread on a cache line of its own.

use crate::policy::Kind;
use crate::readers::Seat;
use crate::stats::KindStats;
use crate::sync::{AtomicU64, Ordering};

/// Lines; the last is shared by all threads that have no line of their own.
const LINES: usize = if cfg!(loom) { 2 } else { 64 };

/// One thread's counts: hits by kind, then misses by kind.
#[derive(Debug)]
#[repr(align(128))]
struct Line {
    counts: [AtomicU64; 2 * Kind::COUNT],
}

#[derive(Debug)]
pub(crate) struct Counters {
    lines: Box<[Line; LINES]>,
}

impl Counters {
    pub(crate) fn new() -> Self {
        let line = || Line { counts: std::array::from_fn(|_| AtomicU64::new(0)) };
        Self { lines: Box::new(std::array::from_fn(|_| line())) }
    }

    #[inline]
    pub(crate) fn hit(&self, seat: Option<&Seat>, kind: Kind) {
        self.add(seat, kind as usize);
    }

    #[inline]
    pub(crate) fn miss(&self, seat: Option<&Seat>, kind: Kind) {
        self.add(seat, Kind::COUNT + kind as usize);
    }

    #[inline]
    fn add(&self, seat: Option<&Seat>, which: usize) {
        match seat {
            Some(seat) if seat.rank() < LINES - 1 => {
                let count = &self.lines[seat.rank()].counts[which];
                // ORDERING: Relaxed, only this thread writes its line; a seat changes hands under
                // a lock. Counters guard nothing.
                count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
            _ => {
                // ORDERING: Relaxed, counters guard nothing.
                self.lines[LINES - 1].counts[which].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Adds the sums to `kinds`.
    pub(crate) fn add_to(&self, kinds: &mut [KindStats; Kind::COUNT]) {
        for line in &*self.lines {
            for (kind, stats) in kinds.iter_mut().enumerate() {
                // ORDERING: Relaxed, counters guard nothing.
                stats.hits += line.counts[kind].load(Ordering::Relaxed);
                // ORDERING: Relaxed, as above.
                stats.misses += line.counts[Kind::COUNT + kind].load(Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn memory_usage(&self) -> usize {
        size_of_val(&*self.lines)
    }
}
