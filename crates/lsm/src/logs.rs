//! [`Logs`]: where the next log segment comes from.
//!
//! A segment is made when the one before is a quarter full, from a file that an earlier segment has
//! left (its pages are written already, so syncing it is cheaper), and entered in the manifest at
//! once. Going on to the next segment then costs a writer no I/O. Segments are used in the order
//! of their numbers: the lock is held while one is made, and the spare is always the newest.
//!
//! A writer that finds no spare makes its segment itself: a file and an edit of the manifest.
//! That is not told as a stall, but is in the latency of its write.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::admission::{self, Pressure};
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
    /// The segment in use is a quarter full, and there is no spare.
    asked: AtomicBool,
    /// Segments made since the database was opened.
    made: AtomicU32,
    /// No (other) spare is to be made: there is one, or making it failed, and the next writer that
    /// needs a segment makes its own.
    gave_up: AtomicBool,
    recycled: Mutex<Vec<PathBuf>>,
    /// Segments that are mapped, for the books.
    mapped: Mutex<Vec<Weak<Segment>>>,
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
        let asked = end <= segment.capacity() / 4 || self.asked.load(Ordering::Relaxed);
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
            // Under a budget the pages of a log count, and come when they are written.
            let options = &inner.options;
            if options.durability == Durability::Buffered && options.memory_budget_bytes == 0 {
                segment.get_ready();
            }
            *spare = Some(segment);
        }
        Ok(())
    }

    /// Gives the segment that comes next, with room for a batch of `batch_bytes`.
    pub(crate) fn next(&self, inner: &Arc<Inner>, batch_bytes: usize) -> Result<Arc<Segment>> {
        let begun = inner.env.clock.now();
        let mut spare = self.spare.lock(); // whoever makes one holds it meanwhile
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
        admission::held_up(inner, Pressure::Log, begun);
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
        let made =
            Segment::create(&**fs, folder, number, inner.db_id, capacity, recycled.as_deref());
        if let (Err(_), Some(old)) = (&made, recycled) {
            self.put_back(inner, old);
        }
        let segment = made?;
        let edit = Edit { added_logs: vec![number], ..Edit::default() };
        if let Err(error) = inner.append_edit(&mut inner.tree.lock(), edit) {
            if !inner.is_stopped() {
                remove(inner, segment.path()); // no edit names it; after a doubtful one, one may
            }
            return Err(error);
        }
        let segment = Arc::new(segment);
        let mut mapped = self.mapped.lock();
        mapped.retain(|segment| segment.strong_count() > 0);
        mapped.push(Arc::downgrade(&segment));
        Ok(segment)
    }

    /// Bytes of the segments' pages that are in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let mapped = self.mapped.lock();
        mapped.iter().filter_map(Weak::upgrade).map(|segment| segment.memory_bytes()).sum()
    }

    /// Takes back a segment that [`Logs::next`] gave and that could not be begun.
    pub(crate) fn give_back(&self, segment: Arc<Segment>) {
        *self.spare.lock() = Some(segment);
    }

    /// Keeps an old file from which no segment could be made, if it has its name still: for the
    /// next segment, and to be removed when the database closes.
    fn put_back(&self, inner: &Inner, old: PathBuf) {
        if matches!(inner.env.fs.exists(&old), Ok(true)) {
            self.recycled.lock().push(old);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::fs::{Call, Fault, FaultFs, MemFs};
    use crate::manifest::Manifest;
    use crate::scheduler::InlineScheduler;
    use crate::{Db, Env, Options};

    #[test]
    fn an_old_file_is_not_forgotten_where_no_segment_could_be_made_from_it() {
        let disk = MemFs::new();
        let fs = FaultFs::new(Arc::new(disk.clone()));
        let options = Options { write_buffer_bytes: 64 << 10, ..Options::default() };
        let scheduler = Arc::new(InlineScheduler::new(3));
        let env = Env { fs: Arc::new(fs.clone()), scheduler, ..Env::system(&options).unwrap() };
        let db = Db::open_with("/db", options, env).unwrap();
        let write = || -> Result<()> {
            for n in 0..100_u32 {
                db.put(n.to_le_bytes(), [b'v'; 500])?;
            }
            db.flush()?;
            db.wait_idle()
        };
        let inner = Arc::clone(db.inner());
        while inner.logs.recycled.lock().is_empty() {
            write().unwrap();
        }
        let before = fs.calls_of(Call::CreateLog);
        fs.add(Fault::next(Call::CreateLog));
        while fs.calls_of(Call::CreateLog) < before + 3 {
            // Fails where it is a writer that needs the segment, and not a job that makes a spare.
            if let Err(error) = write() {
                assert!(matches!(error, Error::Io { .. }), "{error}");
            }
        }
        write().unwrap();
        db.close().unwrap();
        let live = Manifest::open(Arc::new(disk.clone()), Path::new("/db")).unwrap().0;
        let live = live.state().logs.clone();
        for path in disk.files() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if let Some(names::FileKind::Log(number)) = names::parse(&name) {
                assert!(live.contains(&number), "{name} is left, and nobody knows it");
            }
        }
    }
}
