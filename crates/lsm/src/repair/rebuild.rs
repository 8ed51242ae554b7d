//! A new manifest, from the tables and logs alone.
//!
//! 1. Which of two tables is newer is not known without the manifest, but every entry has its
//!    number: tables that overlap are merged into new ones, newest version of a key first.
//! 2. A table of which any byte is damaged is not used: its losses could not be told from the
//!    work of compactions.
//! 3. Logs count from the first operation that no table can hold: older ones may have been
//!    deleted since, and must not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use compaction::{Retain, Verdict};
use sstable::{Cursor as _, Expect, Merge, ReadOptions, SeqNo, Table, TableCursor, TableWriter};

use super::Repair;
use crate::batch::Operations;
use crate::error::{Error, Result};
use crate::family::{DEFAULT_FAMILY, DEFAULT_FAMILY_NAME};
use crate::family_options::FamilyOptions;
use crate::manifest::{FamilyState, LevelState, Manifest, RunState, State, TableRecord};
use crate::names::{self, FileKind};
use crate::output;
use crate::record::{FILE_HEADER_BYTES, FileHeader, Role};
use crate::wal::{self, RecoveryMode};

/// The level that gets everything.
const LEVEL: usize = 1;

/// More families than any database has; a bound on what damaged bytes can ask for.
const FAMILIES_MAX: u32 = 1 << 16;

/// A table that is whole.
struct Whole {
    number: u64,
    table: Arc<Table>,
}

impl Whole {
    fn record(&self, seqno: SeqNo) -> TableRecord {
        let meta = self.table.meta();
        TableRecord {
            number: self.number,
            table_id: meta.table_id,
            file_bytes: meta.file_bytes,
            entries: meta.entries,
            tombstones: meta.tombstones,
            data_bytes: meta.data_bytes,
            min_seqno: if meta.max_seqno == 0 { seqno } else { meta.min_seqno },
            max_seqno: if meta.max_seqno == 0 { seqno } else { meta.max_seqno },
            smallest: meta.smallest.clone(),
            largest: meta.largest.clone(),
            ..TableRecord::default()
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.table.meta(), other.table.meta());
        a.smallest <= b.largest && b.smallest <= a.largest
    }
}

impl Repair<'_> {
    /// Makes a manifest out of what is in the folder.
    pub(super) fn rebuild(&mut self, names: &[String], why: &Error) -> Result<()> {
        let Some(database) = self.database(names)? else {
            return Err(why.clone()); // no file of a database
        };
        let families = self.whole_tables(names, database)?;
        let newest = |tables: &Vec<Whole>| tables.iter().map(|t| t.table.meta().max_seqno).max();
        let flushed = families.values().filter_map(newest).max().unwrap_or(0);
        let loaded_only = flushed == 0 && !families.is_empty();
        let mut next = self.free_number(1)?;
        let mut state = State { flushed_seqno: flushed, last_seqno: flushed, ..State::default() };
        for (family, tables) in families {
            let run = self.one_run(database, family, (tables, flushed), &mut next)?;
            let mut levels = vec![LevelState::default(); LEVEL + 1];
            // None, if all went to `lost/`: a run without tables is no run.
            if !run.is_empty() {
                levels[LEVEL].runs.push(RunState { id: u64::from(family) + 1, tables: run });
            }
            self.add_family(&mut state, family).levels = levels;
        }
        let (logs, first) = self.live_logs(names, (database, flushed), &mut state)?;
        state.logs.extend(logs);
        if let Some(first) = first.filter(|first| *first > flushed + 1) {
            // Logs go only after their flush; deletions among these may have left no trace.
            let what =
                format!("operations {} to {}: in no table and no log", flushed + 1, first - 1);
            self.lost(self.path, None, format!("{what}, deletions that are done or a lost log"));
            state.flushed_seqno = first - 1;
            state.last_seqno = first - 1;
        }
        if loaded_only && first.is_none() {
            // Their entries get the number 1, which somebody must have seen.
            (state.flushed_seqno, state.last_seqno) = (1, 1);
        }
        self.add_family(&mut state, DEFAULT_FAMILY);
        state.next_file_number = next;
        let most = state.families.keys().next_back().copied().unwrap_or(0);
        state.next_family_id = u64::from(most) + 1;
        state.next_run_id = u64::from(most) + 2;
        self.lost(
            self.path,
            None,
            format!(
                "{why}; with it the names and options of families, and range deletes: what only \
             they hid may show again"
            ),
        );
        self.report.manifest_rebuilt = true;
        for name in names {
            if matches!(names::parse(name), Some(FileKind::Manifest(_) | FileKind::Current)) {
                self.quarantine(&self.path.join(name))?;
            }
        }
        Manifest::create_whole(Arc::clone(self.fs), self.path, database, state)?;
        Ok(())
    }

    fn add_family<'s>(&self, state: &'s mut State, family: u32) -> &'s mut FamilyState {
        state.families.entry(family).or_insert_with(|| FamilyState {
            name: match family {
                DEFAULT_FAMILY => DEFAULT_FAMILY_NAME.to_owned(),
                other => format!("family-{other}"),
            },
            options: FamilyOptions::from(self.options).to_text(),
            ..FamilyState::default()
        })
    }

    /// The database's id, as most of its tables and logs have it.
    fn database(&self, names: &[String]) -> Result<Option<u64>> {
        let mut votes: BTreeMap<u64, u64> = BTreeMap::new();
        for name in names {
            let path = self.path.join(name);
            let id = match names::parse(name) {
                Some(FileKind::Table(number)) => {
                    let file = self.fs.open_read(&path);
                    let file = file.map_err(|error| Error::io("open", &path, error))?;
                    let table = Table::open(file, name, Expect::default(), None);
                    // The mixing is its own inverse.
                    table.ok().map(|table| output::table_id(table.meta().table_id, number))
                }
                Some(FileKind::Log(number)) => self.log_database(number)?,
                _ => None,
            };
            if let Some(id) = id {
                *votes.entry(id).or_default() += 1;
            }
        }
        Ok(votes.into_iter().max_by_key(|(_, count)| *count).map(|(id, _)| id))
    }

    fn log_database(&self, number: u64) -> Result<Option<u64>> {
        let path = names::log_path(self.path, number);
        let file = self.fs.open_read(&path).map_err(|error| Error::io("open", &path, error))?;
        let mut bytes = [0; FILE_HEADER_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof
                    && file.len().is_ok_and(|length| length < FILE_HEADER_BYTES as u64) =>
            {
                return Ok(None);
            }
            read => read.map_err(|error| Error::io("read", &path, error))?,
        }
        Ok(FileHeader::decode(&bytes, Role::Log, number).ok().map(|header| header.database))
    }

    /// The tables that are whole, by family; the others go to `lost/`.
    fn whole_tables(
        &mut self,
        names: &[String],
        database: u64,
    ) -> Result<BTreeMap<u32, Vec<Whole>>> {
        let mut families: BTreeMap<u32, Vec<Whole>> = BTreeMap::new();
        for name in names {
            let Some(FileKind::Table(number)) = names::parse(name) else { continue };
            let path = names::table_path(self.path, number);
            let file = self.fs.open_read(&path);
            let file = file.map_err(|error| Error::io("open", &path, error))?;
            let expect =
                Expect { table_id: Some(output::table_id(database, number)), file_bytes: None };
            let opened = Table::open(file, &path.to_string_lossy(), expect, None);
            let checked = opened.and_then(|table| table.verify().map(|_| table));
            match checked {
                Ok(table) if table.meta().entries > 0 => {
                    let owner = u32::try_from(table.meta().owner).unwrap_or(u32::MAX);
                    self.report.tables_kept += 1;
                    let whole = Whole { number, table: Arc::new(table) };
                    families.entry(owner.min(FAMILIES_MAX)).or_default().push(whole);
                }
                Ok(_) => {}
                Err(error) => {
                    let error = Error::from(error);
                    if error.is_unanswered() {
                        return Err(error);
                    }
                    self.lost(&path, None, format!("all of its entries: {error}"));
                    self.quarantine(&path)?;
                }
            }
        }
        Ok(families)
    }

    /// The tables of a family as one run: as they are if none overlaps another, else merged.
    fn one_run(
        &mut self,
        database: u64,
        family: u32,
        (mut tables, seqno): (Vec<Whole>, SeqNo),
        next: &mut u64,
    ) -> Result<Vec<Arc<TableRecord>>> {
        tables.sort_by(|a, b| a.table.meta().smallest.cmp(&b.table.meta().smallest));
        // A loaded table has its number from the manifest; without it, its age is not known.
        let mut unknown = BTreeSet::new();
        for (rank, table) in
            tables.iter().enumerate().filter(|(_, t)| t.table.meta().max_seqno == 0)
        {
            let others = tables.iter().enumerate().filter(|(other, _)| *other != rank);
            if others.map(|(_, other)| other).any(|other| table.overlaps(other)) {
                unknown.insert(table.number);
            }
        }
        for table in tables.extract_if(.., |table| unknown.contains(&table.number)) {
            let path = names::table_path(self.path, table.number);
            let keys = (table.table.meta().smallest.clone(), table.table.meta().largest.clone());
            self.lost(&path, Some(keys), "a loaded table: whether it is newer than others");
            self.quarantine(&path)?;
        }
        let apart = tables.windows(2).all(|pair| !pair[0].overlaps(&pair[1]));
        if apart {
            return Ok(tables.iter().map(|table| Arc::new(table.record(seqno.max(1)))).collect());
        }
        self.merge(database, family, &tables, next)
    }

    fn merge(
        &self,
        database: u64,
        family: u32,
        tables: &[Whole],
        next: &mut u64,
    ) -> Result<Vec<Arc<TableRecord>>> {
        let options = FamilyOptions::from(self.options);
        let write =
            options.table_options(LEVEL, (options.filter_kind, options.filter_bits_per_key));
        let cursors = tables
            .iter()
            .map(|whole| TableCursor::new(Arc::clone(&whole.table), ReadOptions::default()));
        let mut merge = Merge::new(cursors.collect());
        let mut retain = Retain::new(&[], false);
        merge.seek_to_first()?;
        let mut made = Vec::new();
        while merge.valid() {
            let (number, id) = (*next, output::table_id(database, *next));
            let path = names::table_path(self.path, number);
            let writer = TableWriter::new(Vec::new(), &path.to_string_lossy(), id, &write)?;
            let mut writer = writer.with_owner(u64::from(family));
            // A loaded table that overlaps nothing keeps the number 0 for one run more.
            while merge.valid() && writer.estimated_bytes() < options.table_bytes {
                let (key, trailer) = (merge.key(), merge.trailer());
                let Some(verdict) = retain.checked_verdict(key, trailer) else {
                    let expected = format!("ascending entries, at \"{}\"", key.escape_ascii());
                    return Err(Error::corruption(self.path, 0, expected));
                };
                if verdict == Verdict::Keep {
                    writer.add(key, trailer, merge.value())?;
                }
                merge.next()?;
            }
            if writer.entries() == 0 {
                break;
            }
            let (_, bytes) = writer.finish()?;
            self.write(&path, &bytes)?;
            let expect = Expect { table_id: Some(id), file_bytes: None };
            let table = Table::open(Arc::new(bytes), &path.to_string_lossy(), expect, None)?;
            made.push(Arc::new(Whole { number, table: Arc::new(table) }.record(1)));
            *next += 1;
        }
        Ok(made)
    }

    /// The logs that hold operations behind `flushed`, and the first of these; adds the families
    /// that they belong to.
    fn live_logs(
        &self,
        names: &[String],
        (database, flushed): (u64, SeqNo),
        state: &mut State,
    ) -> Result<(Vec<u64>, Option<SeqNo>)> {
        let (mut live, mut begin) = (Vec::new(), None);
        for name in names {
            let Some(FileKind::Log(number)) = names::parse(name) else { continue };
            let mut found = BTreeSet::new();
            let mut look = |first: SeqNo, payload: &[u8]| {
                begin = Some(begin.map_or(first, |begin: SeqNo| begin.min(first)));
                if let Ok(operations) = Operations::new(payload) {
                    let families = operations.map_while(std::result::Result::ok);
                    found.extend(families.map(|operation| operation.family));
                }
                Ok(())
            };
            let (fs, mode) = (&**self.fs, RecoveryMode::Salvage);
            let read = wal::replay(fs, self.path, &[number], database, flushed, mode, &mut look)?;
            if read.records > 0 {
                live.push(number);
                for family in found.into_iter().filter(|family| *family < FAMILIES_MAX) {
                    self.add_family(state, family);
                }
            }
        }
        live.sort_unstable();
        Ok((live, begin))
    }
}
