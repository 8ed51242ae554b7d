//! What a run measured: rates with their latencies, and single figures.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One figure, with latencies if it is a rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measure {
    /// The workload, or what was measured.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// `/s` for rates (more is better); else what less is better of.
    pub unit: String,
    /// Operations counted, or 0.
    #[serde(default)]
    pub operations: u64,
    /// Time they took.
    #[serde(default)]
    pub seconds: f64,
    /// Microseconds at 50, 99, 99.9, 99.99 and 100 %; empty if single calls were not timed.
    #[serde(default)]
    pub latencies_us: Vec<f64>,
}

/// One engine's run of one group of workloads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The engine's name.
    pub engine: String,
    /// The group's name.
    pub group: String,
    /// What was measured, in order.
    pub measures: Vec<Measure>,
}

/// Latencies in nanoseconds.
pub type Latencies = Histogram<u64>;

/// An empty histogram: 1 ns to 100 s, three digits.
///
/// # Panics
/// Never: the bounds are constant.
pub fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("fixed bounds are valid")
}

impl Measure {
    /// A rate of `operations` in `took`.
    pub fn rate(name: &str, operations: u64, took: Duration, times: &Latencies) -> Self {
        let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
        let quantiles = [0.5, 0.99, 0.999, 0.9999, 1.0];
        let latencies_us =
            if times.is_empty() { Vec::new() } else { quantiles.into_iter().map(at).collect() };
        Self {
            name: name.to_owned(),
            value: operations as f64 / took.as_secs_f64(),
            unit: "/s".to_owned(),
            operations,
            seconds: took.as_secs_f64(),
            latencies_us,
        }
    }

    /// A single figure, of which less is better.
    pub fn single(name: &str, value: f64, unit: &str) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            operations: 0,
            seconds: 0.0,
            latencies_us: Vec::new(),
        }
    }

    /// The heading over [`Measure::line`].
    pub fn heading() -> String {
        "| workload | figure | seconds | p50 us | p99 us | p99.9 us | p99.99 us | max us |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|"
            .to_owned()
    }

    /// A row of a Markdown table.
    pub fn line(&self) -> String {
        let seconds =
            if self.seconds > 0.0 { format!("{:.2}", self.seconds) } else { String::new() };
        let times: Vec<String> = (0..5)
            .map(|at| self.latencies_us.get(at).map_or_else(String::new, |us| readable(*us)))
            .collect();
        let figure = format!("{} {}", readable(self.value), self.unit);
        format!("| {} | {figure} | {seconds} | {} |", self.name, times.join(" | "))
    }
}

/// Three or so digits: 1.23M, 45.6k, 789, 1.2.
pub fn readable(value: f64) -> String {
    match value {
        value if value >= 999_500.0 => format!("{:.2}M", value / 1e6),
        value if value >= 99_950.0 => format!("{:.0}k", value / 1e3),
        value if value >= 9_995.0 => format!("{:.1}k", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (value, text) in [(1_234_567.0, "1.23M"), (99_960.0, "100k"), (12_340.0, "12.3k")] {
            assert_eq!(readable(value), text);
        }
        assert_eq!((readable(9_994.0), readable(1.234)), ("9994".to_owned(), "1.23".to_owned()));
    }
}
