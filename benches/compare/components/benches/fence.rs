//! `fence` beside the searches one would write without it. Prints the tables of docs/performance.md
//! and docs/reproduction.md.
//!
//! `cargo bench --bench fence -- [latency] [cold] [ranges] [memory] [crossovers] [real]` prints the
//! named tables, or all; `min=N`, `max=N` and `set=NAME` narrow them. `FENCE_WORDS` names a file of
//! `key TAB value` lines, `FENCE_PATHS` a folder whose file names become keys (default `/usr`).
//!
//! A query is a stored key, drawn at random. *Dependent*: the next query waits for the rank of the
//! one before. *Absent*: the same with keys drawn alike but not stored. *Batched*: 1,024 keys a
//! call. Each figure is the least of up to 11 passes over 100,000 queries.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use eytzinger::SliceExt as _;
use eytzinger::permutation::InplacePermutator;
use fence::{AlignedBytes, Builder, Fence, Layout};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Owned = Fence<AlignedBytes>;

/// Keys end to end in one buffer.
#[derive(Clone, Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    fn get(&self, i: usize) -> &[u8] {
        &self.bytes[if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i]]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Every other key, and the rest.
    fn halves(&self) -> (Self, Self) {
        let (mut even, mut odd) = (Self::default(), Self::default());
        for (i, key) in self.iter().enumerate() {
            if i % 2 == 0 { even.push(key) } else { odd.push(key) }
        }
        (even, odd)
    }

    fn from_sorted(mut all: Vec<Vec<u8>>) -> Self {
        all.sort();
        all.dedup();
        let mut keys = Self::default();
        all.iter().for_each(|key| keys.push(key));
        keys
    }
}

fn integers(n: usize) -> Keys {
    let mut rng = StdRng::seed_from_u64(1);
    let mut all: Vec<u64> = (0..n).map(|_| rng.random()).collect();
    all.sort_unstable();
    let mut keys = Keys::default();
    all.iter().for_each(|key| keys.push(&key.to_be_bytes()));
    keys
}

fn random16(n: usize) -> Keys {
    let mut rng = StdRng::seed_from_u64(2);
    let mut all: Vec<u128> = (0..n).map(|_| rng.random()).collect();
    all.sort_unstable();
    let mut keys = Keys::default();
    all.iter().for_each(|key| keys.push(&key.to_be_bytes()));
    keys
}

/// 40 bytes: tenant, table and region shared by thousands of neighbours, then a serial number.
fn shared40(n: usize) -> Keys {
    let mut rng = StdRng::seed_from_u64(3);
    let mut all: Vec<u64> = (0..n).map(|_| rng.random_range(0..100_000_000_000)).collect();
    all.sort_unstable();
    let mut keys = Keys::default();
    for (i, number) in all.iter().enumerate() {
        let group = i / (n / 40).max(1);
        keys.push(format!("tenant{group:04}/orders/eu-west-1/{number:012}").as_bytes());
    }
    keys
}

fn words() -> Option<Keys> {
    let text =
        std::fs::read(std::env::var_os("FENCE_WORDS")?).expect("FENCE_WORDS must be readable");
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let first = |line: &[u8]| line.split(|byte| *byte == b'\t').next().unwrap_or_default().to_vec();
    Some(Keys::from_sorted(lines.map(first).collect()))
}

fn paths() -> Keys {
    fn walk(folder: &Path, out: &mut Vec<Vec<u8>>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            out.push(path.as_os_str().as_encoded_bytes().to_vec());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&path, out);
            }
        }
    }
    let root = std::env::var_os("FENCE_PATHS").unwrap_or("/usr".into());
    let mut all = Vec::new();
    walk(Path::new(&root), &mut all);
    Keys::from_sorted(all)
}

fn queries(keys: &Keys, count: usize) -> Keys {
    let mut rng = StdRng::seed_from_u64(4);
    let mut drawn = Keys::default();
    (0..count).for_each(|_| drawn.push(keys.get(rng.random_range(0..keys.len()))));
    drawn
}

/// Nanoseconds per operation of `pass`, which does `operations`: the least of up to 11 passes,
/// because whatever else runs on the machine only ever adds.
fn time(operations: usize, mut pass: impl FnMut() -> usize) -> f64 {
    let (begin, mut least) = (Instant::now(), f64::INFINITY);
    for done in 0..11 {
        let start = Instant::now();
        black_box(pass());
        least = least.min(start.elapsed().as_secs_f64() * 1e9 / operations as f64);
        if done >= 2 && begin.elapsed().as_secs_f64() > 1.0 {
            break;
        }
    }
    least
}

/// Each query waits for the answer to the one before.
fn dependent(asked: &Keys, find: impl Fn(&[u8]) -> usize) -> f64 {
    let zero = black_box(0);
    time(asked.len(), || (0..asked.len()).fold(0, |rank, i| find(asked.get(i + (rank & zero)))))
}

/// Queries may overlap as far as the processor manages.
fn independent(asked: &Keys, find: impl Fn(&[u8]) -> usize) -> f64 {
    time(asked.len(), || asked.iter().fold(0, |sum, key| sum ^ find(key)))
}

fn batched(asked: &Keys, fence: &Owned) -> f64 {
    let all: Vec<&[u8]> = asked.iter().collect();
    let mut ranks = [0; 1024];
    time(asked.len(), || {
        all.chunks(1024).fold(0, |sum, keys| {
            fence.find_many(keys, &mut ranks[..keys.len()]);
            sum ^ ranks[0]
        })
    })
}

fn build(layout: Layout, keys: &Keys) -> Owned {
    let mut builder = Builder::new(layout);
    keys.iter().for_each(|key| builder.push(key));
    Fence::decode(AlignedBytes::copy_of(&builder.finish())).expect("what was just encoded")
}

fn row(name: &str, figures: &[f64]) {
    let mut line = format!("| {name} |");
    for figure in figures {
        let digits = usize::from(*figure < 99.95);
        write!(line, " {figure:.digits$} |").expect("writing to a string");
    }
    println!("{line}");
}

fn heading(title: &str, columns: &[&str]) {
    println!(
        "\n#### {title}\n\n| | {} |\n|---|{}",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
}

fn leading(key: &[u8]) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|i| key.get(i).copied().unwrap_or(0)))
}

const COLUMNS: [&str; 4] = ["dependent", "absent", "independent", "batched"];

/// What is asked: stored keys, and others like them.
struct Asked {
    stored: Keys,
    absent: Keys,
}

fn three(asked: &Asked, find: impl Fn(&[u8]) -> usize) -> [f64; 3] {
    let [a, b] = [&asked.stored, &asked.absent].map(|keys| dependent(keys, &find));
    [a, b, independent(&asked.stored, &find)]
}

fn both(name: &str, asked: &Asked, find: impl Fn(&[u8]) -> usize) {
    row(name, &three(asked, find));
}

/// What no search can beat: one dependent cache line out of as much memory as the prefixes need.
fn limit(count: usize, asked: usize) {
    let mut next: Vec<usize> = (0..count).collect();
    let mut rng = StdRng::seed_from_u64(8);
    (1..count).rev().for_each(|i| next.swap(i, rng.random_range(0..i)));
    let nanos = time(asked, || (0..asked).fold(0, |at, _| next[at]));
    row("(one dependent cache line of 8 B x entries)", &[nanos]);
}

/// The searches one would write without this crate.
fn rivals(keys: &Keys, asked: &Asked) {
    let prefixes: Vec<u64> = keys.iter().map(leading).collect();
    let distinct = prefixes.is_sorted_by(|a, b| a < b);
    if keys.get(0).len() == 8 {
        both("`slice::binary_search` on u64", asked, |key| {
            prefixes.binary_search(&leading(key)).unwrap_or_else(|rank| rank)
        });
        both("`slice::partition_point` on u64", asked, |key| {
            let wanted = leading(key);
            prefixes.partition_point(|prefix| *prefix < wanted)
        });
    }
    if keys.iter().all(|key| key.len() == 16) {
        let inline: Vec<[u8; 16]> =
            keys.iter().map(|key| key.try_into().expect("16 bytes")).collect();
        both("`binary_search` on inline `[u8; 16]`", asked, |key| {
            inline.binary_search_by(|probe| probe[..].cmp(key)).unwrap_or_else(|rank| rank)
        });
        both("`partition_point` on inline `[u8; 16]`", asked, |key| {
            inline.partition_point(|probe| probe[..] < *key)
        });
    }
    if distinct {
        let mut tree = prefixes;
        tree.eytzingerize(&mut InplacePermutator);
        both("crate `eytzinger` 1.1 on the same 8-byte prefixes", asked, |key| {
            tree.eytzinger_search(&leading(key)).unwrap_or_default()
        });
    }
    let mut boxed: Vec<Box<[u8]>> = vec![Box::default(); keys.len()];
    let mut order: Vec<usize> = (0..keys.len()).collect();
    let mut rng = StdRng::seed_from_u64(5);
    for i in (1..order.len()).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order.iter().for_each(|i| boxed[*i] = keys.get(*i).into());
    both("`binary_search` on `Box<[u8]>`", asked, |key| {
        boxed.binary_search_by(|probe| probe[..].cmp(key)).unwrap_or_else(|rank| rank)
    });
    both("`partition_point` on `Box<[u8]>`", asked, |key| {
        boxed.partition_point(|probe| probe[..] < *key)
    });
}

fn ours(keys: &Keys, asked: &Asked) {
    for layout in Layout::ALL {
        let fence = build(*layout, keys);
        let find = |key: &[u8]| fence.find(key);
        let [stored, absent, independent] = three(asked, find);
        let figures = [stored, absent, independent, batched(&asked.stored, &fence)];
        row(&format!("**{layout:?}**"), &figures);
    }
}

fn latency(name: &str, keys: &Keys, others: &Keys) {
    let asked = Asked { stored: queries(keys, 100_000), absent: queries(others, 100_000) };
    heading(&format!("{name}, {} entries (ns a query)", keys.len()), &COLUMNS);
    limit(keys.len(), 100_000);
    rivals(keys, &asked);
    ours(keys, &asked);
}

/// Each query goes to another copy in turn; together they are far larger than the caches.
fn cold(name: &str, keys: &Keys) {
    const BYTES: usize = 256 << 20;
    heading(&format!("{name}, {} entries, cold (ns a query)", keys.len()), &["dependent"]);
    let asked = queries(keys, 50_000);
    for layout in Layout::ALL {
        let one = build(*layout, keys);
        let copies: Vec<Owned> = vec![one.clone(); (BYTES / one.memory_usage()).max(2)];
        let zero = black_box(0);
        let nanos = time(asked.len(), || {
            (0..asked.len())
                .fold(0, |rank, i| copies[i % copies.len()].find(asked.get(i + (rank & zero))))
        });
        row(&format!("**{layout:?}**"), &[nanos]);
    }
}

/// The report's four sizes: how many ranges, and how many separators each spans.
const RANGES: [(&str, usize, usize); 4] =
    [("small", 2_500, 10), ("medium", 1_000, 100), ("large", 500, 1_000), ("extreme", 100, 10_000)];

fn ranges(name: &str, keys: &Keys) {
    heading(
        &format!("{name}, {} entries, ranges (ns a range)", keys.len()),
        &RANGES.map(|(name, ..)| name),
    );
    let mut rng = StdRng::seed_from_u64(6);
    let asked = RANGES.map(|(_, count, span)| {
        let (mut los, mut his) = (Keys::default(), Keys::default());
        for _ in 0..count {
            let lo = rng.random_range(0..keys.len().saturating_sub(span).max(1));
            los.push(keys.get(lo));
            his.push(keys.get((lo + span).min(keys.len() - 1)));
        }
        (los, his)
    });
    for layout in Layout::ALL {
        let fence = build(*layout, keys);
        let figures = asked.each_ref().map(|(los, his)| {
            time(los.len(), || {
                (0..los.len()).fold(0, |sum, i| sum ^ fence.find_range(los.get(i), his.get(i)).end)
            })
        });
        row(&format!("**{layout:?}**"), &figures);
    }
}

fn memory(name: &str, keys: &Keys) {
    heading(&format!("{name}, {} entries", keys.len()), &["bytes an entry", "% of Standard"]);
    let standard = build(Layout::Standard, keys).memory_usage() as f64;
    row("key bytes", &[keys.bytes.len() as f64 / keys.len() as f64]);
    row("`Vec<Box<[u8]>>`", &[keys.bytes.len() as f64 / keys.len() as f64 + 16.0]);
    for layout in Layout::ALL {
        let bytes = build(*layout, keys).memory_usage() as f64;
        row(&format!("**{layout:?}**"), &[bytes / keys.len() as f64, bytes / standard * 100.0]);
    }
}

/// Dependent queries for stored keys, of some layouts.
fn compare(name: &str, keys: &Keys, layouts: &[Layout]) {
    let asked = queries(keys, 20_000);
    let nanos = |layout: &Layout| {
        let fence = build(*layout, keys);
        dependent(&asked, |key| fence.find(key))
    };
    row(name, &layouts.iter().map(nanos).collect::<Vec<_>>());
}

/// The figures that `fence::choose` rests on.
fn crossovers() {
    let names = |layouts: &[Layout]| layouts.iter().map(|l| format!("{l:?}")).collect::<Vec<_>>();
    let heading = |title: &str, layouts: &[Layout]| {
        let names = names(layouts);
        heading(title, &names.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let layouts =
        [Layout::Standard, Layout::Eytzinger, Layout::FastLane, Layout::Wide, Layout::Linear];
    heading("u64, by count (ns a dependent query)", &layouts);
    for n in [4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096] {
        compare(&n.to_string(), &integers(n), &layouts);
    }
    let mut rng = StdRng::seed_from_u64(9);
    let layouts = [Layout::Standard, Layout::Wide, Layout::PrefixTree];
    heading("100,000 keys of 24 B, by share of neighbours equal in 8 bytes (ns)", &layouts);
    for tied in [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95] {
        let mut head = rng.random::<u64>();
        let mut all = Vec::new();
        for _ in 0..100_000 {
            if !rng.random_bool(tied) {
                head = rng.random();
            }
            let tail: [u8; 16] = rng.random();
            all.push([&head.to_be_bytes()[..], &tail].concat());
        }
        compare(&format!("{:.0} %", tied * 100.0), &Keys::from_sorted(all), &layouts);
    }
    let layouts = [Layout::Standard, Layout::Wide, Layout::Linear];
    heading("100,000 u64, by share in crowded stretches (ns)", &layouts);
    for crowded in [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9] {
        let draw = |_| {
            let key: u64 = rng.random();
            if rng.random_bool(crowded) { 7 << 50 | key >> 24 } else { key }
        };
        let all = (0..100_000).map(draw).map(|key| key.to_be_bytes().to_vec()).collect();
        compare(&format!("{:.0} %", crowded * 100.0), &Keys::from_sorted(all), &layouts);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let option = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name));
    let max: usize = option("max=").and_then(|max| max.parse().ok()).unwrap_or(10_000_000);
    let min: usize = option("min=").and_then(|min| min.parse().ok()).unwrap_or(0);
    let named: Vec<&String> = args.iter().filter(|arg| !arg.contains('=')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|arg| *arg == name);
    let sizes =
        || [10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|n| (min..=max).contains(n));
    type Make = fn(usize) -> Keys;
    let makers: [(&str, Make); 3] =
        [("u64", integers), ("random 16 B", random16), ("shared 40 B", shared40)];
    for (name, make) in
        makers.into_iter().filter(|(name, _)| option("set=").is_none_or(|set| name.contains(set)))
    {
        for n in sizes() {
            let (keys, others) = make(2 * n).halves();
            if wanted("latency") {
                latency(name, &keys, &others);
            }
            if wanted("cold") && n <= 1_000_000 {
                cold(name, &keys);
            }
            if wanted("ranges") && n <= 1_000_000 {
                ranges(name, &keys);
            }
            if wanted("memory") && n == max.min(1_000_000) {
                memory(name, &keys);
            }
        }
    }
    if wanted("crossovers") {
        crossovers();
    }
    if wanted("real") {
        for (name, keys) in [("WordNet words", words()), ("file paths", Some(paths()))] {
            let Some((keys, others)) = keys.map(|keys| keys.halves()) else { continue };
            latency(name, &keys, &others);
            cold(name, &keys);
            memory(name, &keys);
        }
    }
}
