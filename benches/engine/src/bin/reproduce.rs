//! The CS265 report's tables 4.2 and 4.6 (second) on `lsm`, the report's figures beside ours.
//!
//! `scripts/reproduce.sh` runs it. What this machine cannot show (more threads than it has cores,
//! 100 million records and more) is printed as open, never extrapolated.

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use lsm::Options;
use workloads::keys::{Values, keyed, shuffled};
use workloads::lsm_engine::LsmEngine;
use workloads::mixes::Mix;
use workloads::points::Store;
use workloads::report::readable;
use workloads::{Engine, Guarantee, Result, Setup};

/// Figures for the report's tables.
#[derive(Debug, Parser)]
struct Arguments {
    /// Records of the tables that do not scale.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// The most records of the table that does: 1 M, 10 M, 100 M as far as this allows.
    #[arg(long, default_value_t = 10_000_000)]
    records_max: u64,
    /// The longest that one workload takes, in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

const MIB: usize = 1 << 20;

fn open(folder: &Path, cache_bytes: usize, options: &Options) -> Result<LsmEngine> {
    let guarantee = Guarantee::Buffered;
    let setup = Setup { path: folder, write_buffer_bytes: 64 * MIB, cache_bytes, guarantee };
    LsmEngine::open(&setup, options)
}

struct Bench {
    values: Values,
    records: u64,
    time_max: Duration,
}

/// One row: what, the report's figure, ours.
fn row(what: &str, report: &str, ours: Option<f64>) {
    let ours = ours.map_or_else(|| "open".to_owned(), readable);
    print(&format!("| {what} | {report} | {ours} |"));
}

#[expect(clippy::print_stdout, reason = "the tables are what the program is for")]
fn print(line: &str) {
    println!("{line}");
}

fn table(title: &str) {
    print(&format!("\n### {title}\n\n| | report | ours |\n|---|---:|---:|"));
}

impl Bench {
    fn store<'a>(&'a self, engine: &'a LsmEngine) -> Store<'a> {
        let Self { values, records, time_max } = self;
        Store { engine, values, records: *records, generation: 0, time_max: *time_max }
    }

    /// Loaded in random order, flushed, background work done.
    fn loaded(&self, folder: &Path, cache_bytes: usize, options: &Options) -> Result<LsmEngine> {
        let engine = open(folder, cache_bytes, options)?;
        self.store(&engine).load(&keyed(shuffled(self.records, 1)))?;
        engine.settle()?;
        Ok(engine)
    }

    fn fill(&self, threads: u64) -> Result<f64> {
        let folder = tempfile::tempdir()?;
        let engine = open(folder.path(), 256 * MIB, &Options::default())?;
        Ok(self.store(&engine).fill("fill", threads, shuffled(self.records, 1))?.value)
    }

    fn fill_batch(&self) -> Result<f64> {
        let folder = tempfile::tempdir()?;
        let engine = open(folder.path(), 256 * MIB, &Options::default())?;
        Ok(self.store(&engine).fill_batch(1000)?.value)
    }

    fn read(&self, engine: &LsmEngine, threads: u64) -> Result<f64> {
        let store = self.store(engine);
        store.read_random("warm", threads, self.records / 4)?;
        Ok(store.read_random("read", threads, self.records)?.value)
    }

    fn range(&self, engine: &LsmEngine, entries: u64) -> Result<f64> {
        Ok(self.store(engine).seek("range", entries, self.records / entries.max(4))?.value)
    }

    fn mixed(&self, engine: &LsmEngine, threads: u64) -> Result<f64> {
        let half = Mix { gets: 50, ranges: 0 };
        Ok(self.store(engine).mixed("mixed", half, threads, self.records)?.value)
    }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Threads beyond the cores are not measured.
fn if_cores(threads: u64, measure: impl FnOnce() -> Result<f64>) -> Result<Option<f64>> {
    if threads <= cores() { measure().map(Some) } else { Ok(None) }
}

fn writes(bench: &Bench) -> Result<()> {
    table("4.2.1 Writes a second");
    row("1 thread", "1,254,873", Some(bench.fill(1)?));
    row("1000 a batch", "1,876,321", Some(bench.fill_batch()?));
    for (threads, report) in [(2, "-"), (4, "3,782,154"), (8, "7,653,728"), (16, "12,871,532")] {
        let ours = if_cores(threads, || bench.fill(threads))?;
        row(&format!("{threads} threads"), report, ours);
    }
    Ok(())
}

fn reads(bench: &Bench) -> Result<()> {
    table("4.2.2 Point reads a second");
    let bare = Options { filter_bits_per_key: 0.0, ..Options::default() };
    let folder = tempfile::tempdir()?;
    let engine = bench.loaded(folder.path(), 0, &bare)?;
    row("1 thread, no cache, no filters", "73,642", Some(bench.read(&engine, 1)?));
    drop(engine);
    let folder = tempfile::tempdir()?;
    let engine = bench.loaded(folder.path(), 256 * MIB, &bare)?;
    row("with a cache", "128,475", Some(bench.read(&engine, 1)?));
    drop(engine);
    let folder = tempfile::tempdir()?;
    let engine = bench.loaded(folder.path(), 256 * MIB, &Options::default())?;
    row("with cache and filters", "159,362", Some(bench.read(&engine, 1)?));
    for (threads, report) in [(2, "-"), (4, "271,568"), (8, "541,936"), (16, "892,571")] {
        let ours = if_cores(threads, || bench.read(&engine, threads))?;
        row(&format!("{threads} threads"), report, ours);
    }
    table("4.2.3 Ranges a second, by entries");
    let ranges = [(10, "42,365"), (100, "12,784"), (1000, "1,547"), (10_000, "179")];
    for (entries, report) in ranges {
        row(&entries.to_string(), report, Some(bench.range(&engine, entries)?));
    }
    Ok(())
}

fn scaling(arguments: &Arguments, time_max: Duration) -> Result<()> {
    print("\n### 4.2.4 By size: writes, reads, ranges of 100, a second\n");
    print("| records | report | ours |\n|---|---:|---:|");
    for (name, records, report) in [
        ("1 M", 1_000_000, "1,254,873; 73,642; 12,784"),
        ("10 M", 10_000_000, "1,187,294; 68,451; 11,853"),
        ("100 M", 100_000_000, "1,052,841; 61,275; 10,472"),
        ("1 B", 1_000_000_000, "842,715; 54,872; 8,751"),
    ] {
        if records > arguments.records_max {
            print(&format!("| {name} | {report} | open |"));
            continue;
        }
        let bench = Bench { values: Values::new(100, 100), records, time_max };
        let folder = tempfile::tempdir()?;
        let engine = open(folder.path(), 256 * MIB, &Options::default())?;
        // The whole fill is timed, however long it takes.
        let store = Store { time_max: Duration::MAX, ..bench.store(&engine) };
        let fill = store.fill("fill", 1, shuffled(records, 1))?.value;
        engine.settle()?;
        let (read, range) = (bench.read(&engine, 1)?, bench.range(&engine, 100)?);
        let [fill, read, range] = [fill, read, range].map(readable);
        print(&format!("| {name} | {report} | {fill}; {read}; {range} |"));
    }
    Ok(())
}

fn threads(bench: &Bench) -> Result<()> {
    print("\n### 4.6 (second) By threads: writes, reads, half and half, thousands a second\n");
    print("| threads | report | ours |\n|---|---:|---:|");
    let folder = tempfile::tempdir()?;
    let engine = bench.loaded(folder.path(), 256 * MIB, &Options::default())?;
    for (threads, report) in [
        (1, "532; 45; 87"),
        (2, "985; 89; 162"),
        (4, "1,720; 172; 298"),
        (8, "2,580; 324; 518"),
        (16, "3,120; 582; 764"),
    ] {
        if threads > cores() {
            print(&format!("| {threads} | {report} | open |"));
            continue;
        }
        let ours =
            [bench.fill(threads)?, bench.read(&engine, threads)?, bench.mixed(&engine, threads)?];
        let [write, read, half] = ours.map(|rate| readable(rate / 1000.0));
        print(&format!("| {threads} | {report} | {write}; {read}; {half} |"));
    }
    Ok(())
}

fn caches(bench: &Bench) -> Result<()> {
    print("\n### 4.6.2 Uniform reads by cache, of the data's bytes\n");
    print("| cache | report, gain | ours, a second | gain |\n|---|---:|---:|---:|");
    let mut base = None;
    let sizes = [(0, "1.00x"), (1, "1.35x"), (5, "2.12x"), (10, "2.87x"), (20, "3.21x")];
    for (percent, report) in sizes {
        let folder = tempfile::tempdir()?;
        let cache = usize::try_from(bench.records * 116 * percent / 100)?;
        let engine = bench.loaded(folder.path(), cache, &Options::default())?;
        let rate = bench.read(&engine, 1)?;
        let gain = rate / *base.get_or_insert(rate);
        print(&format!("| {percent} % | {report} | {} | {gain:.2}x |", readable(rate)));
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let time_max = Duration::from_secs_f64(arguments.seconds);
    let bench = Bench { values: Values::new(100, 100), records: arguments.records, time_max };
    writes(&bench)?;
    reads(&bench)?;
    scaling(&arguments, time_max)?;
    caches(&bench)?;
    threads(&bench)
}
