//! Puts under overload, by the two-phase method (Luo & Carey, "On performance stability in
//! LSM-based storage systems", 2019): first the highest rate that the database takes for a while,
//! then 95 % of it, offered on a fixed schedule. A put's latency counts from when it was due, so a
//! stall is charged to all the puts behind it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use lsm::{Db, Durability, Options};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of each phase.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Keys that are written, uniformly.
    #[arg(long, default_value_t = 10_000_000)]
    keys: u64,
    /// Write buffer in MiB.
    #[arg(long, default_value_t = 64)]
    buffer_mib: usize,
    /// Percent of the highest rate in the second phase.
    #[arg(long, default_value_t = 95)]
    percent: u32,
    /// Megabytes a second that merges may write; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    merge_mb: u64,
    /// A strategy's name.
    #[arg(long, default_value = "leveled", value_parser = crate::strategy)]
    strategy: (&'static str, lsm::compaction::Strategy),
    /// The folder for the database; a temporary one without it.
    #[arg(long)]
    dir: Option<std::path::PathBuf>,
}

struct Writer {
    db: Db,
    rng: StdRng,
    keys: u64,
    pool: Vec<u8>,
}

impl Writer {
    fn put(&mut self) -> lsm::Result<()> {
        let key = self.rng.random_range(0..self.keys);
        let from = usize::try_from(key).unwrap_or(0) % (self.pool.len() - 100);
        self.db.put(format!("{key:016}"), &self.pool[from..from + 100])
    }

    /// Puts on a schedule, or as fast as they are taken without one. Both phases do the same for
    /// each put, one look at the clock among it, so that 95 % of the one's rate leaves the other
    /// 5 % of its time.
    fn run(&mut self, rate: Option<f64>, time: Duration) -> Result<Phase> {
        let histogram = || Histogram::new_with_bounds(1, 600_000_000_000, 3);
        let (mut due_at, mut service) = (histogram()?, histogram()?);
        let begun = Instant::now();
        let (mut puts, mut early, mut now) = (0u64, None, Duration::ZERO);
        loop {
            let due = rate.map_or(now, |rate| Duration::from_secs_f64(puts as f64 / rate));
            if due >= time {
                break;
            }
            while now < due {
                now = begun.elapsed();
            }
            let start = now;
            self.put()?;
            now = begun.elapsed();
            due_at.saturating_record(nanos(now.saturating_sub(due)));
            service.saturating_record(nanos(now.saturating_sub(start)));
            puts += 1;
            if early.is_none() && now >= time / 3 {
                early = Some((puts, now));
            }
        }
        let (before, at) = early.unwrap_or_default();
        let rate = (puts - before) as f64 / now.saturating_sub(at).as_secs_f64();
        Ok(Phase { rate, due_at, service })
    }
}

/// What a phase showed.
struct Phase {
    /// Puts a second in the last two thirds of the time.
    rate: f64,
    /// Nanoseconds of a put from when it was due, and from when it was begun.
    due_at: Histogram<u64>,
    service: Histogram<u64>,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let folder = match &arguments.dir {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    };
    let options = Options {
        strategy: arguments.strategy.1,
        write_buffer_bytes: arguments.buffer_mib << 20,
        durability: Durability::Buffered,
        merge_bytes_per_second: arguments.merge_mb * 1_000_000,
        ..Options::default()
    };
    let mut rng = StdRng::seed_from_u64(7);
    let mut pool = vec![0u8; 1 << 20];
    for half in pool.chunks_mut(100) {
        let random = half.len() / 2;
        rng.fill(&mut half[..random]);
    }
    let db = Db::open(folder.path().join("db"), options)?;
    let mut writer = Writer { db, rng, keys: arguments.keys, pool };
    let time = Duration::from_secs(arguments.seconds);
    let flat_out = writer.run(None, time)?;
    let highest = flat_out.rate;
    let between = writer.db.stats();
    let rate = highest * f64::from(arguments.percent) / 100.0;
    let paced = writer.run(Some(rate), time)?;
    let end = writer.db.stats();
    let mut text = String::new();
    let (percent, name) = (arguments.percent, arguments.strategy.0);
    writeln!(text, "{name}: {:.0} k puts/s at most, then {percent} % of it\n", highest / 1e3)?;
    writeln!(text, "| microseconds | p50 | p99 | p99.9 | p99.99 | most |")?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|")?;
    let rows = [
        ("flat out, from its begin", &flat_out.service),
        ("paced, from its begin", &paced.service),
        ("paced, from when it was due", &paced.due_at),
    ];
    for (what, histogram) in rows {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        writeln!(
            text,
            "| {what} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} |",
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.9999),
            histogram.max() as f64 / 1e3
        )?;
    }
    account(&mut text, "flat out", &lsm::Stats::default(), &between)?;
    account(&mut text, "paced", &between, &end)?;
    Ok(text)
}

/// What background work did in a phase.
fn account(
    text: &mut String,
    phase: &str,
    before: &lsm::Stats,
    after: &lsm::Stats,
) -> std::fmt::Result {
    writeln!(
        text,
        "\n{phase}: {} stalls of {:.1} ms together, {} pauses of {:.0} ms together, \
         {} flushes, {} merges of {:.0} MB, {} runs and {:.0} MiB of debt at its end; merges made \
         room for {} ms and gave way {} times, for {} ms",
        after.stalls - before.stalls,
        (after.stall_us - before.stall_us) as f64 / 1e3,
        after.slowdowns - before.slowdowns,
        (after.slowdown_us - before.slowdown_us) as f64 / 1e3,
        after.flushes - before.flushes,
        after.compactions - before.compactions,
        (after.compaction_write_bytes - before.compaction_write_bytes) as f64 / 1e6,
        after.runs,
        after.compaction_debt_bytes as f64 / f64::from(1 << 20),
        (after.room_us - before.room_us) / 1000,
        after.preemptions - before.preemptions,
        (after.preemption_us - before.preemption_us) / 1000,
    )
}
