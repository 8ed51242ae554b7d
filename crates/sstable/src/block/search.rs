//! Finds the first entry at or after a stored key within a data block, without copying a key.
//!
//! The scan from a restart carries only how many bytes the last smaller key shares with the wanted
//! one (`matched`). An entry that shares more with its predecessor is smaller too; one that shares
//! less is greater; only when it shares exactly as much are bytes compared. The idea is that of
//! string B-trees (Ferragina and Grossi, 1999).

use std::cmp::Ordering;

use super::builder::bucket_of;
use super::{BUCKET_MANY, BUCKET_NONE, Head, View, head};
use crate::key::{Trailer, common_prefix};
use crate::prefetch::prefetch;

/// Cache lines that are asked for before a search: restarts and keys of a 4 KiB block.
const LINES_AHEAD: usize = 4;

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
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => view.trailer(middle * view.layout.interval()) > trailer,
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
    // Restarts and keys come from memory together, not one after the other.
    for line in 0..LINES_AHEAD {
        prefetch(view.body, line * 64);
    }
    let buckets = layout.buckets();
    if buckets.is_empty() {
        return lower_bound(view, key, trailer);
    }
    match *view.body.get(buckets.start + bucket_of(hash, buckets.len()))? {
        BUCKET_NONE => Some(None),
        BUCKET_MANY => lower_bound(view, key, trailer),
        restart => scan(view, usize::from(restart), key, trailer),
    }
}

/// Walks from a restart whose predecessors are all smaller.
fn scan(view: View<'_>, restart: usize, key: &[u8], trailer: Trailer) -> Search {
    match view.layout.value_len() {
        Some(bytes) => walk(view, restart, Some(bytes), (key, trailer)),
        None => walk(view, restart, None, (key, trailer)),
    }
}

/// [`scan`], compiled once for values of one length and once for others.
#[inline(always)]
fn walk(
    view: View<'_>,
    restart: usize,
    value_len: Option<usize>,
    (key, trailer): (&[u8], Trailer),
) -> Search {
    let (entries, interval) = (view.layout.entries(), view.layout.interval());
    let keys = view.keys();
    let (mut at, mut value_at) = view.restart(restart)?;
    let mut rank = restart * interval;
    while rank < entries {
        // A restart tells its whole key anew: what it shares with its predecessor is unknown.
        let (mut matched, mut want) = (0, symbol(key, 0));
        let end = entries.min(rank + interval);
        while rank < end {
            let head = head(keys, at, value_len)?;
            let (here, value_here) = (rank, value_at);
            rank += 1;
            at = head.end;
            value_at = value_at.checked_add(head.value_len)?;
            if head.shared > matched {
                continue;
            }
            let spot = |exact| Some(Some(Spot { rank: here, head, value_at: value_here, exact }));
            let have = if head.end > head.tail_at { symbol(keys, head.tail_at) } else { 0 };
            if head.shared < matched || have > want {
                return spot(false);
            }
            // Neighbours mostly differ in the first byte that is not shared.
            if have < want {
                continue;
            }
            let tail = keys.get(head.tail_at..head.end)?;
            let (order, common) = compare_tails(tail, key.get(matched..)?);
            if order.is_gt() {
                return spot(false);
            }
            if order.is_eq() && view.trailer(here) <= trailer {
                return spot(true);
            }
            matched += common;
            want = symbol(key, matched);
        }
    }
    Some(None)
}

/// How the rest of an entry's key compares to that of the wanted one, and how much they share.
fn compare_tails(tail: &[u8], rest: &[u8]) -> (Ordering, usize) {
    let common = common_prefix(tail, rest);
    (symbol(tail, common).cmp(&symbol(rest, common)), common)
}

/// The byte at `at`, plus one; 0 at the end, which sorts before every byte.
#[inline(always)]
fn symbol(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at).map_or(0, |byte| u32::from(*byte) + 1)
}
