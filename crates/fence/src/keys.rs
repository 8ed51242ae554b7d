//! Packed separators: the common prefix once, 8 bytes of each as an integer, the tails aside.
//!
//! ```text
//!   separator := common prefix | rest
//!   integer   := first 8 bytes of rest, zero padded, big-endian, so that integers order like bytes
//!   tail      := [min(rest bytes, 8): u8, only in SHORT fences] | rest beyond 8 bytes
//!   offsets   := start of each tail, and their end: u32 or u64, little-endian; none if UNIFORM
//! ```
//!
//! 1. Integers ascend with the separators; equal integers are told apart by the tails alone.
//! 2. Reading is total: what lies outside a section reads as empty.
#![expect(clippy::big_endian_bytes, reason = "integers must order like the bytes they stand for")]
#![deny(clippy::indexing_slicing)]

use std::cmp::Ordering;

use crate::format::{self, Parts};
use crate::prefetch::prefetch;

/// The first 8 bytes of `rest`, zero padded, as an integer that orders like them.
#[inline]
pub(crate) fn leading(rest: &[u8]) -> u64 {
    rest.first_chunk().map_or_else(|| leading_short(rest), |first| u64::from_be_bytes(*first))
}

/// [`leading`] of fewer than 8 bytes.
fn leading_short(rest: &[u8]) -> u64 {
    let mut padded = [0; 8];
    for (to, from) in padded.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_be_bytes(padded)
}

/// The first `count` bytes that [`leading`] made `integer` of.
pub(crate) fn leading_bytes(integer: u64, count: usize) -> impl Iterator<Item = u8> {
    integer.to_be_bytes().into_iter().take(count)
}

/// How many bytes `a` and `b` share from the start.
pub(crate) fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// Where a key stands to the separators, seen from their common prefix alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Strip<'a> {
    /// Below every separator.
    Below,
    /// Above every separator.
    Above,
    /// It shares the prefix, and this is what follows.
    Rest(&'a [u8]),
}

/// Takes the common prefix off `key`.
#[inline]
pub(crate) fn strip<'a>(common: &[u8], key: &'a [u8]) -> Strip<'a> {
    match key.split_at_checked(common.len()) {
        Some((head, rest)) if common.is_empty() || head == common => Strip::Rest(rest),
        _ if key > common => Strip::Above,
        _ => Strip::Below,
    }
}

/// Compares a tail with what the key has beyond 8 bytes.
#[inline]
pub(crate) fn compare_tails(tail: &[u8], rest: &[u8]) -> Ordering {
    if tail.is_empty() {
        // Spares fixed-size keys the call for nothing.
        return 8.cmp(&rest.len().max(8));
    }
    tail.cmp(rest.get(8..).unwrap_or_default())
}

/// Bytes of one offset.
#[inline]
pub(crate) fn offset_width(flags: u16) -> usize {
    if flags & format::WIDE_OFFSETS == 0 { 4 } else { 8 }
}

/// Offset number `index` of the offset section; beyond every section if there is none.
#[inline]
pub(crate) fn offset_at(flags: u16, offsets: &[u8], index: usize) -> usize {
    let offset = if flags & format::WIDE_OFFSETS == 0 {
        offsets.as_chunks().0.get(index).map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
    } else {
        offsets.as_chunks().0.get(index).map(|bytes| u64::from_le_bytes(*bytes))
    };
    offset.and_then(|offset| usize::try_from(offset).ok()).unwrap_or(usize::MAX)
}

/// The offset section for `offsets`, as narrow as they allow, and the flag that says so.
pub(crate) fn encode_offsets(offsets: &[u64]) -> (Vec<u8>, u16) {
    let narrow: Result<Vec<u32>, _> = offsets.iter().map(|offset| u32::try_from(*offset)).collect();
    match narrow {
        Ok(narrow) => (narrow.into_iter().flat_map(u32::to_le_bytes).collect(), 0),
        Err(_) => {
            (offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect(), format::WIDE_OFFSETS)
        }
    }
}

/// More than this is not asked for on the chance that a tail in it is wanted.
const PREFETCH_BYTES_MAX: usize = 256;

/// The tails of a fence, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tails<'a> {
    pub(crate) flags: u16,
    pub(crate) uniform: usize,
    pub(crate) offsets: &'a [u8],
    pub(crate) bytes: &'a [u8],
}

impl<'a> Tails<'a> {
    /// Of separator `rank`: how many of its integer's bytes are its own, and the bytes beyond them.
    #[inline]
    pub(crate) fn get(&self, rank: usize) -> (usize, &'a [u8]) {
        if self.flags & format::UNIFORM != 0 {
            let len = self.uniform.saturating_sub(8);
            let start = rank.saturating_mul(len);
            let tail = self.bytes.get(start..start.saturating_add(len));
            return (self.uniform.min(8), tail.unwrap_or_default());
        }
        let tail = self.bytes.get(self.offset(rank)..self.offset(rank.saturating_add(1)));
        let tail = tail.unwrap_or_default();
        if self.flags & format::SHORT == 0 {
            return (8, tail);
        }
        tail.split_first().map_or((0, &[][..]), |(own, rest)| (usize::from(*own).min(8), rest))
    }

    fn offset(&self, index: usize) -> usize {
        offset_at(self.flags, self.offsets, index)
    }

    /// Starts loading what [`get`](Self::get) needs first of a rank in `start..end`, if that is a
    /// few lines.
    #[inline]
    pub(crate) fn prefetch_range(&self, start: usize, end: usize) {
        let (section, len) = if self.flags & format::UNIFORM != 0 {
            (self.bytes, self.uniform.saturating_sub(8))
        } else {
            (self.offsets, offset_width(self.flags))
        };
        let (from, to) = (start.saturating_mul(len), end.saturating_mul(len));
        if to.saturating_sub(from) <= PREFETCH_BYTES_MAX {
            (from..to).step_by(64).chain(to.checked_sub(1)).for_each(|at| prefetch(section, at));
        }
    }

    /// Starts loading what [`get`](Self::get) of `rank` needs first.
    #[inline]
    pub(crate) fn prefetch_first(&self, rank: usize) {
        if self.flags & format::UNIFORM != 0 {
            prefetch(self.bytes, rank.saturating_mul(self.uniform.saturating_sub(8)));
        } else {
            prefetch(self.offsets, rank.saturating_mul(offset_width(self.flags)));
        }
    }

    /// Starts loading what [`get`](Self::get) of `rank` needs after that.
    #[inline]
    pub(crate) fn prefetch_second(&self, rank: usize) {
        if self.flags & format::UNIFORM == 0 {
            prefetch(self.bytes, self.offset(rank));
        }
    }

    /// Compares separator `rank` with a key of equal integer, of which `rest` follows the prefix.
    #[inline]
    pub(crate) fn compare(&self, rank: usize, rest: &[u8]) -> Ordering {
        let (own, tail) = self.get(rank);
        own.cmp(&rest.len().min(8)).then_with(|| compare_tails(tail, rest))
    }

    /// Appends what follows the common prefix in separator `rank`, whose integer is `integer`.
    pub(crate) fn append(&self, rank: usize, integer: u64, out: &mut Vec<u8>) {
        let (own, tail) = self.get(rank);
        out.extend(leading_bytes(integer, own));
        out.extend_from_slice(tail);
    }
}

/// The separators as a builder collects them: all bytes in one buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Collected {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all separators together.
    pub(crate) fn key_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, separator: &[u8]) {
        self.bytes.extend_from_slice(separator);
        self.ends.push(self.bytes.len());
    }

    /// Separator `rank`; empty if there is none.
    pub(crate) fn get(&self, rank: usize) -> &[u8] {
        let before = rank.checked_sub(1).and_then(|before| self.ends.get(before));
        let end = self.ends.get(rank).copied().unwrap_or_default();
        self.bytes.get(before.copied().unwrap_or_default()..end).unwrap_or_default()
    }

    pub(crate) fn last(&self) -> Option<&[u8]> {
        self.len().checked_sub(1).map(|last| self.get(last))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|rank| self.get(rank))
    }

    /// Bytes that all separators share from the start.
    pub(crate) fn common(&self) -> usize {
        self.last().map_or(0, |last| shared(self.get(0), last))
    }

    /// The length of every separator, if they agree.
    pub(crate) fn uniform(&self) -> Option<usize> {
        let first = self.get(0).len();
        self.iter().all(|separator| separator.len() == first).then_some(first)
    }

    /// Everything but the search array, and the integers to make that of.
    pub(crate) fn pack(&self) -> (Parts, Vec<u64>) {
        let common = self.common();
        let rests = || self.iter().map(|separator| separator.get(common..).unwrap_or_default());
        let integers = rests().map(leading).collect();
        let mut parts = Parts {
            count: self.len(),
            common: self.get(0).get(..common).unwrap_or_default().to_vec(),
            ..Parts::default()
        };
        if let Some(length) = self.uniform() {
            parts.flags = format::UNIFORM;
            parts.uniform = length.saturating_sub(common);
            parts.tails =
                rests().flat_map(|rest| rest.get(8..).unwrap_or_default()).copied().collect();
            return (parts, integers);
        }
        let short = rests().any(|rest| rest.len() < 8);
        let mut starts = Vec::with_capacity(self.len() + 1);
        for rest in rests() {
            starts.push(parts.tails.len() as u64);
            if short {
                parts.tails.push(u8::try_from(rest.len().min(8)).unwrap_or(8));
            }
            parts.tails.extend_from_slice(rest.get(8..).unwrap_or_default());
        }
        starts.push(parts.tails.len() as u64);
        let (offsets, width) = encode_offsets(&starts);
        parts.offsets = offsets;
        parts.flags = width | if short { format::SHORT } else { 0 };
        (parts, integers)
    }
}
