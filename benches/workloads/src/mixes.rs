//! Mixtures of reads and writes: the report's own, a queue, and writes beyond what can be kept up.

use std::time::{Duration, Instant};

use crate::engine::{Engine, Result, Session};
use crate::keys::{Values, key, keyed, mix, uniform};
use crate::points::{Store, index};
use crate::report::{Measure, latencies};
use crate::run::{Extent, nanoseconds, run};

/// Shares of operations in percent; what is left over are puts.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Point reads.
    pub gets: u64,
    /// Seeks with 100 entries each.
    pub ranges: u64,
}

impl Store<'_> {
    /// Operations in the shares of `mix` on uniform records.
    ///
    /// # Errors
    /// Whatever the engine reports.
    ///
    /// # Panics
    /// If a value is wrong.
    pub fn mixed(&self, name: &str, shares: Mix, threads: u64, calls: u64) -> Result<Measure> {
        let order = keyed(uniform(calls, self.records, 23));
        let extent = Extent { threads, calls, time_max: self.time_max };
        let ran = run(self.engine, name, extent, &|session, at| {
            let record = &order[index(at)];
            match mix(at ^ 0x5555) % 100 {
                die if die < shares.gets => self.check(session, record),
                die if die < shares.gets + shares.ranges => {
                    self.range(session, record.0, &record.1, 100)
                }
                _ => {
                    session.put(&record.1, self.values.value(record.0, self.generation))?;
                    Ok(1)
                }
            }
        })?;
        Ok(ran.measure)
    }
}

/// A queue: of `depth` entries the oldest is found by a seek to the front, checked and deleted, and
/// a new one is put at the end, `calls` times. Tombstones pile up where the seek begins.
///
/// # Errors
/// Whatever the engine reports.
///
/// # Panics
/// If the front of the queue is not the oldest entry.
pub fn queue(engine: &dyn Engine, values: &Values, depth: u64, extent: Extent) -> Result<Measure> {
    let push = |session: &mut dyn Session, at: u64| session.put(&key(at), values.value(at, 0));
    let mut session = engine.session()?;
    (0..depth).try_for_each(|at| push(&mut *session, at))?;
    drop(session);
    let ran = run(engine, "queue: take and put", extent, &|session, at| {
        push(session, depth + at)?;
        let mut right = false;
        session.scan(b"", &mut |found, value| {
            right = found == key(at) && value == values.value(at, 0);
            false
        })?;
        assert!(right || !engine.stores(), "entry {at} must be in front");
        session.delete(&key(at))?;
        Ok(1)
    })?;
    Ok(ran.measure)
}

/// Sustained writing (Luo and Carey 2019): first as fast as puts go, for `time`; then for as long
/// at 95 % of that rate, where a put's time begins when it was due and not when the one before let
/// it begin. Uniform over `records`.
///
/// # Errors
/// Whatever the engine reports.
///
/// # Panics
/// If a value that is read back at the end is wrong.
pub fn overload(
    engine: &dyn Engine,
    values: &Values,
    records: u64,
    time: Duration,
) -> Result<Vec<Measure>> {
    let order = keyed(uniform(1 << 20, records, 29));
    let extent = Extent { threads: 1, calls: u64::MAX, time_max: time };
    let put = |session: &mut dyn Session, at: u64| {
        let (rank, key) = order[index(at) % order.len()];
        session.put(&key, values.value(rank, 0))
    };
    let puts = |session: &mut dyn Session, at: u64| {
        put(session, at)?;
        Ok(1)
    };
    // An empty tree takes more than a full one can go on taking: it is filled first.
    run(engine, "filling", Extent { time_max: time / 2, ..extent }, &puts)?;
    let full = run(engine, "sustained puts", extent, &puts)?;
    let rate = full.measure.value * 0.95;
    let (mut session, mut times) = (engine.session()?, latencies());
    let begun = Instant::now();
    let (mut at, mut now) = (0u64, Duration::ZERO);
    loop {
        let due = Duration::from_secs_f64(at as f64 / rate);
        if due > time {
            break;
        }
        while now < due {
            now = begun.elapsed();
        }
        put(&mut *session, at)?;
        // One look at the clock a put, as at full speed: more would eat up the 5 %.
        now = begun.elapsed();
        times.saturating_record(nanoseconds(now.saturating_sub(due)).max(1));
        at += 1;
    }
    let paced = Measure::rate("sustained puts at 95 %", at, begun.elapsed(), &times);
    for (rank, key) in order.iter().take(10_000) {
        let mut right = false;
        session.get(key, &mut |value| right = value == values.value(*rank, 0))?;
        assert!(right || !engine.stores(), "record {rank}");
    }
    let p999 = |measure: &Measure| measure.latencies_us.get(2).copied().unwrap_or(0.0);
    let names = ["p99.9 of a put at full speed", "p99.9 of a put at 95 %"];
    let tails = [p999(&full.measure), p999(&paced)];
    let [full_tail, paced_tail] = [0, 1].map(|at| Measure::single(names[at], tails[at], "us"));
    Ok(vec![full.measure, full_tail, paced, paced_tail])
}
