//! [`Logs`]: where the next log segment comes from.
//!
//! A segment is made before it is needed, from a file that an earlier segment has left (its pages
//! are written already, so syncing it is cheaper), and entered in the manifest at once. Sealing a
//! memtable then costs no I/O. Segments are used in the order of their numbers: the lock is held
//! while one is made, and the spare is always the newest.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::db::Inner;
use crate::error::Result;
use crate::manifest::Edit;
use crate::names;
use crate::options::Durability;
use crate::wal::Segment;

/// Files of old segments that are kept for new ones.
const RECYCLED_MAX: usize = 1;

/// The spare segment and the files to make others from.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    spare: Mutex<Option<Arc<Segment>>>,
    has_spare: AtomicBool,
    /// Making a spare failed; the next writer that needs a segment makes its own.
    gave_up: AtomicBool,
    recycled: Mutex<Vec<PathBuf>>,
}

impl Logs {
    /// Whether a spare should be made.
    pub(crate) fn wants_spare(&self) -> bool {
        // ORDERING: Relaxed; hints only, the lock in `prepare` decides.
        !self.has_spare.load(Ordering::Relaxed) && !self.gave_up.load(Ordering::Relaxed)
    }

    /// Says that no spare is wanted: a database without a log.
    pub(crate) fn disable(&self) {
        // ORDERING: Relaxed; a hint.
        self.gave_up.store(true, Ordering::Relaxed);
    }

    /// Makes the spare segment, if there is none.
    pub(crate) fn prepare(&self, inner: &Arc<Inner>) -> Result<()> {
        let mut spare = self.spare.lock();
        if spare.is_none() && inner.options.durability != Durability::None {
            let made = self.make(inner, capacity_bytes(inner, 0));
            // ORDERING: Relaxed; hints, see `wants_spare`.
            self.gave_up.store(made.is_err(), Ordering::Relaxed);
            *spare = Some(made?);
            self.has_spare.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Gives the segment that comes next, with room for a batch of `batch_bytes`.
    pub(crate) fn next(&self, inner: &Arc<Inner>, batch_bytes: usize) -> Result<Arc<Segment>> {
        let mut spare = self.spare.lock();
        let capacity = capacity_bytes(inner, batch_bytes);
        let taken = spare.take();
        // ORDERING: Relaxed; hints, see `wants_spare`.
        self.has_spare.store(false, Ordering::Relaxed);
        // One too small for a giant batch stays empty in the manifest, until it is dropped with
        // the memtable that comes next.
        if let Some(segment) = taken.filter(|segment| segment.capacity() >= capacity) {
            return Ok(segment);
        }
        let made = self.make(inner, capacity)?;
        // ORDERING: Relaxed; hints, see `wants_spare`.
        self.gave_up.store(false, Ordering::Relaxed);
        Ok(made)
    }

    fn make(&self, inner: &Arc<Inner>, capacity: u64) -> Result<Arc<Segment>> {
        let number = inner.tree.lock().new_file_number();
        let recycled = self.recycled.lock().pop();
        let (fs, folder) = (&inner.env.fs, &inner.path);
        let segment =
            Segment::create(&**fs, folder, number, inner.db_id, capacity, recycled.as_deref())?;
        let edit = Edit { added_logs: vec![number], ..Edit::default() };
        inner.tree.lock().append(edit)?;
        Ok(Arc::new(segment))
    }

    /// Takes back the file of a segment that the manifest no longer names.
    pub(crate) fn retire(&self, inner: &Inner, number: u64) {
        let path = names::log_path(&inner.path, number);
        let mut recycled = self.recycled.lock();
        if recycled.len() < RECYCLED_MAX {
            recycled.push(path);
        } else if let Err(error) = inner.env.fs.remove(&path) {
            tracing::warn!(path = %path.display(), %error, "an old log segment stays");
        }
    }
}

/// Bytes of a segment: a write buffer's worth, or one batch if that is larger.
fn capacity_bytes(inner: &Inner, batch_bytes: usize) -> u64 {
    let buffer = inner.options.write_buffer_bytes;
    Segment::capacity_for(buffer + buffer / 4).max(Segment::capacity_for(batch_bytes))
}
