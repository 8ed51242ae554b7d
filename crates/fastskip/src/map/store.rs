//! What a `ConcurrentSkipList`, its frozen form and its snapshots share: versions, stamps, limits.

use super::builder::Builder;
use crate::batch::{LANES, Lane};
use crate::error::{InsertError, SealError};
use crate::gate::Pass;
use crate::insert::Path;
use crate::key::Target;
use crate::list::SkipList;
use crate::node::NODE_BYTES;
use crate::record::{Record, Stamps};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, Padded, fence};
use crate::token;

/// In a stamp: the entry is a tombstone.
const TOMBSTONE: u32 = 1 << 31;
/// In a stamp: the epoch, 0 if not stamped yet.
const EPOCH: u32 = TOMBSTONE - 1;

/// The epoch that sees everything.
pub(super) const LIVE: u32 = EPOCH;

#[derive(Debug)]
pub(super) struct Store {
    list: SkipList,
    epoch: AtomicU32,
    counts: Box<[Padded<Counts>]>,
    /// Entries, counted beforehand; only when there is a limit on them.
    entries_charged: AtomicUsize,
    seal_called: AtomicBool,
    settings: Builder,
}

/// A shard's counts.
#[derive(Debug)]
struct Counts {
    /// Keys that became live, less those that ceased to be; only the sum over shards is positive.
    live: AtomicU64,
    attempts: AtomicU64,
}

/// What a write puts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish<'a> {
    Value(&'a [u8]),
    Tombstone,
}

/// When a write leaves things as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Always,
    UnlessLive,
    UnlessDeleted,
}

/// What became of a write.
#[derive(Debug)]
pub(super) struct Written<'a> {
    /// Whether an entry was written; if not, the rule forbade it.
    pub(super) done: bool,
    pub(super) was_live: bool,
    /// The entry that was written, or was found.
    pub(super) record: Record<'a>,
}

/// Whether the record says that the key was deleted.
pub(super) fn is_tombstone(record: Record<'_>) -> bool {
    // ORDERING: Relaxed: the bit was written before the record was published.
    record.stamp().load(Ordering::Relaxed) & TOMBSTONE != 0
}

impl Store {
    pub(super) fn new(settings: Builder) -> Self {
        let list = SkipList::with_stamps(&settings.options(), Stamps::With);
        let shard_count = list.fingers.len();
        let counts = |_| Padded(Counts { live: AtomicU64::new(0), attempts: AtomicU64::new(0) });
        Self {
            list,
            epoch: AtomicU32::new(1),
            counts: (0..shard_count).map(counts).collect(),
            entries_charged: AtomicUsize::new(0),
            seal_called: AtomicBool::new(false),
            settings,
        }
    }

    pub(super) fn list(&self) -> &SkipList {
        &self.list
    }

    pub(super) fn settings(&self) -> &Builder {
        &self.settings
    }

    /// Writes the next version of `key`, unless the rule says otherwise.
    pub(super) fn write(
        &self,
        wish: Wish<'_>,
        key: &[u8],
        rule: Rule,
    ) -> Result<Written<'_>, InsertError> {
        let token = token::current();
        let shard = token % self.counts.len();
        if matches!(wish, Wish::Value(_)) {
            self.count_attempts(shard, 1);
        }
        let mut pass = self.list.gate.enter(token).ok_or(InsertError::Sealed)?;
        let target = Target::at(key, u64::MAX);
        let mut path = Path::new(shard);
        let place = self.list.start_of_insert(&target, &mut path);
        self.write_from(Lane { target, place, path }, wish, rule, &mut pass)
    }

    /// Inserts each entry whose key is not live, and goes on after one that is refused. How many
    /// were inserted. The searches go down side by side, see `batch`.
    pub(super) fn insert_batch<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, entries: &[(K, V)]) -> usize {
        let token = token::current();
        let shard = token % self.counts.len();
        let mut inserted = 0;
        for group in entries.chunks(LANES) {
            self.count_attempts(shard, group.len() as u64);
            // The caller's code runs here, outside of the gate: it may seal the list.
            let pairs = group.iter().map(|(key, value)| (key.as_ref(), value.as_ref()));
            let pairs: Vec<_> = pairs.collect();
            let Some(mut pass) = self.list.gate.enter(token) else { continue };
            let targets = pairs.iter().map(|(key, _)| Target::at(key, u64::MAX));
            let lanes = self.list.descend_all(shard, targets);
            for lane in &lanes {
                self.list.prefetch_record(lane.place, &lane.target);
            }
            for (lane, (_, value)) in lanes.into_iter().zip(&pairs) {
                // An entry of this group may have been the last that the limits allow.
                if self.list.is_sealed() {
                    break;
                }
                let wish = Wish::Value(value);
                let written = self.write_from(lane, wish, Rule::UnlessLive, &mut pass);
                inserted += usize::from(written.is_ok_and(|written| written.done));
            }
        }
        inserted
    }

    /// Writes the next version of the lane's key, whose leaf is at the lane's place or to the right
    /// of it.
    fn write_from(
        &self,
        lane: Lane<'_>,
        wish: Wish<'_>,
        rule: Rule,
        pass: &mut Pass<'_>,
    ) -> Result<Written<'_>, InsertError> {
        let (value, first_stamp) = match wish {
            Wish::Value(value) => (value, 0),
            Wish::Tombstone => (&[][..], TOMBSTONE),
        };
        let Lane { target: newest, place: mut leaf, mut path } = lane;
        let (key, shard) = (newest.key, path.shard);
        loop {
            path.stamp = first_stamp;
            let before = self.list.find_in_leaf(leaf, &newest);
            let was_live = before.is_some_and(|record| !is_tombstone(record));
            let version = match before {
                Some(record) => {
                    self.stamp(record);
                    let is_kept = match rule {
                        Rule::Always => false,
                        Rule::UnlessLive => was_live,
                        Rule::UnlessDeleted => !was_live,
                    };
                    if is_kept {
                        return Ok(Written { done: false, was_live, record });
                    }
                    record.version() + 1
                }
                None => 1,
            };
            self.charge(key.len() + value.len())?;
            let target = Target::at(key, version);
            let place = match self.list.insert_from(leaf, &target, value, &mut path) {
                Ok(place) => place,
                Err(error) => {
                    self.discharge();
                    if error != InsertError::Duplicate {
                        return Err(error);
                    }
                    // Somebody else wrote this version: look again.
                    path = Path::new(shard);
                    leaf = self.list.start_of_insert(&newest, &mut path);
                    continue;
                }
            };
            let record = self.list.arena.record(place);
            self.stamp(record);
            pass.count(key.len(), value.len());
            let change = u64::from(first_stamp == 0).wrapping_sub(u64::from(was_live));
            if change != 0 {
                // ORDERING: Relaxed: a statistic.
                self.counts[shard].0.live.fetch_add(change, Ordering::Relaxed);
            }
            return Ok(Written { done: true, was_live, record });
        }
    }

    fn count_attempts(&self, shard: usize, count: u64) {
        // ORDERING: Relaxed: a statistic.
        self.counts[shard].0.attempts.fetch_add(count, Ordering::Relaxed);
    }

    /// Stamps the record with the epoch, unless that is done.
    #[inline]
    fn stamp(&self, record: Record<'_>) {
        let stamp = record.stamp();
        // ORDERING: Acquire pairs with the Release below: the stamps of a key's versions, and the
        // epochs they come from, do not run backwards.
        let old = stamp.load(Ordering::Acquire);
        if old & EPOCH != 0 {
            return;
        }
        // ORDERING: SeqCst: after the link of the record (see `Node::fill`), and in one order with
        // the move of the epoch in `take_epoch`: a snapshot that did not see the link has moved
        // the epoch before this reads it.
        #[cfg(loom)] // it takes a SeqCst load for an Acquire: a fence says what is meant
        fence(Ordering::SeqCst);
        let epoch = self.epoch.load(Ordering::SeqCst);
        // ORDERING: Release: see the Acquire above. If somebody else stamps first, that counts.
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        let _first = stamp.compare_exchange(old, old | epoch, success, failure).is_ok();
    }

    /// Whether a reader of `epoch` sees the record.
    #[inline]
    pub(super) fn sees(&self, epoch: u32, record: Record<'_>) -> bool {
        self.stamp(record);
        // ORDERING: Relaxed: the stamp is there, and never changes again.
        epoch == LIVE || record.stamp().load(Ordering::Relaxed) & EPOCH <= epoch
    }

    /// Ends the epoch: what is linked from now on gets a later stamp.
    pub(super) fn take_epoch(&self) -> u32 {
        // ORDERING: SeqCst, the fence included: what this thread (or one it tells) reads from now
        // on, it reads after the move; partner of the SeqCst in `Node::fill` and `stamp`.
        let epoch = self.epoch.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        assert!(epoch < LIVE - 1, "2^31 snapshots of one list");
        epoch
    }

    /// The newest entry of the key that a reader of `epoch` sees.
    #[inline]
    pub(super) fn find(&self, key: &[u8], epoch: u32) -> Option<Record<'_>> {
        let mut at = u64::MAX;
        loop {
            let target = Target::at(key, at);
            let record = self.list.find_in_leaf(self.list.leaf_of(&target), &target)?;
            if self.sees(epoch, record) {
                return Some(record);
            }
            at = record.version() - 1;
        }
    }

    pub(super) fn get_many<'a, K: AsRef<[u8]>>(&'a self, keys: &[K]) -> Vec<Option<&'a [u8]>> {
        let value = |record: Record<'a>| {
            self.stamp(record);
            (!is_tombstone(record)).then_some(record.value())
        };
        self.list.find_all(keys, u64::MAX, value).into_iter().map(Option::flatten).collect()
    }

    /// Counts an entry against the limits; closes the list and refuses if it does not fit.
    fn charge(&self, payload_bytes: usize) -> Result<(), InsertError> {
        let (max_bytes, max_entries) = self.settings.limits();
        if max_bytes > 0 {
            // A record's header, and a split of its node and of the one above.
            let need = payload_bytes + 32 + 2 * NODE_BYTES;
            let used = self.list.memory_usage();
            if used + need > max_bytes {
                return self.refuse();
            }
        }
        if max_entries > 0 {
            // ORDERING: Relaxed: a counter compared with a limit; no data hangs on it.
            let charged = self.entries_charged.fetch_add(1, Ordering::Relaxed);
            if charged >= max_entries {
                self.discharge();
                return self.refuse();
            }
            if charged + 1 == max_entries {
                self.list.gate.close();
            }
        }
        Ok(())
    }

    fn refuse(&self) -> Result<(), InsertError> {
        self.list.gate.close();
        Err(InsertError::OutOfMemory)
    }

    /// Takes back a charge: the entry was not written.
    fn discharge(&self) {
        if self.settings.limits().1 > 0 {
            // ORDERING: Relaxed: as in `charge`.
            self.entries_charged.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn seal(&self) -> Result<(), SealError> {
        // ORDERING: Relaxed: only one caller gets `false`; the gate orders everything else.
        if self.seal_called.swap(true, Ordering::Relaxed) {
            return Err(SealError::AlreadySealed);
        }
        self.list.seal();
        Ok(())
    }

    pub(super) fn live_count(&self) -> usize {
        // ORDERING: Relaxed: a statistic.
        let live = |counts: &Padded<Counts>| counts.0.live.load(Ordering::Relaxed);
        let sum = self.counts.iter().map(live).fold(0, u64::wrapping_add);
        usize::try_from(sum.cast_signed()).unwrap_or(0) // not below 0 for a moment
    }

    pub(super) fn attempt_count(&self) -> usize {
        // ORDERING: Relaxed: a statistic.
        let attempts = |counts: &Padded<Counts>| counts.0.attempts.load(Ordering::Relaxed);
        usize::try_from(self.counts.iter().map(attempts).sum::<u64>()).unwrap_or(usize::MAX)
    }

    pub(super) fn is_under_backpressure(&self) -> bool {
        let (max_bytes, max_entries) = self.settings.limits();
        let reached = |value: usize, limit: usize| limit > 0 && value >= limit - limit / 10;
        reached(self.list.memory_usage(), max_bytes) || reached(self.list.len(), max_entries)
    }
}
