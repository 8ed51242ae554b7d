//! What a workload will cost, before a byte is written: the same policy code over a virtual tree.
//!
//! 1. A simulated entry stands for many real ones, but it has an identity: it is overwritten,
//!    deleted and merged by the engine's own rules ([`crate::Retain`], [`crate::Busy`],
//!    [`crate::Levels::apply`]). Only bytes are multiplied.
//! 2. A tree that is too large for that is simulated with a write buffer enlarged by a power of the
//!    size ratio, which leaves out whole levels at the top; what an inner level costs is then added
//!    for each level left out ([`Report::levels_left_out`]).
//! 3. No randomness but the workload's own, from its seed: the same question has the same answer.
//!
//! ```
//! use compaction::simulate::{Setup, Workload, simulate};
//! use compaction::{Options, Strategy};
//!
//! let workload = Workload { entries: 1_000_000, ..Workload::default() };
//! let setup = |strategy| Setup {
//!     options: Options { base_bytes: 4 << 20, ..Options::new(strategy) },
//!     write_buffer_bytes: 1 << 20,
//!     ..Setup::default()
//! };
//! let leveled = simulate(&workload, &setup(Strategy::Leveled))?;
//! let tiered = simulate(&workload, &setup(Strategy::Tiered))?;
//! assert!(tiered.write_amplification < leveled.write_amplification);
//! assert!(tiered.runs_mean > leveled.runs_mean);
//! # Ok::<(), compaction::InvalidOption>(())
//! ```

mod keys;
mod world;

pub use keys::Skew;

use crate::cost::{Tree, bloom_rate};
use crate::levels::Level;
use crate::number::to_u64;
use crate::options::{InvalidOption, Options};
use world::World;

/// What the database will be asked to do: a load of all keys once, in random order, then `updates`
/// writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Count of distinct keys. Default: 10 million.
    pub entries: u64,
    /// Bytes of a key. Default: 16.
    pub key_bytes: u32,
    /// Bytes of a value. Default: 100.
    pub value_bytes: u32,
    /// Writes after the load, as a multiple of `entries`. Default: 1.
    pub updates: f64,
    /// Share of these writes that are deletes, 0 to 1. Default: 0.
    pub deletes: f64,
    /// Which keys they hit. Default: all alike.
    pub skew: Skew,
    /// Seed of the workload's random numbers.
    pub seed: u64,
}

impl Default for Workload {
    fn default() -> Workload {
        Workload {
            entries: 10_000_000,
            key_bytes: 16,
            value_bytes: 100,
            updates: 1.0,
            deletes: 0.0,
            skew: Skew::Uniform,
            seed: 1,
        }
    }
}

impl Workload {
    /// Returns the bytes of one key and value.
    pub fn entry_bytes(&self) -> u64 {
        u64::from(self.key_bytes) + u64::from(self.value_bytes)
    }

    /// Returns the bytes of all keys and values.
    pub fn data_bytes(&self) -> u64 {
        self.entries.saturating_mul(self.entry_bytes())
    }
}

/// The engine and the machine that serve it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The compaction policy.
    pub options: Options,
    /// Bytes of keys and values at which a memtable is flushed. Default: 64 MiB.
    pub write_buffer_bytes: u64,
    /// Bytes that the table adds to an entry: its trailer, lengths, its part of index and filter,
    /// less what prefixes save. Default: 8.
    pub overhead_bytes: f64,
    /// Bytes of a compressed block per byte of it. Default: 1.
    pub compression: f64,
    /// Filter bits for each key. Default: 10.
    pub filter_bits_per_key: f64,
    /// Bytes of a block. Default: 4096.
    pub block_bytes: u32,
    /// How fast the machine is; `None` (the default) means that compaction is never behind.
    pub machine: Option<Machine>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            options: Options::default(),
            write_buffer_bytes: 64 << 20,
            overhead_bytes: 8.0,
            compression: 1.0,
            filter_bits_per_key: 10.0,
            block_bytes: 4096,
            machine: None,
        }
    }
}

/// How fast data comes in and how fast it can be merged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Bytes of keys and values that arrive in a second.
    pub ingest_bytes_per_s: f64,
    /// Bytes that one worker reads and writes in a second.
    pub worker_bytes_per_s: f64,
    /// Workers that merge at the same time.
    pub workers: u32,
    /// Runs in L0 from which writers are slowed down.
    pub slow_runs: u32,
    /// Microseconds by which each MiB of writes is slowed down for each run beyond `slow_runs`.
    pub slow_us_per_mib_and_run: f64,
    /// Runs in L0 at which writers stop.
    pub stop_runs: u32,
}

impl Default for Machine {
    /// Two workers of 200 MB/s, 50 MB/s of writes, slowed from 12 runs on and stopped at 36.
    fn default() -> Machine {
        Machine {
            ingest_bytes_per_s: 50e6,
            worker_bytes_per_s: 200e6,
            workers: 2,
            slow_runs: 12,
            slow_us_per_mib_and_run: 4_000.0,
            stop_runs: 36,
        }
    }
}

/// What came out. Amplifications are per byte of keys and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The policy's name.
    pub policy: &'static str,
    /// Its size ratio.
    pub size_ratio: u32,
    /// Bytes written to tables, flushes included, per byte put or deleted after the load. Without
    /// `updates`, of the load.
    pub write_amplification: f64,
    /// The same for the load alone.
    pub load_write_amplification: f64,
    /// Bytes on disk per byte of live keys and values, mean over the updates.
    pub space_amplification: f64,
    /// The same at its worst, with inputs and outputs of running jobs both counted; `None` where
    /// [`Report::levels_left_out`] is not 0, as jobs are then enlarged like the write buffer.
    pub space_amplification_max: Option<f64>,
    /// The most bytes that running jobs had written and not yet installed; `None` as above.
    ///
    /// A job takes at most [`Options::max_job_bytes`] and one table of each run that takes part.
    /// ```
    /// use compaction::simulate::{Setup, Workload, simulate};
    /// use compaction::{Options, Strategy};
    ///
    /// // Tiered merges whole levels, but in columns of at most `max_job_bytes`.
    /// let workload = Workload { entries: 1_000_000, ..Workload::default() };
    /// let temporary = |max_job_bytes| {
    ///     let options = Options { size_ratio: 6, ..Options::new(Strategy::Tiered) };
    ///     let options = Options { base_bytes: 4 << 20, target_table_bytes: 1 << 20, ..options };
    ///     let options = Options { max_job_bytes, ..options };
    ///     let setup = Setup { options, write_buffer_bytes: 1 << 20, ..Setup::default() };
    ///     let report = simulate(&workload, &setup)?;
    ///     Ok::<_, compaction::InvalidOption>(report.temporary_bytes_max.expect("a small tree"))
    /// };
    /// let (free, bounded) = (temporary(1 << 40)?, temporary(16 << 20)?);
    /// assert!(bounded < 24 << 20 && free > 2 * bounded, "{free} {bounded}");
    /// # Ok::<(), compaction::InvalidOption>(())
    /// ```
    pub temporary_bytes_max: Option<u64>,
    /// Runs in the tree, mean over the updates: where a scan must look.
    pub runs_mean: f64,
    /// Runs in the tree at most.
    pub runs_max: u64,
    /// Blocks read by a get of an absent key, caches aside.
    pub absent_key_blocks: f64,
    /// Blocks read by a get of a present key, caches aside.
    pub present_key_blocks: f64,
    /// Bytes of all filters.
    pub filter_bytes: u64,
    /// Bytes of all tables at the end.
    pub table_bytes: u64,
    /// Bytes of live keys and values at the end.
    pub live_bytes: u64,
    /// Share of the time in which writers stood still; `None` without a [`Machine`]. Too small
    /// where [`Report::levels_left_out`] is not 0: the merges into them take no time.
    pub stalled: Option<f64>,
    /// Share of the time that writers were slowed down by; as `stalled`.
    pub slowed: Option<f64>,
    /// The most runs in L0.
    pub l0_runs_max: u64,
    /// The most bytes that the policy was behind; `None` where [`Report::levels_left_out`] is not
    /// 0.
    pub debt_bytes_max: Option<u64>,
    /// Levels that were not simulated but added by what an inner level costs.
    pub levels_left_out: u32,
    /// The levels that hold data at the end.
    pub levels: Vec<LevelReport>,
    /// The closed forms for the same tree; `None` for FIFO.
    pub closed: Option<Closed>,
}

/// One level of a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelReport {
    /// Rank of the level; L0 is the newest.
    pub level: usize,
    /// Count of runs.
    pub runs: u64,
    /// Bytes of its tables.
    pub bytes: u64,
    /// Bytes written into it per byte of the updates.
    pub write_amplification: f64,
}

/// One number over the phases of a setup ([`simulate_phases`]).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// What to expect.
    pub mean: f64,
    /// The least that a phase gave.
    pub least: f64,
    /// The most that a phase gave.
    pub most: f64,
}

impl Spread {
    /// Returns the spread of `number` over `phases`; zeros if there are none.
    pub fn of(phases: &[Report], number: impl Fn(&Report) -> f64) -> Spread {
        Spread::of_known(phases, |report| Some(number(report))).unwrap_or_default()
    }

    /// Returns the spread of `number` over `phases`; `None` if a phase does not know it, or there
    /// are none.
    pub fn of_known(phases: &[Report], number: impl Fn(&Report) -> Option<f64>) -> Option<Spread> {
        let numbers = phases.iter().map(number).collect::<Option<Vec<f64>>>()?;
        let least = numbers.iter().copied().reduce(f64::min)?;
        let most = numbers.iter().copied().reduce(f64::max)?;
        // A sum may round beyond what it is the mean of.
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        Some(Spread { mean: mean.clamp(least, most), least, most })
    }
}

/// The closed forms of [`crate::cost`] for one tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closed {
    /// [`Tree::write_amplification`].
    pub write_amplification: f64,
    /// [`Tree::space_amplification`].
    pub space_amplification: f64,
    /// [`Tree::run_count`].
    pub runs: f64,
    /// [`Tree::absent_key_blocks`].
    pub absent_key_blocks: f64,
    /// [`Tree::absent_key_blocks_monkey`].
    pub absent_key_blocks_monkey: f64,
}

/// Flushes that a load may take before levels are left out.
const FLUSHES_MAX: f64 = 4096.0;
/// Simulated entries, about; more are used if a flush would hold fewer than [`FLUSH_ENTRIES_MIN`].
const ENTRIES: f64 = 150_000.0;
const FLUSH_ENTRIES_MIN: f64 = 40.0;

/// How a real workload is shrunk to a simulated one.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    /// Real entries for each simulated one.
    pub(crate) weight: f64,
    /// Simulated keys.
    pub(crate) keys: u32,
    /// Simulated entries in a memtable.
    pub(crate) flush_entries: u32,
    /// The policy's options with sizes enlarged where levels are left out.
    pub(crate) options: Options,
    /// Levels left out.
    pub(crate) left_out: u32,
}

impl Scale {
    fn of(workload: &Workload, setup: &Setup, flushes_max: f64) -> Scale {
        let entry_bytes = workload.entry_bytes().max(1) as f64;
        let buffer_entries = (setup.write_buffer_bytes as f64 / entry_bytes).max(1.0);
        let entries = (workload.entries.max(1)) as f64;
        let ratio = f64::from(setup.options.size_ratio);
        let (mut left_out, mut enlarged) = (0, 1.0);
        while entries / (buffer_entries * enlarged) > flushes_max {
            left_out += 1;
            enlarged *= ratio;
        }
        let flushes = (entries / (buffer_entries * enlarged)).max(f64::MIN_POSITIVE);
        let keys = ENTRIES.max(flushes * FLUSH_ENTRIES_MIN).min(entries).ceil();
        let weight = entries / keys;
        let flush_entries = (buffer_entries * enlarged / weight).round().max(1.0);
        let grow = |bytes: u64| to_u64(bytes as f64 * enlarged);
        let options = Options {
            base_bytes: grow(setup.options.base_bytes),
            target_table_bytes: grow(setup.options.target_table_bytes),
            max_job_bytes: grow(setup.options.max_job_bytes),
            ..setup.options.clone()
        };
        Scale {
            weight,
            keys: u32::try_from(to_u64(keys)).unwrap_or(u32::MAX),
            flush_entries: u32::try_from(to_u64(flush_entries)).unwrap_or(u32::MAX),
            options,
            left_out,
        }
    }
}

/// Runs `workload` on `setup` and reports what it cost.
///
/// Takes a second or some for any size, in an optimised build: a petabyte 1.3 s at a size ratio of
/// 10 and 4.9 s at 4 (one core of a Zen 5 EPYC, 2026-11-29).
///
/// # Errors
/// [`InvalidOption`] if the policy's options are outside of their limits.
pub fn simulate(workload: &Workload, setup: &Setup) -> Result<Report, InvalidOption> {
    simulate_within(workload, setup, FLUSHES_MAX)
}

/// Runs `workload` `phases` times, with write buffers from 6 % below to 6 % above that of `setup`.
///
/// A strategy that rewrites its last level as a whole does so about once for every update of all
/// records. Whether a short workload meets one such merge more or less depends on how full the
/// levels are when it begins, which nobody knows exactly of a real database: the mean over phases
/// is what to expect, the least and the most what may happen.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_phases(
    workload: &Workload,
    setup: &Setup,
    phases: u32,
) -> Result<Vec<Report>, InvalidOption> {
    let step = |at: u32| (f64::from(at) - f64::from(phases.saturating_sub(1)) / 2.0) * 0.12;
    let factor = |at: u32| 1.0 + step(at) / f64::from(phases.saturating_sub(1).max(1));
    let bytes = |at: u32| to_u64(setup.write_buffer_bytes as f64 * factor(at));
    let buffers = (0..phases).map(bytes);
    let setups = buffers.map(|write_buffer_bytes| Setup { write_buffer_bytes, ..setup.clone() });
    setups.map(|setup| simulate(workload, &setup)).collect()
}

/// [`simulate`], leaving out levels until the load takes at most `flushes_max` flushes.
fn simulate_within(
    workload: &Workload,
    setup: &Setup,
    flushes_max: f64,
) -> Result<Report, InvalidOption> {
    setup.options.validate()?;
    let scale = Scale::of(workload, setup, flushes_max);
    let mut world = World::new(workload, setup, &scale)?;
    world.load();
    let load = world.counters.write_amplification();
    if workload.updates > 0.0 {
        world.reset_counters();
        world.update();
    }
    world.finish_jobs();
    Ok(report(workload, setup, &scale, &world, load))
}

fn report(
    workload: &Workload,
    setup: &Setup,
    scale: &Scale,
    world: &World<'_>,
    load: f64,
) -> Report {
    let counters = &world.counters;
    let inner = world.inner_level_cost();
    let left_out = f64::from(scale.left_out);
    // Jobs and flushes are enlarged where levels are left out, and so is what they take for a time.
    let is_whole = scale.left_out == 0;
    let has_machine = setup.machine.is_some();
    let runs_left_out = left_out * inner.runs;
    let runs_mean = counters.runs.mean() + runs_left_out;
    let rate = bloom_rate(setup.filter_bits_per_key);
    let tree = Tree::of(&setup.options, setup.write_buffer_bytes, workload.data_bytes());
    let tree = tree.map(|tree| Tree {
        entry_bytes: workload.entry_bytes() as f64,
        filter_bits_per_key: setup.filter_bits_per_key,
        ..tree
    });
    let totals = world.levels.levels.iter().map(Level::totals);
    let entries: u64 = totals.map(|t| t.entries).sum();
    Report {
        policy: world.policy.name(),
        size_ratio: setup.options.size_ratio,
        write_amplification: counters.write_amplification() + left_out * inner.write_amplification,
        load_write_amplification: load + left_out * inner.load_write_amplification,
        space_amplification: counters.space.mean(),
        space_amplification_max: is_whole.then_some(counters.space_max),
        temporary_bytes_max: is_whole.then_some(counters.temporary_bytes_max),
        runs_mean,
        runs_max: counters.runs.most() + to_u64(runs_left_out.ceil()),
        absent_key_blocks: rate * runs_mean,
        present_key_blocks: 1.0 + rate * (counters.runs_before_hit.mean() + runs_left_out),
        filter_bytes: to_u64(entries as f64 * setup.filter_bits_per_key / 8.0),
        table_bytes: world.levels.bytes(),
        live_bytes: world.live_bytes(),
        stalled: has_machine.then(|| counters.stalled()),
        slowed: has_machine.then(|| counters.slowed()),
        l0_runs_max: counters.l0_runs_max,
        debt_bytes_max: is_whole.then_some(counters.debt_bytes_max),
        levels_left_out: scale.left_out,
        levels: world.level_reports(),
        closed: tree.map(|tree| Closed {
            write_amplification: tree.write_amplification(),
            space_amplification: tree.space_amplification(),
            runs: tree.run_count(),
            absent_key_blocks: tree.absent_key_blocks(),
            absent_key_blocks_monkey: tree.absent_key_blocks_monkey(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Strategy;

    #[test]
    fn phases_lie_around_the_setup_and_differ_where_the_last_level_is_rewritten_whole() {
        let workload = Workload { entries: 100_000, updates: 1.0, ..Workload::default() };
        let options = Options {
            size_ratio: 4,
            base_bytes: 256 << 10,
            target_table_bytes: 64 << 10,
            max_job_bytes: 1 << 20,
            ..Options::new(Strategy::LazyLeveled)
        };
        let setup = Setup { options, write_buffer_bytes: 64 << 10, ..Setup::default() };
        let phases = simulate_phases(&workload, &setup, 5).expect("valid");
        assert_eq!(phases[2], simulate(&workload, &setup).expect("valid"), "the middle");
        let written = Spread::of(&phases, |report| report.write_amplification);
        assert!(written.most > 1.05 * written.least, "{written:?}");
        assert!(written.least < written.mean && written.mean < written.most, "{written:?}");
        assert_eq!(simulate_phases(&workload, &setup, 1).expect("valid"), phases[2..3]);
    }

    #[test]
    fn a_spread_is_known_if_every_phase_knows_the_number() {
        let workload = Workload { entries: 1_000, ..Workload::default() };
        let mut phases = simulate_phases(&workload, &Setup::default(), 3).expect("valid");
        for (report, space) in phases.iter_mut().zip([2.0, 1.0, 6.0]) {
            report.space_amplification = space;
            report.space_amplification_max = Some(space);
        }
        let expected = Spread { mean: 3.0, least: 1.0, most: 6.0 };
        assert_eq!(Spread::of(&phases, |report| report.space_amplification), expected);
        let worst = |phases: &[Report]| Spread::of_known(phases, |r| r.space_amplification_max);
        assert_eq!(worst(&phases), Some(expected));
        phases[1].space_amplification_max = None;
        assert_eq!(worst(&phases), None);
        assert_eq!((worst(&[]), Spread::of(&[], |r| r.runs_mean)), (None, Spread::default()));
    }

    /// A tree with a level left out costs about what the whole tree costs.
    #[test]
    fn levels_left_out_are_priced_right() {
        let workload = Workload { entries: 1_000_000, updates: 2.0, ..Workload::default() };
        for strategy in [Strategy::Leveled, Strategy::LazyLeveled, Strategy::Tiered] {
            let options = Options {
                size_ratio: 4,
                base_bytes: 1 << 20,
                target_table_bytes: 1 << 18,
                max_job_bytes: 1 << 22,
                ..Options::new(strategy)
            };
            let setup = Setup { options, write_buffer_bytes: 1 << 18, ..Setup::default() };
            let whole = simulate_within(&workload, &setup, 500.0).expect("valid");
            let part = simulate_within(&workload, &setup, 125.0).expect("valid");
            assert_eq!((whole.levels_left_out, part.levels_left_out), (0, 1));
            // What is enlarged with the write buffer is not told.
            assert!(whole.temporary_bytes_max.is_some() && whole.debt_bytes_max.is_some());
            assert_eq!((part.temporary_bytes_max, part.debt_bytes_max), (None, None));
            assert!(whole.space_amplification_max >= Some(whole.space_amplification));
            assert_eq!(part.space_amplification_max, None);
            let ratio = part.write_amplification / whole.write_amplification;
            // Merges of the last level are few, so their count is a coarse number.
            assert!((0.8..1.2).contains(&ratio), "{strategy:?}: {ratio}");
            let ratio = part.space_amplification / whole.space_amplification;
            assert!((0.9..1.1).contains(&ratio), "{strategy:?}: {ratio}");
        }
    }
}
