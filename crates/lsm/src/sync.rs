//! What the parts that are checked under loom take from the operating system and the processor.
//! `tests/loom/main.rs` has the same names for loom's.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

pub(crate) use parking_lot::{Condvar, Mutex};

/// Turns that a thread spins before it sleeps: about two microseconds.
pub(crate) const SPINS: u32 = 200;
