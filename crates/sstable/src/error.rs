//! What can go wrong with a table file: which file, where, and what was expected.

use std::io;
use std::sync::Arc;

use crate::codec::Codec;

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
    /// The file uses a version of the format, or a number, that this build does not know.
    #[error("{file} cannot be read by this build: {what}")]
    Unsupported {
        /// The table file.
        file: Arc<str>,
        /// The version or the number.
        what: String,
    },
    /// The codec that is to be read or written is not built in: its feature is off.
    #[error("{}codec {} is not built in", prefix(file.as_ref()), codec.name())]
    UnsupportedCodec {
        /// The table file; `None` if options were checked before there was one.
        file: Option<Arc<str>>,
        /// The codec.
        codec: Codec,
    },
    /// An option is outside its range.
    #[error("invalid table options: {0}")]
    InvalidOptions(String),
    /// The table has as many blocks as its footer can count: the entry was not written, and the
    /// table cannot be finished.
    #[error("{file} has {blocks} blocks, as many as a table can hold")]
    TableFull {
        /// The table file.
        file: Arc<str>,
        /// Its blocks so far.
        blocks: u32,
    },
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

/// How a message that may be about a file begins.
fn prefix(file: Option<&Arc<str>>) -> String {
    file.map(|file| format!("{file}: ")).unwrap_or_default()
}

impl Error {
    /// This error, about the file `name` if it did not name one.
    pub(crate) fn of_file(self, name: &str) -> Self {
        match self {
            Self::UnsupportedCodec { file: None, codec } => {
                Self::UnsupportedCodec { file: Some(name.into()), codec }
            }
            other => other,
        }
    }
}
