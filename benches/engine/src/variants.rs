//! The options that matter, each switched alone.

use lsm::compaction::{Selection, Strategy};
use lsm::{Codec, Durability, FilterSplit, MemtableKind, Options, Placement, bloom, fence};
use workloads::Scale;

/// A change of one option.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) set: fn(&mut Options, &mut Scale),
}

const fn variant(
    name: &'static str,
    what: &'static str,
    set: fn(&mut Options, &mut Scale),
) -> Variant {
    Variant { name, what, set }
}

/// All of them; the default first.
pub(crate) const VARIANTS: &[Variant] = &[
    variant("default", "nothing changed", |_, _| ()),
    variant("memtable-skipmap", "crossbeam's skip list", |options, _| {
        options.memtable = MemtableKind::SkipMap;
    }),
    variant("memtable-sharded", "16 B-trees behind locks", |options, _| {
        options.memtable = MemtableKind::Sharded { shards: 16, placement: Placement::default() };
    }),
    variant("durability-none", "no log", |options, _| options.durability = Durability::None),
    variant("codec-none", "no compression", |options, _| options.codec = Codec::None),
    variant("codec-snappy", "Snappy", |options, _| options.codec = Codec::Snappy),
    variant("codec-zstd", "Zstandard", |options, _| options.codec = Codec::Zstd),
    variant("filter-none", "no filter", |options, _| options.filter_bits_per_key = 0.0),
    variant("filter-standard", "the textbook Bloom filter", |options, _| {
        options.filter_kind = bloom::Kind::Standard;
    }),
    variant("filter-blocked", "single bits in one line", |options, _| {
        options.filter_kind = bloom::Kind::Blocked;
    }),
    variant("filter-ribbon-last", "a ribbon filter in the deepest level", |options, _| {
        options.filter_kind_last = Some(bloom::Kind::Ribbon);
    }),
    variant("filter-even", "as many filter bits in every level", |options, _| {
        options.filter_split = FilterSplit::Even;
    }),
    variant("fence-standard", "binary search", |options, _| {
        options.fence = fence::Layout::Standard;
    }),
    variant("fence-eytzinger", "Eytzinger order", |options, _| {
        options.fence = fence::Layout::Eytzinger;
    }),
    variant("fence-fastlane", "lanes", |options, _| options.fence = fence::Layout::FastLane),
    variant("fence-wide", "wide nodes", |options, _| options.fence = fence::Layout::Wide),
    variant("fence-prefix-tree", "a tree of prefixes", |options, _| {
        options.fence = fence::Layout::PrefixTree;
    }),
    variant("cache-none", "no block cache", |_, scale| scale.cache_bytes = 0),
    variant("cache-8", "8 MiB of block cache", |_, scale| scale.cache_bytes = 8 << 20),
    variant("buffer-8", "8 MiB of write buffer", |_, scale| scale.write_buffer_bytes = 8 << 20),
    variant("block-16k", "blocks of 16 KiB", |options, _| options.block_bytes = 16 << 10),
    variant("block-1k", "blocks of 1 KiB", |options, _| options.block_bytes = 1 << 10),
    variant("strategy-tiered", "tiered", |options, _| options.strategy = Strategy::Tiered),
    variant("strategy-lazy", "lazily leveled", |options, _| {
        options.strategy = Strategy::LazyLeveled;
    }),
    variant("strategy-lazy-l0", "the report's lazily leveled", |options, _| {
        options.strategy = Strategy::LazyL0;
    }),
    variant("strategy-partial", "leveled, the table with the least overlap first", |options, _| {
        options.strategy = Strategy::Partial(Selection::default());
    }),
    variant("ratio-4", "levels four times the one above", |options, _| options.size_ratio = 4),
    variant("tables-8", "tables of 8 MiB", |options, _| options.table_bytes = 8 << 20),
    variant("one-compactor", "one thread compacts", |options, _| options.background_threads = 1),
];
