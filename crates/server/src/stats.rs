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

use std::ops::RangeFull;

use lsm::Db;
use lsm::inspect::{Kind, StoredEntries, StoredEntry};

use crate::framing::Framing;
use crate::pair::{Width, push_number};
use crate::session::foreign;

/// A dump in progress.
#[derive(Debug)]
pub(crate) struct StatsAnswer {
    width: Width,
    framing: Framing,
    /// Entries that are printed of a level at most.
    limit: u64,
    /// Entries that may still be printed of the level in hand.
    left: u64,
    /// The level in hand; none before the first entry.
    level: Option<usize>,
    entries: StoredEntries,
}

impl StatsAnswer {
    /// Prints the counts and prepares the dump of at most `limit` entries a level.
    pub(crate) fn begin(
        db: &Db,
        width: Width,
        framing: Framing,
        limit: Option<u64>,
        out: &mut Vec<u8>,
    ) -> lsm::Result<StatsAnswer> {
        db.flush()?;
        let entries = db.stored_entries()?;
        let pairs = count_pairs(db)?;
        out.extend_from_slice(format!("Logical Pairs: {pairs}").as_bytes());
        framing.push_line_end(out);
        let counts = entries.levels().iter();
        let counts: Vec<String> =
            counts.map(|(level, count)| format!("LVL{}: {count}", level + 1)).collect();
        if !counts.is_empty() {
            out.extend_from_slice(counts.join(", ").as_bytes());
            framing.push_line_end(out);
        }
        let limit = limit.unwrap_or(u64::MAX);
        Ok(StatsAnswer { width, framing, limit, left: 0, level: None, entries })
    }

    /// Goes on until everything is printed (`true`) or `out` holds `bytes`.
    pub(crate) fn more(&mut self, out: &mut Vec<u8>, bytes: usize) -> Result<bool, String> {
        while self.limit > 0 {
            if out.len() >= bytes {
                return Ok(false);
            }
            let next = self.entries.next().map_err(|error| error.to_string())?;
            let Some(entry) = next else { break };
            if self.level == Some(entry.level) {
                out.push(b' ');
            } else {
                if self.level.is_some() {
                    self.framing.push_line_end(out);
                }
                (self.level, self.left) = (Some(entry.level), self.limit);
            }
            push_entry(entry, self.width, out)?;
            self.left -= 1;
            if self.left == 0 {
                self.entries.skip_level();
            }
        }
        if self.level.is_some() {
            self.framing.push_line_end(out);
        }
        self.framing.push_lines_end(out);
        Ok(true)
    }
}

/// Prints `key:value:Llevel`.
fn push_entry(entry: StoredEntry<'_>, width: Width, out: &mut Vec<u8>) -> Result<(), String> {
    let number = |bytes: &[u8]| width.decode(bytes).ok_or_else(|| foreign(bytes));
    push_number(out, number(entry.key)?);
    out.push(b':');
    if entry.kind == Kind::Put {
        push_number(out, number(entry.value)?);
    } else {
        out.extend_from_slice(b"TOMBSTONE");
    }
    out.extend_from_slice(b":L");
    push_number(out, i64::try_from(entry.level + 1).unwrap_or(i64::MAX));
    Ok(())
}

fn count_pairs(db: &Db) -> lsm::Result<u64> {
    let mut cursor = db.cursor::<&[u8]>(RangeFull)?;
    cursor.seek_to_first()?;
    let mut pairs = 0;
    while cursor.valid() {
        pairs += 1;
        cursor.next()?;
    }
    Ok(pairs)
}
