//! Lookups and inserts in portable code, of one key and of many. For many: first ask for the cache
//! lines of a chunk of keys, then look at them, so that their loads overlap.

#![deny(clippy::indexing_slicing)]

use crate::Kind;
use crate::format::{Shape, body_of};
use crate::probe::{
    BLOCK_BYTES, LINE_BYTES, all_set, blocked, double, double_probe, line_of, set, split, standard,
};
use crate::ribbon;
use crate::simd::{Core, prefetch};

/// Keys whose cache lines are asked for before the first is looked at.
pub(crate) const CHUNK: usize = 32;

/// Bodies of fewer bytes stay in the second cache, where asking ahead costs more than it saves.
pub(crate) const LARGE_BYTES: u64 = 512 << 10;

/// Bodies of so many bytes are read from the third cache or from memory.
#[cfg(any(test, target_arch = "x86_64"))]
pub(crate) const BEYOND_L2_BYTES: u64 = 2 << 20;

/// Returns whether the body has the lines that the header promises.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn is_whole(core: &Core, body: &[u8]) -> bool {
    body.len() / LINE_BYTES == core.shape.units as usize
}

/// The answer of a filter without a body.
pub(crate) fn bare(core: &Core, _bytes: &[u8], _hash: u64) -> bool {
    core.shape.keys != 0
}

/// Returns whether the filter of these `bytes`, header included, may contain `hash`.
pub(crate) fn one(core: &Core, bytes: &[u8], hash: u64) -> bool {
    contains(core, body_of(bytes), hash)
}

/// Returns whether the filter with this `body` may contain `hash`.
#[inline(always)]
pub(crate) fn contains(core: &Core, body: &[u8], hash: u64) -> bool {
    match core.shape.kind {
        // Known counts unroll.
        Kind::DoubleProbe => match core.shape.probes {
            2 => double_contains::<2>(core, body, hash),
            3 => double_contains::<3>(core, body, hash),
            4 => double_contains::<4>(core, body, hash),
            5 => double_contains::<5>(core, body, hash),
            probes => match line(body, hash, core.shape.units) {
                Some(words) => all_set(words, double(hash, probes)),
                None => true,
            },
        },
        Kind::Blocked => match line(body, hash, core.shape.units) {
            Some(words) => all_set(words, blocked(hash, core.shape.probes)),
            None => true,
        },
        Kind::Standard => standard_contains(core, body, hash),
        Kind::Ribbon => match ribbon::locate(&core.ribbon, body, hash) {
            Some((words, spot)) => ribbon::matches(words, &spot),
            None => true,
        },
        Kind::SplitBlock => {
            match body.as_chunks::<BLOCK_BYTES>().0.get(line_of(hash, core.shape.units)) {
                Some(block) => all_set(block.as_chunks::<8>().0, split(hash)),
                None => true,
            }
        }
    }
}

#[inline(always)]
pub(crate) fn double_contains<const PROBES: u8>(core: &Core, body: &[u8], hash: u64) -> bool {
    match line(body, hash, core.shape.units) {
        Some(words) => all_set(words, double(hash, PROBES)),
        None => true,
    }
}

#[inline(always)]
pub(crate) fn standard_contains(core: &Core, body: &[u8], hash: u64) -> bool {
    all_set(body.as_chunks().0, standard(hash, core.shape.probes, core.shape.units))
}

/// Answers for all `hashes`.
#[inline(always)]
pub(crate) fn contains_many(core: &Core, bytes: &[u8], hashes: &[u64], answers: &mut [bool]) {
    let body = body_of(bytes);
    if core.shape.kind == Kind::Ribbon {
        return ribbon::each_spot(core, body, hashes, |i, words, spot| {
            if let Some(answer) = answers.get_mut(i) {
                *answer = ribbon::matches(words, spot);
            }
        });
    }
    let (many, few) = hashes.as_chunks::<CHUNK>();
    let (many_answers, few_answers) = answers.as_chunks_mut::<CHUNK>();
    for (hashes, answers) in many.iter().zip(many_answers) {
        prefetch_lines(&core.shape, body, hashes);
        contains_few(core, bytes, hashes, answers);
    }
    contains_few(core, bytes, few, few_answers);
}

/// Calls `set` with the line, or block, of `BYTES` bytes of each of `hashes`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn each_line<const BYTES: usize>(
    shape: &Shape,
    body: &mut [u8],
    hashes: &[u64],
    set: impl Fn(&mut [u8; BYTES], u64),
) {
    // Asking for one more line with each that is written keeps as many under way all the time.
    let asks_ahead = is_large(body);
    let (lines, _) = body.as_chunks_mut::<BYTES>();
    for (i, &hash) in hashes.iter().enumerate() {
        if asks_ahead && let Some(&later) = hashes.get(i + CHUNK) {
            lines.get(line_of(later, shape.units)).into_iter().for_each(prefetch);
        }
        if let Some(line) = lines.get_mut(line_of(hash, shape.units)) {
            set(line, hash);
        }
    }
}

/// Answers for a few `hashes` one by one.
#[inline(always)]
pub(crate) fn contains_few(core: &Core, bytes: &[u8], hashes: &[u64], answers: &mut [bool]) {
    for (answer, hash) in answers.iter_mut().zip(hashes) {
        *answer = core.contains(bytes, *hash);
    }
}

/// Returns whether the body is so large that it pays to ask for its cache lines ahead.
#[inline(always)]
pub(crate) fn is_large(body: &[u8]) -> bool {
    body.len() as u64 >= LARGE_BYTES
}

/// Asks for the cache lines that `hashes` will touch, if it pays. The loads of a standard filter do
/// not depend on each other and overlap as they are.
#[inline(always)]
pub(crate) fn prefetch_lines(shape: &Shape, body: &[u8], hashes: &[u64]) {
    if !is_large(body) {
        return;
    }
    match shape.kind {
        Kind::Standard => {}
        Kind::SplitBlock => prefetch_units::<BLOCK_BYTES>(shape, body, hashes),
        _ => prefetch_units::<LINE_BYTES>(shape, body, hashes),
    }
}

#[inline(always)]
fn prefetch_units<const BYTES: usize>(shape: &Shape, body: &[u8], hashes: &[u64]) {
    let (units, _) = body.as_chunks::<BYTES>();
    for &hash in hashes {
        units.get(line_of(hash, shape.units)).into_iter().for_each(prefetch);
    }
}

/// Sets the bits of all `hashes` in the body of a Bloom filter.
#[inline(always)]
pub(crate) fn insert_many(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
    for hashes in hashes.chunks(CHUNK) {
        prefetch_lines(shape, body, hashes);
        match (shape.kind, shape.probes) {
            (Kind::DoubleProbe, 2) => insert_double::<2>(shape, body, hashes),
            (Kind::DoubleProbe, 3) => insert_double::<3>(shape, body, hashes),
            (Kind::DoubleProbe, 4) => insert_double::<4>(shape, body, hashes),
            (Kind::DoubleProbe, 5) => insert_double::<5>(shape, body, hashes),
            (Kind::DoubleProbe, n) => insert_lines(shape, body, hashes, |hash| double(hash, n)),
            (Kind::Standard, 6) => insert_standard(shape, body, hashes, 6),
            (Kind::Standard, 7) => insert_standard(shape, body, hashes, 7),
            (Kind::Standard, 8) => insert_standard(shape, body, hashes, 8),
            (Kind::Standard, n) => insert_standard(shape, body, hashes, n),
            (Kind::SplitBlock, _) => {
                let (blocks, _) = body.as_chunks_mut::<BLOCK_BYTES>();
                for &hash in hashes {
                    if let Some(block) = blocks.get_mut(line_of(hash, shape.units)) {
                        set(block.as_chunks_mut::<8>().0, split(hash));
                    }
                }
            }
            (_, 6) => insert_lines(shape, body, hashes, |hash| blocked(hash, 6)),
            (_, n) => insert_lines(shape, body, hashes, |hash| blocked(hash, n)),
        }
    }
}

#[inline(always)]
fn insert_standard(shape: &Shape, body: &mut [u8], hashes: &[u64], probes: u8) {
    let (words, _) = body.as_chunks_mut::<8>();
    for &hash in hashes {
        set(words, standard(hash, probes, shape.units));
    }
}

/// Computes places and masks of eight keys side by side, which vectors do well, then sets the bits.
#[inline(always)]
fn insert_double<const PROBES: usize>(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
    let probes = shape.probes;
    let (eights, rest) = hashes.as_chunks::<8>();
    for hashes in eights {
        let mut places = [[0usize; 8]; PROBES];
        let mut masks = [[0u64; 8]; PROBES];
        for (i, (places, masks)) in (0u32..).zip(places.iter_mut().zip(&mut masks)) {
            for ((place, mask), hash) in places.iter_mut().zip(masks).zip(hashes) {
                let (word, bits) = double_probe(*hash, i);
                (*place, *mask) = (line_of(*hash, shape.units) * 8 + word, bits);
            }
        }
        let (words, _) = body.as_chunks_mut::<8>();
        for (place, mask) in places.as_flattened().iter().zip(masks.as_flattened()) {
            if let Some(word) = words.get_mut(*place) {
                *word = (u64::from_le_bytes(*word) | mask).to_le_bytes();
            }
        }
    }
    insert_lines(shape, body, rest, |hash| double(hash, probes));
}

#[inline(always)]
fn insert_lines<P: Iterator<Item = (usize, u64)>>(
    shape: &Shape,
    body: &mut [u8],
    hashes: &[u64],
    probes: impl Fn(u64) -> P,
) {
    let (lines, _) = body.as_chunks_mut::<LINE_BYTES>();
    for &hash in hashes {
        if let Some(line) = lines.get_mut(line_of(hash, shape.units)) {
            set(line.as_chunks_mut::<8>().0, probes(hash));
        }
    }
}

#[inline(always)]
fn line(body: &[u8], hash: u64, lines: u32) -> Option<&[[u8; 8]]> {
    let line = body.as_chunks::<LINE_BYTES>().0.get(line_of(hash, lines))?;
    Some(line.as_chunks::<8>().0)
}
