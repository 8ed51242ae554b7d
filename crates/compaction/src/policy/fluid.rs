//! The one policy behind leveled, tiered, lazy and partial: a shape decides, level by level, which
//! of two leaves does the work, a table out of a sorted level or a column out of several runs.
//!
//! The order of business:
//!
//! 0. The oldest run moves into the last level if that is empty: it costs nothing.
//! 1. L0, when it holds enough runs: writers wait for it first.
//! 2. Tombstones older than their deadline.
//! 3. Levels above their limit, the fullest first.
//! 4. L0 within itself, when it is long and its way down is blocked.
//! 5. Tables that are mostly tombstones, when nothing else is to do.
//! 6. L0 although it holds few runs, when nobody writes: what reads gain costs no writer time.

use crate::busy::Busy;
use crate::draft::{Scene, Seed, Target};
use crate::levels::{Level, Levels};
use crate::number::to_u64;
use crate::options::{Granularity, Options, Strategy};
use crate::plan::{Kind, OutputRun, Plan};
use crate::policy::geometry::Geometry;
use crate::policy::{Context, Manual, Picked, Policy, leveled, manual, tiered, tombstones};

/// How many runs rest where, and how much moves at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Runs that may rest in every level but the last (K in the literature).
    pub inner_runs: u32,
    /// Runs that may rest in the last level (Z in the literature).
    pub last_runs: u32,
    /// How much one job takes.
    pub granularity: Granularity,
}

/// The policy for any [`Shape`].
#[derive(Clone, Debug)]
pub(crate) struct Fluid {
    options: Options,
    shape: Shape,
}

impl Fluid {
    /// # Panics
    /// If the strategy is FIFO, which has no shape.
    pub(crate) fn new(options: Options) -> Fluid {
        let shape = options.shape().expect("every merging strategy has a shape");
        Fluid { options, shape }
    }

    pub(crate) fn geometry(&self, levels: &Levels) -> Geometry {
        Geometry::of(levels, self.shape, &self.options)
    }

    fn rest(&self, geometry: &Geometry, level: usize) -> usize {
        let runs =
            if level >= geometry.last { self.shape.last_runs } else { self.shape.inner_runs };
        runs.max(1) as usize
    }

    /// Whether levels with this many resting runs are full by their count rather than their bytes.
    fn counts(&self, rest: usize) -> bool {
        rest > 1 && rest + 1 >= self.options.size_ratio as usize
    }

    /// How urgent `level` is, leaving out what running jobs take away.
    fn score(&self, levels: &Levels, geometry: &Geometry, busy: &Busy, level: usize) -> f64 {
        let (runs, bytes) = free_part(levels.level(level), busy);
        if level == 0 {
            return runs as f64 / f64::from(self.options.l0_runs);
        }
        if runs == 0 {
            return 0.0;
        }
        if level < geometry.base {
            return 1.0 + runs as f64;
        }
        let rest = self.rest(geometry, level);
        let by_count = if runs > rest { runs as f64 / rest as f64 } else { 0.0 };
        let grows = level >= geometry.last && self.shape.last_runs == 1;
        if self.counts(rest) {
            return runs as f64 / (rest + 1) as f64;
        }
        let by_bytes = if grows { 0.0 } else { bytes as f64 / geometry.limit(level).max(1) as f64 };
        by_bytes.max(by_count)
    }

    /// Returns the levels that ask for a job, the most urgent first; L0 leads when it asks.
    fn urgent(&self, scene: &Scene<'_>, geometry: &Geometry) -> Vec<(f64, usize)> {
        let depth = scene.levels.levels.len();
        let score = |level| self.score(scene.levels, geometry, scene.busy, level);
        let mut asking: Vec<_> =
            (0..depth).map(|l| (score(l), l)).filter(|(s, _)| *s >= 1.0).collect();
        asking.sort_by(|a, b| (b.1 == 0).cmp(&(a.1 == 0)).then(b.0.total_cmp(&a.0)));
        for level in 1..depth {
            let below = geometry.below(level);
            let front = scene.levels.level(below).runs.first();
            let listed = asking.iter().any(|(_, l)| *l == level);
            if !listed
                && self.rest(geometry, level) > 1
                && front.is_some_and(|f| tiered::unfinished(scene.levels.level(level), f).is_some())
            {
                asking.push((1.0, level));
            }
        }
        asking
    }

    /// Picks a job out of `level`.
    fn pick_level(
        &self,
        scene: &Scene<'_>,
        geometry: &Geometry,
        (score, level): (f64, usize),
    ) -> Option<Plan> {
        let runs = scene.levels.level(level).runs.len();
        let rest = self.rest(geometry, level);
        if level > 0 && level >= geometry.base && rest == 1 && runs > 1 {
            return self.pick_consolidation(scene, level);
        }
        if level >= geometry.last && self.shape.last_runs == 1 {
            return None;
        }
        let name = self.name();
        if let Granularity::Partial(selection) = self.shape.granularity
            && level > 0
            && runs == 1
        {
            let target = self.target(scene, geometry, level, 0);
            let limit = geometry.limit(level);
            let reason = if level < geometry.base {
                format!("{name}: L{level} should be empty")
            } else {
                format!("{name}: L{level} has {score:.2} times its {limit} bytes")
            };
            return leveled::pick_table(scene, level, target, selection, &reason);
        }
        self.pick_runs(scene, geometry, level)
    }

    /// Sends all free runs of `level`, or the rest of an unfinished merge, one level down.
    fn pick_runs(&self, scene: &Scene<'_>, geometry: &Geometry, level: usize) -> Option<Plan> {
        let here = scene.levels.level(level);
        let below = geometry.below(level);
        let front = scene.levels.level(below).runs.first();
        let open = front.and_then(|front| tiered::unfinished(here, front));
        let whole = self.shape.granularity == Granularity::Whole && here.runs.len() == 1;
        let max_bytes = if whole { u64::MAX } else { self.options.max_job_bytes };
        let (ranks, target, what) = match (open, front) {
            (Some(ranks), Some(front)) if self.rest(geometry, below) > 1 => {
                let output = OutputRun::Into(front.id);
                let target = self.into(below, output);
                (ranks, target, "goes on with a merge of")
            }
            _ => {
                let target = self.target(scene, geometry, level, here.bytes());
                (0..here.runs.len(), target, "merges")
            }
        };
        let (name, count) = (self.name(), ranks.len());
        let reason = format!("{name}: L{level} {what} {count} run(s)");
        tiered::pick_column(scene, level, ranks, (target, max_bytes), reason)
    }

    /// Makes one run of several in a level that should have one, after a change of strategy.
    fn pick_consolidation(&self, scene: &Scene<'_>, level: usize) -> Option<Plan> {
        let here = scene.levels.level(level);
        let oldest = here.runs.last()?;
        let target = self.into(level, OutputRun::Into(oldest.id));
        let newer = 0..here.runs.len() - 1;
        let reason = format!("{}: L{level} has {} runs, not 1", self.name(), here.runs.len());
        tiered::pick_column(scene, level, newer, (target, self.options.max_job_bytes), reason)
    }

    /// Decides into which run of the next level `incoming` bytes of `level` go.
    fn target(
        &self,
        scene: &Scene<'_>,
        geometry: &Geometry,
        level: usize,
        incoming: u64,
    ) -> Target {
        let below = geometry.below(level);
        let rest = self.rest(geometry, below);
        let runs = &scene.levels.level(below).runs;
        let output = match runs.first() {
            None => OutputRun::New,
            Some(front) if rest == 1 => OutputRun::Into(front.id),
            Some(_) if self.counts(rest) => OutputRun::New,
            Some(front) => {
                let share = geometry.limit(below) / rest as u64;
                let has_room = front.bytes().saturating_add(incoming) <= share;
                if has_room || runs.len() >= rest {
                    OutputRun::Into(front.id)
                } else {
                    OutputRun::New
                }
            }
        };
        self.into(below, output)
    }

    fn into(&self, level: usize, output: OutputRun) -> Target {
        Target { level, output, table_bytes: self.options.target_table_bytes }
    }

    /// Moves the oldest run into the last level if that is empty: after growth by a level, or
    /// after a change of strategy.
    fn pick_sink(&self, scene: &Scene<'_>, geometry: &Geometry) -> Option<Plan> {
        let deepest = scene.levels.deepest()?;
        if self.shape.last_runs > 1 || deepest == 0 || deepest >= geometry.last {
            return None;
        }
        let runs = &scene.levels.level(deepest).runs;
        let (rank, run) = (runs.len() - 1, runs.last()?);
        let seed = Seed { level: deepest, run: rank, tables: 0..run.tables.len() };
        let target = self.into(geometry.last, OutputRun::New);
        let reason = format!("{}: L{deepest} becomes the last level", self.name());
        scene.draft(&[seed], target, reason).filter(|plan| plan.kind == Kind::Move)
    }

    /// Sends L0 down before it is full, while nobody writes, so that reads find one run a level.
    ///
    /// Only where one run rests, and only if what is rewritten for it is at most `size_ratio` times
    /// as much: so the write amplification stays within what leveling costs anyway, however often
    /// a writer flushes and pauses.
    fn pick_quiet(&self, scene: &Scene<'_>, geometry: &Geometry) -> Option<Plan> {
        let l0 = scene.levels.level(0);
        let mut hull = l0.runs.first()?.range();
        l0.runs.iter().for_each(|run| hull.include(&run.range()));
        let below = scene.levels.level(geometry.below(0)).runs.first();
        let tables = below.map_or(&[][..], |run| &run.tables[run.overlapping(&hull)]);
        let under: u64 = tables.iter().map(|table| table.bytes).sum();
        let merges = l0.runs.len() + usize::from(under > 0) > 1;
        let pays = l0.bytes().saturating_mul(self.options.size_ratio.into()) >= under;
        let one_run = self.shape.inner_runs == 1 && self.shape.last_runs == 1;
        if !scene.ctx.quiet || !one_run || !merges || !pays {
            return None;
        }
        self.pick_runs(scene, geometry, 0)
    }

    /// Merges the free runs of a long L0 with each other when their way down is blocked.
    fn pick_within_l0(&self, scene: &Scene<'_>) -> Option<Plan> {
        let runs = &scene.levels.level(0).runs;
        let is_free = |rank: &usize| runs[*rank].tables.iter().all(|t| !scene.busy.holds(t.id));
        let free = (0..runs.len()).take_while(is_free).count();
        let l0_runs = self.options.l0_runs as usize;
        if free < 2 * l0_runs || free == runs.len() && scene.busy.is_empty() {
            return None;
        }
        let seeds: Vec<Seed> = (0..free)
            .map(|run| Seed { level: 0, run, tables: 0..runs[run].tables.len() })
            .collect();
        let target = Target {
            level: 0,
            output: OutputRun::New,
            table_bytes: self.options.target_table_bytes,
        };
        let reason = format!("{}: L0 has {free} free runs and no way down", self.name());
        scene.draft(&seeds, target, reason)
    }
}

/// Counts the runs and bytes of `level` that no running job takes.
fn free_part(level: &Level, busy: &Busy) -> (usize, u64) {
    if busy.is_empty() {
        return (level.runs.len(), level.bytes());
    }
    let (mut runs, mut bytes) = (0, 0);
    for run in &level.runs {
        let free: Vec<u64> =
            run.tables.iter().filter(|t| !busy.holds(t.id)).map(|t| t.bytes).collect();
        runs += usize::from(!free.is_empty());
        bytes += free.iter().sum::<u64>();
    }
    (runs, bytes)
}

impl Policy for Fluid {
    fn name(&self) -> &'static str {
        match self.options.strategy {
            Strategy::Leveled => "leveled",
            Strategy::Partial(_) => "partial",
            Strategy::LazyLeveled => "lazy-leveled",
            Strategy::LazyL0 => "lazy-l0",
            Strategy::Tiered => "tiered",
            _ => "fluid",
        }
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn pick(&self, levels: &Levels, busy: &Busy, ctx: &Context) -> Option<Plan> {
        let scene = Scene { levels, busy, ctx };
        let geometry = self.geometry(levels);
        let asking = self.urgent(&scene, &geometry);
        let (l0, deeper): (Vec<_>, Vec<_>) = asking.into_iter().partition(|(_, l)| *l == 0);
        let level = |list: Vec<(f64, usize)>| {
            list.into_iter().find_map(|asked| self.pick_level(&scene, &geometry, asked))
        };
        self.pick_sink(&scene, &geometry)
            .or_else(|| level(l0))
            .or_else(|| tombstones::pick_expired(&scene, &self.options, &|l| geometry.below(l)))
            .or_else(|| level(deeper))
            .or_else(|| self.pick_within_l0(&scene))
            .or_else(|| tombstones::pick_dense(&scene, &self.options, &|l| geometry.below(l)))
            .or_else(|| self.pick_quiet(&scene, &geometry))
    }

    fn pick_range(&self, levels: &Levels, busy: &Busy, ctx: &Context, manual: &Manual) -> Picked {
        let last = self.geometry(levels).last;
        manual::pick(&Scene { levels, busy, ctx }, &self.options, manual, last)
    }

    fn scores(&self, levels: &Levels) -> Vec<f64> {
        let geometry = self.geometry(levels);
        let score = |level| self.score(levels, &geometry, &Busy::new(), level);
        (0..levels.levels.len()).map(score).collect()
    }

    fn debt_bytes(&self, levels: &Levels) -> u64 {
        let geometry = self.geometry(levels);
        let (mut debt, mut incoming) = (0u64, 0u64);
        for level in 0..levels.levels.len() {
            let bytes = levels.level(level).bytes() + incoming;
            let score = self.score(levels, &geometry, &Busy::new(), level);
            let limit = geometry.limit(level);
            let stays = level >= geometry.last && self.shape.last_runs == 1;
            let by_bytes = level >= geometry.base && !self.counts(self.rest(&geometry, level));
            incoming = match () {
                () if stays => 0,
                () if by_bytes => bytes.saturating_sub(limit),
                () if score >= 1.0 => bytes,
                () => 0,
            };
            let below = geometry.below(level);
            let under = levels.level(below).bytes();
            let merged = self.rest(&geometry, below) == 1 && bytes > 0;
            let ratio = if merged {
                (under as f64 / bytes as f64).min(self.options.size_ratio.into())
            } else {
                0.0
            };
            debt += incoming + to_u64(incoming as f64 * ratio);
        }
        debt
    }

    fn max_runs(&self, levels: &Levels, level: usize) -> usize {
        match level {
            0 => self.options.l0_runs as usize,
            _ => self.rest(&self.geometry(levels), level),
        }
    }

    fn size_ratio(&self) -> u32 {
        self.options.size_ratio
    }
}
