//! Solving a ribbon: sort by start, eliminate from the left, substitute back from the right.

use super::band::Band;
use super::{BLOCK_SLOTS, COLUMNS_MAX, LAYERS_MAX, Layout, columns_for, rehash, reseed};
use crate::simd::Isa;

/// Below this many keys a layer does not bump.
const BUMP_FROM_KEYS: usize = 300;

/// Slots a key of the last layer on the first try.
const LAST_SLOTS_PER_KEY: f64 = 1.08;

/// Tries for the last layer, each with 4 % more slots.
const TRIES: u8 = 60;

/// A built ribbon: its bytes and what the header must say.
pub(crate) struct Built {
    /// `prefix` zero bytes, then the body.
    pub(crate) bytes: Vec<u8>,
    pub(crate) columns: u8,
    pub(crate) seed: u8,
}

/// The columns of a layer: `narrow` below block `wide_from`, one more from there on.
#[derive(Clone, Copy)]
pub(crate) struct Width {
    narrow: u8,
    wide_from: u32,
}

/// Builds a ribbon of about `bits_per_key` bits over `hashes`, with `prefix` zero bytes in front.
/// `None` if the bits pay for no column, or if the rows cannot be solved.
pub(crate) fn build(hashes: &[u64], bits_per_key: f64, prefix: usize) -> Option<Built> {
    if bits_per_key.is_nan() {
        return None;
    }
    let columns = columns_for(bits_per_key).min(f64::from(COLUMNS_MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 31")]
    let narrow = columns as u8;
    if narrow == 0 || hashes.is_empty() {
        return None;
    }
    let (bands, seed) = solve(hashes)?;
    let mut table = [(0, 0); LAYERS_MAX];
    for (entry, band) in table.iter_mut().zip(&bands) {
        let wide_share = columns - f64::from(narrow);
        *entry = (band.blocks(), share_of(band.blocks(), 1.0 - wide_share));
    }
    let layout = Layout::place(narrow, seed, table).ok()?;
    let mut bytes = vec![0; prefix + layout.body_words * 8];
    let (_, body) = bytes.split_at_mut(prefix);
    for (entry, (blocks, wide_from)) in body.as_chunks_mut::<8>().0.iter_mut().zip(table) {
        *entry = (u64::from(blocks) | u64::from(wide_from) << 32).to_le_bytes();
    }
    for (band, layer) in bands.iter().zip(&layout.layers) {
        if let Some(at) = layer.thresholds_at {
            for (rank, threshold) in band.thresholds.iter().enumerate() {
                body[at + rank / 2] |= threshold << (rank % 2 * 4);
            }
        }
        let words = &mut body.as_chunks_mut::<8>().0[layer.words_at..];
        Isa::detect().substitute(band, words, Width { narrow, wide_from: layer.wide_from });
    }
    Some(Built { bytes, columns: narrow, seed })
}

/// Solves for all keys, layer by layer; also returns the seed of the last layer.
fn solve(hashes: &[u64]) -> Option<(Vec<Band>, u8)> {
    let mut bands = Vec::with_capacity(LAYERS_MAX);
    let mut keys = hashes.to_vec();
    while keys.len() >= BUMP_FROM_KEYS && bands.len() < LAYERS_MAX - 1 {
        let (band, bumped) = Band::bumping(&mut keys)?;
        bands.push(band);
        keys = bumped;
        for key in &mut keys {
            *key = rehash(*key);
        }
    }
    if keys.is_empty() {
        // Nothing was bumped, but the layer says that it may bump: give it a next one.
        bands.push(Band::new(0.0)?);
        return Some((bands, 0));
    }
    for seed in 0..TRIES {
        let mut seeded: Vec<u64> = keys.iter().map(|&key| reseed(key, seed)).collect();
        seeded.sort_unstable();
        let slack = LAST_SLOTS_PER_KEY + 0.04 * f64::from(seed);
        if let Some(band) = Band::complete(&seeded, slack) {
            bands.push(band);
            return Some((bands, seed));
        }
    }
    None
}

/// Returns `share` of `blocks`, rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to `blocks`")]
fn share_of(blocks: u32, share: f64) -> u32 {
    ((f64::from(blocks) * share).round() as u32).min(blocks)
}

/// Computes the solution of a band and stores the columns that are kept, block by block.
#[inline(always)]
pub(crate) fn substitute(band: &Band, words: &mut [[u8; 8]], width: Width) {
    match width.narrow {
        ..8 => substitute_columns::<8>(band, words, width),
        8..16 => substitute_columns::<16>(band, words, width),
        _ => substitute_columns::<32>(band, words, width),
    }
}

/// From the last slot to the first: the bit of a slot follows from the 63 after it. `COLUMNS` are
/// computed side by side, which is what vectors are for.
#[inline(always)]
fn substitute_columns<const COLUMNS: usize>(band: &Band, words: &mut [[u8; 8]], width: Width) {
    let narrow = usize::from(width.narrow);
    let wide_from = width.wide_from as usize;
    let mut windows = [0u64; COLUMNS];
    let block_slots = BLOCK_SLOTS as usize;
    let rows = band.coefficients.chunks(block_slots).zip(band.results.chunks(block_slots));
    for (block, (coefficients, results)) in rows.enumerate().rev() {
        for (coefficients, result) in coefficients.iter().zip(results).rev() {
            // A slot without a row may have any bit; it gets 0.
            let row = u64::from(*coefficients != 0);
            for (column, window) in windows.iter_mut().enumerate() {
                let known = *window << 1;
                let odd = (known & coefficients).count_ones() ^ (result >> column);
                *window = known | (u64::from(odd) & row);
            }
        }
        let at = block * narrow + block.saturating_sub(wide_from);
        let columns = narrow + usize::from(block >= wide_from);
        for (word, window) in words[at..].iter_mut().zip(&windows[..columns]) {
            *word = window.to_le_bytes();
        }
    }
}
