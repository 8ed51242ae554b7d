//! The workloads: db_bench's names on one database, every value read is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lsm::{Db, Result, WriteBatch};

use crate::keys::{Values, Zipf, key, mix};
use crate::report::{Latencies, Row, latencies};

/// What the workloads run on.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) db: Db,
    pub(crate) records: u64,
    pub(crate) reads: u64,
    pub(crate) values: Arc<Values>,
    /// How often records were overwritten: the generation that reads expect.
    pub(crate) generation: u64,
}

/// Runs `operation` for 0..count on each of `threads` threads and measures each call.
pub(crate) fn timed(
    name: &str,
    threads: u64,
    count: u64,
    operation: impl Fn(u64) -> Result<u64> + Sync,
) -> Result<Row> {
    let begun = Instant::now();
    let share = count / threads;
    let results: Vec<Result<(Latencies, u64)>> = std::thread::scope(|scope| {
        let operation = &operation;
        let work = move |thread: u64| {
            let mut times = latencies();
            let mut done = 0;
            let mut before = Instant::now();
            for rank in thread * share..(thread + 1) * share {
                done += operation(rank)?;
                let now = Instant::now();
                let ns = u64::try_from((now - before).as_nanos()).unwrap_or(u64::MAX).max(1);
                times.saturating_record(ns);
                before = now;
            }
            Ok((times, done))
        };
        let handles: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        handles.into_iter().map(|handle| handle.join().expect("a worker")).collect()
    });
    let took = begun.elapsed();
    let (mut times, mut done) = (latencies(), 0);
    for result in results {
        let (thread_times, thread_done) = result?;
        times.add(&thread_times).expect("equal bounds");
        done += thread_done;
    }
    Ok(Row::new(name, done, took, &times))
}

impl Bench {
    fn shuffled(&self, rank: u64) -> u64 {
        mix(rank) % self.records
    }

    fn expect(&self, rank: u64, found: Option<&[u8]>) {
        assert_eq!(found, Some(self.values.value(rank, self.generation)), "record {rank}");
    }

    /// Every record once, in key order.
    pub(crate) fn fill_sequential(&self, threads: u64) -> Result<Row> {
        timed("fillseq", threads, self.records, |rank| {
            self.db.put(key(rank), self.values.value(rank, self.generation))?;
            Ok(1)
        })
    }

    /// Every record once, in an order that a multiplicative permutation shuffles.
    pub(crate) fn fill_random(&self, name: &str, threads: u64) -> Result<Row> {
        timed(name, threads, self.records, |at| {
            let rank = permuted(at, self.records);
            self.db.put(key(rank), self.values.value(rank, self.generation))?;
            Ok(1)
        })
    }

    /// Every record once, shuffled, `size` a batch.
    pub(crate) fn fill_batch(&self, size: u64) -> Result<Row> {
        timed(&format!("fillbatch{size}"), 1, self.records / size, |at| {
            let mut batch = WriteBatch::new();
            for at in at * size..(at + 1) * size {
                let rank = permuted(at, self.records);
                batch.put(key(rank), self.values.value(rank, self.generation));
            }
            self.db.write(batch)?;
            Ok(size)
        })
    }

    /// Uniform point reads of records that are there.
    pub(crate) fn read_random(&self, threads: u64) -> Result<Row> {
        timed(&format!("readrandom-{threads}t"), threads, self.reads, |at| {
            let rank = self.shuffled(at);
            self.expect(rank, self.db.get(key(rank))?.as_deref());
            Ok(1)
        })
    }

    /// Zipfian point reads.
    pub(crate) fn read_zipf(&self) -> Result<Row> {
        let zipf = Zipf::new(self.records, 0.99);
        let ranks: Vec<u64> = (0..self.reads)
            .map(|at| mix(zipf.rank((mix(at) >> 11) as f64 / (1u64 << 53) as f64)) % self.records)
            .collect();
        timed("readzipf", 1, self.reads, |at| {
            let rank = ranks[usize::try_from(at).unwrap_or(0)];
            self.expect(rank, self.db.get(key(rank))?.as_deref());
            Ok(1)
        })
    }

    /// Point reads of keys between the records.
    pub(crate) fn read_missing(&self) -> Result<Row> {
        timed("readmissing", 1, self.reads, |at| {
            let mut absent = [b'.'; 17];
            absent[..16].copy_from_slice(&key(self.shuffled(at)));
            assert!(self.db.get(absent)?.is_none());
            Ok(1)
        })
    }

    /// A seek and `steps` entries from there.
    pub(crate) fn seek(&self, steps: u64) -> Result<Row> {
        let seeks = (self.reads / (steps + 10)).max(100);
        timed(&format!("seek+{steps}"), 1, seeks, |at| {
            let first = self.shuffled(at);
            let mut cursor = self.db.cursor::<&[u8]>(..)?;
            cursor.seek(&key(first))?;
            for rank in first..(first + steps).min(self.records) {
                assert_eq!(cursor.key(), key(rank));
                self.expect(rank, Some(cursor.value()));
                cursor.next()?;
            }
            Ok(1)
        })
    }

    /// Every entry in order; `operations` counts entries.
    pub(crate) fn scan(&self, name: &str, expected: u64) -> Result<Row> {
        let begun = Instant::now();
        let mut cursor = self.db.cursor::<&[u8]>(..)?;
        cursor.seek_to_first()?;
        let (mut entries, mut sum) = (0u64, 0u64);
        while cursor.valid() {
            entries += 1;
            sum = sum.wrapping_add(u64::from(cursor.value()[0])) + cursor.key().len() as u64;
            cursor.next()?;
        }
        let took = begun.elapsed();
        assert_eq!(entries, expected);
        assert!(std::hint::black_box(sum) > 0);
        Ok(Row::new(name, entries, took, &latencies()))
    }

    /// One writer at full speed and one reader beside it; two rows.
    pub(crate) fn read_while_writing(&self, time: Duration) -> Result<[Row; 2]> {
        let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
        let begun = Instant::now();
        let (reads, times) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| -> Result<()> {
                let mut at = 0;
                while !stop.load(Ordering::Relaxed) {
                    let rank = permuted(at % self.records, self.records);
                    self.db.put(key(rank), self.values.value(rank, self.generation))?;
                    written.fetch_add(1, Ordering::Relaxed);
                    at += 1;
                }
                Ok(())
            });
            let (mut reads, mut times) = (0u64, latencies());
            let mut before = Instant::now();
            while begun.elapsed() < time {
                let rank = self.shuffled(reads);
                self.expect(rank, self.db.get(key(rank))?.as_deref());
                let now = Instant::now();
                times.saturating_record(u64::try_from((now - before).as_nanos()).unwrap_or(1));
                before = now;
                reads += 1;
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().expect("the writer")?;
            Ok::<_, lsm::Error>((reads, times))
        })?;
        let took = begun.elapsed();
        let puts = written.load(Ordering::Relaxed);
        Ok([
            Row::new("readwhilewriting:w", puts, took, &latencies()),
            Row::new("readwhilewriting:r", reads, took, &times),
        ])
    }

    /// Half gets, half puts.
    pub(crate) fn mixed(&self, threads: u64) -> Result<Row> {
        timed(&format!("mixed50-{threads}t"), threads, self.reads, |at| {
            let rank = self.shuffled(at);
            if mix(at ^ 0x5555) & 1 == 0 {
                self.db.put(key(rank), self.values.value(rank, self.generation))?;
            } else {
                self.expect(rank, self.db.get(key(rank))?.as_deref());
            }
            Ok(1)
        })
    }

    /// Deletes every record of even rank.
    pub(crate) fn delete_half(&self) -> Result<Row> {
        timed("deletehalf", 1, self.records / 2, |at| {
            self.db.delete(key(at * 2))?;
            Ok(1)
        })
    }
}

/// A permutation of 0..n: multiplication by an odd number near n over the golden ratio.
fn permuted(at: u64, n: u64) -> u64 {
    let mut step = (n / 1000 * 618) | 1;
    while gcd(step, n) != 1 {
        step += 2;
    }
    u64::try_from(u128::from(at) * u128::from(step) % u128::from(n)).unwrap_or(0)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
