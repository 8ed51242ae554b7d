//! Policies on text: each file in `tests/cases` holds cases of `what / ---- / expected plans`.
//!
//! ```text
//! # comment
//! policy leveled T=4 l0=2 base=40 table=10 job=1000 [age=US] [density=F]
//! now 100          snapshot 7          cursor L1 c          reads 3=10
//! L0 #9 9:10[a-m] 10:10[n-z]      level, run number, table number:bytes[smallest-largest],
//! L0 #8 8:10/5[b-k]               then /tombstones, @since; 100 entries a table;
//! busy 8 9                        sequence numbers 10 * number .. 10 * number + 9 unless ^min-max
//! ----
//! merge ...                       what `pick` says until it says nothing, each note as busy
//! ```
//!
//! `UPDATE=1 cargo test` rewrites what is expected; read the difference before you keep it.

#![expect(clippy::unwrap_used, reason = "a malformed case may panic where it is read")]

use std::fmt::Write as _;
use std::sync::Arc;

use compaction::{
    Busy, Context, Granularity, KeyRange, Levels, Manual, Options, Picked, Policy, Run, Selection,
    Strategy, TableInfo,
};

#[derive(Default)]
struct Case {
    options: Options,
    levels: Levels,
    busy: Vec<u64>,
    ctx: Context,
    /// What a manual compaction asks for; the empty key range means all.
    manual: Option<KeyRange>,
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

fn selection(name: &str) -> Selection {
    match name {
        "least-overlap" => Selection::LeastOverlap,
        "round-robin" => Selection::RoundRobin,
        "most-tombstones" => Selection::MostTombstones,
        "oldest" => Selection::Oldest,
        "coldest" => Selection::Coldest,
        other => panic!("no selection {other}"),
    }
}

fn strategy(words: &[&str]) -> Strategy {
    let value = |name: &str| {
        let found = words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("missing {name}="))
    };
    match words[0] {
        "leveled" => Strategy::Leveled,
        "tiered" => Strategy::Tiered,
        "lazy" => Strategy::LazyLeveled,
        "lazy-l0" => Strategy::LazyL0,
        "partial" => Strategy::Partial(selection(value("select"))),
        "fluid" => Strategy::Fluid {
            inner_runs: number(value("K")),
            last_runs: number(value("Z")),
            granularity: Granularity::default(),
        },
        "fifo" => Strategy::Fifo {
            max_bytes: number(value("max")),
            ttl_us: words.iter().find_map(|w| w.strip_prefix("ttl=")).map(number),
        },
        other => panic!("no strategy {other}"),
    }
}

fn options(words: &[&str]) -> Options {
    let mut options = Options::new(strategy(words));
    options.tombstone_density = 0.0;
    for word in &words[1..] {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "T" => options.size_ratio = number(value),
            "l0" => options.l0_runs = number(value),
            "base" => options.base_bytes = number(value),
            "table" => options.target_table_bytes = number(value),
            "job" => options.max_job_bytes = number(value),
            "age" => options.max_tombstone_age_us = Some(number(value)),
            "density" => options.tombstone_density = number(value),
            "select" | "K" | "Z" | "max" | "ttl" => {}
            other => panic!("no option {other}"),
        }
    }
    options
}

/// `7:10/5@80^70-79[a-m]`
fn table(text: &str) -> Arc<TableInfo> {
    let (head, keys) = text.strip_suffix(']').unwrap().split_once('[').unwrap();
    let (smallest, largest) = keys.split_once('-').unwrap_or((keys, keys));
    let (head, seqnos) = head.split_once('^').map_or((head, None), |(h, s)| (h, Some(s)));
    let (head, since) = head.split_once('@').map_or((head, 0), |(h, s)| (h, number(s)));
    let (head, tombstones) = head.split_once('/').map_or((head, 0), |(h, s)| (h, number(s)));
    let (id, bytes) = head.split_once(':').unwrap();
    let id: u64 = number(id);
    let seqnos = seqnos.map(|s| s.split_once('-').unwrap());
    let (min_seqno, max_seqno) =
        seqnos.map_or((10 * id, 10 * id + 9), |(a, b)| (number(a), number(b)));
    Arc::new(TableInfo {
        id,
        bytes: number(bytes),
        entries: 100,
        tombstones,
        smallest: smallest.into(),
        largest: largest.into(),
        min_seqno,
        max_seqno,
        created_at_us: since,
        tombstones_since_us: since,
        ranges_applied: 0,
    })
}

fn parse(text: &str) -> Case {
    let mut case = Case::default();
    let mut runs: Vec<(usize, Run)> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().filter(|l| l.trim().is_empty()).map_or(line, |_| "");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["policy", rest @ ..] => case.options = options(rest),
            ["now", time] => case.ctx.now_us = number(time),
            ["snapshot", seqno] => case.ctx.oldest_snapshot = Some(number(seqno)),
            ["cursor", level, key] => {
                case.ctx.cursors.insert(number(&level[1..]), key.as_bytes().to_vec());
            }
            ["reads", pairs @ ..] => {
                let pairs = pairs.iter().map(|p| p.split_once('=').unwrap());
                case.ctx.reads.extend(pairs.map(|(id, n)| (number::<u64>(id), number::<u64>(n))));
            }
            ["busy", ids @ ..] => case.busy.extend(ids.iter().map(|id| number::<u64>(id))),
            ["manual"] => case.manual = Some(KeyRange::new("", "")),
            ["manual", range] => {
                let (a, b) = range.split_once('-').unwrap();
                case.manual = Some(KeyRange::new(a, b));
            }
            [level, id, tables @ ..] => {
                let tables = tables.iter().map(|t| table(t)).collect();
                runs.push((number(&level[1..]), Run::new(number(&id[1..]), tables)));
            }
            [_] => panic!("cannot read: {line}"),
        }
    }
    for (level, run) in runs.into_iter().rev() {
        case.levels.push_run(level, run);
    }
    case.levels.validate();
    case
}

/// Marks tables as held by another job that writes nowhere near.
fn hold(case: &Case, busy: &mut Busy) {
    for id in &case.busy {
        let (level, run) = case
            .levels
            .runs()
            .find(|(_, run)| run.tables.iter().any(|t| t.id == *id))
            .expect("busy table exists");
        let plan = compaction::Plan {
            kind: compaction::Kind::Drop,
            inputs: vec![compaction::Input { level, run_id: run.id, table_ids: vec![*id] }],
            output_level: 1000 + usize::try_from(*id).unwrap(),
            output: compaction::OutputRun::New,
            target_table_bytes: 1,
            span: compaction::Span::Free,
            bottommost: true,
            older: Vec::new(),
            reason: String::new(),
        };
        busy.start(&plan, &case.levels);
    }
}

fn answer(case: &Case) -> String {
    let policy: Box<dyn Policy> = case.options.build().unwrap();
    let mut busy = Busy::new();
    hold(case, &mut busy);
    let mut text = String::new();
    let manual = case.manual.clone().map(|range| {
        Manual::new(&case.levels, Some(range).filter(|range| !range.largest.is_empty()))
    });
    for _ in 0..20 {
        let plan = match &manual {
            None => policy.pick(&case.levels, &busy, &case.ctx),
            Some(manual) => match policy.pick_range(&case.levels, &busy, &case.ctx, manual) {
                Picked::Plan(plan) => Some(plan),
                Picked::Blocked => {
                    text.push_str("blocked\n");
                    None
                }
                Picked::Done => {
                    text.push_str("done\n");
                    None
                }
            },
        };
        let Some(plan) = plan else { break };
        assert_eq!(plan.check(&case.levels), Ok(()), "{plan}");
        writeln!(text, "{plan}\n    {}", plan.reason).unwrap();
        busy.start(&plan, &case.levels);
    }
    if text.is_empty() {
        text.push_str("nothing\n");
    }
    text
}

#[test]
fn every_case_gives_the_expected_plans() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut fresh = String::new();
        for case in text.split("\n\n").map(str::trim).filter(|case| !case.is_empty()) {
            let (input, expected) = case.split_once("----").unwrap_or((case, ""));
            let got = answer(&parse(input));
            if std::env::var_os("UPDATE").is_none() {
                assert_eq!(got.trim(), expected.trim(), "in {}:\n{input}", path.display());
            }
            writeln!(fresh, "{}\n----\n{got}", input.trim()).unwrap();
            seen += 1;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, fresh).unwrap();
        }
    }
    assert!(seen > 20, "only {seen} cases were found");
}
