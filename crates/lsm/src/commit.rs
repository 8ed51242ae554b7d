//! How a write becomes durable and visible.
//!
//! ```text
//! 1 room      the memtable and the log segment have room, or both are sealed and replaced
//! 2 number    consecutive sequence numbers, one an operation
//! 3 log       one record for the batch
//!   ---------------------------------------------------- the lock ends here
//! 4 apply     into the memtable, several writers at once
//! 5 sync      only in `Durability::Sync`; one sync serves all who wait for it
//! 6 publish   in order; the writer returns when its own write is visible
//! ```
//!
//! 1. Only this file assigns sequence numbers.
//! 2. If 3 or 5 fails, what the log holds is in doubt: no write is taken any more, and what was
//!    applied meanwhile is never published.
//! 3. If room cannot be made (a full disk), nothing was numbered: the write fails alone. So does
//!    one that is larger than the log or a memtable can take: it is refused before it begins.

use std::cell::Cell;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use sstable::{Kind, SeqNo};

use crate::admission;
use crate::apply::apply;
use crate::batch::{self, Payload};
use crate::error::{Error, Result};
use crate::inner::Inner;
use crate::ledger::Account;
use crate::manifest::Edit;
use crate::memory;
use crate::memtable::{Arena, Growth, Memtable, Sealed};
use crate::option_changes::Live;
use crate::options::Durability;
use crate::wal::{self, Segment};

/// Bytes of the buffer that a thread keeps for encoding single writes.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// The active memtables by family id; dropped families leave a gap.
pub(crate) type Memtables = Vec<Option<Arc<Memtable>>>;

/// The end of the write order: where the next write goes.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) next_seqno: SeqNo,
    memtables: Arc<Memtables>,
    /// The families written to since the last seal: only theirs are sealed.
    touched: Vec<u32>,
    /// Bytes reserved in the memtables.
    pub(crate) memtable_bytes: usize,
    /// The first sequence number after the last seal.
    begun_seqno: SeqNo,
    pub(crate) log: Option<Arc<Segment>>,
    /// Counts seals.
    generation: u64,
}

impl Tail {
    /// Puts a family's memtable in its place, or takes it away.
    pub(crate) fn set_memtable(&mut self, family: u32, memtable: Option<Arc<Memtable>>) {
        let family = family as usize;
        let memtables = Arc::make_mut(&mut self.memtables);
        if memtables.len() <= family {
            memtables.resize(family + 1, None);
        }
        memtables[family] = memtable;
    }

    /// Notes that `families` are written to, if all of them live; else says which does not.
    fn touch(&mut self, families: &[u32]) -> std::result::Result<(), u32> {
        for &family in families {
            if !matches!(self.memtables.get(family as usize), Some(Some(_))) {
                return Err(family);
            }
        }
        for family in families {
            if !self.touched.contains(family) {
                self.touched.push(*family);
            }
        }
        Ok(())
    }

    /// Replaces the memtables that were written to, and returns the old ones with the new.
    fn replace_touched(&mut self, arena: &Arena) -> Vec<(u32, Arc<Memtable>, Arc<Memtable>)> {
        let memtables = Arc::make_mut(&mut self.memtables);
        let mut replaced = Vec::with_capacity(self.touched.len());
        for family in std::mem::take(&mut self.touched) {
            // A family may have been dropped since.
            if let Some(Some(memtable)) = memtables.get_mut(family as usize) {
                let fresh = Arc::new(Memtable::new(arena));
                let old = std::mem::replace(memtable, Arc::clone(&fresh));
                replaced.push((family, old, fresh));
            }
        }
        self.memtable_bytes = 0;
        self.begun_seqno = self.next_seqno;
        self.generation += 1;
        replaced
    }

    /// The number of the first write: recovery, before there are writers.
    pub(crate) fn begin_at(&mut self, seqno: SeqNo) {
        self.next_seqno = seqno;
        self.begun_seqno = seqno;
    }

    /// Whether the memtables have no room for `count` operations in `bytes` more.
    fn is_full(&self, live: &Live, bytes: usize, count: u32) -> bool {
        let entries = self.next_seqno - self.begun_seqno + u64::from(count);
        let entries_max = live.write_buffer_entries() as u64;
        self.memtable_bytes > 0
            && (self.memtable_bytes + bytes > live.seal_bytes()
                || (entries_max > 0 && entries > entries_max))
    }
}

/// Log segments that may hold bytes which are not on the medium, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unsynced(pub(crate) Mutex<Vec<Arc<Segment>>>);

/// What a writer holds after it has its place in the order.
struct Place {
    first: SeqNo,
    memtables: Arc<Memtables>,
    log: Option<(Arc<Segment>, u64)>,
    /// What the growth of the memtables calls for.
    growth: Growth,
}

/// Writes one operation.
pub(crate) fn write_one(
    inner: &Arc<Inner>,
    family: u32,
    kind: Kind,
    key: &[u8],
    value: &[u8],
) -> Result<()> {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.take();
    let result = batch::encode_single(&mut buffer, family, kind, (key, value))
        .and_then(|()| write(inner, Payload { bytes: &buffer, count: 1, families: &[family] }));
    if buffer.capacity() <= KEPT_BUFFER_BYTES {
        BUFFER.set(buffer);
    }
    result
}

/// Writes a batch.
pub(crate) fn write(inner: &Arc<Inner>, payload: Payload<'_>) -> Result<()> {
    if payload.count == 0 {
        return inner.check_open();
    }
    write_when(inner, payload, |_| Ok(true)).map(|_| ())
}

/// Writes a batch of at least one operation if `condition` holds, and says whether it did.
///
/// The condition is told the last sequence number before the batch, and is asked while no other
/// write can get one; it may be asked again if the batch needs a new memtable.
pub(crate) fn write_when(
    inner: &Arc<Inner>,
    payload: Payload<'_>,
    condition: impl FnMut(SeqNo) -> Result<bool>,
) -> Result<bool> {
    let overhead = payload.count as usize * inner.arena.entry_overhead_bytes();
    let memory = payload.bytes.len() + overhead;
    batch::check_size(payload.bytes.len() as u64, memory as u64)?;
    let begun = inner.timer(inner.counters.writes_here());
    admission::admit(inner, memory)?;
    let crc = wal::payload_crc(payload.bytes);
    let Some(place) = take_place(inner, payload, (crc, memory), condition)? else {
        return Ok(false);
    };
    let _gap = Gap { inner };
    let wants_log = place.log.as_ref().is_some_and(|(log, end)| inner.logs.used(log, *end));
    if wants_log || place.growth != Growth::Small {
        crate::background::schedule(inner);
    }
    if place.growth == Growth::Counts {
        memory::rebalance(inner);
    }
    apply(&place.memtables, place.first, payload.bytes)
        .unwrap_or_else(|expected| panic!("a batch of ours must decode: expected {expected}"));
    let last = place.first + u64::from(payload.count) - 1;
    let published = match (&place.log, inner.options.durability) {
        (Some((log, end)), Durability::Sync) => {
            inner.visible.applied(place.first, last);
            let synced = log.sync_to_then(*end, |synced| inner.visible.durable(synced));
            synced.map_err(|error| inner.stop_writes(&error))?;
            inner.visible.durable(last);
            inner.visible.wait(last)
        }
        _ => inner.visible.publish(place.first, last),
    };
    if !published {
        return Err(inner.writes_stopped());
    }
    inner.counters.wrote(payload.count, payload.bytes.len());
    inner.timed(&inner.timings.write, begun);
    Ok(true)
}

/// A place in the order whose writes are not published yet. If its writer panics, nobody behind it
/// could ever be published: they are let go with an error instead of waiting for ever.
struct Gap<'a> {
    inner: &'a Inner,
}

impl Drop for Gap<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.inner.stop_writes(&Error::InternalPanic { job: "a write".into() });
        }
    }
}

/// Steps 1 to 3.
fn take_place(
    inner: &Arc<Inner>,
    payload: Payload<'_>,
    (crc, memory): (u32, usize),
    mut condition: impl FnMut(SeqNo) -> Result<bool>,
) -> Result<Option<Place>> {
    let mut tail = inner.tail.lock();
    loop {
        inner.check_writable()?;
        if tail.is_full(&inner.live, memory, payload.count) {
            let why = "the write buffer is full";
            tail = rotate(inner, tail, (payload.bytes.len(), why))?;
            continue;
        }
        if !condition(tail.next_seqno - 1)? {
            return Ok(None);
        }
        tail.touch(payload.families).map_err(|family| inner.state.peek().dropped(family))?;
        let first = tail.next_seqno;
        let log = match &tail.log {
            None => None,
            Some(log) => match log.try_append(first, payload.bytes, crc) {
                Ok(Some(end)) => Some((Arc::clone(log), end)),
                Ok(None) => {
                    switch_log(inner, &mut tail, payload.bytes.len())?;
                    continue;
                }
                Err(error) => return Err(inner.log_failed(log, error)),
            },
        };
        tail.next_seqno += u64::from(payload.count);
        let before = tail.memtable_bytes;
        tail.memtable_bytes += memory;
        let growth = inner.arena.grew(before, tail.memtable_bytes);
        return Ok(Some(Place { first, memtables: Arc::clone(&tail.memtables), log, growth }));
    }
}

/// Replaces a full log segment by one with room for `batch_bytes`; the memtables go on.
fn switch_log(inner: &Arc<Inner>, tail: &mut Tail, batch_bytes: usize) -> Result<()> {
    let next = inner.logs.next(inner, batch_bytes)?;
    if let Err(error) = seal_log(inner, tail, Some(&next)) {
        inner.logs.give_back(next);
        return Err(error);
    }
    let full = tail.log.replace(next);
    inner.unsynced.0.lock().extend(full);
    Ok(())
}

/// Seals the memtables and their log segment, and starts new ones with room for `batch_bytes`.
///
/// Waits, without the lock, while too many sealed memtables wait for their flush.
pub(crate) fn rotate<'a>(
    inner: &'a Arc<Inner>,
    tail: MutexGuard<'a, Tail>,
    (batch_bytes, why): (usize, &'static str),
) -> Result<MutexGuard<'a, Tail>> {
    let generation = tail.generation;
    drop(tail);
    admission::wait_for_room(inner)?;
    let mut tail = inner.tail.lock();
    inner.check_writable()?;
    if tail.generation != generation {
        return Ok(tail); // another writer has done it
    }
    seal(inner, &mut tail, (batch_bytes, why))?;
    drop(tail);
    crate::background::schedule(inner);
    Ok(inner.tail.lock())
}

/// [`rotate`] for one who holds the lock, and has seen that there is room.
pub(crate) fn seal(
    inner: &Arc<Inner>,
    tail: &mut Tail,
    (batch_bytes, reason): (usize, &'static str),
) -> Result<()> {
    let log = match inner.options.durability {
        Durability::None => None,
        Durability::Sync | Durability::Buffered => Some(inner.logs.next(inner, batch_bytes)?),
    };
    let last = tail.next_seqno - 1;
    let filled_bytes = tail.memtable_bytes;
    if let Err(error) = seal_log(inner, tail, log.as_ref()) {
        if let Some(log) = log {
            inner.logs.give_back(log);
        }
        return Err(error);
    }
    let replaced = tail.replace_touched(&inner.arena);
    let sealed_log = std::mem::replace(&mut tail.log, log);
    let sealed = Sealed {
        log: sealed_log.as_ref().map(|log| log.number()),
        last_seqno: last,
        reason,
        memtables: replaced.iter().map(|(id, old, _)| (*id, Arc::clone(old))).collect(),
    };
    inner.unsynced.0.lock().extend(sealed_log);
    for (_, old, _) in &replaced {
        old.settle(Account::Sealed);
    }
    inner.state.change(|view| {
        view.sealed.insert(0, Arc::new(sealed));
        for (id, old, fresh) in replaced {
            view.change_family(id, |family| {
                family.sealed.insert(0, old);
                family.active = fresh;
            });
        }
        inner.admission.sealed(filled_bytes, inner.env.clock.now(), inner.counters.delayed());
        inner.admission.update(inner, view);
    });
    Ok(())
}

/// Ends the current log segment; `next` takes over. After an error for want of space it may be
/// done again.
fn seal_log(inner: &Inner, tail: &Tail, next: Option<&Arc<Segment>>) -> Result<()> {
    let Some(old) = &tail.log else { return Ok(()) };
    old.seal(tail.next_seqno).map_err(|error| inner.log_failed(old, error))?;
    if let (Durability::Sync, Some(next)) = (inner.options.durability, next) {
        // Then a loss in the old segment is told from a write that was cut.
        old.sync().map_err(|error| inner.stop_writes(&error))?;
        next.vouch(tail.next_seqno - 1).map_err(|error| inner.log_failed(next, error))?;
    }
    Ok(())
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

/// Puts everything on the medium and ends the log, for a database that is closing: a later loss
/// of any of it is then told from a write that was cut.
pub(crate) fn end_log(inner: &Arc<Inner>) -> Result<()> {
    sync_all(inner)?;
    let tail = inner.tail.lock();
    let Some(log) = &tail.log else { return Ok(()) };
    log.seal(tail.next_seqno).map_err(|error| inner.log_failed(log, error))?;
    log.sync().map_err(|error| inner.stop_writes(&error))?;
    // If the very end of the log rots, its end record with it, the manifest still knows.
    let last_seqno = Some(tail.next_seqno - 1);
    let edit = Edit { last_seqno, reason: "close".into(), ..Edit::default() };
    inner.append_edit(&mut inner.tree.lock(), edit)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, Options};

    #[test]
    fn a_writer_that_panics_stops_the_others_instead_of_holding_them_up() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path(), Options::default()).unwrap();
        db.put(b"before", b"v").unwrap();
        let inner = Arc::clone(db.inner());
        let panicked = std::thread::spawn(move || {
            let _gap = Gap { inner: &inner };
            panic!("as a memtable would");
        });
        assert!(panicked.join().is_err());
        assert!(matches!(db.put(b"after", b"v"), Err(Error::WritesStopped { .. })));
        assert_eq!(db.get(b"before").unwrap().as_deref(), Some(&b"v"[..]), "reads go on");
    }

    #[test]
    fn a_batch_too_large_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path(), Options::default()).unwrap();
        // What its entries take of a memtable counts, not only its bytes.
        let payload = Payload { bytes: &[0xff; 4], count: u32::MAX, families: &[0] };
        let refused = write(db.inner(), payload);
        assert!(matches!(refused, Err(Error::TooLong { .. })), "{refused:?}");
        db.put(b"after", b"v").unwrap();
        db.close().unwrap();
        let db = Db::open(folder.path(), Options::default()).unwrap();
        assert_eq!(db.get(b"after").unwrap().as_deref(), Some(&b"v"[..]));
    }
}
