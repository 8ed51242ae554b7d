//! One layer of a ribbon: rows in triangular form, at most one a slot.
//!
//! 1. The row in a slot begins there: its coefficient 0 belongs to the slot and is 1. No
//!    coefficients: no row.
//! 2. A row is only ever reduced by rows placed before it, so the rows placed last can be taken
//!    back.
//! 3. A lane only ever touches slots of its own. So invariant 2 holds in each lane by itself: a row
//!    that is pushed past the end of its lane goes on to the next layer instead.
//!
//! Placing one row is a chain of dependent loads, some thirty of them in a full layer. Four
//! stretches of the layer are therefore filled in turns, a load each, which the processor overlaps.

use super::{
    BLOCK_SLOTS, BLOCKS_MAX, BUCKET_STARTS, THRESHOLD_ALL, THRESHOLD_STEP, passes_on, row_of,
    start_of,
};

/// Keys for each slot of a layer that bumps: a little more than fit, so that nearly all slots fill.
const OVERLOAD: f64 = 1.05;

/// Stretches that are filled in turns.
const LANES: u32 = 4;

/// Fewer buckets than this are filled as one stretch.
const LANES_FROM_BUCKETS: u32 = 256;

/// A layer in the making.
#[derive(Default)]
pub(crate) struct Band {
    pub(super) coefficients: Vec<u64>,
    pub(super) results: Vec<u32>,
    /// One a bucket; none in the last layer.
    pub(super) thresholds: Vec<u8>,
    starts: u32,
}

/// One stretch of buckets that is being filled, and the row that it is about to place.
struct Lane<'k> {
    bucket: u32,
    end_bucket: u32,
    /// The first slot after those of the stretch.
    end_slot: usize,
    /// Keys of the buckets after this one.
    later: &'k [u64],
    /// Keys of this bucket, and how many of them are not yet placed; the last goes first.
    keys: &'k [u64],
    left: usize,
    /// Start and slot of each row placed for this bucket.
    placed: Vec<(u32, u32)>,
    active: bool,
    start: u32,
    slot: usize,
    coefficients: u64,
    result: u32,
}

impl Band {
    /// A band without rows, of `slots` slots rounded up to blocks. `None` if they are too many.
    pub(super) fn new(slots: f64) -> Option<Self> {
        let blocks = (slots / f64::from(BLOCK_SLOTS)).ceil().max(1.0);
        if blocks > f64::from(BLOCKS_MAX) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let slots = blocks as u32 * BLOCK_SLOTS;
        Some(Self {
            coefficients: vec![0; slots as usize],
            results: vec![0; slots as usize],
            thresholds: Vec::new(),
            starts: slots - (BLOCK_SLOTS - 1),
        })
    }

    pub(super) fn blocks(&self) -> u32 {
        self.starts.div_ceil(BLOCK_SLOTS)
    }

    /// Solves for all `keys`, with so many slots a key. `None` if that cannot be done.
    pub(super) fn complete(keys: &[u64], slots_per_key: f64) -> Option<Self> {
        let mut band = Self::new(keys.len() as f64 * slots_per_key)?;
        for &key in keys {
            let mut slot = start_of(key, band.starts) as usize;
            let (mut coefficients, mut result) = row_of(key);
            while band.coefficients[slot] != 0 {
                coefficients ^= band.coefficients[slot];
                result ^= band.results[slot];
                if coefficients == 0 {
                    break;
                }
                slot += coefficients.trailing_zeros() as usize;
                coefficients >>= coefficients.trailing_zeros();
            }
            if coefficients != 0 {
                band.coefficients[slot] = coefficients;
                band.results[slot] = result;
            } else if result != 0 {
                return None;
            }
        }
        Some(band)
    }

    /// Solves for as many of the `keys` as fit, bucket by bucket, the highest start first; returns
    /// the others too. Leaves `keys` sorted.
    pub(super) fn bumping(keys: &mut Vec<u64>) -> Option<(Self, Vec<u64>)> {
        let mut band = Self::new(keys.len() as f64 / OVERLOAD)?;
        sort_by_start(keys, band.starts);
        let mut bumped = Vec::with_capacity(keys.len() / 12);
        let buckets = band.starts.div_ceil(BUCKET_STARTS);
        band.thresholds = vec![0; buckets as usize];
        let lane_count = if buckets < LANES_FROM_BUCKETS { 1 } else { LANES };
        let mut lanes: Vec<Lane<'_>> = (0..lane_count)
            .map(|i| {
                Lane::new(buckets * i / lane_count, buckets * (i + 1) / lane_count, keys, &band)
            })
            .collect();
        for lane in &mut lanes {
            band.next_row(lane);
        }
        // All four at work first, in a loop without a test for that; then what is left of each.
        if let [a, b, c, d] = lanes.as_mut_slice() {
            while a.active && b.active && c.active && d.active {
                band.step(a, &mut bumped);
                band.step(b, &mut bumped);
                band.step(c, &mut bumped);
                band.step(d, &mut bumped);
            }
        }
        for lane in &mut lanes {
            while lane.active {
                band.step(lane, &mut bumped);
            }
        }
        Some((band, bumped))
    }

    /// Brings the row of `lane` one slot further: it is placed, or reduced by the row that is
    /// there.
    #[inline(always)]
    fn step(&mut self, lane: &mut Lane<'_>, bumped: &mut Vec<u64>) {
        let found = self.coefficients[lane.slot];
        if found == 0 {
            self.coefficients[lane.slot] = lane.coefficients;
            self.results[lane.slot] = lane.result;
            #[expect(clippy::cast_possible_truncation, reason = "slots are counted in u32")]
            lane.placed.push((lane.start, lane.slot as u32));
            self.next_row(lane);
            return;
        }
        lane.coefficients ^= found;
        lane.result ^= self.results[lane.slot];
        let shift = lane.coefficients.trailing_zeros();
        lane.slot += shift as usize;
        if shift == u64::BITS || lane.slot >= lane.end_slot {
            // Nothing is left of the row, which then says what others say or contradicts them; or
            // nothing in this stretch.
            if lane.result != 0 || lane.coefficients != 0 {
                self.cut_bucket(lane, bumped);
            }
            self.next_row(lane);
            return;
        }
        lane.coefficients >>= shift;
    }

    /// Ends the bucket of `lane` at its present row: that, all before it and all that share their
    /// threshold go on to the next layer.
    #[cold]
    fn cut_bucket(&mut self, lane: &mut Lane<'_>, bumped: &mut Vec<u64>) {
        let steps = lane.start % BUCKET_STARTS / THRESHOLD_STEP + 1;
        let threshold = u8::try_from(steps).unwrap_or(THRESHOLD_ALL).min(THRESHOLD_ALL);
        self.thresholds[lane.bucket as usize] = threshold;
        for &(start, slot) in lane.placed.iter().rev() {
            if !passes_on(start, threshold) {
                break;
            }
            self.coefficients[slot as usize] = 0; // invariant 2
        }
        let goes_on = |key: &&u64| passes_on(start_of(**key, self.starts), threshold);
        bumped.extend(lane.keys.iter().take_while(goes_on));
        lane.left = 0;
    }

    /// Makes the next key of `lane` its row, from the next bucket that has one.
    #[inline(always)]
    fn next_row(&self, lane: &mut Lane<'_>) {
        while lane.left == 0 {
            if lane.bucket + 1 >= lane.end_bucket {
                lane.active = false;
                return;
            }
            lane.open(lane.bucket + 1, self.starts);
        }
        lane.left -= 1;
        let key = lane.keys[lane.left];
        lane.start = start_of(key, self.starts);
        lane.slot = lane.start as usize;
        (lane.coefficients, lane.result) = row_of(key);
    }
}

impl<'k> Lane<'k> {
    /// The stretch of buckets `from..to`, about to take the first of the sorted `keys` that are
    /// its.
    fn new(from: u32, to: u32, keys: &'k [u64], band: &Band) -> Self {
        let buckets = band.starts.div_ceil(BUCKET_STARTS);
        let first = keys.partition_point(|&key| start_of(key, band.starts) < from * BUCKET_STARTS);
        let mut lane = Self {
            bucket: from,
            end_bucket: to,
            end_slot: if to == buckets { usize::MAX } else { (to * BUCKET_STARTS) as usize },
            later: &keys[first..],
            keys: &[],
            left: 0,
            placed: Vec::with_capacity(2 * BUCKET_STARTS as usize),
            active: true,
            start: 0,
            slot: 0,
            coefficients: 0,
            result: 0,
        };
        lane.open(from, band.starts);
        lane
    }

    fn open(&mut self, bucket: u32, starts: u32) {
        let end = (bucket + 1) * BUCKET_STARTS;
        let count = self.later.iter().take_while(|&&key| start_of(key, starts) < end).count();
        (self.keys, self.later) = self.later.split_at(count);
        self.left = count;
        self.bucket = bucket;
        self.placed.clear();
    }
}

/// Sorts by start, by counting digits from the lowest to the highest (radix sort).
fn sort_by_start(keys: &mut Vec<u64>, starts: u32) {
    const DIGIT_BITS_MAX: u32 = 11;
    let bits = u32::BITS - starts.leading_zeros();
    let passes = bits.div_ceil(DIGIT_BITS_MAX);
    let digit_bits = bits.div_ceil(passes);
    let mask = (1u32 << digit_bits) - 1;
    let mut other = vec![0; keys.len()];
    for pass in 0..passes {
        let digit = |key: u64| ((start_of(key, starts) >> (pass * digit_bits)) & mask) as usize;
        let mut ends = [0usize; 1 << DIGIT_BITS_MAX];
        for &key in keys.iter() {
            ends[digit(key)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        for &key in keys.iter() {
            let next = &mut ends[digit(key)];
            other[*next] = key;
            *next += 1;
        }
        std::mem::swap(keys, &mut other);
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Numbers in no order, all different.
    fn scattered(count: u64) -> Vec<u64> {
        (1..=count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
    }

    #[test]
    fn sorting_by_start_sorts_and_keeps_all() {
        for (count, starts) in
            [(0, 1), (1, 1), (1_000, 1), (1_000, 2), (5_000, 2_047), (5_000, 5_000_000)]
        {
            let mut keys = scattered(count);
            let mut expected = keys.clone();
            sort_by_start(&mut keys, starts);
            assert!(keys.is_sorted_by_key(|&key| start_of(key, starts)));
            keys.sort_unstable();
            expected.sort_unstable();
            assert_eq!(keys, expected);
        }
    }

    #[test]
    fn every_key_is_solved_or_bumped_and_rows_are_triangular() {
        for (count, seed) in [(300, 1), (5_000, 2), (32_000, 3), (40_000, 4), (60_000, 5)] {
            let mut random = StdRng::seed_from_u64(seed);
            let mut keys: Vec<u64> = (0..count).map(|_| random.random()).collect();
            let (band, bumped) = Band::bumping(&mut keys).unwrap();
            let goes_on = |key: u64| {
                let start = start_of(key, band.starts);
                passes_on(start, band.thresholds[(start / BUCKET_STARTS) as usize])
            };
            let mut expected: Vec<u64> = keys.iter().copied().filter(|&key| goes_on(key)).collect();
            let mut bumped = bumped;
            expected.sort_unstable();
            bumped.sort_unstable();
            assert_eq!(bumped, expected, "exactly those below a threshold go on");
            // Rows of one stretch once ran through all of the next, whose rows were then taken
            // back.
            assert!(keys.iter().all(|&key| goes_on(key) || follows(&band, key)), "{count}");
            for row in band.coefficients.iter().filter(|row| **row != 0) {
                assert_eq!(row & 1, 1);
            }
            let filled = band.coefficients.iter().filter(|row| **row != 0).count();
            let slots = band.coefficients.len();
            assert!(count == 300 || filled as f64 > 0.97 * slots as f64, "{filled} of {slots}");
        }
    }

    /// Whether the equation of `key` follows from the rows.
    fn follows(band: &Band, key: u64) -> bool {
        let mut slot = start_of(key, band.starts) as usize;
        let (mut coefficients, mut result) = row_of(key);
        while coefficients != 0 && band.coefficients[slot] != 0 {
            coefficients ^= band.coefficients[slot];
            result ^= band.results[slot];
            slot += coefficients.trailing_zeros() as usize;
            coefficients = coefficients.checked_shr(coefficients.trailing_zeros()).unwrap_or(0);
        }
        coefficients == 0 && result == 0
    }

    #[test]
    fn contradicting_rows_are_refused_and_repeated_ones_are_not() {
        assert!(Band::complete(&[7; 1_000], 1.1).is_some());
        assert!(Band::complete(&scattered(1_000), 0.5).is_none());
    }
}
