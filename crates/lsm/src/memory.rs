//! [`MemoryUsage`]: where the database's memory is; and the split of a memory budget over all that
//! holds some, by what the [`Ledger`](crate::ledger::Ledger) says.
//!
//! Whatever is held by the others, the cache does without, down to a small part; when that is not
//! enough, jobs begin with less or one after the other, iterators read less far ahead, memtables
//! are sealed earlier, and in the end writers are held back. All of it is undone as memory comes
//! back.
//!
//! ```text
//! budget = process | slack | memtables, logs | tables, kept memtables | jobs | iterators | cache
//! ```

use compaction::Plan;
use sstable::BlockCache;

use crate::allocator;
use crate::family_options::FamilyOptions;
use crate::inner::Inner;
use crate::ledger::{Account, Ask, Charge, Grant, Ledger, Urgency};
use crate::options::Options;
use crate::output::WRITE_BYTES;
use crate::state::{FamilyView, View};

/// Bytes of memory that an open database holds, by what they are for. Each is kept as memory comes
/// and goes, except where its description says otherwise.
///
/// ```
/// # fn main() -> lsm::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// let options = lsm::Options::default().with_memory_budget(64 << 20);
/// let db = lsm::Db::open(folder.path().join("db"), options)?;
/// for n in 0..1000u32 {
///     db.put(n.to_be_bytes(), [7; 100])?;
/// }
/// db.flush()?;
/// let before = db.memory();
/// assert!(before.total_bytes() < before.limit_bytes);
/// assert_eq!(before.iterator_bytes, 0);
///
/// let mut scan = db.scan::<&[u8]>(..)?;
/// scan.next().expect("an entry")?;
/// assert!(db.memory().iterator_bytes > 0, "a block, for as long as the iterator is there");
/// drop(scan);
/// assert_eq!(db.memory().iterator_bytes, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Memtables that take writes.
    pub active_memtable_bytes: u64,
    /// Memtables that wait for their flush.
    pub sealed_memtable_bytes: u64,
    /// Memtables that were flushed, and that iterators, or reads under way, keep.
    pub kept_memtable_bytes: u64,
    /// Memory that flushed memtables have left for the next.
    pub idle_memtable_bytes: u64,
    /// Blocks in the cache, and the cache's own books.
    pub block_cache_bytes: u64,
    /// Filters, indexes, properties and names of open tables, as far as they are not in the cache;
    /// also of replaced tables, as long as somebody reads them.
    pub table_bytes: u64,
    /// Pages of mapped logs: of the one in use, of those before it whose writes are not in tables
    /// yet, and of the next. They belong to the operating system's file cache, and count as the
    /// process's as long as they are mapped.
    pub log_bytes: u64,
    /// What running flushes and compactions have reserved: blocks, what they read ahead, buffers,
    /// filters and indexes in the making. They may hold less.
    pub background_bytes: u64,
    /// Blocks that iterators and cursors stand on, as if the cache had none of them, and what they
    /// have read ahead. Not: values that the caller has been given.
    pub iterator_bytes: u64,
    /// The memory budget. Without one, what memtables and cache may grow to: `write_buffer_bytes`
    /// for each memtable that may be there at once and for what the next one is made from, and
    /// `block_cache_bytes`; filters and indexes come on top, as the data grows.
    pub limit_bytes: u64,
}

/// Bytes that a process has before it opens a database: code, stacks, the allocator's own.
const PROCESS_BYTES: u64 = 4 << 20;

/// The part of a budget that is left to the allocator: holes between what is in use, and what was
/// freed since it last gave back. Of 32 MiB, 4 to 8 MiB were seen beside what was in use.
const SLACK_SHARE: u64 = 6;

/// The part of a budget that the cache keeps, whatever else is held.
const CACHE_SHARE_MIN: u64 = 64;

/// The part of a budget that iterators may use without the cache's giving way.
const ITERATOR_SHARE: u64 = 32;

/// The part of a budget by which the cache grows at a time: room that comes and goes with every job
/// is of no use to it.
const CACHE_STEP_SHARE: usize = 32;

/// The part of a budget that may be holes which the cache has left. Where a block was evicted lies
/// a hole between two others, of which the allocator can give back no page: from a cache that had
/// shrunk from 15 to 7 MiB bit by bit, 8 MiB of memory stayed with the process. So when the holes
/// come to this much, the whole cache is emptied, and fills anew.
const HOLES_SHARE: u64 = 24;

/// Runs that a merge reads side by side, as a rule.
const MERGE_RUNS: u64 = 12;

/// The part of the write buffer at which memtables are sealed when there is least room.
const SEAL_SHARE_MIN: usize = 8;

/// The longest delay of 1 MiB for want of memory, in microseconds: 4 MiB a second still get in, as
/// under the other debts. It is reached when what is held exceeds its part of the budget by
/// [`OVER_SHARE`] of the budget.
const DELAY_US_PER_MIB_MAX: u64 = 250_000;
const OVER_SHARE: u64 = 16;

/// What a merge that reads one run is charged for the block it stands on and the one to come.
fn run_bytes(block_bytes: usize) -> u64 {
    2 * block_bytes as u64 + 1024
}

/// What writing tables holds: a buffer, blocks on their way, and of the table in the making the
/// keys' hashes, and filter and index twice, as they are and as they are stored.
fn output_bytes(options: &FamilyOptions, entries: u64, table_bytes: u64) -> u64 {
    let hashes = 8 * entries;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate; the options keep it positive and small"
    )]
    let filter = (options.filter_bits_per_key / 4.0).ceil() as u64 * entries;
    let block = options.block_bytes as u64;
    let index = 64 * (table_bytes / block + 1);
    // Raw and compressed; each thread has four of them waiting.
    let blocks = (8 + 8 * options.compression_threads as u64) * block;
    let held_back = options.held_back_bytes(table_bytes);
    WRITE_BYTES as u64 + blocks + hashes + filter + index + held_back
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

/// Entries of a table of `table_bytes`, where so many bytes have so many entries.
fn entries_of(table_bytes: u64, (bytes, entries): (u64, u64)) -> u64 {
    let share = u128::from(entries) * u128::from(table_bytes.min(bytes)) / u128::from(bytes.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// What a job reserves as a rule, before any has: a merge, or a flush, which reads no table.
fn usual_job_bytes(options: &Options, runs: u64) -> u64 {
    let own = FamilyOptions::from(options);
    let read = runs * (options.merge_read_ahead_bytes() as u64 + run_bytes(options.block_bytes));
    read + output_bytes(&own, entries_of(options.table_bytes, (128, 1)), options.table_bytes)
}

/// What others than the cache hold, or are to have, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Others {
    /// Tables, and memtables that only readers keep.
    fixed: u64,
    jobs: u64,
    iterators: u64,
}

/// A split of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Split {
    cache_bytes: usize,
    job_room: u64,
    iterator_limit: u64,
    /// Where memtables are sealed.
    seal_bytes: usize,
}

impl Split {
    fn new(options: &Options, others: Others) -> Self {
        let budget = options.memory_budget_bytes as u64;
        let usable = usable_bytes(budget);
        let (buffer, sealed) =
            (options.write_buffer_bytes as u64, options.sealed_memtables_max as u64);
        // Memtables, what the next is made from, and the logs, which hold the same.
        let buffers = 2 * sealed + 3;
        let merges = options.background_threads as u64 * usual_job_bytes(options, MERGE_RUNS);
        let usual = merges + usual_job_bytes(options, 0);
        let jobs = others.jobs.max(usual);
        let least = budget / CACHE_SHARE_MIN;
        let iterators = others.iterators.max(budget / ITERATOR_SHARE);
        let before_jobs =
            usable.saturating_sub(buffers * buffer + others.fixed + iterators + least);
        let left = before_jobs.saturating_sub(jobs);
        let cache = (left + least).min(options.block_cache_bytes as u64);
        let needed = others.fixed + iterators + least + jobs;
        let seal = (usable.saturating_sub(needed) / buffers).min(buffer);
        let seal = usize::try_from(seal).unwrap_or(usize::MAX);
        Self {
            cache_bytes: usize::try_from(cache).unwrap_or(usize::MAX),
            // Not what the cache could spare: it would be emptied for each large merge.
            job_room: before_jobs.min(usual),
            iterator_limit: iterators + left / 2,
            seal_bytes: seal.max(options.write_buffer_bytes / SEAL_SHARE_MIN),
        }
    }
}

/// What of a budget is for the database itself.
fn usable_bytes(budget: u64) -> u64 {
    budget.saturating_sub(PROCESS_BYTES + budget / SLACK_SHARE)
}

/// What the cache may take of the memory budget of a new database.
pub(crate) fn cache_share(options: &Options) -> usize {
    let unbounded = Options { block_cache_bytes: usize::MAX, ..options.clone() };
    Split::new(&unbounded, Others::default()).cache_bytes
}

/// The delay of 1 MiB when `held` bytes are held under a budget.
fn delay_us_per_mib(budget: u64, held: u64) -> u64 {
    let over = held.saturating_sub(usable_bytes(budget));
    let full = (budget / OVER_SHARE).max(1);
    over.min(full) * DELAY_US_PER_MIB_MAX / full
}

/// Brings the memtables' accounts up to date.
fn settle(view: &View) {
    for family in view.families() {
        family.active.settle(Account::Active);
        family.sealed.iter().for_each(|memtable| memtable.settle(Account::Sealed));
    }
}

/// Splits the budget anew, after something large has come or gone.
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
    settle(&inner.state.view());
    let ledger = &inner.ledger;
    let others = Others {
        fixed: ledger.held(Account::Tables) + ledger.held(Account::Kept),
        jobs: ledger.held(Account::Jobs),
        iterators: ledger.iterators.held_bytes(),
    };
    let split = Split::new(options, others);
    ledger.set_job_room(split.job_room);
    ledger.iterators.set_limit(split.iterator_limit);
    inner.live.seal_at(split.seal_bytes);
    let budget = options.memory_budget_bytes as u64;
    let holes = inner.cache.as_ref().map_or(0, |cache| fit_cache(cache, ledger, options, split));
    let usage = MemoryUsage::held(inner);
    let cache_min = budget / CACHE_SHARE_MIN;
    let held = usage.total_bytes() - usage.block_cache_bytes.saturating_sub(cache_min);
    inner.admission.memory(inner, delay_us_per_mib(budget, held + holes));
}

/// Gives the cache its part, and returns the bytes of the holes that it has left.
fn fit_cache(cache: &BlockCache, ledger: &Ledger, options: &Options, split: Split) -> u64 {
    let (part, before) = (split.cache_bytes, cache.capacity_bytes());
    let most = ledger.cache_most(cache.weight_bytes() as u64);
    if part < before || part > before + options.memory_budget_bytes / CACHE_STEP_SHARE {
        cache.set_capacity(part);
    }
    most.saturating_sub(part as u64)
}

/// Empties the cache if it has left too many holes, and says whether it did.
fn close_holes(inner: &Inner, budget: u64) -> bool {
    let Some(cache) = &inner.cache else { return false };
    let part = cache.capacity_bytes();
    let most = inner.ledger.cache_most(cache.weight_bytes() as u64);
    if most.saturating_sub(part as u64) <= budget / HOLES_SHARE {
        return false;
    }
    cache.set_capacity(0);
    cache.set_capacity(part);
    inner.ledger.forget_cache_most();
    true
}

/// Takes note that a job has ended: what it gave back goes on, to the cache or to the system. Only
/// here, in a thread of the background, is the cache emptied, and the allocator made to give back.
pub(crate) fn job_ended(inner: &Inner) {
    rebalance(inner);
    let budget = inner.options.memory_budget_bytes as u64;
    if budget == 0 {
        return;
    }
    let (emptied, released) = (close_holes(inner, budget), inner.ledger.take_released(budget / 64));
    if emptied || released {
        allocator::give_back();
    }
}

/// Reserves what a merge by `plan` needs, or as much as there is; nothing if it must wait.
pub(crate) fn reserve_merge(
    inner: &Inner,
    family: &FamilyView,
    plan: &Plan,
    urgency: Urgency,
) -> Option<Grant> {
    let (options, totals) = (&family.core.options, plan.input_totals(&family.version.shape));
    let table_bytes = plan.target_table_bytes.max(1).min(totals.bytes.max(1));
    let entries = entries_of(table_bytes, (totals.bytes, totals.entries));
    let ask = Ask {
        parts: crate::merge::parts_wanted(options, totals.bytes)
            .min(inner.options.background_threads),
        runs: plan.inputs.len(),
        run_bytes: run_bytes(options.block_bytes),
        output_bytes: output_bytes(options, entries, table_bytes),
        read_ahead_bytes: inner.options.merge_read_ahead_bytes(),
    };
    inner.ledger.reserve(&ask, urgency)
}

/// What a flush of `entries` in `bytes` of memory holds. A flush never waits: it frees more.
pub(crate) fn charge_flush(
    inner: &Inner,
    options: &FamilyOptions,
    (bytes, entries): (u64, u64),
) -> Charge {
    let table_bytes = options.table_bytes.min(bytes);
    let entries = entries_of(table_bytes, (bytes, entries));
    let bytes = output_bytes(options, entries, table_bytes);
    Charge::new(&inner.ledger, Account::Jobs, bytes)
}

impl MemoryUsage {
    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.active_memtable_bytes
            + self.sealed_memtable_bytes
            + self.kept_memtable_bytes
            + self.idle_memtable_bytes
            + self.block_cache_bytes
            + self.table_bytes
            + self.log_bytes
            + self.background_bytes
            + self.iterator_bytes
    }

    pub(crate) fn of(inner: &Inner) -> Self {
        settle(&inner.state.view());
        let options = &inner.live.options();
        let memtables = options.sealed_memtables_max as u64 + 2; // the active one, and what is idle
        let parts =
            memtables * options.write_buffer_bytes as u64 + options.block_cache_bytes as u64;
        let budget = options.memory_budget_bytes as u64;
        Self { limit_bytes: if budget > 0 { budget } else { parts }, ..Self::held(inner) }
    }

    /// What the accounts say, and what is counted where it lies: cache, logs, idle chunks.
    fn held(inner: &Inner) -> Self {
        let ledger = &inner.ledger;
        let cache_bytes = inner.cache.as_ref().map_or(0, |cache| {
            (cache.weight_bytes() + cache.memory_usage()) as u64 + cache.stats().limbo_bytes
        });
        Self {
            active_memtable_bytes: ledger.held(Account::Active),
            sealed_memtable_bytes: ledger.held(Account::Sealed),
            kept_memtable_bytes: ledger.held(Account::Kept),
            idle_memtable_bytes: inner.arena.idle_bytes() as u64,
            block_cache_bytes: cache_bytes,
            table_bytes: ledger.held(Account::Tables),
            log_bytes: inner.logs.memory_bytes(),
            background_bytes: ledger.held(Account::Jobs),
            iterator_bytes: ledger.iterators.held_bytes(),
            limit_bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_gives_first_then_jobs_and_then_memtables() {
        let options = Options::default().with_memory_budget(32 << 20);
        let split = |fixed| Split::new(&options, Others { fixed, ..Others::default() });
        let (empty, full) = (split(0), split(64 << 20));
        assert_eq!(empty.cache_bytes, options.block_cache_bytes);
        assert_eq!(empty.seal_bytes, options.write_buffer_bytes);
        assert_eq!((full.cache_bytes, full.job_room), ((32 << 20) / 64, 0));
        assert_eq!(full.seal_bytes, options.write_buffer_bytes / SEAL_SHARE_MIN);
        for mib in 1..64 {
            let (less, more) = (split((mib - 1) << 20), split(mib << 20));
            assert!(more.cache_bytes <= less.cache_bytes && more.job_room <= less.job_room);
            assert!(more.seal_bytes <= less.seal_bytes);
            let whole = more.seal_bytes == options.write_buffer_bytes;
            assert!(whole || more.cache_bytes == full.cache_bytes, "{mib} MiB: {more:?}");
        }
    }

    #[test]
    fn a_split_never_hands_out_more_than_there_is() {
        for mib in [8, 16, 32, 96, 1024] {
            let options = Options::default().with_memory_budget(mib << 20);
            for fixed in (0..mib as u64).map(|n| n << 20) {
                for jobs in [0, 3 << 20, 9 << 20] {
                    let iterators = 1 << 20;
                    let others = Others { fixed, jobs, iterators };
                    let split = Split::new(&options, others);
                    let buffers = 5 * split.seal_bytes as u64;
                    let all = fixed + jobs + iterators + buffers + split.cache_bytes as u64;
                    let least = split.seal_bytes == options.write_buffer_bytes / SEAL_SHARE_MIN;
                    let usable = usable_bytes((mib as u64) << 20);
                    assert!(least || all <= usable, "{mib} MiB, {others:?}: {split:?}");
                }
            }
        }
    }

    #[test]
    fn writers_are_held_back_beyond_the_budget_only() {
        let budget = 64 << 20;
        let usable = usable_bytes(budget);
        assert_eq!(delay_us_per_mib(budget, usable), 0);
        assert_eq!(delay_us_per_mib(budget, usable + (2 << 20)), DELAY_US_PER_MIB_MAX / 2);
        assert_eq!(delay_us_per_mib(budget, u64::MAX), DELAY_US_PER_MIB_MAX);
    }
}
