//! What led to the present state: the edits of the manifest, and the batches of the logs.

use std::path::Path;

use serde_json::{Value, json};

use super::kind_name;
use crate::args::{Cli, DumpLogArgs};
use crate::engine::fs::StdFs;
use crate::engine::inspect::{LoggedOperation, logged_operations};
use crate::engine::manifest::{Edit, Manifest};
use crate::engine::wal::{self, ReplayReport};
use crate::engine::{Kind, RecoveryMode};
use crate::escape::Escaped;
use crate::failure::Failure;
use crate::open::folder;
use crate::terminal::{Style, Terminal, json_bytes};
use crate::units::{Bytes, Count};

/// Prints every edit of the manifest in use. The first holds the whole state it began with.
pub(super) fn edits(dir: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut printed = Ok(());
    let read = Manifest::read_edits(&StdFs::new(), dir, &mut |number, edit| {
        if printed.is_ok() {
            printed = if terminal.json {
                terminal.json_line(&edit_json(number, edit))
            } else {
                edit_lines(number, edit, terminal)
            };
        }
    });
    // What was whole before a damage is printed first.
    printed?;
    read?;
    Ok(())
}

fn edit_lines(number: u64, edit: &Edit, terminal: &mut Terminal) -> Result<(), Failure> {
    let heading = terminal.style(Style::Bold, format_args!("edit {number}"));
    terminal.line(format_args!("{heading}  {}", Escaped(edit.reason.as_bytes())))?;
    for family in &edit.added_families {
        terminal.line(format_args!("  + family {} {}", family.id, family.name))?;
    }
    for family in &edit.changed_families {
        let options = family.options.trim_end().replace('\n', " ");
        terminal.line(format_args!("  ~ family {} {options}", family.id))?;
    }
    for id in &edit.dropped_families {
        terminal.line(format_args!("  - family {id}"))?;
    }
    for added in &edit.added {
        let table = &added.table;
        terminal.line(format_args!(
            "  + {:06}  family {} L{} run {}  {}, {} entries, {} to {}",
            table.number,
            added.family,
            added.level,
            added.run,
            Bytes(table.file_bytes),
            Count(table.entries),
            Escaped(&table.smallest),
            Escaped(&table.largest)
        ))?;
    }
    for moved in &edit.moved {
        let (number, level, run) = (moved.number, moved.level, moved.run);
        terminal.line(format_args!("  > {number:06}  to L{level} run {run}"))?;
    }
    let numbered =
        |numbers: &[u64]| numbers.iter().map(|n| format!("{n:06}")).collect::<Vec<_>>().join(" ");
    for (sign, what, numbers) in [
        ("-", "", &edit.removed),
        ("+", "log ", &edit.added_logs),
        ("-", "log ", &edit.dropped_logs),
    ] {
        if !numbers.is_empty() {
            terminal.line(format_args!("  {sign} {what}{}", numbered(numbers)))?;
        }
    }
    for range in &edit.added_range_deletes {
        let (start, end) = (Escaped(&range.start), Escaped(&range.end));
        terminal.line(format_args!("  + range delete {}  {start} to {end}", range.seqno))?;
    }
    for (family, seqno) in &edit.removed_range_deletes {
        terminal.line(format_args!("  - range delete {seqno} of family {family}"))?;
    }
    if let Some(seqno) = edit.flushed_seqno {
        terminal.line(format_args!("  in tables up to operation {}", Count(seqno)))?;
    }
    Ok(())
}

fn edit_json(number: u64, edit: &Edit) -> Value {
    let added = edit.added.iter().map(|added| {
        json!({
            "family": added.family, "level": added.level, "run": added.run,
            "number": added.table.number, "file_bytes": added.table.file_bytes,
            "entries": added.table.entries, "tombstones": added.table.tombstones,
            "smallest": json_bytes(&added.table.smallest),
            "largest": json_bytes(&added.table.largest),
        })
    });
    let moved = edit
        .moved
        .iter()
        .map(|moved| json!({ "number": moved.number, "level": moved.level, "run": moved.run }));
    let families = edit
        .added_families
        .iter()
        .map(|family| json!({ "id": family.id, "name": family.name, "options": family.options }));
    let changed = edit.changed_families.iter();
    let changed = changed.map(|family| json!({ "id": family.id, "options": family.options }));
    let ranges = edit.added_range_deletes.iter().map(|range| {
        json!({
            "family": range.family, "seqno": range.seqno, "start": json_bytes(&range.start),
            "end": json_bytes(&range.end),
        })
    });
    json!({
        "edit": number, "reason": edit.reason, "added": added.collect::<Value>(),
        "removed": edit.removed, "moved": moved.collect::<Value>(),
        "added_logs": edit.added_logs, "dropped_logs": edit.dropped_logs,
        "added_families": families.collect::<Value>(),
        "dropped_families": edit.dropped_families,
        "changed_families": changed.collect::<Value>(),
        "added_range_deletes": ranges.collect::<Value>(),
        "removed_range_deletes": edit.removed_range_deletes,
        "flushed_seqno": edit.flushed_seqno, "last_seqno": edit.last_seqno,
    })
}

/// Prints the batches of the live logs, or of some of them.
pub(crate) fn log(cli: &Cli, args: &DumpLogArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let dir: &Path = folder(cli)?;
    let fs = StdFs::new();
    let contents = Manifest::read(&fs, dir)?;
    let live: Vec<u64> = contents.state.logs.iter().copied().collect();
    let numbers = if args.numbers.is_empty() { &live } else { &args.numbers };
    let mut printed = Ok(());
    let mut print = |first: u64, payload: &[u8]| {
        if printed.is_ok() {
            printed = if args.operations {
                operations(first, payload, terminal)
            } else {
                batch(first, payload, terminal)
            };
        }
        Ok(())
    };
    // Whatever can be read is shown; the report says what cannot.
    let mode = RecoveryMode::Salvage;
    let after = contents.state.flushed_seqno;
    let report = wal::replay(&fs, dir, numbers, contents.database, after, mode, &mut print)?;
    printed?;
    if terminal.json { Ok(()) } else { summary(&report, terminal) }
}

/// A batch on a line.
fn batch(first: u64, payload: &[u8], terminal: &mut Terminal) -> Result<(), Failure> {
    // A batch begins with the number of its operations.
    let count = payload.first_chunk().map_or(0, |head| u32::from_le_bytes(*head));
    if terminal.json {
        return terminal.json_line(&json!({
            "first_seqno": first, "operations": count, "bytes": payload.len(),
        }));
    }
    let bytes = Bytes(payload.len() as u64);
    terminal.line(format_args!("{first:>14}  {count:>6} operations  {bytes}"))
}

/// Each operation on a line.
fn operations(first: u64, payload: &[u8], terminal: &mut Terminal) -> Result<(), Failure> {
    for (seqno, operation) in (first..).zip(logged_operations(payload)) {
        let LoggedOperation { family, kind, key, value, .. } = match operation {
            Ok(operation) => operation,
            Err(expected) if terminal.json => {
                return terminal.json_line(&json!({ "seqno": seqno, "expected": expected }));
            }
            Err(expected) => {
                return terminal.line(format_args!("{seqno}\tnot {expected}, as expected"));
            }
        };
        let name = kind_name(Some(kind));
        if terminal.json {
            terminal.json_line(&json!({
                "seqno": seqno, "family": family, "kind": name, "key": json_bytes(key),
                "value": (kind != Kind::Delete).then(|| json_bytes(value)),
            }))?;
        } else {
            let (key, value) = (Escaped(key), Escaped(value));
            terminal.line(format_args!("{seqno}\t{family}\t{name}\t{key}\t{value}"))?;
        }
    }
    Ok(())
}

/// How the logs end.
fn summary(report: &ReplayReport, terminal: &mut Terminal) -> Result<(), Failure> {
    for log in &report.logs {
        terminal.line(format_args!(
            "log {:06}: {} records, {}, {:?}",
            log.number,
            Count(log.records),
            Bytes(log.end),
            log.how
        ))?;
    }
    if let Some(torn) = &report.torn {
        terminal.line(format_args!(
            "{} cannot be read from byte {} on: {} records lost",
            torn.path.display(),
            torn.offset,
            torn.lost_records
        ))?;
    }
    Ok(())
}
