//! An embedded LSM-tree storage engine: crash-proof, bounded in memory, pleasant to read.

pub mod clock;
mod error;
pub mod fs;
mod random;
pub mod scheduler;

pub use error::{Error, Result};
