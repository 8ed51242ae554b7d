//! Checkpoints: a second, complete database in a folder of its own, made while writes go on.
//!
//! ```text
//! 1 flush     what is in memory becomes tables: a checkpoint needs no log
//! 2 choose    the manifest's state and the open tables that belong to it, at one moment
//! 3 tables    a second name for each (a copy on another file system), and the folder is synced
//! 4 manifest  a fresh one, of one edit; CURRENT comes last
//! ```
//!
//! 1. Tables never change, so a second name is as good as a copy; the view that is held keeps
//!    compactions from removing them meanwhile.
//! 2. A crash before the end of 4 leaves tables without CURRENT, which no open takes for a
//!    database; after it, the checkpoint is complete and durable.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sstable::SeqNo;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::inner::Inner;
use crate::manifest::{self, Manifest, State};
use crate::manual;
use crate::names;

/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// What a checkpoint consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// Tables that share their bytes with the database.
    pub linked: u64,
    /// Tables copied, since they could not be linked.
    pub copied: u64,
    /// Bytes of all its tables.
    pub bytes: u64,
    /// The last operation that it holds.
    pub seqno: SeqNo,
}

/// Makes a checkpoint in `target`.
pub(crate) fn checkpoint(inner: &Arc<Inner>, target: &Path) -> Result<CheckpointReport> {
    inner.check_open()?;
    let begun = inner.env.clock.now();
    let fs = &*inner.env.fs;
    prepare_folder(inner, target)?;
    manual::flush(inner)?;
    let (mut state, _view) = {
        let tree = inner.tree.lock();
        (tree.manifest().state().clone(), inner.state.view())
    };
    state.logs.clear();
    state.last_seqno = state.flushed_seqno;
    let mut made = Made { fs, paths: Vec::new() };
    let mut report = CheckpointReport { seqno: state.flushed_seqno, ..CheckpointReport::default() };
    place_tables(inner, target, &state, (&mut made, &mut report))?;
    fs.sync_dir(target).map_err(|error| Error::io("sync", target, error))?;
    let current = manifest::current_path(target);
    made.paths.extend([manifest::manifest_path(target, 1), names::aside(&current), current]);
    Manifest::create_whole(Arc::clone(&inner.env.fs), target, inner.db_id, state)?;
    made.paths.clear();
    inner.timed(&inner.timings.checkpoint, Some(begun));
    Ok(report)
}

/// Makes the folder, or takes an empty one.
fn prepare_folder(inner: &Inner, target: &Path) -> Result<()> {
    let fs = &*inner.env.fs;
    if target.starts_with(&inner.path) {
        let what = format!("{} is a part of the database itself", target.display());
        return Err(Error::InvalidOptions(what));
    }
    fs.create_dir_all(target).map_err(|error| Error::io("create", target, error))?;
    let names = fs.list(target).map_err(|error| Error::io("list", target, error))?;
    match names.first() {
        None => Ok(()),
        Some(name) => {
            let error = io::Error::new(io::ErrorKind::AlreadyExists, format!("it holds {name}"));
            Err(Error::io("make a checkpoint in", target, error))
        }
    }
}

fn place_tables(
    inner: &Inner,
    target: &Path,
    state: &State,
    (made, report): (&mut Made<'_>, &mut CheckpointReport),
) -> Result<()> {
    for table in state.tables() {
        inner.check_open()?;
        let from = names::table_path(&inner.path, table.number);
        let to = names::table_path(target, table.number);
        made.paths.push(to.clone());
        if made.fs.hard_link(&from, &to).is_ok() {
            report.linked += 1;
        } else {
            // Another file system, or one without links.
            copy(made.fs, &from, &to)?;
            report.copied += 1;
        }
        report.bytes += table.file_bytes;
    }
    Ok(())
}

/// Copies a file and syncs the copy.
pub(crate) fn copy(fs: &dyn Fs, from: &Path, to: &Path) -> Result<()> {
    let file = fs.open_read(from).map_err(|error| Error::io("open", from, error))?;
    let bytes = file.len().map_err(|error| Error::io("read", from, error))?;
    let mut target = fs.create(to).map_err(|error| Error::io("create", to, error))?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
        let piece = buffer.get_mut(..left.min(COPY_BYTES)).unwrap_or_default();
        file.read_exact_at(piece, offset).map_err(|error| Error::io("read", from, error))?;
        target.write_all(piece).map_err(|error| Error::io("write", to, error))?;
        offset += piece.len() as u64;
    }
    target.sync().map_err(|error| Error::io("sync", to, error))
}

/// Files that are removed again unless all goes well.
struct Made<'a> {
    fs: &'a dyn Fs,
    paths: Vec<PathBuf>,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        // The last one first: without CURRENT no open takes the rest for a database.
        for path in self.paths.iter().rev() {
            match self.fs.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "a part of a checkpoint stays");
                }
                _ => {}
            }
        }
    }
}

/// Checkpoints.
impl Db {
    /// Makes a database of its own in `folder`, with everything written so far; writes go on
    /// meanwhile. The folder is made, or must be empty. On the same file system this takes no
    /// space for tables: both share the files until compactions replace them.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// db.put(b"k", b"before")?;
    /// db.checkpoint(folder.path().join("backup"))?;
    /// db.put(b"k", b"after")?;
    /// let backup = lsm::Db::open(folder.path().join("backup"), lsm::Options::default())?;
    /// assert_eq!(backup.get(b"k")?.as_deref(), Some(&b"before"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A crash on the way leaves a folder that no open takes for a database.
    ///
    /// # Errors
    /// A folder that holds something or lies within the database; files that cannot be written:
    /// what was made is then removed, as far as possible.
    pub fn checkpoint(&self, folder: impl AsRef<Path>) -> Result<CheckpointReport> {
        checkpoint(self.inner(), folder.as_ref())
    }
}
