//! Stored keys: a user key, then a trailer that tells version and kind.
//!
//! 1. A stored key is `(user_key, trailer)`, `trailer = sequence number << 8 | kind`.
//! 2. Stored order: user keys ascending bytewise (shorter before longer), then trailers
//!    **descending**, so that the newest version of a key comes first.
//! 3. Numbers in [`Kind`] are part of the format and never change.

use std::cmp::Ordering;

/// Counts the writes of a database; 56 bits.
pub type SeqNo = u64;

/// The largest sequence number: 2^56 - 1.
pub const SEQNO_MAX: SeqNo = (1 << 56) - 1;

/// The longest user key, in bytes.
pub const KEY_BYTES_MAX: usize = 65_535;

/// The longest value, in bytes: 4 GiB - 1.
pub const VALUE_BYTES_MAX: u64 = u32::MAX as u64;

/// What an entry says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// The key is gone. An answer like any other: a lookup stops here.
    Delete = 0,
    /// The key has this value.
    Put = 1,
    /// An operand for a merge operator; reserved.
    Merge = 2,
    /// All keys from this one up to the value (exclusive) are gone; reserved.
    RangeDelete = 3,
    /// The value says where the real value lies; reserved.
    ValuePointer = 4,
}

impl Kind {
    /// Returns the kind with this number, or `None` if this build knows no such kind.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Delete),
            1 => Some(Self::Put),
            2 => Some(Self::Merge),
            3 => Some(Self::RangeDelete),
            4 => Some(Self::ValuePointer),
            _ => None,
        }
    }
}

/// Version and kind of an entry, packed into 64 bits: `seqno << 8 | kind`.
///
/// The order of this type is that of the number: greater is newer. In *stored* order newer comes
/// first; see [`compare`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Trailer(u64);

impl Trailer {
    /// The first trailer of any key in stored order.
    pub const FIRST: Self = Self(u64::MAX);
    /// The last trailer of any key in stored order.
    pub const LAST: Self = Self(0);

    /// Packs a sequence number and a kind.
    ///
    /// # Panics
    /// If `seqno` is greater than [`SEQNO_MAX`].
    #[inline]
    #[must_use]
    pub const fn new(seqno: SeqNo, kind: Kind) -> Self {
        assert!(seqno <= SEQNO_MAX, "sequence numbers have 56 bits");
        Self(seqno << 8 | kind as u64)
    }

    /// Takes the 64 bits as they are.
    #[inline]
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// Returns the first trailer, in stored order, of what was written at or before `seqno`: the
    /// place to seek to for a read at that sequence number.
    ///
    /// # Panics
    /// If `seqno` is greater than [`SEQNO_MAX`].
    #[inline]
    #[must_use]
    pub const fn newest_at(seqno: SeqNo) -> Self {
        assert!(seqno <= SEQNO_MAX, "sequence numbers have 56 bits");
        Self(seqno << 8 | 0xff)
    }

    /// Returns the same kind with another sequence number.
    ///
    /// # Panics
    /// If `seqno` is above [`SEQNO_MAX`].
    #[inline]
    #[must_use]
    pub const fn with_seqno(self, seqno: SeqNo) -> Self {
        assert!(seqno <= SEQNO_MAX, "sequence numbers have 56 bits");
        Self(seqno << 8 | self.0 & 0xff)
    }

    /// Returns the 64 bits.
    #[inline]
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Returns the sequence number.
    #[inline]
    #[must_use]
    pub const fn seqno(self) -> SeqNo {
        self.0 >> 8
    }

    /// Returns the kind, or `None` if this build knows no such kind.
    #[inline]
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        Kind::from_u8((self.0 & 0xff) as u8)
    }
}

/// Compares two stored keys: user keys ascending, then trailers descending.
#[inline]
#[must_use]
pub fn compare(a_key: &[u8], a_trailer: Trailer, b_key: &[u8], b_trailer: Trailer) -> Ordering {
    a_key.cmp(b_key).then_with(|| b_trailer.cmp(&a_trailer))
}

/// Returns how many leading bytes two keys share.
#[inline]
#[must_use]
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let bytes = a.len().min(b.len());
    let mut at = 0;
    while at + 8 <= bytes {
        let different = word(a, at) ^ word(b, at);
        if different != 0 {
            return at + (different.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    if at == bytes {
        return at;
    }
    // The last word once more, as far as it is there: what was equal stays equal.
    if let Some(last) = bytes.checked_sub(8) {
        let different = word(a, last) ^ word(b, last);
        return if different == 0 {
            bytes
        } else {
            last + (different.trailing_zeros() / 8) as usize
        };
    }
    while at < bytes && a[at] == b[at] {
        at += 1;
    }
    at
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// Returns the shortest separator `s` with `left <= s < right`.
///
/// `left` itself if nothing shorter will do, or if `left >= right` (versions of one key on both
/// sides of a border).
#[must_use]
pub(crate) fn separator<'a>(left: &'a [u8], right: &[u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let shared = common_prefix(left, right);
    let (Some(&low), Some(&high)) = (left.get(shared), right.get(shared)) else { return left };
    if low >= high {
        return left;
    }
    buffer.clear();
    buffer.extend_from_slice(&left[..shared]);
    if low + 1 < high {
        buffer.push(low + 1);
        return buffer;
    }
    // Neighbouring bytes: keep `low` and raise the first byte after it that can be raised.
    buffer.push(low);
    for &byte in &left[shared + 1..] {
        if byte < 0xff {
            buffer.push(byte + 1);
            return if buffer.len() < left.len() { buffer } else { left };
        }
        buffer.push(byte);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn a_trailer_keeps_what_it_was_given() {
        for kind in [Kind::Delete, Kind::Put, Kind::Merge, Kind::RangeDelete, Kind::ValuePointer] {
            for seqno in [0, 1, 255, 256, SEQNO_MAX] {
                let trailer = Trailer::new(seqno, kind);
                assert_eq!((trailer.seqno(), trailer.kind()), (seqno, Some(kind)));
                assert!(trailer <= Trailer::newest_at(seqno));
                assert!(seqno == 0 || trailer > Trailer::newest_at(seqno - 1));
            }
        }
        assert_eq!(Trailer::from_raw(0x0105).kind(), None);
    }

    #[test]
    #[should_panic(expected = "56 bits")]
    fn a_sequence_number_of_57_bits_is_a_bug() {
        assert_eq!(Trailer::new(SEQNO_MAX + 1, Kind::Put).raw(), 0);
    }

    #[test]
    fn newer_versions_come_first_and_shorter_keys_before_longer() {
        let at = |seqno| Trailer::new(seqno, Kind::Put);
        assert_eq!(compare(b"a", at(2), b"a", at(1)), Ordering::Less);
        assert_eq!(compare(b"a", at(1), b"aa", at(2)), Ordering::Less);
        assert_eq!(compare(b"", at(1), b"\0", at(2)), Ordering::Less);
        assert_eq!(compare(b"b", at(1), b"a", at(1)), Ordering::Greater);
    }

    #[test]
    fn prefixes_and_separators_are_right_on_random_keys() {
        let mut random = StdRng::seed_from_u64(1);
        let mut buffer = Vec::new();
        for _ in 0..20_000 {
            let mut key = || -> Vec<u8> {
                let bytes = random.random_range(0..20);
                (0..bytes).map(|_| [0, 1, 2, 254, 255][random.random_range(0..5)]).collect()
            };
            let (a, b) = (key(), key());
            let shared = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
            assert_eq!(common_prefix(&a, &b), shared);
            let (left, right) = if a < b { (a, b) } else { (b, a) };
            let cut = separator(&left, &right, &mut buffer);
            assert!(cut >= &left[..] && cut.len() <= left.len());
            assert!(left == right || cut < &right[..]);
        }
    }
}
