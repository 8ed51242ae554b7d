//! Reading logs back after a crash: a prefix of the writes, or a clear error.
//!
//! 1. What is applied is contiguous from the first operation that is not in a table.
//! 2. A record that cannot be read is *damage* if a later record's watermark, or a vouch in a
//!    later log, says that it was on the medium once. Otherwise it is a write that was cut, and
//!    the prefix ends before it.
//! 3. A log without an end record may be followed by the next one only if that one starts with
//!    exactly the next operation; a gap ends the prefix, and what lies beyond is only reported.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::io;
use std::path::{Path, PathBuf};

use sstable::{ReadAt, SEQNO_MAX, SeqNo};

use super::log_path;
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::planted::{self, Bug};
use crate::record::{
    FILE_HEADER_BYTES, FLAG_RECYCLED, FileHeader, HeaderError, Reader, RecordKind, Rest, Role,
};

/// Bytes copied at a time when a log is stored again; a multiple of 8.
const REWRITE_BYTES: usize = 256 << 10;

/// What to do with a log that cannot be read to its end.
/// ```
/// # fn main() -> lsm::Result<()> {
/// use std::sync::Arc;
/// use lsm::fs::{CrashMode, MemFs};
/// use lsm::{Db, Durability, Env, Options, RecoveryMode};
/// let open = |disk: &MemFs, recovery| {
///     let durability = Durability::Sync;
///     let options = Options { recovery, durability, ..Options::default() };
///     let env = Env { fs: Arc::new(disk.clone()), ..Env::system(&options)? };
///     Db::open_with("/db", options, env)
/// };
/// let disk = MemFs::new();
/// let db = open(&disk, RecoveryMode::default())?;
/// for key in ["first", "second", "third"] {
///     db.put(key, "value")?;
/// }
/// let files = disk.files();
/// let log = files.iter().find(|file| file.extension() == Some("log".as_ref())).unwrap();
/// // The process dies, and the record with this key is damaged: what is found?
/// let found = |damaged: &str, mode| -> lsm::Result<Vec<Vec<u8>>> {
///     let left = disk.crash(0, CrashMode::KILL);
///     let bytes = left.contents(log).unwrap();
///     let at = bytes.windows(damaged.len()).position(|found| found == damaged.as_bytes());
///     left.flip(log, at.unwrap() as u64, 0xff).unwrap();
///     open(&left, mode)?.scan::<&str>(..)?.map(|entry| Ok(entry?.0.to_vec())).collect()
/// };
/// // The last record may be a write that was cut; only the strict mode minds.
/// assert!(found("third", RecoveryMode::Strict).is_err());
/// assert_eq!(found("third", RecoveryMode::TolerateTornTail)?, [&b"first"[..], b"second"]);
/// // The third proves that the second was on the medium: this is damage.
/// assert!(found("second", RecoveryMode::TolerateTornTail).is_err());
/// assert_eq!(found("second", RecoveryMode::PointInTime)?, [b"first"]);
/// assert_eq!(found("second", RecoveryMode::Salvage)?, [&b"first"[..], b"third"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryMode {
    /// Any trace of an unreadable record is an error, a write that was cut by a crash included.
    Strict,
    /// A write that was cut ends the log; damage is an error. Loses nothing that was synced.
    #[default]
    TolerateTornTail,
    /// The first unreadable record ends the log, damaged or cut: the state of an earlier moment.
    PointInTime,
    /// Applies every record that can be read, whatever is missing between: no state that ever
    /// was, but the most data.
    Salvage,
}

/// Where the applied prefix ended although something came after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The log.
    pub path: PathBuf,
    /// Where the first unreadable record starts, in bytes.
    pub offset: u64,
    /// Bytes after that in which records can still be recognised.
    pub lost_bytes: u64,
    /// Records not applied, as far as they can be recognised.
    pub lost_records: u64,
}

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEnd {
    /// With an end record: complete.
    Sealed,
    /// Without an end record, and with no trace of anything more.
    Open,
    /// With something that cannot be read.
    Torn,
}

/// What one log gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// The number in its name.
    pub number: u64,
    /// Records found readable.
    pub records: u64,
    /// Where its last readable record ends, in bytes.
    pub end: u64,
    /// Bytes that its own records say were on the medium before.
    pub synced: u64,
    /// How it ends.
    pub how: LogEnd,
}

/// What a replay has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayReport {
    /// The last operation, in tables or applied.
    pub last_seqno: SeqNo,
    /// Batches handed to the sink.
    pub records: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Set if the prefix ended before something that was written, or if records were skipped.
    pub torn: Option<Torn>,
    /// The logs that could be read at all, in order.
    pub logs: Vec<LogReport>,
}

/// Hands the batches of the logs `numbers` to `sink`, in order, as (first number, payload); what
/// ends at or before `after` is in tables and left out. The logs are not changed.
///
/// Before new writes are acknowledged, the logs must be made durable ([`make_durable`]) or
/// flushed, and if the report has [`ReplayReport::torn`], flushed and dropped: what is behind the
/// tear must not meet new operations of the same numbers.
/// # Errors
/// [`Error::Corruption`] as `mode` says; [`Error::Unsupported`] for logs of a later version;
/// [`Error::Io`]; whatever `sink` answers: in a corruption without a path, the place of the record
/// is filled in.
#[expect(clippy::too_many_arguments, reason = "each is one plain fact")]
pub fn replay(
    fs: &dyn Fs,
    dir: &Path,
    numbers: &[u64],
    database: u64,
    after: SeqNo,
    mode: RecoveryMode,
    sink: &mut dyn FnMut(SeqNo, &[u8]) -> Result<()>,
) -> Result<ReplayReport> {
    replay_into(fs, dir, numbers, database, (after, mode), &mut BatchesOnly(sink))
}

/// Takes what a replay reads.
pub trait Sink {
    /// A batch that is applied next, and the number of its first operation.
    /// # Errors
    /// Ends the replay; in a corruption without a path, the place of the record is filled in.
    fn batch(&mut self, first: SeqNo, payload: &[u8]) -> Result<()>;

    /// A log was read as far as it goes.
    fn log_read(&mut self, report: &LogReport);
}

/// A sink that does not care which log a batch is from.
struct BatchesOnly<'a>(&'a mut dyn FnMut(SeqNo, &[u8]) -> Result<()>);

impl Sink for BatchesOnly<'_> {
    fn batch(&mut self, first: SeqNo, payload: &[u8]) -> Result<()> {
        (self.0)(first, payload)
    }

    fn log_read(&mut self, _report: &LogReport) {}
}

/// As [`replay`], for a sink that is also told of each log that was read.
/// # Errors
/// As [`replay`].
#[expect(clippy::too_many_arguments, reason = "each is one plain fact")]
pub fn replay_into(
    fs: &dyn Fs,
    dir: &Path,
    numbers: &[u64],
    database: u64,
    (after, mode): (SeqNo, RecoveryMode),
    sink: &mut dyn Sink,
) -> Result<ReplayReport> {
    let report = ReplayReport { last_seqno: after, ..ReplayReport::default() };
    let mut replay =
        Replay { mode, after, expected: None, suspect: None, abandoned: false, report, sink };
    for number in numbers {
        let path = log_path(dir, *number);
        match fs.open_read(&path) {
            Ok(file) => replay.log(&path, &*file, *number, database)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                replay.damage(&path, 0, "this log, which the manifest names as live")?;
            }
            Err(error) => return Err(Error::io("open", &path, error)),
        }
    }
    Ok(replay.report)
}

/// Puts the records that a replay has read in a log on the medium. What only a killed process had
/// written is in the page cache, and perhaps not any more to be synced: after a sync that failed,
/// pages count as clean though the medium never got them. So they are stored once more, and synced.
/// A log that was flushed and removed meanwhile is left alone.
/// # Errors
/// [`Error::Io`].
pub fn make_durable(fs: &dyn Fs, dir: &Path, log: &LogReport) -> Result<()> {
    if planted::has(Bug::TrustedPageCache) || log.synced >= log.end {
        return Ok(());
    }
    let path = log_path(dir, log.number);
    match rewrite(fs, &path, log.synced, log.end) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // flushed meanwhile
        done => done.map_err(|error| Error::io("write again and sync", &path, error)),
    }
}

/// Stores the bytes from `start` to `end`, multiples of 8, over themselves, and syncs.
fn rewrite(fs: &dyn Fs, path: &Path, start: u64, end: u64) -> io::Result<()> {
    let file = fs.open_read(path)?;
    let bytes = file.len()?;
    if !bytes.is_multiple_of(8) {
        // Somebody has cut it: what is behind the last word is a part of no record.
        fs.open_append(path)?.truncate(bytes / 8 * 8)?;
    }
    let log = fs.open_log(path)?;
    let mut piece = vec![0; REWRITE_BYTES];
    let mut offset = start;
    while offset < end {
        let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let bytes = piece.get_mut(..left.min(REWRITE_BYTES)).unwrap_or_default();
        file.read_exact_at(bytes, offset)?;
        log.write_at(offset, bytes)?;
        offset += bytes.len() as u64;
    }
    log.sync()
}

/// What is expected of a log that is too short.
fn whole(header: &FileHeader) -> String {
    format!("a file of {} bytes", header.capacity)
}

/// The state of a replay between records.
struct Replay<'a> {
    mode: RecoveryMode,
    after: SeqNo,
    /// The number of the next operation, once one was read.
    expected: Option<SeqNo>,
    /// Set after a log without an end record: only the next operation may follow.
    suspect: Option<Torn>,
    /// The prefix has ended; the rest is only counted.
    abandoned: bool,
    report: ReplayReport,
    sink: &'a mut dyn Sink,
}

/// A record and its place.
struct Found<'a> {
    path: &'a Path,
    offset: u64,
    tag: u64,
    payload: &'a [u8],
}

impl Found<'_> {
    /// A sink that meets damage does not know where it is; this does.
    fn locate(&self, error: Error) -> Error {
        match error {
            Error::Corruption { path, expected, .. } if path.as_os_str().is_empty() => {
                Error::corruption(self.path, self.offset, expected)
            }
            other => other,
        }
    }
}

impl Replay<'_> {
    fn log(&mut self, path: &Path, file: &dyn ReadAt, number: u64, database: u64) -> Result<()> {
        let Some(header) = self.header(path, file, number, database)? else {
            return Ok(());
        };
        let short = self.is_short(path, file, &header)?;
        let failed = |error| Error::io("read", path, error);
        let mut reader = Reader::new(file, header.seed()).map_err(failed)?;
        let synced = FILE_HEADER_BYTES as u64;
        let mut report = LogReport { number, records: 0, end: 0, synced, how: LogEnd::Open };
        loop {
            let Some(record) = reader.next().map_err(failed)? else {
                let rest = reader.rest().map_err(failed)?;
                report.how = self.unreadable(path, &rest, header.flags)?;
                let skip = self.mode == RecoveryMode::Salvage && rest.lost_records > 0;
                if skip && reader.resync().map_err(failed)? {
                    continue;
                }
                break;
            };
            report.records += 1;
            report.synced = report.synced.max(record.header.watermark);
            let (offset, tag) = (record.offset, record.header.tag);
            let found = Found { path, offset, tag, payload: record.payload };
            match record.header.kind {
                RecordKind::Data => self.batch(&found)?,
                RecordKind::Vouch => self.vouched(&found)?,
                RecordKind::End => {
                    self.end(&found)?;
                    report.how = LogEnd::Sealed;
                    break;
                }
            }
        }
        match short {
            None => {}
            // Nothing was behind the end record: only told of.
            Some(offset) if report.how == LogEnd::Sealed => {
                let path = path.to_path_buf();
                let torn = Torn { path, offset, lost_bytes: 0, lost_records: 0 };
                self.report.torn.get_or_insert(torn);
            }
            // What follows in other logs may have come after what was cut off.
            Some(offset) => self.damage(path, offset, &whole(&header))?,
        }
        report.end = reader.offset();
        report.synced = report.synced.min(report.end);
        self.sink.log_read(&report);
        self.report.logs.push(report);
        Ok(())
    }

    /// The file's header; `None` if it is bad and the mode goes on without the file.
    fn header(
        &mut self,
        path: &Path,
        file: &dyn ReadAt,
        number: u64,
        database: u64,
    ) -> Result<Option<FileHeader>> {
        let mut bytes = [0; FILE_HEADER_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            // A file that ends where it says it does not is no short file: the medium failed.
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof
                    && file.len().is_ok_and(|length| length < FILE_HEADER_BYTES as u64) =>
            {
                self.damage(path, 0, "a log header of 64 bytes")?;
                return Ok(None);
            }
            read => read.map_err(|error| Error::io("read", path, error))?,
        }
        let header = match FileHeader::decode(&bytes, Role::Log, number) {
            Ok(header) => header,
            Err(HeaderError::Unknown(what)) => {
                return Err(Error::Unsupported { path: path.to_path_buf(), what });
            }
            Err(HeaderError::Damaged(offset, expected)) => {
                self.damage(path, offset, &expected)?;
                return Ok(None);
            }
        };
        if header.database != database {
            let found = header.database;
            self.damage(path, 24, &format!("a log of database {database:016x}, not {found:016x}"))?;
            return Ok(None);
        }
        Ok(Some(header))
    }

    /// Where the file ends, if that is too early. All of its space was taken, and synced, before it
    /// got its first record. Modes that go on read what is left.
    fn is_short(
        &mut self,
        path: &Path,
        file: &dyn ReadAt,
        header: &FileHeader,
    ) -> Result<Option<u64>> {
        let bytes = file.len().map_err(|error| Error::io("read", path, error))?;
        if bytes >= header.capacity {
            return Ok(None);
        }
        match self.mode {
            RecoveryMode::Strict | RecoveryMode::TolerateTornTail => {
                Err(Error::corruption(path, bytes, whole(header)))
            }
            RecoveryMode::PointInTime | RecoveryMode::Salvage => Ok(Some(bytes)),
        }
    }

    /// A batch: applied if it is the next one.
    fn batch(&mut self, found: &Found<'_>) -> Result<()> {
        let count = found.payload.first_chunk().map_or(0, |count| u32::from_le_bytes(*count));
        let next = found.tag.checked_add(u64::from(count));
        let Some(next) = next.filter(|next| count > 0 && found.tag > 0 && *next <= SEQNO_MAX + 1)
        else {
            return self.damage(found.path, found.offset, "a batch of operations with numbers");
        };
        self.check_number(found, found.tag)?;
        if self.abandoned {
            if let Some(torn) = &mut self.report.torn {
                torn.lost_records += 1;
                torn.lost_bytes += found.payload.len() as u64;
            }
            return Ok(());
        }
        if self.expected.is_some_and(|expected| found.tag < expected) {
            return Ok(()); // salvage met an operation of a number that it has already
        }
        self.expected = Some(next);
        if next > self.after + 1 {
            self.sink.batch(found.tag, found.payload).map_err(|error| found.locate(error))?;
            self.report.records += 1;
            self.report.bytes += found.payload.len() as u64;
            self.report.last_seqno = next - 1;
        }
        Ok(())
    }

    /// The end record: its tag is what the next log starts with.
    fn end(&mut self, found: &Found<'_>) -> Result<()> {
        self.check_number(found, found.tag)?;
        if !self.abandoned && self.expected.is_none() {
            self.expected = Some(found.tag);
        }
        Ok(())
    }

    /// Checks that operation `number` is the next one, and ends the prefix if it is not.
    fn check_number(&mut self, found: &Found<'_>, number: SeqNo) -> Result<()> {
        if self.abandoned {
            return Ok(());
        }
        let expected = self.expected.unwrap_or(self.after + 1);
        // Before the first record is read, a log may reach back into what tables hold.
        let early = number < expected && self.expected.is_some();
        match self.suspect.take() {
            Some(_) if planted::has(Bug::IgnoredGap) => Ok(()),
            Some(torn) if number > expected => self.tear(torn),
            _ if number > expected || early => {
                self.damage(found.path, found.offset, &format!("operation {expected}"))
            }
            _ => Ok(()),
        }
    }

    /// Someone knew that everything up to the tag was on the medium: is it still?
    fn vouched(&mut self, found: &Found<'_>) -> Result<()> {
        let have = self.expected.map_or(self.after, |next| next.saturating_sub(1)).max(self.after);
        if have >= found.tag {
            return Ok(());
        }
        let tear = self.suspect.as_ref().or(self.report.torn.as_ref());
        let (path, offset) = tear.map_or((found.path, found.offset), |t| (&*t.path, t.offset));
        let path = path.to_path_buf();
        self.damage(&path, offset, &format!("operations {} to {}", have + 1, found.tag))
    }

    /// No valid record starts where one could.
    fn unreadable(&mut self, path: &Path, rest: &Rest, flags: u32) -> Result<LogEnd> {
        if rest.is_damage() {
            self.damage(path, rest.at, "a record, since a later one proves that it was there")?;
        }
        let torn = Torn {
            path: path.to_path_buf(),
            offset: rest.at,
            lost_bytes: rest.lost_bytes(),
            lost_records: rest.lost_records,
        };
        // New space is zero; recycled space is full of old records, which tell nothing.
        let trace = rest.lost_records > 0 || (!rest.blank && flags & FLAG_RECYCLED == 0);
        if trace {
            if self.mode == RecoveryMode::Strict {
                return Err(Error::corruption(path, rest.at, "a whole record, or none"));
            }
            self.report.torn.get_or_insert_with(|| torn.clone());
        }
        if self.mode != RecoveryMode::Salvage {
            self.suspect.get_or_insert(torn);
        }
        Ok(if trace { LogEnd::Torn } else { LogEnd::Open })
    }

    /// The prefix ends at `torn`: something came after that does not follow.
    fn tear(&mut self, torn: Torn) -> Result<()> {
        match self.mode {
            RecoveryMode::Strict => {
                let expected = "the operations between this log and the next one";
                return Err(Error::corruption(&torn.path, torn.offset, expected));
            }
            RecoveryMode::Salvage => {}
            RecoveryMode::TolerateTornTail | RecoveryMode::PointInTime => self.abandoned = true,
        }
        self.report.torn.get_or_insert(torn);
        Ok(())
    }

    /// Something is missing that was on the medium once.
    fn damage(&mut self, path: &Path, offset: u64, expected: &str) -> Result<()> {
        match self.mode {
            RecoveryMode::Strict | RecoveryMode::TolerateTornTail => {
                return Err(Error::corruption(path, offset, expected));
            }
            RecoveryMode::PointInTime => self.abandoned = true,
            RecoveryMode::Salvage => {}
        }
        let path = path.to_path_buf();
        self.report.torn.get_or_insert(Torn { path, offset, lost_bytes: 0, lost_records: 0 });
        Ok(())
    }
}
