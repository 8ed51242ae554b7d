//! Groups of workloads that share a database: each group runs in a process and folder of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::engine::{Engine, Guarantee, Result, Setup};
use crate::keys::{Values, keyed, shuffled};
use crate::mixes::{Mix, overload, queue};
use crate::mixgraph::{VALUE_BYTES_MAX, mixgraph};
use crate::points::Store;
use crate::process::{DiskPeak, disk_bytes, peak_resident_bytes, written_bytes};
use crate::report::Measure;
use crate::run::{Extent, run};
use crate::ycsb;

/// How large, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Records of 16 + 100 bytes; YCSB's of 1 KiB are a tenth of it.
    pub records: u64,
    /// The longest that one timed read workload takes.
    pub read_time_max: Duration,
    /// The longest that one timed fill takes.
    pub fill_time_max: Duration,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Bytes of the write buffer.
    pub write_buffer_bytes: usize,
    /// Bytes of the cache, in the groups where the data is hot.
    pub cache_bytes: usize,
    /// Whether the group `points` compacts everything before it reads.
    pub compact_first: bool,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            records: 1_000_000,
            read_time_max: Duration::from_secs(3),
            fill_time_max: Duration::from_secs(10),
            value_bytes: 100,
            write_buffer_bytes: 64 << 20,
            cache_bytes: 256 << 20,
            compact_first: false,
        }
    }
}

/// Opens an engine.
pub type Open<'a> = dyn Fn(&Setup<'_>) -> Result<Box<dyn Engine>> + 'a;

/// What a group runs with.
struct Run<'a> {
    open: &'a Open<'a>,
    path: &'a Path,
    scale: Scale,
    values: Values,
    measures: Vec<Measure>,
}

type Group = fn(&mut Run<'_>) -> Result<()>;

/// All groups, in the order of the tables.
pub const GROUPS: [(&str, &str); 13] = [
    ("fillseq", "single puts in key order"),
    ("points", "fill, overwrite, reads, seeks, scans, mixes, compaction, deletes on one database"),
    ("fill2", "random puts of two threads"),
    ("fillbatch", "random puts, 1000 a batch"),
    ("sync", "every put synced: 1, 2 and 8 threads"),
    ("reopen-load", "writes half the records into the log and kills itself"),
    ("reopen", "opens what reopen-load left"),
    ("overload", "puts at full speed, then at 95 % of it"),
    ("cold", "reads with a cache of a tenth of the data"),
    ("ycsb", "YCSB: load, A, B, C, F, D; load, E"),
    ("mixgraph", "FAST'20 mixgraph"),
    ("queue", "a queue of 10,000 entries"),
    ("mixes", "the report's mixes"),
];

fn group(name: &str) -> Option<Group> {
    Some(match name {
        "fillseq" => |run| run.fills(),
        "points" => |run| run.points(),
        "fill2" => |run| run.fill_two_threads(),
        "fillbatch" => |run| run.fill_batch(),
        "sync" => |run| run.sync(),
        "reopen-load" => |run| run.reopen_load(),
        "reopen" => |run| run.reopen(),
        "overload" => |run| run.overload(),
        "cold" => |run| run.cold(),
        "ycsb" => |run| run.ycsb(),
        "mixgraph" => |run| run.mixgraph(),
        "queue" => |run| run.queue(),
        "mixes" => |run| run.mixes(),
        _ => return None,
    })
}

/// Runs a group in the empty folder `path` and returns what it measured.
///
/// # Errors
/// An unknown name, or whatever the engine reports.
///
/// # Panics
/// If a value that was read is not what was written.
pub fn run_group(name: &str, open: &Open<'_>, path: &Path, scale: Scale) -> Result<Vec<Measure>> {
    let work = group(name).ok_or_else(|| format!("there is no group {name}"))?;
    let values = Values::new(scale.value_bytes, VALUE_BYTES_MAX);
    let mut run = Run { open, path, scale, values, measures: Vec::new() };
    work(&mut run)?;
    let peak = peak_resident_bytes() as f64;
    run.single(&format!("{name}: most memory"), peak / 1e6, "MB");
    Ok(run.measures)
}

impl Run<'_> {
    fn engine(&self, guarantee: Guarantee) -> Result<Box<dyn Engine>> {
        (self.open)(&Setup {
            path: self.path,
            write_buffer_bytes: self.scale.write_buffer_bytes,
            cache_bytes: self.scale.cache_bytes,
            guarantee,
        })
    }

    fn store<'a>(&'a self, engine: &'a dyn Engine, time_max: Duration) -> Store<'a> {
        Store { engine, values: &self.values, records: self.scale.records, generation: 0, time_max }
    }

    fn single(&mut self, name: &str, value: f64, unit: &str) {
        self.measures.push(Measure::single(name, value, unit));
    }

    fn extent(&self, calls: u64) -> Extent {
        Extent { threads: 1, calls, time_max: self.scale.read_time_max }
    }

    fn settle(&mut self, engine: &dyn Engine, name: &str) -> Result<()> {
        let begun = Instant::now();
        engine.settle()?;
        self.single(name, begun.elapsed().as_secs_f64(), "s");
        Ok(())
    }

    /// Bytes of keys and values in all records.
    fn user_bytes(&self) -> f64 {
        self.scale.records as f64 * (16.0 + self.scale.value_bytes as f64)
    }

    /// What the writes so far, `times` over all records, cost in bytes written and disk.
    fn amplifications(&mut self, name: &str, times: f64) {
        let disk = disk_bytes(self.path) as f64;
        let user = self.user_bytes();
        self.single(
            &format!("{name}: write amplification"),
            written_bytes() as f64 / user / times,
            "x",
        );
        self.single(&format!("{name}: space amplification"), disk / user, "x");
        self.single(&format!("{name}: disk"), disk / 1e6, "MB");
    }

    fn fills(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Buffered)?;
        let store = self.store(&*engine, self.scale.fill_time_max);
        let fill = store.fill("fillseq", 1, (0..self.scale.records).collect())?;
        self.measures.push(fill);
        self.settle(&*engine, "fillseq: settle")?;
        self.amplifications("fillseq", 1.0);
        let scan = self.store(&*engine, Duration::MAX).scan("fillseq: full scan", 1)?;
        self.measures.push(scan);
        engine.close()
    }

    fn fill_two_threads(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Buffered)?;
        let store = self.store(&*engine, self.scale.fill_time_max);
        let fill = store.fill("fillrandom, 2 threads", 2, shuffled(self.scale.records, 1))?;
        store.scan("checked", 1)?;
        self.measures.push(fill);
        engine.close()
    }

    fn fill_batch(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Buffered)?;
        let fill = self.store(&*engine, self.scale.fill_time_max).fill_batch(1000)?;
        self.measures.push(fill);
        engine.close()
    }

    fn sync(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Synced)?;
        for threads in [1, 2, 8] {
            let order = keyed(shuffled(self.scale.records, threads));
            let name = format!("every put synced, {threads} threads");
            let extent = Extent { threads, ..self.extent(self.scale.records) };
            let ran = run(&*engine, &name, extent, &|session, at| {
                let (rank, key) = order[crate::points::index(at)];
                session.put(&key, self.values.value(rank, 0))?;
                Ok(1)
            })?;
            self.measures.push(ran.measure);
        }
        engine.close()
    }

    /// Half of the records; the write buffer is large enough for all, so that they are in the log.
    fn reopen_load(&mut self) -> Result<()> {
        self.scale.write_buffer_bytes *= 4;
        let engine = self.engine(Guarantee::Buffered)?;
        let store = self.store(&*engine, Duration::MAX);
        let order = keyed(shuffled(self.scale.records / 2, 41));
        let mut session = engine.session()?;
        for (rank, key) in order {
            session.put(&key, store.values.value(rank, 0))?;
        }
        std::process::Command::new("kill")
            .args(["-9", &std::process::id().to_string()])
            .status()?;
        Err("still alive after kill -9".into())
    }

    fn reopen(&mut self) -> Result<()> {
        self.scale.write_buffer_bytes *= 4;
        let begun = Instant::now();
        let engine = self.engine(Guarantee::Buffered)?;
        let mut session = engine.session()?;
        session.get(b"0", &mut |_| ())?;
        let took = begun.elapsed();
        let mut there = 0u64;
        session.scan(b"", &mut |key, value| {
            let number = std::str::from_utf8(key).ok().and_then(|text| text.parse().ok());
            assert_eq!(number.map(|rank| self.values.value(rank, 0)), Some(value), "{key:?}");
            there += 1;
            true
        })?;
        drop(session);
        let lost = self.scale.records / 2 - there;
        self.single("reopen after kill -9", took.as_secs_f64(), "s");
        self.single("records lost by kill -9", lost as f64, "records");
        engine.close()
    }

    fn overload(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Buffered)?;
        let (records, time) = (self.scale.records * 4, self.scale.fill_time_max);
        let measures = overload(&*engine, &self.values, records, time)?;
        self.measures.extend(measures);
        engine.close()
    }

    fn cold(&mut self) -> Result<()> {
        let user_bytes = crate::points::index(self.scale.records * 116);
        self.scale.cache_bytes = user_bytes / 10;
        self.scale.write_buffer_bytes = (user_bytes / 10).max(1 << 20);
        let engine = self.engine(Guarantee::Buffered)?;
        let store = self.store(&*engine, self.scale.read_time_max);
        let records = self.scale.records;
        store.load(&keyed(shuffled(records, 1)))?;
        engine.settle()?;
        let measures = [
            store.read_random("cold readrandom", 1, records)?,
            store.read_zipf("cold readzipf", records)?,
            store.read_missing("cold readmissing", records)?,
            store.seek("cold seek + 10", 10, records / 4)?,
            store.scan("cold full scan", 1)?,
        ];
        self.measures.extend(measures);
        engine.close()
    }

    fn ycsb(&mut self) -> Result<()> {
        let records = ycsb::Records::new(self.scale.records / 10, self.scale.records / 4);
        let extent = self.extent(u64::MAX);
        let load = Extent { time_max: self.scale.fill_time_max, ..extent };
        let engine = self.engine(Guarantee::Buffered)?;
        self.measures.push(records.load(&*engine, load)?);
        engine.settle()?;
        for workload in ycsb::ON_ONE_LOAD {
            self.measures.push(records.run(&*engine, extent, workload)?);
        }
        engine.close()?;
        let fresh = self.path.join("e");
        std::fs::create_dir(&fresh)?;
        let engine = (self.open)(&Setup {
            path: &fresh,
            write_buffer_bytes: self.scale.write_buffer_bytes,
            cache_bytes: self.scale.cache_bytes,
            guarantee: Guarantee::Buffered,
        })?;
        records.load(&*engine, load)?;
        engine.settle()?;
        self.measures.push(records.run(&*engine, extent, ycsb::E)?);
        engine.close()
    }

    fn mixgraph(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Buffered)?;
        let extent = self.extent(self.scale.records);
        self.measures.extend(mixgraph(&*engine, &self.values, self.scale.records, extent)?);
        engine.close()
    }

    fn queue(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Buffered)?;
        let extent = self.extent(self.scale.records * 4);
        self.measures.push(queue(&*engine, &self.values, 10_000, extent)?);
        engine.close()
    }

    fn mixes(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Buffered)?;
        let store = self.store(&*engine, self.scale.read_time_max);
        let records = self.scale.records;
        store.load(&keyed(shuffled(records, 1)))?;
        engine.settle()?;
        let shares = [
            ("80 get / 20 put", Mix { gets: 80, ranges: 0 }),
            ("20 get / 80 put", Mix { gets: 20, ranges: 0 }),
            ("50 range / 30 get / 20 put", Mix { gets: 30, ranges: 50 }),
            ("equal parts", Mix { gets: 33, ranges: 33 }),
        ];
        let mut measures = Vec::new();
        for (name, mix) in shares {
            measures.push(store.mixed(name, mix, 1, records)?);
        }
        self.measures.extend(measures);
        engine.close()
    }

    /// The long one: most rows of the table, on one database.
    fn points(&mut self) -> Result<()> {
        let engine = self.engine(Guarantee::Buffered)?;
        let records = self.scale.records;
        let mut store = self.store(&*engine, self.scale.fill_time_max);
        let mut measures = vec![store.fill("fillrandom", 1, shuffled(records, 1))?];
        store.generation = 1;
        measures.push(store.fill("overwrite", 1, shuffled(records, 2))?);
        self.measures.append(&mut measures);
        self.settle(&*engine, "overwrite: settle")?;
        self.amplifications("overwrite", 2.0);
        if self.scale.compact_first {
            engine.compact()?;
        }
        let reads = self.reads(&*engine)?;
        self.measures.extend(reads);
        self.settle(&*engine, "mixes: settle")?;
        self.compaction(&*engine)?;
        let mut store = self.store(&*engine, self.scale.fill_time_max);
        store.generation = 1;
        let measures = [
            store.scan("full scan, compacted", 1)?,
            store.delete_half("delete half")?,
            store.scan("scan after deletes", 2)?,
        ];
        self.measures.extend(measures);
        engine.close()
    }

    fn reads(&self, engine: &dyn Engine) -> Result<Vec<Measure>> {
        let records = self.scale.records;
        let mut store = self.store(engine, self.scale.read_time_max);
        store.generation = 1;
        // Brings blocks into the cache; the first figure is not kept.
        store.scan("warm", 1)?;
        store.read_random("warm", 1, records / 4)?;
        let mut measures = vec![
            store.read_random("readrandom", 1, records)?,
            store.read_zipf("readzipf", records)?,
            store.read_missing("readmissing", records)?,
            store.seek("seek + 10", 10, records / 2)?,
            store.seek("seek + 100", 100, records / 10)?,
            store.seek("seek + 1000", 1000, records / 50)?,
            store.scan("full scan", 1)?,
            store.read_random("readrandom, 2 threads", 2, records)?,
        ];
        measures.extend(store.read_while_writing(self.scale.read_time_max)?);
        let half = Mix { gets: 50, ranges: 0 };
        measures.push(store.mixed("mixed 50/50", half, 1, records)?);
        measures.push(store.mixed("mixed 50/50, 2 threads", half, 2, records)?);
        Ok(measures)
    }

    fn compaction(&mut self, engine: &dyn Engine) -> Result<()> {
        let before = disk_bytes(self.path);
        let watch = DiskPeak::watch(self.path);
        let begun = Instant::now();
        let able = engine.compact()?;
        let took = begun.elapsed();
        let peak = watch.finish().max(before);
        if able {
            let after = disk_bytes(self.path);
            self.single("compaction", took.as_secs_f64(), "s");
            self.single("disk, compacted", after as f64 / 1e6, "MB");
            self.single("disk, most while compacting", peak as f64 / 1e6, "MB");
            self.single("disk, most while compacting, to before", peak as f64 / before as f64, "x");
        }
        Ok(())
    }
}
