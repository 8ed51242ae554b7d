//! Random operations compared with a `BTreeMap`, contents and order, through the public face.
#![expect(clippy::big_endian_bytes, reason = "keys whose order is that of the numbers")]
#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use fastskip::{BatchStopped, Cursor, Entry, InsertError, Options, SkipList};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Deref;

type At = (Vec<u8>, Reverse<u64>);
type Model = BTreeMap<At, Vec<u8>>;

/// Families of keys that stress the hints in different ways.
const FAMILIES: usize = 8;

fn random_key(family: usize, rng: &mut StdRng, keys: u32) -> Vec<u8> {
    let n = rng.random_range(0..keys);
    match family {
        0 => format!("{n:016}").into_bytes(),
        1 => (u64::from(n) << 40).to_be_bytes().to_vec(),
        2 => u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec(),
        3 => vec![b'a'; n as usize % 70],
        4 => format!("a long common prefix of some forty bytes/{n:x}").into_bytes(),
        5 => (0..n % 40).map(|_| rng.random_range(0..2)).collect(),
        6 => [0_u8, 0, 0, n.to_le_bytes()[0] % 3].repeat(n as usize % 9),
        _ => {
            format!("{}/{}", ["", "x", "users", "users\0", "\u{ff}"][n as usize % 5], n / 5).into()
        }
    }
}

fn as_model((key, Reverse(version)): &At, value: &[u8]) -> (Vec<u8>, u64, Vec<u8>) {
    (key.clone(), *version, value.to_vec())
}

fn owned(entry: Entry<'_>) -> (Vec<u8>, u64, Vec<u8>) {
    (entry.key.to_vec(), entry.version, entry.value.to_vec())
}

fn assert_position<L: Deref<Target = SkipList>>(
    cursor: &Cursor<L>,
    expected: Option<(&At, &Vec<u8>)>,
    what: &str,
) {
    let expected = expected.map(|(key, value)| as_model(key, value));
    assert_eq!(cursor.entry().map(owned), expected, "{what}");
    assert_eq!(cursor.valid(), expected.is_some());
}

fn compare_all(list: &SkipList, model: &Model) {
    assert_eq!(list.len(), model.len());
    let mut cursor = list.cursor();
    assert!(!cursor.valid());
    cursor.seek_to_first();
    for (key, value) in model {
        assert_eq!(cursor.entry().map(owned), Some(as_model(key, value)));
        cursor.advance();
    }
    assert!(!cursor.valid());
    cursor.advance();
    cursor.retreat();
    assert!(!cursor.valid());
    cursor.seek_to_last();
    for (key, value) in model.iter().rev() {
        assert_eq!(cursor.entry().map(owned), Some(as_model(key, value)));
        cursor.retreat();
    }
    assert!(!cursor.valid());
}

fn compare_at(list: &SkipList, model: &Model, key: Vec<u8>, version: u64) {
    let at = (key, Reverse(version));
    let expected = model.range(&at..).next().filter(|(found, _)| found.0 == at.0);
    let expected = expected.map(|(key, value)| as_model(key, value));
    assert_eq!(list.get(&at.0, version).map(owned), expected, "get {at:?}");
    let mut cursor = list.cursor();
    cursor.seek(&at.0, version);
    assert_position(&cursor, model.range(&at..).next(), "seek");
    cursor.retreat();
    if model.range(&at..).next().is_some() {
        assert_position(&cursor, model.range(..&at).next_back(), "retreat after seek");
    }
    cursor.seek_for_prev(&at.0, version);
    assert_position(&cursor, model.range(..=&at).next_back(), "seek_for_prev");
    if cursor.valid() {
        cursor.advance();
        let next = model.range((Excluded(&at), Unbounded)).next();
        assert_position(&cursor, next, "advance");
        let left = model.range(..=&at).next_back();
        let same = next.zip(left).is_some_and(|(next, left)| next.0.0 == left.0.0);
        assert_eq!(cursor.repeats(), same, "the key before {:?}", cursor.entry());
    }
}

#[test]
fn random_operations_match_a_btree_map() {
    let rounds = std::env::var("FASTSKIP_MODEL_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    for seed in 0..rounds * FAMILIES as u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let family = seed as usize % FAMILIES;
        let keys = [30, 3_000, 1_000_000][seed as usize / FAMILIES % 3];
        let versions = [1, 4, 1_000][rng.random_range(0..3)];
        let list = SkipList::with_options(&Options { chunk_bytes: 1 << 16, ..Options::default() });
        let mut model = Model::new();
        for step in 0..4_000 {
            let key = random_key(family, &mut rng, keys);
            let version = rng.random_range(0..versions) + u64::from(versions == 1) * step;
            if rng.random_range(0..4) > 0 {
                let value: Vec<u8> = step.to_le_bytes()[..rng.random_range(0..8)].to_vec();
                let inserted = list.insert(&key, version, &value);
                let at = (key, Reverse(version));
                match model.entry(at) {
                    Slot::Occupied(_) => assert_eq!(inserted, Err(InsertError::Duplicate)),
                    Slot::Vacant(slot) => {
                        assert_eq!(inserted, Ok(()), "seed {seed}");
                        slot.insert(value);
                    }
                }
            } else {
                compare_at(&list, &model, key, version);
            }
        }
        compare_all(&list, &model);
    }
}

#[test]
fn ascending_descending_and_interleaved_inserts() {
    let orders: [fn(u64) -> u64; 4] =
        [|n| n, |n| 20_000 - n, |n| n % 7 * 10_000 + n / 7, |n| n.reverse_bits() >> 44];
    for order in orders {
        let list = SkipList::new();
        let mut model = Model::new();
        for n in 0..20_000 {
            let key = format!("{:016}", order(n)).into_bytes();
            list.insert(&key, n, &n.to_le_bytes()).unwrap();
            model.insert((key, Reverse(n)), n.to_le_bytes().to_vec());
        }
        compare_all(&list, &model);
    }
}

#[test]
fn many_versions_of_one_key() {
    let list = SkipList::new();
    let mut model = Model::new();
    for n in 0..5_000_u64 {
        let version = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        for (key, version) in [(&b"hot"[..], version), (b"hotter", n), (b"ho", u64::MAX - n)] {
            list.insert(key, version, &n.to_le_bytes()).unwrap();
            model.insert((key.to_vec(), Reverse(version)), n.to_le_bytes().to_vec());
        }
    }
    compare_all(&list, &model);
    for n in 0..2_000_u64 {
        for key in ["ho", "hot", "hotter", "hottest", ""] {
            compare_at(&list, &model, key.into(), n.wrapping_mul(0x1234_5678_9abc_def1) >> 20);
            compare_at(&list, &model, key.into(), n);
        }
    }
}

#[test]
fn empty_list_and_extreme_entries() {
    let list = SkipList::new();
    assert!(list.is_empty());
    assert_eq!(list.get(b"", u64::MAX), None);
    compare_all(&list, &Model::new());
    compare_at(&list, &Model::new(), Vec::new(), 0);
    let mut model = Model::new();
    let large = vec![7; 5 << 20];
    for (key, version, value) in [
        (&b""[..], 0, &b""[..]),
        (b"", u64::MAX, b"newest"),
        (b"\0", 0, b""),
        (b"\0\0", 5, &large),
        (&large[..70_000], 5, b"long key"),
        (&[0xff; 16], u64::MAX, b"x"),
        (&[0xff; 17], 0, b"x"),
    ] {
        list.insert(key, version, value).unwrap();
        assert_eq!(list.insert(key, version, b"other"), Err(InsertError::Duplicate));
        model.insert((key.to_vec(), Reverse(version)), value.to_vec());
    }
    compare_all(&list, &model);
    for (key, Reverse(version)) in model.keys() {
        for version in [0, *version, u64::MAX] {
            compare_at(&list, &model, key.clone(), version);
        }
    }
}

#[test]
fn seal_refuses_inserts_and_keeps_the_rest() {
    let list = SkipList::new();
    list.insert(b"k", 1, b"v").unwrap();
    assert!(!list.is_sealed());
    list.seal();
    list.seal();
    assert!(list.is_sealed());
    assert_eq!(list.insert(b"k", 2, b"v"), Err(InsertError::Sealed));
    assert_eq!(list.insert(b"k", 1, b"v"), Err(InsertError::Sealed));
    assert_eq!(list.len(), 1);
    assert_eq!(list.get(b"k", 9).unwrap().value, b"v");
}

#[test]
fn memory_is_bounded_and_counted() {
    for limit in [100_000, 1 << 20, 10 << 20] {
        for shards in [1, 7] {
            let options = Options { max_bytes: Some(limit), shards, ..Options::default() };
            let list = SkipList::with_options(&options);
            let (mut bytes, mut error) = (0, None);
            for n in 0..1_000_000_u64 {
                let value = vec![1; (n % 500) as usize];
                match list.insert(&n.to_be_bytes(), 0, &value) {
                    Ok(()) => bytes += 8 + value.len(),
                    Err(refused) => {
                        error = Some(refused);
                        break;
                    }
                }
                assert!(list.memory_usage() <= list.memory_reserved());
                assert!(list.memory_usage() >= bytes);
            }
            assert_eq!(error, Some(InsertError::OutOfMemory));
            assert!(list.memory_reserved() <= limit);
            assert!(bytes > limit * 3 / 5, "only {bytes} of {limit} used");
            assert_eq!(list.get(&0_u64.to_be_bytes(), 0).unwrap().value, b"");
        }
    }
}

#[test]
fn live_cursor_sees_later_inserts() {
    let list = SkipList::new();
    for n in (0..2_000_u32).step_by(2) {
        list.insert(&n.to_be_bytes(), 0, b"").unwrap();
    }
    let mut cursor = list.cursor();
    cursor.seek_to_first();
    for n in 0..2_000_u32 {
        assert_eq!(cursor.key(), n.to_be_bytes());
        if n % 2 == 0 {
            list.insert(&(n + 1).to_be_bytes(), 0, b"").unwrap();
        }
        cursor.advance();
    }
    assert!(!cursor.valid());
    cursor.seek_to_last();
    let far = [0xff; 5];
    list.insert(&far, 0, b"").unwrap();
    cursor.advance();
    assert_eq!(cursor.key(), far);
}

#[test]
fn batches_match_single_operations() {
    let mut rng = StdRng::seed_from_u64(77);
    for family in 0..FAMILIES {
        let list = SkipList::new();
        let mut model = Model::new();
        for step in 0..200_u64 {
            let size = rng.random_range(0..60);
            let keys: Vec<_> = (0..size).map(|_| random_key(family, &mut rng, 5_000)).collect();
            let found = list.get_many(&keys, step / 2);
            let expected = keys.iter().map(|key| list.get(key, step / 2));
            assert!(found.into_iter().eq(expected));
            let mut entries = Vec::new();
            for key in &keys {
                if let Slot::Vacant(slot) = model.entry((key.clone(), Reverse(step))) {
                    slot.insert(b"value".to_vec());
                    entries.push(Entry { key, version: step, value: b"value" });
                }
            }
            assert_eq!(list.insert_batch(&entries), Ok(()));
            if let [first, ..] = entries[..] {
                let fresh = Entry { key: b"fresh", version: step, ..first };
                let error = InsertError::Duplicate;
                let stopped = Err(BatchStopped { inserted: 1, error });
                assert_eq!(list.insert_batch(&[fresh, first, fresh]), stopped);
                model.insert((b"fresh".to_vec(), Reverse(step)), b"value".to_vec());
            }
        }
        compare_all(&list, &model);
    }
    let list = SkipList::new();
    list.seal();
    let entry = Entry { key: b"", version: 0, value: b"" };
    let stopped = BatchStopped { inserted: 0, error: InsertError::Sealed };
    assert_eq!(list.insert_batch(&[entry]), Err(stopped));
    assert_eq!(list.get_many(&[b"a", b"b"], 1), [None, None]);
}
