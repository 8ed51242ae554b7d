//! Request traces: who is asked for, in which order. All from fixed seeds.
//!
//! Zipfian draws follow Gray and others (1994); the scrambled one is YCSB's, which draws from ten
//! thousand million items and folds the draw into the records by FNV-1a.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Draws of 0, 1, 2, ... with frequency falling as `1 / rank^theta`.
pub struct Zipf {
    items: f64,
    theta: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    /// Over `items` items.
    pub fn new(items: u64, theta: f64) -> Self {
        let zeta = (1..=items).map(|rank| (rank as f64).powf(-theta)).sum();
        Self::with_zeta(items as f64, theta, zeta)
    }

    /// YCSB's source of scrambled draws.
    pub fn ycsb() -> Self {
        Self::with_zeta(1e10 + 1.0, 0.99, 26.469_028_201_783_02)
    }

    fn with_zeta(items: f64, theta: f64, zeta: f64) -> Self {
        let zeta2 = 1.0 + 2_f64.powf(-theta);
        let eta = (1.0 - (2.0 / items).powf(1.0 - theta)) / (1.0 - zeta2 / zeta);
        Self { items, theta, zeta, eta }
    }

    /// The next rank, 0 the most frequent.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    pub fn draw(&self, rng: &mut StdRng) -> u64 {
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
pub fn fnv(number: u64) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in number.to_le_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    hash.cast_signed().unsigned_abs()
}

/// The shapes of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    Uniform,
    Zipf,
    Scrambled,
    Latest,
    Sequential,
    ZipfAndScan,
}

impl Trace {
    pub const ALL: [Self; 6] = [
        Self::Uniform,
        Self::Zipf,
        Self::Scrambled,
        Self::Latest,
        Self::Sequential,
        Self::ZipfAndScan,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "Zipf 0.99",
            Self::Scrambled => "YCSB scrambled",
            Self::Latest => "latest",
            Self::Sequential => "sequential",
            Self::ZipfAndScan => "Zipf 0.99 + scans 1:1",
        }
    }

    /// `count` requests over `items` items.
    ///
    /// *Latest* inserts one item every twenty requests, into the `items` there at the start, and
    /// asks for the newest most. *Zipf + scans* alternates Zipf draws with the next item of an
    /// endless full scan, whose requests are told apart by the flag.
    pub fn requests(self, items: u64, count: usize) -> Vec<(u64, bool)> {
        let mut rng = StdRng::seed_from_u64(42);
        let zipf = match self {
            Self::Scrambled => Zipf::ycsb(),
            _ => Zipf::new(items, 0.99),
        };
        let mut newest = items;
        (0..count as u64)
            .map(|n| match self {
                Self::Uniform => (rng.random_range(0..items), false),
                Self::Zipf => (zipf.draw(&mut rng), false),
                Self::Scrambled => (fnv(zipf.draw(&mut rng)) % items, false),
                Self::Latest if n % 20 == 0 => {
                    newest += 1;
                    (newest, false)
                }
                Self::Latest => (newest - zipf.draw(&mut rng), false),
                Self::Sequential => (n % items, false),
                Self::ZipfAndScan if n % 2 == 0 => (n / 2 % items, true),
                Self::ZipfAndScan => (zipf.draw(&mut rng).wrapping_mul(0x9E37) % items, false),
            })
            .collect()
    }
}
