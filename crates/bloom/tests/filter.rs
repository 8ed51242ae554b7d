//! One suite for every kind: no false negative, honest rate, total decoding.

use std::sync::Arc;

use bloom::sizing::{self, RateError};
use bloom::{Builder, DecodeError, Filter, Kind, build, hash_key};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn hashes(count: usize, seed: u64) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random()).collect()
}

#[test]
fn members_are_always_found() {
    for &kind in Kind::ALL {
        for count in [0, 1, 2, 3, 50, 51, 52, 511, 512, 513, 10_000] {
            for bits in [0.001, 1.0, 4.0, 8.0, 10.0, 16.0, 40.0, 1e300, f64::INFINITY] {
                let members = hashes(count, count as u64);
                let bytes = build(kind, bits, &members);
                let filter = Filter::decode(&bytes).unwrap();
                assert!(members.iter().all(|&hash| filter.may_contain_hash(hash)));
                assert_eq!(filter.keys(), count as u64);
                assert_eq!(filter.kind(), kind);
            }
        }
    }
}

#[test]
fn members_of_large_ribbons_are_always_found() {
    // Sizes on both sides of those where layers are added and filled in several stretches.
    for count in [290, 310, 4_000, 6_500, 33_000, 36_000, 100_000, 700_000] {
        for (seed, bits) in [(1, 7.0), (2, 7.6), (3, 16.0)] {
            let members = hashes(count, seed);
            let bytes = build(Kind::Ribbon, bits, &members);
            let filter = Filter::decode(&bytes).unwrap();
            let mut answers = vec![false; count];
            filter.may_contain_hashes(&members, &mut answers);
            let missed = answers.iter().filter(|answer| !**answer).count();
            assert_eq!(missed, 0, "of {count} with seed {seed}");
        }
    }
}

#[test]
fn batches_answer_as_singles_do() {
    for &kind in Kind::ALL {
        for bits in [0.0, 2.0, 10.0, 16.0] {
            let members = hashes(1_000, 1);
            let bytes = build(kind, bits, &members);
            let filter = Filter::decode(&bytes).unwrap();
            let mut asked = hashes(1_003, 2);
            asked.extend(&members);
            for length in [0, 1, 7, 8, 9, 31, 32, 33, asked.len()] {
                let asked = &asked[asked.len() - length..];
                let mut answers = vec![false; length];
                filter.may_contain_hashes(asked, &mut answers);
                let singles: Vec<bool> =
                    asked.iter().map(|&hash| filter.may_contain_hash(hash)).collect();
                assert_eq!(answers, singles);
            }
        }
    }
}

#[test]
fn keys_and_hashes_are_the_same_thing() {
    for &kind in Kind::ALL {
        let keys: Vec<Vec<u8>> = (0..100usize).map(|n| vec![b'k'; n]).collect();
        let (mut by_key, mut by_hash) = (Builder::new(kind, 10.0), Builder::new(kind, 10.0));
        for key in &keys {
            by_key.add(key);
            by_key.add(key); // versions of one key count once
            by_hash.add_hash(hash_key(key));
        }
        assert_eq!(by_key.len(), keys.len());
        let bytes = by_key.finish();
        assert_eq!(bytes, by_hash.finish());
        let filter = Filter::decode(Arc::<[u8]>::from(bytes)).unwrap();
        assert!(keys.iter().all(|key| filter.may_contain(key)));
    }
}

#[test]
fn without_keys_no_and_without_bits_maybe() {
    for &kind in Kind::ALL {
        let none = build(kind, 10.0, &[]);
        assert!(!Filter::decode(none).unwrap().may_contain(b"anything"));
        for bits in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            let bare = Filter::decode(build(kind, bits, &[1, 2, 3])).unwrap();
            assert!(bare.may_contain(b"anything"));
            assert_eq!(bare.keys(), 3);
        }
    }
}

#[test]
fn senseless_rates_are_errors_and_never_lose_a_key() {
    let members = hashes(1_000, 8);
    let senseless =
        [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.01, -0.0, 0.0, 1.0, 7.0];
    let extreme = [f64::MIN_POSITIVE, 1e-300, 1e-9, 0.01, 0.999, 1.0 - f64::EPSILON];
    for &kind in Kind::ALL {
        for rate in senseless {
            let sized = sizing::bits(kind, rate);
            assert!(matches!(sized, Err(RateError::OutOfRange(_))), "{kind:?} {rate}: {sized:?}");
        }
        for rate in senseless.into_iter().chain(extreme) {
            // The textbook's formula instead of `sizing`: not a number, infinite or negative.
            let textbook = -rate.log2() * std::f64::consts::LOG2_E;
            let sized = sizing::bits(kind, rate).unwrap_or(textbook);
            for bits in [sized, textbook] {
                let filter = Filter::decode(build(kind, bits, &members)).unwrap();
                let found = members.iter().filter(|&&hash| filter.may_contain_hash(hash)).count();
                assert_eq!(found, members.len(), "{kind:?}, rate {rate}, {bits} bits");
                let expected = filter.expected_rate();
                assert!(expected > 0.0 && expected <= 1.0, "{kind:?}, rate {rate}: {expected}");
            }
        }
        for rate in extreme {
            match sizing::bits(kind, rate) {
                Ok(bits) => assert!(bits > 0.0 && bits <= sizing::BITS_MAX, "{kind:?} {bits}"),
                Err(error) => assert!(matches!(error, RateError::Unreachable(_)), "{error}"),
            }
        }
    }
}

#[test]
fn every_cut_and_every_flip_is_refused() {
    for &kind in Kind::ALL {
        for count in [0, 1, 100] {
            let bytes = build(kind, 10.0, &hashes(count, 3));
            for length in 0..bytes.len() {
                assert!(Filter::decode(&bytes[..length]).is_err());
                assert!(Filter::decode_unverified(&bytes[..length]).is_err());
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(matches!(Filter::decode(&longer), Err(DecodeError::Length { .. })));
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(Filter::decode(&changed).is_err(), "bit {bit} of {kind:?}");
                // Unverified: any answer, no panic.
                if let Ok(filter) = Filter::decode_unverified(&changed) {
                    let asked = hashes(40, 4);
                    filter.may_contain_hashes(&asked, &mut [false; 40]);
                }
            }
        }
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let bytes = build(Kind::DoubleProbe, 10.0, &[1, 2, 3]);
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        Filter::decode(bytes).unwrap_err()
    };
    assert_eq!(changed(0, 0), DecodeError::Magic);
    assert_eq!(changed(4, 2), DecodeError::Version(2));
    assert_eq!(changed(5, 200), DecodeError::Kind(200));
    assert_eq!(changed(6, 99), DecodeError::Field("more probes than the layout has"));
    assert_eq!(changed(60, 0xaa), DecodeError::Checksum);
    let mut split = build(Kind::SplitBlock, 10.0, &[1, 2, 3]);
    split[6] = 7;
    let error = Filter::decode(split).unwrap_err();
    assert_eq!(error, DecodeError::Field("a split block has eight probes"));
    assert_eq!(
        Filter::decode(&bytes[..20]).unwrap_err(),
        DecodeError::Length { expected: 48, found: 20 }
    );
}

#[test]
fn a_split_block_body_is_a_bitset_of_parquet() {
    // The algorithm as the specification has it, word by word.
    const SALTS: [u32; 8] = [
        0x47b6_137b,
        0x4497_4d91,
        0x8824_ad5b,
        0xa2b7_289d,
        0x7054_95c7,
        0x2df1_424b,
        0x9efc_4947,
        0x5c6b_fb31,
    ];
    let members = hashes(1_000, 9);
    let bytes = build(Kind::SplitBlock, 10.0, &members);
    let blocks = (bytes.len() - 48) / 32;
    let mut words = vec![0u32; blocks * 8];
    for hash in &members {
        let block = usize::try_from(((hash >> 32) * blocks as u64) >> 32).unwrap();
        for (i, salt) in SALTS.iter().enumerate() {
            let product = ((hash & 0xffff_ffff) * u64::from(*salt)) & 0xffff_ffff;
            words[block * 8 + i] |= 1 << (product >> 27);
        }
    }
    let bitset: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert!(bytes[48..] == bitset);
}

/// A buffer that changes between calls: safe code can write it, so answers must survive it.
struct Shrinking(std::cell::Cell<bool>, Vec<u8>);

impl AsRef<[u8]> for Shrinking {
    fn as_ref(&self) -> &[u8] {
        if self.0.replace(true) { &self.1[..self.1.len() / 2] } else { &self.1 }
    }
}

#[test]
fn a_buffer_that_shrinks_gives_no_panic() {
    for &kind in Kind::ALL {
        let members = hashes(1_000, 5);
        let buffer = Shrinking(std::cell::Cell::new(false), build(kind, 10.0, &members));
        let filter = Filter::decode_unverified(buffer).unwrap();
        let mut answers = vec![false; members.len()];
        filter.may_contain_hashes(&members, &mut answers);
        assert!(answers.iter().all(|answer| *answer), "what is gone says maybe");
        assert!(members.iter().all(|&hash| filter.may_contain_hash(hash)));
    }
}

#[test]
fn ten_bits_give_one_percent() {
    let bytes = build(Kind::DoubleProbe, 10.0, &hashes(200_000, 6));
    let filter = Filter::decode(&bytes).unwrap();
    assert!((filter.bits_per_key() - 10.0).abs() < 0.01);
    let absent = hashes(1_000_000, 7);
    let positives = absent.iter().filter(|&&hash| filter.may_contain_hash(hash)).count();
    assert!((9_400..10_400).contains(&positives), "{positives} false positives in a million");
}
