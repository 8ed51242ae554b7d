//! [`Axis`]: where keys lie on a line, so that equal lengths hold about equal amounts of data.
//!
//! The bounds of all tables cut the keys into intervals, and each table spreads its bytes over
//! those that it covers. A key's place is the share of all bytes before its interval. What is not
//! known is how a table's bytes lie within its range; the deeper levels, which hold more and in
//! narrower tables, are the best guess: levels are laid out from the deepest up, most of a table's
//! bytes going where bytes are already, and a little everywhere, so that what only a new table
//! covers has a place too. Levels whose tables are of one size then appear as even pieces without
//! gaps, whatever their keys look like.

use crate::engine::{LevelShape, Shape};

/// The share of a table's bytes that follows what lies below it; the rest is spread evenly.
const FOLLOWING: f64 = 0.95;

/// Places of the bounds of all tables.
#[derive(Debug)]
pub(crate) struct Axis<'a> {
    /// Every smallest and largest key, ascending, each once.
    bounds: Vec<&'a [u8]>,
    /// For each bound, the share of the data before it, from 0 to 1.
    places: Vec<f64>,
}

impl<'a> Axis<'a> {
    /// Lays the tables of `shape` out.
    pub(crate) fn new(shape: &'a Shape) -> Self {
        let runs = shape.levels.iter().flat_map(|level| &level.runs);
        let tables = runs.flat_map(|run| &run.tables);
        let mut bounds: Vec<&[u8]> =
            tables.flat_map(|table| [&table.smallest[..], &table.largest[..]]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        // Bytes in the interval that begins at each bound; the last is empty.
        let mut weights = vec![0.0; bounds.len()];
        for level in shape.levels.iter().rev() {
            add_level(&mut weights, &bounds, level);
        }
        let mut places = running_sums(&weights);
        places.pop();
        let whole = places.last().copied().filter(|&whole| whole > 0.0).unwrap_or(1.0);
        for place in &mut places {
            *place /= whole;
        }
        Self { bounds, places }
    }

    /// The place of a bound, from 0 to 1; of another key, that of the next bound.
    pub(crate) fn place(&self, key: &[u8]) -> f64 {
        self.places.get(rank(&self.bounds, key)).copied().unwrap_or(1.0)
    }

    /// The first bound at or after `place`.
    pub(crate) fn key_at(&self, place: f64) -> Option<&'a [u8]> {
        // A hair's breadth of rounding must not skip the bound that is meant.
        let rank = self.places.partition_point(|&bound| bound < place - 1e-9);
        self.bounds.get(rank.min(self.bounds.len().saturating_sub(1))).copied()
    }
}

/// How many bounds are smaller than `key`.
fn rank(bounds: &[&[u8]], key: &[u8]) -> usize {
    bounds.partition_point(|bound| *bound < key)
}

/// Spreads the bytes of one level's tables over the intervals.
///
/// A table adds to each interval that it covers a part of what is there and a part for each alike.
/// Both are collected as differences at the ends of the ranges, so that one pass sums up any number
/// of tables over each other.
fn add_level(weights: &mut [f64], bounds: &[&[u8]], level: &LevelShape) {
    let before = running_sums(weights);
    let mut steps = vec![(0.0, 0.0); weights.len() + 1];
    for table in level.runs.iter().flat_map(|run| &run.tables) {
        let (first, last) = (rank(bounds, &table.smallest), rank(bounds, &table.largest));
        let (Some(&low), Some(&high)) = (before.get(first), before.get(last)) else { continue };
        if first >= last {
            continue; // a single key takes no room
        }
        let bytes = table.bytes.max(1) as f64;
        let below = high - low;
        let following = if below > 0.0 { FOLLOWING * bytes / below } else { 0.0 };
        let evenly = (bytes - following * below) / (last - first) as f64;
        for (at, sign) in [(first, 1.0), (last, -1.0)] {
            if let Some(step) = steps.get_mut(at) {
                step.0 += sign * following;
                step.1 += sign * evenly;
            }
        }
    }
    let (mut following, mut evenly) = (0.0f64, 0.0f64);
    for (weight, step) in weights.iter_mut().zip(&steps) {
        following += step.0;
        evenly += step.1;
        // Differences of floating-point numbers may end a hair below 0.
        *weight += *weight * following.max(0.0) + evenly.max(0.0);
    }
}

/// For each rank, the sum of all before it; one more than there are weights.
fn running_sums(weights: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums = vec![0.0];
    for weight in weights {
        sum += weight;
        sums.push(sum);
    }
    sums
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::engine::{MemtableShape, RunShape, TableShape};

    pub(crate) fn table(number: u64, bytes: u64, smallest: &str, largest: &str) -> TableShape {
        let mut table = TableShape::default();
        table.number = number;
        table.bytes = bytes;
        table.entries = bytes / 10;
        table.smallest = smallest.into();
        table.largest = largest.into();
        table
    }

    pub(crate) fn level(runs: Vec<Vec<TableShape>>) -> LevelShape {
        let run = |tables| {
            let mut run = RunShape::default();
            run.tables = tables;
            run
        };
        let mut level = LevelShape::default();
        level.runs = runs.into_iter().map(run).collect();
        level
    }

    pub(crate) fn shape(levels: Vec<LevelShape>, memtables: Vec<MemtableShape>) -> Shape {
        let mut shape = Shape::default();
        (shape.levels, shape.memtables) = (levels, memtables);
        shape
    }

    fn tree(levels: Vec<Vec<Vec<TableShape>>>) -> Shape {
        shape(levels.into_iter().map(level).collect(), vec![])
    }

    #[test]
    fn tables_of_one_size_side_by_side_are_even_pieces_whatever_lies_over_them() {
        let low = vec![table(1, 10, "a", "b"), table(2, 10, "c", "cz"), table(3, 10, "d", "zzz")];
        for high in [vec![], vec![vec![table(9, 1, "a", "zzz")], vec![table(8, 2, "a", "zzz")]]] {
            let shape = tree(vec![high, vec![low.clone()]]);
            let axis = Axis::new(&shape);
            for (key, place) in [("a", 0.0), ("b", 1.0), ("c", 1.0), ("cz", 2.0), ("zzz", 3.0)] {
                let found = axis.place(key.as_bytes()) * 3.0;
                assert!((found - place).abs() < 0.02, "{key} at {found}");
            }
            assert_eq!(axis.key_at(0.0), Some(&b"a"[..]));
            assert_eq!(axis.key_at(0.5), Some(&b"cz"[..]));
            assert_eq!(axis.key_at(1.0), Some(&b"zzz"[..]));
        }
    }

    #[test]
    fn places_ascend_and_grow_with_the_data() {
        let shape = tree(vec![
            vec![vec![table(9, 500, "a", "z")], vec![table(8, 300, "c", "zz")]],
            vec![vec![table(1, 10, "a", "f"), table(2, 70, "g", "p"), table(3, 10, "q", "z")]],
        ]);
        let axis = Axis::new(&shape);
        let places: Vec<f64> = ["a", "c", "f", "g", "p", "q", "z", "zz"]
            .iter()
            .map(|key| axis.place(key.as_bytes()))
            .collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(places[0].abs() < 1e-9 && (places[7] - 1.0).abs() < 1e-9);
        assert!(places[4] - places[3] > 3.0 * (places[2] - places[0]), "{places:?}");
        assert!(places[7] > places[6], "what only a new table covers has a place: {places:?}");
    }

    #[test]
    fn nothing_and_single_keys_have_places_too() {
        let none = tree(vec![]);
        assert_eq!(Axis::new(&none).key_at(0.5), None);
        let one = tree(vec![vec![vec![table(1, 10, "k", "k")]]]);
        let axis = Axis::new(&one);
        assert_eq!(axis.key_at(1.0), Some(&b"k"[..]));
        assert!(axis.place(b"k").abs() < 1e-9);
    }
}
