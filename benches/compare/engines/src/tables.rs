//! The results as Markdown: goals first, then every figure of every engine.

use std::fmt::Write as _;

use workloads::report::readable;

use crate::adapters;
use crate::goals::{GOALS, judge};
use crate::results::Results;

/// All tables.
pub(crate) fn all(results: &Results) -> String {
    let seconds: f64 = results.runs.iter().map(|run| run.seconds).sum();
    let mut text = format!(
        "{}; {} records of 16 + 100 bytes; fills timed for at most {} s, reads for {} s; \
         {:.0} min\n\n",
        results.machine,
        results.records,
        results.fill_seconds,
        results.read_seconds,
        seconds / 60.0
    );
    text += &goals(results);
    text += &figures(results);
    text += &latencies(results);
    text += &notes(results);
    text
}

fn goals(results: &Results) -> String {
    let mut text = "#### lsm to the best peer\n\n\
        | workload | lsm | best peer | best LSM peer | ratio | goal | |\n\
        |---|---:|---:|---:|---:|---|---|\n"
        .to_owned();
    let mut reached = (0, 0);
    for goal in GOALS {
        let Some(verdict) = judge(results, goal) else {
            text += &format!("| {} | not measured | | | | | |\n", goal.measure);
            continue;
        };
        let peer = |peer: &Option<(String, f64)>| match peer {
            Some((name, figure)) => format!("{} {name}", readable(*figure)),
            None => String::new(),
        };
        let ratio = verdict.ratio.filter(|ratio| ratio.is_finite());
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x"));
        reached.0 += usize::from(verdict.reached);
        reached.1 += 1;
        text += &format!(
            "| {} | {} | {} | {} | {ratio} | {} | {} |\n",
            goal.measure,
            readable(verdict.ours),
            peer(&verdict.best),
            peer(&verdict.best_lsm),
            verdict.wanted,
            if verdict.reached { "reached" } else { "**not reached**" }
        );
    }
    text + &format!("\n{} of {} goals reached.\n\n", reached.0, reached.1)
}

fn heading(results: &Results, title: &str, first: &str) -> String {
    let engines = results.engines();
    let names: Vec<&str> = engines.iter().map(|(name, _)| name.as_str()).collect();
    let rule = "---:|".repeat(names.len());
    format!("#### {title}\n\n| {first} | {} |\n|---|{rule}\n", names.join(" | "))
}

fn figures(results: &Results) -> String {
    let mut text = heading(results, "Every figure", "");
    for (name, unit) in results.names() {
        let unit = if unit == "/s" { String::new() } else { format!(", {unit}") };
        let _ = write!(text, "| {name}{unit} |");
        for (engine, _) in results.engines() {
            let figure = results.median(&engine, &name);
            let _ = write!(text, " {} |", figure.map_or_else(String::new, readable));
        }
        text.push('\n');
    }
    text + "\nRates are a second: operations, but records in scans and batches.\n\n"
}

fn latencies(results: &Results) -> String {
    let mut text = heading(results, "p50 / p99 / p99.9 of a call, us", "");
    for (name, unit) in results.names() {
        let engines = results.engines();
        let timed = |engine: &str| results.latency(engine, &name, 0).is_some();
        if unit != "/s" || !engines.iter().any(|(engine, _)| timed(engine)) {
            continue;
        }
        let _ = write!(text, "| {name} |");
        for (engine, _) in engines {
            let at = |quantile| results.latency(&engine, &name, quantile).map(readable);
            let all: Vec<String> = (0..3).filter_map(at).collect();
            let _ = write!(text, " {} |", all.join(" / "));
        }
        text.push('\n');
    }
    text + "\n"
}

fn notes(results: &Results) -> String {
    let mut text = "#### How the engines were opened\n\n".to_owned();
    for entry in adapters::all() {
        if results.engines().iter().any(|(name, _)| name == entry.name) {
            text += &format!("- {}: {}\n", entry.name, entry.note);
        }
    }
    for run in &results.runs {
        if let Some(failure) = &run.failure {
            text += &format!("- {}, {}: not done, {failure}\n", run.engine, run.group);
        }
    }
    text
}
