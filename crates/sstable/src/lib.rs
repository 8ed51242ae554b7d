//! Sorted string tables: write a sorted file of keys and values, read it back fast and never wrong.

mod error;
mod read_at;

pub use error::{Error, Result};
pub use read_at::ReadAt;
