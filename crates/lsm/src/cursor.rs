//! [`DbCursor`]: the live entries of the database in key order, both ways, at one moment.
//!
//! Below it, [`Sources`] yields every version of every key, newest first. The cursor shows
//! per key the newest version at or before its sequence number, and nothing if that is a deletion.
//!
//! 1. Going forward, the merge stands on the version that is shown.
//! 2. Going backward, the merge stands before all versions of the shown key (or nowhere), and
//!    the shown entry is kept in `found`: older versions come first that way, so the newest is
//!    known only when the key is left.

use std::ops::Bound;
use std::sync::Arc;

use sstable::{Cursor as _, Kind, SeqNo, Trailer};

use crate::error::{Error, Result};
use crate::latencies::{Step, StepTimer};
use crate::range_delete::RangeDeletes;
use crate::scan::Bounds;
use crate::source::{Source, Sources};
use crate::state::FamilyView;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// A cursor over live entries, bounded by a range, independent of later writes.
///
/// A fresh cursor is on no entry; seek first. Key and value are lent, not copied.
#[derive(Debug)]
pub struct DbCursor {
    merge: Sources,
    at: SeqNo,
    bounds: Bounds,
    /// Range deletes up to `at`, and maybe later ones.
    ranges: Vec<Arc<RangeDeletes>>,
    direction: Direction,
    valid: bool,
    key: Vec<u8>,
    value: Vec<u8>,
    timer: StepTimer,
    /// Tables and memtables stay alive as long as the cursor.
    _view: Arc<FamilyView>,
}

impl DbCursor {
    pub(crate) fn new(
        view: Arc<FamilyView>,
        (at, bounds): (SeqNo, Bounds),
        sources: Vec<Source>,
        timer: StepTimer,
    ) -> Self {
        Self {
            merge: Sources::new(sources),
            at,
            bounds,
            ranges: view.range_deletes(),
            direction: Direction::Forward,
            valid: false,
            key: Vec::new(),
            value: Vec::new(),
            timer,
            _view: view,
        }
    }

    /// Whether the cursor is on an entry.
    #[inline]
    pub fn valid(&self) -> bool {
        self.valid
    }

    /// The entry's key.
    ///
    /// # Panics
    /// If the cursor is on no entry.
    #[inline]
    pub fn key(&self) -> &[u8] {
        assert!(self.valid, "the cursor must be on an entry");
        match self.direction {
            Direction::Forward => self.merge.key(),
            Direction::Backward => &self.key,
        }
    }

    /// The entry's value.
    ///
    /// # Panics
    /// If the cursor is on no entry.
    #[inline]
    pub fn value(&self) -> &[u8] {
        assert!(self.valid, "the cursor must be on an entry");
        match self.direction {
            Direction::Forward => self.merge.value(),
            Direction::Backward => &self.value,
        }
    }

    /// Goes to the first entry of the range.
    ///
    /// # Errors
    /// A table that cannot be read; the cursor is then on no entry.
    pub fn seek_to_first(&mut self) -> Result<()> {
        self.counted(Step::Seek, |cursor| {
            match cursor.bounds.0.clone() {
                Bound::Unbounded => cursor.merge.seek_to_first()?,
                Bound::Included(key) => cursor.merge.seek(&key, Trailer::newest_at(cursor.at))?,
                Bound::Excluded(key) => cursor.seek_past(&key)?,
            }
            cursor.settle_forward(false)
        })
    }

    /// Goes to the last entry of the range.
    ///
    /// # Errors
    /// A table that cannot be read; the cursor is then on no entry.
    pub fn seek_to_last(&mut self) -> Result<()> {
        self.counted(Step::Seek, |cursor| {
            match cursor.bounds.1.clone() {
                Bound::Unbounded => cursor.merge.seek_to_last()?,
                Bound::Included(key) => cursor.merge.seek_for_prev(&key, OLDEST)?,
                Bound::Excluded(key) => cursor.seek_before(&key)?,
            }
            cursor.settle_backward()
        })
    }

    /// Goes to the first entry of the range whose key is `key` or larger.
    ///
    /// # Errors
    /// A table that cannot be read; the cursor is then on no entry.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        if below(&self.bounds.0, key) {
            return self.seek_to_first();
        }
        self.counted(Step::Seek, |cursor| {
            cursor.merge.seek(key, Trailer::newest_at(cursor.at))?;
            cursor.settle_forward(false)
        })
    }

    /// Goes to the last entry of the range whose key is `key` or smaller.
    ///
    /// # Errors
    /// A table that cannot be read; the cursor is then on no entry.
    pub fn seek_for_prev(&mut self, key: &[u8]) -> Result<()> {
        if above(&self.bounds.1, key) {
            return self.seek_to_last();
        }
        self.counted(Step::Seek, |cursor| {
            cursor.merge.seek_for_prev(key, OLDEST)?;
            cursor.settle_backward()
        })
    }

    /// Goes to the next entry; past the last one the cursor is on no entry. On no entry, stays.
    ///
    /// # Errors
    /// A table that cannot be read; the cursor is then on no entry.
    // By itself it is not inlined, with a timed step in it: 13 instructions an entry.
    #[inline(always)]
    #[expect(clippy::should_implement_trait, reason = "a cursor lends; an iterator gives away")]
    pub fn next(&mut self) -> Result<()> {
        if !self.valid {
            return Ok(());
        }
        if self.timer.due(Step::Next) { self.timed_advance() } else { self.advance() }
    }

    /// Goes to the entry before; before the first one the cursor is on no entry. On no entry,
    /// stays.
    ///
    /// # Errors
    /// A table that cannot be read; the cursor is then on no entry.
    pub fn prev(&mut self) -> Result<()> {
        if !self.valid {
            return Ok(());
        }
        self.counted(Step::Next, |cursor| {
            if cursor.direction == Direction::Forward {
                let key = cursor.merge.key().to_vec();
                cursor.seek_before(&key)?;
            }
            cursor.settle_backward()
        })
    }

    /// Whether a range delete hides this version of the merge's key.
    #[inline]
    fn hidden(&self, trailer: Trailer) -> bool {
        !self.ranges.is_empty() && self.hidden_at(self.merge.key(), trailer)
    }

    fn hidden_at(&self, key: &[u8], trailer: Trailer) -> bool {
        self.ranges.iter().any(|ranges| ranges.newest_at(key, self.at) > trailer.seqno())
    }

    /// Runs a movement; an error leaves the cursor on no entry.
    #[inline]
    fn guarded(&mut self, movement: impl FnOnce(&mut Self) -> Result<bool>) -> Result<()> {
        self.valid = false;
        self.valid = movement(self)?;
        Ok(())
    }

    /// The movement of `next`.
    #[inline(always)]
    fn advance(&mut self) -> Result<()> {
        self.guarded(|cursor| {
            if cursor.direction == Direction::Backward {
                let key = std::mem::take(&mut cursor.key);
                let sought = cursor.seek_past(&key);
                cursor.key = key;
                sought?;
                return cursor.settle_forward(false);
            }
            cursor.settle_forward(true)
        })
    }

    #[cold]
    #[inline(never)]
    fn timed_advance(&mut self) -> Result<()> {
        let begun = self.timer.begun();
        let advanced = self.advance();
        self.timer.end(Step::Next, begun);
        advanced
    }

    /// Runs a movement, timed if it is due to be.
    fn counted(
        &mut self,
        step: Step,
        movement: impl FnOnce(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let due = self.timer.due(step);
        let begun = if due { self.timer.begun() } else { None };
        let moved = self.guarded(movement);
        if due {
            self.timer.end(step, begun);
        }
        moved
    }

    /// Puts the merge on the first version after all of `key`'s.
    fn seek_past(&mut self, key: &[u8]) -> Result<()> {
        self.merge.seek(key, OLDEST)?;
        while self.merge.valid() && self.merge.key() == key {
            self.merge.next()?;
        }
        Ok(())
    }

    /// Puts the merge on the last version before all of `key`'s.
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.merge.seek_for_prev(key, NEWEST)?;
        while self.merge.valid() && self.merge.key() == key {
            self.merge.prev()?;
        }
        Ok(())
    }

    /// From the merge's position on, finds the next entry to show. With `leave`, first leaves
    /// the versions of the key that is shown now.
    #[inline]
    fn settle_forward(&mut self, leave: bool) -> Result<bool> {
        self.direction = Direction::Forward;
        // Whether it is known what to show of the key that the merge stands on.
        let mut decided = leave;
        if leave {
            self.merge.next()?;
        }
        while self.merge.valid() {
            if !(decided && self.merge.repeats()) {
                let trailer = self.merge.trailer();
                decided = trailer.seqno() <= self.at;
                if decided && live(trailer)? && !self.hidden(trailer) {
                    return Ok(!above(&self.bounds.1, self.merge.key()));
                }
            }
            self.merge.next()?;
        }
        Ok(false)
    }

    /// From the merge's position back, finds the entry before to show.
    fn settle_backward(&mut self) -> Result<bool> {
        self.direction = Direction::Backward;
        while self.merge.valid() {
            self.key.clear();
            self.key.extend_from_slice(self.merge.key());
            if below(&self.bounds.0, &self.key) {
                return Ok(false);
            }
            let mut shown = None;
            while self.merge.valid() && self.merge.key() == self.key.as_slice() {
                let trailer = self.merge.trailer();
                if trailer.seqno() <= self.at {
                    shown = Some(trailer);
                    self.value.clear();
                    self.value.extend_from_slice(self.merge.value());
                }
                self.merge.prev()?;
            }
            if let Some(trailer) = shown
                && live(trailer)?
                && !self.hidden_at(&self.key, trailer)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The trailers that sort after, and before, all versions of a key.
const OLDEST: Trailer = Trailer::from_raw(0);
const NEWEST: Trailer = Trailer::from_raw(u64::MAX);

/// Whether a version is a value rather than a deletion.
#[inline]
fn live(trailer: Trailer) -> Result<bool> {
    match trailer.kind() {
        Some(Kind::Put) => Ok(true),
        Some(Kind::Delete) => Ok(false),
        _ => Err(unknown_kind(trailer)),
    }
}

/// The error for an entry of a kind that this version does not read.
pub(crate) fn unknown_kind(trailer: Trailer) -> Error {
    Error::Unsupported {
        path: std::path::PathBuf::new(),
        what: format!("an entry of kind {}", trailer.raw() & 0xff),
    }
}

/// Whether `key` lies before the range.
fn below(bound: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match bound {
        Bound::Unbounded => false,
        Bound::Included(low) => key < low.as_slice(),
        Bound::Excluded(low) => key <= low.as_slice(),
    }
}

/// Whether `key` lies behind the range.
#[inline]
fn above(bound: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match bound {
        Bound::Unbounded => false,
        Bound::Included(high) => key > high.as_slice(),
        Bound::Excluded(high) => key >= high.as_slice(),
    }
}
