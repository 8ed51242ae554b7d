//! Finds the blocks of a file whose checksums hold, wherever they begin, in one pass.
//!
//! Any bytes may read as a header, and each header claims a length. No claim is read for itself:
//! one checksum runs over the whole file, and that of any part of it follows from the running one
//! at the part's two ends, as zlib's `crc32_combine` has it: `crc(AB)` is `crc(A)` moved on by the
//! length of B, with `crc(B)` added.
//!
//! 1. Every byte is read once; where that fails, once more, in pages of 4 KiB.
//! 2. At most 65,536 claims are kept at a time; the one that reaches farthest gives way.
//! 3. Blocks do not overlap: of two that do, the one that begins first counts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Lost, lost};
use crate::crc;
use crate::error::Error;
use crate::format::{self, BlockKind, HEADER_BYTES, Handle, Header, Place};
use crate::source::Source;

/// What a block header starts with on disk.
const MAGIC: [u8; 4] = *b"lbsu";
/// Bytes read at a time.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes read at a time where the medium fails.
const PAGE_BYTES: usize = 4096;
const CLAIMS_MAX: usize = 1 << 16;

/// What a scan found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Intact blocks, in the order of the file.
    pub(super) blocks: Vec<(Handle, BlockKind)>,
    /// What the medium gave no answer for, in the order of the file.
    pub(super) unread: Vec<Lost>,
}

/// Finds all intact blocks.
pub(super) fn blocks(source: &Source) -> Found {
    let mut tracker = Tracker::new(source.table_id);
    walk(source, |part| match part {
        Part::Bytes(bytes) => tracker.feed(bytes),
        Part::Header { head, header } => tracker.open(head, header),
        Part::Unread { bytes, why } => tracker.skip(bytes, &why),
    });
    let Found { mut blocks, unread } = tracker.found;
    blocks.sort_by_key(|(handle, _)| handle.offset);
    let mut end = 0;
    blocks.retain(|(handle, _)| {
        let apart = handle.offset >= end;
        if apart {
            end = handle.offset + handle.bytes;
        }
        apart
    });
    Found { blocks, unread }
}

/// Finds what claims to be a block of this kind: the smallest first, of equal ones the last.
pub(super) fn claims(source: &Source, kind: BlockKind) -> impl Iterator<Item = Handle> {
    let mut claims = BTreeSet::new();
    let mut at = 0;
    walk(source, |part| match part {
        Part::Bytes(bytes) => at += bytes.len() as u64,
        Part::Unread { bytes, .. } => at += bytes,
        Part::Header { header, .. } => {
            let bytes = block_bytes(&header);
            if header.kind == kind && bytes <= source.blocks_end - at {
                claims.insert((bytes, Reverse(at)));
            }
            if claims.len() > CLAIMS_MAX {
                claims.pop_last();
            }
        }
    });
    claims.into_iter().map(|(bytes, Reverse(offset))| Handle { offset, bytes })
}

fn block_bytes(header: &Header) -> u64 {
    HEADER_BYTES as u64 + u64::from(header.data_size)
}

/// What comes next in a file.
enum Part<'a> {
    Bytes(&'a [u8]),
    /// The next bytes read as a header. They come again, as bytes.
    Header {
        head: &'a [u8; HEADER_BYTES],
        header: Header,
    },
    /// As many bytes cannot be read.
    Unread {
        bytes: u64,
        why: Error,
    },
}

/// Reads the file from end to end.
fn walk(source: &Source, mut part: impl FnMut(Part<'_>)) {
    // The bytes before `read_to` that were not passed on yet.
    let mut window = Vec::new();
    let (mut read_to, mut failing_to) = (0, 0);
    while read_to < source.blocks_end {
        let failing = read_to < failing_to;
        let left = usize::try_from(source.blocks_end - read_to).unwrap_or(usize::MAX);
        let bytes = left.min(if failing { PAGE_BYTES } else { WINDOW_BYTES });
        let kept = window.len();
        window.resize(kept + bytes, 0);
        let read = source.read(read_to, window.get_mut(kept..).unwrap_or_default());
        if let Err(why) = read {
            window.truncate(kept);
            if bytes > PAGE_BYTES {
                failing_to = read_to + bytes as u64;
                continue;
            }
            part(Part::Bytes(&window));
            window.clear();
            part(Part::Unread { bytes: bytes as u64, why });
            read_to += bytes as u64;
            continue;
        }
        read_to += bytes as u64;
        let done = headers(&window, &mut part);
        window.drain(..done);
    }
    part(Part::Bytes(&window));
}

/// Passes on the bytes of a window, but for the last few, in which a header may begin; returns how
/// many.
fn headers(window: &[u8], part: &mut impl FnMut(Part<'_>)) -> usize {
    let (mut done, mut from) = (0, 0);
    let next = |from: usize| {
        let rest = window.get(from..)?;
        let at = rest.windows(HEADER_BYTES).position(|bytes| bytes.starts_with(&MAGIC))?;
        Some((from + at, rest.get(at..)?.first_chunk::<HEADER_BYTES>()?))
    };
    while let Some((at, head)) = next(from) {
        if let Ok(header) = Header::decode(head) {
            part(Part::Bytes(window.get(done..at).unwrap_or_default()));
            part(Part::Header { head, header });
            done = at;
        }
        from = at + 1;
    }
    let end = window.len().saturating_sub(HEADER_BYTES - 1);
    part(Part::Bytes(window.get(done..end).unwrap_or_default()));
    end
}

/// A block that a header speaks of and whose end is not reached.
#[derive(Debug)]
struct Claim {
    kind: BlockKind,
    /// The checksum that the header names.
    crc: u32,
    /// The header's checksum, and the running one where the body begins.
    seed: u32,
}

/// The running checksum, and the claims that wait for it to reach their ends.
#[derive(Debug)]
struct Tracker {
    table_id: u64,
    at: u64,
    crc: u32,
    /// By end, then start.
    claims: BTreeMap<(u64, u64), Claim>,
    found: Found,
}

impl Tracker {
    fn new(table_id: u64) -> Self {
        Self { table_id, at: 0, crc: 0, claims: BTreeMap::new(), found: Found::default() }
    }

    fn open(&mut self, head: &[u8; HEADER_BYTES], header: Header) {
        let [before @ .., _, _, _, _] = head;
        let body_from = crc::append(self.crc, head);
        let seed = crc::append(crc::EMPTY, before) ^ body_from;
        let claim = Claim { kind: header.kind, crc: header.crc, seed };
        self.claims.insert((self.at + block_bytes(&header), self.at), claim);
        if self.claims.len() > CLAIMS_MAX {
            self.claims.pop_last();
        }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(claim) = self.claims.first_entry() {
            let (end, start) = *claim.key();
            let step = usize::try_from(end - self.at).unwrap_or(usize::MAX);
            let Some((before, rest)) = bytes.split_at_checked(step) else { break };
            let claim = claim.remove();
            self.advance(before);
            bytes = rest;
            self.settle(&claim, Handle { offset: start, bytes: end - start });
        }
        self.advance(bytes);
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.crc = crc::append(self.crc, bytes);
        self.at += bytes.len() as u64;
    }

    /// Checks a claim whose end is reached.
    fn settle(&mut self, claim: &Claim, handle: Handle) {
        let body_bytes = usize::try_from(handle.bytes).unwrap_or(usize::MAX) - HEADER_BYTES;
        // With no bytes to move it on by, the crate gives back its first argument.
        let crc = match body_bytes {
            0 => claim.seed ^ self.crc,
            _ => crc32c::crc32c_combine(claim.seed, self.crc, body_bytes),
        };
        let place = Place { table_id: self.table_id, offset: handle.offset };
        if cfg!(fuzzing) || format::with_place(crc, place) == claim.crc {
            self.found.blocks.push((handle, claim.kind));
        }
    }

    /// Goes past bytes that cannot be read: no block can hold them.
    fn skip(&mut self, bytes: u64, why: &Error) {
        let piece = lost(Handle { offset: self.at, bytes }, why);
        match self.found.unread.last_mut() {
            Some(last) if last.offset + last.bytes == self.at => last.bytes += bytes,
            _ => self.found.unread.push(piece),
        }
        self.claims.clear();
        self.at += bytes;
        self.crc = 0;
    }
}
