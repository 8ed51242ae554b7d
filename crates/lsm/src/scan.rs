//! [`Scan`]: entries of a range as an iterator, from both ends, as of one moment.

use std::ops::{Bound, RangeBounds};

use crate::cursor::DbCursor;
use crate::error::Result;
use crate::latencies::StepTimer;
use crate::slice::{Key, Slice, Value};

/// A range of keys, low and high end.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Entries in key order; `next_back` takes them from the other end.
///
/// The iterator keeps what it reads alive: it outlives flushes, compactions and the database
/// handle. After an error it is over.
#[derive(Debug)]
pub struct Scan {
    make: Cursors,
    front: Option<DbCursor>,
    back: Option<DbCursor>,
    ended: bool,
}

/// A cursor yet unused, for the end that is asked first, and the way to make another.
#[derive(Debug)]
struct Cursors {
    view: std::sync::Arc<crate::state::FamilyView>,
    at: sstable::SeqNo,
    bounds: Bounds,
    timer: StepTimer,
}

impl Scan {
    pub(crate) fn new(
        view: std::sync::Arc<crate::state::FamilyView>,
        at: sstable::SeqNo,
        bounds: Bounds,
        timer: StepTimer,
    ) -> Self {
        Self { make: Cursors { view, at, bounds, timer }, front: None, back: None, ended: false }
    }

    /// Takes an entry from the front.
    fn forward(&mut self) -> Result<Option<(Key, Value)>> {
        match &mut self.front {
            Some(cursor) => cursor.next()?,
            none => none.insert(self.make.cursor()).seek_to_first()?,
        }
        Ok(meet(self.front.as_ref(), self.back.as_ref(), self.front.as_ref()))
    }

    /// Takes an entry from the back.
    fn backward(&mut self) -> Result<Option<(Key, Value)>> {
        match &mut self.back {
            Some(cursor) => cursor.prev()?,
            none => none.insert(self.make.cursor()).seek_to_last()?,
        }
        Ok(meet(self.front.as_ref(), self.back.as_ref(), self.back.as_ref()))
    }

    fn step(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<Option<(Key, Value)>>,
    ) -> Option<Result<(Key, Value)>> {
        if self.ended {
            return None;
        }
        let entry = take(self).transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

impl Cursors {
    fn cursor(&self) -> DbCursor {
        crate::read::cursor(&self.view, self.at, self.bounds.clone(), self.timer.clone())
    }
}

/// The entry under `taken`, unless the two ends have met or passed each other.
fn meet(
    front: Option<&DbCursor>,
    back: Option<&DbCursor>,
    taken: Option<&DbCursor>,
) -> Option<(Key, Value)> {
    let taken = taken.filter(|cursor| cursor.valid())?;
    if let (Some(front), Some(back)) = (front, back)
        && (!front.valid() || !back.valid() || front.key() >= back.key())
    {
        return None;
    }
    Some((Slice::from(taken.key()), Slice::from(taken.value())))
}

impl Iterator for Scan {
    type Item = Result<(Key, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Self::forward)
    }
}

impl DoubleEndedIterator for Scan {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(Self::backward)
    }
}

impl std::iter::FusedIterator for Scan {}

/// A range of keys, copied.
pub(crate) fn bounds_of<K: AsRef<[u8]>>(range: &impl RangeBounds<K>) -> Bounds {
    let copy = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
    (copy(range.start_bound()), copy(range.end_bound()))
}

/// The range of all keys that begin with `prefix`.
pub(crate) fn bounds_of_prefix(prefix: &[u8]) -> Bounds {
    let low = Bound::Included(prefix.to_vec());
    // The first key behind the prefix: its last byte below 0xff, raised by one.
    let kept = prefix.iter().rposition(|&byte| byte < 0xff).map(|last| &prefix[..=last]);
    let high = kept.map_or(Bound::Unbounded, |kept| {
        let mut high = kept.to_vec();
        if let Some(last) = high.last_mut() {
            *last += 1;
        }
        Bound::Excluded(high)
    });
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_no_key_can_begin_with_it() {
        let high = |prefix: &[u8]| bounds_of_prefix(prefix).1;
        assert_eq!(high(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(high(b"a\xff\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(high(b"\xff"), Bound::Unbounded);
        assert_eq!(high(b""), Bound::Unbounded);
    }
}
