//! `scan`, `count` and `export`: records in key order.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use crate::args::{BytesArg, Cli, ExportArgs, RangeArgs, ScanArgs};
use crate::engine::Scan;
use crate::escape::{Escaped, escape_into};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::terminal::{Terminal, json_bytes, say};
use crate::units::{Bytes, Count, Time};
use crate::view::{Bounds, View};

/// How many records pass between two looks at the progress bar.
const RECORDS_PER_LOOK: u64 = 4096;

/// Prints the records of a range.
pub(crate) fn scan(cli: &Cli, args: &ScanArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let family = View::open(cli)?;
    let mut records = records(&family, &args.range)?;
    let limit = args.limit.unwrap_or(u64::MAX);
    for _ in 0..limit {
        let next = if args.reverse { records.next_back() } else { records.next() };
        let Some(record) = next else { break };
        let (key, value) = record?;
        match (terminal.json, args.keys) {
            (true, true) => terminal.json_line(&json!({ "key": json_bytes(&key) }))?,
            (true, false) => terminal
                .json_line(&json!({ "key": json_bytes(&key), "value": json_bytes(&value) }))?,
            (false, true) => terminal.line(Escaped(&key))?,
            (false, false) => {
                terminal.line(format_args!("{}\t{}", Escaped(&key), Escaped(&value)))?;
            }
        }
    }
    Ok(())
}

/// Prints how many records a range holds.
pub(crate) fn count(cli: &Cli, args: &RangeArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let family = View::open(cli)?;
    let progress = Progress::new(terminal.watched, None);
    let (mut count, mut bytes) = (0u64, 0u64);
    for record in records(&family, args)? {
        let (key, value) = record?;
        count += 1;
        bytes += (key.len() + value.len()) as u64;
        if count.is_multiple_of(RECORDS_PER_LOOK) {
            progress.at(bytes, count);
        }
    }
    drop(progress);
    if terminal.json {
        return terminal.json_line(&json!({ "records": count, "bytes": bytes }));
    }
    terminal.line(count)
}

/// Writes the records of a range to a file that `load` reads.
pub(crate) fn export(cli: &Cli, args: &ExportArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let family = View::open(cli)?;
    let records = records(&family, &args.range)?;
    let started = Instant::now();
    let progress = Progress::new(terminal.watched, None);
    if args.file == Path::new("-") {
        let mut print = |line: &str| terminal.raw(line.as_bytes());
        write_records(records, &progress, &mut print)?;
        return Ok(());
    }
    // Under another name until it is whole: an export that fails leaves no half file to be loaded.
    let part = part_name(&args.file);
    let refuse = |error| Failure::io("write", &part, error);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&part).map_err(refuse)?);
    let mut write = |line: &str| file.write_all(line.as_bytes()).map_err(refuse);
    let (count, bytes) = write_records(records, &progress, &mut write)?;
    let file = file.into_inner().map_err(|error| refuse(error.into_error()))?;
    file.sync_all().map_err(refuse)?;
    move_into_place(&part, &args.file)?;
    drop(progress);
    let time = started.elapsed();
    if terminal.json {
        return terminal.json_line(&json!({
            "records": count, "bytes": bytes, "seconds": time.as_secs_f64(),
        }));
    }
    let (count, bytes, time) = (Count(count), Bytes(bytes), Time(time));
    say(format_args!("wrote {count} records ({bytes}) in {time}"));
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "an exported file is not part of a database; its contents are synced before"
)]
fn move_into_place(part: &Path, file: &Path) -> Result<(), Failure> {
    std::fs::rename(part, file).map_err(|error| Failure::io("rename", part, error))
}

fn part_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Writes lines that `load` reads; returns their number and bytes.
fn write_records(
    records: Scan,
    progress: &Progress,
    write: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<(u64, u64), Failure> {
    let mut line = String::new();
    let (mut count, mut bytes) = (0u64, 0u64);
    for record in records {
        let (key, value) = record?;
        line.clear();
        escape_into(&key, &mut line);
        line.push('\t');
        escape_into(&value, &mut line);
        line.push('\n');
        write(&line)?;
        count += 1;
        bytes += line.len() as u64;
        if count.is_multiple_of(RECORDS_PER_LOOK) {
            progress.at(bytes, count);
        }
    }
    Ok((count, bytes))
}

/// The records of `range`, in key order.
fn records(family: &View, range: &RangeArgs) -> Result<Scan, Failure> {
    if let Some(BytesArg(prefix)) = &range.prefix {
        return family.scan_prefix(prefix);
    }
    family.scan(bounds(range)?)
}

/// The bounds of a range that is no prefix.
pub(super) fn bounds(range: &RangeArgs) -> Result<Bounds, Failure> {
    let from = range.from.as_ref().map_or(Bound::Unbounded, |key| Bound::Included(&key.0));
    let to = range.to.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key.0));
    if let (Bound::Included(from), Bound::Excluded(to)) = (from, to)
        && from > to
    {
        return Err(Failure::Request(format!(
            "the range is upside down: --from {} comes after --to {}",
            Escaped(from),
            Escaped(to)
        )));
    }
    Ok((from.cloned(), to.cloned()))
}
