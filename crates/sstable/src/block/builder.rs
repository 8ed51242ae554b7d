//! Puts entries together to the body of a data block; see [`super`] for the picture.
//!
//! 1. Equal entries give equal bytes.
//! 2. While all values have one length, no entry repeats it; at the first other one the keys
//!    gathered so far are rewritten, once a block.
//! 3. Values are copied once: to where they lie in the body. `room` bytes before them are for all
//!    that stands before values, whose length is known at the end; the body ends with the values
//!    and begins somewhere in the room.
//! 4. Behind the `keys_bytes` of `keys` and the `last_key_bytes` of `last_key` there may be slack,
//!    so that a short tail is written as one word of [`WORD`] bytes, whatever its length.

use super::spread::Spread;
use super::{
    BUCKET_MANY, BUCKET_NONE, FLAG_EQUAL_VALUE_LENGTHS, FLAG_HASH_INDEX, FLAG_WIDE_RESTARTS,
    NIBBLE_FULL, TRAILER_SHIFTED, TRAILER_SPACED, head,
};
use crate::key::Trailer;
use crate::varint;

/// Entries of one block at most: its header counts them in 16 bits.
const ENTRIES_MAX: usize = u16::MAX as usize;
/// How far back LZ4 and Snappy refer, and where restarts become wide: a block that is nearly full
/// is cut before it reaches beyond.
const WINDOW_BYTES: usize = 65_535;
/// Restarts a bucket can tell apart.
const RESTARTS_HASHED_MAX: usize = BUCKET_MANY as usize;
/// Percent of buckets that keys may fill.
const BUCKETS_FILLED_PERCENT: usize = 75;
/// Bytes that are written at once.
const WORD: usize = 16;
/// Bytes of a body beside its entries, about.
const HEAD_BYTES: usize = 16;

/// Gathers the entries of one data block after another.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    interval: usize,
    hash_index: bool,
    keys: Vec<u8>,
    keys_bytes: usize,
    /// Bytes of all user keys, in full.
    user_key_bytes: usize,
    body: Vec<u8>,
    room: usize,
    /// What stands before the keys, while a block is finished; lengths, while one is filled.
    front: Vec<u8>,
    trailers: Vec<u64>,
    spread: Spread,
    restarts: Vec<(usize, usize)>,
    /// Entries until the next restart.
    until_restart: usize,
    /// Hash and restart rank of every entry, if there is to be a hash index.
    hashes: Vec<(u64, usize)>,
    last_key: Vec<u8>,
    last_key_bytes: usize,
    /// The length of all values so far; `None` once two differed.
    value_len: Option<usize>,
}

/// What the entries of a block come to, for the table's properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    pub(crate) entries: u16,
    pub(crate) tombstones: usize,
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
    pub(crate) trailer_min: Trailer,
    pub(crate) trailer_max: Trailer,
}

impl BlockBuilder {
    pub(crate) fn new(interval: usize, hash_index: bool) -> Self {
        Self {
            interval,
            hash_index,
            keys: Vec::new(),
            keys_bytes: 0,
            user_key_bytes: 0,
            body: Vec::new(),
            room: 0,
            front: Vec::new(),
            trailers: Vec::new(),
            spread: Spread::default(),
            restarts: Vec::new(),
            until_restart: 0,
            hashes: Vec::new(),
            last_key: Vec::new(),
            last_key_bytes: 0,
            value_len: None,
        }
    }

    #[inline]
    pub(crate) fn entries(&self) -> usize {
        self.trailers.len()
    }

    #[inline]
    pub(crate) fn last_key(&self) -> &[u8] {
        self.last_key.get(..self.last_key_bytes).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn last_trailer(&self) -> Option<Trailer> {
        self.trailers.last().map(|raw| Trailer::from_raw(*raw))
    }

    #[inline]
    fn values_bytes(&self) -> usize {
        self.body.len() - self.room
    }

    /// Bytes of the body if it were finished now, without trailers and restarts.
    #[inline]
    fn bare_bytes(&self) -> usize {
        HEAD_BYTES
            + self.keys_bytes
            + self.values_bytes()
            + self.hashes.len() * 100 / BUCKETS_FILLED_PERCENT
    }

    /// Bytes of the body if it were finished now, at most but for a few.
    #[inline]
    pub(crate) fn bytes_max(&self) -> usize {
        self.bare_bytes() + 8 * (self.trailers.len() + self.restarts.len())
    }

    /// Bytes of the body if it were finished now, within a few.
    fn estimated_bytes(&mut self) -> usize {
        self.spread.catch_up(&self.trailers);
        let (width, _) = self.spread.width();
        let restart_bytes = if self.is_wide() { 8 } else { 4 };
        self.bare_bytes() + self.trailers.len() * width + self.restarts.len() * restart_bytes
    }

    /// Whether the block, which is not empty, is to end before an entry of `entry_bytes`, if blocks
    /// are to have `target`, 64 KiB at most.
    ///
    /// An entry of a block's size or more gets a block to itself, and spares its neighbours.
    #[inline]
    pub(crate) fn is_full(&mut self, entry_bytes: usize, target: usize) -> bool {
        let full = |bytes: usize| {
            let behind_window = bytes + entry_bytes > WINDOW_BYTES;
            bytes >= target || behind_window && bytes * 10 > target * 9
        };
        entry_bytes > target
            || self.entries() == ENTRIES_MAX
            || full(self.bytes_max()) && full(self.estimated_bytes())
    }

    fn is_wide(&self) -> bool {
        self.keys_bytes.max(self.values_bytes()) > usize::from(u16::MAX)
    }

    /// Appends an entry whose key shares its first `shared` bytes with the last one's; the caller
    /// sees to the order.
    #[inline]
    pub(crate) fn add(
        &mut self,
        (key, shared): (&[u8], usize),
        trailer: Trailer,
        value: &[u8],
        hash: u64,
    ) {
        if self.value_len != Some(value.len()) {
            self.note_length(value.len());
        }
        let restart = self.until_restart == 0;
        let stored = if restart { 0 } else { shared };
        if restart {
            self.until_restart = self.interval;
            self.restarts.push((self.keys_bytes, self.values_bytes()));
        }
        self.until_restart -= 1;
        if self.hash_index {
            self.hashes.push((hash, self.restarts.len() - 1));
        }
        let value_len = if self.value_len.is_some() { None } else { Some(value.len()) };
        if !self.put_short(key, stored, value_len) {
            self.put_long(key, stored, value_len);
        }
        self.user_key_bytes += key.len();
        self.body.extend_from_slice(value);
        self.trailers.push(trailer.raw());
    }

    /// Takes note of a value that is the first or is not as long as the first.
    fn note_length(&mut self, bytes: usize) {
        if self.trailers.is_empty() {
            self.value_len = Some(bytes);
        } else if self.value_len.is_some() {
            self.write_lengths_out();
        }
    }

    /// Writes an entry's key, and keeps it as the last one, if all that is new of it fits a word.
    #[inline(always)]
    fn put_short(&mut self, key: &[u8], shared: usize, value_len: Option<usize>) -> bool {
        // The last bytes of the key at the end of a word: its tail is among them.
        let (end, at_hand) = if let Some(end) = key.last_chunk::<WORD>() {
            (u128::from_le_bytes(*end), WORD)
        } else if let Some(end) = key.last_chunk::<{ WORD / 2 }>() {
            (u128::from(u64::from_le_bytes(*end)) << 64, WORD / 2)
        } else {
            return false;
        };
        let tail = key.len() - shared;
        let Some((lens, lens_bytes)) = short_lens(shared, tail, value_len) else { return false };
        if tail > at_hand || lens_bytes + tail > WORD {
            return false;
        }
        let (at, same) = (self.keys_bytes, key.len() - at_hand);
        let (Some(to), Some(last)) =
            (word_at(&mut self.keys, at), word_at(&mut self.last_key, same))
        else {
            return false;
        };
        let lens_mask = (1 << (8 * lens_bytes)) - 1;
        let tail_at_end = end >> (8 * (WORD - lens_bytes - tail));
        *to = (tail_at_end & !lens_mask | u128::from(lens)).to_le_bytes();
        *last = (end >> (8 * (WORD - at_hand))).to_le_bytes();
        self.keys_bytes = at + lens_bytes + tail;
        self.last_key_bytes = key.len();
        true
    }

    /// As [`Self::put_short`], for every key; makes room for the next words.
    fn put_long(&mut self, key: &[u8], shared: usize, value_len: Option<usize>) {
        let (same, tail) = key.split_at(shared);
        let Self { keys, keys_bytes, front, .. } = self;
        *keys_bytes = put_entry(keys, *keys_bytes, (shared, tail), value_len, front);
        reserve(&mut self.last_key, key.len());
        put(&mut self.last_key, same.len(), tail);
        self.last_key_bytes = key.len();
    }

    /// Rewrites the keys so that each entry tells the length of its value.
    #[cold]
    fn write_lengths_out(&mut self) {
        let Some(value_len) = self.value_len.take() else { return };
        let old = std::mem::take(&mut self.keys);
        let old = old.get(..self.keys_bytes).unwrap_or_default();
        self.keys_bytes = 0;
        self.restarts.clear();
        let (mut at, mut rank) = (0, 0);
        while at < old.len() {
            let entry = head(old, at, Some(value_len)).expect("written by this builder");
            if rank % self.interval == 0 {
                self.restarts.push((self.keys_bytes, rank * value_len));
            }
            let tail = old.get(entry.tail_at..entry.end).expect("written by this builder");
            let Self { keys, keys_bytes, front, .. } = self;
            let key = (entry.shared, tail);
            *keys_bytes = put_entry(keys, *keys_bytes, key, Some(value_len), front);
            at = entry.end;
            rank += 1;
        }
    }

    /// Puts the body together; [`Self::clear`] is to follow.
    pub(crate) fn finish(&mut self) -> (&[u8], Tally) {
        self.spread.catch_up(&self.trailers);
        let mut front = std::mem::take(&mut self.front);
        front.clear();
        self.put_front(&mut front);
        let before_values = front.len() + self.keys_bytes;
        self.make_room(before_values);
        let start = self.room - before_values;
        put(&mut self.body, start, &front);
        put(
            &mut self.body,
            start + front.len(),
            self.keys.get(..self.keys_bytes).unwrap_or_default(),
        );
        self.front = front;
        (self.body.get(start..).unwrap_or_default(), self.tally())
    }

    fn tally(&self) -> Tally {
        Tally {
            entries: u16::try_from(self.trailers.len()).expect("the writer cuts blocks in time"),
            tombstones: self.spread.tombstones(&self.trailers),
            key_bytes: self.user_key_bytes,
            value_bytes: self.values_bytes(),
            trailer_min: Trailer::from_raw(self.spread.min()),
            trailer_max: Trailer::from_raw(self.spread.max()),
        }
    }

    /// Sees to it that there are so many bytes before the values, in this block and the next ones.
    fn make_room(&mut self, bytes: usize) {
        let Some(more) = bytes.checked_sub(self.room).filter(|more| *more > 0) else { return };
        let end = self.body.len();
        self.body.resize(end + more, 0);
        self.body.copy_within(self.room..end, self.room + more);
        self.room += more;
    }

    /// Writes what stands before the keys.
    fn put_front(&self, out: &mut Vec<u8>) {
        let (width, shifted) = self.spread.width();
        let hashed = self.hash_index && self.restarts.len() <= RESTARTS_HASHED_MAX;
        let mut flags = 0;
        flags |= if self.is_wide() { FLAG_WIDE_RESTARTS } else { 0 };
        flags |= if self.value_len.is_some() { FLAG_EQUAL_VALUE_LENGTHS } else { 0 };
        flags |= if hashed { FLAG_HASH_INDEX } else { 0 };
        let width_byte = u8::try_from(width).expect("eight bytes at most");
        out.push(flags);
        let spaced = self.spread.step();
        let shifted_byte = if shifted { TRAILER_SHIFTED } else { 0 };
        out.push(width_byte | shifted_byte | if spaced.is_some() { TRAILER_SPACED } else { 0 });
        varint::put(out, self.interval as u64);
        match (self.trailers.first(), spaced) {
            (Some(first), Some(step)) => {
                varint::put(out, *first);
                varint::put(out, step);
            }
            _ => varint::put(out, self.spread.min()),
        }
        varint::put(out, self.keys_bytes as u64);
        if let Some(bytes) = self.value_len {
            varint::put(out, bytes as u64);
        }
        let buckets = self.hashes.len() * 100 / BUCKETS_FILLED_PERCENT + 1;
        if hashed {
            varint::put(out, buckets as u64);
        }
        self.put_restarts(out);
        if hashed {
            self.put_buckets(out, buckets);
        }
        let (shift, min) = (if shifted { 8 } else { 0 }, self.spread.min());
        for raw in self.trailers.iter().filter(|_| width > 0) {
            let delta = (raw - min) >> shift;
            out.extend(delta.to_le_bytes().into_iter().take(width));
        }
    }

    fn put_buckets(&self, out: &mut Vec<u8>, buckets: usize) {
        let start = out.len();
        out.resize(start + buckets, BUCKET_NONE);
        for (hash, restart) in &self.hashes {
            let restart = u8::try_from(*restart).expect("few enough for a hash index");
            if let Some(bucket) = out.get_mut(start + bucket_of(*hash, buckets)) {
                *bucket = match *bucket {
                    BUCKET_NONE => restart,
                    same if same == restart => restart,
                    _ => BUCKET_MANY,
                };
            }
        }
    }

    fn put_restarts(&self, out: &mut Vec<u8>) {
        let wide = self.is_wide();
        for (key_at, value_at) in self.restarts.iter().skip(1) {
            for offset in [*key_at, *value_at] {
                if wide {
                    // Only an entry alone in its block can lie beyond 4 GiB, and it starts at 0.
                    let offset = u32::try_from(offset).expect("blocks are cut before 4 GiB");
                    out.extend_from_slice(&offset.to_le_bytes());
                } else {
                    let offset = u16::try_from(offset).expect("checked by is_wide");
                    out.extend_from_slice(&offset.to_le_bytes());
                }
            }
        }
    }

    /// Starts over; keeps memory.
    pub(crate) fn clear(&mut self) {
        self.keys_bytes = 0;
        self.user_key_bytes = 0;
        self.body.truncate(self.room);
        self.trailers.clear();
        self.spread = Spread::default();
        self.restarts.clear();
        self.until_restart = 0;
        self.hashes.clear();
        self.last_key_bytes = 0;
        self.value_len = None;
    }
}

/// The bucket of a hash.
#[inline]
pub(crate) fn bucket_of(hash: u64, buckets: usize) -> usize {
    // The filter takes the hash from the top; the low half is free to spread keys here.
    (((hash & 0xffff_ffff) * buckets as u64) >> 32) as usize
}

/// The lengths of an entry as they are written, and how many bytes they take, if they are short.
#[inline(always)]
fn short_lens(shared: usize, tail: usize, value_len: Option<usize>) -> Option<(u64, usize)> {
    if tail >= NIBBLE_FULL || shared >= NIBBLE_FULL + 0x80 {
        return None;
    }
    let (mut lens, mut bytes) = ((shared.min(NIBBLE_FULL) << 4 | tail) as u64, 1);
    if shared >= NIBBLE_FULL {
        lens |= ((shared - NIBBLE_FULL) as u64) << 8;
        bytes = 2;
    }
    let Some(value_len) = value_len else { return Some((lens, bytes)) };
    let value_len = value_len as u64;
    match value_len {
        0..0x80 => Some((lens | value_len << (8 * bytes), bytes + 1)),
        0x80..0x4000 => {
            let groups = value_len & 0x7f | 0x80 | value_len >> 7 << 8;
            Some((lens | groups << (8 * bytes), bytes + 2))
        }
        _ => None,
    }
}

/// Writes an entry's lengths (by way of `lens`) and tail at `at` and returns where they end; makes
/// room for words.
fn put_entry(
    keys: &mut Vec<u8>,
    at: usize,
    (shared, tail): (usize, &[u8]),
    value_len: Option<usize>,
    lens: &mut Vec<u8>,
) -> usize {
    lens.clear();
    let nibble = |bytes: usize| u8::try_from(bytes.min(NIBBLE_FULL)).unwrap_or(15);
    lens.push(nibble(shared) << 4 | nibble(tail.len()));
    if shared >= NIBBLE_FULL {
        varint::put(lens, (shared - NIBBLE_FULL) as u64);
    }
    if tail.len() >= NIBBLE_FULL {
        varint::put(lens, (tail.len() - NIBBLE_FULL) as u64);
    }
    if let Some(bytes) = value_len {
        varint::put(lens, bytes as u64);
    }
    let tail_at = at + lens.len();
    let end = tail_at + tail.len();
    reserve(keys, end);
    put(keys, at, lens);
    put(keys, tail_at, tail);
    end
}

/// Makes the memory at least `end` and a word long.
fn reserve(bytes: &mut Vec<u8>, end: usize) {
    let needed = end + WORD;
    if bytes.len() < needed {
        bytes.resize(needed.next_power_of_two(), 0);
    }
}

/// Copies to a place that there is.
fn put(to: &mut [u8], at: usize, from: &[u8]) {
    let room = to.get_mut(at..at + from.len()).expect("room was made");
    room.copy_from_slice(from);
}

#[inline(always)]
fn word_at(bytes: &mut [u8], at: usize) -> Option<&mut [u8; WORD]> {
    bytes.get_mut(at..)?.first_chunk_mut()
}
