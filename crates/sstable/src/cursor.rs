//! The one way to walk over entries, whatever holds them.

use crate::error::Result;
use crate::key::Trailer;

/// A position in a sorted sequence of entries, or none (fresh, before the first, after the last).
///
/// Entries come in stored order ([`crate::compare`]): user keys ascending, the newest version of
/// a key first. The slices returned stay valid until the cursor moves.
///
/// # Panics
/// `key`, `trailer`, `value`, `next` and `prev` panic if the cursor is not [`valid`](Self::valid).
pub trait Cursor {
    /// Returns whether the cursor stands on an entry.
    fn valid(&self) -> bool;

    /// Returns the user key of this entry.
    fn key(&self) -> &[u8];

    /// Returns version and kind of this entry.
    fn trailer(&self) -> Trailer;

    /// Returns the value of this entry.
    fn value(&self) -> &[u8];

    /// Returns whether the entry has the user key of the entry before it.
    ///
    /// Only asked right after [`Cursor::next`], of a valid cursor: the answer after any other move
    /// means nothing. A source often knows without comparing keys.
    fn repeats(&self) -> bool;

    /// Moves to the first entry; not valid if there is none.
    ///
    /// # Errors
    /// If the source cannot be read or is damaged; the cursor is then not valid.
    fn seek_to_first(&mut self) -> Result<()>;

    /// Moves to the last entry; not valid if there is none.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    fn seek_to_last(&mut self) -> Result<()>;

    /// Moves to the first entry at or after `(key, trailer)` in stored order.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()>;

    /// Moves to the last entry at or before `(key, trailer)` in stored order.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()>;

    /// Moves one entry on; not valid after the last.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    fn next(&mut self) -> Result<()>;

    /// Moves one entry back; not valid before the first.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    fn prev(&mut self) -> Result<()>;
}

impl<C: Cursor + ?Sized> Cursor for Box<C> {
    #[inline]
    fn valid(&self) -> bool {
        (**self).valid()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        (**self).key()
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        (**self).trailer()
    }

    #[inline]
    fn value(&self) -> &[u8] {
        (**self).value()
    }

    #[inline]
    fn repeats(&self) -> bool {
        (**self).repeats()
    }

    #[inline]
    fn seek_to_first(&mut self) -> Result<()> {
        (**self).seek_to_first()
    }

    #[inline]
    fn seek_to_last(&mut self) -> Result<()> {
        (**self).seek_to_last()
    }

    #[inline]
    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        (**self).seek(key, trailer)
    }

    #[inline]
    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        (**self).seek_for_prev(key, trailer)
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        (**self).next()
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        (**self).prev()
    }
}

/// Entries in memory as a cursor; the simplest source there is, and the oracle of the tests.
///
/// Entries must be sorted in stored order, each `(key, trailer)` once.
#[derive(Clone, Debug)]
pub struct SliceCursor<'a> {
    entries: &'a [(Vec<u8>, Trailer, Vec<u8>)],
    /// Rank of the entry under the cursor; `entries.len()` if there is none.
    at: usize,
}

impl<'a> SliceCursor<'a> {
    /// Makes a cursor that stands nowhere yet.
    #[must_use]
    pub fn new(entries: &'a [(Vec<u8>, Trailer, Vec<u8>)]) -> Self {
        Self { entries, at: entries.len() }
    }

    /// Rank of the first entry at or after the position.
    fn rank(&self, key: &[u8], trailer: Trailer) -> usize {
        self.entries.partition_point(|(k, t, _)| crate::compare(k, *t, key, trailer).is_lt())
    }
}

impl Cursor for SliceCursor<'_> {
    fn valid(&self) -> bool {
        self.at < self.entries.len()
    }

    fn key(&self) -> &[u8] {
        &self.entries[self.at].0
    }

    fn trailer(&self) -> Trailer {
        self.entries[self.at].1
    }

    fn value(&self) -> &[u8] {
        &self.entries[self.at].2
    }

    fn repeats(&self) -> bool {
        self.at.checked_sub(1).is_some_and(|before| self.entries[before].0 == self.key())
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.at = self.entries.len().saturating_sub(1);
        Ok(())
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        self.at = self.rank(key, trailer);
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> Result<()> {
        let rank = self.rank(key, trailer);
        let here = self.entries.get(rank).is_some_and(|(k, t, _)| k == key && *t == trailer);
        self.at = if here { rank } else { rank.checked_sub(1).unwrap_or(self.entries.len()) };
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        assert!(self.valid(), "the cursor stands on no entry");
        self.at += 1;
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        assert!(self.valid(), "the cursor stands on no entry");
        self.at = self.at.checked_sub(1).unwrap_or(self.entries.len());
        Ok(())
    }
}
