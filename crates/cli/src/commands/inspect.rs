//! `families`, `shape`, `compact` and `verify`: what a database holds, and whether it is whole.

use std::time::Instant;

use serde_json::{Value, json};

use crate::args::{Cli, FamiliesArgs};
use crate::engine::{RunShape, Shape, TableShape};
use crate::failure::Failure;
use crate::open::{Missing, Opened, open, open_family, options};
use crate::picture;
use crate::progress::Progress;
use crate::terminal::{Style, Terminal, json_bytes};
use crate::units::{Bytes, Count, Time};
use crate::view::View;

/// Lists the families, or drops one.
pub(crate) fn families(
    cli: &Cli,
    args: &FamiliesArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let db = open(cli, Missing::Refuse)?;
    if let Some(name) = &args.drop {
        db.drop_family(name)?;
        return Ok(db.close()?);
    }
    for name in db.families() {
        if terminal.json {
            terminal.json_line(&json!({ "family": name }))?;
        } else {
            terminal.line(name)?;
        }
    }
    Ok(())
}

/// Draws the tree.
pub(crate) fn shape(cli: &Cli, terminal: &mut Terminal) -> Result<(), Failure> {
    let family = View::open(cli)?;
    let shape = family.shape()?;
    if terminal.json {
        return terminal.json_line(&shape_json(&shape));
    }
    let full = options(&cli.open)?.write_buffer_bytes as u64;
    let picture = picture::draw(&shape, full, terminal.columns, terminal.paint);
    terminal.line(picture)
}

fn shape_json(shape: &Shape) -> Value {
    let table = |table: &TableShape| {
        json!({
            "number": table.number, "bytes": table.bytes, "raw_bytes": table.raw_bytes,
            "entries": table.entries, "tombstones": table.tombstones,
            "smallest": json_bytes(&table.smallest), "largest": json_bytes(&table.largest),
        })
    };
    let run =
        |run: &RunShape| json!({ "tables": run.tables.iter().map(table).collect::<Vec<_>>() });
    let levels: Vec<Value> = shape
        .levels
        .iter()
        .map(|level| json!({ "runs": level.runs.iter().map(run).collect::<Vec<_>>() }))
        .collect();
    let memtables: Vec<Value> = shape
        .memtables
        .iter()
        .map(|memtable| {
            json!({
                "memory_bytes": memtable.memory_bytes, "entries": memtable.entries,
            })
        })
        .collect();
    json!({ "memtables": memtables, "levels": levels })
}

/// Merges everything into the last level.
pub(crate) fn compact(cli: &Cli, terminal: &mut Terminal) -> Result<(), Failure> {
    let Opened { db, family } = open_family(cli, Missing::Refuse)?;
    let before = db.stats().table_bytes;
    let progress = Progress::new(terminal.watched, None);
    progress.doing("merging all tables");
    let started = Instant::now();
    if cli.family.is_some() {
        family.compact::<&[u8]>(..)?;
    } else {
        db.compact()?;
    }
    drop(progress);
    let time = started.elapsed();
    let after = db.stats().table_bytes;
    db.close()?;
    if terminal.json {
        return terminal.json_line(&json!({
            "bytes_before": before, "bytes_after": after, "seconds": time.as_secs_f64(),
        }));
    }
    let (before, after, time) = (Bytes(before), Bytes(after), Time(time));
    terminal.line(format_args!("compacted {before} of tables to {after} in {time}"))
}

/// Reads and checks everything.
pub(crate) fn verify(cli: &Cli, terminal: &mut Terminal) -> Result<(), Failure> {
    let db = View::open(cli)?;
    let progress = Progress::new(terminal.watched, None);
    progress.doing("reading every byte");
    let started = Instant::now();
    let report = db.verify()?;
    drop(progress);
    let time = started.elapsed();
    if terminal.json {
        return terminal.json_line(&json!({
            "tables": report.tables, "blocks": report.blocks, "bytes": report.bytes,
            "entries": report.entries,
            "seconds": time.as_secs_f64(),
        }));
    }
    let sound = terminal.style(Style::Good, "sound");
    terminal.line(format_args!(
        "{sound}: {} tables, {} blocks, {} entries, {} read and checked in {}",
        Count(report.tables),
        Count(report.blocks),
        Count(report.entries),
        Bytes(report.bytes),
        Time(time)
    ))
}
