//! [`RangeDeletes`]: deleted ranges of keys, cut into disjoint fragments for search.
//!
//! A range delete hides every older version of the keys in its range. It waits in its memtable
//! until the flush, then in the manifest, until no table holds anything older in its range. So it
//! is one small record however many keys it deletes; tables know nothing of it, and a table that
//! lies wholly under one is dropped unread.
//!
//! 1. Fragments ascend and are disjoint; each lists the sequence numbers that cover it,
//!    descending.
//! 2. The value never changes; a new range makes a new value.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use compaction::{Levels, TableInfo};
use sstable::SeqNo;

/// One deleted range: keys from `start` on, before `end`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RangeDelete {
    pub(crate) seqno: SeqNo,
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl RangeDelete {
    /// Whether the range may hide entries of `table`.
    fn may_hide_in(&self, table: &TableInfo) -> bool {
        table.min_seqno < self.seqno
            && table.ranges_applied < self.seqno
            && table.smallest < self.end
            && self.start <= table.largest
    }
}

/// A piece of the key space that the same range deletes cover.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fragment {
    start: Vec<u8>,
    end: Vec<u8>,
    /// Descending.
    seqnos: Vec<SeqNo>,
}

/// A set of range deletes.
#[derive(Debug, Clone, Default)]
pub(crate) struct RangeDeletes {
    all: Vec<Arc<RangeDelete>>,
    fragments: Vec<Fragment>,
}

impl RangeDeletes {
    /// Cuts `all` into fragments.
    pub(crate) fn new(all: Vec<Arc<RangeDelete>>) -> Self {
        let fragments = fragments(&all);
        Self { all, fragments }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The range deletes as they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<RangeDelete>> {
        self.all.iter()
    }

    /// These and `more`.
    pub(crate) fn with(&self, more: impl IntoIterator<Item = Arc<RangeDelete>>) -> Self {
        Self::new(self.all.iter().cloned().chain(more).collect())
    }

    /// Those that still hide something in a tree of this shape: a table with older entries in
    /// their range.
    pub(crate) fn needed_in(&self, shape: &Levels) -> Self {
        let needed =
            |range: &&Arc<RangeDelete>| shape.tables().any(|(_, table)| range.may_hide_in(table));
        Self::new(self.all.iter().filter(needed).cloned().collect())
    }

    /// Up to which sequence number a merge leaves out all that range deletes hide, if snapshots
    /// (ascending) are in use.
    pub(crate) fn applied_up_to(&self, snapshots: &[SeqNo]) -> SeqNo {
        let newest = self.all.iter().map(|range| range.seqno).max().unwrap_or(0);
        snapshots.first().map_or(newest, |oldest| newest.min(*oldest))
    }

    /// Whether a merge of `table` could leave something out that a range delete hides.
    pub(crate) fn may_hide_in(&self, table: &TableInfo, snapshots: &[SeqNo]) -> bool {
        let applied = self.applied_up_to(snapshots);
        self.all.iter().any(|range| range.seqno <= applied && range.may_hide_in(table))
    }

    /// The sequence numbers of the range deletes over `key`, descending.
    fn covering(&self, key: &[u8]) -> &[SeqNo] {
        let rank = self.fragments.partition_point(|fragment| fragment.end.as_slice() <= key);
        match self.fragments.get(rank) {
            Some(fragment) if fragment.start.as_slice() <= key => &fragment.seqnos,
            _ => &[],
        }
    }

    /// The newest range delete over `key` at or before `at`; 0 if there is none.
    pub(crate) fn newest_at(&self, key: &[u8], at: SeqNo) -> SeqNo {
        let covering = self.covering(key);
        let rank = covering.partition_point(|seqno| *seqno > at);
        covering.get(rank).copied().unwrap_or(0)
    }

    /// Whether nobody can see version `seqno` of `key` any more: a range delete hides it from
    /// every reader, the `snapshots` (ascending) included.
    pub(crate) fn hides(&self, key: &[u8], seqno: SeqNo, snapshots: &[SeqNo]) -> bool {
        let covering = self.covering(key);
        let newer = covering.partition_point(|range| *range > seqno);
        let Some(oldest_newer) = newer.checked_sub(1).and_then(|rank| covering.get(rank)) else {
            return false;
        };
        !sees_between(snapshots, seqno..*oldest_newer)
    }

    /// Whether nobody can see anything of `table` any more.
    pub(crate) fn hides_table(&self, table: &TableInfo, snapshots: &[SeqNo]) -> bool {
        self.all.iter().any(|range| {
            table.max_seqno < range.seqno
                && range.start <= table.smallest
                && table.largest < range.end
                && !sees_between(snapshots, table.min_seqno..range.seqno)
        })
    }
}

/// Whether one of the snapshots, ascending, lies in the range.
fn sees_between(snapshots: &[SeqNo], range: Range<SeqNo>) -> bool {
    let rank = snapshots.partition_point(|snapshot| *snapshot < range.start);
    snapshots.get(rank).is_some_and(|snapshot| *snapshot < range.end)
}

/// Sweeps over the ends of all ranges, from the smallest key to the largest.
fn fragments(all: &[Arc<RangeDelete>]) -> Vec<Fragment> {
    let mut borders: Vec<(&[u8], bool, SeqNo)> = Vec::with_capacity(all.len() * 2);
    for range in all {
        borders.push((&range.start, true, range.seqno));
        borders.push((&range.end, false, range.seqno));
    }
    borders.sort_unstable();
    let mut open = BTreeSet::new();
    let mut fragments: Vec<Fragment> = Vec::new();
    let mut from: &[u8] = &[];
    for (key, opens, seqno) in borders {
        if from < key && !open.is_empty() {
            let seqnos: Vec<SeqNo> = open.iter().rev().copied().collect();
            match fragments.last_mut() {
                Some(last) if last.end == from && last.seqnos == seqnos => last.end = key.to_vec(),
                _ => fragments.push(Fragment { start: from.to_vec(), end: key.to_vec(), seqnos }),
            }
        }
        from = key;
        if opens {
            open.insert(seqno);
        } else {
            open.remove(&seqno);
        }
    }
    fragments
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn range(seqno: SeqNo, start: u8, end: u8) -> Arc<RangeDelete> {
        Arc::new(RangeDelete { seqno, start: vec![start], end: vec![end] })
    }

    #[test]
    fn fragments_answer_as_a_plain_search_does() {
        let mut random = StdRng::seed_from_u64(11);
        for _ in 0..300 {
            let all: Vec<_> = (1..=random.random_range(0..12u64))
                .map(|n| {
                    let start = random.random_range(0..30);
                    range(n * 10, start, start + random.random_range(1..12))
                })
                .collect();
            let cut = RangeDeletes::new(all.clone());
            let snapshots: Vec<SeqNo> = (0..130).filter(|_| random.random_bool(0.03)).collect();
            for key in 0..45u8 {
                check_key(&cut, &all, &snapshots, key);
            }
        }
    }

    fn check_key(cut: &RangeDeletes, all: &[Arc<RangeDelete>], snapshots: &[SeqNo], key: u8) {
        let over = |range: &&Arc<RangeDelete>| range.start[0] <= key && key < range.end[0];
        for at in [0, 5, 10, 35, 60, 200] {
            let plain = all.iter().filter(over).map(|r| r.seqno).filter(|s| *s <= at).max();
            assert_eq!(cut.newest_at(&[key], at), plain.unwrap_or(0));
            let seen =
                |range: &Arc<RangeDelete>| snapshots.iter().any(|s| (at..range.seqno).contains(s));
            let plain = all.iter().filter(over).any(|range| range.seqno > at && !seen(range));
            assert_eq!(cut.hides(&[key], at, snapshots), plain);
        }
    }

    #[test]
    fn a_range_that_hides_nothing_is_not_needed() {
        let ranges = RangeDeletes::new(vec![range(10, 3, 6), range(20, 8, 9)]);
        let table = |min_seqno, smallest: u8, largest: u8| {
            let (smallest, largest) = (vec![smallest], vec![largest]);
            let info = TableInfo {
                id: 1,
                min_seqno,
                max_seqno: 9,
                smallest,
                largest,
                ..TableInfo::default()
            };
            let run = compaction::Run::new(1, vec![Arc::new(info)]);
            Levels::new().with_run(0, run)
        };
        let needed = |levels: &Levels| {
            ranges.needed_in(levels).iter().map(|range| range.seqno).collect::<Vec<_>>()
        };
        assert_eq!(needed(&table(5, 0, 3)), [10]);
        assert_eq!(needed(&table(5, 6, 7)), [0; 0], "the end is outside");
        assert_eq!(needed(&table(15, 0, 9)), [20], "only older entries count");
        assert_eq!(needed(&Levels::new()), [0; 0]);
        let info = |smallest: u8, largest: u8| TableInfo {
            min_seqno: 1,
            max_seqno: 9,
            smallest: vec![smallest],
            largest: vec![largest],
            ..TableInfo::default()
        };
        assert!(ranges.hides_table(&info(3, 5), &[]));
        assert!(!ranges.hides_table(&info(3, 6), &[]));
        assert!(!ranges.hides_table(&info(3, 5), &[4]), "a snapshot still sees it");
        assert!(ranges.hides_table(&info(3, 5), &[10]));
    }
}
