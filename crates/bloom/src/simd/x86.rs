//! Many keys a call with the instructions of x86-64: lookups and inserts.

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi64, _mm256_and_si256, _mm256_andnot_si256, _mm256_castsi256_pd,
    _mm256_cmpeq_epi64, _mm256_i64gather_epi64, _mm256_loadu_si256, _mm256_movemask_pd,
    _mm256_mul_epu32, _mm256_or_si256, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_slli_epi64,
    _mm256_sllv_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm512_add_epi64, _mm512_and_si512,
    _mm512_andnot_si512, _mm512_i64gather_epi64, _mm512_loadu_si512, _mm512_madd52lo_epu64,
    _mm512_mul_epu32, _mm512_or_si512, _mm512_rolv_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_slli_epi64, _mm512_sllv_epi64, _mm512_srli_epi64, _mm512_storeu_si512,
    _mm512_testn_epi64_mask,
};

use super::Core;
use super::single;
use crate::Kind;
use crate::batch::{self, CHUNK};
use crate::format::{Shape, body_of};
use crate::probe::{BLOCK_BYTES, LINE_BYTES, MULTIPLIERS, Rows};
use crate::ribbon;

// The portable code, compiled with more instructions.

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn insert_many_avx2(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
    if shape.kind == Kind::SplitBlock {
        return insert_split_avx2(shape, body, hashes);
    }
    batch::insert_many(shape, body, hashes);
}

#[inline]
#[target_feature(enable = "avx2")]
fn insert_split_avx2(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
    batch::each_line::<BLOCK_BYTES>(shape, body, hashes, |block, hash| {
        // SAFETY: reads the 32 bytes of `block`.
        let bits = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
        let bits = _mm256_or_si256(bits, single::split_mask_avx2(hash));
        // SAFETY: writes the 32 bytes of `block`, which is borrowed for writing.
        unsafe { _mm256_storeu_si256(block.as_mut_ptr().cast(), bits) };
    });
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn substitute_avx2(band: &ribbon::Band, words: &mut [[u8; 8]], width: ribbon::Width) {
    ribbon::substitute(band, words, width);
}

#[target_feature(
    enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx2,bmi1,bmi2,lzcnt,popcnt"
)]
pub(super) fn substitute_avx512(band: &ribbon::Band, words: &mut [[u8; 8]], width: ribbon::Width) {
    ribbon::substitute(band, words, width);
}

// Inserts.

#[target_feature(
    enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx2,bmi1,bmi2,lzcnt,popcnt"
)]
pub(super) fn insert_many_avx512(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
    match shape.kind {
        Kind::DoubleProbe => {}
        Kind::SplitBlock => return insert_split_avx2(shape, body, hashes),
        _ => return batch::insert_many(shape, body, hashes),
    }
    let rows = Rows::of(shape.probes);
    batch::each_line::<LINE_BYTES>(shape, body, hashes, |line, hash| {
        // SAFETY: reads the 64 bytes of `line`.
        let bits = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
        let bits = _mm512_or_si512(bits, double_mask_avx512(rows, hash));
        // SAFETY: writes the 64 bytes of `line`, which is borrowed for writing.
        unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), bits) };
    });
}

/// One word a lane: the multiplier of the probe that falls on it, and of its product two bits.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn double_mask_avx512(rows: &Rows, hash: u64) -> __m512i {
    // SAFETY: reads the 64 bytes of an array of eight u64.
    let row = unsafe { _mm512_loadu_si512(rows.row(hash).as_ptr().cast()) };
    let ones = _mm512_and_si512(row, _mm512_set1_epi64(1));
    // Of all multiplications that keep the lower half, this one is a single instruction.
    let x = _mm512_set1_epi64(hash.cast_signed());
    let bits = _mm512_madd52lo_epu64(_mm512_setzero_si512(), x, row);
    // A rotation takes its count modulo 64.
    let one = _mm512_rolv_epi64(ones, _mm512_srli_epi64::<26>(bits));
    let two = _mm512_rolv_epi64(ones, _mm512_srli_epi64::<20>(bits));
    _mm512_or_si512(one, two)
}

// Lookups.

/// Answers chunk by chunk with `chunk`, and the few that are left one by one.
#[inline(always)]
fn each_chunk(
    core: &Core,
    bytes: &[u8],
    hashes: &[u64],
    answers: &mut [bool],
    chunk: impl Fn(&[u64; CHUNK], &mut [bool; CHUNK]),
) {
    let (many, few) = hashes.as_chunks::<CHUNK>();
    let (many_answers, few_answers) = answers.as_chunks_mut::<CHUNK>();
    for (hashes, answers) in many.iter().zip(many_answers) {
        batch::prefetch_lines(&core.shape, body_of(bytes), hashes);
        chunk(hashes, answers);
    }
    batch::contains_few(core, bytes, few, few_answers);
}

/// As [`each_chunk`], each key by itself: `one` is compiled into the loop.
#[inline(always)]
fn each_key(
    core: &Core,
    bytes: &[u8],
    hashes: &[u64],
    answers: &mut [bool],
    one: impl Fn(u64) -> bool,
) {
    each_chunk(core, bytes, hashes, answers, |hashes, answers| {
        for (answer, hash) in answers.iter_mut().zip(hashes) {
            *answer = one(*hash);
        }
    });
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn contains_many_avx2(core: &Core, bytes: &[u8], hashes: &[u64], answers: &mut [bool]) {
    match core.shape.kind {
        Kind::DoubleProbe if batch::is_whole(core, body_of(bytes)) => {
            each_chunk(core, bytes, hashes, answers, |hashes, answers| {
                double_chunk_avx2(core, body_of(bytes), hashes, answers);
            });
        }
        Kind::SplitBlock => {
            each_key(core, bytes, hashes, answers, |hash| single::split_avx2(core, bytes, hash));
        }
        Kind::Standard => standard_many_bmi2(core, bytes, hashes, answers),
        _ => batch::contains_many(core, bytes, hashes, answers),
    }
}

#[target_feature(enable = "bmi1,bmi2")]
fn standard_many_bmi2(core: &Core, bytes: &[u8], hashes: &[u64], answers: &mut [bool]) {
    match core.shape.probes {
        // Known counts unroll.
        5 => standard_many::<5>(core, bytes, hashes, answers),
        6 => standard_many::<6>(core, bytes, hashes, answers),
        7 => standard_many::<7>(core, bytes, hashes, answers),
        8 => standard_many::<8>(core, bytes, hashes, answers),
        _ => batch::contains_many(core, bytes, hashes, answers),
    }
}

#[target_feature(enable = "bmi1,bmi2")]
fn standard_many<const PROBES: usize>(
    core: &Core,
    bytes: &[u8],
    hashes: &[u64],
    answers: &mut [bool],
) {
    each_key(core, bytes, hashes, answers, |hash| {
        single::standard_bmi2::<PROBES>(core, bytes, hash)
    });
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vpopcntdq")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn contains_many_avx512(
    core: &Core,
    bytes: &[u8],
    hashes: &[u64],
    answers: &mut [bool],
) {
    match (core.shape.kind, core.shape.probes) {
        (Kind::DoubleProbe, 3) => each_key(core, bytes, hashes, answers, |hash| {
            single::double_far_avx512vl::<3>(core, bytes, hash)
        }),
        (Kind::DoubleProbe, _) if batch::is_whole(core, body_of(bytes)) => {
            each_chunk(core, bytes, hashes, answers, |hashes, answers| {
                double_chunk_avx512(core, body_of(bytes), hashes, answers);
            });
        }
        (Kind::Blocked, ..=8) => each_key(core, bytes, hashes, answers, |hash| {
            single::blocked_avx512vl(core, bytes, hash)
        }),
        (Kind::Blocked, _) => {
            each_key(core, bytes, hashes, answers, |hash| {
                single::blocked_avx512(core, bytes, hash)
            });
        }
        (Kind::SplitBlock, _) => {
            each_key(core, bytes, hashes, answers, |hash| single::split_avx2(core, bytes, hash));
        }
        (Kind::Standard, _) => standard_many_bmi2(core, bytes, hashes, answers),
        (Kind::Ribbon, _) => {
            ribbon::each_spot(core, body_of(bytes), hashes, |i, words, spot| {
                answers[i] = single::ribbon_spot_avx512(words, spot);
            });
        }
        _ => batch::contains_many(core, bytes, hashes, answers),
    }
}

/// One key a lane: word and mask of each probe, and a gather of the words.
#[inline]
#[target_feature(enable = "avx512f")]
fn double_chunk_avx512(
    core: &Core,
    body: &[u8],
    hashes: &[u64; CHUNK],
    answers: &mut [bool; CHUNK],
) {
    assert!(batch::is_whole(core, body), "a body of as many lines as the header says");
    let first_byte = body.as_ptr();
    let lines = _mm512_set1_epi64(i64::from(core.shape.units));
    let ones = _mm512_set1_epi64(1);
    let six = _mm512_set1_epi64(63);
    let (hashes, _) = hashes.as_chunks::<8>();
    let (answers, _) = answers.as_chunks_mut::<8>();
    for (hashes, answers) in hashes.iter().zip(answers) {
        // SAFETY: reads the 64 bytes of an array of eight u64.
        let hash: __m512i = unsafe { _mm512_loadu_si512(hashes.as_ptr().cast()) };
        let line = _mm512_mul_epu32(_mm512_srli_epi64::<32>(hash), lines);
        let first = _mm512_slli_epi64::<3>(_mm512_srli_epi64::<32>(line));
        let mut word =
            _mm512_srli_epi64::<29>(_mm512_and_si512(hash, _mm512_set1_epi64(0xffff_ffff)));
        let step = _mm512_or_si512(
            _mm512_and_si512(_mm512_srli_epi64::<26>(hash), _mm512_set1_epi64(6)),
            ones,
        );
        let mut missing = _mm512_setzero_si512();
        for multiplier in MULTIPLIERS.iter().take(usize::from(core.shape.probes)) {
            let bits = _mm512_mul_epu32(hash, _mm512_set1_epi64(i64::from(*multiplier)));
            let one = _mm512_and_si512(_mm512_srli_epi64::<26>(bits), six);
            let two = _mm512_and_si512(_mm512_srli_epi64::<20>(bits), six);
            let mask = _mm512_or_si512(_mm512_sllv_epi64(ones, one), _mm512_sllv_epi64(ones, two));
            let at = _mm512_or_si512(first, _mm512_and_si512(word, _mm512_set1_epi64(7)));
            // SAFETY: `at` < 8 * units: a line number is below `units` (the product of a 32-bit
            // number and `units`, without its lower 32 bits), and 7 at most is added to eight
            // times it. The body has 64 * units bytes by the assertion above.
            let found = unsafe { _mm512_i64gather_epi64::<8>(at, first_byte.cast()) };
            missing = _mm512_or_si512(missing, _mm512_andnot_si512(found, mask));
            word = _mm512_add_epi64(word, step);
        }
        let present = _mm512_testn_epi64_mask(missing, missing);
        for (i, answer) in answers.iter_mut().enumerate() {
            *answer = present >> i & 1 != 0;
        }
    }
}

/// As above with four keys a vector.
#[inline]
#[target_feature(enable = "avx2")]
fn double_chunk_avx2(core: &Core, body: &[u8], hashes: &[u64; CHUNK], answers: &mut [bool; CHUNK]) {
    assert!(batch::is_whole(core, body), "a body of as many lines as the header says");
    let first_byte = body.as_ptr();
    let lines = _mm256_set1_epi64x(i64::from(core.shape.units));
    let ones = _mm256_set1_epi64x(1);
    let six = _mm256_set1_epi64x(63);
    let (hashes, _) = hashes.as_chunks::<4>();
    let (answers, _) = answers.as_chunks_mut::<4>();
    for (hashes, answers) in hashes.iter().zip(answers) {
        // SAFETY: reads the 32 bytes of an array of four u64.
        let hash: __m256i = unsafe { _mm256_loadu_si256(hashes.as_ptr().cast()) };
        let line = _mm256_mul_epu32(_mm256_srli_epi64::<32>(hash), lines);
        let first = _mm256_slli_epi64::<3>(_mm256_srli_epi64::<32>(line));
        let low = _mm256_and_si256(hash, _mm256_set1_epi64x(0xffff_ffff));
        let mut word = _mm256_srli_epi64::<29>(low);
        let step = _mm256_or_si256(
            _mm256_and_si256(_mm256_srli_epi64::<26>(hash), _mm256_set1_epi64x(6)),
            ones,
        );
        let mut missing = _mm256_setzero_si256();
        for multiplier in MULTIPLIERS.iter().take(usize::from(core.shape.probes)) {
            let bits = _mm256_mul_epu32(hash, _mm256_set1_epi64x(i64::from(*multiplier)));
            let one = _mm256_and_si256(_mm256_srli_epi64::<26>(bits), six);
            let two = _mm256_and_si256(_mm256_srli_epi64::<20>(bits), six);
            let mask = _mm256_or_si256(_mm256_sllv_epi64(ones, one), _mm256_sllv_epi64(ones, two));
            let at = _mm256_or_si256(first, _mm256_and_si256(word, _mm256_set1_epi64x(7)));
            // SAFETY: `at` < 8 * units as in the function above, and the body has 64 * units
            // bytes by the assertion.
            let found = unsafe { _mm256_i64gather_epi64::<8>(first_byte.cast(), at) };
            missing = _mm256_or_si256(missing, _mm256_andnot_si256(found, mask));
            word = _mm256_add_epi64(word, step);
        }
        let present = _mm256_cmpeq_epi64(missing, _mm256_setzero_si256());
        let present = _mm256_movemask_pd(_mm256_castsi256_pd(present));
        for (i, answer) in answers.iter_mut().enumerate() {
            *answer = present >> i & 1 != 0;
        }
    }
}
