//! Where a merge closes one output table and begins the next.
//!
//! A table of a sorted level whose ends lie at the borders of the tables under it rewrites whole
//! tables when it goes down in its turn; one that ends anywhere rewrites two of them for a part of
//! their keys (RocksDB does this since 7.8, 2022). So where outputs will be merged with a run that
//! lies under them, a table that is nearly full is closed at the next border, and one that meets
//! none grows to [`LONGEST_PERCENT`]; and none lies over more than its plan's [`Span`].
//!
//! Runs that will go down together are cut at the same borders, every so many bytes of the run
//! under them: then they go down in columns with even edges.

use crate::levels::{Levels, TableInfo};
use crate::plan::{Plan, Span};

use std::sync::Arc;

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
    /// Bytes of the tables under it that one table may lie over.
    span: u64,
    /// The tables under the outputs, descending: the next is the last.
    borders: Vec<Border>,
    /// Bytes of the tables that the open table lies over; `None` before the first key.
    over: Option<u64>,
}

/// A table under the outputs.
#[derive(Clone, Debug)]
struct Border {
    smallest: Vec<u8>,
    bytes: u64,
    /// Whether a column begins here.
    column: bool,
}

/// The borders that lie between two keys.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    /// Bytes of the tables that begin there, and of the last of them.
    bytes: u64,
    last: u64,
    column: bool,
}

impl Cuts {
    /// Tables of `target_bytes`, with nothing under them.
    pub fn by_size(target_bytes: u64) -> Cuts {
        Cuts {
            shortest: target_bytes,
            longest: target_bytes,
            span: u64::MAX,
            borders: Vec::new(),
            over: None,
        }
    }

    /// The cuts for the outputs of `plan` in the tree that it was made for.
    pub fn of(plan: &Plan, levels: &Levels) -> Cuts {
        let target = plan.target_table_bytes;
        let by_size = Cuts::by_size(target);
        let Some(hull) = plan.hull(levels) else { return by_size };
        match plan.span {
            Span::Free => by_size,
            Span::Table(most) => levels.under(plan.output_level).map_or(by_size, |run| {
                Cuts::over(target, most, &run.tables[run.overlapping(&hull)])
            }),
            Span::Columns(bytes) => levels.under(plan.output_level).map_or(by_size, |run| {
                Cuts::columns(target, bytes, &run.tables, run.overlapping(&hull))
            }),
            Span::Tiers { beside, deeper } => {
                let mut below = levels.levels.iter().skip(plan.output_level + 1);
                let deep = below.find_map(|level| level.runs.last());
                let own = levels.level(plan.output_level).runs.last();
                let model = deep.map(|run| (deeper, run)).or_else(|| Some((beside, own?)));
                model.map_or(by_size, |(bytes, run)| {
                    Cuts::columns(target, bytes, &run.tables, run.overlapping(&hull))
                })
            }
        }
    }

    /// Tables of about `target_bytes` over those of a run, none over more than `most` bytes.
    fn over(target_bytes: u64, most: u64, under: &[Arc<TableInfo>]) -> Cuts {
        if under.is_empty() {
            return Cuts::by_size(target_bytes);
        }
        let border = |table: &Arc<TableInfo>| Border {
            smallest: table.smallest.clone(),
            bytes: table.bytes,
            column: false,
        };
        let percent = |percent: u64| target_bytes.saturating_mul(percent) / 100;
        Cuts {
            shortest: percent(SHORTEST_PERCENT),
            longest: percent(LONGEST_PERCENT),
            span: most,
            borders: under.iter().rev().map(border).collect(),
            over: None,
        }
    }

    /// Tables of `target_bytes`, and an end wherever `column_bytes` more of a run, whose tables
    /// `inside` lie under the outputs, have gone by. Counted from the run's first table: so all
    /// who ask get the same keys.
    pub(crate) fn columns(
        target_bytes: u64,
        column_bytes: u64,
        tables: &[Arc<TableInfo>],
        inside: std::ops::Range<usize>,
    ) -> Cuts {
        let rank = |bytes: u64| bytes / column_bytes.max(1);
        let mut before: u64 = tables[..inside.start].iter().map(|table| table.bytes).sum();
        let mut last = rank(before);
        let mut borders = Vec::new();
        for table in &tables[inside] {
            if rank(before) > last {
                let smallest = table.smallest.clone();
                borders.push(Border { smallest, bytes: 0, column: true });
            }
            last = rank(before);
            before += table.bytes;
        }
        borders.reverse();
        Cuts { borders, ..Cuts::by_size(target_bytes) }
    }

    /// The bytes at which a table is closed before the next key, wherever that lies.
    pub fn longest_bytes(&self) -> u64 {
        self.longest
    }

    /// Whether a table that holds `bytes` is to be closed before `key`, which comes next and is
    /// not the key of the entry before it. Keys ascend from call to call.
    #[inline]
    pub fn ends_before(&mut self, key: &[u8], bytes: u64) -> bool {
        let is_passed = |border: &Border| border.smallest.as_slice() <= key;
        match self.over {
            Some(over) if self.borders.last().is_some_and(is_passed) => {
                self.ends_at_border(key, bytes, over)
            }
            Some(_) => bytes >= self.longest,
            None => {
                // The first key of all lies in the last table that begins before it.
                self.over = Some(self.pass(key).last);
                bytes >= self.longest
            }
        }
    }

    /// [`Cuts::ends_before`] where a table under the outputs begins at or before `key`.
    #[cold]
    fn ends_at_border(&mut self, key: &[u8], bytes: u64, over: u64) -> bool {
        let passed = self.pass(key);
        let over = over.saturating_add(passed.bytes);
        let ends = bytes >= self.shortest || passed.column || over > self.span;
        self.over = Some(if ends { passed.last } else { over });
        ends
    }

    /// Takes away the borders up to `key`.
    fn pass(&mut self, key: &[u8]) -> Passed {
        let mut passed = Passed::default();
        while let Some(border) = self.borders.pop_if(|border| border.smallest.as_slice() <= key) {
            passed.bytes = passed.bytes.saturating_add(border.bytes);
            passed.last = border.bytes;
            passed.column |= border.column;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::Run;
    use crate::plan::{Input, Kind, OutputRun};

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

    fn cuts(span: Span) -> Cuts {
        let levels = Levels::new()
            .with_run(1, run(20, &[(1, "c", "p")]))
            .with_run(2, run(21, &[(2, "e", "h")]))
            .with_run(4, run(22, &[(3, "a", "b"), (4, "f", "g"), (5, "j", "k"), (6, "q", "r")]));
        let input = |level, run_id, table| Input { level, run_id, table_ids: vec![table] };
        let plan = Plan {
            kind: Kind::Merge,
            inputs: vec![input(1, 20, 1), input(2, 21, 2)],
            output_level: 2,
            output: OutputRun::Into(21),
            target_table_bytes: 100,
            span,
            bottommost: false,
            older: Vec::new(),
            reason: String::new(),
        };
        Cuts::of(&plan, &levels)
    }

    #[test]
    fn a_table_ends_at_the_first_border_that_finds_it_nearly_full() {
        let mut cuts = cuts(Span::Table(1000));
        assert!(!cuts.ends_before(b"d", 60), "no border");
        assert!(!cuts.ends_before(b"g", 59), "behind the border f, but too short");
        assert!(!cuts.ends_before(b"h", 149), "the border is passed");
        assert!(cuts.ends_before(b"i", 150), "long enough");
        assert!(cuts.ends_before(b"j", 60), "at the border j");
        assert!(!cuts.ends_before(b"q", 60), "none beyond the plan's keys");
    }

    #[test]
    fn a_table_lies_over_no_more_than_its_span() {
        let mut cuts = cuts(Span::Table(200));
        assert!(!cuts.ends_before(b"f", 0), "the first key, over f-g");
        assert!(!cuts.ends_before(b"j", 10), "over j-k too: as much as may be");
        assert!(cuts.ends_before(b"m", 150), "long");
        let mut cuts = cuts_of_bytes(150);
        assert!(!cuts.ends_before(b"f", 0));
        assert!(cuts.ends_before(b"j", 10), "two tables are too much");
    }

    fn cuts_of_bytes(span: u64) -> Cuts {
        cuts(Span::Table(span))
    }

    /// The run under it has four tables of 100 bytes: columns begin at the third (j) alone.
    #[test]
    fn every_run_is_cut_at_the_same_columns() {
        for first in [b"e", b"g"] {
            let mut cuts = cuts(Span::Columns(200));
            assert!(!cuts.ends_before(first, 0));
            assert!(!cuts.ends_before(b"h", 99), "inside a column");
            assert!(cuts.ends_before(b"l", 1), "the first key of the next");
            assert!(!cuts.ends_before(b"o", 99));
            assert!(cuts.ends_before(b"p", 100), "and by size");
        }
    }

    #[test]
    fn what_will_not_be_merged_with_the_outputs_does_not_count() {
        let mut cuts = cuts(Span::Free);
        assert!(!cuts.ends_before(b"j", 99));
        assert!(cuts.ends_before(b"k", 100));
        assert_eq!(cuts.longest_bytes(), 100);
    }
}
