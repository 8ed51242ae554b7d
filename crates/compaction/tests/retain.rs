//! The survival rule against naive readers: over all short histories of one key, all sets of
//! snapshots and all ways in which a merge can hold a part of the history, every reader gets the
//! same answer before and after. And over random keys with older ranges.

use compaction::{KeyRange, Retain, Verdict, Why};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sstable::{Kind, SeqNo, Trailer};

/// A kind number that no build knows.
const UNKNOWN: u64 = 77;

fn trailer(seqno: SeqNo, kind: u64) -> Trailer {
    Trailer::from_raw(seqno << 8 | kind)
}

/// What a reader at `at` sees of one key, by the definition: the operands from the newest on, down
/// to the first value or tombstone; kinds that hide nothing are passed over.
fn read(versions: &[Trailer], at: SeqNo) -> Vec<Trailer> {
    let mut newest_first: Vec<Trailer> = versions.to_vec();
    newest_first.sort_by_key(|t| std::cmp::Reverse(t.raw()));
    let mut seen = Vec::new();
    for version in newest_first.into_iter().filter(|t| t.seqno() <= at) {
        match version.kind() {
            Some(Kind::Delete) => break,
            Some(Kind::Put | Kind::ValuePointer) => {
                seen.push(version);
                break;
            }
            Some(Kind::Merge) => seen.push(version),
            Some(Kind::RangeDelete) | None => {}
        }
    }
    seen
}

/// Calls `each` with every vector of `length` digits below `base`.
fn every_word(base: u64, length: usize, each: &mut impl FnMut(&[u64])) {
    let mut word = vec![0; length];
    loop {
        each(&word);
        let Some(place) = word.iter().position(|&digit| digit + 1 < base) else { return };
        word[..place].fill(0);
        word[place] += 1;
    }
}

/// Checks one history: versions `above..` lie in newer places, `below..above` are merged, `..below`
/// lie in older places.
fn check(history: &[Trailer], (below, above): (usize, usize), snapshots: &[SeqNo]) -> usize {
    let merged = &history[below..above];
    let mut retain = Retain::new(snapshots, below == 0);
    let mut survivors: Vec<Trailer> = Vec::new();
    for &version in merged.iter().rev() {
        if retain.verdict(b"k", version) == Verdict::Keep {
            survivors.push(version);
        } else {
            let kind = version.kind();
            assert!(kind.is_some() && kind != Some(Kind::RangeDelete), "kept whatever happens");
        }
    }
    let mut after: Vec<Trailer> = history[..below].to_vec();
    after.extend(&survivors);
    after.extend(&history[above..]);
    // Live readers: each snapshot, and the present, which is at least as new as all that is merged.
    let present = merged.last().map_or(0, |t| t.seqno())..=history.len() as u64;
    for at in snapshots.iter().copied().chain(present) {
        assert_eq!(
            read(history, at),
            read(&after, at),
            "reader at {at}, history {history:?}, merged {merged:?}, snapshots {snapshots:?}"
        );
    }
    survivors.len()
}

fn check_all_histories(kinds: &[u64], length: usize) {
    every_word(kinds.len() as u64, length, &mut |word| {
        let kind = |digit: u64| kinds[usize::try_from(digit).expect("a digit")];
        let seqnos = 1..=length as u64;
        let history: Vec<Trailer> = seqnos.zip(word).map(|(s, &d)| trailer(s, kind(d))).collect();
        for mask in 0u32..1 << (length + 1) {
            let bit = |s: &SeqNo| mask >> s & 1 == 1;
            let snapshots: Vec<SeqNo> = (0..=length as u64).filter(bit).collect();
            for below in 0..=length {
                for above in below..=length {
                    check(&history, (below, above), &snapshots);
                }
            }
        }
    });
}

#[test]
fn every_reader_sees_the_same_over_all_short_histories() {
    for length in 0..=5 {
        check_all_histories(&[Kind::Delete as u64, Kind::Put as u64, Kind::Merge as u64], length);
    }
}

#[test]
fn kinds_that_must_stay_are_kept_and_hide_nothing() {
    let kinds = [
        Kind::Delete as u64,
        Kind::Put as u64,
        Kind::Merge as u64,
        Kind::RangeDelete as u64,
        Kind::ValuePointer as u64,
        UNKNOWN,
    ];
    for length in 0..=3 {
        check_all_histories(&kinds, length);
    }
}

/// Nothing survives that the rule could have dropped: Puts and Deletes against the naive rule.
#[test]
fn only_what_a_reader_needs_survives() {
    for length in 0..=6usize {
        every_word(2, length, &mut |word| {
            let seqnos = 1..=length as u64;
            let history: Vec<Trailer> = seqnos.zip(word).map(|(s, &d)| trailer(s, d)).collect();
            for mask in 0u32..1 << (length + 1) {
                let bit = |s: &SeqNo| mask >> s & 1 == 1;
                let snapshots: Vec<SeqNo> = (0..=length as u64).filter(bit).collect();
                for bottommost in [false, true] {
                    let survivors = naive(&history, &snapshots, bottommost);
                    let mut retain = Retain::new(&snapshots, bottommost);
                    let keeps = |t: &&Trailer| retain.verdict(b"k", **t) == Verdict::Keep;
                    let kept: Vec<Trailer> = history.iter().rev().filter(keeps).copied().collect();
                    assert_eq!(kept, survivors, "{history:?} {snapshots:?} {bottommost}");
                }
            }
        });
    }
}

/// A version stays if it is the newest that some reader may see, unless it is a tombstone at the
/// bottom that every reader sees as the last.
fn naive(history: &[Trailer], snapshots: &[SeqNo], bottommost: bool) -> Vec<Trailer> {
    let readers = || snapshots.iter().copied().chain([SeqNo::MAX]);
    let newest = |at: SeqNo| history.iter().rfind(|t| t.seqno() <= at).copied();
    let needed = |t: &Trailer| readers().any(|at| newest(at) == Some(*t));
    let first_reader = readers().min();
    let forgettable = |t: &Trailer| {
        let oldest = first_reader.is_some_and(|at| t.seqno() <= at);
        bottommost && t.kind() == Some(Kind::Delete) && oldest
    };
    history.iter().rev().filter(|t| needed(t) && !forgettable(t)).copied().collect()
}

#[test]
fn tombstones_go_outside_of_older_ranges_only() {
    let mut rng = StdRng::seed_from_u64(8);
    for _ in 0..2_000 {
        let mut edges: Vec<u8> = (0..rng.random_range(0..6)).map(|_| rng.random()).collect();
        edges.sort_unstable();
        edges.dedup();
        edges.truncate(edges.len() / 2 * 2);
        let older: Vec<KeyRange> =
            edges.chunks(2).map(|pair| KeyRange::new([pair[0]], [pair[1]])).collect();
        let mut retain = Retain::with_older(&[], older.clone());
        for key in 0..=u8::MAX {
            if rng.random_ratio(1, 3) {
                continue;
            }
            let expected = if older.iter().any(|range| range.contains(&[key])) {
                Verdict::Keep
            } else {
                Verdict::Drop(Why::Forgotten)
            };
            assert_eq!(retain.verdict(&[key], Trailer::new(9, Kind::Delete)), expected);
        }
    }
}

#[test]
fn the_same_write_twice_is_kept_once() {
    let mut retain = Retain::new(&[], false);
    assert_eq!(retain.verdict(b"k", Trailer::new(5, Kind::Merge)), Verdict::Keep);
    let again = retain.verdict(b"k", Trailer::new(5, Kind::Merge));
    assert_eq!(again, Verdict::Drop(Why::Duplicate));
    assert_eq!(retain.verdict(b"l", Trailer::new(5, Kind::Merge)), Verdict::Keep);
}

#[test]
fn keys_that_do_not_ascend_are_refused() {
    let result = std::panic::catch_unwind(|| {
        let mut retain = Retain::new(&[], false);
        retain.verdict(b"b", Trailer::new(5, Kind::Put));
        retain.verdict(b"a", Trailer::new(6, Kind::Put));
    });
    assert!(result.is_err());
}

#[test]
fn the_empty_key_is_a_key() {
    let mut retain = Retain::new(&[3], true);
    assert_eq!(retain.verdict(b"", Trailer::new(5, Kind::Put)), Verdict::Keep);
    assert_eq!(retain.verdict(b"", Trailer::new(4, Kind::Put)), Verdict::Drop(Why::Shadowed));
    assert_eq!(retain.verdict(b"", Trailer::new(2, Kind::Delete)), Verdict::Drop(Why::Forgotten));
    assert_eq!(retain.verdict(b"\0", Trailer::new(1, Kind::Put)), Verdict::Keep);
}

/// What a damaged table may hold is refused, and not taken for an order: found by fuzzing.
#[test]
fn entries_out_of_order_are_refused_and_change_nothing() {
    let put = |seqno| trailer(seqno, Kind::Put as u64);
    let mut retain = Retain::new(&[], true);
    assert_eq!(retain.checked_verdict(b"b", put(5)), Some(Verdict::Keep));
    assert_eq!(retain.checked_verdict(b"a", put(9)), None, "a smaller key");
    assert_eq!(retain.checked_verdict(b"b", put(6)), None, "a newer version behind an older");
    assert_ne!(retain.checked_verdict(b"b", put(4)), Some(Verdict::Keep), "it is shadowed");
    assert_eq!(retain.checked_verdict(b"c", put(4)), Some(Verdict::Keep));
}
