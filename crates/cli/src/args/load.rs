//! `load`: a file of records.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::units::parse_bytes;

const LOAD_HELP: &str = "\
Each line is a record: key, TAB, value. A tab, newline, return, NUL or backslash inside them is \
written \\t \\n \\r \\0 \\\\, any byte \\xHH. A key that comes again replaces the earlier one. \
The database is made if there is none.

Records are written in batches: a load that is killed leaves a prefix of the file, in whole \
batches. When `load` ends well, everything is in tables and on the medium. With --resume the same
command goes on where it was killed, each record once: how far it came is written with each batch.

The formats `pairs` and `pairs64` are those of the CS265 tools: little-endian signed numbers of 32
or 64 bits, key then value; they are stored as `lsm serve` stores them.

Examples:
  lsm -d words load wordnet.tsv
  lsm -d words load --on-error skip dirty.tsv
  lsm -d words load --resume huge.tsv
  lsm -d numbers load --format pairs data.bin
  zcat dump.tsv.gz | lsm -d words load -";

#[derive(Debug, Args)]
#[command(after_long_help = LOAD_HELP)]
pub(crate) struct LoadArgs {
    /// The file, or - for standard input
    pub(crate) file: PathBuf,

    /// What to do at a malformed line
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    pub(crate) on_error: OnError,

    /// How records are written in the file
    #[arg(long, value_name = "FORMAT", default_value = "tsv")]
    pub(crate) format: FormatArg,

    /// Records written together; all of a batch is kept, or nothing
    #[arg(long, value_name = "RECORDS", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: u32,

    /// Go on where a load of this file was stopped or killed
    #[arg(long)]
    pub(crate) resume: bool,

    /// Start at this line or pair, counted from 1
    #[arg(long, value_name = "LINE", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) from_line: u64,

    /// The longest line taken; memory is bounded by it
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    pub(crate) line_max: u64,
}

/// How records are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Key, TAB, value
    Tsv,
    /// {"key": "...", "value": "..."}, as `scan --json` prints
    Json,
    /// Pairs of 32-bit numbers, binary
    Pairs,
    /// Pairs of 64-bit numbers, binary
    Pairs64,
}

impl FormatArg {
    /// What a record is in the file.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Tsv | Self::Json => "line",
            Self::Pairs | Self::Pairs64 => "pair",
        }
    }
}

/// What to do at a malformed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Keep what came before it, and stop
    Stop,
    /// Say so, leave it out, and go on
    Skip,
}
