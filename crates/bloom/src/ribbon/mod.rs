//! Static filter: one linear equation a key, solved so that every key's bits come out right.
//!
//! Each key has a start slot, 64 coefficients and as many result bits as the filter has columns;
//! the solution is found so that the exclusive-or of the chosen slots among the 64 from the start
//! on is the key's result. An absent key passes with chance 1/2 a column: 2^-c for c columns.
//!
//!   body       := layer * 4 | thresholds of each layer but the last | words | padding
//!   layer      := blocks: u32 | wide_from: u32     unused ones are zero; a block is 64 slots
//!   thresholds := a nibble for each bucket of 128 starts, in whole u64; keys whose start has a
//!                 lower rank in the bucket than threshold * 8 (15: all) are in the next layer
//!   words      := for each layer, each block: a u64 a column; `probes` columns below block
//!                 `wide_from`, one more from there on; bit i of a word is slot i of the block
//!   padding    := probes + 1 words, so that reading the block after the last needs no check
//!
//! 1. A layer has `64 * blocks - 63` starts, so a key's slots lie in its block and the next.
//! 2. Rows are solved from the left; what does not fit is bumped to the next layer, so that slots
//!    are filled to more than 99 % and building never starts over; the last layer has slots to
//!    spare.
//!
//! Sources: ribbon filters (Dillinger, Walzer, 2021); bumping (BuRR; Dillinger, Hübschle-Schneider
//! and others, 2022); columns side by side and fractional widths (RocksDB, Dillinger, 2020).

mod band;
mod build;
mod query;

pub(crate) use band::Band;
pub(crate) use build::{Width, build, substitute};
pub(crate) use query::{Spot, each_spot, locate, matches, spot_of};

use crate::DecodeError;

/// At most three layers that bump, and one that does not.
pub(crate) const LAYERS_MAX: usize = 4;

/// More columns than this are not built: the hash has no more to say.
pub(crate) const COLUMNS_MAX: u8 = 31;

/// Slots of a block, coefficients of a row.
const BLOCK_SLOTS: u32 = 64;

/// Blocks of a layer: buckets of all its slots are counted in `u32`.
const BLOCKS_MAX: u32 = u32::MAX / BLOCK_SLOTS - 2;

/// Starts of a bucket: those that share a threshold.
const BUCKET_STARTS: u32 = 128;

/// Ranks of a bucket that a step of its threshold stands for.
const THRESHOLD_STEP: u32 = 8;

/// The threshold that sends a whole bucket on.
const THRESHOLD_ALL: u8 = 15;

/// Bytes of the table of layers.
const TABLE_BYTES: usize = LAYERS_MAX * 8;

/// One band of equations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    blocks: u32,
    starts: u32,
    wide_from: u32,
    /// Where its thresholds begin, in bytes of the body; `None` for the last layer.
    thresholds_at: Option<usize>,
    /// Where its words begin, in words of the body.
    words_at: usize,
}

/// Where everything lies in the body; for a filter that is not a ribbon, all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    columns: u8,
    seed: u8,
    layers: [Layer; LAYERS_MAX],
    body_words: usize,
}

impl Layer {
    fn threshold_bytes(&self) -> usize {
        let buckets = self.starts.div_ceil(BUCKET_STARTS) as usize;
        buckets.div_ceil(16) * 8
    }

    /// Words before block `block`, counted from the layer's first.
    fn words_before(&self, block: u32, columns: u8) -> usize {
        block as usize * usize::from(columns) + block.saturating_sub(self.wide_from) as usize
    }
}

impl Layout {
    /// Places layers of these `(blocks, wide_from)` one after the other.
    ///
    /// # Errors
    /// [`DecodeError::Field`] if they are out of range.
    fn place(columns: u8, seed: u8, table: [(u32, u32); LAYERS_MAX]) -> Result<Self, DecodeError> {
        let used = table.iter().take_while(|(blocks, _)| *blocks != 0).count();
        let mut layers = [Layer::default(); LAYERS_MAX];
        let mut at = TABLE_BYTES;
        for (rank, (layer, (blocks, wide_from))) in layers.iter_mut().zip(table).enumerate() {
            let past_end = rank >= used;
            if blocks > BLOCKS_MAX || wide_from > blocks || past_end != (blocks == 0) {
                return Err(DecodeError::Field("layers of a ribbon"));
            }
            if past_end {
                continue;
            }
            layer.blocks = blocks;
            layer.starts = blocks * BLOCK_SLOTS - (BLOCK_SLOTS - 1);
            layer.wide_from = wide_from;
            if rank + 1 < used {
                layer.thresholds_at = Some(at);
                at += layer.threshold_bytes();
            }
        }
        let mut words_at = at / 8;
        for layer in &mut layers {
            layer.words_at = words_at;
            words_at += layer.words_before(layer.blocks, columns);
        }
        let body_words = words_at + usize::from(columns) + 1;
        Ok(Self { columns, seed, layers, body_words })
    }

    /// The most columns that any block has.
    pub(crate) fn columns_max(&self) -> u8 {
        let is_wide = self.layers.iter().any(|layer| layer.wide_from < layer.blocks);
        self.columns + u8::from(is_wide)
    }

    /// Reads the table of layers; the body must have exactly the words that they take.
    pub(crate) fn read(body: &[u8], columns: u8, seed: u8) -> Result<Self, DecodeError> {
        let Some((table_bytes, _)) = body.split_first_chunk::<TABLE_BYTES>() else {
            return Err(DecodeError::Field("ribbon without layers"));
        };
        let mut table = [(0, 0); LAYERS_MAX];
        for (entry, bytes) in table.iter_mut().zip(table_bytes.as_chunks::<8>().0) {
            let both = u64::from_le_bytes(*bytes);
            #[expect(clippy::cast_possible_truncation, reason = "one half each")]
            let halves = (both as u32, (both >> 32) as u32);
            *entry = halves;
        }
        let layout = Self::place(columns, seed, table)?;
        if layout.layers[0].blocks == 0 || layout.body_words * 8 != body.len() {
            return Err(DecodeError::Field("size of a ribbon"));
        }
        Ok(layout)
    }
}

/// The hash by which the next layer knows a key that this layer knows by `hash`.
#[inline(always)]
fn rehash(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 31)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}

/// The hash by which the last layer knows a key, at the try number `seed` to solve it.
#[inline(always)]
fn reseed(hash: u64, seed: u8) -> u64 {
    if seed == 0 {
        return hash;
    }
    rehash(hash ^ u64::from(seed).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

/// The start of a key among `starts`; ascends with the hash, so that sorted hashes are sorted rows.
#[inline(always)]
fn start_of(hash: u64, starts: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "less than `starts`")]
    let start = ((u128::from(hash) * u128::from(starts)) >> 64) as u32;
    start
}

/// The coefficients of a key, of which the first is always 1, and its result bits.
#[inline(always)]
fn row_of(hash: u64) -> (u64, u32) {
    let folded = hash ^ (hash >> 32);
    let coefficients = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let result = (folded.wrapping_mul(0xc2b2_ae3d_27d4_eb4f) >> 32) as u32;
    (coefficients ^ (coefficients >> 29) | 1, result)
}

/// Returns whether a key with this start goes on to the next layer.
#[inline(always)]
fn passes_on(start: u32, threshold: u8) -> bool {
    let rank = start % BUCKET_STARTS;
    rank < u32::from(threshold) * THRESHOLD_STEP || threshold == THRESHOLD_ALL
}

/// Columns that `bits_per_key` bits pay for, as a fraction: the rest goes into thresholds and slots
/// that stay empty.
pub(crate) fn columns_for(bits_per_key: f64) -> f64 {
    ((bits_per_key - THRESHOLD_BITS) / SLOTS_PER_KEY).max(0.0)
}

/// Bits of thresholds a key.
const THRESHOLD_BITS: f64 = 0.034;

/// Slots a key over all layers of a large filter.
const SLOTS_PER_KEY: f64 = 1.002;

/// The rate of a large ribbon of `bits_per_key` bits: one half a column, columns mixed linearly.
pub(crate) fn rate(bits_per_key: f64) -> f64 {
    let columns = columns_for(bits_per_key);
    let narrow = columns.floor();
    let wide_share = columns - narrow;
    (1.0 - wide_share) * 0.5f64.powf(narrow) + wide_share * 0.5f64.powf(narrow + 1.0)
}
