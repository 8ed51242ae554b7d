//! One budget for everything: a load of twenty times the budget, with reads and scans, in a process
//! of its own whose peak of resident memory stays within the budget and a tenth. The system
//! enforces a limit on its writable memory besides, resident or not (`RLIMIT_DATA`): beyond it, the
//! next allocation ends the process.
//!
//! `LSM_BUDGET_MIB` sets the budget in MiB (default 32), `LSM_BUDGET_TIMES` the load
//! (default 6, a quick run; `scripts/memory.sh` sets 20).

#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "figures for docs/testing.md")]

use std::process::Command;

use lsm::{Db, Options};
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

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child() {
    let path = std::env::var("LSM_BUDGET_PATH").expect("the parent says where");
    let budget = number("LSM_BUDGET_MIB", 32) << 20;
    let count = budget * number("LSM_BUDGET_TIMES", 6) / 408;
    let (before, data_before) = (peak_bytes(), status("VmData:"));
    limit_data(data_before + budget + budget / 10 + UNTOUCHED_BYTES);
    let options =
        Options::default().with_memory_budget(usize::try_from(budget).expect("a budget that fits"));
    assert!(options.check().is_empty(), "{:?}", options.check());
    let db = Db::open(path, options).expect("open");
    let mut most = db.memory();
    for n in 0..count {
        db.put(key(n), value(n)).expect("put");
        if n % 64 == 0 {
            let old = n.wrapping_mul(0x2545_F491_4F6C_DD1D) % (n + 1);
            assert_eq!(db.get(key(old)).expect("get").as_deref(), Some(&value(old)[..]));
        }
        if n % 20_000 == 0 {
            let mut last = None;
            for entry in db.scan(key(n)..).expect("scan").take(2000) {
                let (key, _) = entry.expect("entry");
                assert!(last.as_ref().is_none_or(|last| *last < key), "ascending");
                last = Some(key);
            }
            let now = db.memory();
            if now.total_bytes() > most.total_bytes() {
                most = now;
            }
        }
    }
    for n in (0..count).step_by(97) {
        assert_eq!(db.get(key(n)).expect("get").as_deref(), Some(&value(n)[..]));
    }
    let (stats, at_end, data_at_end) = (db.stats(), db.memory(), status("VmData:"));
    db.close().expect("close");
    let peak = peak_bytes();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    eprintln!(
        "{count} records, {:.0} MiB; budget {:.0} MiB; resident before {:.1}, peak {:.1} MiB; \
         writable before {:.1}, at the end {:.1} MiB; flushes {}, compactions {}\n\
         most by the ledger {most:?}\nat the end {at_end:?}",
        mib(count * 408),
        mib(budget),
        mib(before),
        mib(peak),
        mib(data_before),
        mib(data_at_end),
        stats.flushes,
        stats.compactions
    );
    assert!(most.total_bytes() <= budget, "the ledger: {most:?}");
    assert!(peak <= budget + budget / 10, "{:.1} MiB of {:.1}", mib(peak), mib(budget));
}

#[test]
fn a_load_of_many_times_the_budget_stays_within_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let me = std::env::current_exe().expect("this test");
    let output = Command::new(me)
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env("LSM_BUDGET_PATH", folder.path().join("db"))
        .output()
        .expect("run");
    let words = String::from_utf8_lossy(&output.stderr);
    eprintln!("{words}");
    assert!(output.status.success(), "{words}");
}
