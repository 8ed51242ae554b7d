//! Compressed layout: separators front-coded in groups of 16.
//!
//! ```text
//!   search  := integer of the first separator of each group: u64 little-endian
//!   offsets := start of each group, and their end: u32 or u64, little-endian
//!   group   := rest bytes: varint | rest beyond 8 bytes | entry * up to 15
//!   entry   := bytes shared with the separator before: varint | bytes of its own: varint | those
//! ```
//!
//! 1. Sharing is counted after the common prefix; in a group each entry builds on the one before.
//! 2. A search never puts a separator together: while all entries so far are below the key, the
//!    number of bytes that the key shares with the last of them decides most comparisons.
//! 3. Reading is total: a damaged group gives wrong ranks, within the group.
#![deny(clippy::indexing_slicing)]

use std::cmp::Ordering;

use crate::format::Parts;
use crate::keys::{Collected, encode_offsets, leading, leading_bytes, offset_at, shared};
use crate::prefetch::prefetch;
use crate::standard;

/// Separators in a group.
pub(crate) const GROUP: usize = 16;

/// A fence of this layout, its sections cut out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compressed<'a> {
    pub(crate) count: usize,
    pub(crate) flags: u16,
    pub(crate) search: &'a [[u8; 8]],
    pub(crate) offsets: &'a [u8],
    pub(crate) groups: &'a [u8],
}

/// Appends `value`, seven bits a byte, the lowest first.
fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let [low, ..] = (value as u64).to_le_bytes();
        value >>= 7;
        out.push(low & 0x7f | if value > 0 { 0x80 } else { 0 });
        if value == 0 {
            return;
        }
    }
}

/// Takes a varint off `bytes`; zero if there is none.
#[inline]
fn take_varint(bytes: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0_usize, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    value
}

/// Takes `len` bytes off `bytes`, or all there are.
#[inline]
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (head, rest) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
    *bytes = rest;
    head
}

/// Everything but the bounds.
pub(crate) fn encode(keys: &Collected) -> Parts {
    let common = keys.common();
    let (mut starts, mut heads, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut before: &[u8] = &[];
    for (rank, separator) in keys.iter().enumerate() {
        let rest = separator.get(common..).unwrap_or_default();
        if rank % GROUP == 0 {
            starts.push(groups.len() as u64);
            heads.push(leading(rest));
            push_varint(&mut groups, rest.len());
            groups.extend_from_slice(rest.get(8..).unwrap_or_default());
        } else {
            let same = shared(before, rest);
            let own = rest.get(same..).unwrap_or_default();
            push_varint(&mut groups, same);
            push_varint(&mut groups, own.len());
            groups.extend_from_slice(own);
        }
        before = rest;
    }
    starts.push(groups.len() as u64);
    let (offsets, flags) = encode_offsets(&starts);
    Parts {
        flags,
        count: keys.len(),
        common: keys.get(0).get(..common).unwrap_or_default().to_vec(),
        search: standard::encode(&heads),
        offsets,
        tails: groups,
        ..Parts::default()
    }
}

impl<'a> Compressed<'a> {
    /// The bytes of group `index`.
    fn group(&self, index: usize) -> &'a [u8] {
        let start = offset_at(self.flags, self.offsets, index);
        let end = offset_at(self.flags, self.offsets, index.saturating_add(1));
        self.groups.get(start..end).unwrap_or_default()
    }

    /// Compares the first separator of a group, whose integer equals the key's, with the key.
    fn compare_head(&self, index: usize, rest: &[u8]) -> Ordering {
        let mut group = self.group(index);
        let len = take_varint(&mut group);
        let tail = take(&mut group, len.saturating_sub(8));
        let own = len.min(8).cmp(&rest.len().min(8));
        own.then_with(|| tail.cmp(rest.get(8..).unwrap_or_default()))
    }

    /// The number of groups that begin below the key, given the first group whose integer is not
    /// below `wanted`.
    fn settle_group(&self, index: usize, wanted: u64, rest: &[u8]) -> usize {
        let below = |index: usize| {
            index < self.search.len()
                && standard::integer(self.search, index) == wanted
                && self.compare_head(index, rest).is_lt()
        };
        let (mut low, mut step) = (index, 1);
        while below(low + step - 1) {
            low += step;
            step *= 2;
        }
        let mut high = low + step - 1;
        while low < high {
            let middle = low.midpoint(high);
            if below(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// How many separators of group `index`, the first of which is below the key, are below it.
    fn below_in_group(&self, index: usize, rest: &[u8]) -> usize {
        let head = standard::integer(self.search, index);
        let mut group = self.group(index);
        let len = take_varint(&mut group);
        let tail = take(&mut group, len.saturating_sub(8));
        let mut matched =
            leading_bytes(head, len.min(8)).zip(rest).take_while(|(a, b)| a == *b).count();
        if matched == 8 {
            matched += shared(tail, rest.get(8..).unwrap_or_default());
        }
        let mut below = 1;
        while !group.is_empty() {
            let same = take_varint(&mut group);
            let len = take_varint(&mut group);
            let own = take(&mut group, len);
            match same.cmp(&matched) {
                // It leaves the separator before where the key does not: above the key.
                Ordering::Less => break,
                // It goes along with the separator before, beyond where the key left: below it.
                Ordering::Greater => {}
                Ordering::Equal => {
                    let key = rest.get(matched..).unwrap_or_default();
                    if own >= key {
                        break;
                    }
                    matched += shared(own, key);
                }
            }
            below += 1;
        }
        below
    }

    /// The rank of the first separator at or above the key, given how many groups begin below it.
    fn finish(&self, groups: usize, rest: &[u8]) -> usize {
        let Some(index) = groups.checked_sub(1) else { return 0 };
        let below = self.below_in_group(index, rest);
        index.saturating_mul(GROUP).saturating_add(below).min(self.count)
    }

    /// The rank of the first separator at or above the key of which `rest` follows the prefix.
    pub(crate) fn find(&self, rest: &[u8]) -> usize {
        let wanted = leading(rest);
        let index = standard::lower_bound(self.search, wanted);
        self.finish(self.settle_group(index, wanted, rest), rest)
    }

    /// [`find`](Self::find) of several keys in step.
    pub(crate) fn find_batch<const BATCH: usize>(&self, rests: &[&[u8]; BATCH]) -> [usize; BATCH] {
        let wanted = rests.map(leading);
        let mut ranks = standard::lower_bounds(self.search, &wanted);
        for index in &ranks {
            let group = index.saturating_sub(1);
            prefetch(self.groups, offset_at(self.flags, self.offsets, group));
        }
        for ((rank, wanted), rest) in ranks.iter_mut().zip(wanted).zip(rests) {
            *rank = self.finish(self.settle_group(*rank, wanted, rest), rest);
        }
        ranks
    }

    /// Appends separator `rank` without the common prefix.
    pub(crate) fn append(&self, rank: usize, out: &mut Vec<u8>) {
        let base = out.len();
        let index = rank / GROUP;
        let mut group = self.group(index);
        let len = take_varint(&mut group);
        out.extend(leading_bytes(standard::integer(self.search, index), len));
        out.extend_from_slice(take(&mut group, len.saturating_sub(8)));
        for _ in 0..rank % GROUP {
            let same = take_varint(&mut group);
            let len = take_varint(&mut group);
            out.truncate(base.saturating_add(same));
            out.extend_from_slice(take(&mut group, len));
        }
    }
}
