//! `simulate` and `advise`: what a workload will cost, before a byte is written.
//!
//! The compaction policies of the engine run on a virtual tree; see the crate `compaction`.

use std::num::NonZero;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::args::{AdviseArgs, Cli, LimitArgs, Rate, SimulateArgs, WorkloadArgs};
use crate::engine::compaction::advise::{Candidate, Limits, Mix, Question, advise as ask};
use crate::engine::compaction::plot::{Axis, svg, table};
use crate::engine::compaction::simulate::{
    Machine, Report, Setup, Spread, Workload, simulate_phases,
};
use crate::engine::compaction::{InvalidOption, Options, Selection};
use crate::engine::{self, Strategy};
use crate::failure::Failure;
use crate::open;
use crate::progress::Progress;
use crate::terminal::{Style, Terminal};

/// What is simulated if no strategy is named. A `partial` that chooses as `leveled` does would be
/// the same again.
const STRATEGIES: [Strategy; 5] = [
    Strategy::Leveled,
    Strategy::Partial(Selection::RoundRobin),
    Strategy::LazyL0,
    Strategy::LazyLeveled,
    Strategy::Tiered,
];

/// Simulates one strategy, or five side by side, at one size ratio or several.
pub(crate) fn simulate(
    cli: &Cli,
    args: &SimulateArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let workload = workload(&args.workload);
    let setup = setup(cli, &args.workload)?;
    let strategies = cli.open.strategy.map_or(STRATEGIES.to_vec(), |strategy| vec![strategy]);
    let ratios =
        if args.sweep.is_empty() { vec![setup.options.size_ratio] } else { args.sweep.clone() };
    let pairs = strategies.iter().flat_map(|s| ratios.iter().map(move |ratio| (*s, *ratio)));
    let options = pairs.map(|(strategy, size_ratio)| Options {
        strategy,
        size_ratio,
        ..setup.options.clone()
    });
    let setups: Vec<Setup> = options.map(|options| Setup { options, ..setup.clone() }).collect();
    let progress = Progress::new(terminal.watched, None);
    progress.doing("simulating");
    let settings = on_all_cores(&workload, &setups, args.workload.phases)?;
    drop(progress);
    if let Some(path) = &args.svg {
        write_svg(path, &settings)?;
    }
    if terminal.json {
        let mut lines = setups.iter().zip(&settings);
        return lines
            .try_for_each(|(setup, phases)| terminal.json_line(&to_json(&setup.options, phases)));
    }
    terminal.line(table(&settings).trim_end())
}

/// Simulates every setup, in as many threads as there are cores.
fn on_all_cores(
    workload: &Workload,
    setups: &[Setup],
    phases: u32,
) -> Result<Vec<Vec<Report>>, InvalidOption> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let part = |first: usize| {
        let own = setups.iter().enumerate().skip(first).step_by(cores);
        own.map(|(at, setup)| (at, simulate_phases(workload, setup, phases))).collect::<Vec<_>>()
    };
    let part = &part;
    let mut found: Vec<_> = thread::scope(|scope| {
        let spawn = |first| scope.spawn(move || part(first));
        let workers: Vec<_> = (0..cores.min(setups.len())).map(spawn).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it does not panic")).collect()
    });
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, phases)| phases).collect()
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
        limits: limits(&args.limits),
        setup: setup(cli, &args.workload)?,
        phases: args.workload.phases,
    };
    let progress = Progress::new(terminal.watched, None);
    progress.doing("pricing all settings, simulating the best");
    let candidates = ask(&question)?;
    drop(progress);
    if terminal.json {
        return candidates.iter().try_for_each(|found| {
            let mut value = to_json(&found.options, &found.phases);
            value["cost"] = found.cost.into();
            value["excess"] = found.excess.into();
            terminal.json_line(&value)
        });
    }
    print_advice(&candidates, terminal)
}

fn print_advice(candidates: &[Candidate], terminal: &mut Terminal) -> Result<(), Failure> {
    let settings: Vec<&[Report]> = candidates.iter().map(|found| &found.phases[..]).collect();
    let text = table(&settings);
    let mut lines = text.lines();
    terminal.line(lines.next().unwrap_or_default())?;
    for (line, found) in lines.zip(candidates) {
        match found.excess {
            excess if excess > 0.0 => {
                terminal.line(format_args!("{line}  {:.1} % over the limits", excess * 100.0))?;
            }
            _ => terminal.line(line)?,
        }
    }
    let Some(best) = candidates.first() else { return Ok(()) };
    let options = &best.options;
    let flags = format!("--strategy {} --size-ratio {}", options.strategy, options.size_ratio);
    if best.excess > 0.0 {
        let flags = terminal.style(Style::Bold, flags);
        return terminal.line(format_args!("\nno setting keeps the limits; the nearest: {flags}"));
    }
    let flags = terminal.style(Style::Good, flags);
    terminal.line(format_args!("\nbest for this mix: {flags}"))
}

fn workload(args: &WorkloadArgs) -> Workload {
    Workload {
        entries: args.entries,
        key_bytes: args.key_bytes,
        value_bytes: args.value_bytes,
        updates: args.updates,
        deletes: args.deletes,
        skew: args.skew,
        seed: args.seed,
    }
}

fn limits(args: &LimitArgs) -> Limits {
    Limits {
        write_amplification: args.write_amp_max,
        space_amplification: args.space_amp_max,
        absent_key_blocks: args.absent_blocks_max,
        runs: args.runs_max,
        filter_bytes: args.filters_max,
    }
}

/// The engine as the options for opening would set it up, on the machine that the workload's
/// arguments name.
fn setup(cli: &Cli, args: &WorkloadArgs) -> Result<Setup, Failure> {
    let opening = open::options(&cli.open)?;
    opening.validate()?;
    let default = Options::new(opening.strategy);
    let options = Options {
        size_ratio: opening.size_ratio,
        base_bytes: opening.write_buffer_bytes as u64 * u64::from(default.l0_runs),
        target_table_bytes: opening.table_bytes,
        // As the engine does, so that temporary space is that of its jobs.
        max_job_bytes: opening.table_bytes.saturating_mul(16).max(16 << 20),
        tombstone_density: opening.tombstone_density,
        ..default
    };
    Ok(Setup {
        options,
        write_buffer_bytes: opening.write_buffer_bytes as u64,
        filter_bits_per_key: opening.filter_bits_per_key,
        block_bytes: u32::try_from(opening.block_bytes).unwrap_or(u32::MAX),
        machine: machine(args, &opening),
        ..Setup::default()
    })
}

/// The machine, if a speed of it is given.
fn machine(args: &WorkloadArgs, opening: &engine::Options) -> Option<Machine> {
    if args.ingest.is_none() && args.worker_rate.is_none() {
        return None;
    }
    let default = Machine::default();
    let entry_bytes = workload(args).entry_bytes().max(1) as f64;
    let ingest = args.ingest.map(|rate| match rate {
        Rate::Bytes(bytes) => bytes as f64,
        Rate::Puts(count) => count as f64 * entry_bytes,
    });
    Some(Machine {
        ingest_bytes_per_s: ingest.unwrap_or(default.ingest_bytes_per_s),
        worker_bytes_per_s: args
            .worker_rate
            .map_or(default.worker_bytes_per_s, |bytes| bytes as f64),
        workers: u32::try_from(opening.background_threads).unwrap_or(u32::MAX),
        ..default
    })
}

/// A setting: means over the phases, and the most of what is a most.
fn to_json(options: &Options, phases: &[Report]) -> Value {
    let Some(middle) = phases.get(phases.len() / 2) else { return Value::Null };
    let mean = |number: fn(&Report) -> f64| Spread::of(phases, number).mean;
    let mean_known = |number: fn(&Report) -> Option<f64>| {
        Spread::of_known(phases, number).map(|spread| spread.mean)
    };
    let most = |number: fn(&Report) -> u64| phases.iter().map(number).max();
    let most_known = |number: fn(&Report) -> Option<u64>| {
        let known: Option<Vec<u64>> = phases.iter().map(number).collect();
        known.and_then(|numbers| numbers.into_iter().max())
    };
    let written = Spread::of(phases, |report| report.write_amplification);
    let worst = Spread::of_known(phases, |report| report.space_amplification_max);
    let levels = middle.levels.iter().map(|level| {
        json!({
            "level": level.level, "runs": level.runs, "bytes": level.bytes,
            "write_amplification": level.write_amplification,
        })
    });
    let closed = middle.closed.map(|closed| {
        json!({
            "write_amplification": closed.write_amplification,
            "space_amplification": closed.space_amplification,
            "runs": closed.runs,
            "absent_key_blocks": closed.absent_key_blocks,
            "absent_key_blocks_monkey": closed.absent_key_blocks_monkey,
        })
    });
    json!({
        "policy": middle.policy,
        "strategy": options.strategy.to_string(),
        "size_ratio": middle.size_ratio,
        "phases": phases.len(),
        "write_amplification": written.mean,
        "write_amplification_least": written.least,
        "write_amplification_most": written.most,
        "load_write_amplification": mean(|report| report.load_write_amplification),
        "space_amplification": mean(|report| report.space_amplification),
        "space_amplification_max": worst.map(|worst| worst.most),
        "temporary_bytes_max": most_known(|report| report.temporary_bytes_max),
        "runs_mean": mean(|report| report.runs_mean),
        "runs_max": most(|report| report.runs_max),
        "absent_key_blocks": mean(|report| report.absent_key_blocks),
        "present_key_blocks": mean(|report| report.present_key_blocks),
        "filter_bytes": middle.filter_bytes,
        "table_bytes": middle.table_bytes,
        "live_bytes": middle.live_bytes,
        "stalled": mean_known(|report| report.stalled),
        "slowed": mean_known(|report| report.slowed),
        "l0_runs_max": most(|report| report.l0_runs_max),
        "debt_bytes_max": most_known(|report| report.debt_bytes_max),
        "levels_left_out": middle.levels_left_out,
        "levels": levels.collect::<Vec<_>>(),
        "closed": closed,
    })
}

fn write_svg(path: &Path, settings: &[Vec<Report>]) -> Result<(), Failure> {
    let image = svg(settings, Axis::Write, Axis::Runs);
    std::fs::write(path, image).map_err(|error| Failure::io("write", path, error))
}
