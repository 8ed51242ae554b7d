//! Sorted string tables: write a sorted file of keys and values, read it back fast and never wrong.

mod error;

pub use error::{Error, Result};
