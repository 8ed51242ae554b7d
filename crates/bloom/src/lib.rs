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
