//! How a write becomes durable and visible.
//!
//! ```text
//! 1 room      the memtable and the log segment have room, or both are sealed and replaced
//! 2 number    consecutive sequence numbers, one an operation
//! 3 log       one record for the batch
//!   ---------------------------------------------------- the lock ends here
//! 4 sync      only in `Durability::Sync`; one sync serves all who wait for it
//! 5 apply     into the memtable, several writers at once
//! 6 publish   in order; the writer returns when its own write is visible
//! ```
//!
//! 1. Only this file assigns sequence numbers.
//! 2. If 3 or 4 fails, what the log holds is in doubt: no write is taken any more.
//! 3. If room cannot be made (a full disk), nothing was numbered: the write fails alone.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use sstable::SeqNo;

use crate::admission;
use crate::db::Inner;
use crate::error::{Error, Result};
use crate::memtable::{ENTRY_OVERHEAD_BYTES, Memtable};
use crate::options::Durability;
use crate::wal::{self, Segment};

/// The end of the write order: where the next write goes.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) next_seqno: SeqNo,
    pub(crate) memtable: Arc<Memtable>,
    /// Bytes reserved in the memtable.
    pub(crate) memtable_bytes: usize,
    pub(crate) log: Option<Arc<Segment>>,
}

/// Log segments that may hold bytes which are not on the medium, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unsynced(pub(crate) Mutex<Vec<Arc<Segment>>>);

/// What a writer holds after it has its place in the order.
struct Place {
    first: SeqNo,
    memtable: Arc<Memtable>,
    log: Option<(Arc<Segment>, u64)>,
}

/// Writes a batch in the log's form, `count` operations.
pub(crate) fn write(inner: &Arc<Inner>, payload: &[u8], count: u32) -> Result<()> {
    if count == 0 {
        return inner.check_open();
    }
    let memory = payload.len() + count as usize * ENTRY_OVERHEAD_BYTES;
    admission::admit(inner, memory)?;
    let crc = wal::payload_crc(payload);
    let place = take_place(inner, payload, crc, (count, memory))?;
    if inner.options.durability == Durability::Sync
        && let Some((log, end)) = &place.log
        && let Err(error) = log.sync_to(*end)
    {
        return Err(inner.stop_writes(&error));
    }
    if let Err(expected) = place.memtable.apply(place.first, payload) {
        panic!("a batch that was just encoded does not decode: expected {expected}");
    }
    let last = place.first + u64::from(count) - 1;
    if !inner.visible.publish(place.first, last) {
        return Err(inner.writes_stopped());
    }
    inner.counters.wrote(count, payload.len());
    Ok(())
}

/// Steps 1 to 3.
fn take_place(
    inner: &Arc<Inner>,
    payload: &[u8],
    crc: u32,
    (count, memory): (u32, usize),
) -> Result<Place> {
    let mut tail = inner.tail.lock();
    loop {
        inner.check_writable()?;
        let full = tail.memtable_bytes > 0
            && tail.memtable_bytes + memory > inner.options.write_buffer_bytes;
        if full {
            tail = rotate(inner, tail, payload.len())?;
            continue;
        }
        let first = tail.next_seqno;
        let log = match &tail.log {
            None => None,
            Some(log) => match log.try_append(first, payload, crc) {
                Ok(Some(end)) => Some((Arc::clone(log), end)),
                Ok(None) => {
                    tail = rotate(inner, tail, payload.len())?;
                    continue;
                }
                Err(error) => return Err(inner.stop_writes(&error)),
            },
        };
        tail.next_seqno += u64::from(count);
        tail.memtable_bytes += memory;
        return Ok(Place { first, memtable: Arc::clone(&tail.memtable), log });
    }
}

/// Seals the memtable and its log segment, and starts new ones with room for `batch_bytes`.
///
/// Waits, without the lock, while too many sealed memtables wait for their flush.
pub(crate) fn rotate<'a>(
    inner: &'a Arc<Inner>,
    tail: MutexGuard<'a, Tail>,
    batch_bytes: usize,
) -> Result<MutexGuard<'a, Tail>> {
    let sealing = Arc::clone(&tail.memtable);
    drop(tail);
    admission::wait_for_room(inner)?;
    let mut tail = inner.tail.lock();
    inner.check_writable()?;
    if !Arc::ptr_eq(&sealing, &tail.memtable) {
        return Ok(tail); // another writer has done it
    }
    let log = match inner.options.durability {
        Durability::None => None,
        Durability::Sync | Durability::Buffered => Some(inner.logs.next(inner, batch_bytes)?),
    };
    let last = tail.next_seqno - 1;
    if let Some(old) = &tail.log {
        old.seal(tail.next_seqno).map_err(|error| inner.stop_writes(&error))?;
    }
    if let (Durability::Sync, Some(old), Some(new)) = (inner.options.durability, &tail.log, &log) {
        // Then a loss in the old segment is told from a write that was cut.
        let vouched = old.sync().and_then(|()| new.vouch(last));
        vouched.map_err(|error| inner.stop_writes(&error))?;
    }
    sealing.seal(last, None);
    let fresh = Arc::new(Memtable::new(log.as_ref().map(|log| log.number())));
    let sealed_log = std::mem::replace(&mut tail.log, log);
    inner.unsynced.0.lock().extend(sealed_log);
    tail.memtable = Arc::clone(&fresh);
    tail.memtable_bytes = 0;
    inner.state.change(|view| {
        view.sealed.insert(0, sealing);
        view.active = fresh;
    });
    drop(tail);
    crate::background::schedule(inner);
    Ok(inner.tail.lock())
}

/// Puts everything written so far on the medium.
pub(crate) fn sync(inner: &Arc<Inner>) -> Result<()> {
    inner.check_writable()?;
    sync_all(inner)
}

/// [`sync`] for a database that is closing.
pub(crate) fn sync_all(inner: &Arc<Inner>) -> Result<()> {
    let (current, last) = {
        let tail = inner.tail.lock();
        (tail.log.clone(), tail.next_seqno - 1)
    };
    let Some(current) = current else { return Ok(()) };
    let end = current.end();
    let older = inner.unsynced.0.lock().clone();
    let sync = || -> Result<()> {
        for log in &older {
            log.sync()?;
        }
        current.sync_to(end)
    };
    sync().map_err(|error| inner.stop_writes(&error))?;
    tracing::debug!(last, logs = older.len() + 1, "log synced");
    inner.unsynced.0.lock().retain(|log| !older.iter().any(|done| done.number() == log.number()));
    Ok(())
}

impl Inner {
    /// The error for a write after [`Inner::stop_writes`].
    pub(crate) fn writes_stopped(&self) -> Error {
        match self.check_writable() {
            Err(error) => error,
            Ok(()) => Error::Closed,
        }
    }
}
