//! What can go wrong, in plain words: every variant says where, and what was expected.
//!
//! Bytes from disk or from the caller give an [`Error`]; a broken invariant of ours panics.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong in the database.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file or folder.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase: "create", "sync".
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: Arc<io::Error>,
    },
    /// A file does not hold what it must.
    #[error("{} is damaged at byte {offset}: expected {expected}", path.display())]
    Corruption {
        /// The damaged file.
        path: PathBuf,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What should have been there.
        expected: String,
    },
    /// A table could not be read or written.
    #[error(transparent)]
    Table(Arc<sstable::Error>),
    /// The file was written by a newer version, or uses something this build leaves out.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// use std::sync::Arc;
    /// use lsm::fs::MemFs;
    /// use lsm::{Db, Env, Error, Options};
    /// let disk = MemFs::new();
    /// let open = || {
    ///     let options = Options::default();
    ///     let env = Env { fs: Arc::new(disk.clone()), ..Env::system(&options)? };
    ///     Db::open_with("/db", options, env)
    /// };
    ///
    /// open()?.close()?;
    /// let files = disk.files();
    /// let manifest = files.iter().find(|file| file.to_string_lossy().contains("MANIFEST"));
    /// disk.flip(manifest.unwrap(), 8, 0x40).unwrap(); // where its version stands
    /// let refused = open().unwrap_err();
    /// assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    /// assert!(refused.to_string().contains("format version 66"), "{refused}");
    /// # Ok(())
    /// # }
    /// ```
    #[error("{} cannot be read by this build: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The version or feature.
        what: String,
    },
    /// Another process, or another handle of this one, has the folder open.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The database folder.
        path: PathBuf,
    },
    /// The folder does not exist, or holds something else.
    #[error("{} is not a database: {why}", path.display())]
    NotADatabase {
        /// The folder.
        path: PathBuf,
        /// What is missing or foreign.
        why: String,
    },
    /// The key, the value or the batch is larger than the format or a memtable allows. Nothing was
    /// written, and other writes go on.
    #[error("{what} of {bytes} bytes is longer than the {limit} allowed")]
    TooLong {
        /// "key", "value", "batch", or "batch in memory", with what its operations take there.
        what: &'static str,
        /// Its length in bytes.
        bytes: u64,
        /// The largest length in bytes.
        limit: u64,
    },
    /// An option is outside its range, or two of them contradict.
    #[error("invalid options: {0}")]
    InvalidOptions(String),
    /// A write failed earlier in a way that leaves the log in doubt: no more writes are taken.
    #[error("the database takes no more writes: {why}")]
    WritesStopped {
        /// The first failure, in words.
        why: Arc<str>,
    },
    /// A family of this name lives already.
    #[error("there is a family named {name:?} already")]
    FamilyExists {
        /// The name.
        name: String,
    },
    /// The family was dropped, or never was.
    #[error("there is no family {name:?}")]
    FamilyDropped {
        /// Its name; its id where no family of that number was known since the opening.
        name: String,
    },
    /// The family's handle was got from another open database, or from an earlier opening of this
    /// one.
    #[error("the family {name:?} is not one of this open database")]
    ForeignFamily {
        /// Its name, or its id where the name is not known any more.
        name: String,
    },
    /// Entries to be loaded do not ascend, or a key comes twice.
    #[error("entry {rank} of the load: its key {key:?} is not above the one before")]
    NotAscending {
        /// The entry, 0-based.
        rank: u64,
        /// The start of its key, printable.
        key: String,
    },
    /// A bug of ours ended a background job.
    #[error("a background job panicked: {job}")]
    InternalPanic {
        /// The kind of job.
        job: String,
    },
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
}

impl Error {
    /// Wraps an operating-system error with what was tried on which path.
    pub fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_path_buf(), source: Arc::new(source) }
    }

    /// Whether nothing is said of what a file holds, as against one that is missing, short or
    /// wrong: the medium gave no answer, or it is sealed right and this build lacks the codec or
    /// does not know the version.
    pub(crate) fn is_unanswered(&self) -> bool {
        use io::ErrorKind::{NotFound, UnexpectedEof};
        if let Self::Table(error) = self
            && let sstable::Error::Unsupported { .. } | sstable::Error::UnsupportedCodec { .. } =
                **error
        {
            return true;
        }
        self.io_kind().is_some_and(|kind| !matches!(kind, NotFound | UnexpectedEof))
    }

    /// Whether there was no space for what was to be written: the disk is full, or the quota is
    /// used up. The call did nothing then. Reading goes on; the same call goes well again once
    /// there is room.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// use std::sync::Arc;
    /// use lsm::fs::{FaultFs, MemFs};
    /// use lsm::{Db, Env, Options};
    /// let fs = FaultFs::new(Arc::new(MemFs::new()));
    /// let env = Env { fs: Arc::new(fs.clone()), ..Env::system(&Options::default())? };
    /// let db = Db::open_with("/db", Options::default(), env)?;
    /// db.put("key", "value")?;
    /// fs.limit_space(100);
    /// assert!(db.flush().unwrap_err().is_out_of_space());
    /// assert!(db.contains("key")?);
    /// fs.clear();
    /// db.flush()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_out_of_space(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull, WriteZero};
        self.io_kind().is_some_and(|kind| matches!(kind, StorageFull | QuotaExceeded | WriteZero))
    }

    /// What the operating system said, if it is its error.
    fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Table(error) => match &**error {
                sstable::Error::Io { source, .. } => Some(source.kind()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Says that `path` is damaged at `offset`.
    pub fn corruption(path: &Path, offset: u64, expected: impl Into<String>) -> Self {
        Self::Corruption { path: path.to_path_buf(), offset, expected: expected.into() }
    }
}

impl From<sstable::Error> for Error {
    fn from(error: sstable::Error) -> Self {
        Self::Table(Arc::new(error))
    }
}
