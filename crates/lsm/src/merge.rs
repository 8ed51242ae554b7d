//! A merge: a plan's tables are read side by side and become new ones.
//!
//! Versions that nobody can see and deletions that hide nothing are left out. A large merge is
//! cut at borders between tables, and idle workers take the parts side by side: all versions of a
//! key are in one part, and the parts' outputs follow each other.

use std::sync::Arc;

use compaction::{Cuts, Input, Plan, Retain, Verdict};
use parking_lot::Mutex;
use sstable::{Cursor as _, Kind, Merge, ReadOptions, SeqNo, Trailer};

use crate::background;
use crate::error::{Error, Result};
use crate::family_options::FamilyOptions;
use crate::filters;
use crate::inner::Inner;
use crate::ledger::Grant;
use crate::output::{Inherited, Outputs};
use crate::pace::Turn;
use crate::planted::{self, Bug};
use crate::source::{RunCursor, Source};
use crate::state::FamilyTables;
use crate::version::{TableFile, Version, retire_all};

/// Entries between two looks at what is more urgent; another comes with each new table.
const ENTRIES_PER_LOOK: u64 = 1024;

/// A part is worth a thread from this many output tables on: the last table of a part is cut
/// short, and short tables make later merges dearer.
const TABLES_PER_PART: u64 = 8;

/// What all parts of a merge share.
struct Job<'a> {
    inner: &'a Arc<Inner>,
    family: &'a FamilyTables,
    plan: &'a Plan,
    snapshots: Vec<SeqNo>,
    filter: (bloom::Kind, f64),
    read_ahead_bytes: usize,
}

/// The keys of a part: from the first, if there is one, up to but without the second.
type Part = (Option<Vec<u8>>, Option<Vec<u8>>);

type Tables = Vec<Arc<TableFile>>;

/// Parts that a merge of so many bytes is worth.
pub(crate) fn parts_wanted(options: &FamilyOptions, bytes: u64) -> usize {
    let parts = bytes / options.table_bytes.saturating_mul(TABLES_PER_PART).max(1);
    usize::try_from(parts).unwrap_or(usize::MAX).max(1)
}

/// Runs a merge and returns its tables in ascending order, on the medium and open.
pub(crate) fn run(
    inner: &Arc<Inner>,
    family: &FamilyTables,
    plan: &Plan,
    grant: &Grant,
) -> Result<Tables> {
    let (options, shape) = (&family.core.options, &family.version.shape);
    let totals = plan.input_totals(shape);
    let filter = filters::for_level(options, shape, plan.output_level, totals.entries);
    let (snapshots, read_ahead_bytes) = (inner.snapshots.list(), grant.read_ahead_bytes);
    let job = Job { inner, family, plan, snapshots, filter, read_ahead_bytes };
    let wanted = parts_wanted(options, totals.bytes).min(grant.parts);
    let helpers = background::helpers(inner, wanted - 1);
    let parts = parts(plan.split_points(shape, helpers.count + 1));
    grant.use_parts(parts.len());
    inner.counters.cut(parts.len());
    let results: Vec<Mutex<Option<Result<Tables>>>> =
        parts.iter().map(|_| Mutex::default()).collect();
    let job = &job;
    let work = parts.iter().zip(&results).map(|(part, result)| {
        Box::new(move || *result.lock() = Some(job.run(part))) as Box<dyn FnOnce() + Send + '_>
    });
    inner.env.scheduler.run_together(work.collect());
    gather(results.into_iter().map(|result| result.into_inner().expect("every part was run")))
}

/// The parts between cuts.
fn parts(cuts: Vec<Vec<u8>>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::with_capacity(cuts.len() + 1);
    let mut from = None;
    for cut in cuts {
        parts.push((from.replace(cut.clone()), Some(cut)));
    }
    parts.push((from, None));
    parts
}

/// The tables of all parts, or the first error and no tables.
fn gather(results: impl Iterator<Item = Result<Tables>>) -> Result<Tables> {
    let (mut tables, mut failure) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(part) => tables.extend(part),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(()), Err).inspect_err(|_| retire_all(&tables))?;
    Ok(tables)
}

impl Job<'_> {
    /// Merges one part.
    fn run(&self, (from, to): &Part) -> Result<Tables> {
        let Self { inner, family, plan, snapshots, filter, read_ahead_bytes } = self;
        let version = &family.version;
        let read = ReadOptions { fill_cache: false, read_ahead_bytes: *read_ahead_bytes };
        let sources = plan.inputs.iter().map(|input| input_cursor(version, input, read)).collect();
        let mut merged = Merge::new(sources);
        let ranges = Some(&*version.range_deletes).filter(|ranges| !ranges.is_empty());
        let mut retain = Retain::with_older(snapshots, plan.older.clone());
        let inherited = Inherited {
            family: family.core.id,
            tombstones_since_us: plan.tombstones_since_us(&version.shape),
            ranges_applied: version.range_deletes.applied_up_to(snapshots),
        };
        let place = (&family.core.options, plan.output_level, *filter);
        let cuts = Cuts::of(plan, &version.shape);
        let turn = Turn { inner, family: &family.core.name, plan };
        let mut outputs = Outputs::new(inner, place, (inherited, cuts)).in_turn(turn);
        let (mut entries, mut tables, mut seqno) = (0u64, 0, inner.visible.get());
        self.look(&mut seqno)?;
        match from {
            None => merged.seek_to_first()?,
            Some(key) => merged.seek(key, Trailer::from_raw(u64::MAX))?,
        }
        while merged.valid() {
            entries += 1;
            if entries.is_multiple_of(ENTRIES_PER_LOOK) || outputs.tables() > tables {
                tables = outputs.tables();
                self.look(&mut seqno)?;
            }
            let (key, trailer) = (merged.key(), merged.trailer());
            if to.as_ref().is_some_and(|to| key >= to.as_slice()) {
                break;
            }
            let hidden = ranges.is_some_and(|ranges| ranges.hides(key, trailer.seqno(), snapshots));
            let dropped =
                planted::has(Bug::ResurrectedTombstone) && trailer.kind() == Some(Kind::Delete);
            let Some(verdict) = retain.checked_verdict(key, trailer) else {
                return Err(self.out_of_order(merged.child(), key));
            };
            if !hidden && verdict == Verdict::Keep && !dropped {
                outputs.add(key, trailer, merged.value())?;
            }
            merged.next()?;
        }
        self.within_inputs(outputs.finish()?)
    }

    /// Lets more urgent work go first, makes room for writers if they have written since `seqno`,
    /// and ends if the database is closing.
    fn look(&self, seqno: &mut SeqNo) -> Result<()> {
        let Self { inner, family, plan, .. } = self;
        background::give_way(inner, &family.core.name, plan);
        if std::mem::replace(seqno, inner.visible.get()) != *seqno {
            background::make_room(inner, &family.core.name, plan);
        }
        if inner.work.closing() { Err(Error::Closed) } else { Ok(()) }
    }

    /// The tables, if they stay within the inputs' ranges, as those of sound inputs do.
    fn within_inputs(&self, tables: Tables) -> Result<Tables> {
        let version = &self.family.version;
        let inputs: Tables =
            self.plan.inputs.iter().flat_map(|input| input_tables(version, input)).collect();
        let smallest = inputs.iter().map(|file| file.smallest()).min();
        let largest = inputs.iter().map(|file| file.largest()).max();
        let leaves = |file: &Arc<TableFile>| {
            Some(file.smallest()) < smallest || Some(file.largest()) > largest
        };
        if !tables.iter().any(leaves) {
            return Ok(tables);
        }
        retire_all(&tables);
        let path = inputs.first().map_or(&self.inner.path, |file| file.path());
        let expected =
            "the entries of this table, and of those merged with it, within their ranges";
        Err(Error::corruption(path, 0, expected))
    }

    /// The error of an input whose entries do not ascend, though its blocks are what was written.
    fn out_of_order(&self, input: Option<usize>, key: &[u8]) -> Error {
        let input = input.and_then(|rank| self.plan.inputs.get(rank));
        let tables = || input.into_iter().flat_map(|i| input_tables(&self.family.version, i));
        let file = tables().find(|file| file.largest() >= key).or_else(|| tables().last());
        let path = file.as_ref().map_or(&self.inner.path, |file| file.path());
        let expected = format!("entries in ascending order, at \"{}\"", key.escape_ascii());
        Error::corruption(path, 0, expected)
    }
}

/// The tables that a plan takes from one run.
fn input_tables<'v>(
    version: &'v Version,
    input: &'v Input,
) -> impl Iterator<Item = Arc<TableFile>> + 'v {
    let level = version.shape.level(input.level);
    let rank = level.position(input.run_id).expect("a checked plan's runs are there");
    let tables = version.levels[input.level][rank].tables.iter();
    tables.filter(|file| input.table_ids.contains(&file.info().id)).cloned()
}

/// The same, as a cursor.
fn input_cursor(version: &Version, input: &Input, read: ReadOptions) -> Source {
    let tables: Arc<[_]> = input_tables(version, input).collect();
    let all = 0..tables.len();
    Source::Run(RunCursor::new((tables, all), read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::fs::{Fs, MemFs};
    use crate::manifest::{AddedTable, Edit, Manifest, RunState, TableRecord};
    use crate::scheduler::InlineScheduler;
    use crate::{Db, Env, Options};

    fn opened(fs: &MemFs) -> Db {
        let env = Env {
            fs: Arc::new(fs.clone()),
            clock: Arc::new(ManualClock::new()),
            scheduler: Arc::new(InlineScheduler::new(1)),
        };
        Db::open_with("/db", Options::default(), env).expect("open")
    }

    /// Lets the manifest say that all tables end with `largest`.
    fn end_all_at(fs: &MemFs, largest: &[u8]) {
        let fs: Arc<dyn Fs> = Arc::new(fs.clone());
        let (mut manifest, state) = Manifest::open(fs, "/db".as_ref()).expect("the manifest");
        let mut edit = Edit::default();
        for (&family, state) in &state.families {
            for (level, runs) in (0..).zip(&state.levels) {
                let tables = |run: &RunState| {
                    let id = run.id;
                    run.tables.clone().into_iter().map(move |t| (id, t))
                };
                for (run, table) in runs.runs.iter().flat_map(tables) {
                    edit.removed.push(table.number);
                    let largest = largest.to_vec();
                    let table = Arc::new(TableRecord { largest, ..(*table).clone() });
                    edit.added.push(AddedTable { family, level, run, table });
                }
            }
        }
        assert!(!edit.added.is_empty());
        manifest.append(&edit).expect("an edit");
    }

    /// Found by fuzzing: a manifest in which the ranges of tables are narrower than the tables.
    #[test]
    fn entries_outside_the_ranges_of_the_manifest_are_an_error_with_a_file() {
        let fs = MemFs::new();
        let tables = || {
            let is_table = |path: &std::path::PathBuf| path.extension() == Some("sst".as_ref());
            fs.files().into_iter().filter(is_table).collect::<Vec<_>>()
        };
        let db = opened(&fs);
        for key in ["a", "m", "z"] {
            db.put(key, b"old").expect("put");
        }
        db.flush().expect("flush");
        db.close().expect("close");
        let before = tables();
        end_all_at(&fs, b"m");

        let db = opened(&fs);
        db.put("m", b"new").expect("put");
        let error = db.compact().expect_err("its output leaves the ranges of its inputs");
        let Error::Corruption { path, expected, .. } = &error else { panic!("{error}") };
        assert!(tables().contains(path), "{error}");
        assert!(expected.contains("within their ranges"), "{error}");
        assert_eq!(tables().len(), before.len() + 1, "the output is gone, the inputs are not");
        assert!(before.iter().all(|path| tables().contains(path)));
        assert_eq!(db.get("m").expect("get").as_deref(), Some(&b"new"[..]));
        assert_eq!(db.get("a").expect("get").as_deref(), Some(&b"old"[..]));
    }

    #[test]
    fn parts_leave_no_gap() {
        assert_eq!(parts(Vec::new()), [(None, None)]);
        let (a, b) = (b"a".to_vec(), b"b".to_vec());
        let cut = parts(vec![a.clone(), b.clone()]);
        assert_eq!(cut, [(None, Some(a.clone())), (Some(a), Some(b.clone())), (Some(b), None)]);
    }
}
