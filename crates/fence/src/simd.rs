//! Counting the integers of a node that are below a wanted one, as wide as the processor allows.
//!
//! 1. All ways of counting give the same number; which one runs is decided at run time.
//! 2. An instruction set is used only behind its token, and a token is made only after the
//!    processor was asked.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector instructions need run-time detection and raw pointers")
)]

/// Integers in a node.
pub(crate) const LANES: usize = 32;

/// A node: integers in ascending order, little-endian.
pub(crate) type Node = [[u8; 8]; LANES];

/// A way of counting.
pub(crate) trait Count: Copy {
    /// How many integers of `node` are below `wanted`; `N` is a multiple of 8.
    fn below<const N: usize>(self, node: &[[u8; 8]; N], wanted: u64) -> usize;
}

/// A search, to be compiled once for each way of counting.
pub(crate) trait Search {
    type Answer;

    /// Must be `#[inline(always)]`, so that the vector code is inlined into it.
    fn run(self, count: impl Count) -> Self::Answer;
}

/// Runs `search` with the best way of counting that this processor has.
#[inline]
pub(crate) fn run<S: Search>(search: S) -> S::Answer {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx512() {
            // SAFETY: the processor has just said that it has these instructions.
            return unsafe { x86::run_avx512(search) };
        }
        if x86::has_avx2() {
            // SAFETY: the processor has just said that it has these instructions.
            return unsafe { x86::run_avx2(search) };
        }
    }
    search.run(Portable)
}

/// Counting without vector instructions of our own; the compiler may find some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Count for Portable {
    #[inline(always)]
    fn below<const N: usize>(self, node: &[[u8; 8]; N], wanted: u64) -> usize {
        node.iter().map(|bytes| usize::from(u64::from_le_bytes(*bytes) < wanted)).sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm256_castsi256_pd, _mm256_cmpgt_epi64, _mm256_loadu_si256, _mm256_movemask_pd,
        _mm256_set1_epi64x, _mm256_xor_si256, _mm512_cmplt_epu64_mask, _mm512_loadu_epi64,
        _mm512_set1_epi64,
    };

    use super::{Count, Search};

    #[inline]
    pub(super) fn has_avx512() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("popcnt")
    }

    #[inline]
    pub(super) fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
    }

    /// # Safety
    /// [`has_avx512`] has answered yes.
    #[target_feature(enable = "avx512f,popcnt")]
    pub(super) unsafe fn run_avx512<S: Search>(search: S) -> S::Answer {
        search.run(Avx512(()))
    }

    /// # Safety
    /// [`has_avx2`] has answered yes.
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) unsafe fn run_avx2<S: Search>(search: S) -> S::Answer {
        search.run(Avx2(()))
    }

    /// Eight integers at a time. Made only in [`run_avx512`] and tests that asked the processor.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Avx512(pub(super) ());

    impl Count for Avx512 {
        #[inline(always)]
        fn below<const N: usize>(self, node: &[[u8; 8]; N], wanted: u64) -> usize {
            // SAFETY: the token says that the processor has AVX-512F.
            let wanted = unsafe { _mm512_set1_epi64(wanted.cast_signed()) };
            let mut count = 0;
            for eight in node.as_chunks::<8>().0 {
                // SAFETY: `eight` is 64 readable bytes, the load needs no alignment, and the token
                // says that the processor has AVX-512F.
                let integers = unsafe { _mm512_loadu_epi64(eight.as_ptr().cast()) };
                // SAFETY: the token says that the processor has AVX-512F.
                let below = unsafe { _mm512_cmplt_epu64_mask(integers, wanted) };
                count += below.count_ones() as usize;
            }
            count
        }
    }

    /// Four integers at a time. Made only in [`run_avx2`] and tests that asked the processor.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Avx2(pub(super) ());

    /// There is no unsigned comparison: flipping the top bits makes the signed one do.
    const TOP_BIT: i64 = i64::MIN;

    impl Count for Avx2 {
        #[inline(always)]
        fn below<const N: usize>(self, node: &[[u8; 8]; N], wanted: u64) -> usize {
            // SAFETY: the token says that the processor has AVX2.
            let top = unsafe { _mm256_set1_epi64x(TOP_BIT) };
            // SAFETY: the token says that the processor has AVX2.
            let wanted = unsafe { _mm256_set1_epi64x(wanted.cast_signed() ^ TOP_BIT) };
            let mut count = 0;
            for four in node.as_chunks::<4>().0 {
                let from: *const __m256i = four.as_ptr().cast();
                // SAFETY: `four` is 32 readable bytes, the load needs no alignment, and the token
                // says that the processor has AVX2.
                let integers = unsafe { _mm256_loadu_si256(from) };
                // SAFETY: the token says that the processor has AVX2.
                let integers = unsafe { _mm256_xor_si256(integers, top) };
                // SAFETY: the token says that the processor has AVX2.
                let below = unsafe { _mm256_cmpgt_epi64(wanted, integers) };
                // SAFETY: the token says that the processor has AVX2.
                let below = unsafe { _mm256_castsi256_pd(below) };
                // SAFETY: the token says that the processor has AVX2.
                let bits = unsafe { _mm256_movemask_pd(below) };
                count += bits.count_ones() as usize;
            }
            count
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// Counts in one node.
    struct One<'a>(&'a Node, u64);

    impl Search for One<'_> {
        type Answer = usize;

        #[inline(always)]
        fn run(self, count: impl Count) -> usize {
            count.below(self.0, self.1)
        }
    }

    #[test]
    fn every_way_counts_the_same() {
        let mut rng = StdRng::seed_from_u64(3);
        let ends = [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, (1 << 63) + 1];
        for _ in 0..2000 {
            let mut integers = [0_u64; LANES];
            for integer in &mut integers {
                *integer = if rng.random() { rng.random() } else { ends[rng.random_range(0..7)] };
            }
            integers.sort_unstable();
            let node = integers.map(u64::to_le_bytes);
            let random = rng.random();
            for wanted in integers.into_iter().chain(ends).chain([random]) {
                let expected = integers.iter().filter(|integer| **integer < wanted).count();
                assert_eq!(Portable.below(&node, wanted), expected);
                assert_eq!(run(One(&node, wanted)), expected);
                assert_eq!(with_avx2(One(&node, wanted)).unwrap_or(expected), expected);
            }
        }
    }

    /// What [`run`] passes over where there is AVX-512.
    fn with_avx2(one: One<'_>) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if x86::has_avx2() {
            // SAFETY: the processor has just said that it has these instructions.
            return Some(unsafe { x86::run_avx2(one) });
        }
        let One(..) = one;
        None
    }
}
