//! Commands on records and ranges of records.

use std::path::PathBuf;

use clap::Args;

use super::{BytesArg, bytes_parser};
use crate::units::parse_bytes;

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
