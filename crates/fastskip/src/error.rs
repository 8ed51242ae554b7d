//! Why an insert was refused.

use std::fmt;

/// Why an insert was refused. The list is unchanged.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InsertError {
    /// The list was sealed: it takes no more entries.
    Sealed,
    /// The list already holds this entry (for [`SkipList`](crate::SkipList): this key at this
    /// version).
    Duplicate,
    /// The arena is full: its limit is reached, or the system gave no memory.
    OutOfMemory,
    /// Key or value is longer than 4 GiB - 1 bytes.
    TooLarge,
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sealed => "the list is sealed and takes no more entries",
            Self::Duplicate => "the list already holds this entry",
            Self::OutOfMemory => "the arena is full",
            Self::TooLarge => "key or value is longer than 4 GiB - 1 bytes",
        })
    }
}

impl std::error::Error for InsertError {}

/// A batch ended early: an entry was refused. The entries before it are in the list, it and those
/// behind it are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchStopped {
    /// Entries inserted: the first so many of the batch.
    pub inserted: usize,
    /// Why the next one was refused.
    pub error: InsertError,
}

impl fmt::Display for BatchStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch stopped after {} entries: {}", self.inserted, self.error)
    }
}

impl std::error::Error for BatchStopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
