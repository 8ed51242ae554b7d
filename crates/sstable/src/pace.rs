//! Writing no faster than told, so that background work leaves the medium to others.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says when bytes may be written.
pub trait Pace: Send + Sync + std::fmt::Debug {
    /// Returns once `bytes` more bytes may be written.
    fn take(&self, bytes: u64);
}

/// A token bucket (Turner, 1986) on the system's clock; share one among all who share the rate.
#[derive(Debug)]
pub struct BytesPerSecond {
    rate: u64,
    burst: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes that may be written now; negative while writers sleep off what they took.
    tokens: i64,
    filled: Instant,
}

impl BytesPerSecond {
    /// Allows `rate` bytes a second on average, and a tenth of that at once.
    ///
    /// # Panics
    /// If `rate` is 0.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        assert!(rate > 0, "a rate of 0 would wait for ever");
        let burst = (rate / 10).max(1);
        let tokens = i64::try_from(burst).unwrap_or(i64::MAX);
        Self { rate, burst, state: Mutex::new(State { tokens, filled: Instant::now() }) }
    }

    /// Takes tokens, going into debt, and returns how long it takes to be out of it.
    fn reserve(&self, bytes: u64, now: Instant) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.filled).as_nanos();
        let earned = passed * u128::from(self.rate) / 1_000_000_000;
        if earned > 0 {
            // Parts of a byte are not lost: the clock advances by whole bytes only.
            let spent = earned * 1_000_000_000 / u128::from(self.rate);
            state.filled += Duration::from_nanos(u64::try_from(spent).unwrap_or(u64::MAX));
        }
        let full = i64::try_from(self.burst).unwrap_or(i64::MAX);
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        state.tokens = state.tokens.saturating_add(earned).min(full).saturating_sub(bytes);
        let debt = u128::from(state.tokens.min(0).unsigned_abs());
        let nanos = (debt * 1_000_000_000).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Pace for BytesPerSecond {
    fn take(&self, bytes: u64) {
        let wait = self.reserve(bytes, Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }
}

impl<P: Pace + ?Sized> Pace for std::sync::Arc<P> {
    fn take(&self, bytes: u64) {
        (**self).take(bytes);
    }
}

/// `None` never waits.
impl<P: Pace> Pace for Option<P> {
    fn take(&self, bytes: u64) {
        if let Some(pace) = self {
            pace.take(bytes);
        }
    }
}

/// A sink that asks a [`Pace`] before each write; put it under a [`crate::TableWriter`].
#[derive(Debug)]
pub struct Paced<W, P> {
    sink: W,
    pace: P,
}

impl<W, P> Paced<W, P> {
    /// Slows `sink` down to `pace`.
    #[must_use]
    pub fn new(sink: W, pace: P) -> Self {
        Self { sink, pace }
    }

    /// Gives the sink back.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.sink
    }
}

impl<W: Write, P: Pace> Write for Paced<W, P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pace.take(bytes.len() as u64);
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_bucket_keeps_to_its_rate_whatever_the_pieces() {
        for piece in [1, 7, 100, 5000] {
            let pace = BytesPerSecond::new(1000);
            let start = Instant::now();
            let mut now = start;
            let mut written = 0;
            while written < 20_000 {
                now += pace.reserve(piece, now);
                written += piece;
            }
            let seconds = now.duration_since(start).as_secs_f64();
            // The burst is free: all but a tenth of a second's worth is paid for.
            let due = (written as f64 - 100.0) / 1000.0;
            assert!((seconds - due).abs() < 0.2, "{seconds} s for {written} bytes by {piece}");
        }
    }

    #[test]
    fn idle_time_earns_no_more_than_the_burst() {
        let pace = BytesPerSecond::new(1000);
        let start = Instant::now();
        assert_eq!(pace.reserve(100, start), Duration::ZERO);
        let later = start + Duration::from_secs(100);
        assert_eq!(pace.reserve(100, later), Duration::ZERO);
        assert!(pace.reserve(100, later) >= Duration::from_millis(99));
    }

    #[test]
    fn bytes_pass_unchanged() {
        let pace: Arc<dyn Pace> = Arc::new(BytesPerSecond::new(1 << 30));
        let mut sink = Paced::new(Vec::new(), pace);
        sink.write_all(b"all of it").unwrap();
        sink.flush().unwrap();
        assert_eq!(sink.into_inner(), b"all of it");
    }
}
