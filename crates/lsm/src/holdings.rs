//! What a view holds, for [`Stats`].

use sstable::BlockCache;

use crate::metrics::Stats;
use crate::state::View;

/// Adds what the memtables, the tables and the cache hold.
pub(crate) fn add(stats: &mut Stats, view: &View, cache: Option<&BlockCache>) {
    for memtable in view.families().flat_map(|family| family.memtables()) {
        stats.memtable_memory_bytes += memtable.memory_bytes() as u64;
        stats.memtable_entries += memtable.len() as u64;
    }
    if let Some(cache) = cache {
        let cached = cache.stats();
        stats.cache_bytes = cache.weight_bytes() as u64;
        stats.cache_hits = cached.hits;
        stats.cache_misses = cached.misses;
    }
    for file in view.families().flat_map(|family| family.version.tables()) {
        stats.tables += 1;
        stats.filter_false_positives += file.table().false_positives();
        stats.table_bytes += file.info().bytes;
        stats.table_entries += file.info().entries;
        stats.table_tombstones += file.info().tombstones;
        stats.table_raw_bytes += file.table().meta().data_bytes;
        stats.table_memory_bytes += file.table().memory_usage() as u64;
    }
    stats.runs = view.families().map(|family| family.version.runs().count() as u64).sum();
    let ranges = view.families().flat_map(|family| family.range_deletes());
    stats.range_deletes = ranges.map(|ranges| ranges.iter().count() as u64).sum();
}
