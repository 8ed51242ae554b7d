//! [`MemoryUsage`]: where the database's memory is.

use crate::inner::Inner;
use crate::options::Options;

/// Bytes of memory that an open database holds, by what they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Memtables that take writes.
    pub active_memtable_bytes: u64,
    /// Memtables that wait for their flush.
    pub sealed_memtable_bytes: u64,
    /// Memory that flushed memtables have left for the next.
    pub idle_memtable_bytes: u64,
    /// Blocks in the cache, and the cache's own books.
    pub block_cache_bytes: u64,
    /// Filters, indexes and properties of open tables, as far as they are not in the cache.
    pub table_bytes: u64,
    /// Log segments that are mapped: the one in use, and those before it whose writes are not in
    /// tables yet. Their pages belong to the operating system's file cache, and count as the
    /// process's as long as they are mapped.
    pub log_bytes: u64,
    /// What running flushes and compactions may hold: blocks read ahead and tables being built.
    /// An estimate.
    pub background_bytes: u64,
    /// The memory budget. Without one, what memtables and cache may grow to: `write_buffer_bytes`
    /// for each memtable that may be there at once and for what the next one is made from, and
    /// `block_cache_bytes`; filters and indexes come on top, as the data grows.
    pub limit_bytes: u64,
}

/// Bytes that a process has before it opens a database: code, stacks, the allocator's own.
const PROCESS_BYTES: u64 = 4 << 20;

/// Runs that a merge reads side by side, as a rule; each has a block and two read-ahead buffers.
const MERGE_RUNS: u64 = 16;

/// Bytes of the buffers before an output file.
const OUTPUT_BYTES: u64 = 768 << 10;

/// What a flush or a compaction may hold. A table in the making keeps its keys' hashes, filter and
/// index: less than a quarter of its bytes, unless its entries are tiny.
fn job_bytes(options: &Options) -> u64 {
    let run = 2 * options.merge_read_ahead_bytes() + 2 * options.block_bytes;
    MERGE_RUNS * run as u64 + OUTPUT_BYTES + options.table_bytes / 4
}

/// What the cache may take of the memory budget when tables' filters and indexes hold
/// `table_bytes`: a sixty-fourth is always left to it.
pub(crate) fn cache_share(options: &Options, table_bytes: u64) -> usize {
    let budget = options.memory_budget_bytes as u64;
    let buffer = options.write_buffer_bytes as u64;
    let sealed = options.sealed_memtables_max as u64;
    let memtables = (sealed + 2) * buffer;
    // Logs hold what memtables hold, without their overhead; and there is the next.
    let logs = (sealed + 1) * buffer + (1 << 20);
    let jobs = (options.background_threads as u64 + 1) * job_bytes(options);
    // A tenth is what the allocator loses between blocks.
    let others = PROCESS_BYTES + memtables + logs + jobs + table_bytes + budget / 10;
    let share = budget.saturating_sub(others).max(budget / 64);
    usize::try_from(share).unwrap_or(usize::MAX)
}

/// The share of the memory budget that is taken, from 0 to about 1; 0 without a budget.
pub(crate) fn share(inner: &Inner) -> f64 {
    if inner.options.memory_budget_bytes == 0 {
        return 0.0;
    }
    let usage = MemoryUsage::of(inner);
    // A cache that fills its share is as it should be, and no reason to save memory.
    let others = usage.total_bytes() - usage.block_cache_bytes;
    others as f64 / usage.limit_bytes as f64
}

/// Fits the cache to what filters and indexes have left of the budget, after a change of the tree.
pub(crate) fn rebalance(inner: &Inner) {
    if inner.options.memory_budget_bytes > 0 {
        inner.live.with_options(|options| rebalance_for(inner, options));
    }
}

/// [`rebalance`] for options that are in force, or are about to be. Whoever calls it holds what
/// [`Live::with_options`] holds, so that the last one knows the last options.
///
/// [`Live::with_options`]: crate::option_changes::Live::with_options
pub(crate) fn rebalance_for(inner: &Inner, options: &Options) {
    let Some(cache) = &inner.cache else { return };
    let view = inner.state.view();
    let tables = view.families().flat_map(|family| family.version.tables());
    let table_bytes = tables.map(|file| file.table().memory_usage() as u64).sum();
    let share = cache_share(options, table_bytes).min(options.block_cache_bytes);
    if share != cache.capacity_bytes() {
        cache.set_capacity(share);
    }
}

impl MemoryUsage {
    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.active_memtable_bytes
            + self.sealed_memtable_bytes
            + self.idle_memtable_bytes
            + self.block_cache_bytes
            + self.table_bytes
            + self.log_bytes
            + self.background_bytes
    }

    pub(crate) fn of(inner: &Inner) -> Self {
        let view = inner.state.view();
        let options = &inner.live.options();
        let memtables = options.sealed_memtables_max as u64 + 2; // the active one, and what is idle
        let parts =
            memtables * options.write_buffer_bytes as u64 + options.block_cache_bytes as u64;
        let budget = options.memory_budget_bytes as u64;
        let mut usage =
            Self { limit_bytes: if budget > 0 { budget } else { parts }, ..Self::default() };
        let current = inner.tail.lock().log.clone();
        let older = inner.unsynced.0.lock().clone();
        usage.log_bytes = current.iter().chain(&older).map(|log| log.capacity()).sum();
        let (flushing, compactions) = inner.work.running();
        let jobs = compactions as u64 + u64::from(flushing);
        usage.background_bytes = jobs * job_bytes(options);
        for family in view.families() {
            usage.active_memtable_bytes += family.active.memory_bytes() as u64;
            let sealed = family.sealed.iter().map(|memtable| memtable.memory_bytes() as u64);
            usage.sealed_memtable_bytes += sealed.sum::<u64>();
            let tables = family.version.tables().map(|file| file.table().memory_usage() as u64);
            usage.table_bytes += tables.sum::<u64>();
        }
        usage.idle_memtable_bytes = inner.arena.idle_bytes() as u64;
        if let Some(cache) = &inner.cache {
            let limbo_bytes = cache.stats().limbo_bytes;
            usage.block_cache_bytes =
                (cache.weight_bytes() + cache.memory_usage()) as u64 + limbo_bytes;
        }
        usage
    }
}
