//! What a caller may ask for at once: a flush, a full compaction.

use std::sync::Arc;

use compaction::Manual;

use crate::admission::wait_until;
use crate::background;
use crate::commit;
use crate::compact::{self, Picked};
use crate::db::Inner;
use crate::error::Result;

/// Seals the memtable, if it holds anything, and waits until it is a table.
pub(crate) fn flush(inner: &Arc<Inner>) -> Result<()> {
    let tail = inner.tail.lock();
    inner.check_writable()?;
    let last = tail.next_seqno - 1;
    if tail.memtable_bytes > 0 {
        drop(commit::rotate(inner, tail, 0)?);
    } else {
        drop(tail);
    }
    wait_until(inner, |inner| {
        let view = inner.state.peek();
        view.sealed.iter().all(|memtable| memtable.last_seqno().is_none_or(|seqno| seqno > last))
    })
}

/// Flushes, then merges everything into the deepest level, a piece of the key space at a time.
pub(crate) fn compact(inner: &Arc<Inner>) -> Result<()> {
    flush(inner)?;
    let manual = Manual::all(&inner.state.peek().version.shape);
    background::retry(inner);
    loop {
        inner.check_writable()?;
        let seen = inner.progress.epoch();
        match compact::pick_manual(inner, &manual) {
            Picked::Plan(job) => compact::run_job(inner, &job)?,
            Picked::Blocked => inner.env.scheduler.wait(&inner.progress, seen),
            Picked::Done => return Ok(()),
        }
    }
}
