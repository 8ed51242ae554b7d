//! `dump`: what a file of a database says, read without opening the database.
//!
//! Nothing is locked or changed, so it works beside a process that has the database open, and on a
//! folder that cannot be opened any more. Damage is named with its place.

mod history;

pub(crate) use self::history::log;

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::args::{Cli, DumpManifestArgs, DumpTableArgs};
use crate::engine::fs::StdFs;
use crate::engine::manifest::{Contents, Manifest};
use crate::engine::{
    Cursor as _, Expect, Kind, ReadAt, ReadOptions, Table, TableCursor, TableMeta,
};
use crate::escape::Escaped;
use crate::failure::Failure;
use crate::open::folder;
use crate::terminal::{Style, Terminal, json_bytes};
use crate::units::{Bytes, Count, Time};

/// Prints a table's properties, or its entries.
pub(crate) fn table(args: &DumpTableArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let file = File::open(&args.file).map_err(|error| Failure::io("open", &args.file, error))?;
    let file: Arc<dyn ReadAt> = Arc::new(file);
    let name = args.file.to_string_lossy();
    let table =
        Table::open(file, &name, Expect::default(), None).map_err(crate::engine::Error::from)?;
    if args.entries {
        return entries(Arc::new(table), terminal);
    }
    if terminal.json {
        return terminal.json_line(&meta_json(table.meta()));
    }
    for (name, value) in meta_facts(table.meta()) {
        let name = terminal.style(Style::Bold, format_args!("{name:<13}"));
        terminal.line(format_args!("{name} {value}"))?;
    }
    Ok(())
}

/// Prints every entry: key, sequence number, kind, value.
fn entries(table: Arc<Table>, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut cursor = TableCursor::new(table, ReadOptions::default());
    let engine = crate::engine::Error::from;
    cursor.seek_to_first().map_err(engine)?;
    while cursor.valid() {
        let (trailer, key, value) = (cursor.trailer(), cursor.key(), cursor.value());
        let kind = kind_name(trailer.kind());
        if terminal.json {
            terminal.json_line(&json!({
                "key": json_bytes(key), "seqno": trailer.seqno(), "kind": kind,
                "value": json_bytes(value),
            }))?;
        } else {
            let (key, value, seqno) = (Escaped(key), Escaped(value), trailer.seqno());
            terminal.line(format_args!("{key}\t{seqno}\t{kind}\t{value}"))?;
        }
        cursor.next().map_err(engine)?;
    }
    Ok(())
}

fn kind_name(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Put) => "put",
        Some(Kind::Delete) => "delete",
        Some(Kind::Merge) => "merge",
        Some(Kind::RangeDelete) => "range-delete",
        Some(Kind::ValuePointer) => "value-pointer",
        _ => "unknown",
    }
}

fn meta_json(meta: &TableMeta) -> Value {
    json!({
        "table_id": format!("{:016x}", meta.table_id), "file_bytes": meta.file_bytes,
        "entries": meta.entries, "tombstones": meta.tombstones, "key_bytes": meta.key_bytes,
        "value_bytes": meta.value_bytes, "stored_bytes": meta.stored_bytes,
        "blocks": meta.block_count, "block_bytes": meta.block_bytes,
        "restart_interval": meta.restart_interval, "codec": meta.codec.name(),
        "filter_bits_per_key": meta.filter_bits_per_key, "filter_bytes": meta.filter_bytes,
        "index_bytes": meta.index_bytes, "partitions": meta.partitions,
        "smallest": json_bytes(&meta.smallest), "largest": json_bytes(&meta.largest),
        "min_seqno": meta.min_seqno, "max_seqno": meta.max_seqno, "level": meta.level,
        "created_at_us": meta.created_at_us,
    })
}

fn meta_facts(meta: &TableMeta) -> Vec<(&'static str, String)> {
    let share = 100.0 * meta.stored_bytes as f64 / meta.data_bytes.max(1) as f64;
    vec![
        ("file", format!("{}, table {:016x}", Bytes(meta.file_bytes), meta.table_id)),
        (
            "entries",
            format!("{}, of them {} deletions", Count(meta.entries), Count(meta.tombstones)),
        ),
        (
            "data",
            format!(
                "{} of keys, {} of values; stored in {} ({share:.1} %)",
                Bytes(meta.key_bytes),
                Bytes(meta.value_bytes),
                Bytes(meta.stored_bytes)
            ),
        ),
        (
            "blocks",
            format!(
                "{} of {} before {}, a whole key every {} entries",
                Count(meta.block_count),
                Bytes(u64::from(meta.block_bytes)),
                meta.codec.name(),
                meta.restart_interval
            ),
        ),
        (
            "filter",
            format!("{}, {} bits a key", Bytes(meta.filter_bytes), meta.filter_bits_per_key),
        ),
        ("index", format!("{} in {} parts", Bytes(meta.index_bytes), meta.partitions)),
        ("smallest", Escaped(&meta.smallest).to_string()),
        ("largest", Escaped(&meta.largest).to_string()),
        ("seqnos", format!("{} to {}", Count(meta.min_seqno), Count(meta.max_seqno))),
        ("made", format!("for level {}{}", meta.level, ago(meta.created_at_us))),
    ]
}

/// How long ago a time in microseconds since 1970 was; nothing if it is not told.
fn ago(unix_us: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_micros(unix_us);
    match SystemTime::now().duration_since(then) {
        Ok(age) if unix_us > 0 => format!(", {} ago", Time(age)),
        _ => String::new(),
    }
}

/// Prints what the manifest says is live.
pub(crate) fn manifest(
    cli: &Cli,
    args: &DumpManifestArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if args.edits {
        return history::edits(folder(cli)?, terminal);
    }
    let contents = Manifest::read(&StdFs::new(), folder(cli)?)?;
    if terminal.json {
        return terminal.json_line(&manifest_json(&contents));
    }
    let state = &contents.state;
    terminal.line(format_args!(
        "manifest {:06}, database {:016x}: {} edits, {}",
        contents.number,
        contents.database,
        contents.edit,
        Bytes(contents.end)
    ))?;
    let logs: Vec<String> = state.logs.iter().map(|log| format!("{log:06}")).collect();
    terminal.line(format_args!(
        "in tables up to operation {}; after that in the logs {}",
        Count(state.flushed_seqno),
        logs.join(" ")
    ))?;
    for (id, family) in &state.families {
        let name = terminal.style(Style::Bold, format_args!("family {id} {}", family.name));
        terminal.line(format_args!("{name}  {}", family.options.trim().replace('\n', ", ")))?;
        for (number, level) in family.levels.iter().enumerate() {
            for run in &level.runs {
                let label = format!("L{number} run {}", run.id);
                terminal.line(terminal.style(Style::Level(number), label))?;
                for table in &run.tables {
                    terminal.line(format_args!(
                        "  {:06}  {:>9}  {:>9} entries  {} to {}",
                        table.number,
                        Bytes(table.file_bytes).to_string(),
                        Count(table.entries),
                        Escaped(&table.smallest),
                        Escaped(&table.largest)
                    ))?;
                }
            }
        }
    }
    Ok(())
}

fn manifest_json(contents: &Contents) -> Value {
    let state = &contents.state;
    let mut tables = Vec::new();
    for (id, family) in &state.families {
        for (level, runs) in family.levels.iter().enumerate() {
            for run in &runs.runs {
                for table in &run.tables {
                    tables.push(json!({
                        "family": id, "level": level, "run": run.id, "number": table.number,
                        "file_bytes": table.file_bytes, "entries": table.entries,
                        "tombstones": table.tombstones, "min_seqno": table.min_seqno,
                        "max_seqno": table.max_seqno, "created_at_us": table.created_at_us,
                        "smallest": json_bytes(&table.smallest),
                        "largest": json_bytes(&table.largest),
                    }));
                }
            }
        }
    }
    let families: Vec<Value> = state
        .families
        .iter()
        .map(|(id, family)| json!({ "id": id, "name": family.name, "options": family.options }))
        .collect();
    json!({
        "number": contents.number, "database": format!("{:016x}", contents.database),
        "edits": contents.edit, "bytes": contents.end, "families": families, "tables": tables,
        "logs": state.logs, "next_file_number": state.next_file_number,
        "flushed_seqno": state.flushed_seqno, "last_seqno": state.last_seqno,
    })
}
