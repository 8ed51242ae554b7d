//! Lookups of one key with the instructions of x86-64.
//!
//! All functions take a filter's bytes, header included, and are subject to the invariants of the
//! parent: they run only on a processor that has the instructions, for filters of their layout that
//! have a body.

use std::arch::asm;
use std::arch::x86_64::{
    _mm256_and_si256, _mm256_loadu_si256, _mm256_madd52lo_epu64, _mm256_mullo_epi32,
    _mm256_or_si256, _mm256_permutex2var_epi32, _mm256_permutex2var_epi64, _mm256_rolv_epi32,
    _mm256_rolv_epi64, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setr_epi64x,
    _mm256_setzero_si256, _mm256_sllv_epi32, _mm256_srli_epi32, _mm256_srli_epi64,
    _mm256_testc_si256, _mm256_testn_epi32_mask, _mm512_and_si512, _mm512_loadu_si512,
    _mm512_maskz_loadu_epi64, _mm512_mullo_epi32, _mm512_permutexvar_epi32, _mm512_popcnt_epi64,
    _mm512_rolv_epi32, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_srli_epi32,
    _mm512_test_epi64_mask, _mm512_testn_epi32_mask, _mm512_xor_si512,
};

use std::arch::x86_64::__m256i;

use super::Core;
use crate::Kind;
use crate::batch;
use crate::format::{HEADER_BYTES, Shape, body_of};
use crate::probe::{
    BLOCK_BYTES, LINE_BYTES, MULTIPLIERS, POWERS, SALTS, StandardWalk, double_places, double_probe,
    line_of,
};
use crate::ribbon::{self, Spot};

/// The signature of a lookup.
type Lookup = unsafe fn(&Core, &[u8], u64) -> bool;

/// The lookup for filters of this shape on a processor with AVX2.
pub(super) fn choose_avx2(shape: &Shape) -> Lookup {
    match (shape.kind, shape.probes) {
        (Kind::DoubleProbe, 2) => double_bmi2::<2>,
        (Kind::DoubleProbe, 3) => double_bmi2::<3>,
        (Kind::DoubleProbe, 4) => double_bmi2::<4>,
        (Kind::DoubleProbe, 5) => double_bmi2::<5>,
        (Kind::SplitBlock, _) => split_avx2,
        (Kind::Standard, probes) => choose_standard(probes),
        _ => any_avx2,
    }
}

/// The lookup for filters of this shape on a processor with AVX-512.
pub(super) fn choose_avx512(shape: &Shape, ribbon: &ribbon::Layout) -> Lookup {
    let is_beyond_l2 = shape.body_bytes() >= batch::BEYOND_L2_BYTES;
    match (shape.kind, shape.probes) {
        (Kind::Blocked, 1..=8) => blocked_avx512vl,
        (Kind::Blocked, _) => blocked_avx512,
        (Kind::Ribbon, _) if ribbon.columns_max() <= 8 => ribbon_8_avx512,
        (Kind::Ribbon, _) => ribbon_avx512,
        (Kind::DoubleProbe, 2) if is_beyond_l2 => double_far_avx512vl::<2>,
        (Kind::DoubleProbe, 3) if is_beyond_l2 => double_far_avx512vl::<3>,
        (Kind::DoubleProbe, 4) if is_beyond_l2 => double_far_avx512vl::<4>,
        _ => choose_avx2(shape),
    }
}

fn choose_standard(probes: u8) -> Lookup {
    match probes {
        // Known counts unroll.
        4 => standard_predicted::<4>,
        5 => standard_predicted::<5>,
        6 => standard_predicted::<6>,
        7 => standard_predicted::<7>,
        8 => standard_predicted::<8>,
        9 => standard_predicted::<9>,
        10 => standard_predicted::<10>,
        _ => any_avx2,
    }
}

/// The portable code, compiled with more instructions.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn any_avx2(core: &Core, bytes: &[u8], hash: u64) -> bool {
    batch::contains(core, body_of(bytes), hash)
}

/// Where in the body the line, or block, of `hash` begins; `None` if bytes are missing. `BYTES` is
/// what the layout of `core` has in a unit; as many follow the place.
#[inline(always)]
pub(super) fn place_of<const BYTES: usize>(core: &Core, bytes: &[u8], hash: u64) -> Option<usize> {
    // One comparison for the whole filter in place of one for each line. By invariant 4
    // `total_bytes` is a header and `units` units of `BYTES` bytes, and the number of a unit is
    // less than `units`, being the upper half of the product of a 32-bit number and `units`, which
    // is not 0.
    (bytes.len() >= core.total_bytes).then(|| line_of(hash, core.shape.units) * BYTES)
}

/// The line, or block, of `hash`, as [`place_of`] finds it.
#[inline(always)]
fn unit_of<'b, const BYTES: usize>(
    core: &Core,
    bytes: &'b [u8],
    hash: u64,
) -> Option<&'b [u8; BYTES]> {
    let at = HEADER_BYTES + place_of::<BYTES>(core, bytes, hash)?;
    // SAFETY: `place_of` found `BYTES` bytes there.
    let first = unsafe { bytes.as_ptr().add(at) };
    // SAFETY: as above; they are borrowed with `bytes`, and an array of bytes may lie anywhere.
    Some(unsafe { &*first.cast() })
}

#[target_feature(enable = "bmi1,bmi2")]
fn double_bmi2<const PROBES: u32>(core: &Core, bytes: &[u8], hash: u64) -> bool {
    let Some(line) = unit_of::<LINE_BYTES>(core, bytes, hash) else { return true };
    let (words, _) = line.as_chunks::<8>();
    let mut missing = 0;
    for i in 0..PROBES {
        let (word, mask) = double_probe(hash, i);
        missing |= mask & !u64::from_le_bytes(words[word & 7]);
    }
    missing == 0
}

/// As `double_bmi2` in half the instructions, but a longer chain of them: where loads are slow,
/// more lookups are under way at once. One probe a lane, four at most, the line in two registers.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512ifma,bmi1,bmi2")]
pub(super) fn double_far_avx512vl<const PROBES: usize>(
    core: &Core,
    bytes: &[u8],
    hash: u64,
) -> bool {
    let Some(line) = unit_of::<LINE_BYTES>(core, bytes, hash) else { return true };
    let (first, last) = halves(line);
    // SAFETY: reads the 32 bytes of an array of four u64.
    let places = unsafe { _mm256_loadu_si256(double_places(hash).as_ptr().cast()) };
    // A lane without a probe multiplies by zero and has no bits.
    let multiplier = |i: usize| if i < PROBES { i64::from(MULTIPLIERS[i]) } else { 0 };
    let multipliers =
        _mm256_setr_epi64x(multiplier(0), multiplier(1), multiplier(2), multiplier(3));
    let ones = _mm256_and_si256(multipliers, _mm256_set1_epi64x(1));
    let x = _mm256_set1_epi64x(hash.cast_signed());
    let bits = _mm256_madd52lo_epu64(_mm256_setzero_si256(), x, multipliers);
    // A rotation takes its count modulo 64.
    let one = _mm256_rolv_epi64(ones, _mm256_srli_epi64::<26>(bits));
    let two = _mm256_rolv_epi64(ones, _mm256_srli_epi64::<20>(bits));
    let words = _mm256_permutex2var_epi64(first, places, last);
    _mm256_testc_si256(words, _mm256_or_si256(one, two)) != 0
}

/// One probe a lane, the line in two registers: for eight probes at most.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,bmi1,bmi2")]
pub(super) fn blocked_avx512vl(core: &Core, bytes: &[u8], hash: u64) -> bool {
    let Some(line) = unit_of::<LINE_BYTES>(core, bytes, hash) else { return true };
    let (first, last) = halves(line);
    // SAFETY: reads 32 bytes of an array of sixteen u32.
    let powers = unsafe { _mm256_loadu_si256(POWERS.as_ptr().cast()) };
    let bits = _mm256_srli_epi32::<23>(_mm256_mullo_epi32(_mm256_set1_epi32(low(hash)), powers));
    let words = _mm256_permutex2var_epi32(first, _mm256_srli_epi32::<5>(bits), last);
    // A rotation takes its count modulo 32.
    let masks = _mm256_rolv_epi32(_mm256_set1_epi32(1), bits);
    let missing = _mm256_testn_epi32_mask(words, masks);
    u32::from(missing) & core.lanes == 0
}

/// One probe a lane, the line in one register.
#[inline]
#[target_feature(enable = "avx512f,bmi1,bmi2")]
pub(super) fn blocked_avx512(core: &Core, bytes: &[u8], hash: u64) -> bool {
    let Some(line) = unit_of::<LINE_BYTES>(core, bytes, hash) else { return true };
    // SAFETY: reads the 64 bytes of the line.
    let line = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
    // SAFETY: reads the 64 bytes of an array of sixteen u32.
    let powers = unsafe { _mm512_loadu_si512(POWERS.as_ptr().cast()) };
    let bits = _mm512_srli_epi32::<23>(_mm512_mullo_epi32(_mm512_set1_epi32(low(hash)), powers));
    let words = _mm512_permutexvar_epi32(_mm512_srli_epi32::<5>(bits), line);
    let masks = _mm512_rolv_epi32(_mm512_set1_epi32(1), bits);
    let missing = _mm512_testn_epi32_mask(words, masks);
    u32::from(missing) & core.lanes == 0
}

/// One word a lane.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn split_avx2(core: &Core, bytes: &[u8], hash: u64) -> bool {
    let Some(block) = unit_of::<BLOCK_BYTES>(core, bytes, hash) else { return true };
    // SAFETY: reads the 32 bytes of the block.
    let block = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
    _mm256_testc_si256(block, split_mask_avx2(hash)) != 0
}

/// The bits of `hash` in a split block.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn split_mask_avx2(hash: u64) -> __m256i {
    // SAFETY: reads the 32 bytes of an array of eight u32.
    let salts = unsafe { _mm256_loadu_si256(SALTS.as_ptr().cast()) };
    let products = _mm256_mullo_epi32(_mm256_set1_epi32(low(hash)), salts);
    _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_srli_epi32::<27>(products))
}

/// Returns `answer` by a branch: the processor predicts it and runs past, to what depends on it.
/// For layouts with long waits, where that saves more than a wrong prediction costs; who asks will
/// branch on the answer anyhow. Batches compute.
#[inline(always)]
fn predicted(answer: bool) -> bool {
    if !answer {
        // SAFETY: does nothing; only keeps the branch from being computed away.
        unsafe { asm!("", options(nomem, nostack, preserves_flags)) };
        return false;
    }
    true
}

#[target_feature(enable = "bmi1,bmi2")]
fn standard_predicted<const PROBES: usize>(core: &Core, bytes: &[u8], hash: u64) -> bool {
    predicted(standard_bmi2::<PROBES>(core, bytes, hash))
}

/// Looks at all bits, whatever the first ones say: a wrong prediction costs more than the loads.
#[inline]
#[target_feature(enable = "bmi1,bmi2")]
pub(super) fn standard_bmi2<const PROBES: usize>(core: &Core, bytes: &[u8], hash: u64) -> bool {
    if bytes.len() < core.total_bytes {
        return true;
    }
    let mut walk = StandardWalk::new(hash);
    let mut present = 1;
    for _ in 0..PROBES {
        let bit = walk.bit(core.shape.units);
        present &= standard_word(core, bytes, bit) >> (bit & 63);
        walk.step();
    }
    present != 0
}

/// The word of a standard filter that has this bit, which is less than 64 times its words; `bytes`
/// were compared with `core`.
#[inline(always)]
fn standard_word(core: &Core, bytes: &[u8], bit: u64) -> u64 {
    debug_assert!(bytes.len() >= core.total_bytes, "compared before");
    debug_assert!(bit < u64::from(core.shape.units) * 64, "a bit of the filter");
    let at = HEADER_BYTES + (bit >> 6) as usize * 8;
    // SAFETY: invariant 4: `total_bytes` is a header and `units` words, and the bit is less than
    // 64 * `units`, being the upper half of a product with that.
    let word = unsafe { bytes.as_ptr().add(at) };
    // SAFETY: as above, eight bytes follow.
    u64::from_le(unsafe { word.cast::<u64>().read_unaligned() })
}

/// The two halves of a line.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(line: &[u8; LINE_BYTES]) -> (__m256i, __m256i) {
    let (halves, _) = line.as_chunks::<32>();
    // SAFETY: reads the first 32 bytes of the line.
    let first = unsafe { _mm256_loadu_si256(halves[0].as_ptr().cast()) };
    // SAFETY: reads the last 32 bytes of the line.
    let last = unsafe { _mm256_loadu_si256(halves[1].as_ptr().cast()) };
    (first, last)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
#[inline(always)]
fn low(hash: u64) -> i32 {
    (hash as u32).cast_signed()
}

/// A ribbon of at most eight columns, in one register each for the key's block and the next.
#[target_feature(enable = "avx512f,avx512dq,avx512vpopcntdq,bmi1,bmi2,lzcnt,popcnt")]
fn ribbon_8_avx512(core: &Core, bytes: &[u8], hash: u64) -> bool {
    if bytes.len() < core.total_bytes {
        return true;
    }
    // SAFETY: the layout was read from a body of the same length as this (invariant 4), so it asks
    // only for places in it.
    let byte_of = |at: usize| Some(unsafe { *bytes.get_unchecked(HEADER_BYTES + at) });
    let Some(spot) = ribbon::spot_of(&core.ribbon, hash, byte_of) else { return true };
    let lanes = 0xff >> (8 - spot.columns);
    // SAFETY: as above; `2 * columns` words of the body begin there.
    let here = unsafe { bytes.as_ptr().add(HEADER_BYTES + spot.word * 8) };
    // SAFETY: as above; `columns` of these words follow.
    let next = unsafe { here.add(spot.columns * 8) };
    // SAFETY: reads as many words as there are columns, eight at most.
    let here = unsafe { _mm512_maskz_loadu_epi64(lanes, here.cast()) };
    // SAFETY: as above.
    let next = unsafe { _mm512_maskz_loadu_epi64(lanes, next.cast()) };
    let chosen = _mm512_xor_si512(
        _mm512_and_si512(here, _mm512_set1_epi64(spot.here.cast_signed())),
        _mm512_and_si512(next, _mm512_set1_epi64(spot.next.cast_signed())),
    );
    let odd = _mm512_test_epi64_mask(_mm512_popcnt_epi64(chosen), _mm512_set1_epi64(1));
    predicted((u32::from(odd) ^ spot.result) & u32::from(lanes) == 0)
}

#[target_feature(enable = "avx512f,avx512vpopcntdq,bmi1,bmi2,lzcnt,popcnt")]
fn ribbon_avx512(core: &Core, bytes: &[u8], hash: u64) -> bool {
    match ribbon::locate(&core.ribbon, body_of(bytes), hash) {
        Some((words, spot)) => ribbon_spot_avx512(words, &spot),
        None => true,
    }
}

/// One column a lane, eight at a time.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
pub(super) fn ribbon_spot_avx512(words: &[[u8; 8]], spot: &Spot) -> bool {
    let columns = spot.columns;
    assert!(words.len() >= 2 * columns, "two words a column");
    let here_coefficients = _mm512_set1_epi64(spot.here.cast_signed());
    let next_coefficients = _mm512_set1_epi64(spot.next.cast_signed());
    let (mut first, mut results) = (0, spot.result);
    while first < columns {
        let lanes = 0xffu8 >> (8 - (columns - first).min(8));
        // SAFETY: `first` < `columns`, which is within the words.
        let here = unsafe { words.as_ptr().add(first) };
        // SAFETY: as many words follow `here` up to `columns` as `lanes` has bits, or more.
        let here = unsafe { _mm512_maskz_loadu_epi64(lanes, here.cast()) };
        // SAFETY: `columns + first` < 2 * `columns`, which is within the words.
        let next = unsafe { words.as_ptr().add(columns + first) };
        // SAFETY: as many words follow `next` as `lanes` has bits, or more.
        let next = unsafe { _mm512_maskz_loadu_epi64(lanes, next.cast()) };
        let chosen = _mm512_xor_si512(
            _mm512_and_si512(here, here_coefficients),
            _mm512_and_si512(next, next_coefficients),
        );
        let odd = _mm512_test_epi64_mask(_mm512_popcnt_epi64(chosen), _mm512_set1_epi64(1));
        if (u32::from(odd) ^ results) & u32::from(lanes) != 0 {
            return false;
        }
        results >>= 8;
        first += 8;
    }
    true
}
