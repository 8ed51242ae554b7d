//! What a read of a table meets on its way, and what a range of keys takes in it.
//!
//! 1. [`Table::probe`] is made of the same steps as [`Table::get`], and gives the same answer.
//! 2. [`Table::range_size`] reads indexes only; no data block is touched.

use std::ops::Bound;
use std::time::Duration;

use fence::Layout;

use crate::error::Result;
use crate::format::Handle;
use crate::key::Trailer;
use crate::table::Table;
use crate::value::{Found, kept};

/// What a filter says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterVerdict {
    /// The table has no filter: the key may be there.
    NoFilter,
    /// The key is not there, for certain.
    Absent,
    /// The key may be there.
    Maybe,
}

/// The search of the index that says which block may hold a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FenceProbe {
    /// How the index is laid out.
    pub layout: Layout,
    /// Blocks to choose from.
    pub blocks: usize,
    /// The block that may hold the key, 0-based; `None` if the key lies behind all of them.
    pub rank: Option<usize>,
    /// Nanoseconds the search took.
    pub nanos: u64,
}

/// The search of a data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockProbe {
    /// Where the block starts in the file, in bytes.
    pub offset: u64,
    /// Its length in the file, in bytes.
    pub bytes: u64,
    /// Whether the cache had it; otherwise it was read from the file.
    pub cached: bool,
    /// Nanoseconds to fetch it, checksum and decompression included.
    pub fetch_nanos: u64,
    /// Nanoseconds to search it.
    pub search_nanos: u64,
}

/// What a point read of a table meets, step by step; steps that were not needed are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// What the filter says.
    pub filter: Option<FilterVerdict>,
    /// Nanoseconds to ask the filter.
    pub filter_nanos: u64,
    /// The search of the index.
    pub fence: Option<FenceProbe>,
    /// The search of the block.
    pub block: Option<BlockProbe>,
}

/// What a range of keys takes in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RangeSize {
    /// Data blocks that may hold keys of the range.
    pub blocks: u64,
    /// Bytes of file that the range takes, about: filters and indexes count in proportion.
    pub bytes: u64,
    /// Entries of the range, about, every version and deletion counted.
    pub entries: u64,
}

/// A data block that a range of keys may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeBlock {
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// Its length in the file, in bytes.
    pub bytes: u64,
    /// Whether the cache has it.
    pub cached: bool,
}

/// The time between two moments, in nanoseconds.
fn nanos(since: Duration, until: Duration) -> u64 {
    u64::try_from(until.saturating_sub(since).as_nanos()).unwrap_or(u64::MAX)
}

impl Table {
    /// [`Table::get`], and what it met on its way; `now` is asked for the time before and after
    /// each step.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn probe(
        &self,
        key: &[u8],
        hash: u64,
        at: Trailer,
        now: &dyn Fn() -> Duration,
    ) -> Result<(Option<Found>, Probe)> {
        let mut probe = Probe::default();
        let Some(part) = self.top().find(key) else { return Ok((None, probe)) };
        let begun = now();
        let allowed = self.filter_allows(part, hash)?;
        probe.filter_nanos = nanos(begun, now());
        let has_filter = self.top().parts.get(part).is_some_and(|part| part.filter.is_some());
        probe.filter = Some(match (has_filter, allowed) {
            (false, true) => FilterVerdict::NoFilter,
            (true, true) => FilterVerdict::Maybe,
            (_, false) => FilterVerdict::Absent,
        });
        if !allowed {
            return Ok((None, probe));
        }
        let begun = now();
        let held = self.index(part)?;
        let Some(index) = held.index() else { return Ok((None, probe)) };
        let rank = index.find(key, at);
        let (layout, blocks) = (index.layout(), index.blocks());
        probe.fence = Some(FenceProbe { layout, blocks, rank, nanos: nanos(begun, now()) });
        let handle = rank.and_then(|rank| index.handle(rank));
        let Some(handle) = handle else { return Ok((self.count_miss(None), probe)) };
        let cached = self.is_cached(handle);
        let begun = now();
        let block = self.data_block(handle, true)?;
        let fetched = now();
        let found = self.find_in(&block, handle, (key, hash, at), kept)?;
        probe.block = Some(BlockProbe {
            offset: handle.offset,
            bytes: handle.bytes,
            cached,
            fetch_nanos: nanos(begun, fetched),
            search_nanos: nanos(fetched, now()),
        });
        Ok((self.count_miss(found), probe))
    }

    /// What the keys from `low` to `high` take in this table, about; read from the index. An end
    /// that lies within the table is good to half a block.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] or [`crate::Error::Io`] if an index cannot be read.
    pub fn range_size(&self, low: Bound<&[u8]>, high: Bound<&[u8]>) -> Result<RangeSize> {
        let mut size = RangeSize::default();
        let (mut bytes, mut edges) = (0, Vec::with_capacity(2));
        self.each_block(low, high, |handle, is_edge| {
            size.blocks += 1;
            bytes += handle.bytes;
            if is_edge {
                edges.push(handle.bytes);
            }
        })?;
        let bytes = match edges.as_slice() {
            // Both ends in one block: two random cuts leave a third between them.
            [_] if size.blocks == 1 && key_of(low).is_some() && key_of(high).is_some() => bytes / 3,
            edges => bytes.saturating_sub(edges.iter().map(|bytes| bytes / 2).sum()),
        };
        let meta = self.meta();
        let share = bytes as f64 / meta.stored_bytes.max(1) as f64;
        size.bytes = scaled(meta.file_bytes, share);
        size.entries = scaled(meta.entries, share);
        Ok(size)
    }

    /// Shows every data block that may hold keys from `low` to `high`, in order. Each counts as a
    /// read in the cache's statistics.
    ///
    /// # Errors
    /// As [`Table::range_size`].
    pub fn range_blocks(
        &self,
        low: Bound<&[u8]>,
        high: Bound<&[u8]>,
        mut show: impl FnMut(RangeBlock),
    ) -> Result<()> {
        self.each_block(low, high, |handle, _| {
            let (offset, bytes, cached) = (handle.offset, handle.bytes, self.is_cached(handle));
            show(RangeBlock { offset, bytes, cached });
        })
    }

    /// Shows the place of every data block that may hold keys of the range, in order, and whether
    /// an end of the range lies within it.
    fn each_block(
        &self,
        low: Bound<&[u8]>,
        high: Bound<&[u8]>,
        mut show: impl FnMut(Handle, bool),
    ) -> Result<()> {
        let meta = self.meta();
        if meta.entries == 0
            || is_empty(low, high)
            || is_empty(low, Bound::Included(&meta.largest))
            || is_empty(Bound::Included(&meta.smallest), high)
        {
            return Ok(());
        }
        let low = key_of(low).filter(|key| *key > meta.smallest.as_slice());
        let high = key_of(high).filter(|key| *key < meta.largest.as_slice());
        let last_part = self.top().parts.len().saturating_sub(1);
        let find = |key| self.top().find(key).unwrap_or(last_part);
        let (first, last) = (low.map_or(0, find), high.map_or(last_part, find));
        for part in first..=last {
            let held = self.index(part)?;
            let Some(index) = held.index() else { continue };
            let end = index.blocks().saturating_sub(1);
            let rank = |key: &[u8]| index.find(key, Trailer::FIRST).unwrap_or(end);
            let from = low.filter(|_| part == first).map(rank);
            let to = high.filter(|_| part == last).map(rank);
            for rank in from.unwrap_or(0)..=to.unwrap_or(end) {
                if let Some(handle) = index.handle(rank) {
                    show(handle, Some(rank) == from || Some(rank) == to);
                }
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate between 0 and `whole`"
)]
fn scaled(whole: u64, share: f64) -> u64 {
    (whole as f64 * share.clamp(0.0, 1.0)).round() as u64
}

fn key_of(bound: Bound<&[u8]>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// Whether no key can lie between the two ends.
fn is_empty(low: Bound<&[u8]>, high: Bound<&[u8]>) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low >= high,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::{BlockCache, Expect, Kind, TableWriter, WriteOptions, hash_key};

    fn table(entries: u32, partition_blocks: usize, bits: f64) -> Table {
        let options = WriteOptions {
            block_bytes: 512,
            partition_blocks,
            filter_bits_per_key: bits,
            ..WriteOptions::default()
        };
        let mut writer = TableWriter::new(Vec::new(), "t", 1, &options).unwrap();
        for n in 0..entries {
            let key = format!("key{:06}", n * 2);
            writer.add(key.as_bytes(), Trailer::new(5, Kind::Put), &[b'v'; 20]).unwrap();
        }
        let (_, bytes) = writer.finish().unwrap();
        let cache = Arc::new(BlockCache::new(1 << 20));
        Table::open(Arc::new(bytes), "t", Expect::default(), Some(cache)).unwrap()
    }

    #[test]
    fn a_probe_answers_as_a_read_and_names_its_steps() {
        for (blocks, bits) in [(1000, 10.0), (8, 10.0), (1000, 0.0)] {
            let table = table(2000, blocks, bits);
            let time = Cell::new(0);
            let now = || {
                time.set(time.get() + 7);
                Duration::from_nanos(time.get())
            };
            for n in 0..4010 {
                let key = format!("key{n:06}");
                let (hash, at) = (hash_key(key.as_bytes()), Trailer::newest_at(9));
                let plain = table.get(key.as_bytes(), hash, at).unwrap();
                let (found, probe) = table.probe(key.as_bytes(), hash, at, &now).unwrap();
                let bytes = |found: &Option<Found>| found.as_ref().map(|f| f.value.to_vec());
                assert_eq!(bytes(&found), bytes(&plain), "{key}");
                assert_eq!(found.is_some(), n % 2 == 0 && n < 4000);
                if let Some(block) = probe.block {
                    assert!(block.cached, "the read before has brought it");
                    assert_eq!((block.fetch_nanos, block.search_nanos), (7, 7));
                }
                let refused = probe.filter == Some(FilterVerdict::Absent);
                assert!(!refused || (found.is_none() && probe.fence.is_none()));
            }
        }
    }

    #[test]
    fn a_range_is_measured_to_a_block_or_so() {
        for blocks in [1000, 8] {
            let table = table(5000, blocks, 10.0);
            let whole = table.range_size(Bound::Unbounded, Bound::Unbounded).unwrap();
            assert_eq!((whole.entries, whole.bytes), (5000, table.meta().file_bytes));
            assert_eq!(whole.blocks, table.meta().block_count);
            let in_block = 5000 / whole.blocks + 1;
            for (low, high) in [(0, 9999), (0, 5000), (5000, 5001), (1111, 7777), (9000, 20_000)] {
                let (a, b) = (format!("key{low:06}"), format!("key{high:06}"));
                let size = table
                    .range_size(Bound::Included(a.as_bytes()), Bound::Excluded(b.as_bytes()))
                    .unwrap();
                let exact = (high.min(10_000) - low) / 2;
                let off = size.entries.abs_diff(exact);
                // Blocks compress differently: 8 % beside the block.
                assert!(off <= in_block + exact / 12, "{low}..{high}: {size:?}, not {exact}");
            }
            let nothing = [("b", "a"), ("a", "b"), ("z", "zz"), ("key000001", "key000001")];
            for (low, high) in nothing {
                let size = table
                    .range_size(Bound::Included(low.as_bytes()), Bound::Excluded(high.as_bytes()));
                assert_eq!(size.unwrap(), RangeSize::default(), "{low}..{high}");
            }
        }
    }
}
