//! Records from tab-separated files, as `scripts/realdata.sh` makes them.

pub mod rocksdb;

use std::path::Path;
use std::time::Duration;

/// Keys and values, sorted by key.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A reading every minute from a sensor that drifts: 8-byte keys and values.
#[must_use]
pub fn series() -> Pairs {
    let mut state = 1_u64;
    let mut level = 20_000_i64;
    let reading = |rank: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        level += (state >> 33) as i64 % 21 - 10;
        ((1_700_000_000 + rank * 60).to_be_bytes().to_vec(), level.to_le_bytes().to_vec())
    };
    (0..1_000_000).map(reading).collect()
}

/// Records with ascending keys of 16 digits, every other one left out, and values of 100 bytes of
/// which half compresses.
#[must_use]
pub fn records(count: usize) -> Pairs {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut value = || {
        let mut value = vec![b'x'; 100];
        value[..48].chunks_mut(8).for_each(|to| to.copy_from_slice(&random().to_le_bytes()));
        value
    };
    (0..count).map(|rank| (format!("{:016}", rank * 2).into_bytes(), value())).collect()
}

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
