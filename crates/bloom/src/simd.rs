//! Vector instructions, chosen at run time: the only unsafe code of the crate.
//!
//! 1. Every function here answers bit for bit as the portable code does; the tests compare them.
//! 2. A function compiled for a set of instructions is called only with a proof of [`Isa`], and
//!    `Isa` values other than `Portable` come only from [`Isa::detect`], which asks the processor.
//! 3. All reads stay in slices: each intrinsic that takes a pointer names the check above it.

#![expect(unsafe_code, reason = "vector loads and gathers take pointers")]

use crate::format::Shape;
use crate::{Kind, batch, ribbon};

/// The instructions that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// What a lookup needs to know about a filter, besides its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core {
    pub(crate) shape: Shape,
    pub(crate) ribbon: ribbon::Layout,
    isa: Isa,
    ask: Ask,
}

/// How a filter is asked for one key: the function for its layout and this processor.
#[derive(Clone, Copy, Debug)]
struct Ask(unsafe fn(&Core, &[u8], u64) -> bool);

impl Core {
    pub(crate) fn new(shape: Shape, ribbon: ribbon::Layout, isa: Isa) -> Self {
        Self { shape, ribbon, isa, ask: Ask::choose(&shape, isa) }
    }

    /// Returns whether a filter with this `body` may contain `hash`.
    #[inline(always)]
    pub(crate) fn contains(&self, body: &[u8], hash: u64) -> bool {
        // SAFETY: invariant 2: `Ask::choose` takes only functions that `isa` can run.
        unsafe { self.ask.0(self, body, hash) }
    }

    /// Answers for all `hashes`; the slices have the same length.
    pub(crate) fn contains_many(&self, body: &[u8], hashes: &[u64], answers: &mut [bool]) {
        if self.shape.probes == 0 {
            answers.fill(batch::bare(self, body, 0));
            return;
        }
        match self.isa.0 {
            Level::Portable => batch::contains_many(self, body, hashes, answers),
            // SAFETY: invariant 2.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::contains_many_avx2(self, body, hashes, answers) },
            // SAFETY: invariant 2.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::contains_many_avx512(self, body, hashes, answers) },
        }
    }
}

impl Ask {
    fn choose(shape: &Shape, isa: Isa) -> Self {
        #[cfg(target_arch = "x86_64")]
        let is_large = shape.body_bytes() >= batch::LARGE_BYTES;
        #[cfg(target_arch = "x86_64")]
        let is_beyond_l2 = shape.body_bytes() >= batch::BEYOND_L2_BYTES;
        Self(match (isa.0, shape.kind, shape.probes) {
            (_, _, 0) => batch::bare,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, Kind::Blocked, 1..=8) => x86::blocked_one_avx512vl,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, Kind::Blocked, _) => x86::blocked_one_avx512,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, Kind::Ribbon, _) => x86::ribbon_one_avx512,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, Kind::DoubleProbe, 2) if is_beyond_l2 => {
                x86::double_one_far_avx512vl::<2>
            }
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, Kind::DoubleProbe, 3) if is_beyond_l2 => {
                x86::double_one_far_avx512vl::<3>
            }
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, Kind::DoubleProbe, 4) if is_beyond_l2 => {
                x86::double_one_far_avx512vl::<4>
            }
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2 | Level::Avx512, Kind::DoubleProbe, 2) => x86::double_one_bmi2::<2>,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2 | Level::Avx512, Kind::DoubleProbe, 3) => x86::double_one_bmi2::<3>,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2 | Level::Avx512, Kind::DoubleProbe, 4) => x86::double_one_bmi2::<4>,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2 | Level::Avx512, Kind::DoubleProbe, 5) => x86::double_one_bmi2::<5>,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2 | Level::Avx512, Kind::Standard, _) if is_large => {
                x86::standard_one_large_bmi2
            }
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2 | Level::Avx512, Kind::Standard, _) => x86::standard_one_bmi2,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2 | Level::Avx512, _, _) => x86::contains_avx2,
            _ => batch::contains,
        })
    }
}

impl Isa {
    /// The portable code, which runs everywhere.
    pub(crate) const PORTABLE: Self = Self(Level::Portable);

    /// The best that this processor has.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512ifma")
                && is_x86_feature_detected!("avx512vpopcntdq");
            if avx2 && avx512 {
                return Self(Level::Avx512);
            }
            if avx2 {
                return Self(Level::Avx2);
            }
        }
        Self::PORTABLE
    }

    /// All that this processor has, for tests.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            match Self::detect().0 {
                Level::Avx512 => all.extend([Self(Level::Avx2), Self(Level::Avx512)]),
                Level::Avx2 => all.push(Self(Level::Avx2)),
                Level::Portable => {}
            }
        }
        all
    }

    /// Sets the bits of all `hashes` in the body of a Bloom filter.
    pub(crate) fn insert_many(self, shape: &Shape, body: &mut [u8], hashes: &[u64]) {
        match self.0 {
            Level::Portable => batch::insert_many(shape, body, hashes),
            // SAFETY: invariant 2.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::insert_many_avx2(shape, body, hashes) },
            // SAFETY: invariant 2.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::insert_many_avx512(shape, body, hashes) },
        }
    }

    /// Computes a ribbon's solution; see `ribbon::build`.
    pub(crate) fn substitute(
        self,
        band: &ribbon::Band,
        words: &mut [[u8; 8]],
        width: ribbon::Width,
    ) {
        match self.0 {
            Level::Portable => ribbon::substitute(band, words, width),
            // SAFETY: invariant 2.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::substitute_avx2(band, words, width) },
            // SAFETY: invariant 2.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::substitute_avx512(band, words, width) },
        }
    }
}

/// Asks for the cache line of `place`, where the processor can be asked.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults nowhere; the reference is valid besides, and
        // SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_add_epi64, _mm256_and_si256, _mm256_andnot_si256,
        _mm256_castsi256_pd, _mm256_cmpeq_epi64, _mm256_i64gather_epi64, _mm256_loadu_si256,
        _mm256_madd52lo_epu64, _mm256_movemask_pd, _mm256_mul_epu32, _mm256_mullo_epi32,
        _mm256_or_si256, _mm256_permutex2var_epi32, _mm256_permutex2var_epi64, _mm256_rolv_epi32,
        _mm256_rolv_epi64, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setr_epi64x,
        _mm256_setzero_si256, _mm256_slli_epi64, _mm256_sllv_epi64, _mm256_srli_epi32,
        _mm256_srli_epi64, _mm256_testn_epi32_mask, _mm256_testz_si256, _mm512_add_epi64,
        _mm512_and_si512, _mm512_andnot_si512, _mm512_i64gather_epi64, _mm512_loadu_si512,
        _mm512_madd52lo_epu64, _mm512_maskz_loadu_epi64, _mm512_mul_epu32, _mm512_mullo_epi32,
        _mm512_or_si512, _mm512_permutexvar_epi32, _mm512_popcnt_epi64, _mm512_rolv_epi32,
        _mm512_rolv_epi64, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setzero_si512,
        _mm512_slli_epi64, _mm512_sllv_epi64, _mm512_srli_epi32, _mm512_srli_epi64,
        _mm512_storeu_si512, _mm512_test_epi64_mask, _mm512_testn_epi32_mask,
        _mm512_testn_epi64_mask, _mm512_xor_si512,
    };

    use super::Core;
    use crate::Kind;
    use crate::batch::{self, CHUNK};
    use crate::format::Shape;
    use crate::probe::{LINE_BYTES, MULTIPLIERS, POWERS, Rows, double_places, line_of};
    use crate::ribbon::{self, Spot};

    // The portable code, compiled with more instructions.

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn contains_avx2(core: &Core, body: &[u8], hash: u64) -> bool {
        batch::contains(core, body, hash)
    }

    #[target_feature(enable = "bmi1,bmi2")]
    pub(super) fn double_one_bmi2<const PROBES: u8>(core: &Core, body: &[u8], hash: u64) -> bool {
        batch::double_contains::<PROBES>(core, body, hash)
    }

    #[target_feature(enable = "bmi1,bmi2")]
    pub(super) fn standard_one_bmi2(core: &Core, body: &[u8], hash: u64) -> bool {
        batch::standard_contains(core, body, hash)
    }

    #[target_feature(enable = "bmi1,bmi2")]
    pub(super) fn standard_one_large_bmi2(core: &Core, body: &[u8], hash: u64) -> bool {
        batch::standard_contains_large(core, body, hash)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn insert_many_avx2(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
        batch::insert_many(shape, body, hashes);
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn substitute_avx2(
        band: &ribbon::Band,
        words: &mut [[u8; 8]],
        width: ribbon::Width,
    ) {
        ribbon::substitute(band, words, width);
    }

    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx2,bmi1,bmi2,lzcnt,popcnt"
    )]
    pub(super) fn substitute_avx512(
        band: &ribbon::Band,
        words: &mut [[u8; 8]],
        width: ribbon::Width,
    ) {
        ribbon::substitute(band, words, width);
    }

    // Inserts.

    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma,avx2,bmi1,bmi2,lzcnt,popcnt"
    )]
    pub(super) fn insert_many_avx512(shape: &Shape, body: &mut [u8], hashes: &[u64]) {
        if shape.kind != Kind::DoubleProbe {
            return batch::insert_many(shape, body, hashes);
        }
        let rows = Rows::of(shape.probes);
        batch::each_line(shape, body, hashes, |line, hash| {
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

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn contains_many_avx2(
        core: &Core,
        body: &[u8],
        hashes: &[u64],
        answers: &mut [bool],
    ) {
        if core.shape.kind != Kind::DoubleProbe || !batch::is_whole(core, body) {
            return batch::contains_many(core, body, hashes, answers);
        }
        let (many, few) = hashes.as_chunks::<CHUNK>();
        let (many_answers, few_answers) = answers.as_chunks_mut::<CHUNK>();
        for (hashes, answers) in many.iter().zip(many_answers) {
            batch::prefetch_lines(&core.shape, body, hashes);
            double_chunk_avx2(core, body, hashes, answers);
        }
        batch::contains_few(core, body, few, few_answers);
    }

    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx2,bmi1,bmi2,lzcnt,popcnt"
    )]
    pub(super) fn contains_many_avx512(
        core: &Core,
        body: &[u8],
        hashes: &[u64],
        answers: &mut [bool],
    ) {
        let (many, few) = hashes.as_chunks::<CHUNK>();
        let (many_answers, few_answers) = answers.as_chunks_mut::<CHUNK>();
        let chunks = many.iter().zip(many_answers);
        match core.shape.kind {
            Kind::DoubleProbe if batch::is_whole(core, body) => {
                for (hashes, answers) in chunks {
                    batch::prefetch_lines(&core.shape, body, hashes);
                    double_chunk_avx512(core, body, hashes, answers);
                }
            }
            Kind::Blocked if core.shape.probes <= 8 => {
                for (hashes, answers) in chunks {
                    batch::prefetch_lines(&core.shape, body, hashes);
                    for (answer, hash) in answers.iter_mut().zip(hashes) {
                        *answer = blocked_one_avx512vl(core, body, *hash);
                    }
                }
            }
            Kind::Blocked => {
                for (hashes, answers) in chunks {
                    batch::prefetch_lines(&core.shape, body, hashes);
                    for (answer, hash) in answers.iter_mut().zip(hashes) {
                        *answer = blocked_one_avx512(core, body, *hash);
                    }
                }
            }
            Kind::Ribbon => {
                return ribbon::each_spot(core, body, hashes, |i, words, spot| {
                    answers[i] = ribbon_spot_avx512(words, spot);
                });
            }
            _ => return batch::contains_many(core, body, hashes, answers),
        }
        batch::contains_few(core, body, few, few_answers);
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
                let mask =
                    _mm512_or_si512(_mm512_sllv_epi64(ones, one), _mm512_sllv_epi64(ones, two));
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
    fn double_chunk_avx2(
        core: &Core,
        body: &[u8],
        hashes: &[u64; CHUNK],
        answers: &mut [bool; CHUNK],
    ) {
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
                let mask =
                    _mm256_or_si256(_mm256_sllv_epi64(ones, one), _mm256_sllv_epi64(ones, two));
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

    /// As `double_one_bmi2` in half the instructions, but a longer chain of them: where loads are
    /// slow, more lookups are under way at once. One probe a lane, four at most, the line in two
    /// registers.
    #[target_feature(enable = "avx512f,avx512vl,avx512ifma,bmi1,bmi2")]
    pub(super) fn double_one_far_avx512vl<const PROBES: usize>(
        core: &Core,
        body: &[u8],
        hash: u64,
    ) -> bool {
        let lines = body.as_chunks::<LINE_BYTES>().0;
        let Some(line) = lines.get(line_of(hash, core.shape.units)) else {
            return true;
        };
        let (halves, _) = line.as_chunks::<32>();
        // SAFETY: reads the first 32 bytes of the line.
        let first = unsafe { _mm256_loadu_si256(halves[0].as_ptr().cast()) };
        // SAFETY: reads the last 32 bytes of the line.
        let last = unsafe { _mm256_loadu_si256(halves[1].as_ptr().cast()) };
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
        let missing = _mm256_andnot_si256(words, _mm256_or_si256(one, two));
        _mm256_testz_si256(missing, missing) != 0
    }

    /// One probe a lane, the line in two registers: for eight probes at most.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,bmi1,bmi2")]
    pub(super) fn blocked_one_avx512vl(core: &Core, body: &[u8], hash: u64) -> bool {
        let lines = body.as_chunks::<LINE_BYTES>().0;
        let Some(line) = lines.get(line_of(hash, core.shape.units)) else {
            return true;
        };
        let (halves, _) = line.as_chunks::<32>();
        // SAFETY: reads the first 32 bytes of the line.
        let first = unsafe { _mm256_loadu_si256(halves[0].as_ptr().cast()) };
        // SAFETY: reads the last 32 bytes of the line.
        let last = unsafe { _mm256_loadu_si256(halves[1].as_ptr().cast()) };
        // SAFETY: reads 32 bytes of an array of sixteen u32.
        let powers = unsafe { _mm256_loadu_si256(POWERS.as_ptr().cast()) };
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
        let x = _mm256_set1_epi32((hash as u32).cast_signed());
        let bits = _mm256_srli_epi32::<23>(_mm256_mullo_epi32(x, powers));
        let words = _mm256_permutex2var_epi32(first, _mm256_srli_epi32::<5>(bits), last);
        // A rotation takes its count modulo 32.
        let masks = _mm256_rolv_epi32(_mm256_set1_epi32(1), bits);
        let missing = _mm256_testn_epi32_mask(words, masks);
        u32::from(missing) & ((1 << core.shape.probes) - 1) == 0
    }

    /// One probe a lane, the line in one register.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn blocked_one_avx512(core: &Core, body: &[u8], hash: u64) -> bool {
        let lines = body.as_chunks::<LINE_BYTES>().0;
        let Some(line) = lines.get(line_of(hash, core.shape.units)) else {
            return true;
        };
        // SAFETY: reads the 64 bytes of the line.
        let line = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
        // SAFETY: reads the 64 bytes of an array of sixteen u32.
        let powers = unsafe { _mm512_loadu_si512(POWERS.as_ptr().cast()) };
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
        let x = _mm512_set1_epi32((hash as u32).cast_signed());
        let bits = _mm512_srli_epi32::<23>(_mm512_mullo_epi32(x, powers));
        let words = _mm512_permutexvar_epi32(_mm512_srli_epi32::<5>(bits), line);
        let masks = _mm512_rolv_epi32(_mm512_set1_epi32(1), bits);
        let missing = _mm512_testn_epi32_mask(words, masks);
        u32::from(missing) & ((1 << core.shape.probes) - 1) == 0
    }

    #[target_feature(enable = "avx512f,avx512vpopcntdq,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn ribbon_one_avx512(core: &Core, body: &[u8], hash: u64) -> bool {
        match ribbon::locate(&core.ribbon, body, hash) {
            Some((words, spot)) => ribbon_spot_avx512(words, &spot),
            None => true,
        }
    }

    /// One column a lane, eight at a time.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn ribbon_spot_avx512(words: &[[u8; 8]], spot: &Spot) -> bool {
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
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::builder::{build, build_with_probes, plan};
    use crate::format::HEADER_BYTES;

    #[test]
    fn every_set_of_instructions_gives_the_same_bits_and_answers() {
        let mut random = StdRng::seed_from_u64(1);
        for count in [1usize, 31, 33, 1_000, 70_000] {
            let members: Vec<u64> = (0..count).map(|_| random.random()).collect();
            let mut asked: Vec<u64> = (0..5_003).map(|_| random.random()).collect();
            asked.extend(members.iter().take(1_000));
            // Extreme hashes reach the first and the last line and word.
            asked.extend([0, u64::MAX, u64::from(u32::MAX), u64::MAX << 32]);
            for &kind in Kind::ALL {
                for bits in [2.0, 5.0, 8.0, 10.0, 12.0, 16.0, 22.0, 31.0, 60.0] {
                    same(kind, bits, &members, &asked);
                }
            }
        }
    }

    #[test]
    fn bodies_that_are_asked_for_ahead_give_the_same_answers() {
        let mut random = StdRng::seed_from_u64(2);
        let members: Vec<u64> = (0..150_000).map(|_| random.random()).collect();
        let mut asked: Vec<u64> = (0..5_003).map(|_| random.random()).collect();
        asked.extend(members.iter().take(5_000));
        for &kind in Kind::ALL {
            let bytes = build(kind, 31.0, &members);
            assert!(batch::is_large(&bytes[HEADER_BYTES..]), "{kind:?}");
            same(kind, 31.0, &members, &asked);
            // Also fewer keys than are asked for ahead.
            same(kind, 31.0, &members, &asked[..7]);
            same(kind, 31.0, &members, &[]);
        }
    }

    #[test]
    fn double_probes_beyond_the_caches_give_the_same_answers() {
        let mut random = StdRng::seed_from_u64(3);
        let members: Vec<u64> = (0..1_700_000).map(|_| random.random()).collect();
        let mut asked: Vec<u64> = (0..20_000).map(|_| random.random()).collect();
        asked.extend(members.iter().take(20_000));
        asked.extend([0, u64::MAX, u64::from(u32::MAX), u64::MAX << 32]);
        for probes in 1..=5 {
            let bytes = build_with_probes(Kind::DoubleProbe, 10.0, probes, &members);
            let (_, body) = bytes.split_at(HEADER_BYTES);
            assert!(body.len() as u64 >= batch::BEYOND_L2_BYTES);
            let shape = Shape::read(&bytes).unwrap();
            for isa in Isa::all() {
                let core = Core::new(shape, ribbon::Layout::default(), isa);
                for &hash in &asked {
                    let expected = batch::contains(&core, body, hash);
                    assert_eq!(core.contains(body, hash), expected, "{isa:?} {probes} {hash}");
                }
            }
        }
    }

    fn same(kind: Kind, bits: f64, members: &[u64], asked: &[u64]) {
        let bytes = build(kind, bits, members);
        let shape = Shape::read(&bytes).unwrap();
        let (_, body) = bytes.split_at(HEADER_BYTES);
        let layout = match kind {
            Kind::Ribbon => ribbon::Layout::read(body, shape.probes, shape.seed).unwrap(),
            _ => ribbon::Layout::default(),
        };
        let portable = Core::new(shape, layout, Isa::PORTABLE);
        let expected: Vec<bool> =
            asked.iter().map(|&hash| batch::contains(&portable, body, hash)).collect();
        for isa in Isa::all() {
            let core = Core::new(shape, layout, isa);
            let singles: Vec<bool> = asked.iter().map(|&hash| core.contains(body, hash)).collect();
            assert_eq!(singles, expected, "{isa:?} {kind:?} {bits}");
            let mut answers = vec![false; asked.len()];
            core.contains_many(body, asked, &mut answers);
            assert_eq!(answers, expected, "{isa:?} {kind:?} {bits}, batch");
            if kind != Kind::Ribbon {
                let mut same_body = vec![0; body.len()];
                isa.insert_many(&plan(kind, bits, members.len() as u64), &mut same_body, members);
                assert!(same_body == body, "{isa:?} {kind:?} {bits}, insert");
            }
        }
    }
}
