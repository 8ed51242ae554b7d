//! Loading sorted data in the simulated world: bulk loads, and tables written by somebody else.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use lsm::fs::Fs;
use lsm::{Family, LoadReport};
use rand::Rng;
use sstable::{Codec, Kind, TableWriter, Trailer, WriteOptions};

use super::tally::Fate;
use super::{Outcome, World};
use crate::history::{Batch, Change};

/// Where others write tables: on the same disk, in a folder of their own.
const FOLDER: &str = "/disk/made";

impl World {
    /// Ascending keys of one family: all there are, some in a row, or some between two others,
    /// so that a load finds a gap.
    fn ascending_keys(&mut self) -> (bool, Vec<Vec<u8>>) {
        let second = self.other.is_some() && self.below(3) == 0;
        let family = if second { 'o' } else { 'd' };
        let first = self.below(48);
        let name = |n: usize| format!("{family}/key{n:02}").into_bytes();
        let keys: Vec<Vec<u8>> = match self.below(4) {
            0 => (0..48).map(name).collect(),
            1 => (first..48.min(first + 12)).map(name).collect(),
            2 => (first..48.min(first + 3)).map(name).collect(),
            _ => (0..4).map(|n| format!("{family}/key{first:02}+{n}").into_bytes()).collect(),
        };
        let mut kept = vec![keys[0].clone()];
        kept.extend(keys.into_iter().skip(1).filter(|_| self.random.random_bool(0.7)));
        (second, kept)
    }

    /// Sorted changes. The first is a put of a value that no other write has: the load's marker.
    fn sorted(&mut self, deletes: bool) -> (bool, Batch) {
        let (second, keys) = self.ascending_keys();
        let number = self.written;
        self.written += 1;
        let large = self.below(2) == 0;
        let change = |(n, key)| {
            if deletes && n > 0 && self.random.random_bool(0.2) {
                return Change::Delete(key);
            }
            let mut value = format!("w{number} loaded").into_bytes();
            if large {
                value.resize(self.random.random_range(300..1500), b'-');
            }
            Change::Put(key, value)
        };
        (second, keys.into_iter().enumerate().map(change).collect())
    }

    fn second(&self) -> &Family {
        self.other.as_ref().expect("only then are there such keys")
    }

    /// Loads sorted entries: one write, and durable at once, with all before it.
    pub(super) fn load(&mut self) -> Outcome {
        let (second, batch) = self.sorted(false);
        let entries: Vec<(&[u8], &[u8])> = batch
            .iter()
            .filter_map(|change| match change {
                Change::Put(key, value) => Some((&key[2..], &value[..])),
                _ => None,
            })
            .collect();
        let answer =
            if second { self.second().bulk_load(entries) } else { self.db().bulk_load(entries) };
        let name = self.written - 1;
        self.tell(&format!("load w{name}"), "bulk load", &answer);
        self.loaded("load", answer, batch)
    }

    /// Takes tables that others have written, sometimes a damaged one among them.
    pub(super) fn ingest(&mut self) -> Outcome {
        let (second, batch) = self.sorted(true);
        let tables = 1 + self.below(3);
        let pieces = batch.chunks(batch.len().div_ceil(tables));
        let mut paths: Vec<PathBuf> = Vec::new();
        for piece in pieces {
            let path = format!("{FOLDER}/{}-{}.sst", self.written, paths.len());
            let bytes = self.table(&path, piece);
            let path = PathBuf::from(path);
            if !self.is_put(&path, &bytes) {
                // The disk is full: nobody has a table to take.
                self.remove_tables(&paths);
                return Ok(());
            }
            paths.push(path);
        }
        if self.below(2) == 0 {
            paths.reverse();
        }
        let damaged = self.below(8) == 0;
        if damaged {
            let path = &paths[self.below(paths.len())];
            let bytes = self.disk.contents(path).expect("just written").len();
            let (at, bit) = (self.below(bytes) as u64, 1 << self.below(8));
            self.disk.flip(path, at, bit).expect("it is there");
        }
        let before: Vec<Vec<u8>> =
            paths.iter().map(|path| self.disk.contents(path).expect("there")).collect();
        let answer = if second { self.second().ingest(&paths) } else { self.db().ingest(&paths) };
        let name = self.written - 1;
        let kind = if damaged { "ingest of damage" } else { "ingest" };
        self.tell(&format!("{kind} w{name}, {} tables", paths.len()), kind, &answer);
        for (path, before) in paths.iter().zip(before) {
            let after = self.disk.contents(path).map_err(|error| format!("a table: {error}"))?;
            if after != before {
                return Err(format!("{} was changed", path.display()));
            }
        }
        self.remove_tables(&paths); // the database has its own copies
        match answer {
            Ok(_) if damaged => Err("a damaged table was taken".into()),
            Err(_) if damaged => Ok(()),
            answer => self.loaded("ingest", answer, batch),
        }
    }

    fn loaded(&mut self, what: &str, answer: lsm::Result<LoadReport>, batch: Batch) -> Outcome {
        let level = answer.as_ref().ok().map(|report| report.level);
        let acknowledged = level.is_some() && !self.fs.is_dead();
        self.settle(what, answer, batch)?;
        if acknowledged {
            let deep = level.is_some_and(|level| level > 0);
            self.tally.count(if deep { "load into a gap" } else { "load on top" }, Fate::Done);
            self.history.survive(self.history.len());
        }
        Ok(())
    }

    /// A table of these changes, as another program would write it.
    fn table(&mut self, path: &str, piece: &[Change]) -> Vec<u8> {
        let options = WriteOptions {
            block_bytes: [512, 4096][self.below(2)],
            codec: [Codec::None, Codec::Lz4][self.below(2)],
            ..WriteOptions::default()
        };
        let made = "a table of puts and deletes";
        let mut writer =
            TableWriter::new(Vec::new(), path, self.random.random(), &options).expect(made);
        for change in piece {
            // Their own numbers mean nothing here.
            let number = self.random.random_range(1..1000);
            match change {
                Change::Put(key, value) => {
                    writer.add(&key[2..], Trailer::new(number, Kind::Put), value).expect(made);
                }
                Change::Delete(key) => {
                    writer.add(&key[2..], Trailer::new(number, Kind::Delete), b"").expect(made);
                }
                Change::DeleteRange(..) => unreachable!("tables hold puts and deletes"),
            }
        }
        writer.finish().expect(made).1
    }

    /// Writes a file beside the database; false if there is no room for it.
    fn is_put(&self, path: &Path, bytes: &[u8]) -> bool {
        self.disk.create_dir_all(FOLDER.as_ref()).expect("a folder");
        let mut file = self.disk.create(path).expect("a new name");
        let whole = file.write_all(bytes).and_then(|()| file.flush()).is_ok();
        if !whole {
            self.disk.remove(path).expect("it is there");
        }
        whole
    }

    fn remove_tables(&self, paths: &[PathBuf]) {
        for path in paths {
            self.disk.remove(path).expect("it is there");
        }
    }
}
