//! [`Pace`]: how fast merges may write, if there is a limit.
//!
//! Two buckets of bytes (Turner, 1986) on the database's clock, both filled at the rate:
//!
//! 1. Merges of level 0 take from both and wait for the first, which nobody else takes from. Merges
//!    of deeper levels take from the second alone and wait for it. So level 0 takes what it needs
//!    of the rate, the others get the rest, and together they keep to it.
//! 2. From [`L0_HURRY_RUNS`] runs in level 0 on, before writers are slowed down, its merges wait
//!    for nothing. What they take is still taken from the others.
//! 3. While more must be merged than half of what slows writers down, the rate is higher, up to
//!    [`HASTE_PERCENT_MAX`]: a limit must not be why writers are held back.
//!
//! Who waits does so in steps of [`STEP`] and gives way between them. The rate may change at any
//! time; 0 is no limit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use compaction::Plan;
use parking_lot::Mutex;

use crate::background;
use crate::events::Event;
use crate::inner::Inner;

/// The longest sleep at a time.
const STEP: Duration = Duration::from_millis(5);

/// Runs in level 0 from which its merges do not wait.
pub(crate) const L0_HURRY_RUNS: usize = 8;

/// The most by which debt raises the rate, in percent.
pub(crate) const HASTE_PERCENT_MAX: u64 = 400;

/// What merges go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[repr(u8)]
pub enum Haste {
    /// The rate as it was set.
    #[default]
    None,
    /// Merges of level 0 do not wait; others keep to the rate.
    Level0,
    /// Compaction is behind: the rate is raised.
    Debt,
}

impl Haste {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::None => "compaction keeps up: merges keep to their rate",
            Self::Level0 => "level 0 grows: its merges do not wait",
            Self::Debt => "compaction is behind: merges may write more",
        }
    }
}

impl fmt::Display for Haste {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Whose bytes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merged {
    /// A merge that takes runs out of level 0.
    Level0,
    /// Any other.
    Deep,
}

impl Merged {
    pub(crate) fn of(plan: &Plan) -> Self {
        if plan.takes_level0() { Self::Level0 } else { Self::Deep }
    }
}

/// Bytes that may be written, and those that were written before they might.
#[derive(Debug, Default)]
struct Bucket {
    /// Negative while what was taken is not earned.
    bytes: f64,
    filled: Duration,
}

impl Bucket {
    /// Earns what has passed; a tenth of a second's worth at most is kept.
    fn fill(&mut self, rate: u64, now: Duration) {
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        let rate = rate as f64;
        self.bytes = (self.bytes + passed * rate).min(rate / 10.0);
        self.filled = now;
    }

    /// How long until nothing is owed.
    fn wait(&self, rate: u64) -> Duration {
        let owed = (-self.bytes).max(0.0);
        Duration::try_from_secs_f64(owed / rate as f64).unwrap_or(Duration::MAX)
    }
}

#[derive(Debug, Default)]
struct Buckets {
    level0: Bucket,
    all: Bucket,
}

impl Buckets {
    fn take(&mut self, merged: Merged, bytes: u64) {
        if merged == Merged::Level0 {
            self.level0.bytes -= bytes as f64;
        }
        self.all.bytes -= bytes as f64;
    }

    /// How long a merge must wait at `now` before it goes on.
    fn wait(&mut self, merged: Merged, rate: u64, now: Duration) -> Duration {
        self.level0.fill(rate, now);
        self.all.fill(rate, now);
        match merged {
            Merged::Level0 => self.level0.wait(rate),
            Merged::Deep => self.all.wait(rate),
        }
    }

    /// What merges of level 0 owe is not waited for later.
    fn forgive_level0(&mut self) {
        self.level0.bytes = self.level0.bytes.max(0.0);
    }
}

/// The limit of all merges together.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    buckets: Mutex<Buckets>,
    /// The [`Haste`] that was told last.
    told: AtomicU8,
}

impl Pace {
    /// The rate of the moment, and why; none if there is no limit.
    fn rate(inner: &Inner) -> Option<(u64, Haste)> {
        let set = inner.live.merge_bytes_per_second();
        if set == 0 {
            return None;
        }
        let percent = inner.admission.haste_percent();
        let rate = (u128::from(set) * u128::from(percent) / 100).max(1);
        let haste = if inner.state.peek().l0_runs_max() >= L0_HURRY_RUNS {
            Haste::Level0
        } else if percent > 100 {
            Haste::Debt
        } else {
            Haste::None
        };
        Some((u64::try_from(rate).unwrap_or(u64::MAX), haste))
    }

    /// Tells of another haste than before.
    fn tell(&self, inner: &Inner, rate: u64, haste: Haste) {
        // ORDERING: Relaxed; each change is told by one, and publishes nothing.
        if self.told.load(Ordering::Relaxed) != haste as u8
            && self.told.swap(haste as u8, Ordering::Relaxed) != haste as u8
        {
            inner.events.tell(&Event::MergesPaced { reason: haste, bytes_per_second: rate });
        }
    }
}

/// A merge that is to keep to the limit.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) family: &'a str,
    pub(crate) plan: &'a Plan,
}

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("family", &self.family).field("plan", self.plan).finish()
    }
}

impl sstable::Pace for Turn<'_> {
    /// Takes bytes, and returns once they may be written.
    fn take(&self, bytes: u64) {
        let (inner, pace) = (self.inner, &self.inner.pace);
        let Some((rate, haste)) = Pace::rate(inner) else { return };
        pace.tell(inner, rate, haste);
        let merged = Merged::of(self.plan);
        pace.buckets.lock().take(merged, bytes);
        while let Some((rate, haste)) = Pace::rate(inner) {
            let mut buckets = pace.buckets.lock();
            let wait = buckets.wait(merged, rate, inner.env.clock.now());
            let hurries = merged == Merged::Level0 && haste == Haste::Level0;
            if hurries {
                buckets.forgive_level0();
            }
            drop(buckets);
            if wait.is_zero() || hurries || inner.work.closing() {
                return;
            }
            let step = wait.min(STEP);
            inner.env.clock.sleep(step);
            inner.counters.paced(step);
            background::give_way(inner, self.family, self.plan);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long pieces of these bytes take at 1,000 bytes a second, one after the other.
    fn time(buckets: &mut Buckets, merged: Merged, pieces: &[u64], begun: Duration) -> Duration {
        let mut now = begun;
        for bytes in pieces {
            buckets.take(merged, *bytes);
            now += buckets.wait(merged, 1000, now);
        }
        now.saturating_sub(begun)
    }

    /// Buckets that have been at rest until `now`: a tenth of a second's worth is in each.
    fn rested(now: Duration) -> Buckets {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.wait(Merged::Deep, 1000, now), Duration::ZERO);
        buckets
    }

    fn about(time: Duration, seconds: f64) -> bool {
        (time.as_secs_f64() - seconds).abs() < 0.25
    }

    #[test]
    fn the_buckets_keep_to_the_rate_whatever_the_pieces() {
        for merged in [Merged::Level0, Merged::Deep] {
            for piece in [1, 7, 100, 5000] {
                let pieces = vec![piece; usize::try_from(20_000 / piece).unwrap()];
                let begun = Duration::from_secs(9);
                let took = time(&mut rested(begun), merged, &pieces, begun);
                assert!(about(took, 20.0), "{took:?} by {piece}");
            }
        }
    }

    #[test]
    fn deep_merges_get_what_level_0_leaves() {
        let begun = Duration::from_secs(1);
        let mut buckets = rested(begun);
        // Deep merges owe two seconds: level 0 does not wait for that.
        buckets.take(Merged::Deep, 2000);
        let took = time(&mut buckets, Merged::Level0, &[100; 10], begun);
        assert!(about(took, 1.0), "{took:?}");
        // They pay for both: two seconds of their own and one of level 0's.
        let wait = buckets.wait(Merged::Deep, 1000, begun + took);
        assert!(about(took + wait, 3.0), "{wait:?}");
    }

    #[test]
    fn what_level_0_takes_in_a_hurry_is_owed_by_the_others() {
        let now = Duration::from_secs(1);
        let mut buckets = rested(now);
        buckets.take(Merged::Level0, 5000);
        buckets.forgive_level0();
        assert!(about(buckets.wait(Merged::Level0, 1000, now), 0.0));
        assert!(about(buckets.wait(Merged::Deep, 1000, now), 5.0));
        let later = now + Duration::from_secs(60);
        assert_eq!(buckets.wait(Merged::Deep, 1000, later), Duration::ZERO);
        let took = time(&mut buckets, Merged::Deep, &[100, 1000], later);
        assert!(about(took, 1.0), "idle time earns no more than a tenth of a second: {took:?}");
    }

    #[test]
    fn another_rate_counts_for_what_is_owed_already() {
        let now = Duration::from_secs(1);
        let mut buckets = rested(now);
        buckets.take(Merged::Deep, 10_000);
        assert!(about(buckets.wait(Merged::Deep, 1000, now), 10.0));
        assert!(about(buckets.wait(Merged::Deep, 10_000, now), 1.0));
    }
}
