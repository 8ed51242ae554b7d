//! Puts entries together to the body of a data block; see [`super`] for the picture.
//!
//! 1. Equal entries give equal bytes.
//! 2. While all values have one length, no entry repeats it; at the first other one the keys
//!    gathered so far are rewritten, once a block.

use super::{
    BUCKET_MANY, BUCKET_NONE, FLAG_EQUAL_VALUE_LENGTHS, FLAG_HASH_INDEX, FLAG_WIDE_RESTARTS,
    NIBBLE_FULL, TRAILER_SHIFTED, TRAILER_SPACED, head,
};
use crate::key::{Trailer, common_prefix};
use crate::varint;

/// Restarts a bucket can tell apart.
const RESTARTS_HASHED_MAX: usize = BUCKET_MANY as usize;
/// Percent of buckets that keys may fill.
const BUCKETS_FILLED_PERCENT: usize = 75;

/// Gathers the entries of one data block after another.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    interval: usize,
    hash_index: bool,
    keys: Vec<u8>,
    values: Vec<u8>,
    trailers: Vec<u64>,
    restarts: Vec<(usize, usize)>,
    /// Hash and restart rank of every entry, if there is to be a hash index.
    hashes: Vec<(u64, usize)>,
    last_key: Vec<u8>,
    /// The length of all values so far; `None` once two differed.
    value_len: Option<usize>,
    trailer_min: u64,
    trailer_max: u64,
    kinds_differ: bool,
    /// From each trailer to the next, as long as that is always the same: 0 before the second.
    trailer_step: Option<u64>,
}

impl BlockBuilder {
    pub(crate) fn new(interval: usize, hash_index: bool) -> Self {
        Self {
            interval,
            hash_index,
            keys: Vec::new(),
            values: Vec::new(),
            trailers: Vec::new(),
            restarts: Vec::new(),
            hashes: Vec::new(),
            last_key: Vec::new(),
            value_len: None,
            trailer_min: u64::MAX,
            trailer_max: 0,
            kinds_differ: false,
            trailer_step: Some(0),
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.trailers.len()
    }

    pub(crate) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    pub(crate) fn last_trailer(&self) -> Option<Trailer> {
        self.trailers.last().map(|raw| Trailer::from_raw(*raw))
    }

    /// Bytes of the body if it were finished now, within a few.
    #[inline]
    pub(crate) fn estimated_bytes(&self) -> usize {
        let (width, _) = self.trailer_width();
        let restart_bytes = if self.is_wide() { 8 } else { 4 };
        16 + self.keys.len()
            + self.values.len()
            + self.trailers.len() * width
            + self.restarts.len() * restart_bytes
            + self.hashes.len() * 100 / BUCKETS_FILLED_PERCENT
    }

    fn is_wide(&self) -> bool {
        self.keys.len().max(self.values.len()) > usize::from(u16::MAX)
    }

    /// Bytes of each trailer's difference from the smallest, and whether the kind is left out.
    #[inline]
    fn trailer_width(&self) -> (usize, bool) {
        if self.trailer_step.is_some() {
            return (0, false);
        }
        let span = self.trailer_max.saturating_sub(self.trailer_min);
        let span = if self.kinds_differ { span } else { span >> 8 };
        ((64 - span.leading_zeros() as usize).div_ceil(8), !self.kinds_differ)
    }

    /// Appends an entry; the caller sees to the order.
    pub(crate) fn add(&mut self, key: &[u8], trailer: Trailer, value: &[u8], hash: u64) {
        let rank = self.trailers.len();
        let restart = rank.is_multiple_of(self.interval);
        let shared = if restart { 0 } else { common_prefix(&self.last_key, key) };
        if rank == 0 {
            self.value_len = Some(value.len());
        } else if self.value_len.is_some_and(|bytes| bytes != value.len()) {
            self.write_lengths_out();
        }
        if restart {
            self.restarts.push((self.keys.len(), self.values.len()));
        }
        if self.hash_index {
            self.hashes.push((hash, self.restarts.len() - 1));
        }
        let value_len = if self.value_len.is_some() { None } else { Some(value.len()) };
        let (_, tail) = key.split_at(shared);
        put_entry(&mut self.keys, shared, tail, value_len);
        self.values.extend_from_slice(value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(tail);
        let raw = trailer.raw();
        self.kinds_differ |= rank > 0 && (raw ^ self.trailer_min) & 0xff != 0;
        if let Some(last) = self.trailers.last() {
            let step = raw.wrapping_sub(*last);
            self.trailer_step = self.trailer_step.filter(|same| rank == 1 || *same == step);
            self.trailer_step = self.trailer_step.map(|_| step);
        }
        self.trailer_min = self.trailer_min.min(raw);
        self.trailer_max = self.trailer_max.max(raw);
        self.trailers.push(raw);
    }

    /// Rewrites the keys so that each entry tells the length of its value.
    #[cold]
    fn write_lengths_out(&mut self) {
        let Some(value_len) = self.value_len.take() else { return };
        let old = std::mem::take(&mut self.keys);
        self.restarts.clear();
        let (mut at, mut rank) = (0, 0);
        while at < old.len() {
            let entry = head(&old, at, Some(value_len)).expect("written by this builder");
            if rank % self.interval == 0 {
                self.restarts.push((self.keys.len(), rank * value_len));
            }
            let tail = old.get(entry.tail_at..entry.end).expect("written by this builder");
            put_entry(&mut self.keys, entry.shared, tail, Some(value_len));
            at = entry.end;
            rank += 1;
        }
    }

    /// Appends the body to `out`, starts over, and returns the count of entries.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> u16 {
        let entries = u16::try_from(self.trailers.len()).expect("the writer cuts blocks in time");
        let (width, shifted) = self.trailer_width();
        let hashed = self.hash_index && self.restarts.len() <= RESTARTS_HASHED_MAX;
        let mut flags = 0;
        flags |= if self.is_wide() { FLAG_WIDE_RESTARTS } else { 0 };
        flags |= if self.value_len.is_some() { FLAG_EQUAL_VALUE_LENGTHS } else { 0 };
        flags |= if hashed { FLAG_HASH_INDEX } else { 0 };
        let width_byte = u8::try_from(width).expect("eight bytes at most");
        out.push(flags);
        let spaced = self.trailer_step.filter(|step| *step != 0);
        let shifted_byte = if shifted { TRAILER_SHIFTED } else { 0 };
        out.push(width_byte | shifted_byte | if spaced.is_some() { TRAILER_SPACED } else { 0 });
        varint::put(out, self.interval as u64);
        match (self.trailers.first(), spaced) {
            (Some(first), Some(step)) => {
                varint::put(out, *first);
                varint::put(out, step);
            }
            _ => varint::put(out, self.trailer_min),
        }
        varint::put(out, self.keys.len() as u64);
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
        let shift = if shifted { 8 } else { 0 };
        for raw in self.trailers.iter().filter(|_| width > 0) {
            let delta = (raw - self.trailer_min) >> shift;
            out.extend(delta.to_le_bytes().into_iter().take(width));
        }
        out.extend_from_slice(&self.keys);
        out.extend_from_slice(&self.values);
        self.clear();
        entries
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

    fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
        self.trailers.clear();
        self.restarts.clear();
        self.hashes.clear();
        self.last_key.clear();
        self.value_len = None;
        self.trailer_min = u64::MAX;
        self.trailer_max = 0;
        self.kinds_differ = false;
        self.trailer_step = Some(0);
    }
}

/// The bucket of a hash.
#[inline]
pub(crate) fn bucket_of(hash: u64, buckets: usize) -> usize {
    // The filter takes the hash from the top; the low half is free to spread keys here.
    (((hash & 0xffff_ffff) * buckets as u64) >> 32) as usize
}

fn put_entry(keys: &mut Vec<u8>, shared: usize, tail: &[u8], value_len: Option<usize>) {
    let nibble = |bytes: usize| u8::try_from(bytes.min(NIBBLE_FULL)).unwrap_or(15);
    keys.push(nibble(shared) << 4 | nibble(tail.len()));
    if shared >= NIBBLE_FULL {
        varint::put(keys, (shared - NIBBLE_FULL) as u64);
    }
    if tail.len() >= NIBBLE_FULL {
        varint::put(keys, (tail.len() - NIBBLE_FULL) as u64);
    }
    if let Some(bytes) = value_len {
        varint::put(keys, bytes as u64);
    }
    keys.extend_from_slice(tail);
}
