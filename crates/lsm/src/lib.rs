//! An embedded LSM-tree storage engine: crash-proof, bounded in memory, pleasant to read.

pub mod clock;
mod error;
pub mod fs;
pub mod manifest;
mod random;
mod record;
pub mod scheduler;
pub mod wal;

pub use error::{Error, Result};
