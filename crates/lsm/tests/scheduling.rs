//! When and how compactions run: in parts side by side, paced, whatever the strategy.

use std::collections::BTreeMap;

use lsm::compaction::{Granularity, Selection, Strategy};
use lsm::{Codec, Db, Durability, Options, Pressure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn options(strategy: Strategy) -> Options {
    Options {
        strategy,
        write_buffer_bytes: 128 << 10,
        table_bytes: 16 << 10,
        size_ratio: 4,
        codec: Codec::None,
        background_threads: 3,
        durability: Durability::None,
        ..Options::default()
    }
}

fn key(n: u32) -> String {
    format!("key{n:06}")
}

/// Random puts and deletes, in the database and in the model.
fn churn(db: &Db, model: &mut BTreeMap<String, u64>, rng: &mut StdRng, steps: u32) {
    for _ in 0..steps {
        let (key, value) = (key(rng.random_range(0..20_000)), rng.random::<u64>());
        if value.is_multiple_of(5) {
            db.delete(&key).expect("ok");
            model.remove(&key);
        } else {
            db.put(&key, [value.to_le_bytes(); 8].concat()).expect("ok");
            model.insert(key, value);
        }
    }
}

fn same(db: &Db, model: &BTreeMap<String, u64>) {
    let found = db.scan::<&[u8]>(..).expect("ok").map(|item| {
        let (key, value) = item.expect("ok");
        let key = String::from_utf8(key.to_vec()).expect("text");
        assert_eq!(value.len(), 64);
        (key, u64::from_le_bytes(value[..8].try_into().expect("ok")))
    });
    assert!(
        found.eq(model.iter().map(|(key, value)| (key.clone(), *value))),
        "the database differs"
    );
}

#[test]
fn large_merges_are_cut_into_parts_and_nothing_is_lost_between_them() {
    let folder = tempfile::tempdir().expect("ok");
    let db = Db::open(folder.path(), options(Strategy::Leveled)).expect("ok");
    let (mut model, mut rng) = (BTreeMap::new(), StdRng::seed_from_u64(11));
    for _ in 0..4 {
        churn(&db, &mut model, &mut rng, 15_000);
        db.compact().expect("ok");
        same(&db, &model);
    }
    let stats = db.stats();
    assert!(stats.compaction_parts > stats.compactions, "{stats:?}");
    assert_eq!(stats.table_tombstones, 0, "everything is in the last level");
    db.wait_idle().expect("ok");
    db.verify().expect("ok");
}

#[test]
fn every_selection_keeps_the_database_equal_to_its_model() {
    let all = [
        Selection::LeastOverlap,
        Selection::RoundRobin,
        Selection::MostTombstones,
        Selection::Oldest,
        Selection::Coldest,
    ];
    for (n, selection) in all.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("ok");
        let strategy = if n % 2 == 0 {
            Strategy::Partial(selection)
        } else {
            let granularity = Granularity::Partial(selection);
            Strategy::Fluid { inner_runs: 1, last_runs: 1, granularity }
        };
        let db = Db::open(folder.path(), options(strategy)).expect("ok");
        let (mut model, mut rng) = (BTreeMap::new(), StdRng::seed_from_u64(n as u64));
        for _ in 0..3 {
            churn(&db, &mut model, &mut rng, 8_000);
            for _ in 0..500 {
                let key = key(rng.random_range(0..2_000));
                let found = db.get(&key).expect("ok");
                assert_eq!(found.is_some(), model.contains_key(&key));
            }
        }
        db.wait_idle().expect("ok");
        same(&db, &model);
        let stats = db.stats();
        assert!(stats.compactions > 0, "{selection:?}: {stats:?}");
        assert_eq!((stats.pressure, stats.write_delay_us_per_mib), (Pressure::None, 0));
    }
}
