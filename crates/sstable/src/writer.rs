//! Writes a table, block after block, in one pass.
//!
//! 1. Entries come in stored order, each `(key, trailer)` once.
//! 2. What is kept in memory is one block, the separators of the current partition and 8 bytes a
//!    key for its filter; both are written out when the partition is full.
//! 3. Equal input and options give equal bytes.

use std::io::Write;

use crate::block::builder::BlockBuilder;
use crate::codec::{self, Codec};
use crate::error::{Error, Result};
use crate::format::{BlockKind, DECOMPRESSED_BYTES_MAX};
use crate::index::{Directory, IndexBuilder, PartHandles, Top};
use crate::key::{KEY_BYTES_MAX, Kind, Trailer, VALUE_BYTES_MAX, compare, separator};
use crate::meta::TableMeta;
use crate::options::WriteOptions;
use crate::sink::{BlockSink, Stored};

/// Entries of one block at most: its header counts them in 16 bits.
const BLOCK_ENTRIES_MAX: usize = u16::MAX as usize;
/// A block is cut before it grows beyond this, unless one entry alone does.
const BLOCK_GROWTH_MAX: usize = 1 << 30;
/// A block filled to this percentage is cut rather than overfilled by the next entry.
const FULL_ENOUGH_PERCENT: usize = 90;

/// Writes a sorted sequence of entries as a table.
///
/// ```
/// use sstable::{Kind, TableWriter, Trailer, WriteOptions};
///
/// # fn main() -> sstable::Result<()> {
/// let mut writer = TableWriter::new(Vec::new(), "fruit.sst", 1, &WriteOptions::default())?;
/// writer.add(b"apple", Trailer::new(2, Kind::Put), b"red")?;
/// writer.add(b"banana", Trailer::new(1, Kind::Put), b"yellow")?;
/// let (meta, bytes) = writer.finish()?;
/// assert_eq!((meta.entries, meta.file_bytes), (2, bytes.len() as u64));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TableWriter<W: Write> {
    sink: BlockSink<W>,
    options: WriteOptions,
    block: BlockBuilder,
    body: Vec<u8>,
    packed: Vec<u8>,
    index: IndexBuilder,
    filter: Option<bloom::Builder>,
    parts: Vec<PartHandles>,
    top: fence::Builder,
    separator: Vec<u8>,
    meta: TableMeta,
}

impl<W: Write> TableWriter<W> {
    /// Starts a table with the number `table_id`, which no other table of a database may share.
    ///
    /// `name` is what messages call the file. The sink is written from its current position; it
    /// should buffer, as blocks are small.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] if an option is out of range.
    pub fn new(sink: W, name: &str, table_id: u64, options: &WriteOptions) -> Result<Self> {
        options.validate()?;
        let meta = TableMeta {
            table_id,
            codec: options.codec,
            block_bytes: u32::try_from(options.block_bytes).unwrap_or(u32::MAX),
            restart_interval: u32::try_from(options.restart_interval).unwrap_or(u32::MAX),
            filter_bits_per_key: options.filter_bits_per_key,
            min_seqno: u64::MAX,
            ..TableMeta::default()
        };
        Ok(Self {
            sink: BlockSink::new(sink, name, table_id),
            block: BlockBuilder::new(options.restart_interval, options.hash_index),
            body: Vec::new(),
            packed: Vec::new(),
            index: IndexBuilder::new(options.fence),
            filter: new_filter(options),
            parts: Vec::new(),
            top: fence::Builder::new(options.fence),
            separator: Vec::new(),
            options: options.clone(),
            meta,
        })
    }

    /// Notes the level the table is written for and the time of its making, for its properties.
    #[must_use]
    pub fn with_origin(mut self, level: u32, created_at_us: u64) -> Self {
        self.meta.level = level;
        self.meta.created_at_us = created_at_us;
        self
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// [`Error::TooLong`] if key or value is longer than the format allows (nothing is written);
    /// [`Error::Io`] if the sink fails (the table is then unusable).
    ///
    /// # Panics
    /// If the entry does not come after the one before it in stored order.
    #[inline]
    pub fn add(&mut self, key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        check_lengths(key, value)?;
        let entry_bytes = key.len() + value.len() + 16;
        let filled = self.block.estimated_bytes();
        if let Some(last) = self.block.last_trailer() {
            let ascends = compare(self.block.last_key(), last, key, trailer).is_lt();
            assert!(ascends, "entries must ascend in stored order");
            let target = self.options.block_bytes;
            let over = filled + entry_bytes > target;
            if filled >= target
                || over && filled * 100 >= target * FULL_ENOUGH_PERCENT
                || filled + entry_bytes > BLOCK_GROWTH_MAX
                || self.block.entries() == BLOCK_ENTRIES_MAX
            {
                self.cut(Some(key))?;
            }
        }
        let hash = bloom::hash_key(key);
        if let Some(filter) = &mut self.filter {
            filter.add_hash(hash);
        }
        self.note(key, trailer, value);
        self.block.add(key, trailer, value, hash);
        Ok(())
    }

    fn note(&mut self, key: &[u8], trailer: Trailer, value: &[u8]) {
        let meta = &mut self.meta;
        if meta.entries == 0 {
            meta.smallest = key.to_vec();
        }
        meta.entries += 1;
        if matches!(trailer.kind(), Some(Kind::Delete | Kind::RangeDelete)) {
            meta.tombstones += 1;
        }
        meta.key_bytes += key.len() as u64;
        meta.value_bytes += value.len() as u64;
        meta.min_seqno = meta.min_seqno.min(trailer.seqno());
        meta.max_seqno = meta.max_seqno.max(trailer.seqno());
    }

    /// Returns the bytes the file would have if it were finished now, within a block or so.
    #[must_use]
    pub fn estimated_bytes(&self) -> u64 {
        let keys = self.filter.as_ref().map_or(0, bloom::Builder::len);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate; the options keep it positive and small"
        )]
        let filter_bytes = (keys as f64 * self.options.filter_bits_per_key / 8.0) as usize;
        let pending = self.block.estimated_bytes() + self.index.memory() + filter_bytes;
        self.sink.offset() + pending as u64
    }

    /// Returns the count of entries added.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.meta.entries
    }

    /// Ends the block that is being filled; `next` is the key that comes after it, if any.
    fn cut(&mut self, next: Option<&[u8]>) -> Result<()> {
        let last = self.block.last_key();
        let continued = if next == Some(last) { self.block.last_trailer() } else { None };
        let cut = match next {
            Some(next) => separator(last, next, &mut self.separator),
            None => last,
        };
        self.index.push_separator(cut, continued);
        let full = self.index.separators() >= self.options.partition_blocks;
        let ends_partition = next.is_none() || full && continued.is_none();
        let partition_separator = ends_partition.then(|| cut.to_vec());
        if next.is_none() {
            self.meta.largest = last.to_vec();
        }
        self.body.clear();
        let entries = self.block.finish(&mut self.body);
        self.write_data(entries)?;
        if let Some(separator) = partition_separator {
            self.end_partition(&separator)?;
        }
        Ok(())
    }

    fn write_data(&mut self, entries: u16) -> Result<()> {
        let codec = self.pack();
        let body = if codec == Codec::None { &self.body } else { &self.packed };
        let original_bytes = self.body.len();
        let block = Stored { kind: BlockKind::Data, codec, entries, original_bytes, body };
        let handle = self.sink.put(block)?;
        self.index.push_block(handle);
        self.meta.block_count += 1;
        self.meta.stored_bytes += handle.bytes;
        self.meta.blocks_by_codec[codec as usize] += 1;
        Ok(())
    }

    /// Compresses the body if that pays; returns the codec it is to be stored with.
    fn pack(&mut self) -> Codec {
        let bytes = self.body.len();
        let wanted = self.options.codec;
        let small = bytes < self.options.compress_bytes_min;
        if wanted == Codec::None || small || bytes > DECOMPRESSED_BYTES_MAX {
            return Codec::None;
        }
        self.packed.clear();
        codec::compress(wanted, &self.body, &mut self.packed);
        let pays = bytes as f64 >= self.packed.len() as f64 * self.options.ratio_min;
        if pays { wanted } else { Codec::None }
    }

    /// Writes filter and index of the partition that is full.
    fn end_partition(&mut self, separator: &[u8]) -> Result<()> {
        let mut part = PartHandles::default();
        if let Some(filter) = self.filter.take() {
            let handle = self.sink.put_plain(BlockKind::Filter, &filter.finish())?;
            self.meta.filter_bytes += handle.bytes;
            part.filter = Some(handle);
            self.filter = new_filter(&self.options);
        }
        self.body.clear();
        self.index.finish(&mut self.body);
        part.index = self.sink.put_plain(BlockKind::Index, &self.body)?;
        self.meta.index_bytes += part.index.bytes;
        self.meta.partitions += 1;
        self.parts.push(part);
        self.top.push(separator);
        Ok(())
    }

    /// Writes what is left and returns what is known of the table, with the sink.
    ///
    /// The sink is flushed, not synced: that is its owner's business.
    ///
    /// # Errors
    /// [`Error::Io`] if the sink fails.
    pub fn finish(mut self) -> Result<(TableMeta, W)> {
        if self.meta.entries == 0 {
            self.meta.min_seqno = 0;
        } else {
            self.cut(None)?;
        }
        self.body.clear();
        let top = std::mem::replace(&mut self.top, fence::Builder::new(self.options.fence));
        Top::encode(&self.parts, &top.finish(), &mut self.body);
        let top = self.sink.put_plain(BlockKind::Top, &self.body)?;
        self.meta.data_bytes = self.meta.key_bytes + self.meta.value_bytes;
        self.body.clear();
        self.meta.encode(&mut self.body);
        let properties = self.sink.put_plain(BlockKind::Properties, &self.body)?;
        self.body.clear();
        Directory { top, properties, dictionary: None }.encode(&mut self.body);
        let directory = self.sink.put_plain(BlockKind::Directory, &self.body)?;
        let (file_bytes, sink) = self.sink.finish(directory)?;
        self.meta.file_bytes = file_bytes;
        Ok((self.meta, sink))
    }
}

fn new_filter(options: &WriteOptions) -> Option<bloom::Builder> {
    let bits = options.filter_bits_per_key;
    (bits > 0.0).then(|| bloom::Builder::new(options.filter, bits))
}

fn check_lengths(key: &[u8], value: &[u8]) -> Result<()> {
    let check = |what, bytes: usize, limit| {
        let bytes = bytes as u64;
        if bytes > limit { Err(Error::TooLong { what, bytes, limit }) } else { Ok(()) }
    };
    check("key", key.len(), KEY_BYTES_MAX as u64)?;
    check("value", value.len(), VALUE_BYTES_MAX)
}
