//! `fence` beside the searches one would write without it. Prints the tables of docs/performance.md
//! and docs/reproduction.md.
//!
//! `cargo bench --bench fence -- [latency] [cold] [ranges] [memory] [crossovers] [real]` prints the
//! named tables, or all; `min=N`, `max=N` and `set=NAME` narrow them, `seconds=S`
//! bounds each table (default 8, five rounds at least). `FENCE_WORDS` names a file of `key TAB
//! value` lines, `FENCE_PATHS` a folder whose file names become keys (default `/usr`).
//!
//! A query is a stored key, drawn at random. *Dependent*: the next query waits for the rank of the
//! one before. *Absent*: the same with keys drawn alike but not stored. *Batched*: 1,024 keys a
//! call. All cells of a table are measured in turn, 5 to 40 rounds of 5 times 20,000 queries (4,000
//! for boxed and cold keys), and the least is printed: whatever else runs on a machine only adds.

use std::fmt::Write as _;
use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;
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

/// A search to be measured: does queries number `range` and returns something of each.
struct Cell<'a> {
    operations: usize,
    pass: Box<dyn FnMut(Range<usize>) -> usize + 'a>,
    least: f64,
}

/// Stretches into which the queries are cut: short ones find the quiet moments of a busy machine,
/// and all of them together touch too much to stay in the inner caches.
const STRETCHES: usize = 5;

impl<'a> Cell<'a> {
    fn new(operations: usize, pass: impl FnMut(Range<usize>) -> usize + 'a) -> Self {
        Self { operations, pass: Box::new(pass), least: f64::INFINITY }
    }

    /// Each query waits for the answer to the one before.
    fn dependent(asked: &'a Keys, find: impl Fn(&[u8]) -> usize + 'a) -> Self {
        let zero = black_box(0);
        Self::new(asked.len(), move |range| {
            range.fold(0, |rank, i| find(asked.get(i + (rank & zero))))
        })
    }

    /// Queries may overlap as far as the processor manages.
    fn independent(asked: &'a Keys, find: impl Fn(&[u8]) -> usize + 'a) -> Self {
        Self::new(asked.len(), move |range| range.fold(0, |sum, i| sum ^ find(asked.get(i))))
    }

    fn batched(asked: &'a Keys, fence: Rc<Owned>) -> Self {
        let all: Vec<&[u8]> = asked.iter().collect();
        let mut ranks = [0; 1024];
        Self::new(asked.len(), move |range| {
            all[range].chunks(1024).fold(0, |sum, keys| {
                fence.find_many(keys, &mut ranks[..keys.len()]);
                sum ^ ranks[0]
            })
        })
    }

    fn measure(&mut self) {
        let len = self.operations / STRETCHES;
        for stretch in 0..STRETCHES {
            let start = Instant::now();
            black_box((self.pass)(stretch * len..(stretch + 1) * len));
            let nanos = start.elapsed().as_secs_f64() * 1e9 / len as f64;
            self.least = self.least.min(nanos);
        }
    }
}

/// A table whose cells are measured in turn, round after round, so that whatever else runs on the
/// machine hits all of them alike; the least of all rounds is printed.
struct Table<'a> {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Cell<'a>>)>,
}

impl<'a> Table<'a> {
    fn new(title: String, columns: &[&str]) -> Self {
        Self { title, columns: columns.iter().map(ToString::to_string).collect(), rows: vec![] }
    }

    fn row(&mut self, name: &str, cells: impl IntoIterator<Item = Cell<'a>>) {
        self.rows.push((name.into(), cells.into_iter().collect()));
    }

    /// The figures of the row whose name contains `name`, if there is one.
    fn figures(&self, name: &str) -> Option<Vec<f64>> {
        let (_, cells) = self.rows.iter().find(|(found, _)| found.contains(name))?;
        Some(cells.iter().map(|cell| cell.least).collect())
    }

    /// Measures and prints; returns itself with the figures.
    fn print(mut self) -> Self {
        let seconds = SECONDS.get().copied().unwrap_or(8.0);
        let begin = Instant::now();
        for round in 0..40 {
            self.rows.iter_mut().flat_map(|(_, cells)| cells).for_each(Cell::measure);
            if round >= 4 && begin.elapsed().as_secs_f64() > seconds {
                break;
            }
        }
        heading(&self.title, &self.columns.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, cells) in &self.rows {
            row(name, &cells.iter().map(|cell| cell.least).collect::<Vec<_>>());
        }
        self
    }
}

/// Seconds a table may take beyond its first rounds.
static SECONDS: OnceLock<f64> = OnceLock::new();

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

/// The three columns that every search has.
fn three<'a>(asked: &'a Asked, find: impl Fn(&[u8]) -> usize + Clone + 'a) -> [Cell<'a>; 3] {
    [
        Cell::dependent(&asked.stored, find.clone()),
        Cell::dependent(&asked.absent, find.clone()),
        Cell::independent(&asked.stored, find),
    ]
}

/// What no search can beat: one dependent cache line out of as much memory as the prefixes need.
fn limit<'a>(count: usize, asked: usize) -> Cell<'a> {
    let mut next: Vec<usize> = (0..count).collect();
    let mut rng = StdRng::seed_from_u64(8);
    (1..count).rev().for_each(|i| next.swap(i, rng.random_range(0..i)));
    let mut at = 0;
    Cell::new(asked, move |range| {
        at = range.fold(at, |at, _| next[at]);
        at
    })
}

/// The searches one would write without this crate.
fn rivals<'a>(table: &mut Table<'a>, keys: &Keys, asked: &'a Asked, few: &'a Asked) {
    let prefixes: Rc<Vec<u64>> = Rc::new(keys.iter().map(leading).collect());
    if keys.iter().all(|key| key.len() == 8) {
        let all = Rc::clone(&prefixes);
        let find = move |key: &[u8]| all.binary_search(&leading(key)).unwrap_or_else(|rank| rank);
        table.row("`slice::binary_search` on `u64`", three(asked, find));
        let all = Rc::clone(&prefixes);
        let find = move |key: &[u8]| {
            let wanted = leading(key);
            all.partition_point(|prefix| *prefix < wanted)
        };
        table.row("`slice::partition_point` on `u64`", three(asked, find));
    }
    if keys.iter().all(|key| key.len() == 16) {
        let all = keys.iter().map(|key| key.try_into().expect("16 bytes"));
        let inline: Rc<Vec<[u8; 16]>> = Rc::new(all.collect());
        let all = Rc::clone(&inline);
        let find = move |key: &[u8]| {
            all.binary_search_by(|probe| probe[..].cmp(key)).unwrap_or_else(|rank| rank)
        };
        table.row("`binary_search` on inline `[u8; 16]`", three(asked, find));
        let find = move |key: &[u8]| inline.partition_point(|probe| probe[..] < *key);
        table.row("`partition_point` on inline `[u8; 16]`", three(asked, find));
    }
    if prefixes.is_sorted_by(|a, b| a < b) {
        let mut tree = Vec::clone(&prefixes);
        tree.eytzingerize(&mut InplacePermutator);
        let tree = Rc::new(tree);
        let find = move |key: &[u8]| tree.eytzinger_search(&leading(key)).unwrap_or_default();
        table.row("crate `eytzinger` 1.1 on the same 8-byte prefixes", three(asked, find));
    }
    let mut boxed: Vec<Box<[u8]>> = vec![Box::default(); keys.len()];
    let mut order: Vec<usize> = (0..keys.len()).collect();
    let mut rng = StdRng::seed_from_u64(5);
    (1..order.len()).rev().for_each(|i| order.swap(i, rng.random_range(0..=i)));
    order.iter().for_each(|i| boxed[*i] = keys.get(*i).into());
    let boxed = Rc::new(boxed);
    let find = move |key: &[u8]| {
        boxed.binary_search_by(|probe| probe[..].cmp(key)).unwrap_or_else(|rank| rank)
    };
    table.row("`binary_search` on `Box<[u8]>`", three(few, find));
}

fn latency(name: &str, keys: &Keys, others: &Keys) {
    let drawn = |count| Asked { stored: queries(keys, count), absent: queries(others, count) };
    let (asked, few) = (drawn(100_000), drawn(20_000));
    let mut table = Table::new(format!("{name}, {} entries (ns a query)", keys.len()), &COLUMNS);
    table.row("(one dependent cache line of 8 B x entries)", [limit(keys.len(), 100_000)]);
    rivals(&mut table, keys, &asked, &few);
    for layout in Layout::ALL {
        let fence = Rc::new(build(*layout, keys));
        let batched = Cell::batched(&asked.stored, Rc::clone(&fence));
        let cells = three(&asked, move |key: &[u8]| fence.find(key));
        table.row(&format!("**{layout:?}**"), cells.into_iter().chain([batched]));
    }
    let table = table.print();
    if keys.len() >= 1_000_000 && keys.iter().all(|key| key.len() == 16) {
        goals(keys.len(), &table);
    }
}

/// What was aimed at for 16-byte keys, and what was reached: the best layout of each column.
fn goals(entries: usize, table: &Table<'_>) {
    println!("\n#### {entries} entries of 16 B, against the goals (ns a query)\n");
    println!("| | theirs | ours | ratio | goal | reached |\n|---|---|---|---|---|---|");
    let least = |column: usize| {
        let rows = Layout::ALL.iter().filter_map(|layout| table.figures(&format!("**{layout:?}")));
        rows.fold(f64::INFINITY, |least, figures| least.min(figures[column]))
    };
    let print = |what: &str, theirs: f64, ours: f64, goal: f64| {
        let (ratio, reached) = (theirs / ours, if theirs >= goal * ours { "yes" } else { "no" });
        println!("| {what} | {theirs:.1} | {ours:.1} | {ratio:.2} | {goal} | {reached} |");
    };
    for (name, goal) in [
        ("`binary_search` on inline", 5.0),
        ("`partition_point` on inline", 5.0),
        ("`binary_search` on `Box", 10.0),
        ("crate `eytzinger`", 3.0),
    ] {
        if let Some(figures) = table.figures(name) {
            print(&format!("{name}, dependent"), figures[0], least(0), goal);
        }
    }
    print("batched, best over best", least(0), least(3), 4.0);
    for layout in Layout::ALL {
        if let Some(figures) = table.figures(&format!("**{layout:?}")) {
            print(&format!("batched, {layout:?} over itself"), figures[0], figures[3], 4.0);
        }
    }
    if entries < 2_000_000 {
        print("batched, 35 ns allowed", 35.0, least(3), 1.0);
    }
}

/// Each query goes to another copy in turn; together they are far larger than the caches.
fn cold(name: &str, keys: &Keys) {
    const BYTES: usize = 256 << 20;
    let title = format!("{name}, {} entries, cold (ns a query)", keys.len());
    let asked = queries(keys, 20_000);
    let mut table = Table::new(title, &["dependent"]);
    for layout in Layout::ALL {
        let one = build(*layout, keys);
        let copies: Vec<Owned> = vec![one.clone(); (BYTES / one.memory_usage()).max(2)];
        let zero = black_box(0);
        let asked = &asked;
        let cell = Cell::new(asked.len(), move |range| {
            range.fold(0, |rank, i| copies[i % copies.len()].find(asked.get(i + (rank & zero))))
        });
        table.row(&format!("**{layout:?}**"), [cell]);
    }
    drop(table.print());
}

/// The report's four sizes: how many ranges, and how many separators each spans.
const RANGES: [(&str, usize, usize); 4] =
    [("small", 2_500, 10), ("medium", 1_000, 100), ("large", 500, 1_000), ("extreme", 100, 10_000)];

fn ranges(name: &str, keys: &Keys) {
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
    let title = format!("{name}, {} entries, ranges (ns a range)", keys.len());
    let mut table = Table::new(title, &RANGES.map(|(name, ..)| name));
    for layout in Layout::ALL {
        let fence = Rc::new(build(*layout, keys));
        let zero = black_box(0);
        let cells = asked.each_ref().map(|(los, his)| {
            let fence = Rc::clone(&fence);
            Cell::new(los.len(), move |range| {
                range.fold(0, |end, i| {
                    let i = i + (end & zero);
                    fence.find_range(los.get(i), his.get(i)).end
                })
            })
        });
        table.row(&format!("**{layout:?}**"), cells);
    }
    drop(table.print());
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

/// Dependent queries for stored keys, of some layouts; one row a key set.
fn compare(title: &str, layouts: &[Layout], sets: &[(String, Keys)]) {
    let asked: Vec<Keys> = sets.iter().map(|(_, keys)| queries(keys, 20_000)).collect();
    let names: Vec<String> = layouts.iter().map(|layout| format!("{layout:?}")).collect();
    let mut table = Table::new(title.into(), &names.iter().map(String::as_str).collect::<Vec<_>>());
    for ((name, keys), asked) in sets.iter().zip(&asked) {
        let cells = layouts.iter().map(|layout| {
            let fence = build(*layout, keys);
            Cell::dependent(asked, move |key| fence.find(key))
        });
        table.row(name, cells);
    }
    drop(table.print());
}

/// The figures that `fence::choose` rests on.
fn crossovers() {
    use Layout::{Eytzinger, FastLane, Linear, PrefixTree, Standard, Wide};
    let counts = [4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384];
    compare(
        "u64, by count (ns a dependent query)",
        &[Standard, Eytzinger, FastLane, Wide, Linear],
        &counts.map(|n| (n.to_string(), integers(n))),
    );
    let mut rng = StdRng::seed_from_u64(9);
    let tied = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 0.95].map(|tied| {
        let mut head = rng.random::<u64>();
        let mut all = Vec::new();
        for _ in 0..100_000 {
            if !rng.random_bool(tied) {
                head = rng.random();
            }
            let tail: [u8; 16] = rng.random();
            all.push([&head.to_be_bytes()[..], &tail].concat());
        }
        (format!("{:.0} %", tied * 100.0), Keys::from_sorted(all))
    });
    compare(
        "100,000 keys of 24 B, by share of neighbours equal in 8 bytes (ns a dependent query)",
        &[Standard, Wide, PrefixTree],
        &tied,
    );
    let crowded = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 0.9].map(|crowded| {
        let draw = |_| {
            let key: u64 = rng.random();
            if rng.random_bool(crowded) { 7 << 50 | key >> 24 } else { key }
        };
        let all = (0..100_000).map(draw).map(|key| key.to_be_bytes().to_vec()).collect();
        (format!("{:.0} %", crowded * 100.0), Keys::from_sorted(all))
    });
    compare(
        "100,000 u64, by share in crowded stretches (ns a dependent query)",
        &[Standard, Wide, Linear],
        &crowded,
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let option = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name));
    let max: usize = option("max=").and_then(|max| max.parse().ok()).unwrap_or(10_000_000);
    if let Some(seconds) = option("seconds=").and_then(|seconds| seconds.parse().ok()) {
        SECONDS.get_or_init(|| seconds);
    }
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
