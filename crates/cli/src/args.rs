//! The command line: what can be asked, and the help that explains it.

mod bench;
mod forecast;
mod language;
mod tools;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::{Codec, Strategy};
use crate::escape::unescape;
use crate::units::parse_bytes;

const LONG_ABOUT: &str = "\
Load, look inside, and run an LSM-tree database from the terminal.

A database is a folder, named by --db or by the variable LSM_DB. Keys and values are bytes. On \
the command line, in TSV files and in all output they are written as text in which

  \\t \\n \\r \\0 \\\\   mean tab, newline, return, NUL and backslash
  \\xHH             means any byte, in two hexadecimal digits

and everything else stands for itself. What one command prints, another reads.";

const AFTER: &str = "\
Examples:
  lsm demo                                     see it work: load, compact, kill, recover
  lsm -d words load wordnet.tsv                load a file, one record a line, key TAB value
  lsm -d words scan --prefix index/noun/ice    look at a range
  lsm -d words shape                           look at the tree
  lsm help load                                more about one command";

const AFTER_LONG: &str = "\
Examples:
  lsm demo                                     see it work: load, compact, kill, recover
  lsm -d words load wordnet.tsv                load a file, one record a line, key TAB value
  lsm -d words get index/noun/iceberg          one value
  lsm -d words put 'greeting' 'hello\\nworld'   one write
  lsm -d words scan --prefix index/noun/ice    a range, in key order
  lsm -d words scan --reverse --limit 3        the last three records
  lsm -d words shape                           the tree, drawn
  lsm -d words --json stats                    numbers for a machine
  lsm help load                                more about one command

Exit codes:
  0  done
  1  `get`: no such key
  2  the request is wrong: usage, options, a bad escape, a malformed line, a key or value too long
  3  there is no database in the folder
  4  the folder is in use by another process
  5  a file is damaged, or was written by a newer version
  6  the operating system refused: no permission, disk full, unreadable file
  7  `demo`, `compare`: something is not as it must be";

pub(crate) use self::bench::BenchArgs;
pub(crate) use self::forecast::{AdviseArgs, LimitArgs, Rate, SimulateArgs, WorkloadArgs};
pub(crate) use self::language::{ClientArgs, DslArgs, QuitEnds, ServeArgs, SessionArgs};
pub(crate) use self::tools::{CheckpointArgs, ExplainArgs, IngestArgs, ManArgs, TopArgs};

/// `lsm`, taken apart.
#[derive(Debug, Parser)]
#[command(
    name = "lsm",
    version,
    about = "Load, look inside, and run an LSM-tree database from the terminal",
    long_about = LONG_ABOUT,
    after_help = AFTER,
    after_long_help = AFTER_LONG,
    max_term_width = 100,
    args_override_self = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// The database folder
    #[arg(short, long, value_name = "DIR", env = "LSM_DB", global = true, hide_env_values = true)]
    pub(crate) db: Option<PathBuf>,

    /// The family of keys in the database; each is a tree of its own
    #[arg(short, long, value_name = "NAME", global = true)]
    pub(crate) family: Option<String>,

    /// Only read: no lock, nothing changed, beside a process that has it open (as it was then)
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) read_only: bool,

    /// As --read-only, and leave out what is damaged instead of refusing; each loss is said
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) pass_over_damage: bool,

    /// Print for a machine: JSON, one object a line; errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to use colours; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        hide_short_help = true
    )]
    pub(crate) color: When,

    /// Columns to draw in, if not those of the terminal
    #[arg(
        long,
        value_name = "COLUMNS",
        env = "COLUMNS",
        global = true,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) width: Option<u16>,

    /// How to open the database.
    #[command(flatten)]
    pub(crate) open: OpenArgs,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of the engine. What is not given keeps the engine's default.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for opening the database")]
pub(crate) struct OpenArgs {
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
        add("--durability", self.durability.map(|mode| mode.name().to_owned()));
        add("--write-buffer", self.write_buffer.map(|bytes| bytes.to_string()));
        add("--cache", self.cache.map(|bytes| bytes.to_string()));
        add("--block", self.block.map(|bytes| bytes.to_string()));
        add("--table", self.table.map(|bytes| bytes.to_string()));
        add("--codec", self.codec.map(|codec| codec.name().to_owned()));
        add("--filter-bits", self.filter_bits.map(|bits| bits.to_string()));
        add("--strategy", self.strategy.map(|strategy| strategy.to_string()));
        add("--size-ratio", self.size_ratio.map(|ratio| ratio.to_string()));
        add("--threads", self.threads.map(|count| count.to_string()));
        flags
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

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
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

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load records from a file, key TAB value, one a line
    Load(LoadArgs),
    /// Take in tables that were written elsewhere, as one write
    Ingest(IngestArgs),
    /// Print the values of keys
    Get(GetArgs),
    /// Write one record
    Put(PutArgs),
    /// Delete keys or a range of keys, whether they are there or not
    Del(DelArgs),
    /// Print the records of a range, in key order
    Scan(ScanArgs),
    /// Count the records of a range
    Count(RangeArgs),
    /// Write the records of a range to a file that `load` reads
    Export(ExportArgs),
    /// Check that the database holds exactly the records of a file
    Compare(CompareArgs),
    /// Print what the database has done and holds, in numbers
    Stats,
    /// Watch a server or a folder: throughput, latencies, cache, jobs, the tree
    Top(TopArgs),
    /// List the families, or drop one
    Families(FamiliesArgs),
    /// Draw the tree: levels, runs and tables over the keys
    Shape,
    /// Say how a key, or a range, is read: memtables, runs, filters, blocks, times
    Explain(ExplainArgs),
    /// Print what a file of a database says, without opening the database
    #[command(subcommand)]
    Dump(Dump),
    /// Merge everything into the last level
    Compact,
    /// Make a database of its own, as of now, in another folder
    Checkpoint(CheckpointArgs),
    /// Make a damaged database open again, and list what was lost
    Repair,
    /// Read every byte of every table, and check it
    Verify,
    /// See it work: load 34,888 records, compact, overwrite under a snapshot, kill, recover
    Demo(DemoArgs),
    /// Serve the database over TCP, in the CS265 language
    Serve(ServeArgs),
    /// Run commands of the CS265 language from a file or standard input
    Dsl(DslArgs),
    /// Send commands of the CS265 language to a server
    Client(ClientArgs),
    /// Measure: db_bench's workloads, YCSB A to F, the CS265 report's mixes
    Bench(BenchArgs),
    /// Forecast what a workload costs, without a database
    Simulate(SimulateArgs),
    /// Rank strategies and size ratios for a mix of operations
    Advise(AdviseArgs),
    /// Print a script that completes `lsm` commands in a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
    /// The child of `demo` that is killed.
    #[command(hide = true)]
    DemoWriter(DemoWriterArgs),
}

/// Which file to look into.
#[derive(Debug, Subcommand)]
#[command(after_long_help = "\
Nothing is locked or changed: it works while another process has the database open, and on a
folder that cannot be opened any more.

Examples:
  lsm dump table words/000012.sst
  lsm dump table --entries words/000012.sst | head
  lsm -d words dump manifest
  lsm -d words dump manifest --edits
  lsm -d words dump log --operations")]
pub(crate) enum Dump {
    /// A table: its properties, or its entries
    Table(DumpTableArgs),
    /// The manifest: which tables and logs are live, or how it came to that
    Manifest(DumpManifestArgs),
    /// The log: the batches that are not yet in tables
    Log(DumpLogArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DumpTableArgs {
    /// The file, such as words/000012.sst
    pub(crate) file: PathBuf,

    /// Every entry: key, sequence number, kind, value, TAB between them
    #[arg(long)]
    pub(crate) entries: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DumpManifestArgs {
    /// Every edit instead of what they add up to: a step of the database's history each
    #[arg(long)]
    pub(crate) edits: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DumpLogArgs {
    /// Numbers of logs, if not all that are live
    #[arg(value_name = "NUMBER")]
    pub(crate) numbers: Vec<u64>,

    /// Every operation of the batches: sequence number, family, kind, key, value
    #[arg(long)]
    pub(crate) operations: bool,
}

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

/// Bytes given on the command line, escapes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BytesArg(pub(crate) Vec<u8>);

pub(crate) fn bytes_parser() -> impl clap::builder::TypedValueParser<Value = BytesArg> {
    OsStringValueParser::new()
        .try_map(|text| unescape(text.as_encoded_bytes()).map(|bytes| BytesArg(bytes.into_owned())))
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
One key prints its value; several print key TAB value for each that is there.
Exit code 1 if any is not.

Examples:
  lsm -d words get index/noun/iceberg
  lsm -d words get --raw picture > picture.png")]
pub(crate) struct GetArgs {
    /// The keys
    #[arg(required = true, value_name = "KEY", value_parser = bytes_parser())]
    pub(crate) keys: Vec<BytesArg>,

    /// Print the bytes of the value as they are, and nothing else
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The database is made if there is none.

Examples:
  lsm -d words put greeting 'hello\\nworld'
  lsm -d words put picture --file picture.png")]
pub(crate) struct PutArgs {
    /// The key
    #[arg(value_name = "KEY", value_parser = bytes_parser())]
    pub(crate) key: BytesArg,

    /// The value
    #[arg(value_name = "VALUE", value_parser = bytes_parser(), required_unless_present = "file",
          conflicts_with = "file")]
    pub(crate) value: Option<BytesArg>,

    /// Take the value from a file, its bytes as they are; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
All of it is deleted, or nothing. A range is one record, however many keys it hides.

Examples:
  lsm -d words del greeting farewell
  lsm -d words del --prefix data/
  lsm -d words del --from m --to n")]
pub(crate) struct DelArgs {
    /// The keys
    #[arg(value_name = "KEY", value_parser = bytes_parser(),
          required_unless_present_any = ["prefix", "from"])]
    pub(crate) keys: Vec<BytesArg>,

    /// Every key that begins with this
    #[arg(long, value_name = "BYTES", value_parser = bytes_parser())]
    pub(crate) prefix: Option<BytesArg>,

    /// Every key from this one on
    #[arg(long, value_name = "KEY", value_parser = bytes_parser(), requires = "to")]
    pub(crate) from: Option<BytesArg>,

    /// up to this one, which stays
    #[arg(long, value_name = "KEY", value_parser = bytes_parser(), requires = "from")]
    pub(crate) to: Option<BytesArg>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
A family is made by writing to it: `put` and `load` with --family.

Examples:
  lsm -d words families
  lsm -d words --family verbs load verbs.tsv
  lsm -d words families --drop verbs")]
pub(crate) struct FamiliesArgs {
    /// Drop this family and all it holds
    #[arg(long, value_name = "NAME")]
    pub(crate) drop: Option<String>,
}

/// A range of keys.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RangeArgs {
    /// Only keys that begin with this
    #[arg(long, value_name = "BYTES", value_parser = bytes_parser(),
          conflicts_with_all = ["from", "to"])]
    pub(crate) prefix: Option<BytesArg>,

    /// The first key, or where it would stand
    #[arg(long, value_name = "KEY", value_parser = bytes_parser())]
    pub(crate) from: Option<BytesArg>,

    /// Where to end: this key is not part of the range
    #[arg(long, value_name = "KEY", value_parser = bytes_parser())]
    pub(crate) to: Option<BytesArg>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints key TAB value, as `load` reads it.

Examples:
  lsm -d words scan --prefix index/noun/ice
  lsm -d words scan --from m --to n --limit 20
  lsm -d words scan --reverse --limit 3
  lsm -d words --json scan --keys | jq -r .key")]
pub(crate) struct ScanArgs {
    /// Which keys.
    #[command(flatten)]
    pub(crate) range: RangeArgs,

    /// At most this many records
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,

    /// From the last key to the first
    #[arg(long)]
    pub(crate) reverse: bool,

    /// Keys without their values
    #[arg(long)]
    pub(crate) keys: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The file is a snapshot: writes that come meanwhile are not in it.
It appears under its name when it is whole.

Examples:
  lsm -d words export words.tsv
  lsm -d words export - --prefix index/ | gzip > index.tsv.gz")]
pub(crate) struct ExportArgs {
    /// The file, or - for standard output
    pub(crate) file: PathBuf,

    /// Which keys.
    #[command(flatten)]
    pub(crate) range: RangeArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Asks for each record of the file by `get`, then reads everything by one ordered scan. Each key \
must be in the file once. Exit code 7 at the first difference.

Example:
  lsm -d words load wordnet.tsv && lsm -d words compare wordnet.tsv")]
pub(crate) struct CompareArgs {
    /// The file, or - for standard input
    pub(crate) file: PathBuf,

    /// The longest line taken; memory is bounded by it
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    pub(crate) line_max: u64,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Loads the data set that travels inside the program (the names of all characters of Unicode 15.0) \
with a write buffer so small that the tree grows several levels; compares every record with a \
map in memory; overwrites and deletes under a snapshot while it is scanned; starts a child that \
writes, kills it without warning, reopens, and proves that every write the child was told was \
done is there, and nothing half done. Exit code 7 if any proof fails.

Works in a folder of its own that is removed at the end, unless --dir names one to keep.")]
pub(crate) struct DemoArgs {
    /// Work in this folder, new or empty, and keep it
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// How often the child is killed
    #[arg(long, value_name = "COUNT", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) kills: u32,

    /// Seed of what is overwritten, deleted, and when the child is killed
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DemoWriterArgs {
    /// Seed of the writes.
    #[arg(long)]
    pub(crate) seed: u64,

    /// The batch to begin with.
    #[arg(long)]
    pub(crate) first: u64,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lsm completions bash > ~/.local/share/bash-completion/completions/lsm
  lsm completions fish > ~/.config/fish/completions/lsm.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_survive_being_flags() {
        let given = [
            "lsm",
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
    fn keys_are_bytes_with_escapes_undone() {
        let cli = Cli::try_parse_from(["lsm", "get", r"a\tb\xff", "--", "-d"]).unwrap();
        let Command::Get(get) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(get.keys, [BytesArg(b"a\tb\xff".to_vec()), BytesArg(b"-d".to_vec())]);
        let error = Cli::try_parse_from(["lsm", "get", r"a\q"]).unwrap_err().to_string();
        assert!(error.contains("byte 1: a backslash must begin"), "{error}");
    }
}
