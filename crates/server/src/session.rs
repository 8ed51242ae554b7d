//! One client's commands on the database, and the answers as bytes.
//!
//! 1. Answers come in the order of the commands.
//! 2. Puts and deletes that arrive together become one batch; they are answered when it is
//!    committed, and every other command commits them first. So a client reads its own writes, and
//!    an answer of OK means what the database's durability mode says.
//! 3. A long answer is made piece by piece ([`Session::more`]): memory stays bounded however many
//!    pairs there are.
//! 4. What is wrong with a command is answered with `Error: ...`, and the session goes on.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use lsm::{Db, DbCursor, WriteBatch};

use crate::files::{self, LoadFrom};
use crate::framing::Framing;
use crate::observe::{Observer, Timed, Watch};
use crate::pair::{Width, push_number};
use crate::parse::{Command, ParseError, parse};
use crate::stats::StatsAnswer;

/// How a session reads and answers.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The width of keys and values. Default: 32 bits.
    pub width: Width,
    /// How answers are marked off. Default: lines.
    pub framing: Framing,
    /// Where `l` and `b` may read. Default: nowhere.
    pub load_from: LoadFrom,
    /// Bytes of the largest file that `l` and `b` take. Default: 4 GiB.
    pub load_bytes_max: u64,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            width: Width::default(),
            framing: Framing::default(),
            load_from: LoadFrom::default(),
            load_bytes_max: 4 << 30,
        }
    }
}

/// Whether the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Take the next line.
    Continue,
    /// The answer is not complete: call [`Session::more`] before the next line.
    Answering,
    /// The client said goodbye.
    Quit,
}

/// Writes gathered before they are committed together.
const BATCH_WRITES: usize = 1024;

/// A client's side of the database.
#[derive(Debug)]
pub(crate) struct Session {
    db: Db,
    options: SessionOptions,
    writes: WriteBatch,
    answer: Option<Answer>,
    /// Commands that failed, for quiet runs.
    failures: u64,
    watch: Watch,
}

/// An answer that is not complete.
#[derive(Debug)]
enum Answer {
    Range { cursor: Box<DbCursor>, first: bool, begun: Option<Instant> },
    Stats(Box<StatsAnswer>),
}

impl Session {
    pub(crate) fn new(db: Db, options: SessionOptions) -> Session {
        let (writes, watch) = (WriteBatch::new(), Watch::default());
        Session { db, options, writes, answer: None, failures: 0, watch }
    }

    /// The same, of a server that keeps the times.
    pub(crate) fn observed(db: Db, options: SessionOptions, observer: Arc<Observer>) -> Session {
        Session { watch: Watch::new(observer), ..Session::new(db, options) }
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// Takes one line, without its line end, and appends what can be answered now.
    pub(crate) fn take(&mut self, line: &[u8], out: &mut Vec<u8>) -> Flow {
        match parse(line, self.options.width) {
            Ok(command) => self.execute(command, out),
            Err(ParseError::Empty) => Flow::Continue,
            Err(error) => {
                self.settle(out);
                self.fail(&error, out);
                Flow::Continue
            }
        }
    }

    fn execute(&mut self, command: Command, out: &mut Vec<u8>) -> Flow {
        let width = self.options.width;
        match command {
            Command::Put(key, value) => {
                self.writes.put(width.encode(key), width.encode(value));
                return self.gathered(out);
            }
            Command::Delete(key) => {
                self.writes.delete(width.encode(key));
                return self.gathered(out);
            }
            _ => self.settle(out),
        }
        match command {
            Command::Put(..) | Command::Delete(_) => {}
            Command::Get(key) => self.get(key, out),
            Command::Range(low, high) => return self.range((low, high), out),
            Command::Load(path) => self.load(&path, out),
            Command::Batch(path) => self.run_file(&path, out),
            Command::Flush => {
                let flushed = self.db.flush();
                self.acted(flushed, out);
            }
            Command::Info => return self.stats(Some(0), out),
            Command::Stats(limit) => return self.stats(limit, out),
            Command::Report => {
                let report = self.watch.report(&self.db, width);
                self.options.framing.push_text(out, report.as_bytes());
            }
            Command::Quit => {
                self.options.framing.push_done(out);
                return Flow::Quit;
            }
        }
        Flow::Continue
    }

    fn gathered(&mut self, out: &mut Vec<u8>) -> Flow {
        if self.writes.len() >= BATCH_WRITES {
            self.settle(out);
        }
        Flow::Continue
    }

    /// Commits the writes gathered so far and answers them.
    pub(crate) fn settle(&mut self, out: &mut Vec<u8>) {
        let count = self.writes.len();
        if count == 0 {
            return;
        }
        let batch = std::mem::take(&mut self.writes);
        let begun = self.watch.begin(Timed::Write);
        let written = self.db.write(batch);
        self.watch.end(Timed::Write, begun);
        for _ in 0..count {
            match &written {
                Ok(()) => self.options.framing.push_done(out),
                Err(error) => self.fail(error, out),
            }
        }
    }

    fn acted<E: std::fmt::Display>(&mut self, result: Result<(), E>, out: &mut Vec<u8>) {
        match result {
            Ok(()) => self.options.framing.push_done(out),
            Err(error) => self.fail(&error, out),
        }
    }

    /// Answers that a command failed.
    pub(crate) fn fail(&mut self, error: &dyn std::fmt::Display, out: &mut Vec<u8>) {
        self.failures += 1;
        // One line, whatever the error's own text holds.
        let text = format!("Error: {error}").replace(['\n', '\r'], " ");
        self.options.framing.push_text(out, text.as_bytes());
    }

    fn get(&mut self, key: i64, out: &mut Vec<u8>) {
        let (width, framing) = (self.options.width, self.options.framing);
        let begun = self.watch.begin(Timed::Get);
        let got = self.db.get(width.encode(key));
        self.watch.end(Timed::Get, begun);
        match got {
            Ok(None) => framing.push_nothing(out),
            Ok(Some(value)) => match width.decode(&value) {
                Some(number) => {
                    push_number(out, number);
                    framing.push_end(out);
                }
                None => self.fail(&foreign(&value), out),
            },
            Err(error) => self.fail(&error, out),
        }
    }

    fn range(&mut self, bounds: (i128, i128), out: &mut Vec<u8>) -> Flow {
        let Some(bounds) = encode_bounds(bounds, self.options.width) else {
            self.options.framing.push_nothing(out);
            return Flow::Continue;
        };
        let begun = self.watch.begin(Timed::Range);
        let opened = self.db.cursor(bounds).and_then(|mut cursor| {
            cursor.seek_to_first()?;
            Ok(cursor)
        });
        match opened {
            Ok(cursor) if cursor.valid() => {
                self.answer = Some(Answer::Range { cursor: Box::new(cursor), first: true, begun });
                Flow::Answering
            }
            Ok(_) => {
                self.watch.end(Timed::Range, begun);
                self.options.framing.push_nothing(out);
                Flow::Continue
            }
            Err(error) => {
                self.fail(&error, out);
                Flow::Continue
            }
        }
    }

    fn stats(&mut self, limit: Option<u64>, out: &mut Vec<u8>) -> Flow {
        match StatsAnswer::begin(&self.db, self.options.width, self.options.framing, limit, out) {
            Ok(answer) => {
                self.answer = Some(Answer::Stats(Box::new(answer)));
                Flow::Answering
            }
            Err(error) => {
                self.fail(&error, out);
                Flow::Continue
            }
        }
    }

    /// Goes on with an incomplete answer until it is complete or `out` holds `limit` bytes.
    pub(crate) fn more(&mut self, out: &mut Vec<u8>, limit: usize) -> Flow {
        let done = match &mut self.answer {
            None => true,
            Some(Answer::Range { cursor, first, begun }) => {
                let (width, framing) = (self.options.width, self.options.framing);
                let begun = *begun;
                match push_pairs(cursor, first, (width, framing), out, limit) {
                    Ok(done) => {
                        self.watch.end(Timed::Range, begun.filter(|_| done));
                        done
                    }
                    Err(error) => {
                        out.push(b' ');
                        self.fail(&error, out);
                        true
                    }
                }
            }
            Some(Answer::Stats(stats)) => match stats.more(out, limit) {
                Ok(done) => done,
                Err(error) => {
                    self.fail(&error, out);
                    self.options.framing.push_lines_end(out);
                    true
                }
            },
        };
        if done {
            self.answer = None;
            Flow::Continue
        } else {
            Flow::Answering
        }
    }

    fn load(&mut self, path: &str, out: &mut Vec<u8>) {
        let loaded = files::open(&self.options.load_from, path, self.options.load_bytes_max)
            .and_then(|file| files::load(&self.db, file, self.options.width));
        self.acted(loaded, out);
    }

    /// Runs the commands of a file and answers once.
    fn run_file(&mut self, path: &str, out: &mut Vec<u8>) {
        let opened = files::open(&self.options.load_from, path, self.options.load_bytes_max);
        // Files that name files could go round in a circle.
        let options = SessionOptions { load_from: LoadFrom::Nowhere, ..self.options.clone() };
        let mut quiet = Session::new(self.db.clone(), options);
        let run = opened.and_then(|file| files::run(file, &mut quiet));
        self.acted(run, out);
    }
}

/// Says that a stored value is no number of this width.
pub(crate) fn foreign(bytes: &[u8]) -> String {
    format!(
        "an entry of {} bytes was not written by this language, or in another width",
        bytes.len()
    )
}

type StoredBounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Returns the bounds in stored form; `None` if nothing can lie between them.
fn encode_bounds((low, high): (i128, i128), width: Width) -> Option<StoredBounds> {
    let (min, max) = (i128::from(width.min()), i128::from(width.max()));
    if low >= high || low > max || high <= min {
        return None;
    }
    let encode = |n: i128| i64::try_from(n).ok().map(|n| width.encode(n).as_ref().to_vec());
    let start = if low <= min { Bound::Unbounded } else { Bound::Included(encode(low)?) };
    let end = if high > max { Bound::Unbounded } else { Bound::Excluded(encode(high)?) };
    Some((start, end))
}

/// Appends pairs until the range is done (`true`) or `out` holds `limit` bytes.
fn push_pairs(
    cursor: &mut DbCursor,
    first: &mut bool,
    (width, framing): (Width, Framing),
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, String> {
    let told = |error: lsm::Error| error.to_string();
    while cursor.valid() {
        if out.len() >= limit {
            return Ok(false);
        }
        let key = width.decode(cursor.key()).ok_or_else(|| foreign(cursor.key()))?;
        let value = width.decode(cursor.value()).ok_or_else(|| foreign(cursor.value()))?;
        if !*first && !framing.trails_blank() {
            out.push(b' ');
        }
        *first = false;
        push_number(out, key);
        out.push(b':');
        push_number(out, value);
        if framing.trails_blank() {
            out.push(b' ');
        }
        cursor.next().map_err(told)?;
    }
    framing.push_end(out);
    Ok(true)
}
