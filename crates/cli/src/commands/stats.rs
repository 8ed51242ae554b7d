//! `stats`: what a database has done and holds, in numbers.

use crate::args::Cli;
use crate::engine::Stats;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal};
use crate::units::{Bytes, Count};
use crate::view::View;

/// Prints what the database holds.
///
/// Counters of reads and writes begin at zero when a database is opened, so for a command that has
/// just opened it only what is in the folder tells something.
pub(crate) fn stats(cli: &Cli, terminal: &mut Terminal) -> Result<(), Failure> {
    let stats = View::open(cli)?.stats();
    if terminal.json {
        return terminal.json_line(&server::stats_json(&stats));
    }
    for (heading, facts) in facts(&stats) {
        let heading = terminal.style(Style::Bold, heading);
        terminal.line(heading)?;
        for (name, value, note) in facts {
            let note = terminal.style(Style::Dim, note);
            terminal
                .line(format_args!("  {name:<16}{value:>16}  {note}").to_string().trim_end())?;
        }
    }
    Ok(())
}

type Fact = (&'static str, String, String);

fn facts(stats: &Stats) -> [(&'static str, Vec<Fact>); 3] {
    let none = String::new;
    let tables = vec![
        ("tables", Count(stats.tables).to_string(), format!("in {} runs", Count(stats.runs))),
        ("on disk", Bytes(stats.table_bytes).to_string(), none()),
        (
            "keys and values",
            Bytes(stats.table_raw_bytes).to_string(),
            format!("the files are {}", percent(stats.table_bytes, stats.table_raw_bytes)),
        ),
        (
            "entries",
            Count(stats.table_entries).to_string(),
            "old versions and deletions too".into(),
        ),
        (
            "deletions",
            Count(stats.table_tombstones).to_string(),
            format!("{} of the entries", percent(stats.table_tombstones, stats.table_entries)),
        ),
    ];
    let memory = vec![
        (
            "memtables",
            Bytes(stats.memtable_memory_bytes).to_string(),
            format!("{} entries", Count(stats.memtable_entries)),
        ),
        ("filters, indexes", Bytes(stats.table_memory_bytes).to_string(), "of open tables".into()),
        ("block cache", Bytes(stats.cache_bytes).to_string(), none()),
    ];
    let order = vec![("last write", Count(stats.seqno).to_string(), "its sequence number".into())];
    [("Tables", tables), ("Memory", memory), ("History", order)]
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}
