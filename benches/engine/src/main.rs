//! db_bench's workloads on `lsm`, with every option that matters as a flag.
//!
//! `cargo run --release -p engine-bench -- --records 1000000` prints a table; `--json` a list.

mod keys;
mod report;
mod workload;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use lsm::{Codec, Db, Durability, Options};

use crate::keys::{Values, key};
use crate::report::{Row, latencies};
use crate::workload::{Bench, timed};

/// Workloads on one database, every value checked.
#[derive(Debug, Parser)]
struct Arguments {
    /// Records in the database.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Point reads per workload.
    #[arg(long, default_value_t = 1_000_000)]
    reads: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// Write buffer in MiB.
    #[arg(long, default_value_t = 64)]
    buffer_mib: usize,
    /// Block cache in MiB.
    #[arg(long, default_value_t = 256)]
    cache_mib: usize,
    /// fastskip, skipmap, sharded:N or ring:N.
    #[arg(long, default_value_t)]
    memtable: lsm::MemtableKind,
    /// sync, buffered or none.
    #[arg(long, default_value = "buffered")]
    durability: String,
    /// none or lz4.
    #[arg(long, default_value = "lz4")]
    codec: String,
    /// tiered or leveled.
    #[arg(long, default_value = "leveled")]
    strategy: String,
    /// Only workloads whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// Compact everything into the last level before the reads.
    #[arg(long)]
    compact: bool,
    /// Run each read workload this many times and show the best, against noise.
    #[arg(long, default_value_t = 1)]
    best_of: u32,
    /// The folder for the databases; a temporary one without it.
    #[arg(long)]
    dir: Option<std::path::PathBuf>,
    /// One JSON list instead of a table.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            write_buffer_bytes: self.buffer_mib << 20,
            block_cache_bytes: self.cache_mib << 20,
            memtable: self.memtable,
            durability: match self.durability.as_str() {
                "sync" => Durability::Sync,
                "none" => Durability::None,
                _ => Durability::Buffered,
            },
            codec: if self.codec == "none" { Codec::None } else { Codec::Lz4 },
            strategy: if self.strategy == "tiered" {
                lsm::compaction::Strategy::Tiered
            } else {
                lsm::compaction::Strategy::Leveled
            },
            ..Options::default()
        }
    }

    fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let root = arguments.dir.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let mut rows: Vec<Row> = Vec::new();
    let mut show = |row: Row| {
        if !arguments.json {
            println!("{}", row.line());
        }
        rows.push(row);
    };
    if !arguments.json {
        println!("{}", Row::heading());
    }
    fills(&arguments, &root, &mut show)?;
    reads(&arguments, &root, &mut show)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    }
    Ok(())
}

/// One row of the table.
type Workload = fn(&Bench) -> lsm::Result<Row>;

fn bench(arguments: &Arguments, path: &std::path::Path) -> lsm::Result<Bench> {
    Ok(Bench {
        db: Db::open(path, arguments.options())?,
        records: arguments.records,
        reads: arguments.reads,
        values: Arc::new(Values::new(arguments.value_bytes)),
        generation: 0,
    })
}

/// The workloads that each start on a database of their own.
fn fills(
    arguments: &Arguments,
    root: &std::path::Path,
    show: &mut impl FnMut(Row),
) -> Result<(), Box<dyn std::error::Error>> {
    let all: [(&str, Workload); 4] = [
        ("fillseq", |bench| bench.fill_sequential(1)),
        ("fillrandom-1t", |bench| bench.fill_random("fillrandom-1t", 1)),
        ("fillrandom-2t", |bench| bench.fill_random("fillrandom-2t", 2)),
        ("fillbatch1000", |bench| bench.fill_batch(1000)),
    ];
    for (name, fill) in all.into_iter().filter(|(name, _)| arguments.wants(name)) {
        let path = root.join(name);
        let bench = bench(arguments, &path)?;
        show(fill(&bench)?);
        drop(bench);
        std::fs::remove_dir_all(&path)?;
    }
    for threads in [1, 2, 8].into_iter().filter(|_| arguments.wants("fillsync")) {
        let path = root.join("fillsync");
        let options = Options { durability: Durability::Sync, ..arguments.options() };
        let db = Db::open(&path, options)?;
        let values = Values::new(arguments.value_bytes);
        let writes = (arguments.records / 100).max(1000);
        show(timed(&format!("fillsync-{threads}t"), threads, writes, |rank| {
            db.put(key(rank), values.value(rank, 0))?;
            Ok(1)
        })?);
        drop(db);
        std::fs::remove_dir_all(&path)?;
    }
    Ok(())
}

/// The workloads that share one database.
fn reads(
    arguments: &Arguments,
    root: &std::path::Path,
    show: &mut impl FnMut(Row),
) -> Result<(), Box<dyn std::error::Error>> {
    let path = root.join("shared");
    let mut bench = bench(arguments, &path)?;
    let load = bench.fill_random("load", 1)?;
    bench.generation = 1;
    let overwrite = bench.fill_random("overwrite", 1)?;
    if arguments.wants("overwrite") {
        show(load);
        show(overwrite);
    }
    let settle = Instant::now();
    bench.db.flush()?;
    bench.db.wait_idle()?;
    if arguments.compact {
        bench.db.compact()?;
    }
    show(Row::new("settle", 1, settle.elapsed(), &latencies()));
    let passes: [(&str, Workload); 12] = [
        ("readrandom", |bench| bench.read_random(1)),
        ("readrandom", |bench| bench.read_random(1)),
        ("readzipf", Bench::read_zipf),
        ("readmissing", Bench::read_missing),
        ("seek", |bench| bench.seek(10)),
        ("seek", |bench| bench.seek(100)),
        ("seek", |bench| bench.seek(1000)),
        ("scan", |bench| bench.scan("scan", bench.records)),
        ("scan", |bench| bench.scan("scan again", bench.records)),
        ("readrandom", |bench| bench.read_random(2)),
        ("mixed", |bench| bench.mixed(1)),
        ("mixed", |bench| bench.mixed(2)),
    ];
    for (name, pass) in passes {
        if arguments.wants(name) {
            let mut best = pass(&bench)?;
            for _ in 1..arguments.best_of {
                best = best.better(pass(&bench)?);
            }
            show(best);
        }
    }
    if arguments.wants("readwhilewriting") {
        for row in bench.read_while_writing(Duration::from_secs(3))? {
            show(row);
        }
    }
    if arguments.wants("delete") {
        show(bench.delete_half()?);
        show(bench.scan("scan after deletes", bench.records - bench.records / 2)?);
    }
    if arguments.wants("reopen") {
        let compact = Instant::now();
        bench.db.compact()?;
        show(Row::new("compact", 1, compact.elapsed(), &latencies()));
        bench.db.clone().close()?;
        drop(bench);
        let reopen = Instant::now();
        let db = Db::open(&path, arguments.options())?;
        show(Row::new("reopen", 1, reopen.elapsed(), &latencies()));
        drop(db);
    }
    Ok(())
}
