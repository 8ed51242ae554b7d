//! [`Histogram`]: how long things took, as counts by length; and [`Recorder`], which many threads
//! add to.
//!
//! Buckets are log-linear, as in HdrHistogram (Tene 2012): up to 16 ns one a nanosecond, then 16
//! to each doubling, up to 73 minutes. So a percentile is at most a sixteenth too large.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of a doubling, as a power of two.
const STEP_BITS: u32 = 4;

/// The largest power of two with buckets of its own; what is longer counts as that long.
const POWER_MAX: u32 = 41;

/// Number of buckets.
const BUCKETS: usize = (((POWER_MAX - STEP_BITS) << STEP_BITS) + (2 << STEP_BITS)) as usize;

/// The bucket of a time.
fn bucket(ns: u64) -> usize {
    let power = (ns | 1).ilog2();
    let index = if power < STEP_BITS {
        ns
    } else {
        let shift = power - STEP_BITS;
        u64::from(shift << STEP_BITS) + (ns >> shift)
    };
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The longest time of a bucket, in nanoseconds.
fn longest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let step = 1 << STEP_BITS;
    if bucket < 2 * step {
        return bucket;
    }
    let shift = (bucket >> STEP_BITS) - 1;
    (((bucket & (step - 1)) + step + 1) << shift) - 1
}

/// Times that were measured.
///
/// ```
/// use std::time::Duration;
/// let mut times = lsm::Histogram::default();
/// for ms in 1..=1000 {
///     times.add(Duration::from_millis(ms));
/// }
/// let p99 = times.percentile(99.0);
/// assert!(p99 >= Duration::from_millis(990) && p99 <= Duration::from_millis(1052));
/// assert_eq!((times.count(), times.max()), (1000, Duration::from_secs(1)));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64]>,
    sum_ns: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), sum_ns: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Adds a time.
    pub fn add(&mut self, time: Duration) {
        let ns = nanos(time);
        self.counts[bucket(ns)] += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their mean; 0 if there are none.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns / self.count().max(1))
    }

    /// The longest; 0 if there are none.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The time that `percent` of all did not exceed: at most a sixteenth too large; 0 if there
    /// are none.
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted = self.count() as f64 * percent / 100.0;
        let mut seen = 0;
        for (rank, &count) in self.counts.iter().enumerate() {
            seen += count;
            if count > 0 && seen as f64 >= wanted {
                return Duration::from_nanos(longest(rank).min(self.max_ns));
            }
        }
        self.max()
    }

    /// Adds all times of another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

/// `n=1000 p50=1.2ms p99=3ms p99.9=4ms max=4.1ms`
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| self.percentile(percent));
        let max = self.max();
        write!(f, "n={} p50={p50:.1?} p99={p99:.1?} p99.9={p999:.1?} max={max:.1?}", self.count())
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({self})")
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A histogram that threads add to at once.
#[derive(Debug)]
pub(crate) struct Recorder {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Recorder {
    pub(crate) fn new() -> Box<Self> {
        let zero = || AtomicU64::new(0);
        let counts = std::array::from_fn(|_| zero());
        Box::new(Self { counts, sum_ns: zero(), max_ns: zero() })
    }

    /// Adds a time.
    pub(crate) fn add(&self, time: Duration) {
        let ns = nanos(time);
        // ORDERING: Relaxed, all; a statistic publishes nothing.
        self.counts[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }

    /// Adds what is recorded to `histogram`.
    pub(crate) fn add_to(&self, histogram: &mut Histogram) {
        for (count, more) in histogram.counts.iter_mut().zip(&self.counts) {
            // ORDERING: Relaxed; a statistic publishes nothing.
            *count += more.load(Ordering::Relaxed);
        }
        // ORDERING: Relaxed; as above.
        let (sum, max) = (self.sum_ns.load(Ordering::Relaxed), self.max_ns.load(Ordering::Relaxed));
        histogram.sum_ns = histogram.sum_ns.saturating_add(sum);
        histogram.max_ns = histogram.max_ns.max(max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn buckets_meet_without_gap_or_overlap() {
        for rank in 0..BUCKETS - 1 {
            assert_eq!(bucket(longest(rank)), rank);
            assert_eq!(bucket(longest(rank) + 1), rank + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket(0), 0);
    }

    #[test]
    fn percentiles_agree_with_sorting() {
        let mut random = StdRng::seed_from_u64(1);
        let (mut histogram, recorder) = (Histogram::default(), Recorder::new());
        assert_eq!(histogram.percentile(99.0), Duration::ZERO);
        let mut times: Vec<u64> = (0..20_000).map(|_| 1u64 << random.random_range(0..40)).collect();
        for time in &mut times {
            *time += random.random_range(0..*time);
            recorder.add(Duration::from_nanos(*time));
        }
        recorder.add_to(&mut histogram);
        times.sort_unstable();
        for permille in [0, 10, 500, 900, 990, 999, 1000] {
            let rank = (times.len() * permille).div_ceil(1000).max(1) - 1;
            let percent = permille as f64 / 10.0;
            let (exact, found) = (times[rank], nanos(histogram.percentile(percent)));
            let most = exact + exact / 16 + 1;
            assert!(found >= exact && found <= most, "{percent}: {found} {exact}");
        }
        assert_eq!(nanos(histogram.max()), *times.last().unwrap());
        assert_eq!(nanos(histogram.mean()), times.iter().sum::<u64>() / 20_000);
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!((twice.count(), twice.percentile(50.0)), (40_000, histogram.percentile(50.0)));
    }

    #[test]
    fn threads_lose_nothing() {
        let recorder = Recorder::new();
        std::thread::scope(|scope| {
            for n in 1..=4 {
                let recorder = &recorder;
                scope.spawn(move || (0..1000).for_each(|_| recorder.add(Duration::from_nanos(n))));
            }
        });
        let mut histogram = Histogram::default();
        recorder.add_to(&mut histogram);
        assert_eq!((histogram.count(), nanos(histogram.mean())), (4000, 2));
    }
}
