//! `shape`, `stats`, `compact`, `verify` and `completions`, through the program.

mod common;

use common::{Place, arg, numbered};
use serde_json::json;

/// A database with a tree of several levels.
fn tree() -> Place {
    let place = Place::new();
    let file = place.file("n.tsv", numbered(20_000));
    place.lsm(["--write-buffer", "64KiB", "--table", "32KiB", "load", arg(&file)]).ok();
    place
}

#[test]
fn the_shape_is_drawn_within_its_columns_and_coloured_only_on_demand() {
    let place = tree();
    // Otherwise a compaction may go on in one run of the program and not yet in the other.
    place.lsm(["compact"]).ok();
    for columns in [80, 200] {
        let picture = place.lsm(["--width", &columns.to_string(), "shape"]).ok();
        let widest = picture.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns && widest > columns - 20, "{widest} of {columns}:\n{picture}");
        assert!(picture.contains("L0-L5") && picture.contains("L6"), "{picture}");
        assert!(picture.contains('█') && !picture.contains('\x1b'), "{picture}");
        let coloured =
            place.lsm(["--width", &columns.to_string(), "--color", "always", "shape"]).ok();
        assert_eq!(console::strip_ansi_codes(&coloured), picture);
        assert!(coloured.contains("\x1b[38;5;"), "{coloured}");
    }
}

#[test]
fn the_shape_for_machines_adds_up() {
    let place = tree();
    let shape = place.lsm(["--json", "shape"]).json();
    let mut entries = 0;
    let mut tables = 0;
    for level in shape["levels"].as_array().unwrap() {
        for run in level["runs"].as_array().unwrap() {
            let mut last = String::new();
            for table in run["tables"].as_array().unwrap() {
                let key = |name: &str| table[name].as_str().unwrap().to_owned();
                assert!(last < key("smallest") && key("smallest") <= key("largest"), "{run}");
                last = key("largest");
                entries += table["entries"].as_u64().unwrap();
                tables += 1;
            }
        }
    }
    assert!(tables > 5, "{shape}");
    assert_eq!(entries, 20_000, "{shape}");
}

#[test]
fn compact_leaves_one_run_and_verify_finds_it_sound() {
    let place = tree();
    place.lsm(["del", "key000007"]).ok();
    let said = place.lsm(["compact"]).ok();
    assert!(said.starts_with("compacted "), "{said}");
    let shape = place.lsm(["--json", "shape"]).json();
    let runs: Vec<usize> = shape["levels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| level["runs"].as_array().unwrap().len())
        .filter(|&runs| runs > 0)
        .collect();
    assert_eq!(runs, [1], "{shape}");
    assert_eq!(place.lsm(["count"]).ok(), "19999\n");
    let said = place.lsm(["verify"]).ok();
    assert!(said.starts_with("sound: ") && said.contains("19,999 entries"), "{said}");
    let report = place.lsm(["--json", "verify"]).json();
    assert_eq!(report["entries"], 19_999, "{report}");
}

#[test]
fn dumps_say_what_is_in_the_files_without_opening_the_database() {
    let place = tree();
    place.lsm(["compact"]).ok();
    place.lsm(["put", r"new\tkey", "new value"]).ok();
    let log = place.lsm(["dump", "log"]).ok();
    assert!(log.contains(" 1 operations"), "{log}");
    // What the log holds, operation by operation.
    let logged = place.lsm(["dump", "log", "--operations"]).ok();
    assert!(logged.contains("\tput\tnew\\tkey\tnew value\n"), "{logged}");
    let logged = place.lsm(["--json", "dump", "log", "--operations"]).json();
    assert_eq!((&logged["kind"], &logged["value"]), (&"put".into(), &"new value".into()));
    let held = place.command(["load", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut held = Killed(held);

    let mut entries = Vec::new();
    for table in place.db_files(".sst") {
        let about = place.lsm(["--json", "dump", "table", arg(&table)]).json();
        let dumped = place.lsm(["dump", "table", "--entries", arg(&table)]).ok();
        assert_eq!(about["entries"], dumped.lines().count(), "{about}");
        assert!(dumped.starts_with(about["smallest"].as_str().unwrap()), "{about}");
        entries.extend(dumped.lines().map(str::to_owned));
        let facts = place.lsm(["dump", "table", arg(&table)]).ok();
        assert!(facts.contains("of keys"), "{facts}");
    }
    assert!(entries.len() >= 20_000, "{}", entries.len());
    let one = entries.iter().find(|entry| entry.starts_with("key000003\t")).unwrap();
    let fields: Vec<&str> = one.split('\t').collect();
    assert_eq!((fields.len(), fields[2]), (4, "put"), "{one}");
    assert!(fields[3].starts_with("value 3 "), "{one}");

    let manifest = place.lsm(["--json", "dump", "manifest"]).json();
    assert!(manifest["tables"].as_array().unwrap().len() > 1, "{manifest}");
    assert!(place.lsm(["dump", "manifest"]).ok().contains("L6 run"));

    // How it came to that: the edits add up to the state.
    let edits = place.lsm(["--json", "dump", "manifest", "--edits"]).ok();
    let edits: Vec<serde_json::Value> =
        edits.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut live = std::collections::BTreeSet::new();
    for edit in &edits {
        let numbers = |name: &str| edit[name].as_array().unwrap().clone();
        live.extend(numbers("added").iter().map(|table| table["number"].as_u64().unwrap()));
        for number in numbers("removed") {
            assert!(live.remove(&number.as_u64().unwrap()), "{edit}");
        }
    }
    let tables = manifest["tables"].as_array().unwrap();
    let named: std::collections::BTreeSet<u64> =
        tables.iter().map(|table| table["number"].as_u64().unwrap()).collect();
    assert_eq!(named, live);
    assert_eq!(edits.last().unwrap()["edit"], manifest["edits"]);
    let text = place.lsm(["dump", "manifest", "--edits"]).ok();
    assert_eq!(text.matches("edit ").count(), edits.len(), "{text}");
    assert!(text.contains("  + "), "{text}");
    held.0.kill().unwrap();
}

/// Killed and waited for, however a test ends.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_dump_of_a_damaged_table_names_the_place() {
    let place = tree();
    let table = place.db_files(".sst").pop().unwrap();
    let whole = std::fs::read(&table).unwrap();
    std::fs::write(&table, &whole[..whole.len() - 7]).unwrap();
    let error = place.lsm(["dump", "table", arg(&table)]).failed(5);
    assert!(error.contains(arg(&table)), "{error}");
    let error = place.lsm(["dump", "table", "/no/such/file.sst"]).failed(6);
    assert!(error.contains("/no/such/file.sst"), "{error}");
}

#[test]
fn forecasts_need_no_database_and_order_the_strategies_as_theory_does() {
    let place = Place::new();
    let small = ["--write-buffer", "1MiB", "--table", "1MiB", "--json"];
    let said = place.lsm(small.iter().chain(&["simulate", "--entries", "300000"])).ok();
    let write = |policy: &str| {
        let line = said.lines().find(|line| line.contains(&format!("\"{policy}\"")));
        let report: serde_json::Value = serde_json::from_str(line.expect(policy)).unwrap();
        report["write_amplification"].as_f64().unwrap()
    };
    assert_eq!(said.lines().count(), 5, "{said}");
    assert!(write("leveled") > write("tiered"), "{said}");

    let args = ["advise", "--entries", "100000", "--writes", "20"];
    let said = place.lsm(small.iter().take(4).chain(&args)).ok();
    assert!(said.contains("best for this mix: --strategy "), "{said}");
    assert!(!place.db().exists());
}

/// What `simulate` says of one strategy in a small tree, as JSON.
fn forecast(place: &Place, args: &[&str]) -> serde_json::Value {
    let small = ["--write-buffer", "256KiB", "--table", "256KiB", "--size-ratio", "4", "--json"];
    place.lsm(small.iter().chain(&["simulate", "--entries", "100000"]).chain(args)).json()
}

#[test]
fn a_forecast_follows_skew_deletes_and_the_speed_of_the_machine() {
    let place = Place::new();
    let number = |value: &serde_json::Value, name: &str| value[name].as_f64().expect(name);
    let leveled = |args: &[&str]| {
        forecast(&place, &[&["--strategy", "leveled", "--phases", "1"][..], args].concat())
    };
    let plain = leveled(&[]);
    assert_eq!((&plain["stalled"], &plain["slowed"]), (&json!(null), &json!(null)), "unknown");
    let skewed = leveled(&["--skew", "zipf:0.99"]);
    let written = |value| number(value, "write_amplification");
    assert!(written(&skewed) < 0.9 * written(&plain), "{skewed} {plain}");
    let ordered = leveled(&["--skew", "sequential", "--updates", "0"]);
    assert!(written(&ordered) < 1.3, "{ordered}");
    let deleting = leveled(&["--deletes", "0.9"]);
    assert!(number(&deleting, "live_bytes") < 0.6 * number(&plain, "live_bytes"), "{deleting}");

    // 50 MiB a second against two workers, who write each byte nine times or so.
    let slow = leveled(&["--ingest", "50MiB", "--worker-rate", "20MiB"]);
    let fast = leveled(&["--ingest", "50MiB", "--worker-rate", "4GiB"]);
    let behind = |value| number(value, "stalled") + number(value, "slowed");
    assert!(behind(&slow) > 0.2 && behind(&fast) < 1e-9, "{slow} {fast}");
    let puts = (50 << 20) / 116;
    let same = leveled(&["--ingest", &format!("{puts}puts"), "--worker-rate", "20MiB"]);
    assert!((behind(&same) - behind(&slow)).abs() < 0.02, "{same} {slow}");

    for (args, expected) in [
        (&["--skew", "zipf:1"][..], "zipf:THETA"),
        (&["--deletes", "1.1"][..], "a share from 0 to 1"),
        (&["--ingest", "0"][..], "more than 0"),
        (&["--updates", "NaN"][..], "0 or more"),
    ] {
        let error = place.lsm([&["simulate"][..], args].concat()).failed(2);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_forecast_says_how_far_its_phases_lie_apart_and_all_that_it_knows() {
    let place = Place::new();
    let lazy =
        |args: &[&str]| forecast(&place, &[&["--strategy", "lazy-leveled"][..], args].concat());
    let five = lazy(&[]);
    let number = |value: &serde_json::Value, name: &str| value[name].as_f64().expect(name);
    let written = number(&five, "write_amplification");
    assert_eq!(five["phases"], 5);
    assert!(number(&five, "write_amplification_least") < written, "{five}");
    assert!(number(&five, "write_amplification_most") > written, "{five}");
    let one = lazy(&["--phases", "1"]);
    assert_eq!(one["write_amplification_least"], one["write_amplification_most"], "{one}");

    let closed = &five["closed"];
    for name in ["write_amplification", "space_amplification", "runs", "absent_key_blocks"] {
        assert!(number(closed, name) > 0.0, "{name}: {closed}");
    }
    let space = number(&five, "space_amplification");
    assert!(number(&five, "space_amplification_max") > space, "{five}");
    let temporary = number(&five, "temporary_bytes_max");
    assert!((1e4..1e8).contains(&temporary), "{five}");
    let levels = five["levels"].as_array().unwrap();
    let bytes: f64 = levels.iter().map(|level| number(level, "bytes")).sum();
    assert!((bytes - number(&five, "table_bytes")).abs() < 1.0, "{five}");
    // Far too large for a whole tree of numbers: what is enlarged is not told.
    let huge = lazy(&["--entries", "20000000", "--updates", "0.01", "--phases", "1"]);
    assert!(number(&huge, "levels_left_out") > 0.0, "{huge}");
    for name in ["space_amplification_max", "temporary_bytes_max", "debt_bytes_max"] {
        assert_eq!(huge[name], json!(null), "{name}");
    }

    let small = ["--write-buffer", "256KiB", "--table", "256KiB", "--strategy", "lazy-leveled"];
    let table = place.lsm(small.iter().chain(&["simulate", "--entries", "100000"])).ok();
    assert!(table.contains("least to most") && table.contains(" to "), "{table}");
}

#[test]
fn a_sweep_draws_a_line_for_each_strategy() {
    let place = Place::new();
    let svg = place.path("plot.svg");
    let small = ["--write-buffer", "1MiB", "--table", "1MiB", "--json", "simulate"];
    let sweep = ["--entries", "50000", "--phases", "1", "--sweep=3,5,9", "--svg", arg(&svg)];
    let said = place.lsm(small.iter().chain(&sweep)).ok();
    assert_eq!(said.lines().count(), 15, "{said}");
    let image = std::fs::read_to_string(&svg).unwrap();
    let lines: Vec<&str> = image.lines().filter(|line| line.contains("<polyline")).collect();
    assert_eq!(lines.len(), 5, "{image}");
    assert!(lines.iter().all(|line| line.matches(',').count() == 3), "three points: {lines:?}");
    for policy in ["leveled", "partial", "lazy-l0", "lazy-leveled", "tiered"] {
        assert!(image.contains(&format!(">{policy}</text>")), "{policy}: {image}");
    }
    let every = ["--entries", "20000", "--phases", "1", "--strategy", "tiered", "--sweep"];
    let said = place.lsm(small.iter().chain(&every)).ok();
    let ratio = |line| {
        let setting: serde_json::Value = serde_json::from_str(line).unwrap();
        setting["size_ratio"].clone()
    };
    let ratios: Vec<serde_json::Value> = said.lines().map(ratio).collect();
    assert_eq!(json!(ratios), json!([2, 3, 4, 6, 8, 10, 12, 16]));
    let error = place.lsm(["simulate", "--sweep=1"]).failed(2);
    assert!(error.contains("2..=32"), "{error}");
}

#[test]
fn advice_keeps_limits_or_says_that_nothing_does() {
    let place = Place::new();
    let small = ["--write-buffer", "256KiB", "--table", "256KiB"];
    let mix = ["advise", "--entries", "100000", "--writes", "20", "--phases", "1"];
    let ask = |args: &[&str]| place.lsm(small.iter().chain(&mix).chain(args)).ok();
    let best = |args: &[&str]| -> serde_json::Value {
        let said = ask(&[args, &["--json"]].concat());
        serde_json::from_str(said.lines().next().unwrap()).unwrap()
    };
    let free = best(&[]);
    for (flag, name) in [
        ("--space-amp-max", "space_amplification"),
        ("--runs-max", "runs_mean"),
        ("--absent-blocks-max", "absent_key_blocks"),
    ] {
        let has = free[name].as_f64().unwrap();
        let limit = has * 0.9;
        let kept = best(&[flag, &limit.to_string()]);
        assert!(kept[name].as_f64().unwrap() <= limit, "{name}: {kept} instead of {free}");
        assert_eq!(kept["excess"], 0.0, "{kept}");
    }
    for impossible in [["--write-amp-max", "0.1"], ["--filters-max", "1KiB"]] {
        let said = ask(&impossible);
        assert!(said.contains("no setting keeps the limits; the nearest: --strategy"), "{said}");
        assert!(said.contains("% over the limits"), "{said}");
    }
    // Uncertain by default: the price is that of a worse mix than the given one.
    let certain = best(&["--uncertainty", "0"]);
    let name = |found: &serde_json::Value| format!("{} {}", found["strategy"], found["size_ratio"]);
    let cost = |args: &[&str]| {
        let said = ask(&[args, &["--json"]].concat());
        let lines = said.lines();
        let mut settings =
            lines.map(|line| -> serde_json::Value { serde_json::from_str(line).unwrap() });
        let same = settings.find(|found| name(found) == name(&certain));
        same.map(|found| found["cost"].as_f64().unwrap())
    };
    let sure = certain["cost"].as_f64().unwrap();
    assert!(cost(&[]).is_none_or(|cost| cost > sure), "{certain}");
    assert_eq!(cost(&["--uncertainty", "0.1"]), cost(&[]), "the default");
}

#[test]
fn completions_name_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.lsm(["completions", shell]).ok();
        assert!(script.contains("compare") && script.contains("write-buffer"), "{shell}");
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let place = Place::new();
    let help = place.lsm(["--help"]).ok();
    assert!(help.contains("Exit codes:") && help.contains("Examples:"), "{help}");
    for command in ["load", "get", "put", "scan", "export", "compare", "completions"] {
        let help = place.lsm(["help", command]).ok();
        assert!(help.contains("xample"), "{command}: {help}");
    }
}

#[test]
fn reads_are_explained() {
    let place = tree();
    place.lsm(["compact"]).ok();
    place.lsm(["put", "key000007", "newer"]).ok();
    place.lsm(["del", "key000008"]).ok();
    let path = place.lsm(["--json", "explain", "key000777"]).json();
    let steps = path["steps"].as_array().unwrap();
    let last = steps.last().unwrap();
    assert_eq!((&path["found"], &last["level"]), (&true.into(), &6.into()), "{path}");
    assert!(last["probe"]["block"]["bytes"].as_u64().unwrap() > 0, "{path}");
    assert_eq!(last["probe"]["filter"], "maybe", "{path}");
    assert_eq!(steps[0]["filter"], "absent", "of the memtable: {path}");
    let path = place.lsm(["--json", "explain", "no such key"]).json();
    assert_eq!((&path["found"], &path["value_bytes"]), (&false.into(), &().into()));
    let said = place.lsm(["explain", "key000007"]).ok();
    assert!(said.lines().count() >= 2 && said.contains("key000007"), "{said}");

    let path = place.lsm(["--json", "explain", "--prefix", "key00000"]).json();
    // Whether the deletion is still there depends on how far a compaction in the background is.
    assert_eq!(path["entries"], 9, "{path}");
    assert!(!path["sources"].as_array().unwrap().is_empty(), "{path}");
    let path = place.lsm(["--json", "explain", "key000008"]).json();
    assert_eq!(path["found"], false, "{path}");
    let path = place.lsm(["--json", "explain", "--from", "key000100", "--limit", "5"]).json();
    assert_eq!((&path["entries"], &path["limited"]), (&5.into(), &true.into()), "{path}");
    let read = |source: &serde_json::Value| source["blocks_read"].as_u64().unwrap_or(0);
    let sources = path["sources"].as_array().unwrap();
    assert!(sources.iter().all(|source| source["nanos"].is_u64()), "{path}");
    assert!(sources.iter().map(read).sum::<u64>() >= 1, "{path}");
    let said = place.lsm(["explain", "--from", "key000100", "--to", "key000200"]).ok();
    assert!(said.contains("100 "), "{said}");
}

#[test]
fn a_checkpoint_is_a_database_of_its_own() {
    let place = tree();
    let backup = place.path("backup");
    let said = place.lsm(["checkpoint", arg(&backup)]).ok();
    assert!(said.starts_with("a checkpoint of "), "{said}");
    place.lsm(["put", "later", "x"]).ok();
    let error = place.lsm(["checkpoint", arg(&backup)]);
    assert_ne!(error.code, 0, "a folder that holds something is left alone");
    assert_eq!(place.lsm(["--db", arg(&backup), "count"]).ok(), "20000\n");
    assert!(place.lsm(["--db", arg(&backup), "verify"]).ok().starts_with("sound: "));
    let report = place.lsm(["--json", "checkpoint", arg(&place.path("second"))]).json();
    assert!(
        report["linked"].as_u64().unwrap() + report["copied"].as_u64().unwrap() > 5,
        "{report}"
    );
}

#[test]
fn a_database_that_is_open_elsewhere_can_be_read() {
    let place = tree();
    let before = place.db_files("");
    let server = common::Serving::start(&place, &[]);
    assert_eq!(place.lsm(["count"]).code, 4, "it is in use");
    assert_eq!(place.lsm(["--read-only", "count"]).ok(), "20000\n");
    assert_eq!(place.lsm(["--read-only", "scan", "--keys", "--limit", "1"]).ok(), "key000000\n");
    assert!(place.lsm(["--read-only", "get", "key000005"]).ok().starts_with("value 5"));
    assert!(place.lsm(["--read-only", "shape"]).ok().contains("L6"));
    assert!(place.lsm(["--read-only", "verify"]).ok().starts_with("sound: "));
    assert_eq!(place.lsm(["--json", "--read-only", "stats"]).json()["table_entries"], 20_000);
    place.lsm(["explain", "key000777"]).ok();
    let error = place.lsm(["--read-only", "put", "a", "b"]).failed(2);
    assert!(error.contains("not with --read-only"), "{error}");
    let error = place.lsm(["--read-only", "-f", "nuts", "count"]).failed(2);
    assert!(error.contains("no family nuts; the database has default"), "{error}");
    drop(server);
    assert!(!before.is_empty());
}

#[test]
fn what_is_damaged_is_passed_over_on_demand_and_said() {
    let place = tree();
    place.lsm(["compact"]).ok();
    let table = place.db_files(".sst").remove(0);
    let mut bytes = std::fs::read(&table).unwrap();
    let end = bytes.len() - 40;
    bytes[end..].fill(0xee);
    std::fs::write(&table, bytes).unwrap();
    assert_eq!(place.lsm(["--read-only", "count"]).code, 5);
    let ran = place.lsm(["--pass-over-damage", "count"]);
    let left: u32 = ran.out.trim().parse().unwrap();
    assert!(ran.code == 0 && left > 0 && left < 20_000, "{ran:?}");
    assert!(ran.err.contains("left out ") && ran.err.contains(".sst"), "{ran:?}");
}

#[test]
fn tables_of_another_database_are_taken_in() {
    let other = tree();
    other.lsm(["compact"]).ok();
    let tables = other.db_files(".sst");
    let files: Vec<&str> = tables.iter().map(|path| arg(path)).collect();
    let place = Place::new();
    place.lsm(["put", "key000007", "older"]).ok();
    let said = place.lsm(["ingest"].iter().chain(&files)).ok();
    assert!(said.starts_with("took in 20,000 entries as tables: "), "{said}");
    assert_eq!(place.lsm(["scan"]).ok(), numbered(20_000), "they count as written later");
    assert_eq!(other.db_files(".sst"), tables, "the files stay");
    let again = place.lsm(["--json", "ingest", files[0]]).json();
    assert!(again["entries"].as_u64().unwrap() > 0 && again["tables"] == 1, "{again}");
    // The same keys twice: nothing is taken in.
    let error = place.lsm(["ingest", files[0], files[0]]).failed(2);
    assert!(!error.is_empty());
    let error = place.lsm(["ingest", "/no/such.sst"]).failed(6);
    assert!(error.contains("/no/such.sst"), "{error}");
    assert_eq!(place.lsm(["count"]).ok(), "20000\n");
}

#[test]
fn a_damaged_database_is_repaired_and_what_is_lost_is_listed() {
    let place = tree();
    place.lsm(["compact"]).ok();
    let said = place.lsm(["repair"]).ok();
    assert!(said.contains("nothing was lost"), "{said}");
    assert_eq!(place.lsm(["count"]).ok(), "20000\n");

    std::fs::remove_file(place.db().join("CURRENT")).unwrap();
    assert_ne!(place.lsm(["count"]).code, 0);
    let report = place.lsm(["--json", "repair"]).json();
    assert_eq!(report["manifest_rebuilt"], true, "{report}");
    assert_eq!(place.lsm(["scan"]).ok(), numbered(20_000));

    let table = place.db_files(".sst").remove(0);
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 8].fill(0xee);
    std::fs::write(&table, bytes).unwrap();
    assert_eq!(place.lsm(["verify"]).code, 5);
    let said = place.lsm(["repair"]).ok();
    assert!(said.contains("lost:") && said.contains(".sst"), "{said}");
    let left: u32 = place.lsm(["count"]).ok().trim().parse().unwrap();
    assert!((15_000..20_000).contains(&left), "{left} of 20,000, and said: {said}");
    assert!(place.lsm(["verify"]).ok().starts_with("sound: "));
}
