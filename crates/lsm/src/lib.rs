//! An embedded LSM-tree storage engine: crash-proof, bounded in memory, pleasant to read.

mod error;

pub use error::{Error, Result};
