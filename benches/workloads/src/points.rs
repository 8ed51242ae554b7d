//! db_bench's workloads: fills, point reads, seeks, scans and deletes on numbered records.
//!
//! Invariant: after each workload every record is there in the generation that [`Store`] names,
//! even if the workload was cut short: what it did not get to is written in batches, untimed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::{Engine, Result, Session};
use crate::keys::{Keyed, Values, key, keyed, shuffled, uniform};
use crate::report::{Measure, latencies};
use crate::run::{Extent, Ran, nanoseconds, run};
use crate::zipf::scattered;

/// A database of numbered records, and what its values are.
pub struct Store<'a> {
    /// The database.
    pub engine: &'a dyn Engine,
    /// The values of its records.
    pub values: &'a Values,
    /// How many records there are.
    pub records: u64,
    /// How often each was written over.
    pub generation: u64,
    /// The longest a timed workload may take.
    pub time_max: Duration,
}

impl std::fmt::Debug for Store<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Store<'_> {
    fn extent(&self, threads: u64, calls: u64) -> Extent {
        Extent { threads, calls, time_max: self.time_max }
    }

    /// Reads a record and checks its value.
    ///
    /// # Errors
    /// Whatever the engine reports.
    ///
    /// # Panics
    /// If the value is missing or wrong.
    pub fn check(&self, session: &mut dyn Session, (rank, key): &Keyed) -> Result<u64> {
        let expected = self.values.value(*rank, self.generation);
        let mut right = false;
        let found = session.get(key, &mut |value| right = value == expected)?;
        assert!((found && right) || !self.engine.stores(), "record {rank}: found {found}");
        Ok(1)
    }

    /// Writes all of `order` with single puts, then untimed what the time did not suffice for.
    ///
    /// # Errors
    /// Whatever the engine reports.
    pub fn fill(&self, name: &str, threads: u64, order: Vec<u64>) -> Result<Measure> {
        let order = keyed(order);
        let ran =
            run(self.engine, name, self.extent(threads, order.len() as u64), &|session, at| {
                let (rank, key) = order[index(at)];
                session.put(&key, self.values.value(rank, self.generation))?;
                Ok(1)
            })?;
        self.finish(&ran, &order)?;
        Ok(ran.measure)
    }

    /// Writes in batches what a run over `order` was too slow for.
    fn finish(&self, ran: &Ran, order: &[Keyed]) -> Result<()> {
        let share = order.len() / ran.calls.len();
        for (thread, calls) in ran.calls.iter().enumerate() {
            let end =
                if thread + 1 == ran.calls.len() { order.len() } else { (thread + 1) * share };
            self.load(&order[thread * share + index(*calls)..end])?;
        }
        Ok(())
    }

    /// Writes records in batches of 1000, untimed.
    ///
    /// # Errors
    /// Whatever the engine reports.
    pub fn load(&self, order: &[Keyed]) -> Result<()> {
        let mut session = self.engine.session()?;
        order.chunks(1000).try_for_each(|chunk| self.write_batch(&mut *session, chunk))
    }

    fn write_batch(&self, session: &mut dyn Session, records: &[Keyed]) -> Result<()> {
        let value = |rank| Some(self.values.value(rank, self.generation));
        let batch: Vec<_> =
            records.iter().map(|(rank, key)| (key.as_slice(), value(*rank))).collect();
        session.write(&batch)
    }

    /// Writes all records, shuffled, `size` a batch; counts records.
    ///
    /// # Errors
    /// Whatever the engine reports.
    pub fn fill_batch(&self, size: u64) -> Result<Measure> {
        let order = keyed(shuffled(self.records, 3));
        let extent = self.extent(1, self.records / size);
        let ran = run(self.engine, &format!("fillbatch{size}"), extent, &|session, at| {
            self.write_batch(session, &order[index(at * size)..index((at + 1) * size)])?;
            Ok(size)
        })?;
        Ok(ran.measure)
    }

    /// Uniform reads of records that are there.
    ///
    /// # Errors
    /// Whatever the engine reports.
    pub fn read_random(&self, name: &str, threads: u64, reads: u64) -> Result<Measure> {
        self.read(name, threads, uniform(reads, self.records, threads))
    }

    /// Zipfian reads, theta 0.99.
    ///
    /// # Errors
    /// Whatever the engine reports.
    pub fn read_zipf(&self, name: &str, reads: u64) -> Result<Measure> {
        self.read(name, 1, scattered(reads, self.records))
    }

    fn read(&self, name: &str, threads: u64, ranks: Vec<u64>) -> Result<Measure> {
        let order = keyed(ranks);
        let extent = self.extent(threads, order.len() as u64);
        let ran =
            run(self.engine, name, extent, &|session, at| self.check(session, &order[index(at)]))?;
        Ok(ran.measure)
    }

    /// Reads of keys between the records.
    ///
    /// # Errors
    /// Whatever the engine reports.
    ///
    /// # Panics
    /// If a key is there.
    pub fn read_missing(&self, name: &str, reads: u64) -> Result<Measure> {
        let absent: Vec<[u8; 17]> = uniform(reads, self.records, 11)
            .into_iter()
            .map(|rank| {
                let mut absent = [b'.'; 17];
                absent[..16].copy_from_slice(&key(rank));
                absent
            })
            .collect();
        let ran = run(self.engine, name, self.extent(1, reads), &|session, at| {
            assert!(!session.get(&absent[index(at)], &mut |_| ())?, "an absent key was found");
            Ok(1)
        })?;
        Ok(ran.measure)
    }

    /// A seek to a record and `steps` entries from there, all checked.
    ///
    /// # Errors
    /// Whatever the engine reports.
    ///
    /// # Panics
    /// If an entry is missing or wrong.
    pub fn seek(&self, name: &str, steps: u64, seeks: u64) -> Result<Measure> {
        let order = keyed(uniform(seeks, self.records, 13));
        let ran = run(self.engine, name, self.extent(1, seeks), &|session, at| {
            let (first, from) = order[index(at)];
            self.range(session, first, &from, steps)
        })?;
        Ok(ran.measure)
    }

    /// One seek and `steps` entries; counts 1.
    ///
    /// # Errors
    /// Whatever the engine reports.
    ///
    /// # Panics
    /// If an entry is missing or wrong.
    pub fn range(
        &self,
        session: &mut dyn Session,
        first: u64,
        from: &[u8],
        steps: u64,
    ) -> Result<u64> {
        let end = (first + steps).min(self.records);
        let mut rank = first;
        session.scan(from, &mut |found, value| {
            assert_eq!(found, key(rank), "entries in order");
            assert!(value == self.values.value(rank, self.generation), "the value of {rank}");
            rank += 1;
            rank < end
        })?;
        assert!(rank == end || !self.engine.stores(), "the scan ended at {rank} before {end}");
        Ok(1)
    }

    /// Every entry in order; counts entries. One timed pass that touches every key and value, then
    /// one, not timed, that checks all bytes; records are those whose number is a multiple of
    /// `every` plus `every - 1`.
    ///
    /// # Errors
    /// Whatever the engine reports.
    ///
    /// # Panics
    /// If an entry is missing, wrong or too many.
    pub fn scan(&self, name: &str, every: u64) -> Result<Measure> {
        let mut session = self.engine.session()?;
        let (mut entries, mut sum) = (0u64, 0u64);
        let begun = Instant::now();
        session.scan(b"", &mut |key, value| {
            entries += 1;
            sum += u64::from(key[key.len() - 1]) + u64::from(value[value.len() - 1]);
            true
        })?;
        let measure = Measure::rate(name, entries, begun.elapsed(), &latencies());
        if self.engine.stores() {
            assert_eq!(entries, self.records / every, "{name}");
            let (mut rank, mut checked) = (every - 1, 0u64);
            session.scan(b"", &mut |found, value| {
                assert_eq!(found, key(rank), "entries in order");
                assert!(value == self.values.value(rank, self.generation), "the value of {rank}");
                checked += u64::from(key(rank)[15]) + u64::from(value[value.len() - 1]);
                rank += every;
                true
            })?;
            assert_eq!(sum, checked, "both passes see the same");
        }
        Ok(measure)
    }

    /// One writer at full speed and one reader beside it for `time`; two figures.
    ///
    /// # Errors
    /// Whatever the engine reports.
    ///
    /// # Panics
    /// If a value is wrong.
    pub fn read_while_writing(&self, time: Duration) -> Result<[Measure; 2]> {
        let (writes, reads) = (shuffled(self.records, 17), uniform(1 << 20, self.records, 19));
        let (writes, reads) = (keyed(writes), keyed(reads));
        let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
        let begun = Instant::now();
        let (done, times) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| -> Result<()> {
                let mut session = self.engine.session()?;
                // ORDERING: Relaxed; `stop` only has to be seen some time, and the scope's join
                // orders `written`.
                let mut order = writes.iter().cycle().take_while(|_| !stop.load(Ordering::Relaxed));
                order.try_for_each(|(rank, key)| {
                    session.put(key, self.values.value(*rank, self.generation))?;
                    // ORDERING: as above.
                    written.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, crate::Error>(())
                })?;
                Ok(())
            });
            let mut session = self.engine.session()?;
            let (mut done, mut times, mut before) = (0u64, latencies(), Instant::now());
            for record in reads.iter().cycle() {
                self.check(&mut *session, record)?;
                let now = Instant::now();
                times.saturating_record(nanoseconds(now - before));
                before = now;
                done += 1;
                if now - begun > time || writer.is_finished() {
                    break;
                }
            }
            // ORDERING: Relaxed; see above.
            stop.store(true, Ordering::Relaxed);
            writer.join().expect("the writer")?;
            Ok::<_, crate::Error>((done, times))
        })?;
        let took = begun.elapsed();
        // ORDERING: Relaxed, after the join.
        let puts = written.load(Ordering::Relaxed);
        Ok([
            Measure::rate("read while writing: writes", puts, took, &latencies()),
            Measure::rate("read while writing: reads", done, took, &times),
        ])
    }

    /// Deletes the records of even number, and untimed what the time did not suffice for.
    ///
    /// # Errors
    /// Whatever the engine reports.
    pub fn delete_half(&self, name: &str) -> Result<Measure> {
        let order = keyed((0..self.records / 2).map(|at| at * 2).collect());
        let extent = self.extent(1, order.len() as u64);
        let ran = run(self.engine, name, extent, &|session, at| {
            session.delete(&order[index(at)].1)?;
            Ok(1)
        })?;
        let mut session = self.engine.session()?;
        for chunk in order[index(ran.calls[0])..].chunks(1000) {
            let batch: Vec<_> = chunk.iter().map(|(_, key)| (key.as_slice(), None)).collect();
            session.write(&batch)?;
        }
        Ok(ran.measure)
    }
}

/// A count as an index.
pub fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
