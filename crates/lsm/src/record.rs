//! Records: the framing that logs and manifests share.
//!
//! ```text
//! file    := header: 64 bytes | record *
//! record  := header: 32 bytes | payload | zero bytes up to a multiple of 8
//!
//! record header                      file header
//!   0 header_crc   u32                 0 magic     8 bytes ("lsm log\n" or "lsm man\n")
//!   4 payload_crc  u32                 8 version   u32 (log 1, manifest 2)
//!   8 payload_len  u32                12 flags     u32 (bit 0: the space was used before)
//!  12 kind         u8                 16 number    u64 (the number in the file's name)
//!  13 zero         3 bytes            24 database  u64 (the same in all files of a database)
//!  16 watermark    u64                32 capacity  u64 (bytes of a log; 0 in a manifest)
//!  24 tag          u64                40 zero      20 bytes
//!                                     60 crc       u32 (CRC32C of the 60 bytes before)
//! ```
//!
//! 1. `header_crc` covers the rest of the header, the file's role, database and number, and the
//!    record's offset: a record is valid only where it was written. `payload_crc` covers only
//!    the payload, so it can be computed before the place is known.
//! 2. `watermark` is the number of bytes of this file that were known to be on the medium when
//!    the record was made. So a valid record proves that everything below its watermark was
//!    there once: what is unreadable below it is damage, what is unreadable beyond all
//!    watermarks is a write that was cut.
//! 3. Lengths are checked against the file before memory is taken for them.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::io;

use sstable::ReadAt;

use crate::planted::{self, Bug};

/// Bytes of a record's header.
pub(crate) const RECORD_HEADER_BYTES: usize = 32;

/// Bytes of a file's header.
pub(crate) const FILE_HEADER_BYTES: usize = 64;

/// Flag in a file header: the file's space holds bytes of an earlier file.
pub(crate) const FLAG_RECYCLED: u32 = 1;

/// Bytes that a reader asks for at once.
const WINDOW_BYTES: usize = 256 << 10;

/// Which kind of file a record lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Log,
    Manifest,
}

impl Role {
    fn magic(self) -> [u8; 8] {
        match self {
            Self::Log => *b"lsm log\n",
            Self::Manifest => *b"lsm man\n",
        }
    }

    /// The version of the format that is written; earlier ones are read.
    pub(crate) fn version(self) -> u32 {
        match self {
            Self::Log => 1,
            Self::Manifest => 2,
        }
    }
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A batch of operations (tag: first sequence number) or an edit (tag: its number).
    Data = 1,
    /// The log is complete (tag: the sequence number that follows).
    End = 2,
    /// Log: all operations up to the tag are on the medium in earlier logs. Manifest: everything
    /// up to the watermark is on the medium.
    Vouch = 3,
}

impl RecordKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Data),
            2 => Some(Self::End),
            3 => Some(Self::Vouch),
            _ => None,
        }
    }
}

/// A file's own description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) role: Role,
    pub(crate) flags: u32,
    pub(crate) number: u64,
    pub(crate) database: u64,
    pub(crate) capacity: u64,
}

/// Why a file header is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// What was expected, and at which byte.
    Damaged(u64, String),
    /// What this build does not know.
    Unknown(String),
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(FILE_HEADER_BYTES);
        bytes.extend_from_slice(&self.role.magic());
        bytes.extend_from_slice(&self.role.version().to_le_bytes());
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.database.to_le_bytes());
        bytes.extend_from_slice(&self.capacity.to_le_bytes());
        bytes.resize(FILE_HEADER_BYTES - 4, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.try_into().unwrap_or([0; FILE_HEADER_BYTES]) // it is exactly that long
    }

    /// Reads and checks the header of a file that should be `role` number `number`.
    pub(crate) fn decode(
        bytes: &[u8; FILE_HEADER_BYTES],
        role: Role,
        number: u64,
    ) -> Result<Self, HeaderError> {
        let damaged = |at, what: String| Err(HeaderError::Damaged(at, what));
        if bytes.first_chunk() != Some(&role.magic()) {
            return damaged(
                0,
                format!("the magic bytes {:?}", role.magic().escape_ascii().to_string()),
            );
        }
        let version = Self::version(bytes);
        if version > role.version() {
            // Before the checksum, which a later version may have moved.
            return Err(HeaderError::Unknown(format!("format version {version}")));
        }
        let covered = bytes.get(..FILE_HEADER_BYTES - 4).unwrap_or_default();
        let matches = u32_at(bytes, FILE_HEADER_BYTES - 4) == crc32c::crc32c(covered);
        if !(matches || cfg!(fuzzing)) || version == 0 {
            return damaged(0, "a file header that fits its checksum".into());
        }
        let found = u64_at(bytes, 16);
        if found != number {
            return damaged(16, format!("the header of file {number}, not of {found}"));
        }
        let (flags, rest) = (u32_at(bytes, 12), bytes.get(40..60).unwrap_or_default());
        if flags & !FLAG_RECYCLED != 0 || rest.iter().any(|byte| *byte != 0) {
            return Err(HeaderError::Unknown(format!("flags {flags:#x} of a later build")));
        }
        let (database, capacity) = (u64_at(bytes, 24), u64_at(bytes, 32));
        Ok(Self { role, flags, number, database, capacity })
    }

    /// The version that a header says.
    pub(crate) fn version(bytes: &[u8; FILE_HEADER_BYTES]) -> u32 {
        u32_at(bytes, 8)
    }

    /// The checksum that all record headers of the file start from.
    pub(crate) fn seed(&self) -> Seed {
        let crc = crc32c::crc32c(&self.role.magic());
        let crc = crc32c::crc32c_append(crc, &self.database.to_le_bytes());
        Seed(crc32c::crc32c_append(crc, &self.number.to_le_bytes()))
    }
}

/// Stands for a file in the checksums of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u32);

/// A record's header, without its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) payload_crc: u32,
    pub(crate) payload_len: u32,
    pub(crate) kind: RecordKind,
    pub(crate) watermark: u64,
    pub(crate) tag: u64,
}

impl Header {
    /// A header whose payload length and watermark are still to come.
    pub(crate) fn new(kind: RecordKind, tag: u64, payload_crc: u32) -> Self {
        Self { payload_crc, payload_len: 0, kind, watermark: 0, tag }
    }

    pub(crate) fn encode(&self, seed: Seed, offset: u64) -> [u8; RECORD_HEADER_BYTES] {
        let mut covered = [0; RECORD_HEADER_BYTES - 4];
        let fields = [
            self.payload_crc.to_le_bytes(),
            self.payload_len.to_le_bytes(),
            [self.kind as u8, 0, 0, 0],
        ];
        let (head, tail) = covered.split_at_mut(12);
        head.copy_from_slice(fields.as_flattened());
        tail.copy_from_slice([self.watermark.to_le_bytes(), self.tag.to_le_bytes()].as_flattened());
        let mut bytes = [0; RECORD_HEADER_BYTES];
        let (crc, rest) = bytes.split_at_mut(4);
        crc.copy_from_slice(&header_crc(&covered, seed, offset).to_le_bytes());
        rest.copy_from_slice(&covered);
        bytes
    }

    /// The header at `offset`, if these bytes are one that was written there.
    pub(crate) fn decode(
        bytes: &[u8; RECORD_HEADER_BYTES],
        seed: Seed,
        offset: u64,
    ) -> Option<Self> {
        // Cheap tests first: a scan for lost records asks this at every eighth byte.
        let kind = RecordKind::from_byte(*bytes.get(12)?)?;
        if bytes.get(13..16)? != [0; 3] {
            return None;
        }
        let (crc, covered) = bytes.split_first_chunk::<4>()?;
        let matches = u32::from_le_bytes(*crc) == header_crc(covered, seed, offset);
        if !(matches || cfg!(fuzzing)) {
            return None;
        }
        Some(Self {
            payload_crc: u32_at(bytes, 4),
            payload_len: u32_at(bytes, 8),
            kind,
            watermark: u64_at(bytes, 16),
            tag: u64_at(bytes, 24),
        })
    }
}

fn header_crc(covered: &[u8], seed: Seed, offset: u64) -> u32 {
    let crc = crc32c::crc32c_append(seed.0, covered);
    crc32c::crc32c_append(crc, &offset.to_le_bytes())
}

/// The checksum of a payload.
pub(crate) fn payload_crc(payload: &[u8]) -> u32 {
    crc32c::crc32c(payload)
}

/// Bytes that a record takes in its file.
pub(crate) const fn record_bytes(payload_len: usize) -> u64 {
    (RECORD_HEADER_BYTES + payload_len.next_multiple_of(8)) as u64
}

/// Appends a record that will stand at `offset`; the payload's length is filled in here.
/// # Panics
/// If the payload is 4 GiB or longer: callers check.
pub(crate) fn frame(out: &mut Vec<u8>, seed: Seed, offset: u64, header: Header, payload: &[u8]) {
    let payload_len = u32::try_from(payload.len()).expect("callers refuse payloads of 4 GiB");
    out.extend_from_slice(&Header { payload_len, ..header }.encode(seed, offset));
    out.extend_from_slice(payload);
    out.resize(out.len() + payload.len().next_multiple_of(8) - payload.len(), 0);
}

/// A record that was read and checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) offset: u64,
    pub(crate) header: Header,
    pub(crate) payload: &'a [u8],
}

/// What lies beyond the last record that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Where the next record should have started.
    pub(crate) at: u64,
    /// End of the last valid header's record after that, if there is one.
    pub(crate) lost_end: Option<u64>,
    /// Valid headers after that; a damaged record with a good header counts.
    pub(crate) lost_records: u64,
    /// Largest watermark among them, in bytes.
    pub(crate) proven: u64,
    /// Whether the bytes at `at`, as many as a header has, are all zero or do not exist.
    pub(crate) blank: bool,
}

impl Rest {
    /// Whether something was there once that cannot be read now.
    pub(crate) fn is_damage(&self) -> bool {
        self.proven > self.at
    }

    /// Bytes that cannot be used.
    pub(crate) fn lost_bytes(&self) -> u64 {
        self.lost_end.map_or(0, |end| end.saturating_sub(self.at))
    }
}

/// Reads a file's records in order.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    window: Window<'a>,
    seed: Seed,
    offset: u64,
}

impl<'a> Reader<'a> {
    /// Starts after the file header.
    pub(crate) fn new(file: &'a dyn ReadAt, seed: Seed) -> io::Result<Self> {
        let window = Window { file, file_bytes: file.len()?, bytes: Vec::new(), start: 0 };
        Ok(Self { window, seed, offset: FILE_HEADER_BYTES as u64 })
    }

    /// Where the next record starts.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record; `None` where no valid one starts.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        let offset = self.offset;
        if !self.window.holds(offset, RECORD_HEADER_BYTES) {
            return Ok(None);
        }
        let bytes = self.window.get(offset, RECORD_HEADER_BYTES)?;
        let header = bytes.first_chunk().and_then(|bytes| Header::decode(bytes, self.seed, offset));
        let Some(header) = header else { return Ok(None) };
        let length = header.payload_len as usize;
        let padded = length.next_multiple_of(8);
        let start = offset + RECORD_HEADER_BYTES as u64;
        if !self.window.holds(start, padded) {
            return Ok(None);
        }
        let bytes = self.window.get(start, padded)?.get(..padded).unwrap_or_default();
        let Some((payload, padding)) = bytes.split_at_checked(length) else { return Ok(None) };
        let matches = payload_crc(payload) == header.payload_crc;
        let believed = matches || planted::has(Bug::IgnoredChecksum) || cfg!(fuzzing);
        if !believed || padding.iter().any(|byte| *byte != 0) {
            return Ok(None);
        }
        self.offset = start + padded as u64;
        Ok(Some(Record { offset, header, payload }))
    }

    /// Looks at what follows the last record, to the end of the file.
    pub(crate) fn rest(&mut self) -> io::Result<Rest> {
        let at = self.offset;
        let left = self.window.file_bytes.saturating_sub(at);
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(RECORD_HEADER_BYTES);
        let blank =
            here == 0 || self.window.get(at, here)?.iter().take(here).all(|byte| *byte == 0);
        let mut rest = Rest { at, lost_end: None, lost_records: 0, proven: 0, blank };
        let mut from = at;
        while let Some((offset, header)) = self.find_header(from)? {
            let end = offset.saturating_add(record_bytes(header.payload_len as usize));
            let end = end.min(self.window.file_bytes);
            rest.lost_records += 1;
            rest.lost_end = Some(rest.lost_end.unwrap_or(0).max(end));
            rest.proven = rest.proven.max(header.watermark);
            from = offset + RECORD_HEADER_BYTES as u64;
        }
        Ok(rest)
    }

    /// Goes on at the next valid header after an unreadable record; false if there is none.
    pub(crate) fn resync(&mut self) -> io::Result<bool> {
        let found = self.find_header(self.offset + 8)?;
        if let Some((offset, _)) = found {
            self.offset = offset;
        }
        Ok(found.is_some())
    }

    /// The first valid header at or after `from`, at a multiple of 8 from there.
    fn find_header(&mut self, from: u64) -> io::Result<Option<(u64, Header)>> {
        let mut offset = from;
        while self.window.holds(offset, RECORD_HEADER_BYTES) {
            let bytes = self.window.get(offset, RECORD_HEADER_BYTES)?;
            let starts = bytes.windows(RECORD_HEADER_BYTES).step_by(8);
            let mut passed = 0;
            for (start, bytes) in (offset..).step_by(8).zip(starts) {
                let Some(bytes) = bytes.first_chunk() else { break };
                if let Some(header) = Header::decode(bytes, self.seed, start) {
                    return Ok(Some((start, header)));
                }
                passed = start + 8 - offset;
            }
            offset += passed.max(8);
        }
        Ok(None)
    }
}

/// The part of a file that is in memory.
#[derive(Debug)]
struct Window<'a> {
    file: &'a dyn ReadAt,
    file_bytes: u64,
    bytes: Vec<u8>,
    start: u64,
}

impl Window<'_> {
    /// Whether the file has these bytes.
    fn holds(&self, offset: u64, length: usize) -> bool {
        offset.checked_add(length as u64).is_some_and(|end| end <= self.file_bytes)
    }

    /// At least `length` bytes at `offset`, which the file must have, and what follows them in
    /// the window.
    fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = offset + length as u64;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            let left =
                usize::try_from(self.file_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
            let wanted = length.max(WINDOW_BYTES).min(left);
            self.bytes.clear();
            self.bytes.try_reserve_exact(wanted).map_err(io::Error::other)?;
            self.bytes.resize(wanted, 0);
            if let Err(error) = self.file.read_exact_at(&mut self.bytes, offset) {
                self.bytes.clear(); // what a failed read leaves is not the file
                return Err(error);
            }
            self.start = offset;
        }
        let skip = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let found = self.bytes.get(skip..).filter(|found| found.len() >= length);
        found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Four bytes as a number; 0 outside the slice, which the callers' array types rule out.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk);
    field.map_or(0, |field| u32::from_le_bytes(*field))
}

/// Eight bytes as a number; 0 outside the slice, which the callers' array types rule out.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk);
    field.map_or(0, |field| u64::from_le_bytes(*field))
}
