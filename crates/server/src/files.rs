//! Files that clients name: which may be read, and what is in them.
//!
//! A load file has no header: pairs of two little-endian numbers, key then value; a partial pair at
//! the end is ignored, and later pairs win. A command file is lines of the language.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use lsm::{Db, WriteBatch};

use crate::pair::Width;
use crate::session::{Flow, Session};

/// Where `l` and `b` may read files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LoadFrom {
    /// Nowhere: both commands are refused.
    #[default]
    Nowhere,
    /// In this folder and below; neither `..` nor a symbolic link leads out of it.
    Folder(PathBuf),
    /// Anywhere that the process may read; relative to its working directory. For one's own files.
    Anywhere,
}

/// Pairs that are written as one batch.
const BATCH_PAIRS: usize = 4096;
/// Bytes of a line in a command file.
const LINE_BYTES_MAX: u64 = 1 << 16;

/// Opens a file that a client named.
pub(crate) fn open(from: &LoadFrom, path: &str, bytes_max: u64) -> Result<File, String> {
    let missing = |_| format!("there is no file {path:?} to read here");
    let real = match from {
        LoadFrom::Nowhere => return Err("this session may read no files".to_owned()),
        LoadFrom::Anywhere => std::fs::canonicalize(path).map_err(missing)?,
        LoadFrom::Folder(folder) => {
            let folder = std::fs::canonicalize(folder).map_err(missing)?;
            let real = std::fs::canonicalize(folder.join(path)).map_err(missing)?;
            // The same words as for a missing file: nobody learns what lies outside.
            if !real.starts_with(&folder) {
                return Err(format!("there is no file {path:?} to read here"));
            }
            real
        }
    };
    // Before opening: a pipe would wait for a writer.
    let meta = std::fs::metadata(&real).map_err(missing)?;
    if !meta.is_file() {
        return Err(format!("{path:?} is not a file"));
    }
    if meta.len() > bytes_max {
        return Err(format!(
            "{path:?} has {} bytes, more than the {bytes_max} allowed",
            meta.len()
        ));
    }
    File::open(&real).map_err(|error| format!("cannot open {path:?}: {error}"))
}

/// Puts all pairs of a load file.
pub(crate) fn load(db: &Db, file: File, width: Width) -> Result<(), String> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut pair, mut batch, mut count) = ([0u8; 16], WriteBatch::new(), 0u64);
    let pair = &mut pair[..2 * width.bytes()];
    loop {
        let whole = read_pair(&mut reader, pair).map_err(|e| told(&e, count))?;
        if whole {
            let (key, value) = pair.split_at(width.bytes());
            let numbers = width.decode_loaded(key).zip(width.decode_loaded(value));
            if let Some((key, value)) = numbers {
                batch.put(width.encode(key), width.encode(value));
            }
        }
        if batch.len() >= BATCH_PAIRS || !whole && !batch.is_empty() {
            let pairs = batch.len() as u64;
            db.write(std::mem::take(&mut batch)).map_err(|e| told(&e, count))?;
            count += pairs;
        }
        if !whole {
            return Ok(());
        }
    }
}

fn told(error: &dyn std::fmt::Display, count: u64) -> String {
    format!("stopped after {count} pairs: {error}")
}

/// Fills `pair`; `false` at the end, with or without a partial pair.
fn read_pair(reader: &mut impl Read, pair: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(pair) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs the lines of a command file; the answers go nowhere.
pub(crate) fn run(file: File, session: &mut Session) -> Result<(), String> {
    let mut reader = BufReader::new(file);
    let (mut line, mut number, mut first_failure) = (Vec::new(), 0u64, None);
    let mut unheard = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let length = read.map_err(|error| format!("line {}: {error}", number + 1))?;
        if length == 0 {
            break;
        }
        number += 1;
        if length as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            return Err(format!("line {number} is longer than {LINE_BYTES_MAX} bytes"));
        }
        let bare = line.strip_suffix(b"\n").unwrap_or(&line);
        let mut flow = session.take(bare, &mut unheard);
        while flow == Flow::Answering {
            unheard.clear();
            flow = session.more(&mut unheard, 1 << 16);
        }
        unheard.clear();
        if session.failures() > 0 {
            first_failure = first_failure.or(Some(number));
        }
        if flow == Flow::Quit {
            break;
        }
    }
    session.settle(&mut unheard);
    match (session.failures(), first_failure.unwrap_or(number)) {
        (0, _) => Ok(()),
        (count, line) => {
            Err(format!("{count} commands failed, the first at or before line {line}"))
        }
    }
}
