//! The fold of all edits: which files are live, and where each table stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sstable::SeqNo;

use super::edit::{AddedFamily, AddedRangeDelete, AddedTable, Edit, RunOrder, TableRecord};

/// More levels than any policy makes; a bound on what hostile bytes can ask for.
const LEVELS_MAX: usize = 64;

/// A run: tables in ascending order that share no key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunState {
    /// Its id, unique in the database.
    pub id: u64,
    /// Its tables, ascending.
    pub tables: Vec<Arc<TableRecord>>,
}

/// A level: runs, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LevelState {
    /// Its runs, newest first; none is empty.
    pub runs: Vec<RunState>,
}

/// A family: a tree of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FamilyState {
    /// Its name.
    pub name: String,
    /// Its options, in words that the database understands.
    pub options: String,
    /// Its levels, newest first; the last one is not empty.
    pub levels: Vec<LevelState>,
    /// Deleted ranges that hide entries of its tables, by sequence number: start and end.
    pub range_deletes: BTreeMap<SeqNo, (Vec<u8>, Vec<u8>)>,
}

/// What the manifest says is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The living families by id.
    pub families: BTreeMap<u32, FamilyState>,
    /// No family has this id or a higher one.
    pub next_family_id: u64,
    /// Logs that a recovery must read, ascending.
    pub logs: BTreeSet<u64>,
    /// No file has this number or a higher one.
    pub next_file_number: u64,
    /// No run has this id or a higher one.
    pub next_run_id: u64,
    /// All operations up to here are in tables.
    pub flushed_seqno: SeqNo,
    /// All operations up to here were on the medium when the database was last closed.
    pub last_seqno: SeqNo,
    /// Stands for the options that shape files.
    pub options_fingerprint: u64,
}

impl State {
    /// The live tables of all families, newest level first.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableRecord>> {
        self.families.values().flat_map(FamilyState::tables)
    }

    /// The whole state as one edit of nothing.
    pub(crate) fn to_edit(&self) -> Edit {
        let mut edit = Edit {
            added_logs: self.logs.iter().copied().collect(),
            next_file_number: Some(self.next_file_number),
            next_run_id: Some(self.next_run_id),
            flushed_seqno: Some(self.flushed_seqno),
            last_seqno: Some(self.last_seqno),
            options_fingerprint: Some(self.options_fingerprint),
            next_family_id: Some(self.next_family_id),
            reason: "the whole state".into(),
            ..Edit::default()
        };
        for (&family, state) in &self.families {
            let (name, options) = (state.name.clone(), state.options.clone());
            edit.added_families.push(AddedFamily { id: family, name, options });
            state.add_to(family, &mut edit);
        }
        edit
    }

    /// Takes one more step.
    /// # Errors
    /// In words, what the edit contradicts; the state is then half changed and of no use.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), String> {
        advance("next_file_number", &mut self.next_file_number, edit.next_file_number)?;
        advance("next_run_id", &mut self.next_run_id, edit.next_run_id)?;
        advance("next_family_id", &mut self.next_family_id, edit.next_family_id)?;
        advance("flushed_seqno", &mut self.flushed_seqno, edit.flushed_seqno)?;
        self.last_seqno = edit.last_seqno.unwrap_or(self.last_seqno);
        self.options_fingerprint = edit.options_fingerprint.unwrap_or(self.options_fingerprint);
        for log in &edit.dropped_logs {
            if !self.logs.remove(log) {
                return Err(format!("log {log} to be live before it is dropped"));
            }
        }
        for log in &edit.added_logs {
            if !self.logs.insert(*log) || *log >= self.next_file_number {
                return Err(format!("log {log} to be new and numbered"));
            }
        }
        edit.added_families.iter().try_for_each(|family| self.add_family(family))?;
        for changed in &edit.changed_families {
            self.family(changed.id)?.options.clone_from(&changed.options);
        }
        self.place_tables(edit)?;
        for order in &edit.run_order {
            self.family(order.family)?.reorder(order)?;
        }
        for (family, seqno) in &edit.removed_range_deletes {
            let removed = self.family(*family)?.range_deletes.remove(seqno);
            removed.ok_or_else(|| format!("range delete {seqno} to be live"))?;
        }
        for range in &edit.added_range_deletes {
            let ends = (range.start.clone(), range.end.clone());
            let live = self.family(range.family)?.range_deletes.insert(range.seqno, ends);
            if live.is_some() || range.start >= range.end {
                return Err(format!("range delete {} to be new and a range", range.seqno));
            }
        }
        edit.dropped_families.iter().try_for_each(|id| self.drop_family(*id))
    }

    fn family(&mut self, id: u32) -> Result<&mut FamilyState, String> {
        self.families.get_mut(&id).ok_or_else(|| format!("family {id} to be live"))
    }

    fn add_family(&mut self, added: &AddedFamily) -> Result<(), String> {
        let named = self.families.values().any(|family| family.name == added.name);
        if named || u64::from(added.id) >= self.next_family_id {
            return Err(format!("family {} to be new in name and numbered", added.id));
        }
        let (name, options) = (added.name.clone(), added.options.clone());
        let state = FamilyState { name, options, ..FamilyState::default() };
        match self.families.insert(added.id, state) {
            None => Ok(()),
            Some(_) => Err(format!("family {} to be new", added.id)),
        }
    }

    fn drop_family(&mut self, id: u32) -> Result<(), String> {
        match self.families.remove(&id) {
            Some(family) if family.tables().next().is_none() => Ok(()),
            Some(_) => Err(format!("family {id} to have no table when it is dropped")),
            None => Err(format!("family {id} to be live before it is dropped")),
        }
    }

    fn place_tables(&mut self, edit: &Edit) -> Result<(), String> {
        if edit.added.is_empty() && edit.removed.is_empty() && edit.moved.is_empty() {
            return Ok(());
        }
        let mut live: BTreeSet<u64> = self.tables().map(|table| table.number).collect();
        for number in &edit.removed {
            self.take(*number)?;
            live.remove(number);
        }
        let mut touched = Vec::new();
        for moved in &edit.moved {
            let (family, table) = self.take(moved.number)?;
            touched.push(AddedTable { family, level: moved.level, run: moved.run, table });
        }
        for added in &edit.added {
            let number = added.table.number;
            if !live.insert(number) || number >= self.next_file_number {
                return Err(format!("table {number} to be new and numbered"));
            }
            touched.push(added.clone());
        }
        for added in touched {
            self.family(added.family)?.run(added.level, added.run)?.tables.push(added.table);
        }
        self.families.values_mut().try_for_each(FamilyState::check)?;
        let mut runs = BTreeSet::new();
        let levels = self.families.values().flat_map(|family| &family.levels);
        let mut all = levels.flat_map(|level| &level.runs);
        let clash = all.find(|run| run.id >= self.next_run_id || !runs.insert(run.id));
        clash.map_or(Ok(()), |run| Err(format!("run {} to be in one place, and numbered", run.id)))
    }

    /// Takes a table out of its run, and says which family it was in.
    fn take(&mut self, number: u64) -> Result<(u32, Arc<TableRecord>), String> {
        let mut families = self.families.iter_mut();
        families
            .find_map(|(id, family)| Some((*id, family.take(number)?)))
            .ok_or_else(|| format!("table {number} to be live"))
    }
}

impl FamilyState {
    /// The family's tables, newest level first.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableRecord>> {
        self.levels.iter().flat_map(|level| &level.runs).flat_map(|run| &run.tables)
    }

    /// Adds all tables, and the orders of their runs, to an edit of nothing.
    fn add_to(&self, family: u32, edit: &mut Edit) {
        for (&seqno, (start, end)) in &self.range_deletes {
            let (start, end) = (start.clone(), end.clone());
            edit.added_range_deletes.push(AddedRangeDelete { family, seqno, start, end });
        }
        for (level, state) in (0_u32..).zip(&self.levels) {
            let runs: Vec<u64> = state.runs.iter().map(|run| run.id).collect();
            for run in &state.runs {
                let place =
                    |table| AddedTable { family, level, run: run.id, table: Arc::clone(table) };
                edit.added.extend(run.tables.iter().map(place));
            }
            if !runs.is_empty() {
                edit.run_order.push(RunOrder { family, level, runs });
            }
        }
    }

    fn take(&mut self, number: u64) -> Option<Arc<TableRecord>> {
        self.levels.iter_mut().flat_map(|level| &mut level.runs).find_map(|run| {
            let at = run.tables.iter().position(|table| table.number == number)?;
            Some(run.tables.remove(at))
        })
    }

    /// The run of this id, made as the level's newest if it is not there.
    fn run(&mut self, level: u32, id: u64) -> Result<&mut RunState, String> {
        let index = usize::try_from(level).unwrap_or(usize::MAX);
        if index >= LEVELS_MAX {
            return Err(format!("a level under {LEVELS_MAX}, not {level}"));
        }
        if self.levels.len() <= index {
            self.levels.resize_with(index + 1, LevelState::default);
        }
        let runs = self.levels.get_mut(index).map(|level| &mut level.runs);
        let runs = runs.ok_or("a level that was just made")?;
        let at = runs.iter().position(|run| run.id == id).unwrap_or_else(|| {
            runs.insert(0, RunState { id, tables: Vec::new() });
            0
        });
        runs.get_mut(at).ok_or_else(|| "a run that was just made".into())
    }

    /// Forgets empty runs and empty deepest levels, and checks the rest.
    fn check(&mut self) -> Result<(), String> {
        for level in &mut self.levels {
            level.runs.retain(|run| !run.tables.is_empty());
            level.runs.iter_mut().try_for_each(RunState::check)?;
        }
        while self.levels.last().is_some_and(|level| level.runs.is_empty()) {
            self.levels.pop();
        }
        Ok(())
    }

    fn reorder(&mut self, order: &RunOrder) -> Result<(), String> {
        let index = usize::try_from(order.level).unwrap_or(usize::MAX);
        let level = self.levels.get_mut(index).ok_or("a level whose runs are put in order")?;
        let rank = |run: &RunState| order.runs.iter().position(|id| *id == run.id);
        let distinct: BTreeSet<&u64> = order.runs.iter().collect();
        let all = level.runs.iter().all(|run| rank(run).is_some());
        if !all || distinct.len() != order.runs.len() || level.runs.len() != order.runs.len() {
            return Err(format!("an order of exactly the runs of level {}", order.level));
        }
        level.runs.sort_by_key(rank);
        Ok(())
    }
}

impl RunState {
    /// Sorts the tables and checks that they share no key.
    fn check(&mut self) -> Result<(), String> {
        self.tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        if let Some(table) = self.tables.iter().find(|table| table.smallest > table.largest) {
            return Err(format!("table {} to start before it ends", table.number));
        }
        let clash = self.tables.windows(2).find_map(|pair| match pair {
            [a, b] if a.largest >= b.smallest => Some((a.number, b.number)),
            _ => None,
        });
        match clash {
            Some((a, b)) => Err(format!("tables {a} and {b} of one run to share no key")),
            None => Ok(()),
        }
    }
}

/// Moves a counter forward; it never goes back.
fn advance(what: &str, counter: &mut u64, to: Option<u64>) -> Result<(), String> {
    match to {
        Some(to) if to < *counter => Err(format!("{what} to be {counter} or more, not {to}")),
        Some(to) => {
            *counter = to;
            Ok(())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::edit::{ChangedFamily, MovedTable};
    use super::*;

    pub(crate) fn table(number: u64, smallest: &str, largest: &str) -> Arc<TableRecord> {
        let (smallest, largest) = (smallest.into(), largest.into());
        Arc::new(TableRecord { number, smallest, largest, ..TableRecord::default() })
    }

    fn added(level: u32, run: u64, table: &Arc<TableRecord>) -> AddedTable {
        AddedTable { family: 0, level, run, table: Arc::clone(table) }
    }

    fn family(id: u32, name: &str) -> AddedFamily {
        AddedFamily { id, name: name.into(), options: String::new() }
    }

    fn changed(id: u32, options: &str) -> ChangedFamily {
        ChangedFamily { id, options: options.into() }
    }

    fn range_delete(seqno: SeqNo, start: &str, end: &str) -> AddedRangeDelete {
        AddedRangeDelete { family: 0, seqno, start: start.into(), end: end.into() }
    }

    fn numbered() -> State {
        let mut state = State {
            next_file_number: 100,
            next_run_id: 100,
            next_family_id: 100,
            ..State::default()
        };
        let edit = Edit { added_families: vec![family(0, "default")], ..Edit::default() };
        state.apply(&edit).unwrap();
        state
    }

    fn shape(state: &State) -> String {
        let run = |run: &RunState| {
            let tables: Vec<String> = run.tables.iter().map(|t| t.number.to_string()).collect();
            format!("{}:[{}]", run.id, tables.join(" "))
        };
        let level = |level: &LevelState| level.runs.iter().map(run).collect::<Vec<_>>().join(" ");
        state.families[&0].levels.iter().map(level).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn flushes_and_compactions_fold_into_a_shape() {
        let mut state = numbered();
        for n in 1..=3 {
            let edit = Edit { added: vec![added(0, n, &table(n, "a", "z"))], ..Edit::default() };
            state.apply(&edit).unwrap();
        }
        assert_eq!(shape(&state), "3:[3] 2:[2] 1:[1]", "newest first");
        let merged = [added(1, 4, &table(5, "n", "z")), added(1, 4, &table(4, "a", "m"))];
        let edit = Edit { added: merged.to_vec(), removed: vec![1, 2], ..Edit::default() };
        state.apply(&edit).unwrap();
        assert_eq!(shape(&state), "3:[3] | 4:[4 5]", "ascending in a run");
        let edit = Edit {
            moved: vec![MovedTable { number: 3, level: 2, run: 5 }],
            removed: vec![4],
            added: vec![added(1, 4, &table(6, "b", "c"))],
            ..Edit::default()
        };
        state.apply(&edit).unwrap();
        assert_eq!(shape(&state), " | 4:[6 5] | 5:[3]", "a run keeps its place");
        let edit = Edit { removed: vec![3], ..Edit::default() };
        state.apply(&edit).unwrap();
        assert_eq!(shape(&state), " | 4:[6 5]");
    }

    #[test]
    fn a_given_order_of_runs_holds() {
        let mut state = numbered();
        let three: Vec<AddedTable> = (1..=3).map(|n| added(0, n, &table(n, "a", "z"))).collect();
        let order = RunOrder { family: 0, level: 0, runs: vec![2, 3, 1] };
        let edit = Edit { added: three, run_order: vec![order], ..Edit::default() };
        state.apply(&edit).unwrap();
        assert_eq!(shape(&state), "2:[2] 3:[3] 1:[1]");
        for runs in [vec![1, 2], vec![1, 2, 2], vec![1, 2, 3, 3], vec![1, 2, 4]] {
            let edit =
                Edit { run_order: vec![RunOrder { family: 0, level: 0, runs }], ..Edit::default() };
            assert!(state.clone().apply(&edit).is_err());
        }
    }

    #[test]
    fn the_whole_state_is_one_edit() {
        let mut state = numbered();
        let edit = Edit {
            added: vec![
                added(0, 9, &table(9, "a", "z")),
                added(0, 3, &table(3, "a", "z")),
                added(3, 1, &table(1, "a", "b")),
                added(3, 1, &table(2, "c", "d")),
            ],
            run_order: vec![RunOrder { family: 0, level: 0, runs: vec![3, 9] }],
            added_logs: vec![11, 10],
            flushed_seqno: Some(77),
            last_seqno: Some(78),
            options_fingerprint: Some(5),
            added_range_deletes: vec![range_delete(5, "a", "b"), range_delete(6, "a", "b")],
            ..Edit::default()
        };
        state.apply(&edit).unwrap();
        let mut again = State::default();
        again.apply(&state.to_edit()).unwrap();
        assert_eq!(again, state);
    }

    #[test]
    fn a_family_comes_and_goes_with_its_tables() {
        let mut state = numbered();
        let in_one = AddedTable { family: 1, ..added(0, 1, &table(1, "a", "z")) };
        let edit = Edit {
            added_families: vec![family(1, "one")],
            added: vec![in_one, added(0, 2, &table(2, "a", "z"))],
            ..Edit::default()
        };
        state.apply(&edit).unwrap();
        assert_eq!(state.tables().count(), 2);
        let edit = Edit { dropped_families: vec![1], removed: vec![1], ..Edit::default() };
        state.apply(&edit).unwrap();
        assert_eq!(shape(&state), "2:[2]");
        assert!(!state.families.contains_key(&1));
    }

    #[test]
    fn a_family_has_the_options_it_was_given_last() {
        let mut state = numbered();
        let made = Edit { added_families: vec![family(1, "one")], ..Edit::default() };
        state.apply(&made).unwrap();
        for options in ["x=1", "", "x=2"] {
            let edit = Edit { changed_families: vec![changed(1, options)], ..Edit::default() };
            state.apply(&edit).unwrap();
            assert_eq!(state.families[&1].options, options);
            assert_eq!(state.families[&0].options, "", "the other's stay");
        }
        let mut again = State::default();
        again.apply(&state.to_edit()).unwrap();
        assert_eq!(again, state, "a manifest that is rewritten keeps them");
        let dropped = Edit { dropped_families: vec![1], ..Edit::default() };
        state.apply(&dropped).unwrap();
        let late = Edit { changed_families: vec![changed(1, "x=3")], ..Edit::default() };
        assert_eq!(state.apply(&late), Err("family 1 to be live".into()));
    }

    #[test]
    fn contradictions_are_refused() {
        let mut state = numbered();
        let edit = Edit {
            added: vec![added(0, 1, &table(1, "c", "e"))],
            added_logs: vec![2],
            flushed_seqno: Some(5),
            ..Edit::default()
        };
        state.apply(&edit).unwrap();
        let add = |added| Edit { added: vec![added], ..Edit::default() };
        let wrong = [
            add(added(0, 2, &table(1, "x", "y"))),   // live already
            add(added(0, 2, &table(100, "x", "y"))), // beyond the numbers given out
            add(added(0, 100, &table(3, "x", "y"))), // a run beyond the ids given out
            add(added(1, 1, &table(3, "x", "y"))),   // one run in two levels
            add(added(0, 1, &table(3, "e", "y"))),   // shares key e
            add(added(0, 1, &table(3, "a", "c"))),   // shares key c
            add(added(0, 2, &table(3, "b", "a"))),   // upside down
            add(added(64, 2, &table(3, "b", "c"))),  // too deep
            add(AddedTable { family: 7, ..added(0, 2, &table(3, "x", "y")) }),
            Edit { added_families: vec![family(0, "again")], ..Edit::default() },
            Edit { added_families: vec![family(1, "default")], ..Edit::default() },
            Edit { added_families: vec![family(100, "unnumbered")], ..Edit::default() },
            Edit { dropped_families: vec![0], ..Edit::default() }, // it has a table
            Edit { dropped_families: vec![1], ..Edit::default() },
            Edit { changed_families: vec![changed(1, "x=1")], ..Edit::default() },
            Edit { added_range_deletes: vec![range_delete(9, "b", "b")], ..Edit::default() },
            Edit { removed_range_deletes: vec![(0, 9)], ..Edit::default() },
            Edit { removed_range_deletes: vec![(3, 9)], ..Edit::default() },
            Edit { removed: vec![9], ..Edit::default() },
            Edit { removed: vec![1, 1], ..Edit::default() },
            Edit { moved: vec![MovedTable { number: 9, level: 0, run: 1 }], ..Edit::default() },
            Edit { dropped_logs: vec![3], ..Edit::default() },
            Edit { added_logs: vec![2], ..Edit::default() },
            Edit { added_logs: vec![100], ..Edit::default() },
            Edit { flushed_seqno: Some(4), ..Edit::default() },
            Edit { next_file_number: Some(99), ..Edit::default() },
        ];
        for edit in wrong {
            assert!(state.clone().apply(&edit).is_err(), "{edit:?}");
        }
    }
}
