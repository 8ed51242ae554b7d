//! The whole engine in a simulated world: one seed decides operations, options, the order of
//! background jobs, faults, power cuts and what they leave; a model says which states may follow.
//!
//! A failing seed prints the command that replays it. `LSM_SIM_SEED=n` replays one seed and
//! prints what happens; `LSM_SIM_FIRST=n LSM_SIM_SEEDS=n` runs many, `LSM_SIM_SECONDS=n` limits
//! the time; `LSM_SIM_STEPS=n` sets the operations a seed.

#![expect(clippy::print_stdout, reason = "a replay tells what happens")]

mod history;
mod rot;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lsm::Codec;
use lsm::fs::Call;
use world::{Plan, Tally, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn plan(seed: u64, faults: bool) -> Plan {
    let steps = number("LSM_SIM_STEPS").unwrap_or(150);
    let steps = usize::try_from(steps).expect("a sensible number");
    Plan { seed, steps, faults, ..Plan::default() }
}

/// Kinds of operation that a run must not leave out.
const KINDS: [&str; 27] = [
    "bulk load",
    "change options",
    "checkpoint",
    "close",
    "compact",
    "conditional write",
    "drop a family",
    "flush",
    "get",
    "get many",
    "give way",
    "ingest",
    "job",
    "key after a rebuild",
    "load into a gap",
    "load on top",
    "look at a snapshot",
    "make a family",
    "open",
    "read-only look",
    "rebuild",
    "repair",
    "scan",
    "snapshot",
    "sync",
    "verify",
    "write",
];

/// One world at a time: caches free what no thread of the process reads any more, so another
/// world's reads would show in what a cache still holds, and a seed would not be one run.
static WORLD: Mutex<()> = Mutex::new(());

/// Runs something in a world; a panic is a failure too.
fn attempt<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let _alone = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("?")))
    })
}

/// Runs seeds as the environment says.
fn seeds(test: &str, faults: bool, (default_seeds, images_min): (u64, u64)) {
    if let Some(seed) = number("LSM_SIM_SEED") {
        let outcome = attempt(|| run(&Plan { verbose: true, ..plan(seed, faults) }));
        println!("{outcome:?}");
        outcome.expect("the seed holds");
        return;
    }
    let first = number("LSM_SIM_FIRST").unwrap_or(0);
    let seeds = number("LSM_SIM_SEEDS").unwrap_or(default_seeds);
    let images_min = if seeds == default_seeds { images_min } else { 0 };
    let limit = number("LSM_SIM_SECONDS").map(Duration::from_secs);
    let (begun, mut tally, mut done) = (Instant::now(), Tally::default(), 0);
    for seed in first..first + seeds {
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
        match attempt(|| run(&plan(seed, faults))) {
            Ok(one) => tally.add(&one),
            Err(why) => panic!(
                "seed {seed}: {why}\nreplay: LSM_SIM_SEED={seed} cargo test -p lsm --test \
                 simulation -- --exact {test} --nocapture"
            ),
        }
        done += 1;
    }
    if seeds == default_seeds {
        let (rarest, times) = tally.rarest(&KINDS).expect("some kinds");
        assert!(times >= seeds / 10, "{rarest} was done only {times} times");
    }
    let images = tally.power_cuts + tally.cuts_in_recovery;
    assert!(images >= images_min, "{done} seeds made only {images} images of a power cut");
    println!("{test}: {done} seeds in {:.1} s: {tally:?}", begun.elapsed().as_secs_f64());
}

#[test]
fn crashes() {
    seeds("crashes", false, (1_400, 9_000));
}

#[test]
fn faults_and_crashes() {
    seeds("faults_and_crashes", true, (300, 1_500));
}

/// Flipped bits, zeros and cuts in a closed database: right answers or errors, and nothing that
/// was closed in order is lost in silence.
#[test]
fn rot_is_never_read_as_data() {
    let (first, count) = match number("LSM_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("LSM_SIM_SEEDS").unwrap_or(10_000)),
    };
    let mut findings = [0; 3];
    for codec in [Codec::None, Codec::Lz4] {
        let (fs, model) = rot::closed_database(codec);
        let whole = attempt(|| rot::read_damaged(&rot::copy(&fs), &model, codec));
        assert_eq!(whole, Ok(rot::Finding::Harmless));
        for seed in first..first + count / 2 + count % 2 {
            let damaged = rot::copy(&fs);
            let (path, what) = rot::damage(&damaged, seed);
            let context = || format!("seed {seed}, {codec:?}, {}: {what}", path.display());
            let finding = attempt(|| rot::read_damaged(&damaged, &model, codec));
            let finding = finding.unwrap_or_else(|why| panic!("{}: {why}", context()));
            findings[finding as usize] += 1;
        }
    }
    println!("rot: {count} pieces of damage: refused, partial, harmless: {findings:?}");
}

/// Found by rot: a log whose last records were zeroed, the end record with them, looked like one
/// that was never written further.
#[test]
fn the_end_of_a_closed_log_cannot_vanish() {
    let (fs, model) = rot::closed_database(Codec::Lz4);
    for path in fs.files().iter().filter(|path| path.extension().is_some_and(|e| e == "log")) {
        let bytes = fs.contents(path).expect("it is there");
        for start in (64..bytes.len()).step_by(40) {
            let damaged = rot::copy(&fs);
            for (offset, byte) in (0..).zip(&bytes).skip(start) {
                damaged.flip(path, offset, *byte).expect("flip"); // to zero
            }
            let finding = attempt(|| rot::read_damaged(&damaged, &model, Codec::Lz4));
            let finding = finding.expect("no older state");
            let lost = bytes[start..].iter().any(|byte| *byte != 0);
            assert!(!lost || finding != rot::Finding::Partial, "{} from {start}", path.display());
        }
    }
}

/// Every file of a closed database but two is needed, and its absence is an error.
#[test]
fn a_missing_file_is_an_error() {
    let (fs, model) = rot::closed_database(Codec::Lz4);
    for path in fs.files() {
        let damaged = rot::copy(&fs);
        rot::remove(&damaged, &path);
        let finding = attempt(|| rot::read_damaged(&damaged, &model, Codec::Lz4));
        let finding = finding.expect("no wrong data");
        let spare = path.ends_with("LOCK") || path.ends_with("OPTIONS");
        let expected = if spare { rot::Finding::Harmless } else { rot::Finding::Refused };
        assert_eq!(finding, expected, "{} is missing", path.display());
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..5 {
        let plan = plan(seed, true);
        assert_eq!(attempt(|| run(&plan)), attempt(|| run(&plan)), "seed {seed}");
    }
}

/// A medium that skips syncs is found out: the simulation would see an engine that forgets them.
#[test]
fn skipped_syncs_are_found() {
    let kinds: [&[Call]; 3] = [&[Call::LogSync], &[Call::Sync], &[Call::SyncDir]];
    for skipped in kinds {
        let lying = |seed| Plan { skipped: skipped.to_vec(), ..plan(seed, false) };
        let found = (0..100).find(|seed| attempt(|| run(&lying(*seed))).is_err());
        assert!(found.is_some(), "skipped {skipped:?} stay unnoticed");
    }
}
