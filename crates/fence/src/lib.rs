//! Sorted block-index search: which block may hold this key, in the fewest cache lines.
//!
//! A sorted file is cut into blocks. Each block is represented by a *separator*: a byte string that
//! is at least its last key and less than the first key of the next block. A [`Fence`] holds the
//! separators and answers one question: the *rank* of the first separator at or above a key, that
//! is `separators.partition_point(|s| s < key)`. Only that block may hold the key.
//!
//! ```
//! use fence::{Builder, Fence, Layout};
//!
//! let mut builder = Builder::new(Layout::Eytzinger);
//! for separator in ["cherry", "grape", "mango", "plum"] {
//!     builder.push(separator.as_bytes());
//! }
//! let bytes = builder.finish();                    // store them anywhere
//!
//! let fence = Fence::decode(&bytes[..])?;          // checked, nothing copied
//! assert_eq!(fence.find(b"apple"), 0);
//! assert_eq!(fence.find(b"grape"), 1);
//! assert_eq!(fence.find(b"orange"), 3);
//! assert_eq!(fence.find(b"quince"), fence.len());  // beyond the last block
//! assert_eq!(fence.find_range(b"grape", b"kiwi"), 1..3);
//! # Ok::<(), fence::DecodeError>(())
//! ```
//!
//! # Layouts
//!
//! [`Layout`] names them; they answer alike and differ in bytes and in time. [`Layout::Adaptive`]
//! looks at the separators and takes one of the others; [`Builder::choose`] says which and why.
//! Many keys at once are found faster by [`Fence::find_many`], which lets their cache misses
//! overlap. A fence that stays in memory is searched fastest in [`AlignedBytes`].
//!
//! # How keys are kept
//!
//! The prefix that all separators share is stored once. Of what remains, the first 8 bytes become
//! an integer that orders like the bytes (zero padded) and goes into the search array; the rest,
//! the *tail*, lies aside and is looked at only when the integers are equal. `PrefixTree` does so
//! in each node of its tree anew; `Compressed` keeps only what differs from the separator before.
//!
//! # What is absent
//!
//! No files, no locks, no threads, no allocation while searching. A `Fence` is immutable and
//! borrows or owns one buffer; it is `Send` and `Sync` when the buffer is.

mod adaptive;
mod aligned;
mod builder;
mod compressed;
mod error;
mod eytzinger;
mod fastlane;
mod fence;
mod flat;
mod format;
mod keys;
mod layout;
mod levels;
mod linear;
mod prefetch;
mod prefix_tree;
mod simd;
mod standard;
mod wide;

pub use adaptive::{
    COMPRESSED_SHARE_MAX, CROWDED_SHARE_MAX, Choice, Memory, SMALL_COUNT_MAX, Shape,
    TIED_SHARE_MIN, choose,
};
pub use aligned::AlignedBytes;
pub use builder::Builder;
pub use error::DecodeError;
pub use fence::Fence;
pub use layout::Layout;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
