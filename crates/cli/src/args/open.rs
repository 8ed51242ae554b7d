//! Options of the engine, as flags.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use crate::engine::{Codec, Coding, Options, Strategy};
use crate::units::parse_bytes;

/// Options of the engine. What is not given keeps the engine's default.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for opening the database")]
pub(crate) struct OpenArgs {
    /// Start from the options for a kind of work; what is given beside it wins
    #[arg(
        long,
        value_name = "WORK",
        global = true,
        hide_short_help = true,
        env = "LSM_PRESET",
        hide_env_values = true
    )]
    pub(crate) preset: Option<PresetArg>,

    /// Memory for everything together, such as 256MiB: sets buffers, cache and table size
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, global = true,
          hide_short_help = true, env = "LSM_MEMORY_BUDGET",
          hide_env_values = true)]
    pub(crate) memory_budget: Option<u64>,

    /// When a write counts as done
    #[arg(
        long,
        value_name = "MODE",
        global = true,
        hide_short_help = true,
        env = "LSM_DURABILITY",
        hide_env_values = true
    )]
    pub(crate) durability: Option<DurabilityArg>,

    /// Memory for writes before they become a table, such as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, global = true,
          hide_short_help = true, env = "LSM_WRITE_BUFFER",
          hide_env_values = true)]
    pub(crate) write_buffer: Option<u64>,

    /// Memory for blocks read from tables
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, global = true,
          hide_short_help = true, env = "LSM_CACHE",
          hide_env_values = true)]
    pub(crate) cache: Option<u64>,

    /// Bytes of a data block before compression, 512 to 64KiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, global = true,
          hide_short_help = true, env = "LSM_BLOCK",
          hide_env_values = true)]
    pub(crate) block: Option<u64>,

    /// Size at which a compaction starts its next table
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, global = true,
          hide_short_help = true, env = "LSM_TABLE",
          hide_env_values = true)]
    pub(crate) table: Option<u64>,

    /// How data blocks are compressed
    #[arg(long, value_name = "CODEC", value_parser = codec_parser(), global = true,
          hide_short_help = true, env = "LSM_CODEC",
          hide_env_values = true)]
    pub(crate) codec: Option<Codec>,

    /// How hard the codec tries: zstd and dictionary 1 to 22, lzma 0 to 9; 0 is its own default
    #[arg(
        long,
        value_name = "LEVEL",
        global = true,
        hide_short_help = true,
        env = "LSM_CODEC_LEVEL",
        hide_env_values = true
    )]
    pub(crate) codec_level: Option<u8>,

    /// Codecs of the tree's levels, the newest first, such as lz4,lz4,zstd:9; or `by-level`, those
    /// of the CS265 report: lz4, snappy from level 1, zstd from level 3
    #[arg(
        long,
        value_name = "CODECS",
        global = true,
        hide_short_help = true,
        env = "LSM_LEVEL_CODECS",
        hide_env_values = true
    )]
    pub(crate) level_codecs: Option<LevelCodecs>,

    /// Threads that compress a table's blocks beside the one that writes it
    #[arg(
        long,
        value_name = "COUNT",
        global = true,
        hide_short_help = true,
        env = "LSM_COMPRESSION_THREADS",
        hide_env_values = true
    )]
    pub(crate) compression_threads: Option<usize>,

    /// Filter bits for each key, 0 for no filter
    #[arg(
        long,
        value_name = "BITS",
        global = true,
        hide_short_help = true,
        env = "LSM_FILTER_BITS",
        hide_env_values = true
    )]
    pub(crate) filter_bits: Option<f64>,

    /// When tables are merged, and into what: leveled (reads and space first), lazy-leveled, tiered
    /// (writes first), lazy-l0, partial:SELECTION, fluid:INNER:LAST:SELECTION, fifo:BYTES:TTL_US
    #[arg(
        long,
        value_name = "STRATEGY",
        global = true,
        hide_short_help = true,
        env = "LSM_STRATEGY",
        hide_env_values = true
    )]
    pub(crate) strategy: Option<Strategy>,

    /// How much larger each level is than the one above it, 2 to 32
    #[arg(
        long,
        value_name = "RATIO",
        global = true,
        hide_short_help = true,
        env = "LSM_SIZE_RATIO",
        hide_env_values = true
    )]
    pub(crate) size_ratio: Option<u32>,

    /// Threads for flushes and compactions
    #[arg(
        long,
        value_name = "COUNT",
        global = true,
        hide_short_help = true,
        env = "LSM_THREADS",
        hide_env_values = true
    )]
    pub(crate) threads: Option<usize>,
}

impl OpenArgs {
    /// The options that were given, as flags again: for a child that is to open the same database.
    pub(crate) fn to_flags(&self) -> Vec<OsString> {
        let mut flags = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                flags.extend([OsString::from(name), OsString::from(value)]);
            }
        };
        add("--preset", self.preset.map(|preset| preset.name().to_owned()));
        add("--memory-budget", self.memory_budget.map(|bytes| bytes.to_string()));
        add("--durability", self.durability.map(|mode| mode.name().to_owned()));
        add("--write-buffer", self.write_buffer.map(|bytes| bytes.to_string()));
        add("--cache", self.cache.map(|bytes| bytes.to_string()));
        add("--block", self.block.map(|bytes| bytes.to_string()));
        add("--table", self.table.map(|bytes| bytes.to_string()));
        add("--codec", self.codec.map(|codec| codec.name().to_owned()));
        add("--codec-level", self.codec_level.map(|level| level.to_string()));
        add("--level-codecs", self.level_codecs.as_ref().map(ToString::to_string));
        add("--compression-threads", self.compression_threads.map(|count| count.to_string()));
        add("--filter-bits", self.filter_bits.map(|bits| bits.to_string()));
        add("--strategy", self.strategy.map(|strategy| strategy.to_string()));
        add("--size-ratio", self.size_ratio.map(|ratio| ratio.to_string()));
        add("--threads", self.threads.map(|count| count.to_string()));
        flags
    }
}

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// On the medium: survives a power cut
    Sync,
    /// Handed to the operating system: survives a killed process
    Buffered,
    /// No log: what was not flushed is lost with the process
    None,
}

/// A kind of work that the engine has options for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PresetArg {
    /// Much more writing than reading: tiered, large buffers
    WriteHeavy,
    /// Much more reading than writing: leveled, a large cache, many filter bits
    ReadHeavy,
    /// Both: lazy-leveled
    Mixed,
    /// Long scans: leveled, large blocks
    ScanHeavy,
    /// The parameters of the CS265 report, to compare with
    Report,
}

impl PresetArg {
    fn name(self) -> &'static str {
        match self {
            Self::WriteHeavy => "write-heavy",
            Self::ReadHeavy => "read-heavy",
            Self::Mixed => "mixed",
            Self::ScanHeavy => "scan-heavy",
            Self::Report => "report",
        }
    }

    pub(crate) fn options(self) -> Options {
        match self {
            Self::WriteHeavy => Options::write_heavy(),
            Self::ReadHeavy => Options::read_heavy(),
            Self::Mixed => Options::mixed(),
            Self::ScanHeavy => Options::scan_heavy(),
            Self::Report => Options::report(),
        }
    }
}

/// The word for the codecs of the CS265 report.
const BY_LEVEL: &str = "by-level";

/// Codecs of levels, `lz4,zstd:9`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LevelCodecs(pub(crate) Vec<Coding>);

impl FromStr for LevelCodecs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == BY_LEVEL {
            return Ok(Self(Options::codecs_by_level()));
        }
        text.split(',').map(coding).collect::<Result<_, _>>().map(Self)
    }
}

fn coding(text: &str) -> Result<Coding, String> {
    let (name, level) = text.split_once(':').unwrap_or((text, "0"));
    let codec = Codec::ALL.into_iter().find(|codec| codec.name() == name);
    let codec = codec.ok_or_else(|| format!("{name:?} is no codec"))?;
    let level = level.parse().map_err(|error| format!("{level:?} is no level: {error}"))?;
    Ok(Coding { codec, level })
}

impl fmt::Display for LevelCodecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rank, Coding { codec, level }) in self.0.iter().enumerate() {
            let comma = if rank == 0 { "" } else { "," };
            write!(f, "{comma}{}", codec.name())?;
            if *level > 0 {
                write!(f, ":{level}")?;
            }
        }
        Ok(())
    }
}

/// The codecs that this build has, by name.
fn codec_parser() -> impl clap::builder::TypedValueParser<Value = Codec> {
    let built_in = || Codec::ALL.into_iter().filter(|codec| codec.is_built_in());
    PossibleValuesParser::new(built_in().map(Codec::name)).map(move |name| {
        // The parser has let only these names pass.
        built_in().find(|codec| codec.name() == name).unwrap_or_default()
    })
}

impl DurabilityArg {
    fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Buffered => "buffered",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Cli;
    use super::*;

    #[test]
    fn options_survive_being_flags() {
        let given = [
            "lsm",
            "--preset",
            "read-heavy",
            "--memory-budget",
            "67108864",
            "--durability",
            "sync",
            "--write-buffer",
            "65536",
            "--cache",
            "1",
            "--block",
            "512",
            "--table",
            "4096",
            "--codec",
            "zstd",
            "--codec-level",
            "12",
            "--level-codecs",
            "none,lz4,zstd:9",
            "--compression-threads",
            "1",
            "--filter-bits",
            "7.5",
            "--strategy",
            "partial:oldest",
            "--size-ratio",
            "5",
            "--threads",
            "3",
            "stats",
        ];
        let cli = Cli::try_parse_from(given).unwrap();
        assert_eq!(cli.open.to_flags(), &given[1..given.len() - 1]);
        let none = Cli::try_parse_from(["lsm", "stats"]).unwrap();
        assert!(none.open.to_flags().is_empty());
    }

    #[test]
    fn codecs_of_levels_are_read_and_refused_by_name() {
        let of = |text: &str| text.parse::<LevelCodecs>();
        assert_eq!(of("by-level").unwrap().0, Options::codecs_by_level());
        let zstd = Coding { codec: Codec::Zstd, level: 9 };
        assert_eq!(of("none,zstd:9").unwrap().0, [Coding::new(Codec::None), zstd]);
        for (text, word) in [("lz5", "lz5"), ("", "no codec"), ("zstd:x", "no level")] {
            let error = of(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
