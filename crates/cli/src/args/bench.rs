//! Arguments of `bench`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::bench::names;
use crate::units::parse_bytes;

#[derive(Debug, Args)]
#[command(after_long_help = format!("\
The names are db_bench's where it has the workload, YCSB's core workloads A to F, and the mixes of
the CS265 report. Every value that is read is checked. Workloads on numbered records (16 digits a
key) share a database that the first of them fills; YCSB has its own.

Names:
{}

It works in a folder of its own that is removed at the end, unless --dir names one to keep. Options
for opening apply: lsm --codec none bench fillseq.

Examples:
  lsm bench
  lsm bench fillrandom readrandom seek10 --records 1000000
  lsm bench ycsb-a ycsb-b ycsb-c --seconds 10
  lsm --json bench readrandom | jq .per_second", crate::bench::catalogue()))]
pub(crate) struct BenchArgs {
    /// What to run, in this order; see below
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(names()),
          hide_possible_values = true, default_values = ["fillrandom", "readrandom", "readmissing",
          "seek10", "readseq", "ycsb-a", "ycsb-b"])]
    pub(crate) names: Vec<String>,

    /// Records in the database; YCSB's, of 1 KiB each, are a tenth of it
    #[arg(long, value_name = "COUNT", default_value_t = 200_000,
          value_parser = clap::value_parser!(u64).range(1000..))]
    pub(crate) records: u64,

    /// Bytes of a value
    #[arg(long, value_name = "SIZE", default_value = "100", value_parser = parse_bytes)]
    pub(crate) value_bytes: u64,

    /// The longest that one workload takes
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub(crate) seconds: f64,

    /// Threads that fill and read; seeks, scans and YCSB run on one
    #[arg(long = "clients", value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) clients: u64,

    /// Work in this folder, new or empty, and keep it
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
