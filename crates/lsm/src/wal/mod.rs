//! The log: every write is in it before it is acknowledged, and out of it after its flush.
//!
//! ```text
//! 000007.log := file header: 64 bytes | record * | unused space up to the capacity
//! record     := a batch (tag: its first sequence number; payload: the batch, see `batch.rs`)
//!             | an end (tag: the sequence number that follows; nothing comes after it)
//!             | a vouch (tag: operations up to here are on the medium, in earlier logs)
//! ```
//!
//! The framing is that of `record.rs`. What the parts guarantee:
//!
//! 1. Sequence numbers are contiguous, one an operation, within a log and from log to log.
//! 2. An append is a copy into the page cache: it survives the death of the process. It survives
//!    a power cut once [`Segment::sync_to`] has returned.
//! 3. After a failed append or sync a segment takes nothing more: what it holds is in doubt. But
//!    an append for which there was no space is made undone, and that is synced: the next one may
//!    fit. (Segments take their space ahead; only some file systems can meet this at all.)
//! 4. A sealed segment ends in an end record, for which space is always left.
//! 5. Recycled space cannot show old records: checksums cover the file's number.

mod group;
mod replay;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sstable::SeqNo;

use self::group::Group;
pub use self::replay::{
    LogEnd, LogReport, RecoveryMode, ReplayReport, Sink, Torn, make_durable, replay, replay_into,
};
use crate::error::{Error, Result};
use crate::fs::{Fs, LogFile};
use crate::names;
use crate::planted::{self, Bug};
use crate::record::{
    self, FILE_HEADER_BYTES, FLAG_RECYCLED, FileHeader, Header, RECORD_HEADER_BYTES, RecordKind,
    Role, Seed, record_bytes,
};

/// Scratch memory that an append may keep, in bytes.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

/// A page of a mapped file, in bytes.
const PAGE_BYTES: u64 = 4096;

/// Space kept for the end record, in bytes.
const END_BYTES: u64 = RECORD_HEADER_BYTES as u64;

/// The path of log `number` in `dir`.
pub fn log_path(dir: &Path, number: u64) -> PathBuf {
    names::log_path(dir, number)
}

/// The checksum that [`Segment::try_append`] asks for: CRC32C. Computed outside the commit lock.
pub fn payload_crc(payload: &[u8]) -> u32 {
    record::payload_crc(payload)
}

/// One log file, open for appending.
///
/// Appends are put in order by an inner lock, so that a segment may be shared; the caller's
/// commit lock is what makes their sequence numbers contiguous.
pub struct Segment {
    log: Box<dyn LogFile>,
    path: PathBuf,
    number: u64,
    seed: Seed,
    capacity: u64,
    /// All pages are there.
    ready: AtomicBool,
    tail: Mutex<Tail>,
    /// Those who wait for a sync: one serves all of them.
    syncing: Group,
}

/// The end of the log.
struct Tail {
    end: u64,
    synced: u64,
    next_seqno: Option<SeqNo>,
    sealed: bool,
    failed: Option<Arc<str>>,
    scratch: Vec<u8>,
}

impl Segment {
    /// Creates log `number` with space for `capacity` bytes; its header and its name are on the
    /// medium when this returns. With `recycle`, an old log that the manifest no longer names
    /// gives its space.
    /// # Errors
    /// [`Error::Io`], a full disk among them; a half-made log is removed where that is possible.
    #[expect(clippy::too_many_arguments, reason = "each is one plain fact about a new file")]
    pub fn create(
        fs: &dyn Fs,
        dir: &Path,
        number: u64,
        database: u64,
        capacity: u64,
        recycle: Option<&Path>,
    ) -> Result<Self> {
        let path = log_path(dir, number);
        let capacity = capacity.max(Self::capacity_for(0)).next_multiple_of(8);
        let opened = match recycle {
            Some(old) => fs.reuse_log(old, &path, capacity),
            None => fs.create_log(&path, capacity),
        };
        let log = opened.map_err(|error| Error::io("create", &path, error))?;
        let flags = if recycle.is_some() { FLAG_RECYCLED } else { 0 };
        let header = FileHeader { role: Role::Log, flags, number, database, capacity };
        log.write_at(0, &header.encode())
            .and_then(|()| log.sync())
            .map_err(|error| Error::io("write the header of", &path, error))?;
        if !planted::has(Bug::SkippedFolderSync) {
            fs.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
        }
        let end = FILE_HEADER_BYTES as u64;
        let tail = Tail {
            end,
            synced: end,
            next_seqno: None,
            sealed: false,
            failed: None,
            scratch: Vec::new(),
        };
        let (tail, syncing) = (Mutex::new(tail), Group::default());
        let (seed, ready) = (header.seed(), AtomicBool::new(false));
        Ok(Self { log, path, number, seed, capacity, ready, tail, syncing })
    }

    /// Makes ready for appends all over the segment: they wait for no page then, but the next sync
    /// may write all of it. See [`LogFile::get_ready`].
    pub fn get_ready(&self) {
        self.log.get_ready();
        // ORDERING: Relaxed; a statistic.
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Bytes of its pages that are in memory, and of its scratch memory.
    pub fn memory_bytes(&self) -> u64 {
        let tail = self.tail.lock();
        // ORDERING: Relaxed; a statistic.
        let ready = self.ready.load(Ordering::Relaxed);
        let pages = if ready { self.capacity } else { tail.end.next_multiple_of(PAGE_BYTES) };
        pages + tail.scratch.capacity() as u64
    }

    /// Smallest capacity, in bytes, of a segment that takes one batch of `payload_bytes`.
    pub fn capacity_for(payload_bytes: usize) -> u64 {
        FILE_HEADER_BYTES as u64 + 2 * END_BYTES + record_bytes(payload_bytes) // a vouch, the end
    }

    /// Appends a batch whose first operation has number `first_seqno`, and returns the log's end
    /// after it, for [`Segment::sync_to`]; `None` if the segment is full or sealed: take another.
    ///
    /// `payload_crc` is [`payload_crc`] of `payload`.
    /// # Errors
    /// [`Error::TooLong`] if the payload reaches 4 GiB; [`Error::Io`]; [`Error::WritesStopped`]
    /// after an earlier failure.
    /// # Panics
    /// If the batch is empty, or its number does not follow the last one's.
    pub fn try_append(
        &self,
        first_seqno: SeqNo,
        payload: &[u8],
        payload_crc: u32,
    ) -> Result<Option<u64>> {
        if u32::try_from(payload.len()).is_err() {
            let (bytes, limit) = (payload.len() as u64, u64::from(u32::MAX));
            return Err(Error::TooLong { what: "batch", bytes, limit });
        }
        let header = Header::new(RecordKind::Data, first_seqno, payload_crc);
        let mut tail = self.tail.lock();
        tail.check()?;
        let count = payload.first_chunk().map_or(0, |count| u32::from_le_bytes(*count));
        assert!(
            count > 0 && tail.next_seqno.is_none_or(|next| next == first_seqno),
            "batches are not empty, and their numbers follow each other"
        );
        if planted::has(Bug::SplitBatch)
            && let Some(halves) = planted::halves(payload)
            && tail.end + record_bytes(payload.len()) + 2 * END_BYTES + 16 <= self.capacity
        {
            return self.append_split(&mut tail, first_seqno, halves);
        }
        let appended = self.append(&mut tail, header, payload)?;
        if appended.is_some() {
            tail.next_seqno = Some(first_seqno + u64::from(count));
        }
        Ok(appended)
    }

    /// The mistake of [`Bug::SplitBatch`].
    fn append_split(
        &self,
        tail: &mut Tail,
        first_seqno: SeqNo,
        halves: (Vec<u8>, Vec<u8>),
    ) -> Result<Option<u64>> {
        let mut end = None;
        let mut next = first_seqno;
        for half in [halves.0, halves.1] {
            let count = half.first_chunk().map_or(0, |count| u32::from_le_bytes(*count));
            let header = Header::new(RecordKind::Data, next, payload_crc(&half));
            end = self.append(tail, header, &half)?;
            next += u64::from(count);
        }
        if end.is_some() {
            tail.next_seqno = Some(next);
        }
        Ok(end)
    }

    /// Notes that all operations up to `seqno` are on the medium in earlier logs, so that their
    /// loss is told from a write that was cut.
    /// # Errors
    /// As [`Segment::try_append`].
    pub fn vouch(&self, seqno: SeqNo) -> Result<()> {
        let mut tail = self.tail.lock();
        tail.check()?;
        // A full segment does without: the note only sharpens what a later replay can tell.
        self.append(&mut tail, Header::new(RecordKind::Vouch, seqno, payload_crc(&[])), &[])?;
        Ok(())
    }

    /// Writes the end record: `next_seqno` is the first number of the next log. Nothing can be
    /// appended after it. Does not sync. Sealing twice does nothing.
    /// # Errors
    /// [`Error::Io`]; [`Error::WritesStopped`] after an earlier failure.
    /// # Panics
    /// If `next_seqno` does not follow the last batch.
    pub fn seal(&self, next_seqno: SeqNo) -> Result<()> {
        let mut tail = self.tail.lock();
        tail.check()?;
        if tail.sealed {
            return Ok(());
        }
        let follows = tail.next_seqno.is_none_or(|next| next == next_seqno);
        assert!(follows, "the next log starts where this one ends");
        let header = Header::new(RecordKind::End, next_seqno, payload_crc(&[]));
        let end = self.append(&mut tail, header, &[])?;
        assert!(end.is_some(), "invariant 4: space for the end record is always left");
        tail.sealed = true;
        Ok(())
    }

    fn append(&self, tail: &mut Tail, header: Header, payload: &[u8]) -> Result<Option<u64>> {
        let bytes = record_bytes(payload.len());
        let kept = if header.kind == RecordKind::End { 0 } else { END_BYTES };
        if tail.sealed || tail.end + bytes + kept > self.capacity {
            return Ok(None);
        }
        let header = Header { watermark: tail.synced, ..header };
        tail.scratch.clear();
        record::frame(&mut tail.scratch, self.seed, tail.end, header, payload);
        if let Err(error) = self.log.write_at(tail.end, &tail.scratch) {
            return Err(self.take_back(tail, Error::io("append to", &self.path, error)));
        }
        tail.scratch.shrink_to(SCRATCH_BYTES_MAX);
        tail.end += bytes;
        Ok(Some(tail.end))
    }

    /// Makes a record undone for which there was no space, so that nobody will ever find it.
    fn take_back(&self, tail: &mut Tail, error: Error) -> Error {
        if !error.is_out_of_space() {
            return tail.fail(error);
        }
        let nothing = [0; RECORD_HEADER_BYTES];
        match self.log.write_at(tail.end, &nothing).and_then(|()| self.log.sync()) {
            Ok(()) => error,
            Err(second) => tail.fail(Error::io("take a record back from", &self.path, second)),
        }
    }

    /// Whether an earlier failure keeps the segment from taking anything.
    pub fn has_failed(&self) -> bool {
        self.tail.lock().failed.is_some()
    }

    /// Returns once everything before `end` is on the medium; one sync serves all who wait.
    /// # Errors
    /// [`Error::Io`] if the sync fails, and [`Error::WritesStopped`] for all who waited for it:
    /// nothing past [`Segment::synced`] is certain then, and no later sync can change that.
    pub fn sync_to(&self, end: u64) -> Result<()> {
        self.sync_to_then(end, |_| ())
    }

    /// As [`Segment::sync_to`]. If this thread is the one that syncs for all, `then` is told the
    /// last sequence number that is on the medium, before the others go on.
    /// # Errors
    /// As [`Segment::sync_to`].
    pub fn sync_to_then(&self, end: u64, then: impl FnOnce(SeqNo)) -> Result<()> {
        let is_done = || {
            let tail = self.tail.lock();
            if tail.synced >= end {
                return Ok(true);
            }
            tail.check().map(|()| false)
        };
        if is_done()? {
            return Ok(());
        }
        self.syncing.join(is_done, || self.sync_now().map(|last| last.map_or((), then)))
    }

    /// Syncs what was appended before, and returns the last sequence number of that; only one
    /// thread at a time.
    fn sync_now(&self) -> Result<Option<SeqNo>> {
        let (target, next_seqno) = {
            let tail = self.tail.lock();
            tail.check()?;
            (tail.end, tail.next_seqno)
        };
        let skipped = planted::has(Bug::SkippedLogSync);
        // Without the tail's lock: others append meanwhile.
        let synced = if skipped { Ok(()) } else { self.log.sync() };
        let mut tail = self.tail.lock();
        match synced {
            Ok(()) => tail.synced = target,
            Err(error) => return Err(tail.fail(Error::io("sync", &self.path, error))),
        }
        Ok(next_seqno.map(|next| next - 1))
    }

    /// Puts everything appended so far on the medium.
    /// # Errors
    /// As [`Segment::sync_to`].
    pub fn sync(&self) -> Result<()> {
        self.sync_to(self.end())
    }

    /// Where the next record will start, in bytes.
    pub fn end(&self) -> u64 {
        self.tail.lock().end
    }

    /// Bytes from the start that are known to be on the medium.
    pub fn synced(&self) -> u64 {
        self.tail.lock().synced
    }

    /// The number in the file's name.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }
}

impl Tail {
    /// Refuses everything after a failure.
    fn check(&self) -> Result<()> {
        match &self.failed {
            Some(why) => Err(Error::WritesStopped { why: Arc::clone(why) }),
            None => Ok(()),
        }
    }

    /// Takes note that nothing may be appended any more.
    fn fail(&mut self, error: Error) -> Error {
        self.failed.get_or_insert_with(|| error.to_string().into());
        error
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.tail.lock();
        f.debug_struct("Segment")
            .field("path", &self.path)
            .field("capacity", &self.capacity)
            .field("end", &tail.end)
            .field("synced", &tail.synced)
            .field("sealed", &tail.sealed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
