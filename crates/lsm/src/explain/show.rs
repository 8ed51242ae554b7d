//! Explained reads as text, a line a step.

use std::fmt;

use super::{FoundVersion, GetPath, GetStep, ScanPath, ScanSource};
use sstable::{FenceProbe, FilterVerdict, Probe};

impl fmt::Display for FoundVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tombstone {
            write!(f, "a deletion, number {}", self.seqno)
        } else {
            write!(f, "a value of {} bytes, number {}", self.value_bytes, self.seqno)
        }
    }
}

struct Told<'a>(&'a Option<FoundVersion>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("nothing"),
            Some(found) => found.fmt(f),
        }
    }
}

impl fmt::Display for GetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "get \"{}\" at {}", self.key.escape_ascii(), self.seqno)?;
        if self.range_deleted > 0 {
            writeln!(f, "  range delete {}: what is older is hidden", self.range_deleted)?;
        }
        for step in &self.steps {
            step.fmt(f)?;
        }
        match &self.value {
            Some(value) => write!(f, "  answer: {} bytes, {} ns", value.len(), self.nanos),
            None => write!(f, "  answer: no value, {} ns", self.nanos),
        }
    }
}

impl fmt::Display for GetStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memtable { rank, entries, filter, filter_nanos, found, nanos } => {
                let kind = if *rank == 0 { "active" } else { "sealed" };
                let told = Told(found);
                writeln!(f, "  memtable {rank} ({kind}, {entries} entries): {told}, {nanos} ns")?;
                show_filter(f, *filter, *filter_nanos)
            }
            Self::OutOfRange { level, run, tables } => {
                writeln!(f, "  level {level}, run {run}: outside its {tables} tables' ranges")
            }
            Self::Table { level, run, number, probe, found, nanos } => {
                let told = Told(found);
                writeln!(f, "  level {level}, run {run}, table {number}: {told}, {nanos} ns")?;
                show_probe(f, probe)
            }
        }
    }
}

fn show_filter(f: &mut fmt::Formatter<'_>, verdict: FilterVerdict, nanos: u64) -> fmt::Result {
    let words = match verdict {
        FilterVerdict::Absent => "certainly absent",
        FilterVerdict::Maybe => "maybe",
        _ => "none",
    };
    writeln!(f, "    filter: {words}, {nanos} ns")
}

fn show_probe(f: &mut fmt::Formatter<'_>, probe: &Probe) -> fmt::Result {
    if let Some(verdict) = probe.filter {
        show_filter(f, verdict, probe.filter_nanos)?;
    }
    if let Some(FenceProbe { layout, blocks, rank, nanos, .. }) = probe.fence {
        match rank {
            Some(rank) => {
                writeln!(f, "    fence ({layout:?}): block {rank} of {blocks}, {nanos} ns")?;
            }
            None => writeln!(f, "    fence ({layout:?}): behind all {blocks} blocks, {nanos} ns")?,
        }
    }
    if let Some(block) = probe.block {
        let from = if block.cached { "from the cache" } else { "from the file" };
        let (offset, bytes) = (block.offset, block.bytes);
        writeln!(f, "    block at {offset}, {bytes} bytes {from}, {} ns", block.fetch_nanos)?;
        writeln!(f, "    search in the block, {} ns", block.search_nanos)?;
    }
    Ok(())
}

impl fmt::Display for ScanPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scan at {}", self.seqno)?;
        for source in &self.sources {
            source.fmt(f)?;
        }
        let (shadowed, tombstones) = (self.shadowed, self.tombstones);
        writeln!(
            f,
            "  passed over: {shadowed} older versions, {tombstones} deletions, {} under {} range \
             deletes, {} too new",
            self.range_deleted, self.range_deletes, self.too_new
        )?;
        let limited = if self.limited { " (the limit)" } else { "" };
        write!(
            f,
            "  answer: {} entries{limited}, {} bytes; {} ns to the first, {} ns for the rest",
            self.entries, self.entry_bytes, self.seek_nanos, self.scan_nanos
        )
    }
}

impl fmt::Display for ScanSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memtable { rank, versions, nanos } => {
                writeln!(f, "  memtable {rank}: {versions} versions, {nanos} ns")
            }
            Self::Run {
                level,
                run,
                tables,
                pruned,
                blocks,
                cached_blocks,
                versions,
                blocks_read,
                cached_read,
                nanos,
            } => {
                writeln!(
                    f,
                    "  level {level}, run {run}: {versions} versions from {tables} tables \
                     ({pruned} outside), {nanos} ns"
                )?;
                writeln!(
                    f,
                    "    {blocks_read} blocks read ({cached_read} from the cache), of {blocks} in \
                     the range ({cached_blocks} in the cache before)"
                )
            }
        }
    }
}
