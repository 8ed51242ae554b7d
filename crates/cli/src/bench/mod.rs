//! `bench`: workloads with names on databases of their own, every value checked.
//!
//! The workloads are those of the repository's benchmarks; here they are run one by one, as asked.

mod run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use workloads::Measure;

use self::run::Ground;
use crate::args::{BenchArgs, Cli};
use crate::failure::Failure;
use crate::open::options;
use crate::progress::Progress;
use crate::terminal::{Style, Terminal};
use crate::units::{Count, Time, whole};

/// Every workload, with what it does.
const WORKLOADS: [(&str, &str); 29] = [
    ("fillseq", "single puts in key order"),
    ("fillrandom", "single puts, each record once, shuffled"),
    ("fillbatch", "the same, 1000 a batch"),
    ("fillsync", "single puts, each on the medium before it returns"),
    ("overwrite", "single puts of records that are there, shuffled"),
    ("readrandom", "gets of uniform records"),
    ("readzipf", "gets of Zipfian records"),
    ("readmissing", "gets of keys between the records"),
    ("seek10", "a seek and 10 entries"),
    ("seek100", "a seek and 100 entries"),
    ("seek1000", "a seek and 1000 entries"),
    ("readseq", "every entry in order"),
    ("readwhilewriting", "gets beside a writer at full speed"),
    ("mixed", "half gets, half puts"),
    ("deletehalf", "deletes every other record"),
    ("compact", "compacts everything"),
    ("report-80-20", "80 % gets, 20 % puts"),
    ("report-20-80", "20 % gets, 80 % puts"),
    ("report-ranges", "50 % ranges of 100 entries, 30 % gets, 20 % puts"),
    ("report-equal", "gets, ranges and puts in equal parts"),
    ("ycsb-load", "YCSB's records, one by one"),
    ("ycsb-a", "50 % reads, 50 % updates (read, change a field, write)"),
    ("ycsb-b", "95 % reads, 5 % updates"),
    ("ycsb-c", "reads"),
    ("ycsb-d", "95 % reads of the latest, 5 % inserts"),
    ("ycsb-e", "95 % ranges of 1 to 100 entries, 5 % inserts"),
    ("ycsb-f", "50 % reads, 50 % read-modify-writes"),
    ("mixgraph", "gets, puts and seeks as at Facebook (FAST 2020)"),
    ("queue", "takes the oldest of 10,000 entries, appends a new one"),
];

/// The names of all workloads.
pub(crate) fn names() -> Vec<&'static str> {
    WORKLOADS.iter().map(|(name, _)| *name).collect()
}

/// All workloads, one a line, for the help.
pub(crate) fn catalogue() -> String {
    let lines: Vec<String> =
        WORKLOADS.iter().map(|(name, about)| format!("  {name:<17} {about}")).collect();
    lines.join("\n")
}

/// Runs the workloads that were asked for.
pub(crate) fn bench(cli: &Cli, args: &BenchArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let (root, _removed_at_the_end) = root(args.dir.as_deref())?;
    let time = Duration::try_from_secs_f64(args.seconds)
        .map_err(|error| Failure::Request(format!("--seconds: {error}")))?;
    let value_bytes = usize::try_from(args.value_bytes)
        .ok()
        .filter(|bytes| (1..=16 << 20).contains(bytes))
        .ok_or_else(|| Failure::Request("--value-bytes: 1 to 16 MiB".into()))?;
    let options = options(&cli.open)?;
    options.validate()?;
    let mut ground = Ground::new(root, (args.records, value_bytes), time, args.clients, options);
    if !terminal.json {
        heading(terminal)?;
    }
    for (rank, name) in args.names.iter().enumerate() {
        let progress = Progress::new(terminal.watched, None);
        let all = args.names.len();
        progress.doing(format!("{name} ({} of {all}), at most {}", rank + 1, Time(time)));
        let measures = ground.run(name);
        drop(progress);
        for measure in measures? {
            show(&measure, terminal)?;
        }
        terminal.flush()?;
    }
    ground.close()
}

/// The folder to work in, made if it is not there, and what removes it.
fn root(dir: Option<&Path>) -> Result<(PathBuf, Option<tempfile::TempDir>), Failure> {
    let Some(dir) = dir else {
        let made = tempfile::tempdir()
            .map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), error))?;
        return Ok((made.path().to_path_buf(), Some(made)));
    };
    std::fs::create_dir_all(dir).map_err(|error| Failure::io("make", dir, error))?;
    let mut held = std::fs::read_dir(dir).map_err(|error| Failure::io("read", dir, error))?;
    if held.next().is_some() {
        let why = format!("{}: a benchmark wants a new or empty folder", dir.display());
        return Err(Failure::Request(why));
    }
    Ok((dir.to_path_buf(), None))
}

fn heading(terminal: &mut Terminal) -> Result<(), Failure> {
    let line = format!(
        "{:<26}{:>12}{:>9}{:>10}{:>10}{:>10}{:>10}",
        "workload", "a second", "time", "p50", "p99", "p99.9", "max"
    );
    let line = terminal.style(Style::Bold, line);
    terminal.line(line)
}

fn show(measure: &Measure, terminal: &mut Terminal) -> Result<(), Failure> {
    let at = |rank: usize| measure.latencies_us.get(rank).copied();
    if terminal.json {
        let rate = (measure.unit == "/s").then_some(measure.value);
        let figure = rate.is_none().then_some(measure.value);
        return terminal.json_line(&json!({
            "workload": measure.name, "per_second": rate, "figure": figure,
            "unit": measure.unit, "operations": measure.operations, "seconds": measure.seconds,
            "p50_us": at(0), "p99_us": at(1), "p999_us": at(2), "p9999_us": at(3),
            "max_us": at(4),
        }));
    }
    let time = |us: Option<f64>| {
        let us = us.and_then(|us| Duration::try_from_secs_f64(us / 1e6).ok());
        us.map_or_else(|| "-".to_owned(), |time| Time(time).to_string())
    };
    let figure = match measure.unit.as_str() {
        "/s" => Count(whole(measure.value)).to_string(),
        unit => format!("{:.2} {unit}", measure.value),
    };
    let took = match measure.seconds {
        seconds if seconds > 0.0 => format!("{seconds:.2} s"),
        _ => String::new(),
    };
    let (p50, p99, p999, max) = (time(at(0)), time(at(1)), time(at(2)), time(at(4)));
    let name = console::pad_str(&measure.name, 26, console::Alignment::Left, Some("…"));
    let line = format!("{name}{figure:>12}{took:>9}{p50:>10}{p99:>10}{p999:>10}{max:>10}");
    terminal.line(line.trim_end())
}
