//! A position within one data block.
//!
//! Moving on copies only the key bytes that differ from the key before. Moving back decodes an
//! interval once and then steps through what it found.

use super::search::{Spot, lower_bound};
use super::{Head, View, head};
use crate::key::Trailer;

/// Where a cursor stands in a block; the block itself is handed to every call.
#[derive(Debug, Default)]
pub(crate) struct Position {
    rank: usize,
    /// Where the next entry's head starts.
    next_at: usize,
    value_at: usize,
    value_end: usize,
    key: Vec<u8>,
    trail: Trail,
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

impl Position {
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    pub(crate) fn rank(&self) -> usize {
        self.rank
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
        self.key.clear();
        self.value_end = value_at;
        self.rank = restart * view.layout.interval;
        self.read(view, at)?;
        Some(true)
    }

    /// Reads the entry at `at`, whose predecessor's key is in `self.key`.
    #[inline(always)]
    fn read(&mut self, view: View<'_>, at: usize) -> Option<()> {
        let keys = view.keys();
        let Head { shared, tail_at, end, value_len } = head(keys, at, view.layout.value_len)?;
        let tail = keys.get(tail_at..end)?;
        if shared > self.key.len() || !View::key_fits(shared + tail.len()) {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(tail);
        self.next_at = end;
        self.value_at = self.value_end;
        self.value_end = self.value_at.checked_add(value_len)?;
        (self.value_end <= view.body.len() - view.layout.values_at).then_some(())
    }

    #[inline]
    pub(crate) fn next(&mut self, view: View<'_>) -> Moved {
        if self.rank + 1 >= view.layout.entries {
            return Some(false);
        }
        self.rank += 1;
        self.read(view, self.next_at)?;
        Some(true)
    }

    pub(crate) fn last(&mut self, view: View<'_>) -> Moved {
        self.back_to(view, view.layout.entries - 1)
    }

    pub(crate) fn prev(&mut self, view: View<'_>) -> Moved {
        match self.rank.checked_sub(1) {
            Some(rank) => self.back_to(view, rank),
            None => Some(false),
        }
    }

    fn back_to(&mut self, view: View<'_>, rank: usize) -> Moved {
        let restart = rank / view.layout.interval;
        if self.trail.restart_plus_one != restart + 1 {
            self.lay_trail(view, restart)?;
        }
        let step = *self.trail.steps.get(rank - restart * view.layout.interval)?;
        self.key.clear();
        self.key.extend_from_slice(self.trail.keys.get(step.key_at..step.key_end)?);
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
        let end = view.layout.entries.min(self.rank + view.layout.interval);
        loop {
            let key_at = trail.keys.len();
            trail.keys.extend_from_slice(&self.key);
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
        self.key.clear();
        self.key.extend_from_slice(key.get(..head.shared)?);
        self.key.extend_from_slice(view.keys().get(head.tail_at..head.end)?);
        (self.rank, self.next_at) = (rank, head.end);
        (self.value_at, self.value_end) = (value_at, value_at.checked_add(head.value_len)?);
        (self.value_end <= view.body.len() - view.layout.values_at).then_some(true)
    }

    /// Moves to the last entry at or before `(key, trailer)`.
    pub(crate) fn seek_for_prev(&mut self, view: View<'_>, key: &[u8], trailer: Trailer) -> Moved {
        if !self.seek(view, key, trailer)? {
            return self.last(view);
        }
        if self.key == key && view.trailer(self.rank) == trailer {
            return Some(true);
        }
        self.prev(view)
    }
}
