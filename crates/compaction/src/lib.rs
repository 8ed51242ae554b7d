//! LSM-tree compaction: what to merge, what survives, and what it will cost.
//!
//! Invariants: policies do no I/O, read no clock and keep no state; every plan passes
//! [`Plan::check`]; running jobs may finish in any order.
//!
#![doc = include_str!("../README.md")]

pub mod advise;
mod busy;
pub mod cost;
mod cuts;
mod draft;
mod levels;
mod number;
mod options;
mod plan;
pub mod plot;
mod policy;
mod retain;
pub mod simulate;
mod text;

pub use busy::{Busy, JobId};
pub use cuts::Cuts;
pub use levels::{KeyRange, Level, Levels, Run, TableInfo, Totals};
pub use options::{Granularity, InvalidOption, Options, Strategy};
pub use plan::{Input, Kind, OutputRun, Plan, PlanError, Span};
pub use policy::adaptive::{Adaptive, Tuning, Window};
pub use policy::fluid::Shape;
pub use policy::partial::Selection;
pub use policy::{Context, Manual, Picked, Policy};
pub use retain::{Retain, Verdict, Why};
