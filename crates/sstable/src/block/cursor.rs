//! A position within one data block.
//!
//! Moving on copies only the key bytes that differ from the key before. Moving back decodes an
//! interval once and then steps through what it found.
//!
//! 1. The key is the first `key_bytes` bytes of `key`; behind it there may be room, so that a short
//!    tail is copied as one word of [`WORD`] bytes, whatever its length.
//! 2. Equal keys share all their bytes, so `repeats` follows from the lengths, except at a restart.

use super::search::{Spot, lower_bound};
use super::{Head, View, head};
use crate::key::Trailer;

/// Bytes that are copied at once.
const WORD: usize = 16;

/// Where a cursor stands in a block; the block itself is handed to every call.
#[derive(Debug)]
pub(crate) struct Position {
    rank: usize,
    /// Where the next entry's head starts.
    next_at: usize,
    value_at: usize,
    value_end: usize,
    key: Vec<u8>,
    key_bytes: usize,
    trailer: Trailer,
    repeats: bool,
    trail: Trail,
}

#[cfg(fuzzing)]
impl Position {
    /// The entry's rank in the block.
    pub(crate) fn rank(&self) -> usize {
        self.rank
    }
}

/// The decoded entries of one interval, for moving back.
#[derive(Debug, Default)]
struct Trail {
    /// The restart that begins the interval, plus one; 0 if there is none.
    restart_plus_one: usize,
    keys: Vec<u8>,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    key_at: usize,
    key_end: usize,
    next_at: usize,
    value_at: usize,
    value_end: usize,
}

/// What a move came to: whether there is an entry; `None` means that the block is malformed.
type Moved = Option<bool>;

impl Default for Position {
    fn default() -> Self {
        Self {
            rank: 0,
            next_at: 0,
            value_at: 0,
            value_end: 0,
            key: Vec::new(),
            key_bytes: usize::MAX, // no key is that long: the first one repeats none
            trailer: Trailer::default(),
            repeats: false,
            trail: Trail::default(),
        }
    }
}

impl Position {
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.key.get(..self.key_bytes).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn trailer(&self) -> Trailer {
        self.trailer
    }

    /// Whether the last move was one on, from an entry with the same user key.
    #[inline]
    pub(crate) fn repeats(&self) -> bool {
        self.repeats
    }

    /// Where the value lies in the block's body.
    #[inline]
    pub(crate) fn value(&self, values_at: usize) -> std::ops::Range<usize> {
        values_at + self.value_at..values_at + self.value_end
    }

    /// Forgets what belongs to a block; keeps memory.
    pub(crate) fn reset(&mut self) {
        self.trail.restart_plus_one = 0;
    }

    pub(crate) fn first(&mut self, view: View<'_>) -> Moved {
        self.restart(view, 0)
    }

    /// Moves to the entry at a restart.
    fn restart(&mut self, view: View<'_>, restart: usize) -> Moved {
        let (at, value_at) = view.restart(restart)?;
        if head(view.keys(), at, view.layout.value_len())?.shared != 0 {
            return None;
        }
        self.value_end = value_at;
        self.rank = restart * view.layout.interval();
        self.read(view, at)?;
        Some(true)
    }

    /// Reads the entry at `at`, whose predecessor's key is in `self.key`.
    #[inline(always)]
    fn read(&mut self, view: View<'_>, at: usize) -> Option<()> {
        let keys = view.keys();
        let Head { shared, tail_at, end, value_len } = head(keys, at, view.layout.value_len())?;
        if shared > self.key_bytes {
            return None;
        }
        let bytes = shared + (end - tail_at);
        if !View::key_fits(bytes) {
            return None;
        }
        self.repeats = bytes == self.key_bytes
            && (end == tail_at || shared == 0 && keys.get(tail_at..end) == Some(self.key()));
        self.put_tail(keys, shared, (tail_at, end))?;
        self.trailer = view.trailer(self.rank);
        self.next_at = end;
        self.value_at = self.value_end;
        self.value_end = self.value_at.checked_add(value_len)?;
        (self.value_end <= view.body.len() - view.layout.values_at()).then_some(())
    }

    /// Puts a tail behind the first `shared` bytes of the key.
    #[inline(always)]
    fn put_tail(
        &mut self,
        keys: &[u8],
        shared: usize,
        (tail_at, end): (usize, usize),
    ) -> Option<()> {
        let bytes = end - tail_at;
        self.key_bytes = shared + bytes;
        if bytes <= WORD
            && let Some(from) = keys.get(tail_at..).and_then(<[u8]>::first_chunk::<WORD>)
            && let Some(to) = self.key.get_mut(shared..).and_then(<[u8]>::first_chunk_mut::<WORD>)
        {
            *to = *from;
            return Some(());
        }
        self.put_long_tail(shared, keys.get(tail_at..end)?)
    }

    fn put_long_tail(&mut self, shared: usize, tail: &[u8]) -> Option<()> {
        let needed = self.key_bytes + WORD;
        if self.key.len() < needed {
            self.key.resize(needed.next_power_of_two(), 0);
        }
        self.key.get_mut(shared..self.key_bytes)?.copy_from_slice(tail);
        Some(())
    }

    /// Replaces the key.
    fn put_key(&mut self, front: &[u8], tail: &[u8]) -> Option<()> {
        self.key_bytes = front.len();
        self.put_long_tail(0, front)?;
        self.key_bytes += tail.len();
        self.put_long_tail(front.len(), tail)
    }

    #[inline]
    pub(crate) fn next(&mut self, view: View<'_>) -> Moved {
        if self.rank + 1 >= view.layout.entries() {
            return Some(false);
        }
        self.rank += 1;
        self.read(view, self.next_at)?;
        Some(true)
    }

    pub(crate) fn last(&mut self, view: View<'_>) -> Moved {
        self.back_to(view, view.layout.entries() - 1)
    }

    pub(crate) fn prev(&mut self, view: View<'_>) -> Moved {
        match self.rank.checked_sub(1) {
            Some(rank) => self.back_to(view, rank),
            None => Some(false),
        }
    }

    fn back_to(&mut self, view: View<'_>, rank: usize) -> Moved {
        let restart = rank / view.layout.interval();
        if self.trail.restart_plus_one != restart + 1 {
            self.lay_trail(view, restart)?;
        }
        let step = *self.trail.steps.get(rank - restart * view.layout.interval())?;
        let trail = std::mem::take(&mut self.trail);
        let put = trail.keys.get(step.key_at..step.key_end).and_then(|key| self.put_key(key, &[]));
        self.trail = trail;
        put?;
        self.trailer = view.trailer(rank);
        (self.rank, self.next_at) = (rank, step.next_at);
        (self.value_at, self.value_end) = (step.value_at, step.value_end);
        Some(true)
    }

    /// Decodes the interval that begins at `restart`.
    fn lay_trail(&mut self, view: View<'_>, restart: usize) -> Option<()> {
        let mut trail = std::mem::take(&mut self.trail);
        trail.keys.clear();
        trail.steps.clear();
        self.restart(view, restart)?;
        let end = view.layout.entries().min(self.rank + view.layout.interval());
        loop {
            let key_at = trail.keys.len();
            trail.keys.extend_from_slice(self.key());
            trail.steps.push(Step {
                key_at,
                key_end: trail.keys.len(),
                next_at: self.next_at,
                value_at: self.value_at,
                value_end: self.value_end,
            });
            if self.rank + 1 >= end {
                break;
            }
            self.next(view)?;
        }
        trail.restart_plus_one = restart + 1;
        self.trail = trail;
        Some(())
    }

    /// Moves to the first entry at or after `(key, trailer)`.
    pub(crate) fn seek(&mut self, view: View<'_>, key: &[u8], trailer: Trailer) -> Moved {
        let Some(Spot { rank, head, value_at, .. }) = lower_bound(view, key, trailer)? else {
            return Some(false);
        };
        // The entry before is smaller than the wanted key and shares with this one no more than it
        // shares with the wanted one: so those bytes are the wanted key's own.
        self.put_key(key.get(..head.shared)?, view.keys().get(head.tail_at..head.end)?)?;
        self.trailer = view.trailer(rank);
        (self.rank, self.next_at) = (rank, head.end);
        (self.value_at, self.value_end) = (value_at, value_at.checked_add(head.value_len)?);
        (self.value_end <= view.body.len() - view.layout.values_at()).then_some(true)
    }

    /// Moves to the last entry at or before `(key, trailer)`.
    pub(crate) fn seek_for_prev(&mut self, view: View<'_>, key: &[u8], trailer: Trailer) -> Moved {
        if !self.seek(view, key, trailer)? {
            return self.last(view);
        }
        if self.key() == key && self.trailer == trailer {
            return Some(true);
        }
        self.prev(view)
    }
}
