//! Finds the first entry at or after a stored key within a data block, without copying a key.
//!
//! The scan from a restart carries only how many bytes the last smaller key shares with the wanted
//! one (`matched`). An entry that shares more with its predecessor is smaller too; one that shares
//! less is greater; only when it shares exactly as much are bytes compared. The idea is that of
//! string B-trees (Ferragina and Grossi, 1999).

use super::builder::bucket_of;
use super::{BUCKET_MANY, BUCKET_NONE, Head, View, head};
use crate::key::{Trailer, common_prefix};

/// An entry found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) rank: usize,
    pub(crate) head: Head,
    /// Where the value starts, from the start of the values.
    pub(crate) value_at: usize,
    /// Whether the user key is the one wanted.
    pub(crate) exact: bool,
}

/// What a search came to; `None` means that the block is malformed.
type Search = Option<Option<Spot>>;

/// Finds the first entry at or after `(key, trailer)`; `Some(None)` if there is none.
pub(crate) fn lower_bound(view: View<'_>, key: &[u8], trailer: Trailer) -> Search {
    let (mut low, mut high) = (0, view.layout.restarts());
    while low < high {
        let middle = low + (high - low) / 2;
        let found = view.restart_key(middle)?;
        let before = match found.cmp(key) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => view.trailer(middle * view.layout.interval) > trailer,
        };
        if before {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    scan(view, low.saturating_sub(1), key, trailer)
}

/// As [`lower_bound`] for one who wants this very key: may answer "none" at once from the hash
/// index, and any entry that is not `exact` means that the key is not in the block.
#[inline]
pub(crate) fn point(view: View<'_>, key: &[u8], hash: u64, trailer: Trailer) -> Search {
    let layout = view.layout;
    let buckets = layout.trailers_at - layout.buckets_at;
    if buckets == 0 {
        return lower_bound(view, key, trailer);
    }
    match *view.body.get(layout.buckets_at + bucket_of(hash, buckets))? {
        BUCKET_NONE => Some(None),
        BUCKET_MANY => lower_bound(view, key, trailer),
        restart => scan(view, usize::from(restart), key, trailer),
    }
}

/// Walks from a restart whose predecessors are all smaller.
fn scan(view: View<'_>, restart: usize, key: &[u8], trailer: Trailer) -> Search {
    let layout = view.layout;
    let keys = view.keys();
    let (mut at, mut value_at) = view.restart(restart)?;
    let mut rank = restart * layout.interval;
    let mut matched = 0;
    while rank < layout.entries {
        let entry = head(keys, at, layout.value_len)?;
        let mut exact = false;
        let passed = if entry.shared == matched {
            let tail = keys.get(entry.tail_at..entry.end)?;
            let rest = key.get(matched..)?;
            let common = common_prefix(tail, rest);
            exact = common == tail.len() && common == rest.len();
            let smaller = match (tail.get(common), rest.get(common)) {
                (Some(have), Some(want)) => have < want,
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (None, None) => view.trailer(rank) > trailer,
            };
            matched += if smaller { common } else { 0 };
            !smaller
        } else {
            entry.shared < matched
        };
        if passed {
            return Some(Some(Spot { rank, head: entry, value_at, exact }));
        }
        // A restart tells its whole key anew: what it shares with its predecessor is unknown.
        rank += 1;
        if rank.is_multiple_of(layout.interval) {
            matched = 0;
        }
        at = entry.end;
        value_at = value_at.checked_add(entry.value_len)?;
    }
    Some(None)
}
