//! How to split a memory budget over the filters of a tree (Monkey; Dayan, Athanassoulis, Idreos,
//! 2017).
//!
//! A lookup of an absent key asks one filter in every run, and each false positive costs a read.
//! Their expected number is the sum of `runs * rate` over the levels. It is least when the last bit
//! spent anywhere saves the same: then the rate of a run is proportional to its number of keys. So
//! the smaller, newer levels get more bits a key, and the largest may get none at all.
//!
//! [`closed_form`] is that optimum for ideal Bloom filters; [`allocate`] is the exact optimum for
//! the measured curves of this crate, which flatten out, differ from kind to kind, and end
//! somewhere.
//!
//! ```
//! use bloom::{Kind, monkey::{Level, allocate, false_positives}};
//!
//! // Four levels, each ten times the one before, one run each: 10 bits a key in all.
//! let levels: Vec<Level> =
//!     [10e3, 100e3, 1e6, 10e6].map(|keys| Level { keys, runs: 1, kind: Kind::DoubleProbe
//!     }).into();
//! let bits = allocate(&levels, 10.0 * 11.11e6, 16.0)?;
//! assert!(bits[0] == 16.0 && bits[2] > 13.0 && bits[3] < 9.8, "the cap, then ever fewer");
//!
//! let even = false_positives(&levels, &[10.0; 4]);
//! assert!(false_positives(&levels, &bits) < 0.45 * even);
//! # Ok::<(), bloom::monkey::BudgetError>(())
//! ```

use std::fmt;

use crate::{Kind, sizing};

/// Steps of bits in which a measured curve is followed.
const STEP_BITS: f64 = 0.5;

/// The filters of a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Keys in the level, over all its runs.
    pub keys: f64,
    /// Sorted runs, each with its own filter and as many keys as the others: 1 in a leveled tree,
    /// up to the size ratio in a tiered one.
    pub runs: u32,
    /// Kind of its filters.
    pub kind: Kind,
}

/// Levels or a budget for which there is no optimum.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum BudgetError {
    /// The budget, or the greatest number of bits a key, is negative or not a finite number.
    Budget(f64),
    /// A level's number of keys is negative or not a finite number.
    Keys(f64),
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget(bits) => write!(f, "a budget of {bits} bits cannot be split"),
            Self::Keys(keys) => write!(f, "a level cannot have {keys} keys"),
        }
    }
}

impl std::error::Error for BudgetError {}

/// Returns the expected number of false positives of a lookup of an absent key, if level `i` has
/// `bits_per_key[i]` bits a key: reads wasted, by the measured curves.
#[must_use]
pub fn false_positives(levels: &[Level], bits_per_key: &[f64]) -> f64 {
    let rates = levels.iter().zip(bits_per_key);
    rates.map(|(level, &bits)| f64::from(level.runs) * sizing::rate(level.kind, bits)).sum()
}

/// Returns the bits a key for each level that make [`false_positives`] least, spending no more than
/// `budget_bits` bits in all and no more than `cap` bits a key anywhere: blocked layouts stop
/// gaining at about 16.
///
/// A level without keys or runs gets 0, as does a level whose filter is better dropped. What is
/// left of the budget when every level has reached the cap is not spent.
///
/// Exact for the measured curves (their lower convex hull, in steps of half a bit): the pieces of
/// all curves are bought in the order of what they save for a bit.
///
/// # Errors
/// [`BudgetError`] if a number is negative or not finite.
pub fn allocate(levels: &[Level], budget_bits: f64, cap: f64) -> Result<Vec<f64>, BudgetError> {
    check(levels, budget_bits)?;
    if cap.is_nan() || cap < 0.0 {
        return Err(BudgetError::Budget(cap));
    }
    let mut pieces = Vec::new();
    for (rank, level) in levels.iter().enumerate() {
        if level.keys > 0.0 && level.runs > 0 {
            for (from, to) in hull(level.kind, cap.min(sizing::BITS_MAX)) {
                let saved = f64::from(level.runs) * (from.1 - to.1);
                let cost = level.keys * (to.0 - from.0);
                pieces.push((saved / cost, rank, to.0 - from.0));
            }
        }
    }
    // Stable, so the pieces of one convex curve stay in their order.
    pieces.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut bits = vec![0.0; levels.len()];
    let mut left = budget_bits;
    for (_, rank, piece) in pieces {
        let (Some(level), Some(bits)) = (levels.get(rank), bits.get_mut(rank)) else { continue };
        let affordable = piece.min(left / level.keys);
        *bits += affordable;
        left -= affordable * level.keys;
        if affordable < piece {
            break;
        }
    }
    Ok(bits)
}

/// Returns the optimum for ideal Bloom filters, whose rate is `exp(-bits * ln(2)^2)`, in closed
/// form: the rate of a run is proportional to its keys, and levels for which that is 1 or more are
/// dropped, the largest runs first.
///
/// # Errors
/// [`BudgetError`] if a number is negative or not finite.
pub fn closed_form(levels: &[Level], budget_bits: f64) -> Result<Vec<f64>, BudgetError> {
    check(levels, budget_bits)?;
    let ln2_squared = std::f64::consts::LN_2.powi(2);
    let run_keys = |level: &Level| level.keys / f64::from(level.runs);
    let mut by_size: Vec<usize> = (0..levels.len())
        .filter(|&i| levels.get(i).is_some_and(|level| level.keys > 0.0 && level.runs > 0))
        .collect();
    by_size.sort_by(|&a, &b| run_keys(&levels[a]).total_cmp(&run_keys(&levels[b])));
    let mut bits = vec![0.0; levels.len()];
    // With rates c * (keys a run), the budget says: budget * ln(2)^2 = -sum of keys * ln(rate).
    while let Some(&largest) = by_size.last() {
        let (mut keys, mut logs) = (0.0, 0.0);
        for &i in &by_size {
            keys += levels[i].keys;
            logs += levels[i].keys * run_keys(&levels[i]).ln();
        }
        let ln_c = -(budget_bits * ln2_squared + logs) / keys;
        if ln_c + run_keys(&levels[largest]).ln() >= 0.0 {
            by_size.pop();
            continue;
        }
        for &i in &by_size {
            bits[i] = -(ln_c + run_keys(&levels[i]).ln()) / ln2_squared;
        }
        break;
    }
    Ok(bits)
}

fn check(levels: &[Level], budget_bits: f64) -> Result<(), BudgetError> {
    if !budget_bits.is_finite() || budget_bits < 0.0 {
        return Err(BudgetError::Budget(budget_bits));
    }
    match levels.iter().find(|level| !level.keys.is_finite() || level.keys < 0.0) {
        Some(level) => Err(BudgetError::Keys(level.keys)),
        None => Ok(()),
    }
}

/// The lower convex hull of a measured curve up to `cap` bits, as pieces between points of bits
/// and rate.
fn hull(kind: Kind, cap: f64) -> Vec<((f64, f64), (f64, f64))> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut bits = 0.0;
    loop {
        let point = (bits, sizing::rate(kind, bits));
        // Points above the line from their neighbours are on no optimum.
        while let [.., a, b] = points[..] {
            if (b.1 - a.1) * (point.0 - a.0) < (point.1 - a.1) * (b.0 - a.0) {
                break;
            }
            points.pop();
        }
        points.push(point);
        if bits >= cap {
            break;
        }
        bits = (bits + STEP_BITS).min(cap);
    }
    points.iter().copied().zip(points.iter().copied().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(kind: Kind, sizes: &[(f64, u32)]) -> Vec<Level> {
        sizes.iter().map(|&(keys, runs)| Level { keys, runs, kind }).collect()
    }

    fn spent(levels: &[Level], bits: &[f64]) -> f64 {
        levels.iter().zip(bits).map(|(level, bits)| level.keys * bits).sum()
    }

    /// Shapes of trees: leveled, tiered, lazy leveled, one level, levels without keys.
    fn trees() -> Vec<Vec<Level>> {
        let kind = Kind::Standard;
        vec![
            levels(kind, &[(1e4, 1), (1e5, 1), (1e6, 1), (1e7, 1)]),
            levels(kind, &[(4e4, 4), (4e5, 10), (4e6, 10), (4e7, 10)]),
            levels(kind, &[(1e5, 8), (1e6, 8), (1e7, 1)]),
            levels(kind, &[(1e6, 1)]),
            levels(kind, &[(0.0, 0), (1e5, 1), (0.0, 3), (1e7, 2)]),
            vec![],
        ]
    }

    #[test]
    fn no_move_of_bits_between_levels_is_better() {
        for tree in trees() {
            for per_key in [0.0, 0.3, 1.0, 3.0, 8.0, 10.0, 14.0, 40.0] {
                let keys: f64 = tree.iter().map(|level| level.keys).sum();
                let budget = per_key * keys;
                let bits = allocate(&tree, budget, 16.0).unwrap();
                assert!(spent(&tree, &bits) <= budget * (1.0 + 1e-9));
                assert!(bits.iter().all(|bits| (0.0..=16.0).contains(bits)));
                for (a, b) in (0..tree.len()).flat_map(|a| (0..tree.len()).map(move |b| (a, b))) {
                    moves_are_not_better(&tree, &bits, a, b);
                }
            }
        }
    }

    fn moves_are_not_better(tree: &[Level], bits: &[f64], a: usize, b: usize) {
        for piece in [0.5, 1.0, 2.0] {
            let mut moved = bits.to_vec();
            let gained = piece * tree[a].keys / tree[b].keys;
            if a == b || moved[a] < piece || moved[b] + gained > 16.0 {
                continue;
            }
            moved[a] -= piece;
            moved[b] += gained;
            // Between steps of half a bit the curve lies a fraction of a percent below the hull.
            let (best, other) = (false_positives(tree, bits), false_positives(tree, &moved));
            assert!(other > best * 0.99, "{tree:?} {bits:?} {moved:?}");
        }
    }

    #[test]
    fn measured_and_ideal_optimum_agree_where_the_curves_do() {
        for tree in trees() {
            let keys: f64 = tree.iter().map(|level| level.keys).sum();
            for per_key in [5.0, 10.0] {
                let ideal = closed_form(&tree, per_key * keys).unwrap();
                let measured = allocate(&tree, per_key * keys, 24.0).unwrap();
                for (ideal, measured) in ideal.iter().zip(&measured) {
                    assert!((ideal - measured).abs() < 0.8, "{ideal:.2} {measured:.2}");
                }
            }
        }
    }

    #[test]
    fn the_closed_form_spends_all_and_makes_rates_proportional_to_runs() {
        for tree in trees().into_iter().filter(|tree| !tree.is_empty()) {
            let keys: f64 = tree.iter().map(|level| level.keys).sum();
            for per_key in [0.05, 0.5, 2.0, 10.0] {
                let bits = closed_form(&tree, per_key * keys).unwrap();
                let used = spent(&tree, &bits);
                assert!((used / (per_key * keys) - 1.0).abs() < 1e-9, "{used}");
                let constants: Vec<f64> = tree
                    .iter()
                    .zip(&bits)
                    .filter(|(_, bits)| **bits > 0.0)
                    .map(|(level, bits)| {
                        let rate = (-bits * std::f64::consts::LN_2.powi(2)).exp();
                        rate / (level.keys / f64::from(level.runs))
                    })
                    .collect();
                for constant in &constants {
                    assert!((constant / constants[0] - 1.0).abs() < 1e-6, "{constants:?}");
                }
                // A dropped level would have a rate of 1 or more.
                for (level, _) in tree.iter().zip(&bits).filter(|(_, bits)| **bits <= 0.0) {
                    let runs = f64::from(level.runs);
                    assert!(level.keys <= 0.0 || constants[0] * level.keys / runs >= 1.0);
                }
            }
        }
    }

    #[test]
    fn a_small_budget_drops_the_largest_level() {
        let tree = levels(Kind::DoubleProbe, &[(1e4, 1), (1e5, 1), (1e6, 1), (1e9, 1)]);
        let bits = allocate(&tree, 5e6, 16.0).unwrap();
        assert!(bits[3] == 0.0 && bits[0] > bits[2] && bits[2] > 1.0, "{bits:?}");
        assert!(closed_form(&tree, 5e6).unwrap()[3] == 0.0);
    }

    #[test]
    fn a_ribbon_in_the_last_level_is_used() {
        let mut tree = levels(Kind::DoubleProbe, &[(1e5, 1), (1e6, 1), (1e7, 1)]);
        let bloom = allocate(&tree, 1e8, 16.0).unwrap();
        let before = false_positives(&tree, &bloom);
        tree[2].kind = Kind::Ribbon;
        let after = false_positives(&tree, &allocate(&tree, 1e8, 16.0).unwrap());
        assert!(after < before * 0.4, "{after} {before}");
    }

    #[test]
    fn senseless_numbers_are_errors() {
        let tree = levels(Kind::Standard, &[(1e4, 1)]);
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            assert!(matches!(allocate(&tree, bad, 16.0), Err(BudgetError::Budget(_))));
            assert!(matches!(closed_form(&tree, bad), Err(BudgetError::Budget(_))));
            let odd = levels(Kind::Standard, &[(bad, 1)]);
            assert!(matches!(allocate(&odd, 1.0, 16.0), Err(BudgetError::Keys(_))));
        }
        assert!(allocate(&tree, 1.0, f64::NAN).is_err());
        assert_eq!(allocate(&tree, 1e9, 0.0).unwrap(), [0.0]);
        assert_eq!(allocate(&tree, 0.0, 16.0).unwrap(), [0.0]);
    }
}
