//! The encoded fence: one header, then sections, each found from the header alone.
//!
//! All integers are little-endian. Sections marked `|64` begin at a multiple of 64 bytes from the
//! start, so that a fence at an aligned address has its search array on cache lines.
//!
//! ```text
//!   0 magic "FNCE": u32   4 version: u8   5 layout: u8   6 flags: u16
//!   8 crc32c of bytes 0..8 and 12..end: u32             12 common prefix bytes: u32
//!  16 count: u64                                        24 bytes in all: u64
//!  32 uniform tail-side length: u32                     36 smallest key bytes: u32
//!  40 largest key bytes: u32                            44 zero: u32
//!  48 offset section bytes: u64                         56 tail section bytes: u64
//!  64 common prefix | smallest key | largest key | zeros
//!  |64 search array (by layout) | offsets (by layout) | tails (by layout)
//! ```
//!
//! 1. `Header::decode` accepts only bytes whose sections lie inside the buffer and whose checksum
//!    fits.
//! 2. Whoever reads a section still reads with checks: a forged checksum gives wrong ranks at
//!    worst.
#![deny(clippy::indexing_slicing)]

use std::ops::Range;

use crate::{DecodeError, Layout};

/// "FNCE", read little-endian.
const MAGIC: u32 = 0x4543_4e46;
/// The format that this library writes.
const VERSION: u8 = 1;
/// Bytes of the fixed header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Alignment of the search array inside the encoding.
const ALIGN: usize = 64;

/// All separators have the same length; there is no offset array.
pub(crate) const UNIFORM: u16 = 1;
/// Some separator has fewer than 8 bytes after the common prefix: tails begin with their count.
pub(crate) const SHORT: u16 = 2;
/// Offsets are u64 instead of u32.
pub(crate) const WIDE_OFFSETS: u16 = 4;
/// The smallest and largest key of the indexed data are stored.
pub(crate) const BOUNDS: u16 = 8;
const KNOWN_FLAGS: u16 = UNIFORM | SHORT | WIDE_OFFSETS | BOUNDS;

/// What the header says, with every section located.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) layout: Layout,
    pub(crate) flags: u16,
    pub(crate) count: usize,
    /// Length of every separator after the common prefix, if `UNIFORM`.
    pub(crate) uniform: usize,
    pub(crate) common: Range<usize>,
    pub(crate) smallest: Range<usize>,
    pub(crate) largest: Range<usize>,
    pub(crate) search: Range<usize>,
    pub(crate) offsets: Range<usize>,
    pub(crate) tails: Range<usize>,
}

/// What a layout's encoder hands over to be framed.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) flags: u16,
    pub(crate) count: usize,
    pub(crate) uniform: usize,
    pub(crate) common: Vec<u8>,
    pub(crate) bounds: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) search: Vec<u8>,
    pub(crate) offsets: Vec<u8>,
    pub(crate) tails: Vec<u8>,
}

impl Parts {
    /// Bytes of the sections that grow with the separators.
    pub(crate) fn bytes(&self) -> usize {
        self.search.len() + self.offsets.len() + self.tails.len()
    }
}

/// Bytes of `common | smallest | largest`, filled up so that the search array is aligned.
fn padded(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(ALIGN)
}

fn len_u32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a key longer than 4 GiB cannot be a separator")
}

/// Frames `parts` into the encoded fence.
pub(crate) fn encode(layout: Layout, parts: &Parts) -> Vec<u8> {
    let (smallest, largest) = parts.bounds.as_ref().map_or((&[][..], &[][..]), |(a, b)| (a, b));
    let flags = if parts.bounds.is_some() { parts.flags | BOUNDS } else { parts.flags };
    let keys = parts.common.len() + smallest.len() + largest.len();
    let front = HEADER_BYTES + padded(keys).expect("keys that fit memory");
    let total = front + parts.search.len() + parts.offsets.len() + parts.tails.len();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[VERSION, layout.code()]);
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&[0; 4]); // the checksum, filled in below
    out.extend_from_slice(&len_u32(&parts.common).to_le_bytes());
    out.extend_from_slice(&(parts.count as u64).to_le_bytes());
    out.extend_from_slice(&(total as u64).to_le_bytes());
    let uniform = u32::try_from(parts.uniform).expect("a length below 4 GiB");
    out.extend_from_slice(&uniform.to_le_bytes());
    out.extend_from_slice(&len_u32(smallest).to_le_bytes());
    out.extend_from_slice(&len_u32(largest).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(parts.offsets.len() as u64).to_le_bytes());
    out.extend_from_slice(&(parts.tails.len() as u64).to_le_bytes());
    for section in [&parts.common[..], smallest, largest] {
        out.extend_from_slice(section);
    }
    out.resize(front, 0);
    for section in [&parts.search, &parts.offsets, &parts.tails] {
        out.extend_from_slice(section);
    }
    assert_eq!(out.len(), total, "the header must tell the size");
    let crc = checksum(&out).to_le_bytes();
    for (to, from) in out.iter_mut().skip(8).zip(crc) {
        *to = from;
    }
    out
}

/// CRC32C of everything but the checksum's own four bytes.
fn checksum(bytes: &[u8]) -> u32 {
    let head = crc32c::crc32c(bytes.get(..8).unwrap_or_default());
    crc32c::crc32c_append(head, bytes.get(12..).unwrap_or_default())
}

/// A forward reader over the fixed header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A length or count; what does not fit the machine cannot fit the buffer either.
    fn size(&mut self) -> usize {
        usize::try_from(self.u64()).unwrap_or(usize::MAX)
    }

    fn size32(&mut self) -> usize {
        usize::try_from(self.u32()).unwrap_or(usize::MAX)
    }
}

fn corrupt(offset: u64, expected: &'static str) -> DecodeError {
    DecodeError::Corrupt { offset, expected }
}

/// The `len` bytes that begin where `before` ends.
fn after(before: &Range<usize>, len: usize) -> Option<Range<usize>> {
    Some(before.end..before.end.checked_add(len)?)
}

impl Header {
    /// Reads and checks the header of `bytes`, which must be one whole fence and nothing else.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let found = bytes.len() as u64;
        let short = DecodeError::Length { expected: HEADER_BYTES as u64, found };
        let mut fields = Fields(bytes.get(..HEADER_BYTES).ok_or(short)?);
        let magic = fields.u32();
        if magic != MAGIC {
            return Err(DecodeError::Magic { found: magic });
        }
        let [version, layout_code] = fields.array();
        if version != VERSION {
            return Err(DecodeError::Version { found: version });
        }
        let layout = Layout::from_code(layout_code);
        let layout = layout.ok_or(DecodeError::Layout { found: layout_code })?;
        let flags = u16::from_le_bytes(fields.array());
        let stored = fields.u32();
        let common_bytes = fields.size32();
        let count = fields.size();
        let expected = fields.u64();
        if expected != found {
            return Err(DecodeError::Length { expected, found });
        }
        let computed = checksum(bytes);
        if stored != computed {
            return Err(DecodeError::Checksum { stored, computed });
        }
        let uniform = fields.size32();
        let lengths = [common_bytes, fields.size32(), fields.size32()];
        if flags & !KNOWN_FLAGS != 0 || fields.u32() != 0 {
            return Err(corrupt(6, "only flags of this version"));
        }
        let [offset_bytes, tail_bytes] = [fields.size(), fields.size()];
        let sections = locate(bytes.len(), lengths, [offset_bytes, tail_bytes]);
        let [common, smallest, largest, search, offsets, tails] =
            sections.ok_or(corrupt(48, "sections that fill the buffer"))?;
        Ok(Self {
            layout,
            flags,
            count,
            uniform,
            common,
            smallest,
            largest,
            search,
            offsets,
            tails,
        })
    }

    /// Whether all of `flag` is set.
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag == flag
    }
}

/// Lays the sections end to end; `None` unless they fill `total` bytes exactly. The search array
/// gets what the others leave over.
fn locate(
    total: usize,
    [common, smallest, largest]: [usize; 3],
    [offset_bytes, tail_bytes]: [usize; 2],
) -> Option<[Range<usize>; 6]> {
    let common = after(&(0..HEADER_BYTES), common)?;
    let smallest = after(&common, smallest)?;
    let largest = after(&smallest, largest)?;
    let front = HEADER_BYTES.checked_add(padded(largest.end.checked_sub(HEADER_BYTES)?)?)?;
    let tails_start = total.checked_sub(tail_bytes)?;
    let offsets_start = tails_start.checked_sub(offset_bytes)?;
    (front <= offsets_start).then_some(())?;
    let search = front..offsets_start;
    Some([common, smallest, largest, search, offsets_start..tails_start, tails_start..total])
}
