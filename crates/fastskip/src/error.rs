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

impl InsertError {
    /// Another name of [`InsertError::Duplicate`].
    #[expect(non_upper_case_globals, reason = "stands for a variant, also in patterns")]
    pub const DuplicateKey: Self = Self::Duplicate;
}

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

/// Why a batch of a [`ConcurrentSkipList`](crate::ConcurrentSkipList) was not wholly inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchError {
    /// Some entries were refused: their keys are there, or the list is sealed or full.
    PartialFailure {
        /// Entries inserted.
        succeeded: usize,
        /// Entries refused.
        failed: usize,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::PartialFailure { succeeded, failed } = self;
        write!(f, "{failed} entries of a batch were refused, {succeeded} inserted")
    }
}

impl std::error::Error for BatchError {}

/// Why a list could not be sealed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SealError {
    /// It was sealed before: that call has the frozen content.
    AlreadySealed,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list was sealed before")
    }
}

impl std::error::Error for SealError {}
