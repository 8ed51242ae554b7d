//! Workloads for key-value stores, run on `lsm` alone (`benches/engine`) and beside other engines
//! (`benches/compare/engines`).
//!
//! Invariants:
//! 1. Keys and values are made before the clock runs.
//! 2. A value is a function of its key and of how often it was written, so every read is checked.
//! 3. Every engine sees the same operations in the same order.

pub mod engine;
pub mod groups;
pub mod keys;
pub mod lsm_engine;
pub mod mixes;
pub mod mixgraph;
pub mod null;
pub mod points;
pub mod process;
pub mod report;
pub mod run;
pub mod ycsb;
pub mod zipf;

pub use engine::{Engine, Error, Guarantee, Result, Session, Setup};
pub use groups::{GROUPS, Scale, run_group};
pub use report::{Measure, Report};
