//! `ConcurrentSkipList` against a `BTreeMap`, with snapshots kept as copies of it.

use fastskip::map::Entry;
use fastskip::{BatchError, ConcurrentSkipList, InsertError, Snapshot};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::ops::Bound;

/// `None` is a tombstone.
type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn expected<'a>((key, value): (&'a Vec<u8>, &'a Option<Vec<u8>>)) -> Entry<'a> {
    let is_tombstone = value.is_none();
    Entry { key, value: value.as_deref().unwrap_or(b""), is_tombstone }
}

fn compare_snapshot(snapshot: &Snapshot<'_>, model: &Model) {
    assert!(snapshot.iter().eq(model.iter().map(expected)));
    assert!(snapshot.iter().rev().eq(model.iter().rev().map(expected)));
    for (key, value) in model.iter().step_by(7) {
        let answer = (value.as_deref().unwrap_or(b""), value.is_none());
        assert_eq!(snapshot.get(key), Some(answer));
        assert_eq!(snapshot.contains_key(key), value.is_some());
    }
    assert_eq!(snapshot.get(b"never there"), None);
}

fn compare(list: &ConcurrentSkipList, model: &Model, rng: &mut StdRng) {
    assert!(list.iter().eq(model.iter().map(expected)));
    assert!(list.iter().rev().eq(model.iter().rev().map(expected)));
    assert_eq!(list.len(), model.values().flatten().count());
    let (a, b) = (random_key(rng), random_key(rng));
    let bounds = |a: Vec<u8>, b: Vec<u8>, how: u8| match how {
        0 => (Bound::Included(a), Bound::Excluded(b)),
        1 => (Bound::Excluded(a), Bound::Included(b)),
        2 => (Bound::Unbounded, Bound::Included(b)),
        _ => (Bound::Excluded(a), Bound::Unbounded),
    };
    let range = bounds(a.clone().min(b.clone()), a.clone().max(b), rng.random_range(0..4));
    if range.0 != range.1 {
        assert!(list.range(range.clone()).eq(model.range(range.clone()).map(expected)));
        assert!(list.range(range.clone()).rev().eq(model.range(range.clone()).rev().map(expected)));
        // From both ends until they meet.
        let (mut ours, mut theirs) = (list.range(range.clone()), model.range(range).map(expected));
        loop {
            let (one, other) = match rng.random_range(0..2) {
                0 => (ours.next(), theirs.next()),
                _ => (ours.next_back(), theirs.next_back()),
            };
            assert_eq!(one, other);
            if one.is_none() {
                break;
            }
        }
    }
    let prefix = &a[..rng.random_range(0..=a.len())];
    let with_prefix = model.iter().filter(|(key, _)| key.starts_with(prefix)).map(expected);
    assert!(list.prefix(prefix).eq(with_prefix.clone()));
    assert!(list.prefix(prefix).rev().eq(with_prefix.rev()));
    compare_cursor(list, model, &a);
}

fn compare_cursor(list: &ConcurrentSkipList, model: &Model, key: &[u8]) {
    let at = |entry: Option<(&Vec<u8>, &Option<Vec<u8>>)>| {
        entry.map(|(key, value)| (key.clone(), value.clone().unwrap_or_default()))
    };
    let mine = |entry: Option<Entry<'_>>| entry.map(|e| (e.key.to_vec(), e.value.to_vec()));
    let mut cursor = list.cursor();
    assert_eq!(mine(cursor.entry()), at(model.iter().next()));
    assert_eq!(cursor.seek(key), model.range(key.to_vec()..).next().is_some());
    assert_eq!(mine(cursor.entry()), at(model.range(key.to_vec()..).next()));
    let found = list.cursor_at(key).and_then(|cursor| cursor.entry());
    assert_eq!(mine(found), at(model.range(key.to_vec()..).next()));
    let was_valid = cursor.valid();
    assert_eq!(cursor.prev_entry(), was_valid && model.range(..key.to_vec()).next().is_some());
    if was_valid {
        assert_eq!(mine(cursor.entry()), at(model.range(..key.to_vec()).next_back()));
    }
    cursor.seek_for_prev(key);
    assert_eq!(mine(cursor.entry()), at(model.range(..=key.to_vec()).next_back()));
    assert_eq!(cursor.seek_to_last(), !model.is_empty());
    assert_eq!(mine(cursor.next()), at(model.iter().next_back()));
    assert!(!cursor.valid() && !cursor.next_entry() && !cursor.prev_entry());
    cursor.seek_to_first();
    assert!(cursor.map(|entry| entry.key.to_vec()).eq(model.keys().cloned()));
}

fn random_key(rng: &mut StdRng) -> Vec<u8> {
    let n = rng.random_range(0..400_u32);
    match n % 4 {
        0 => vec![0xff; n as usize % 7],
        1 => format!("k{n:04}").into_bytes(),
        2 => format!("users/{}", n / 20).into_bytes(),
        _ => vec![n.to_le_bytes()[0]],
    }
}

fn apply(list: &ConcurrentSkipList, model: &mut Model, step: u32, rng: &mut StdRng) {
    let (key, value) = (random_key(rng), step.to_le_bytes().to_vec());
    let known = model.get(&key).cloned();
    let is_live = known.as_ref().is_some_and(Option::is_some);
    match rng.random_range(0..6) {
        0 | 1 => {
            assert_eq!(list.insert(&key, &value), !is_live);
            if !is_live {
                model.insert(key, Some(value));
            }
        }
        2 => {
            assert_eq!(list.put(&key, &value), Ok(is_live));
            model.insert(key, Some(value));
        }
        3 => {
            assert_eq!(list.delete(&key), is_live);
            model.insert(key, None);
        }
        4 => {
            let stored = known.flatten();
            let answer = (stored.as_deref().unwrap_or(&value), !is_live);
            assert_eq!(list.get_or_insert(&key, &value), answer);
            model.insert(key, Some(stored.unwrap_or(value)));
        }
        _ => {
            assert_eq!(list.try_insert(&key, &value).is_ok(), !is_live);
            let entry = model.entry(key).or_insert(None);
            *entry = Some(entry.take().unwrap_or(value));
        }
    }
}

/// A batch does what its inserts would do one after the other, keys named twice included.
#[test]
fn batches_match_single_inserts() {
    for seed in 0..4 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (list, mut model) = (ConcurrentSkipList::with_shards(2), Model::new());
        for round in 0..60_u32 {
            let mut pair = |_| (random_key(&mut rng), round.to_le_bytes().to_vec());
            let batch: Vec<_> = (0..round % 50).map(&mut pair).collect();
            let mut succeeded = 0;
            for (key, value) in &batch {
                let slot = model.entry(key.clone()).or_insert(None);
                succeeded += usize::from(slot.is_none());
                slot.get_or_insert_with(|| value.clone());
            }
            let failed = batch.len() - succeeded;
            let answer = match failed {
                0 => Ok(succeeded),
                _ => Err(BatchError::PartialFailure { succeeded, failed }),
            };
            assert_eq!(list.insert_batch(&batch), answer);
            let deleted = random_key(&mut rng);
            list.delete(&deleted);
            model.insert(deleted, None);
            compare(&list, &model, &mut rng);
        }
    }
}

/// Of several batches with the same keys, one inserts each key, whoever writes beside them.
#[test]
fn of_equal_batches_one_inserts_each_key() {
    let keys: Vec<_> = (0..4_000_u32).map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let list = &ConcurrentSkipList::with_shards(1);
    let keys = &keys;
    let insert_all = move |thread: u8| {
        let entries: Vec<_> = keys.iter().map(|key| (key, [thread])).collect();
        let count = |batch| match list.insert_batch(batch) {
            Ok(count) => count,
            Err(BatchError::PartialFailure { succeeded, .. }) => succeeded,
        };
        entries.chunks(100).map(count).sum::<usize>()
    };
    let inserted: usize = std::thread::scope(|scope| {
        let threads = (0..4).map(|thread| scope.spawn(move || insert_all(thread)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((inserted, list.len()), (keys.len(), keys.len()));
    assert!(keys.iter().all(|key| list.contains_key(key)));
}

#[test]
fn random_operations_match_a_btree_map() {
    for seed in 0..4 {
        let mut rng = StdRng::seed_from_u64(seed);
        let list = ConcurrentSkipList::with_shards(2);
        let mut model = Model::new();
        let mut snapshots = vec![(list.snapshot(), model.clone())];
        for step in 0..3_000 {
            apply(&list, &mut model, step, &mut rng);
            if step % 100 == 0 {
                compare(&list, &model, &mut rng);
                snapshots.push((list.snapshot(), model.clone()));
                let one = rng.random_range(0..snapshots.len());
                compare_snapshot(&snapshots[one].0, &snapshots[one].1);
            }
        }
        let keys: Vec<_> = (0..100).map(|_| random_key(&mut rng)).collect();
        let values = keys.iter().map(|key| model.get(key).and_then(|value| value.as_deref()));
        assert!(list.get_many(&keys).into_iter().eq(values));
        for (snapshot, model) in &snapshots {
            compare_snapshot(snapshot, model);
        }
        let (frozen, fresh) = list.seal().unwrap();
        assert!(frozen.iter().eq(model.iter().map(expected)));
        compare_snapshot(&frozen.snapshot(), &model);
        assert_eq!(list.try_insert(b"new", b""), Err(InsertError::Sealed));
        assert!(fresh.is_empty() && fresh.iter().next().is_none() && !fresh.is_sealed());
    }
}
