//! What survives a merge: the rule for versions, snapshots and tombstones, one entry at a time.
//!
//! Entries come in stored order: user keys ascending, versions of a key newest first. The
//! snapshots cut the sequence numbers into stripes; a reader sees, in its stripe or an older one,
//! the newest version of a key.
//!
//! ```text
//! seqnos      1 ... 10 | 11 ... 20 | 21 ...        snapshots at 10 and 20
//! stripe          0    |     1     |    2 (the present)
//! key k      Put 7     | Put 12, Put 15 | Delete 30
//!            kept      | dropped, kept  | kept: it hides 15 and 7
//! ```
//!
//! 1. In a stripe, what stands below a kept Put, ValuePointer or Delete of the same key is dropped:
//!    no reader can see it.
//! 2. A Delete in the oldest stripe is dropped where nothing older lies under the output: all that
//!    it hides is in this merge and goes by rule 1.
//! 3. A Merge operand hides nothing: its reader goes on to older versions. It is hidden by rule 1.
//! 4. A RangeDelete, and every kind that this version does not know, is kept and hides nothing.
//! 5. A second entry of the same key and trailer is the same write and is dropped (but see 4).

use sstable::{Kind, SeqNo, Trailer};

use crate::levels::KeyRange;

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes into the output.
    Keep,
    /// It is forgotten.
    Drop(Why),
}

/// Why an entry may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A newer version of the key hides it from every reader.
    Shadowed,
    /// A tombstone with nothing left to hide.
    Forgotten,
    /// The same write for a second time.
    Duplicate,
}

/// The survival rule, for one merge or one piece of it.
///
/// ```
/// use compaction::{Retain, Verdict, Why};
/// use sstable::{Kind, Trailer};
///
/// let mut retain = Retain::new(&[10], true); // one snapshot, at sequence number 10
/// assert_eq!(retain.verdict(b"k", Trailer::new(30, Kind::Put)), Verdict::Keep);
/// assert_eq!(retain.verdict(b"k", Trailer::new(12, Kind::Put)), Verdict::Drop(Why::Shadowed));
/// assert_eq!(retain.verdict(b"k", Trailer::new(7, Kind::Put)), Verdict::Keep); // the snapshot's
/// ```
#[derive(Clone, Debug)]
pub struct Retain {
    snapshots: Vec<SeqNo>,
    /// Where older data lies under the output; ascending, disjoint.
    older: Older,
    key: Vec<u8>,
    /// The last entry of the key, if there was one.
    last: Option<Trailer>,
    /// The stripe in which a newer version already hides the rest.
    hidden: Option<usize>,
}

#[derive(Clone, Debug)]
enum Older {
    Nowhere,
    Everywhere,
    /// Ranges, and the rank of the first that may still matter.
    In(Vec<KeyRange>, usize),
}

impl Retain {
    /// Makes the rule for the live `snapshots`, ascending. `bottommost` says that nothing older
    /// than the output covers any of its keys.
    ///
    /// # Panics
    /// If the snapshots do not ascend; equal neighbours are fine.
    pub fn new(snapshots: &[SeqNo], bottommost: bool) -> Retain {
        Retain::build(snapshots, if bottommost { Older::Nowhere } else { Older::Everywhere })
    }

    /// Makes the rule with tombstones dropped wherever no range of `older` lies
    /// ([`crate::Plan::older`]): more of them than [`Retain::new`] can drop.
    ///
    /// # Panics
    /// If the snapshots do not ascend, or the ranges do not ascend or overlap.
    pub fn with_older(snapshots: &[SeqNo], older: Vec<KeyRange>) -> Retain {
        for pair in older.windows(2) {
            assert!(pair[0].largest < pair[1].smallest, "older ranges ascend and are disjoint");
        }
        Retain::build(snapshots, Older::In(older, 0))
    }

    fn build(snapshots: &[SeqNo], older: Older) -> Retain {
        assert!(snapshots.is_sorted(), "snapshots ascend");
        Retain { snapshots: snapshots.to_vec(), older, key: Vec::new(), last: None, hidden: None }
    }

    /// Returns whether the next entry of the merge survives.
    ///
    /// # Panics
    /// If the entries do not come in stored order.
    pub fn verdict(&mut self, key: &[u8], trailer: Trailer) -> Verdict {
        self.checked_verdict(key, trailer).expect("entries come in stored order")
    }

    /// Returns whether the next entry of the merge survives; `None`, and nothing has changed, if
    /// it cannot come next in stored order: for entries whose order is a file's word.
    pub fn checked_verdict(&mut self, key: &[u8], trailer: Trailer) -> Option<Verdict> {
        let again = self.last.filter(|_| key == self.key.as_slice());
        match again {
            None if self.last.is_some() && key < self.key.as_slice() => return None,
            None => {
                self.key.clear();
                self.key.extend_from_slice(key);
                self.hidden = None;
            }
            Some(last) if last.raw() < trailer.raw() => return None,
            Some(_) => {}
        }
        let repeated = again.is_some_and(|last| last.raw() == trailer.raw());
        Some(self.survives(trailer, repeated))
    }

    /// The rule, of an entry of `self.key`; `repeated` if the one before was the same.
    fn survives(&mut self, trailer: Trailer, repeated: bool) -> Verdict {
        self.last = Some(trailer);
        if repeated {
            return Verdict::Drop(Why::Duplicate);
        }
        let hides = match trailer.kind() {
            None | Some(Kind::RangeDelete) => return Verdict::Keep,
            Some(Kind::Merge) => false,
            Some(Kind::Put | Kind::ValuePointer | Kind::Delete) => true,
        };
        let stripe = self.stripe(trailer.seqno());
        if self.hidden == Some(stripe) {
            return Verdict::Drop(Why::Shadowed);
        }
        if hides {
            self.hidden = Some(stripe);
        }
        if trailer.kind() == Some(Kind::Delete) && stripe == 0 && !self.covers_older() {
            return Verdict::Drop(Why::Forgotten);
        }
        Verdict::Keep
    }

    /// The count of snapshots that do not see `seqno`: 0 is the oldest stripe.
    fn stripe(&self, seqno: SeqNo) -> usize {
        self.snapshots.partition_point(|&snapshot| snapshot < seqno)
    }

    /// Whether older data may lie under the current key. Keys ascend, so ranges are passed once.
    fn covers_older(&mut self) -> bool {
        match &mut self.older {
            Older::Nowhere => false,
            Older::Everywhere => true,
            Older::In(ranges, next) => {
                while ranges.get(*next).is_some_and(|range| range.largest < self.key) {
                    *next += 1;
                }
                ranges.get(*next).is_some_and(|range| range.contains(&self.key))
            }
        }
    }
}
