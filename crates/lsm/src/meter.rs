//! [`Meter`]: how busy processors, medium and memory are, for codecs that go by the load
//! ([`Options::codec_by_load`](crate::Options::codec_by_load)).
//!
//! 1. It counts what this process does, not what others do beside it: processor time against the
//!    processors there are, and the time that tables' writes and syncs take against the clock.
//! 2. It looks when a table begins, at most once in [`WINDOW`]: no reader and no writer of records
//!    comes here.

use std::io::{self, Write};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sstable::{Load, LoadGauge};

use crate::clock::Clock;
use crate::fs::WriteFile;

/// The shortest time over which a load is taken.
const WINDOW: Duration = Duration::from_millis(100);

/// Watches the load, and keeps a gauge of it for those who compress.
#[derive(Debug)]
pub(crate) struct Meter {
    gauge: Arc<LoadGauge>,
    clock: Arc<dyn Clock>,
    processors: f64,
    /// Nanoseconds that writes and syncs of tables have taken, together.
    writing_ns: AtomicU64,
    last: Mutex<Reading>,
}

/// What has added up.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    at: Duration,
    processor_time: Option<Duration>,
    writing_ns: u64,
}

impl Meter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::of(clock, processors)
    }

    fn of(clock: Arc<dyn Clock>, processors: usize) -> Arc<Self> {
        let meter = Self {
            gauge: Arc::default(),
            clock,
            processors: processors as f64,
            writing_ns: AtomicU64::new(0),
            last: Mutex::default(),
        };
        *meter.last.lock() = meter.reading();
        Arc::new(meter)
    }

    /// What the load is written to.
    pub(crate) fn gauge(&self) -> Arc<LoadGauge> {
        Arc::clone(&self.gauge)
    }

    fn reading(&self) -> Reading {
        Reading {
            at: self.clock.now(),
            processor_time: self.clock.processor_time(),
            // ORDERING: Relaxed; a sum that publishes nothing.
            writing_ns: self.writing_ns.load(Ordering::Relaxed),
        }
    }

    /// Sets the gauge to the load since the last look, if that is long enough ago. `memory` is the
    /// share of its budget that memory takes.
    pub(crate) fn look(&self, memory: f64) {
        let mut last = self.last.lock();
        let now = self.reading();
        let passed = now.at.saturating_sub(last.at);
        if passed < WINDOW {
            return;
        }
        let busy = match (now.processor_time, last.processor_time) {
            (Some(now), Some(last)) => now.saturating_sub(last).as_secs_f64(),
            _ => 0.0, // a clock that does not know
        };
        let writing = Duration::from_nanos(now.writing_ns - last.writing_ns).as_secs_f64();
        let passed = passed.as_secs_f64();
        let cpu = busy / (passed * self.processors);
        self.gauge.set(Load { cpu, io: writing / passed, memory });
        *last = now;
    }

    /// Runs what writes to the medium, and counts the time.
    fn time<T>(&self, write: impl FnOnce() -> T) -> T {
        let begun = self.clock.now();
        let result = write();
        let took = self.clock.now().saturating_sub(begun).as_nanos();
        // ORDERING: Relaxed; see `reading`.
        self.writing_ns.fetch_add(u64::try_from(took).unwrap_or(u64::MAX), Ordering::Relaxed);
        result
    }
}

/// A table's file whose writes are timed, if somebody wants to know.
pub(crate) struct Timed {
    file: Box<dyn WriteFile>,
    meter: Option<Arc<Meter>>,
}

impl Timed {
    pub(crate) fn new(file: Box<dyn WriteFile>, meter: Option<Arc<Meter>>) -> Self {
        Self { file, meter }
    }

    fn time<T>(&mut self, write: impl FnOnce(&mut Box<dyn WriteFile>) -> T) -> T {
        match &self.meter {
            Some(meter) => meter.time(|| write(&mut self.file)),
            None => write(&mut self.file),
        }
    }

    /// As [`WriteFile::sync`].
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.time(|file| file.sync())
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.time(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.time(Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn shares_are_taken_over_a_window() {
        let clock = Arc::new(ManualClock::new());
        let meter = Meter::of(Arc::clone(&clock) as Arc<dyn Clock>, 2);
        let ms = Duration::from_millis;
        // One of two processors half the time, and a write for a quarter of it.
        clock.run(ms(100));
        meter.time(|| clock.advance(ms(50)));
        clock.advance(ms(150));
        meter.look(0.3);
        let near = |expected: Load| {
            let load = meter.gauge().load();
            let apart =
                [load.cpu - expected.cpu, load.io - expected.io, load.memory - expected.memory];
            assert!(apart.iter().all(|apart| apart.abs() < 0.01), "{load:?}, not {expected:?}");
        };
        near(Load { cpu: 0.25, io: 0.25, memory: 0.3 });
        // Too soon: the last load stays.
        clock.advance(ms(99));
        meter.look(0.9);
        near(Load { cpu: 0.25, io: 0.25, memory: 0.3 });
        // What passed meanwhile counts with the next.
        clock.advance(ms(1));
        meter.look(0.9);
        near(Load { cpu: 0.0, io: 0.0, memory: 0.9 });
        clock.run(ms(2000));
        clock.advance(ms(1000));
        meter.look(0.0);
        near(Load { cpu: 1.0, ..Load::default() });
    }
}
