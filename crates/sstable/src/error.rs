//! What can go wrong with a table file: which file, where, and what was expected.

use std::io;
use std::sync::Arc;

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong with a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write.
    #[error("cannot read or write {file} at byte {offset}: {source}")]
    Io {
        /// The table file.
        file: Arc<str>,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The file does not hold what it must.
    #[error("{file} is damaged at byte {offset}: expected {expected}")]
    Corruption {
        /// The table file.
        file: Arc<str>,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What should have been there.
        expected: String,
    },
    /// The file uses a version or codec that this build does not know.
    #[error("{file} cannot be read by this build: {what}")]
    Unsupported {
        /// The table file.
        file: Arc<str>,
        /// The version or codec.
        what: String,
    },
    /// An option is outside its range.
    #[error("invalid table options: {0}")]
    InvalidOptions(String),
    /// The key or the value is longer than the format allows.
    #[error("{what} of {bytes} bytes is longer than the {limit} allowed")]
    TooLong {
        /// "key" or "value".
        what: &'static str,
        /// Its length in bytes.
        bytes: u64,
        /// The largest length in bytes.
        limit: u64,
    },
}
