//! The filter that grows: no key is lost, the target holds, what is observed has consequences.

use bloom::{DecodeError, DynamicFilter, DynamicOptions, DynamicView, Kind, TARGETS};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn hashes(count: usize, seed: u64) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random()).collect()
}

fn grown(options: DynamicOptions, members: &[u64]) -> DynamicFilter {
    let mut filter = DynamicFilter::new(options).expect("valid options");
    for &hash in members {
        filter.insert_hash(hash);
    }
    filter
}

#[test]
fn it_grows_two_hundredfold_below_every_target() {
    let (members, absent) = (hashes(20_000, 1), hashes(100_000, 2));
    for kind in [Kind::DoubleProbe, Kind::Standard, Kind::Blocked, Kind::SplitBlock] {
        for target_rate in TARGETS {
            let options =
                DynamicOptions { target_rate, expected_keys: 100, kind, ..Default::default() };
            let filter = grown(options, &members);
            assert_eq!(filter.keys(), 20_000);
            assert_eq!(filter.layer_count(), 5);
            assert!(members.iter().all(|&hash| filter.may_contain_hash(hash)));
            let positives = absent.iter().filter(|&&hash| filter.may_contain_hash(hash)).count();
            let rate = positives as f64 / absent.len() as f64;
            // At the lowest target the sample is 100: two sigma are 20 %.
            assert!(rate < target_rate * 1.2, "{kind:?}: {rate} for {target_rate}");
        }
    }
}

#[test]
fn a_rate_over_the_target_is_noticed_and_a_rebuild_mends_it() {
    // Four bits a key cannot give 1 %: the filter must find out by itself.
    let starved = DynamicOptions { bits_max: 4.0, expected_keys: 5_000, ..Default::default() };
    let (members, absent) = (hashes(5_000, 3), hashes(40_000, 4));
    let mut filter = grown(starved, &members);
    assert!(!filter.wants_rebuild());
    assert_eq!(filter.observed(), None);
    for &hash in &absent[..999] {
        filter.record_absent(filter.may_contain_hash(hash));
    }
    assert_eq!(filter.observed(), None, "the sample is one short");
    filter.record_absent(true);
    assert!(filter.wants_rebuild());

    let mut filter =
        DynamicFilter::new(DynamicOptions { expected_keys: 10, ..Default::default() }).unwrap();
    let before = filter.next_bits_per_key();
    for i in 0..1_000 {
        filter.record_absent(i % 20 == 0); // 5 %, as if hashes were bad
    }
    assert!((filter.next_bits_per_key() - before - 1.0).abs() < 1e-9, "one more bit a key");
    filter.rebuild(&members);
    assert_eq!((filter.keys(), filter.layer_count()), (5_000, 1));
    assert!(members.iter().all(|&hash| filter.may_contain_hash(hash)));
    for &hash in &absent {
        filter.record_absent(filter.may_contain_hash(hash));
    }
    let observed = filter.observed().unwrap();
    assert!(observed.low <= observed.rate && observed.rate <= observed.high);
    assert!(observed.high < 0.01 && observed.sample == 40_000, "{observed:?}");
}

#[test]
fn it_reads_back_and_every_cut_and_flip_is_refused() {
    let members = hashes(300, 5);
    for count in [0, 1, 10, 11, 300] {
        let options = DynamicOptions { expected_keys: 10, ..Default::default() };
        let filter = grown(options, &members[..count]);
        let bytes = filter.encode();
        let view = DynamicView::decode(&bytes).unwrap();
        for hash in hashes(2_000, 6).iter().chain(&members[..count]) {
            assert_eq!(view.may_contain_hash(*hash), filter.may_contain_hash(*hash));
        }
        for length in 0..bytes.len() {
            assert!(DynamicView::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(DynamicView::decode(&changed).is_err(), "bit {bit}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(DynamicView::decode(&longer), Err(DecodeError::Length { .. })));
    }
}

#[test]
fn senseless_options_are_refused() {
    let good = DynamicOptions::default();
    for bad in [
        DynamicOptions { target_rate: f64::NAN, ..good },
        DynamicOptions { target_rate: 0.0, ..good },
        DynamicOptions { target_rate: 1.0, ..good },
        DynamicOptions { kind: Kind::Ribbon, ..good },
        DynamicOptions { bits_min: 0.0, ..good },
        DynamicOptions { bits_min: f64::NAN, ..good },
        DynamicOptions { bits_max: 1.0, ..good },
        DynamicOptions { bits_max: 1e9, ..good },
    ] {
        assert!(DynamicFilter::new(bad).is_err(), "{bad:?}");
    }
    let mut smallest = DynamicFilter::new(DynamicOptions { expected_keys: 0, ..good }).unwrap();
    for hash in hashes(100, 7) {
        smallest.insert_hash(hash);
    }
    assert!(hashes(100, 7).iter().all(|&hash| smallest.may_contain_hash(hash)));
}
