//! LSM-tree compaction: what to merge, what survives, and what it will cost.

mod busy;
mod draft;
mod levels;
mod number;
mod options;
mod plan;
mod policy;
mod retain;

pub use busy::{Busy, JobId};
pub use levels::{KeyRange, Level, Levels, Run, TableInfo, Totals};
pub use options::{Granularity, InvalidOption, Options, Strategy};
pub use plan::{Input, Kind, OutputRun, Plan, PlanError};
pub use policy::fluid::Shape;
pub use policy::partial::Selection;
pub use policy::{Context, Manual, Picked, Policy};
pub use retain::{Retain, Verdict, Why};
