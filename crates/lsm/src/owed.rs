//! [`Owed`]: the delay that writers owe together, in steps worth a sleep.
//!
//! Every nanosecond that is charged is slept by somebody, once: whoever takes the sum pays it.

use std::time::Duration;

use crate::sync::{AtomicI64, Ordering};

/// Shorter delays are saved up.
const STEP_NS: i64 = 500_000;

/// Longer oversleeping is not the clock's doing: it is not taken off.
const OVERSLEPT_NS_MAX: i64 = 10_000_000;

#[derive(Debug)]
pub(crate) struct Owed {
    /// Less than nothing where somebody slept too long.
    ns: AtomicI64,
}

impl Default for Owed {
    fn default() -> Self {
        Self { ns: AtomicI64::new(0) }
    }
}

impl Owed {
    /// Adds the delay of a write and returns what is worth a sleep now.
    pub(crate) fn charge(&self, ns: u64) -> Option<Duration> {
        let ns = i64::try_from(ns).unwrap_or(i64::MAX / 2);
        // ORDERING: Relaxed, here and below; a number that steers, and publishes nothing.
        let owed = self.ns.fetch_add(ns, Ordering::Relaxed).saturating_add(ns);
        if owed < STEP_NS {
            return None;
        }
        let owed = self.ns.swap(0, Ordering::Relaxed);
        if owed < 0 {
            // Somebody else took the sum, and something was taken off since: that stays.
            // ORDERING: Relaxed; as above.
            self.ns.fetch_add(owed, Ordering::Relaxed);
        }
        u64::try_from(owed).ok().filter(|ns| *ns > 0).map(Duration::from_nanos)
    }

    /// Takes off what a sleep took longer than it should have.
    pub(crate) fn overslept(&self, time: Duration) {
        let ns = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).min(OVERSLEPT_NS_MAX);
        // ORDERING: Relaxed; as in `charge`.
        self.ns.fetch_sub(ns, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn small_delays_are_saved_up_and_oversleeping_is_taken_off() {
        let owed = Owed::default();
        assert_eq!(owed.charge(400_000), None);
        assert_eq!(owed.charge(200_000), Some(Duration::from_micros(600)));
        owed.overslept(Duration::from_millis(1));
        assert_eq!(owed.charge(1_000_000), None, "1 ms owed, 1 ms slept before");
        assert_eq!(owed.charge(1_000_000), Some(Duration::from_millis(1)));
        owed.overslept(Duration::from_secs(10));
        assert_eq!(owed.charge(10_500_000), Some(Duration::from_micros(500)), "10 ms at most");
        assert_eq!(owed.charge(u64::MAX).map(|pause| pause > Duration::from_secs(1)), Some(true));
    }
}
