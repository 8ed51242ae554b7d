//! One budget for everything: a load of twenty times the budget, with reads and scans, in a process
//! of its own whose peak of resident memory stays within the budget and a tenth. The system
//! enforces a limit on its writable memory besides, resident or not (`RLIMIT_DATA`): beyond it, the
//! next allocation ends the process. One load is by a single thread; the other goes to several
//! families, while other threads read and iterators are held open.
//!
//! `LSM_BUDGET_MIB` sets the budget in MiB (default 32), `LSM_BUDGET_TIMES` the load
//! (default 6, a quick run; `scripts/memory.sh` sets 20). With `LSM_BUDGET_CGROUP=1` the process
//! goes into a control group of its own, whose limit is the budget and a tenth: that counts the
//! file cache too, and ends the process where nothing can be given back. It needs root.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "figures for docs/performance.md")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lsm::{Db, Event, Family, FamilyOptions, Listeners, MemoryUsage, Options, Pressure};
use rustix::process::{Resource, Rlimit, setrlimit};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Writable memory beyond the budget and its tenth, in bytes: the stacks of the threads, of which
/// little is ever touched, and what the allocator keeps for each thread. (With 12 MiB a load of
/// twenty times 32 MiB met the limit while 34.5 MiB were resident.)
const UNTOUCHED_BYTES: u64 = 32 << 20;

/// Lets the system refuse more writable memory than `bytes`.
fn limit_data(bytes: u64) {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::Data, limit).expect("a lower limit is always allowed");
}

/// Moves this process into a new control group that may hold `bytes`, and returns its folder.
fn enter_group(bytes: u64) -> PathBuf {
    let (root, limit) = ("/sys/fs/cgroup", "memory.max");
    let old = PathBuf::from(root).join("memory");
    let (root, limit) =
        if old.is_dir() { (old, "memory.limit_in_bytes") } else { (root.into(), limit) };
    let group = root.join(format!("lsm-budget-{}", std::process::id()));
    std::fs::create_dir(&group).expect("a control group, as root");
    std::fs::write(group.join(limit), bytes.to_string()).expect("a limit");
    std::fs::write(group.join("cgroup.procs"), std::process::id().to_string()).expect("enter");
    group
}

/// The most memory that this process ever had resident, in bytes.
fn peak_bytes() -> u64 {
    status("VmHWM:")
}

/// A figure that the system keeps of this process, in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line of this name");
    let kib: u64 = line.split_whitespace().nth(1).expect("a figure").parse().expect("a number");
    kib << 10
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Scatters the numbers up to 2^32.
fn key(n: u64) -> [u8; 8] {
    (n.wrapping_mul(0x9E37_79B1) & 0xffff_ffff).to_le_bytes()
}

/// Half of it random, so that compression does not make the load small.
fn value(n: u64) -> Vec<u8> {
    let mut bytes = vec![b'v'; 400];
    let mut word = n | 1;
    for piece in bytes.chunks_mut(16) {
        word = word.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
        piece[..8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Some number below `count`, another one for each `step`.
fn scattered(step: u64, count: u64) -> u64 {
    step.wrapping_mul(0x2545_F491_4F6C_DD1D) % count
}

/// What both loads have in common: the records, in one or several families.
struct Load {
    db: Db,
    /// Where record `n` goes: number `n` modulo their count. None for the default family alone.
    families: Vec<Family>,
    count: u64,
    /// Records below this are written.
    written: AtomicU64,
    ended: AtomicBool,
}

impl Load {
    fn put(&self, n: u64) {
        match self.families.get(self.family_of(n)) {
            None => self.db.put(key(n), value(n)),
            Some(family) => family.put(key(n), value(n)),
        }
        .expect("put");
        self.written.store(n + 1, Ordering::Release);
    }

    fn family_of(&self, n: u64) -> usize {
        usize::try_from(n).expect("few") % self.families.len().max(1)
    }

    fn check(&self, n: u64) {
        let found = match self.families.get(self.family_of(n)) {
            None => self.db.get(key(n)),
            Some(family) => family.get(key(n)),
        };
        assert_eq!(found.expect("get").as_deref(), Some(&value(n)[..]), "record {n}");
    }

    /// An iterator from some record on.
    fn scan(&self, n: u64) -> lsm::Scan {
        match self.families.get(self.family_of(n)) {
            None => self.db.scan(key(n)..),
            Some(family) => family.scan(key(n)..),
        }
        .expect("scan")
    }

    /// Takes `count` entries, if there are so many, and looks that they ascend.
    fn walk(scan: &mut lsm::Scan, count: usize) {
        let mut last = None;
        for entry in scan.take(count) {
            let (key, _) = entry.expect("entry");
            assert!(last.as_ref().is_none_or(|last| *last < key), "ascending");
            last = Some(key);
        }
    }

    /// What the threads beside the writer do: reads of one key and of many, and scans.
    fn read(&self, seed: u64) {
        let mut step = seed;
        while !self.ended.load(Ordering::Relaxed) {
            step += 7919;
            let written = self.written.load(Ordering::Acquire);
            if written == 0 {
                continue;
            }
            self.check(scattered(step, written));
            if step.is_multiple_of(64) {
                Self::walk(&mut self.scan(scattered(step, written)), 300);
                let keys: Vec<_> = (0..50).map(|n| key(scattered(step + n, written))).collect();
                self.db.multi_get(&keys).expect("multi_get");
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// What was held when most was resident, looked at every few milliseconds, and the most that
    /// the ledger ever said.
    fn watch(&self) -> (u64, MemoryUsage, MemoryUsage) {
        let (mut top, mut at_top, mut most) = (0, self.db.memory(), self.db.memory());
        while !self.ended.load(Ordering::Relaxed) {
            let (resident, now) = (status("VmRSS:"), self.db.memory());
            if resident > top {
                (top, at_top) = (resident, now);
            }
            if now.total_bytes() > most.total_bytes() {
                most = now;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        (top, at_top, most)
    }

    /// Writes all records. With `held`, so many iterators are open at any time, each for a while.
    fn write(&self, held: usize) {
        let mut iterators = std::collections::VecDeque::new();
        for n in 0..self.count {
            self.put(n);
            if n % 64 == 0 {
                self.check(scattered(n, n + 1));
            }
            if n % 20_000 == 0 {
                Self::walk(&mut self.scan(n), 2000);
            }
            if held > 0 && n % 8_000 == 0 {
                let mut scan = self.scan(n);
                Self::walk(&mut scan, 100);
                iterators.push_back(scan);
                if iterators.len() > held {
                    Self::walk(&mut iterators.pop_front().expect("more than none"), 1000);
                }
            }
        }
    }

    /// Writes all, while so many threads read and one watches; returns what that one saw.
    fn run(&self, readers: u64, held: usize) -> (u64, MemoryUsage, MemoryUsage) {
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| self.watch());
            let reading: Vec<_> =
                (0..readers).map(|seed| scope.spawn(move || self.read(seed))).collect();
            let written = scope.spawn(|| self.write(held)).join();
            self.ended.store(true, Ordering::Relaxed);
            written.expect("the writer");
            for reader in reading {
                reader.join().expect("a reader");
            }
            watcher.join().expect("the watcher")
        })
    }
}

/// The database under the budget, and families beside the default one.
fn open(path: &str, budget: u64, families: u64, held_back: &Arc<AtomicU64>) -> (Db, Vec<Family>) {
    let options =
        Options::default().with_memory_budget(usize::try_from(budget).expect("a budget that fits"));
    assert!(options.check().is_empty(), "{:?}", options.check());
    let table_bytes = options.table_bytes;
    let listeners = Listeners::new().with({
        let held_back = Arc::clone(held_back);
        move |event: &Event| {
            if let Event::Slowed { reason: Pressure::Memory, took, .. } = event {
                let us = u64::try_from(took.as_micros()).expect("a short time");
                held_back.fetch_add(us, Ordering::Relaxed);
            }
        }
    });
    let db = Db::open(path, Options { listeners, ..options }).expect("open");
    let families = (0..families).map(|n| {
        let options = FamilyOptions { table_bytes, ..FamilyOptions::default() };
        db.create_family(&format!("family {n}"), options).expect("family")
    });
    let families = families.collect();
    (db, families)
}

/// The load, with `readers` beside the writer, `held` iterators, and `families` beside the default
/// one.
fn load(readers: u64, held: usize, families: u64) {
    let path = std::env::var("LSM_BUDGET_PATH").expect("the parent says where");
    let budget = number("LSM_BUDGET_MIB", 32) << 20;
    let count = budget * number("LSM_BUDGET_TIMES", 6) / 408;
    let allowed = budget + budget / 10;
    let group = (number("LSM_BUDGET_CGROUP", 0) > 0).then(|| enter_group(allowed));
    let (before, data_before) = (peak_bytes(), status("VmData:"));
    // With many threads, once more the budget: the allocator keeps address space for each, whose
    // pages have gone back. (With 32 MiB, 96 MiB and two readers met the limit.)
    let spread = if readers > 0 { budget } else { 0 };
    limit_data(data_before + allowed + UNTOUCHED_BYTES + spread);
    let held_back = Arc::new(AtomicU64::new(0));
    let (db, families) = open(&path, budget, families, &held_back);
    let (written, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let load = Load { db, families, count, written, ended };
    let (top, at_top, most) = load.run(readers, held);
    (0..count).step_by(97).for_each(|n| load.check(n));
    let (stats, at_end, data_at_end) = (load.db.stats(), load.db.memory(), status("VmData:"));
    let Load { db, families, .. } = load;
    drop(families);
    db.close().expect("close");
    let peak = peak_bytes();
    eprintln!(
        "{count} records, {:.0} MiB; budget {:.0} MiB; resident before {:.1}, peak {:.1} MiB; \
         writable before {:.1}, at the end {:.1} MiB; flushes {}, compactions {}; held \
         back {} us, of which {} us for want of memory\n\
         most by the ledger {most:?}\nat the end {at_end:?}\n\
         when {:.1} MiB were resident {at_top:?}",
        mib(count * 408),
        mib(budget),
        mib(before),
        mib(peak),
        mib(data_before),
        mib(data_at_end),
        stats.flushes,
        stats.compactions,
        stats.slowdown_us + stats.stall_us,
        held_back.load(Ordering::Relaxed),
        mib(top),
    );
    assert!(most.total_bytes() <= budget, "the ledger: {most:?}");
    assert!(peak <= allowed, "{:.1} MiB of {:.1}", mib(peak), mib(allowed));
    if let Some(group) = group {
        eprintln!("within a control group of {:.1} MiB: {}", mib(allowed), group.display());
    }
}

#[test]
#[ignore = "run by a test below, in a process of its own"]
fn one_writer() {
    load(0, 0, 0);
}

#[test]
#[ignore = "run by a test below, in a process of its own"]
fn many_at_once() {
    load(2, 2, 4);
}

fn run(child: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let me = std::env::current_exe().expect("this test");
    let mut process = Command::new(me)
        .args(["--ignored", "--exact", child, "--nocapture"])
        .env("LSM_BUDGET_PATH", folder.path().join("db"))
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("run");
    let mut words = String::new();
    let stderr = process.stderr.as_mut().expect("piped");
    std::io::Read::read_to_string(stderr, &mut words).expect("what it says");
    let status = process.wait().expect("its end");
    // A group can be removed when nobody is in it.
    for root in ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"] {
        let group = PathBuf::from(root).join(format!("lsm-budget-{}", process.id()));
        if group.is_dir() {
            std::fs::remove_dir(group).expect("an empty control group");
        }
    }
    eprintln!("{child}: {words}");
    assert!(status.success(), "{child}: {status}, {words}");
}

#[test]
fn a_load_of_many_times_the_budget_stays_within_it() {
    run("one_writer");
}

#[test]
fn a_load_with_readers_iterators_and_families_stays_within_it() {
    run("many_at_once");
}
