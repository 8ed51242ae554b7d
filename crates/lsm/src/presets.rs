//! Presets: options for kinds of work, and for a budget of memory; and the warnings of
//! [`Options::check`].
//!
//! The presets follow the tuning guides of the CS265 report (2025) as far as measurements bear them
//! out; each is a start, to be changed field by field.

use compaction::Strategy;
use sstable::Codec;

use crate::memtable::MemtableKind;
use crate::options::{Durability, Options};

impl Options {
    /// For much more writing than reading: tiered, so that an entry is rewritten once a level,
    /// with big buffers and few filter bits. Reads ask more runs, and space is dearer.
    pub fn write_heavy() -> Self {
        Self {
            write_buffer_bytes: 128 << 20,
            sealed_memtables_max: 3,
            strategy: Strategy::Tiered,
            size_ratio: 8,
            filter_bits_per_key: 8.0,
            ..Self::default()
        }
    }

    /// For much more reading than writing: leveled, with a large cache and many filter bits.
    pub fn read_heavy() -> Self {
        Self {
            block_cache_bytes: 512 << 20,
            strategy: Strategy::Leveled,
            size_ratio: 10,
            filter_bits_per_key: 14.0,
            block_bytes: 4096,
            fence: fence::Layout::Eytzinger,
            ..Self::default()
        }
    }

    /// For both: several runs in every level but the last (Dayan & Idreos, "Dostoevsky", 2018).
    pub fn mixed() -> Self {
        Self { strategy: Strategy::LazyLeveled, size_ratio: 6, ..Self::default() }
    }

    /// For long scans: leveled with large blocks, which compress better and are decoded in one go;
    /// a point read decodes more for it.
    pub fn scan_heavy() -> Self {
        Self {
            strategy: Strategy::Leveled,
            block_bytes: 32 << 10,
            fence: fence::Layout::Eytzinger,
            filter_bits_per_key: 8.0,
            ..Self::default()
        }
    }

    /// The parameters of the CS265 report (2025, appendix A): a sharded memtable of 1,048,576
    /// entries, fanout 4, tiered, blocks of 4,096 bytes, 10 filter bits a key, 128 MiB of cache,
    /// LZ4, standard fences. To compare with; the defaults are faster.
    pub fn report() -> Self {
        Self {
            write_buffer_bytes: 1 << 30,
            write_buffer_entries: 1 << 20,
            memtable: MemtableKind::sharded(16),
            strategy: Strategy::Tiered,
            size_ratio: 4,
            block_bytes: 4096,
            filter_bits_per_key: 10.0,
            block_cache_bytes: 128 << 20,
            codec: Codec::Lz4,
            fence: fence::Layout::Standard,
            ..Self::default()
        }
    }

    /// Splits `bytes` over everything that holds memory: sets
    /// [`memory_budget_bytes`](Options::memory_budget_bytes), the write buffer, the number of
    /// sealed memtables, the size of tables and the cache. From 8 MiB; 32 MiB is
    /// the least that leaves a cache worth its name.
    ///
    /// ```
    /// let options = lsm::Options::read_heavy().with_memory_budget(64 << 20);
    /// assert!(options.validate().is_ok() && options.check().is_empty());
    /// assert!(options.block_cache_bytes < 64 << 20);
    /// ```
    pub fn with_memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget_bytes = bytes;
        self.sealed_memtables_max = 1;
        self.write_buffer_bytes = (bytes / 20).clamp(64 << 10, 64 << 20);
        self.table_bytes = (bytes as u64 / 20).clamp(1 << 20, 64 << 20);
        self.block_cache_bytes = crate::memory::cache_share(&self, 0);
        self
    }

    /// Bytes that a merge reads ahead in each run.
    pub(crate) fn merge_read_ahead_bytes(&self) -> usize {
        let most = sstable::ReadOptions::default().read_ahead_bytes;
        match self.memory_budget_bytes {
            0 => most,
            budget => (budget / 1024).clamp(16 << 10, most),
        }
    }

    /// Says in words which options go badly together; nothing if there is nothing to say. They
    /// all work: [`Options::validate`] refuses what does not. Opening a database tells each as a
    /// warning, by `tracing`.
    ///
    /// ```
    /// use lsm::{Durability, Options};
    /// assert!(Options::default().check().is_empty());
    /// let risky = Options { durability: Durability::None, ..Options::default() };
    /// assert!(risky.check()[0].contains("lost"));
    /// ```
    pub fn check(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |holds: bool, words: String| {
            if holds {
                warnings.push(words);
            }
        };
        warn(
            self.durability == Durability::None,
            "durability is None: what was not flushed is lost when the process ends".into(),
        );
        self.check_sizes(&mut warn);
        self.check_reads(&mut warn);
        warnings
    }

    fn check_sizes(&self, warn: &mut impl FnMut(bool, String)) {
        let buffer = self.write_buffer_bytes as u64;
        warn(
            buffer < 1 << 20,
            format!(
                "write_buffer_bytes is {buffer}: tables this small cost an open file each, and \
                 a compaction every few thousand writes"
            ),
        );
        warn(
            self.write_buffer_entries > 0 && self.write_buffer_entries < 1024,
            format!("write_buffer_entries is {}: most tables are tiny", self.write_buffer_entries),
        );
        warn(
            self.table_bytes < buffer / 16,
            format!(
                "table_bytes ({}) is less than a sixteenth of write_buffer_bytes ({buffer}): each \
                 flush makes many small tables",
                self.table_bytes
            ),
        );
        warn(
            self.table_bytes < self.block_bytes as u64 * 8,
            format!(
                "table_bytes ({}) has room for fewer than 8 blocks of {} bytes",
                self.table_bytes, self.block_bytes
            ),
        );
        let memtables = (self.sealed_memtables_max as u64 + 1) * buffer;
        warn(
            self.block_cache_bytes > 0 && memtables > 8 * self.block_cache_bytes as u64,
            format!(
                "memtables may take {memtables} bytes, the cache only {}: reads of older data go \
                 to the disk",
                self.block_cache_bytes
            ),
        );
        let budget = self.memory_budget_bytes as u64;
        warn(
            budget > 0 && memtables + buffer > budget / 2,
            format!(
                "memtables may take {} of the memory budget of {budget} bytes: leave room for \
                 cache, filters and compactions",
                memtables + buffer
            ),
        );
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        warn(
            self.background_threads > 2 * cpus.max(2),
            format!("background_threads is {} on {cpus} processors", self.background_threads),
        );
    }

    fn check_reads(&self, warn: &mut impl FnMut(bool, String)) {
        warn(
            self.block_cache_bytes == 0,
            "block_cache_bytes is 0: every read of a table goes to the file and decodes a block"
                .into(),
        );
        warn(
            self.block_cache_bytes > 0 && self.block_cache_bytes < 256 * self.block_bytes,
            format!(
                "block_cache_bytes ({}) holds fewer than 256 blocks of {} bytes",
                self.block_cache_bytes, self.block_bytes
            ),
        );
        let runs = match self.strategy {
            Strategy::Tiered | Strategy::LazyLeveled => true,
            Strategy::Fluid { inner_runs, last_runs, .. } => inner_runs.max(last_runs) > 1,
            _ => false,
        };
        warn(
            runs && self.filter_bits_per_key < 4.0,
            format!(
                "{} keeps many runs, and filter_bits_per_key is {}: a point read asks most of \
                 them in vain",
                self.strategy, self.filter_bits_per_key
            ),
        );
        warn(
            self.strategy == Strategy::Tiered && self.size_ratio > 16,
            format!(
                "tiered with a size_ratio of {}: up to that many runs in each level, and as much \
                 space as if each held everything",
                self.size_ratio
            ),
        );
        warn(
            self.strategy == Strategy::Leveled && self.size_ratio < 4,
            format!(
                "leveled with a size_ratio of {}: many levels, and each rewrites the data",
                self.size_ratio
            ),
        );
        warn(
            self.filter_bits_per_key > 20.0,
            format!(
                "filter_bits_per_key is {}: beyond about 16, blocked filters hardly improve",
                self.filter_bits_per_key
            ),
        );
        if let Strategy::Fifo { .. } = self.strategy {
            warn(true, "fifo deletes the oldest data by itself".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_nothing_is_to_be_said_of_them() {
        let presets = [
            Options::default(),
            Options::write_heavy(),
            Options::read_heavy(),
            Options::mixed(),
            Options::scan_heavy(),
        ];
        for preset in presets {
            preset.validate().unwrap();
            assert_eq!(preset.check(), Vec::<String>::new(), "{preset:?}");
            for bytes in [64 << 20, 256 << 20, 1 << 30, 16 << 30] {
                let options = preset.clone().with_memory_budget(bytes);
                options.validate().unwrap();
                assert_eq!(options.check(), Vec::<String>::new(), "{options:?}");
            }
        }
        Options::report().validate().unwrap();
    }

    type Change = fn(&mut Options);

    #[test]
    fn each_bad_combination_is_named() {
        let with = |change: Change| {
            let mut options = Options::default();
            change(&mut options);
            options.validate().unwrap();
            options.check().join("\n")
        };
        let cases: [(Change, &str); 14] = [
            (|o| o.durability = Durability::None, "is lost"),
            (|o| o.write_buffer_bytes = 8192, "write_buffer_bytes is 8192"),
            (|o| o.write_buffer_entries = 10, "write_buffer_entries is 10"),
            (|o| o.table_bytes = 1 << 20, "less than a sixteenth"),
            (|o| (o.table_bytes, o.block_bytes) = (65_536, 65_536), "fewer than 8 blocks"),
            (|o| o.block_cache_bytes = 8 << 20, "the cache only"),
            (|o| o.memory_budget_bytes = 128 << 20, "memory budget"),
            (|o| o.background_threads = 64, "background_threads is 64"),
            (|o| o.block_cache_bytes = 0, "block_cache_bytes is 0"),
            (|o| o.block_cache_bytes = 1 << 19, "fewer than 256 blocks"),
            (|o| (o.strategy, o.filter_bits_per_key) = (Strategy::Tiered, 0.0), "in vain"),
            (|o| (o.strategy, o.size_ratio) = (Strategy::Tiered, 32), "size_ratio of 32"),
            (|o| o.size_ratio = 2, "size_ratio of 2"),
            (|o| o.filter_bits_per_key = 30.0, "hardly improve"),
        ];
        for (change, words) in cases {
            let said = with(change);
            assert!(said.contains(words), "{words:?} is not in {said:?}");
        }
    }
}
