//! [`Stats`]: what the database has done since it was opened, and what it holds.
//!
//! Counters that every read or write touches are split over cache lines, a line for a few
//! threads, so that counting costs no sharing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::admission::Pressure;
use crate::clock::micros;

/// Lines per split counter; a power of two.
const LINES: usize = 16;

thread_local! {
    /// The line this thread counts on.
    static LINE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // ORDERING: Relaxed; any number will do.
        NEXT.fetch_add(1, Ordering::Relaxed) % LINES
    };
}

/// A number that few threads share; the same for a thread each time.
pub(crate) fn line() -> usize {
    LINE.try_with(|line| *line).unwrap_or(0)
}

/// The counters of one line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line {
    gets: AtomicU64,
    multi_gets: AtomicU64,
    scans: AtomicU64,
    hits: AtomicU64,
    table_misses: AtomicU64,
    writes: AtomicU64,
    operations: AtomicU64,
    write_bytes: AtomicU64,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    lines: [Line; LINES],
    flushes: AtomicU64,
    flush_bytes: AtomicU64,
    flush_us: AtomicU64,
    compactions: AtomicU64,
    compaction_read_bytes: AtomicU64,
    compaction_write_bytes: AtomicU64,
    compaction_parts: AtomicU64,
    compaction_us: AtomicU64,
    preemptions: AtomicU64,
    preemption_us: AtomicU64,
    room_us: AtomicU64,
    paced_us: AtomicU64,
    moves: AtomicU64,
    moved_bytes: AtomicU64,
    stalls: AtomicU64,
    stall_us: AtomicU64,
    slowdowns: AtomicU64,
    slowdown_us: AtomicU64,
    background_failures: AtomicU64,
}

fn add(counter: &AtomicU64, value: u64) {
    // ORDERING: Relaxed; a statistic publishes nothing.
    counter.fetch_add(value, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    // ORDERING: Relaxed; a statistic publishes nothing.
    counter.load(Ordering::Relaxed)
}

impl Counters {
    #[inline]
    fn line(&self) -> &Line {
        &self.lines[line() % LINES]
    }

    /// Point reads so far by the threads that share this one's line: what sampling goes by.
    #[inline]
    pub(crate) fn gets_here(&self) -> u64 {
        read(&self.line().gets)
    }

    /// Writes so far, likewise.
    #[inline]
    pub(crate) fn writes_here(&self) -> u64 {
        read(&self.line().writes)
    }

    #[inline]
    pub(crate) fn got(&self, hit: bool) {
        let line = self.line();
        add(&line.gets, 1);
        if hit {
            add(&line.hits, 1);
        }
    }

    /// Takes note of a read of many keys that begins; returns how many had begun before, likewise.
    pub(crate) fn multi_got(&self) -> u64 {
        // ORDERING: Relaxed; a statistic publishes nothing.
        self.line().multi_gets.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes note of a scan or cursor that begins; returns how many had begun before, by the
    /// threads that share this one's line.
    pub(crate) fn scanned(&self) -> u64 {
        // ORDERING: Relaxed; a statistic publishes nothing.
        self.line().scans.fetch_add(1, Ordering::Relaxed)
    }

    /// The operations so far, by kind.
    pub(crate) fn operations(&self) -> Operations {
        Operations {
            writes: self.sum(|line| &line.operations),
            gets: self.sum(|line| &line.gets),
            hits: self.sum(|line| &line.hits),
            scans: self.sum(|line| &line.scans),
        }
    }

    /// Takes note of tables that a point read has asked in vain.
    #[inline]
    pub(crate) fn missed_tables(&self, count: u64) {
        if count > 0 {
            add(&self.line().table_misses, count);
        }
    }

    #[inline]
    pub(crate) fn wrote(&self, operations: u32, bytes: usize) {
        let line = self.line();
        add(&line.writes, 1);
        add(&line.operations, u64::from(operations));
        add(&line.write_bytes, bytes as u64);
    }

    pub(crate) fn flushed(&self, bytes: u64, took: Duration) {
        add(&self.flushes, 1);
        add(&self.flush_bytes, bytes);
        add(&self.flush_us, micros(took));
    }

    /// Whether something was flushed since the database was opened.
    pub(crate) fn has_flushed(&self) -> bool {
        read(&self.flushes) > 0
    }

    pub(crate) fn compacted(&self, read: u64, written: u64, took: Duration) {
        add(&self.compactions, 1);
        add(&self.compaction_read_bytes, read);
        add(&self.compaction_write_bytes, written);
        add(&self.compaction_us, micros(took));
    }

    /// Takes note that a merge was cut into `parts`.
    pub(crate) fn cut(&self, parts: usize) {
        add(&self.compaction_parts, parts as u64);
    }

    /// Takes note that a merge gave way to more urgent work.
    pub(crate) fn preempted(&self, took: Duration) {
        add(&self.preemptions, 1);
        add(&self.preemption_us, micros(took));
    }

    /// Takes note that a merge waited so that writers have a processor.
    pub(crate) fn made_room(&self, took: Duration) {
        add(&self.room_us, micros(took));
    }

    /// Takes note that a merge waited to keep to the limit.
    pub(crate) fn paced(&self, took: Duration) {
        add(&self.paced_us, micros(took));
    }

    pub(crate) fn moved(&self, bytes: u64) {
        add(&self.moves, 1);
        add(&self.moved_bytes, bytes);
    }

    pub(crate) fn stalled(&self, took: Duration) {
        if !took.is_zero() {
            add(&self.stalls, 1);
            add(&self.stall_us, micros(took));
        }
    }

    pub(crate) fn slowed(&self, took: Duration) {
        add(&self.slowdowns, 1);
        add(&self.slowdown_us, micros(took));
    }

    /// How long writers have been slowed down or stopped since the opening, all threads together.
    pub(crate) fn delayed(&self) -> Duration {
        Duration::from_micros(read(&self.slowdown_us).saturating_add(read(&self.stall_us)))
    }

    pub(crate) fn background_failed(&self) {
        add(&self.background_failures, 1);
    }

    fn sum(&self, counter: impl Fn(&Line) -> &AtomicU64) -> u64 {
        self.lines.iter().map(|line| read(counter(line))).sum()
    }

    /// The counters' part of the statistics; the rest is what the tree holds.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            gets: self.sum(|line| &line.gets),
            scans: self.sum(|line| &line.scans),
            get_hits: self.sum(|line| &line.hits),
            table_misses: self.sum(|line| &line.table_misses),
            writes: self.sum(|line| &line.writes),
            operations: self.sum(|line| &line.operations),
            write_bytes: self.sum(|line| &line.write_bytes),
            flushes: read(&self.flushes),
            flush_bytes: read(&self.flush_bytes),
            flush_us: read(&self.flush_us),
            compactions: read(&self.compactions),
            compaction_read_bytes: read(&self.compaction_read_bytes),
            compaction_write_bytes: read(&self.compaction_write_bytes),
            compaction_parts: read(&self.compaction_parts),
            compaction_us: read(&self.compaction_us),
            preemptions: read(&self.preemptions),
            preemption_us: read(&self.preemption_us),
            room_us: read(&self.room_us),
            paced_us: read(&self.paced_us),
            moves: read(&self.moves),
            moved_bytes: read(&self.moved_bytes),
            stalls: read(&self.stalls),
            stall_us: read(&self.stall_us),
            slowdowns: read(&self.slowdowns),
            slowdown_us: read(&self.slowdown_us),
            background_failures: read(&self.background_failures),
            ..Stats::default()
        }
    }
}

/// Operations by kind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Operations {
    /// Puts and deletes.
    pub(crate) writes: u64,
    /// Point reads.
    pub(crate) gets: u64,
    /// Those that found a value.
    pub(crate) hits: u64,
    /// Scans and cursors.
    pub(crate) scans: u64,
}

/// What the database has done since it was opened, and what it holds now.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Point reads.
    pub gets: u64,
    /// Point reads that found a value.
    pub get_hits: u64,
    /// Scans and cursors begun.
    pub scans: u64,
    /// Batches written, single writes included.
    pub writes: u64,
    /// Puts and deletes in them.
    pub operations: u64,
    /// Bytes of keys and values written, with a few bytes of framing each.
    pub write_bytes: u64,
    /// Memtables flushed.
    pub flushes: u64,
    /// Bytes of the tables they became.
    pub flush_bytes: u64,
    /// Microseconds spent flushing.
    pub flush_us: u64,
    /// Merges done; moves are counted apart.
    pub compactions: u64,
    /// Parts that they were cut into, to run side by side; one for a merge in one piece.
    pub compaction_parts: u64,
    /// Bytes of tables read by merges.
    pub compaction_read_bytes: u64,
    /// Bytes of tables written by merges.
    pub compaction_write_bytes: u64,
    /// Microseconds spent merging, work that a merge gave way to included.
    pub compaction_us: u64,
    /// Times a running merge gave way to a flush or to a merge of level 0 that found no worker.
    pub preemptions: u64,
    /// Microseconds that this took.
    pub preemption_us: u64,
    /// Microseconds that merges waited because writers and flushes took all processors.
    pub room_us: u64,
    /// Microseconds that merges waited to keep to
    /// [`merge_bytes_per_second`](crate::Options::merge_bytes_per_second).
    pub paced_us: u64,
    /// Plans that changed a table's level without reading it.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Db, Options};
    /// let db = Db::open(path.join("db"), Options::default())?;
    /// for day in 0..12 {
    ///     for n in 0..100 {
    ///         db.put(format!("{day:02}/{n:02}"), "in order, so tables share no key")?;
    ///     }
    ///     db.flush()?;
    ///     db.wait_idle()?;
    /// }
    /// let stats = db.stats();
    /// assert!(stats.moves > 0 && stats.compaction_write_bytes == 0, "{stats:?}");
    /// # Ok(())
    /// # }
    /// ```
    pub moves: u64,
    /// Bytes of tables moved so.
    pub moved_bytes: u64,
    /// Times a writer waited for background work.
    pub stalls: u64,
    /// Microseconds writers waited so.
    pub stall_us: u64,
    /// Times a writer was slowed down to let compaction catch up.
    pub slowdowns: u64,
    /// Microseconds of that.
    pub slowdown_us: u64,
    /// Bytes that must be merged until no level asks for a compaction.
    pub compaction_debt_bytes: u64,
    /// Microseconds by which each MiB of writes is slowed down now; `u64::MAX` where writers wait.
    pub write_delay_us_per_mib: u64,
    /// What slows writers down now.
    pub pressure: Pressure,
    /// Background jobs that failed.
    pub background_failures: u64,
    /// Calls of listeners that panicked.
    pub listener_panics: u64,
    /// Events that listeners were not told, because they are too slow and too many waited.
    pub events_dropped: u64,
    /// Bytes of memory that memtables hold.
    pub memtable_memory_bytes: u64,
    /// Entries in memtables.
    pub memtable_entries: u64,
    /// Bytes of blocks in the cache.
    pub cache_bytes: u64,
    /// Block reads that the cache answered.
    pub cache_hits: u64,
    /// Block reads that went to a file.
    pub cache_misses: u64,
    /// Bytes of memory that open tables hold: filters, indexes, properties.
    pub table_memory_bytes: u64,
    /// Live tables.
    pub tables: u64,
    /// Sorted runs: the most places a point read has to ask.
    pub runs: u64,
    /// Bytes of live tables on disk.
    pub table_bytes: u64,
    /// Entries in live tables, every version and deletion counted.
    pub table_entries: u64,
    /// Deletions among them.
    pub table_tombstones: u64,
    /// Bytes of keys and values in live tables, before compression.
    pub table_raw_bytes: u64,
    /// Range deletes that still hide something in a table or wait in a memtable.
    pub range_deletes: u64,
    /// Point reads of tables, and so of filters, that found nothing.
    pub table_misses: u64,
    /// Those of them that the filter let through. Divided by `table_misses`: the observed
    /// false-positive rate.
    pub filter_false_positives: u64,
    /// Snapshots in use.
    pub snapshots: u64,
    /// The last visible sequence number.
    pub seqno: u64,
}

impl Stats {
    /// Share of the reads of absent keys that the filters let through; 0 before there are any.
    pub fn observed_false_positive_rate(&self) -> f64 {
        self.filter_false_positives as f64 / self.table_misses.max(1) as f64
    }

    /// Bytes of tables written for each byte of tables flushed: flushes and merges together.
    pub fn write_amplification(&self) -> f64 {
        if self.flush_bytes == 0 {
            return 0.0;
        }
        (self.flush_bytes + self.compaction_write_bytes) as f64 / self.flush_bytes as f64
    }
}
