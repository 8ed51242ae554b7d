//! Who is reading: so that what was unlinked is freed only when nobody can still see it.
//!
//! Every thread has a seat with a counter that only it advances: odd while the thread is inside a
//! read, even while it is not. A writer unlinks, then looks at every seat once. A seat that is even
//! will not see what was unlinked; one that is odd blocks the free until its counter moves on. This
//! is epoch-based reclamation (Fraser, 2004) without the global epoch: the counters are local, so a
//! read writes to no shared line.
//!
//! 1. A seat belongs to one thread at a time; only that thread changes the counter's value.
//! 2. Entering and a writer's look are ordered: either the look comes first, and the reader sees
//!    the unlinking that came before it; or entering comes first, and the look finds the counter
//!    odd. Where [`barrier`] is available the writer's barrier before its look sees to that, and a
//!    reader enters with a plain store; elsewhere both are read-modify-writes.

use crate::barrier;
use crate::sync::{AtomicU64, Mutex, Ordering, compiler_fence};
use std::marker::PhantomData;

/// The counter, on cache lines of its own (processors fetch lines in pairs).
#[derive(Debug)]
#[repr(align(128))]
struct Turn {
    count: AtomicU64,
    rank: usize,
    /// Whether a plain store is enough to enter (invariant 2). The same for all seats.
    light: bool,
}

/// The seats of all threads. Seats are never freed, only reused: one for each thread that ever
/// lived at the same time as the others, 128 bytes each.
#[derive(Debug)]
pub(crate) struct Readers {
    seats: Mutex<Seats>,
}

#[derive(Debug)]
struct Seats {
    all: Vec<&'static Turn>,
    free: Vec<&'static Turn>,
}

/// The right to a seat; given back when dropped. Neither `Send` nor `Sync` (invariant 1).
#[derive(Debug)]
pub(crate) struct Tenancy {
    seat: Seat,
    readers: &'static Readers,
}

/// A thread's seat, lent while its tenancy lasts.
#[derive(Debug)]
pub(crate) struct Seat {
    turn: &'static Turn,
    stays: PhantomData<*const ()>,
}

/// A read under way on some seat.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    seat: &'a Seat,
    /// The even value to leave with; `None` within another read of the same thread.
    leave: Option<u64>,
}

/// A seat seen inside a read, and its counter at that moment.
#[derive(Debug)]
pub(crate) struct Blocker {
    seat: &'static Turn,
    seen: u64,
}

impl Readers {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { seats: Mutex::new(Seats { all: Vec::new(), free: Vec::new() }) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { seats: Mutex::new(Seats { all: Vec::new(), free: Vec::new() }) }
    }

    /// A seat for the calling thread.
    pub(crate) fn sit(&'static self) -> Tenancy {
        let mut seats = self.seats.lock();
        let turn = seats.free.pop().unwrap_or_else(|| {
            let rank = seats.all.len();
            let (count, light) = (AtomicU64::new(0), barrier::available());
            let turn = &*Box::leak(Box::new(Turn { count, rank, light }));
            seats.all.push(turn);
            turn
        });
        Tenancy { seat: Seat { turn, stays: PhantomData }, readers: self }
    }

    /// Adds the readers that may still see what the caller unlinked before this call; `false` if
    /// that cannot be told now.
    ///
    /// A thread that sits down after this call took the lock after it, and so sees the unlinking.
    pub(crate) fn inside(&self, blockers: &mut Vec<Blocker>) -> bool {
        let seats = self.seats.lock();
        let light = barrier::available();
        if light && !barrier::all_threads() {
            return false;
        }
        for &seat in &seats.all {
            let seen = if light {
                // ORDERING: Acquire takes in the reads before the Release in `Guard::drop`. That a
                // reader who entered is seen is the barrier's doing; its partner is `Seat::enter`.
                seat.count.load(Ordering::Acquire)
            } else {
                // ORDERING: AcqRel. Release publishes the unlinking to the swap in `Seat::enter`
                // that comes next; Acquire takes in the reads before the store in `Guard::drop`.
                seat.count.fetch_add(0, Ordering::AcqRel)
            };
            if seen % 2 == 1 {
                blockers.push(Blocker { seat, seen });
            }
        }
        true
    }
}

impl Blocker {
    /// Whether the read that was under way has not ended.
    pub(crate) fn blocks(&self) -> bool {
        // ORDERING: Acquire takes in the reads before the Release in `Guard::drop`, or in
        // `Seat::enter` of a later read.
        self.seat.count.load(Ordering::Acquire) == self.seen
    }
}

impl Seat {
    /// A small number that no other living thread's seat has.
    pub(crate) fn rank(&self) -> usize {
        self.turn.rank
    }

    /// Whether this thread is inside a read.
    pub(crate) fn is_reading(&self) -> bool {
        // ORDERING: Relaxed, this thread's own counter.
        self.turn.count.load(Ordering::Relaxed) % 2 == 1
    }

    /// Begins a read; nests.
    #[inline]
    pub(crate) fn enter(&self) -> Guard<'_> {
        // ORDERING: Relaxed, this thread's own counter.
        let turn = self.turn.count.load(Ordering::Relaxed);
        if turn % 2 == 1 {
            return Guard { seat: self, leave: None };
        }
        if self.turn.light {
            // ORDERING: Release keeps earlier reads before it for `Blocker::blocks`. The reads to
            // come stay behind it by the barrier in `Readers::inside`: the fence keeps the
            // compiler from moving them, the barrier the processor.
            self.turn.count.store(turn + 1, Ordering::Release);
            // ORDERING: SeqCst, see above; no instruction.
            compiler_fence(Ordering::SeqCst);
        } else {
            // ORDERING: AcqRel. Acquire takes in what a writer unlinked before its look in
            // `Readers::inside`; Release keeps earlier reads before it for `Blocker::blocks`.
            self.turn.count.swap(turn + 1, Ordering::AcqRel);
        }
        Guard { seat: self, leave: Some(turn + 2) }
    }
}

impl Tenancy {
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        assert!(!self.seat.is_reading(), "a thread ended inside a read");
        self.readers.seats.lock().free.push(self.seat.turn);
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(turn) = self.leave {
            // ORDERING: Release puts this read before whatever the writer frees after it saw this
            // value, in `Readers::inside` or `Blocker::blocks`.
            #[cfg(not(loom))]
            self.seat.turn.count.store(turn, Ordering::Release);
            // Loom 0.7 lets the `fetch_add` of a writer that read the odd value come after this
            // store, which a processor may not; a swap keeps it from that, and adds no ordering.
            #[cfg(loom)]
            self.seat.turn.count.swap(turn, Ordering::Release);
        }
    }
}

#[cfg(not(loom))]
mod seats {
    use super::{Readers, Seat, Tenancy, Turn};
    use std::cell::{Cell, OnceCell};
    use std::marker::PhantomData;

    static READERS: Readers = Readers::new();

    thread_local! {
        /// The seat of `TENANCY` while there is one. Has no destructor, so looking costs nothing.
        static SEAT: Cell<Option<&'static Turn>> = const { Cell::new(None) };
        static TENANCY: OnceCell<Ending> = const { OnceCell::new() };
    }

    /// Clears `SEAT` before the tenancy ends.
    struct Ending(Tenancy);

    impl Drop for Ending {
        fn drop(&mut self) {
            SEAT.set(None);
        }
    }

    /// The readers of every cache in the process.
    pub(crate) fn all() -> &'static Readers {
        &READERS
    }

    /// Calls `f` with this thread's seat, or with `None` while the thread's locals are torn down.
    #[inline]
    pub(crate) fn with<R>(f: impl FnOnce(Option<&Seat>) -> R) -> R {
        let turn = SEAT.get().or_else(sit);
        f(turn.map(|turn| Seat { turn, stays: PhantomData }).as_ref())
    }

    #[cold]
    fn sit() -> Option<&'static Turn> {
        let turn = TENANCY.try_with(|cell| {
            let ending = cell.get_or_init(|| Ending(READERS.sit()));
            ending.0.seat().turn
        });
        SEAT.set(turn.as_ref().ok().copied());
        turn.ok()
    }
}

#[cfg(loom)]
mod seats {
    use super::{Readers, Seat};

    loom::lazy_static! {
        static ref READERS: &'static Readers = Box::leak(Box::new(Readers::new()));
    }

    /// The readers of every cache in the process.
    pub(crate) fn all() -> &'static Readers {
        *READERS
    }

    /// Calls `f` with a seat of its own.
    pub(crate) fn with<R>(f: impl FnOnce(Option<&Seat>) -> R) -> R {
        f(Some(READERS.sit().seat()))
    }
}

pub(crate) use seats::{all, with};

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Readers;

    fn blockers(readers: &Readers) -> Vec<super::Blocker> {
        let mut blockers = Vec::new();
        assert!(readers.inside(&mut blockers));
        blockers
    }

    #[test]
    fn a_read_blocks_until_it_ends_even_if_another_follows() {
        let readers: &'static Readers = Box::leak(Box::new(Readers::new()));
        let (one, two) = (readers.sit(), readers.sit());
        let (one, two) = (one.seat(), two.seat());
        assert_ne!(one.rank(), two.rank());
        assert!(blockers(readers).is_empty());
        let outer = one.enter();
        let found = blockers(readers);
        assert_eq!(found.len(), 1);
        drop(one.enter());
        assert!(one.is_reading() && found[0].blocks(), "the inner read ended, not the outer");
        drop(outer);
        assert!(!one.is_reading() && !found[0].blocks());
        let _again = one.enter();
        assert!(!found[0].blocks(), "a later read is another read");
        assert_eq!(blockers(readers).len(), 1);
    }

    #[test]
    fn seats_are_reused() {
        let readers: &'static Readers = Box::leak(Box::new(Readers::new()));
        let rank = readers.sit().seat().rank();
        assert_eq!(readers.sit().seat().rank(), rank);
        assert_eq!(readers.seats.lock().all.len(), 1);
    }
}
