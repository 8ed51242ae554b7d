//! An open table: point reads.
//!
//! A read goes partition -> filter -> fence -> block cache or file -> block search. With one
//! partition (all but very large tables) the first three are in memory and nothing is allocated
//! for a block that is cached.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bloom::Filter;
use cache::{Label, Priority};

use crate::block::bytes::Bytes;
use crate::block::search::{Spot, point};
use crate::block::{DataBlock, View};
use crate::error::{Error, Result};
use crate::format::{BlockKind, FOOTER_BYTES, Footer, Handle};
use crate::index::{Directory, Index, Top};
use crate::key::{SeqNo, Trailer};
use crate::meta::TableMeta;
use crate::read_at::ReadAt;
use crate::source::Source;
use crate::value::{Found, Lent, kept};

/// A partition's index or filter serves thousands of blocks: it outlives them in the cache.
const INDEX: Label = Label { kind: cache::Kind::Index, priority: Priority::High };
const FILTER: Label = Label { kind: cache::Kind::Filter, priority: Priority::High };

/// A cache of decoded blocks, shared by any number of tables.
pub type BlockCache = cache::Cache<BlockKey, Block>;

/// Names a block among all tables that share a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// The table's number.
    pub table_id: u64,
    /// Where the block starts in the file, in bytes.
    pub offset: u64,
}

/// A block as kept in memory: checked, decompressed, ready to be searched. Clones share the bytes.
///
/// What a search of a data block needs to know besides the bytes lies in the block itself, which
/// lies in the cache's slot: a read that found the slot waits for the bytes next, for nothing else.
#[derive(Clone, Debug)]
pub struct Block {
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Data(DataBlock),
    Index(Arc<Index>),
    Filter(Arc<Filter<Bytes>>),
}

impl Block {
    /// Returns the memory the block takes, in bytes.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        let content = match &self.content {
            Content::Data(data) => data.bytes().memory(),
            Content::Index(index) => index.memory(),
            Content::Filter(filter) => filter.memory_usage(),
        };
        size_of::<Self>() + content
    }

    pub(crate) fn data(&self) -> Option<&DataBlock> {
        if let Content::Data(data) = &self.content { Some(data) } else { None }
    }

    pub(crate) fn index(&self) -> Option<&Index> {
        if let Content::Index(index) = &self.content { Some(index) } else { None }
    }

    pub(crate) fn filter(&self) -> Option<&Filter<Bytes>> {
        if let Content::Filter(filter) = &self.content { Some(filter) } else { None }
    }
}

/// What the owner of a table knows about it; what is `None` is not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The table's number.
    pub table_id: Option<u64>,
    /// The file's length in bytes.
    pub file_bytes: Option<u64>,
}

/// A block that the table holds for good, or a share of one in the cache.
pub(crate) enum Held<'a> {
    Pinned(&'a Block),
    Shared(Block),
}

impl Held<'_> {
    pub(crate) fn into_block(self) -> Block {
        match self {
            Self::Pinned(block) => block.clone(),
            Self::Shared(block) => block,
        }
    }
}

impl Deref for Held<'_> {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        match self {
            Self::Pinned(block) => block,
            Self::Shared(block) => block,
        }
    }
}

/// An open table.
///
/// Reads take `&self` and may come from any number of threads. Share it as `Arc<Table>`.
///
/// ```
/// use std::sync::Arc;
/// use sstable::{Expect, Kind, Table, TableWriter, Trailer, WriteOptions};
///
/// # fn main() -> sstable::Result<()> {
/// let mut writer = TableWriter::new(Vec::new(), "fruit.sst", 1, &WriteOptions::default())?;
/// writer.add(b"apple", Trailer::new(2, Kind::Put), b"red")?;
/// let (_, bytes) = writer.finish()?;
///
/// let table = Table::open(Arc::new(bytes), "fruit.sst", Expect::default(), None)?;
/// let now = Trailer::newest_at(2);
/// let found = table.get(b"apple", sstable::hash_key(b"apple"), now)?.unwrap();
/// assert_eq!(&*found.value, b"red");
/// assert!(table.get(b"banana", sstable::hash_key(b"banana"), now)?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Table {
    source: Source,
    meta: TableMeta,
    footer: Footer,
    top: Top,
    parts: Vec<Part>,
    cache: Option<Arc<BlockCache>>,
    false_positives: AtomicU64,
    /// What all entries count as written at; 0 if each has its own number.
    seqno: SeqNo,
}

/// Index and filter of a partition, once they are pinned: at open if there is one partition, on
/// first use if there is no cache to bring them through, else never.
#[derive(Debug, Default)]
struct Part {
    index: OnceLock<Block>,
    filter: OnceLock<Block>,
}

impl Table {
    /// Opens a table: reads and checks the footer, the properties, the top index and, unless the
    /// table is very large, index and filter. `name` is what messages call the file.
    ///
    /// # Errors
    /// [`Error::Corruption`] if the file is damaged, cut, or not the one expected;
    /// [`Error::Unsupported`] if it was written by a later version;
    /// [`Error::UnsupportedCodec`] if with a codec that is not built in; [`Error::Io`] if it
    /// cannot be read.
    pub fn open(
        file: Arc<dyn ReadAt>,
        name: &str,
        expect: Expect,
        cache: Option<Arc<BlockCache>>,
    ) -> Result<Self> {
        let (mut source, footer) = open_source(file, name, expect)?;
        let directory = read_directory(&source, &footer)?;
        if let Some(handle) = directory.dictionary {
            source.load_dictionary(handle)?;
        }
        let properties = source.block(directory.properties, BlockKind::Properties)?;
        let mut meta = TableMeta::decode(&properties.bytes).ok_or_else(|| {
            source.damaged(directory.properties.offset, "a well-formed properties block")
        })?;
        (meta.table_id, meta.file_bytes) = (footer.table_id, footer.file_bytes);
        let top_block = source.block(directory.top, BlockKind::Top)?;
        let top = Top::decode(&top_block.bytes)
            .ok_or_else(|| source.damaged(directory.top.offset, "a well-formed top index"))?;
        for part in &top.parts {
            source.check_bounds(part.index)?;
            part.filter.map_or(Ok(()), |filter| source.check_bounds(filter))?;
        }
        let mut parts = Vec::new();
        parts.resize_with(top.parts.len(), Part::default);
        let false_positives = AtomicU64::new(0);
        let seqno = 0;
        let table = Self { source, meta, footer, top, parts, cache, false_positives, seqno };
        if table.parts.len() == 1 {
            let block = table.load_index(0)?;
            table.parts[0].index.get_or_init(|| block);
            if table.top.parts[0].filter.is_some() {
                let block = table.load_filter(0)?;
                table.parts[0].filter.get_or_init(|| block);
            }
        }
        Ok(table)
    }

    /// Lets all entries count as written at `seqno`: for a table whose entries were written before
    /// their number was known, with the number 0 and one version a key. Reads and cursors show the
    /// new number; [`Table::meta`] and [`Table::verify`] tell of the file as it is.
    ///
    /// # Panics
    /// If an entry has a number of its own.
    pub fn set_seqno(&mut self, seqno: SeqNo) {
        assert_eq!(self.meta.max_seqno, 0, "the entries have numbers");
        self.seqno = seqno;
    }

    /// An entry's trailer as readers see it.
    #[inline]
    pub(crate) fn shown(&self, stored: Trailer) -> Trailer {
        if self.seqno == 0 { stored } else { stored.with_seqno(self.seqno) }
    }

    /// Whether [`Table::set_seqno`] was called.
    pub(crate) fn is_renumbered(&self) -> bool {
        self.seqno != 0
    }

    /// Returns what is known about the table.
    #[must_use]
    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// Returns the name that messages call the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// Returns the memory the table itself takes, in bytes: pinned indexes and filters, not blocks
    /// in the cache.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        let pinned = |lock: &OnceLock<Block>| lock.get().map_or(0, Block::memory_usage);
        let parts: usize = self.parts.iter().map(|p| pinned(&p.index) + pinned(&p.filter)).sum();
        let keys = self.meta.smallest.len() + self.meta.largest.len();
        let dictionary = self.source.dictionary.as_ref().map_or(0, |d| d.memory());
        dictionary
            + size_of::<Self>()
            + self.parts.len() * size_of::<Part>()
            + parts
            + self.top.memory()
            + keys
    }

    /// Returns `false` if the key whose `bloom::hash_key` is `hash` is certainly not in the table.
    ///
    /// Asks the filter that is in memory; a table of several partitions answers `true` (the key is
    /// needed to know whose filter to ask).
    #[must_use]
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        let [part] = self.parts.as_slice() else { return !self.parts.is_empty() };
        let filter = part.filter.get().and_then(|block| block.filter());
        filter.is_none_or(|filter| filter.may_contain_hash(hash))
    }

    /// Returns the newest version of `key` at or before `at` in age (its trailer is at most `at`),
    /// tombstones included; `hash` is `bloom::hash_key(key)`.
    ///
    /// # Errors
    /// [`Error::Corruption`] if a block fails its checks (the table stays usable); [`Error::Io`].
    pub fn get(&self, key: &[u8], hash: u64, at: Trailer) -> Result<Option<Found>> {
        self.read((key, hash, at), kept)
    }

    /// As [`Table::get`], but calls `take` with the version found instead of sharing its block.
    ///
    /// Touches no reference count, which other threads touch too. While `take` runs, blocks that
    /// leave the cache are not freed, so it should be short: look at the value or copy it.
    ///
    /// # Errors
    /// As [`Table::get`].
    #[inline]
    pub fn read<T>(
        &self,
        (key, hash, at): (&[u8], u64, Trailer),
        take: impl FnOnce(Trailer, Lent<'_>) -> T,
    ) -> Result<Option<T>> {
        let Some(part) = self.top.find(key) else { return Ok(None) };
        if !self.filter_allows(part, hash)? {
            return Ok(None);
        }
        let found = self.search(part, (key, hash, at), take)?;
        Ok(self.count_miss(found))
    }

    /// Takes note of a read that the filter let through in vain.
    #[inline]
    pub(crate) fn count_miss<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_none() {
            // ORDERING: Relaxed; a statistic. Rare, as long as the filter is worth having.
            self.false_positives.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// Count of point reads that the filter let through, or would have without a filter, and that
    /// found nothing.
    #[must_use]
    pub fn false_positives(&self) -> u64 {
        // ORDERING: Relaxed; a statistic.
        self.false_positives.load(Ordering::Relaxed)
    }

    #[inline]
    fn search<T>(
        &self,
        part: usize,
        wanted: (&[u8], u64, Trailer),
        take: impl FnOnce(Trailer, Lent<'_>) -> T,
    ) -> Result<Option<T>> {
        let held = self.index(part)?;
        let Some(index) = held.index() else { return Ok(None) };
        let Some(rank) = index.find(wanted.0, wanted.2) else { return Ok(None) };
        let Some(handle) = index.handle(rank) else { return Ok(None) };
        let find = |block: &Block| self.find_in(block, handle, wanted, take);
        let Some(cache) = &self.cache else { return find(&self.load_data(handle)?) };
        let (key, label) = (self.key(handle), Label::default());
        cache.read_or_load_as(&key, label, find, || self.load_data(handle).map(weigh))?
    }

    #[inline]
    pub(crate) fn find_in<T>(
        &self,
        block: &Block,
        handle: Handle,
        (key, hash, at): (&[u8], u64, Trailer),
        take: impl FnOnce(Trailer, Lent<'_>) -> T,
    ) -> Result<Option<T>> {
        let malformed = || self.malformed(handle);
        let data = block.data().ok_or_else(malformed)?;
        let view = data.view();
        let Some(spot) = point(view, key, hash, at).ok_or_else(malformed)? else { return Ok(None) };
        if !spot.exact {
            return Ok(None);
        }
        let trailer = self.shown(view.trailer(spot.rank));
        if trailer > at {
            return Ok(None);
        }
        let (start, end) = value_range(view, spot).ok_or_else(malformed)?;
        let bytes = view.body.get(start..end).ok_or_else(malformed)?;
        Ok(Some(take(trailer, Lent::new(data.bytes(), bytes, start))))
    }

    #[inline]
    pub(crate) fn filter_allows(&self, part: usize, hash: u64) -> Result<bool> {
        let (Some(handles), Some(pins)) = (self.top.parts.get(part), self.parts.get(part)) else {
            return Ok(false);
        };
        let Some(handle) = handles.filter else { return Ok(true) };
        let held = self.held(&pins.filter, (handle, FILTER), || self.load_filter(part))?;
        Ok(held.filter().is_none_or(|filter| filter.may_contain_hash(hash)))
    }

    /// Returns a partition's index.
    #[inline]
    pub(crate) fn index(&self, part: usize) -> Result<Held<'_>> {
        let (handles, pins) = (&self.top.parts[part], &self.parts[part]);
        self.held(&pins.index, (handles.index, INDEX), || self.load_index(part))
    }

    /// Returns a partition's filter, if it has one.
    pub(crate) fn filter_of(&self, part: usize) -> Result<Option<Block>> {
        let Some(handle) = self.top.parts[part].filter else { return Ok(None) };
        let held =
            self.held(&self.parts[part].filter, (handle, FILTER), || self.load_filter(part))?;
        Ok(Some(held.into_block()))
    }

    #[inline]
    fn held<'a>(
        &'a self,
        pin: &'a OnceLock<Block>,
        (handle, label): (Handle, Label),
        load: impl FnOnce() -> Result<Block>,
    ) -> Result<Held<'a>> {
        if let Some(block) = pin.get() {
            return Ok(Held::Pinned(block));
        }
        let Some(cache) = &self.cache else {
            let block = load()?;
            return Ok(Held::Pinned(pin.get_or_init(|| block)));
        };
        cache.get_or_load_as(&self.key(handle), label, || load().map(weigh)).map(Held::Shared)
    }

    fn key(&self, handle: Handle) -> BlockKey {
        BlockKey { table_id: self.source.table_id, offset: handle.offset }
    }

    fn load_index(&self, part: usize) -> Result<Block> {
        let handle = self.top.parts[part].index;
        let body = self.source.block(handle, BlockKind::Index)?;
        let index = Index::decode(&body.bytes)
            .filter(|index| index.end() <= self.source.blocks_end)
            .ok_or_else(|| self.source.damaged(handle.offset, "a well-formed index block"))?;
        Ok(Block { content: Content::Index(Arc::new(index)) })
    }

    fn load_filter(&self, part: usize) -> Result<Block> {
        let handle = self.top.parts[part].filter.unwrap_or_default();
        let body = self.source.block(handle, BlockKind::Filter)?;
        let filter = Filter::decode(body.bytes)
            .map_err(|error| self.source.damaged(handle.offset, format!("a filter: {error}")))?;
        Ok(Block { content: Content::Filter(Arc::new(filter)) })
    }

    /// Returns a data block from the cache or the file.
    #[inline]
    pub(crate) fn data_block(&self, handle: Handle, fill_cache: bool) -> Result<Block> {
        let Some(cache) = &self.cache else { return self.load_data(handle) };
        if fill_cache {
            return cache.get_or_load(&self.key(handle), || self.load_data(handle).map(weigh));
        }
        match cache.get(&self.key(handle)) {
            Some(block) => Ok(block),
            None => self.load_data(handle),
        }
    }

    /// Returns a data block if it is in the cache.
    pub(crate) fn cached(&self, handle: Handle) -> Option<Block> {
        self.cache.as_ref()?.get(&self.key(handle))
    }

    /// Whether a data block is in the cache.
    pub(crate) fn is_cached(&self, handle: Handle) -> bool {
        let cache = self.cache.as_ref();
        cache.is_some_and(|cache| cache.read(&self.key(handle), |_| ()).is_some())
    }

    /// Puts a data block into the cache.
    pub(crate) fn fill(&self, handle: Handle, block: &Block) {
        if let Some(cache) = &self.cache {
            cache.insert(self.key(handle), block.clone(), block.memory_usage());
        }
    }

    fn load_data(&self, handle: Handle) -> Result<Block> {
        let body = self.source.block(handle, BlockKind::Data)?;
        self.data_from(body, handle)
    }

    pub(crate) fn data_from(&self, body: crate::source::Body, handle: Handle) -> Result<Block> {
        let entries = usize::from(body.header.entry_count);
        let data = DataBlock::parse(body.bytes, entries)
            .map_err(|fault| self.source.fault(handle.offset, fault))?;
        Ok(Block { content: Content::Data(data) })
    }

    #[cold]
    pub(crate) fn malformed(&self, handle: Handle) -> Error {
        self.source.damaged(handle.offset, "a data block whose entries are well formed")
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    pub(crate) fn top(&self) -> &Top {
        &self.top
    }
}

/// Where a found entry's value lies in the body.
#[inline]
fn value_range(view: View<'_>, spot: Spot) -> Option<(usize, usize)> {
    let start = view.layout.values_at().checked_add(spot.value_at)?;
    let end = start.checked_add(spot.head.value_len)?;
    (end <= view.body.len()).then_some((start, end))
}

/// A block as the cache wants it: with its weight in bytes.
fn weigh(block: Block) -> (Block, usize) {
    let bytes = block.memory_usage();
    (block, bytes)
}

/// Reads the footer and checks it against the file and the owner's knowledge.
pub(crate) fn open_source(
    file: Arc<dyn ReadAt>,
    name: &str,
    expect: Expect,
) -> Result<(Source, Footer)> {
    let mut source =
        Source { file, name: name.into(), table_id: 0, blocks_end: 0, dictionary: None };
    let file_bytes = source.file.len().map_err(|error| source.io_error(0, error))?;
    if let Some(expected) = expect.file_bytes
        && expected != file_bytes
    {
        return Err(source.damaged(file_bytes, format!("a file of {expected} bytes")));
    }
    let Some(blocks_end) = file_bytes.checked_sub(FOOTER_BYTES as u64) else {
        return Err(source.damaged(file_bytes, "a table of at least 64 bytes"));
    };
    let mut bytes = [0; FOOTER_BYTES];
    source.read(blocks_end, &mut bytes)?;
    let footer = Footer::decode(&bytes).map_err(|fault| source.fault(blocks_end, fault))?;
    if footer.file_bytes != file_bytes {
        let expected = format!("a file of {} bytes", footer.file_bytes);
        return Err(source.damaged(file_bytes, expected));
    }
    if let Some(expected) = expect.table_id
        && expected != footer.table_id
    {
        let expected = format!("table number {expected}, not {}", footer.table_id);
        return Err(source.damaged(blocks_end, expected));
    }
    (source.table_id, source.blocks_end) = (footer.table_id, blocks_end);
    Ok((source, footer))
}

pub(crate) fn read_directory(source: &Source, footer: &Footer) -> Result<Directory> {
    let handle = footer.directory;
    let body = source.block(handle, BlockKind::Directory)?;
    match Directory::decode(&body.bytes) {
        Some(Ok(directory)) => Ok(directory),
        Some(Err(tag)) => Err(Error::Unsupported {
            file: Arc::clone(&source.name),
            what: format!("section {tag} of the directory"),
        }),
        None => Err(source.damaged(handle.offset, "a well-formed directory block")),
    }
}
