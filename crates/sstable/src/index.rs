//! Which block may hold a key: index partitions and the top index over them.
//!
//! ```text
//! index   := first_offset: varint | block_count: varint
//!          | continued_count: varint | (rank: varint | last_trailer: u64)*
//!          | block_bytes: varint * block_count      headers included; blocks lie end to end
//!          | fence                                  one separator per block
//! top     := partition_count: varint
//!          | (index_offset, index_bytes, filter_offset, filter_bytes: varint)*   0 0: no filter
//!          | fence                                  one separator per partition
//! directory := (tag: varint | offset: varint | bytes: varint)*
//! ```
//!
//! 1. A block's separator is at least its last key and less than the first key of the next block,
//!    unless versions of one key lie on both sides of the border: then the separator is that key
//!    and the block is *continued*; its last trailer tells which side a version is on.
//! 2. A partition never ends at a continued block.
//! 3. Directory tags below 64 must be understood; others may be skipped.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use fence::Fence;

use crate::format::{HEADER_BYTES, Handle};
use crate::key::Trailer;
use crate::varint;

/// Sections that the directory names.
pub(crate) mod tag {
    pub(crate) const TOP: u64 = 1;
    pub(crate) const PROPERTIES: u64 = 2;
    pub(crate) const DICTIONARY: u64 = 3;
    // 4 is reserved for range deletes: a reader that does not know them must refuse the table.
    /// From here on a reader may skip what it does not know.
    pub(crate) const FIRST_OPTIONAL: u64 = 64;
}

/// Gathers one index partition.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    layout: fence::Layout,
    fence: fence::Builder,
    first_offset: u64,
    lengths: Vec<u8>,
    blocks: u64,
    continued: Vec<(u64, Trailer)>,
}

impl IndexBuilder {
    pub(crate) fn new(layout: fence::Layout) -> Self {
        Self {
            layout,
            fence: fence::Builder::new(layout),
            first_offset: 0,
            lengths: Vec::new(),
            blocks: 0,
            continued: Vec::new(),
        }
    }

    /// Count of separators pushed.
    pub(crate) fn separators(&self) -> usize {
        self.fence.len()
    }

    /// Notes the border after the next block.
    pub(crate) fn push_separator(&mut self, separator: &[u8], continued: Option<Trailer>) {
        if let Some(last_trailer) = continued {
            self.continued.push((self.fence.len() as u64, last_trailer));
        }
        self.fence.push(separator);
    }

    /// Notes where the next block was written; blocks come in order, end to end.
    pub(crate) fn push_block(&mut self, handle: Handle) {
        if self.blocks == 0 {
            self.first_offset = handle.offset;
        }
        self.blocks += 1;
        varint::put(&mut self.lengths, handle.bytes);
    }

    /// Appends the partition to `out` and starts over.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        assert_eq!(self.blocks, self.fence.len() as u64, "a separator for every block");
        varint::put(out, self.first_offset);
        varint::put(out, self.blocks);
        varint::put(out, self.continued.len() as u64);
        for (rank, trailer) in &self.continued {
            varint::put(out, *rank);
            out.extend_from_slice(&trailer.raw().to_le_bytes());
        }
        out.extend_from_slice(&self.lengths);
        let next = Self::new(self.layout);
        out.extend_from_slice(&std::mem::replace(self, next).fence.finish());
    }

    /// Bytes this builder holds, about.
    pub(crate) fn memory(&self) -> usize {
        self.fence.key_bytes() + 8 * self.fence.len() + self.lengths.len()
    }
}

/// One index partition in memory.
#[derive(Debug)]
pub(crate) struct Index {
    fence: Fence<Vec<u8>>,
    /// Where each block starts, and where the last one ends.
    offsets: Vec<u64>,
    /// Continued blocks by rank, with their last trailers.
    continued: Vec<(usize, Trailer)>,
}

impl Index {
    pub(crate) fn decode(mut rest: &[u8]) -> Option<Self> {
        let mut offset = varint::take(&mut rest)?;
        let blocks = usize::try_from(varint::take(&mut rest)?).ok()?;
        let continued_count = usize::try_from(varint::take(&mut rest)?).ok()?;
        // Every block and every continued rank takes at least a byte: bounds what is allocated.
        if blocks > rest.len() || continued_count > blocks {
            return None;
        }
        let mut continued = Vec::with_capacity(continued_count);
        for _ in 0..continued_count {
            let rank = usize::try_from(varint::take(&mut rest)?).ok()?;
            let (raw, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            continued.push((rank, Trailer::from_raw(u64::from_le_bytes(*raw))));
        }
        let mut offsets = Vec::with_capacity(blocks + 1);
        offsets.push(offset);
        for _ in 0..blocks {
            let bytes = varint::take(&mut rest)?;
            offset = offset.checked_add(bytes).filter(|_| bytes >= HEADER_BYTES as u64)?;
            offsets.push(offset);
        }
        let fence = Fence::decode(rest.to_vec()).ok()?;
        (fence.len() == blocks).then_some(Self { fence, offsets, continued })
    }

    pub(crate) fn blocks(&self) -> usize {
        self.fence.len()
    }

    pub(crate) fn layout(&self) -> fence::Layout {
        self.fence.layout()
    }

    /// Returns the rank of the first block that may hold an entry at or after `(key, trailer)`.
    #[inline]
    pub(crate) fn find(&self, key: &[u8], trailer: Trailer) -> Option<usize> {
        let rank = self.fence.find(key);
        if rank >= self.blocks() {
            return None;
        }
        if self.continued.is_empty() { Some(rank) } else { self.find_version(rank, key, trailer) }
    }

    /// Skips blocks whose versions of `key` are all newer than what is wanted.
    #[cold]
    fn find_version(&self, rank: usize, key: &[u8], trailer: Trailer) -> Option<usize> {
        if self.fence.separator(rank) != key {
            return Some(rank);
        }
        // All blocks of this key but its last are continued, with descending last trailers.
        let from = self.continued.partition_point(|(continued, _)| *continued < rank);
        let mut rank = rank;
        for (continued, last) in self.continued.get(from..)? {
            if *continued != rank || *last <= trailer || self.fence.separator(rank) != key {
                break;
            }
            rank += 1;
        }
        (rank < self.blocks()).then_some(rank)
    }

    #[inline]
    pub(crate) fn handle(&self, rank: usize) -> Option<Handle> {
        let offset = *self.offsets.get(rank)?;
        let end = *self.offsets.get(rank + 1)?;
        Some(Handle { offset, bytes: end - offset })
    }

    /// Where the partition's last block ends.
    pub(crate) fn end(&self) -> u64 {
        self.offsets.last().copied().unwrap_or_default()
    }

    pub(crate) fn memory(&self) -> usize {
        self.fence.memory_usage() + self.offsets.len() * 8 + self.continued.len() * 16
    }
}

/// Where the blocks of one partition's index and filter lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartHandles {
    pub(crate) index: Handle,
    pub(crate) filter: Option<Handle>,
}

/// The index over partitions.
#[derive(Debug)]
pub(crate) struct Top {
    fence: Fence<Vec<u8>>,
    pub(crate) parts: Vec<PartHandles>,
}

impl Top {
    pub(crate) fn encode(parts: &[PartHandles], fence: &[u8], out: &mut Vec<u8>) {
        varint::put(out, parts.len() as u64);
        for part in parts {
            let filter = part.filter.unwrap_or_default();
            for number in [part.index.offset, part.index.bytes, filter.offset, filter.bytes] {
                varint::put(out, number);
            }
        }
        out.extend_from_slice(fence);
    }

    pub(crate) fn decode(mut rest: &[u8]) -> Option<Self> {
        let count = usize::try_from(varint::take(&mut rest)?).ok()?;
        if count > rest.len() {
            return None;
        }
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            let index = take_handle(&mut rest)?;
            let filter = take_handle(&mut rest)?;
            parts.push(PartHandles { index, filter: (filter.bytes > 0).then_some(filter) });
        }
        let fence = Fence::decode(rest.to_vec()).ok()?;
        (fence.len() == count).then_some(Self { fence, parts })
    }

    /// Returns the rank of the partition that may hold an entry at or after `key`.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        // With one partition its own fence gives the same answer.
        let rank = if self.parts.len() == 1 { 0 } else { self.fence.find(key) };
        (rank < self.parts.len()).then_some(rank)
    }

    pub(crate) fn memory(&self) -> usize {
        self.fence.memory_usage() + self.parts.len() * size_of::<PartHandles>()
    }
}

fn take_handle(rest: &mut &[u8]) -> Option<Handle> {
    Some(Handle { offset: varint::take(rest)?, bytes: varint::take(rest)? })
}

/// Where the sections of a table lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) top: Handle,
    pub(crate) properties: Handle,
    pub(crate) dictionary: Option<Handle>,
}

impl Directory {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let sections = [
            (tag::TOP, Some(self.top)),
            (tag::PROPERTIES, Some(self.properties)),
            (tag::DICTIONARY, self.dictionary),
        ];
        for (tag, handle) in sections {
            let Some(handle) = handle else { continue };
            for number in [tag, handle.offset, handle.bytes] {
                varint::put(out, number);
            }
        }
    }

    /// Reads a directory: `Err` with the tag that this build does not know but would have to.
    pub(crate) fn decode(mut rest: &[u8]) -> Option<Result<Self, u64>> {
        let mut directory = Self::default();
        while !rest.is_empty() {
            let tag = varint::take(&mut rest)?;
            let handle = take_handle(&mut rest)?;
            match tag {
                tag::TOP => directory.top = handle,
                tag::PROPERTIES => directory.properties = handle,
                tag::DICTIONARY => directory.dictionary = Some(handle),
                tag::FIRST_OPTIONAL.. => {}
                // Range deletes among them: to skip them would bring deleted keys back.
                unknown => return Some(Err(unknown)),
            }
        }
        Some(Ok(directory))
    }
}
