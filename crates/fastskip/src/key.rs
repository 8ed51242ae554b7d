//! Keys as numbers: order-preserving hints of 32 bits, so that most comparisons touch no key.
//!
//! A node skips the bytes that its keys share and keeps the next four of each, big-endian, beside
//! the link. With `h` the hint of a node: `a < b` implies `h(a) <= h(b)`, for *all* keys: those
//! that do not share the node's prefix get the least or the greatest hint. So a smaller hint proves
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
    pub(crate) fn end() -> Self {
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

/// How a node sees keys: bytes to skip, and what they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lens {
    /// The head of the node's prefix, zeros behind `skip` bytes.
    pub(crate) prefix: u128,
    pub(crate) skip: u16,
}

impl Lens {
    /// The lens of a node that has no keys yet.
    pub(crate) const WHOLE: Self = Self { prefix: 0, skip: 0 };

    /// A lens that skips the first `skip` bytes of `key` (65,535 at most).
    pub(crate) fn new(key: &[u8], skip: usize) -> Self {
        let skip = u16::try_from(skip.min(key.len())).unwrap_or(u16::MAX);
        Self { prefix: head(key) & mask(skip), skip }
    }

    /// The hint of `target`. `prefix` gives a key that starts with the node's prefix; it is asked
    /// only when that is longer than 16 bytes.
    #[inline]
    pub(crate) fn hint<'p>(&self, target: &Target<'_>, prefix: impl FnOnce() -> &'p [u8]) -> u32 {
        match target.side {
            Side::End => u32::MAX,
            _ => self.hint_of(target.key, target.head, prefix),
        }
    }

    /// The hint of `key`, whose [`head`] is `head`.
    #[inline]
    pub(crate) fn hint_of<'p>(
        &self,
        key: &[u8],
        head: u128,
        prefix: impl FnOnce() -> &'p [u8],
    ) -> u32 {
        match (head & mask(self.skip)).cmp(&self.prefix) {
            Ordering::Less => return 0,
            Ordering::Greater => return u32::MAX,
            Ordering::Equal => {}
        }
        if self.skip <= 12 || key.len() <= 16 && self.skip <= 16 {
            let rest = head.checked_shl(8 * u32::from(self.skip)).unwrap_or(0);
            return (rest >> 96) as u32;
        }
        self.hint_long(key, prefix)
    }

    #[cold]
    #[expect(clippy::big_endian_bytes, reason = "as in `head`")]
    fn hint_long<'p>(&self, key: &[u8], prefix: impl FnOnce() -> &'p [u8]) -> u32 {
        let skip = usize::from(self.skip);
        if skip > 16 {
            let prefix = &prefix()[16..skip];
            // A key that ends inside the prefix counts as filled up with zeros, as everywhere.
            for (rank, byte) in prefix.iter().enumerate() {
                match key.get(16 + rank).unwrap_or(&0).cmp(byte) {
                    Ordering::Less => return 0,
                    Ordering::Greater => return u32::MAX,
                    Ordering::Equal => {}
                }
            }
        }
        let mut bytes = [0; 4];
        for (to, from) in bytes.iter_mut().zip(key.get(skip..).unwrap_or(&[])) {
            *to = *from;
        }
        u32::from_be_bytes(bytes)
    }
}

/// Ones over the first `bytes` bytes of a head.
#[inline]
fn mask(bytes: u16) -> u128 {
    !u128::MAX.checked_shr(8 * u32::from(bytes)).unwrap_or(0)
}

/// Length of the common prefix of two keys.
pub(crate) fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
