//! What a caller may ask for at once: a flush, a full compaction.

use std::ops::Bound;
use std::sync::Arc;

use compaction::{KeyRange, Levels, Manual};
use sstable::SeqNo;

use crate::admission::wait_until;
use crate::background::{self, Awaited};
use crate::commit;
use crate::compact::{self, Picked};
use crate::error::Result;
use crate::inner::Inner;
use crate::logs::Logs;
use crate::scan::Bounds;

/// Seals the memtables, if they hold anything, and waits until they are tables.
pub(crate) fn flush(inner: &Arc<Inner>) -> Result<()> {
    let tail = inner.tail.lock();
    inner.check_writable()?;
    let last = tail.next_seqno - 1;
    if tail.memtable_bytes > 0 {
        drop(commit::rotate(inner, tail, (0, "somebody asked for it"))?);
    } else {
        drop(tail);
    }
    wait_for_flush(inner, last)
}

/// Waits until operation `last` is in a table.
fn wait_for_flush(inner: &Arc<Inner>, last: SeqNo) -> Result<()> {
    wait_until(inner, Awaited::Flushes, |inner| {
        inner.state.peek().sealed.last().is_none_or(|oldest| oldest.last_seqno > last)
    })
}

/// Flushes, then merges everything into the deepest levels, a piece of the key space at a time.
pub(crate) fn compact(inner: &Arc<Inner>) -> Result<()> {
    flush(inner)?;
    let view = inner.state.view();
    for family in view.families() {
        compact_family(inner, family.core.id, &Manual::all(&family.version.shape))?;
    }
    // Whoever asks for this wants the space back: also that of log files.
    inner.logs.clear(inner);
    shrink_log(inner)?;
    inner.logs.clear(inner);
    Ok(())
}

/// Goes on in a small log segment if the one in use is large and nothing is in it. The spare one
/// comes first, and may be large too.
fn shrink_log(inner: &Arc<Inner>) -> Result<()> {
    for _ in 0..2 {
        let tail = inner.tail.lock();
        let large = tail.log.as_ref().is_some_and(|log| Logs::is_large(log));
        if !large || tail.memtable_bytes > 0 {
            break;
        }
        inner.check_writable()?;
        inner.logs.start_small();
        let last = tail.next_seqno - 1;
        drop(commit::rotate(inner, tail, (0, "its log is larger than it need be"))?);
        wait_for_flush(inner, last)?;
    }
    Ok(())
}

/// Flushes, then merges what a family holds within `range` into its deepest level.
pub(crate) fn compact_range(inner: &Arc<Inner>, family: u32, (low, high): &Bounds) -> Result<()> {
    flush(inner)?;
    let shape = inner.state.view().family(family)?.version.shape.clone();
    let Some(mut range) = whole_range(&shape) else { return Ok(()) };
    // A closed range; an excluded end costs at most the tables that hold just that key.
    if let Bound::Included(key) | Bound::Excluded(key) = low {
        range.smallest.clone_from(key);
    }
    if let Bound::Included(key) | Bound::Excluded(key) = high {
        range.largest.clone_from(key);
    }
    if range.smallest > range.largest {
        return Ok(());
    }
    compact_family(inner, family, &Manual::new(&shape, Some(range)))
}

/// The keys from the smallest to the largest of a tree.
fn whole_range(shape: &Levels) -> Option<KeyRange> {
    let mut ranges = shape.tables().map(|(_, table)| table.range());
    let mut whole = ranges.next()?;
    for range in ranges {
        whole.include(&range);
    }
    Some(whole)
}

fn compact_family(inner: &Arc<Inner>, family: u32, manual: &Manual) -> Result<()> {
    background::retry(inner);
    loop {
        inner.check_writable()?;
        let seen = inner.progress.epoch();
        let caller = background::enter(inner)?;
        match compact::pick_manual(inner, family, manual) {
            Picked::Plan(job) => compact::run_job(inner, *job)?,
            Picked::Blocked => {
                drop(caller);
                inner.env.scheduler.wait(&inner.progress, seen);
            }
            Picked::Done => return Ok(()),
        }
    }
}
