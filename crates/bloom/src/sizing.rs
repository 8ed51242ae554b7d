//! Bits, probes and rates: what each layout was *measured* to do, not what an ideal filter would.
//!
//! The tables come from `examples/curve.rs`: 300 000 random keys, up to 200 million absent ones
//! until 40 000 false positives (half-width of the 95 % interval: 1 % of the rate, 4 % at the
//! lowest). Random hashes behave the same on every machine. [`theory`](crate::theory) agrees to 2
//! %.
//!
//! ```
//! use bloom::{Kind, sizing};
//!
//! let bits = sizing::bits(Kind::DoubleProbe, 0.01)?;
//! assert!((9.9..10.1).contains(&bits));
//! assert_eq!(sizing::probes(Kind::DoubleProbe, bits), 3);
//! # Ok::<(), bloom::sizing::RateError>(())
//! ```

use std::fmt;

use crate::{Kind, ribbon};

/// Bits a key between two entries of a table; the first entry is for this many.
const STEP_BITS: f64 = 0.5;

/// Entries of a table.
const STEPS: usize = 48;

/// The tables end at this many bits a key. Bloom filters gain little beyond; a further bit is taken
/// to gain nothing.
pub const BITS_MAX: f64 = STEP_BITS * STEPS as f64;

/// A false-positive rate that no filter of the kind can be sized for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RateError {
    /// Not between 0 and 1, both excluded, or not a number.
    OutOfRange(f64),
    /// Lower than the kind reaches with [`BITS_MAX`] bits a key, which is the rate given here.
    Unreachable(f64),
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange(rate) => {
                write!(f, "a false-positive rate of {rate} is not between 0 and 1")
            }
            Self::Unreachable(lowest) => {
                write!(f, "this kind of filter goes down to a false-positive rate of {lowest:e}")
            }
        }
    }
}

impl std::error::Error for RateError {}

/// Returns the false-positive rate of a filter of `kind` with `bits_per_key` bits: 1 without bits,
/// never lower than at [`BITS_MAX`].
///
/// Filters of fewer than some hundred keys are a little better, because sizes are rounded up.
#[must_use]
pub fn rate(kind: Kind, bits_per_key: f64) -> f64 {
    if bits_per_key.is_nan() || bits_per_key <= 0.0 {
        return 1.0;
    }
    let bits_per_key = bits_per_key.min(BITS_MAX);
    let Some(table) = table(kind) else {
        return ribbon::rate(bits_per_key);
    };
    // Between entries the logarithm of the rate is taken to be linear; before the first, from 1.
    let steps = bits_per_key / STEP_BITS;
    let rank = whole(steps);
    let before = rank.checked_sub(1).and_then(|rank| table.get(rank)).map_or(1.0, |entry| entry.1);
    let after = table.get(rank).map_or(before, |entry| entry.1);
    let share = steps - rank as f64;
    (before.ln() * (1.0 - share) + after.ln() * share).exp()
}

/// Returns the bits a key with which a filter of `kind` has this false-positive `rate`.
///
/// # Errors
/// [`RateError`] if `rate` is not between 0 and 1, or lower than the kind reaches.
pub fn bits(kind: Kind, rate: f64) -> Result<f64, RateError> {
    if rate.is_nan() || rate <= 0.0 || rate >= 1.0 {
        return Err(RateError::OutOfRange(rate));
    }
    let lowest = self::rate(kind, BITS_MAX);
    if rate < lowest {
        return Err(RateError::Unreachable(lowest));
    }
    // The rate falls with the bits: halve the interval until it is one number.
    let (mut low, mut high) = (0.0, BITS_MAX);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if self::rate(kind, middle) > rate {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high)
}

/// Returns the number of probes with the lowest rate at `bits_per_key` bits: 0 without bits. For a
/// ribbon, the number of its columns, rounded down.
#[must_use]
pub fn probes(kind: Kind, bits_per_key: f64) -> u8 {
    if bits_per_key.is_nan() || bits_per_key <= 0.0 {
        return 0;
    }
    let Some(table) = table(kind) else {
        let columns = whole(ribbon::columns_for(bits_per_key));
        return u8::try_from(columns).unwrap_or(u8::MAX).min(ribbon::COLUMNS_MAX);
    };
    let rank = whole(bits_per_key / STEP_BITS).clamp(1, STEPS) - 1;
    table.get(rank).map_or(1, |entry| entry.0)
}

/// The number of whole units in a number that is not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(number: f64) -> usize {
    number as usize
}

/// Probes and rate at each step of bits; a ribbon follows a formula instead.
fn table(kind: Kind) -> Option<&'static [(u8, f64); STEPS]> {
    match kind {
        Kind::DoubleProbe => Some(&DOUBLE_PROBE),
        Kind::Standard => Some(&STANDARD),
        Kind::Blocked => Some(&BLOCKED),
        Kind::SplitBlock => Some(&SPLIT_BLOCK),
        Kind::Ribbon => None,
    }
}

/// Double probe.
const DOUBLE_PROBE: [(u8, f64); STEPS] = [
    (1, 9.6158e-1),
    (1, 7.4451e-1),
    (1, 5.4333e-1),
    (1, 4.0104e-1),
    (1, 3.0738e-1),
    (1, 2.3936e-1),
    (1, 1.9306e-1),
    (1, 1.5717e-1),
    (2, 1.2281e-1),
    (2, 9.5490e-2),
    (2, 7.4291e-2),
    (2, 5.9344e-2),
    (2, 4.7609e-2),
    (2, 3.8457e-2),
    (3, 3.0784e-2),
    (3, 2.4132e-2),
    (3, 1.9042e-2),
    (3, 1.5108e-2),
    (3, 1.2261e-2),
    (3, 9.9550e-3),
    (3, 8.1681e-3),
    (4, 6.5823e-3),
    (4, 5.3111e-3),
    (4, 4.2926e-3),
    (4, 3.4656e-3),
    (4, 2.8493e-3),
    (4, 2.3322e-3),
    (4, 1.8938e-3),
    (5, 1.5446e-3),
    (5, 1.2664e-3),
    (5, 1.0312e-3),
    (5, 8.5570e-4),
    (5, 7.0723e-4),
    (5, 5.8307e-4),
    (5, 4.8095e-4),
    (5, 4.0414e-4),
    (5, 3.3836e-4),
    (5, 2.8292e-4),
    (6, 2.3973e-4),
    (6, 1.9880e-4),
    (6, 1.7163e-4),
    (6, 1.4111e-4),
    (6, 1.1981e-4),
    (6, 1.0074e-4),
    (6, 8.7203e-5),
    (6, 7.1994e-5),
    (6, 6.1239e-5),
    (6, 5.2539e-5),
];

/// Blocked.
const BLOCKED: [(u8, f64); STEPS] = [
    (1, 8.6241e-1),
    (1, 6.3171e-1),
    (1, 4.8732e-1),
    (1, 3.9241e-1),
    (2, 3.0216e-1),
    (2, 2.3730e-1),
    (2, 1.9012e-1),
    (3, 1.4804e-1),
    (3, 1.1572e-1),
    (3, 9.2573e-2),
    (4, 7.2873e-2),
    (4, 5.7487e-2),
    (4, 4.5967e-2),
    (5, 3.6278e-2),
    (5, 2.9036e-2),
    (5, 2.3181e-2),
    (6, 1.8706e-2),
    (6, 1.4934e-2),
    (6, 1.1958e-2),
    (6, 9.6490e-3),
    (7, 7.7994e-3),
    (7, 6.2173e-3),
    (7, 5.0541e-3),
    (8, 4.1212e-3),
    (8, 3.3444e-3),
    (8, 2.7551e-3),
    (8, 2.2537e-3),
    (9, 1.8372e-3),
    (9, 1.4873e-3),
    (9, 1.2286e-3),
    (9, 1.0176e-3),
    (9, 8.4665e-4),
    (10, 7.0277e-4),
    (10, 5.7344e-4),
    (10, 4.8469e-4),
    (10, 4.0487e-4),
    (10, 3.3771e-4),
    (11, 2.7842e-4),
    (11, 2.3918e-4),
    (11, 1.9736e-4),
    (11, 1.6917e-4),
    (11, 1.4034e-4),
    (12, 1.1911e-4),
    (12, 1.0148e-4),
    (12, 8.6033e-5),
    (12, 7.4214e-5),
    (12, 6.0419e-5),
    (13, 5.2439e-5),
];

/// Standard.
const STANDARD: [(u8, f64); STEPS] = [
    (1, 8.6312e-1),
    (1, 6.3141e-1),
    (1, 4.8641e-1),
    (1, 3.9473e-1),
    (2, 3.0182e-1),
    (2, 2.3546e-1),
    (3, 1.8937e-1),
    (3, 1.4609e-1),
    (3, 1.1468e-1),
    (4, 9.1772e-2),
    (4, 7.1556e-2),
    (4, 5.5834e-2),
    (5, 4.4365e-2),
    (5, 3.4612e-2),
    (5, 2.7291e-2),
    (6, 2.1498e-2),
    (6, 1.6935e-2),
    (6, 1.3271e-2),
    (7, 1.0435e-2),
    (7, 8.1667e-3),
    (7, 6.4257e-3),
    (8, 5.0425e-3),
    (8, 3.9787e-3),
    (8, 3.1307e-3),
    (9, 2.4732e-3),
    (9, 1.9256e-3),
    (9, 1.5419e-3),
    (10, 1.2041e-3),
    (10, 9.3175e-4),
    (11, 7.3770e-4),
    (11, 5.8334e-4),
    (11, 4.5552e-4),
    (11, 3.6123e-4),
    (12, 2.8344e-4),
    (12, 2.2258e-4),
    (13, 1.7540e-4),
    (13, 1.3854e-4),
    (13, 1.0779e-4),
    (14, 8.5098e-5),
    (14, 6.7304e-5),
    (14, 5.2274e-5),
    (15, 4.1344e-5),
    (15, 3.2649e-5),
    (16, 2.5580e-5),
    (16, 2.0250e-5),
    (16, 1.5555e-5),
    (16, 1.2125e-5),
    (16, 9.8548e-6),
];

/// Split block.
const SPLIT_BLOCK: [(u8, f64); STEPS] = [
    (8, 1.0),
    (8, 9.9719e-1),
    (8, 9.6351e-1),
    (8, 8.6353e-1),
    (8, 7.2330e-1),
    (8, 5.7172e-1),
    (8, 4.3225e-1),
    (8, 3.2556e-1),
    (8, 2.4566e-1),
    (8, 1.7895e-1),
    (8, 1.3370e-1),
    (8, 9.8860e-2),
    (8, 7.3945e-2),
    (8, 5.6291e-2),
    (8, 4.3345e-2),
    (8, 3.3481e-2),
    (8, 2.5874e-2),
    (8, 2.0205e-2),
    (8, 1.5888e-2),
    (8, 1.2683e-2),
    (8, 1.0115e-2),
    (8, 8.1523e-3),
    (8, 6.6154e-3),
    (8, 5.4296e-3),
    (8, 4.5005e-3),
    (8, 3.7172e-3),
    (8, 3.0650e-3),
    (8, 2.5917e-3),
    (8, 2.1838e-3),
    (8, 1.8568e-3),
    (8, 1.5442e-3),
    (8, 1.3150e-3),
    (8, 1.1236e-3),
    (8, 9.7586e-4),
    (8, 8.3855e-4),
    (8, 7.3297e-4),
    (8, 6.3673e-4),
    (8, 5.5218e-4),
    (8, 4.8538e-4),
    (8, 4.2398e-4),
    (8, 3.7756e-4),
    (8, 3.3138e-4),
    (8, 2.9381e-4),
    (8, 2.5683e-4),
    (8, 2.3045e-4),
    (8, 2.0513e-4),
    (8, 1.8524e-4),
    (8, 1.6440e-4),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory;

    #[test]
    fn tables_agree_with_theory() {
        for kind in [Kind::DoubleProbe, Kind::Standard, Kind::Blocked, Kind::SplitBlock] {
            for (bits, tolerance) in
                [(2.0, 0.02), (8.0, 0.02), (10.0, 0.02), (16.0, 0.02), (24.0, 0.06)]
            {
                let theory = theory::rate(kind, bits, probes(kind, bits).into());
                let ratio = rate(kind, bits) / theory;
                assert!((ratio - 1.0).abs() < tolerance, "{kind:?}, {bits} bits: {ratio}");
            }
        }
    }

    #[test]
    fn no_other_number_of_probes_is_better() {
        for kind in [Kind::DoubleProbe, Kind::Standard, Kind::Blocked] {
            for bits in 1..=24 {
                let bits = f64::from(bits);
                let chosen = theory::rate(kind, bits, probes(kind, bits).into());
                for other in 1..=8 {
                    // Measurement cannot tell rates apart that are this close.
                    assert!(
                        theory::rate(kind, bits, other) > chosen * 0.96,
                        "{kind:?} {bits} {other}"
                    );
                }
            }
        }
    }

    #[test]
    fn bits_undo_rates_and_rates_fall() {
        for &kind in Kind::ALL {
            let mut last = 1.0;
            for step in 1..=96 {
                let bits_per_key = f64::from(step) * 0.25;
                let here = rate(kind, bits_per_key);
                assert!(here <= last && here > 0.0, "{kind:?} {bits_per_key}");
                if here < 1.0 && here < last {
                    let back = bits(kind, here).unwrap();
                    assert!((back - bits_per_key).abs() < 1e-6, "{kind:?} {back} {bits_per_key}");
                }
                last = here;
            }
            assert!(rate(kind, 1000.0) >= rate(kind, BITS_MAX));
        }
    }

    #[test]
    fn senseless_numbers_are_errors() {
        for &kind in Kind::ALL {
            for bad in [f64::NAN, 0.0, 1.0, -0.1, 2.0, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(matches!(bits(kind, bad), Err(RateError::OutOfRange(_))), "{bad}");
            }
            assert!(matches!(bits(kind, 1e-12), Err(RateError::Unreachable(_))));
            for none in [f64::NAN, 0.0, -3.0] {
                assert!((rate(kind, none) - 1.0).abs() < f64::EPSILON);
                assert_eq!(probes(kind, none), 0);
            }
            assert!(probes(kind, f64::INFINITY) > 0);
        }
    }

    #[test]
    fn one_percent() {
        // The bound for Bloom filters is 9.585 bits, for any filter 6.644.
        let one = |kind| bits(kind, 0.01).unwrap();
        assert!((9.58..9.65).contains(&one(Kind::Standard)), "{}", one(Kind::Standard));
        assert!((9.85..10.0).contains(&one(Kind::Blocked)), "{}", one(Kind::Blocked));
        assert!((9.9..10.05).contains(&one(Kind::DoubleProbe)), "{}", one(Kind::DoubleProbe));
        assert!((10.4..10.65).contains(&one(Kind::SplitBlock)), "{}", one(Kind::SplitBlock));
        assert!((6.65..6.9).contains(&one(Kind::Ribbon)), "{}", one(Kind::Ribbon));
    }
}
