//! `checkpoint`: a database of its own, as of one moment, beside the database.

use std::time::Instant;

use serde_json::json;

use crate::args::{CheckpointArgs, Cli};
use crate::failure::Failure;
use crate::open::{Missing, open};
use crate::terminal::Terminal;
use crate::units::{Bytes, Count, Time};

/// Makes a checkpoint of all families.
pub(crate) fn checkpoint(
    cli: &Cli,
    args: &CheckpointArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let db = open(cli, Missing::Refuse)?;
    let started = Instant::now();
    let report = db.checkpoint(&args.folder)?;
    let time = started.elapsed();
    db.close()?;
    if terminal.json {
        return terminal.json_line(&json!({
            "linked": report.linked, "copied": report.copied, "bytes": report.bytes,
            "seqno": report.seqno, "seconds": time.as_secs_f64(),
        }));
    }
    let (linked, copied) = (Count(report.linked), Count(report.copied));
    terminal.line(format_args!(
        "a checkpoint of {} in {}: tables shared {linked}, copied {copied}; in {}",
        Bytes(report.bytes),
        args.folder.display(),
        Time(time)
    ))
}
