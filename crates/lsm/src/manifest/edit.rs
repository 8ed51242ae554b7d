//! One step of the database's history: what a flush, a compaction or an opening changes.
//!
//! ```text
//! edit  := field *
//! field := tag: u8 | length: u32 | length bytes        (all numbers little-endian)
//!   1 added      family u32, level u32, run u64, number, table id, file bytes, entries,
//!                tombstones, data bytes, min seqno, max seqno, created at (us), tombstones
//!                since (us), range deletes applied up to seqno: u64 each, smallest, largest
//!                (each: length u32, bytes)
//!   2 removed    number u64
//!   3 moved      number u64, level u32, run u64
//!   4 run order  family u32, level u32, run u64 *       (newest first)
//!   5 added log  number u64           6 dropped log  number u64
//!   7 next file number u64            8 next run id u64
//!   9 flushed seqno u64              10 last seqno u64
//!  11 options fingerprint u64        12 reason: UTF-8
//!  13 added family    id u32, name, options (each: length u32, UTF-8)
//!  14 dropped family  id u32         15 next family id u64
//!  16 added range delete    family u32, sequence number u64, start, end (each: length, bytes)
//!  17 removed range delete  family u32, sequence number u64
//!  18 family options        id u32, options (length u32, UTF-8)      (from version 2 on)
//! ```
//!
//! 1. Unknown tags are refused: a later version wrote something that this build would lose. So is
//!    a tag that the file's version does not have.
//! 2. Tags 7 to 12 and 15 occur at most once; the others repeat.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::sync::Arc;

use sstable::SeqNo;

/// A live table, as the manifest knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableRecord {
    /// The number in the file's name.
    pub number: u64,
    /// The id that the table's checksums cover.
    pub table_id: u64,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Entries, tombstones included.
    pub entries: u64,
    /// Deletions among the entries.
    pub tombstones: u64,
    /// Bytes of keys and values before compression.
    pub data_bytes: u64,
    /// Smallest sequence number.
    pub min_seqno: SeqNo,
    /// Largest sequence number.
    pub max_seqno: SeqNo,
    /// When the table was made, in microseconds since 1970.
    pub created_at_us: u64,
    /// When the oldest tombstone in it may have been written, in microseconds since 1970.
    pub tombstones_since_us: u64,
    /// Range deletes up to this sequence number hide nothing in it.
    pub ranges_applied: SeqNo,
    /// Smallest user key.
    pub smallest: Vec<u8>,
    /// Largest user key.
    pub largest: Vec<u8>,
}

/// A new family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedFamily {
    /// Its id; never used again, even after it is dropped.
    pub id: u32,
    /// Its name, unique among the living.
    pub name: String,
    /// Its options, in words that the database understands.
    pub options: String,
}

/// Other options for a living family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFamily {
    /// Its id.
    pub id: u32,
    /// All of its options from now on, as in [`AddedFamily::options`].
    pub options: String,
}

/// A new table and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedTable {
    /// The family.
    pub family: u32,
    /// The level, 0 for the newest.
    pub level: u32,
    /// The run in it; a run that does not exist yet becomes the newest of its level.
    pub run: u64,
    /// The table.
    pub table: Arc<TableRecord>,
}

/// A deleted range of keys that hides entries of some table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedRangeDelete {
    /// The family.
    pub family: u32,
    /// Its sequence number; no two of a family have the same.
    pub seqno: SeqNo,
    /// The first key of the range.
    pub start: Vec<u8>,
    /// The first key behind the range.
    pub end: Vec<u8>,
}

/// A live table's new place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedTable {
    /// The table's number.
    pub number: u64,
    /// The level, 0 for the newest.
    pub level: u32,
    /// The run in it; a run that does not exist yet becomes the newest of its level.
    pub run: u64,
}

/// The order of a level's runs after an edit, where "new runs are the newest" is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOrder {
    /// The family.
    pub family: u32,
    /// The level.
    pub level: u32,
    /// All of its runs, newest first.
    pub runs: Vec<u64>,
}

/// One atomic change of the database's state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// Tables that are live from now on.
    pub added: Vec<AddedTable>,
    /// Numbers of tables that are not live any more.
    pub removed: Vec<u64>,
    /// Tables that change their place.
    pub moved: Vec<MovedTable>,
    /// Orders of runs, for levels where it is not plain.
    pub run_order: Vec<RunOrder>,
    /// Logs that a recovery must read from now on.
    pub added_logs: Vec<u64>,
    /// Logs whose operations are all in tables.
    pub dropped_logs: Vec<u64>,
    /// No file has this number or a higher one.
    pub next_file_number: Option<u64>,
    /// No run has this id or a higher one.
    pub next_run_id: Option<u64>,
    /// All operations up to here are in tables.
    pub flushed_seqno: Option<SeqNo>,
    /// All operations up to here are on the medium, in tables or logs: noted on closing. Lower
    /// only after a recovery that was told to give something up.
    pub last_seqno: Option<SeqNo>,
    /// Stands for the options that shape files.
    pub options_fingerprint: Option<u64>,
    /// Why, for people who read a dump.
    pub reason: String,
    /// Families that live from now on.
    pub added_families: Vec<AddedFamily>,
    /// Families that are gone, with their tables, which are removed by the same edit.
    pub dropped_families: Vec<u32>,
    /// No family has this id or a higher one.
    pub next_family_id: Option<u64>,
    /// Range deletes that count from now on.
    pub added_range_deletes: Vec<AddedRangeDelete>,
    /// Range deletes that hide nothing any more: family and sequence number.
    pub removed_range_deletes: Vec<(u32, SeqNo)>,
    /// Families that have other options from now on.
    pub changed_families: Vec<ChangedFamily>,
}

/// Why bytes are no edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EditError {
    /// At this byte of the payload, this was expected.
    Malformed(usize, &'static str),
    /// A field of a later version.
    UnknownTag(u8),
}

const ADDED: u8 = 1;
const REMOVED: u8 = 2;
const MOVED: u8 = 3;
const RUN_ORDER: u8 = 4;
const ADDED_LOG: u8 = 5;
const DROPPED_LOG: u8 = 6;
const NEXT_FILE_NUMBER: u8 = 7;
const NEXT_RUN_ID: u8 = 8;
const FLUSHED_SEQNO: u8 = 9;
const LAST_SEQNO: u8 = 10;
const OPTIONS_FINGERPRINT: u8 = 11;
const REASON: u8 = 12;
const ADDED_FAMILY: u8 = 13;
const DROPPED_FAMILY: u8 = 14;
const NEXT_FAMILY_ID: u8 = 15;
const ADDED_RANGE_DELETE: u8 = 16;
const REMOVED_RANGE_DELETE: u8 = 17;
const FAMILY_OPTIONS: u8 = 18;

/// The last tag that a manifest of this version may hold.
fn last_tag(version: u32) -> u8 {
    if version < 2 { REMOVED_RANGE_DELETE } else { FAMILY_OPTIONS }
}

impl Edit {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for added in &self.added {
            field(&mut out, ADDED, |out| put_added(out, added));
        }
        put_numbers(&mut out, REMOVED, &self.removed);
        for moved in &self.moved {
            field(&mut out, MOVED, |out| {
                put_u64(out, moved.number);
                put_u32(out, moved.level);
                put_u64(out, moved.run);
            });
        }
        for order in &self.run_order {
            field(&mut out, RUN_ORDER, |out| {
                put_u32(out, order.family);
                put_u32(out, order.level);
                order.runs.iter().for_each(|run| put_u64(out, *run));
            });
        }
        put_numbers(&mut out, ADDED_LOG, &self.added_logs);
        put_numbers(&mut out, DROPPED_LOG, &self.dropped_logs);
        put_numbers(&mut out, NEXT_FILE_NUMBER, self.next_file_number.as_slice());
        put_numbers(&mut out, NEXT_RUN_ID, self.next_run_id.as_slice());
        put_numbers(&mut out, FLUSHED_SEQNO, self.flushed_seqno.as_slice());
        put_numbers(&mut out, LAST_SEQNO, self.last_seqno.as_slice());
        put_numbers(&mut out, OPTIONS_FINGERPRINT, self.options_fingerprint.as_slice());
        if !self.reason.is_empty() {
            field(&mut out, REASON, |out| out.extend_from_slice(self.reason.as_bytes()));
        }
        for family in &self.added_families {
            field(&mut out, ADDED_FAMILY, |out| {
                put_u32(out, family.id);
                put_bytes(out, family.name.as_bytes());
                put_bytes(out, family.options.as_bytes());
            });
        }
        for id in &self.dropped_families {
            field(&mut out, DROPPED_FAMILY, |out| put_u32(out, *id));
        }
        put_numbers(&mut out, NEXT_FAMILY_ID, self.next_family_id.as_slice());
        for range in &self.added_range_deletes {
            field(&mut out, ADDED_RANGE_DELETE, |out| {
                put_u32(out, range.family);
                put_u64(out, range.seqno);
                put_bytes(out, &range.start);
                put_bytes(out, &range.end);
            });
        }
        for (family, seqno) in &self.removed_range_deletes {
            field(&mut out, REMOVED_RANGE_DELETE, |out| {
                put_u32(out, *family);
                put_u64(out, *seqno);
            });
        }
        for family in &self.changed_families {
            field(&mut out, FAMILY_OPTIONS, |out| {
                put_u32(out, family.id);
                put_bytes(out, family.options.as_bytes());
            });
        }
        out
    }

    /// Reads an edit of a manifest of this version.
    pub(crate) fn decode(bytes: &[u8], version: u32) -> Result<Self, EditError> {
        let mut edit = Self::default();
        let mut rest = bytes;
        while let Some((&tag, after)) = rest.split_first() {
            let at = bytes.len() - rest.len();
            let mut input = after;
            let body = take_bytes(&mut input).ok_or(EditError::Malformed(at, "a whole field"))?;
            rest = input;
            if !(ADDED..=last_tag(version)).contains(&tag) {
                return Err(EditError::UnknownTag(tag));
            }
            let mut left = body;
            let known = edit.read_field(tag, &mut left);
            if known.is_none() || !left.is_empty() {
                return Err(EditError::Malformed(at, "a field of its tag's form, once"));
            }
        }
        Ok(edit)
    }

    /// Takes one field's contents; `None` if they do not have the tag's form.
    fn read_field(&mut self, tag: u8, left: &mut &[u8]) -> Option<()> {
        let once = |slot: &mut Option<u64>, left: &mut &[u8]| {
            slot.replace(take_u64(left)?).is_none().then_some(())
        };
        match tag {
            ADDED => self.added.push(take_added(left)?),
            REMOVED => self.removed.push(take_u64(left)?),
            MOVED => {
                let (number, level) = (take_u64(left)?, take_u32(left)?);
                self.moved.push(MovedTable { number, level, run: take_u64(left)? });
            }
            RUN_ORDER => {
                let (family, level) = (take_u32(left)?, take_u32(left)?);
                let mut runs = Vec::with_capacity(left.len() / 8);
                while !left.is_empty() {
                    runs.push(take_u64(left)?);
                }
                self.run_order.push(RunOrder { family, level, runs });
            }
            ADDED_LOG => self.added_logs.push(take_u64(left)?),
            DROPPED_LOG => self.dropped_logs.push(take_u64(left)?),
            NEXT_FILE_NUMBER => once(&mut self.next_file_number, left)?,
            NEXT_RUN_ID => once(&mut self.next_run_id, left)?,
            FLUSHED_SEQNO => once(&mut self.flushed_seqno, left)?,
            LAST_SEQNO => once(&mut self.last_seqno, left)?,
            OPTIONS_FINGERPRINT => once(&mut self.options_fingerprint, left)?,
            REASON if self.reason.is_empty() => {
                self.reason = String::from_utf8(std::mem::take(left).to_vec()).ok()?;
            }
            ADDED_FAMILY => {
                let id = take_u32(left)?;
                let (name, options) = (take_text(left)?, take_text(left)?);
                self.added_families.push(AddedFamily { id, name, options });
            }
            DROPPED_FAMILY => self.dropped_families.push(take_u32(left)?),
            NEXT_FAMILY_ID => once(&mut self.next_family_id, left)?,
            ADDED_RANGE_DELETE => {
                let (family, seqno) = (take_u32(left)?, take_u64(left)?);
                let (start, end) = (take_bytes(left)?.to_vec(), take_bytes(left)?.to_vec());
                self.added_range_deletes.push(AddedRangeDelete { family, seqno, start, end });
            }
            REMOVED_RANGE_DELETE => {
                self.removed_range_deletes.push((take_u32(left)?, take_u64(left)?));
            }
            FAMILY_OPTIONS => {
                let (id, options) = (take_u32(left)?, take_text(left)?);
                self.changed_families.push(ChangedFamily { id, options });
            }
            _ => return None,
        }
        Some(())
    }
}

fn put_added(out: &mut Vec<u8>, added: &AddedTable) {
    let table = &added.table;
    put_u32(out, added.family);
    put_u32(out, added.level);
    let numbers = [
        added.run,
        table.number,
        table.table_id,
        table.file_bytes,
        table.entries,
        table.tombstones,
        table.data_bytes,
        table.min_seqno,
        table.max_seqno,
        table.created_at_us,
        table.tombstones_since_us,
        table.ranges_applied,
    ];
    for number in numbers {
        put_u64(out, number);
    }
    put_bytes(out, &table.smallest);
    put_bytes(out, &table.largest);
}

fn take_added(left: &mut &[u8]) -> Option<AddedTable> {
    let (family, level, run) = (take_u32(left)?, take_u32(left)?, take_u64(left)?);
    let table = TableRecord {
        number: take_u64(left)?,
        table_id: take_u64(left)?,
        file_bytes: take_u64(left)?,
        entries: take_u64(left)?,
        tombstones: take_u64(left)?,
        data_bytes: take_u64(left)?,
        min_seqno: take_u64(left)?,
        max_seqno: take_u64(left)?,
        created_at_us: take_u64(left)?,
        tombstones_since_us: take_u64(left)?,
        ranges_applied: take_u64(left)?,
        smallest: take_bytes(left)?.to_vec(),
        largest: take_bytes(left)?.to_vec(),
    };
    Some(AddedTable { family, level, run, table: Arc::new(table) })
}

fn field(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = Vec::new();
    body(&mut bytes);
    out.push(tag);
    put_bytes(out, &bytes);
}

fn put_numbers(out: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    for number in numbers {
        field(out, tag, |out| put_u64(out, *number));
    }
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, u32::try_from(bytes.len()).expect("keys and fields are far under 4 GiB"));
    out.extend_from_slice(bytes);
}

fn take_u32(left: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = left.split_first_chunk()?;
    *left = rest;
    Some(u32::from_le_bytes(*bytes))
}

fn take_u64(left: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = left.split_first_chunk()?;
    *left = rest;
    Some(u64::from_le_bytes(*bytes))
}

fn take_text(left: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(left)?.to_vec()).ok()
}

fn take_bytes<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_u32(left)?).ok()?;
    let (bytes, rest) = left.split_at_checked(length)?;
    *left = rest;
    Some(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An edit with every field set.
    pub(crate) fn full_edit() -> Edit {
        let table = TableRecord {
            number: 4,
            table_id: 5,
            file_bytes: 6,
            entries: 7,
            tombstones: 1,
            data_bytes: 9,
            min_seqno: 10,
            max_seqno: 11,
            created_at_us: 12,
            tombstones_since_us: 13,
            ranges_applied: 14,
            smallest: b"a".to_vec(),
            largest: b"zebra".to_vec(),
        };
        Edit {
            added: vec![AddedTable { family: 2, level: 1, run: 3, table: Arc::new(table) }],
            removed: vec![2],
            moved: vec![MovedTable { number: 3, level: 1, run: 2 }],
            run_order: vec![RunOrder { family: 2, level: 1, runs: vec![3, 2] }],
            added_logs: vec![13, 14],
            dropped_logs: vec![1],
            next_file_number: Some(15),
            next_run_id: Some(4),
            flushed_seqno: Some(16),
            last_seqno: Some(17),
            options_fingerprint: Some(18),
            reason: "flush".into(),
            added_families: vec![AddedFamily { id: 2, name: "b".into(), options: "x=1".into() }],
            dropped_families: vec![1],
            next_family_id: Some(3),
            added_range_deletes: vec![AddedRangeDelete {
                family: 2,
                seqno: 12,
                start: b"a".to_vec(),
                end: b"b".to_vec(),
            }],
            removed_range_deletes: vec![(2, 11)],
            changed_families: vec![ChangedFamily { id: 2, options: "x=2".into() }],
        }
    }

    #[test]
    fn an_edit_reads_back() {
        for edit in [Edit::default(), full_edit()] {
            assert_eq!(Edit::decode(&edit.encode(), 2), Ok(edit));
        }
    }

    #[test]
    fn every_cut_is_a_prefix_of_fields_or_an_error() {
        let (edit, bytes) = (full_edit(), full_edit().encode());
        let mut accepted = 0;
        for length in 0..bytes.len() {
            match Edit::decode(&bytes[..length], 2) {
                Ok(short) => {
                    assert_ne!(short, edit);
                    assert_eq!(short.encode(), bytes[..length]);
                    accepted += 1;
                }
                Err(error) => assert!(matches!(error, EditError::Malformed(..))),
            }
        }
        assert_eq!(accepted, 19, "the borders between the fields");
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let mut random = crate::random::Random::new(3);
        for _ in 0..20_000 {
            let mut bytes = full_edit().encode();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] = random.next().to_le_bytes()[0];
            }
            if let Ok(edit) = Edit::decode(&bytes, 2) {
                assert_eq!(Edit::decode(&edit.encode(), 2), Ok(edit));
            }
            if let Ok(edit) = Edit::decode(&bytes, 1) {
                assert!(edit.changed_families.is_empty(), "version 1 has none");
            }
        }
        assert_eq!(Edit::decode(&[99, 0, 0, 0, 0], 2), Err(EditError::UnknownTag(99)));
        assert_eq!(Edit::decode(&[0, 0, 0, 0, 0], 2), Err(EditError::UnknownTag(0)));
        let huge = [REASON, 0xff, 0xff, 0xff, 0xff, b'x'];
        assert!(matches!(Edit::decode(&huge, 2), Err(EditError::Malformed(0, _))));
        let mut twice = Vec::new();
        put_numbers(&mut twice, LAST_SEQNO, &[1, 2]);
        assert!(matches!(Edit::decode(&twice, 2), Err(EditError::Malformed(13, _))));
    }

    #[test]
    fn other_options_belong_to_version_2_and_have_one_form() {
        let options = [FAMILY_OPTIONS, 10, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, b'x', b'y'];
        let changed = vec![ChangedFamily { id: 7, options: "xy".into() }];
        let edit = Edit { changed_families: changed, ..Edit::default() };
        assert_eq!(Edit::decode(&options, 2), Ok(edit));
        assert_eq!(Edit::decode(&options, 1), Err(EditError::UnknownTag(FAMILY_OPTIONS)));
        for (at, byte) in [(1, 9), (1, 11), (9, 3), (9, 1), (13, 0xff)] {
            let mut bad = options;
            bad[at] = byte;
            let refused = Edit::decode(&bad, 2);
            assert!(matches!(refused, Err(EditError::Malformed(0, _))), "{at}: {refused:?}");
        }
    }
}
