//! Which strategy and ratio fit a workload: the closed forms rank all candidates, the simulator
//! judges the best of them, limits are kept, and an uncertain mix is met with a margin.
//!
//! The margin: instead of the expected mix of operations, the worst mix within a given distance
//! (Kullback-Leibler divergence) of it is priced, so a setting that is cheap only if the forecast
//! is exact loses against one that is cheap all around (Huynh et al., "Endure", 2022).

use crate::cost::Tree;
use crate::options::{Granularity, InvalidOption, Options, Strategy};
use crate::policy::partial::Selection;
use crate::simulate::{Report, Setup, Spread, Workload, simulate_phases};

/// How often each operation happens: any unit, only the proportions count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Puts and deletes.
    pub writes: f64,
    /// Gets of absent keys.
    pub absent_gets: f64,
    /// Gets of present keys.
    pub present_gets: f64,
    /// Short scans.
    pub scans: f64,
}

impl Default for Mix {
    /// Half writes, half gets of present keys.
    fn default() -> Mix {
        Mix { writes: 1.0, absent_gets: 0.0, present_gets: 1.0, scans: 0.0 }
    }
}

impl Mix {
    /// Returns the shares, in the order of the fields; even shares if there is nothing.
    pub fn shares(&self) -> [f64; 4] {
        let parts = [self.writes, self.absent_gets, self.present_gets, self.scans]
            .map(|part| if part.is_finite() { part.max(0.0) } else { 0.0 });
        let sum: f64 = parts.iter().sum();
        if sum > 0.0 { parts.map(|part| part / sum) } else { [0.25; 4] }
    }
}

/// What one operation of each kind costs, in block reads or writes, caches aside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperationCosts {
    /// A write: its share of all flushes and merges.
    pub write: f64,
    /// A get of an absent key.
    pub absent_get: f64,
    /// A get of a present key.
    pub present_get: f64,
    /// A short scan: a block of each run.
    pub scan: f64,
}

impl OperationCosts {
    /// Prices operations by the closed forms, with blocks of `block_bytes`.
    pub fn of_tree(tree: &Tree, block_bytes: u32) -> OperationCosts {
        OperationCosts {
            write: write_cost(tree.write_amplification(), tree.entry_bytes, block_bytes),
            absent_get: tree.absent_key_blocks(),
            present_get: tree.present_key_blocks(),
            scan: tree.run_count(),
        }
    }

    /// Prices operations by the phases of a simulation: their means.
    pub fn of_phases(phases: &[Report], entry_bytes: u64, block_bytes: u32) -> OperationCosts {
        let mean = |number: fn(&Report) -> f64| Spread::of(phases, number).mean;
        let written = mean(|report| report.write_amplification);
        OperationCosts {
            write: write_cost(written, entry_bytes as f64, block_bytes),
            absent_get: mean(|report| report.absent_key_blocks),
            present_get: mean(|report| report.present_key_blocks),
            scan: mean(|report| report.runs_mean),
        }
    }

    fn array(&self) -> [f64; 4] {
        [self.write, self.absent_get, self.present_get, self.scan]
    }

    /// Returns the mean cost of an operation of `mix`.
    pub fn expected(&self, mix: &Mix) -> f64 {
        mix.shares().iter().zip(self.array()).map(|(share, cost)| share * cost).sum()
    }

    /// Returns the mean cost under the worst mix whose divergence from `mix` is at most
    /// `uncertainty` (0 is certain; 0.2 is a guess; 1 and more is hardly a forecast).
    pub fn worst(&self, mix: &Mix, uncertainty: f64) -> f64 {
        if uncertainty.is_nan() || uncertainty <= 0.0 {
            return self.expected(mix);
        }
        // Every operation gets a little chance: a forecast of "never" may be wrong as well.
        let shares = mix.shares().map(|share| 0.99 * share + 0.01 / 4.0);
        let costs = self.array();
        let top = costs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // The dual problem: the least over l > 0 of l * u + l * ln(sum of share * exp(cost / l)).
        let dual = |log: f64| {
            let l = log.exp();
            let sum: f64 = shares.iter().zip(costs).map(|(s, c)| s * ((c - top) / l).exp()).sum();
            l * uncertainty + l * sum.ln() + top
        };
        let (mut low, mut high) = (-12.0f64, 12.0f64);
        for _ in 0..200 {
            let third = (high - low) / 3.0;
            if dual(low + third) < dual(high - third) { high -= third } else { low += third }
        }
        dual(f64::midpoint(low, high)).min(top)
    }
}

fn write_cost(amplification: f64, entry_bytes: f64, block_bytes: u32) -> f64 {
    amplification * entry_bytes / f64::from(block_bytes.max(1))
}

/// What a setting must keep on the mean of its phases; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Largest write amplification.
    pub write_amplification: Option<f64>,
    /// Largest space amplification, mean over the updates.
    pub space_amplification: Option<f64>,
    /// Most blocks read for an absent key.
    pub absent_key_blocks: Option<f64>,
    /// Most runs, mean over the updates.
    pub runs: Option<f64>,
    /// Most bytes of filters.
    pub filter_bytes: Option<u64>,
}

impl Limits {
    /// Returns by how much the mean of the phases breaks the limits: 0 if it keeps all, else the
    /// sum of the excess shares.
    pub fn excess(&self, phases: &[Report]) -> f64 {
        let mean = |number: fn(&Report) -> f64| Spread::of(phases, number).mean;
        over(self.write_amplification, mean(|report| report.write_amplification))
            + over(self.space_amplification, mean(|report| report.space_amplification))
            + over(self.absent_key_blocks, mean(|report| report.absent_key_blocks))
            + over(self.runs, mean(|report| report.runs_mean))
            + over(
                self.filter_bytes.map(|bytes| bytes as f64),
                mean(|report| report.filter_bytes as f64),
            )
    }

    /// The same by the closed forms, which all settings have the same filters in.
    fn closed_excess(&self, tree: &Tree) -> f64 {
        over(self.write_amplification, tree.write_amplification())
            + over(self.space_amplification, tree.space_amplification())
            + over(self.absent_key_blocks, tree.absent_key_blocks())
            + over(self.runs, tree.run_count())
    }
}

fn over(limit: Option<f64>, value: f64) -> f64 {
    match limit {
        Some(limit) if value > limit => value / limit.max(f64::MIN_POSITIVE) - 1.0,
        _ => 0.0,
    }
}

/// A question to [`advise`].
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The data and its writes.
    pub workload: Workload,
    /// The mix of operations.
    pub mix: Mix,
    /// How far the mix may be off ([`OperationCosts::worst`]). Default: 0.1.
    pub uncertainty: f64,
    /// What must be kept.
    pub limits: Limits,
    /// The engine; strategy and ratio in it do not matter.
    pub setup: Setup,
    /// How often each candidate is simulated ([`simulate_phases`]), at least once. Default: 3.
    pub phases: u32,
}

impl Default for Question {
    fn default() -> Question {
        Question {
            workload: Workload::default(),
            mix: Mix::default(),
            uncertainty: 0.1,
            limits: Limits::default(),
            setup: Setup::default(),
            phases: 3,
        }
    }
}

/// One setting that was simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The policy's options.
    pub options: Options,
    /// Mean cost of an operation, in blocks, under the worst mix.
    pub cost: f64,
    /// By how much it breaks the limits ([`Limits::excess`]).
    pub excess: f64,
    /// Its simulation, phase by phase.
    pub phases: Vec<Report>,
}

/// How many candidates of the closed forms are simulated.
const SIMULATED: usize = 10;
/// How many of them are those that come nearest to the limits.
const NEAREST: usize = 3;
/// The ratios that are tried.
const RATIOS: [u32; 11] = [2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32];

/// Returns the simulated candidates, the best first: those that keep the limits by cost, then the
/// others by how far they are from it.
/// ```
/// use compaction::advise::{Mix, Question, advise};
/// use compaction::simulate::{Setup, Workload};
/// use compaction::{Options, Strategy};
///
/// let best = |writes, scans| {
///     let workload = Workload { entries: 200_000, ..Workload::default() };
///     let options = Options { base_bytes: 4 << 20, ..Options::new(Strategy::Leveled) };
///     let options = Options { target_table_bytes: 1 << 20, max_job_bytes: 16 << 20, ..options };
///     let setup = Setup { options, write_buffer_bytes: 1 << 20, ..Setup::default() };
///     let mix = Mix { writes, scans, absent_gets: 0.0, present_gets: 0.0 };
///     let question = Question { workload, mix, uncertainty: 0.05, setup, ..Question::default() };
///     Ok::<_, compaction::InvalidOption>(advise(&question)?.remove(0).phases.remove(0))
/// };
/// let (writer, scanner) = (best(1.0, 0.0)?, best(0.01, 1.0)?);
/// assert!(writer.write_amplification < scanner.write_amplification, "cheap writes for writers");
/// assert!(scanner.runs_mean < writer.runs_mean, "few runs for scanners");
/// # Ok::<(), compaction::InvalidOption>(())
/// ```
///
/// # Errors
/// [`InvalidOption`] if the options of the question's setup are outside of their limits.
pub fn advise(question: &Question) -> Result<Vec<Candidate>, InvalidOption> {
    question.setup.options.validate()?;
    let mut candidates = Vec::new();
    for options in shortlist(question) {
        candidates.push(judge(question, options)?);
    }
    let better = |a: &Candidate, b: &Candidate| {
        a.excess.total_cmp(&b.excess).then(a.cost.total_cmp(&b.cost))
    };
    // The closed forms do not tell selections apart: they are tried where the best leveled one is.
    let leveled = candidates.iter().filter(|c| c.options.strategy == Strategy::Leveled);
    if let Some(best) = leveled.min_by(|a, b| better(a, b)).map(|c| c.options.clone()) {
        for selection in selections(question) {
            let strategy = Strategy::Partial(selection);
            candidates.push(judge(question, Options { strategy, ..best.clone() })?);
        }
    }
    candidates.sort_by(better);
    Ok(candidates)
}

/// The selections that may differ from least overlap. The coldest table is not among them: the
/// simulator knows no reads.
fn selections(question: &Question) -> Vec<Selection> {
    let mut all = vec![Selection::RoundRobin, Selection::Oldest];
    if question.workload.deletes > 0.0 {
        all.push(Selection::MostTombstones);
    }
    all
}

/// Simulates one setting.
fn judge(question: &Question, options: Options) -> Result<Candidate, InvalidOption> {
    let setup = Setup { options: options.clone(), ..question.setup.clone() };
    let phases = simulate_phases(&question.workload, &setup, question.phases.max(1))?;
    let entry_bytes = question.workload.entry_bytes();
    let costs = OperationCosts::of_phases(&phases, entry_bytes, setup.block_bytes);
    Ok(Candidate {
        options,
        cost: costs.worst(&question.mix, question.uncertainty),
        excess: question.limits.excess(&phases),
        phases,
    })
}

/// The candidates that are worth a simulation: by the closed forms, the cheapest of each strategy,
/// the cheapest of those that keep the limits or come nearest to it, and the cheapest of all.
fn shortlist(question: &Question) -> Vec<Options> {
    let mut ranked: Vec<(f64, f64, Options)> = every_setting(&question.setup.options)
        .into_iter()
        .filter_map(|options| {
            let tree = closed_tree(question, &options)?;
            let costs = OperationCosts::of_tree(&tree, question.setup.block_bytes);
            let cost = costs.worst(&question.mix, question.uncertainty);
            Some((question.limits.closed_excess(&tree), cost, options))
        })
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut list: Vec<Options> = Vec::new();
    for (.., options) in &ranked {
        if !list.iter().any(|o| o.strategy == options.strategy) {
            list.push(options.clone());
        }
    }
    // Fluid settings are many: only the best of them, beside the best of each named strategy.
    let mut fluid = 0;
    list.retain(|options| {
        fluid += usize::from(matches!(options.strategy, Strategy::Fluid { .. }));
        !matches!(options.strategy, Strategy::Fluid { .. }) || fluid <= 2
    });
    let mut nearest: Vec<_> = ranked.iter().filter(|(.., o)| !list.contains(o)).cloned().collect();
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
    list.extend(nearest.into_iter().take(NEAREST).map(|(.., options)| options));
    for (.., options) in ranked {
        if list.len() < SIMULATED && !list.contains(&options) {
            list.push(options);
        }
    }
    list
}

fn closed_tree(question: &Question, options: &Options) -> Option<Tree> {
    let data_bytes = question.workload.data_bytes();
    let tree = Tree::of(options, question.setup.write_buffer_bytes, data_bytes)?;
    Some(Tree {
        entry_bytes: question.workload.entry_bytes() as f64,
        filter_bits_per_key: question.setup.filter_bits_per_key,
        ..tree
    })
}

/// Every strategy at every ratio, on the other options of `base`.
pub(crate) fn every_setting(base: &Options) -> Vec<Options> {
    let mut all = Vec::new();
    for size_ratio in RATIOS {
        let mut strategies =
            vec![Strategy::Leveled, Strategy::LazyLeveled, Strategy::LazyL0, Strategy::Tiered];
        for inner_runs in [2, 4].into_iter().filter(|runs| *runs < size_ratio - 1) {
            for last_runs in [1, 2] {
                let granularity = Granularity::default();
                strategies.push(Strategy::Fluid { inner_runs, last_runs, granularity });
            }
        }
        let settings = strategies.into_iter();
        all.extend(settings.map(|strategy| Options { strategy, size_ratio, ..base.clone() }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: OperationCosts =
        OperationCosts { write: 0.3, absent_get: 0.05, present_get: 1.1, scan: 9.0 };

    /// Each limit alone, a little below what the setting has: it is broken by that little.
    #[test]
    fn every_limit_is_heeded() {
        let workload = Workload { entries: 100_000, ..Workload::default() };
        let setup = Setup { write_buffer_bytes: 1 << 20, ..Setup::default() };
        let phases = simulate_phases(&workload, &setup, 2).expect("valid");
        let mean = |number: fn(&Report) -> f64| Some(Spread::of(&phases, number).mean / 1.25);
        let filter_bytes = Some(phases[0].filter_bytes.midpoint(phases[1].filter_bytes) / 5 * 4);
        let written = mean(|r| r.write_amplification);
        let space = mean(|r| r.space_amplification);
        let absent = mean(|r| r.absent_key_blocks);
        for limits in [
            Limits { write_amplification: written, ..Limits::default() },
            Limits { space_amplification: space, ..Limits::default() },
            Limits { absent_key_blocks: absent, ..Limits::default() },
            Limits { runs: mean(|r| r.runs_mean), ..Limits::default() },
            Limits { filter_bytes, ..Limits::default() },
        ] {
            let excess = limits.excess(&phases);
            assert!((excess - 0.25).abs() < 1e-3, "{limits:?}: {excess}");
        }
        assert!(Limits::default().excess(&phases) <= 0.0);
    }

    #[test]
    fn certainty_is_the_plain_mean() {
        let mix = Mix { writes: 3.0, absent_gets: 0.0, present_gets: 1.0, scans: 0.0 };
        assert!((COSTS.worst(&mix, 0.0) - (0.75 * 0.3 + 0.25 * 1.1)).abs() < 1e-12);
    }

    /// All mixes whose shares are multiples of `1 / steps`.
    fn every_mix(steps: u32) -> impl Iterator<Item = [f64; 4]> {
        let ab = (0..=steps).flat_map(move |a| (0..=steps - a).map(move |b| (a, b)));
        let abc = ab.flat_map(move |(a, b)| (0..=steps - a - b).map(move |c| (a, b, c)));
        abc.map(move |(a, b, c)| {
            [a, b, c, steps - a - b - c].map(|n| f64::from(n) / f64::from(steps))
        })
    }

    fn divergence(from: &[f64; 4], to: &[f64; 4]) -> f64 {
        let pairs = from.iter().zip(to).filter(|(x, _)| **x > 0.0);
        pairs.map(|(x, y)| x * (x / y).ln()).sum()
    }

    /// Against a search over all mixes in the ball.
    #[test]
    fn the_worst_mix_is_found() {
        let mix = Mix { writes: 4.0, absent_gets: 2.0, present_gets: 3.0, scans: 1.0 };
        let base = mix.shares().map(|share| 0.99 * share + 0.01 / 4.0);
        let costs = COSTS.array();
        for uncertainty in [0.1, 0.5, 1.0] {
            let most = every_mix(80)
                .filter(|w| divergence(w, &base) <= uncertainty)
                .map(|w| w.iter().zip(costs).map(|(x, y)| x * y).sum())
                .fold(0.0, f64::max);
            let found = COSTS.worst(&mix, uncertainty);
            assert!(found >= most - 1e-9 && found < most * 1.05, "{uncertainty}: {found} {most}");
        }
    }

    #[test]
    fn nothing_is_worse_than_the_dearest_operation() {
        assert!(COSTS.worst(&Mix::default(), 1e9) <= 9.0);
        let nonsense = Mix { writes: f64::NAN, absent_gets: -1.0, present_gets: 0.0, scans: 0.0 };
        assert!(nonsense.shares().iter().all(|share| (share - 0.25).abs() < 1e-12));
    }
}
