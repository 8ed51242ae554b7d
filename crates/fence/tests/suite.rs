//! One suite for every layout: the oracle is `partition_point` over a plain sorted `Vec`.
//! `FENCE_SEEDS=200` tries as many seeds instead of one.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]
#![expect(clippy::big_endian_bytes, reason = "integer keys that order like integers")]

use std::ops::Range;

use fence::{Builder, Choice, DecodeError, Fence, Layout, Memory};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Keys = Vec<Vec<u8>>;

fn encode(layout: Layout, keys: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = Builder::new(layout);
    for key in keys {
        builder.push(key);
    }
    builder.finish()
}

fn rank(keys: &[Vec<u8>], key: &[u8]) -> usize {
    keys.partition_point(|separator| separator.as_slice() < key)
}

fn blocks(keys: &[Vec<u8>], lo: &[u8], hi: &[u8]) -> Range<usize> {
    let start = rank(keys, lo);
    if lo >= hi { start..start } else { start..(rank(keys, hi) + 1).min(keys.len()) }
}

fn sorted(mut keys: Keys) -> Keys {
    keys.sort();
    keys
}

fn random_bytes(rng: &mut StdRng, alphabet: &[u8], len: Range<usize>) -> Vec<u8> {
    let len = rng.random_range(len);
    (0..len).map(|_| alphabet[rng.random_range(0..alphabet.len())]).collect()
}

/// Sets that once broke such code, or should: each with a name.
fn key_sets(seed: u64) -> Vec<(String, Keys)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sets: Vec<(String, Keys)> = vec![
        ("none".into(), vec![]),
        ("one empty".into(), vec![vec![]]),
        ("one".into(), vec![b"m".to_vec()]),
        ("one long".into(), vec![vec![7; 65_535]]),
        ("all equal".into(), vec![b"same".to_vec(); 100]),
        ("all empty".into(), vec![vec![]; 40]),
        ("zeros of rising length".into(), (0..70).map(|n| vec![0; n]).collect()),
        ("ones of rising length".into(), (0..70).map(|n| vec![0xff; n]).collect()),
        ("prefixes of others".into(), (0..200).map(|n| b"abcd".repeat(60)[..n].to_vec()).collect()),
        (
            "equal first 30 bytes".into(),
            (0..500_u32).map(|n| format!("{}{n:06}", "p".repeat(30)).into_bytes()).collect(),
        ),
    ];
    for power in 0..11 {
        for count in [(1_u64 << power) - 1, 1 << power, (1 << power) + 1] {
            let keys = (0..count).map(|n| (n * 3 + 1).to_be_bytes().to_vec()).collect();
            sets.push((format!("{count} integers"), keys));
        }
    }
    for (alphabet, len) in [
        (&b"ab"[..], 0..6),
        (b"ab", 0..14),
        (b"ab", 8..30),
        (&[0, 1, 255], 0..12),
        (&[0, 255], 5..11),
        (b"abcdefghijklmnopqrstuvwxyz/", 3..50),
    ] {
        for count in [3, 17, 100, 700] {
            let keys = (0..count).map(|_| random_bytes(&mut rng, alphabet, len.clone())).collect();
            sets.push((format!("{count} random of {alphabet:?} {len:?}"), sorted(keys)));
        }
    }
    let paths = (0..2000).map(|_| {
        let depth = rng.random_range(2..6);
        let name = |_| {
            ["usr", "share", "doc", "lib", "x86_64-linux-gnu", "a", "b"][rng.random_range(0..7)]
        };
        format!("/{}", (0..depth).map(name).collect::<Vec<_>>().join("/")).into_bytes()
    });
    sets.push(("paths".into(), sorted(paths.collect())));
    let grouped = |n: u32| {
        let group = "/shared/by/a/group".repeat(1 + (n / 700) as usize);
        format!("{group}{:03}{}{n:07}", n / 700, "-".repeat((n / 90 % 7) as usize)).into_bytes()
    };
    sets.push(("groups of long prefixes".into(), sorted((0..5000).map(grouped).collect())));
    let huge = |n: u8| [vec![b'h'; 3000], vec![n / 3], vec![n; 4000], vec![n % 3; 5]].concat();
    sets.push(("huge".into(), sorted((0..200).map(huge).collect())));
    let doubled = (0..3000_u32).map(|n| format!("key{:05}", n / 70).into_bytes());
    sets.push(("runs of equal keys".into(), doubled.collect()));
    sets
}

/// Keys at, just below, just above and around each separator, and some at random.
fn questions(keys: &[Vec<u8>], rng: &mut StdRng) -> Keys {
    let mut asked: Keys =
        vec![vec![], vec![0], vec![0xff; 9], vec![0xff; 80], vec![0; 8], vec![0; 90]];
    let step = (keys.len() / 150).max(1);
    for key in keys.iter().step_by(step).chain(keys.last()) {
        asked.push(key.clone());
        asked.push([&key[..], &[0]].concat());
        asked.push([&key[..], &[0xff]].concat());
        if let Some((last, head)) = key.split_last() {
            asked.push(head.to_vec());
            asked.push([head, &[last.wrapping_sub(1)]].concat());
            asked.push([head, &[last.wrapping_add(1)]].concat());
        }
        let mut changed = key.clone();
        if !changed.is_empty() {
            let at = rng.random_range(0..changed.len());
            changed[at] = rng.random();
            asked.push(changed.clone());
            changed.truncate(at + 1);
            asked.push(changed);
        }
    }
    asked.extend((0..50).map(|_| random_bytes(rng, &[0, 1, 97, 98, 255], 0..20)));
    asked
}

fn check_answers(name: &str, keys: &[Vec<u8>], fence: &Fence<impl AsRef<[u8]>>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let asked = questions(keys, &mut rng);
    assert_eq!(fence.len(), keys.len(), "{name}");
    assert_eq!(fence.is_empty(), keys.is_empty(), "{name}");
    for (rank, key) in keys.iter().enumerate() {
        assert_eq!(&fence.separator(rank), key, "{name}: separator {rank}");
    }
    for key in &asked {
        assert_eq!(fence.find(key), rank(keys, key), "{name}: {key:?}");
        assert_eq!(fence.may_contain(key), rank(keys, key) < keys.len(), "{name}: {key:?}");
    }
    let mut ranks = vec![usize::MAX; asked.len()];
    fence.find_many(&asked, &mut ranks);
    let expected: Vec<usize> = asked.iter().map(|key| rank(keys, key)).collect();
    assert_eq!(ranks, expected, "{name}");
    for _ in 0..200 {
        let lo = &asked[rng.random_range(0..asked.len())];
        let hi = &asked[rng.random_range(0..asked.len())];
        assert_eq!(fence.find_range(lo, hi), blocks(keys, lo, hi), "{name}: {lo:?}..{hi:?}");
        let overlaps = lo < hi && rank(keys, lo) < keys.len();
        assert_eq!(fence.may_overlap(lo, hi), overlaps, "{name}: {lo:?}..{hi:?}");
    }
}

/// How many seeds to try: `FENCE_SEEDS`, or one.
fn seeds() -> u64 {
    std::env::var("FENCE_SEEDS").map_or(1, |seeds| seeds.parse().unwrap())
}

fn answers_equal_partition_point(layout: Layout) {
    for seed in 0..seeds() {
        for (name, keys) in key_sets(seed) {
            let name = format!("{name}, seed {seed}");
            let bytes = encode(layout, &keys);
            let fence = Fence::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            check_answers(&name, &keys, &fence, seed);
        }
    }
}

fn buffers_need_no_alignment(layout: Layout) {
    let (name, keys) = key_sets(7).pop().unwrap();
    let bytes = encode(layout, &keys);
    for shift in [1, 3, 8, 33] {
        let moved = [vec![0; shift], bytes.clone()].concat();
        check_answers(&name, &keys, &Fence::decode(&moved[shift..]).unwrap(), 1);
    }
}

fn bounds_prune(layout: Layout) {
    let mut builder = Builder::new(layout);
    builder.push(b"h");
    builder.push(b"p");
    builder.set_bounds(b"ccc", b"ooo");
    let bytes = builder.finish();
    let fence = Fence::decode(&bytes).unwrap();
    assert_eq!(fence.smallest(), Some(&b"ccc"[..]));
    assert_eq!(fence.largest(), Some(&b"ooo"[..]));
    for (key, may) in
        [("", false), ("cc", false), ("ccc", true), ("h", true), ("ooo", true), ("oooa", false)]
    {
        assert_eq!(fence.may_contain(key.as_bytes()), may, "{key}");
    }
    for (lo, hi, may) in [
        ("a", "ccc", false),
        ("a", "ccca", true),
        ("ooo", "z", true),
        ("oooa", "z", false),
        ("m", "d", false),
        ("d", "d", false),
    ] {
        assert_eq!(fence.may_overlap(lo.as_bytes(), hi.as_bytes()), may, "{lo}..{hi}");
    }
    assert_eq!(Fence::decode(encode(layout, &[])).unwrap().smallest(), None);
}

/// Small sets of each shape, for tests that take every byte in turn.
fn small_sets() -> Vec<Keys> {
    vec![
        vec![],
        vec![b"only".to_vec()],
        (0..40_u64).map(|n| (n * n).to_be_bytes().to_vec()).collect(),
        (0..40_u64)
            .map(|n| [&b"shared/prefix/"[..], &(n * 7).to_be_bytes(), b"tail"].concat())
            .collect(),
        sorted(
            (0..50_u32)
                .map(|n| format!("k{}", n * n % 97).repeat(1 + n as usize % 5).into())
                .collect(),
        ),
    ]
}

fn every_flip_is_refused(layout: Layout) {
    for keys in small_sets() {
        let bytes = encode(layout, &keys);
        assert!(Fence::decode(&bytes).is_ok());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(Fence::decode(&bad).is_err(), "byte {at}, bit {bit}");
            }
        }
    }
}

fn every_cut_is_refused(layout: Layout) {
    for keys in small_sets() {
        let bytes = encode(layout, &keys);
        for len in 0..bytes.len() {
            let error = Fence::decode(&bytes[..len]).unwrap_err();
            assert!(matches!(error, DecodeError::Length { .. }), "{len}: {error}");
        }
        assert!(Fence::decode([&bytes[..], &[0]].concat()).is_err(), "a byte too many");
    }
}

/// Puts the right checksum on changed bytes.
fn forge(bytes: &mut [u8]) {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
}

/// Bytes with a forged checksum may give wrong ranks, never a panic or a rank beyond the end.
fn forged_bytes_do_no_harm(layout: Layout) {
    let mut rng = StdRng::seed_from_u64(11);
    let mut accepted = 0;
    for keys in small_sets() {
        let bytes = encode(layout, &keys);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= rng.random_range(1..=255);
            if rng.random() {
                let other = rng.random_range(0..bad.len());
                bad[other] = rng.random();
            }
            forge(&mut bad);
            let Ok(fence) = Fence::decode(&bad) else { continue };
            accepted += 1;
            for key in
                keys.iter().step_by(7).chain(&[vec![], vec![0xff; 40], b"shared/prefix/".to_vec()])
            {
                assert!(fence.find(key) <= fence.len());
                let range = fence.find_range(key, &[0xff; 4]);
                assert!(range.start <= range.end && range.end <= fence.len());
            }
            let mut ranks = vec![0; keys.len()];
            fence.find_many(&keys, &mut ranks);
            assert!(ranks.iter().all(|rank| *rank <= fence.len()));
            for rank in 0..fence.len().min(100) {
                assert!(fence.separator(rank).len() <= bad.len(), "no more than there is");
            }
        }
    }
    assert!(accepted > 100, "the test must reach the search: {accepted}");
}

fn equal_input_gives_equal_bytes(layout: Layout) {
    let keys = small_sets().pop().unwrap();
    assert_eq!(encode(layout, &keys), encode(layout, &keys));
    let fence = Fence::decode(encode(layout, &keys)).unwrap();
    let again: Keys = (0..fence.len()).map(|rank| fence.separator(rank)).collect();
    assert_eq!(encode(layout, &again), fence.clone().into_inner());
    assert_eq!(fence.memory_usage(), encode(layout, &keys).len() + size_of_val(&fence));
}

fn built(keys: &[Vec<u8>], memory: Memory) -> (Choice, Fence<Vec<u8>>) {
    let mut builder = Builder::new(Layout::Adaptive);
    builder.set_memory(memory);
    for key in keys {
        builder.push(key);
    }
    let choice = builder.choose();
    (choice, Fence::decode(builder.finish()).unwrap())
}

#[test]
fn adaptive_answers_like_the_layout_it_names() {
    for (name, keys) in key_sets(7) {
        for memory in [Memory::Plenty, Memory::Tight] {
            let (choice, fence) = built(&keys, memory);
            assert_eq!(fence.layout(), choice.layout, "{name}");
            assert_ne!(choice.layout, Layout::Adaptive, "{name}");
            check_answers(&name, &keys, &fence, 7);
        }
    }
}

#[test]
fn adaptive_chooses_by_shape() {
    let mut rng = StdRng::seed_from_u64(5);
    let even: Keys = (0..5000_u64).map(|n| (n << 40).to_be_bytes().to_vec()).collect();
    let skewed = (0..5000).map(|_| (rng.random::<u64>() >> rng.random_range(0..60)).to_be_bytes());
    let mut skewed = sorted(skewed.map(|key| key.to_vec()).collect());
    skewed.dedup();
    let paths = (0..5000_u32).map(|n| format!("/srv/{}/shared/by/many/{n:09}", n / 500).into());
    let paths: Keys = sorted(paths.collect());
    for (keys, memory, layout) in [
        (&even, Memory::Plenty, Layout::Linear),
        (&skewed, Memory::Plenty, Layout::Wide),
        (&paths, Memory::Plenty, Layout::PrefixTree),
        (&paths, Memory::Tight, Layout::Compressed),
        (&paths[..16].to_vec(), Memory::Plenty, Layout::FastLane),
    ] {
        let (choice, _) = built(keys, memory);
        assert_eq!(choice.layout, layout, "{choice}");
    }
}

macro_rules! suite {
    ($($name:ident: $layout:expr;)*) => {
        $(mod $name {
            use super::*;

            suite!(@tests $layout, answers_equal_partition_point,
                buffers_need_no_alignment, bounds_prune,
                every_flip_is_refused, every_cut_is_refused, forged_bytes_do_no_harm,
                equal_input_gives_equal_bytes);
        })*

        #[test]
        fn no_layout_is_forgotten() {
            assert_eq!(Layout::ALL, [$($layout),*]);
        }
    };
    (@tests $layout:expr, $($test:ident),*) => {
        $(#[test]
        fn $test() {
            super::$test($layout);
        })*
    };
}

suite! {
    standard: Layout::Standard;
    eytzinger: Layout::Eytzinger;
    fastlane: Layout::FastLane;
    wide: Layout::Wide;
    prefix_tree: Layout::PrefixTree;
    linear: Layout::Linear;
    compressed: Layout::Compressed;
}

#[test]
#[should_panic(expected = "separators must ascend")]
fn descending_separators_are_a_bug() {
    let mut builder = Builder::new(Layout::Standard);
    builder.push(b"b");
    builder.push(b"a");
}

#[test]
#[should_panic(expected = "rank 1 of 1 separators")]
fn a_separator_beyond_the_end_is_a_bug() {
    let bytes = encode(Layout::Standard, &[b"a".to_vec()]);
    drop(Fence::decode(bytes).unwrap().separator(1));
}

#[test]
fn errors_say_what_is_wrong() {
    let bytes = encode(Layout::Standard, &[b"a".to_vec()]);
    let with = |at: usize, value: u8| {
        let mut bad = bytes.clone();
        bad[at] = value;
        forge(&mut bad);
        Fence::decode(bad).unwrap_err()
    };
    assert!(matches!(with(0, 0), DecodeError::Magic { .. }));
    assert_eq!(with(4, 9), DecodeError::Version { found: 9 });
    assert_eq!(with(5, 99), DecodeError::Layout { found: 99 });
    assert!(matches!(with(16, 2), DecodeError::Corrupt { .. }));
    assert!(matches!(with(24, 2), DecodeError::Length { .. }));
    let mut bad = bytes.clone();
    bad[70] ^= 1;
    let error = Fence::decode(bad).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}
