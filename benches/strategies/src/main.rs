//! What compaction costs, measured on the engine.
//!
//! `strategy-bench costs` runs the same load and updates under each strategy and prints write, read
//! and space amplification beside the simulator's forecast. `strategy-bench overload` finds the
//! highest rate of puts, then offers 95 % of it and prints the latencies (the two-phase method).

mod costs;
mod overload;

use std::io::Write as _;

use clap::{Parser, Subcommand};
use lsm::compaction::{Selection, Strategy};

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Amplification and speed of each strategy, beside the forecast.
    Costs(costs::Arguments),
    /// Latencies of puts at 95 % of the highest rate.
    Overload(overload::Arguments),
}

/// The strategies by the names that the options take.
const STRATEGIES: [(&str, Strategy); 5] = [
    ("leveled", Strategy::Leveled),
    ("partial", Strategy::Partial(Selection::RoundRobin)),
    ("lazy-leveled", Strategy::LazyLeveled),
    ("lazy-l0", Strategy::LazyL0),
    ("tiered", Strategy::Tiered),
];

/// The strategy of this name.
fn strategy(name: &str) -> Result<(&'static str, Strategy), String> {
    let found = STRATEGIES.into_iter().find(|(known, _)| *known == name);
    found.ok_or_else(|| format!("one of {}", STRATEGIES.map(|(name, _)| name).join(", ")))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match Arguments::parse().command {
        Command::Costs(arguments) => costs::run(&arguments)?,
        Command::Overload(arguments) => overload::run(&arguments)?,
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
