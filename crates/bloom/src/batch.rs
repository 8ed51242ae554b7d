//! Lookups and inserts in portable code, of one key and of many. For many: first ask for the cache
//! lines of a chunk of keys, then look at them, so that their loads overlap.

#![deny(clippy::indexing_slicing)]

use crate::Kind;
use crate::format::Shape;
use crate::probe::{LINE_BYTES, all_set, blocked, double, line_of, set, standard};
use crate::ribbon;
use crate::simd::{View, prefetch};

/// Keys whose cache lines are asked for before the first is looked at.
pub(crate) const CHUNK: usize = 32;

/// Bodies of fewer bytes stay in the second cache, where asking ahead costs more than it saves.
const PREFETCH_FROM_BYTES: usize = 512 << 10;

/// Returns whether the body has the lines that the header promises.
#[inline(always)]
pub(crate) fn is_whole(view: View<'_>) -> bool {
    view.body.len() / LINE_BYTES == view.shape.units as usize
}

/// Returns whether the filter may contain `hash`.
#[inline(always)]
pub(crate) fn contains(view: View<'_>, hash: u64) -> bool {
    let Shape { probes, units, .. } = *view.shape;
    match view.shape.kind {
        Kind::DoubleProbe => match line(view.body, hash, units) {
            // Known counts unroll.
            Some(words) => match probes {
                2 => all_set(words, double(hash, 2)),
                3 => all_set(words, double(hash, 3)),
                4 => all_set(words, double(hash, 4)),
                5 => all_set(words, double(hash, 5)),
                probes => all_set(words, double(hash, probes)),
            },
            None => true,
        },
        Kind::Blocked => match line(view.body, hash, units) {
            Some(words) => all_set(words, blocked(hash, probes)),
            None => true,
        },
        Kind::Standard => all_set(view.body.as_chunks().0, standard(hash, probes, units)),
        Kind::Ribbon => match ribbon::locate(view.ribbon, view.body, hash) {
            Some((words, spot)) => ribbon::matches(words, &spot),
            None => true,
        },
    }
}

/// Answers for all `hashes`.
#[inline(always)]
pub(crate) fn contains_many(view: View<'_>, hashes: &[u64], answers: &mut [bool]) {
    let (many, few) = hashes.as_chunks::<CHUNK>();
    let (many_answers, few_answers) = answers.as_chunks_mut::<CHUNK>();
    for (hashes, answers) in many.iter().zip(many_answers) {
        prefetch_chunk(view, hashes);
        contains_chunk(view, hashes, answers);
    }
    contains_chunk(view, few, few_answers);
}

/// Answers for a few `hashes` one by one.
#[inline(always)]
pub(crate) fn contains_chunk(view: View<'_>, hashes: &[u64], answers: &mut [bool]) {
    for (answer, hash) in answers.iter_mut().zip(hashes) {
        *answer = contains(view, *hash);
    }
}

/// Asks for the cache lines that the lookups of `hashes` will read.
#[inline(always)]
pub(crate) fn prefetch_chunk(view: View<'_>, hashes: &[u64; CHUNK]) {
    if view.body.len() < PREFETCH_FROM_BYTES {
        return;
    }
    let lines = view.body.as_chunks::<LINE_BYTES>().0;
    for &hash in hashes {
        match view.shape.kind {
            Kind::DoubleProbe | Kind::Blocked => {
                if let Some(line) = lines.get(line_of(hash, view.shape.units)) {
                    prefetch(line);
                }
            }
            // Its loads do not depend on each other and overlap as they are.
            Kind::Standard => {}
            Kind::Ribbon => ribbon::prefetch(view.ribbon, view.body, hash),
        }
    }
}

/// Sets the bits of all `hashes` in the body of a Bloom filter.
#[inline(always)]
pub(crate) fn insert_many(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
    let (many, few) = hashes.as_chunks::<CHUNK>();
    for hashes in many {
        let view = View { shape, ribbon: &ribbon::Layout::default(), body };
        prefetch_chunk(view, hashes);
        insert_chunk(shape, body, hashes);
    }
    insert_chunk(shape, body, few);
}

#[inline(always)]
fn insert_chunk(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
    let Shape { kind, probes, units, .. } = *shape;
    if kind == Kind::Standard {
        let (words, _) = body.as_chunks_mut::<8>();
        for &hash in hashes {
            set(words, standard(hash, probes, units));
        }
        return;
    }
    let (lines, _) = body.as_chunks_mut::<LINE_BYTES>();
    for &hash in hashes {
        if let Some(line) = lines.get_mut(line_of(hash, units)) {
            let (words, _) = line.as_chunks_mut::<8>();
            match (kind, probes) {
                (Kind::DoubleProbe, 2) => set(words, double(hash, 2)),
                (Kind::DoubleProbe, 3) => set(words, double(hash, 3)),
                (Kind::DoubleProbe, 4) => set(words, double(hash, 4)),
                (Kind::DoubleProbe, 5) => set(words, double(hash, 5)),
                (Kind::DoubleProbe, _) => set(words, double(hash, probes)),
                _ => set(words, blocked(hash, probes)),
            }
        }
    }
}

#[inline(always)]
fn line(body: &[u8], hash: u64, lines: u32) -> Option<&[[u8; 8]]> {
    let line = body.as_chunks::<LINE_BYTES>().0.get(line_of(hash, lines))?;
    Some(line.as_chunks::<8>().0)
}
