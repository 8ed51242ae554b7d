//! From a few chosen tables to a whole plan: everything that must come along comes along.
//!
//! Walking from the newest chosen table to the output, the hull of keys grows, and each run on the
//! way gives the tables that share a key with it. So nothing is jumped over, and what stays in the
//! output run stays outside. The result is a plan, or `None` if a table is busy.

use crate::busy::Busy;
use crate::levels::{KeyRange, Levels};
use crate::plan::{Input, Kind, OutputRun, Plan, Span, places};
use crate::policy::Context;

/// A contiguous piece of one run, chosen to be compacted.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) level: usize,
    /// Rank of the run in its level, newest first.
    pub(crate) run: usize,
    /// Ranks of the tables in the run.
    pub(crate) tables: std::ops::Range<usize>,
}

/// Where a draft is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) level: usize,
    pub(crate) output: OutputRun,
    pub(crate) table_bytes: u64,
    /// How much of what lies deeper an output table may lie over.
    pub(crate) span: Span,
    /// Bytes that a job should take at most.
    pub(crate) job_bytes: u64,
}

/// What every draft needs to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) levels: &'a Levels,
    pub(crate) busy: &'a Busy,
    pub(crate) ctx: &'a Context,
}

impl Scene<'_> {
    /// Completes `seeds` to a plan for `target`.
    pub(crate) fn draft(&self, seeds: &[Seed], target: Target, reason: String) -> Option<Plan> {
        let mut plan = Plan {
            kind: Kind::Merge,
            inputs: self.close(seeds, target)?,
            output_level: target.level,
            output: target.output,
            target_table_bytes: target.table_bytes,
            span: target.span,
            bottommost: false,
            older: Vec::new(),
            reason,
        };
        if self.busy.conflicts(&plan, self.levels) {
            return None;
        }
        plan.note_older(self.levels);
        if self.movable(&plan) {
            plan.kind = Kind::Move;
        }
        debug_assert_eq!(plan.check(self.levels), Ok(()), "{plan}");
        Some(plan)
    }

    /// [`Scene::draft`], or what brings less down if that is a larger job than it should be.
    pub(crate) fn draft_small(
        &self,
        seeds: &[Seed],
        target: Target,
        reason: String,
    ) -> Option<Plan> {
        let plan = self.draft(seeds, target, reason)?;
        if plan.fits(self.levels, target.job_bytes) {
            return Some(plan);
        }
        self.oldest_first(&plan, target).or(Some(plan))
    }

    /// Brings less down than `plan`, the oldest first: one table of the oldest run on the way,
    /// under which there is but the output. `None` if that is not less.
    fn oldest_first(&self, plan: &Plan, target: Target) -> Option<Plan> {
        let OutputRun::Into(id) = target.output else { return None };
        let input = plan.inputs.iter().rfind(|input| input.run_id != id)?;
        let level = self.levels.level(input.level);
        let run = level.position(input.run_id)?;
        let first = level.runs[run].tables.iter().position(|t| t.id == input.table_ids[0])?;
        let seed = Seed { level: input.level, run, tables: first..first + 1 };
        let bytes = |plan: &Plan| plan.input_totals(self.levels).bytes;
        let less = self.draft(&[seed], target, plan.reason.clone());
        less.filter(|less| bytes(less) < bytes(plan))
    }

    /// Widens the seeds, newest run first, by all that shares a key with the hull so far.
    fn close(&self, seeds: &[Seed], target: Target) -> Option<Vec<Input>> {
        let first = seeds.iter().map(|s| (s.level, s.run)).min()?;
        // The first place that is left alone: just behind the output run. A new run without an
        // input in its own level takes nothing from that level.
        let end = match target.output {
            OutputRun::Into(id) => {
                (target.level, self.levels.level(target.level).position(id)? + 1)
            }
            OutputRun::New => {
                let own = seeds.iter().filter(|s| s.level == target.level).map(|s| s.run + 1);
                (target.level, own.max().unwrap_or(0))
            }
        };
        let (mut inputs, mut hull): (Vec<Input>, Option<KeyRange>) = (Vec::new(), None);
        for (place, run) in places(self.levels).filter(|(p, _)| first <= *p && *p < end) {
            let mut piece = hull.as_ref().map_or(0..0, |hull| run.overlapping(hull));
            for seed in seeds.iter().filter(|s| (s.level, s.run) == place) {
                piece = cover(&piece, &seed.tables);
            }
            if piece.is_empty() {
                continue;
            }
            let tables = &run.tables[piece];
            if tables.iter().any(|t| self.busy.holds(t.id)) {
                return None;
            }
            let range = KeyRange {
                smallest: tables[0].smallest.clone(),
                largest: tables[tables.len() - 1].largest.clone(),
            };
            match &mut hull {
                Some(hull) => hull.include(&range),
                None => hull = Some(range),
            }
            let table_ids = tables.iter().map(|t| t.id).collect();
            inputs.push(Input { level: place.0, run_id: run.id, table_ids });
        }
        (!inputs.is_empty()).then_some(inputs)
    }

    /// Returns whether changing places is enough: the inputs come from above, share no key with
    /// each other or the output run, lie over no more than outputs may, and a merge would forget no
    /// tombstone.
    fn movable(&self, plan: &Plan) -> bool {
        if plan.inputs.iter().any(|input| input.level == plan.output_level) {
            return false;
        }
        let mut tables = plan.input_tables(self.levels);
        let snapshot = self.ctx.oldest_snapshot.unwrap_or(u64::MAX);
        let forgets = |tombstones: u64, min_seqno: u64| tombstones > 0 && min_seqno <= snapshot;
        if plan.bottommost && tables.iter().any(|t| forgets(t.tombstones, t.min_seqno)) {
            return false;
        }
        let most = match plan.span {
            Span::Free | Span::Tiers { .. } => u64::MAX,
            Span::Table(bytes) => bytes,
            Span::Columns(bytes) => bytes.saturating_mul(2),
        };
        if let Some(under) = self.levels.under(plan.output_level)
            && tables.iter().any(|table| under.bytes_in(&table.range()) > most)
        {
            return false;
        }
        tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        tables.windows(2).all(|pair| pair[0].largest < pair[1].smallest)
    }
}

/// The smallest range of ranks that holds both.
fn cover(a: &std::ops::Range<usize>, b: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => a.start.min(b.start)..a.end.max(b.end),
    }
}
