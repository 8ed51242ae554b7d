//! Recovers what is intact of a damaged table, block by block, without trusting its index.
//!
//! Every block says what it is, how long it is, and proves with its checksum that it belongs to
//! this table and this place; so a scan for headers finds all that is whole. One pass finds the
//! blocks, a second hands out the entries in the order of the file, which is their sorted order.

use std::sync::Arc;

use crate::block::DataBlock;
use crate::block::cursor::Position;
use crate::error::Result;
use crate::format::{
    self, BlockKind, FOOTER_BYTES, Fault, Footer, HEADER_BYTES, Handle, Header, Place,
};
use crate::key::Trailer;
use crate::meta::TableMeta;
use crate::read_at::ReadAt;
use crate::source::Source;

/// What a block header starts with on disk.
const MAGIC: [u8; 4] = *b"lbsu";
/// Bytes searched for headers at a time.
const WINDOW_BYTES: usize = 1 << 20;

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
}

/// Hands the entries of all intact blocks of a table to `entry`, in stored order, and lists the
/// rest.
///
/// `table_id` is the table's number if it is known; else the footer or the properties must be
/// intact enough to tell it. Memory: one block, and 16 bytes for each block of the table.
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
/// [`crate::Error::Io`] if the file cannot be read, [`crate::Error::Corruption`] if the table's
/// number is not known and cannot be found, and whatever `entry` returns.
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
    let blocks = find_blocks(&source, &mut report)?;
    for (handle, kind) in &blocks {
        match kind {
            BlockKind::Dictionary => source.load_dictionary(*handle)?,
            BlockKind::Properties => {
                let body = source.block(*handle, BlockKind::Properties)?;
                report.entries_expected = TableMeta::decode(&body.bytes).map(|meta| meta.entries);
            }
            _ => {}
        }
    }
    for (handle, _) in blocks.iter().filter(|(_, kind)| *kind == BlockKind::Data) {
        // Sealed right and yet unreadable: a codec that is not built in, or a lost dictionary.
        match read_data(&source, *handle) {
            Ok(data) => {
                report.data_blocks += 1;
                report.entries += hand_out(&source, &data, *handle, &mut entry)?;
            }
            Err(error) => report.lost.push(lost(*handle, error.to_string())),
        }
    }
    report.lost.sort_by_key(|lost| lost.offset);
    Ok(report)
}

fn lost(handle: Handle, why: String) -> Lost {
    Lost { offset: handle.offset, bytes: handle.bytes, why }
}

fn read_data(source: &Source, handle: Handle) -> Result<DataBlock> {
    let body = source.block(handle, BlockKind::Data)?;
    DataBlock::parse(body.bytes, usize::from(body.header.entry_count))
        .map_err(|fault| source.fault(handle.offset, fault))
}

fn hand_out(
    source: &Source,
    data: &DataBlock,
    handle: Handle,
    entry: &mut impl FnMut(&[u8], Trailer, &[u8]) -> Result<()>,
) -> Result<u64> {
    let malformed = || source.damaged(handle.offset, "a data block whose entries are well formed");
    let view = data.view();
    let mut position = Position::default();
    let mut more = position.first(view).ok_or_else(malformed)?;
    let mut entries = 0;
    while more {
        let value = view.body.get(position.value(view.layout.values_at())).ok_or_else(malformed)?;
        entry(position.key(), position.trailer(), value)?;
        entries += 1;
        more = position.next(view).ok_or_else(malformed)?;
    }
    Ok(entries)
}

/// Finds all intact blocks, and notes the gaps between them.
fn find_blocks(source: &Source, report: &mut SalvageReport) -> Result<Vec<(Handle, BlockKind)>> {
    let mut blocks = Vec::new();
    let (mut offset, mut gap_from) = (0, 0);
    let footer_at = source.blocks_end.saturating_sub(FOOTER_BYTES as u64);
    while let Some(at) = next_magic(source, offset)? {
        let Some((handle, kind)) = intact(source, at)? else {
            offset = at + 1;
            continue;
        };
        note_gap(report, gap_from, at);
        report.blocks += 1;
        blocks.push((handle, kind));
        offset = at + handle.bytes;
        gap_from = offset;
    }
    let footer_intact = gap_from == footer_at && read_footer(source)?.is_ok();
    if !footer_intact {
        note_gap(report, gap_from, source.blocks_end);
    }
    Ok(blocks)
}

fn note_gap(report: &mut SalvageReport, from: u64, to: u64) {
    if from < to {
        let handle = Handle { offset: from, bytes: to - from };
        report.lost.push(lost(handle, "no intact block".into()));
    }
}

/// Returns the block at `at` if it is intact.
fn intact(source: &Source, at: u64) -> Result<Option<(Handle, BlockKind)>> {
    let Some((header, handle)) = header_at(source, at)? else { return Ok(None) };
    let bytes = usize::try_from(handle.bytes).unwrap_or(usize::MAX);
    let mut raw = vec![0; bytes];
    source.read(at, &mut raw)?;
    let place = Place { table_id: source.table_id, offset: at };
    Ok(format::check(&raw, place).is_ok().then_some((handle, header.kind)))
}

/// Returns the header at `at` if it reads as one and its block would fit the file.
fn header_at(source: &Source, at: u64) -> Result<Option<(Header, Handle)>> {
    if at + HEADER_BYTES as u64 > source.blocks_end {
        return Ok(None);
    }
    let mut head = [0; HEADER_BYTES];
    source.read(at, &mut head)?;
    let Ok(header) = Header::decode(&head) else { return Ok(None) };
    let bytes = HEADER_BYTES as u64 + u64::from(header.data_size);
    let fits = at + bytes <= source.blocks_end;
    Ok(fits.then_some((header, Handle { offset: at, bytes })))
}

/// Returns where the next header may begin, at `from` or behind it.
fn next_magic(source: &Source, mut from: u64) -> Result<Option<u64>> {
    let mut window = Vec::new();
    while from + MAGIC.len() as u64 <= source.blocks_end {
        let left = usize::try_from(source.blocks_end - from).unwrap_or(usize::MAX);
        // Blocks mostly follow on one another: look at a few bytes before a whole window.
        let bytes = if window.is_empty() { MAGIC.len() } else { WINDOW_BYTES };
        window.resize(bytes.min(left), 0);
        source.read(from, &mut window)?;
        if let Some(at) = window.windows(MAGIC.len()).position(|bytes| *bytes == MAGIC) {
            return Ok(Some(from + at as u64));
        }
        from += (window.len() + 1 - MAGIC.len()) as u64;
    }
    Ok(None)
}

fn read_footer(source: &Source) -> Result<std::result::Result<Footer, Fault>> {
    let Some(at) = source.blocks_end.checked_sub(FOOTER_BYTES as u64) else {
        return Ok(Err(Fault::Damaged("a table of at least 64 bytes")));
    };
    let mut bytes = [0; FOOTER_BYTES];
    source.read(at, &mut bytes)?;
    Ok(Footer::decode(&bytes))
}

/// The table's number from the footer, or from a properties block whose own number proves it.
fn find_table_id(source: &Source) -> Result<u64> {
    if let Ok(footer) = read_footer(source)? {
        return Ok(footer.table_id);
    }
    let mut from = 0;
    while let Some(at) = next_magic(source, from)? {
        from = at + 1;
        let Some((header, handle)) = header_at(source, at)? else { continue };
        if header.kind != BlockKind::Properties {
            continue;
        }
        let mut raw = vec![0; usize::try_from(handle.bytes).unwrap_or_default()];
        source.read(at, &mut raw)?;
        let body = raw.get(HEADER_BYTES..).unwrap_or_default();
        let Some(meta) = TableMeta::decode(body) else { continue };
        let place = Place { table_id: meta.table_id, offset: at };
        if format::check(&raw, place).is_ok() {
            return Ok(meta.table_id);
        }
    }
    Err(source.damaged(source.blocks_end, "a footer or properties that tell the table's number"))
}
