//! Entries in slots that never move, numbered from 0.
//!
//!   chunk c := slot * (64 << c / 4)      four of each length, so at most a fifth is not used yet
//!
//! 1. The chunk of every index handed out was made.
//! 2. A slot is vacant, occupied or retired. Its entry is initialised unless it is vacant.
//! 3. Only the holder of the shard's lock writes an entry, and only into a vacant slot. A retired
//!    slot becomes vacant after every reader that could know its index has left.
#![expect(unsafe_code, reason = "owns the memory that readers see without a lock")]

use crate::policy::{Kind, MARK_MAX, Marks};
use crate::sync::{AtomicU64, Ordering, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

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

type Chunk<K, V> = Box<[Slot<K, V>]>;

/// The slots of a shard.
#[derive(Debug)]
pub(crate) struct Slab<K, V> {
    chunks: [OnceLock<Chunk<K, V>>; CHUNKS],
}

// SAFETY: entries move between threads with the slab.
unsafe impl<K: Send, V: Send> Send for Slab<K, V> {}
// SAFETY: several threads read one entry at once, and whoever frees it may be any of them. Who may
// touch which entry when is invariant 3, which callers promise.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Slab<K, V> {}

/// The chunk of slot `index`, its place in it, and the length of the chunk.
#[inline]
fn place(index: u32) -> (usize, usize, usize) {
    let above = index / UNIT + 4;
    let octave = above.ilog2() - 2;
    let chunk = octave * 4 + (above >> octave & 3);
    let at = (above & ((1 << octave) - 1)) * UNIT + index % UNIT;
    (chunk as usize, at as usize, (UNIT as usize) << octave)
}

impl<K, V> Slab<K, V> {
    pub(crate) fn new() -> Self {
        Self { chunks: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// Makes slot `index`, vacant.
    pub(crate) fn make(&self, index: u32) {
        assert!(index < SLOTS_MAX, "four thousand million entries in one shard");
        let (chunk, _, len) = place(index);
        self.chunks[chunk].get_or_init(|| {
            let slot =
                || Slot { entry: UnsafeCell::new(MaybeUninit::uninit()), state: AtomicU64::new(0) };
            (0..len).map(|_| slot()).collect()
        });
    }

    #[inline]
    fn slot(&self, index: u32) -> &Slot<K, V> {
        let (chunk, at, _) = place(index);
        let slots = self.chunks[chunk].get().expect("indexes name slots that were made");
        &slots[at]
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
        self.chunks.iter().filter_map(OnceLock::get).map(|chunk| size_of_val(&**chunk)).sum()
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
    use super::{CHUNKS, SLOTS_MAX, UNIT, place};

    #[test]
    fn places_follow_on_one_another() {
        let mut expected = (0, 0);
        for index in 0..200_000 {
            let (chunk, at, len) = place(index);
            assert_eq!((chunk, at), expected, "slot {index}");
            expected = if at + 1 == len { (chunk + 1, 0) } else { (chunk, at + 1) };
        }
        assert_eq!(place(UNIT * 4), (4, 0, 128));
        let (chunk, at, len) = place(SLOTS_MAX - 1);
        assert_eq!((chunk, at), (CHUNKS - 1, len - 1));
    }
}
