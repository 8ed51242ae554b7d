//! One line a workload: rate, latencies, and what it did to the disk.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What a workload measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: String,
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

/// Latencies of one thread, in nanoseconds.
pub(crate) type Latencies = Histogram<u64>;

/// An empty histogram: 1 ns to 100 s, three digits.
pub(crate) fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("fixed bounds are valid")
}

impl Row {
    pub(crate) fn new(workload: &str, operations: u64, took: Duration, times: &Latencies) -> Self {
        let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            workload: workload.to_owned(),
            operations,
            seconds: took.as_secs_f64(),
            per_second: operations as f64 / took.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: times.max() as f64 / 1000.0,
        }
    }

    /// The faster of two runs.
    pub(crate) fn better(self, other: Self) -> Self {
        if other.per_second > self.per_second { other } else { self }
    }

    pub(crate) fn heading() -> String {
        format!(
            "{:<22} {:>12} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "workload", "per second", "seconds", "p50 us", "p99 us", "p99.9 us", "max us"
        )
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "{:<22} {:>12.0} {:>9.3} {:>9.2} {:>9.2} {:>9.1} {:>10.0}",
            self.workload,
            self.per_second,
            self.seconds,
            self.p50_us,
            self.p99_us,
            self.p999_us,
            self.max_us
        )
    }
}
