//! Reads a whole table and checks that everything it says about itself is so.

use crate::block::DataBlock;
use crate::block::cursor::Position;
use crate::crc;
use crate::error::Result;
use crate::format::{BlockKind, Fault, HEADER_BYTES, Handle, Header};
use crate::index::Index;
use crate::key::{Kind, Trailer, compare};
use crate::table::{Block, Table};

/// What [`Table::verify`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Bytes read: the whole file.
    pub bytes: u64,
    /// Blocks of all kinds.
    pub blocks: u64,
    /// Data blocks.
    pub data_blocks: u64,
    /// Entries.
    pub entries: u64,
    /// Entries of the kinds `Delete` and `RangeDelete`.
    pub tombstones: u64,
}

/// What the walk has seen so far.
#[derive(Default)]
struct Seen {
    report: VerifyReport,
    first: Vec<u8>,
    last: Option<(Vec<u8>, Trailer)>,
    key_bytes: u64,
    value_bytes: u64,
    min_seqno: u64,
    max_seqno: u64,
    /// Rank in the partition and in the table's top index of the next data block.
    rank: usize,
    part: usize,
}

impl Table {
    /// Reads every byte of the file and checks checksums, the order of entries, that index and
    /// filter lead to each of them, and every count of the properties. Does not touch the cache.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] naming the first thing that is not as it must be, or
    /// [`crate::Error::Io`].
    pub fn verify(&self) -> Result<VerifyReport> {
        self.check_chain()?;
        let mut seen = Seen { min_seqno: u64::MAX, ..Seen::default() };
        for part in 0..self.top().parts.len() {
            (seen.part, seen.rank) = (part, 0);
            let held = self.index(part)?.into_block();
            let Some(index) = held.index() else { continue };
            for rank in 0..index.blocks() {
                seen.rank = rank;
                self.verify_data(index, &mut seen)?;
            }
        }
        self.check_counts(&seen)?;
        let footer = self.footer();
        let report = VerifyReport {
            bytes: footer.file_bytes,
            blocks: u64::from(footer.blocks),
            data_blocks: self.meta().block_count,
            ..seen.report
        };
        Ok(report)
    }

    /// Walks over all blocks by their headers alone: they tile the file, and are those that the
    /// footer counted.
    fn check_chain(&self) -> Result<()> {
        let source = self.source();
        let (mut offset, mut blocks, mut chain, mut version) = (0, 0_u32, 0, 1);
        let mut head = [0; HEADER_BYTES];
        let mut huge = self.huge_blocks()?.into_iter().peekable();
        while offset < source.blocks_end {
            source.check_bounds(Handle { offset, bytes: HEADER_BYTES as u64 })?;
            source.read(offset, &mut head)?;
            let header = self.header(offset, &head)?;
            let mut bytes = HEADER_BYTES as u64 + u64::from(header.data_size);
            if let Some(handle) = huge.next_if(|handle| handle.offset == offset) {
                bytes = handle.bytes;
            }
            let handle = Handle { offset, bytes };
            if header.kind != BlockKind::Data {
                source.block(handle, header.kind)?;
            }
            chain = crc::append(chain, &header.crc.to_le_bytes());
            blocks = blocks.wrapping_add(1);
            version = version.max(header.form.version());
            offset += bytes;
        }
        let footer = self.footer();
        if offset != source.blocks_end || blocks != footer.blocks || chain != footer.chain {
            let expected = format!("{} blocks that end at the footer", footer.blocks);
            return Err(source.damaged(source.blocks_end, expected));
        }
        if version != footer.version {
            let expected = format!("a footer of version {version}, as its blocks are");
            return Err(source.damaged(source.blocks_end, expected));
        }
        Ok(())
    }

    /// The header of the block at `offset`, whose checksum is looked at only if it seems to be of
    /// another version: what is not sealed is damaged.
    fn header(&self, offset: u64, head: &[u8; HEADER_BYTES]) -> Result<Header> {
        let source = self.source();
        let fault = match Header::decode(head) {
            Ok(header) => return Ok(header),
            Err(Fault::Unsupported(what)) => {
                let bytes = HEADER_BYTES as u64 + u64::from(Header::stored_bytes(head));
                source.block(Handle { offset, bytes }, BlockKind::Data)?;
                Fault::Unsupported(what)
            }
            Err(fault) => fault,
        };
        Err(source.fault(offset, fault))
    }

    /// Blocks too large for their headers to tell their size.
    fn huge_blocks(&self) -> Result<Vec<Handle>> {
        let mut huge = Vec::new();
        for part in 0..self.top().parts.len() {
            let held = self.index(part)?;
            let Some(index) = held.index() else { continue };
            let handles = (0..index.blocks()).filter_map(|rank| index.handle(rank));
            huge.extend(handles.filter(|handle| handle.bytes > u64::from(u32::MAX)));
        }
        Ok(huge)
    }

    fn verify_data(&self, index: &Index, seen: &mut Seen) -> Result<()> {
        let handle = index.handle(seen.rank).unwrap_or_default();
        let body = self.source().block(handle, BlockKind::Data)?;
        let block = self.data_from(body, handle)?;
        let malformed = || self.malformed(handle);
        let view = block.data().map(DataBlock::view).ok_or_else(malformed)?;
        let mut position = Position::default();
        let mut more = position.first(view).ok_or_else(malformed)?;
        let filter = self.filter_of(seen.part)?;
        while more {
            let (key, trailer) = (position.key(), position.trailer());
            let ascends =
                seen.last.as_ref().is_none_or(|(k, t)| compare(k, *t, key, trailer).is_lt());
            if !ascends {
                return Err(self.source().damaged(handle.offset, "entries that ascend"));
            }
            let found = self.top().find(key) == Some(seen.part)
                && index.find(key, trailer) == Some(seen.rank);
            if !found {
                let expected = "a block that the index finds for each of its keys";
                return Err(self.source().damaged(handle.offset, expected));
            }
            if let Some(filter) = filter.as_ref().and_then(Block::filter)
                && !filter.may_contain(key)
            {
                return Err(self.source().damaged(handle.offset, "keys that the filter knows"));
            }
            seen.note(key, trailer, position.value(0).len());
            more = position.next(view).ok_or_else(malformed)?;
        }
        seen.report.data_blocks += 1;
        Ok(())
    }

    fn check_counts(&self, seen: &Seen) -> Result<()> {
        let meta = self.meta();
        let none = meta.entries == 0;
        let last = seen.last.as_ref().map(|(key, _)| key.as_slice()).unwrap_or_default();
        let checks = [
            ("entries", meta.entries, seen.report.entries),
            ("tombstones", meta.tombstones, seen.report.tombstones),
            ("data blocks", meta.block_count, seen.report.data_blocks),
            ("key bytes", meta.key_bytes, seen.key_bytes),
            ("value bytes", meta.value_bytes, seen.value_bytes),
            ("smallest sequence number", meta.min_seqno, if none { 0 } else { seen.min_seqno }),
            ("largest sequence number", meta.max_seqno, seen.max_seqno),
        ];
        for (what, expected, found) in checks {
            if expected != found {
                let expected = format!("{expected} as the {what}, not {found}");
                return Err(self.source().damaged(0, expected));
            }
        }
        if meta.largest != last || meta.smallest != seen.first {
            return Err(self.source().damaged(0, "the bounds that the properties name"));
        }
        Ok(())
    }
}

impl Seen {
    fn note(&mut self, key: &[u8], trailer: Trailer, value_bytes: usize) {
        let report = &mut self.report;
        report.entries += 1;
        if matches!(trailer.kind(), Some(Kind::Delete | Kind::RangeDelete)) {
            report.tombstones += 1;
        }
        self.key_bytes += key.len() as u64;
        self.value_bytes += value_bytes as u64;
        self.min_seqno = self.min_seqno.min(trailer.seqno());
        self.max_seqno = self.max_seqno.max(trailer.seqno());
        if report.entries == 1 {
            self.first = key.to_vec();
        }
        let last = self.last.get_or_insert_default();
        last.0.clear();
        last.0.extend_from_slice(key);
        last.1 = trailer;
    }
}
