//! Why bytes could not be read as a fence.

use std::error::Error;
use std::fmt;

/// Why bytes could not be read as a fence. Nothing is kept of such bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The buffer has not the number of bytes that the fence has.
    Length {
        /// Bytes that the header (or its fixed size) asks for.
        expected: u64,
        /// Bytes in the buffer.
        found: u64,
    },
    /// The first four bytes are not those of a fence.
    Magic {
        /// What stands there, read little-endian.
        found: u32,
    },
    /// The format is newer than this library.
    Version {
        /// The version in the header.
        found: u8,
    },
    /// The layout is not known to this library.
    Layout {
        /// The number in the header.
        found: u8,
    },
    /// The checksum does not fit the bytes.
    Checksum {
        /// CRC32C stored in the header.
        stored: u32,
        /// CRC32C of the bytes as they are.
        computed: u32,
    },
    /// A field contradicts another.
    Corrupt {
        /// Byte offset of the field in the buffer.
        offset: u64,
        /// What was expected there.
        expected: &'static str,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => {
                write!(f, "fence of {expected} bytes in a buffer of {found} bytes")
            }
            Self::Magic { found } => write!(f, "not a fence: it begins with {found:#010x}"),
            Self::Version { found } => write!(f, "fence format version {found} is not supported"),
            Self::Layout { found } => write!(f, "fence layout {found} is not supported"),
            Self::Checksum { stored, computed } => {
                write!(f, "fence checksum is {computed:#010x}, {stored:#010x} was stored")
            }
            Self::Corrupt { offset, expected } => {
                write!(f, "fence damaged at byte {offset}: expected {expected}")
            }
        }
    }
}

impl Error for DecodeError {}
