//! Bit rot: flipped and missing bytes in the files of a closed database never give wrong data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm::clock::ManualClock;
use lsm::compaction::Strategy;
use lsm::fs::{CrashMode, MemFs};
use lsm::scheduler::InlineScheduler;
use lsm::{Codec, Db, Durability, Env, Options};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::history::Model;

const PATH: &str = "/db";

fn env(fs: &MemFs) -> Env {
    Env {
        fs: Arc::new(fs.clone()),
        clock: Arc::new(ManualClock::new()),
        scheduler: Arc::new(InlineScheduler::new(1)),
    }
}

fn options(codec: Codec, block_cache_bytes: usize) -> Options {
    Options {
        durability: Durability::Sync,
        write_buffer_bytes: 8192,
        table_bytes: 4096,
        block_bytes: 512,
        strategy: Strategy::Leveled,
        codec,
        block_cache_bytes,
        ..Options::default()
    }
}

/// A closed database with tables in several levels and a log, and what it holds.
pub(crate) fn closed_database(codec: Codec) -> (MemFs, Model) {
    let (fs, mut model) = (MemFs::new(), Model::new());
    let db = Db::open_with(PATH, options(codec, 0), env(&fs)).expect("a new database");
    for n in 0..700_u32 {
        let key = format!("key{:03}", n * 7919 % 311).into_bytes();
        if n % 5 == 3 {
            db.delete(&key).expect("delete");
            model.remove(&key);
        } else {
            let value = format!("value {n} {}", "x".repeat(n as usize % 90)).into_bytes();
            db.put(&key, &value).expect("put");
            model.insert(key, value);
        }
        if n == 400 {
            db.wait_idle().expect("compactions");
        }
    }
    assert!(db.shape().levels.len() > 1, "several levels");
    db.close().expect("close");
    (fs, model)
}

/// What one piece of damage came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Opening it is refused.
    Refused,
    /// Some reads fail; the others are right.
    Partial,
    /// No read could tell: unused bytes, or bytes that are kept twice.
    Harmless,
}

/// Opens a damaged copy and reads everything in every way.
/// # Errors
/// What was wrong in an answer.
pub(crate) fn read_damaged(fs: &MemFs, model: &Model, codec: Codec) -> Result<Finding, String> {
    let Ok(db) = Db::open_with(PATH, options(codec, 1 << 20), env(fs)) else {
        return Ok(Finding::Refused);
    };
    let mut failed = db.verify().is_err();
    for n in 0..311 {
        let key = format!("key{n:03}").into_bytes();
        match db.get(&key) {
            Ok(found) if found.as_deref() == model.get(&key).map(|value| &value[..]) => {}
            Ok(found) => return Err(format!("get key{n:03}: {:?}", found.map(|v| v.to_vec()))),
            Err(_) => failed = true,
        }
    }
    let forward = db.scan::<&[u8]>(..).map_err(|error| error.to_string())?;
    failed |= !is_start(forward, model.iter())?;
    let backward = db.scan::<&[u8]>(..).map_err(|error| error.to_string())?.rev();
    failed |= !is_start(backward, model.iter().rev())?;
    Ok(if failed { Finding::Partial } else { Finding::Harmless })
}

/// Whether a scan gives exactly the expected entries; an error may end it early.
fn is_start<'a>(
    scan: impl Iterator<Item = lsm::Result<(lsm::Key, lsm::Value)>>,
    mut expected: impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>,
) -> Result<bool, String> {
    for entry in scan {
        let Ok((key, value)) = entry else { return Ok(false) };
        match expected.next() {
            Some((k, v)) if k[..] == key[..] && v[..] == value[..] => {}
            other => {
                let key = String::from_utf8_lossy(&key).into_owned();
                return Err(format!("a scan gives {key}, not {other:?}"));
            }
        }
    }
    match expected.next() {
        None => Ok(true),
        Some((key, _)) => Err(format!("a scan ends before {}", String::from_utf8_lossy(key))),
    }
}

/// One piece of damage to one file; returns what was done.
pub(crate) fn damage(fs: &MemFs, seed: u64) -> (PathBuf, String) {
    let mut random = StdRng::seed_from_u64(seed);
    let files: Vec<PathBuf> =
        fs.files().into_iter().filter(|path| !path.ends_with("LOCK")).collect();
    let path = files[random.random_range(0..files.len())].clone();
    let bytes = fs.contents(&path).expect("it is there").len() as u64;
    let at = random.random_range(0..bytes);
    let what = match random.random_range(0..10) {
        0 => {
            fs.cut(&path, at).expect("cut");
            format!("cut to {at} bytes")
        }
        1 => {
            let length = random.random_range(1..600).min(bytes - at);
            for offset in at..at + length {
                let old = fs.contents(&path).expect("it is there")
                    [usize::try_from(offset).expect("fits")];
                fs.flip(&path, offset, old).expect("flip");
            }
            format!("{length} zeros at {at}")
        }
        _ => {
            let mask = 1 << random.random_range(0..8);
            fs.flip(&path, at, mask).expect("flip");
            format!("byte {at} flipped by {mask}")
        }
    };
    (path, what)
}

/// A copy that damage does not spread from.
pub(crate) fn copy(fs: &MemFs) -> MemFs {
    fs.crash(0, CrashMode::KILL)
}

/// Removes one file of the database.
pub(crate) fn remove(fs: &MemFs, path: &Path) {
    lsm::fs::Fs::remove(fs, path).expect("it is there");
}
