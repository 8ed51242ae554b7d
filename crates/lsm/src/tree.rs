//! [`Tree`]: the manifest and the counters that go with it, and how a change of the tree's shape
//! becomes an edit.
//!
//! Whoever changes what is live holds the tree's lock from reading the version to installing the
//! next, so the manifest's order of edits is the order of versions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use compaction::{Levels, TableInfo};
use sstable::{SeqNo, TableMeta};

use crate::error::{Error, Result};
use crate::manifest::{
    AddedRangeDelete, AddedTable, Edit, FamilyState, LevelState, Manifest, MovedTable, RunOrder,
    TableRecord,
};
use crate::range_delete::{RangeDelete, RangeDeletes};

/// The manifest in use and the next free numbers.
#[derive(Debug)]
pub(crate) struct Tree {
    manifest: Manifest,
    next_file: u64,
    next_run: u64,
    next_family: u64,
    closed: bool,
}

impl Tree {
    pub(crate) fn new(manifest: Manifest) -> Self {
        let state = manifest.state();
        let (next_file, next_run) = (state.next_file_number.max(1), state.next_run_id.max(1));
        let next_family = state.next_family_id;
        Self { manifest, next_file, next_run, next_family, closed: false }
    }

    /// An id for a new family, used by no other, not even before.
    pub(crate) fn new_family_id(&mut self) -> Result<u32> {
        let id = u32::try_from(self.next_family);
        let id = id.or(Err(Error::InvalidOptions("2^32 families were made before".into())))?;
        self.next_family += 1;
        Ok(id)
    }

    /// A number for a new table or log, used by no other.
    pub(crate) fn new_file_number(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file - 1
    }

    /// Gives out no number up to `number`: a file that a crash has left has it.
    pub(crate) fn skip_file_number(&mut self, number: u64) {
        self.next_file = self.next_file.max(number.saturating_add(1));
    }

    /// A number for a new run.
    pub(crate) fn new_run_id(&mut self) -> u64 {
        self.next_run += 1;
        self.next_run - 1
    }

    /// Takes no more edits: the folder is about to be given up, and whoever opens it next goes by
    /// what the manifest says now.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Writes an edit to the medium.
    pub(crate) fn append(&mut self, mut edit: Edit) -> Result<()> {
        if self.closed {
            return Err(Error::Closed);
        }
        edit.next_file_number = Some(self.next_file);
        edit.next_run_id = Some(self.next_run);
        edit.next_family_id = Some(self.next_family);
        self.manifest.append(&edit)
    }

    /// The live logs whose numbers are at most `number`, ascending.
    pub(crate) fn logs_up_to(&self, number: u64) -> Vec<u64> {
        self.manifest.state().logs.range(..=number).copied().collect()
    }

    /// What the manifest says of a living family's options; nothing for another.
    pub(crate) fn family_options(&self, id: u32) -> &str {
        self.manifest.state().families.get(&id).map_or("", |family| &family.options)
    }

    /// The manifest's state and history.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// The edit that leads from `old` to `new`; `metas` describes the tables that are new.
pub(crate) fn difference(
    family: u32,
    old: &Levels,
    new: &Levels,
    metas: &HashMap<u64, &TableMeta>,
) -> Edit {
    let places = |levels: &Levels| -> HashMap<u64, (u32, u64)> {
        levels
            .runs()
            .flat_map(|(level, run)| {
                let place = (u32::try_from(level).expect("few levels"), run.id);
                run.tables.iter().map(move |table| (table.id, place))
            })
            .collect()
    };
    let (before, after) = (places(old), places(new));
    let mut removed: Vec<u64> =
        before.keys().filter(|id| !after.contains_key(id)).copied().collect();
    removed.sort_unstable();
    let mut edit = Edit { removed, ..Edit::default() };
    let mut touched = HashSet::new();
    for (_, table) in new.tables() {
        let (level, run) = after[&table.id];
        match before.get(&table.id) {
            Some(place) if *place == (level, run) => continue,
            Some(_) => edit.moved.push(MovedTable { number: table.id, level, run }),
            None => {
                let record = Arc::new(record(table, metas.get(&table.id).copied()));
                edit.added.push(AddedTable { family, level, run, table: record });
            }
        }
        touched.insert(level);
    }
    let mut touched: Vec<u32> = touched.into_iter().collect();
    touched.sort_unstable();
    for level in touched {
        let runs: Vec<u64> = new.level(level as usize).runs.iter().map(|run| run.id).collect();
        if runs.len() > 1 {
            edit.run_order.push(RunOrder { family, level, runs });
        }
    }
    edit
}

/// Adds to `edit` what leads from the range deletes `old` to `new`.
pub(crate) fn add_range_difference(
    edit: &mut Edit,
    family: u32,
    old: &RangeDeletes,
    new: &RangeDeletes,
) {
    let seqnos = |ranges: &RangeDeletes| -> HashSet<SeqNo> {
        ranges.iter().map(|range| range.seqno).collect()
    };
    let (before, after) = (seqnos(old), seqnos(new));
    let gone = old.iter().filter(|range| !after.contains(&range.seqno));
    edit.removed_range_deletes.extend(gone.map(|range| (family, range.seqno)));
    let fresh = new.iter().filter(|range| !before.contains(&range.seqno));
    edit.added_range_deletes.extend(fresh.map(|range| AddedRangeDelete {
        family,
        seqno: range.seqno,
        start: range.start.clone(),
        end: range.end.clone(),
    }));
}

/// The range deletes that a manifest lists for a family.
pub(crate) fn range_deletes(family: &FamilyState) -> Arc<RangeDeletes> {
    let all = family.range_deletes.iter().map(|(&seqno, (start, end))| {
        Arc::new(RangeDelete { seqno, start: start.clone(), end: end.clone() })
    });
    Arc::new(RangeDeletes::new(all.collect()))
}

fn record(info: &TableInfo, meta: Option<&TableMeta>) -> TableRecord {
    TableRecord {
        number: info.id,
        table_id: meta.map_or(0, |meta| meta.table_id),
        file_bytes: info.bytes,
        entries: info.entries,
        tombstones: info.tombstones,
        data_bytes: meta.map_or(0, |meta| meta.data_bytes),
        min_seqno: info.min_seqno,
        max_seqno: info.max_seqno,
        created_at_us: info.created_at_us,
        tombstones_since_us: info.tombstones_since_us,
        ranges_applied: info.ranges_applied,
        smallest: info.smallest.clone(),
        largest: info.largest.clone(),
    }
}

/// The tree that a manifest describes.
pub(crate) fn levels(states: &[LevelState]) -> Levels {
    let mut levels = Levels::new();
    for (rank, level) in states.iter().enumerate() {
        for run in level.runs.iter().rev() {
            let tables = run.tables.iter().map(|record| Arc::new(info(record))).collect();
            levels.push_run(rank, compaction::Run::new(run.id, tables));
        }
    }
    levels
}

fn info(record: &TableRecord) -> TableInfo {
    TableInfo {
        id: record.number,
        bytes: record.file_bytes,
        entries: record.entries,
        tombstones: record.tombstones,
        smallest: record.smallest.clone(),
        largest: record.largest.clone(),
        min_seqno: record.min_seqno,
        max_seqno: record.max_seqno,
        created_at_us: record.created_at_us,
        tombstones_since_us: record.tombstones_since_us,
        ranges_applied: record.ranges_applied,
    }
}
