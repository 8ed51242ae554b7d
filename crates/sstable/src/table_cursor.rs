//! A cursor over one table, both ways, with read-ahead.
//!
//! 1. `block` is `Some` exactly when the cursor stands on an entry.
//! 2. `part`, `rank` and `index` name the block even while it is being replaced.

use std::sync::Arc;

use crate::block::cursor::Position;
use crate::block::{DataBlock, View};
use crate::cursor::Cursor;
use crate::error::Result;
use crate::format::{BlockKind, Handle};
use crate::key::Trailer;
use crate::options::ReadOptions;
use crate::table::{Block, Table};

/// The first read-ahead, in bytes; each further one doubles.
const FIRST_AHEAD_BYTES: usize = 16 << 10;

/// Walks over the entries of a table.
///
/// Owns a share of the table and of the block it stands in, so it may outlive all others.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<Table>,
    options: ReadOptions,
    part: usize,
    index: Option<Block>,
    rank: usize,
    block: Option<Block>,
    position: Position,
    ahead: Ahead,
}

/// Bytes read before they were asked for.
#[derive(Debug, Default)]
struct Ahead {
    bytes: Vec<u8>,
    offset: u64,
    /// Where a read would have to begin to count as sequential.
    next_offset: u64,
    /// Bytes of the next read-ahead; 0 until two blocks were read one after another.
    window: usize,
}

/// Which entry of a block to move to.
#[derive(Clone, Copy)]
enum Goal<'a> {
    First,
    Last,
    AtOrAfter(&'a [u8], Trailer),
    AtOrBefore(&'a [u8], Trailer),
}

impl TableCursor {
    /// Makes a cursor that stands nowhere yet.
    #[must_use]
    pub fn new(table: Arc<Table>, options: ReadOptions) -> Self {
        Self {
            table,
            options,
            part: 0,
            index: None,
            rank: 0,
            block: None,
            position: Position::default(),
            ahead: Ahead::default(),
        }
    }

    /// Where the block begins in the file that the cursor stands in, in bytes; `None` on no entry.
    pub fn block_offset(&self) -> Option<u64> {
        self.block.as_ref()?;
        let index = self.index.as_ref().and_then(Block::index)?;
        index.handle(self.rank).map(|handle| handle.offset)
    }

    #[inline]
    fn view(&self) -> View<'_> {
        let data = self.block.as_ref().and_then(Block::data);
        data.expect("the cursor stands on no entry").view()
    }

    /// Makes `part` the current partition; `false` if there is no such partition.
    fn enter_part(&mut self, part: usize) -> Result<bool> {
        if part >= self.table.top().parts.len() {
            return Ok(false);
        }
        if self.index.is_none() || self.part != part {
            self.index = None;
            self.index = Some(self.table.index(part)?.into_block());
            self.part = part;
        }
        Ok(true)
    }

    /// Count of blocks of the current partition.
    fn blocks(&self) -> usize {
        self.index.as_ref().and_then(Block::index).map_or(0, crate::index::Index::blocks)
    }

    /// Loads block `rank` of the current partition and moves within it.
    fn enter_block(&mut self, rank: usize, goal: Goal<'_>) -> Result<bool> {
        self.block = None;
        self.rank = rank;
        let index = self.index.as_ref().and_then(Block::index);
        let Some(handle) = index.and_then(|index| index.handle(rank)) else { return Ok(false) };
        let block = self.load(handle)?;
        let malformed = || self.table.malformed(handle);
        let view = block.data().map(DataBlock::view).ok_or_else(malformed)?;
        let position = &mut self.position;
        position.reset();
        let moved = match goal {
            Goal::First => position.first(view),
            Goal::Last => position.last(view),
            Goal::AtOrAfter(key, trailer) => position.seek(view, key, trailer),
            Goal::AtOrBefore(key, trailer) => position.seek_for_prev(view, key, trailer),
        };
        let moved = moved.ok_or_else(malformed)?;
        if moved {
            self.block = Some(block);
        }
        Ok(moved)
    }

    fn load(&mut self, handle: Handle) -> Result<Block> {
        let sequential = self.ahead.next_offset == handle.offset && handle.offset > 0;
        self.ahead.next_offset = handle.offset + handle.bytes;
        let mapped = self.table.source().file.mapped().is_some();
        if self.options.read_ahead_bytes == 0 || mapped || !sequential {
            self.ahead.window = 0;
            return self.table.data_block(handle, self.options.fill_cache);
        }
        let table = Arc::clone(&self.table);
        if let Some(block) = table.cached(handle) {
            return Ok(block);
        }
        let block = self.load_ahead(&table, handle)?;
        if self.options.fill_cache {
            table.fill(handle, &block);
        }
        Ok(block)
    }

    /// Reads a block out of a larger read.
    fn load_ahead(&mut self, table: &Table, handle: Handle) -> Result<Block> {
        let source = table.source();
        source.check_bounds(handle)?;
        let ahead = &mut self.ahead;
        let bytes = usize::try_from(handle.bytes).unwrap_or(usize::MAX);
        let held = |ahead: &Ahead| {
            let start = usize::try_from(handle.offset.checked_sub(ahead.offset)?).ok()?;
            let end = start.checked_add(bytes).filter(|end| *end <= ahead.bytes.len())?;
            Some(start..end)
        };
        if held(ahead).is_none() {
            let limit = self.options.read_ahead_bytes;
            ahead.window = (ahead.window * 2).max(FIRST_AHEAD_BYTES).min(limit);
            let left = usize::try_from(source.blocks_end - handle.offset).unwrap_or(usize::MAX);
            ahead.bytes.resize(ahead.window.max(bytes).min(left), 0);
            ahead.offset = handle.offset;
            if let Err(error) = source.read(handle.offset, &mut ahead.bytes) {
                ahead.bytes.clear();
                return Err(error);
            }
        }
        let range = held(ahead).ok_or_else(|| table.malformed(handle))?;
        let raw = ahead.bytes.get(range).unwrap_or_default();
        let body = source.block_from(raw, handle, BlockKind::Data)?;
        table.data_from(body, handle)
    }

    /// Moves to the first entry of the blocks from `rank` of the current partition on.
    fn first_from(&mut self, mut rank: usize) -> Result<()> {
        loop {
            if rank < self.blocks() {
                if self.enter_block(rank, Goal::First)? {
                    return Ok(());
                }
                rank += 1;
            } else {
                self.block = None;
                if !self.enter_part(self.part + 1)? {
                    return Ok(());
                }
                rank = 0;
            }
        }
    }

    /// Moves to the last entry of the blocks before `rank` of the current partition.
    fn last_before(&mut self, mut rank: usize) -> Result<()> {
        loop {
            if rank > 0 {
                rank -= 1;
                if self.enter_block(rank, Goal::Last)? {
                    return Ok(());
                }
            } else {
                self.block = None;
                let Some(part) = self.part.checked_sub(1) else { return Ok(()) };
                if !self.enter_part(part)? {
                    return Ok(());
                }
                rank = self.blocks();
            }
        }
    }

    #[cold]
    fn next_block(&mut self) -> Result<()> {
        self.block = None;
        self.first_from(self.rank + 1)
    }

    #[cold]
    fn prev_block(&mut self) -> Result<()> {
        self.block = None;
        self.last_before(self.rank)
    }

    #[cold]
    fn malformed(&mut self) -> crate::Error {
        self.block = None;
        let index = self.index.as_ref().and_then(Block::index);
        self.table.malformed(index.and_then(|i| i.handle(self.rank)).unwrap_or_default())
    }
}

impl TableCursor {
    /// [`Cursor::seek`] where the stored numbers are not those shown: one version a key.
    #[cold]
    fn seek_renumbered(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        self.seek(key, Trailer::FIRST)?;
        if self.valid() && self.key() == key && self.trailer() > trailer {
            self.next()?;
        }
        Ok(())
    }
}

impl Cursor for TableCursor {
    #[inline]
    fn valid(&self) -> bool {
        self.block.is_some()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        assert!(self.valid(), "the cursor stands on no entry");
        self.position.key()
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        assert!(self.valid(), "the cursor stands on no entry");
        self.table.shown(self.position.trailer())
    }

    #[inline]
    fn value(&self) -> &[u8] {
        let view = self.view();
        view.body.get(self.position.value(view.layout.values_at())).unwrap_or_default()
    }

    #[inline]
    fn repeats(&self) -> bool {
        self.position.repeats()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.block = None;
        if self.enter_part(0)? { self.first_from(0) } else { Ok(()) }
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.block = None;
        let Some(part) = self.table.top().parts.len().checked_sub(1) else { return Ok(()) };
        self.enter_part(part)?;
        self.last_before(self.blocks())
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        if self.table.is_renumbered() && trailer < Trailer::FIRST {
            return self.seek_renumbered(key, trailer);
        }
        self.block = None;
        let Some(part) = self.table.top().find(key) else { return Ok(()) };
        self.enter_part(part)?;
        let index = self.index.as_ref().and_then(Block::index);
        let Some(rank) = index.and_then(|index| index.find(key, trailer)) else {
            // Behind the partition's last key, which is only possible at the end of the table.
            return self.first_from(self.blocks());
        };
        if self.enter_block(rank, Goal::AtOrAfter(key, trailer))? {
            return Ok(());
        }
        self.first_from(rank + 1)
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        if self.table.is_renumbered() {
            // The one version of the key, if any, then maybe the entry before it.
            self.seek(key, Trailer::FIRST)?;
            let at_key = self.valid() && self.key() == key;
            return match (self.valid(), at_key && self.trailer() >= trailer) {
                (_, true) => Ok(()),
                (true, false) => self.prev(),
                (false, false) => self.seek_to_last(),
            };
        }
        self.block = None;
        let Some(part) = self.table.top().find(key) else { return self.seek_to_last() };
        self.enter_part(part)?;
        let index = self.index.as_ref().and_then(Block::index);
        let Some(rank) = index.and_then(|index| index.find(key, trailer)) else {
            return self.last_before(self.blocks());
        };
        if self.enter_block(rank, Goal::AtOrBefore(key, trailer))? {
            return Ok(());
        }
        self.last_before(rank)
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        let data = self.block.as_ref().and_then(Block::data);
        let view = data.expect("the cursor stands on no entry").view();
        match self.position.next(view) {
            Some(true) => Ok(()),
            Some(false) => self.next_block(),
            None => Err(self.malformed()),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        let data = self.block.as_ref().and_then(Block::data);
        let view = data.expect("the cursor stands on no entry").view();
        match self.position.prev(view) {
            Some(true) => Ok(()),
            Some(false) => self.prev_block(),
            None => Err(self.malformed()),
        }
    }
}
