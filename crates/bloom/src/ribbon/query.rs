//! Asking a ribbon: two blocks of one layer; for some keys of the next.

#![deny(clippy::indexing_slicing)]

use super::{
    BLOCK_SLOTS, BUCKET_STARTS, Layer, Layout, passes_on, rehash, reseed, row_of, start_of,
};
use crate::batch::is_large;
use crate::simd::{self, Core};

/// Keys whose words are asked for before the first is answered.
const RING: usize = 16;

/// A key's equation.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) columns: usize,
    /// Coefficients on the slots of the key's block, and of the next.
    pub(crate) here: u64,
    pub(crate) next: u64,
    /// Bit i is the result in column i.
    pub(crate) result: u32,
    /// First word of the key's block.
    pub(crate) word: usize,
}

impl Spot {
    /// An equation that always holds.
    const ANY: Self = Self { columns: 0, here: 0, next: 0, result: 0, word: 0 };
}

/// Finds the layer that holds the key, if it is in the filter, and its equation there: `columns`
/// words of its block, then as many of the next. `None` if the body is not the one that `layout`
/// was read from.
#[inline(always)]
pub(crate) fn locate<'a>(
    layout: &Layout,
    body: &'a [u8],
    hash: u64,
) -> Option<(&'a [[u8; 8]], Spot)> {
    let spot = spot_of(layout, hash, |at| body.get(at).copied())?;
    let (words, _) = body.as_chunks::<8>();
    Some((words.get(spot.word..spot.word + 2 * spot.columns)?, spot))
}

/// As [`locate`], with the bytes of thresholds from `byte_of`. If those are the bytes of the body
/// that `layout` was read from, asks only for places in it, and the spot's words are in it.
#[inline(always)]
pub(crate) fn spot_of(
    layout: &Layout,
    mut hash: u64,
    byte_of: impl Fn(usize) -> Option<u8>,
) -> Option<Spot> {
    for layer in &layout.layers {
        let Some(thresholds_at) = layer.thresholds_at else {
            return Some(spot(layout, layer, reseed(hash, layout.seed)));
        };
        let start = start_of(hash, layer.starts);
        let bucket = (start / BUCKET_STARTS) as usize;
        let pair = byte_of(thresholds_at + bucket / 2)?;
        let threshold = (pair >> (bucket % 2 * 4)) & 15;
        if !passes_on(start, threshold) {
            return Some(spot(layout, layer, hash));
        }
        hash = rehash(hash);
    }
    None
}

#[inline(always)]
fn spot(layout: &Layout, layer: &Layer, hash: u64) -> Spot {
    let start = start_of(hash, layer.starts);
    let (block, shift) = (start / BLOCK_SLOTS, start % BLOCK_SLOTS);
    let (coefficients, result) = row_of(hash);
    Spot {
        columns: usize::from(layout.columns) + usize::from(block >= layer.wide_from),
        here: coefficients << shift,
        next: (coefficients >> 1) >> (BLOCK_SLOTS - 1 - shift),
        result,
        word: layer.words_at + layer.words_before(block, layout.columns),
    }
}

/// Returns whether the words that [`locate`] found give the key's result.
#[inline(always)]
pub(crate) fn matches(words: &[[u8; 8]], spot: &Spot) -> bool {
    let (here, next) = words.split_at(spot.columns.min(words.len()));
    let mut differing = 0;
    for (column, (here, next)) in here.iter().zip(next).enumerate() {
        let chosen =
            (u64::from_le_bytes(*here) & spot.here) ^ (u64::from_le_bytes(*next) & spot.next);
        differing |= (chosen.count_ones() ^ (spot.result >> column)) & 1;
    }
    differing == 0
}

/// Calls `answer` with the rank of each key, its words and its equation. In a large body keys are
/// found a ring ahead of their answers, so that memory and arithmetic overlap.
#[inline(always)]
pub(crate) fn each_spot(
    core: &Core,
    body: &[u8],
    hashes: &[u64],
    mut answer: impl FnMut(usize, &[[u8; 8]], &Spot),
) {
    let find = |hash| locate(&core.ribbon, body, hash).unwrap_or((&[], Spot::ANY));
    if !is_large(body) {
        // In cache, keeping equations would cost more than the loads.
        for (i, &hash) in hashes.iter().enumerate() {
            let (words, spot) = find(hash);
            answer(i, words, &spot);
        }
        return;
    }
    let mut ring: [(&[[u8; 8]], Spot); RING] = [(&[], Spot::ANY); RING];
    for i in 0..hashes.len() + RING {
        let Some(place) = ring.get_mut(i % RING) else { continue };
        if i >= RING {
            answer(i - RING, place.0, &place.1);
        }
        if let Some(&hash) = hashes.get(i) {
            *place = find(hash);
            place.0.iter().step_by(8).chain(place.0.last()).for_each(simd::prefetch);
        }
    }
}
