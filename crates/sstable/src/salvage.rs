//! Recovers what is intact of a damaged table, block by block, without trusting its index.
//!
//! Every block says what it is, how long it is, and proves with its checksum that it belongs to
//! this table and this place; so a scan for headers finds all that is whole. One pass finds the
//! blocks, a second hands out the entries in the order of the file, which is their sorted order.
//!
//! 1. Nothing that is wrong with the file ends it: what cannot be read, unpacked or understood is
//!    listed, and the rest is read.
//! 2. Whatever the file holds, the bytes read are at most two times its length, and two times more
//!    if its number must be looked for; each pass reads at most once more what cannot be read.

mod scan;

use std::sync::Arc;

use crate::block::DataBlock;
use crate::block::cursor::Position;
use crate::error::{Error, Result};
use crate::format::{self, BlockKind, FOOTER_BYTES, Fault, Footer, HEADER_BYTES, Handle, Place};
use crate::key::Trailer;
use crate::meta::TableMeta;
use crate::read_at::ReadAt;
use crate::source::Source;

/// What [`salvage`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The table's number, as told or found.
    pub table_id: u64,
    /// Intact blocks of all kinds.
    pub blocks: u64,
    /// Intact data blocks.
    pub data_blocks: u64,
    /// Entries handed out.
    pub entries: u64,
    /// Entries of the whole table, if its properties are intact.
    pub entries_expected: Option<u64>,
    /// What could not be read, in the order of the file.
    pub lost: Vec<Lost>,
}

/// A part of the file that holds no intact block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Its first byte, from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What is wrong with it.
    pub why: String,
    /// Whether another read, or another build, may bring it back: the medium gave no answer, or
    /// this build lacks the codec.
    pub unread: bool,
}

/// Hands the entries of all intact blocks of a table to `entry`, in stored order, and lists the
/// rest.
///
/// `table_id` is the table's number if it is known; else the footer or the properties must be
/// intact enough to tell it. Memory: one block, 1 MiB, 24 bytes for each block of the table, and
/// at most 8 MiB for what only looks like one.
///
/// ```
/// # use std::sync::Arc;
/// # use sstable::{Kind, TableWriter, Trailer, WriteOptions, salvage};
/// # fn main() -> sstable::Result<()> {
/// let mut writer = TableWriter::new(Vec::new(), "fruit.sst", 1, &WriteOptions::default())?;
/// writer.add(b"apple", Trailer::new(2, Kind::Put), b"red")?;
/// let (_, mut bytes) = writer.finish()?;
/// bytes.truncate(bytes.len() - 70); // the footer and more is gone
///
/// let mut found = Vec::new();
/// let report = salvage(Arc::new(bytes), "fruit.sst", Some(1), |key, _, value| {
///     found.push((key.to_vec(), value.to_vec()));
///     Ok(())
/// })?;
/// assert_eq!(found, [(b"apple".to_vec(), b"red".to_vec())]);
/// assert_eq!(report.lost.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`crate::Error::Io`] if the file's length cannot be told, [`crate::Error::Corruption`] if the
/// table's number is not known and cannot be found, and whatever `entry` returns. What cannot be
/// read is no error: it is listed among the lost, and the rest is recovered.
pub fn salvage(
    file: Arc<dyn ReadAt>,
    name: &str,
    table_id: Option<u64>,
    mut entry: impl FnMut(&[u8], Trailer, &[u8]) -> Result<()>,
) -> Result<SalvageReport> {
    let mut source =
        Source { file, name: name.into(), table_id: 0, blocks_end: 0, dictionary: None };
    let file_bytes = source.file.len().map_err(|error| source.io_error(0, error))?;
    source.blocks_end = file_bytes;
    source.table_id = match table_id {
        Some(id) => id,
        None => find_table_id(&source)?,
    };
    let mut report = SalvageReport { table_id: source.table_id, ..SalvageReport::default() };
    let blocks = find_blocks(&source, &mut report);
    for (handle, kind) in &blocks {
        let read = match kind {
            BlockKind::Dictionary => source.load_dictionary(*handle),
            BlockKind::Properties => source.block(*handle, BlockKind::Properties).map(|body| {
                report.entries_expected = TableMeta::decode(&body.bytes).map(|meta| meta.entries);
            }),
            _ => Ok(()),
        };
        // Sealed right and yet unreadable: damaged before it was sealed, or not for this build.
        report.lost.extend(read.err().map(|error| lost(*handle, &error)));
    }
    for (handle, _) in blocks.iter().filter(|(_, kind)| *kind == BlockKind::Data) {
        match read_data(&source, *handle) {
            Ok(data) => {
                report.data_blocks += 1;
                if !hand_out(&data, &mut report.entries, &mut entry)? {
                    let expected = "a data block whose entries are well formed";
                    report.lost.push(lost(*handle, &source.damaged(handle.offset, expected)));
                }
            }
            // Of a codec that is not built in, or without its dictionary.
            Err(error) => report.lost.push(lost(*handle, &error)),
        }
    }
    report.lost.sort_by_key(|lost| lost.offset);
    Ok(report)
}

fn lost(handle: Handle, why: &Error) -> Lost {
    let unread = matches!(
        why,
        Error::Io { .. } | Error::Unsupported { .. } | Error::UnsupportedCodec { .. }
    );
    Lost { offset: handle.offset, bytes: handle.bytes, why: why.to_string(), unread }
}

fn read_data(source: &Source, handle: Handle) -> Result<DataBlock> {
    let body = source.block(handle, BlockKind::Data)?;
    DataBlock::parse(body.bytes, usize::from(body.header.entry_count))
        .map_err(|fault| source.fault(handle.offset, fault))
}

/// Hands out and counts the entries of a block; returns whether all of it was well formed.
fn hand_out(
    data: &DataBlock,
    entries: &mut u64,
    entry: &mut impl FnMut(&[u8], Trailer, &[u8]) -> Result<()>,
) -> Result<bool> {
    let view = data.view();
    let mut position = Position::default();
    let mut moved = position.first(view);
    while moved == Some(true) {
        let Some(value) = view.body.get(position.value(view.layout.values_at())) else {
            return Ok(false);
        };
        entry(position.key(), position.trailer(), value)?;
        *entries += 1;
        moved = position.next(view);
    }
    Ok(moved.is_some())
}

/// Finds all intact blocks, and notes what lies between them.
fn find_blocks(source: &Source, report: &mut SalvageReport) -> Vec<(Handle, BlockKind)> {
    let scan::Found { blocks, unread } = scan::blocks(source);
    report.blocks = blocks.len() as u64;
    let footer_at = source.blocks_end.saturating_sub(FOOTER_BYTES as u64);
    let footer = Handle { offset: footer_at, bytes: FOOTER_BYTES as u64 };
    let end = Handle { offset: source.blocks_end, bytes: 0 };
    let mut known: Vec<Handle> = blocks.iter().map(|(handle, _)| *handle).collect();
    known.extend(unread.iter().map(|lost| Handle { offset: lost.offset, bytes: lost.bytes }));
    known.extend(read_footer(source).is_ok().then_some(footer));
    known.push(end);
    known.sort_by_key(|handle| handle.offset);
    report.lost.extend(unread);
    let mut gap_from = 0;
    for Handle { offset, bytes } in known {
        if gap_from < offset {
            let why = "no intact block".into();
            let bytes = offset - gap_from;
            report.lost.push(Lost { offset: gap_from, bytes, why, unread: false });
        }
        gap_from = gap_from.max(offset + bytes);
    }
    blocks
}

fn read_footer(source: &Source) -> Result<Footer> {
    let end = source.blocks_end;
    let Some(at) = end.checked_sub(FOOTER_BYTES as u64) else {
        return Err(source.fault(end, Fault::Damaged("a table of at least 64 bytes")));
    };
    let mut bytes = [0; FOOTER_BYTES];
    source.read(at, &mut bytes)?;
    Footer::decode(&bytes).map_err(|fault| source.fault(at, fault))
}

/// The table's number from the footer, or from a properties block whose own number proves it.
fn find_table_id(source: &Source) -> Result<u64> {
    if let Ok(footer) = read_footer(source) {
        return Ok(footer.table_id);
    }
    let mut budget = source.blocks_end;
    for handle in scan::claims(source, BlockKind::Properties) {
        let Some(left) = budget.checked_sub(handle.bytes) else { break };
        budget = left;
        let mut raw = vec![0; usize::try_from(handle.bytes).unwrap_or_default()];
        if source.read(handle.offset, &mut raw).is_err() {
            continue;
        }
        let body = raw.get(HEADER_BYTES..).unwrap_or_default();
        let Some(meta) = TableMeta::decode(body) else { continue };
        let place = Place { table_id: meta.table_id, offset: handle.offset };
        if format::check(&raw, place).is_ok() {
            return Ok(meta.table_id);
        }
    }
    Err(source.damaged(source.blocks_end, "a footer or properties that tell the table's number"))
}
