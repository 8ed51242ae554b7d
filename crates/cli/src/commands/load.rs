//! `load`: a file of records into the database, in whole batches.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::{Cli, FormatArg, LoadArgs, OnError};
use crate::engine::{KEY_BYTES_MAX, WriteBatch};
use crate::failure::Failure;
use crate::open::{Missing, Opened, open_family};
use crate::progress::Progress;
use crate::terminal::{Terminal, say};
use crate::tsv;
use crate::units::{Bytes, Count, Time, peak_memory, per_second};

/// A batch is written when it holds this many bytes, however few records they are.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Malformed lines that are named one by one when they are skipped.
const NAMED_MAX: u64 = 10;

/// Loads a file of records.
pub(crate) fn load(cli: &Cli, args: &LoadArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    // The file first: a wrong name should not leave an empty database behind.
    let (input, bytes) = open_input(&args.file)?;
    let opened = open_family(cli, Missing::Create)?;
    let progress = Progress::new(terminal.watched, bytes);
    let format = match args.format {
        FormatArg::Tsv => tsv::Format::Tsv,
        FormatArg::Json => tsv::Format::Json,
    };
    let reader = tsv::Reader::with_line_bytes_max(input, args.line_max).in_format(format);
    let mut load = Load::new(&opened, args, reader, progress);
    let started = Instant::now();
    let read = load.run();
    // What was read before a fault is kept, as a prefix of the file.
    let written = load.write();
    let Load { reader, records, skipped, progress, .. } = load;
    read.and(written).map_err(|failure| stopped(failure, records, args))?;
    progress.doing("writing what is left to tables");
    opened.db.flush()?;
    drop(progress);
    let report = Report { records, skipped, bytes: reader.bytes(), time: started.elapsed() };
    opened.db.close()?;
    report.print(terminal)
}

/// Adds to a failure how far the load came.
fn stopped(failure: Failure, records: u64, args: &LoadArgs) -> Failure {
    let file = args.file.display();
    let records = Count(records);
    match failure {
        Failure::Request(why) => Failure::Request(format!(
            "{file}: {why}\n     the {records} records before it are loaded; mend the line and go \
             on with --from-line, or leave such lines out with --on-error skip"
        )),
        other => {
            say(format_args!("{file}: {records} records were loaded before this:"));
            other
        }
    }
}

/// Opens the file, or standard input, and says how long it is if that is known.
pub(crate) fn open_input(path: &Path) -> Result<(Box<dyn BufRead>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let refuse = |error| Failure::io("read", path, error);
    let file = File::open(path).map_err(refuse)?;
    let meta = file.metadata().map_err(refuse)?;
    if meta.is_dir() {
        return Err(refuse(io::ErrorKind::IsADirectory.into()));
    }
    let bytes = meta.is_file().then_some(meta.len());
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), bytes))
}

/// A load under way.
struct Load<'a> {
    opened: &'a Opened,
    args: &'a LoadArgs,
    reader: tsv::Reader<Box<dyn BufRead>>,
    progress: Progress,
    batch: WriteBatch,
    /// Records written, that is acknowledged by the engine.
    records: u64,
    skipped: u64,
}

impl<'a> Load<'a> {
    fn new(
        opened: &'a Opened,
        args: &'a LoadArgs,
        reader: tsv::Reader<Box<dyn BufRead>>,
        progress: Progress,
    ) -> Self {
        Self { opened, args, reader, progress, batch: WriteBatch::new(), records: 0, skipped: 0 }
    }

    /// Reads to the end, or to what stops the load, writing every full batch.
    fn run(&mut self) -> Result<(), Failure> {
        loop {
            let fault = match self.reader.record() {
                Ok(None) => return Ok(()),
                Ok(Some(record)) if record.line < self.args.from_line => continue,
                Ok(Some(record)) if record.key.len() > KEY_BYTES_MAX => format!(
                    "line {}: a key of {} bytes is longer than the {KEY_BYTES_MAX} allowed",
                    record.line,
                    record.key.len()
                ),
                Ok(Some(record)) => {
                    self.batch.put_in(&self.opened.family, &record.key, &record.value);
                    let full = self.batch.len() >= self.args.batch as usize;
                    if full || self.batch.bytes() >= BATCH_BYTES_MAX {
                        self.write()?;
                    }
                    continue;
                }
                Err(tsv::Error::Malformed { line, .. }) if line < self.args.from_line => continue,
                Err(error @ tsv::Error::Malformed { .. }) => error.to_string(),
                Err(error) => return Err(error.into()),
            };
            if self.args.on_error == OnError::Stop {
                return Err(Failure::Request(fault));
            }
            self.skip(&fault);
        }
    }

    /// Writes the batch, if there is anything in it.
    fn write(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let records = batch.len() as u64;
        self.opened.db.write(batch)?;
        self.records += records;
        self.progress.at(self.reader.bytes(), self.records);
        Ok(())
    }

    fn skip(&mut self, fault: &str) {
        self.skipped += 1;
        if self.skipped <= NAMED_MAX {
            self.progress.say(&format!("skipped {fault}"));
        } else if self.skipped == NAMED_MAX + 1 {
            self.progress.say("skipped more lines, which are only counted from here on");
        }
    }
}

/// What a load has done.
struct Report {
    records: u64,
    skipped: u64,
    bytes: u64,
    time: Duration,
}

impl Report {
    fn print(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        let Self { records, skipped, bytes, time } = self;
        if terminal.json {
            return terminal.json_line(&json!({
                "records": records, "skipped": skipped, "bytes": bytes,
                "seconds": time.as_secs_f64(), "memory_peak_bytes": peak_memory(),
            }));
        }
        let skipped = match skipped {
            0 => String::new(),
            lines => format!(", skipped {} malformed lines", Count(*lines)),
        };
        terminal.line(format_args!(
            "loaded {} records ({}) in {}: {} records/s, {}/s{skipped}",
            Count(*records),
            Bytes(*bytes),
            Time(*time),
            per_second(*records, *time),
            Bytes(per_second(*bytes, *time).0),
        ))
    }
}
