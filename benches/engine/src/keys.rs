//! Keys and values of the workloads, made before the clock runs.
//!
//! Keys are 16 decimal digits, as in LevelDB's db_bench. A value is a function of its key, so that
//! every read can be checked; half of its bytes are random, so that it compresses to about half.

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 16;

/// The key of record `rank`.
pub(crate) fn key(rank: u64) -> [u8; KEY_BYTES] {
    let mut key = [b'0'; KEY_BYTES];
    let mut rest = rank;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    key
}

/// A bijective-looking mix of 64 bits (Steele, Lea, Flood 2014).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Values of a fixed size: slices of one pool, chosen by the key.
#[derive(Debug)]
pub(crate) struct Values {
    pool: Vec<u8>,
    bytes: usize,
}

impl Values {
    pub(crate) fn new(bytes: usize) -> Self {
        let pool_bytes = (1 << 20) + bytes;
        let mut pool = Vec::with_capacity(pool_bytes + 100);
        let mut state = 1u64;
        while pool.len() < pool_bytes {
            // 50 random bytes, twice.
            let piece: Vec<u8> = (0..50)
                .map(|_| {
                    state = mix(state);
                    b' ' + u8::try_from(state % 95).unwrap_or(0)
                })
                .collect();
            pool.extend_from_slice(&piece);
            pool.extend_from_slice(&piece);
        }
        Self { pool, bytes }
    }

    /// The value of record `rank` in its `generation`-th writing.
    pub(crate) fn value(&self, rank: u64, generation: u64) -> &[u8] {
        let at = mix(rank ^ generation.rotate_left(32)) % (1 << 20);
        let at = usize::try_from(at).unwrap_or(0);
        &self.pool[at..at + self.bytes]
    }
}

/// A Zipfian choice among `n` ranks (Gray et al. 1994), the popular ranks scattered by a hash.
#[derive(Debug)]
pub(crate) struct Zipf {
    n: u64,
    alpha: f64,
    zeta_n: f64,
    eta: f64,
    half_power: f64,
}

impl Zipf {
    pub(crate) fn new(n: u64, theta: f64) -> Self {
        let zeta = |n: u64| (1..=n).map(|rank| (rank as f64).powf(-theta)).sum::<f64>();
        let (zeta_n, zeta_2) = (zeta(n), zeta(2.min(n)));
        let eta = (1.0 - (2.0 / n as f64).powf(1.0 - theta)) / (1.0 - zeta_2 / zeta_n);
        Self { n, alpha: 1.0 / (1.0 - theta), zeta_n, eta, half_power: 0.5f64.powf(theta) }
    }

    /// The rank for a uniform `u` in 0..1, before scattering.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..n")]
    pub(crate) fn rank(&self, u: f64) -> u64 {
        let uz = u * self.zeta_n;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + self.half_power {
            return 1.min(self.n - 1);
        }
        let rank = self.n as f64 * (self.eta * u - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.n - 1)
    }
}
