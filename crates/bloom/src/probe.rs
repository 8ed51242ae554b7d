//! From hash to bit positions: the only place that knows which bits a key sets.
//!
//! The upper half of a hash chooses the line, the lower half `x` the bits in it.
//!
//! Double probe: `probes` *different* 64-bit words of the line, two bits in each.
//!   word of probe i = (x[29..32] + i * (x[27..29] * 2 + 1)) mod 8
//!   its bits        = the top two groups of six bits of x * M[i] mod 2^32
//! Different words stay evenly filled, which is worth as much as the second bit of the same word
//! costs: at 10 bits a key the rate is that of six single bits over the line, for three loads.
//!
//! Blocked: `probes` bits anywhere in the line.
//!   bit of probe i = top nine bits of x * G^i mod 2^32
//!
//! Split block: one bit in each of the eight 32-bit words of a block, which is half a line.
//!   bit in word i = top five bits of x * S[i] mod 2^32
//!
//! Standard: `probes` bits anywhere in the filter, one cache line each.
//!   h[0] = hash, h[i + 1] = rotate(h[i] + hash * H, 5), bit of probe i = h[i] * bits / 2^64
//!
//! Sources: Bloom (1970); blocked filters (Putze, Sanders, Singler, 2007); split blocks and their
//! multipliers S (Apache Impala, then Parquet, 2018; Lang and others, 2019); bits from one
//! multiplication a probe (FastLocalBloom of RocksDB, Dillinger, 2019); many probes from two hashes
//! (Kirsch, Mitzenmacher, 2006); two bits of one word a probe: the "SpeedDB" filter of the project
//! report that this crate started from (2025).

/// Bytes of a block of a split-block filter.
pub(crate) const BLOCK_BYTES: usize = 32;

/// Split block: one bit in each word of a block, never fewer.
pub(crate) const SPLIT_PROBES: u8 = 8;

/// The multipliers of split blocks, as Parquet takes them.
pub(crate) const SALTS: [u32; SPLIT_PROBES as usize] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// Bytes of a line.
pub(crate) const LINE_BYTES: usize = 64;

/// Double probe: a line has eight words, and no word is probed twice.
pub(crate) const DOUBLE_PROBES_MAX: u8 = 8;

/// Blocked: as many as the lanes of 32 bits in a line, so that one vector holds all probes.
pub(crate) const BLOCKED_PROBES_MAX: u8 = 16;

/// Standard: what the best rate takes at 30 bits a key.
pub(crate) const STANDARD_PROBES_MAX: u8 = 20;

/// Odd multipliers with well spread bits, one a probe (primes of xxHash and MurmurHash's family).
pub(crate) const MULTIPLIERS: [u32; DOUBLE_PROBES_MAX as usize] = [
    0x9e37_79b1,
    0x85eb_ca6b,
    0xc2b2_ae35,
    0x27d4_eb2f,
    0x1656_67b1,
    0xd3a2_646d,
    0xfd70_46c5,
    0xb55a_4f09,
];

/// The powers of the golden ratio's 32 bits, as FastLocalBloom takes them.
pub(crate) const POWERS: [u32; BLOCKED_PROBES_MAX as usize] = {
    let mut powers = [1u32; BLOCKED_PROBES_MAX as usize];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1].wrapping_mul(0x9e37_79b9);
        i += 1;
    }
    powers
};

/// For each word of a line the multiplier of the probe that falls on it, 0 where none does, by the
/// five bits of a hash that choose the words: the mask of a whole line without a loop over probes.
/// Multipliers are odd, so their lowest bit says which words are probed.
#[cfg(target_arch = "x86_64")]
#[repr(align(64))]
pub(crate) struct Rows([[u64; 8]; 32]);

#[cfg(target_arch = "x86_64")]
impl Rows {
    /// The rows of filters of `probes` probes.
    pub(crate) fn of(probes: u8) -> &'static Self {
        static ALL: [Rows; DOUBLE_PROBES_MAX as usize + 1] = {
            let mut all = [const { Rows([[0; 8]; 32]) }; DOUBLE_PROBES_MAX as usize + 1];
            let mut probes = 0;
            while probes < all.len() {
                all[probes] = Rows::new(probes);
                probes += 1;
            }
            all
        };
        &ALL[usize::from(probes.min(DOUBLE_PROBES_MAX))]
    }

    const fn new(probes: usize) -> Self {
        let mut rows = [[0; 8]; 32];
        let mut row = 0;
        while row < rows.len() {
            let mut i = 0;
            while i < probes {
                let word = (row / 4 + i * (row % 4 * 2 + 1)) % 8;
                rows[row][word] = MULTIPLIERS[i] as u64;
                i += 1;
            }
            row += 1;
        }
        Self(rows)
    }

    /// The row of `hash`.
    #[inline(always)]
    pub(crate) fn row(&self, hash: u64) -> &[u64; 8] {
        &self.0[(low(hash) >> 27) as usize]
    }
}

/// Returns the words of a line, as numbers, that the first four probes of `hash` test.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn double_places(hash: u64) -> &'static [u64; 4] {
    static PLACES: [[u64; 4]; 32] = {
        let mut places = [[0; 4]; 32];
        let mut row = 0;
        while row < 32 {
            let mut i = 0;
            while i < 4 {
                places[row][i] = ((row / 4 + i * (row % 4 * 2 + 1)) % 8) as u64;
                i += 1;
            }
            row += 1;
        }
        places
    };
    &PLACES[(low(hash) >> 27) as usize]
}

/// Returns which of `lines` lines, or blocks, belongs to `hash`: a multiplication instead of a
/// division (Lemire, 2016).
#[inline(always)]
pub(crate) fn line_of(hash: u64, lines: u32) -> usize {
    (((hash >> 32) * u64::from(lines)) >> 32) as usize
}

/// Returns the words of a line, as numbers, and their masks that `hash` probes.
#[inline(always)]
pub(crate) fn double(hash: u64, probes: u8) -> impl Iterator<Item = (usize, u64)> {
    (0..u32::from(probes)).map(move |i| double_probe(hash, i))
}

/// Returns the word of a line, as a number, and its mask that probe `i` of `hash` tests.
#[inline(always)]
pub(crate) fn double_probe(hash: u64, i: u32) -> (usize, u64) {
    let x = low(hash);
    let base = x >> 29;
    let step = ((x >> 26) & 6) | 1;
    let bits = x.wrapping_mul(MULTIPLIERS[(i & 7) as usize]);
    let word = (base + i * step) & 7;
    (word as usize, 1 << (bits >> 26) | 1 << ((bits >> 20) & 63))
}

/// Returns the words of a line, as numbers, and their masks of one bit that `hash` probes.
#[inline(always)]
pub(crate) fn blocked(hash: u64, probes: u8) -> impl Iterator<Item = (usize, u64)> {
    let x = low(hash);
    POWERS.iter().take(usize::from(probes)).map(move |power| {
        let bit = x.wrapping_mul(*power) >> 23;
        ((bit >> 6) as usize, 1 << (bit & 63))
    })
}

/// Returns the four words of a split block, as numbers, and their masks of two bits, one in each
/// half.
#[inline(always)]
pub(crate) fn split(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let x = low(hash);
    let bit = move |salt: u32| u64::from(1u32 << (x.wrapping_mul(salt) >> 27));
    let (pairs, _) = SALTS.as_chunks::<2>();
    pairs.iter().enumerate().map(move |(word, [one, two])| (word, bit(*one) | bit(*two) << 32))
}

/// Returns the words of a filter of `words` words, as numbers, and their masks of one bit that
/// `hash` probes.
#[inline(always)]
pub(crate) fn standard(hash: u64, probes: u8, words: u32) -> impl Iterator<Item = (usize, u64)> {
    let mut walk = StandardWalk::new(hash);
    (0..probes).map(move |_| {
        let probe = walk.probe(words);
        walk.step();
        probe
    })
}

/// Where a key is on its way through a standard filter.
#[derive(Clone, Copy, Default)]
pub(crate) struct StandardWalk {
    h: u64,
    step: u64,
}

impl StandardWalk {
    #[inline(always)]
    pub(crate) fn new(hash: u64) -> Self {
        Self { h: hash, step: hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    /// The word of a filter of `words` words, as a number, and its mask of one bit.
    #[inline(always)]
    pub(crate) fn probe(&self, words: u32) -> (usize, u64) {
        let bit = self.bit(words);
        ((bit >> 6) as usize, 1 << (bit & 63))
    }

    /// The bit of a filter of `words` words, as a number.
    #[inline(always)]
    pub(crate) fn bit(&self, words: u32) -> u64 {
        ((u128::from(self.h) * (u128::from(words) * 64)) >> 64) as u64
    }

    #[inline(always)]
    pub(crate) fn step(&mut self) {
        self.h = self.h.wrapping_add(self.step).rotate_left(5);
    }
}

/// Sets the bits of `probes` in `words`; those beyond the slice are left out.
#[inline(always)]
pub(crate) fn set(words: &mut [[u8; 8]], probes: impl Iterator<Item = (usize, u64)>) {
    for (word, mask) in probes {
        if let Some(bytes) = words.get_mut(word) {
            *bytes = (u64::from_le_bytes(*bytes) | mask).to_le_bytes();
        }
    }
}

/// Returns whether all bits of `probes` are set in `words`; those beyond the slice count as set.
/// Looks at all of them: a branch that is mispredicted costs more than the loads it saves.
#[inline(always)]
pub(crate) fn all_set(words: &[[u8; 8]], probes: impl Iterator<Item = (usize, u64)>) -> bool {
    let mut missing = 0;
    for (word, mask) in probes {
        if let Some(bytes) = words.get(word) {
            missing |= mask & !u64::from_le_bytes(*bytes);
        }
    }
    missing == 0
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
#[inline(always)]
fn low(hash: u64) -> u32 {
    hash as u32
}
