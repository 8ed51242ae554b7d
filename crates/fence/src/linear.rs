//! Linear layout: a straight line through the integers says where to look, a table corrects it.
//!
//! ```text
//!   search := table: u32 little-endian * (buckets + 1), zeros up to a multiple of 64 bytes
//!           | integer: u64 little-endian * count, then 16 times u64::MAX
//! ```
//!
//! 1. The line maps the smallest integer to bucket 0 and the largest to the last one, and never
//!    descends; entry `b` of the table is the number of integers in buckets before `b`.
//! 2. So the rank of a wanted integer lies between entries `b` and `b + 1` of its own bucket: two
//!    dependent cache misses at any count, if the buckets are about evenly filled.
//! 3. What precedes a bucket is below every wanted integer of the bucket, what follows it is above:
//!    both may be compared with it. One search looks at 16 integers from the start of the bucket
//!    on; searches in step look at the whole lines of 8 integers that hold it, three at most. A
//!    larger bucket is searched by halving: uneven keys cost time, never answers.
//!
//! A learned index of one segment whose errors are stored instead of bounded (Kraska et al., "The
//! case for learned index structures", 2018; Kipf et al., "RadixSpline", 2020).
#![deny(clippy::indexing_slicing)]

use crate::prefetch::prefetch;
use crate::simd::{self, Count, Search};
use crate::standard;

/// Integers in a bucket, on average.
const BUCKET: usize = 8;

/// More integers make a bucket crowded: of evenly spread random ones that is one in 270.
const LANES: usize = 16;

/// Integers in a cache line.
const LINE: usize = 8;

/// What the line looks like; follows from the count and the integers at both ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    smallest: u64,
    /// Buckets for each step of the integer, in units of 2^-64.
    slope: u64,
    buckets: usize,
}

impl Line {
    fn through(count: usize, smallest: u64, largest: u64) -> Self {
        let buckets = (count / BUCKET).max(1);
        let span = u128::from(largest.saturating_sub(smallest)) + 1;
        let slope = ((buckets as u128) << 64) / span;
        Self { smallest, slope: u64::try_from(slope).unwrap_or(u64::MAX), buckets }
    }

    /// The line of an encoded fence.
    pub(crate) fn of(search: &[[u8; 8]], count: usize) -> Self {
        let integer = |rank| standard::integer(search, table_words(count).saturating_add(rank));
        Self::through(count, integer(0), integer(count.saturating_sub(1)))
    }

    #[inline(always)]
    fn bucket(&self, integer: u64) -> usize {
        let steps = u128::from(integer.saturating_sub(self.smallest));
        let bucket = (steps * u128::from(self.slope)) >> 64;
        usize::try_from(bucket).unwrap_or(usize::MAX).min(self.buckets - 1)
    }
}

/// Words of 8 bytes before the integers.
#[inline(always)]
pub(crate) fn table_words(count: usize) -> usize {
    ((count / BUCKET).max(1) + 1).div_ceil(2).next_multiple_of(8)
}

/// Words of the whole search array.
pub(crate) fn words(count: usize) -> usize {
    table_words(count).saturating_add(count).saturating_add(LANES)
}

/// The number of integers before each bucket, and their count.
fn table(line: &Line, integers: &[u64]) -> Vec<u32> {
    let mut table = vec![0_u32; line.buckets + 1];
    for integer in integers {
        if let Some(entry) = table.get_mut(line.bucket(*integer) + 1) {
            *entry += 1;
        }
    }
    let mut before = 0;
    for entry in &mut table {
        before += *entry;
        *entry = before;
    }
    table
}

/// The search array for `integers`, which ascend.
pub(crate) fn encode(integers: &[u64]) -> Vec<u8> {
    let [smallest, largest] = [integers.first(), integers.last()].map(Option::<&u64>::copied);
    let line =
        Line::through(integers.len(), smallest.unwrap_or(u64::MAX), largest.unwrap_or(u64::MAX));
    let mut out: Vec<u8> = table(&line, integers).into_iter().flat_map(u32::to_le_bytes).collect();
    out.resize(table_words(integers.len()) * 8, 0);
    out.extend(integers.iter().flat_map(|integer| integer.to_le_bytes()));
    out.extend([u64::MAX; LANES].into_iter().flat_map(u64::to_le_bytes));
    out
}

/// The share of `integers`, which ascend, that lie in buckets too large for one look.
pub(crate) fn crowded(integers: &[u64]) -> f64 {
    let (Some(smallest), Some(largest)) = (integers.first(), integers.last()) else { return 0.0 };
    let line = Line::through(integers.len(), *smallest, *largest);
    let table = table(&line, integers);
    let sizes = table.iter().zip(table.iter().skip(1)).map(|(start, end)| end - start);
    let crowded: u64 = sizes.filter(|size| *size as usize > LANES).map(u64::from).sum();
    crowded as f64 / integers.len() as f64
}

/// A search array with its line, cut into table and integers.
#[derive(Clone, Copy)]
struct View<'a> {
    line: Line,
    table: &'a [[u8; 4]],
    integers: &'a [[u8; 8]],
}

/// The ranks of a bucket.
#[derive(Clone, Copy)]
struct Stretch {
    start: usize,
    end: usize,
}

impl Stretch {
    /// The first line that holds some of the bucket, one in the middle, and the last.
    #[inline(always)]
    fn lines(self) -> [usize; 3] {
        let first = self.start / LINE;
        let last = self.end.saturating_sub(1).max(self.start) / LINE;
        [first, first.midpoint(last), last]
    }
}

impl<'a> View<'a> {
    #[inline(always)]
    fn new(search: &'a [[u8; 8]], line: &Line, count: usize) -> Self {
        let (table, integers) = search.split_at_checked(table_words(count)).unwrap_or_default();
        Self { line: *line, table: table.as_flattened().as_chunks().0, integers }
    }

    #[inline(always)]
    fn entry(&self, bucket: usize) -> usize {
        self.table.get(bucket).map_or(0, |entry| u32::from_le_bytes(*entry) as usize)
    }

    #[inline(always)]
    fn stretch(&self, bucket: usize) -> Stretch {
        Stretch { start: self.entry(bucket), end: self.entry(bucket + 1) }
    }

    /// The rank of the first integer at or above `wanted`, which belongs to the bucket that lies in
    /// `at`: the fewest instructions.
    #[inline(always)]
    fn rank(&self, at: Stretch, wanted: u64, count: impl Count) -> usize {
        let node: Option<&[[u8; 8]; LANES]> =
            self.integers.get(at.start..).and_then(|rest| rest.first_chunk());
        match node {
            Some(node) if at.end <= at.start + LANES => at.start + count.below(node, wanted),
            _ => at.start + self.crowded_rank(at, wanted),
        }
    }

    /// The same from the fewest lines: how many can be on their way at once limits a batch.
    #[inline(always)]
    fn rank_by_lines(&self, at: Stretch, wanted: u64, count: impl Count) -> usize {
        let lines: &[[[u8; 8]; LINE]] = self.integers.as_chunks().0;
        let [first, middle, last] = at.lines();
        let found = (lines.get(first), lines.get(middle), lines.get(last));
        let (Some(a), Some(b), Some(c)) = found else { return at.start };
        if last > first + 2 {
            return at.start + self.crowded_rank(at, wanted);
        }
        // A line that is the one before over again counts once; no branch on how many there are.
        let unless = |same: bool| usize::from(!same).wrapping_neg();
        first * LINE
            + count.below(a, wanted)
            + (count.below(b, wanted) & unless(middle == first))
            + (count.below(c, wanted) & unless(last == middle))
    }

    #[cold]
    fn crowded_rank(&self, at: Stretch, wanted: u64) -> usize {
        standard::lower_bound(self.integers.get(at.start..at.end).unwrap_or_default(), wanted)
    }
}

/// One search, and what to do as soon as it is known where the answer lies.
struct One<'a, H>(View<'a>, u64, H);

impl<H: Fn(usize, usize)> Search for One<'_, H> {
    type Answer = usize;

    #[inline(always)]
    fn run(self, count: impl Count) -> usize {
        let Self(view, wanted, hint) = self;
        let at = view.stretch(view.line.bucket(wanted));
        hint(at.start, at.end);
        view.rank(at, wanted, count)
    }
}

/// Several searches in step.
struct Many<'a, const BATCH: usize>(View<'a>, &'a [u64; BATCH]);

impl<const BATCH: usize> Search for Many<'_, BATCH> {
    type Answer = [usize; BATCH];

    #[inline(always)]
    fn run(self, count: impl Count) -> [usize; BATCH] {
        let Self(view, wanted) = self;
        let buckets = wanted.map(|wanted| {
            let bucket = view.line.bucket(wanted);
            prefetch(view.table.as_flattened(), bucket * 4);
            bucket
        });
        let stretches = buckets.map(|bucket| {
            let at = view.stretch(bucket);
            for line in at.lines() {
                prefetch(view.integers.as_flattened(), line * LINE * 8);
            }
            at
        });
        let mut ranks = buckets;
        for ((rank, at), wanted) in ranks.iter_mut().zip(stretches).zip(wanted) {
            *rank = view.rank_by_lines(at, *wanted, count);
        }
        ranks
    }
}

/// The rank of the first integer at or above `wanted`. Calls `hint` with the first rank and the end
/// of the bucket, before its integers arrive.
#[inline]
pub(crate) fn lower_bound(
    search: &[[u8; 8]],
    line: &Line,
    separators: usize,
    wanted: u64,
    hint: impl Fn(usize, usize),
) -> usize {
    simd::run(One(View::new(search, line, separators), wanted, hint))
}

/// [`lower_bound`] of several integers at once.
#[inline]
pub(crate) fn lower_bounds<const BATCH: usize>(
    search: &[[u8; 8]],
    line: &Line,
    separators: usize,
    wanted: &[u64; BATCH],
) -> [usize; BATCH] {
    simd::run(Many(View::new(search, line, separators), wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowded_tells_even_from_uneven() {
        let even: Vec<u64> = (0..10_000).map(|n| n * 1_000_003).collect();
        assert_eq!(crowded(&even).to_bits(), 0_f64.to_bits());
        let uneven: Vec<u64> = (0..10_000_u64).map(|n| n.pow(4)).collect();
        assert!(crowded(&uneven) > 0.1, "{}", crowded(&uneven));
        assert!(crowded(&[5; 100]) > 0.99);
        assert_eq!(crowded(&[]).to_bits(), 0_f64.to_bits());
    }

    #[test]
    fn lines_reach_both_ends_and_never_descend() {
        for (smallest, largest) in [(0, u64::MAX), (7, 7), (0, 1), (1 << 60, u64::MAX), (3, 999)] {
            let line = Line::through(1000, smallest, largest);
            assert_eq!(line.bucket(smallest), 0);
            let reached = line.bucket(largest) as u64 + 2;
            assert!(reached >= (line.buckets as u64).min(largest - smallest));
            let step = ((largest - smallest) / 1000).max(1);
            let buckets = (0..1000).map(|n| line.bucket(smallest.saturating_add(n * step)));
            assert!(buckets.is_sorted(), "{smallest}..={largest}");
        }
    }
}
