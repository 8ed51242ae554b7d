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
use crate::cuts::Cuts;
use crate::draft::{Scene, Seed, Target};
use crate::levels::{Level, Levels, Run, TableInfo};
use crate::number::to_u64;
use crate::options::{Granularity, Options, Strategy};
use crate::plan::{Kind, OutputRun, Plan, Span};
use crate::policy::columns::{self, Part};
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

/// Runs by level and ranks, the newest first.
type Chain = Vec<(usize, std::ops::Range<usize>)>;

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
            let listed = asking.iter().any(|(_, l)| *l == level);
            if !listed && self.open(scene, geometry, level).is_some() {
                asking.push((1.0, level));
            }
        }
        asking
    }

    /// Which runs of `level` wait for the rest of a merge that has begun, if one has.
    fn open(
        &self,
        scene: &Scene<'_>,
        geometry: &Geometry,
        level: usize,
    ) -> Option<std::ops::Range<usize>> {
        let below = geometry.below(level);
        let front = scene.levels.level(below).runs.first()?;
        let lone = level > 0 && self.rest(geometry, level) == 1;
        if lone && self.shape.granularity != Granularity::Whole || level >= geometry.last {
            return None;
        }
        let grown = || tiered::unfinished(scene.levels.level(level), front);
        let grows = self.rest(geometry, below) > 1;
        waiting(scene, level).or_else(|| grown().filter(|_| grows))
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
            return self.pick_consolidation(scene, geometry, level);
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
        let chain = self.chain(scene, geometry, level);
        if chain.len() > 1 {
            let plan = self.pick_chain(scene, geometry, &chain)?;
            if plan.fits(scene.levels, self.options.max_job_bytes) {
                return Some(plan);
            }
        }
        let here = scene.levels.level(level);
        let below = geometry.below(level);
        let front = scene.levels.level(below).runs.first();
        let open = self.open(scene, geometry, level);
        let what = if open.is_some() { "goes on with a merge of" } else { "merges" };
        let ranks = open.clone().unwrap_or(0..here.runs.len());
        let runs = &here.runs[ranks.clone()];
        let target = match front {
            // What has gone down already is as new as what waits.
            Some(front) if open.is_some() && front.max_seqno() >= oldest_seqno(runs) => {
                self.into(geometry, below, OutputRun::Into(front.id))
            }
            _ => self.target(scene, geometry, level, runs.iter().map(|run| run.bytes()).sum()),
        };
        let round = here.runs.len() == 1 && self.rest(geometry, level) == 1;
        let from = |run: &Run| match scene.ctx.cursors.get(&level) {
            Some(cursor) if round => {
                let next = run.tables.partition_point(|table| table.smallest <= *cursor);
                if next < run.tables.len() { next } else { 0 }
            }
            _ => 0,
        };
        let reason = format!("{}: L{level} {what} {} run(s)", self.name(), ranks.len());
        if let ([run], OutputRun::New) = (&here.runs[..], target.output) {
            let seed = Seed { level, run: 0, tables: 0..run.tables.len() };
            let plan = scene.draft(&[seed], target, reason.clone());
            if let Some(plan) = plan.filter(|plan| plan.kind == Kind::Move) {
                return Some(plan);
            }
        }
        let column = pick_column(scene, &[(level, ranks.clone())], &from, target, reason)?;
        if column.fits(scene.levels, self.options.max_job_bytes) {
            return Some(column);
        }
        // Tables that end at different keys draw each other in. Merged with each other first, they
        // end where a column does; if that is too much too, the older half of them.
        let oldest = &here.runs[ranks.end - 1];
        let into = self.into(geometry, level, OutputRun::Into(oldest.id));
        let counts = || std::iter::successors(Some(ranks.len()), |count| Some(count / 2));
        let fits = |plan: &Plan| plan.fits(scene.levels, self.options.max_job_bytes);
        let even = counts().take_while(|count| *count > 1).find_map(|count| {
            let reason = format!("{}: L{level} has {count} uneven runs", self.name());
            let newer = ranks.end - count..ranks.end - 1;
            pick_column(scene, &[(level, newer)], &from, into, reason).filter(fits)
        });
        let fewer = || {
            counts().skip(1).take_while(|count| *count > 0).find_map(|count| {
                let reason = format!("{}: L{level} merges {count} of its runs", self.name());
                let older = ranks.end - count..ranks.end;
                pick_column(scene, &[(level, older)], &from, target, reason).filter(fits)
            })
        };
        even.or_else(fewer).or(Some(column))
    }

    /// The runs that are merged with those of `level`: where one more run would fill the next
    /// level, its runs go along, and so on down. What would be written there would be taken at
    /// once.
    fn chain(&self, scene: &Scene<'_>, geometry: &Geometry, level: usize) -> Chain {
        let runs = |level: usize| &scene.levels.level(level).runs;
        let open = self.open(scene, geometry, level);
        let first = open.clone().unwrap_or(0..runs(level).len());
        let oldest = oldest_seqno(&runs(level)[first.clone()]);
        let mut chain = vec![(level, first)];
        let mut below = geometry.below(level);
        while self.counts(self.rest(geometry, below)) {
            let ranks = if open.is_some() {
                // What has gone down already is as new as what waits.
                let is_output = |front: &std::sync::Arc<Run>| front.max_seqno() >= oldest;
                let cursor = scene.ctx.cursors.get(&level);
                cursor
                    .filter(|_| !runs(below).first().is_some_and(is_output))
                    .and_then(|cursor| behind(scene, below, cursor))
            } else {
                let full = runs(below).len() >= self.rest(geometry, below);
                let free = full && self.open(scene, geometry, below).is_none();
                free.then(|| 0..runs(below).len())
            };
            let Some(ranks) = ranks else { break };
            chain.push((below, ranks));
            below = geometry.below(below);
        }
        chain
    }

    /// Merges the runs of several levels into the level below them.
    fn pick_chain(&self, scene: &Scene<'_>, geometry: &Geometry, chain: &Chain) -> Option<Plan> {
        let (level, first) = chain.first()?;
        let (last, _) = chain.last()?;
        let runs = |level: usize| &scene.levels.level(level).runs;
        let front = runs(geometry.below(*last)).first();
        let oldest = oldest_seqno(&runs(*level)[first.clone()]);
        let goes_on = self.open(scene, geometry, *level).is_some();
        let target = match front {
            Some(front) if goes_on && front.max_seqno() >= oldest => {
                self.into(geometry, geometry.below(*last), OutputRun::Into(front.id))
            }
            _ => {
                let all = chain.iter().flat_map(|(level, ranks)| &runs(*level)[ranks.clone()]);
                self.target(scene, geometry, *last, all.map(|run| run.bytes()).sum())
            }
        };
        let what = if goes_on { "go on with" } else { "begin" };
        let reason = format!("{}: L{level} to L{last} are full and {what} a merge", self.name());
        pick_column(scene, chain, &|_| 0, target, reason)
    }

    /// Makes one run of several in a level that should have one, after a change of strategy.
    fn pick_consolidation(
        &self,
        scene: &Scene<'_>,
        geometry: &Geometry,
        level: usize,
    ) -> Option<Plan> {
        let here = scene.levels.level(level);
        let oldest = here.runs.last()?;
        let target = self.into(geometry, level, OutputRun::Into(oldest.id));
        let newer = 0..here.runs.len() - 1;
        let reason = format!("{}: L{level} has {} runs, not 1", self.name(), here.runs.len());
        pick_column(scene, &[(level, newer)], &|_| 0, target, reason)
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
        self.into(geometry, below, output)
    }

    fn into(&self, geometry: &Geometry, level: usize, output: OutputRun) -> Target {
        Target {
            level,
            output,
            table_bytes: self.options.target_table_bytes,
            span: self.span(geometry, level),
            job_bytes: self.options.max_job_bytes,
        }
    }

    /// How much of what lies deeper a table of `level` may lie over, so that its way down is a job
    /// of at most about `max_job_bytes`.
    fn span(&self, geometry: &Geometry, level: usize) -> Span {
        let most = self.options.max_job_bytes;
        if self.counts(self.rest(geometry, geometry.below(level))) {
            let runs = self.rest(geometry, level) as u64 + 1;
            let beside = most / 2 / runs;
            let deeper = beside.saturating_mul(self.options.size_ratio.into());
            if level == 0 { Span::Free } else { Span::Tiers { beside, deeper } }
        } else if level > 0 && self.rest(geometry, level) == 1 {
            Span::Table(most)
        } else {
            Span::Columns(most / 2)
        }
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
        let target = self.into(geometry, geometry.last, OutputRun::New);
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
    fn pick_within_l0(&self, scene: &Scene<'_>, geometry: &Geometry) -> Option<Plan> {
        let runs = &scene.levels.level(0).runs;
        let is_free = |rank: &usize| runs[*rank].tables.iter().all(|t| !scene.busy.holds(t.id));
        let mut bytes = 0u64;
        let free = (0..runs.len()).take_while(is_free).take_while(|rank| {
            bytes = bytes.saturating_add(runs[*rank].bytes());
            bytes <= self.options.max_job_bytes
        });
        let free = free.count();
        let l0_runs = self.options.l0_runs as usize;
        if free < 2 * l0_runs || free == runs.len() && scene.busy.is_empty() {
            return None;
        }
        let seeds: Vec<Seed> = (0..free)
            .map(|run| Seed { level: 0, run, tables: 0..runs[run].tables.len() })
            .collect();
        let target = self.into(geometry, 0, OutputRun::New);
        let reason = format!("{}: L0 has {free} free runs and no way down", self.name());
        scene.draft(&seeds, target, reason)
    }
}

/// Picks a column of the runs `chosen`, by level and ranks, the newest first, on their way to
/// `target`; of each run from the table that `from` says or the first that is free behind it.
fn pick_column(
    scene: &Scene<'_>,
    chosen: &[(usize, std::ops::Range<usize>)],
    from: &dyn Fn(&Run) -> usize,
    target: Target,
    reason: String,
) -> Option<Plan> {
    let part = |(level, rank): (usize, usize)| {
        let run = &scene.levels.level(level).runs[rank];
        let tables = &run.tables;
        let busy = |table: &&std::sync::Arc<TableInfo>| scene.busy.holds(table.id);
        let from = from(run);
        let first = from + tables[from..].iter().take_while(busy).count();
        Part { level, run: rank, first, tables: &tables[first..] }
    };
    let all = chosen.iter().flat_map(|(level, ranks)| ranks.clone().map(move |r| (*level, r)));
    let parts: Vec<Part<'_>> = all.map(part).collect();
    let into = scene.levels.level(target.level);
    let under = match target.output {
        OutputRun::Into(id) => into.position(id).map(|rank| into.runs[rank].as_ref()),
        OutputRun::New => None,
    };
    let seeds = columns::column(&parts, under, target.job_bytes);
    scene.draft(&seeds, target, reason)
}

fn oldest_seqno(runs: &[std::sync::Arc<Run>]) -> u64 {
    runs.iter().map(|run| run.min_seqno()).min().unwrap_or(u64::MAX)
}

/// The oldest runs of `level` that all begin behind its cursor: what a merge in columns has not
/// taken yet, while newer runs have come.
fn waiting(scene: &Scene<'_>, level: usize) -> Option<std::ops::Range<usize>> {
    behind(scene, level, scene.ctx.cursors.get(&level)?)
}

/// The oldest runs of `level` that all begin behind `key`, what running jobs take left out.
fn behind(scene: &Scene<'_>, level: usize, key: &[u8]) -> Option<std::ops::Range<usize>> {
    let runs = &scene.levels.level(level).runs;
    let rest = |run: &Run| run.tables.iter().position(|table| !scene.busy.holds(table.id));
    let begins = |run: &&std::sync::Arc<Run>| {
        rest(run).is_none_or(|first| run.tables[first].smallest.as_slice() > key)
    };
    let count = runs.iter().rev().take_while(begins).count();
    let behind = runs.len() - count..runs.len();
    runs[behind.clone()].iter().any(|run| rest(run).is_some()).then_some(behind)
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
        let into = |level, output| self.into(&geometry, level, output);
        let way = tombstones::Way { below: &|level| geometry.below(level), into: &into };
        self.pick_sink(&scene, &geometry)
            .or_else(|| level(l0))
            .or_else(|| tombstones::pick_expired(&scene, &self.options, way))
            .or_else(|| level(deeper))
            .or_else(|| self.pick_within_l0(&scene, &geometry))
            .or_else(|| tombstones::pick_dense(&scene, &self.options, way))
            .or_else(|| self.pick_quiet(&scene, &geometry))
    }

    fn pick_range(&self, levels: &Levels, busy: &Busy, ctx: &Context, manual: &Manual) -> Picked {
        let geometry = self.geometry(levels);
        let into = |level, output| self.into(&geometry, level, output);
        manual::pick(&Scene { levels, busy, ctx }, manual, geometry.last, &into)
    }

    fn flush_cuts(&self, levels: &Levels) -> Cuts {
        let span = self.span(&self.geometry(levels), 0);
        let target_bytes = self.options.target_table_bytes;
        match (levels.under(0), span) {
            (Some(run), Span::Columns(bytes)) => {
                Cuts::columns(target_bytes, bytes, &run.tables, 0..run.tables.len())
            }
            _ => Cuts::by_size(target_bytes),
        }
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
