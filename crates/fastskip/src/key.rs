//! Keys as numbers: order-preserving hints of 32 bits, so that most comparisons touch no key.
//!
//! A node knows the range of its keys, and maps that range to 32 bits ([`Lens`]); the result stands
//! beside the link. With `h` the hint of a node: `a < b` implies `h(a) <= h(b)`, for *all* entries:
//! those outside the range get the least or the greatest hint. So a smaller hint proves
//! a smaller key, and only equal hints need the keys themselves. (A piece of the key beside the
//! pointer: poor man's normalized keys, Graefe & Larson 2001.)

use crate::record::Record;
use std::cmp::Ordering;

/// Orders entries: by key, bytes ascending; of one key the newest (largest) version first.
#[inline]
pub(crate) fn compare(key: &[u8], version: u64, other: Record<'_>) -> Ordering {
    key.cmp(other.key()).then_with(|| other.version().cmp(&version))
}

/// A position in the list that a search looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) version: u64,
    head: u128,
    side: Side,
}

/// Where the position lies relative to the entry (key, version).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// At the entry: it is covered.
    At,
    /// Just before the entry: it is not covered.
    Before,
    /// Behind all entries, whatever the key says.
    End,
}

impl<'a> Target<'a> {
    /// The entry itself: covers all entries up to it, and it.
    #[inline]
    pub(crate) fn at(key: &'a [u8], version: u64) -> Self {
        Self { key, version, head: head(key), side: Side::At }
    }

    /// Covers all entries before (key, version).
    #[inline]
    pub(crate) fn before(key: &'a [u8], version: u64) -> Self {
        Self { key, version, head: head(key), side: Side::Before }
    }

    /// Covers all entries.
    #[inline]
    pub(crate) const fn end() -> Self {
        Self { key: &[], version: 0, head: 0, side: Side::End }
    }

    /// Whether the entry lies before the position (or at it).
    #[inline]
    pub(crate) fn covers(&self, entry: Record<'_>) -> bool {
        match self.side {
            Side::At => compare(self.key, self.version, entry) != Ordering::Less,
            Side::Before => compare(self.key, self.version, entry) == Ordering::Greater,
            Side::End => true,
        }
    }
}

/// The first 16 bytes of a key as a number; shorter keys are filled up with zeros.
#[inline]
#[expect(
    clippy::big_endian_bytes,
    reason = "big-endian numbers compare like bytes; in memory only"
)]
pub(crate) fn head(key: &[u8]) -> u128 {
    if let Some(first) = key.first_chunk::<16>() {
        return u128::from_be_bytes(*first);
    }
    if let (Some(first), Some(last)) = (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        // Two overlapping reads of 8 bytes: the last one, moved to where it belongs.
        let first = u128::from(u64::from_be_bytes(*first)) << 64;
        let last = u128::from(u64::from_be_bytes(*last)) << (8 * (16 - key.len()));
        return first | last;
    }
    let mut bytes = [0; 16];
    bytes[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(bytes)
}

/// How a node sees keys: a window of 32 bits, placed where the node's range lies.
///
/// `hint(key) = clamp((head(key) - base) >> shift)`, with `base` the head of the low key and
/// `shift` such that the last key of the range still fits. Where 16 bytes cannot tell the keys of
/// the range apart, the window lies behind `skip` bytes that they all share, or over the version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lens {
    pub(crate) base: u128,
    pub(crate) skip: u16,
    pub(crate) shift: u8,
}

/// [`Lens::skip`] of a node whose entries are all versions of one key.
const ONE_KEY: u16 = u16::MAX;

impl Lens {
    /// The lens of a node that has no keys yet.
    pub(crate) const WHOLE: Self = Self { base: 0, skip: 0, shift: 96 };

    /// The lens of a node that begins with the entry `low` and ends before `end`.
    pub(crate) fn between(low: Record<'_>, end: Record<'_>) -> Self {
        Self::over(low, end, 0)
    }

    /// The lens of a node that begins with `low`, where `sample` is the best guess at its extent:
    /// there is room for 65,536 times that (roots see their range grow).
    pub(crate) fn guess(low: Record<'_>, sample: Record<'_>) -> Self {
        Self::over(low, sample, 16)
    }

    fn over(low: Record<'_>, end: Record<'_>, spare_bits: u32) -> Self {
        let (low_key, end_key) = (low.key(), end.key());
        let shared = shared_bytes(low_key, end_key);
        let skip = match u16::try_from(shared) {
            _ if shared == low_key.len() && shared == end_key.len() => ONE_KEY,
            Ok(skip) if shared > 12 && low_key.len().max(end_key.len()) > 16 => {
                skip.min(ONE_KEY - 1)
            }
            _ => 0,
        };
        let head_of = |record: Record<'_>| match skip {
            ONE_KEY => u128::from(!record.version()),
            _ => head(&record.key()[usize::from(skip)..]),
        };
        let (base, end) = (head_of(low), head_of(end));
        let bits = 128 - end.abs_diff(base).leading_zeros() + spare_bits;
        let shift = u8::try_from(bits.saturating_sub(32).min(96)).unwrap_or(96);
        Self { base, skip, shift }
    }

    /// The hint of `target`. `low` gives a record that starts with the bytes to skip; it is asked
    /// only if there are any.
    #[inline]
    pub(crate) fn hint<'p>(&self, target: &Target<'_>, low: impl FnOnce() -> Record<'p>) -> u32 {
        if self.skip == 0 && target.side != Side::End {
            return self.window(target.head);
        }
        self.hint_behind(target, low)
    }

    /// Whether the hints of one key's versions differ: the newer, the smaller.
    #[inline]
    pub(crate) fn tells_versions(&self) -> bool {
        self.skip == ONE_KEY
    }

    #[inline]
    fn window(&self, head: u128) -> u32 {
        let offset = head.saturating_sub(self.base) >> self.shift;
        u32::try_from(offset).unwrap_or(u32::MAX)
    }

    #[cold]
    fn hint_behind<'p>(&self, target: &Target<'_>, low: impl FnOnce() -> Record<'p>) -> u32 {
        if target.side == Side::End {
            return u32::MAX;
        }
        let low = low().key();
        let skip = match self.skip {
            ONE_KEY => low.len(),
            skip => usize::from(skip),
        };
        let order = match self.skip {
            ONE_KEY => target.key.cmp(low),
            _ => target.key[..skip.min(target.key.len())].cmp(&low[..skip]),
        };
        match order {
            Ordering::Less => 0,
            Ordering::Greater => u32::MAX,
            Ordering::Equal if self.skip == ONE_KEY => self.window(u128::from(!target.version)),
            Ordering::Equal => self.window(head(&target.key[skip..])),
        }
    }
}

/// Length of the common prefix of two keys.
fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn heads_compare_like_the_keys_they_begin() {
        let keys = (0..2_000_u32).map(|n| {
            let n = n.wrapping_mul(0x9e37_79b9);
            let bytes: Vec<u8> = n.to_le_bytes().repeat(5).iter().map(|byte| byte % 3).collect();
            bytes[..n as usize % 20].to_vec()
        });
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable();
        assert!(keys.is_sorted_by_key(|key| head(key)));
        assert_eq!(head(b"abc"), 0x61_6263 << 104);
        assert_eq!(head(b"abcdefghij"), 0x6162_6364_6566_6768_696a << 48);
        assert_eq!(head(b"abcdefghijklmnopq"), head(b"abcdefghijklmnop"));
    }
}
