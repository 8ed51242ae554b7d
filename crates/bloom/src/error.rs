//! What can be wrong with the bytes of a filter.

use std::fmt;

/// Why bytes were refused by [`Filter::decode`](crate::Filter::decode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer or more bytes than the header says; both counts are bytes.
    Length {
        /// How many bytes the header calls for, or the size of a header if even that is cut.
        expected: u64,
        /// How many bytes were given.
        found: u64,
    },
    /// The bytes do not start with the mark of a filter.
    Magic,
    /// Written by a version of the format that this build does not know.
    Version(u8),
    /// A kind of filter that this build does not know.
    Kind(u8),
    /// A field of the header is out of its range; the text names it.
    Field(&'static str),
    /// The checksum over header and body does not match.
    Checksum,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => {
                write!(f, "filter of {found} bytes where {expected} were expected")
            }
            Self::Magic => write!(f, "not a filter: the magic number does not match"),
            Self::Version(version) => write!(f, "filter format version {version} is not known"),
            Self::Kind(kind) => write!(f, "filter kind {kind} is not known"),
            Self::Field(what) => write!(f, "filter header is damaged: {what}"),
            Self::Checksum => write!(f, "filter is damaged: its checksum does not match"),
        }
    }
}

impl std::error::Error for DecodeError {}
