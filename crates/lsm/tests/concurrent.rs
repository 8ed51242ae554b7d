//! Many threads at once: what they see is checked against what was told and asked, operation by
//! operation, while flushes and compactions run all the time.
//!
//! Each writer owns two groups of keys and writes number `n` to the first group in one batch, then
//! to the second in another. So, at every moment and in every snapshot:
//!
//! 1. all keys of a group have the same number (batches become visible as a whole);
//! 2. a group's number is at least what was acknowledged before the look, and at most what was
//!    begun after it (each key is linearisable), and never goes back for one reader;
//! 3. the second group is at the first one's number or one behind (writes keep their order);
//! 4. a snapshot shows the same later.
//!
//! `LSM_HISTORY_OPS=n` sets the operations.
#![expect(clippy::print_stderr, reason = "figures for docs/testing.md")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use lsm::clock::StdClock;
use lsm::compaction::Strategy;
use lsm::fs::MemFs;
use lsm::scheduler::ThreadScheduler;
use lsm::{Db, Durability, Env, Options, Snapshot, WriteBatch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const WRITERS: usize = 3;
const READERS: usize = 3;
const GROUPS: usize = 2 * WRITERS;
const KEYS: usize = 4;

fn key(group: usize, rank: usize) -> String {
    // Interleaved, so that a group is spread over the key space and over tables.
    format!("{rank}/{group}")
}

/// What every thread shares.
struct World {
    db: Db,
    begun: [AtomicU64; GROUPS],
    acknowledged: [AtomicU64; GROUPS],
    operations: AtomicU64,
    limit: u64,
    failed: AtomicBool,
}

impl World {
    fn goes_on(&self) -> bool {
        let done = self.operations.fetch_add(1, Ordering::Relaxed);
        done < self.limit && !self.failed.load(Ordering::Relaxed)
    }

    fn load(counters: &[AtomicU64; GROUPS]) -> [u64; GROUPS] {
        std::array::from_fn(|group| counters[group].load(Ordering::SeqCst))
    }
}

fn parse(value: Option<&[u8]>) -> u64 {
    let text = value.map_or("0", |value| std::str::from_utf8(value).expect("text"));
    text.trim_end_matches('.').parse().expect("a number")
}

fn write(world: &World, writer: usize) {
    let mut random = StdRng::seed_from_u64(writer as u64);
    for n in 1.. {
        for group in [2 * writer, 2 * writer + 1] {
            if !world.goes_on() {
                return;
            }
            let mut batch = WriteBatch::new();
            let padding = ".".repeat(random.random_range(0..200));
            for rank in 0..KEYS {
                batch.put(key(group, rank), format!("{n}{padding}"));
            }
            // Something for compactions to merge and drop.
            let noise = format!("noise{:04}", random.random_range(0..2000));
            if random.random_bool(0.5) {
                batch.put(noise, &padding)
            } else {
                batch.delete(noise)
            };
            world.begun[group].store(n, Ordering::SeqCst);
            world.db.write(batch).expect("write");
            world.acknowledged[group].store(n, Ordering::SeqCst);
        }
    }
}

/// All groups as a snapshot shows them, each read in one of three ways.
fn look(snapshot: &Snapshot, random: &mut StdRng) -> [u64; GROUPS] {
    let mut seen = [[0; KEYS]; GROUPS];
    if random.random_bool(0.3) {
        let place = |key: &[u8]| {
            let text = std::str::from_utf8(key).expect("text");
            let (rank, group) = text.split_once('/')?;
            Some((rank.parse::<usize>().ok()?, group.parse::<usize>().ok()?))
        };
        let scan = snapshot.scan::<&[u8]>(..).expect("scan");
        let mut take = |entry: lsm::Result<(lsm::Key, lsm::Value)>| {
            let (key, value) = entry.expect("entry");
            if let Some((rank, group)) = place(&key) {
                seen[group][rank] = parse(Some(&value));
            }
        };
        if random.random_bool(0.5) {
            scan.for_each(&mut take);
        } else {
            scan.rev().for_each(&mut take);
        }
    } else {
        for (group, numbers) in seen.iter_mut().enumerate() {
            for (rank, number) in numbers.iter_mut().enumerate() {
                *number = parse(snapshot.get(key(group, rank)).expect("get").as_deref());
            }
        }
    }
    std::array::from_fn(|group| {
        let numbers = seen[group];
        assert!(numbers.iter().all(|n| *n == numbers[0]), "group {group} is torn: {numbers:?}");
        numbers[0]
    })
}

fn read(world: &World, reader: usize) {
    let mut random = StdRng::seed_from_u64(1000 + reader as u64);
    let mut last = [0; GROUPS];
    let mut kept: Vec<(Snapshot, [u64; GROUPS])> = Vec::new();
    while world.goes_on() {
        match random.random_range(0..20) {
            0 => {
                let before = World::load(&world.acknowledged);
                let snapshot = world.db.snapshot();
                let after = World::load(&world.begun);
                let seen = look(&snapshot, &mut random);
                for group in 0..GROUPS {
                    let n = seen[group];
                    assert!(n >= before[group] && n <= after[group], "group {group}: {n}");
                    assert!(n >= last[group], "group {group} went back to {n}");
                }
                for pair in seen.chunks(2) {
                    assert!(pair[0] == pair[1] || pair[0] == pair[1] + 1, "order: {pair:?}");
                }
                last = seen;
                if kept.len() < 3 {
                    kept.push((snapshot, seen));
                }
            }
            1 if !kept.is_empty() => {
                let at = random.random_range(0..kept.len());
                let (snapshot, seen) = kept.swap_remove(at);
                assert_eq!(look(&snapshot, &mut random), seen, "a snapshot has changed");
            }
            _ => {
                let (group, rank) = (random.random_range(0..GROUPS), random.random_range(0..KEYS));
                let before = world.acknowledged[group].load(Ordering::SeqCst);
                let n = parse(world.db.get(key(group, rank)).expect("get").as_deref());
                let after = world.begun[group].load(Ordering::SeqCst);
                assert!(n >= before && n <= after, "group {group}: {before} <= {n} <= {after}");
                assert!(n >= last[group], "group {group} went back to {n}");
                last[group] = n;
            }
        }
    }
}

/// Tells the others when a thread fails, so that the test ends.
struct Alarm<'a>(&'a World);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
    }
}

fn history(strategy: Strategy, durability: Durability) {
    let limit = std::env::var("LSM_HISTORY_OPS").map_or(500_000, |n| n.parse().expect("a number"));
    let options = Options {
        durability,
        strategy,
        write_buffer_bytes: 32 << 10,
        table_bytes: 16 << 10,
        block_bytes: 512,
        block_cache_bytes: 64 << 10,
        ..Options::default()
    };
    // In memory, so that no disk's syncs slow the threads down.
    let env = Env {
        fs: Arc::new(MemFs::new()),
        clock: Arc::new(StdClock::new()),
        scheduler: Arc::new(ThreadScheduler::new(2).expect("threads")),
    };
    let world = World {
        db: Db::open_with("/db", options, env).expect("open"),
        begun: Default::default(),
        acknowledged: Default::default(),
        operations: AtomicU64::new(0),
        limit,
        failed: AtomicBool::new(false),
    };
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..WRITERS + READERS {
            let world = &world;
            scope.spawn(move || {
                let _alarm = Alarm(world);
                if thread < WRITERS { write(world, thread) } else { read(world, thread) }
            });
        }
    });
    let stats = world.db.stats();
    assert!(stats.flushes > 10, "flushes ran: {stats:?}");
    eprintln!(
        "{strategy:?}, {durability:?}: {limit} operations in {:.1} s, {} flushes, {} compactions",
        begun.elapsed().as_secs_f64(),
        stats.flushes,
        stats.compactions
    );
}

#[test]
fn histories_under_leveling() {
    history(Strategy::Leveled, Durability::Buffered);
}

#[test]
fn histories_under_tiering_without_a_log() {
    history(Strategy::Tiered, Durability::None);
}
