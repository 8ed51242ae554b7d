//! Hashing of keys: multiply two words to 128 bits and fold the halves together.
//!
//! The idea is wyhash's (Wang Yi, 2019). Each cache draws its own seeds, so that a stranger who
//! chooses keys cannot choose collisions. Not stable between runs: never write these hashes down.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// Makes hashers that share one pair of random seeds.
#[derive(Clone, Debug)]
pub(crate) struct Seeds {
    start: u64,
    step: u64,
}

impl Seeds {
    pub(crate) fn random() -> Self {
        if cfg!(loom) {
            return Self { start: 1, step: 3 }; // loom runs the same steps again and again
        }
        let state = RandomState::new();
        // Odd, so that the multiplication loses nothing of its other factor.
        Self { start: state.hash_one(1_u8), step: state.hash_one(2_u8) | 1 }
    }

    #[inline]
    pub(crate) fn hash<K: Hash + ?Sized>(&self, key: &K) -> u64 {
        self.hash_one(key)
    }
}

impl BuildHasher for Seeds {
    type Hasher = Folded;

    #[inline]
    fn build_hasher(&self) -> Folded {
        Folded { state: self.start, step: self.step, first: None }
    }
}

/// The running hash of one key.
#[derive(Debug)]
pub(crate) struct Folded {
    state: u64,
    step: u64,
    /// The first word of a pair whose second is to come: a pair costs one multiplication.
    first: Option<u64>,
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves are the point")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hasher for Folded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut whole = [0_u8; 8];
            whole.copy_from_slice(word);
            self.write_u64(u64::from_le_bytes(whole));
        }
        let tail = words.remainder();
        if !tail.is_empty() {
            let mut padded = [0_u8; 8];
            padded[..tail.len()].copy_from_slice(tail);
            self.write_u64(u64::from_le_bytes(padded));
        }
        // The length, so that zero padding and real zeros differ.
        self.write_u64(bytes.len() as u64);
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        if let Some(first) = self.first.take() {
            self.state = fold(self.state ^ first, self.step ^ word);
        } else {
            self.first = Some(word);
        }
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        match self.first {
            Some(word) => fold(self.state ^ word, self.step ^ 0xd6e8_feb8_6659_fd93),
            None => self.state,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Seeds;
    use std::collections::HashSet;

    #[test]
    fn neighbouring_keys_spread_over_every_bit() {
        let seeds = Seeds::random();
        let hashes: Vec<u64> = (0..40_000_u64).map(|n| seeds.hash(&(n / 100, n * 4096))).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        for bit in 0..64 {
            let ones = hashes.iter().filter(|&&hash| hash >> bit & 1 == 1).count();
            assert!((18_000..22_000).contains(&ones), "bit {bit} set in {ones} of 40000");
        }
    }

    #[test]
    fn byte_strings_differ_by_length_and_padding() {
        let seeds = Seeds::random();
        let mut seen = HashSet::new();
        for len in 0..100 {
            assert!(seen.insert(seeds.hash(&vec![0_u8; len][..])), "length {len} collides");
        }
        assert_ne!(seeds.hash("ab"), seeds.hash("ba"));
        assert_eq!(seeds.hash("ab"), seeds.hash(&String::from("ab")));
    }
}
