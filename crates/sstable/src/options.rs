//! How tables are written and how they are read.

use crate::codec::{Chooser, Codec, Coding};
use crate::error::{Error, Result};

/// How a table is written.
///
/// The defaults suit a database of small records on an SSD. [`WriteOptions::validate`] names what
/// is out of range; [`crate::TableWriter::new`] calls it.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteOptions {
    /// Target size of a data block before compression, in bytes. Default 4,096; 512 to 65,536.
    /// Larger blocks compress better and scan faster; smaller ones cost a point read less.
    pub block_bytes: usize,
    /// Entries from one full key to the next within a block. Default 16; 1 to 1,024. Smaller is
    /// faster to search and larger on disk.
    pub restart_interval: usize,
    /// How blocks are compressed. Default LZ4, or none in a build without it. A block that does
    /// not shrink enough is stored plainly.
    pub codec: Codec,
    /// How hard the codec tries: Zstandard and dictionaries 1 to 22, LZMA 0 to 9, others only 0.
    /// Default 0: the codec's own default. Higher is smaller and slower to write.
    pub codec_level: u8,
    /// How the codec of each block is chosen. Default: the one above for all.
    pub chooser: Chooser,
    /// Largest dictionary that the codec `Dictionary` trains, in bytes. Default 16,384; 1,024 to
    /// 1,048,576. The writer holds 1,024 times as much data before it writes its first block, and
    /// trains on a tenth of it, taken evenly.
    pub dictionary_bytes: usize,
    /// Threads that compress beside the one that writes. Default 0; at most 256.
    pub compression_threads: usize,
    /// A block stays compressed only if it shrinks by at least this factor. Default 1.2; 1 to 100.
    pub ratio_min: f64,
    /// Blocks smaller than this are not compressed, in bytes. Default 512.
    pub compress_bytes_min: usize,
    /// The kind of the filter. Default: double probe.
    pub filter: bloom::Kind,
    /// Bits of the filter a key. Default 10 (about 1 % of absent keys cost a block read); 0 (no
    /// filter) to 64.
    pub filter_bits_per_key: f64,
    /// How separators are arranged for searching. Default: standard.
    pub fence: fence::Layout,
    /// Whether each block carries a hash index for point reads. Default false: it costs 1.3 bytes
    /// an entry and pays where blocks hold many small entries.
    pub hash_index: bool,
    /// Data blocks an index and filter partition covers. Default 32,768, that is 128 MiB of data
    /// in blocks of 4 KiB; 8 to 4,194,304. A table with one partition keeps index and filter in
    /// memory while it is open; one with more brings partitions in through the block cache.
    pub partition_blocks: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            block_bytes: 4096,
            restart_interval: 16,
            codec: if Codec::Lz4.is_built_in() { Codec::Lz4 } else { Codec::None },
            codec_level: 0,
            chooser: Chooser::Fixed,
            dictionary_bytes: 16 << 10,
            compression_threads: 0,
            ratio_min: 1.2,
            compress_bytes_min: 512,
            filter: bloom::Kind::default(),
            filter_bits_per_key: 10.0,
            fence: fence::Layout::default(),
            hash_index: false,
            partition_blocks: 32_768,
        }
    }
}

impl WriteOptions {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] naming the first field that is out of range;
    /// [`Error::UnsupportedCodec`] if the codec is not built in.
    pub fn validate(&self) -> Result<()> {
        within("block_bytes", self.block_bytes, 512, 65_536)?;
        within("restart_interval", self.restart_interval, 1, 1024)?;
        within("partition_blocks", self.partition_blocks, 8, 4_194_304)?;
        within("dictionary_bytes", self.dictionary_bytes, 1024, 1 << 20)?;
        within("compression_threads", self.compression_threads, 0, 256)?;
        self.coding().validate()?;
        if !(1.0..=100.0).contains(&self.ratio_min) {
            let what = format!("ratio_min is {}, not 1 to 100", self.ratio_min);
            return Err(Error::InvalidOptions(what));
        }
        if !(0.0..=64.0).contains(&self.filter_bits_per_key) {
            let what = format!("filter_bits_per_key is {}, not 0 to 64", self.filter_bits_per_key);
            return Err(Error::InvalidOptions(what));
        }
        Ok(())
    }

    /// The codec with its level.
    pub(crate) fn coding(&self) -> Coding {
        Coding { codec: self.codec, level: self.codec_level }
    }
}

impl Coding {
    /// Checks that the codec is built in and has such a level.
    ///
    /// # Errors
    /// [`Error::UnsupportedCodec`] if it is not built in; [`Error::InvalidOptions`] if it has no
    /// such level.
    pub fn validate(self) -> Result<()> {
        if !self.codec.is_built_in() {
            return Err(Error::UnsupportedCodec { file: None, codec: self.codec });
        }
        within("codec_level", usize::from(self.level), 0, usize::from(self.level_max()))
    }
}

fn within(name: &str, value: usize, low: usize, high: usize) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::InvalidOptions(format!("{name} is {value}, not {low} to {high}")))
}

/// How a cursor reads a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whether blocks that had to be read go into the block cache. Default true; false for scans
    /// that touch much and come once, such as compactions.
    pub fill_cache: bool,
    /// The most bytes to read at once when blocks are read one after another. Default 262,144; 0
    /// reads block by block.
    pub read_ahead_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { fill_cache: true, read_ahead_bytes: 256 << 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_each_limit_holds() {
        WriteOptions::default().validate().unwrap();
        let bad = |change: fn(&mut WriteOptions), named: &str| {
            let mut options = WriteOptions::default();
            change(&mut options);
            let message = options.validate().unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        };
        bad(|o| o.block_bytes = 511, "block_bytes");
        bad(|o| o.block_bytes = 65_537, "block_bytes");
        bad(|o| o.restart_interval = 0, "restart_interval");
        bad(|o| o.partition_blocks = 0, "partition_blocks");
        bad(|o| o.codec_level = 1, "codec_level");
        bad(|o| o.dictionary_bytes = 1, "dictionary_bytes");
        bad(|o| o.compression_threads = 257, "compression_threads");
        bad(|o| o.ratio_min = 0.9, "ratio_min");
        bad(|o| o.ratio_min = f64::NAN, "ratio_min");
        bad(|o| o.filter_bits_per_key = -1.0, "filter_bits_per_key");
        bad(|o| o.filter_bits_per_key = f64::NAN, "filter_bits_per_key");
    }
}
