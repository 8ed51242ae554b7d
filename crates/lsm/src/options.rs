//! [`Options`]: what a database is opened with. Every field says its default, unit and cost.

use std::time::Duration;

use compaction::Strategy;
use sstable::{Chooser, Codec, Coding};

use crate::error::{Error, Result};
use crate::events::Listeners;
use crate::family_options::FamilyOptions;
use crate::filters::FilterSplit;
use crate::fs::TableReads;
use crate::memtable::MemtableKind;
use crate::wal::RecoveryMode;

/// When a write counts as done. `docs/durability.md` is the contract in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// On the medium before the call returns: never lost, not even by a power cut.
    Sync,
    /// Handed to the operating system before the call returns: survives a killed process; a power
    /// cut may take the newest writes, and leaves a prefix of all writes in their order.
    #[default]
    Buffered,
    /// No log: what was not flushed when the process ends is lost, whole memtables at a time.
    None,
}

/// How a database is opened and run.
///
/// ```
/// use lsm::{Durability, Options};
/// let options = Options { durability: Durability::Sync, ..Options::default() };
/// assert!(options.validate().is_ok());
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each switches a thing of its own on")]
pub struct Options {
    /// Make the folder and an empty database if there is none. Default true.
    pub create_if_missing: bool,
    /// When a write counts as done. Default [`Durability::Buffered`].
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use std::sync::Arc;
    /// use lsm::fs::{Call, FaultFs, StdFs};
    /// use lsm::{Db, Durability, Env, Options};
    /// // While one sync runs, the other writers' writes gather behind it and share the next.
    /// let options = Options { durability: Durability::Sync, ..Options::default() };
    /// let counting = FaultFs::new(Arc::new(StdFs::new()));
    /// let env = Env { fs: Arc::new(counting.clone()), ..Env::system(&options)? };
    /// let db = Db::open_with(path.join("db"), options, env)?;
    /// let before = counting.calls_of(Call::LogSync);
    /// std::thread::scope(|scope| {
    ///     for thread in 0..8_u8 {
    ///         let db = db.clone();
    ///         scope.spawn(move || {
    ///             for n in 0..100_u8 {
    ///                 db.put([thread, n], "on the medium when this returns").unwrap();
    ///             }
    ///         });
    ///     }
    /// });
    /// let syncs = counting.calls_of(Call::LogSync) - before;
    /// assert!(syncs < 800, "{syncs} syncs for 800 writes");
    /// # Ok(())
    /// # }
    /// ```
    pub durability: Durability,
    /// Bytes of writes collected in memory before they become a table; also what a crash may
    /// have to read back from the log. Default 64 MiB, 4 KiB to 4 GiB. The database holds at
    /// most `sealed_memtables_max + 1` of them.
    pub write_buffer_bytes: usize,
    /// Writes collected in memory before they become a table, as a second limit. Default 0: only
    /// bytes count. A batch is never cut.
    pub write_buffer_entries: usize,
    /// Full memtables that may wait for their flush before writers wait. Default 2, 1 to 16.
    pub sealed_memtables_max: usize,
    /// How writes are kept sorted in memory. Default `fastskip`; the others are there to compare.
    pub memtable: MemtableKind,
    /// Bytes of the block cache. Default 128 MiB. 0 keeps no blocks.
    pub block_cache_bytes: usize,
    /// Bytes of memory for everything together: memtables, logs in use, cache, filters, indexes,
    /// background work and iterators. The cache then takes what the others leave,
    /// `block_cache_bytes` at most, and gives back as they grow; when that is not enough, merges
    /// and iterators read less far ahead, merges run one after the other, memtables are sealed
    /// earlier, and writers are held back. Default 0: each part has its own limit, and filters
    /// and indexes none. Set it, and what goes with it, by [`Options::with_memory_budget`]. Not
    /// in it: values that the caller holds, and a table's filter and index where all of them
    /// together exceed the budget.
    pub memory_budget_bytes: usize,
    /// Bytes of a data block before compression. Default 4,096; 512 to 65,536. Larger blocks
    /// compress better and scan faster; point reads decode more. What a key shares with the one
    /// before it is not stored again.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Codec, Db, Options};
    /// let db = Db::open(path.join("db"), Options { codec: Codec::None, ..Options::default() })?;
    /// for n in 0..1000 {
    ///     db.put(format!("a/long/prefix/that/all/keys/share/{n:04}"), "value")?;
    /// }
    /// db.flush()?;
    /// let stats = db.stats();
    /// assert!(stats.table_bytes * 10 < stats.table_raw_bytes * 6, "without any codec: {stats:?}");
    /// # Ok(())
    /// # }
    /// ```
    pub block_bytes: usize,
    /// How data blocks are compressed. Default LZ4, or none in a build without it; the crate's
    /// features say which codecs are built in.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Codec, Db, Options};
    /// let bytes = |codec| {
    ///     let folder = path.join(format!("{codec:?}"));
    ///     let db = Db::open(folder, Options { codec, ..Options::default() })?;
    ///     for n in 0..2000 {
    ///         let row = format!("{{\"name\":\"user {n}\",\"visits\":{}}}", n % 7);
    ///         db.put(format!("user{n:05}"), row)?;
    ///     }
    ///     db.flush()?;
    ///     lsm::Result::Ok(db.stats().table_bytes)
    /// };
    /// let [none, snappy, lz4, zstd] =
    ///     [bytes(Codec::None)?, bytes(Codec::Snappy)?, bytes(Codec::Lz4)?, bytes(Codec::Zstd)?];
    /// assert!(none > snappy && none > lz4 && snappy > zstd && lz4 > zstd);
    /// # Ok(())
    /// # }
    /// ```
    pub codec: Codec,
    /// How hard `codec` tries: Zstandard and dictionaries 1 to 22, LZMA 0 to 9, others only 0.
    /// Default 0: the codec's own default. Higher is smaller and slower to write.
    pub codec_level: u8,
    /// Codecs of the levels from the newest on, in place of `codec`, each with how hard it tries;
    /// deeper levels take the last. Default none: `codec` everywhere.
    /// [`Options::codecs_by_level`] has those of the CS265 report.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Codec, Coding, Db, Options};
    /// // Fast on the way down, small where most of the data rests.
    /// let level_codecs = vec![Coding::new(Codec::None), Coding { codec: Codec::Zstd, level: 9 }];
    /// let db = Db::open(path.join("db"), Options { level_codecs, ..Options::default() })?;
    /// for n in 0..2000 {
    ///     db.put(format!("user{n:05}"), "much the same ".repeat(5))?;
    /// }
    /// db.flush()?;
    /// let size = |level: usize| {
    ///     let table = &db.shape().levels[level].runs[0].tables[0];
    ///     table.bytes as f64 / table.raw_bytes as f64
    /// };
    /// assert!(size(0) > 0.9, "level 0 as it is");
    /// db.put("user00000", "newer")?; // so that there is something to merge
    /// db.compact()?;
    /// let last = db.shape().levels.len() - 1;
    /// assert!(size(last) < 0.2, "and the last small");
    /// # Ok(())
    /// # }
    /// ```
    pub level_codecs: Vec<Coding>,
    /// How the codec of a block is chosen. Default: what the level says.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Chooser, Db, Options};
    /// let bytes = |chooser| {
    ///     let folder = path.join(format!("{chooser:?}"));
    ///     let db = Db::open(folder, Options { chooser, ..Options::default() })?;
    ///     for n in 0..5000_u64 {
    ///         // A counter in each record: columns of integers, which suit another codec better.
    ///         db.put(n.to_be_bytes(), (1_000_000 + n * n).to_le_bytes())?;
    ///     }
    ///     db.flush()?;
    ///     lsm::Result::Ok(db.stats().table_bytes)
    /// };
    /// assert!(bytes(Chooser::ByData)? < bytes(Chooser::Fixed)?);
    /// # Ok(())
    /// # }
    /// ```
    pub chooser: Chooser,
    /// Whether codecs go by the load of the machine (CS265 report, 2025, section 2.7.3): over 80 %
    /// of the processors, tables are written with LZ4 in place of Zstandard, LZMA and dictionaries;
    /// else, over 80 % of the time in writes of tables, or of the memory budget, with Zstandard in
    /// place of LZ4 and Snappy. Looked at as tables are written, over 100 ms at least; it counts
    /// what this process does. Default false.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use lsm::clock::ManualClock;
    /// use lsm::{Codec, Db, Env, Options};
    /// let bytes = |busy: bool| {
    ///     let options = Options { codec: Codec::Zstd, codec_by_load: true, ..Options::default() };
    ///     let clock = Arc::new(ManualClock::new());
    ///     let env = Env { clock: clock.clone(), ..Env::system(&options)? };
    ///     let db = Db::open_with(path.join(busy.to_string()), options, env)?;
    ///     for n in 0..2000 {
    ///         let row = format!("{{\"name\":\"user {n}\",\"visits\":{}}}", n % 7);
    ///         db.put(format!("user{n:05}"), row)?;
    ///     }
    ///     clock.advance(Duration::from_secs(1));
    ///     clock.run(Duration::from_secs(if busy { 1000 } else { 0 }));
    ///     db.flush()?;
    ///     lsm::Result::Ok(db.stats().table_bytes)
    /// };
    /// let [busy, idle] = [bytes(true)?, bytes(false)?];
    /// assert!(busy > idle, "faster and larger, while processors are wanted: {busy}, {idle}");
    /// # Ok(())
    /// # }
    /// ```
    pub codec_by_load: bool,
    /// Largest dictionary that [`Codec::Dictionary`] trains for a table and keeps in it, in bytes.
    /// Default 16,384; 1,024 to 1,048,576. It pays where blocks are small and records alike. The
    /// writer of a table holds 1,024 times as much data, or the table, before its first block.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Codec, Db, Options};
    /// let bytes = |codec| {
    ///     let folder = path.join(format!("{codec:?}"));
    ///     let small = Options { codec, block_bytes: 1024, ..Options::default() };
    ///     let db = Db::open(folder, small)?;
    ///     for n in 0..20_000_u32 {
    ///         let (name, town) = (n.wrapping_mul(2_654_435_761), n.wrapping_mul(40_503));
    ///         let row = format!("{{\"name\":\"{name:x}\",\"town\":{town},\"visits\":{}}}", n % 7);
    ///         db.put(format!("user{n:05}"), row)?;
    ///     }
    ///     db.flush()?;
    ///     lsm::Result::Ok(db.stats().table_bytes)
    /// };
    /// assert!(bytes(Codec::Dictionary)? < bytes(Codec::Zstd)?);
    /// # Ok(())
    /// # }
    /// ```
    pub dictionary_bytes: usize,
    /// Threads that compress a table's blocks beside the one that writes it, for each flush and
    /// merge. Default 0, at most 256. Pays for large tables and slow codecs where processors idle.
    pub compression_threads: usize,
    /// Whether blocks carry a hash index for point reads. Default false: it costs 1.3 bytes an
    /// entry and pays where blocks hold many small entries.
    pub hash_index: bool,
    /// Data blocks that a partition of a table's index and filter covers. Default 32,768, that is
    /// 128 MiB of data in blocks of 4 KiB; 8 to 4,194,304. A table of one partition keeps index and
    /// filter in memory while it is open; one of more brings partitions in through the block cache.
    pub partition_blocks: usize,
    /// How tables are read. Default: positioned reads.
    pub table_reads: TableReads,
    /// Bytes a second that merges may write to tables, together; flushes are not slowed down.
    /// Merges of level 0 take what they need of it, those of deeper levels the rest. The limit is
    /// not why writers are held back: from 8 runs in level 0 on its merges do not wait, and while
    /// more must be merged than half of what slows writers down, the rate is up to four times this.
    /// May change at any time, see [`Db::set_options`](crate::Db::set_options). Default 0: no
    /// limit.
    pub merge_bytes_per_second: u64,
    /// Filter bits a key; 10 answer about 99 % of the reads of absent keys without a table read.
    /// Default 10, 0 (no filter) to 64.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Db, Options};
    /// let wasted = |filter_bits_per_key: f64| {
    ///     let folder = path.join(filter_bits_per_key.to_string());
    ///     let db = Db::open(folder, Options { filter_bits_per_key, ..Options::default() })?;
    ///     for n in 0..2000 {
    ///         db.put(format!("{n:04}"), "present")?;
    ///     }
    ///     db.flush()?;
    ///     for n in 0..2000 {
    ///         assert!(!db.contains(format!("{n:04} is absent"))?);
    ///     }
    ///     lsm::Result::Ok(db.stats().filter_false_positives)
    /// };
    /// // Without a filter all but one look into the table: that one is beyond its last key.
    /// assert_eq!(wasted(0.0)?, 1999);
    /// assert!(wasted(10.0)? < 60, "about 1 % of them");
    /// assert!(wasted(16.0)? < 15, "and a tenth of that");
    /// # Ok(())
    /// # }
    /// ```
    pub filter_bits_per_key: f64,
    /// The filter's kind. Default double-probe; a split block is faster and lets a quarter more
    /// absent keys through.
    pub filter_kind: bloom::Kind,
    /// Another kind of filter for the deepest level, where most keys are: a ribbon is a quarter
    /// smaller, and slower to build and to ask. Default none: the same kind.
    pub filter_kind_last: Option<bloom::Kind>,
    /// How the filter bits are split over the levels. Default Monkey: more for the small ones.
    pub filter_split: FilterSplit,
    /// How block indexes are laid out. Default adaptive: by the keys of each index.
    pub fence: fence::Layout,
    /// When tables are merged, and into what. Default leveled.
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::compaction::{Granularity, Selection, Strategy};
    /// use lsm::{Codec, Db, Options};
    ///
    /// /// What sixty flushes leave.
    /// #[derive(Debug)]
    /// struct Grown {
    ///     /// The most runs that any level below level 0 ever had.
    ///     runs_max: usize,
    ///     /// The runs of the last level.
    ///     last_runs: usize,
    ///     /// What merges have written.
    ///     bytes: u64,
    /// }
    ///
    /// fn grow(strategy: Strategy) -> lsm::Result<Grown> {
    ///     let folder = tempfile::tempdir().unwrap();
    ///     let codec = Codec::None;
    ///     let options = Options { strategy, size_ratio: 4, codec, ..Options::default() };
    ///     let small = Options { write_buffer_bytes: 8 << 10, table_bytes: 8 << 10, ..options };
    ///     let db = Db::open(folder.path(), small)?;
    ///     let mut grown = Grown { runs_max: 0, last_runs: 0, bytes: 0 };
    ///     for n in 0..60_u32 {
    ///         for key in 0..50 {
    ///             db.put(((n * 50 + key) * 7919 % 3001).to_be_bytes(), [b'v'; 100])?;
    ///         }
    ///         db.flush()?;
    ///         db.wait_idle()?;
    ///         for level in db.shape().levels.iter().skip(1) {
    ///             grown.last_runs = level.runs.len();
    ///             grown.runs_max = grown.runs_max.max(level.runs.len());
    ///         }
    ///     }
    ///     grown.bytes = db.stats().compaction_write_bytes;
    ///     Ok(grown)
    /// }
    ///
    /// // One run a level: the cheapest reads, the dearest writes.
    /// let leveled = grow(Strategy::Leveled)?;
    /// assert_eq!(leveled.runs_max, 1);
    /// // The same, a table at a time, and another rule for which goes first.
    /// let partial = grow(Strategy::Partial(Selection::RoundRobin))?;
    /// assert_eq!(partial.runs_max, 1);
    /// // Several runs in all levels but the last.
    /// let lazy = grow(Strategy::LazyLeveled)?;
    /// assert!(lazy.runs_max > 1 && lazy.last_runs == 1, "{lazy:?}");
    /// // Several runs everywhere: the cheapest writes.
    /// let tiered = grow(Strategy::Tiered)?;
    /// assert!(tiered.bytes < lazy.bytes && lazy.bytes < leveled.bytes, "{tiered:?} {lazy:?}");
    /// // Or any point between them, in numbers.
    /// let (inner_runs, last_runs, granularity) = (1, 3, Granularity::Whole);
    /// let fluid = grow(Strategy::Fluid { inner_runs, last_runs, granularity })?;
    /// assert!(fluid.runs_max > 1 && fluid.bytes < leveled.bytes, "{fluid:?}");
    /// # Ok(())
    /// # }
    /// ```
    pub strategy: Strategy,
    /// Ratio between the sizes of neighbouring levels. Default 10, 2 to 32. Larger means fewer
    /// levels: under leveling cheaper reads and dearer writes, under tiering the reverse.
    pub size_ratio: u32,
    /// Lets the shape of the tree follow the mix of operations, from `strategy` and `size_ratio`
    /// on: after each flush it may take a small step, by the closed forms of what operations cost.
    /// Default: off.
    pub adaptive: bool,
    /// A deletion is merged down to the last level within this time, so that what it hides is gone
    /// from the files, also in a database at rest: it is woken each eighth of the time, flushes
    /// deletions that are half of it old, and begins to merge them down at three quarters. The
    /// last quarter is for those merges: where they take longer, or all workers are in others, it
    /// is that much later, and what a snapshot sees stays until the snapshot goes. Costs flushes
    /// and merges that nothing else asked for. Default: no limit.
    pub tombstone_age_max: Option<Duration>,
    /// Share of deletions among a table's entries above which it is compacted when nothing else
    /// is to do; 0 switches that off. Default: 0.5.
    pub tombstone_density: f64,
    /// Bytes at which a compaction starts its next output table. Default 64 MiB, from 4 KiB.
    pub table_bytes: u64,
    /// Threads for compactions; one more runs only flushes. Default 2, 1 to 64.
    pub background_threads: usize,
    /// One of so many reads, writes and cursor steps is timed for
    /// [`Db::latencies`](crate::Db::latencies), rounded up to a power of two; 1 times all, 0 none.
    /// Default 64: timing one costs about 50 ns.
    pub latency_sampling: u32,
    /// Who is told of flushes, compactions, stalls and failures. Default nobody.
    pub listeners: Listeners,
    /// Table files that are kept open; others are opened again when a block of theirs is read from
    /// the file. Default 4096, from 4; in any case at most half of the files that the process may
    /// have open (`RLIMIT_NOFILE`) when the database is opened. Reads under way may hold one more
    /// each. With [`table_reads`](Self::table_reads) `Mapped`, so many tables are mapped at most,
    /// which takes no open file; those that come when there are so many are read plainly.
    /// ```
    /// # #[cfg(target_os = "linux")]
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// use lsm::{Db, Options};
    /// let path = path.canonicalize().unwrap().join("db");
    /// let options = Options { open_files_max: 8, table_bytes: 4096, ..Options::default() };
    /// let db = Db::open(&path, options)?;
    /// let tables = db.bulk_load((0..6000_u32).map(|n| (n.to_be_bytes(), [b'v'; 100])))?.tables;
    /// let open = || {
    ///     let files = std::fs::read_dir("/proc/self/fd").unwrap();
    ///     let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    ///     let table = |to: &std::path::PathBuf| to.extension() == Some("sst".as_ref());
    ///     targets.filter(|to| to.starts_with(&path) && table(to)).count()
    /// };
    /// for n in 0..6000_u32 {
    ///     assert!(db.contains(n.to_be_bytes())?);
    /// }
    /// assert!(open() <= 8 && tables > 8, "{} files of {tables}", open());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(target_os = "linux"))]
    /// # fn main() {}
    /// ```
    pub open_files_max: usize,
    /// What recovery makes of a log that it cannot read to the end. Default
    /// [`RecoveryMode::TolerateTornTail`].
    pub recovery: RecoveryMode,
}

impl Default for Options {
    fn default() -> Self {
        let table = sstable::WriteOptions::default();
        Self {
            create_if_missing: true,
            durability: Durability::default(),
            write_buffer_bytes: 64 << 20,
            write_buffer_entries: 0,
            sealed_memtables_max: 2,
            memtable: MemtableKind::default(),
            block_cache_bytes: 128 << 20,
            memory_budget_bytes: 0,
            block_bytes: 4096,
            codec: table.codec,
            codec_level: table.codec_level,
            level_codecs: Vec::new(),
            chooser: table.chooser,
            codec_by_load: false,
            dictionary_bytes: table.dictionary_bytes,
            compression_threads: table.compression_threads,
            hash_index: false,
            partition_blocks: table.partition_blocks,
            table_reads: TableReads::default(),
            merge_bytes_per_second: 0,
            filter_bits_per_key: 10.0,
            filter_kind: bloom::Kind::default(),
            filter_kind_last: None,
            filter_split: FilterSplit::default(),
            fence: fence::Layout::Adaptive,
            strategy: Strategy::default(),
            size_ratio: 10,
            adaptive: false,
            tombstone_age_max: None,
            tombstone_density: 0.5,
            table_bytes: 64 << 20,
            background_threads: 2,
            latency_sampling: 64,
            listeners: Listeners::default(),
            open_files_max: 4096,
            recovery: RecoveryMode::default(),
        }
    }
}

impl Options {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] names the first field outside its range.
    pub fn validate(&self) -> Result<()> {
        let buffer = 4096..=4 << 30;
        check("write_buffer_bytes", buffer.contains(&self.write_buffer_bytes), "4 KiB to 4 GiB")?;
        check("sealed_memtables_max", (1..=16).contains(&self.sealed_memtables_max), "1 to 16")?;
        check("the number of memtable shards", self.memtable.is_valid(), "1 to 1,024")?;
        let budget = self.memory_budget_bytes;
        check("memory_budget_bytes", budget == 0 || budget >= 8 << 20, "0, or at least 8 MiB")?;
        check("block_bytes", (512..=65_536).contains(&self.block_bytes), "512 to 65,536")?;
        let bits = 0.0..=64.0;
        check("filter_bits_per_key", bits.contains(&self.filter_bits_per_key), "0 to 64")?;
        check("table_bytes", self.table_bytes >= 4096, "at least 4 KiB")?;
        check("background_threads", (1..=64).contains(&self.background_threads), "1 to 64")?;
        check("open_files_max", self.open_files_max >= 4, "at least 4")?;
        FamilyOptions::from(self).validate()
    }
}

fn check(field: &str, holds: bool, range: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::InvalidOptions(format!("{field} must be {range}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_each_range_is_checked() {
        Options::default().validate().unwrap();
        let broken = [
            Options { write_buffer_bytes: 1, ..Options::default() },
            Options { sealed_memtables_max: 0, ..Options::default() },
            Options { memtable: MemtableKind::sharded(0), ..Options::default() },
            Options { memory_budget_bytes: 1 << 20, ..Options::default() },
            Options { block_bytes: 100, ..Options::default() },
            Options { filter_bits_per_key: f64::NAN, ..Options::default() },
            Options { table_bytes: 0, ..Options::default() },
            Options { background_threads: 0, ..Options::default() },
        ];
        for options in broken {
            assert!(matches!(options.validate(), Err(Error::InvalidOptions(_))), "{options:?}");
        }
    }
}
