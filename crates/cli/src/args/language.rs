//! Arguments of `serve`, `dsl` and `client`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use server::Framing;

/// How commands of the CS265 language are read and answered.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// How answers are marked off: line, silent (the course's form), crlfcrlf, eom
    #[arg(long, value_name = "FORM", default_value = "line", env = "LSM_FRAMING")]
    pub(crate) framing: Framing,

    /// Keys and values of 64 bits instead of 32
    #[arg(long, env = "LSM_WIDE")]
    pub(crate) wide: bool,
}

/// What the command `q` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QuitEnds {
    /// The client's connection
    Connection,
    /// The server
    Server,
}

const LANGUAGE: &str = "\
The language, one command a line: p KEY VALUE puts, g KEY gets, r LO HI lists LO <= key < HI,
d KEY deletes, l \"FILE\" loads binary pairs, s prints statistics, f flushes, q quits.";

#[derive(Debug, Args)]
#[command(after_long_help = format!("\
{LANGUAGE}

The server ends on an interrupt or a request to terminate, after it has answered what has arrived.
There is no encryption: listen beyond this machine only where you trust the network.

Examples:
  lsm -d numbers serve
  lsm serve --config numbers.toml
  lsm -d numbers serve --address 127.0.0.1:0 --framing silent --quit-ends server
  lsm -d numbers serve --address 0.0.0.0:8080 --remote --token secret"))]
pub(crate) struct ServeArgs {
    /// A file of TOML with these flags and the options for opening, under their long names
    #[arg(long, value_name = "FILE", env = "LSM_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,

    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", env = "LSM_ADDRESS")]
    pub(crate) address: SocketAddr,

    /// Allow an address that other machines can reach
    #[arg(long, env = "LSM_REMOTE")]
    pub(crate) remote: bool,

    /// Ask clients for this word first
    #[arg(long, value_name = "WORD", env = "LSM_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// Clients at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 4096, env = "LSM_CONNECTIONS")]
    pub(crate) connections: usize,

    /// Seconds that a client may say nothing
    #[arg(long, value_name = "SECONDS", env = "LSM_IDLE")]
    pub(crate) idle: Option<u64>,

    /// The folder that the command `l` may read from; without it, none
    #[arg(long, value_name = "DIR", env = "LSM_LOAD_FROM")]
    pub(crate) load_from: Option<PathBuf>,

    /// What the command `q` ends
    #[arg(long, value_name = "WHAT", default_value = "connection", env = "LSM_QUIT_ENDS")]
    pub(crate) quit_ends: QuitEnds,

    /// How commands are read and answered.
    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = format!("\
{LANGUAGE}

Examples:
  lsm -d numbers dsl --framing silent < workload.txt
  printf 'p 10 7\\ng 10\\n' | lsm -d numbers dsl"))]
pub(crate) struct DslArgs {
    /// A file of commands, or - for standard input
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,

    /// How commands are read and answered.
    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lsm client < workload.txt
  lsm client --quiet --timing workload.txt
  lsm client                                   by hand: history, TAB shows the commands")]
pub(crate) struct ClientArgs {
    /// A file of commands, or - for standard input
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,

    /// Where the server listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", env = "LSM_ADDRESS")]
    pub(crate) address: SocketAddr,

    /// How the server marks off answers: line, crlfcrlf, eom
    #[arg(long, value_name = "FORM", default_value = "line", env = "LSM_FRAMING")]
    pub(crate) framing: Framing,

    /// The word that the server asks for
    #[arg(long, value_name = "WORD", env = "LSM_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// Print no answers
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Say how long it took: all of it at the end; by hand, each command
    #[arg(long)]
    pub(crate) timing: bool,
}
