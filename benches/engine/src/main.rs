//! Workloads on `lsm` alone.
//!
//! `cargo run --release -p engine-bench` prints a table of the default options;
//! `... -- --variant NAME` of another, and `... -- --worth` what each option is worth: every
//! variant's figures as ratios to the default's, each group of workloads in its own process.

mod variants;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use workloads::lsm_engine::LsmEngine;
use workloads::{GROUPS, Measure, Scale, run_group};

use crate::variants::{VARIANTS, Variant};

type Outcome<T> = Result<T, workloads::Error>;

/// Workloads on one database, every value checked.
#[expect(clippy::struct_excessive_bools, reason = "four switches of a command line")]
#[derive(Debug, Parser)]
struct Arguments {
    /// Records in the database.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// The longest that one read workload takes, in seconds.
    #[arg(long, default_value_t = 3.0)]
    read_seconds: f64,
    /// The longest that one fill takes, in seconds.
    #[arg(long, default_value_t = 10.0)]
    fill_seconds: f64,
    /// Groups of workloads, by name; `--list` names them.
    #[arg(long, value_delimiter = ',', default_value = "fillseq,points,fill2,fillbatch,sync")]
    groups: Vec<String>,
    /// Options other than the default's; `--list` names them.
    #[arg(long, default_value = "default")]
    variant: String,
    /// Compact everything before the reads of the group `points`.
    #[arg(long)]
    compact: bool,
    /// Compares every variant with the default.
    #[arg(long)]
    worth: bool,
    /// With `--worth`: only variants whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// Names the groups and variants.
    #[arg(long)]
    list: bool,
    /// The folder for the databases; a temporary one without it.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// One JSON list instead of a table.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn scale(&self) -> Scale {
        Scale {
            records: self.records,
            value_bytes: self.value_bytes,
            compact_first: self.compact,
            read_time_max: Duration::from_secs_f64(self.read_seconds),
            fill_time_max: Duration::from_secs_f64(self.fill_seconds),
            ..Scale::default()
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        println!("groups:");
        for (name, what) in GROUPS {
            println!("  {name:<12} {what}");
        }
        println!("variants:");
        for variant in VARIANTS {
            println!("  {:<24} {}", variant.name, variant.what);
        }
        return Ok(());
    }
    if arguments.worth {
        return worth(&arguments);
    }
    let variant = VARIANTS.iter().find(|variant| variant.name == arguments.variant);
    let variant = variant.ok_or_else(|| format!("no variant {}", arguments.variant))?;
    let mut all = Vec::new();
    if !arguments.json {
        println!("{}", Measure::heading());
    }
    for group in &arguments.groups {
        let measures = measure(&arguments, variant, group)?;
        if !arguments.json {
            for measure in &measures {
                println!("{}", measure.line());
            }
        }
        all.extend(measures);
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&all)?);
    }
    Ok(())
}

/// Runs a group in this process, in a fresh folder.
fn measure(arguments: &Arguments, variant: &Variant, group: &str) -> Outcome<Vec<Measure>> {
    let folder = match &arguments.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let (mut options, mut scale) = (lsm::Options::default(), arguments.scale());
    (variant.set)(&mut options, &mut scale);
    run_group(group, &|setup| Ok(Box::new(LsmEngine::open(setup, &options)?)), folder.path(), scale)
}

/// Every variant in processes of its own, beside the default.
#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn worth(arguments: &Arguments) -> Outcome<()> {
    let program = std::env::current_exe()?;
    let mut base = Vec::new();
    for variant in VARIANTS {
        let wanted = variant.name.contains(&arguments.only) || variant.name == "default";
        if !wanted {
            continue;
        }
        let mut figures: Vec<Measure> = Vec::new();
        for group in &arguments.groups {
            figures.extend(child(&program, arguments, variant.name, group)?);
        }
        if variant.name == "default" {
            println!("### default\n\n{}", Measure::heading());
            for measure in &figures {
                println!("{}", measure.line());
            }
            base = figures;
        } else {
            println!("\n### {}: {}\n", variant.name, variant.what);
            println!(
                "| workload | default | {} | to default |\n|---|---:|---:|---:|",
                variant.name
            );
            for line in figures.iter().filter_map(|figure| beside(&base, figure)) {
                println!("{line}");
            }
        }
    }
    Ok(())
}

/// A row for a figure that differs from the default's by more than a tenth.
fn beside(base: &[Measure], figure: &Measure) -> Option<String> {
    let before = base.iter().find(|measure| measure.name == figure.name)?;
    let ratio = figure.value / before.value;
    let differs = ratio.is_finite() && !(0.9..=1.1).contains(&ratio);
    let [old, new] = [before.value, figure.value].map(workloads::report::readable);
    differs.then(|| format!("| {} ({}) | {old} | {new} | {ratio:.2}x |", figure.name, figure.unit))
}

fn child(
    program: &Path,
    arguments: &Arguments,
    variant: &str,
    group: &str,
) -> Outcome<Vec<Measure>> {
    let mut command = Command::new(program);
    command.args(["--json", "--variant", variant, "--groups", group]);
    command.args(["--records", &arguments.records.to_string()]);
    command.args(["--value-bytes", &arguments.value_bytes.to_string()]);
    command.args(["--read-seconds", &arguments.read_seconds.to_string()]);
    command.args(["--fill-seconds", &arguments.fill_seconds.to_string()]);
    if arguments.compact {
        command.arg("--compact");
    }
    if let Some(dir) = &arguments.dir {
        command.arg("--dir").arg(dir);
    }
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{variant}, {group}: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
