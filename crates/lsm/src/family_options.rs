//! [`FamilyOptions`]: what a family's tables and levels are like. Kept in the manifest as text,
//! except those of the default family, which are given anew at each opening.

use std::fmt::Write as _;

use std::time::Duration;

use compaction::Strategy;
use sstable::{Chooser, Codec, Coding};

use crate::clock::micros;
use crate::error::{Error, Result};
use crate::filters::FilterSplit;
use crate::options::Options;

/// Runs in level 0 that ask for a compaction.
const L0_RUNS: u32 = 4;

/// Bytes of data that a byte of a dictionary is learned from.
const DICTIONARY_SAMPLES: u64 = 1024;

/// `3`, or `3:10` where it is to try harder or less than by itself.
fn coding_text(coding: Coding) -> String {
    let number = coding.codec as u8;
    if coding.level == 0 { number.to_string() } else { format!("{number}:{}", coding.level) }
}

fn coding_of_text(text: &str) -> Option<Coding> {
    let (number, level) = text.split_once(':').unwrap_or((text, "0"));
    Some(Coding { codec: Codec::from_u8(number.parse().ok()?)?, level: level.parse().ok()? })
}

/// How a family's data is stored. Each field is as in [`Options`].
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyOptions {
    /// Bytes of a data block before compression. Default 4,096; 512 to 65,536.
    pub block_bytes: usize,
    /// How data blocks are compressed. Default LZ4, or none in a build without it.
    pub codec: Codec,
    /// How hard `codec` tries. Default 0: the codec's own default.
    pub codec_level: u8,
    /// Codecs of the levels from the newest on, in place of `codec`; deeper levels take the last.
    /// Default none.
    pub level_codecs: Vec<Coding>,
    /// How the codec of a block is chosen. Default: what the level says.
    pub chooser: Chooser,
    /// Largest dictionary of a table, in bytes. Default 16,384; 1,024 to 1,048,576.
    pub dictionary_bytes: usize,
    /// Threads that compress a table's blocks beside the one that writes it. Default 0.
    pub compression_threads: usize,
    /// Whether blocks carry a hash index for point reads. Default false.
    pub hash_index: bool,
    /// Data blocks that a partition of a table's index and filter covers. Default 32,768.
    pub partition_blocks: usize,
    /// Filter bits a key. Default 10, 0 (no filter) to 64.
    pub filter_bits_per_key: f64,
    /// The filter's kind. Default double-probe.
    pub filter_kind: bloom::Kind,
    /// Another kind for the deepest level, where most keys are: a ribbon is a quarter smaller and
    /// slower to build and to ask. Default none.
    pub filter_kind_last: Option<bloom::Kind>,
    /// How the bits are split over the levels. Default Monkey.
    pub filter_split: FilterSplit,
    /// How block indexes are laid out. Default adaptive.
    pub fence: fence::Layout,
    /// When tables are merged, and into what. Default leveled.
    pub strategy: Strategy,
    /// Ratio between the sizes of neighbouring levels. Default 10, 2 to 32.
    pub size_ratio: u32,
    /// Lets the shape of the tree follow the mix of operations, from `strategy` and `size_ratio`
    /// on: after each flush it may take a small step, by the closed forms of what operations cost.
    /// Default: off.
    pub adaptive: bool,
    /// A deletion is merged down to the last level within this time, so that what it hides is gone
    /// from the files; see [`Options::tombstone_age_max`]. Default: no limit.
    pub tombstone_age_max: Option<Duration>,
    /// Share of deletions among a table's entries above which it is compacted when nothing else
    /// is to do; 0 switches that off. Default: 0.5.
    pub tombstone_density: f64,
    /// Bytes at which a compaction starts its next output table. Default 64 MiB, from 4 KiB.
    pub table_bytes: u64,
    /// Bytes that the first level below level 0 should hold. Default 256 MiB; best about four
    /// times what a flush writes.
    pub base_bytes: u64,
}

impl Default for FamilyOptions {
    fn default() -> Self {
        Self::from(&Options::default())
    }
}

impl From<&Options> for FamilyOptions {
    fn from(options: &Options) -> Self {
        Self {
            block_bytes: options.block_bytes,
            codec: options.codec,
            codec_level: options.codec_level,
            level_codecs: options.level_codecs.clone(),
            chooser: options.chooser,
            dictionary_bytes: options.dictionary_bytes,
            compression_threads: options.compression_threads,
            hash_index: options.hash_index,
            partition_blocks: options.partition_blocks,
            filter_bits_per_key: options.filter_bits_per_key,
            filter_kind: options.filter_kind,
            filter_kind_last: options.filter_kind_last,
            filter_split: options.filter_split,
            fence: options.fence,
            strategy: options.strategy,
            size_ratio: options.size_ratio,
            adaptive: options.adaptive,
            tombstone_age_max: options.tombstone_age_max,
            tombstone_density: options.tombstone_density,
            table_bytes: options.table_bytes,
            base_bytes: options.write_buffer_bytes as u64 * u64::from(L0_RUNS),
        }
    }
}

impl FamilyOptions {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] names the first field outside its range.
    pub fn validate(&self) -> Result<()> {
        if self.table_bytes < 4096 {
            return Err(Error::InvalidOptions("table_bytes must be at least 4 KiB".into()));
        }
        let compaction = self.compaction_options().validate();
        compaction.map_err(|error| Error::InvalidOptions(error.to_string()))?;
        let filter = (self.filter_kind, self.filter_bits_per_key);
        for level in 0..self.level_codecs.len().max(1) {
            let table = self.table_options(level, filter).validate();
            table.map_err(|error| Error::InvalidOptions(error.to_string()))?;
        }
        Ok(())
    }

    /// Puts these options of the default family among those of the database.
    pub(crate) fn put_into(self, options: &mut Options) -> Result<()> {
        if self.base_bytes != Self::from(&*options).base_bytes {
            let why = "base_bytes of the default family follows from write_buffer_bytes";
            return Err(Error::InvalidOptions(why.into()));
        }
        // Names every field, so that none is forgotten.
        Self {
            block_bytes: options.block_bytes,
            codec: options.codec,
            codec_level: options.codec_level,
            level_codecs: options.level_codecs,
            chooser: options.chooser,
            dictionary_bytes: options.dictionary_bytes,
            compression_threads: options.compression_threads,
            hash_index: options.hash_index,
            partition_blocks: options.partition_blocks,
            filter_bits_per_key: options.filter_bits_per_key,
            filter_kind: options.filter_kind,
            filter_kind_last: options.filter_kind_last,
            filter_split: options.filter_split,
            fence: options.fence,
            strategy: options.strategy,
            size_ratio: options.size_ratio,
            adaptive: options.adaptive,
            tombstone_age_max: options.tombstone_age_max,
            tombstone_density: options.tombstone_density,
            table_bytes: options.table_bytes,
            base_bytes: _,
        } = self;
        Ok(())
    }

    /// What the compaction policy is built from.
    pub(crate) fn compaction_options(&self) -> compaction::Options {
        compaction::Options {
            size_ratio: self.size_ratio,
            // The last quarter is for the merges.
            max_tombstone_age_us: self.tombstone_age_max.map(|age| micros(age) / 4 * 3),
            tombstone_density: self.tombstone_density,
            l0_runs: L0_RUNS,
            base_bytes: self.base_bytes.max(1),
            target_table_bytes: self.table_bytes,
            max_job_bytes: self.table_bytes.saturating_mul(16).max(16 << 20),
            ..compaction::Options::new(self.strategy)
        }
    }

    /// How tables of a level, with a filter of this kind and bits a key, are written.
    pub(crate) fn table_options(
        &self,
        level: usize,
        (filter, filter_bits_per_key): (bloom::Kind, f64),
    ) -> sstable::WriteOptions {
        let Coding { codec, level: codec_level } = self.coding_of(level);
        sstable::WriteOptions {
            block_bytes: self.block_bytes,
            codec,
            codec_level,
            chooser: self.chooser,
            dictionary_bytes: self.dictionary_bytes,
            compression_threads: self.compression_threads,
            hash_index: self.hash_index,
            partition_blocks: self.partition_blocks,
            filter,
            filter_bits_per_key,
            fence: self.fence,
            ..sstable::WriteOptions::default()
        }
    }

    /// The codec of a level, and how hard it tries.
    pub(crate) fn coding_of(&self, level: usize) -> Coding {
        let listed = self.level_codecs.get(level).or(self.level_codecs.last());
        listed.copied().unwrap_or(Coding { codec: self.codec, level: self.codec_level })
    }

    /// The codecs of all levels, the newest first.
    pub(crate) fn codings(&self) -> impl Iterator<Item = Coding> + '_ {
        let levels = self.level_codecs.len().max(1);
        (0..levels).map(|level| self.coding_of(level))
    }

    /// Bytes of a table of `table_bytes` that its writer holds back to train a dictionary on; 0 if
    /// no level has one.
    pub(crate) fn held_back_bytes(&self, table_bytes: u64) -> u64 {
        let trains = self.codings().any(|coding| coding.codec == Codec::Dictionary);
        if trains { table_bytes.min(self.dictionary_bytes as u64 * DICTIONARY_SAMPLES) } else { 0 }
    }

    /// The options in words, a line each.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "{name}={value}").expect("a string takes everything");
        };
        line("block_bytes", &self.block_bytes);
        line("codec", &(self.codec as u8));
        line("codec_level", &self.codec_level);
        if !self.level_codecs.is_empty() {
            let codings: Vec<_> = self.level_codecs.iter().copied().map(coding_text).collect();
            line("level_codecs", &codings.join(","));
        }
        line("chooser", &format_args!("{:?}", self.chooser));
        line("dictionary_bytes", &self.dictionary_bytes);
        line("compression_threads", &self.compression_threads);
        line("hash_index", &self.hash_index);
        line("partition_blocks", &self.partition_blocks);
        line("filter_bits_per_key", &self.filter_bits_per_key);
        line("filter_kind", &(self.filter_kind as u8));
        if let Some(kind) = self.filter_kind_last {
            line("filter_kind_last", &(kind as u8));
        }
        line("filter_split", &format_args!("{:?}", self.filter_split));
        line("fence", &format_args!("{:?}", self.fence));
        line("strategy", &self.strategy);
        line("size_ratio", &self.size_ratio);
        line("adaptive", &self.adaptive);
        if let Some(age) = self.tombstone_age_max {
            line("tombstone_age_max_us", &micros(age));
        }
        line("tombstone_density", &self.tombstone_density);
        line("table_bytes", &self.table_bytes);
        line("base_bytes", &self.base_bytes);
        text
    }

    /// Reads what [`FamilyOptions::to_text`] wrote; what is not named stays at its default.
    ///
    /// Returns the first line that this version does not understand.
    pub(crate) fn from_text(text: &str) -> std::result::Result<Self, String> {
        let mut options = Self::default();
        for line in text.lines() {
            options.read_line(line).ok_or_else(|| line.to_owned())?;
        }
        Ok(options)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once('=')?;
        match name {
            "block_bytes" => self.block_bytes = value.parse().ok()?,
            "codec" => self.codec = Codec::from_u8(value.parse().ok()?)?,
            "codec_level" => self.codec_level = value.parse().ok()?,
            "level_codecs" => {
                self.level_codecs = value.split(',').map(coding_of_text).collect::<Option<_>>()?;
            }
            "dictionary_bytes" => self.dictionary_bytes = value.parse().ok()?,
            "compression_threads" => self.compression_threads = value.parse().ok()?,
            "partition_blocks" => self.partition_blocks = value.parse().ok()?,
            "chooser" => {
                let all = [Chooser::Fixed, Chooser::ByData];
                self.chooser = all.into_iter().find(|chooser| format!("{chooser:?}") == value)?;
            }
            "hash_index" => self.hash_index = value.parse().ok()?,
            "filter_bits_per_key" => self.filter_bits_per_key = value.parse().ok()?,
            "filter_kind" => self.filter_kind = bloom::Kind::from_number(value.parse().ok()?)?,
            "filter_kind_last" => {
                self.filter_kind_last = Some(bloom::Kind::from_number(value.parse().ok()?)?);
            }
            "filter_split" => {
                let all = [FilterSplit::Monkey, FilterSplit::Even];
                self.filter_split = all.into_iter().find(|split| format!("{split:?}") == value)?;
            }
            "fence" => {
                let mut all = fence::Layout::ALL.iter().chain([&fence::Layout::Adaptive]);
                self.fence = *all.find(|layout| format!("{layout:?}") == value)?;
            }
            "strategy" => self.strategy = value.parse().ok()?,
            "size_ratio" => self.size_ratio = value.parse().ok()?,
            "adaptive" => self.adaptive = value.parse().ok()?,
            "tombstone_age_max_us" => {
                self.tombstone_age_max = Some(Duration::from_micros(value.parse().ok()?));
            }
            "tombstone_density" => self.tombstone_density = value.parse().ok()?,
            "table_bytes" => self.table_bytes = value.parse().ok()?,
            "base_bytes" => self.base_bytes = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_back_from_their_text() {
        let options = FamilyOptions {
            block_bytes: 512,
            codec: Codec::None,
            codec_level: 7,
            level_codecs: vec![Coding::new(Codec::Lz4), Coding { codec: Codec::Zstd, level: 10 }],
            chooser: Chooser::ByData,
            dictionary_bytes: 1024,
            compression_threads: 2,
            hash_index: true,
            partition_blocks: 64,
            filter_bits_per_key: 7.25,
            filter_kind_last: Some(bloom::Kind::Ribbon),
            filter_split: FilterSplit::Even,
            fence: fence::Layout::Standard,
            strategy: Strategy::Tiered,
            size_ratio: 3,
            adaptive: true,
            tombstone_age_max: Some(Duration::from_secs(3600)),
            tombstone_density: 0.25,
            table_bytes: 5000,
            base_bytes: 6000,
            ..FamilyOptions::default()
        };
        assert_eq!(FamilyOptions::from_text(&options.to_text()), Ok(options));
        assert_eq!(FamilyOptions::from_text(""), Ok(FamilyOptions::default()));
        assert_eq!(FamilyOptions::from_text("new_thing=1"), Err("new_thing=1".into()));
        // As manifests have it that were written before codecs had levels.
        let older = FamilyOptions::from_text("level_codecs=0,3\n").unwrap().level_codecs;
        assert_eq!(older, [Codec::None, Codec::Zstd].map(Coding::new));
        let broken = "level_codecs=3:\n";
        assert_eq!(FamilyOptions::from_text(broken), Err(broken.trim_end().into()));
    }

    #[test]
    fn a_level_has_its_codec_and_deeper_ones_the_last() {
        let zstd = |level| Coding { codec: Codec::Zstd, level };
        let level_codecs = vec![Coding::new(Codec::None), Coding::new(Codec::Lz4), zstd(12)];
        let listed = FamilyOptions { level_codecs, ..FamilyOptions::default() };
        let coding = |options: &FamilyOptions, level| {
            let table = options.table_options(level, (bloom::Kind::default(), 10.0));
            Coding { codec: table.codec, level: table.codec_level }
        };
        let expected = [Coding::new(Codec::None), Coding::new(Codec::Lz4), zstd(12), zstd(12)];
        assert_eq!([0, 1, 2, 6].map(|level| coding(&listed, level)), expected);
        let (codec, codec_level) = (Codec::Zstd, 7);
        let plain = FamilyOptions { codec, codec_level, ..FamilyOptions::default() };
        assert_eq!([0, 3].map(|level| coding(&plain, level)), [zstd(7); 2]);
    }
}
