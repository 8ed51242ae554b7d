//! The way of a scan: what it reads from, what it passes over, and the time of each source.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use sstable::{Cursor, Merge, ReadOptions, SeqNo, Trailer};

use super::{Watch, nanos, runs};
use crate::clock::Clock;
use crate::error::Result;
use crate::read::answer;
use crate::scan::Bounds;
use crate::source::{RunCursor, Source};
use crate::state::FamilyView;

/// The way of a scan: what it reads from, and what it passes over.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ScanPath {
    /// The moment it was read at.
    pub seqno: SeqNo,
    /// Memtables and runs, newest first.
    pub sources: Vec<ScanSource>,
    /// Entries that a plain scan returns, up to the limit.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub entry_bytes: u64,
    /// Whether the limit ended the scan.
    pub limited: bool,
    /// Versions too new for the moment.
    pub too_new: u64,
    /// Versions behind a newer one of the same key.
    pub shadowed: u64,
    /// Deletions crossed.
    pub tombstones: u64,
    /// Values hidden by a range delete.
    pub range_deleted: u64,
    /// Range deletes that a version was held against.
    pub range_deletes: u64,
    /// Nanoseconds to set up and to find the first entry.
    pub seek_nanos: u64,
    /// Nanoseconds for the rest.
    pub scan_nanos: u64,
}

/// One source of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanSource {
    /// A memtable.
    Memtable {
        /// 0 for the active one, then the sealed ones, newest first.
        rank: usize,
        /// Versions read from it.
        versions: u64,
        /// Nanoseconds of its seek and steps.
        nanos: u64,
    },
    /// A run.
    Run {
        /// The level, 0 for the newest.
        level: usize,
        /// The run's number.
        run: u64,
        /// Tables within the range.
        tables: usize,
        /// Tables that the range leaves out.
        pruned: usize,
        /// Data blocks that the range may touch.
        blocks: u64,
        /// Those of them that were in the cache before.
        cached_blocks: u64,
        /// Versions read from it.
        versions: u64,
        /// Data blocks that were read: with a limit, fewer than the range may touch.
        blocks_read: u64,
        /// Those of them that were in the cache before.
        cached_read: u64,
        /// Nanoseconds of its seek and steps, blocks included.
        nanos: u64,
    },
}

/// The way of a scan of `bounds` at `at`, over at most `limit` entries.
pub(crate) fn scan(
    view: &FamilyView,
    clock: &dyn Clock,
    bounds: &Bounds,
    (at, limit): (SeqNo, u64),
) -> Result<ScanPath> {
    let begun = clock.now();
    let ranges = view.range_deletes();
    let mut path = ScanPath {
        seqno: at,
        range_deletes: ranges.iter().map(|ranges| ranges.iter().count() as u64).sum(),
        ..ScanPath::default()
    };
    let mut merge = Merge::new(sources(view, clock, bounds, &mut path)?);
    match &bounds.0 {
        Bound::Unbounded => merge.seek_to_first()?,
        Bound::Included(key) | Bound::Excluded(key) => merge.seek(key, Trailer::FIRST)?,
    }
    path.seek_nanos = nanos(clock.now().saturating_sub(begun));
    let begun = clock.now();
    let mut last: Option<Vec<u8>> = None;
    while merge.valid() && !above(&bounds.1, merge.key()) {
        if path.entries == limit {
            path.limited = true;
            break;
        }
        let (key, trailer) = (merge.key(), merge.trailer());
        if matches!(&bounds.0, Bound::Excluded(low) if key == low.as_slice()) {
            merge.next()?;
            continue;
        }
        path.count_version(merge.child());
        let hidden = ranges.iter().any(|ranges| ranges.newest_at(key, at) > trailer.seqno());
        if trailer.seqno() > at {
            path.too_new += 1;
        } else if last.as_deref() == Some(key) {
            path.shadowed += 1;
        } else {
            last = Some(key.to_vec());
            match answer(trailer, 0, || ())? {
                None => path.tombstones += 1,
                Some(()) if hidden => path.range_deleted += 1,
                Some(()) => {
                    path.entries += 1;
                    path.entry_bytes += (key.len() + merge.value().len()) as u64;
                }
            }
        }
        merge.next()?;
    }
    path.scan_nanos = nanos(clock.now().saturating_sub(begun));
    for (source, noted) in path.sources.iter_mut().zip(merge.into_children()) {
        noted.tell(source);
    }
    Ok(path)
}

/// The sources of a scan in the order of the merge's children, noted in `path`.
fn sources<'a>(
    view: &FamilyView,
    clock: &'a dyn Clock,
    bounds: &Bounds,
    path: &mut ScanPath,
) -> Result<Vec<Noted<'a>>> {
    let mut sources = Vec::new();
    for (rank, memtable) in view.memtables().enumerate() {
        sources.push(Noted::new(memtable.cursor(), clock));
        path.sources.push(ScanSource::Memtable { rank, versions: 0, nanos: 0 });
    }
    let (low, high) = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
    for (level, run, tables) in runs(view) {
        let inside = tables.within(bounds);
        let (mut blocks, mut cached) = (0, HashSet::new());
        for file in inside {
            file.table().range_blocks(low, high, |block| {
                blocks += 1;
                if block.cached {
                    cached.insert((file.info().id, block.offset));
                }
            })?;
        }
        path.sources.push(ScanSource::Run {
            level,
            run,
            tables: inside.len(),
            pruned: tables.tables.len() - inside.len(),
            blocks,
            cached_blocks: cached.len() as u64,
            versions: 0,
            blocks_read: 0,
            cached_read: 0,
            nanos: 0,
        });
        let ranks = (Arc::clone(&tables.tables), tables.ranks_within(bounds));
        let source = Source::Run(RunCursor::new(ranks, ReadOptions::default()));
        sources.push(Noted { cached, ..Noted::new(source, clock) });
    }
    Ok(sources)
}

/// A source that notes the time of each step, and the blocks it comes to.
struct Noted<'a> {
    source: Source,
    watch: Watch<'a>,
    nanos: u64,
    /// Blocks that the cache had before: table and place.
    cached: HashSet<(u64, u64)>,
    /// The block it stands in.
    block: Option<(u64, u64)>,
    blocks_read: u64,
    cached_read: u64,
}

impl<'a> Noted<'a> {
    fn new(source: Source, clock: &'a dyn Clock) -> Self {
        let (watch, cached) = (Watch(clock), HashSet::new());
        Self { source, watch, nanos: 0, cached, block: None, blocks_read: 0, cached_read: 0 }
    }

    fn step(
        &mut self,
        step: impl FnOnce(&mut Source) -> sstable::Result<()>,
    ) -> sstable::Result<()> {
        let (done, nanos) = self.watch.time(|| step(&mut self.source));
        self.nanos += nanos;
        if let Source::Run(run) = &self.source
            && let Some(block) = run.block()
            && self.block != Some(block)
        {
            self.block = Some(block);
            self.blocks_read += 1;
            self.cached_read += u64::from(self.cached.contains(&block));
        }
        done
    }

    fn tell(self, source: &mut ScanSource) {
        match source {
            ScanSource::Memtable { nanos, .. } => *nanos = self.nanos,
            ScanSource::Run { blocks_read, cached_read, nanos, .. } => {
                *blocks_read = self.blocks_read;
                *cached_read = self.cached_read;
                *nanos = self.nanos;
            }
        }
    }
}

impl Cursor for Noted<'_> {
    fn valid(&self) -> bool {
        self.source.valid()
    }

    fn key(&self) -> &[u8] {
        self.source.key()
    }

    fn trailer(&self) -> Trailer {
        self.source.trailer()
    }

    fn value(&self) -> &[u8] {
        self.source.value()
    }

    fn repeats(&self) -> bool {
        self.source.repeats()
    }

    fn seek_to_first(&mut self) -> sstable::Result<()> {
        self.step(Cursor::seek_to_first)
    }

    fn seek_to_last(&mut self) -> sstable::Result<()> {
        self.step(Cursor::seek_to_last)
    }

    fn seek(&mut self, key: &[u8], trailer: Trailer) -> sstable::Result<()> {
        self.step(|source| source.seek(key, trailer))
    }

    fn seek_for_prev(&mut self, key: &[u8], trailer: Trailer) -> sstable::Result<()> {
        self.step(|source| source.seek_for_prev(key, trailer))
    }

    fn next(&mut self) -> sstable::Result<()> {
        self.step(Cursor::next)
    }

    fn prev(&mut self) -> sstable::Result<()> {
        self.step(Cursor::prev)
    }
}

impl ScanPath {
    fn count_version(&mut self, child: Option<usize>) {
        let source = child.and_then(|child| self.sources.get_mut(child));
        if let Some(ScanSource::Memtable { versions, .. } | ScanSource::Run { versions, .. }) =
            source
        {
            *versions += 1;
        }
    }

    /// Versions read for each entry returned: 1 is the best there is.
    pub fn read_amplification(&self) -> f64 {
        let hidden = self.too_new + self.shadowed + self.tombstones + self.range_deleted;
        (self.entries + hidden) as f64 / self.entries.max(1) as f64
    }
}

/// Whether `key` lies behind the range.
fn above(bound: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match bound {
        Bound::Unbounded => false,
        Bound::Included(high) => key > high.as_slice(),
        Bound::Excluded(high) => key >= high.as_slice(),
    }
}
