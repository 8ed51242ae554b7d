//! Hit ratios, and the memory the cache itself takes: `cargo bench -p cache --bench hit_ratio`.
//!
//! Prints one table of requests for blocks, and one of requests for records of which forty lie in a
//! block, as a database makes them.

use cache::{Cache, Options, Policy};
use std::io::{Write, stdout};
use std::sync::Arc;
use traces::Trace;
use traces::zipf::fnv;

mod traces;

const ITEMS: u64 = 200_000;
const REQUESTS: usize = 1_000_000;
const RECORDS_A_BLOCK: u64 = 40;
const WEIGHT: usize = 4096;
const SHARES: [usize; 4] = [1, 5, 10, 20];

/// Percent of the requests, those of scans left out, that find their block.
fn hit_ratio(
    policy: Policy,
    entries: usize,
    requests: impl Iterator<Item = (u64, bool)>,
) -> (f64, f64) {
    let capacity_bytes = entries * WEIGHT;
    let options = Options { capacity_bytes, policy, ..Options::default() };
    let cache: Cache<(u64, u64), Arc<u64>> = Cache::with_options(options);
    let (mut hits, mut counted) = (0_u64, 0_u64);
    for (block, scan) in requests {
        let key = (block >> 12, block & 0xfff);
        let found = cache.get(&key).is_some();
        if !found {
            cache.insert(key, Arc::new(block), WEIGHT);
        }
        counted += u64::from(!scan);
        hits += u64::from(found && !scan);
    }
    let content = cache.len() * size_of::<((u64, u64), Arc<u64>)>();
    let fixed = Cache::<(u64, u64), Arc<u64>>::new(capacity_bytes).memory_usage();
    let overhead = cache.memory_usage().saturating_sub(content + fixed);
    (hits as f64 / counted as f64 * 100.0, overhead as f64 / cache.len() as f64)
}

fn main() -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "| blocks | policy | 1 % | 5 % | 10 % | 20 % | own bytes an entry |")?;
    writeln!(out, "|---|---|---:|---:|---:|---:|---:|")?;
    for trace in Trace::ALL {
        let requests = trace.requests(ITEMS, REQUESTS);
        for policy in [Policy::S3Fifo, Policy::Lru] {
            write!(out, "| {} | {policy:?} ", trace.name())?;
            let mut own: f64 = 0.0;
            for share in SHARES {
                let entries = usize::try_from(ITEMS).expect("small") * share / 100;
                let (ratio, bytes) = hit_ratio(policy, entries, requests.iter().copied());
                write!(out, "| {ratio:.1} ")?;
                own = own.max(bytes);
            }
            writeln!(out, "| {own:.0} |")?;
        }
    }
    writeln!(out, "\n| records, {RECORDS_A_BLOCK} a block | policy | 1 % | 5 % | 10 % | 20 % |")?;
    writeln!(out, "|---|---|---:|---:|---:|---:|")?;
    for trace in [Trace::Uniform, Trace::Zipf, Trace::Latest, Trace::Sequential] {
        let requests = trace.requests(ITEMS * 5, REQUESTS);
        for policy in [Policy::S3Fifo, Policy::Lru] {
            write!(out, "| {} | {policy:?} ", trace.name())?;
            for share in SHARES {
                let blocks = ITEMS * 5 / RECORDS_A_BLOCK;
                let entries = usize::try_from(blocks).expect("small") * share / 100;
                let block = |&(record, scan): &(u64, bool)| match trace {
                    // Hot records lie anywhere.
                    Trace::Zipf => (fnv(record) % blocks, scan),
                    _ => (record / RECORDS_A_BLOCK, scan),
                };
                let (ratio, _) = hit_ratio(policy, entries, requests.iter().map(block));
                write!(out, "| {ratio:.1} ")?;
            }
            writeln!(out, "|")?;
        }
    }
    Ok(())
}
