//! Bloom and static filters over 64-bit hashes, with honest false-positive rates.
//!
//! A filter answers "is this key in the set?" with *no* or *maybe*. *No* is always right; *maybe*
//! is wrong at a rate that the number of bits spent on each key decides.
//!
//! ```
//! use bloom::{Builder, Filter, Kind};
//!
//! let mut builder = Builder::new(Kind::DoubleProbe, 10.0);
//! for key in ["ada", "grace", "barbara"] {
//!     builder.add(key.as_bytes());
//! }
//! let bytes = builder.finish(); // to a file, a block, the network
//!
//! let filter = Filter::decode(&bytes)?; // borrows, copies nothing
//! assert!(filter.may_contain(b"grace"));
//! # Ok::<(), bloom::DecodeError>(())
//! ```
//!
//! # Which kind
//!
//! [`Kind::DoubleProbe`] unless there is a reason not to: one cache line a lookup, 10 bits a key
//! for 1 %. [`Kind::SplitBlock`] where nanoseconds count more than the rate (1.26 % for 10 bits).
//! [`Kind::Ribbon`] where memory counts more than the time to build: 6.8 bits a key for 1
//! %, 7.1 for 0.8 %. [`sizing`] turns rates into bits and back; [`monkey`] splits a budget over
//! many filters.
//!
//! # Many keys, many threads
//!
//! [`Filter::may_contain_hashes`] asks for many keys at once. [`SharedBuilder`] is filled by
//! several threads. [`DynamicFilter`] grows. A [`Filter`] is as `Send` and `Sync` as its bytes.
//!
//! # Bytes
//!
//! A filter is a header of 48 bytes and a body; all integers are little-endian, and the bits do
//! not depend on the processor that set them. [`Filter::decode`] checks everything, checksum
//! included; [`Filter::decode_unverified`] leaves the checksum to the caller, who may have a better
//! one. Bytes that were changed or cut are an error, never a panic.

mod aligned;
mod batch;
mod builder;
mod concurrent;
mod dynamic;
mod error;
mod filter;
mod format;
mod hash;
mod kind;
pub mod monkey;
mod prefix;
mod probe;
mod ribbon;
mod simd;
pub mod sizing;
pub mod theory;

pub use aligned::AlignedBytes;
pub use builder::{Builder, build, build_with_probes};
pub use concurrent::SharedBuilder;
pub use dynamic::{DynamicFilter, DynamicOptions, DynamicView, Observed, TARGETS};
pub use error::DecodeError;
pub use filter::Filter;
pub use format::VERSION;
pub use hash::hash_key;
pub use kind::Kind;
pub use prefix::{PrefixRule, hash_prefix};

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
