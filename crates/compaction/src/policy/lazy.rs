//! Lazy-leveled: runs wait in every level but the last, which keeps one (Dayan & Idreos,
//! "Dostoevsky", 2018). Writes cost little more than tiered, point reads and space little more than
//! leveled.

use crate::options::Granularity;
use crate::policy::fluid::Shape;

/// The shape of the paper.
pub(crate) fn shape(size_ratio: u32) -> Shape {
    let runs = size_ratio.saturating_sub(1).max(1);
    Shape { inner_runs: runs, last_runs: 1, granularity: Granularity::Whole }
}

/// The CS265 report's form: L0 holds runs, every deeper level one, and whole levels move.
pub(crate) fn l0_shape() -> Shape {
    Shape { inner_runs: 1, last_runs: 1, granularity: Granularity::Whole }
}
