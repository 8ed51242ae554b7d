//! `explain`: the way that a read takes: memtables, runs, filters, fences, blocks, and the time of
//! each step.

use std::ops::Bound;

use serde_json::{Value, json};

use super::ranges::bounds;
use crate::args::{BytesArg, Cli, ExplainArgs};
use crate::engine::{FilterVerdict, FoundVersion, GetPath, GetStep, Probe, ScanPath, ScanSource};
use crate::failure::Failure;
use crate::terminal::{Terminal, json_bytes};
use crate::view::View;

/// Explains a get, or a scan if no key is given.
pub(crate) fn explain(
    cli: &Cli,
    args: &ExplainArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let family = View::open_read_only(cli)?;
    if let Some(key) = &args.key {
        let path = family.explain_get(&key.0)?;
        return print(terminal, &path, get_json);
    }
    let limit = args.limit.unwrap_or(u64::MAX);
    let path = match &args.range.prefix {
        Some(BytesArg(prefix)) => {
            let end = after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
            family.explain_scan((Bound::Included(prefix.clone()), end), limit)?
        }
        None => family.explain_scan(bounds(&args.range)?, limit)?,
    };
    print(terminal, &path, scan_json)
}

fn print<T: std::fmt::Display>(
    terminal: &mut Terminal,
    path: &T,
    to_json: fn(&T) -> Value,
) -> Result<(), Failure> {
    if terminal.json { terminal.json_line(&to_json(path)) } else { terminal.line(path) }
}

/// The first key behind all that begin with `prefix`; `None` if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

fn get_json(path: &GetPath) -> Value {
    json!({
        "key": json_bytes(&path.key), "seqno": path.seqno, "range_deleted": path.range_deleted,
        "found": path.value.is_some(), "nanos": path.nanos,
        "value_bytes": path.value.as_deref().map(<[u8]>::len),
        "steps": path.steps.iter().map(step_json).collect::<Value>(),
    })
}

fn step_json(step: &GetStep) -> Value {
    match step {
        GetStep::Memtable { rank, entries, filter, filter_nanos, found, nanos } => json!({
            "memtable": rank, "entries": entries, "filter": verdict_json(*filter),
            "filter_nanos": filter_nanos, "found": found.map(found_json), "nanos": nanos,
        }),
        GetStep::OutOfRange { level, run, tables } => {
            json!({ "out_of_range": true, "level": level, "run": run, "tables": tables })
        }
        GetStep::Table { level, run, number, probe, found, nanos } => json!({
            "table": number, "level": level, "run": run, "found": found.map(found_json),
            "nanos": nanos, "probe": probe_json(probe),
        }),
        _ => json!({ "unknown": format!("{step:?}") }),
    }
}

fn found_json(found: FoundVersion) -> Value {
    json!({
        "seqno": found.seqno, "tombstone": found.tombstone, "value_bytes": found.value_bytes,
    })
}

fn verdict_json(verdict: FilterVerdict) -> String {
    format!("{verdict:?}").to_lowercase()
}

fn probe_json(probe: &Probe) -> Value {
    json!({
        "filter": probe.filter.map(verdict_json),
        "filter_nanos": probe.filter_nanos,
        "fence": probe.fence.map(|fence| json!({
            "layout": format!("{:?}", fence.layout).to_lowercase(), "blocks": fence.blocks,
            "rank": fence.rank, "nanos": fence.nanos,
        })),
        "block": probe.block.map(|block| json!({
            "offset": block.offset, "bytes": block.bytes, "cached": block.cached,
            "fetch_nanos": block.fetch_nanos, "search_nanos": block.search_nanos,
        })),
    })
}

fn scan_json(path: &ScanPath) -> Value {
    json!({
        "seqno": path.seqno, "entries": path.entries, "entry_bytes": path.entry_bytes,
        "limited": path.limited, "too_new": path.too_new, "shadowed": path.shadowed,
        "tombstones": path.tombstones, "range_deleted": path.range_deleted,
        "range_deletes": path.range_deletes, "seek_nanos": path.seek_nanos,
        "scan_nanos": path.scan_nanos, "read_amplification": path.read_amplification(),
        "sources": path.sources.iter().map(source_json).collect::<Value>(),
    })
}

fn source_json(source: &ScanSource) -> Value {
    match source {
        ScanSource::Memtable { rank, versions, nanos } => {
            json!({ "memtable": rank, "versions": versions, "nanos": nanos })
        }
        ScanSource::Run {
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
        } => json!({
            "level": level, "run": run, "tables": tables, "pruned": pruned, "blocks": blocks,
            "cached_blocks": cached_blocks, "versions": versions, "blocks_read": blocks_read,
            "cached_read": cached_read, "nanos": nanos,
        }),
        _ => json!({ "unknown": format!("{source:?}") }),
    }
}
