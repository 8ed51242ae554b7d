//! `ingest`: tables that were written elsewhere, taken in as one write.

use std::time::Instant;

use serde_json::json;

use crate::args::{Cli, IngestArgs};
use crate::failure::Failure;
use crate::open::{Missing, Opened, open_family};
use crate::progress::Progress;
use crate::terminal::Terminal;
use crate::units::{Bytes, Count, Time};

/// Takes tables in, all or none of them.
pub(crate) fn ingest(cli: &Cli, args: &IngestArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    // A wrong name should not leave an empty database behind.
    for file in &args.files {
        std::fs::metadata(file).map_err(|error| Failure::io("read", file, error))?;
    }
    let Opened { db, family } = open_family(cli, Missing::Create)?;
    let progress = Progress::new(terminal.watched, None);
    progress.doing("reading, checking and writing tables");
    let started = Instant::now();
    let report = family.ingest(&args.files)?;
    let time = started.elapsed();
    drop(progress);
    db.close()?;
    if terminal.json {
        return terminal.json_line(&json!({
            "entries": report.entries, "tables": report.tables, "bytes": report.bytes,
            "level": report.level, "seconds": time.as_secs_f64(),
        }));
    }
    let (entries, tables, bytes) =
        (Count(report.entries), Count(report.tables), Bytes(report.bytes));
    terminal.line(format_args!(
        "took in {entries} entries as tables: {tables} in L{}, {bytes}; in {}",
        report.level,
        Time(time)
    ))
}
