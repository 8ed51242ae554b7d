//! The three parts of the statistics: live pairs, entries of each level, and a dump of them.
//!
//! ```text
//! Logical Pairs: 12
//! LVL1: 3, LVL3: 11
//! 45:56:L1 56:84:L1 91:45:L1
//! 7:32:L3 19:73:L3 32:TOMBSTONE:L3 ...
//! ```
//!
//! L0 is the memory buffer. It is flushed first, so that the dump is all in tables, which do not
//! change while they are read; the first level of the tree is L1. Counts and dump include
//! tombstones and superseded versions.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::RangeFull;
use std::sync::Arc;

use lsm::Db;
use sstable::{Cursor, Expect, Kind, ReadOptions, Table, TableCursor};

use crate::framing::Framing;
use crate::pair::{Width, push_number};
use crate::session::foreign;

/// How often the tree may change under us before we give up.
const TRIES: usize = 20;

/// A dump in progress.
#[derive(Debug)]
pub(crate) struct StatsAnswer {
    width: Width,
    framing: Framing,
    /// Entries that may still be printed of the level in hand.
    left: u64,
    limit: u64,
    levels: VecDeque<LevelTables>,
    cursor: Option<TableCursor>,
    first: bool,
}

#[derive(Debug)]
struct LevelTables {
    rank: usize,
    tables: VecDeque<Arc<Table>>,
}

impl StatsAnswer {
    /// Prints the counts and prepares the dump of at most `limit` entries a level.
    pub(crate) fn begin(
        db: &Db,
        width: Width,
        framing: Framing,
        limit: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<StatsAnswer, String> {
        let (counts, levels) = open_levels(db, limit != Some(0))?;
        let pairs = count_pairs(db)?;
        out.extend_from_slice(format!("Logical Pairs: {pairs}").as_bytes());
        framing.push_line_end(out);
        let counts: Vec<String> =
            counts.iter().map(|(rank, count)| format!("LVL{rank}: {count}")).collect();
        if !counts.is_empty() {
            out.extend_from_slice(counts.join(", ").as_bytes());
            framing.push_line_end(out);
        }
        let limit = limit.unwrap_or(u64::MAX);
        Ok(StatsAnswer { width, framing, left: limit, limit, levels, cursor: None, first: true })
    }

    /// Goes on until everything is printed (`true`) or `out` holds `bytes`.
    pub(crate) fn more(&mut self, out: &mut Vec<u8>, bytes: usize) -> Result<bool, String> {
        while let Some(level) = self.levels.front_mut() {
            let rank = level.rank;
            if self.cursor.is_none() && self.left > 0 {
                let options = ReadOptions { fill_cache: false, ..ReadOptions::default() };
                if let Some(table) = level.tables.pop_front() {
                    let mut cursor = TableCursor::new(table, options);
                    cursor.seek_to_first().map_err(|error| error.to_string())?;
                    self.cursor = Some(cursor);
                }
            }
            if self.cursor.is_some() {
                if !self.push_entries(rank, out, bytes)? {
                    return Ok(false);
                }
                continue;
            }
            if !self.first {
                self.framing.push_line_end(out);
            }
            (self.first, self.left) = (true, self.limit);
            self.levels.pop_front();
        }
        self.framing.push_lines_end(out);
        Ok(true)
    }

    /// Prints entries of the table in hand; `false` if `out` is full before its end.
    fn push_entries(
        &mut self,
        rank: usize,
        out: &mut Vec<u8>,
        bytes: usize,
    ) -> Result<bool, String> {
        let Some(cursor) = &mut self.cursor else { return Ok(true) };
        while cursor.valid() && self.left > 0 {
            if out.len() >= bytes {
                return Ok(false);
            }
            let key = self.width.decode(cursor.key()).ok_or_else(|| foreign(cursor.key()))?;
            if !self.first {
                out.push(b' ');
            }
            self.first = false;
            push_number(out, key);
            out.push(b':');
            if cursor.trailer().kind() == Some(Kind::Put) {
                let value = self.width.decode(cursor.value());
                push_number(out, value.ok_or_else(|| foreign(cursor.value()))?);
            } else {
                out.extend_from_slice(b"TOMBSTONE");
            }
            out.extend_from_slice(b":L");
            push_number(out, i64::try_from(rank).unwrap_or(i64::MAX));
            self.left -= 1;
            cursor.next().map_err(|error| error.to_string())?;
        }
        self.cursor = None;
        Ok(true)
    }
}

type Counts = Vec<(usize, u64)>;

/// Flushes, and opens the tables of every level; once more if compaction removes one meanwhile.
fn open_levels(db: &Db, dump: bool) -> Result<(Counts, VecDeque<LevelTables>), String> {
    db.flush().map_err(|error| error.to_string())?;
    let mut last_error = String::new();
    for _ in 0..TRIES {
        match try_open_levels(db, dump) {
            Ok(opened) => return Ok(opened),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

fn try_open_levels(db: &Db, dump: bool) -> Result<(Counts, VecDeque<LevelTables>), String> {
    let (mut counts, mut levels) = (Counts::new(), VecDeque::new());
    for (rank, level) in db.shape().levels.iter().enumerate() {
        let entries = level.entries();
        if entries == 0 {
            continue;
        }
        counts.push((rank + 1, entries));
        let mut tables = VecDeque::new();
        for table in level.tables().filter(|_| dump) {
            tables.push_back(Arc::new(open_table(db, table.number, table.bytes)?));
        }
        levels.push_back(LevelTables { rank: rank + 1, tables });
    }
    Ok((counts, levels))
}

fn open_table(db: &Db, number: u64, bytes: u64) -> Result<Table, String> {
    let name = format!("{number:06}.sst");
    let file = File::open(db.path().join(&name)).map_err(|error| format!("{name}: {error}"))?;
    let expect = Expect { table_id: None, file_bytes: Some(bytes) };
    Table::open(Arc::new(file), &name, expect, None).map_err(|error| error.to_string())
}

fn count_pairs(db: &Db) -> Result<u64, String> {
    let mut cursor = db.cursor::<&[u8]>(RangeFull).map_err(|error| error.to_string())?;
    cursor.seek_to_first().map_err(|error| error.to_string())?;
    let mut pairs = 0;
    while cursor.valid() {
        pairs += 1;
        cursor.next().map_err(|error| error.to_string())?;
    }
    Ok(pairs)
}
