//! FIFO: nothing is merged; the oldest tables are deleted when there is too much or they are too
//! old. For logs and caches whose data loses its worth with time.
//!
//! Deleting goes from the oldest place to the newest, so no version comes back that a younger
//! tombstone or value had hidden.

use std::sync::Arc;

use crate::busy::Busy;
use crate::draft::Scene;
use crate::levels::{Levels, TableInfo};
use crate::options::Options;
use crate::plan::{Input, Kind, OutputRun, Plan, Span};
use crate::policy::{Context, Manual, Picked, Policy};

/// The policy without merges.
#[derive(Clone, Debug)]
pub(crate) struct Fifo {
    options: Options,
    max_bytes: u64,
    ttl_us: Option<u64>,
}

impl Fifo {
    pub(crate) fn new(options: Options, max_bytes: u64, ttl_us: Option<u64>) -> Fifo {
        Fifo { options, max_bytes, ttl_us }
    }

    fn is_old(&self, table: &TableInfo, ctx: &Context) -> bool {
        self.ttl_us.is_some_and(|ttl| {
            ctx.now_us > 0 && table.created_at_us.saturating_add(ttl) <= ctx.now_us
        })
    }
}

impl Policy for Fifo {
    fn name(&self) -> &'static str {
        "fifo"
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn pick(&self, levels: &Levels, busy: &Busy, ctx: &Context) -> Option<Plan> {
        let scene = Scene { levels, busy, ctx };
        let (level, run) = levels.runs().next_back()?;
        // What a running job drops is gone already.
        let held = |(_, table): &(usize, &Arc<TableInfo>)| busy.holds(table.id);
        let going: u64 = levels.tables().filter(held).map(|(_, table)| table.bytes).sum();
        let excess = levels.bytes().saturating_sub(self.max_bytes).saturating_sub(going);
        let mut tables: Vec<&Arc<TableInfo>> = run.tables.iter().collect();
        tables.sort_by_key(|t| (t.max_seqno, t.id));
        let (mut freed, mut table_ids, mut old) = (0u64, Vec::new(), 0);
        for table in tables.into_iter().filter(|t| !scene.busy.holds(t.id)) {
            let is_old = self.is_old(table, ctx);
            if freed >= excess && !is_old {
                break;
            }
            old += usize::from(is_old);
            freed += table.bytes;
            table_ids.push(table.id);
        }
        if table_ids.is_empty() {
            return None;
        }
        let count = table_ids.len();
        let reason = format!("fifo: {count} tables go, {old} for their age, excess {excess} bytes");
        let plan = Plan {
            kind: Kind::Drop,
            inputs: vec![Input { level, run_id: run.id, table_ids }],
            output_level: level,
            output: OutputRun::New,
            target_table_bytes: self.options.target_table_bytes,
            span: Span::Free,
            bottommost: true,
            older: Vec::new(),
            reason,
        };
        (!busy.conflicts(&plan, levels)).then_some(plan)
    }

    /// Nothing: a FIFO tree has no better form.
    fn pick_range(&self, _: &Levels, _: &Busy, _: &Context, _: &Manual) -> Picked {
        Picked::Done
    }

    fn scores(&self, levels: &Levels) -> Vec<f64> {
        let total = levels.bytes() as f64 / self.max_bytes as f64;
        vec![total; levels.levels.len()]
    }

    /// Nothing: deleting costs no merging.
    fn debt_bytes(&self, _: &Levels) -> u64 {
        0
    }

    fn max_runs(&self, _: &Levels, _: usize) -> usize {
        usize::MAX
    }

    fn size_ratio(&self) -> u32 {
        self.options.size_ratio
    }
}
