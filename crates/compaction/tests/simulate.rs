//! The simulator through its face: the same question gives the same answer, strategies stand in
//! their known order, and the known special cases come out.

use compaction::advise::{Limits, Mix, Question, advise};
use compaction::plot::{Axis, svg, table};
use compaction::simulate::{
    Machine, Report, Setup, Skew, Spread, Workload, simulate, simulate_phases,
};
use compaction::{Granularity, Options, Selection, Strategy};

fn setup(strategy: Strategy) -> Setup {
    let options = Options {
        size_ratio: 6,
        base_bytes: 4 << 20,
        target_table_bytes: 1 << 20,
        max_job_bytes: 16 << 20,
        ..Options::new(strategy)
    };
    Setup { options, write_buffer_bytes: 1 << 20, ..Setup::default() }
}

fn workload() -> Workload {
    Workload { entries: 1_000_000, ..Workload::default() }
}

fn run(strategy: Strategy, workload: &Workload) -> Report {
    simulate(workload, &setup(strategy)).expect("valid options")
}

#[test]
fn strategies_stand_in_their_known_order() {
    let workload = Workload { entries: 500_000, ..workload() };
    let leveled = run(Strategy::Leveled, &workload);
    let lazy = run(Strategy::LazyLeveled, &workload);
    let tiered = run(Strategy::Tiered, &workload);
    // One round of updates holds one merge of lazy-leveled's last level, or two: the mean counts.
    let written = |strategy| {
        let phases = simulate_phases(&workload, &setup(strategy), 5).expect("valid options");
        Spread::of(&phases, |report| report.write_amplification).mean
    };
    let order = [Strategy::Tiered, Strategy::LazyLeveled, Strategy::Leveled].map(written);
    assert!(order.is_sorted(), "{order:?}");
    assert!(leveled.runs_mean < lazy.runs_mean && lazy.runs_mean < tiered.runs_mean);
    assert!(leveled.space_amplification < tiered.space_amplification);
    for report in [&leveled, &lazy, &tiered] {
        assert!(report.space_amplification >= 1.0, "{report:?}");
        assert!(report.table_bytes >= report.live_bytes, "{report:?}");
        let levels: u64 = report.levels.iter().map(|level| level.bytes).sum();
        assert_eq!(levels, report.table_bytes);
        assert!((0.6e6..1.2e6).contains(&(report.filter_bytes as f64)), "{report:?}");
    }
}

#[test]
fn the_same_question_has_the_same_answer() {
    let small = Workload { entries: 100_000, deletes: 0.2, ..workload() };
    assert_eq!(run(Strategy::Leveled, &small), run(Strategy::Leveled, &small));
    let other = Workload { seed: 2, ..small.clone() };
    assert_ne!(run(Strategy::Leveled, &small), run(Strategy::Leveled, &other));
}

/// Ordered keys are moved, not merged.
#[test]
fn an_ordered_load_costs_one_write() {
    let ordered = Workload { skew: Skew::Sequential, updates: 0.0, ..workload() };
    for strategy in [Strategy::Leveled, Strategy::LazyLeveled] {
        let report = run(strategy, &ordered);
        assert!(report.write_amplification < 1.3, "{strategy:?} {}", report.write_amplification);
    }
}

/// What comes after a merge is no rest of it, although it lies behind its last key.
#[test]
fn ascending_keys_gather_in_runs_as_others_do() {
    for strategy in [Strategy::Tiered, Strategy::LazyLeveled] {
        let ordered = Workload { skew: Skew::Sequential, updates: 0.0, ..workload() };
        let random = Workload { skew: Skew::Uniform, ..ordered.clone() };
        let (ordered, random) = (run(strategy, &ordered), run(strategy, &random));
        assert!(ordered.levels.len() <= random.levels.len() + 1, "{strategy}: {ordered:?}");
    }
}

#[test]
fn skewed_updates_cost_less_than_even_ones() {
    let even = Workload { entries: 300_000, ..workload() };
    let skewed = Workload { skew: Skew::Zipf { theta: 0.99 }, ..even.clone() };
    let (even, skewed) = (run(Strategy::Leveled, &even), run(Strategy::Leveled, &skewed));
    assert!(skewed.write_amplification < 0.8 * even.write_amplification);
}

/// A tree that is never merged is at its worst when all of it is there.
#[test]
fn the_worst_space_is_never_below_the_mean() {
    for strategy in [Strategy::Leveled, Strategy::Fifo { max_bytes: u64::MAX, ttl_us: None }] {
        let report = run(strategy, &Workload { entries: 20_000, ..workload() });
        let worst = report.space_amplification_max.expect("a small tree");
        assert!(worst >= report.space_amplification && worst > 1.0, "{strategy} {report:?}");
    }
}

/// With nine deletes in ten writes the tree shrinks to what is alive.
#[test]
fn deletes_free_their_space() {
    let deleting = Workload { entries: 300_000, deletes: 0.9, updates: 3.0, ..workload() };
    let report = run(Strategy::Leveled, &deleting);
    assert!(report.live_bytes < 100_000 * 116, "{}", report.live_bytes);
    assert!(report.table_bytes < 3 * report.live_bytes, "{report:?}");
}

#[test]
fn fifo_writes_once() {
    let report = run(Strategy::Fifo { max_bytes: u64::MAX, ttl_us: None }, &workload());
    assert!((1.0..1.1).contains(&report.write_amplification), "{}", report.write_amplification);
    assert_eq!(report.closed, None);
}

#[test]
fn a_slow_machine_stalls_and_a_fast_one_does_not() {
    let machine = |worker_bytes_per_s| Machine {
        ingest_bytes_per_s: 10e6,
        worker_bytes_per_s,
        stop_runs: 12,
        ..Machine::default()
    };
    let run = |speed| {
        let setup = Setup { machine: Some(machine(speed)), ..setup(Strategy::Leveled) };
        simulate(&Workload { entries: 300_000, ..workload() }, &setup).expect("valid options")
    };
    let (slow, fast) = (run(20e6), run(2e9));
    assert!(slow.stalled > Some(0.2), "{:?}", slow.stalled);
    assert!(slow.l0_runs_max <= 12 && slow.debt_bytes_max > fast.debt_bytes_max);
    assert!(fast.stalled.is_some_and(|stalled| stalled < 1e-9), "{:?}", fast.stalled);
    let unknown = self::run(Strategy::Leveled, &Workload { entries: 10_000, ..workload() });
    assert_eq!((unknown.stalled, unknown.slowed), (None, None));
}

/// What a job writes before anything is freed: `max_job_bytes` and a table of each run that takes
/// part, whatever the strategy, the ratio and the level.
#[test]
fn temporary_space_is_bounded() {
    const TABLE_BYTES: u64 = 64 << 10;
    const JOB_BYTES: u64 = 16 * TABLE_BYTES;
    let part = Granularity::default();
    let mut strategies =
        vec![Strategy::Leveled, Strategy::LazyL0, Strategy::LazyLeveled, Strategy::Tiered];
    for (inner_runs, last_runs) in [(1, 2), (2, 1), (2, 2), (3, 3)] {
        for granularity in [Granularity::Whole, part] {
            strategies.push(Strategy::Fluid { inner_runs, last_runs, granularity });
        }
    }
    for strategy in strategies {
        for size_ratio in [2, 3, 4, 10, 16] {
            let options = Options {
                size_ratio,
                base_bytes: 4 * TABLE_BYTES,
                target_table_bytes: TABLE_BYTES,
                max_job_bytes: JOB_BYTES,
                ..Options::new(strategy)
            };
            if options.validate().is_err() {
                continue;
            }
            let setup = Setup { options, write_buffer_bytes: TABLE_BYTES, ..Setup::default() };
            let deletes = if size_ratio == 4 { 0.3 } else { 0.0 };
            let workload = Workload { entries: 120_000, deletes, ..workload() };
            let report = simulate(&workload, &setup).expect("valid options");
            let most = report.temporary_bytes_max.expect("nothing is left out");
            assert!(report.table_bytes > 8 * JOB_BYTES, "the tree is larger than a job");
            let tables = u64::from(size_ratio) + 2;
            assert!(most <= JOB_BYTES + tables * TABLE_BYTES, "{strategy} {size_ratio}: {most}");
        }
    }
}

#[test]
fn a_petabyte_is_no_matter() {
    let huge = Workload { entries: 1_000_000_000_000_000 / 116, updates: 0.1, ..workload() };
    let setup = Setup::default();
    let report = simulate(&huge, &setup).expect("valid options");
    assert!(report.levels_left_out > 0);
    assert!(report.table_bytes > 1_000_000_000_000_000);
    assert!((20.0..80.0).contains(&report.write_amplification), "{}", report.write_amplification);
    // A job of the simulation stands for many: what they take for a time is not known.
    let unknown = (report.temporary_bytes_max, report.debt_bytes_max);
    assert_eq!((unknown, report.space_amplification_max), ((None, None), None));
}

#[test]
fn advice_follows_the_mix_and_keeps_the_limits() {
    let ask = |mix, limits| {
        let workload = Workload { entries: 200_000, ..workload() };
        let small = setup(Strategy::Leveled);
        let question = Question { workload, mix, limits, setup: small, ..Question::default() };
        advise(&question).expect("valid options").remove(0)
    };
    let mean = |phases: &[Report], number: fn(&Report) -> f64| Spread::of(phases, number).mean;
    let mix = |writes, scans| Mix { writes, scans, absent_gets: 0.0, present_gets: 0.0 };
    let writer = ask(mix(1.0, 0.0), Limits::default());
    let scanner = ask(mix(0.01, 1.0), Limits::default());
    let written = |phases: &[Report]| mean(phases, |report| report.write_amplification);
    assert!(written(&writer.phases) < written(&scanner.phases));
    let runs = |phases: &[Report]| mean(phases, |report| report.runs_mean);
    assert!(runs(&writer.phases) > runs(&scanner.phases));
    assert_eq!(writer.phases.len(), 3);
    let tight = Limits { space_amplification: Some(1.4), ..Limits::default() };
    let kept = ask(mix(1.0, 0.0), tight);
    assert!(kept.excess < 1e-9, "{}", kept.excess);
    let space = mean(&kept.phases, |report| report.space_amplification);
    assert!(space <= 1.4, "{space}");
    let limit = f64::midpoint(runs(&writer.phases), runs(&scanner.phases));
    let few = Limits { runs: Some(limit), ..Limits::default() };
    let kept = ask(mix(1.0, 0.0), few);
    assert!(kept.excess < 1e-9 && runs(&kept.phases) <= limit, "{}", runs(&kept.phases));
}

/// Every strategy is tried, the selections of a table among them where they may matter.
#[test]
fn advice_knows_every_strategy() {
    let workload = Workload { entries: 50_000, deletes: 0.2, ..workload() };
    let setup = setup(Strategy::Leveled);
    let question = Question { workload, setup, phases: 1, ..Question::default() };
    let candidates = advise(&question).expect("valid options");
    let partial = Strategy::Partial;
    for strategy in [
        Strategy::Leveled,
        Strategy::LazyLeveled,
        Strategy::LazyL0,
        Strategy::Tiered,
        partial(Selection::RoundRobin),
        partial(Selection::Oldest),
        partial(Selection::MostTombstones),
    ] {
        let found = candidates.iter().filter(|c| c.options.strategy == strategy).count();
        assert!(found > 0, "{strategy} is not among the candidates");
    }
    assert!(candidates.is_sorted_by(|a, b| (a.excess, a.cost) <= (b.excess, b.cost)));
}

#[test]
fn tables_and_plots_show_every_report() {
    let small = Workload { entries: 50_000, ..workload() };
    let reports = [[run(Strategy::Leveled, &small)], [run(Strategy::Tiered, &small)]];
    let text = table(&reports);
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains("leveled") && text.contains("tiered"), "{text}");
    let image = svg(&reports, Axis::Write, Axis::Runs);
    assert!(image.starts_with("<svg ") && image.trim_end().ends_with("</svg>"));
    assert_eq!(image.matches("<text").count(), image.matches("</text>").count());
    assert_eq!(image.matches("<circle").count(), 4, "a point and a legend for each");
    assert!(svg::<Vec<Report>>(&[], Axis::Space, Axis::AbsentGet).contains("</svg>"));
    assert!(!text.contains(" to "), "one phase has no range: {text}");
    assert!(text.trim_end().ends_with('-'), "nothing is known of stalls: {text}");
}

#[test]
fn tables_and_plots_show_how_far_phases_lie_apart() {
    let small = Workload { entries: 50_000, ..workload() };
    let of_ratio = |size_ratio| {
        let mut setup = setup(Strategy::LazyLeveled);
        setup.options.size_ratio = size_ratio;
        setup.write_buffer_bytes = 64 << 10;
        setup.options.base_bytes = 256 << 10;
        simulate_phases(&small, &setup, 3).expect("valid options")
    };
    let settings = [of_ratio(3), of_ratio(6)];
    let text = table(&settings);
    for (line, phases) in text.lines().skip(1).zip(&settings) {
        let written = Spread::of(phases, |report| report.write_amplification);
        let range = format!("{:.2} to {:.2}", written.least, written.most);
        assert!(line.contains(&range) && written.most > written.least, "{line}");
        assert!(line.contains(&format!(" {:.2} ", written.mean)), "{line}");
    }
    let image = svg(&settings, Axis::Write, Axis::Runs);
    assert_eq!(image.matches("<polyline").count(), 1, "one policy, one line");
    assert_eq!(image.matches("stroke-opacity").count(), 2, "a range for each setting");
    let line = image.lines().find(|line| line.contains("<polyline")).expect("a line");
    assert_eq!(line.matches(',').count(), 2, "two points: {line}");
}

#[test]
fn bad_options_are_refused_by_name() {
    let mut bad = setup(Strategy::Leveled);
    bad.options.size_ratio = 1;
    let error = simulate(&workload(), &bad).expect_err("a ratio of 1");
    assert_eq!(error.name, "size_ratio");
    assert!(error.to_string().contains("2 to 32"));
}
