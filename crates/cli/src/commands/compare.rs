//! `compare`: whether a database holds exactly the records of a file.
//!
//! Memory stays constant, whatever the size of the file:
//!
//! 1. Each record of the file is asked for with `get` and compared byte for byte.
//! 2. One ordered scan must give as many records, in strictly ascending order of their keys.
//! 3. A sum over the hashes of all records must be the same for the file and for the scan. So the
//!    scan, too, gave these records and no others (up to a chance of 2^-64).

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Bound;
use std::time::Instant;

use serde_json::json;

use crate::args::{Cli, CompareArgs};
use crate::commands::load::open_input;
use crate::escape::Escaped;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::terminal::{Style, Terminal};
use crate::tsv;
use crate::units::{Bytes, Count, Time, peak_memory, per_second};
use crate::view::View;

/// How many records pass between two looks at the progress bar.
const RECORDS_PER_LOOK: u64 = 4096;

/// What a set of records comes to, whatever their order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    records: u64,
    hashes: u64,
}

impl Sum {
    fn add(&mut self, hasher: &RandomState, key: &[u8], value: &[u8]) {
        self.records += 1;
        self.hashes = self.hashes.wrapping_add(hasher.hash_one((key, value)));
    }
}

/// Compares the database with a file of records.
pub(crate) fn compare(
    cli: &Cli,
    args: &CompareArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let (input, bytes) = open_input(&args.file)?;
    let started = Instant::now();
    let family = View::open(cli)?;
    let opened = started.elapsed();
    let hasher = RandomState::new();

    let progress = Progress::new(terminal.watched, bytes);
    let started = Instant::now();
    let mut reader = tsv::Reader::with_line_bytes_max(input, args.line_max);
    let file = by_get(&family, &mut reader, &hasher, &progress)?;
    let got = started.elapsed();
    drop(progress);

    let started = Instant::now();
    let progress = Progress::new(terminal.watched, None);
    let scan = by_scan(&family, &hasher, &progress)?;
    let scanned = started.elapsed();
    drop(progress);
    judge(&file, &scan)?;

    let memory = peak_memory();
    if terminal.json {
        return terminal.json_line(&json!({
            "records": file.records, "open_seconds": opened.as_secs_f64(),
            "get_seconds": got.as_secs_f64(), "scan_seconds": scanned.as_secs_f64(),
            "memory_peak_bytes": memory,
        }));
    }
    let equal = terminal.style(Style::Good, "equal");
    terminal.line(format_args!(
        "{equal}: {} records; opened in {}; by get in {} ({}/s), by one scan in {} ({}/s){}",
        Count(file.records),
        Time(opened),
        Time(got),
        per_second(file.records, got),
        Time(scanned),
        per_second(scan.records, scanned),
        memory.map(|bytes| format!("; memory at most {}", Bytes(bytes))).unwrap_or_default()
    ))
}

/// Asks for every record of the file.
fn by_get(
    family: &View,
    reader: &mut tsv::Reader<impl std::io::BufRead>,
    hasher: &RandomState,
    progress: &Progress,
) -> Result<Sum, Failure> {
    let mut sum = Sum::default();
    loop {
        let Some(record) = reader.record().map_err(Failure::from)? else { return Ok(sum) };
        let found = family.get(&record.key)?;
        if found.as_deref() != Some(&*record.value) {
            let what = if found.is_some() { "has another value" } else { "is not there" };
            let key = Escaped(&record.key);
            return Err(Failure::Proof(format!("line {}: {key} {what}", record.line)));
        }
        sum.add(hasher, &record.key, &record.value);
        if sum.records.is_multiple_of(RECORDS_PER_LOOK) {
            progress.at(reader.bytes(), sum.records);
        }
    }
}

/// Scans everything, and checks the order.
fn by_scan(family: &View, hasher: &RandomState, progress: &Progress) -> Result<Sum, Failure> {
    let mut sum = Sum::default();
    let mut bytes = 0;
    let mut last: Option<Vec<u8>> = None;
    for record in family.scan((Bound::Unbounded, Bound::Unbounded))? {
        let (key, value) = record?;
        if last.as_deref().is_some_and(|last| *last >= *key) {
            return Err(Failure::Proof(format!("the scan is out of order at {}", Escaped(&key))));
        }
        sum.add(hasher, &key, &value);
        let last = last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(&key);
        bytes += (key.len() + value.len()) as u64;
        if sum.records.is_multiple_of(RECORDS_PER_LOOK) {
            progress.at(bytes, sum.records);
        }
    }
    Ok(sum)
}

fn judge(file: &Sum, scan: &Sum) -> Result<(), Failure> {
    if file.records != scan.records {
        let (scan, file) = (Count(scan.records), Count(file.records));
        let why =
            format!("the database holds {scan} records, the file {file} (is a key there twice?)");
        return Err(Failure::Proof(why));
    }
    if file.hashes != scan.hashes {
        return Err(Failure::Proof("the scan gives other records than get".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(records: &[(&str, &str)], hasher: &RandomState) -> Sum {
        let mut sum = Sum::default();
        for (key, value) in records {
            sum.add(hasher, key.as_bytes(), value.as_bytes());
        }
        sum
    }

    #[test]
    fn sums_know_no_order_but_every_byte() {
        let hasher = RandomState::new();
        let right = sum(&[("a", "1"), ("b", "2")], &hasher);
        assert!(judge(&right, &sum(&[("b", "2"), ("a", "1")], &hasher)).is_ok());
        for wrong in [
            &[("a", "2"), ("b", "1")][..],
            &[("a", "1")],
            &[("a", "1"), ("b2", "")],
            &[("a1", ""), ("b", "2")],
        ] {
            assert!(judge(&right, &sum(wrong, &hasher)).is_err(), "{wrong:?}");
        }
    }
}
