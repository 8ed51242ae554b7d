//! Keys and values, functions of a record's number.
//!
//! Keys are 16 decimal digits, as in LevelDB's db_bench. A value is a slice of a pool in which
//! every 50 random bytes come twice, so that it compresses to about half.

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;

/// Bytes of the pool that values are slices of.
const POOL_BYTES: u64 = 1 << 20;

/// The key of record `rank`.
pub fn key(rank: u64) -> [u8; KEY_BYTES] {
    let mut key = [b'0'; KEY_BYTES];
    let mut rest = rank;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    key
}

/// A bijective mix of 64 bits (Steele, Lea, Flood 2014).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number in 0..1 of 53 random bits, from a mixed number.
pub fn unit(mixed: u64) -> f64 {
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// Values: slices of one pool, chosen by the record and how often it was written.
#[derive(Debug)]
pub struct Values {
    pool: Vec<u8>,
    bytes: usize,
}

impl Values {
    /// Values of `bytes` each; `slice` may ask for up to `bytes_max`.
    pub fn new(bytes: usize, bytes_max: usize) -> Self {
        let pool_bytes = usize::try_from(POOL_BYTES).unwrap_or(0) + bytes.max(bytes_max);
        let mut pool = Vec::with_capacity(pool_bytes + 100);
        let mut state = 1u64;
        while pool.len() < pool_bytes {
            let begin = pool.len();
            for _ in 0..50 {
                state = mix(state);
                pool.push(b' ' + u8::try_from(state % 95).unwrap_or(0));
            }
            pool.extend_from_within(begin..);
        }
        Self { pool, bytes }
    }

    /// The value of record `rank` in its `generation`-th writing.
    pub fn value(&self, rank: u64, generation: u64) -> &[u8] {
        self.slice(rank, generation, self.bytes)
    }

    /// As [`Values::value`], of any length up to the longest.
    pub fn slice(&self, rank: u64, generation: u64, bytes: usize) -> &[u8] {
        let at = mix(rank ^ generation.rotate_left(32)) % POOL_BYTES;
        let at = usize::try_from(at).unwrap_or(0);
        &self.pool[at..at + bytes]
    }
}

/// Every number of 0..n once, in an order that depends on `seed` and looks random: a walk by a step
/// without a common factor would leave a pattern that helps sorted stores, so it is a real shuffle.
pub fn shuffled(n: u64, seed: u64) -> Vec<u64> {
    let mut ranks: Vec<u64> = (0..n).collect();
    let mut state = mix(seed);
    for at in (1..ranks.len()).rev() {
        state = mix(state);
        let other = (u128::from(state) * (at as u128 + 1)) >> 64;
        ranks.swap(at, usize::try_from(other).unwrap_or(0));
    }
    ranks
}

/// `count` numbers of 0..n, uniform.
pub fn uniform(count: u64, n: u64, seed: u64) -> Vec<u64> {
    (0..count).map(|at| mix(at ^ mix(seed)) % n).collect()
}

/// A number and its key, laid out in the order in which they are used.
pub type Keyed = (u64, [u8; KEY_BYTES]);

/// The numbers with their keys.
pub fn keyed(ranks: Vec<u64>) -> Vec<Keyed> {
    ranks.into_iter().map(|rank| (rank, key(rank))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation() {
        let mut ranks = shuffled(1000, 7);
        assert_ne!(ranks, shuffled(1000, 8));
        ranks.sort_unstable();
        assert_eq!(ranks, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn keys_are_their_numbers_in_order() {
        assert_eq!(&key(1_234_567), b"0000000001234567");
        assert!(key(99) < key(100));
    }

    #[test]
    fn values_repeat_and_differ() {
        let values = Values::new(100, 1024);
        assert_eq!(values.value(7, 0), values.value(7, 0));
        assert_ne!(values.value(7, 0), values.value(7, 1));
        assert_eq!(values.slice(7, 0, 1024).len(), 1024);
    }
}
