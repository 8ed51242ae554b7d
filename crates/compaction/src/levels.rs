//! The tree as a value: tables in runs, runs in levels, levels from the newest to the largest.
//!
//! 1. L0 is the newest level; a deeper level holds older data.
//! 2. The runs of a level are listed newest first; so the whole tree has one order of age:
//!    level by level, run by run.
//! 3. The tables of a run ascend and share no user key. All versions of a key that a run holds
//!    are in one table.
//! 4. For one key, a version in a newer place is newer than every version in an older place.
//! 5. Runs are immutable and shared: a copy of the tree costs one pointer a run.
//!
//! ```text
//! L0   run 9 [a....................m]          newest
//!      run 8 [b................k]
//! L1   run 5 [a..c] [d....f] [g..........z]
//! L2   run 2 [a] [b..c] [d] [e..g] [h..p] [q..z]    oldest
//! ```

use std::ops::Range;
use std::sync::Arc;

use crate::plan::{Kind, OutputRun, Plan};

/// A closed interval of user keys: both ends belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// The smallest key of the interval.
    pub smallest: Vec<u8>,
    /// The largest key of the interval.
    pub largest: Vec<u8>,
}

impl KeyRange {
    /// Makes the interval from `smallest` to `largest`, both included.
    ///
    /// # Panics
    /// If `smallest > largest`.
    pub fn new(smallest: impl Into<Vec<u8>>, largest: impl Into<Vec<u8>>) -> KeyRange {
        let (smallest, largest) = (smallest.into(), largest.into());
        assert!(smallest <= largest, "a key range runs from its smallest to its largest key");
        KeyRange { smallest, largest }
    }

    /// Returns whether `key` lies in the interval.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.smallest.as_slice() <= key && key <= self.largest.as_slice()
    }

    /// Returns whether the two intervals share a key.
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        self.smallest <= other.largest && other.smallest <= self.largest
    }

    /// Widens the interval just enough to hold `other` too.
    pub fn include(&mut self, other: &KeyRange) {
        if other.smallest < self.smallest {
            self.smallest.clone_from(&other.smallest);
        }
        if other.largest > self.largest {
            self.largest.clone_from(&other.largest);
        }
    }
}

/// What a policy knows of one table. Build it with `..TableInfo::default()`: fields may be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// The table's number: unique in the database, and larger for tables made later.
    pub id: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Count of entries: every version and every tombstone counts.
    pub entries: u64,
    /// How many of the entries are point tombstones. Range deletes do not count: a merge may have
    /// to keep them, and a table that only they keep busy would be rewritten for ever.
    pub tombstones: u64,
    /// The smallest user key that it covers.
    pub smallest: Vec<u8>,
    /// The largest user key that it covers (a range delete reaches to its end).
    pub largest: Vec<u8>,
    /// The smallest sequence number in it.
    pub min_seqno: u64,
    /// The largest sequence number in it.
    pub max_seqno: u64,
    /// When the table was written, in microseconds since 1970.
    pub created_at_us: u64,
    /// When the oldest tombstone in it may have been written, in microseconds since 1970. A merge
    /// hands the least value of its inputs on ([`Plan::tombstones_since_us`]); where nothing better
    /// is known, the time of creation.
    pub tombstones_since_us: u64,
    /// Range deletes up to this sequence number hide nothing in the table (any more).
    pub ranges_applied: u64,
}

impl Default for TableInfo {
    /// An empty description: number 0, no bytes, the range of the empty key.
    fn default() -> TableInfo {
        TableInfo {
            id: 0,
            bytes: 0,
            entries: 0,
            tombstones: 0,
            smallest: Vec::new(),
            largest: Vec::new(),
            min_seqno: 0,
            max_seqno: 0,
            created_at_us: 0,
            tombstones_since_us: 0,
            ranges_applied: 0,
        }
    }
}

impl TableInfo {
    /// Returns the user keys that the table covers.
    pub fn range(&self) -> KeyRange {
        KeyRange { smallest: self.smallest.clone(), largest: self.largest.clone() }
    }

    /// Returns whether the table covers a key of `range`.
    pub fn overlaps(&self, range: &KeyRange) -> bool {
        self.smallest <= range.largest && range.smallest <= self.largest
    }
}

/// A sorted run: tables that ascend and share no user key. Immutable; totals are counted once.
#[derive(Clone, Debug)]
pub struct Run {
    /// The run's number: unique in the tree; it says nothing about age.
    pub id: u64,
    /// The tables, ascending.
    pub tables: Vec<Arc<TableInfo>>,
    totals: Totals,
}

/// Sums over the tables of a run, a level or a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Count of tables.
    pub tables: u64,
    /// Sum of file sizes, in bytes.
    pub bytes: u64,
    /// Count of entries.
    pub entries: u64,
    /// Count of tombstones.
    pub tombstones: u64,
}

impl Totals {
    /// Adds one table to the sums.
    pub fn add(&mut self, table: &TableInfo) {
        self.tables += 1;
        self.bytes += table.bytes;
        self.entries += table.entries;
        self.tombstones += table.tombstones;
    }

    fn remove(&mut self, table: &TableInfo) {
        self.tables -= 1;
        self.bytes -= table.bytes;
        self.entries -= table.entries;
        self.tombstones -= table.tombstones;
    }
}

impl Run {
    /// Makes a run.
    ///
    /// # Panics
    /// If there is no table, or the tables do not ascend or share a key.
    pub fn new(id: u64, tables: Vec<Arc<TableInfo>>) -> Run {
        assert!(!tables.is_empty(), "a run has at least one table");
        for pair in tables.windows(2) {
            assert!(
                pair[0].largest < pair[1].smallest,
                "tables {} and {} of run {id} do not ascend or share a key",
                pair[0].id,
                pair[1].id
            );
        }
        let mut totals = Totals::default();
        for table in &tables {
            totals.add(table);
        }
        Run { id, tables, totals }
    }

    /// Returns the sums over its tables.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the size of its tables in bytes.
    pub fn bytes(&self) -> u64 {
        self.totals.bytes
    }

    /// Returns the keys from its first table to its last.
    pub fn range(&self) -> KeyRange {
        let (first, last) = (&self.tables[0], &self.tables[self.tables.len() - 1]);
        KeyRange { smallest: first.smallest.clone(), largest: last.largest.clone() }
    }

    /// Returns the ranks of the tables that share a key with `range`: always a contiguous piece.
    pub fn overlapping(&self, range: &KeyRange) -> Range<usize> {
        let start = self.tables.partition_point(|t| t.largest < range.smallest);
        let rest = &self.tables[start..];
        start..start + rest.partition_point(|t| t.smallest <= range.largest)
    }

    /// Returns the bytes of the tables that share a key with `range`.
    pub(crate) fn bytes_in(&self, range: &KeyRange) -> u64 {
        self.tables[self.overlapping(range)].iter().map(|table| table.bytes).sum()
    }

    /// Takes the tables numbered `ids` out; the run may be empty then.
    fn take(&mut self, ids: &[u64]) {
        let first = self.tables.iter().position(|t| t.id == ids[0]).expect("checked by the plan");
        let piece = first..(first + ids.len()).min(self.tables.len());
        let neighbours = self.tables[piece.clone()].iter().map(|t| t.id).eq(ids.iter().copied());
        let taken: Vec<Arc<TableInfo>> = if neighbours {
            self.tables.drain(piece).collect()
        } else {
            self.tables.extract_if(.., |t| ids.contains(&t.id)).collect()
        };
        for table in &taken {
            self.totals.remove(table);
        }
    }

    /// Puts ascending tables in as one block.
    fn put(&mut self, block: Vec<Arc<TableInfo>>) {
        let at = self.tables.partition_point(|t| t.smallest < block[0].smallest);
        let before = at.checked_sub(1).map(|rank| &self.tables[rank]);
        let apart = before.is_none_or(|t| t.largest < block[0].smallest)
            && self.tables.get(at).is_none_or(|t| block[block.len() - 1].largest < t.smallest);
        assert!(apart, "new tables of run {} share keys with its others", self.id);
        for table in &block {
            self.totals.add(table);
        }
        self.tables.splice(at..at, block);
    }

    /// Returns the smallest sequence number in the run.
    pub fn min_seqno(&self) -> u64 {
        self.tables.iter().map(|t| t.min_seqno).min().unwrap_or(0)
    }

    /// Returns the largest sequence number in the run.
    pub fn max_seqno(&self) -> u64 {
        self.tables.iter().map(|t| t.max_seqno).max().unwrap_or(0)
    }
}

/// The runs of one level, newest first.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// The runs, newest first.
    pub runs: Vec<Arc<Run>>,
}

impl Level {
    /// Returns the sums over all its runs.
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for run in &self.runs {
            sum.tables += run.totals.tables;
            sum.bytes += run.totals.bytes;
            sum.entries += run.totals.entries;
            sum.tombstones += run.totals.tombstones;
        }
        sum
    }

    /// Returns the size of all its tables in bytes.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.totals.bytes).sum()
    }

    /// Returns the rank of the run numbered `id`, newest first.
    pub fn position(&self, id: u64) -> Option<usize> {
        self.runs.iter().position(|run| run.id == id)
    }
}

/// The whole tree below the memtables: L0 first. An immutable value in use; cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    /// The levels, L0 first. Levels without runs may stand anywhere.
    pub levels: Vec<Level>,
}

impl Levels {
    /// Makes a tree without tables.
    pub fn new() -> Levels {
        Levels::default()
    }

    /// Returns the level at `rank`; a level beyond the deepest is empty.
    pub fn level(&self, rank: usize) -> &Level {
        static EMPTY: Level = Level { runs: Vec::new() };
        self.levels.get(rank).unwrap_or(&EMPTY)
    }

    /// Returns the rank of the deepest level that holds a table.
    pub fn deepest(&self) -> Option<usize> {
        self.levels.iter().rposition(|level| !level.runs.is_empty())
    }

    /// Returns the newest run below `level`: what tables of `level` will be merged with.
    pub(crate) fn under(&self, level: usize) -> Option<&Run> {
        let deeper = self.levels.iter().skip(level + 1);
        deeper.flat_map(|level| &level.runs).next().map(AsRef::as_ref)
    }

    /// Returns the size of all tables in bytes.
    pub fn bytes(&self) -> u64 {
        self.levels.iter().map(Level::bytes).sum()
    }

    /// Returns the count of all runs: an upper bound of the places where a get must look.
    pub fn run_count(&self) -> usize {
        self.levels.iter().map(|level| level.runs.len()).sum()
    }

    /// Returns every run with its level, newest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = (usize, &Arc<Run>)> {
        let ranked = self.levels.iter().enumerate();
        ranked.flat_map(|(rank, level)| level.runs.iter().map(move |run| (rank, run)))
    }

    /// Returns every table with its level, newest run first.
    pub fn tables(&self) -> impl Iterator<Item = (usize, &Arc<TableInfo>)> {
        self.runs().flat_map(|(rank, run)| run.tables.iter().map(move |table| (rank, table)))
    }

    /// Returns the tree with `run` added as the newest of `level`: what a flush does to L0.
    ///
    /// # Panics
    /// If a run or table of that number is already there.
    #[must_use]
    pub fn with_run(&self, level: usize, run: Run) -> Levels {
        let mut next = self.clone();
        next.push_run(level, run);
        next
    }

    /// Adds `run` as the newest of `level`, in place. For owners of a private tree, as the
    /// simulator is; an engine swaps whole values and uses [`Levels::with_run`].
    ///
    /// # Panics
    /// If a run of that number is already there.
    pub fn push_run(&mut self, level: usize, run: Run) {
        assert!(self.runs().all(|(_, old)| old.id != run.id), "run {} is already there", run.id);
        self.reserve(level);
        self.levels[level].runs.insert(0, Arc::new(run));
    }

    fn reserve(&mut self, level: usize) {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Level::default);
        }
    }

    /// Returns the tree after `plan`: its inputs are gone and its outputs are in place.
    ///
    /// `outputs` are the new tables, ascending; none for a [`Kind::Move`], whose inputs themselves
    /// take the new place. `new_run_id` numbers the run of [`OutputRun::New`] and is unused
    /// otherwise. The tree may have changed since the plan was made, as far as [`crate::Busy`]
    /// allowed it.
    ///
    /// # Panics
    /// If the plan no longer fits the tree ([`Plan::check`]), or the outputs are not sorted, leave
    /// the key range of the inputs, or reuse a number: each a bug of the caller, found before harm.
    #[must_use]
    pub fn apply(&self, plan: &Plan, outputs: Vec<Arc<TableInfo>>, new_run_id: u64) -> Levels {
        let mut next = self.clone();
        next.apply_in_place(plan, outputs, new_run_id);
        next
    }

    /// [`Levels::apply`] in place, for owners of a private tree.
    ///
    /// # Panics
    /// As [`Levels::apply`].
    pub fn apply_in_place(&mut self, plan: &Plan, outputs: Vec<Arc<TableInfo>>, new_run_id: u64) {
        if let Err(error) = plan.check_shape(self) {
            panic!("plan does not fit the tree: {error} (plan: {plan})");
        }
        let outputs = match plan.kind {
            Kind::Move => {
                assert!(outputs.is_empty(), "a move makes no tables");
                let mut moved = plan.input_tables(self);
                moved.sort_by(|a, b| a.smallest.cmp(&b.smallest));
                moved
            }
            Kind::Merge => {
                plan.check_outputs(self, &outputs);
                outputs
            }
            Kind::Drop | Kind::Excise => {
                assert!(outputs.is_empty(), "dropping makes no tables");
                outputs
            }
        };
        self.reserve(plan.output_level);
        if outputs.is_empty() {
            self.remove_inputs(plan);
        } else {
            self.insert_outputs(plan, outputs, new_run_id);
        }
    }

    fn insert_outputs(&mut self, plan: &Plan, outputs: Vec<Arc<TableInfo>>, new_run_id: u64) {
        let rank = plan.output_level;
        match plan.output {
            OutputRun::New => {
                let place = plan.new_run_place(self);
                assert!(
                    self.runs().all(|(_, old)| old.id != new_run_id),
                    "run {new_run_id} is already there"
                );
                let run = Arc::new(Run::new(new_run_id, outputs));
                self.levels[rank].runs.insert(place, run);
                self.remove_inputs(plan);
            }
            OutputRun::Into(id) => {
                let place = self.levels[rank].position(id).expect("checked by check_shape");
                let run = Arc::make_mut(&mut self.levels[rank].runs[place]);
                if let Some(input) = plan.inputs.iter().find(|input| input.run_id == id) {
                    run.take(&input.table_ids);
                }
                match plan.kind {
                    Kind::Merge => run.put(outputs), // one block: nothing else lies in the hull
                    _ => outputs.into_iter().for_each(|table| run.put(vec![table])),
                }
                self.remove_inputs(plan);
            }
        }
    }

    /// Takes the plan's inputs out of their runs, as far as they are still there, and drops the
    /// runs that are empty then.
    fn remove_inputs(&mut self, plan: &Plan) {
        for input in &plan.inputs {
            let runs = &mut self.levels[input.level].runs;
            let Some(place) = runs.iter().position(|run| run.id == input.run_id) else { continue };
            let is_target = plan.writes_into(input.level, OutputRun::Into(input.run_id));
            if !is_target || runs[place].tables.iter().any(|t| t.id == input.table_ids[0]) {
                Arc::make_mut(&mut runs[place]).take(&input.table_ids);
            }
            if runs[place].tables.is_empty() {
                runs.remove(place);
            }
        }
    }

    /// Checks what every tree must satisfy: no table or run twice. Order inside runs is checked
    /// when they are made.
    ///
    /// # Panics
    /// If a number occurs twice.
    pub fn validate(&self) {
        let mut runs: Vec<u64> = self.runs().map(|(_, run)| run.id).collect();
        let mut tables: Vec<u64> = self.tables().map(|(_, table)| table.id).collect();
        for ids in [&mut runs, &mut tables] {
            ids.sort_unstable();
            assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "a number occurs twice");
        }
    }
}
