//! Entries in slots that never move, numbered from 0.
//!
//!   chunk c := slot * (64 << c / 4)      four of each length, so at most a fifth is not used yet
//!
//! The directory holds of each chunk where slot 0 would be, were the chunk to reach down to it: so
//! that an index need not be taken apart.
//!
//! 1. The chunk of every index handed out was made, and is freed with the slab.
//! 2. A slot is vacant, occupied or retired. Its entry is initialised unless it is vacant.
//! 3. Only the holder of the shard's lock writes an entry, and only into a vacant slot. A retired
//!    slot becomes vacant after every reader that could know its index has left.
#![expect(unsafe_code, reason = "owns the memory that readers see without a lock")]

use crate::policy::{Kind, MARK_MAX, Marks};
use crate::sync::{AtomicPtr, AtomicU64, Ordering, UnsafeCell};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

/// Slots of the first four chunks.
const UNIT: u32 = if cfg!(loom) { 1 } else { 64 };
const CHUNKS: usize = 96;
/// Indexes are below this.
pub(crate) const SLOTS_MAX: u32 = ((1 << 26) - 4) * UNIT;

/// What a slot holds.
#[derive(Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
}

#[derive(Debug)]
struct Slot<K, V> {
    entry: UnsafeCell<MaybeUninit<Entry<K, V>>>,
    /// `deadline in ms: 56 bits | kind: 4 bits | mark: 4 bits`
    state: AtomicU64,
}

/// The latest deadline: never, as far as anyone living is concerned.
const DEADLINE_MAX: u64 = u64::MAX >> 8;

fn state_of(kind: Kind, deadline_ms: u64) -> u64 {
    deadline_ms.min(DEADLINE_MAX) << 8 | (kind as u64) << 4
}

#[inline]
fn deadline_of(state: u64) -> u64 {
    state >> 8
}

#[inline]
fn mark_of(state: u64) -> u8 {
    (state & 0xf) as u8
}

#[inline]
fn kind_of(state: u64) -> Kind {
    Kind::ALL[(state >> 4) as usize % Kind::COUNT]
}

/// The slots of a shard.
#[derive(Debug)]
pub(crate) struct Slab<K, V> {
    /// Null: not made.
    directory: [AtomicPtr<Slot<K, V>>; CHUNKS],
    owns: PhantomData<Slot<K, V>>,
}

// SAFETY: entries move between threads with the slab.
unsafe impl<K: Send, V: Send> Send for Slab<K, V> {}
// SAFETY: several threads read one entry at once, and whoever frees it may be any of them. Who may
// touch which entry when is invariant 3, which callers promise.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Slab<K, V> {}

/// The chunk of slot `index`.
#[inline]
fn chunk_of(index: u32) -> usize {
    let above = index / UNIT + 4;
    let octave = above.ilog2() - 2;
    // The leading bit of what is shifted counts four.
    (octave * 4 + (above >> octave) - 4) as usize
}

/// The first slot of a chunk, and how many it has.
fn span_of(chunk: usize) -> (usize, usize) {
    let (octave, quarter) = (chunk / 4, chunk % 4);
    let unit = UNIT as usize;
    ((((4 + quarter) << octave) - 4) * unit, unit << octave)
}

impl<K, V> Slab<K, V> {
    pub(crate) fn new() -> Self {
        let directory = std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()));
        Self { directory, owns: PhantomData }
    }

    /// Makes slot `index`, vacant. Called with the shard's lock held.
    pub(crate) fn make(&self, index: u32) {
        assert!(index < SLOTS_MAX, "four thousand million entries in one shard");
        let chunk = chunk_of(index);
        // ORDERING: Relaxed, only the holder of the lock writes it.
        if !self.directory[chunk].load(Ordering::Relaxed).is_null() {
            return;
        }
        let (first, count) = span_of(chunk);
        let slot =
            || Slot { entry: UnsafeCell::new(MaybeUninit::uninit()), state: AtomicU64::new(0) };
        let slots: Box<[Slot<K, V>]> = (0..count).map(|_| slot()).collect();
        let start = Box::into_raw(slots).cast::<Slot<K, V>>();
        // ORDERING: Release publishes the slots to the Acquire in `slot`.
        self.directory[chunk].store(start.wrapping_sub(first), Ordering::Release);
    }

    #[inline]
    fn slot(&self, index: u32) -> &Slot<K, V> {
        // ORDERING: Acquire sees the slots made before the Release in `make`.
        let zero = self.directory[chunk_of(index)].load(Ordering::Acquire);
        debug_assert!(!zero.is_null(), "indexes name slots that were made");
        // SAFETY: invariant 1: the chunk was made and lives as long as the slab, and `index` lies
        // within its span, so that the sum is the address of one of its slots.
        unsafe { &*zero.wrapping_add(index as usize) }
    }

    /// Fills a slot.
    /// # Safety
    /// The slot is vacant, and the caller holds the shard's lock.
    pub(crate) unsafe fn occupy(
        &self,
        index: u32,
        entry: Entry<K, V>,
        kind: Kind,
        deadline_ms: u64,
    ) {
        let slot = self.slot(index);
        // ORDERING: Relaxed, the table publishes the slot.
        slot.state.store(state_of(kind, deadline_ms), Ordering::Relaxed);
        slot.entry.with_mut(|cell| {
            // SAFETY: nobody knows the index of a vacant slot but the holder of the lock.
            unsafe { cell.write(MaybeUninit::new(entry)) };
        });
    }

    /// Calls `f` with the entry of a slot.
    /// # Safety
    /// The slot is occupied or retired, and stays so: the caller holds the shard's lock, or found
    /// the index in the table within a read that is still under way.
    #[inline]
    pub(crate) unsafe fn with<R>(&self, index: u32, f: impl FnOnce(&Entry<K, V>) -> R) -> R {
        self.slot(index).entry.with(|cell| {
            // SAFETY: not vacant, so initialised (invariant 2); not written to while it is not
            // vacant (invariant 3).
            f(unsafe { &*cell.cast::<Entry<K, V>>() })
        })
    }

    /// Takes the entry out of a retired slot.
    /// # Safety
    /// The caller holds the shard's lock, and every reader that was inside a read when the slot
    /// was taken out of the table has left. The slot is vacant from here on.
    pub(crate) unsafe fn vacate(&self, index: u32) -> Entry<K, V> {
        self.slot(index).entry.with_mut(|cell| {
            // SAFETY: retired, so initialised; nobody else can reach it any more, and nobody will
            // read it again before it is written.
            unsafe { cell.cast::<Entry<K, V>>().read() }
        })
    }

    /// As [`Slab::with`] if the entry's key is `key`: notes a hit unless the entry's time is over,
    /// and calls `f` with the value and kind, or with `None` if it is.
    /// # Safety
    /// As [`Slab::with`].
    #[inline]
    pub(crate) unsafe fn hit<R>(
        &self,
        index: u32,
        key: &K,
        now_ms: u64,
        f: impl FnOnce(Option<(&V, Kind)>) -> R,
    ) -> Option<R>
    where
        K: Eq,
    {
        let slot = self.slot(index);
        slot.entry.with(|cell| {
            // SAFETY: as in `with`, by the same promise.
            let entry = unsafe { &*cell.cast::<Entry<K, V>>() };
            if entry.key != *key {
                return None;
            }
            // ORDERING: Relaxed, deadline and kind were written before the slot was published; the
            // mark is a hint and guards nothing.
            let state = slot.state.load(Ordering::Relaxed);
            if deadline_of(state) <= now_ms {
                return Some(f(None));
            }
            if mark_of(state) < MARK_MAX {
                // ORDERING: Relaxed, as above. Two hits at once may count once.
                slot.state.store(state + 1, Ordering::Relaxed);
            }
            Some(f(Some((&entry.value, kind_of(state)))))
        })
    }

    /// Whether the entry's time is over.
    pub(crate) fn is_over(&self, index: u32, now_ms: u64) -> bool {
        // ORDERING: Relaxed, written before the slot was published.
        deadline_of(self.slot(index).state.load(Ordering::Relaxed)) <= now_ms
    }

    pub(crate) fn kind(&self, index: u32) -> Kind {
        // ORDERING: Relaxed, written before the slot was published.
        kind_of(self.slot(index).state.load(Ordering::Relaxed))
    }

    /// Bytes of the chunks made.
    pub(crate) fn memory_usage(&self) -> usize {
        let made = |chunk: &usize| {
            // ORDERING: Relaxed, only whether it is there.
            !self.directory[*chunk].load(Ordering::Relaxed).is_null()
        };
        let slots: usize = (0..CHUNKS).filter(made).map(|chunk| span_of(chunk).1).sum();
        slots * size_of::<Slot<K, V>>()
    }
}

impl<K, V> Drop for Slab<K, V> {
    /// Frees the slots; entries that are still there are the owner's to take out before.
    fn drop(&mut self) {
        for (chunk, zero) in self.directory.iter().enumerate() {
            // ORDERING: Relaxed, `&mut self` has no rivals.
            let zero = zero.load(Ordering::Relaxed);
            if zero.is_null() {
                continue;
            }
            let (first, count) = span_of(chunk);
            let slots = ptr::slice_from_raw_parts_mut(zero.wrapping_add(first), count);
            // SAFETY: what `make` took from a box of so many slots, and put in once.
            drop(unsafe { Box::from_raw(slots) });
        }
    }
}

impl<K, V> Marks for Slab<K, V> {
    fn mark(&self, index: u32) -> u8 {
        // ORDERING: Relaxed, a mark is a hint and guards nothing.
        mark_of(self.slot(index).state.load(Ordering::Relaxed))
    }

    fn set_mark(&self, index: u32, mark: u8) {
        let state = &self.slot(index).state;
        // ORDERING: Relaxed, as above; only the holder of the lock writes the other bits.
        let rest = state.load(Ordering::Relaxed) & !0xf;
        // ORDERING: Relaxed, as above.
        state.store(rest | u64::from(mark), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{CHUNKS, SLOTS_MAX, UNIT, chunk_of, span_of};

    #[test]
    fn spans_follow_on_one_another() {
        let mut end = 0;
        for chunk in 0..CHUNKS {
            let (first, count) = span_of(chunk);
            assert_eq!(first, end, "chunk {chunk}");
            end = first + count;
            for index in [first, first + 1, end - 1] {
                assert_eq!(chunk_of(u32::try_from(index).unwrap()), chunk, "slot {index}");
            }
        }
        assert_eq!(end, SLOTS_MAX as usize);
        assert_eq!(span_of(4), (4 * UNIT as usize, 2 * UNIT as usize));
    }
}
