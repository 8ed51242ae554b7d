//! Writes a table, block after block, in one pass.
//!
//! 1. Entries come in stored order, each `(key, trailer)` once.
//! 2. What is kept in memory is one block, the separators of the current partition and 8 bytes a
//!    key for its filter; both are written out when the partition is full.
//! 3. Equal input and options give equal bytes.

use std::io::Write;
use std::sync::Arc;

use crate::arrange::Arrangement;
use crate::block::Form;
use crate::block::builder::{BlockBuilder, Tally};
use crate::block::mixed::mix;
use crate::codec::{self, Codec, Coding, Compressor, LoadGauge};
use crate::error::{Error, Result};
use crate::format::{BlockKind, DECOMPRESSED_BYTES_MAX, Handle};
use crate::index::{Directory, IndexBuilder, PartHandles, Top};
use crate::key::{KEY_BYTES_MAX, Trailer, VALUE_BYTES_MAX, common_prefix, separator};
use crate::meta::TableMeta;
use crate::options::WriteOptions;
use crate::pack::{Pipeline, Raw, Ready};
use crate::sink::{BlockSink, Stored};

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
    /// What was asked for, whatever the load.
    coding: Coding,
    adapting: Option<Adapting>,
    arrangement: Arrangement,
    pipeline: Pipeline,
    training: Option<Training>,
    dictionary: Arc<[u8]>,
    index: IndexBuilder,
    filter: Option<bloom::Builder>,
    parts: Vec<PartHandles>,
    top: fence::Builder,
    separator: Vec<u8>,
    meta: TableMeta,
}

/// Blocks held back until there is enough to train a dictionary on.
#[derive(Debug, Default)]
struct Training {
    blocks: Vec<Held>,
    bytes: usize,
}

/// A block held back.
#[derive(Debug)]
struct Held {
    body: Vec<u8>,
    entries: u16,
    coding: Coding,
}

/// Bytes of an entry beside key and value, at most about.
const ENTRY_BYTES: usize = 16;

/// How blocks are compressed under the load of the moment.
#[derive(Debug)]
struct Adapting {
    gauge: Arc<LoadGauge>,
    coding: Coding,
    /// Bytes of blocks until the load is asked again.
    bytes_left: usize,
}

/// Bytes of blocks, before compression, that are compressed alike: one look at the load for each.
const LOAD_GROUP_BYTES: usize = 256 << 10;

/// Bytes of blocks to train on, for each byte of the dictionary.
const TRAINING_FACTOR: usize = 100;
/// How hard a dictionary itself is compressed, once a table.
const DICTIONARY_LEVEL: u8 = 19;
/// Bytes of blocks to choose them from: the first of a sorted table are unlike the others.
const HELD_BACK_FACTOR: usize = 1024;

impl<W: Write> TableWriter<W> {
    /// Starts a table with the number `table_id`, which no other table of a database may share.
    ///
    /// `name` is what messages call the file. The sink is written from its current position; it
    /// should buffer, as blocks are small.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] if an option is out of range; [`Error::UnsupportedCodec`] if the
    /// codec is not built in.
    pub fn new(sink: W, name: &str, table_id: u64, options: &WriteOptions) -> Result<Self> {
        options.validate().map_err(|error| error.of_file(name))?;
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
            coding: options.coding(),
            adapting: None,
            arrangement: Arrangement::default(),
            pipeline: Pipeline::new(options, &Arc::default()),
            training: (options.codec == Codec::Dictionary).then(Training::default),
            dictionary: Arc::default(),
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

    /// Notes whose the table is, for its properties: for a repair that has only tables.
    #[must_use]
    pub fn with_owner(mut self, owner: u64) -> Self {
        self.meta.owner = owner;
        self
    }

    /// Lets the load of the machine choose how hard the table is compressed: before each 256 KiB of
    /// blocks, the codec asked for becomes [`Coding::under`] what `gauge` shows.
    ///
    /// The bytes then depend on what the gauge showed when; what they hold does not.
    #[must_use]
    pub fn with_load(mut self, gauge: Arc<LoadGauge>) -> Self {
        self.adapting = Some(Adapting { gauge, coding: self.coding, bytes_left: 0 });
        self
    }

    /// Compresses the blocks to come with another codec or level, before the load of
    /// [`TableWriter::with_load`] has its say.
    ///
    /// # Errors
    /// [`Error::UnsupportedCodec`] if the codec is not built in; [`Error::InvalidOptions`] if it
    /// has no such level, or is `Dictionary` in a table that was not begun with it.
    pub fn set_coding(&mut self, coding: Coding) -> Result<()> {
        coding.validate().map_err(|error| error.of_file(self.sink.name()))?;
        if coding.codec == Codec::Dictionary && self.options.codec != Codec::Dictionary {
            return Err(Error::InvalidOptions("a dictionary is trained from the start".into()));
        }
        let trained = self.training.is_some() || !self.dictionary.is_empty();
        self.coding = if trained { coding } else { without_dictionary(coding) };
        if let Some(adapting) = &mut self.adapting {
            adapting.bytes_left = 0;
        }
        Ok(())
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// [`Error::TooLong`] if key or value is longer than the format allows (nothing is written);
    /// [`Error::Io`] if the sink fails, [`Error::TableFull`] after 2^32 blocks (the table is then
    /// unusable).
    ///
    /// # Panics
    /// If the entry does not come after the one before it in stored order.
    #[inline]
    pub fn add(&mut self, key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        if key.len() > KEY_BYTES_MAX || value.len() as u64 > VALUE_BYTES_MAX {
            return Err(too_long(key, value));
        }
        let mut shared = 0;
        if let Some(last) = self.block.last_trailer() {
            let last_key = self.block.last_key();
            shared = common_prefix(last_key, key);
            // The first bytes that differ tell the order; `None`, a key's end, is less than any.
            let (before, here) = (last_key.get(shared), key.get(shared));
            let ascends = before < here || before == here && last > trailer;
            assert!(ascends, "entries must ascend in stored order");
            let entry_bytes = key.len() + value.len() + ENTRY_BYTES;
            if self.block.is_full(entry_bytes, self.options.block_bytes) {
                self.cut(Some(key))?;
            }
        } else {
            self.meta.smallest = key.to_vec();
        }
        let hash = bloom::hash_key(key);
        if let Some(filter) = &mut self.filter {
            filter.add_hash(hash);
        }
        self.block.add((key, shared), trailer, value, hash);
        Ok(())
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
        let pending = self.block.bytes_max() + self.index.memory() + filter_bytes;
        let held = self.training.as_ref().map_or(0, |training| training.bytes);
        self.sink.offset() + (pending + held + self.pipeline.waiting_bytes()) as u64
    }

    /// Returns the count of entries added.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.meta.entries + self.block.entries() as u64
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
        self.send()?;
        if let Some(separator) = partition_separator {
            self.end_partition(&separator)?;
        }
        Ok(())
    }

    /// Sends the block to be compressed, or holds it back for training.
    fn send(&mut self) -> Result<()> {
        let (body, tally) = self.block.finish();
        note(&mut self.meta, tally);
        let coding = match &mut self.adapting {
            Some(adapting) => adapting.coding(self.coding, body.len()),
            None => self.coding,
        };
        let entries = tally.entries;
        let Some(training) = &mut self.training else {
            let form = self.arrangement.form(body, entries, coding);
            let mut write = into(&mut self.sink, &mut self.index, &mut self.meta);
            self.pipeline.submit(Raw { body, entries, coding, form }, &mut write)?;
            self.block.clear();
            return Ok(());
        };
        training.bytes += body.len();
        training.blocks.push(Held { body: body.to_vec(), entries, coding });
        self.block.clear();
        if training.bytes < self.options.dictionary_bytes * HELD_BACK_FACTOR {
            return Ok(());
        }
        self.end_training()
    }

    /// Trains the dictionary on the blocks held back and sends them.
    fn end_training(&mut self) -> Result<()> {
        let Some(training) = self.training.take() else { return Ok(()) };
        self.dictionary = self.train(&training).into();
        if self.dictionary.is_empty() {
            self.coding = without_dictionary(self.coding);
            if let Some(adapting) = &mut self.adapting {
                adapting.bytes_left = 0;
            }
        } else {
            self.pipeline = Pipeline::new(&self.options, &self.dictionary);
            self.arrangement = Arrangement::new(&self.dictionary);
        }
        let mut write = into(&mut self.sink, &mut self.index, &mut self.meta);
        for Held { body, entries, mut coding } in training.blocks {
            if self.dictionary.is_empty() {
                coding = without_dictionary(coding);
            }
            let form = self.arrangement.form(&body, entries, coding);
            self.pipeline.submit(Raw { body: &body, entries, coding, form }, &mut write)?;
        }
        Ok(())
    }

    /// Trains on blocks taken evenly from those held back, in the form that suits them.
    fn train(&self, training: &Training) -> Vec<u8> {
        let bytes_max = self.options.dictionary_bytes;
        let every = training.bytes.div_ceil(bytes_max * TRAINING_FACTOR).max(1);
        let sample = || training.blocks.iter().step_by(every);
        let coding = without_dictionary(self.coding);
        let mut arrangement = Arrangement::default();
        for raw in sample() {
            arrangement.form(&raw.body, raw.entries, coding);
        }
        let mut mixed = Vec::new();
        if arrangement.best() == Form::Mixed {
            mixed.resize_with(sample().count(), Vec::new);
            for (raw, mixed) in sample().zip(&mut mixed) {
                mix(&raw.body, usize::from(raw.entries), mixed).expect("the builder's own body");
            }
        }
        let bodies: Vec<&[u8]> = match arrangement.best() {
            Form::Apart => sample().map(|raw| raw.body.as_slice()).collect(),
            Form::Mixed => mixed.iter().map(Vec::as_slice).collect(),
        };
        codec::train(&bodies, bytes_max, coding)
    }

    /// Writes all blocks that are still under way.
    fn drain(&mut self) -> Result<()> {
        self.end_training()?;
        self.pipeline.drain(&mut into(&mut self.sink, &mut self.index, &mut self.meta))
    }

    /// Writes filter and index of the partition that is full.
    fn end_partition(&mut self, separator: &[u8]) -> Result<()> {
        self.drain()?;
        let mut part = PartHandles::default();
        if let Some(filter) = self.filter.take() {
            let handle = self.sink.put_plain(BlockKind::Filter, &filter.finish())?;
            self.meta.filter_bytes += handle.bytes;
            part.filter = Some(handle);
            self.filter = new_filter(&self.options);
        }
        self.body.clear();
        let mut body = std::mem::take(&mut self.body);
        self.index.finish(&mut body);
        part.index = self.put(BlockKind::Index, without_dictionary(self.coding), &body)?;
        self.body = body;
        self.meta.index_bytes += part.index.bytes;
        self.meta.partitions += 1;
        self.parts.push(part);
        self.top.push(separator);
        Ok(())
    }

    /// Writes a block that is no data block, compressed if that pays.
    fn put(&mut self, kind: BlockKind, coding: Coding, body: &[u8]) -> Result<Handle> {
        let finds_repetitions = coding.codec.finds_repetitions();
        let bytes_min = self.options.compress_bytes_min;
        if !finds_repetitions || body.len() < bytes_min || body.len() > DECOMPRESSED_BYTES_MAX {
            return self.sink.put_plain(kind, body);
        }
        let mut packed = Vec::new();
        let bytes = Compressor::new(&Arc::default()).compress(coding, body, 0, &mut packed);
        packed.truncate(bytes);
        if (body.len() as f64) < packed.len() as f64 * self.options.ratio_min {
            return self.sink.put_plain(kind, body);
        }
        self.sink.put(Stored {
            kind,
            form: Form::Apart,
            codec: coding.codec,
            entries: 0,
            original_bytes: body.len(),
            body: &packed,
        })
    }

    /// Writes what is left and returns what is known of the table, with the sink.
    ///
    /// The sink is flushed, not synced: that is its owner's business.
    ///
    /// # Errors
    /// [`Error::Io`] if the sink fails.
    pub fn finish(mut self) -> Result<(TableMeta, W)> {
        if self.block.entries() > 0 {
            self.cut(None)?;
        } else {
            self.meta.min_seqno = 0;
        }
        let dictionary = Arc::clone(&self.dictionary);
        let dictionary = if dictionary.is_empty() {
            None
        } else {
            let coding = Coding { codec: Codec::Zstd, level: DICTIONARY_LEVEL };
            Some(self.put(BlockKind::Dictionary, coding, &dictionary)?)
        };
        self.body.clear();
        let top = std::mem::replace(&mut self.top, fence::Builder::new(self.options.fence));
        Top::encode(&self.parts, &top.finish(), &mut self.body);
        let top = self.sink.put_plain(BlockKind::Top, &self.body)?;
        self.meta.data_bytes = self.meta.key_bytes + self.meta.value_bytes;
        self.body.clear();
        self.meta.encode(&mut self.body);
        let properties = self.sink.put_plain(BlockKind::Properties, &self.body)?;
        self.body.clear();
        Directory { top, properties, dictionary }.encode(&mut self.body);
        let directory = self.sink.put_plain(BlockKind::Directory, &self.body)?;
        let (file_bytes, sink) = self.sink.finish(directory)?;
        self.meta.file_bytes = file_bytes;
        Ok((self.meta, sink))
    }
}

impl Adapting {
    /// Returns how to compress a block of `bytes`, if `wanted` was asked for.
    fn coding(&mut self, wanted: Coding, bytes: usize) -> Coding {
        if self.bytes_left == 0 {
            self.coding = wanted.under(self.gauge.load());
            self.bytes_left = LOAD_GROUP_BYTES;
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.coding
    }
}

fn new_filter(options: &WriteOptions) -> Option<bloom::Builder> {
    let bits = options.filter_bits_per_key;
    (bits > 0.0).then(|| bloom::Builder::new(options.filter, bits))
}

/// The same effort by the same library, for a table too small to train a dictionary on.
fn without_dictionary(coding: Coding) -> Coding {
    match coding.codec {
        Codec::Dictionary => Coding { codec: Codec::Zstd, ..coding },
        _ => coding,
    }
}

/// Adds what a block's entries come to.
fn note(meta: &mut TableMeta, tally: Tally) {
    meta.entries += u64::from(tally.entries);
    meta.tombstones += tally.tombstones as u64;
    meta.key_bytes += tally.key_bytes as u64;
    meta.value_bytes += tally.value_bytes as u64;
    meta.min_seqno = meta.min_seqno.min(tally.trailer_min.seqno());
    meta.max_seqno = meta.max_seqno.max(tally.trailer_max.seqno());
}

/// Writes blocks that are ready, and notes where.
fn into<W: Write>(
    sink: &mut BlockSink<W>,
    index: &mut IndexBuilder,
    meta: &mut TableMeta,
) -> impl FnMut(Ready<'_>) -> Result<()> {
    move |ready| {
        let handle = sink.put(Stored {
            kind: BlockKind::Data,
            form: ready.form,
            codec: ready.codec,
            entries: ready.entries,
            original_bytes: ready.original_bytes,
            body: ready.body,
        })?;
        index.push_block(handle);
        meta.block_count += 1;
        meta.stored_bytes += handle.bytes;
        meta.blocks_by_codec[ready.codec as usize] += 1;
        Ok(())
    }
}

#[cold]
fn too_long(key: &[u8], value: &[u8]) -> Error {
    if key.len() > KEY_BYTES_MAX {
        return Error::TooLong {
            what: "key",
            bytes: key.len() as u64,
            limit: KEY_BYTES_MAX as u64,
        };
    }
    Error::TooLong { what: "value", bytes: value.len() as u64, limit: VALUE_BYTES_MAX }
}
