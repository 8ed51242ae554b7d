//! `load`: a file of records into the database, in whole batches.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use server::Width;

use crate::args::{Cli, FormatArg, LoadArgs, OnError};

use crate::engine::{Family, FamilyOptions, KEY_BYTES_MAX, WriteBatch};
use crate::failure::Failure;
use crate::open::{Missing, Opened, open_family};
use crate::pairs;
use crate::progress::Progress;
use crate::terminal::{Terminal, say};
use crate::tsv;
use crate::units::{Bytes, Count, Time, peak_memory, per_second};

/// A batch is written when it holds this many bytes, however few records they are.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Malformed lines that are named one by one when they are skipped.
const NAMED_MAX: u64 = 10;

/// The family that holds how far resumable loads are; dropped with the last of them.
const MARKS: &str = ".loads";

/// Loads a file of records.
pub(crate) fn load(cli: &Cli, args: &LoadArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    // The file first: a wrong name should not leave an empty database behind.
    let (input, bytes) = open_input(&args.file)?;
    let opened = open_family(cli, Missing::Create)?;
    let mark = if args.resume { Some(Mark::of(&opened, &args.file)?) } else { None };
    let progress = Progress::new(terminal.watched, bytes);
    let mut load = Load::new(&opened, args, input, progress);
    load.first = mark.as_ref().map_or(0, |mark| mark.done).saturating_add(1).max(args.from_line);
    load.mark = mark;
    let resumed_at = (load.first > args.from_line).then_some(load.first);
    if let Some(first) = resumed_at {
        load.progress.say(&format!("going on from {} {}", args.format.unit(), Count(first)));
    }
    let started = Instant::now();
    let read = load.run();
    // What was read before a fault is kept, as a prefix of the file.
    let written = load.write();
    let Load { input, records, skipped, progress, mark, .. } = load;
    read.and(written).map_err(|failure| stopped(failure, records, args))?;
    progress.doing("writing what is left to tables");
    opened.db.flush()?;
    if let Some(mark) = mark {
        mark.remove(&opened)?;
    }
    drop(progress);
    let time = started.elapsed();
    let report = Report { records, skipped, resumed_at, bytes: input.bytes(), time };
    opened.db.close()?;
    report.print(terminal)
}

/// How far a resumable load of one file is: a record in a family of its own, written in the same
/// batches as the records, so that it is never ahead of them nor behind.
#[derive(Debug)]
struct Mark {
    family: Family,
    key: Vec<u8>,
    /// Lines or pairs that are in the database.
    done: u64,
}

impl Mark {
    fn of(opened: &Opened, file: &Path) -> Result<Self, Failure> {
        if file == Path::new("-") {
            let why = "--resume needs a file: standard input cannot be read again";
            return Err(Failure::Request(why.into()));
        }
        let path = file.canonicalize().map_err(|error| Failure::io("read", file, error))?;
        let key = path.as_os_str().as_encoded_bytes().to_vec();
        let db = &opened.db;
        let family = match db.family(MARKS)? {
            Some(family) => family,
            None => db.create_family(MARKS, FamilyOptions::from(&db.options()))?,
        };
        let mark = family.get(&key)?;
        let bytes = mark.as_deref().and_then(<[u8]>::first_chunk);
        let done = bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok(Self { family, key, done })
    }

    /// The load has ended well: the next begins from the start.
    fn remove(self, opened: &Opened) -> Result<(), Failure> {
        self.family.delete(&self.key)?;
        if self.family.scan::<&[u8]>(..)?.next().is_none() {
            opened.db.drop_family(MARKS)?;
        }
        Ok(())
    }
}

/// Adds to a failure how far the load came.
fn stopped(failure: Failure, records: u64, args: &LoadArgs) -> Failure {
    let file = args.file.display();
    let records = Count(records);
    match failure {
        Failure::Request(why) => Failure::Request(format!(
            "{file}: {why}\n     the {records} records before it are loaded; mend the line and go \
             on with --from-line (or --resume), or leave such lines out with --on-error skip"
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

/// Where records come from.
enum Input {
    Lines(tsv::Reader<Box<dyn BufRead>>),
    Pairs(pairs::Reader<Box<dyn BufRead>>),
}

impl Input {
    fn bytes(&self) -> u64 {
        match self {
            Self::Lines(reader) => reader.bytes(),
            Self::Pairs(reader) => reader.bytes(),
        }
    }
}

/// A load under way.
struct Load<'a> {
    opened: &'a Opened,
    args: &'a LoadArgs,
    input: Input,
    progress: Progress,
    batch: WriteBatch,
    /// The first line or pair that is loaded, counted from 1.
    first: u64,
    /// Lines or pairs that are written, in the batch, or left out.
    done: u64,
    mark: Option<Mark>,
    /// Records written, that is acknowledged by the engine.
    records: u64,
    skipped: u64,
}

impl<'a> Load<'a> {
    fn new(
        opened: &'a Opened,
        args: &'a LoadArgs,
        input: Box<dyn BufRead>,
        progress: Progress,
    ) -> Self {
        let lines = |input, format| {
            let reader = tsv::Reader::with_line_bytes_max(input, args.line_max);
            Input::Lines(reader.in_format(format))
        };
        let input = match args.format {
            FormatArg::Tsv => lines(input, tsv::Format::Tsv),
            FormatArg::Json => lines(input, tsv::Format::Json),
            FormatArg::Pairs => Input::Pairs(pairs::Reader::new(input, Width::Bits32)),
            FormatArg::Pairs64 => Input::Pairs(pairs::Reader::new(input, Width::Bits64)),
        };
        Self {
            opened,
            args,
            input,
            progress,
            batch: WriteBatch::new(),
            first: 1,
            done: 0,
            mark: None,
            records: 0,
            skipped: 0,
        }
    }

    /// Reads to the end, or to what stops the load, writing every full batch.
    fn run(&mut self) -> Result<(), Failure> {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Failure::Request(fault)) if self.args.on_error == OnError::Skip => {
                    self.skip(&fault);
                }
                Err(failure) => return Err(failure),
            }
            if self.batch.len() >= self.args.batch as usize || self.batch.bytes() >= BATCH_BYTES_MAX
            {
                self.write()?;
            }
        }
    }

    /// Takes the next record into the batch; `false` at the end.
    fn step(&mut self) -> Result<bool, Failure> {
        let (first, family) = (self.first, &self.opened.family);
        match &mut self.input {
            Input::Lines(reader) => match reader.record() {
                Ok(None) => return Ok(false),
                Ok(Some(record)) if record.line < first => {}
                Ok(Some(record)) if record.key.len() > KEY_BYTES_MAX => {
                    return Err(Failure::Request(format!(
                        "line {}: a key of {} bytes is longer than the {KEY_BYTES_MAX} allowed",
                        record.line,
                        record.key.len()
                    )));
                }
                Ok(Some(record)) => {
                    self.batch.put_in(family, &record.key, &record.value);
                    self.done = record.line;
                }
                Err(tsv::Error::Malformed { line, .. }) if line < first => {}
                Err(error) => return Err(error.into()),
            },
            Input::Pairs(reader) => {
                let read =
                    reader.pair().map_err(|error| Failure::io("read", &self.args.file, error))?;
                let Some((key, value)) = read else {
                    if reader.rest() > 0 {
                        let rest = reader.rest();
                        self.progress
                            .say(&format!("left out {rest} bytes at the end: no whole pair"));
                    }
                    return Ok(false);
                };
                if reader.pairs() >= first {
                    self.batch.put_in(family, key, value);
                    self.done = reader.pairs();
                }
            }
        }
        Ok(true)
    }

    /// Writes the batch, if there is anything in it, with the mark.
    fn write(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        let records = batch.len() as u64;
        if let Some(mark) = &self.mark {
            batch.put_in(&mark.family, &mark.key, self.done.to_le_bytes());
        }
        self.opened.db.write(batch)?;
        self.records += records;
        self.progress.at(self.input.bytes(), self.records);
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
    resumed_at: Option<u64>,
    bytes: u64,
    time: Duration,
}

impl Report {
    fn print(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        let Self { records, skipped, bytes, time, .. } = self;
        if terminal.json {
            return terminal.json_line(&json!({
                "records": records, "skipped": skipped, "bytes": bytes,
                "seconds": time.as_secs_f64(), "memory_peak_bytes": peak_memory(),
                "resumed_at": self.resumed_at,
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
