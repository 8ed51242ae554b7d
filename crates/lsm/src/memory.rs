//! [`MemoryUsage`]: where the database's memory is.

use crate::db::Inner;

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
    /// What memtables and cache may grow to: `write_buffer_bytes` for each memtable that may be
    /// there at once and for what the next one is made from, and `block_cache_bytes`. Filters and
    /// indexes come on top, as the data grows.
    pub limit_bytes: u64,
}

impl MemoryUsage {
    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.active_memtable_bytes
            + self.sealed_memtable_bytes
            + self.idle_memtable_bytes
            + self.block_cache_bytes
            + self.table_bytes
    }

    pub(crate) fn of(inner: &Inner) -> Self {
        let view = inner.state.view();
        let options = &inner.options;
        let memtables = options.sealed_memtables_max as u64 + 2; // the active one, and what is idle
        let mut usage = Self {
            limit_bytes: memtables * options.write_buffer_bytes as u64
                + options.block_cache_bytes as u64,
            ..Self::default()
        };
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
