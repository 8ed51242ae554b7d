//! Runs one workload on some threads, times every call, stops at a count or after a time.

use std::time::{Duration, Instant};

use crate::engine::{Engine, Result, Session};
use crate::report::{Latencies, Measure, latencies};

/// How much of a workload to run.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Threads, each with an equal share of the calls.
    pub threads: u64,
    /// Calls of all threads together.
    pub calls: u64,
    /// Stop after this, done or not.
    pub time_max: Duration,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// The rate and its latencies.
    pub measure: Measure,
    /// How many calls each thread made, of its share.
    pub calls: Vec<u64>,
}

/// One call: a session and the call's number, answered by the operations it stands for.
pub type Call<'a> = dyn Fn(&mut dyn Session, u64) -> Result<u64> + Sync + 'a;

/// Calls `call` for 0..calls, each thread its own consecutive part, and times each call.
///
/// # Errors
/// The first error of a call.
///
/// # Panics
/// If a call does: a value that is not what was written.
pub fn run(engine: &dyn Engine, name: &str, extent: Extent, call: &Call<'_>) -> Result<Ran> {
    let share = extent.calls / extent.threads;
    let begun = Instant::now();
    let work = |thread: u64| -> Result<(Latencies, u64, u64)> {
        let mut session = engine.session()?;
        let (mut times, mut done, mut calls) = (latencies(), 0, 0);
        let mut before = Instant::now();
        for at in thread * share..(thread + 1) * share {
            done += call(&mut *session, at)?;
            calls += 1;
            let now = Instant::now();
            times.saturating_record(nanoseconds(now - before).max(1));
            if now - begun > extent.time_max {
                break;
            }
            before = now;
        }
        Ok((times, done, calls))
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            (0..extent.threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a workload thread")).collect()
    });
    let took = begun.elapsed();
    let (mut times, mut done, mut calls) = (latencies(), 0, Vec::new());
    for result in results {
        let (thread_times, thread_done, thread_calls) = result?;
        times.add(&thread_times)?;
        done += thread_done;
        calls.push(thread_calls);
    }
    Ok(Ran { measure: Measure::rate(name, done, took, &times), calls })
}

/// A duration in whole nanoseconds.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
