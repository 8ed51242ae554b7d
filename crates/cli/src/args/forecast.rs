//! Arguments of `simulate` and `advise`.

use std::path::PathBuf;

use clap::Args;

use crate::engine::compaction::simulate::Skew;
use crate::units::parse_bytes;

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
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = amount)]
    pub(crate) updates: f64,

    /// Which keys they hit: uniform, zipf:THETA (zipf is zipf:0.99), or sequential, load included
    #[arg(long, value_name = "SKEW", default_value_t = Skew::Uniform)]
    pub(crate) skew: Skew,

    /// Share of them that are deletes, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) deletes: f64,

    /// Seed of the order of the load and of the updates
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How often each setting is simulated, with write buffers from 6 % below to 6 % above
    #[arg(long, value_name = "COUNT", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) phases: u32,

    /// How fast writes come in a second: bytes, as 50MiB, or a count of writes, as 400000puts;
    /// with it or --worker-rate, stalls are forecast
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) ingest: Option<Rate>,

    /// Bytes that one thread for compactions reads and writes in a second; --threads says how many
    #[arg(long, value_name = "SIZE", value_parser = speed)]
    pub(crate) worker_rate: Option<u64>,
}

/// How much is written in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// Bytes of keys and values.
    Bytes(u64),
    /// Writes, each of a key and a value.
    Puts(u64),
}

fn rate(text: &str) -> Result<Rate, String> {
    let wrong = "a rate is a size, as in 50MiB, or a count of writes, as in 400000puts";
    let found = match text.trim().strip_suffix("puts") {
        Some(count) => {
            count.trim().parse().map(Rate::Puts).map_err(|why| format!("{why}; {wrong}"))?
        }
        None => Rate::Bytes(parse_bytes(text).map_err(|why| format!("{why}; {wrong}"))?),
    };
    match found {
        Rate::Bytes(0) | Rate::Puts(0) => Err("a rate must be more than 0".into()),
        found => Ok(found),
    }
}

fn speed(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        0 => Err("a rate must be more than 0".into()),
        bytes => Ok(bytes),
    }
}

/// A number that is 0 or more.
fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number that is 0 or more".into())
}

fn share(text: &str) -> Result<f64, String> {
    let number = amount(text).ok().filter(|number| *number <= 1.0);
    number.ok_or_else(|| "expected a share from 0 to 1".into())
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Runs the engine's own compaction policies on a virtual tree, with the options for opening that are
given. Without --strategy, five of them side by side. In brackets: what the closed forms say.

A merge of the whole last level is rare and large; whether a short workload meets one more or less
depends on how full the levels are. So each setting is simulated --phases times: the numbers are
means, and of what is written the least and the most are shown. `worst` is the most space at any
time, inputs and outputs of running merges both counted. A dash: not known (stalls without --ingest
or --worker-rate; the worst space of a tree so large that levels are left out). --json tells more.

Examples:
  lsm simulate --entries 100000000 --size-ratio 8
  lsm simulate --skew zipf:0.9 --deletes 0.1 --ingest 20MiB --worker-rate 100MiB
  lsm simulate --sweep --svg strategies.svg
  lsm simulate --strategy tiered --sweep=2,4,8")]
pub(crate) struct SimulateArgs {
    /// The workload.
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    /// Simulate these size ratios, 2 to 32 [without =RATIOS: 2,3,4,6,8,10,12,16]
    #[arg(long, value_name = "RATIOS", num_args = 0..=1, require_equals = true,
          value_delimiter = ',',
          default_missing_values = ["2", "3", "4", "6", "8", "10", "12", "16"],
          value_parser = clap::value_parser!(u32).range(2..=32))]
    pub(crate) sweep: Vec<u32>,

    /// Draw write amplification against runs into this file, a line for each strategy
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The closed forms price every setting, the simulator judges the best of them. Only the proportions
of the mix count. A setting that breaks a limit stands behind all that keep them.

Examples:
  lsm advise --entries 100000000 --writes 1 --reads 9 --uncertainty 0.2
  lsm advise --writes 9 --scans 1 --space-amp-max 1.3 --runs-max 6")]
pub(crate) struct AdviseArgs {
    /// The workload.
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    /// Puts and deletes
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = amount)]
    pub(crate) writes: f64,

    /// Gets of keys that are there
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = amount)]
    pub(crate) reads: f64,

    /// Gets of keys that are not
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = amount)]
    pub(crate) absent: f64,

    /// Short scans
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = amount)]
    pub(crate) scans: f64,

    /// How far the mix may be off (a Kullback-Leibler divergence): 0 is certain, 0.2 a guess
    #[arg(long, value_name = "DISTANCE", default_value_t = 0.1, value_parser = amount)]
    pub(crate) uncertainty: f64,

    /// What must be kept.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// What a setting must keep.
#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "they are the names of the flags")]
#[command(next_help_heading = "Limits, on the mean")]
pub(crate) struct LimitArgs {
    /// Bytes written to tables for each byte of the workload
    #[arg(long, value_name = "FACTOR", value_parser = amount)]
    pub(crate) write_amp_max: Option<f64>,

    /// Bytes on disk for each live byte
    #[arg(long, value_name = "FACTOR", value_parser = amount)]
    pub(crate) space_amp_max: Option<f64>,

    /// Runs, where a scan must look
    #[arg(long, value_name = "COUNT", value_parser = amount)]
    pub(crate) runs_max: Option<f64>,

    /// Blocks read by a get of an absent key
    #[arg(long, value_name = "COUNT", value_parser = amount)]
    pub(crate) absent_blocks_max: Option<f64>,

    /// Memory for all filters
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) filters_max: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bytes_or_writes() {
        assert_eq!(rate("50MiB"), Ok(Rate::Bytes(50 << 20)));
        assert_eq!(rate("400000puts"), Ok(Rate::Puts(400_000)));
        assert_eq!(rate(" 7 puts"), Ok(Rate::Puts(7)));
        for text in ["", "puts", "-1puts", "0", "0puts", "1.5puts", "fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!((speed("1k"), speed("0").is_err()), (Ok(1024), true));
    }

    #[test]
    fn shares_and_amounts_have_their_limits() {
        assert_eq!((share("0"), share("1"), amount("1.5")), (Ok(0.0), Ok(1.0), Ok(1.5)));
        for text in ["", "-0.1", "NaN", "inf", "1.1"] {
            assert!(share(text).is_err(), "{text}");
            assert_eq!(amount(text).is_err(), text != "1.1", "{text}");
        }
    }
}
