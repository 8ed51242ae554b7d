//! The arena: memory that is handed out once, never moves, and goes back all at once.
//!
//! ```text
//! place (u32) := chunk: 13 bits | granule in it: 19 bits a granule is 4 bytes
//! chunk       := its `Chunk`, 64 bytes | slices ...      at most 2 MiB, or one big value
//! slice       := records ... or nodes ...                4 to 64 KiB, a shard's own
//! ```
//!
//! A shard is two bump cursors, one for records and one for nodes (so that nodes stay on whole
//! lines and close together). Cursors move by compare-exchange: any thread may use any shard, no
//! matter how many threads there are; having many shards only keeps them apart.
//!
//! Invariants
//! 1. A place is handed out to one caller only, and its bytes lie inside its chunk.
//! 2. A chunk is entered in the table before a place in it is handed out, and is freed on drop.
//! 3. Place 0 is never handed out: it means "none".
#![expect(unsafe_code, reason = "keeps each chunk's own description inside the chunk")]

use crate::chunk::{Chunk, ChunkPool, FULL_BYTES, LINE};
use crate::entries::Entries;
use crate::error::InsertError;
use crate::options::Options;
use crate::record::Stamps;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering, Padded};
use std::sync::Arc;

/// Bytes a place counts in.
pub(crate) const GRANULE: usize = 4;
const CHUNK_SHIFT: u32 = (FULL_BYTES / GRANULE).trailing_zeros();
/// Granules of a cache line.
const LINE_GRANULES: u32 = 16;
const _: () = assert!(LINE_GRANULES as usize * GRANULE == LINE);
/// The first chunk is short: many lists hold little, or nothing.
const FIRST_CHUNK_BYTES: usize = 16 << 10;
/// The others are at least so long.
const CHUNK_BYTES_MIN: usize = 64 << 10;
/// Behind so many chunks at least, and an eighth of the table, small chunks give way to full ones.
const SMALL_CHUNKS_MIN: usize = 8;
const SLICE_BYTES: std::ops::RangeInclusive<usize> = (4 << 10)..=(64 << 10);
#[cfg(not(loom))]
const CHUNK_COUNT_MAX: usize = (1 << (32 - CHUNK_SHIFT)) - 1;
#[cfg(loom)]
const CHUNK_COUNT_MAX: usize = 4;

/// What a place is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Record,
    Node,
}

/// Memory in chunks, sliced among shards.
#[derive(Debug)]
pub(crate) struct Arena {
    table: Entries,
    chunk_count: AtomicU32,
    /// What is left of the newest chunk.
    rest: Cursor,
    /// A span that somebody got and could not use.
    spare: Cursor,
    shards: Box<[Padded<Shard>]>,
    reserved_bytes: AtomicUsize,
    /// Bytes at ends of slices and chunks that were too short for what was asked.
    lost_bytes: AtomicUsize,
    chunk_bytes: usize,
    max_bytes: usize,
    pool: Option<Arc<ChunkPool>>,
    stamps: Stamps,
}

#[derive(Debug)]
struct Shard {
    records: Cursor,
    nodes: Cursor,
}

/// Granules `at..end` of one chunk, still free. Empty is `at == end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    at: u32,
    end: u32,
}

/// A [`Span`] in one word: the places still free, taken from the front.
#[derive(Debug)]
struct Cursor(AtomicU64);

impl Span {
    const EMPTY: Self = Self { at: 0, end: 0 };

    fn granules(self) -> u32 {
        self.end - self.at
    }

    fn bytes(self) -> usize {
        self.granules() as usize * GRANULE
    }

    fn to_word(self) -> u64 {
        u64::from(self.end) << 32 | u64::from(self.at)
    }

    fn from_word(word: u64) -> Self {
        Self { at: (word & 0xffff_ffff) as u32, end: (word >> 32) as u32 }
    }

    /// The first `granules`, and what is left.
    fn split(self, granules: u32) -> (Self, Self) {
        let middle = self.at + granules;
        (Self { at: self.at, end: middle }, Self { at: middle, end: self.end })
    }
}

impl Cursor {
    fn new() -> Self {
        Self(AtomicU64::new(Span::EMPTY.to_word()))
    }

    #[inline]
    fn load(&self) -> Span {
        // ORDERING: Relaxed: a span is used only after `replace` took it.
        Span::from_word(self.0.load(Ordering::Relaxed))
    }

    /// Puts `to` in the place of `from`, if that is still there.
    #[inline]
    fn replace(&self, from: Span, to: Span) -> bool {
        // ORDERING: AcqRel: the chunk of a span was entered in the table before the span came here
        // (invariant 2), and that is seen by who takes of it; pairs with itself and `swap`.
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        self.0.compare_exchange(from.to_word(), to.to_word(), success, failure).is_ok()
    }

    fn swap(&self, to: Span) -> Span {
        // ORDERING: Release: see `replace`; what comes out is not used, only counted.
        Span::from_word(self.0.swap(to.to_word(), Ordering::Release))
    }

    /// Takes `granules` from the front, if there are so many.
    #[inline]
    fn take(&self, granules: u32) -> Option<Span> {
        loop {
            let free = self.load();
            if free.granules() < granules {
                return None;
            }
            let (taken, left) = free.split(granules);
            if self.replace(free, left) {
                return Some(taken);
            }
        }
    }
}

impl Arena {
    pub(crate) fn new(options: &Options, stamps: Stamps) -> Self {
        Self::with_chunks(options, stamps, CHUNK_COUNT_MAX)
    }

    /// An arena of `count_max` chunks at most.
    fn with_chunks(options: &Options, stamps: Stamps, count_max: usize) -> Self {
        let max_bytes = options.max_bytes.unwrap_or(usize::MAX);
        let chunk_bytes = options.chunk_bytes.clamp(CHUNK_BYTES_MIN, FULL_BYTES);
        let chunk_bytes = chunk_bytes.next_multiple_of(LINE);
        let shard = |_| Padded(Shard { records: Cursor::new(), nodes: Cursor::new() });
        Self {
            table: Entries::new(count_max),
            chunk_count: AtomicU32::new(0),
            rest: Cursor::new(),
            spare: Cursor::new(),
            shards: (0..options.shards.clamp(1, 1024)).map(shard).collect(),
            reserved_bytes: AtomicUsize::new(0),
            lost_bytes: AtomicUsize::new(0),
            chunk_bytes,
            max_bytes,
            pool: options.pool.clone(),
            stamps,
        }
    }

    /// Whether the records of this arena have stamps.
    #[inline]
    pub(crate) fn stamps(&self) -> Stamps {
        self.stamps
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The address of `place`, which this arena handed out, or 0.
    #[inline]
    pub(crate) fn address(&self, place: u32) -> *mut u8 {
        // ORDERING: Relaxed: who knows the place got it through an Acquire that comes after the
        // table entry was stored (invariant 2).
        let start = self.table[(place >> CHUNK_SHIFT) as usize].load(Ordering::Relaxed);
        let offset = (place & ((1 << CHUNK_SHIFT) - 1)) as usize * GRANULE;
        start.wrapping_add(offset)
    }

    /// Hands out `bytes` of uninitialised memory, 4-byte aligned (nodes: on a cache line, and
    /// `bytes` must be whole lines).
    ///
    /// # Errors
    /// [`InsertError::OutOfMemory`] if the limit or the system does not allow it;
    /// [`InsertError::TooLarge`] if no arena could ever hold it.
    #[inline]
    pub(crate) fn alloc(
        &self,
        shard: usize,
        purpose: Purpose,
        bytes: usize,
    ) -> Result<u32, InsertError> {
        let granules = bytes.div_ceil(GRANULE);
        let granules = u32::try_from(granules).map_err(|_too_many| InsertError::TooLarge)?;
        match self.cursor(shard, purpose).take(granules) {
            Some(span) => Ok(span.at),
            None => self.alloc_slow(shard, purpose, granules),
        }
    }

    /// Takes back what was just handed out, if nothing was handed out after it from this shard.
    pub(crate) fn take_back(&self, shard: usize, purpose: Purpose, place: u32, bytes: usize) {
        let cursor = self.cursor(shard, purpose);
        let free = cursor.load();
        let back = Span { at: place, end: free.end };
        let granules = bytes.div_ceil(GRANULE);
        // A value with a chunk of its own may end at a number that lies in another chunk.
        let same_chunk = place >> CHUNK_SHIFT == free.at >> CHUNK_SHIFT;
        let just_before = place < free.at && granules == (free.at - place) as usize;
        if same_chunk && just_before && cursor.replace(free, back) {
            return;
        }
        // ORDERING: Relaxed: a statistic.
        self.lost_bytes.fetch_add(granules * GRANULE, Ordering::Relaxed);
    }

    fn cursor(&self, shard: usize, purpose: Purpose) -> &Cursor {
        let shard = &self.shards[shard].0;
        match purpose {
            Purpose::Record => &shard.records,
            Purpose::Node => &shard.nodes,
        }
    }

    #[cold]
    fn alloc_slow(
        &self,
        shard: usize,
        purpose: Purpose,
        granules: u32,
    ) -> Result<u32, InsertError> {
        let cursor = self.cursor(shard, purpose);
        // Slices grow with the list, so that a small list in many shards stays small.
        let slice_bytes =
            (self.reserved_bytes() / 32).clamp(*SLICE_BYTES.start(), *SLICE_BYTES.end());
        let slice = u32::try_from(slice_bytes / LINE * LINE / GRANULE).unwrap_or(granules);
        if granules > slice / 4 {
            let (taken, left) = self.claim(granules, granules)?.split(granules);
            self.put_aside(left);
            return Ok(taken.at);
        }
        loop {
            let free = cursor.load();
            if free.granules() >= granules {
                let (taken, left) = free.split(granules);
                if cursor.replace(free, left) {
                    return Ok(taken.at);
                }
                continue;
            }
            let claimed = match self.claim(slice, granules) {
                Ok(claimed) => claimed,
                Err(error) => return self.borrow(purpose, granules).ok_or(error),
            };
            let (taken, left) = claimed.split(granules);
            if cursor.replace(free, left) {
                self.lose(free);
                return Ok(taken.at);
            }
            self.put_aside(claimed);
        }
    }

    /// The arena is full: uses what any shard has left.
    fn borrow(&self, purpose: Purpose, granules: u32) -> Option<u32> {
        let mut shards = 0..self.shards.len();
        shards.find_map(|shard| self.cursor(shard, purpose).take(granules)).map(|span| span.at)
    }

    /// Claims up to `want` granules, at least `need`, rounded up to whole lines.
    fn claim(&self, want: u32, need: u32) -> Result<Span, InsertError> {
        let too_large = InsertError::TooLarge;
        let want = want.checked_next_multiple_of(LINE_GRANULES).ok_or(too_large)?;
        let need = need.checked_next_multiple_of(LINE_GRANULES).ok_or(too_large)?;
        let spare = self.spare.load();
        if spare.granules() >= need && self.spare.replace(spare, Span::EMPTY) {
            return Ok(spare);
        }
        loop {
            let free = self.rest.load();
            if free.granules() >= need {
                let (taken, left) = free.split(want.min(free.granules()));
                if self.rest.replace(free, left) {
                    return Ok(taken);
                }
                continue;
            }
            let chunk_bytes = self.next_chunk_bytes();
            let alone = need as usize * GRANULE > chunk_bytes / 2;
            let fresh = self.add_chunk(need, chunk_bytes)?;
            if alone {
                return Ok(fresh); // a chunk for this value alone
            }
            if self.rest.replace(free, fresh) {
                self.lose(free);
            } else {
                self.put_aside(fresh);
            }
        }
    }

    /// Keeps a span for the next claim; if one was kept already, that one is lost.
    fn put_aside(&self, span: Span) {
        if span.bytes() < *SLICE_BYTES.start() {
            self.lose(span);
        } else {
            self.lose(self.spare.swap(span));
        }
    }

    fn lose(&self, span: Span) {
        // ORDERING: Relaxed: a statistic.
        self.lost_bytes.fetch_add(span.bytes(), Ordering::Relaxed);
    }

    /// Bytes of the next chunk, if no value asks for more. The table's entries are few: behind the
    /// first of them chunks are full ones, so that a list that began with small ones holds no less
    /// than any other.
    fn next_chunk_bytes(&self) -> usize {
        // ORDERING: Relaxed: a number that steers.
        let count = self.chunk_count.load(Ordering::Relaxed) as usize;
        let small_max = SMALL_CHUNKS_MIN.max(self.table.len() / 8);
        if count < small_max { self.chunk_bytes } else { FULL_BYTES }
    }

    /// Gets a chunk of `chunk_bytes` (the first: less), or more if that has no room for `need`
    /// granules, from the system and enters it in the table. More than half of it has it alone.
    fn add_chunk(&self, need: u32, chunk_bytes: usize) -> Result<Span, InsertError> {
        let need_bytes = need as usize * GRANULE + LINE;
        let usual = match self.reserved_bytes() {
            0 => FIRST_CHUNK_BYTES,
            _ => chunk_bytes,
        };
        let alone = need as usize * GRANULE > chunk_bytes / 2;
        let bytes = if alone { need_bytes } else { usual.max(need_bytes) };
        let bytes = self.reserve(bytes, need_bytes)?;
        let give_up = || {
            // ORDERING: Relaxed: a counter compared with a limit; no data hangs on it.
            self.reserved_bytes.fetch_sub(bytes, Ordering::Relaxed);
            InsertError::OutOfMemory
        };
        let used = self.pool.as_ref().filter(|_| bytes == FULL_BYTES).and_then(|pool| pool.take());
        let chunk = used.or_else(|| Chunk::new(bytes)).ok_or_else(give_up)?;
        // ORDERING: Relaxed: only makes the index unique.
        let index = self.chunk_count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            ((count as usize) < self.table.len()).then_some(count + 1)
        });
        let index = index.map_err(|_table_full| give_up())?;
        let start = chunk.start();
        // SAFETY: the first line of a chunk is never handed out, holds a `Chunk`, and is aligned
        // for it.
        unsafe { start.cast::<Chunk>().write(chunk) };
        // ORDERING: Relaxed: published by the Release by which a cursor gets the span.
        self.table[index as usize].store(start.as_ptr(), Ordering::Relaxed);
        let first = index << CHUNK_SHIFT;
        // A chunk for one big value may be longer than a place can say: its end is not needed.
        let end = u32::try_from(bytes / GRANULE).unwrap_or(u32::MAX).min(1 << CHUNK_SHIFT);
        let end = if alone { LINE_GRANULES + need } else { end };
        // The last place of a big value must be a number too.
        let end = first.checked_add(end).ok_or(InsertError::OutOfMemory)?;
        Ok(Span { at: first + LINE_GRANULES, end })
    }

    /// Counts `want` bytes as reserved, or what the limit leaves, if that is `need` at least.
    fn reserve(&self, want: usize, need: usize) -> Result<usize, InsertError> {
        let mut granted = 0;
        // ORDERING: Relaxed: a counter compared with a limit; no data hangs on it.
        let order = Ordering::Relaxed;
        let reserved = self.reserved_bytes.fetch_update(order, order, |reserved| {
            let room = self.max_bytes.saturating_sub(reserved) / LINE * LINE;
            granted = want.min(room);
            (granted >= need).then(|| reserved + granted)
        });
        reserved.map(|_before| granted).map_err(|_limit| InsertError::OutOfMemory)
    }

    /// Bytes got from the system.
    pub(crate) fn reserved_bytes(&self) -> usize {
        // ORDERING: Relaxed: a statistic.
        self.reserved_bytes.load(Ordering::Relaxed)
    }

    /// Bytes got from the system that hold nothing (yet, or for good). Exact when nobody inserts.
    pub(crate) fn idle_bytes(&self) -> usize {
        // ORDERING: Relaxed: a statistic.
        let lost = self.lost_bytes.load(Ordering::Relaxed);
        let shards = self.shards.iter();
        let shards = shards
            .map(|Padded(shard)| shard.records.load().bytes() + shard.nodes.load().bytes())
            .sum::<usize>();
        lost + shards + self.rest.load().bytes() + self.spare.load().bytes()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for entry in self.table.iter() {
            // ORDERING: Relaxed: whoever drops has the arena to itself.
            let start = entry.load(Ordering::Relaxed);
            if start.is_null() {
                continue;
            }
            #[expect(clippy::cast_ptr_alignment, reason = "chunks start on a line")]
            let own = start.cast::<Chunk>();
            // SAFETY: a table entry points to a chunk that starts with its `Chunk` (`add_chunk`),
            // read once, here; nobody else has access while we drop.
            let chunk = unsafe { own.read() };
            match &self.pool {
                Some(pool) => pool.give(chunk),
                None => drop(chunk),
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_began_with_small_chunks_does_not_end_early() {
        let options =
            Options { chunk_bytes: 64 << 10, pool: None, shards: 2, ..Options::default() };
        let arena = Arena::with_chunks(&options, Stamps::Without, 16);
        // More than half a small chunk: each takes one for itself, as long as chunks are small.
        let record_bytes = 33 << 10;
        let mut places = Vec::new();
        while let Ok(place) = arena.alloc(0, Purpose::Record, record_bytes) {
            assert!(!arena.address(place).is_null(), "place {place}");
            places.push(place);
        }
        let full_chunks = 16 - SMALL_CHUNKS_MIN;
        let fit = (FULL_BYTES - LINE) / record_bytes;
        assert_eq!(places.len(), SMALL_CHUNKS_MIN + full_chunks * fit);
        let last = places.pop().expect("some fit");
        assert_eq!((last >> CHUNK_SHIFT) as usize, 15, "all chunks are in use");
    }
}
