//! `shape`, `stats`, `compact`, `verify` and `completions`, through the program.

mod common;

use common::{Place, arg, numbered};

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
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(write("leveled") > write("tiered"), "{said}");

    let svg = place.path("plot.svg");
    let args = ["simulate", "--entries", "100000", "--svg", arg(&svg)];
    let table = place.lsm(small.iter().take(4).chain(&args)).ok();
    assert!(table.contains("write amp") && table.contains("leveled"), "{table}");
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));

    let args = ["advise", "--entries", "100000", "--writes", "20"];
    let said = place.lsm(small.iter().take(4).chain(&args)).ok();
    assert!(said.contains("best for this mix: --strategy "), "{said}");
    assert!(!place.db().exists());
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
