//! Where samples come from: a running server, or the files of a folder.
//!
//! A folder is only read: its manifest says which tables live, so what was flushed and merged
//! between two samples is the difference of two manifests. What happens in the memory of the
//! process that has it open cannot be seen from outside.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::sample::Sample;
use crate::engine::fs::StdFs;
use crate::engine::manifest::{FamilyState, Manifest};
use crate::engine::{LevelShape, RunShape, Shape, TableShape, wal};
use crate::failure::Failure;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer taken.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    connection: BufReader<TcpStream>,
}

impl Server {
    /// Connects, and shows the token if there is one.
    pub(crate) fn connect(address: SocketAddr, token: Option<&str>) -> Result<Self, Failure> {
        let refuse = |source| Failure::Io { what: format!("connect to {address}"), source };
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(refuse)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(refuse)?;
        stream.set_nodelay(true).map_err(refuse)?;
        let mut server = Self { address, connection: BufReader::new(stream) };
        if let Some(token) = token {
            let answer = server.ask(&format!("auth {token}\n"))?;
            if answer.trim_end() != "OK" {
                return Err(Failure::Request(format!("{address}: {}", answer.trim_end())));
            }
        }
        Ok(server)
    }

    fn ask(&mut self, line: &str) -> Result<String, Failure> {
        let address = self.address;
        let refuse = |source| Failure::Io { what: format!("talk to {address}"), source };
        self.connection.get_mut().write_all(line.as_bytes()).map_err(refuse)?;
        let mut answer = String::new();
        self.connection.by_ref().take(ANSWER_BYTES_MAX).read_line(&mut answer).map_err(refuse)?;
        Ok(answer)
    }

    /// Asks for what the server does now. The framings `line` and `silent` are understood.
    pub(crate) fn sample(&mut self) -> Result<Sample, Failure> {
        let answer = self.ask("json\n")?;
        let report = serde_json::from_str::<Value>(&answer).ok().and_then(Sample::from_report);
        report.ok_or_else(|| {
            let said: String = answer.trim_end().chars().take(80).collect();
            Failure::Request(format!("{}: no answer to `json`, but {said:?}", self.address))
        })
    }
}

/// A folder that is read.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    family: String,
    started: Instant,
    /// Numbers of the tables that lived at the last look, with their levels.
    known: Option<BTreeMap<u64, usize>>,
    flushed: Work,
    merged: Work,
}

/// Tables that were made.
#[derive(Debug, Default, Clone, Copy)]
struct Work {
    tables: u64,
    bytes: u64,
}

impl Folder {
    pub(crate) fn new(path: &Path, family: &str) -> Self {
        Self {
            path: path.to_path_buf(),
            family: family.to_owned(),
            started: Instant::now(),
            known: None,
            flushed: Work::default(),
            merged: Work::default(),
        }
    }

    /// Reads the manifest and the sizes of the logs.
    pub(crate) fn sample(&mut self) -> Result<Sample, Failure> {
        let contents = Manifest::read(&StdFs::new(), &self.path)?;
        let state = &contents.state;
        let family = state.families.values().find(|family| family.name == self.family);
        let family = family.ok_or_else(|| {
            let names: Vec<&str> = state.families.values().map(|f| f.name.as_str()).collect();
            let names = names.join(", ");
            Failure::Request(format!("there is no family {}; there are {names}", self.family))
        })?;
        let shape = shape(family);
        self.compare(&shape);
        let sum = |of: fn(&TableShape) -> u64| -> u64 {
            shape.levels.iter().flat_map(LevelShape::tables).map(of).sum()
        };
        // A log may be gone by now: then its writes are in tables.
        let log_bytes = |log: &u64| std::fs::metadata(wal::log_path(&self.path, *log));
        let logs: u64 = state.logs.iter().filter_map(|log| Some(log_bytes(log).ok()?.len())).sum();
        let report = json!({
            "stats": {
                "tables": sum(|_| 1), "table_bytes": sum(|table| table.bytes),
                "table_raw_bytes": sum(|table| table.raw_bytes),
                "table_entries": sum(|table| table.entries),
                "table_tombstones": sum(|table| table.tombstones),
                "runs": shape.levels.iter().map(|level| level.runs.len()).sum::<usize>(),
                "seqno": state.last_seqno, "flushes": self.flushed.tables,
                "flush_bytes": self.flushed.bytes, "compactions": self.merged.tables,
                "compaction_write_bytes": self.merged.bytes, "edits": contents.edit,
            },
            "logs": state.logs.len(), "log_bytes": logs,
        });
        let seconds = self.started.elapsed().as_secs_f64();
        Ok(Sample { seconds, report, shape, compacting: Vec::new() })
    }

    /// Counts the tables that are new since the last look: in level 0 they were flushed.
    fn compare(&mut self, shape: &Shape) {
        let mut lives = BTreeMap::new();
        for (level, held) in shape.levels.iter().enumerate() {
            for table in held.tables() {
                lives.insert(table.number, level);
                if self.known.as_ref().is_none_or(|known| known.contains_key(&table.number)) {
                    continue;
                }
                let work = if level == 0 { &mut self.flushed } else { &mut self.merged };
                work.tables += 1;
                work.bytes += table.bytes;
            }
        }
        self.known = Some(lives);
    }
}

/// The family's tree, as the manifest tells it.
fn shape(family: &FamilyState) -> Shape {
    let mut shape = Shape::default();
    for level in &family.levels {
        let mut drawn = LevelShape::default();
        for run in &level.runs {
            let mut tables = RunShape::default();
            tables.id = run.id;
            tables.tables = run
                .tables
                .iter()
                .map(|record| {
                    let mut table = TableShape::default();
                    (table.number, table.bytes) = (record.number, record.file_bytes);
                    (table.raw_bytes, table.entries) = (record.data_bytes, record.entries);
                    table.tombstones = record.tombstones;
                    (table.smallest, table.largest) =
                        (record.smallest.clone(), record.largest.clone());
                    table
                })
                .collect();
            drawn.runs.push(tables);
        }
        shape.levels.push(drawn);
    }
    shape
}
