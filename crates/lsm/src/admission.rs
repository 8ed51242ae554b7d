//! Who may write, and when: writers wait just as long as the work they cause asks for.
//!
//! Two limits hold writers back. Sealed memtables: when as many wait for their flush as the
//! options allow, the writer that needs a new memtable waits for a flush. Runs in level 0: from
//! `L0_SLOWDOWN_RUNS` on, each write pays a delay that grows with the number of runs, in
//! microseconds, so that compaction catches up long before `L0_STOP_RUNS`, where writers wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::background;
use crate::db::Inner;
use crate::error::Result;

/// Runs in level 0 from which writes are slowed down.
const L0_SLOWDOWN_RUNS: usize = 12;

/// Runs in level 0 at which writers wait for a compaction.
const L0_STOP_RUNS: usize = 36;

/// The delay of 1 MiB of writes for each run beyond the slowdown limit.
const DELAY_US_PER_MIB_AND_RUN: u64 = 4_000;

/// Shorter delays are saved up until they are worth a sleep.
const DELAY_US_MIN: u64 = 500;

/// How hard writers are held back; read at each write.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Microseconds of delay for 1 MiB; [`STOP`] where writers wait.
    delay_us_per_mib: AtomicU64,
    /// Delay that is owed, in nanoseconds.
    owed_ns: AtomicU64,
}

const STOP: u64 = u64::MAX;

impl Admission {
    /// Takes note of how many runs level 0 has.
    pub(crate) fn update(&self, l0_runs: usize) {
        let delay = if l0_runs >= L0_STOP_RUNS {
            STOP
        } else {
            l0_runs.saturating_sub(L0_SLOWDOWN_RUNS) as u64 * DELAY_US_PER_MIB_AND_RUN
        };
        // ORDERING: Relaxed; a number that steers, and publishes nothing.
        self.delay_us_per_mib.store(delay, Ordering::Relaxed);
    }

    /// Adds the delay of a write and returns what is worth a sleep now.
    fn charge(&self, delay_us_per_mib: u64, bytes: usize) -> Option<Duration> {
        let ns = (bytes as u64).saturating_mul(delay_us_per_mib) / 1049;
        // ORDERING: Relaxed; as above.
        let owed = self.owed_ns.fetch_add(ns, Ordering::Relaxed) + ns;
        if owed < DELAY_US_MIN * 1000 {
            return None;
        }
        // ORDERING: Relaxed; whoever takes the sum pays it.
        let owed = self.owed_ns.swap(0, Ordering::Relaxed);
        (owed > 0).then(|| Duration::from_nanos(owed))
    }
}

/// Waits as long as a write of `bytes` must, before it takes its place in the order.
#[inline]
pub(crate) fn admit(inner: &Arc<Inner>, bytes: usize) -> Result<()> {
    // ORDERING: Relaxed; a number that steers, and publishes nothing.
    let delay = inner.admission.delay_us_per_mib.load(Ordering::Relaxed);
    if delay == 0 { Ok(()) } else { hold_back(inner, delay, bytes) }
}

#[cold]
fn hold_back(inner: &Arc<Inner>, delay: u64, bytes: usize) -> Result<()> {
    if delay == STOP {
        return wait_until(inner, |inner| {
            // ORDERING: Relaxed; the signal's lock orders the look after the update.
            inner.admission.delay_us_per_mib.load(Ordering::Relaxed) != STOP
        });
    }
    if let Some(pause) = inner.admission.charge(delay, bytes) {
        inner.counters.slowed(pause);
        inner.env.clock.sleep(pause);
    }
    Ok(())
}

/// Waits until one more memtable may be sealed.
pub(crate) fn wait_for_room(inner: &Arc<Inner>) -> Result<()> {
    let max = inner.options.sealed_memtables_max;
    if inner.state.peek().sealed.len() < max {
        return Ok(());
    }
    wait_until(inner, |inner| inner.state.peek().sealed.len() < max)
}

/// Waits for background work until `ready`; fails as soon as that work fails.
pub(crate) fn wait_until(inner: &Arc<Inner>, ready: impl Fn(&Inner) -> bool) -> Result<()> {
    let begun = inner.env.clock.now();
    background::retry(inner);
    loop {
        let seen = inner.progress.epoch();
        if ready(inner) {
            inner.counters.stalled(inner.env.clock.now().saturating_sub(begun));
            return Ok(());
        }
        inner.check_writable()?;
        if let Some(error) = background::failure(inner) {
            return Err(error);
        }
        background::schedule(inner);
        inner.env.scheduler.wait(&inner.progress, seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_with_the_runs_and_small_ones_are_saved_up() {
        let admission = Admission::default();
        admission.update(L0_SLOWDOWN_RUNS);
        assert_eq!(admission.delay_us_per_mib.load(Ordering::Relaxed), 0);
        admission.update(L0_SLOWDOWN_RUNS + 2);
        let delay = admission.delay_us_per_mib.load(Ordering::Relaxed);
        assert_eq!(delay, 2 * DELAY_US_PER_MIB_AND_RUN);
        assert_eq!(admission.charge(delay, 1000), None);
        let pause = admission.charge(delay, 1 << 20).unwrap();
        assert!((8000..8200).contains(&pause.as_micros()), "{pause:?}");
        admission.update(L0_STOP_RUNS);
        assert_eq!(admission.delay_us_per_mib.load(Ordering::Relaxed), STOP);
    }
}
