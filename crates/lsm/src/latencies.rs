//! [`Latencies`]: how long reads, writes and background work took.
//!
//! Reads, writes and cursor steps are sampled: one of [`Options::latency_sampling`] is timed, by
//! the counter that its thread's line counts anyway, so the others pay a comparison. Each line of
//! threads has its own recorders, made when first used.
//!
//! [`Options::latency_sampling`]: crate::Options::latency_sampling

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::histogram::{Histogram, Recorder};
use crate::metrics::line;

/// Recorders of what is done by many threads; a power of two.
const LINES: usize = 8;

/// How long everything took since the database was opened. Of reads, writes and cursor steps only
/// a sample, see [`Options::latency_sampling`](crate::Options::latency_sampling).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Latencies {
    /// Point reads, also those in conditional writes.
    pub get: Histogram,
    /// Reads of many keys, each call as a whole.
    pub multi_get: Histogram,
    /// Writes, single and batched, waiting included.
    pub write: Histogram,
    /// Seeks of cursors and scans, the first step of a scan included.
    pub seek: Histogram,
    /// Steps of cursors and scans.
    pub next: Histogram,
    /// Flushes, all of them.
    pub flush: Histogram,
    /// Compactions that merged, all of them.
    pub compaction: Histogram,
    /// Waits of writers for background work, all of them; delays are not among them.
    pub stall: Histogram,
    /// Bulk loads and ingested tables, from the first entry until they were visible; all of them.
    pub load: Histogram,
    /// Checkpoints, all of them.
    pub checkpoint: Histogram,
}

/// Recorders of an operation, one a line of threads.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: [OnceLock<Box<Recorder>>; LINES],
}

impl Lines {
    #[cold]
    pub(crate) fn add(&self, time: Duration) {
        self.lines[line() % LINES].get_or_init(Recorder::new).add(time);
    }

    fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        for recorder in self.lines.iter().filter_map(OnceLock::get) {
            recorder.add_to(&mut histogram);
        }
        histogram
    }
}

/// All recorders.
#[derive(Debug)]
pub(crate) struct Timings {
    clock: Arc<dyn Clock>,
    /// Bits of a counter that are zero when it is time to look at the clock; `None` for never.
    mask: Option<u64>,
    pub(crate) get: Lines,
    pub(crate) multi_get: Lines,
    pub(crate) write: Lines,
    seek: Lines,
    next: Lines,
    pub(crate) flush: Lines,
    pub(crate) compaction: Lines,
    pub(crate) stall: Lines,
    pub(crate) load: Lines,
    pub(crate) checkpoint: Lines,
}

impl Timings {
    /// Times one of `sampling` operations, rounded up to a power of two; none for 0.
    pub(crate) fn new(sampling: u32, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            mask: (sampling > 0).then(|| u64::from(sampling).next_power_of_two() - 1),
            get: Lines::default(),
            multi_get: Lines::default(),
            write: Lines::default(),
            seek: Lines::default(),
            next: Lines::default(),
            flush: Lines::default(),
            compaction: Lines::default(),
            stall: Lines::default(),
            load: Lines::default(),
            checkpoint: Lines::default(),
        }
    }

    /// Whether the operation of this number is timed.
    #[inline]
    pub(crate) fn sampled(&self, number: u64) -> bool {
        self.mask.is_some_and(|mask| number & mask == 0)
    }

    pub(crate) fn latencies(&self) -> Latencies {
        Latencies {
            get: self.get.histogram(),
            multi_get: self.multi_get.histogram(),
            write: self.write.histogram(),
            seek: self.seek.histogram(),
            next: self.next.histogram(),
            flush: self.flush.histogram(),
            compaction: self.compaction.histogram(),
            stall: self.stall.histogram(),
            load: self.load.histogram(),
            checkpoint: self.checkpoint.histogram(),
        }
    }
}

/// What a cursor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// To a key or to an end.
    Seek,
    /// To a neighbour.
    Next,
}

/// Says which steps of a cursor are timed: one of so many. It counts by itself, down from where
/// the count of cursors stood when its own began, so that short ones together are sampled as often
/// as a long one.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepTimer {
    /// `None` if nothing is timed.
    timings: Option<Arc<Timings>>,
    every: u64,
    seeks_left: u64,
    nexts_left: u64,
}

impl StepTimer {
    /// For a cursor before which `number` began.
    pub(crate) fn new(timings: &Arc<Timings>, number: u64) -> Self {
        let Some(mask) = timings.mask else { return Self::default() };
        let every = mask + 1;
        let left = ((every - (number & mask)) & mask) + 1;
        Self { timings: Some(Arc::clone(timings)), every, seeks_left: left, nexts_left: left }
    }

    /// Counts a step, and says whether it is to be timed, from `begun` to `end`.
    #[inline]
    pub(crate) fn due(&mut self, step: Step) -> bool {
        let left = self.left(step);
        *left = left.wrapping_sub(1);
        *left == 0 && self.rewind(step)
    }

    #[inline]
    fn left(&mut self, step: Step) -> &mut u64 {
        match step {
            Step::Seek => &mut self.seeks_left,
            Step::Next => &mut self.nexts_left,
        }
    }

    /// Begins the next count.
    #[cold]
    fn rewind(&mut self, step: Step) -> bool {
        *self.left(step) = self.every;
        self.timings.is_some()
    }

    /// The time now.
    #[cold]
    pub(crate) fn begun(&self) -> Option<Duration> {
        self.timings.as_ref().map(|timings| timings.clock.now())
    }

    /// Adds the time since `begun`.
    #[cold]
    pub(crate) fn end(&self, step: Step, begun: Option<Duration>) {
        let (Some(timings), Some(begun)) = (&self.timings, begun) else { return };
        let lines = match step {
            Step::Seek => &timings.seek,
            Step::Next => &timings.next,
        };
        lines.add(timings.clock.now().saturating_sub(begun));
    }
}
