//! What a server tells about itself: the answer to `json`, which is not of the course's language.
//!
//! ```text
//! { "format": 1, "seconds": 12.3, "width": 32,
//!   "clients": { "now": 2, "served": 5, "refused": 0 },
//!   "stats": { ... },  "memory": { ... },  "activity": { ... },
//!   "latencies": { "get": [[nanoseconds, count], ...], "range": [...], "write": [...] },
//!   "shape": { "memtables": [[memory bytes, entries], ...],
//!              "levels": [ [ [ [number, bytes, raw bytes, entries, tombstones,
//!                               smallest, largest], ... ], ... runs ], ... levels ] } }
//! ```
//!
//! 1. All numbers count from the start of the server, so a viewer subtracts what it saw before.
//! 2. Keys are hexadecimal: they are bytes, whatever the language makes of them.
//! 3. One get in [`GETS_PER_SAMPLE`] is timed, every range and every commit; a histogram keeps two
//!    digits (G. Tene's HdrHistogram).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use lsm::inspect::Activity;
use lsm::{Db, MemoryUsage, RunShape, Shape, Stats};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::pair::Width;

/// Reading the clock twice costs a few percent of a get.
const GETS_PER_SAMPLE: u32 = 16;

/// The longest time that is told apart: a minute.
const LONGEST_NS: u64 = 60_000_000_000;

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timed {
    /// A `g`.
    Get,
    /// An `r`, up to its last pair.
    Range,
    /// The commit of the writes that came together.
    Write,
}

/// Clients of a server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clients {
    pub(crate) now: u64,
    pub(crate) served: u64,
    pub(crate) refused: u64,
}

/// What all sessions of a server have measured.
#[derive(Debug)]
pub(crate) struct Observer {
    started: Instant,
    clients: Mutex<Clients>,
    /// By [`Timed`].
    times: [Mutex<Histogram<u64>>; 3],
}

impl Observer {
    pub(crate) fn new() -> Result<Observer> {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST_NS, 2).map(Mutex::new).map_err(|_fixed_bounds| {
                Error::InvalidOption { name: "histogram", expected: "bounds" }
            })
        };
        Ok(Observer {
            started: Instant::now(),
            clients: Mutex::default(),
            times: [histogram()?, histogram()?, histogram()?],
        })
    }

    /// Changes the count of clients.
    pub(crate) fn clients(&self, change: impl FnOnce(&mut Clients)) {
        change(&mut lock(&self.clients));
    }

    pub(crate) fn report(&self) -> Clients {
        *lock(&self.clients)
    }

    fn record(&self, what: Timed, took: Duration) {
        let [get, range, write] = &self.times;
        let times = match what {
            Timed::Get => get,
            Timed::Range => range,
            Timed::Write => write,
        };
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        lock(times).saturating_record(ns.max(1));
    }
}

/// A panic of another session leaves only numbers behind.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One session's stopwatch; measures nothing without an [`Observer`].
#[derive(Debug, Default)]
pub(crate) struct Watch {
    observer: Option<Arc<Observer>>,
    gets: u32,
}

impl Watch {
    pub(crate) fn new(observer: Arc<Observer>) -> Watch {
        Watch { observer: Some(observer), gets: 0 }
    }

    /// Begins to time, if this one is to be timed.
    pub(crate) fn begin(&mut self, what: Timed) -> Option<Instant> {
        self.observer.as_ref()?;
        if matches!(what, Timed::Get) {
            self.gets = self.gets.wrapping_add(1);
            if !self.gets.is_multiple_of(GETS_PER_SAMPLE) {
                return None;
            }
        }
        Some(Instant::now())
    }

    pub(crate) fn end(&self, what: Timed, begun: Option<Instant>) {
        if let (Some(observer), Some(begun)) = (&self.observer, begun) {
            observer.record(what, begun.elapsed());
        }
    }

    /// The answer to `json`: one line.
    pub(crate) fn report(&self, db: &Db, width: Width) -> String {
        let mut report = database_json(db);
        report["width"] = json!(8 * width.bytes());
        if let Some(observer) = &self.observer {
            let clients = observer.report();
            let [get, range, write] = &observer.times;
            report["seconds"] = json!(observer.started.elapsed().as_secs_f64());
            report["clients"] = json!({
                "now": clients.now, "served": clients.served, "refused": clients.refused,
            });
            report["latencies"] = json!({
                "get": counts(get), "range": counts(range), "write": counts(write),
            });
        }
        report.to_string()
    }
}

fn counts(times: &Mutex<Histogram<u64>>) -> Vec<[u64; 2]> {
    let times = lock(times);
    times.iter_recorded().map(|at| [at.value_iterated_to(), at.count_at_value()]).collect()
}

/// What `db` has done, holds and does, as one JSON value; the module's picture without what only
/// a server knows (`seconds`, `width`, `clients`, `latencies`). Of several families, the default
/// one's tree is drawn.
pub fn database_json(db: &Db) -> Value {
    json!({
        "format": 1,
        "stats": stats_json(&db.stats()),
        "memory": memory_json(&db.memory()),
        "activity": activity_json(&db.activity()),
        "shape": shape_json(&db.shape()),
        "write_buffer_bytes": db.options().write_buffer_bytes,
        "durability": format!("{:?}", db.options().durability).to_lowercase(),
    })
}

/// Every number of `stats`, under the engine's names for them.
pub fn stats_json(stats: &Stats) -> Value {
    json!({
        "gets": stats.gets, "get_hits": stats.get_hits, "writes": stats.writes,
        "operations": stats.operations, "write_bytes": stats.write_bytes,
        "flushes": stats.flushes, "flush_bytes": stats.flush_bytes, "flush_us": stats.flush_us,
        "compactions": stats.compactions,
        "compaction_read_bytes": stats.compaction_read_bytes,
        "compaction_write_bytes": stats.compaction_write_bytes,
        "compaction_us": stats.compaction_us,
        "moves": stats.moves, "moved_bytes": stats.moved_bytes,
        "stalls": stats.stalls, "stall_us": stats.stall_us,
        "slowdowns": stats.slowdowns, "slowdown_us": stats.slowdown_us,
        "background_failures": stats.background_failures,
        "memtable_memory_bytes": stats.memtable_memory_bytes,
        "memtable_entries": stats.memtable_entries,
        "cache_bytes": stats.cache_bytes, "cache_hits": stats.cache_hits,
        "cache_misses": stats.cache_misses,
        "table_memory_bytes": stats.table_memory_bytes,
        "tables": stats.tables, "runs": stats.runs, "table_bytes": stats.table_bytes,
        "table_entries": stats.table_entries, "table_tombstones": stats.table_tombstones,
        "table_raw_bytes": stats.table_raw_bytes, "range_deletes": stats.range_deletes,
        "table_misses": stats.table_misses,
        "filter_false_positives": stats.filter_false_positives,
        "snapshots": stats.snapshots, "seqno": stats.seqno,
        "write_amplification": stats.write_amplification(),
    })
}

fn memory_json(memory: &MemoryUsage) -> Value {
    json!({
        "active_memtable_bytes": memory.active_memtable_bytes,
        "sealed_memtable_bytes": memory.sealed_memtable_bytes,
        "kept_memtable_bytes": memory.kept_memtable_bytes,
        "idle_memtable_bytes": memory.idle_memtable_bytes,
        "block_cache_bytes": memory.block_cache_bytes,
        "table_bytes": memory.table_bytes, "log_bytes": memory.log_bytes,
        "background_bytes": memory.background_bytes, "iterator_bytes": memory.iterator_bytes,
        "limit_bytes": memory.limit_bytes,
    })
}

fn activity_json(activity: &Activity) -> Value {
    json!({
        "flushing": activity.flushing, "compactions": activity.compactions,
        "compacting": activity.compacting, "compacting_bytes": activity.compacting_bytes,
        "sealed_memtables": activity.sealed_memtables, "stopped": activity.stopped,
    })
}

fn shape_json(shape: &Shape) -> Value {
    let run = |run: &RunShape| -> Value {
        let tables = run.tables.iter().map(|table| {
            json!([
                table.number,
                table.bytes,
                table.raw_bytes,
                table.entries,
                table.tombstones,
                hexadecimal(&table.smallest),
                hexadecimal(&table.largest)
            ])
        });
        tables.collect()
    };
    let levels = shape.levels.iter().map(|level| level.runs.iter().map(run).collect::<Value>());
    let memtables = shape.memtables.iter().map(|table| json!([table.memory_bytes, table.entries]));
    json!({ "memtables": memtables.collect::<Value>(), "levels": levels.collect::<Value>() })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(u32::from(four), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_the_tree_and_the_times() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path(), lsm::Options::default()).unwrap();
        db.put([0x80, 0, 0, 1], b"v").unwrap();
        db.flush().unwrap();
        let observer = Arc::new(Observer::new().unwrap());
        observer.clients(|clients| clients.now += 1);
        let mut watch = Watch::new(Arc::clone(&observer));
        let timed = (0..64).filter(|_| watch.begin(Timed::Get).is_some()).count();
        assert_eq!(timed, 4, "one get in 16");
        let begun = watch.begin(Timed::Write);
        watch.end(Timed::Write, begun);
        let report: Value = serde_json::from_str(&watch.report(&db, Width::Bits32)).unwrap();
        assert_eq!((&report["width"], &report["clients"]["now"]), (&json!(32), &json!(1)));
        let table = &report["shape"]["levels"][0][0][0];
        assert_eq!((&table[3], &table[5], &table[6]), (&json!(1), &json!("80000001"), &table[5]));
        assert_eq!(report["latencies"]["write"].as_array().unwrap().len(), 1);
        assert_eq!(report["latencies"]["get"], json!([]));
        assert_eq!(report["stats"]["operations"], 1);
        let alone: Value =
            serde_json::from_str(&Watch::default().report(&db, Width::Bits64)).unwrap();
        assert!(alone.get("latencies").is_none() && alone["width"] == 64);
    }
}
