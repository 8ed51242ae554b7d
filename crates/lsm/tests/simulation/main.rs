//! The whole engine in a simulated world: one seed decides operations, options, the order of
//! background jobs, faults, power cuts and what they leave; a model says which states may follow.
//!
//! A failing seed prints the command that replays it. `LSM_SIM_SEED=n` replays one seed and
//! prints what happens; `LSM_SIM_FIRST=n LSM_SIM_SEEDS=n` runs many, `LSM_SIM_SECONDS=n` limits
//! the time; `LSM_SIM_STEPS=n` sets the operations a seed.

#![expect(clippy::print_stdout, reason = "a replay tells what happens")]

mod history;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

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

/// Runs a plan; a panic is a failure too.
fn attempt(plan: &Plan) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(|| run(plan))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("?")))
    })
}

/// Runs seeds as the environment says.
fn seeds(test: &str, faults: bool, default_seeds: u64) {
    if let Some(seed) = number("LSM_SIM_SEED") {
        let outcome = attempt(&Plan { verbose: true, ..plan(seed, faults) });
        println!("{outcome:?}");
        outcome.expect("the seed holds");
        return;
    }
    let first = number("LSM_SIM_FIRST").unwrap_or(0);
    let seeds = number("LSM_SIM_SEEDS").unwrap_or(default_seeds);
    let limit = number("LSM_SIM_SECONDS").map(Duration::from_secs);
    let (begun, mut tally, mut done) = (Instant::now(), Tally::default(), 0);
    for seed in first..first + seeds {
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
        match attempt(&plan(seed, faults)) {
            Ok(one) => tally.add(one),
            Err(why) => panic!(
                "seed {seed}: {why}\nreplay: LSM_SIM_SEED={seed} cargo test -p lsm --test \
                 simulation -- --exact {test} --nocapture"
            ),
        }
        done += 1;
    }
    println!("{test}: {done} seeds in {:.1} s: {tally:?}", begun.elapsed().as_secs_f64());
}

#[test]
fn crashes() {
    seeds("crashes", false, 150);
}

#[test]
fn faults_and_crashes() {
    seeds("faults_and_crashes", true, 150);
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..5 {
        let plan = plan(seed, true);
        assert_eq!(attempt(&plan), attempt(&plan), "seed {seed}");
    }
}

/// A medium that skips syncs is found out: the simulation would see an engine that forgets them.
#[test]
fn skipped_syncs_are_found() {
    let kinds: [&[Call]; 3] = [&[Call::LogSync], &[Call::Sync], &[Call::SyncDir]];
    for skipped in kinds {
        let lying = |seed| Plan { skipped: skipped.to_vec(), ..plan(seed, false) };
        let found = (0..100).find(|seed| attempt(&lying(*seed)).is_err());
        assert!(found.is_some(), "skipped {skipped:?} stay unnoticed");
    }
}
