//! The simulator against the real engine: the same load and updates, compaction kept up in both,
//! and write and space amplification compared.

use lsm::{Codec, Db, Durability, Options};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use compaction::Strategy;
use compaction::simulate::{Setup, Workload, simulate};

const ENTRIES: u32 = 60_000;
const ENTRY_BYTES: f64 = 116.0;
const BUFFER_BYTES: usize = 128 << 10;

/// What one phase cost, per byte of keys and values.
#[derive(Debug)]
struct Measured {
    load: f64,
    updates: f64,
    space: f64,
    flush_bytes: f64,
    stored_bytes: f64,
}

fn put(db: &Db, key: u32, rng: &mut StdRng) {
    let mut value = [0u8; 100];
    rng.fill(&mut value);
    db.put(format!("{key:016}"), value).expect("a put");
}

fn measure(strategy: Strategy, size_ratio: u32) -> Measured {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        strategy,
        size_ratio,
        write_buffer_bytes: BUFFER_BYTES,
        table_bytes: BUFFER_BYTES as u64,
        codec: Codec::None,
        durability: Durability::None,
        ..Options::default()
    };
    let db = Db::open(folder.path(), options).expect("a database");
    let mut rng = StdRng::seed_from_u64(5);
    let mut order: Vec<u32> = (0..ENTRIES).collect();
    order.shuffle(&mut rng);
    let user = f64::from(ENTRIES) * ENTRY_BYTES;
    let keep_up = |step: usize| {
        if step.is_multiple_of(200) {
            db.wait_idle().expect("compaction");
        }
    };
    for (step, key) in order.into_iter().enumerate() {
        put(&db, key, &mut rng);
        keep_up(step);
    }
    db.wait_idle().expect("compaction");
    let written = |stats: &lsm::Stats| (stats.flush_bytes + stats.compaction_write_bytes) as f64;
    let loaded = db.stats();
    let (mut space, mut samples) = (0.0, 0.0);
    for step in 0..ENTRIES as usize {
        let key = rng.random_range(0..ENTRIES);
        put(&db, key, &mut rng);
        keep_up(step);
        if step.is_multiple_of(1000) {
            space += db.stats().table_bytes as f64;
            samples += 1.0;
        }
    }
    db.wait_idle().expect("compaction");
    let end = db.stats();
    Measured {
        load: written(&loaded) / user,
        updates: (written(&end) - written(&loaded)) / user,
        space: space / samples / user,
        flush_bytes: loaded.flush_bytes as f64 / loaded.flushes as f64,
        stored_bytes: end.table_bytes as f64 / end.table_entries as f64,
    }
}

#[test]
fn the_prediction_is_what_the_engine_does() {
    for (strategy, size_ratio) in
        [(Strategy::Leveled, 4), (Strategy::LazyLeveled, 4), (Strategy::Tiered, 4)]
    {
        let real = measure(strategy, size_ratio);
        let options = compaction::Options {
            size_ratio,
            base_bytes: 4 * BUFFER_BYTES as u64,
            target_table_bytes: BUFFER_BYTES as u64,
            max_job_bytes: 16 << 20,
            ..compaction::Options::new(strategy)
        };
        // A memtable holds less than its bytes: the engine counts its own structure too.
        let buffer_bytes = real.flush_bytes * ENTRY_BYTES / real.stored_bytes;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let setup = Setup {
            options,
            write_buffer_bytes: buffer_bytes as u64,
            overhead_bytes: real.stored_bytes - ENTRY_BYTES,
            ..Setup::default()
        };
        let workload = Workload { entries: ENTRIES.into(), ..Workload::default() };
        let predicted = simulate(&workload, &setup).expect("valid options");
        for (what, predicted, real) in [
            ("load", predicted.load_write_amplification, real.load),
            ("updates", predicted.write_amplification, real.updates),
            ("space", predicted.space_amplification, real.space),
        ] {
            let ratio = predicted / real;
            assert!((0.85..1.15).contains(&ratio), "{strategy:?} {what}: {predicted} for {real}");
        }
    }
}
