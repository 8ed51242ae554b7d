//! Repair: a database that opens again, out of one that does not, and a list of what was lost.
//!
//! ```text
//! manifest intact  tables that are damaged go to `lost/`; what is whole in them is written to new
//!                  tables in their places; missing ones leave the manifest
//! manifest lost    each table says whose it is and which family's; one sorted run a family is
//!                  made of them, by the numbers of their entries; log files are live again
//! then             the logs are read as the options say, and everything is flushed
//! ```
//!
//! 1. Nothing is removed: what is damaged is moved to `lost/`.
//! 2. Nothing is made up: every entry that is read back was written so. What is missing is listed;
//!    where a newest version is lost, an older one may show.
//! 3. A crash on the way leaves a folder that can be repaired.
//! 4. Only what was read is judged: where the medium gives no answer, or this build cannot read a
//!    table that is sealed right (a codec is off, a later version wrote it), the repair ends with
//!    that error, and what the file holds may be read another time or by another build.

mod rebuild;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sstable::{Expect, Table, TableMeta, TableWriter};

use crate::clock::Clock;
use crate::db::Db;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::family_options::FamilyOptions;
use crate::fs::Fs;
use crate::manifest::{AddedTable, Contents, Edit, Manifest, TableRecord};
use crate::names;
use crate::options::Options;
use crate::output;
use crate::recovery;
use crate::wal::{self, RecoveryMode};

/// The folder for what is damaged, within the database's.
const LOST: &str = "lost";

/// What a repair has found and done.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RepairReport {
    /// Whether the manifest was lost and made anew.
    pub manifest_rebuilt: bool,
    /// Tables that were intact.
    pub tables_kept: u64,
    /// Tables of which a part was saved.
    pub tables_salvaged: u64,
    /// What was lost, in the order it was found; empty if nothing was.
    pub lost: Vec<Loss>,
    /// Where the damaged files are now.
    pub quarantined: Vec<PathBuf>,
}

/// Something that a repair could not save.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loss {
    /// The file it was in.
    pub path: PathBuf,
    /// The smallest and the largest key that it may have held, if that is known.
    pub keys: Option<(Vec<u8>, Vec<u8>)>,
    /// What is lost, in words.
    pub what: String,
}

/// Makes the database in `path` openable.
pub(crate) fn repair(path: &Path, options: &Options, env: &Env) -> Result<RepairReport> {
    let fs = &env.fs;
    let names = fs.list(path).map_err(|error| Error::io("open the folder", path, error))?;
    let lock = recovery::lock_folder(path, &**fs)?;
    let mut repair =
        Repair { fs, path, clock: &*env.clock, options, report: RepairReport::default() };
    match Manifest::read(&**fs, path) {
        Ok(contents) => repair.tables(&contents)?,
        Err(error @ (Error::Corruption { .. } | Error::NotADatabase { .. })) => {
            repair.rebuild(&names, &error)?;
        }
        Err(error) => return Err(error),
    }
    let recovery = repair.logs()?;
    let report = repair.report;
    drop(lock);
    let options = Options { recovery, create_if_missing: false, ..options.clone() };
    let db = Db::open_with(path, options, env.clone())?;
    db.flush()?;
    db.close()?;
    Ok(report)
}

struct Repair<'a> {
    fs: &'a Arc<dyn Fs>,
    path: &'a Path,
    clock: &'a dyn Clock,
    options: &'a Options,
    report: RepairReport,
}

impl Repair<'_> {
    /// Moves a file to `lost/`.
    fn quarantine(&mut self, path: &Path) -> Result<()> {
        let folder = self.path.join(LOST);
        self.fs.create_dir_all(&folder).map_err(|error| Error::io("create", &folder, error))?;
        let Some(name) = path.file_name() else { return Ok(()) };
        let mut to = folder.join(name);
        let exists =
            |to: &Path| self.fs.exists(to).map_err(|error| Error::io("look for", to, error));
        let mut copies = 0;
        while exists(&to)? {
            copies += 1;
            to = folder.join(format!("{}.{copies}", name.to_string_lossy()));
        }
        self.fs.rename(path, &to).map_err(|error| Error::io("move", path, error))?;
        self.fs.sync_dir(&folder).map_err(|error| Error::io("sync", &folder, error))?;
        self.fs.sync_dir(self.path).map_err(|error| Error::io("sync", self.path, error))?;
        self.report.quarantined.push(to);
        Ok(())
    }

    fn lost(&mut self, path: &Path, keys: Option<(Vec<u8>, Vec<u8>)>, what: impl Into<String>) {
        self.report.lost.push(Loss { path: path.to_path_buf(), keys, what: what.into() });
    }

    /// Opens a table and reads all of it.
    fn check(&self, path: &Path, expect: Expect) -> Result<TableMeta> {
        let file = self.fs.open_read(path).map_err(|error| Error::io("open", path, error))?;
        let table = Table::open(file, &path.to_string_lossy(), expect, None)?;
        table.verify()?;
        Ok(table.meta().clone())
    }

    // ------------------------------------------------------------------- with the manifest intact

    /// Checks the live tables, and replaces those that are damaged.
    fn tables(&mut self, contents: &Contents) -> Result<()> {
        let mut edit = Edit { reason: "repair".into(), ..Edit::default() };
        let mut next = self.free_number(contents.state.next_file_number)?;
        let mut damaged = Vec::new();
        for (family, level, run, table) in live_tables(contents) {
            let path = names::table_path(self.path, table.number);
            let table_id = output::table_id(contents.database, table.number);
            let expect = Expect { table_id: Some(table_id), file_bytes: Some(table.file_bytes) };
            let Err(error) = self.check(&path, expect) else {
                self.report.tables_kept += 1;
                continue;
            };
            if error.is_unanswered() {
                return Err(error);
            }
            edit.removed.push(table.number);
            let text = contents.state.families.get(&family).map(|state| state.options.as_str());
            let options = FamilyOptions::from_text(text.unwrap_or_default()).unwrap_or_default();
            let found = (table, &*path, family);
            if self.replace(contents.database, found, next, (&options, &error))? {
                let table = self.record(contents.database, next, table)?;
                edit.added.push(AddedTable { family, level, run, table });
                next += 1;
            }
            damaged.push(path);
        }
        if edit.removed.is_empty() {
            return Ok(());
        }
        edit.next_file_number = Some(next);
        let (mut manifest, _) = Manifest::open(Arc::clone(self.fs), self.path)?;
        manifest.append(&edit)?;
        // Only now: until the edit, the manifest names them.
        for path in damaged {
            if self.fs.exists(&path).map_err(|error| Error::io("look for", &path, error))? {
                self.quarantine(&path)?;
            }
        }
        Ok(())
    }

    /// A number that no file has.
    fn free_number(&self, at_least: u64) -> Result<u64> {
        let names = self.fs.list(self.path).map_err(|error| Error::io("list", self.path, error))?;
        let taken = names.iter().filter_map(|name| match names::parse(name) {
            Some(names::FileKind::Log(number) | names::FileKind::Table(number)) => Some(number),
            _ => None,
        });
        Ok(taken.max().map_or(at_least, |most| at_least.max(most.saturating_add(1))))
    }

    /// Writes what is whole of a damaged table to table `number`; false if nothing is.
    fn replace(
        &mut self,
        database: u64,
        (table, path, family): (&TableRecord, &Path, u32),
        number: u64,
        (options, error): (&FamilyOptions, &Error),
    ) -> Result<bool> {
        let keys = Some((table.smallest.clone(), table.largest.clone()));
        let saved = match self.salvage(database, (table, path, family), number, options) {
            Ok(saved) => saved,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => 0,
            // Not even its number can be read.
            Err(error @ Error::Table(_)) if !error.is_unanswered() => 0,
            Err(error) => return Err(error),
        };
        let entries = table.entries;
        self.lost(
            path,
            keys,
            format!("{} of {entries} entries: {error}", entries - saved.min(entries)),
        );
        self.report.tables_salvaged += u64::from(saved > 0);
        Ok(saved > 0)
    }

    /// Copies the entries of intact blocks; returns how many.
    fn salvage(
        &self,
        database: u64,
        (table, path, family): (&TableRecord, &Path, u32),
        number: u64,
        options: &FamilyOptions,
    ) -> Result<u64> {
        let file = self.fs.open_read(path).map_err(|error| Error::io("open", path, error))?;
        let id = output::table_id(database, number);
        let to = names::table_path(self.path, number);
        let filter = (options.filter_kind, options.filter_bits_per_key);
        let name = to.to_string_lossy().into_owned();
        let mut writer =
            TableWriter::new(Vec::new(), &name, id, &options.table_options(0, filter))?
                .with_owner(u64::from(family));
        let mut last: Option<(Vec<u8>, sstable::Trailer)> = None;
        let old_id = Some(output::table_id(database, table.number));
        let found =
            sstable::salvage(file, &path.to_string_lossy(), old_id, |key, trailer, value| {
                let ascends = last.as_ref().is_none_or(|(last, newest)| {
                    sstable::compare(last, *newest, key, trailer).is_lt()
                });
                // Blocks prove where they belong, so this only guards against a writer's bug.
                if ascends && table.smallest.as_slice() <= key && key <= table.largest.as_slice() {
                    writer.add(key, trailer, value)?;
                    last = Some((key.to_vec(), trailer));
                }
                Ok(())
            })?;
        if let Some(unread) = found.lost.into_iter().find(|lost| lost.unread) {
            return Err(Error::io("read", path, io::Error::other(unread.why)));
        }
        let saved = writer.entries();
        if saved > 0 {
            let (_, bytes) = writer.finish()?;
            self.write(&to, &bytes)?;
        }
        Ok(saved)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut file = self.fs.create(path).map_err(|error| Error::io("create", path, error))?;
        file.write_all(bytes).map_err(|error| Error::io("write", path, error))?;
        file.sync().map_err(|error| Error::io("sync", path, error))?;
        self.fs.sync_dir(self.path).map_err(|error| Error::io("sync", self.path, error))
    }

    /// What the manifest says of new table `number`, in the place of `old`.
    fn record(&self, database: u64, number: u64, old: &TableRecord) -> Result<Arc<TableRecord>> {
        let path = names::table_path(self.path, number);
        let table_id = output::table_id(database, number);
        let expect = Expect { table_id: Some(table_id), file_bytes: None };
        let meta = self.check(&path, expect)?;
        // A loaded table's number stands in the manifest only.
        let loaded = meta.max_seqno == 0;
        let (min_seqno, max_seqno) =
            if loaded { (old.min_seqno, old.max_seqno) } else { (meta.min_seqno, meta.max_seqno) };
        Ok(Arc::new(TableRecord {
            number,
            table_id,
            file_bytes: meta.file_bytes,
            entries: meta.entries,
            tombstones: meta.tombstones,
            data_bytes: meta.data_bytes,
            min_seqno,
            max_seqno,
            created_at_us: self.clock.unix_micros(),
            tombstones_since_us: old.tombstones_since_us,
            ranges_applied: old.ranges_applied,
            smallest: meta.smallest,
            largest: meta.largest,
        }))
    }

    // ---------------------------------------------------------------------------------- the logs

    /// Reads the live logs; returns how opening must read them.
    fn logs(&mut self) -> Result<RecoveryMode> {
        let contents = Manifest::read(&**self.fs, self.path)?;
        let logs: Vec<u64> = contents.state.logs.iter().copied().collect();
        let (fs, after) = (&**self.fs, contents.state.flushed_seqno);
        let read = |mode: RecoveryMode| {
            let sink = &mut |_: u64, _: &[u8]| Ok(());
            wal::replay(fs, self.path, &logs, contents.database, after, mode, sink)
        };
        let whole = read(RecoveryMode::TolerateTornTail);
        if let Ok(report) = &whole
            && report.last_seqno >= contents.state.last_seqno
        {
            return Ok(RecoveryMode::TolerateTornTail);
        }
        if let Err(error) = &whole
            && error.is_unanswered()
        {
            return Err(error.clone());
        }
        let mode = match self.options.recovery {
            RecoveryMode::Salvage => RecoveryMode::Salvage,
            _ => RecoveryMode::PointInTime,
        };
        let report = read(mode)?;
        let (path, why) = match (&report.torn, whole) {
            (Some(torn), Err(why)) => (torn.path.clone(), why.to_string()),
            (_, Err(why)) => (self.path.to_path_buf(), why.to_string()),
            (_, Ok(_)) => (self.path.to_path_buf(), "the end of the log is missing".into()),
        };
        let what = match mode {
            RecoveryMode::Salvage => format!("operations that cannot be read: {why}"),
            _ => format!("all operations after number {}: {why}", report.last_seqno),
        };
        self.lost(&path, None, what);
        // The files themselves go with the flush that follows.
        for log in logs {
            let path = names::log_path(self.path, log);
            if self.fs.exists(&path).map_err(|error| Error::io("look for", &path, error))? {
                self.keep_copy(&path)?;
            }
        }
        Ok(mode)
    }

    /// Copies a file to `lost/`.
    fn keep_copy(&mut self, path: &Path) -> Result<()> {
        let folder = self.path.join(LOST);
        self.fs.create_dir_all(&folder).map_err(|error| Error::io("create", &folder, error))?;
        let Some(name) = path.file_name() else { return Ok(()) };
        let to = folder.join(name);
        if !self.fs.exists(&to).map_err(|error| Error::io("look for", &to, error))? {
            crate::checkpoint::copy(&**self.fs, path, &to)?;
            self.fs.sync_dir(&folder).map_err(|error| Error::io("sync", &folder, error))?;
            self.report.quarantined.push(to);
        }
        Ok(())
    }
}

/// The live tables with their families, levels and runs.
fn live_tables(contents: &Contents) -> Vec<(u32, u32, u64, &TableRecord)> {
    let mut tables = Vec::new();
    for (&family, state) in &contents.state.families {
        for (level, runs) in (0..).zip(&state.levels) {
            for run in &runs.runs {
                tables.extend(run.tables.iter().map(|table| (family, level, run.id, &**table)));
            }
        }
    }
    tables
}

/// Repair.
impl Db {
    /// Makes the database in `folder` openable again, as far as its files allow, and says what is
    /// lost. Damaged files are kept in the folder `lost` within it.
    ///
    /// A log that is damaged in the middle ends there (the state of an earlier moment), or, with
    /// [`RecoveryMode::Salvage`] in the options, gives all that can be read of it.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("db");
    /// let options = lsm::Options::default();
    /// lsm::Db::open(&path, options.clone())?.put(b"k", b"v")?;
    /// std::fs::remove_file(path.join("CURRENT")).unwrap();
    /// assert!(lsm::Db::open(&path, options.clone()).is_err());
    ///
    /// let report = lsm::Db::repair(&path, &options)?;
    /// assert!(report.manifest_rebuilt);
    /// let db = lsm::Db::open(&path, options)?;
    /// assert_eq!(db.get(b"k")?.as_deref(), Some(&b"v"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A folder that is in use or holds no file of a database; files that cannot be written, or
    /// that the medium does not give back: the repair ends there and gives up nothing of them. If
    /// that stays so, copy what can be read of the file over it, or move it away, and repair again.
    pub fn repair(folder: impl AsRef<Path>, options: &Options) -> Result<RepairReport> {
        options.validate()?;
        let env = Env::system(options)?;
        Self::repair_with(folder, options, &env)
    }

    /// [`Db::repair`] in a world of the caller's.
    ///
    /// # Errors
    /// As there.
    pub fn repair_with(
        folder: impl AsRef<Path>,
        options: &Options,
        env: &Env,
    ) -> Result<RepairReport> {
        repair(folder.as_ref(), options, env)
    }
}
