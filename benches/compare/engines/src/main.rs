//! `lsm` beside other storage engines; `scripts/compare.sh` builds and runs it.
//!
//! Every engine runs every group of workloads in a process and a folder of its own, the engines in
//! turn within a group, so that the machine's moods fall on all alike.

mod adapters;
mod amplification;
mod goals;
mod plots;
mod results;
mod tables;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use workloads::{Error, GROUPS, Measure, Result, Scale, run_group};

use crate::adapters::{Entry, Kind};
use crate::results::{Results, Run};

#[derive(Debug, Parser)]
#[command(about = "lsm beside other storage engines")]
struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Names the engines of this build and the groups of workloads.
    List,
    /// Runs one group on one engine in this process; prints JSON.
    Child {
        /// The engine's name.
        engine: String,
        /// The group's name.
        group: String,
        /// The folder for the database.
        dir: PathBuf,
        #[command(flatten)]
        size: Size,
    },
    /// Runs groups on engines, each in a process of its own.
    Run {
        /// Engines; all of this build without it.
        #[arg(long, value_delimiter = ',')]
        engines: Vec<String>,
        /// Groups; all without it.
        #[arg(long, value_delimiter = ',')]
        groups: Vec<String>,
        /// How often; the tables show medians.
        #[arg(long, default_value_t = 1)]
        repeat: u32,
        /// Seconds after which a process is stopped and its group counts as not done.
        #[arg(long, default_value_t = 300)]
        patience: u64,
        /// The folder for the databases; the system's temporary one without it.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Where the results go; what is there already is kept, so that runs can be added.
        #[arg(long, default_value = "target/compare.json")]
        out: PathBuf,
        #[command(flatten)]
        size: Size,
    },
    /// Write, read and space amplification beside RocksDB's, at the same ratio.
    Amplification(amplification::Amplification),
    /// Prints the tables of the results as Markdown.
    Report {
        /// The results.
        #[arg(default_value = "target/compare.json")]
        results: PathBuf,
        /// Where to write the plots.
        #[arg(long)]
        plots: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Size {
    /// Records of 16 + 100 bytes.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// The longest that one read workload takes, in seconds.
    #[arg(long, default_value_t = 2.0)]
    read_seconds: f64,
    /// The longest that one fill is timed, in seconds.
    #[arg(long, default_value_t = 6.0)]
    fill_seconds: f64,
}

impl Size {
    fn scale(&self) -> Scale {
        Scale {
            records: self.records,
            read_time_max: Duration::from_secs_f64(self.read_seconds),
            fill_time_max: Duration::from_secs_f64(self.fill_seconds),
            ..Scale::default()
        }
    }

    fn flags(&self) -> [String; 6] {
        [
            "--records".to_owned(),
            self.records.to_string(),
            "--read-seconds".to_owned(),
            self.read_seconds.to_string(),
            "--fill-seconds".to_owned(),
            self.fill_seconds.to_string(),
        ]
    }
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Commands::List => list(),
        Commands::Child { engine, group, dir, size } => {
            let entry = named(&engine)?;
            let measures = run_group(&group, &entry.open, &dir, size.scale())?;
            println!("{}", serde_json::to_string(&measures)?);
        }
        Commands::Run { engines, groups, repeat, patience, dir, out, size } => {
            let engines = match engines.as_slice() {
                [] => adapters::all(),
                names => names.iter().map(|name| named(name)).collect::<Result<_>>()?,
            };
            let known = GROUPS.map(|(name, _)| name.to_owned());
            let groups = if groups.is_empty() { known.to_vec() } else { groups };
            let dir = dir.unwrap_or_else(std::env::temp_dir);
            let plan = Plan { dir, size, patience: Duration::from_secs(patience) };
            let mut results = Results::open(&out, &plan.size)?;
            for _ in 0..repeat {
                for group in groups.iter().filter(|group| *group != "reopen-load") {
                    for engine in engines.iter().filter(|engine| suits(engine.kind, group)) {
                        results.add(plan.run(engine, group));
                        results.save(&out)?;
                    }
                }
            }
        }
        Commands::Amplification(asked) => print!("{}", amplification::run(&asked)?),
        Commands::Report { results, plots } => {
            let results = Results::read(&results)?;
            print!("{}", tables::all(&results));
            if let Some(folder) = plots {
                plots::write(&results, &folder)?;
            }
        }
    }
    Ok(())
}

fn list() {
    println!("engines:");
    for entry in adapters::all() {
        println!("  {:<12} {}", entry.name, entry.note);
    }
    println!("groups:");
    for (name, what) in GROUPS {
        println!("  {name:<12} {what}");
    }
}

fn named(name: &str) -> Result<Entry> {
    let entry = adapters::all().into_iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
    entry.ok_or_else(|| format!("no engine {name} in this build").into())
}

/// The stand-ins have nothing to reopen, compact or queue.
fn suits(kind: Kind, group: &str) -> bool {
    kind != Kind::Bound || ["fillseq", "fill2", "fillbatch", "sync", "points"].contains(&group)
}

/// What all processes of a run share.
struct Plan {
    dir: PathBuf,
    size: Size,
    patience: Duration,
}

impl Plan {
    /// Runs a group in a fresh folder, which is gone afterwards.
    fn run(&self, engine: &Entry, group: &str) -> Run {
        let folder = self.dir.join(format!("compare-{}", std::process::id()));
        let begun = Instant::now();
        let outcome = std::fs::create_dir_all(&folder).map_err(Error::from).and_then(|()| {
            if group == "reopen" {
                // Ends by killing itself; only what it leaves counts.
                self.child(engine, "reopen-load", &folder).err();
            }
            self.child(engine, group, &folder)
        });
        let removed = std::fs::remove_dir_all(&folder);
        let seconds = begun.elapsed().as_secs_f64();
        let outcome = outcome.and_then(|measures| removed.map(|()| measures).map_err(Error::from));
        let (measures, failure) = match outcome {
            Ok(measures) => (measures, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let state = failure.as_deref().unwrap_or("done");
        eprintln!("{:<12} {group:<10} {seconds:>6.1} s  {state}", engine.name);
        Run { engine: engine.name.to_owned(), group: group.to_owned(), seconds, measures, failure }
    }

    fn child(&self, engine: &Entry, group: &str, folder: &Path) -> Result<Vec<Measure>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["child", engine.name, group]).arg(folder).args(self.size.flags());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let begun = Instant::now();
        while child.try_wait()?.is_none() {
            if begun.elapsed() > self.patience {
                child.kill()?;
                child.wait()?;
                return Err(format!("stopped after {} s", self.patience.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // The output is one line of JSON, shorter than a pipe holds.
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let last: Vec<&str> = text.lines().filter(|line| !line.starts_with("note:")).collect();
            let told = last.iter().rev().take(2).rev().copied().collect::<Vec<_>>().join(" ");
            return Err(format!("{}: {told}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
