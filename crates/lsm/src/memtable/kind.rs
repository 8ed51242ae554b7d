//! [`MemtableKind`]: which sorted buffer a memtable is, as an option.

use std::fmt;
use std::str::FromStr;

/// Shards of a sharded memtable, unless told otherwise: the CS265 report's number (2025).
const SHARDS: u16 = 16;

/// Shards at most.
const SHARDS_MAX: u16 = 1024;

/// How writes are kept sorted in memory until they are flushed. All kinds give the same answers;
/// they differ in speed. Written and read as `fastskip`, `skipmap`, `sharded`, `sharded:64`,
/// `ring:64`.
///
/// ```
/// use lsm::{MemtableKind, Options};
/// let options = Options { memtable: "sharded:8".parse().unwrap(), ..Options::default() };
/// assert_eq!(options.memtable, MemtableKind::sharded(8));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MemtableKind {
    /// The lock-free skip list of the `fastskip` crate: entries lie in chunks of memory that one
    /// memtable leaves to the next. The fastest for writing, reading and scanning.
    #[default]
    FastSkip,
    /// The lock-free skip list of the `crossbeam-skiplist` crate: an allocation for each node, key
    /// and value.
    SkipMap,
    /// B-trees behind a lock each; a hash of the key says which. Writers of different shards do
    /// not meet; scans merge all shards.
    Sharded {
        /// Number of shards, 1 to 1,024.
        shards: u16,
        /// How a hash becomes a shard.
        placement: Placement,
    },
}

/// How the XXH3 hash of a key becomes a shard of a sharded memtable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Placement {
    /// The 64-bit hash modulo the number of shards.
    #[default]
    Modulo,
    /// Consistent hashing (Karger et al. 1997), as in the CS265 report: the shard whose virtual
    /// node follows the 128-bit hash on a ring. It spreads less evenly and takes longer than
    /// modulo; what it buys, few keys that move when shards come and go, does not happen here.
    Ring,
}

impl MemtableKind {
    /// A sharded memtable with hashes modulo `shards`.
    pub fn sharded(shards: u16) -> Self {
        Self::Sharded { shards, placement: Placement::Modulo }
    }

    /// A sharded memtable with shards on a ring.
    pub fn ring(shards: u16) -> Self {
        Self::Sharded { shards, placement: Placement::Ring }
    }

    /// Whether the number of shards is in its range.
    pub(crate) fn is_valid(self) -> bool {
        match self {
            Self::FastSkip | Self::SkipMap => true,
            Self::Sharded { shards, .. } => (1..=SHARDS_MAX).contains(&shards),
        }
    }

    /// Memory that an entry takes beyond its key and value, in bytes: an estimate, for the write
    /// buffer's limit.
    pub(crate) fn entry_overhead_bytes(self) -> usize {
        match self {
            Self::FastSkip => 48,
            // Node and tower, two shared slices with their counts, three allocations.
            Self::SkipMap => 144,
            // A place in a B-tree that is two thirds full, and the slices.
            Self::Sharded { .. } => 136,
        }
    }
}

impl fmt::Display for MemtableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FastSkip => f.write_str("fastskip"),
            Self::SkipMap => f.write_str("skipmap"),
            Self::Sharded { shards, placement: Placement::Modulo } => {
                write!(f, "sharded:{shards}")
            }
            Self::Sharded { shards, placement: Placement::Ring } => write!(f, "ring:{shards}"),
        }
    }
}

impl FromStr for MemtableKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, shards) = match text.split_once(':') {
            None => (text, Some(SHARDS)),
            Some((name, digits)) => (name, digits.parse().ok()),
        };
        match (text, name, shards) {
            ("fastskip", ..) => Ok(Self::FastSkip),
            ("skipmap", ..) => Ok(Self::SkipMap),
            (_, "sharded", Some(shards)) => Ok(Self::sharded(shards)),
            (_, "ring", Some(shards)) => Ok(Self::ring(shards)),
            _ => Err(format!(
                "{text:?} is no memtable; there are fastskip, skipmap, sharded:N and ring:N"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_read_back_from_their_names() {
        let kinds = [
            MemtableKind::FastSkip,
            MemtableKind::SkipMap,
            MemtableKind::sharded(7),
            MemtableKind::ring(1024),
        ];
        for kind in kinds {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert!(kind.is_valid());
        }
        assert_eq!("sharded".parse(), Ok(MemtableKind::sharded(SHARDS)));
        for wrong in ["", "btree", "sharded:", "sharded:-1", "fastskip:2", "ring:70000"] {
            assert!(wrong.parse::<MemtableKind>().is_err(), "{wrong}");
        }
        assert!(!MemtableKind::sharded(0).is_valid());
        assert!(!MemtableKind::ring(SHARDS_MAX + 1).is_valid());
    }
}
