//! Options of a cache.

use std::fmt;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Which entry leaves when the cache is full.
/// ```
/// use cache::{Cache, Options, Policy};
/// /// How many of 50 keys that are asked for all the time stay, when a scan comes by.
/// fn left(policy: Policy) -> usize {
///     let (capacity_bytes, shards) = (100 << 10, 1);
///     let options = Options { capacity_bytes, shards, policy, ..Options::default() };
///     let cache: Cache<u32, ()> = Cache::with_options(options);
///     let ask = |key: u32| cache.get_or_load(&key, || Ok::<_, ()>(((), 1 << 10))).unwrap();
///     for _ in 0..3 {
///         (0..50).for_each(ask);
///     }
///     (1000..2000).for_each(ask);
///     (0..50).filter(|key| cache.get(key).is_some()).count()
/// }
/// assert_eq!(left(Policy::Lru), 0);
/// assert!(left(Policy::S3Fifo) > 45);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Least recently used. A scan sweeps it clean.
    Lru,
    /// Three first-in-first-out queues (Yang and others, 2023). Resists scans.
    #[default]
    S3Fifo,
}

/// Tells the time since some fixed moment; simulations and tests pass their own.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How long entries live.
#[derive(Clone)]
pub struct Ttl {
    /// Time from insertion until an entry is no longer served. Resolution: 1 ms.
    pub limit: Duration,
    /// Asked at every insertion and every lookup.
    pub clock: Clock,
}

impl Ttl {
    /// Entries live for `limit` by the machine's monotonic clock.
    pub fn new(limit: Duration) -> Self {
        let start = Instant::now();
        Self { limit, clock: Arc::new(move || start.elapsed()) }
    }
}

impl fmt::Debug for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ttl").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Options of a [`crate::Cache`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest sum of weights. Default: 128 MiB. Divided evenly among the shards; an entry heavier
    /// than a shard's part is refused, and so is one of 4 GiB or more.
    pub capacity_bytes: usize,
    /// Number of shards, a power of two up to 1024; each has its own lock for writers. 0 (the
    /// default) chooses four a core, fewer for a cache whose shards would fall below 1 MiB.
    pub shards: usize,
    /// Default: [`Policy::S3Fifo`].
    pub policy: Policy,
    /// Default: entries live until evicted. Costs a clock reading a lookup.
    pub ttl: Option<Ttl>,
}

impl Default for Options {
    fn default() -> Self {
        Self { capacity_bytes: 128 << 20, shards: 0, policy: Policy::default(), ttl: None }
    }
}

/// Why [`Options::validate`] refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// `shards` is neither 0 nor a power of two up to 1024.
    Shards(usize),
    /// A time to live of less than 1 ms.
    Ttl(Duration),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards(shards) => {
                write!(f, "shards must be 0 or a power of two up to 1024, not {shards}")
            }
            Self::Ttl(limit) => write!(f, "time to live must be at least 1 ms, not {limit:?}"),
        }
    }
}

impl std::error::Error for OptionsError {}

impl Options {
    /// Checks every field.
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), OptionsError> {
        if self.shards != 0 && !(self.shards.is_power_of_two() && self.shards <= 1024) {
            return Err(OptionsError::Shards(self.shards));
        }
        match &self.ttl {
            Some(ttl) if ttl.limit < Duration::from_millis(1) => Err(OptionsError::Ttl(ttl.limit)),
            _ => Ok(()),
        }
    }

    /// The number of shards to make.
    pub(crate) fn shard_count(&self) -> usize {
        if self.shards != 0 {
            return self.shards;
        }
        let cores = available_parallelism().map_or(4, usize::from);
        let by_size = (self.capacity_bytes >> 20).max(1);
        let most = (cores * 4).next_power_of_two().min(1024);
        if by_size >= most { most } else { by_size.next_power_of_two().div_ceil(2).max(1) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Options, OptionsError, Ttl};
    use std::time::Duration;

    #[test]
    fn validate_names_the_bad_field() {
        assert_eq!(Options::default().validate(), Ok(()));
        let options = Options { shards: 3, ..Options::default() };
        assert_eq!(options.validate(), Err(OptionsError::Shards(3)));
        let options = Options { shards: 2048, ..Options::default() };
        assert_eq!(options.validate(), Err(OptionsError::Shards(2048)));
        let ttl = Some(Ttl::new(Duration::ZERO));
        let options = Options { ttl, ..Options::default() };
        assert_eq!(options.validate(), Err(OptionsError::Ttl(Duration::ZERO)));
    }

    #[test]
    fn small_caches_have_few_shards() {
        let shards = |capacity_bytes| {
            let options = Options { capacity_bytes, ..Options::default() };
            options.shard_count()
        };
        assert_eq!(shards(0), 1);
        assert_eq!(shards(1 << 20), 1);
        for capacity in [3 << 20, 100 << 20, 1 << 40] {
            assert!(shards(capacity).is_power_of_two());
            assert!(shards(capacity) == 1 || capacity / shards(capacity) >= 1 << 20);
        }
    }
}
