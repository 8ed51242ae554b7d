//! Request traces: who is asked for, in which order. All from fixed seeds.
//!
//! Zipfian draws follow Gray and others (1994); the scrambled one is YCSB's, which draws from ten
//! thousand million items and folds the draw into the records by FNV-1a.

pub(crate) mod zipf;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use zipf::{Zipf, fnv};

/// The shapes of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    Uniform,
    Zipf,
    Scrambled,
    Latest,
    Sequential,
    ZipfAndScan,
}

impl Trace {
    pub(crate) const ALL: [Self; 6] = [
        Self::Uniform,
        Self::Zipf,
        Self::Scrambled,
        Self::Latest,
        Self::Sequential,
        Self::ZipfAndScan,
    ];

    /// As the tables call it.
    pub(crate) fn name(self) -> &'static str {
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
    pub(crate) fn requests(self, items: u64, count: usize) -> Vec<(u64, bool)> {
        let mut rng = StdRng::seed_from_u64(42);
        let zipf = match self {
            Self::Scrambled => Zipf::with_zeta(1e10 + 1.0, 0.99, 26.469_028_201_783_02),
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
