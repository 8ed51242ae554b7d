//! Which keys a simulated workload writes: a small generator of random numbers, and the popular
//! distributions on it.

use crate::number::to_u64;

/// How writes choose their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Skew {
    /// Every key alike.
    #[default]
    Uniform,
    /// Key of rank r with a chance of `1 / r^theta` (Gray et al. 1994), ranks strewn over the key
    /// space; `theta` from 0 to below 1, often 0.99.
    Zipf {
        /// The exponent.
        theta: f64,
    },
    /// One key after the other, from the smallest on, again and again. The load is ordered too.
    Sequential,
}

/// SplitMix64 (Steele, Lea & Flood 2014): enough for a simulation, the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Returns a number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a number below `limit`.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let wide = u64::from(limit) * (self.next() >> 32);
        u32::try_from(wide >> 32).unwrap_or(0)
    }
}

/// Draws keys in `0..count`.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    count: u32,
    skew: Skew,
    /// Place of each rank in key order.
    places: Vec<u32>,
    zipf: Option<Zipf>,
    next: u32,
}

#[derive(Clone, Debug)]
struct Zipf {
    theta: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    fn new(count: u32, theta: f64) -> Zipf {
        let theta = theta.clamp(0.0, 0.9999);
        let zeta = |n: u32| (1..=n).map(|rank| f64::from(rank).powf(-theta)).sum::<f64>();
        let all = zeta(count);
        let eta = (1.0 - (2.0 / f64::from(count)).powf(1.0 - theta)) / (1.0 - zeta(2) / all);
        Zipf { theta, zeta: all, alpha: 1.0 / (1.0 - theta), eta }
    }

    fn rank(&self, unit: f64, count: u32) -> u32 {
        let uz = unit * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5f64.powf(self.theta) {
            return 1;
        }
        let rank = f64::from(count) * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        u32::try_from(to_u64(rank)).unwrap_or(u32::MAX).min(count - 1)
    }
}

impl Keys {
    pub(crate) fn new(count: u32, skew: Skew, random: &mut Random) -> Keys {
        let zipf = match skew {
            Skew::Zipf { theta } if count > 2 => Some(Zipf::new(count, theta)),
            _ => None,
        };
        Keys { count, skew, places: shuffled(count, random), zipf, next: 0 }
    }

    /// Returns every key once, in the order of the load.
    pub(crate) fn load_order(&self, random: &mut Random) -> Vec<u32> {
        match self.skew {
            Skew::Sequential => (0..self.count).collect(),
            _ => shuffled(self.count, random),
        }
    }

    pub(crate) fn draw(&mut self, random: &mut Random) -> u32 {
        match (&self.zipf, self.skew) {
            (Some(zipf), _) => {
                let rank = zipf.rank(random.unit(), self.count);
                self.places.get(rank as usize).copied().unwrap_or(0)
            }
            (None, Skew::Sequential) => {
                let key = self.next;
                self.next = (self.next + 1) % self.count;
                key
            }
            _ => random.below(self.count),
        }
    }
}

/// Returns `0..count` in random order (Fisher & Yates 1938).
fn shuffled(count: u32, random: &mut Random) -> Vec<u32> {
    let mut keys: Vec<u32> = (0..count).collect();
    for last in (1..count).rev() {
        keys.swap(last as usize, random.below(last + 1) as usize);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_writes_every_key_once() {
        let mut random = Random::new(7);
        let keys = Keys::new(1000, Skew::Uniform, &mut random);
        let mut order = keys.load_order(&mut random);
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<u32>>());
    }

    /// The share of the hottest key is `1 / zeta(n)`: 6.5 % of a million keys at 0.99.
    #[test]
    fn zipf_has_its_hottest_key() {
        let mut random = Random::new(7);
        let mut keys = Keys::new(1_000_000, Skew::Zipf { theta: 0.99 }, &mut random);
        let hottest = keys.places[0];
        let hits = (0..100_000).filter(|_| keys.draw(&mut random) == hottest).count();
        assert!((6_000..7_000).contains(&hits), "{hits}");
    }

    #[test]
    fn uniform_reaches_both_ends() {
        let mut random = Random::new(7);
        let mut keys = Keys::new(10, Skew::Uniform, &mut random);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[keys.draw(&mut random) as usize] += 1);
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
    }
}
