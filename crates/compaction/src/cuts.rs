//! Where a merge closes one output table and begins the next.
//!
//! A table of a sorted level whose ends lie at the borders of the tables under it rewrites whole
//! tables when it goes down in its turn; one that ends anywhere rewrites two of them for a part of
//! their keys (RocksDB does this since 7.8, 2022). So where one run lies under the outputs, a table
//! that is nearly full is closed at the next border, and one that meets none grows to
//! [`LONGEST_PERCENT`].

use crate::levels::Levels;
use crate::plan::{OutputRun, Plan};

/// Percent of the target size from which a table is closed at a border.
const SHORTEST_PERCENT: u64 = 60;

/// Percent of the target size at which a table is closed, border or not, where there are borders.
const LONGEST_PERCENT: u64 = 150;

/// Decides where the output tables of a merge end. Each part of a merge has its own.
#[derive(Clone, Debug)]
pub struct Cuts {
    /// Bytes at which a table is closed at a border, and anywhere.
    shortest: u64,
    longest: u64,
    /// The smallest keys of the tables under the outputs, descending: the next is the last.
    borders: Vec<Vec<u8>>,
}

impl Cuts {
    /// Tables of `target_bytes`, with nothing under them.
    pub fn by_size(target_bytes: u64) -> Cuts {
        Cuts { shortest: target_bytes, longest: target_bytes, borders: Vec::new() }
    }

    /// The cuts for the outputs of `plan` in the tree that it was made for.
    pub fn of(plan: &Plan, levels: &Levels) -> Cuts {
        let target = plan.target_table_bytes;
        let borders = borders(plan, levels);
        if borders.is_empty() {
            return Cuts::by_size(target);
        }
        let percent = |percent: u64| target.saturating_mul(percent) / 100;
        Cuts { shortest: percent(SHORTEST_PERCENT), longest: percent(LONGEST_PERCENT), borders }
    }

    /// The bytes at which a table is closed before the next key, wherever that lies.
    pub fn longest_bytes(&self) -> u64 {
        self.longest
    }

    /// Whether a table that holds `bytes` is to be closed before `key`, which comes next and is
    /// not the key of the entry before it. Keys ascend from call to call.
    #[inline]
    pub fn ends_before(&mut self, key: &[u8], bytes: u64) -> bool {
        let mut at_border = false;
        while self.borders.last().is_some_and(|border| border.as_slice() <= key) {
            self.borders.pop();
            at_border = true;
        }
        bytes >= self.longest || at_border && bytes >= self.shortest
    }
}

/// The smallest keys of the tables that lie in the next filled level, if that and the output level
/// have one run each, and share keys with the plan's; descending.
fn borders(plan: &Plan, levels: &Levels) -> Vec<Vec<u8>> {
    let here = &levels.level(plan.output_level).runs;
    let one_run = match plan.output {
        OutputRun::New => here.is_empty(),
        OutputRun::Into(_) => here.len() == 1,
    };
    let deeper = levels.levels.iter().skip(plan.output_level + 1);
    let under = deeper.map(|level| &level.runs).find(|runs| !runs.is_empty());
    let (true, Some([run]), Some(hull)) = (one_run, under.map(Vec::as_slice), plan.hull(levels))
    else {
        return Vec::new();
    };
    let tables = run.tables[run.overlapping(&hull)].iter().rev();
    tables.map(|table| table.smallest.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::{Run, TableInfo};
    use crate::plan::{Input, Kind};
    use std::sync::Arc;

    fn run(id: u64, tables: &[(u64, &str, &str)]) -> Run {
        let table = |(id, smallest, largest): &(u64, &str, &str)| {
            Arc::new(TableInfo {
                id: *id,
                bytes: 100,
                entries: 10,
                tombstones: 0,
                smallest: smallest.as_bytes().to_vec(),
                largest: largest.as_bytes().to_vec(),
                min_seqno: 1,
                max_seqno: 2,
                created_at_us: 0,
                tombstones_since_us: u64::MAX,
                ranges_applied: 0,
            })
        };
        Run::new(id, tables.iter().map(table).collect())
    }

    fn cuts(output: OutputRun) -> Cuts {
        let levels = Levels::new()
            .with_run(1, run(20, &[(1, "c", "p")]))
            .with_run(2, run(21, &[(2, "e", "h")]))
            .with_run(4, run(22, &[(3, "a", "b"), (4, "f", "g"), (5, "j", "k"), (6, "q", "r")]));
        let input = |level, run_id, table| Input { level, run_id, table_ids: vec![table] };
        let plan = Plan {
            kind: Kind::Merge,
            inputs: vec![input(1, 20, 1), input(2, 21, 2)],
            output_level: 2,
            output,
            target_table_bytes: 100,
            bottommost: false,
            older: Vec::new(),
            reason: String::new(),
        };
        Cuts::of(&plan, &levels)
    }

    #[test]
    fn a_table_ends_at_the_first_border_that_finds_it_nearly_full() {
        let mut cuts = cuts(OutputRun::Into(21));
        assert!(!cuts.ends_before(b"d", 60), "no border");
        assert!(!cuts.ends_before(b"g", 59), "behind the border f, but too short");
        assert!(!cuts.ends_before(b"h", 149), "the border is passed");
        assert!(cuts.ends_before(b"i", 150), "long enough");
        assert!(cuts.ends_before(b"j", 60), "at the border j");
        assert!(!cuts.ends_before(b"q", 60), "none beyond the plan's keys");
    }

    #[test]
    fn without_one_run_here_and_below_only_the_size_counts() {
        let mut cuts = cuts(OutputRun::New);
        assert!(!cuts.ends_before(b"j", 99));
        assert!(cuts.ends_before(b"k", 100));
        assert_eq!(cuts.longest_bytes(), 100);
    }
}
