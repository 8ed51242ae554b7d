//! Skewed choices: Zipf (Gray et al. 1994), YCSB's scrambled Zipf and its "latest".

use crate::keys::{mix, unit};

/// A Zipfian choice among `n` numbers: 0 is the most popular.
#[derive(Debug, Clone)]
pub struct Zipf {
    n: f64,
    theta: f64,
    zeta_n: f64,
    eta: f64,
}

impl Zipf {
    /// A choice among 0..n.
    pub fn new(n: u64, theta: f64) -> Self {
        let zeta_n = (1..=n).map(|rank| (rank as f64).powf(-theta)).sum();
        Self::with_zeta(n as f64, theta, zeta_n)
    }

    fn with_zeta(n: f64, theta: f64, zeta_n: f64) -> Self {
        let zeta_2 = 1.0 + 0.5f64.powf(theta);
        let eta = (1.0 - (2.0 / n).powf(1.0 - theta)) / (1.0 - zeta_2 / zeta_n);
        Self { n, theta, zeta_n, eta }
    }

    /// YCSB's: of 10^10 + 1 items whatever the number of records, with its constant zeta.
    pub fn ycsb() -> Self {
        Self::with_zeta(10_000_000_001.0, 0.99, 26.469_028_201_783_02)
    }

    /// One more item.
    pub fn grow(&mut self) {
        let n = self.n + 1.0;
        *self = Self::with_zeta(n, self.theta, self.zeta_n + n.powf(-self.theta));
    }

    /// The number for a uniform `u` in 0..1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..n")]
    pub fn rank(&self, u: f64) -> u64 {
        let uz = u * self.zeta_n;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5f64.powf(self.theta) {
            return 1;
        }
        let power = 1.0 / (1.0 - self.theta);
        let rank = self.n * (self.eta * u - self.eta + 1.0).powf(power);
        rank.min(self.n - 1.0) as u64
    }
}

/// `count` numbers of 0..n, Zipf 0.99 over them, the popular ones scattered.
pub fn scattered(count: u64, n: u64) -> Vec<u64> {
    let zipf = Zipf::new(n, 0.99);
    (0..count).map(|at| mix(zipf.rank(unit(mix(at)))) % n).collect()
}

/// YCSB's FNV-64 of a number: its bytes, low first; the absolute value as a signed number.
pub fn fnv64(number: u64) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in number.to_le_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    hash.cast_signed().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_ycsbs() {
        let known = [
            (0, 6_284_781_860_667_377_211),
            (1, 8_517_097_267_634_966_620),
            (2, 1_820_151_046_732_198_393),
            (3, 4_052_466_453_699_787_802),
            (999, 2_071_219_101_098_386_137),
            (1_000_000, 1_011_632_231_655_643_464),
        ];
        for (number, hash) in known {
            assert_eq!(fnv64(number), hash, "{number}");
        }
    }

    #[test]
    fn the_scrambled_choice_has_ycsbs_shares() {
        let (zipf, records, draws) = (Zipf::ycsb(), 1_000_000, 1_000_000u32);
        let mut seen = vec![0u32; records];
        for at in 0..draws {
            let item = zipf.rank(unit(mix(u64::from(at))));
            seen[usize::try_from(fnv64(item) % records as u64).unwrap()] += 1;
        }
        seen.sort_unstable_by(|a, b| b.cmp(a));
        let share =
            |top: usize| f64::from(seen[..top].iter().sum::<u32>()) / f64::from(draws) * 100.0;
        assert!((share(1) - 3.79).abs() < 0.1, "hottest {}", share(1));
        assert!((share(10) - 11.8).abs() < 0.2, "hottest 10 {}", share(10));
        assert!((share(100) - 20.7).abs() < 0.3, "hottest 100 {}", share(100));
    }

    #[test]
    fn zipf_over_the_records_has_its_shares_also_when_grown() {
        let mut grown = Zipf::new(999_000, 0.99);
        (0..1000).for_each(|_| grown.grow());
        for zipf in [Zipf::new(1_000_000, 0.99), grown] {
            let draws = 200_000;
            let hot = (0..draws).filter(|&at| zipf.rank(unit(mix(at))) < 10).count();
            assert!((hot as f64 / draws as f64 - 0.202).abs() < 0.005);
        }
    }
}
