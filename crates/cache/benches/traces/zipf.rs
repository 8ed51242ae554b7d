//! Zipfian draws (Gray and others, 1994), and the hash by which YCSB scatters them.

use rand::Rng;
use rand::rngs::StdRng;

/// Draws of 0, 1, 2, ... with frequency falling as `1 / rank^theta`.
pub(crate) struct Zipf {
    items: f64,
    theta: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    /// Over `items` items.
    pub(crate) fn new(items: u64, theta: f64) -> Self {
        let zeta = (1..=items).map(|rank| (rank as f64).powf(-theta)).sum();
        Self::with_zeta(items as f64, theta, zeta)
    }

    /// The same with the sum of all frequencies, `zeta`, given.
    pub(crate) fn with_zeta(items: f64, theta: f64, zeta: f64) -> Self {
        let zeta2 = 1.0 + 2_f64.powf(-theta);
        let eta = (1.0 - (2.0 / items).powf(1.0 - theta)) / (1.0 - zeta2 / zeta);
        Self { items, theta, zeta, eta }
    }

    /// The next rank, 0 the most frequent.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    pub(crate) fn draw(&self, rng: &mut StdRng) -> u64 {
        let u: f64 = rng.random();
        let uz = u * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5_f64.powf(self.theta) {
            return 1;
        }
        let power = 1.0 / (1.0 - self.theta);
        (self.items * (self.eta * u - self.eta + 1.0).powf(power)) as u64
    }
}

/// FNV-1a of the eight bytes of `number`, the absolute value of it as a signed number.
pub(crate) fn fnv(number: u64) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in number.to_le_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    hash.cast_signed().unsigned_abs()
}
