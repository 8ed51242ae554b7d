//! Presets: options for kinds of work, and for a budget of memory.
//!
//! The presets follow the tuning guides of the CS265 report (2025) as far as measurements bear them
//! out; each is a start, to be changed field by field.

use compaction::Strategy;
use sstable::Coding;

use crate::memtable::MemtableKind;
use crate::options::Options;

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
            fence: fence::Layout::Standard,
            ..Self::default()
        }
    }

    /// Codecs by level, as in the CS265 report (2025, section 2.7.3), for
    /// [`level_codecs`](Options::level_codecs): LZ4 at level 0, Snappy at 1 and 2, Zstandard 3 at 3
    /// to 5 and 10 below: an entry is compressed harder the longer it will rest. Codecs that are
    /// not built in give way to LZ4 or none.
    ///
    /// ```
    /// use lsm::{Codec, Options};
    /// let options = Options { level_codecs: Options::codecs_by_level(), ..Options::default() };
    /// let [newest, deepest] = [0, 6].map(|level| options.level_codecs[level]);
    /// assert_eq!((newest.codec, deepest.level), (Codec::Lz4, 10));
    /// ```
    pub fn codecs_by_level() -> Vec<Coding> {
        (0..7).map(Coding::for_level).collect()
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
        self.block_cache_bytes = crate::memory::cache_share(&self);
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
}
