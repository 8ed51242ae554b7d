//! What the trailers of a block have in common; decides how wide they are stored.
//!
//! Looked at when it is asked for, not at every entry: a run of trailers is summed up in registers.

use crate::key::{Kind, Trailer};

/// Summary of the trailers of a block so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// Count of trailers summed up.
    seen: usize,
    min: u64,
    max: u64,
    /// Bits in which any kind differs from the first one's.
    kinds: u64,
    /// From each trailer to the next, as long as that is always the same: 0 before the second.
    step: Option<u64>,
}

impl Default for Spread {
    fn default() -> Self {
        Self { seen: 0, min: u64::MAX, max: 0, kinds: 0, step: Some(0) }
    }
}

impl Spread {
    /// Takes in those of `trailers`, all of the block's so far, that it does not know yet.
    pub(crate) fn catch_up(&mut self, trailers: &[u64]) {
        let Some(first) = trailers.first() else { return };
        let known = self.seen.saturating_sub(1);
        let mut last = trailers.get(known).copied().unwrap_or_default();
        let Self { mut min, mut max, mut kinds, mut step, .. } = *self;
        for (rank, raw) in trailers.iter().enumerate().skip(self.seen) {
            min = min.min(*raw);
            max = max.max(*raw);
            kinds |= (raw ^ first) & 0xff;
            if rank > 0 {
                let here = raw.wrapping_sub(last);
                step = step.filter(|same| rank == 1 || *same == here).map(|_| here);
            }
            last = *raw;
        }
        *self = Self { seen: trailers.len(), min, max, kinds, step };
    }

    pub(crate) fn min(&self) -> u64 {
        self.min
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// From each trailer to the next, if they are evenly spaced but not equal.
    pub(crate) fn step(&self) -> Option<u64> {
        self.step.filter(|step| *step != 0)
    }

    /// Bytes of each trailer's difference from the smallest, and whether the kind is left out.
    #[inline]
    pub(crate) fn width(&self) -> (usize, bool) {
        if self.step.is_some() {
            return (0, false);
        }
        let span = self.max.saturating_sub(self.min);
        let span = if self.kinds == 0 { span >> 8 } else { span };
        ((64 - span.leading_zeros() as usize).div_ceil(8), self.kinds == 0)
    }

    /// Count of tombstones among `trailers`, all of them taken in.
    pub(crate) fn tombstones(&self, trailers: &[u64]) -> usize {
        let deletes = |raw: &u64| {
            matches!(Trailer::from_raw(*raw).kind(), Some(Kind::Delete | Kind::RangeDelete))
        };
        match trailers.first() {
            Some(first) if self.kinds == 0 => trailers.len() * usize::from(deletes(first)),
            _ => trailers.iter().filter(|raw| deletes(raw)).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// What the trailers come to, told plainly.
    fn expected(trailers: &[u64]) -> (usize, bool) {
        let steps: Vec<u64> = trailers.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
        if steps.windows(2).all(|w| w[0] == w[1]) {
            return (0, false);
        }
        let (min, max) = (trailers.iter().min().unwrap(), trailers.iter().max().unwrap());
        let alike = trailers.iter().all(|raw| raw & 0xff == min & 0xff);
        let span = if alike { (max - min) >> 8 } else { max - min };
        ((0..=8).find(|bytes| *bytes == 8 || span >> (8 * bytes) == 0).unwrap(), alike)
    }

    #[test]
    fn caught_up_with_now_and_then_it_is_what_the_whole_says() {
        let mut random = StdRng::seed_from_u64(6);
        for round in 0..2000 {
            let count = random.random_range(1..20);
            let bits = random.random_range(0..57_u32);
            let kinds = random.random_range(1..4_u64);
            let trailers: Vec<u64> = (0..count)
                .map(|rank| match round % 3 {
                    0 => (100 + rank * 3) << 8 | 1,
                    _ => (random.random::<u64>() >> 8 >> bits) << 8 | random.random_range(0..kinds),
                })
                .collect();
            let mut spread = Spread::default();
            for upto in 0..=trailers.len() {
                if random.random_range(0..3) == 0 || upto == trailers.len() {
                    spread.catch_up(&trailers[..upto]);
                }
            }
            assert_eq!(spread.width(), expected(&trailers), "{trailers:?}");
            assert_eq!(Some(&spread.min()), trailers.iter().min());
            assert_eq!(Some(&spread.max()), trailers.iter().max());
            let deletes = trailers.iter().filter(|raw| matches!(*raw & 0xff, 0 | 3)).count();
            assert_eq!(spread.tombstones(&trailers), deletes);
        }
    }
}
