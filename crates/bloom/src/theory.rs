//! The false-positive rates that follow from the layouts, to be compared with what is measured.
//!
//! A line holds a Poisson number of keys, and lines with more keys than the mean cost more than
//! lines with fewer save: that is the price of touching one line only. Inside a line the bits are
//! not independent either: one that is set leaves fewer for the others. Both are exact in the sums
//! here, by inclusion and exclusion over the bits that a lookup tests: the chance that none of a
//! set of bits is set is a power with the number of keys in the exponent, whose mean over a Poisson
//! number is an exponential.

use crate::probe::{BLOCK_BYTES, LINE_BYTES, SPLIT_PROBES};
use crate::{Kind, ribbon};

const LINE_BITS: f64 = (8 * LINE_BYTES) as f64;
const BLOCK_BITS: f64 = (8 * BLOCK_BYTES) as f64;

/// Returns the rate that the layout of `kind` has in theory with `bits_per_key` bits and `probes`
/// probes a key (which mean nothing to [`Kind::Ribbon`] and [`Kind::SplitBlock`]), in a large
/// filter; 1 for no bits or no probes.
///
/// The hashes are taken as perfectly random.
#[must_use]
pub fn rate(kind: Kind, bits_per_key: f64, probes: u32) -> f64 {
    if bits_per_key.is_nan() || bits_per_key <= 0.0 {
        return 1.0;
    }
    match kind {
        Kind::Ribbon => ribbon::rate(bits_per_key),
        Kind::SplitBlock => split(BLOCK_BITS / bits_per_key),
        _ if probes == 0 => 1.0,
        Kind::Standard => standard(bits_per_key, probes),
        Kind::Blocked => blocked(LINE_BITS / bits_per_key, probes),
        Kind::DoubleProbe => double(LINE_BITS / bits_per_key, probes.min(8)),
    }
}

/// `(1 - (1 - 1/m)^(kn))^k` for many bits.
fn standard(bits_per_key: f64, probes: u32) -> f64 {
    let probes = f64::from(probes);
    (1.0 - (-probes / bits_per_key).exp()).powf(probes)
}

/// Lines with `keys` keys in the mean, `probes` throws into a line of 512 bits a key.
fn blocked(keys: f64, probes: u32) -> f64 {
    // distinct[d]: the chance that a lookup tests d different bits.
    let mut distinct = vec![1.0];
    for _ in 0..probes {
        let mut next = vec![0.0; distinct.len() + 1];
        for (d, chance) in distinct.iter().enumerate() {
            let repeat = d as f64 / LINE_BITS;
            next[d] += chance * repeat;
            next[d + 1] += chance * (1.0 - repeat);
        }
        distinct = next;
    }
    let all_set = |d: u32| -> f64 {
        (0..=d)
            .map(|j| {
                let missed = (1.0 - f64::from(j) / LINE_BITS).powi(probes.cast_signed());
                sign(j) * choose(d, j) * (-keys * (1.0 - missed)).exp()
            })
            .sum()
    };
    (0..=probes).zip(&distinct).map(|(d, chance)| chance * all_set(d)).sum::<f64>().clamp(0.0, 1.0)
}

/// Lines with `keys` keys in the mean, each throwing two bits into each of `probes` of eight words.
fn double(keys: f64, probes: u32) -> f64 {
    // The family of word sets looks the same from each of its members, so the lookup may be taken
    // to test words 0, 1, ..; of each it excludes no bit, one bit or both. The two bits of a probe
    // are the same with chance 1/64.
    let weights: [f64; 3] = [1.0, -127.0 / 64.0, 63.0 / 64.0];
    let mut sum = 0.0;
    for mut choice in 0..3u32.pow(probes) {
        let mut excluded = [0usize; 8];
        let mut weight = 1.0;
        for word in excluded.iter_mut().take(probes as usize) {
            *word = (choice % 3) as usize;
            weight *= weights[*word];
            choice /= 3;
        }
        sum += weight * (-keys * (1.0 - missed(probes, &excluded))).exp();
    }
    sum.clamp(0.0, 1.0)
}

/// Blocks with `keys` keys in the mean, each throwing one bit into each of eight words of 32 bits.
fn split(keys: f64) -> f64 {
    let words = u32::from(SPLIT_PROBES);
    // Of j words the bit that is asked for is missed: by a key with chance (31/32)^j.
    let missed = |j: u32| (31.0f64 / 32.0).powi(j.cast_signed());
    let terms = (0..=words).map(|j| sign(j) * choose(words, j) * (-keys * (1.0 - missed(j))).exp());
    terms.sum::<f64>().clamp(0.0, 1.0)
}

/// The chance that a key, with any of the 32 sets of words, sets none of the excluded bits.
fn missed(probes: u32, excluded: &[usize; 8]) -> f64 {
    let factors: [f64; 3] = [1.0, (63.0f64 / 64.0).powi(2), (62.0f64 / 64.0).powi(2)];
    let mut sum = 0.0;
    for base in 0..8 {
        for step in [1, 3, 5, 7] {
            let words = (0..probes).map(|i| (base + i * step) & 7);
            sum += words.map(|word| factors[excluded[word as usize]]).product::<f64>();
        }
    }
    sum / 32.0
}

fn sign(n: u32) -> f64 {
    if n.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// The number of ways to choose `k` of `n`; 0 if there are not so many.
fn choose(n: u32, k: u32) -> f64 {
    if k > n {
        return 0.0;
    }
    (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textbook_values() {
        assert!((rate(Kind::Standard, 10.0, 7) - 0.00819).abs() < 1e-5);
        // A single line's load is fixed only in the limit of many bits a key: both blocked layouts
        // approach the chance to hit the one bit, or pair, of the only key.
        assert!((rate(Kind::Blocked, 512e6, 1) / (1e-6 / 512.0) - 1.0).abs() < 1e-3);
        for kind in [Kind::Standard, Kind::Blocked, Kind::DoubleProbe] {
            assert!((rate(kind, 0.0, 3) - 1.0).abs() < f64::EPSILON);
            assert!((rate(kind, f64::NAN, 3) - 1.0).abs() < f64::EPSILON);
            assert!((rate(kind, 10.0, 0) - 1.0).abs() < f64::EPSILON);
            assert!(rate(kind, 0.01, 3) > 0.99, "a crowded filter says maybe");
        }
        for none in [0.0, f64::NAN] {
            assert!((rate(Kind::SplitBlock, none, 8) - 1.0).abs() < f64::EPSILON);
        }
        // As Parquet's specification has it.
        for (bits, specified) in [(6.0, 0.1), (10.5, 0.01), (16.9, 0.001), (26.4, 0.0001)] {
            let ratio = rate(Kind::SplitBlock, bits, 8) / specified;
            assert!((ratio - 1.0).abs() < 0.02, "{bits} bits: {ratio}");
        }
        assert!((rate(Kind::Ribbon, 7.048, 0) / 0.5f64.powi(7) - 1.0).abs() < 0.01);
    }
}
