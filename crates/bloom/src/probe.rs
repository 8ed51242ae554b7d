//! From hash to bit positions: the only place that knows which bits a key sets.
//!
//! Double probe: the upper half of the hash chooses a line of 512 bits; the lower half, `x`,
//! chooses in it `probes` different 64-bit words, `(base + i * step) mod 8` with an odd step, and
//! two bits in each. Choosing different words keeps them evenly filled, which is worth as much as
//! the second bit of the same word costs: at 10 bits a key the rate equals that of a filter that
//! spreads six single bits over the line, for three loads instead of six.
//!
//!   base = x[29..32], step = x[27..29] * 2 + 1, bits of probe i = top two groups of six of x * M[i]
//!
//! Sources: blocked Bloom filters (Putze, Sanders, Singler, 2007); bits by one multiplication a
//! probe (RocksDB's FastLocalBloom, Dillinger, 2019); the two-bit probe is that of the "SpeedDB"
//! filter in the project report behind this crate (2025).

/// Bytes of a line.
pub(crate) const LINE_BYTES: usize = 64;

/// A line as it lies in the bytes of a filter.
pub(crate) type Line = [u8; LINE_BYTES];

/// Double probe: a line has eight words, and no word is probed twice.
pub(crate) const DOUBLE_PROBES_MAX: usize = 8;

/// Odd multipliers with well spread bits, one a probe (primes of xxHash and MurmurHash's family).
const MULTIPLIERS: [u32; DOUBLE_PROBES_MAX] = [
    0x9e37_79b1,
    0x85eb_ca6b,
    0xc2b2_ae35,
    0x27d4_eb2f,
    0x1656_67b1,
    0xd3a2_646d,
    0xfd70_46c5,
    0xb55a_4f09,
];

/// Returns which of `lines` lines belongs to `hash`: a multiplication instead of a division
/// (Lemire, 2016).
#[inline(always)]
pub(crate) fn line_of(hash: u64, lines: u32) -> usize {
    (((hash >> 32) * u64::from(lines)) >> 32) as usize
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
#[inline(always)]
fn low(hash: u64) -> u32 {
    hash as u32
}

/// Returns the words of a line, as numbers, and their masks that `hash` probes.
#[inline(always)]
pub(crate) fn double(hash: u64, probes: u8) -> impl Iterator<Item = (usize, u64)> {
    let x = low(hash);
    let base = x >> 29;
    let step = ((x >> 26) & 6) | 1;
    MULTIPLIERS.iter().zip(0u32..u32::from(probes)).map(move |(multiplier, i)| {
        let bits = x.wrapping_mul(*multiplier);
        let word = (base + i * step) & 7;
        (word as usize, 1 << (bits >> 26) | 1 << ((bits >> 20) & 63))
    })
}

/// Sets the bits of `hash` in its line.
#[inline(always)]
pub(crate) fn double_insert(line: &mut Line, hash: u64, probes: u8) {
    let (words, _) = line.as_chunks_mut::<8>();
    for (word, mask) in double(hash, probes) {
        if let Some(bytes) = words.get_mut(word) {
            *bytes = (u64::from_le_bytes(*bytes) | mask).to_le_bytes();
        }
    }
}

/// Returns whether all bits of `hash` are set in its line.
#[inline(always)]
pub(crate) fn double_contains(line: &Line, hash: u64, probes: u8) -> bool {
    let (words, _) = line.as_chunks::<8>();
    double(hash, probes).all(|(word, mask)| match words.get(word) {
        Some(bytes) => u64::from_le_bytes(*bytes) & mask == mask,
        None => true,
    })
}
