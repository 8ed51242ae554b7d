//! Arguments of `top`, `explain`, `checkpoint`, `ingest` and `man`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{BytesArg, RangeArgs, bytes_parser};

#[derive(Debug, Args)]
#[command(after_long_help = "\
With --address it asks a server that `lsm serve` runs, in the framings line and silent; otherwise
it reads the files of a folder and changes nothing, whether a process has it open or not. From
files it can be seen what is flushed and merged, but not what happens in memory.

On a terminal: q ends it, p pauses. Elsewhere, or with --count, frames are printed one after
another.

Examples:
  lsm top --address 127.0.0.1:8080
  lsm -d words top
  lsm top --address 127.0.0.1:8080 --count 1 --json")]
pub(crate) struct TopArgs {
    /// The server to look at; without it, the folder of --db
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<SocketAddr>,

    /// The word that the server asks for
    #[arg(long, value_name = "WORD", env = "LSM_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) interval: f64,

    /// Print so many frames and end
    #[arg(long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
A key is read as `get` reads it: each memtable, run, filter, fence and block on the way, with its
time. Without a key, a range is read as `scan` reads it: what is read and what of it is returned.
The files are read as with --read-only, so it works beside a process that has the database open;
nothing is in the cache then, but what the explanation itself has read.

Examples:
  lsm -d words explain index/noun/iceberg
  lsm -d words explain --prefix index/noun/ --limit 100")]
pub(crate) struct ExplainArgs {
    /// The key
    #[arg(value_name = "KEY", value_parser = bytes_parser(),
          conflicts_with_all = ["prefix", "from", "to", "limit"])]
    pub(crate) key: Option<BytesArg>,

    /// Which keys.
    #[command(flatten)]
    pub(crate) range: RangeArgs,

    /// At most this many records
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
On the same file system the tables are shared, so it takes no time and no space for them. To back
up a database that a process has open, ask that process; or `export --read-only`.

Example:
  lsm -d words checkpoint backup && lsm -d backup verify")]
pub(crate) struct CheckpointArgs {
    /// The folder: new, or empty
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The files are tables that the crate sstable writes, such as those of another database; they stay as
they are. All of them are taken in, or none. Their entries count as written now. No key may be in
them twice: compact the other database first. The database is made if there is none.

Example:
  lsm -d words compact && lsm -d all ingest words/*.sst")]
pub(crate) struct IngestArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
One page for `lsm` and one for each command, lsm-load.1 and so on.

Examples:
  lsm man | man -l -
  lsm man --dir ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write all pages into this folder, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
