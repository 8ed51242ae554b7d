//! `bloom` beside published filters. Prints the tables of docs/performance.md.
//!
//! `cargo bench --bench bloom -- [1000] [100000] [10000000] [rates] [threads]` prints the named
//! tables, or all (about a minute on an idle machine). The plot of rates is drawn, from the root of
//! the repository, by `cargo run --release -p bloom --example curve -- plot docs/bloom-rates.svg`.
//!
//! Keys are random 64-bit hashes, so that no hash function is in the figures. *Build* is from a
//! slice of hashes to a filter that answers. *Hit* and *miss* are single lookups of keys in random
//! order, *dependent* ones wait for the answer before; *batch* is 1,024 keys a call. All filters
//! take turns; each figure is the least of all rounds, in ns of processor time a key.

use std::hint::black_box;
use std::time::Instant;

use bloom::{AlignedBytes, Filter as Ours, Kind, SharedBuilder, sizing};
use fastbloom::{AtomicBloomFilter, BloomFilter};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sbbf_rs::FilterFn;
use xorf::{BinaryFuse8, Filter as _};

const LOOKUPS: usize = 1 << 19;
const BATCH: usize = 1_024;

trait Contender: Sized {
    const NAME: &'static str;
    type Built;
    /// What is timed as *build*.
    fn build(hashes: &[u64]) -> Self::Built;
    fn open(built: Self::Built) -> Self;
    fn bits(&self) -> f64;
    fn contains(&self, hash: u64) -> bool;
    fn contains_many(&self, hashes: &[u64], answers: &mut [bool]) {
        for (answer, hash) in answers.iter_mut().zip(hashes) {
            *answer = self.contains(*hash);
        }
    }
    /// Whether a batch is more than a loop.
    const BATCHES: bool = false;
}

macro_rules! ours {
    ($type:ident, $name:expr, $kind:expr, $bits:expr) => {
        struct $type(Ours<AlignedBytes>, usize);
        impl Contender for $type {
            const NAME: &'static str = $name;
            const BATCHES: bool = true;
            type Built = Vec<u8>;
            fn build(hashes: &[u64]) -> Vec<u8> {
                bloom::build($kind, $bits, hashes)
            }
            fn open(built: Vec<u8>) -> Self {
                let bytes = AlignedBytes::copy_of(&built);
                let size = bytes.as_ref().len();
                Self(Ours::decode_unverified(bytes).expect("just built"), size)
            }
            fn bits(&self) -> f64 {
                self.1 as f64 * 8.0
            }
            #[inline(always)]
            fn contains(&self, hash: u64) -> bool {
                self.0.may_contain_hash(hash)
            }
            fn contains_many(&self, hashes: &[u64], answers: &mut [bool]) {
                self.0.may_contain_hashes(hashes, answers);
            }
        }
    };
}
ours!(Double, "**bloom** double probe", Kind::DoubleProbe, 10.0);
ours!(Blocked, "**bloom** blocked", Kind::Blocked, 10.0);
ours!(Split, "**bloom** split block", Kind::SplitBlock, 10.0);
ours!(Standard, "**bloom** standard", Kind::Standard, 10.0);
ours!(Ribbon7, "**bloom** ribbon, 7 columns", Kind::Ribbon, 7.05);
ours!(Ribbon8, "**bloom** ribbon, 8 columns", Kind::Ribbon, 8.05);

struct Fastbloom(BloomFilter);
impl Contender for Fastbloom {
    const NAME: &'static str = "fastbloom 0.17";
    type Built = Self;
    fn open(built: Self) -> Self {
        built
    }
    fn build(hashes: &[u64]) -> Self {
        let mut filter = BloomFilter::with_num_bits(hashes.len() * 10).expected_items(hashes.len());
        for &hash in hashes {
            filter.insert_hash(hash);
        }
        Self(filter)
    }
    fn bits(&self) -> f64 {
        self.0.num_bits() as f64
    }
    #[inline(always)]
    fn contains(&self, hash: u64) -> bool {
        self.0.contains_hash(hash)
    }
}

#[derive(Clone)]
#[repr(align(64))]
struct Line([u8; 64]);

struct Sbbf(FilterFn, Vec<Line>, usize);
impl Contender for Sbbf {
    const NAME: &'static str = "sbbf-rs 0.2";
    type Built = Self;
    fn open(built: Self) -> Self {
        built
    }
    fn build(hashes: &[u64]) -> Self {
        let buckets = (hashes.len() * 10).div_ceil(256).next_multiple_of(2);
        let mut lines = vec![Line([0; 64]); buckets / 2];
        let function = FilterFn::new();
        for &hash in hashes {
            // SAFETY: the buffer has `buckets` buckets of 32 bytes, aligned.
            unsafe { function.insert(lines.as_mut_ptr().cast(), buckets, hash) };
        }
        Self(function, lines, buckets)
    }
    fn bits(&self) -> f64 {
        self.2 as f64 * 256.0
    }
    #[inline(always)]
    fn contains(&self, hash: u64) -> bool {
        debug_assert_eq!(self.1[0].0.len(), 64);
        // SAFETY: as above.
        unsafe { self.0.contains(self.1.as_ptr().cast(), self.2, hash) }
    }
}

struct Fuse(BinaryFuse8);
impl Contender for Fuse {
    const NAME: &'static str = "xorf 0.13 binary fuse, 8 bits";
    type Built = Self;
    fn open(built: Self) -> Self {
        built
    }
    fn build(hashes: &[u64]) -> Self {
        Self(BinaryFuse8::try_from(hashes).expect("distinct keys"))
    }
    fn bits(&self) -> f64 {
        self.0.len() as f64 * 8.0
    }
    #[inline(always)]
    fn contains(&self, hash: u64) -> bool {
        self.0.contains(&hash)
    }
}

/// What is known of a contender so far.
#[derive(Default, Clone)]
struct Row {
    name: &'static str,
    bits_per_key: f64,
    rate: f64,
    batches: bool,
    /// build, hit, hit dependent, miss, miss dependent, hit batch, miss batch
    ns: [f64; 7],
}

struct Work {
    members: Vec<u64>,
    hits: Vec<u64>,
    misses: Vec<u64>,
}

fn random(seed: u64, count: usize) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random()).collect()
}

#[inline(never)]
fn independent<C: Contender>(filter: &C, hashes: &[u64]) -> usize {
    hashes.iter().filter(|&&hash| filter.contains(hash)).count()
}

#[inline(never)]
fn dependent<C: Contender>(filter: &C, hashes: &[u64], zero: u64) -> usize {
    let (mut count, mut last) = (0, 0);
    for &hash in hashes {
        let answer = filter.contains(hash ^ last);
        count += usize::from(answer);
        last = u64::from(answer) & zero;
    }
    count
}

#[inline(never)]
fn batched<C: Contender>(filter: &C, hashes: &[u64]) -> usize {
    let mut answers = [false; BATCH];
    let mut count = 0;
    for chunk in hashes.chunks(BATCH) {
        let answers = &mut answers[..chunk.len()];
        filter.contains_many(chunk, answers);
        count += answers.iter().filter(|answer| **answer).count();
    }
    count
}

/// The processor time of this thread: what other programs take does not count.
fn cpu_ns() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live `timespec`.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(code, 0);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Runs `f` and keeps the time for each of `count` keys if it is the least.
fn time<T>(best: &mut f64, count: usize, f: impl FnOnce() -> T) -> T {
    let start = cpu_ns();
    let result = black_box(f());
    let ns = (cpu_ns() - start) / count as f64;
    if *best == 0.0 || ns < *best {
        *best = ns;
    }
    result
}

fn round<C: Contender>(row: &mut Row, work: &Work) {
    let repeat = (200_000 / work.members.len()).max(1);
    let zero = black_box(0);
    let built = time(&mut row.ns[0], repeat * work.members.len(), || {
        for _ in 1..repeat {
            black_box(C::build(&work.members));
        }
        C::build(&work.members)
    });
    let filter = C::open(built);
    row.name = C::NAME;
    row.batches = C::BATCHES;
    row.bits_per_key = filter.bits() / work.members.len() as f64;
    let (hits, misses) = (&work.hits, &work.misses);
    // A large filter that was just copied is colder than one that was just built (first figure at
    // 10 M keys: 14 instead of 8 ns), and only some contenders copy.
    black_box(independent(&filter, misses));
    assert_eq!(time(&mut row.ns[1], LOOKUPS, || independent(&filter, hits)), LOOKUPS);
    assert_eq!(time(&mut row.ns[2], LOOKUPS, || dependent(&filter, hits, zero)), LOOKUPS);
    let positives = time(&mut row.ns[3], LOOKUPS, || independent(&filter, misses));
    assert_eq!(time(&mut row.ns[4], LOOKUPS, || dependent(&filter, misses, zero)), positives);
    if C::BATCHES {
        assert_eq!(time(&mut row.ns[5], LOOKUPS, || batched(&filter, hits)), LOOKUPS);
        assert_eq!(time(&mut row.ns[6], LOOKUPS, || batched(&filter, misses)), positives);
    }
    row.rate = positives as f64 / LOOKUPS as f64;
}

type Round = fn(&mut Row, &Work);

fn table(count: usize, rounds: usize) {
    let members = random(1, count);
    let order = random(2, LOOKUPS);
    let hits = order.iter().map(|n| members[(n % count as u64) as usize]).collect();
    let work = Work { hits, misses: random(3, LOOKUPS), members };
    let contenders: [Round; 9] = [
        round::<Double>,
        round::<Blocked>,
        round::<Split>,
        round::<Sbbf>,
        round::<Standard>,
        round::<Fastbloom>,
        round::<Ribbon7>,
        round::<Ribbon8>,
        round::<Fuse>,
    ];
    let mut rows = vec![Row::default(); contenders.len()];
    for _ in 0..rounds {
        for (row, round) in rows.iter_mut().zip(contenders) {
            round(row, &work);
        }
    }
    println!("\n### {count} keys (ns a key)\n");
    print!("| filter | bits a key | false positives % | build | hit | hit, dependent ");
    println!("| miss | miss, dependent | hit, batch | miss, batch |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let all = rows.clone();
    for row in rows {
        print!("| {} | {:.2} | {:.2} |", row.name, row.bits_per_key, row.rate * 100.0);
        for (i, ns) in row.ns.iter().enumerate() {
            if i > 4 && !row.batches {
                print!(" |");
            } else {
                print!(" {ns:.1} |");
            }
        }
        println!();
    }
    goals(count, &all);
}

/// Ours beside the best rival of the same space, column by column: 1.00 or more is reached.
fn goals(count: usize, rows: &[Row]) {
    const COLUMNS: [&str; 7] =
        ["build", "hit", "hit, dependent", "miss", "miss, dependent", "hit, batch", "miss, batch"];
    let least = |names: &[&str], column: usize| {
        let asked = rows.iter().filter(|row| names.iter().any(|name| row.name.contains(name)));
        let figures = asked.map(|row| row.ns[column]).filter(|ns| *ns > 0.0);
        figures.fold(f64::INFINITY, f64::min)
    };
    println!("\n#### {count} keys, against the goals\n");
    println!("| ns a key | ours | goal | goal / ours | reached |\n|---|---|---|---|---|");
    let print = |what: &str, ours: f64, goal: f64| {
        let reached = if ours <= goal { "yes" } else { "no" };
        println!("| {what} | {ours:.1} | {goal:.1} | {:.2} | {reached} |", goal / ours);
    };
    for (column, name) in COLUMNS.iter().enumerate().take(5) {
        let split = least(&["split"], column);
        print(&format!("split block, 10 bits: {name}"), split, least(&["sbbf"], column));
        let line = least(&["double probe", "blocked"], column);
        print(&format!("one line, 10 bits: {name}"), line, least(&["sbbf"], column));
        let standard = least(&["standard"], column);
        print(&format!("whole filter, 10 bits: {name}"), standard, least(&["fastbloom"], column));
        let fixed = least(&["ribbon, 8"], column);
        print(&format!("static, 8 columns: {name}"), fixed, least(&["xorf"], column));
    }
    for kind in ["double probe", "blocked", "split block", "standard", "ribbon, 7"] {
        for (column, name) in COLUMNS.iter().enumerate().skip(5) {
            print(&format!("{kind}: {name}"), least(&[kind], column), 10.0);
        }
    }
}

/// As `time`, by the clock on the wall.
fn wall_time<T>(best: &mut f64, count: usize, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = black_box(f());
    let ns = start.elapsed().as_nanos() as f64 / count as f64;
    if *best == 0.0 || ns < *best {
        *best = ns;
    }
    result
}

/// Two threads that fill one filter of a million keys.
fn threads() {
    let members = random(4, 1_000_000);
    let mut ns = [0.0; 4];
    for _ in 0..25 {
        let halves = || members.chunks(members.len() / 2);
        let ours = |batch: bool| {
            let shared = SharedBuilder::new(Kind::DoubleProbe, 10.0, 1_000_000).expect("Bloom");
            std::thread::scope(|scope| {
                for half in halves() {
                    let shared = &shared;
                    scope.spawn(move || match batch {
                        true => shared.insert_hashes(half),
                        false => half.iter().for_each(|&hash| shared.insert_hash(hash)),
                    });
                }
            });
            shared
        };
        wall_time(&mut ns[0], members.len(), || ours(false));
        wall_time(&mut ns[1], members.len(), || ours(true));
        wall_time(&mut ns[2], members.len(), || {
            let filter = AtomicBloomFilter::with_num_bits(10_000_000).expected_items(1_000_000);
            std::thread::scope(|scope| {
                for half in halves() {
                    let filter = &filter;
                    scope.spawn(move || {
                        half.iter().for_each(|&hash| {
                            filter.insert_hash(hash);
                        })
                    });
                }
            });
            filter
        });
        wall_time(&mut ns[3], members.len(), || bloom::build(Kind::DoubleProbe, 10.0, &members));
    }
    println!("\n### 1,000,000 keys, two threads, one filter of 10 bits a key (ns a key)\n");
    println!("| filter | build |\n|---|---|");
    for (name, ns) in [
        "**bloom** shared, one by one",
        "**bloom** shared, batches",
        "fastbloom 0.17 atomic",
        "**bloom** by one thread",
    ]
    .iter()
    .zip(ns)
    {
        println!("| {name} | {ns:.1} |");
    }
}

fn rates() {
    println!("\n### Bits a key for 1 %\n");
    println!("| filter | bits a key |\n|---|---|");
    for kind in Kind::ALL {
        let bits = sizing::bits(*kind, 0.01).expect("every kind reaches 1 %");
        println!("| {kind:?} | {bits:.2} |");
    }
    println!("| bound for any Bloom filter | 9.585 |\n| bound for any filter | 6.644 |");
}

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|arg| arg == name);
    for (count, rounds) in [(1_000, 15), (100_000, 15), (10_000_000, 4)] {
        if wanted(&count.to_string()) {
            table(count, rounds);
        }
    }
    if wanted("threads") {
        threads();
    }
    if wanted("rates") {
        rates();
    }
}
