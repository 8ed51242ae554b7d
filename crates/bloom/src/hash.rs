//! The one hash of the crate. It is part of the format: a filter built with it is read with it.
//!
//! 1. `hash_key` never changes. Known answers below pin it.

use xxhash_rust::xxh3::xxh3_64;

/// Returns the 64-bit hash under which filters know `key`: XXH3-64 with seed 0 (Collet, 2019).
///
/// Hash a key once and ask every filter with [`may_contain_hash`](crate::Filter::may_contain_hash).
#[must_use]
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    xxh3_64(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // The first is the published value for the empty input; the others sit on
        // both sides of each change of algorithm by length.
        assert_eq!(hash_key(b""), 0x2d06_8005_38d3_94c2);
        let long: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let known: &[(usize, u64)] = &[
            (1, 0xc44b_dff4_074e_ecdb),
            (3, 0x5f42_99fc_161c_9cbb),
            (4, 0x60da_b036_a582_11f2),
            (8, 0x3a1c_2d7c_85af_88f8),
            (9, 0xe961_2598_145b_b9dc),
            (16, 0x8355_e3a6_f617_70db),
            (17, 0x9ef3_41a9_9de3_7328),
            (128, 0x85c6_174c_7ff4_c46b),
            (129, 0xec76_42b4_31ba_3e5a),
            (240, 0x375a_384d_957f_e865),
            (241, 0x02e8_cd95_421c_6d02),
            (1000, 0xd33d_d80b_46f6_0e50),
        ];
        for &(length, hash) in known {
            assert_eq!(hash_key(&long[..length]), hash, "{length} bytes");
        }
    }
}
