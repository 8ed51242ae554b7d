//! The manifest: the only list of live files, as a history of edits.
//!
//! ```text
//! MANIFEST-000003 := file header: 64 bytes | record *
//! record          := an edit (tag: its number; the first one of a file is the whole state)
//!                  | a vouch (watermark: all before this record is on the medium)
//! CURRENT         := "MANIFEST-000003\n" "bytes 160\n" "crc32c 89abcdef\n"
//! ```
//!
//! The framing is that of `record.rs`; `CURRENT` names the manifest in use, says how many of its
//! bytes were there from the start, and has the CRC32C of the text before its last line.
//!
//! 1. An edit that was appended is on the medium. What it makes obsolete may be removed after
//!    that, and not before.
//! 2. An edit for which there was no space is cut off again, and that is synced: it never was, and
//!    the next one may fit. So is what was written of a new file, before `CURRENT` names it. After
//!    any other failure, a failed sync above all, the manifest takes no more edits: what the file
//!    holds is in doubt.
//! 3. The vouch after each edit lets a reader tell a damaged last edit from one that was cut.
//! 4. A folder without `CURRENT` is a database only if its creation was cut short; anything else
//!    is damage, never an empty database.
//!
//! ```
//! # fn main() -> lsm::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path();
//! use lsm::manifest::Manifest;
//! let db = lsm::Db::open(path, lsm::Options::default())?;
//! db.put("key", "value")?;
//! db.flush()?;
//! let mut steps = Vec::new();
//! let contents = Manifest::read_edits(&lsm::fs::StdFs::new(), path, &mut |number, edit| {
//!     steps.push((number, edit.reason.clone(), edit.added.len()));
//! })?;
//! assert_eq!(contents.state.tables().count(), 1);
//! let flush = steps.last().unwrap();
//! assert!(flush.1.contains("flush") && flush.2 == 1, "why, and the table it made: {flush:?}");
//! let current = std::fs::read_to_string(path.join("CURRENT")).unwrap();
//! assert!(current.starts_with(&format!("MANIFEST-{:06}", contents.number)));
//! # Ok(())
//! # }
//! ```

mod current;
mod edit;
mod reading;
mod state;

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::current::current_path;
use self::current::{current_text, read_current};
pub use self::edit::{
    AddedFamily, AddedRangeDelete, AddedTable, ChangedFamily, Edit, MovedTable, RunOrder,
    TableRecord,
};
use self::reading::{read, read_each};
pub use self::state::{FamilyState, LevelState, RunState, State};
use crate::error::{Error, Result};
use crate::fs::{Fs, WriteFile};
use crate::planted::{self, Bug};
use crate::record::{
    self, FILE_HEADER_BYTES, FileHeader, Header, RecordKind, Role, Seed, payload_crc,
};

/// A manifest is rewritten when it is this long, in bytes, and [`ROLL_FACTOR`] times its state.
const ROLL_BYTES: u64 = 1 << 20;

/// See [`ROLL_BYTES`].
const ROLL_FACTOR: u64 = 8;

/// Space taken ahead of the edits, in bytes: what gives space back, such as dropping a family, is
/// an edit too, and must fit when nothing else does.
const RESERVE_BYTES: u64 = 32 << 10;

/// The path of manifest `number`.
pub fn manifest_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("MANIFEST-{number:06}"))
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// No trace of a database.
    Absent,
    /// A creation that was cut short before anything could be stored: create again.
    Unfinished,
    /// A database.
    Present,
}

/// Everything a manifest says, for opening and for tools that only look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The database's id, which all its files carry.
    pub database: u64,
    /// The manifest's number.
    pub number: u64,
    /// The number of the last edit.
    pub edit: u64,
    /// Where the next record would start, in bytes.
    pub end: u64,
    /// The state after all edits.
    pub state: State,
}

/// The manifest in use, open for appending.
pub struct Manifest {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    file: Box<dyn WriteFile>,
    seed: Seed,
    database: u64,
    number: u64,
    edit: u64,
    end: u64,
    synced: u64,
    state: State,
    failed: Option<Arc<str>>,
    /// Up to here the medium has given space.
    reserved: u64,
    /// [`ROLL_BYTES`], other in tests.
    roll_bytes: u64,
    /// Not rewritten before it is this long: there was no space for it.
    roll_from: u64,
}

impl Manifest {
    /// Looks whether there is a database in `dir`.
    /// # Errors
    /// [`Error::Corruption`] if there are files of a database but no pointer to its manifest;
    /// [`Error::Io`].
    pub fn presence(fs: &dyn Fs, dir: &Path) -> Result<Presence> {
        let failed = |error| Error::io("look into", dir, error);
        if fs.exists(&current_path(dir)).map_err(failed)? {
            return Ok(Presence::Present);
        }
        let names = match fs.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Absent),
            names => names.map_err(failed)?,
        };
        let ends_in = |name: &String, end| Path::new(name).extension().is_some_and(|e| e == end);
        let stored = names.iter().any(|name| ends_in(name, "log") || ends_in(name, "sst"));
        let manifests: Vec<&String> =
            names.iter().filter(|name| name.starts_with("MANIFEST-")).collect();
        let first = manifest_path(dir, 1);
        let first_only = manifests.iter().all(|name| dir.join(name) == first);
        let unfinished = first_only && !stored;
        match (manifests.is_empty(), unfinished) {
            (true, true) => Ok(Presence::Absent),
            (false, true) if Self::is_bare(fs, &first)? => Ok(Presence::Unfinished),
            _ => Err(Error::corruption(&current_path(dir), 0, "the name of the manifest in use")),
        }
    }

    /// Whether the first manifest holds at most its first edit, and that without any file.
    fn is_bare(fs: &dyn Fs, path: &Path) -> Result<bool> {
        let file = fs.open_read(path).map_err(|error| Error::io("open", path, error))?;
        match read(path, &*file, 1) {
            Ok(contents) => {
                let state = &contents.state;
                Ok(contents.edit <= 1 && state.logs.is_empty() && state.tables().next().is_none())
            }
            // It was never whole, or `CURRENT` would name it.
            Err(Error::Corruption { offset, .. }) => Ok(offset <= FILE_HEADER_BYTES as u64),
            Err(error) => Err(error),
        }
    }

    /// Makes the first manifest of a new database, with `first` as its first edit. Also finishes
    /// a creation that was cut short.
    /// # Errors
    /// [`Error::Io`].
    /// # Panics
    /// If `first` contradicts an empty state.
    pub fn create(fs: Arc<dyn Fs>, dir: &Path, database: u64, first: &Edit) -> Result<Self> {
        let mut state = State::default();
        if let Err(expected) = state.apply(first) {
            panic!("a first edit must fit an empty state: expected {expected}");
        }
        Ok(Self::start(fs, dir, (database, 1, 1), state, first)?)
    }

    /// Makes the first manifest of a database that has all of `state` from the start; when this
    /// returns, the folder is a database.
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn create_whole(
        fs: Arc<dyn Fs>,
        dir: &Path,
        database: u64,
        state: State,
    ) -> Result<Self> {
        let first = state.to_edit();
        Ok(Self::start(fs, dir, (database, 1, 1), state, &first)?)
    }

    /// Opens the manifest in use, and goes on in a new file that starts with the whole state. The
    /// old one may hold edits that only the page cache knows (the process was killed, or a sync
    /// failed, after which no later sync can be trusted); nothing may be built on those.
    /// # Errors
    /// [`Error::NotADatabase`] if there is none; [`Error::Corruption`]; [`Error::Unsupported`];
    /// [`Error::Io`].
    pub fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<(Self, State)> {
        let old = Self::read(&*fs, dir)?;
        let place = (old.database, old.number + 1, old.edit + 1);
        let manifest = Self::start(fs, dir, place, old.state.clone(), &old.state.to_edit())?;
        manifest.remove_old(&manifest_path(dir, old.number));
        Ok((manifest, old.state))
    }

    /// Reads the manifest in use and changes nothing.
    /// # Errors
    /// As [`Manifest::open`].
    pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Contents> {
        Self::read_edits(fs, dir, &mut |_, _| {})
    }

    /// As [`Manifest::read`]; `visit` is shown every edit with its number, in order, before it is
    /// applied.
    /// # Errors
    /// As [`Manifest::open`]; the edits before the damage were shown then.
    pub fn read_edits(
        fs: &dyn Fs,
        dir: &Path,
        visit: &mut dyn FnMut(u64, &Edit),
    ) -> Result<Contents> {
        let (number, bytes) = read_current(fs, dir)?;
        let path = manifest_path(dir, number);
        let file = match fs.open_read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::corruption(&path, 0, "the manifest that CURRENT names"));
            }
            file => file.map_err(|error| Error::io("open", &path, error))?,
        };
        let contents = read_each(&path, &*file, number, visit)?;
        if contents.end < bytes {
            let expected = format!("whole records up to byte {bytes}, as CURRENT says");
            return Err(Error::corruption(&path, contents.end, expected));
        }
        Ok(contents)
    }

    /// Takes the next step: when this returns, the edit is on the medium.
    /// # Errors
    /// [`Error::Io`] if the edit could not be written; [`Error::WritesStopped`] after an earlier
    /// failure. If there was no space the edit never was, and the next one may come
    /// ([`Manifest::takes_edits`]); after another failure it may or may not be found at the next
    /// opening.
    /// # Panics
    /// If the edit contradicts the state: a bug of the caller.
    pub fn append(&mut self, edit: &Edit) -> Result<()> {
        if let Some(why) = &self.failed {
            return Err(Error::WritesStopped { why: Arc::clone(why) });
        }
        let mut next = self.state.clone();
        if let Err(expected) = next.apply(edit) {
            panic!("an edit must fit the state: expected {expected}; {edit:?}");
        }
        if let Err(error) = self.write_record(RecordKind::Data, &edit.encode()) {
            return Err(self.take_back(error));
        }
        if let Err(error) = self.sync_edit() {
            return Err(self.fail(error));
        }
        self.state = next;
        // This edit is safe; if more fails now, the next one is refused.
        if let Err(error) = self.write_vouch() {
            self.take_back(error);
        }
        if self.takes_edits() {
            self.roll_if_long();
        }
        if self.takes_edits() {
            self.reserve();
        }
        Ok(())
    }

    /// Whether another edit may be appended: nothing has failed, except for want of space.
    pub fn takes_edits(&self) -> bool {
        self.failed.is_none()
    }

    /// The state after the last edit.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The database's id, which all its files carry.
    pub fn database(&self) -> u64 {
        self.database
    }

    /// The number of the manifest in use; others in the folder are left over.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Length of the manifest in bytes.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    fn path(&self) -> PathBuf {
        manifest_path(&self.dir, self.number)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed.get_or_insert_with(|| error.to_string().into());
        error
    }

    /// Cuts off what was written of a record for which there was no space.
    fn take_back(&mut self, error: Error) -> Error {
        if !error.is_out_of_space() {
            return self.fail(error);
        }
        self.reserved = 0; // cutting gives back what lay behind, too
        match self.file.truncate(self.end).and_then(|()| self.file.sync()) {
            Ok(()) => error,
            Err(second) => self.fail(Error::io("take an edit back from", &self.path(), second)),
        }
    }

    /// Takes space for the edits to come, if the medium has some.
    fn reserve(&mut self) {
        if self.end + RESERVE_BYTES / 2 <= self.reserved {
            return;
        }
        match self.file.reserve(RESERVE_BYTES) {
            Ok(()) => self.reserved = self.end + RESERVE_BYTES,
            Err(error) => tracing::debug!(%error, "no space is kept for the manifest"),
        }
    }

    /// Puts the edit just written on the medium.
    fn sync_edit(&mut self) -> Result<()> {
        if !planted::has(Bug::UnsyncedEdit) {
            self.file.sync().map_err(|error| Error::io("sync", &self.path(), error))?;
        }
        self.edit += 1;
        self.synced = self.end;
        Ok(())
    }

    /// Not synced: after a power cut it may be missing, which only tells less.
    fn write_vouch(&mut self) -> Result<()> {
        self.write_record(RecordKind::Vouch, &[])
    }

    /// Appends a record, and hands it on: what comes after it is the sync. A record that fails is
    /// not counted.
    fn write_record(&mut self, kind: RecordKind, payload: &[u8]) -> Result<()> {
        let number = if kind == RecordKind::Data { self.edit + 1 } else { self.edit };
        let header = Header::new(kind, number, payload_crc(payload));
        let header = Header { watermark: self.synced, ..header };
        let mut bytes = Vec::new();
        record::frame(&mut bytes, self.seed, self.end, header, payload);
        let written = self.file.write_all(&bytes).and_then(|()| self.file.flush());
        written.map_err(|error| Error::io("append to", &self.path(), error))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Starts a new file with the whole state once the history is much longer than that. If there
    /// is no space for it, the old one goes on.
    fn roll_if_long(&mut self) {
        if self.end < self.roll_bytes.max(self.roll_from) {
            return;
        }
        let whole = self.state.to_edit();
        if self.end < ROLL_FACTOR * whole.encode().len() as u64 {
            return;
        }
        let old = self.path();
        let place = (self.database, self.number + 1, self.edit + 1);
        let started =
            Self::start(Arc::clone(&self.fs), &self.dir, place, self.state.clone(), &whole);
        match started {
            Ok(fresh) => {
                *self = Self { roll_bytes: self.roll_bytes, ..fresh };
                self.remove_old(&old);
            }
            Err(Unstarted::Unnamed(error)) if error.is_out_of_space() => {
                tracing::debug!(%error, "no space to rewrite the manifest");
                self.roll_from = self.end + self.roll_bytes / 4;
                self.remove_old(&manifest_path(&self.dir, self.number + 1));
            }
            Err(Unstarted::Unnamed(error) | Unstarted::Doubtful(error)) => {
                self.fail(error); // the edit is safe; the next one must not follow
            }
        }
    }

    /// Removes a manifest that `CURRENT` no longer names; if it stays, it is an orphan.
    fn remove_old(&self, old: &Path) {
        if let Err(error) = self.fs.remove(old) {
            tracing::warn!(path = %old.display(), %error, "a replaced manifest stays");
        }
    }

    /// Makes a new file of one edit, and makes it the one in use.
    fn start(
        fs: Arc<dyn Fs>,
        dir: &Path,
        place: (u64, u64, u64),
        state: State,
        first: &Edit,
    ) -> std::result::Result<Self, Unstarted> {
        let unnamed = Unstarted::Unnamed;
        let mut manifest = Self::write_first(fs, dir, place, (state, first)).map_err(unnamed)?;
        let current = current_path(dir);
        let failed = |error| Error::io("replace", &current, error);
        let text = current_text(manifest.number, manifest.end);
        let written = manifest.fs.write_aside(&current, text.as_bytes());
        let aside = written.map_err(|error| Unstarted::Unnamed(failed(error)))?;
        let renamed = manifest.fs.rename(&aside, &current);
        let renamed = renamed.and_then(|()| manifest.fs.sync_dir(dir));
        renamed.map_err(|error| Unstarted::Doubtful(failed(error)))?;
        if let Err(error) = manifest.write_vouch() {
            manifest.take_back(error);
        }
        Ok(manifest)
    }

    /// Writes a new file of one edit; when this returns, it and its name are on the medium.
    fn write_first(
        fs: Arc<dyn Fs>,
        dir: &Path,
        (database, number, edit): (u64, u64, u64),
        (state, first): (State, &Edit),
    ) -> Result<Self> {
        let path = manifest_path(dir, number);
        match fs.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove the left-over", &path, error));
            }
            _ => {} // an earlier start that was cut, or nothing
        }
        let file = fs.create(&path).map_err(|error| Error::io("create", &path, error))?;
        let header = file_header(database, number);
        let mut manifest = Self {
            fs,
            dir: dir.to_path_buf(),
            file,
            seed: header.seed(),
            database,
            number,
            edit: edit - 1,
            end: FILE_HEADER_BYTES as u64,
            synced: 0,
            state,
            failed: None,
            reserved: 0,
            roll_bytes: ROLL_BYTES,
            roll_from: 0,
        };
        let written = manifest.file.write_all(&header.encode());
        written.map_err(|error| Error::io("write", &path, error))?;
        manifest.write_record(RecordKind::Data, &first.encode())?;
        manifest.reserve();
        manifest.sync_edit()?;
        manifest.fs.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
        Ok(manifest)
    }
}

/// Why a new file is not the one in use.
enum Unstarted {
    /// `CURRENT` names the old one, or nothing.
    Unnamed(Error),
    /// `CURRENT` may name either.
    Doubtful(Error),
}

impl From<Unstarted> for Error {
    fn from(unstarted: Unstarted) -> Self {
        match unstarted {
            Unstarted::Unnamed(error) | Unstarted::Doubtful(error) => error,
        }
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("path", &self.path())
            .field("edit", &self.edit)
            .field("end", &self.end)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

fn file_header(database: u64, number: u64) -> FileHeader {
    FileHeader { role: Role::Manifest, flags: 0, number, database, capacity: 0 }
}

#[cfg(test)]
mod tests;
