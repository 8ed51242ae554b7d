//! What the demo prints, as it goes.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use server::stats_json;

use crate::engine::{Db, Options};
use crate::failure::Failure;
use crate::picture;
use crate::terminal::{Style, Terminal};
use crate::units::{Bytes, Count, Time};

/// The demo's output: lines for a person, or one JSON object at the end.
pub(crate) struct Show<'a> {
    terminal: &'a mut Terminal,
    started: Instant,
    steps: u32,
    proofs: u32,
    json: serde_json::Map<String, Value>,
}

impl<'a> Show<'a> {
    /// Prints to `terminal`.
    pub(crate) fn new(terminal: &'a mut Terminal) -> Self {
        Self {
            terminal,
            started: Instant::now(),
            steps: 0,
            proofs: 0,
            json: serde_json::Map::new(),
        }
    }

    /// Whether a person is watching.
    pub(crate) fn watched(&self) -> bool {
        self.terminal.watched
    }

    /// What is about to happen.
    pub(crate) fn title(&mut self, dir: &Path, options: &Options) -> Result<(), Failure> {
        let small = Bytes(options.write_buffer_bytes as u64);
        let table = Bytes(options.table_bytes);
        let name = self.terminal.style(Style::Bold, "lsm demo");
        self.line(format_args!("{name}  in {}", dir.display()))?;
        let why = format!("write buffer {small}, tables of {table}: small, so that a tree grows");
        self.note(&why)
    }

    /// A new part of the demo.
    pub(crate) fn step(&mut self, name: &str, about: &str) -> Result<(), Failure> {
        self.steps += 1;
        let head = self.terminal.style(Style::Bold, format_args!("{}  {name}", self.steps));
        let about = self.terminal.style(Style::Dim, about);
        self.line("")?;
        self.line(format_args!("{head}  {about}"))
    }

    /// Something that was done or measured.
    pub(crate) fn fact(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        self.line(format_args!("   · {text}"))
    }

    /// Something that was proved.
    pub(crate) fn proof(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        self.proofs += 1;
        let mark = self.terminal.style(Style::Good, "✓");
        self.line(format_args!("   {mark} {text}"))
    }

    /// The tree.
    pub(crate) fn tree(&mut self, db: &Db, options: &Options) -> Result<(), Failure> {
        if self.terminal.json {
            return Ok(());
        }
        let full = options.write_buffer_bytes as u64;
        let columns = self.terminal.columns.saturating_sub(3);
        let picture = picture::draw(&db.shape(), full, columns, self.terminal.paint);
        self.line("")?;
        picture
            .lines()
            .try_for_each(|line| self.line(format_args!("   {line}").to_string().trim_end()))
    }

    /// What the engine has done so far, behind the writes.
    pub(crate) fn work(&mut self, db: &Db) -> Result<(), Failure> {
        let stats = db.stats();
        self.json.insert("work".into(), stats_json(&stats));
        self.fact(format_args!(
            "behind it: {} flushes ({}), {} compactions (read {}, wrote {}), {} moved unread",
            Count(stats.flushes),
            Bytes(stats.flush_bytes),
            Count(stats.compactions),
            Bytes(stats.compaction_read_bytes),
            Bytes(stats.compaction_write_bytes),
            Count(stats.moves)
        ))?;
        let log = stats.write_bytes;
        let all = log + stats.flush_bytes + stats.compaction_write_bytes;
        self.fact(format_args!(
            "write amplification {:.2}: {} written for {} of writes, the log among it",
            all as f64 / log.max(1) as f64,
            Bytes(all),
            Bytes(log)
        ))?;
        self.fact(format_args!(
            "read amplification at most {}: so many sorted runs; filters skip most of them",
            stats.runs
        ))
    }

    /// How much room the tables take for `live_bytes` of keys and values.
    pub(crate) fn space(&mut self, db: &Db, live_bytes: u64) -> Result<(), Failure> {
        let stats = db.stats();
        self.json.insert("space".into(), stats_json(&stats));
        self.line("")?;
        self.fact(format_args!(
            "{} of keys and values in {} of tables: space amplification {:.2}, compressed",
            Bytes(live_bytes),
            Bytes(stats.table_bytes),
            stats.table_bytes as f64 / live_bytes.max(1) as f64
        ))
    }

    /// The end, and where to go on.
    pub(crate) fn end(&mut self, kept: Option<&Path>) -> Result<(), Failure> {
        let time = self.started.elapsed();
        if self.terminal.json {
            let mut object = std::mem::take(&mut self.json);
            object.insert("proofs".into(), json!(self.proofs));
            object.insert("seconds".into(), json!(time.as_secs_f64()));
            return self.terminal.json_line(&Value::Object(object));
        }
        let proofs = format!("{} proofs, none failed", self.proofs);
        let proofs = self.terminal.style(Style::Good, proofs);
        self.line("")?;
        self.line(format_args!("{proofs}, in {}", Time(time)))?;
        let Some(dir) = kept else { return Ok(()) };
        let dir = dir.display();
        self.note("the database is yours to look at:")?;
        self.note(&format!("  lsm -d {dir} scan --prefix SNOW"))?;
        self.note(&format!("  lsm -d {dir} shape"))
    }

    fn note(&mut self, text: &str) -> Result<(), Failure> {
        let text = self.terminal.style(Style::Dim, text);
        self.line(text)
    }

    /// A line for a person, at once.
    fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        if self.terminal.json {
            return Ok(());
        }
        self.terminal.line(text)?;
        self.terminal.flush()
    }
}
