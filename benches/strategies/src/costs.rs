//! Amplification and speed of each strategy: a load in random order, then as many uniform updates,
//! compaction kept up, so that what is measured is the strategy and not how far it fell behind.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use compaction::simulate::{Report, Setup, Workload, simulate_phases};
use lsm::compaction::Strategy;
use lsm::{Codec, Db, Durability, Options, Stats};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Bytes of a key and its value.
const ENTRY_BYTES: f64 = 116.0;

/// Bytes of a block, by default.
const BLOCK_BYTES: f64 = 4096.0;

/// Forecasts, of which the table shows the mean, the least and the most.
const PHASES: u32 = 9;

/// Gets of keys that are there per strategy, and as many of keys that are not.
const READS: u32 = 200_000;

/// Short scans per strategy, and the records that each takes.
const SCANS: u32 = 20_000;
const SCANNED: u32 = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Records.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u32,
    /// Updates for each record. A tree whose levels are rewritten whole needs several to show
    /// its mean.
    #[arg(long, default_value_t = 1)]
    updates: u32,
    /// Ratio between the sizes of neighbouring levels.
    #[arg(long, default_value_t = 4)]
    size_ratio: u32,
    /// Write buffer in KiB; also the size of tables.
    #[arg(long, default_value_t = 1024)]
    buffer_kib: usize,
    /// Block cache in MiB.
    #[arg(long, default_value_t = 128)]
    cache_mib: usize,
    /// Threads for compactions.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Names, separated by commas; all without it.
    #[arg(long, value_delimiter = ',', value_parser = crate::strategy)]
    strategies: Vec<(&'static str, Strategy)>,
    /// Seed of the order of the load and of the keys updated.
    #[arg(long, default_value_t = 5)]
    seed: u64,
    /// The folder for the databases; a temporary one without it.
    #[arg(long)]
    dir: Option<std::path::PathBuf>,
    /// One JSON list instead of tables.
    #[arg(long)]
    json: bool,
}

/// What one strategy cost.
#[derive(Debug, Serialize)]
struct Row {
    strategy: &'static str,
    /// Bytes written for each byte of keys and values: in the load, and in the updates.
    load: f64,
    updates: f64,
    /// Bytes of tables for each byte of live keys and values: on average, and at most.
    space: f64,
    space_max: f64,
    forecast_load: Forecast,
    forecast_updates: Forecast,
    forecast_space: Forecast,
    /// Sorted runs, on average.
    runs: f64,
    /// Blocks looked at by a get of a key that is there, one that is not, and a short scan, in the
    /// tree that the updates left behind.
    present: f64,
    absent: f64,
    scan: f64,
    forecast_space_max: Forecast,
    forecast_runs: Forecast,
    forecast_present: Forecast,
    forecast_absent: Forecast,
    forecast_scan: Forecast,
    /// Bytes of keys and values in a flush.
    flushed: f64,
    puts_per_s: f64,
    gets_per_s: f64,
    absent_gets_per_s: f64,
    scans_per_s: f64,
    /// Milliseconds of a merge.
    merge_ms: f64,
    /// Processor time beside the writer's own, for each second of writing.
    background_cpu: f64,
}

/// What the simulator expects over the phases of its large merges.
#[derive(Debug, Serialize)]
struct Forecast {
    mean: f64,
    least: f64,
    most: f64,
}

impl Forecast {
    fn of(reports: &[Report], figure: impl Fn(&Report) -> f64) -> Self {
        let figures = || reports.iter().map(&figure);
        Self {
            mean: figures().sum::<f64>() / reports.len() as f64,
            least: figures().fold(f64::MAX, f64::min),
            most: figures().fold(0.0, f64::max),
        }
    }
}

struct Bench {
    db: Db,
    rng: StdRng,
    entries: u32,
    /// Puts between two looks whether compaction has caught up.
    stride: usize,
}

impl Bench {
    fn put(&mut self, key: u32) -> lsm::Result<()> {
        let mut value = [0u8; 100];
        self.rng.fill(&mut value);
        self.db.put(format!("{key:016}"), value)
    }

    /// Writes `keys`, compaction kept up, and says what `look` sees along the way.
    fn write(
        &mut self,
        keys: impl Iterator<Item = u32>,
        mut look: impl FnMut(&Stats),
    ) -> lsm::Result<Duration> {
        let begun = Instant::now();
        for (step, key) in keys.enumerate() {
            self.put(key)?;
            if step % self.stride == 0 {
                self.db.wait_idle()?;
                if step % (self.stride * 8) == 0 {
                    look(&self.db.stats());
                }
            }
        }
        self.db.wait_idle()?;
        Ok(begun.elapsed())
    }

    /// Does `read` so often with random keys; returns the rate and the blocks looked at by each.
    fn read(
        &mut self,
        count: u32,
        read: impl Fn(&Db, String) -> lsm::Result<()>,
    ) -> lsm::Result<(f64, f64)> {
        let look = |stats: &Stats| stats.cache_hits + stats.cache_misses;
        let (before, begun) = (look(&self.db.stats()), Instant::now());
        for _ in 0..count {
            let key = self.rng.random_range(0..self.entries);
            read(&self.db, format!("{key:016}"))?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let blocks = (look(&self.db.stats()) - before) as f64 / f64::from(count);
        Ok((f64::from(count) / seconds, blocks))
    }
}

fn written(stats: &Stats) -> f64 {
    (stats.flush_bytes + stats.compaction_write_bytes) as f64
}

/// How the database is opened.
fn options(arguments: &Arguments, strategy: Strategy) -> Options {
    let buffer_bytes = arguments.buffer_kib << 10;
    Options {
        strategy,
        size_ratio: arguments.size_ratio,
        write_buffer_bytes: buffer_bytes,
        table_bytes: buffer_bytes as u64,
        block_cache_bytes: arguments.cache_mib << 20,
        codec: Codec::None,
        background_threads: arguments.threads,
        durability: Durability::None,
        ..Options::default()
    }
}

fn measure(arguments: &Arguments, (name, strategy): (&'static str, Strategy)) -> Result<Row> {
    let folder = match &arguments.dir {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    };
    let buffer_bytes = arguments.buffer_kib << 10;
    let db = Db::open(folder.path().join("db"), options(arguments, strategy))?;
    let entries = arguments.entries;
    let stride = (buffer_bytes / 600).max(1);
    let rng = StdRng::seed_from_u64(arguments.seed);
    let mut bench = Bench { db, rng, entries, stride };
    let mut order: Vec<u32> = (0..entries).collect();
    order.shuffle(&mut bench.rng);
    let user = f64::from(entries) * ENTRY_BYTES;
    let cpu = cpu_seconds();
    let mut took = bench.write(order.into_iter(), |_| ())?;
    let loaded = bench.db.stats();
    let (mut space, mut space_max, mut runs, mut samples) = (0.0, 0.0f64, 0.0, 0.0);
    let mut keys = StdRng::seed_from_u64(arguments.seed + 1);
    let updates = entries.saturating_mul(arguments.updates);
    let stream = (0..updates).map(move |_| keys.random_range(0..entries));
    took += bench.write(stream, |stats| {
        space += stats.table_bytes as f64;
        space_max = space_max.max(stats.table_bytes as f64);
        runs += stats.runs as f64;
        samples += 1.0;
    })?;
    let end = bench.db.stats();
    let used = cpu_seconds() - cpu;
    let (gets_per_s, present) = bench.read(READS, |db, key| {
        assert!(db.get(&key)?.is_some_and(|value| value.len() == 100), "key {key} is lost");
        Ok(())
    })?;
    // Just behind a key that is there, so inside the range of every run.
    let (absent_gets_per_s, absent) = bench.read(READS, |db, key| {
        assert!(db.get(format!("{key}x"))?.is_none(), "key {key}x was never put");
        Ok(())
    })?;
    let (scans_per_s, scan) = bench.read(SCANS, |db, key| {
        db.scan(key..)?.take(SCANNED as usize).try_for_each(|item| item.map(drop))
    })?;
    let forecast = forecast(arguments, strategy, &end)?;
    let seconds = took.as_secs_f64();
    // A scan looks at a block of each run, and at the further ones that its records fill.
    let scanned_blocks = f64::from(SCANNED) * ENTRY_BYTES / BLOCK_BYTES;
    Ok(Row {
        strategy: name,
        load: written(&loaded) / user,
        updates: (written(&end) - written(&loaded)) / user / f64::from(arguments.updates),
        space: space / samples / user,
        space_max: space_max / user,
        forecast_load: Forecast::of(&forecast, |report| report.load_write_amplification),
        forecast_updates: Forecast::of(&forecast, |report| report.write_amplification),
        forecast_space: Forecast::of(&forecast, |report| report.space_amplification),
        runs: runs / samples,
        present,
        absent,
        scan,
        forecast_space_max: Forecast::of(&forecast, |report| {
            report.space_amplification_max.unwrap_or(f64::NAN)
        }),
        forecast_runs: Forecast::of(&forecast, |report| report.runs_mean),
        forecast_present: Forecast::of(&forecast, |report| report.present_key_blocks),
        forecast_absent: Forecast::of(&forecast, |report| report.absent_key_blocks),
        forecast_scan: Forecast::of(&forecast, |report| report.runs_mean + scanned_blocks),
        flushed: flushed(arguments, &end),
        puts_per_s: (f64::from(entries) + f64::from(updates)) / seconds,
        gets_per_s,
        absent_gets_per_s,
        scans_per_s,
        merge_ms: end.compaction_us as f64 / 1e3 / end.compactions.max(1) as f64,
        background_cpu: used / seconds,
    })
}

/// The simulator's answers for what was run.
fn forecast(arguments: &Arguments, strategy: Strategy, end: &Stats) -> Result<Vec<Report>> {
    let buffer = (arguments.buffer_kib << 10) as u64;
    let stored = end.table_bytes as f64 / end.table_entries as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let write_buffer_bytes = flushed(arguments, end) as u64;
    let setup = Setup {
        options: compaction::Options {
            size_ratio: arguments.size_ratio,
            base_bytes: 4 * buffer,
            target_table_bytes: buffer,
            max_job_bytes: (16 * buffer).max(16 << 20),
            ..compaction::Options::new(strategy)
        },
        write_buffer_bytes,
        overhead_bytes: stored - ENTRY_BYTES,
        ..Setup::default()
    };
    let workload = Workload {
        entries: arguments.entries.into(),
        updates: arguments.updates.into(),
        ..Workload::default()
    };
    Ok(simulate_phases(&workload, &setup, PHASES)?)
}

/// Bytes of keys and values in a flush. A memtable holds less than its bytes: the engine counts its
/// own structure too. The last one is half full on average.
fn flushed(arguments: &Arguments, end: &Stats) -> f64 {
    let writes = f64::from(arguments.entries) * (1.0 + f64::from(arguments.updates));
    writes * ENTRY_BYTES / (end.flushes as f64 + 0.5)
}

/// Processor time of this process, all threads, in seconds.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the one way to a process's processor time")]
    // SAFETY: `time` is a timespec that lives through the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } != 0;
    assert!(!failed, "every Linux has this clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let mut strategies = arguments.strategies.clone();
    if strategies.is_empty() {
        strategies = crate::STRATEGIES.to_vec();
    }
    let mut rows = Vec::new();
    for strategy in strategies {
        rows.push(measure(arguments, strategy)?);
    }
    if arguments.json {
        return Ok(serde_json::to_string_pretty(&rows)?);
    }
    tables(arguments, &rows)
}

/// A figure and, in brackets, its forecast.
fn beside(real: f64, forecast: &Forecast) -> String {
    let Forecast { mean, least, most } = forecast;
    let off = (mean / real - 1.0) * 100.0;
    format!("{real:.2} ({mean:.2}, {least:.2} to {most:.2}; {off:+.1} %)")
}

fn tables(arguments: &Arguments, rows: &[Row]) -> Result<String> {
    let mut text = String::new();
    let (entries, buffer) = (arguments.entries, arguments.buffer_kib);
    writeln!(
        text,
        "{entries} records, {} updates each, T = {}, buffer {buffer} KiB\n",
        arguments.updates, arguments.size_ratio
    )?;
    writeln!(
        text,
        "Bytes for a byte of user data, in brackets the forecast over the phases of large merges, \
         its least and most, and how far its mean is off:\n"
    )?;
    writeln!(text, "| strategy | load | updates | space | most space |")?;
    writeln!(text, "|---|---:|---:|---:|---:|")?;
    for row in rows {
        writeln!(
            text,
            "| {} | {} | {} | {} | {:.2} ({:.2}) |",
            row.strategy,
            beside(row.load, &row.forecast_load),
            beside(row.updates, &row.forecast_updates),
            beside(row.space, &row.forecast_space),
            row.space_max,
            row.forecast_space_max.most,
        )?;
    }
    writeln!(text, "\nBlocks looked at, and runs, in brackets the forecast as above:\n")?;
    writeln!(text, "| strategy | runs | get, there | get, absent | scan of {SCANNED} |")?;
    writeln!(text, "|---|---:|---:|---:|---:|")?;
    for row in rows {
        writeln!(
            text,
            "| {} | {} | {} | {:.3} ({:.3}) | {} |",
            row.strategy,
            beside(row.runs, &row.forecast_runs),
            beside(row.present, &row.forecast_present),
            row.absent,
            row.forecast_absent.mean,
            beside(row.scan, &row.forecast_scan),
        )?;
    }
    writeln!(
        text,
        "\n| strategy | puts/s | gets/s | absent/s | scans/s | ms a merge | CPU, cores | \
         KiB a flush |"
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|---:|---:|")?;
    for row in rows {
        writeln!(
            text,
            "| {} | {:.0} k | {:.0} k | {:.0} k | {:.1} k | {:.1} | {:.2} | {:.0} |",
            row.strategy,
            row.puts_per_s / 1e3,
            row.gets_per_s / 1e3,
            row.absent_gets_per_s / 1e3,
            row.scans_per_s / 1e3,
            row.merge_ms,
            row.background_cpu,
            row.flushed / 1024.0,
        )?;
    }
    Ok(text)
}
