//! Arguments of `simulate` and `advise`.

use std::path::PathBuf;

use clap::Args;

/// A workload to be simulated: a load of all keys, then updates of any of them.
#[derive(Debug, Args)]
pub(crate) struct WorkloadArgs {
    /// Keys in the database
    #[arg(long, value_name = "COUNT", default_value_t = 10_000_000)]
    pub(crate) entries: u64,

    /// Bytes of a key
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    pub(crate) key_bytes: u32,

    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub(crate) value_bytes: u32,

    /// Writes after the load, as a multiple of the keys
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub(crate) updates: f64,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Runs the engine's own compaction policies on a virtual tree, with the options for opening that are
given. Without --strategy, three of them side by side. In brackets: what the closed forms say.

Examples:
  lsm simulate --entries 100000000 --size-ratio 8
  lsm simulate --strategy tiered --svg tiered.svg")]
pub(crate) struct SimulateArgs {
    /// The workload.
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    /// Draw write amplification against runs into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The closed forms price every setting, the simulator judges the best of them. Only the proportions
of the mix count.

Example:
  lsm advise --entries 100000000 --writes 1 --reads 9 --uncertainty 0.2")]
pub(crate) struct AdviseArgs {
    /// The workload.
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    /// Puts and deletes
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub(crate) writes: f64,

    /// Gets of keys that are there
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub(crate) reads: f64,

    /// Gets of keys that are not
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) absent: f64,

    /// Short scans
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) scans: f64,

    /// How far the mix may be off (a Kullback-Leibler divergence)
    #[arg(long, value_name = "DISTANCE", default_value_t = 0.0)]
    pub(crate) uncertainty: f64,
}
