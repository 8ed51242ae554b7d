//! The command line: what can be asked, and the help that explains it.

mod bench;
mod forecast;
mod language;
mod load;
mod open;
mod records;
mod tools;

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::escape::unescape;

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
pub(crate) use self::load::{FormatArg, LoadArgs, OnError};
pub(crate) use self::open::{DurabilityArg, OpenArgs, PresetArg};
pub(crate) use self::records::{
    CompareArgs, DelArgs, ExportArgs, GetArgs, PutArgs, RangeArgs, ScanArgs,
};
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

/// Bytes given on the command line, escapes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BytesArg(pub(crate) Vec<u8>);

pub(crate) fn bytes_parser() -> impl clap::builder::TypedValueParser<Value = BytesArg> {
    OsStringValueParser::new()
        .try_map(|text| unescape(text.as_encoded_bytes()).map(|bytes| BytesArg(bytes.into_owned())))
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
    fn keys_are_bytes_with_escapes_undone() {
        let cli = Cli::try_parse_from(["lsm", "get", r"a\tb\xff", "--", "-d"]).unwrap();
        let Command::Get(get) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(get.keys, [BytesArg(b"a\tb\xff".to_vec()), BytesArg(b"-d".to_vec())]);
        let error = Cli::try_parse_from(["lsm", "get", r"a\q"]).unwrap_err().to_string();
        assert!(error.contains("byte 1: a backslash must begin"), "{error}");
    }
}
