//! Who may write, and when: writers wait just as long as the work they cause asks for.
//!
//! Four debts hold writers back, and each only adds microseconds to a write, so that work
//! catches up long before anybody has to stop (spring and gear: Sears & Ramakrishnan, "bLSM",
//! 2012; Balmau et al., "SILK", 2019):
//!
//! 1. Runs in level 0 beyond `L0_SLOWDOWN_RUNS`, each the same delay. At `L0_STOP_RUNS` writers
//!    wait for a compaction.
//! 2. Bytes that the policy says must be merged, beyond a multiple of the write buffer: a delay
//!    that grows with them, and never a stop.
//! 3. Memtables: while as many are sealed as the options allow, writers fill the last one no
//!    faster than flushes have been. Where it is full all the same, the writer that needs a new
//!    one waits for a flush.
//!
//! 4. Memory beyond the budget: a delay that grows with it, and never a stop, as it may be
//!    readers who hold it. Before that the cache has shrunk, jobs take less, and memtables are
//!    sealed early.
//!
//! The largest of the four is charged, and the reason is kept beside it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::background::{self, Awaited};
use crate::clock::micros;
use crate::error::Result;
use crate::events::Event;
use crate::inner::Inner;
use crate::owed::Owed;
use crate::pace::HASTE_PERCENT_MAX;
use crate::state::View;

/// Runs in level 0 from which writes are slowed down.
const L0_SLOWDOWN_RUNS: u64 = 12;

/// Runs in level 0 at which writers wait for a compaction.
const L0_STOP_RUNS: u64 = 36;

/// The delay of 1 MiB of writes for each run beyond the slowdown limit.
const DELAY_US_PER_MIB_AND_RUN: u64 = 4_000;

/// Bytes to be merged from which writes are slowed down, in write buffers. A leveled tree in
/// balance owes a few; this many are minutes of work.
const DEBT_SLOWDOWN_BUFFERS: u64 = 128;

/// The delay of 1 MiB of writes for each [`DEBT_SLOWDOWN_BUFFERS`] beyond the first.
const DELAY_US_PER_MIB_AND_DEBT: u64 = 20_000;

/// The longest delay of 1 MiB: about 4 MiB a second still get in.
const DELAY_US_PER_MIB_MAX: u64 = 250_000;

/// Shorter times for which writers are held up by a log or a load are only in their latency.
const HELD_UP_TOLD: Duration = Duration::from_millis(1);

/// Why writers are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[repr(u8)]
pub enum Pressure {
    /// They are not.
    #[default]
    None,
    /// Too many runs in level 0.
    Level0,
    /// Too many bytes to be merged.
    Debt,
    /// Memtables wait for their flush.
    Memtables,
    /// More memory is held than the memory budget has.
    Memory,
    /// The next segment of the log is made by the writer that needs it.
    Log,
    /// A load installs its tables, and no write may come in between.
    Load,
}

impl Pressure {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Level0 => "level 0 has too many runs",
            Self::Debt => "compaction is behind",
            Self::Memtables => "memtables wait for their flush",
            Self::Memory => "the memory budget is used up",
            Self::Log => "the next log segment is not ready",
            Self::Load => "a load installs its tables",
        }
    }
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// How hard writers are held back; read at each write.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Microseconds of delay for 1 MiB; [`STOP`] where writers wait.
    delay_us_per_mib: AtomicU64,
    /// A [`Pressure`].
    reason: AtomicU8,
    /// Delay that is owed.
    owed: Owed,
    /// What flushing 1 MiB of memtable took lately, in microseconds.
    flush_us_per_mib: AtomicU64,
    /// What filling 1 MiB of memtable took lately, the delays apart, in microseconds.
    fill_us_per_mib: AtomicU64,
    /// How much faster than its limit compaction should be, in percent.
    haste_percent: AtomicU64,
    /// When the active memtables were begun, and all delays up to then, in microseconds.
    begun_us: AtomicU64,
    delayed_us: AtomicU64,
    /// The delay of 1 MiB for want of memory.
    memory_us_per_mib: AtomicU64,
}

const STOP: u64 = u64::MAX;

/// A number that steers, and publishes nothing.
fn get(number: &AtomicU64) -> u64 {
    // ORDERING: Relaxed; as said above.
    number.load(Ordering::Relaxed)
}

fn set(number: &AtomicU64, value: u64) {
    // ORDERING: Relaxed; as for `get`.
    number.store(value, Ordering::Relaxed);
}

/// Half the old, half the new; the new alone where there is no old.
fn smooth(number: &AtomicU64, value: u64) {
    let old = get(number);
    set(number, if old == 0 { value } else { old.midpoint(value) });
}

impl Admission {
    /// Takes note of the tree and the memtables after a change of either.
    pub(crate) fn update(&self, inner: &Inner, view: &View) {
        let live = &inner.live;
        let debt_bytes = view.debt_bytes();
        set(&self.haste_percent, haste_percent(debt_bytes, live.write_buffer_bytes()));
        let delays = [
            (l0_delay(view.l0_runs_max() as u64), Pressure::Level0),
            (debt_delay(debt_bytes, live.write_buffer_bytes()), Pressure::Debt),
            (
                self.memtable_delay(view.sealed.len(), live.sealed_memtables_max()),
                Pressure::Memtables,
            ),
            (get(&self.memory_us_per_mib), Pressure::Memory),
        ];
        let [first, rest @ ..] = delays;
        let worst = rest.into_iter().fold(first, |a, b| if b.0 > a.0 { b } else { a });
        self.set(worst);
    }

    /// Takes note of the delay of 1 MiB for want of memory.
    pub(crate) fn memory(&self, inner: &Inner, delay_us_per_mib: u64) {
        if delay_us_per_mib != get(&self.memory_us_per_mib) {
            set(&self.memory_us_per_mib, delay_us_per_mib);
            inner.state.change(|view| self.update(inner, view));
        }
    }

    fn set(&self, (delay, reason): (u64, Pressure)) {
        set(&self.delay_us_per_mib, delay);
        let reason = if delay == 0 { Pressure::None } else { reason };
        // ORDERING: Relaxed; a number for people.
        self.reason.store(reason as u8, Ordering::Relaxed);
    }

    /// Why writers are held back at this moment.
    pub(crate) fn reason(&self) -> Pressure {
        let all = [
            Pressure::None,
            Pressure::Level0,
            Pressure::Debt,
            Pressure::Memtables,
            Pressure::Memory,
        ];
        // ORDERING: Relaxed; a number for people.
        all[usize::from(self.reason.load(Ordering::Relaxed))]
    }

    /// How much more than their limit merges may write, in percent; 100 while compaction keeps up.
    pub(crate) fn haste_percent(&self) -> u64 {
        get(&self.haste_percent).max(100)
    }

    /// The delay of 1 MiB at this moment; `u64::MAX` where writers wait.
    pub(crate) fn delay_us_per_mib(&self) -> u64 {
        get(&self.delay_us_per_mib)
    }

    /// Filling the last memtable should take as long as flushing one does.
    fn memtable_delay(&self, sealed: usize, sealed_max: usize) -> u64 {
        if sealed < sealed_max {
            return 0;
        }
        get(&self.flush_us_per_mib)
            .saturating_sub(get(&self.fill_us_per_mib))
            .min(DELAY_US_PER_MIB_MAX)
    }

    /// Takes note of a flush of memtables that were full.
    pub(crate) fn flushed(&self, memtable_bytes: usize, took: Duration) {
        if let Some(us) = us_per_mib(took.as_micros(), memtable_bytes) {
            smooth(&self.flush_us_per_mib, us);
        }
    }

    /// Takes note that memtables of `bytes` were sealed at `now`, `delayed` since the opening.
    pub(crate) fn sealed(&self, bytes: usize, now: Duration, delayed: Duration) {
        let (now, delayed) = (micros(now), micros(delayed));
        let waited = delayed.saturating_sub(get(&self.delayed_us));
        let filled = now.saturating_sub(get(&self.begun_us)).saturating_sub(waited);
        set(&self.begun_us, now);
        set(&self.delayed_us, delayed);
        if let Some(us) = us_per_mib(filled.into(), bytes) {
            smooth(&self.fill_us_per_mib, us);
        }
    }

    /// Adds the delay of a write of `bytes` and returns what is worth a sleep now.
    fn charge(&self, delay_us_per_mib: u64, bytes: usize) -> Option<Duration> {
        self.owed.charge((bytes as u64).saturating_mul(delay_us_per_mib) / 1049)
    }
}

fn us_per_mib(us: u128, bytes: usize) -> Option<u64> {
    // Small ones say more about syncs than about speed.
    (bytes >= 64 << 10).then(|| u64::try_from((us << 20) / bytes as u128).unwrap_or(u64::MAX))
}

/// The delay for runs in level 0.
fn l0_delay(runs: u64) -> u64 {
    if runs >= L0_STOP_RUNS {
        return STOP;
    }
    runs.saturating_sub(L0_SLOWDOWN_RUNS) * DELAY_US_PER_MIB_AND_RUN
}

/// The delay for bytes that wait to be merged.
fn debt_delay(debt_bytes: u64, write_buffer_bytes: usize) -> u64 {
    let step = (write_buffer_bytes as u64).saturating_mul(DEBT_SLOWDOWN_BUFFERS).max(1);
    let over = u128::from(debt_bytes.saturating_sub(step));
    let delay = over * u128::from(DELAY_US_PER_MIB_AND_DEBT) / u128::from(step);
    u64::try_from(delay).unwrap_or(u64::MAX).min(DELAY_US_PER_MIB_MAX)
}

/// 100 up to half of the debt that slows writers down, twice that where it does, and so on.
fn haste_percent(debt_bytes: u64, write_buffer_bytes: usize) -> u64 {
    let half = (write_buffer_bytes as u64).saturating_mul(DEBT_SLOWDOWN_BUFFERS / 2).max(1);
    let over = u128::from(debt_bytes.saturating_sub(half));
    let percent = 100 + over * 100 / u128::from(half);
    u64::try_from(percent).unwrap_or(u64::MAX).min(HASTE_PERCENT_MAX)
}

/// Waits as long as a write of `bytes` must, before it takes its place in the order.
#[inline]
pub(crate) fn admit(inner: &Arc<Inner>, bytes: usize) -> Result<()> {
    let delay = inner.admission.delay_us_per_mib();
    if delay == 0 { Ok(()) } else { hold_back(inner, delay, bytes) }
}

#[cold]
fn hold_back(inner: &Arc<Inner>, delay: u64, bytes: usize) -> Result<()> {
    if delay == STOP {
        // The signal's lock orders the look after the update.
        let ready = |inner: &Inner| inner.admission.delay_us_per_mib() != STOP;
        return stall(inner, (Pressure::Level0, Awaited::Compactions), ready);
    }
    if let Some(pause) = inner.admission.charge(delay, bytes) {
        let begun = inner.env.clock.now();
        inner.env.clock.sleep(pause);
        let slept = inner.env.clock.now().saturating_sub(begun);
        inner.counters.slowed(slept);
        let reason = inner.admission.reason();
        inner.events.tell(&Event::Slowed { reason, times: 1, took: slept });
        inner.admission.owed.overslept(slept.saturating_sub(pause));
    }
    Ok(())
}

/// Waits until one more memtable may be sealed.
pub(crate) fn wait_for_room(inner: &Arc<Inner>) -> Result<()> {
    let room = |inner: &Inner| inner.state.peek().sealed.len() < inner.live.sealed_memtables_max();
    if room(inner) {
        return Ok(());
    }
    stall(inner, (Pressure::Memtables, Awaited::Flushes), room)
}

/// Makes a writer, which holds no lock, wait for background work until `ready`.
fn stall(
    inner: &Arc<Inner>,
    (reason, awaited): (Pressure, Awaited),
    ready: impl Fn(&Inner) -> bool,
) -> Result<()> {
    let begun = inner.env.clock.now();
    inner.events.tell(&Event::StallBegan { reason });
    let result = wait_until(inner, awaited, ready);
    let took = inner.env.clock.now().saturating_sub(begun);
    inner.counters.stalled(took);
    inner.timings.stall.add(took);
    inner.events.tell(&Event::StallEnded { reason, took });
    result
}

/// Tells that writers may have been held up since `begun`, if that was long. The caller may hold
/// locks.
pub(crate) fn held_up(inner: &Inner, reason: Pressure, begun: Duration) {
    let took = inner.env.clock.now().saturating_sub(begun);
    if took >= HELD_UP_TOLD {
        inner.events.tell_later(Event::HeldUp { reason, took });
    }
}

/// Waits for background work until `ready`; fails as soon as the work that is waited for fails.
pub(crate) fn wait_until(
    inner: &Arc<Inner>,
    awaited: Awaited,
    ready: impl Fn(&Inner) -> bool,
) -> Result<()> {
    background::retry(inner);
    loop {
        let seen = inner.progress.epoch();
        if ready(inner) {
            return Ok(());
        }
        inner.check_writable()?;
        if let Some(error) = background::failure(inner, awaited) {
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
        assert_eq!(l0_delay(L0_SLOWDOWN_RUNS), 0);
        let delay = l0_delay(L0_SLOWDOWN_RUNS + 2);
        assert_eq!(delay, 2 * DELAY_US_PER_MIB_AND_RUN);
        assert_eq!(admission.charge(delay, 1000), None);
        let pause = admission.charge(delay, 1 << 20).unwrap();
        assert!((8000..8200).contains(&pause.as_micros()), "{pause:?}");
        assert_eq!(l0_delay(L0_STOP_RUNS), STOP);
        admission.set((STOP, Pressure::Level0));
        assert_eq!((admission.delay_us_per_mib(), admission.reason()), (STOP, Pressure::Level0));
        admission.set((0, Pressure::Debt));
        assert_eq!(admission.reason(), Pressure::None);
    }

    #[test]
    fn what_holds_writers_up_for_a_millisecond_is_told() {
        let options = crate::Options::default();
        let clock = Arc::new(crate::clock::ManualClock::new());
        let env = crate::Env {
            fs: Arc::new(crate::fs::MemFs::new()),
            clock: Arc::clone(&clock) as Arc<_>,
            scheduler: Arc::new(crate::scheduler::InlineScheduler::new(1)),
        };
        let db = crate::Db::open_with("/db", options, env).unwrap();
        let begun = db.inner().env.clock.now();
        held_up(db.inner(), Pressure::Log, begun);
        clock.advance(Duration::from_millis(3));
        held_up(db.inner(), Pressure::Load, begun);
        let told = |past: &crate::Past| match past.event {
            Event::HeldUp { reason, took } => Some((reason, took)),
            _ => None,
        };
        let told: Vec<_> = db.history().iter().filter_map(told).collect();
        assert_eq!(told, [(Pressure::Load, Duration::from_millis(3))]);
    }

    #[test]
    fn debt_slows_down_and_never_stops() {
        let step = DEBT_SLOWDOWN_BUFFERS << 20;
        assert_eq!(debt_delay(step, 1 << 20), 0);
        assert_eq!(debt_delay(2 * step, 1 << 20), DELAY_US_PER_MIB_AND_DEBT);
        assert!(debt_delay(2 * step + step / 2, 1 << 20) > DELAY_US_PER_MIB_AND_DEBT);
        assert_eq!(debt_delay(u64::MAX, 1), DELAY_US_PER_MIB_MAX);
        assert_eq!(debt_delay(0, 0), 0);
        let haste = |debt| haste_percent(debt, 1 << 20);
        assert_eq!([0, step / 2, step, 2 * step].map(haste), [100, 100, 200, 400]);
        assert_eq!((haste(u64::MAX), haste_percent(0, 0)), (HASTE_PERCENT_MAX, 100));
    }

    #[test]
    fn the_last_memtable_is_filled_as_fast_as_one_is_flushed() {
        let admission = Admission::default();
        let (mib, ms) = (1 << 20, Duration::from_millis);
        admission.sealed(mib, ms(10), Duration::ZERO);
        admission.flushed(mib, ms(25));
        assert_eq!(admission.memtable_delay(1, 2), 0);
        let delay = admission.memtable_delay(2, 2);
        assert_eq!(delay, 15_000);
        // Filled in 25 ms, of which 15 were that delay: writers are as fast as before.
        admission.sealed(mib, ms(35), ms(15));
        assert_eq!(admission.memtable_delay(2, 2), 15_000);
        admission.flushed(mib, ms(5));
        admission.flushed(mib, ms(5));
        assert_eq!(admission.memtable_delay(2, 2), 0);
    }
}
