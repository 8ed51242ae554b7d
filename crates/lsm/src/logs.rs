//! [`Logs`]: where the next log segment comes from.
//!
//! A segment is made when the one before is half full, from a file that an earlier segment has
//! left (its pages are written already, so syncing it is cheaper), and entered in the manifest at
//! once. Going on to the next segment then costs a writer no I/O. Segments are used in the order
//! of their numbers: the lock is held while one is made, and the spare is always the newest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::error::Result;
use crate::events::Event;
use crate::inner::Inner;
use crate::manifest::Edit;
use crate::names;
use crate::options::Durability;
use crate::wal::Segment;

/// Files of old segments that are kept for new ones.
const RECYCLED_MAX: usize = 2;

/// Bytes of the first segment after opening; each one that follows has twice as many, up to
/// [`SEGMENT_BYTES_MAX`]. So a small database has a small log, and a busy one few segments.
const SEGMENT_BYTES_MIN: usize = 1 << 20;

/// Bytes of a segment at most, unless a single batch needs more.
const SEGMENT_BYTES_MAX: usize = 8 << 20;

/// The spare segment and the files to make others from.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    spare: Mutex<Option<Arc<Segment>>>,
    /// The segment in use is half full, and there is no spare.
    asked: AtomicBool,
    /// Segments made since the database was opened.
    made: AtomicU32,
    /// No (other) spare is to be made: there is one, or making it failed, and the next writer that
    /// needs a segment makes its own.
    gave_up: AtomicBool,
    recycled: Mutex<Vec<PathBuf>>,
}

impl Logs {
    /// Whether a spare should be made.
    pub(crate) fn wants_spare(&self) -> bool {
        // ORDERING: Relaxed; hints only, the lock in `prepare` decides.
        self.asked.load(Ordering::Relaxed) && !self.gave_up.load(Ordering::Relaxed)
    }

    /// Takes note that `segment` is used up to `end`, and says whether that calls for a spare.
    #[inline]
    pub(crate) fn used(&self, segment: &Segment, end: u64) -> bool {
        // ORDERING: Relaxed, both; hints.
        let asked = end <= segment.capacity() / 2 || self.asked.load(Ordering::Relaxed);
        !asked && !self.asked.swap(true, Ordering::Relaxed)
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
            // ORDERING: Relaxed; a hint. Stays set until `next`, also if this fails.
            self.gave_up.store(true, Ordering::Relaxed);
            let segment = self.make(inner, self.capacity_bytes(inner, 0))?;
            if inner.options.durability == Durability::Buffered {
                segment.get_ready();
            }
            *spare = Some(segment);
        }
        Ok(())
    }

    /// Gives the segment that comes next, with room for a batch of `batch_bytes`.
    pub(crate) fn next(&self, inner: &Arc<Inner>, batch_bytes: usize) -> Result<Arc<Segment>> {
        let mut spare = self.spare.lock();
        let capacity = Segment::capacity_for(batch_bytes);
        let taken = spare.take();
        // ORDERING: Relaxed; hints, see `wants_spare`.
        self.asked.store(false, Ordering::Relaxed);
        self.gave_up.store(false, Ordering::Relaxed);
        // One too small for a giant batch stays empty in the manifest, until it is dropped with
        // the memtable that comes next.
        let segment = match taken.filter(|segment| segment.capacity() >= capacity) {
            Some(segment) => segment,
            None => self.make(inner, self.capacity_bytes(inner, batch_bytes))?,
        };
        let (number, capacity_bytes) = (segment.number(), segment.capacity());
        inner.events.tell_later(Event::LogRotated { number, capacity_bytes });
        Ok(segment)
    }

    /// Whether `segment` is larger than the first one after opening.
    pub(crate) fn is_large(segment: &Segment) -> bool {
        segment.capacity() > Segment::capacity_for(SEGMENT_BYTES_MIN).next_multiple_of(8)
    }

    /// Segments start small again, as after opening.
    pub(crate) fn start_small(&self) {
        // ORDERING: Relaxed; a number that steers.
        self.made.store(0, Ordering::Relaxed);
    }

    /// Bytes of the next segment: twice the last one's, within limits, and a batch's at least.
    fn capacity_bytes(&self, inner: &Inner, batch_bytes: usize) -> u64 {
        // ORDERING: Relaxed; a number that steers.
        let made = self.made.fetch_add(1, Ordering::Relaxed).min(8);
        let buffer = inner.options.write_buffer_bytes;
        let most = SEGMENT_BYTES_MAX.min(buffer + buffer / 4);
        let bytes = (SEGMENT_BYTES_MIN << made).min(most);
        Segment::capacity_for(bytes.max(batch_bytes))
    }

    fn make(&self, inner: &Arc<Inner>, capacity: u64) -> Result<Arc<Segment>> {
        let number = inner.tree.lock().new_file_number();
        let recycled = self.recycled.lock().pop();
        let (fs, folder) = (&inner.env.fs, &inner.path);
        let segment =
            Segment::create(&**fs, folder, number, inner.db_id, capacity, recycled.as_deref())?;
        let edit = Edit { added_logs: vec![number], ..Edit::default() };
        let appended = inner.tree.lock().append(edit);
        appended.map_err(|error| inner.stop_writes(&error))?;
        Ok(Arc::new(segment))
    }

    /// Whether the file of log `number` waits to be used again.
    pub(crate) fn keeps(&self, inner: &Inner, number: u64) -> bool {
        self.recycled.lock().contains(&names::log_path(&inner.path, number))
    }

    /// Takes back the file of a segment that the manifest no longer names.
    pub(crate) fn retire(&self, inner: &Inner, number: u64) {
        let path = names::log_path(&inner.path, number);
        let mut recycled = self.recycled.lock();
        if recycled.len() < RECYCLED_MAX {
            recycled.push(path);
        } else {
            remove(inner, &path);
        }
    }

    /// Removes the files that were kept for new segments.
    pub(crate) fn clear(&self, inner: &Inner) {
        for path in self.recycled.lock().drain(..) {
            remove(inner, &path);
        }
    }
}

/// Removes an old segment; one that stays is an orphan, removed at the next open.
fn remove(inner: &Inner, path: &Path) {
    if let Err(error) = inner.env.fs.remove(path) {
        tracing::warn!(path = %path.display(), %error, "an old log segment stays");
    }
}
