//! Write, read and space amplification of `lsm`'s strategies beside RocksDB's leveled and universal
//! compaction: the same records, write buffer, table size and size ratio, compaction kept up.
//!
//! Bytes are counted by the engines themselves (flushes and compactions) and, log included, by the
//! operating system.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use lsm::compaction::{Selection, Strategy};
use lsm::{Codec, Db, Durability, Options, Stats};
use workloads::Result;
use workloads::keys::{key, mix, shuffled};
use workloads::process::written_bytes;

#[cfg(any(feature = "rocksdb", feature = "rocksdb-system"))]
use crate::adapters::rocksdb_shaped;

/// Bytes of a key and its value.
const ENTRY_BYTES: f64 = 116.0;

/// Gets at the end, half of them of keys that are not there.
const GETS: u64 = 100_000;

#[derive(Debug, Clone, Args)]
pub(crate) struct Amplification {
    /// Records of 16 + 100 random bytes.
    #[arg(long, default_value_t = 2_500_000)]
    records: u64,
    /// Uniform updates for each record.
    #[arg(long, default_value_t = 2)]
    updates: u64,
    /// Ratio between the sizes of neighbouring levels.
    #[arg(long, default_value_t = 4)]
    pub(crate) size_ratio: u32,
    /// Write buffer in KiB; also the size of tables, and a quarter of the first level.
    #[arg(long, default_value_t = 1024)]
    buffer_kib: usize,
    /// Names as in the table, separated by semicolons; all without it.
    #[arg(long, value_delimiter = ';')]
    only: Vec<String>,
    /// The folder for the databases; the system's temporary one without it.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Amplification {
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer_kib << 10
    }
}

/// What an engine counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) flushed_bytes: u64,
    pub(crate) compacted_bytes: u64,
    /// Bytes of live tables.
    pub(crate) table_bytes: u64,
    /// Sorted runs.
    pub(crate) runs: u64,
    /// Blocks of data that were looked at.
    pub(crate) blocks: u64,
}

/// An engine that counts its bytes.
pub(crate) trait Counted {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;
    fn get(&mut self, key: &[u8]) -> Result<bool>;
    /// Waits until no flush and no compaction is running or due.
    fn rest(&mut self) -> Result<()>;
    fn counts(&mut self) -> Counts;
}

struct Ours(Db);

impl Counted for Ours {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.0.put(key, value)?)
    }

    fn get(&mut self, key: &[u8]) -> Result<bool> {
        Ok(self.0.get(key)?.is_some())
    }

    fn rest(&mut self) -> Result<()> {
        Ok(self.0.wait_idle()?)
    }

    fn counts(&mut self) -> Counts {
        let stats: Stats = self.0.stats();
        Counts {
            flushed_bytes: stats.flush_bytes,
            compacted_bytes: stats.compaction_write_bytes,
            table_bytes: stats.table_bytes,
            runs: stats.runs as u64,
            blocks: stats.cache_hits + stats.cache_misses,
        }
    }
}

fn open_ours(folder: &Path, asked: &Amplification, strategy: Strategy) -> Result<Box<dyn Counted>> {
    let options = Options {
        strategy,
        size_ratio: asked.size_ratio,
        write_buffer_bytes: asked.buffer_bytes(),
        table_bytes: asked.buffer_bytes() as u64,
        block_cache_bytes: 8 << 20,
        codec: Codec::None,
        background_threads: 2,
        durability: Durability::Buffered,
        ..Options::default()
    };
    Ok(Box::new(Ours(Db::open(folder, options)?)))
}

type Open = Box<dyn Fn(&Path, &Amplification) -> Result<Box<dyn Counted>>>;

/// Every row of the table: its name, and how its engine is opened.
fn rows() -> Vec<(&'static str, Open)> {
    let ours = |strategy| -> Open { Box::new(move |p, a| open_ours(p, a, strategy)) };
    #[cfg_attr(
        not(any(feature = "rocksdb", feature = "rocksdb-system")),
        expect(unused_mut, reason = "RocksDB's rows are added")
    )]
    let mut rows = vec![
        ("lsm leveled", ours(Strategy::Leveled)),
        ("lsm partial", ours(Strategy::Partial(Selection::RoundRobin))),
        ("lsm lazy-leveled", ours(Strategy::LazyLeveled)),
        ("lsm tiered", ours(Strategy::Tiered)),
    ];
    #[cfg(any(feature = "rocksdb", feature = "rocksdb-system"))]
    for (name, style) in rocksdb_shaped::STYLES {
        rows.push((name, Box::new(move |p, a| rocksdb_shaped::open(p, a, style))));
    }
    rows
}

/// What one row's engine took, per byte of keys and values.
#[derive(Debug, Default)]
struct Row {
    name: &'static str,
    load: f64,
    updates: f64,
    /// Bytes that the operating system was made to write, the log's among them, in both.
    system: f64,
    space: f64,
    space_max: f64,
    runs: f64,
    blocks: [f64; 2],
}

/// Writes a record in its `generation`-th version.
fn put(engine: &mut dyn Counted, rank: u64, generation: u64) -> Result<()> {
    let mut value = [0u8; 100];
    let mut state = mix(rank ^ generation << 40);
    for word in value.chunks_mut(8) {
        state = mix(state);
        word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
    }
    engine.put(&key(rank), &value)
}

fn measure(name: &'static str, open: &Open, asked: &Amplification) -> Result<Row> {
    let parent = asked.dir.clone().unwrap_or_else(std::env::temp_dir);
    let folder = parent.join(format!("amplification-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut engine = open(&folder, asked)?;
    let (records, stride) = (asked.records, asked.buffer_bytes() as u64 / 600);
    let (user, written) = (records as f64 * ENTRY_BYTES, written_bytes());
    for (step, rank) in (1..).zip(shuffled(records, 1)) {
        put(&mut *engine, rank, 0)?;
        if step % stride == 0 {
            engine.rest()?;
        }
    }
    engine.rest()?;
    let loaded = engine.counts();
    let mut row = Row { name, ..Row::default() };
    let (mut samples, mut state) = (0.0, 7);
    for step in 1..=records * asked.updates {
        state = mix(state);
        put(&mut *engine, state % records, step)?;
        if step % stride == 0 {
            engine.rest()?;
            let counts = engine.counts();
            row.space += counts.table_bytes as f64 / user;
            row.space_max = row.space_max.max(counts.table_bytes as f64 / user);
            row.runs += counts.runs as f64;
            samples += 1.0;
        }
    }
    engine.rest()?;
    let end = engine.counts();
    let all = |counts: &Counts| (counts.flushed_bytes + counts.compacted_bytes) as f64;
    row.load = all(&loaded) / user;
    row.updates = (all(&end) - all(&loaded)) / user / asked.updates as f64;
    row.system = (written_bytes() - written) as f64 / user / (1 + asked.updates) as f64;
    row.space /= samples;
    row.runs /= samples;
    for (at, there) in [true, false].into_iter().enumerate() {
        let before = engine.counts().blocks;
        for _ in 0..GETS {
            state = mix(state);
            let mut wanted = key(state % records).to_vec();
            if !there {
                wanted.push(b'-');
            }
            assert_eq!(engine.get(&wanted)?, there, "key {wanted:?} is there: {there}");
        }
        row.blocks[at] = (engine.counts().blocks - before) as f64 / GETS as f64;
    }
    drop(engine);
    std::fs::remove_dir_all(&folder)?;
    Ok(row)
}

/// Runs the rows that are asked for and prints them as a table.
pub(crate) fn run(asked: &Amplification) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "| T = {} | load | updates | system, log included | space | most space | runs | \
         blocks a get, there / absent |",
        asked.size_ratio
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|---:|---:|")?;
    let wanted = |name: &str| asked.only.is_empty() || asked.only.iter().any(|only| only == name);
    for (name, open) in rows().into_iter().filter(|(name, _)| wanted(name)) {
        let row = measure(name, &open, asked)?;
        writeln!(
            text,
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.2} / {:.2} |",
            row.name,
            row.load,
            row.updates,
            row.system,
            row.space,
            row.space_max,
            row.runs,
            row.blocks[0],
            row.blocks[1]
        )?;
    }
    Ok(text)
}
