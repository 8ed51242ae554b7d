//! Records from tab-separated files, as `scripts/realdata.sh` makes them.

pub mod rocksdb;

use std::path::Path;
use std::time::Duration;

/// Keys and values, sorted by key.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads `key TAB value` lines and sorts them.
pub fn load(path: &Path) -> Pairs {
    let text = std::fs::read(path).expect("a readable file");
    let split = |line: &[u8]| {
        let tab = line.iter().position(|byte| *byte == b'\t').expect("key TAB value");
        (line[..tab].to_vec(), unescape(&line[tab + 1..]))
    };
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut pairs: Pairs = lines.map(split).collect();
    pairs.sort();
    pairs
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b't') => b'\t',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b'0') => 0,
                other => other.copied().unwrap_or(b'\\'),
            },
            byte => byte,
        });
    }
    out
}

/// Processor time of this thread so far.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "a foreign call")]
    // SAFETY: `time` is a valid place to write to.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(answer, 0, "the thread has a clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
