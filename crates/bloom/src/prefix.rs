//! Prefixes of keys in a filter, so that a scan of one prefix can be answered with *no*.
//!
//! 1. What [`PrefixRule::extract`] takes from a key, it takes from every longer key that starts
//!    with the same bytes, and from every prefix of the key that is long enough.
//! 2. Prefixes are hashed with a seed of their own: a prefix never looks like a key.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::DecodeError;

const PREFIX_SEED: u64 = 0x9072_6566_6978_2e31;

/// Which part of a key is its prefix. Recorded in the filter.
///
/// ```
/// use bloom::{Builder, Filter, Kind, PrefixRule};
///
/// let mut builder = Builder::new(Kind::DoubleProbe, 10.0).with_prefixes(PrefixRule::UpTo(b':'));
/// builder.add(b"user:17");
/// builder.add(b"user:18");
/// let filter = Filter::decode(builder.finish())?;
/// assert!(filter.may_contain_prefix(b"user:"));
/// assert!(!filter.may_contain_prefix(b"order:"));
/// assert!(filter.may_contain_prefix(b"us"), "no separator: the filter cannot tell");
/// # Ok::<(), bloom::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrefixRule {
    /// The first so many bytes; a shorter key has no prefix.
    Fixed(u16),
    /// Everything up to the first such byte, which is included; a key without it has no prefix.
    UpTo(u8),
}

impl PrefixRule {
    /// Returns the prefix of `key`, if it has one.
    #[must_use]
    pub fn extract(self, key: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Fixed(length) => key.get(..usize::from(length)),
            Self::UpTo(byte) => {
                let at = key.iter().position(|other| *other == byte)?;
                key.get(..=at)
            }
        }
    }

    /// The number that stands for the rule in a header; 0 is no rule.
    pub(crate) fn number(rule: Option<Self>) -> u32 {
        match rule {
            None => 0,
            Some(Self::Fixed(length)) => 1 << 24 | u32::from(length),
            Some(Self::UpTo(byte)) => 2 << 24 | u32::from(byte),
        }
    }

    /// The rule, if any, that a number stands for.
    pub(crate) fn from_number(number: u32) -> Result<Option<Self>, DecodeError> {
        match number.to_le_bytes() {
            [0, 0, 0, 0] => Ok(None),
            [low, high, 0, 1] => Ok(Some(Self::Fixed(u16::from_le_bytes([low, high])))),
            [byte, 0, 0, 2] => Ok(Some(Self::UpTo(byte))),
            _ => Err(DecodeError::Field("prefix rule")),
        }
    }
}

/// Returns the hash under which filters know the prefix `prefix`: XXH3-64 with a fixed seed.
#[must_use]
pub fn hash_prefix(prefix: &[u8]) -> u64 {
    xxh3_64_with_seed(prefix, PREFIX_SEED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(hash_prefix(b""), 0x4403_da35_0264_2e3c);
        assert_eq!(hash_prefix(b"user:"), 0x5d49_bbfa_5b63_9271);
    }

    #[test]
    fn what_is_taken_does_not_depend_on_what_follows() {
        for rule in [PrefixRule::Fixed(0), PrefixRule::Fixed(3), PrefixRule::UpTo(b'/')] {
            for key in [&b""[..], b"a", b"ab/", b"a/b/c", b"/", b"abcdef"] {
                let Some(prefix) = rule.extract(key) else { continue };
                assert!(key.starts_with(prefix));
                assert_eq!(rule.extract(prefix), Some(prefix));
                assert_eq!(rule.extract(&[key, b"/more"].concat()), Some(prefix));
            }
        }
        assert_eq!(PrefixRule::Fixed(3).extract(b"ab"), None);
        assert_eq!(PrefixRule::UpTo(b'/').extract(b"ab"), None);
    }

    #[test]
    fn numbers_round_trip_and_unknown_ones_are_refused() {
        for rule in [
            None,
            Some(PrefixRule::Fixed(0)),
            Some(PrefixRule::Fixed(u16::MAX)),
            Some(PrefixRule::UpTo(0)),
            Some(PrefixRule::UpTo(255)),
        ] {
            assert_eq!(PrefixRule::from_number(PrefixRule::number(rule)), Ok(rule));
        }
        for unknown in [1, 2 << 24 | 256, 3 << 24, u32::MAX] {
            assert!(PrefixRule::from_number(unknown).is_err());
        }
    }
}
