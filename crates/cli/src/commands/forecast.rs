//! `simulate` and `advise`: what a workload will cost, before a byte is written.
//!
//! The compaction policies of the engine run on a virtual tree; see the crate `compaction`.

use std::path::Path;

use serde_json::{Value, json};

use crate::args::{AdviseArgs, Cli, SimulateArgs, WorkloadArgs};
use crate::engine::Strategy;
use crate::engine::compaction::Options;
use crate::engine::compaction::advise::{Mix, Question, advise as ask};
use crate::engine::compaction::plot::{Axis, svg, table};
use crate::engine::compaction::simulate::{Report, Setup, Workload, simulate as run};
use crate::failure::Failure;
use crate::open;
use crate::progress::Progress;
use crate::terminal::{Style, Terminal};

/// Simulates one strategy, or the usual three side by side.
pub(crate) fn simulate(
    cli: &Cli,
    args: &SimulateArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let strategies = match cli.open.strategy {
        Some(strategy) => vec![strategy],
        None => vec![Strategy::Leveled, Strategy::LazyLeveled, Strategy::Tiered],
    };
    let workload = workload(&args.workload);
    let setup = setup(cli)?;
    let progress = Progress::new(terminal.watched, None);
    progress.doing("simulating");
    let reports = strategies
        .into_iter()
        .map(|strategy| {
            let options = Options { strategy, ..setup.options.clone() };
            run(&workload, &Setup { options, ..setup.clone() })
        })
        .collect::<Result<Vec<_>, _>>()?;
    drop(progress);
    if let Some(path) = &args.svg {
        write_svg(path, &reports)?;
    }
    print(&reports, terminal)
}

/// Ranks strategies and size ratios for a mix of operations.
pub(crate) fn advise(cli: &Cli, args: &AdviseArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let question = Question {
        workload: workload(&args.workload),
        mix: Mix {
            writes: args.writes,
            absent_gets: args.absent,
            present_gets: args.reads,
            scans: args.scans,
        },
        uncertainty: args.uncertainty,
        setup: setup(cli)?,
        ..Question::default()
    };
    let progress = Progress::new(terminal.watched, None);
    progress.doing("pricing all settings, simulating the best");
    let candidates = ask(&question)?;
    drop(progress);
    let reports: Vec<Report> = candidates.iter().map(|found| found.report.clone()).collect();
    print(&reports, terminal)?;
    if let (Some(best), false) = (candidates.first(), terminal.json) {
        let flags = format!(
            "--strategy {} --size-ratio {}",
            best.options.strategy, best.options.size_ratio
        );
        let flags = terminal.style(Style::Good, flags);
        terminal.line(format_args!("\nbest for this mix: {flags}"))?;
    }
    Ok(())
}

fn workload(args: &WorkloadArgs) -> Workload {
    Workload {
        entries: args.entries,
        key_bytes: args.key_bytes,
        value_bytes: args.value_bytes,
        updates: args.updates,
        ..Workload::default()
    }
}

/// The engine as the options for opening would set it up.
fn setup(cli: &Cli) -> Result<Setup, Failure> {
    let opening = open::options(&cli.open)?;
    opening.validate()?;
    let default = Options::new(opening.strategy);
    let options = Options {
        size_ratio: opening.size_ratio,
        base_bytes: opening.write_buffer_bytes as u64 * u64::from(default.l0_runs),
        target_table_bytes: opening.table_bytes,
        ..default
    };
    Ok(Setup {
        options,
        write_buffer_bytes: opening.write_buffer_bytes as u64,
        filter_bits_per_key: opening.filter_bits_per_key,
        block_bytes: u32::try_from(opening.block_bytes).unwrap_or(u32::MAX),
        ..Setup::default()
    })
}

fn print(reports: &[Report], terminal: &mut Terminal) -> Result<(), Failure> {
    if terminal.json {
        return reports.iter().try_for_each(|report| terminal.json_line(&to_json(report)));
    }
    terminal.line(table(reports).trim_end())
}

fn to_json(report: &Report) -> Value {
    json!({
        "policy": report.policy, "size_ratio": report.size_ratio,
        "write_amplification": report.write_amplification,
        "space_amplification": report.space_amplification,
        "runs_mean": report.runs_mean, "absent_key_blocks": report.absent_key_blocks,
        "filter_bytes": report.filter_bytes, "stalled": report.stalled,
    })
}

fn write_svg(path: &Path, reports: &[Report]) -> Result<(), Failure> {
    let image = svg(reports, Axis::Write, Axis::Runs);
    std::fs::write(path, image).map_err(|error| Failure::io("write", path, error))
}
