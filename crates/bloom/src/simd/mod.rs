//! Vector instructions, chosen at run time.
//!
//! 1. Every function here answers bit for bit as the portable code does; the tests compare them.
//! 2. A function compiled for a set of instructions is called only with a proof of [`Isa`], and
//!    `Isa` values other than `Portable` come only from [`Isa::detect`], which asks the processor.
//! 3. All reads stay in slices: each intrinsic that takes a pointer names the check above it.
//! 4. A function for one layout is called only for filters of that layout that have a body, which
//!    [`Ask::choose`] and the batches see to: so `total_bytes` covers `units` units of the layout's
//!    size, of which there is at least one.

#![expect(unsafe_code, reason = "vector loads and gathers take pointers")]

#[cfg(target_arch = "x86_64")]
mod inline;
#[cfg(target_arch = "x86_64")]
mod single;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
use crate::Kind;
use crate::format::{HEADER_BYTES, Shape};
use crate::{batch, ribbon};

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
    /// Header and body; as much as a lookup must find before it trusts the number of units.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for vectors only"))]
    total_bytes: usize,
    /// A bit for each probe.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for vectors only"))]
    lanes: u32,
    isa: Isa,
    #[cfg(target_arch = "x86_64")]
    inline: Inline,
    ask: Ask,
}

/// Which of the lookups that are compiled into their callers is to be used.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inline {
    /// None: the others are called.
    No,
    SplitAvx2,
    BlockedAvx512,
}

/// How a filter is asked for one key: the function for its layout and this processor.
#[derive(Clone, Copy, Debug)]
struct Ask(unsafe fn(&Core, &[u8], u64) -> bool);

impl Core {
    pub(crate) fn new(shape: Shape, ribbon: ribbon::Layout, isa: Isa) -> Self {
        let body_bytes = usize::try_from(shape.body_bytes()).unwrap_or(usize::MAX);
        let total_bytes = HEADER_BYTES.saturating_add(body_bytes);
        let lanes = (1 << (shape.probes % 32)) - 1;
        Self {
            shape,
            ribbon,
            total_bytes,
            lanes,
            isa,
            #[cfg(target_arch = "x86_64")]
            inline: Inline::choose(&shape, isa),
            ask: Ask::choose(&shape, &ribbon, isa),
        }
    }

    /// Returns whether a filter with these `bytes`, header included, may contain `hash`.
    #[inline(always)]
    pub(crate) fn contains(&self, bytes: &[u8], hash: u64) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self.inline {
            Inline::SplitAvx2 => return inline::split_avx2(self, bytes, hash),
            Inline::BlockedAvx512 => return inline::blocked_avx512vl(self, bytes, hash),
            Inline::No => {}
        }
        // SAFETY: invariants 2 and 4: `Ask::choose` takes only functions for this layout that `isa`
        // can run.
        unsafe { self.ask.0(self, bytes, hash) }
    }

    /// Answers for all `hashes`; the slices have the same length.
    pub(crate) fn contains_many(&self, bytes: &[u8], hashes: &[u64], answers: &mut [bool]) {
        if self.shape.probes == 0 {
            answers.fill(batch::bare(self, bytes, 0));
            return;
        }
        match self.isa.0 {
            Level::Portable => batch::contains_many(self, bytes, hashes, answers),
            // SAFETY: invariant 2.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::contains_many_avx2(self, bytes, hashes, answers) },
            // SAFETY: invariant 2.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::contains_many_avx512(self, bytes, hashes, answers) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Inline {
    fn choose(shape: &Shape, isa: Isa) -> Self {
        match (isa.0, shape.kind, shape.probes) {
            (_, _, 0) | (Level::Portable, _, _) => Self::No,
            (_, Kind::SplitBlock, _) => Self::SplitAvx2,
            (Level::Avx512, Kind::Blocked, 1..=8) => Self::BlockedAvx512,
            _ => Self::No,
        }
    }
}

impl Ask {
    fn choose(shape: &Shape, ribbon: &ribbon::Layout, isa: Isa) -> Self {
        Self(match isa.0 {
            _ if shape.probes == 0 => batch::bare,
            Level::Portable => batch::one,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => single::choose_avx2(shape),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => single::choose_avx512(shape, ribbon),
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

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    #[cfg(not(target_arch = "x86_64"))]
    use crate::Kind;
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
            assert!(bytes.len() as u64 >= batch::BEYOND_L2_BYTES);
            let shape = Shape::read(&bytes).unwrap();
            for isa in Isa::all() {
                let core = Core::new(shape, ribbon::Layout::default(), isa);
                for &hash in &asked {
                    let expected = batch::one(&core, &bytes, hash);
                    assert_eq!(core.contains(&bytes, hash), expected, "{isa:?} {probes} {hash}");
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
            asked.iter().map(|&hash| batch::one(&portable, &bytes, hash)).collect();
        for isa in Isa::all() {
            let core = Core::new(shape, layout, isa);
            let singles: Vec<bool> =
                asked.iter().map(|&hash| core.contains(&bytes, hash)).collect();
            assert_eq!(singles, expected, "{isa:?} {kind:?} {bits}");
            let mut answers = vec![false; asked.len()];
            core.contains_many(&bytes, asked, &mut answers);
            assert_eq!(answers, expected, "{isa:?} {kind:?} {bits}, batch");
            if kind != Kind::Ribbon {
                let mut same_body = vec![0; body.len()];
                isa.insert_many(&plan(kind, bits, members.len() as u64), &mut same_body, members);
                assert!(same_body == body, "{isa:?} {kind:?} {bits}, insert");
            }
        }
    }
}
