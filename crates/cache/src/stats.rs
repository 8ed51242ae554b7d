//! Counters, in all and by kind.

use crate::policy::Kind;

/// Counts of one kind of entry since the cache was made, and what is there now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindStats {
    /// Lookups that found their key.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Entries stored, replacements included.
    pub inserts: u64,
    /// Entries that left to make room.
    pub evictions: u64,
    /// Entries refused because they are larger than a shard.
    pub rejected: u64,
    /// Entries present.
    pub entries: u64,
    /// Sum of the weights of the entries present, in the caller's bytes.
    pub bytes: u64,
}

impl KindStats {
    fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.inserts += other.inserts;
        self.evictions += other.evictions;
        self.rejected += other.rejected;
        self.entries += other.entries;
        self.bytes += other.bytes;
    }
}

/// What a cache did and holds. Taken while other threads run, the parts may be moments apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Lookups that found their key.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Entries stored, replacements included.
    pub inserts: u64,
    /// Entries that left to make room.
    pub evictions: u64,
    /// Entries refused because they are larger than a shard.
    pub rejected: u64,
    /// Loaders run by [`crate::Cache::get_or_load`].
    pub loads: u64,
    /// Loaders that failed or panicked.
    pub load_failures: u64,
    /// Lookups that waited for another thread's loader.
    pub load_waits: u64,
    /// Entries present.
    pub entries: u64,
    /// Sum of the weights of the entries present, in the caller's bytes.
    pub bytes: u64,
    /// Part of `bytes` that is pinned.
    pub pinned_bytes: u64,
    /// Weight of entries that left but whose values are not dropped yet, because a reader may still
    /// see them. Not part of `bytes`; at most a thirty-second of the capacity, or one entry a shard
    /// if that is more, while no reader is stopped in the middle of a read.
    pub limbo_bytes: u64,
    /// The limit of `bytes`.
    pub capacity_bytes: u64,
    /// The same by kind, in the order of [`Kind::ALL`].
    pub kinds: [KindStats; Kind::COUNT],
}

impl Stats {
    /// Hits per lookup, between 0 and 1; 0 before the first lookup.
    pub fn hit_ratio(&self) -> f64 {
        let lookups = self.hits + self.misses;
        if lookups == 0 { 0.0 } else { self.hits as f64 / lookups as f64 }
    }

    /// Adds the counters of one shard.
    pub(crate) fn add_kinds(&mut self, kinds: &[KindStats; Kind::COUNT]) {
        for (sum, kind) in self.kinds.iter_mut().zip(kinds) {
            sum.add(kind);
        }
    }

    /// Sums up the kinds once all shards were added.
    pub(crate) fn total(mut self) -> Self {
        let mut sum = KindStats::default();
        self.kinds.iter().for_each(|kind| sum.add(kind));
        let KindStats { hits, misses, inserts, evictions, rejected, entries, bytes } = sum;
        (self.hits, self.misses, self.inserts) = (hits, misses, inserts);
        (self.evictions, self.rejected, self.entries, self.bytes) =
            (evictions, rejected, entries, bytes);
        self
    }
}
