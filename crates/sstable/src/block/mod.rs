//! Data blocks in memory: where their parts lie, and how an entry is read.
//!
//! ```text
//! body     := flags: u8            bit 0 wide restarts, 1 equal value lengths, 2 hash index
//!           | trailers: u8         bits 0-3 width in bytes, bit 4 kinds equal (shift 8),
//!                                  bit 5 evenly spaced (width 0)
//!           | restart_interval: varint | trailer_base: varint
//!           | trailer_step: varint if evenly spaced | keys_bytes: varint
//!           | value_len: varint            if flags bit 1: the length of every value
//!           | bucket_count: varint         if flags bit 2
//!           | restarts | buckets | trailers | keys | values
//! keys     := ( lens: u8                   bits 4-7 shared, bits 0-3 unshared key bytes
//!             | more_shared: varint        if shared = 15: what is beyond 15
//!             | more_unshared: varint      if unshared = 15
//!             | value_len: varint          unless flags bit 1
//!             | key tail )*                one per entry; shared = 0 at a restart
//! values   := value bytes*                 one after the other
//! trailers := little-endian * width        (trailer - trailer_base) >> (8 if bit 4 else 0);
//!             evenly spaced ones are trailer_base + rank * trailer_step, modulo 2^64
//! buckets  := u8 * bucket_count            restart rank, 254 several, 255 none
//! restarts := (key_at, value_at): u16 or u32 each, from the start of keys and of values; not of
//!             the first restart, which is at 0
//! ```
//!
//! 1. A restart begins at every entry whose rank is a multiple of the interval.
//! 2. What a search touches lies together at the front, the values behind it: a 4 KiB block of
//!    100-byte values is searched in a handful of neighbouring cache lines.
//! 3. Everything here is total: a malformed block gives [`Fault`] or `None`, never a panic.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub(crate) mod builder;
pub(crate) mod bytes;
pub(crate) mod cursor;
pub(crate) mod mixed;
mod pool;
pub(crate) mod search;
mod spread;

use crate::format::Fault;
use crate::key::{KEY_BYTES_MAX, Trailer};
use crate::varint;
use bytes::Bytes;

pub(crate) const FLAG_WIDE_RESTARTS: u8 = 1;
pub(crate) const FLAG_EQUAL_VALUE_LENGTHS: u8 = 2;
pub(crate) const FLAG_HASH_INDEX: u8 = 4;
pub(crate) const TRAILER_SHIFTED: u8 = 0x10;
pub(crate) const TRAILER_SPACED: u8 = 0x20;
pub(crate) const BUCKET_MANY: u8 = 254;
pub(crate) const BUCKET_NONE: u8 = 255;
/// Lengths from here on do not fit a nibble.
pub(crate) const NIBBLE_FULL: usize = 15;

/// A decoded data block: its bytes and where its parts lie in them. Small: it lies within the slots
/// of the block cache.
#[derive(Clone, Debug)]
pub(crate) struct DataBlock {
    bytes: Bytes,
    layout: Layout,
}

/// Offsets within the body, checked once when the block is loaded: every section lies within it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    trailer_base: u64,
    /// From one trailer to the next, if they are evenly spaced; then their width is 0.
    trailer_step: u64,
    buckets_at: u32,
    trailers_at: u32,
    keys_at: u32,
    /// Values go to the end of the body.
    values_at: u32,
    /// If `equal_lengths`.
    value_len: u32,
    entries: u16,
    interval: u16,
    restarts_at: u8,
    trailer_width: u8,
    trailer_shift: u8,
    wide: bool,
    equal_lengths: bool,
}

/// How a body is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As drawn above: in memory, and on disk in blocks of version 1.
    Apart,
    /// As drawn in [`mixed`]: on disk in blocks of version 2.
    Mixed,
}

/// What stands before a key's tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Bytes shared with the key before.
    pub(crate) shared: usize,
    /// Where the tail starts, from the start of the keys.
    pub(crate) tail_at: usize,
    /// Where the next entry starts.
    pub(crate) end: usize,
    pub(crate) value_len: usize,
}

impl Layout {
    pub(crate) fn parse(body: &[u8], entries: usize) -> Result<Self, Fault> {
        let parts = Self::parse_parts(body, entries, Form::Apart);
        parts.ok_or(Fault::Damaged("a data block whose parts fit it"))?
    }

    /// Where the parts of a body as in [`mixed`] lie; what would be keys and values are entries.
    pub(crate) fn parse_mixed(body: &[u8], entries: usize) -> Result<Self, Fault> {
        let parts = Self::parse_parts(body, entries, Form::Mixed);
        parts.ok_or(Fault::Damaged("a data block whose parts fit it"))?
    }

    fn parse_parts(body: &[u8], entries: usize, form: Form) -> Option<Result<Self, Fault>> {
        let mut rest = body;
        let (&[flags, trailers], tail) = rest.split_first_chunk::<2>()?;
        rest = tail;
        let known = FLAG_WIDE_RESTARTS | FLAG_EQUAL_VALUE_LENGTHS | FLAG_HASH_INDEX;
        let (trailer_width, shifted) = (trailers & 0xf, trailers & TRAILER_SHIFTED != 0);
        if flags & !known != 0 || trailers & 0xc0 != 0 {
            return Some(Err(Fault::Unsupported(format!("data block flags {flags:#x}"))));
        }
        let interval = number(&mut rest)?;
        let trailer_base = varint::take(&mut rest)?;
        let spaced = trailers & TRAILER_SPACED != 0;
        let trailer_step = if spaced { varint::take(&mut rest)? } else { 0 };
        let keys_bytes = number(&mut rest)?;
        let equal_lengths = flags & FLAG_EQUAL_VALUE_LENGTHS != 0;
        let value_len = if equal_lengths { Some(number(&mut rest)?) } else { None };
        let buckets = if flags & FLAG_HASH_INDEX == 0 { 0 } else { number(&mut rest)? };
        if interval == 0 || entries == 0 || trailer_width > 8 || spaced && trailer_width > 0 {
            return None;
        }
        let wide = flags & FLAG_WIDE_RESTARTS != 0;
        let restarts = entries.div_ceil(interval);
        let restarts_at = body.len() - rest.len();
        let restarts_bytes = match form {
            Form::Apart => (restarts - 1) * if wide { 8 } else { 4 },
            Form::Mixed => 0,
        };
        let buckets_at = restarts_at.checked_add(restarts_bytes)?;
        let trailers_at = buckets_at.checked_add(buckets)?;
        let keys_at = trailers_at.checked_add(entries * usize::from(trailer_width))?;
        let values_at = keys_at.checked_add(keys_bytes)?;
        let trailer_shift = if shifted { 8 } else { 0 };
        if values_at > body.len() {
            return None;
        }
        Some(Ok(Self {
            trailer_base,
            trailer_step,
            // A block whose keys do not end before 4 GiB was never written.
            buckets_at: u32::try_from(buckets_at).ok()?,
            trailers_at: u32::try_from(trailers_at).ok()?,
            keys_at: u32::try_from(keys_at).ok()?,
            values_at: u32::try_from(values_at).ok()?,
            value_len: u32::try_from(value_len.unwrap_or_default()).ok()?,
            entries: u16::try_from(entries).ok()?,
            // Beyond the most entries there are, all intervals are alike.
            interval: u16::try_from(interval).unwrap_or(u16::MAX),
            restarts_at: u8::try_from(restarts_at).ok()?, // two bytes and six numbers
            trailer_width,
            trailer_shift,
            wide,
            equal_lengths,
        }))
    }

    #[inline(always)]
    pub(crate) fn entries(&self) -> usize {
        usize::from(self.entries)
    }

    #[inline(always)]
    pub(crate) fn interval(&self) -> usize {
        usize::from(self.interval)
    }

    #[inline(always)]
    pub(crate) fn restarts(&self) -> usize {
        u32::from(self.entries).div_ceil(u32::from(self.interval)) as usize
    }

    /// The length of every value, if they are all equal.
    #[inline(always)]
    pub(crate) fn value_len(&self) -> Option<usize> {
        self.equal_lengths.then_some(self.value_len as usize)
    }

    /// Where the buckets of the hash index lie; empty if there are none.
    #[inline(always)]
    pub(crate) fn buckets(&self) -> std::ops::Range<usize> {
        self.buckets_at as usize..self.trailers_at as usize
    }

    /// Bytes of each restart.
    fn restart_bytes(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    /// Where the restarts lie, the first of which is left out.
    fn restarts_range(&self) -> std::ops::Range<usize> {
        usize::from(self.restarts_at)..self.buckets_at as usize
    }

    /// Where the sections between restarts and keys lie.
    fn before_keys(&self) -> std::ops::Range<usize> {
        self.buckets_at as usize..self.keys_at as usize
    }

    fn keys_bytes(&self) -> usize {
        (self.values_at - self.keys_at) as usize
    }

    /// The keys and the values of the body.
    fn key_values<'a>(&self, body: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        body.get(self.keys_at as usize..)?.split_at_checked(self.keys_bytes())
    }

    /// Values go from here to the end of the body.
    #[inline(always)]
    pub(crate) fn values_at(&self) -> usize {
        self.values_at as usize
    }
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(varint::take(rest)?).ok()
}

/// Reads the head of the entry at `at` of the keys.
#[inline(always)]
pub(crate) fn head(keys: &[u8], at: usize, equal_len: Option<usize>) -> Option<Head> {
    let lens = usize::from(*keys.get(at)?);
    let (mut shared, mut unshared) = (lens >> 4, lens & 0xf);
    let mut at = at + 1;
    if shared == NIBBLE_FULL {
        shared = shared.checked_add(long(keys, &mut at)?)?;
    }
    if unshared == NIBBLE_FULL {
        unshared = unshared.checked_add(long(keys, &mut at)?)?;
    }
    let value_len = match equal_len {
        Some(bytes) => bytes,
        None => long(keys, &mut at)?,
    };
    let end = at.checked_add(unshared)?;
    (end <= keys.len()).then_some(Head { shared, tail_at: at, end, value_len })
}

/// Reads a varint that is mostly one byte.
#[inline(always)]
fn long(keys: &[u8], at: &mut usize) -> Option<usize> {
    let byte = *keys.get(*at)?;
    if byte < 0x80 {
        *at += 1;
        return Some(usize::from(byte));
    }
    let (value, count) = varint::get(keys.get(*at..)?)?;
    *at += count;
    usize::try_from(value).ok()
}

impl DataBlock {
    /// Takes a decompressed body.
    pub(crate) fn parse(bytes: Bytes, entries: usize) -> Result<Self, Fault> {
        let layout = Layout::parse(&bytes, entries)?;
        Ok(Self { bytes, layout })
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns a view whose slices are at hand.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        View { body: &self.bytes, layout: &self.layout }
    }
}

/// A data block's bytes and layout, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) layout: &'a Layout,
}

impl<'a> View<'a> {
    #[inline]
    pub(crate) fn keys(&self) -> &'a [u8] {
        let keys = self.layout.keys_at as usize..self.layout.values_at();
        self.body.get(keys).unwrap_or_default()
    }

    /// Returns the trailer of the entry of this rank.
    #[inline]
    pub(crate) fn trailer(&self, rank: usize) -> Trailer {
        let layout = self.layout;
        let width = usize::from(layout.trailer_width);
        if width == 0 {
            let steps = layout.trailer_step.wrapping_mul(rank as u64);
            return Trailer::from_raw(layout.trailer_base.wrapping_add(steps));
        }
        let at = layout.trailers_at as usize + rank * width;
        let raw = match self.body.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            Some(word) => u64::from_le_bytes(*word),
            // The last bytes of the body: fewer than eight are left.
            None => self.short_word(at),
        };
        let delta = raw & (u64::MAX >> (64 - 8 * width));
        Trailer::from_raw(layout.trailer_base.wrapping_add(delta << layout.trailer_shift))
    }

    #[cold]
    fn short_word(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        let rest = self.body.get(at..).unwrap_or_default();
        for (to, from) in word.iter_mut().zip(rest) {
            *to = *from;
        }
        u64::from_le_bytes(word)
    }

    /// Returns where the entry at restart `rank` has its key and its value, from the start of the
    /// keys and of the values.
    #[inline]
    pub(crate) fn restart(&self, rank: usize) -> Option<(usize, usize)> {
        let Some(stored) = rank.checked_sub(1) else { return Some((0, 0)) };
        let restarts =
            self.body.get(usize::from(self.layout.restarts_at)..self.layout.buckets_at as usize)?;
        if self.layout.wide {
            let pair = u64::from_le_bytes(*restarts.get(stored * 8..)?.first_chunk::<8>()?);
            Some(((pair & 0xffff_ffff) as usize, (pair >> 32) as usize))
        } else {
            let pair = u32::from_le_bytes(*restarts.get(stored * 4..)?.first_chunk::<4>()?);
            Some(((pair & 0xffff) as usize, (pair >> 16) as usize))
        }
    }

    /// Returns the whole key at restart `rank`.
    #[inline]
    pub(crate) fn restart_key(&self, rank: usize) -> Option<&'a [u8]> {
        let (key_at, _) = self.restart(rank)?;
        let keys = self.keys();
        let head = head(keys, key_at, self.layout.value_len())?;
        if head.shared != 0 {
            return None;
        }
        keys.get(head.tail_at..head.end)
    }

    /// Whether a key of this many bytes is allowed.
    #[inline]
    pub(crate) fn key_fits(bytes: usize) -> bool {
        bytes <= KEY_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: 15 and the largest number made a length of 14, or a panic.
    #[test]
    fn lengths_that_do_not_fit_a_number_are_no_entry() {
        let mut largest = Vec::new();
        varint::put(&mut largest, u64::MAX);
        for lens in [0xf0, 0x0f, 0xff] {
            let keys = [&[lens][..], &largest, &largest, &[0; 32]].concat();
            assert!(head(&keys, 0, Some(0)).is_none(), "{lens:#x}");
        }
    }
}
