//! Time, as the engine sees it: real, or moved by hand in tests and simulations.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// Whole microseconds of a time; one too long to count is the longest.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A source of time.
pub trait Clock: Send + Sync + Debug {
    /// Time since the clock was made; never goes back.
    fn now(&self) -> Duration;

    /// Wall-clock time in microseconds since 1970; may jump. Only ever stored, never compared
    /// to decide what is newer.
    fn unix_micros(&self) -> u64;

    /// Waits.
    fn sleep(&self, time: Duration);

    /// Time that processors have spent on this process, all of them together; `None` from a clock
    /// that does not know. Only [`Options::codec_by_load`](crate::Options::codec_by_load) asks.
    fn processor_time(&self) -> Option<Duration> {
        None
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct StdClock {
    start: Instant,
}

impl StdClock {
    /// Starts at zero.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for StdClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for StdClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn unix_micros(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A clock set before 1970 counts as 1970.
        since.map_or(0, micros)
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn processor_time(&self) -> Option<Duration> {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let (seconds, nanos) =
            (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
        Some(Duration::new(seconds, nanos))
    }
}

/// A clock that stands still until it is moved; sleeping moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    time: Mutex<Duration>,
    processor_time: Mutex<Duration>,
}

impl ManualClock {
    /// Starts at zero, which is also its 1970.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock on.
    /// # Panics
    /// After more than 2^64 seconds.
    pub fn advance(&self, time: Duration) {
        *self.time.lock() += time;
    }

    /// Says that processors have spent `time` on the process; the clock stands still.
    /// # Panics
    /// After more than 2^64 seconds.
    pub fn run(&self, time: Duration) {
        *self.processor_time.lock() += time;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.time.lock()
    }

    fn unix_micros(&self) -> u64 {
        micros(self.now())
    }

    fn sleep(&self, time: Duration) {
        self.advance(time);
    }

    fn processor_time(&self) -> Option<Duration> {
        Some(*self.processor_time.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new();
        assert_eq!((clock.now(), clock.unix_micros()), (Duration::ZERO, 0));
        clock.advance(Duration::from_micros(7));
        clock.sleep(Duration::from_micros(5));
        assert_eq!((clock.now(), clock.unix_micros()), (Duration::from_micros(12), 12));
    }

    #[test]
    fn the_real_clock_moves_forward() {
        let clock = StdClock::new();
        let before = (clock.now(), clock.unix_micros());
        clock.sleep(Duration::from_millis(2));
        assert!(clock.now() >= before.0 + Duration::from_millis(2));
        assert!(before.1 > 1_600_000_000_000_000, "it is later than 2020");
    }
}
