//! `repair`: a database that opens again, and a list of what was lost.

use serde_json::{Value, json};

use crate::args::Cli;
use crate::engine::{Db, Loss, RepairReport};
use crate::escape::Escaped;
use crate::failure::Failure;
use crate::open::{folder, options};
use crate::progress::Progress;
use crate::terminal::{Style, Terminal, json_bytes};
use crate::units::Count;

/// Repairs the database that `cli` names.
pub(crate) fn repair(cli: &Cli, terminal: &mut Terminal) -> Result<(), Failure> {
    let progress = Progress::new(terminal.watched, None);
    progress.doing("reading every byte");
    let report = Db::repair(folder(cli)?, &options(&cli.open)?)?;
    drop(progress);
    if terminal.json { terminal.json_line(&to_json(&report)) } else { print(&report, terminal) }
}

fn print(report: &RepairReport, terminal: &mut Terminal) -> Result<(), Failure> {
    let verdict = if report.lost.is_empty() { "nothing was lost" } else { "lost:" };
    let verdict = terminal.style(Style::Bold, verdict);
    let manifest = if report.manifest_rebuilt { "; the manifest was made anew" } else { "" };
    terminal.line(format_args!(
        "tables intact {}, saved in part {}{manifest}; {verdict}",
        Count(report.tables_kept),
        Count(report.tables_salvaged)
    ))?;
    for Loss { path, keys, what, .. } in &report.lost {
        let range = match keys {
            Some((low, high)) => format!(", keys {} to {}", Escaped(low), Escaped(high)),
            None => String::new(),
        };
        terminal.line(format_args!("  {}: {what}{range}", path.display()))?;
    }
    for path in &report.quarantined {
        terminal.line(format_args!("  kept for you: {}", path.display()))?;
    }
    Ok(())
}

fn to_json(report: &RepairReport) -> Value {
    let lost = report.lost.iter().map(|loss| {
        let keys = loss.keys.as_ref();
        json!({
            "path": loss.path, "what": loss.what,
            "smallest": keys.map(|(low, _)| json_bytes(low)),
            "largest": keys.map(|(_, high)| json_bytes(high)),
        })
    });
    json!({
        "manifest_rebuilt": report.manifest_rebuilt, "tables_kept": report.tables_kept,
        "tables_salvaged": report.tables_salvaged, "lost": lost.collect::<Value>(),
        "quarantined": report.quarantined,
    })
}
