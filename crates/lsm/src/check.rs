//! The self-check: which options go badly together, in words ([`Options::check`],
//! [`FamilyOptions::check`]).

use compaction::Strategy;
use sstable::{Chooser, Codec};

use crate::family_options::FamilyOptions;
use crate::options::{Durability, Options};

/// Warnings in the order in which they were found.
#[derive(Default)]
struct Warnings(Vec<String>);

impl Warnings {
    fn add(&mut self, holds: bool, words: impl FnOnce() -> String) {
        if holds {
            self.0.push(words());
        }
    }
}

impl Options {
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
        let mut warnings = Warnings::default();
        warnings.add(self.durability == Durability::None, || {
            "durability is None: what was not flushed is lost when the process ends".into()
        });
        self.check_memory(&mut warnings);
        self.check_cache(&mut warnings);
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        warnings.add(self.background_threads > 2 * cpus.max(2), || {
            format!("background_threads is {} on {cpus} processors", self.background_threads)
        });
        FamilyOptions::from(self).check_into(&mut warnings);
        warnings.0
    }

    fn check_memory(&self, warnings: &mut Warnings) {
        let buffer = self.write_buffer_bytes as u64;
        warnings.add(buffer < 1 << 20, || {
            format!(
                "write_buffer_bytes is {buffer}: tables this small cost an open file each, and \
                 a compaction every few thousand writes"
            )
        });
        warnings.add(self.write_buffer_entries > 0 && self.write_buffer_entries < 1024, || {
            format!("write_buffer_entries is {}: most tables are tiny", self.write_buffer_entries)
        });
        warnings.add(self.table_bytes < buffer / 16, || {
            format!(
                "table_bytes ({}) is less than a sixteenth of write_buffer_bytes ({buffer}): each \
                 flush makes many small tables",
                self.table_bytes
            )
        });
        let memtables = (self.sealed_memtables_max as u64 + 1) * buffer;
        let cache = self.block_cache_bytes;
        warnings.add(cache > 0 && memtables > 8 * cache as u64, || {
            format!(
                "memtables may take {memtables} bytes, the cache only {cache}: reads of older \
                 data go to the disk"
            )
        });
        let budget = self.memory_budget_bytes as u64;
        warnings.add(budget > 0 && memtables + buffer > budget / 2, || {
            format!(
                "memtables may take {} of the memory budget of {budget} bytes: leave room for \
                 cache, filters and compactions",
                memtables + buffer
            )
        });
        let learned = FamilyOptions::from(self).held_back_bytes(self.table_bytes);
        warnings.add(budget > 0 && learned > budget / 16, || {
            format!(
                "a dictionary is learned from {learned} bytes, which each flush and merge holds, \
                 of a memory budget of {budget}: take a smaller dictionary_bytes"
            )
        });
    }

    fn check_cache(&self, warnings: &mut Warnings) {
        let cache = self.block_cache_bytes;
        warnings.add(cache == 0, || {
            "block_cache_bytes is 0: every read of a table goes to the file and decodes a block"
                .into()
        });
        warnings.add(cache > 0 && cache < 256 * self.block_bytes, || {
            format!(
                "block_cache_bytes ({cache}) holds fewer than 256 blocks of {} bytes",
                self.block_bytes
            )
        });
    }
}

/// From this level on Zstandard writes less than about 100 MB/s.
const ZSTD_SLOW: u8 = 9;

impl FamilyOptions {
    /// As [`Options::check`], for what a family's tables and levels are like. Creating a family
    /// tells each as a warning.
    ///
    /// ```
    /// use lsm::FamilyOptions;
    /// assert!(FamilyOptions::default().check().is_empty());
    /// let slow = FamilyOptions { size_ratio: 2, ..FamilyOptions::default() };
    /// assert!(slow.check()[0].contains("each rewrites the data"));
    /// ```
    pub fn check(&self) -> Vec<String> {
        let mut warnings = Warnings::default();
        self.check_into(&mut warnings);
        warnings.0
    }

    fn check_into(&self, warnings: &mut Warnings) {
        warnings.add(self.table_bytes < self.block_bytes as u64 * 8, || {
            format!(
                "table_bytes ({}) has room for fewer than 8 blocks of {} bytes",
                self.table_bytes, self.block_bytes
            )
        });
        warnings.add(self.filter_bits_per_key > 20.0, || {
            format!(
                "filter_bits_per_key is {}: beyond about 16, blocked filters hardly improve",
                self.filter_bits_per_key
            )
        });
        self.check_strategy(warnings);
        self.check_codecs(warnings);
    }

    fn check_strategy(&self, warnings: &mut Warnings) {
        let (strategy, ratio) = (&self.strategy, self.size_ratio);
        let runs = match self.strategy {
            Strategy::Tiered | Strategy::LazyLeveled => true,
            Strategy::Fluid { inner_runs, last_runs, .. } => inner_runs.max(last_runs) > 1,
            _ => false,
        };
        warnings.add(runs && self.filter_bits_per_key < 4.0, || {
            format!(
                "{strategy} keeps many runs, and filter_bits_per_key is {}: a point read asks \
                 most of them in vain",
                self.filter_bits_per_key
            )
        });
        warnings.add(self.strategy == Strategy::Tiered && ratio > 16, || {
            format!(
                "tiered with a size_ratio of {ratio}: up to that many runs in each level, and as \
                 much space as if each held everything"
            )
        });
        warnings.add(self.strategy == Strategy::Leveled && ratio < 4, || {
            format!("leveled with a size_ratio of {ratio}: many levels, and each rewrites the data")
        });
        warnings.add(matches!(self.strategy, Strategy::Fifo { .. }), || {
            "fifo deletes the oldest data by itself".into()
        });
    }

    fn check_codecs(&self, warnings: &mut Warnings) {
        let newest = self.coding_of(0);
        let slow = match newest.codec {
            Codec::Lzma => true,
            Codec::Zstd | Codec::Dictionary => newest.level >= ZSTD_SLOW,
            _ => false,
        };
        warnings.add(slow, || {
            format!(
                "level 0 is compressed by {} {}: flushes take so long that writers wait for them; \
                 level_codecs can keep that for deeper levels",
                newest.codec.name(),
                newest.level
            )
        });
        let trained = self.codings().any(|coding| coding.codec == Codec::Dictionary);
        warnings.add(trained && self.block_bytes > 16 << 10, || {
            format!(
                "a dictionary gains little in blocks of {} bytes: they hold enough to repeat",
                self.block_bytes
            )
        });
        let plain = self.codings().all(|coding| coding.codec == Codec::None);
        let fixed = self.chooser == Chooser::Fixed;
        warnings.add(plain && fixed && self.compression_threads > 0, || {
            format!(
                "compression_threads is {}, and nothing is compressed",
                self.compression_threads
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Options);

    #[test]
    fn each_bad_combination_is_named() {
        let with = |change: Change| {
            let mut options = Options::default();
            change(&mut options);
            options.validate().unwrap();
            options.check().join("\n")
        };
        let cases: [(Change, &str); 19] = [
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
            (|o| o.strategy = Strategy::Fifo { max_bytes: 1 << 30, ttl_us: None }, "by itself"),
            (|o| (o.codec, o.codec_level) = (Codec::Zstd, 19), "writers wait for them"),
            (|o| (o.codec, o.block_bytes) = (Codec::Dictionary, 65_536), "enough to repeat"),
            (|o| (o.codec, o.compression_threads) = (Codec::None, 2), "nothing is compressed"),
            (with_a_dictionary, "smaller dictionary_bytes"),
        ];
        for (change, words) in cases {
            let said = with(change);
            assert!(said.contains(words), "{words:?} is not in {said:?}");
        }
    }

    fn with_a_dictionary(options: &mut Options) {
        *options = options.clone().with_memory_budget(64 << 20);
        (options.codec, options.dictionary_bytes) = (Codec::Dictionary, 64 << 10);
        options.table_bytes = 64 << 20;
    }
}
