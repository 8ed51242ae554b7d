//! One compaction job, as a value: which tables go where, and what it may forget on the way.
//!
//! A plan is right if, for every key, newer versions stay in newer places. With the places of the
//! tree in their order of age, and the output's place among them:
//!
//! 1. No input lies in an older place than the output.
//! 2. No table that stays lies between an input and the output and shares a key with that input:
//!    the newer versions of the input would sink below the older ones of that table.
//! 3. A run's tables share no key: what stays in the output run lies outside the outputs.
//! 4. A tombstone may be forgotten only for keys that no table at or behind the output's place
//!    still covers: `older` lists the ranges where that is not so.
//!
//! [`Plan::check`] tests all of it against a tree; the engine and the simulator both call it.

use std::fmt;
use std::sync::Arc;

use crate::levels::{KeyRange, Levels, Run, TableInfo, Totals};

/// What a job does with its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The tables change their place in the manifest; no byte is read or written.
    Move,
    /// The inputs are merged into new tables.
    Merge,
    /// The inputs are deleted, data and all: what a FIFO policy does with its oldest tables.
    Drop,
    /// The inputs are deleted because a range delete hides all of them, and with them whatever
    /// lies under them in their ranges: nothing can come back to life.
    Excise,
}

/// The run that receives the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputRun {
    /// A new run. It becomes the newest of the output level, or, if some inputs lie in that level,
    /// it stands just before (is newer than) the oldest run that they come from.
    New,
    /// The existing run of this number in the output level.
    Into(u64),
}

/// How much of the run under it a table that a plan makes may lie over: what it will rewrite when
/// it goes down itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// Any: what lies under the outputs is not merged with them.
    Free,
    /// At most so many bytes in one table.
    Table(u64),
    /// In columns of so many bytes, each run of the level cut at the same keys: what lies between
    /// two of them can go down without what lies beside it.
    Columns(u64),
    /// The runs of the level will become a new run: each is cut at the same keys, so that they can
    /// in columns.
    Tiers {
        /// Bytes of a column in the oldest run of the level, where none lies deeper.
        beside: u64,
        /// Bytes of a column in the oldest run of the next level.
        deeper: u64,
    },
}

/// The tables that a plan takes from one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The level of the run.
    pub level: usize,
    /// The number of the run.
    pub run_id: u64,
    /// The numbers of the tables, ascending by key; never empty.
    pub table_ids: Vec<u64>,
}

/// One compaction job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is done.
    pub kind: Kind,
    /// What is taken, newest run first.
    pub inputs: Vec<Input>,
    /// The level that receives the outputs.
    pub output_level: usize,
    /// The run that receives the outputs.
    pub output: OutputRun,
    /// Size in bytes at which an output table is closed. All versions of a key go into one table,
    /// so a table may become larger.
    pub target_table_bytes: u64,
    /// How much of the run under it an output table may lie over.
    pub span: Span,
    /// Whether no older table covers any key of the inputs: every tombstone that no snapshot needs
    /// may go. The same as `older.is_empty()`.
    pub bottommost: bool,
    /// The ranges inside the inputs' hull that older tables still cover, ascending and disjoint.
    /// Outside of them tombstones may be forgotten ([`crate::Retain::with_older`]).
    pub older: Vec<KeyRange>,
    /// Why this job, and why now, for logs and people.
    pub reason: String,
}

/// Why a plan does not fit a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// A plan must take at least one table, and name no run or table twice.
    NoInput,
    /// The run is not where the plan says.
    NoSuchRun {
        /// The level that was searched.
        level: usize,
        /// The run's number.
        run_id: u64,
    },
    /// The table is not in the run.
    NoSuchTable {
        /// The run that was searched.
        run_id: u64,
        /// The table's number.
        table_id: u64,
    },
    /// An input lies in an older place than the output: data would become newer.
    Upward {
        /// The run that lies too deep.
        run_id: u64,
    },
    /// A table that stays lies between an input and the output and shares a key with the input.
    JumpsOver {
        /// The input.
        table_id: u64,
        /// The table that it would pass.
        stays: u64,
    },
    /// A table of the output run that stays lies inside the outputs' hull.
    Overlaps {
        /// The table that stays.
        stays: u64,
    },
    /// A move's tables share keys, so they cannot stand in one run.
    NotDisjoint,
    /// An older table covers keys of the inputs, yet the plan would forget tombstones there.
    Forgets {
        /// The older table.
        older: u64,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::NoInput => write!(f, "no input, or one named twice"),
            PlanError::NoSuchRun { level, run_id } => write!(f, "no run {run_id} in L{level}"),
            PlanError::NoSuchTable { run_id, table_id } => {
                write!(f, "no table {table_id} in run {run_id}")
            }
            PlanError::Upward { run_id } => write!(f, "run {run_id} is older than the output"),
            PlanError::JumpsOver { table_id, stays } => {
                write!(f, "table {table_id} would sink below the older table {stays}")
            }
            PlanError::Overlaps { stays } => {
                write!(f, "table {stays} of the output run lies inside the outputs")
            }
            PlanError::NotDisjoint => write!(f, "moved tables share keys"),
            PlanError::Forgets { older } => {
                write!(f, "tombstones over table {older} would be forgotten")
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// A place in the order of age: level, then rank of the run in its level (0 is the newest).
type Place = (usize, usize);

impl Plan {
    /// Checks that executing this plan on `levels` leaves the tree right (the module's rules 1-4).
    ///
    /// # Errors
    /// The first rule broken, as [`PlanError`].
    pub fn check(&self, levels: &Levels) -> Result<(), PlanError> {
        self.check_shape(levels)?;
        if self.kind != Kind::Merge {
            return Ok(());
        }
        let Some(hull) = self.hull(levels) else { return Err(PlanError::NoInput) };
        for table in self.older_tables(levels, &hull) {
            let covered = |o: &KeyRange| o.contains(&table.smallest) && o.contains(&table.largest);
            if !self.older.iter().any(covered) {
                return Err(PlanError::Forgets { older: table.id });
            }
        }
        Ok(())
    }

    /// Checks rules 1-3: what must still hold when the job is done and its result is installed.
    ///
    /// # Errors
    /// The first rule broken, as [`PlanError`].
    pub fn check_shape(&self, levels: &Levels) -> Result<(), PlanError> {
        let inputs = self.resolve(levels)?;
        if self.kind == Kind::Excise {
            return Ok(());
        }
        if self.kind == Kind::Drop {
            // Whatever lies under a deleted table would come back to life.
            let end = (usize::MAX, 0);
            return check_jumps(levels, &inputs, end);
        }
        // Everything strictly newer than `limit` lies between some input and the output.
        let limit = match self.output {
            OutputRun::New => (self.output_level, self.new_run_place(levels)),
            OutputRun::Into(id) => match levels.level(self.output_level).position(id) {
                Some(place) => (self.output_level, place),
                None => {
                    return Err(PlanError::NoSuchRun { level: self.output_level, run_id: id });
                }
            },
        };
        for input in &inputs {
            let newer = match self.output {
                OutputRun::Into(_) => input.place <= limit,
                OutputRun::New => input.place.0 <= self.output_level,
            };
            if !newer {
                return Err(PlanError::Upward { run_id: input.run.id });
            }
        }
        check_jumps(levels, &inputs, limit)?;
        self.check_output_run(levels)
    }

    /// Rule 3: what stays in the output run lies outside of what comes in.
    fn check_output_run(&self, levels: &Levels) -> Result<(), PlanError> {
        let mut tables = self.input_tables(levels);
        tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        let disjoint = tables.windows(2).all(|pair| pair[0].largest < pair[1].smallest);
        if self.kind == Kind::Move && !disjoint {
            return Err(PlanError::NotDisjoint);
        }
        let OutputRun::Into(id) = self.output else { return Ok(()) };
        let level = levels.level(self.output_level);
        let Some(run) = level.position(id).and_then(|place| level.runs.get(place)) else {
            return Err(PlanError::NoSuchRun { level: self.output_level, run_id: id });
        };
        let stays = |rank: &usize| {
            let id = run.tables[*rank].id;
            !self.inputs.iter().any(|i| i.run_id == run.id && i.table_ids.contains(&id))
        };
        let hulls = match self.kind {
            Kind::Move => tables.iter().map(|t| t.range()).collect(),
            _ => Vec::from_iter(self.hull(levels)),
        };
        for hull in hulls {
            if let Some(rank) = run.overlapping(&hull).find(stays) {
                return Err(PlanError::Overlaps { stays: run.tables[rank].id });
            }
        }
        Ok(())
    }

    /// Finds every input in the tree, newest first.
    fn resolve<'a>(&self, levels: &'a Levels) -> Result<Vec<Found<'a>>, PlanError> {
        let mut found = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let level = levels.level(input.level);
            let Some(rank) = level.position(input.run_id) else {
                return Err(PlanError::NoSuchRun { level: input.level, run_id: input.run_id });
            };
            let run = &level.runs[rank];
            let ranks = ranks_of(run, &input.table_ids)?;
            found.push(Found { place: (input.level, rank), run, ranks });
        }
        found.sort_by_key(|f| f.place);
        let twice = found.windows(2).any(|pair| pair[0].place == pair[1].place);
        if found.is_empty() || twice || found.iter().any(|f| f.ranks.is_empty()) {
            return Err(PlanError::NoInput);
        }
        Ok(found)
    }

    /// Returns the rank at which a new run enters the output level.
    pub(crate) fn new_run_place(&self, levels: &Levels) -> usize {
        let level = levels.level(self.output_level);
        let own = self.inputs.iter().filter(|input| input.level == self.output_level);
        own.filter_map(|input| level.position(input.run_id)).max().unwrap_or(0)
    }

    /// Returns the place that the outputs take, as the tree is now.
    fn output_place(&self, levels: &Levels) -> Place {
        let rank = match self.output {
            OutputRun::New => self.new_run_place(levels),
            OutputRun::Into(id) => levels.level(self.output_level).position(id).unwrap_or(0),
        };
        (self.output_level, rank)
    }

    /// Returns whether the outputs go into that run of that level.
    pub(crate) fn writes_into(&self, level: usize, output: OutputRun) -> bool {
        self.output_level == level && self.output == output
    }

    /// Returns whether an input of this plan lies above the place where `other` writes, goes below
    /// it, and shares a key with what `other` may write, all inside `hull`.
    pub(crate) fn passes(&self, levels: &Levels, other: &Plan, hull: &KeyRange) -> bool {
        let between = other.output_place(levels);
        !matches!(self.kind, Kind::Drop | Kind::Excise)
            && between < self.output_place(levels)
            && self.resolve(levels).is_ok_and(|inputs| {
                let above = inputs.iter().filter(|input| input.place < between);
                let mut tables =
                    above.flat_map(|f| f.ranks.iter().map(|&rank| &f.run.tables[rank]));
                tables.any(|table| table.overlaps(hull))
            })
    }

    /// Returns the tables that the plan takes, newest run first; nothing of a run that lacks one
    /// of them.
    pub fn input_tables(&self, levels: &Levels) -> Vec<Arc<TableInfo>> {
        let mut tables = Vec::new();
        for input in &self.inputs {
            let level = levels.level(input.level);
            let Some(run) = level.position(input.run_id).and_then(|r| level.runs.get(r)) else {
                continue;
            };
            let ranks = ranks_of(run, &input.table_ids).unwrap_or_default();
            tables.extend(ranks.into_iter().map(|rank| Arc::clone(&run.tables[rank])));
        }
        tables
    }

    /// Whether it takes runs out of level 0, for which writers may wait.
    pub fn takes_level0(&self) -> bool {
        self.inputs.iter().any(|input| input.level == 0)
    }

    /// Returns the sums over the tables that the plan takes: what a merge reads.
    pub fn input_totals(&self, levels: &Levels) -> Totals {
        let mut totals = Totals::default();
        for table in self.input_tables(levels) {
            totals.add(&table);
        }
        totals
    }

    /// Returns the bytes that this plan's job may take beyond `max_job_bytes`: a table of each run
    /// that takes part, as none is cut in two.
    pub fn slack_bytes(&self, levels: &Levels) -> u64 {
        let largest = |input: &Input| {
            let level = levels.level(input.level);
            let run = level.position(input.run_id).map(|rank| &level.runs[rank]);
            run.and_then(|run| run.tables.iter().map(|table| table.bytes).max()).unwrap_or(0)
        };
        self.inputs.iter().map(largest).sum()
    }

    /// Returns whether the job takes at most `max_job_bytes` and [`Plan::slack_bytes`]. A move or a
    /// deletion takes nothing.
    pub fn fits(&self, levels: &Levels, max_job_bytes: u64) -> bool {
        let most = || max_job_bytes.saturating_add(self.slack_bytes(levels));
        self.kind != Kind::Merge || self.input_totals(levels).bytes <= most()
    }

    /// Returns the keys from the smallest to the largest of the inputs: outputs stay inside.
    pub fn hull(&self, levels: &Levels) -> Option<KeyRange> {
        let mut hull: Option<KeyRange> = None;
        for table in self.input_tables(levels) {
            match &mut hull {
                Some(hull) => hull.include(&table.range()),
                None => hull = Some(table.range()),
            }
        }
        hull
    }

    /// Returns the `tombstones_since_us` of this plan's outputs: the least of the inputs that hold
    /// tombstones, or `u64::MAX` if none does.
    pub fn tombstones_since_us(&self, levels: &Levels) -> u64 {
        let tables = self.input_tables(levels);
        let with = tables.iter().filter(|t| t.tombstones > 0);
        with.map(|t| t.tombstones_since_us).min().unwrap_or(u64::MAX)
    }

    /// Returns the tables that stay, lie at or behind the output's place and share a key with
    /// `hull`.
    fn older_tables(&self, levels: &Levels, hull: &KeyRange) -> Vec<Arc<TableInfo>> {
        let limit = self.output_place(levels);
        let mut tables = Vec::new();
        for (_, run) in places(levels).filter(|(place, _)| *place >= limit) {
            let taken = self.inputs.iter().find(|input| input.run_id == run.id);
            let stays = |t: &&Arc<TableInfo>| taken.is_none_or(|i| !i.table_ids.contains(&t.id));
            tables.extend(run.tables[run.overlapping(hull)].iter().filter(stays).map(Arc::clone));
        }
        tables
    }

    /// Makes the plan that rewrites one table in its place, to leave out what need not stay.
    ///
    /// Returns `None` if the table is not in that run.
    pub fn rewrite(
        levels: &Levels,
        (level, run_id, table_id): (usize, u64, u64),
        target_table_bytes: u64,
        reason: &str,
    ) -> Option<Plan> {
        let run = &levels.level(level).runs[levels.level(level).position(run_id)?];
        run.tables.iter().find(|table| table.id == table_id)?;
        let mut plan = Plan {
            kind: Kind::Merge,
            inputs: vec![Input { level, run_id, table_ids: vec![table_id] }],
            output_level: level,
            output: OutputRun::Into(run_id),
            target_table_bytes,
            span: Span::Free,
            bottommost: false,
            older: Vec::new(),
            reason: reason.to_owned(),
        };
        plan.note_older(levels);
        Some(plan)
    }

    /// Fills in `older` and `bottommost` from the tree.
    pub(crate) fn note_older(&mut self, levels: &Levels) {
        let Some(hull) = self.hull(levels) else { return };
        let older = self.older_tables(levels, &hull);
        let mut ranges: Vec<KeyRange> = older.iter().map(|table| table.range()).collect();
        ranges.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        self.older = Vec::new();
        for range in ranges {
            match self.older.last_mut() {
                Some(last) if range.smallest <= last.largest => last.include(&range),
                _ => self.older.push(range),
            }
        }
        self.bottommost = self.older.is_empty();
    }

    /// Checks the tables that a merge made.
    pub(crate) fn check_outputs(&self, levels: &Levels, outputs: &[Arc<TableInfo>]) {
        let hull = self.hull(levels).expect("a checked plan has inputs");
        for pair in outputs.windows(2) {
            assert!(pair[0].largest < pair[1].smallest, "outputs must ascend and share no key");
        }
        for table in outputs {
            assert!(
                hull.contains(&table.smallest) && hull.contains(&table.largest),
                "output {} leaves the key range of the inputs",
                table.id
            );
        }
    }

    /// Returns up to `parts - 1` keys, ascending, that cut this merge into pieces of about equal
    /// bytes for workers that run side by side. Piece `i` takes the keys from cut `i - 1`
    /// (included) to cut `i` (excluded); each piece has its own [`crate::Retain`]; the outputs of
    /// all pieces, one after the other, are the outputs of the plan.
    ///
    /// Keys come from the borders of the inputs, so the pieces are only as even as the tables are
    /// small. Empty for a move and for `parts < 2`.
    pub fn split_points(&self, levels: &Levels, parts: usize) -> Vec<Vec<u8>> {
        if self.kind != Kind::Merge || parts < 2 {
            return Vec::new();
        }
        let mut tables = self.input_tables(levels);
        tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        let total: u64 = tables.iter().map(|t| t.bytes).sum();
        let (mut cuts, mut before): (Vec<Vec<u8>>, u64) = (Vec::new(), 0);
        let first = tables.first().map(|t| t.smallest.clone()).unwrap_or_default();
        for table in &tables {
            let due = u128::from(total) * (cuts.len() as u128 + 1) / parts as u128;
            let fresh = cuts.last().unwrap_or(&first) < &table.smallest;
            if fresh && u128::from(before) >= due && cuts.len() + 1 < parts {
                cuts.push(table.smallest.clone());
            }
            before += table.bytes;
        }
        cuts
    }
}

/// An input found in a tree.
struct Found<'a> {
    place: Place,
    run: &'a Arc<Run>,
    /// Ranks of the taken tables, ascending.
    ranks: Vec<usize>,
}

/// Rule 2: tests each table that stays between an input and `limit` against that input.
fn check_jumps(levels: &Levels, inputs: &[Found<'_>], limit: Place) -> Result<(), PlanError> {
    for input in inputs {
        let between = places(levels).filter(|(p, _)| input.place < *p && *p < limit);
        for (place, other) in between {
            let taken = inputs.iter().find(|f| f.place == place);
            let stays = |rank: &usize| taken.is_none_or(|f| f.ranks.binary_search(rank).is_err());
            for table in input.ranks.iter().map(|&rank| &input.run.tables[rank]) {
                if let Some(rank) = other.overlapping(&table.range()).find(stays) {
                    let stays = other.tables[rank].id;
                    return Err(PlanError::JumpsOver { table_id: table.id, stays });
                }
            }
        }
    }
    Ok(())
}

/// Returns the ranks of the tables numbered `ids`, ascending. Fast for neighbours in key order.
fn ranks_of(run: &Run, ids: &[u64]) -> Result<Vec<usize>, PlanError> {
    let mut ranks: Vec<usize> = Vec::with_capacity(ids.len());
    for &id in ids {
        let next = ranks.last().map_or(0, |rank| rank + 1);
        let near = run.tables.get(next).filter(|t| t.id == id).map(|_| next);
        let rank = near.or_else(|| run.tables.iter().position(|t| t.id == id));
        ranks.push(rank.ok_or(PlanError::NoSuchTable { run_id: run.id, table_id: id })?);
    }
    ranks.sort_unstable();
    if ranks.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(PlanError::NoInput);
    }
    Ok(ranks)
}

/// Returns every run with its place, newest first.
pub(crate) fn places(levels: &Levels) -> impl Iterator<Item = (Place, &Arc<Run>)> {
    let ranked = levels.levels.iter().enumerate();
    ranked.flat_map(|(level, l)| l.runs.iter().enumerate().map(move |(r, run)| ((level, r), run)))
}

impl fmt::Display for Plan {
    /// One line: `merge L0#9{9} L1#5{1,2} -> L1 into #5, bottommost`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Move => "move",
            Kind::Merge => "merge",
            Kind::Drop => "drop",
            Kind::Excise => "excise",
        })?;
        for input in &self.inputs {
            let ids: Vec<String> = input.table_ids.iter().map(u64::to_string).collect();
            write!(f, " L{}#{}{{{}}}", input.level, input.run_id, ids.join(","))?;
        }
        if matches!(self.kind, Kind::Drop | Kind::Excise) {
            return Ok(());
        }
        match self.output {
            OutputRun::New => write!(f, " -> L{} new run", self.output_level)?,
            OutputRun::Into(id) => write!(f, " -> L{} into #{id}", self.output_level)?,
        }
        if self.kind == Kind::Merge && self.bottommost {
            f.write_str(", bottommost")?;
        }
        Ok(())
    }
}
