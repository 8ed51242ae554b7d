//! A cursor over one table, both ways, with read-ahead.
//!
//! 1. `block` is `Some` exactly when the cursor stands on an entry.
//! 2. `part`, `rank` and `index` name the block even while it is being replaced.

use std::sync::Arc;

use crate::allowance::{Allowance, Hold};
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
    hold: Hold,
}

/// Bytes read before they were asked for.
#[derive(Debug, Default)]
struct Ahead {
    bytes: Vec<u8>,
    offset: u64,
    /// The block that was entered last.
    last: Handle,
    /// Whither blocks were read one after another so far; if so, bytes of the last read-ahead.
    run: Option<(Heading, usize)>,
}

/// Which way a cursor walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heading {
    Forward,
    Backward,
}

impl Ahead {
    /// Notes that a block is entered; returns whither the cursor walks, if this block lies beside
    /// the one before.
    fn enter(&mut self, handle: Handle) -> Option<Heading> {
        let last = std::mem::replace(&mut self.last, handle);
        let heading = if last.bytes == 0 {
            None
        } else if last.offset + last.bytes == handle.offset {
            Some(Heading::Forward)
        } else if handle.offset + handle.bytes == last.offset {
            Some(Heading::Backward)
        } else {
            None
        };
        if self.run.map(|(run, _)| run) != heading {
            self.run = heading.map(|heading| (heading, 0));
        }
        heading
    }

    /// The bytes of a block, if they were read already.
    fn held(&self, handle: Handle) -> Option<&[u8]> {
        let start = usize::try_from(handle.offset.checked_sub(self.offset)?).ok()?;
        let bytes = usize::try_from(handle.bytes).ok()?;
        self.bytes.get(start..start.checked_add(bytes)?)
    }
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
            hold: Hold::default(),
        }
    }

    /// Where the block begins in the file that the cursor stands in, in bytes; `None` on no entry.
    pub fn block_offset(&self) -> Option<u64> {
        self.block.as_ref()?;
        let index = self.index.as_ref().and_then(Block::index)?;
        index.handle(self.rank).map(|handle| handle.offset)
    }

    /// Charges `allowance` for what the cursor holds, and reads ahead as far as that lets it.
    #[must_use]
    pub fn with_allowance(mut self, allowance: Arc<Allowance>) -> Self {
        self.hold = Hold::new(allowance);
        self
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
        self.hold.block(block.memory_usage());
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
        let heading = self.ahead.enter(handle);
        let mapped = self.table.source().file.mapped().is_some();
        let Some(heading) = heading.filter(|_| self.options.read_ahead_bytes > 0 && !mapped) else {
            return self.table.data_block(handle, self.options.fill_cache);
        };
        let table = Arc::clone(&self.table);
        if let Some(block) = table.cached(handle) {
            return Ok(block);
        }
        let block = self.load_ahead(&table, handle, heading)?;
        if self.options.fill_cache {
            table.fill(handle, &block);
        }
        Ok(block)
    }

    /// Reads a block out of a larger read.
    fn load_ahead(&mut self, table: &Table, handle: Handle, heading: Heading) -> Result<Block> {
        let source = table.source();
        source.check_bounds(handle)?;
        let ahead = &mut self.ahead;
        if ahead.held(handle).is_none() {
            let window = ahead.run.map_or(0, |(_, window)| window) * 2;
            let window = window.max(FIRST_AHEAD_BYTES).min(self.options.read_ahead_bytes);
            // Not allowed to: as far as before, or this block alone.
            let allowed = self.hold.may_read_ahead(window);
            let window = if allowed { window } else { ahead.bytes.capacity() };
            ahead.run = Some((heading, window));
            let wanted = handle.bytes.max(window as u64);
            let from = match heading {
                Heading::Forward => handle.offset,
                // Not into what lies before the partition's blocks.
                Heading::Backward => {
                    let index = self.index.as_ref().and_then(Block::index);
                    let first = index.and_then(|index| index.handle(0)).unwrap_or(handle);
                    (handle.offset + handle.bytes).saturating_sub(wanted).max(first.offset)
                }
            };
            let to = match heading {
                Heading::Forward => source.blocks_end.min(handle.offset.saturating_add(wanted)),
                Heading::Backward => handle.offset + handle.bytes,
            };
            let bytes = usize::try_from(to.saturating_sub(from));
            let bytes = bytes.map_err(|_too_large| table.malformed(handle))?;
            if bytes > ahead.bytes.capacity() {
                ahead.bytes = Vec::with_capacity(bytes);
                self.hold.ahead(bytes);
            }
            ahead.bytes.resize(bytes, 0);
            ahead.offset = from;
            if let Err(error) = source.read(from, &mut ahead.bytes) {
                ahead.bytes.clear();
                return Err(error);
            }
        }
        let raw = ahead.held(handle).ok_or_else(|| table.malformed(handle))?;
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
