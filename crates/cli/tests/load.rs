//! `load`: what it takes, what it refuses, and what a killed load leaves behind.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Place, arg, numbered, numbered_value};
use serde_json::json;

#[test]
fn a_good_file_is_loaded_and_compared() {
    let place = Place::new();
    let file = place.file("n.tsv", numbered(5000));
    let said = place.lsm(["load", arg(&file)]).ok();
    assert!(said.starts_with("loaded 5,000 records ("), "{said}");
    assert_eq!(place.lsm(["get", "key004321"]).ok().trim_end(), numbered_value(4321));
    assert!(place.lsm(["compare", arg(&file)]).ok().starts_with("equal: 5,000 records"));
    let said = place.lsm(["--json", "load", arg(&file)]).json();
    assert_eq!((&said["records"], &said["skipped"]), (&json!(5000), &json!(0)));
    assert_eq!(place.lsm(["count"]).ok(), "5000\n");
}

#[test]
fn compare_finds_each_kind_of_difference() {
    let place = Place::new();
    let file = place.file("n.tsv", numbered(100));
    place.lsm(["load", arg(&file)]).ok();
    place.lsm(["put", "key000050", "other"]).ok();
    let error = place.lsm(["compare", arg(&file)]).failed(7);
    assert!(error.contains("line 51: key000050 has another value"), "{error}");
    place.lsm(["del", "key000050"]).ok();
    let error = place.lsm(["compare", arg(&file)]).failed(7);
    assert!(error.contains("line 51: key000050 is not there"), "{error}");
    place.lsm(["put", "key000050", &numbered_value(50)]).ok();
    place.lsm(["compare", arg(&file)]).ok();
    place.lsm(["put", "one more", ""]).ok();
    let error = place.lsm(["compare", arg(&file)]).failed(7);
    assert!(error.contains("holds 101 records, the file 100"), "{error}");
}

#[test]
fn a_later_line_replaces_an_earlier_one() {
    let place = Place::new();
    place.lsm_with_input(["load", "-"], b"a\t1\nb\t2\na\t3\n").ok();
    assert_eq!(place.lsm(["scan"]).ok(), "a\t3\nb\t2\n");
}

#[test]
fn a_malformed_line_stops_the_load_and_keeps_what_came_before() {
    let place = Place::new();
    let file = place.file("bad.tsv", "a\t1\nb\t2\nno tab here\nc\t3\n");
    let error = place.lsm(["load", arg(&file)]).failed(2);
    assert!(error.contains("bad.tsv: line 3: no TAB between key and value"), "{error}");
    assert!(error.contains("the 2 records before it are loaded"), "{error}");
    assert_eq!(place.lsm(["scan"]).ok(), "a\t1\nb\t2\n");
    place.lsm(["load", "--from-line", "4", arg(&file)]).ok();
    assert_eq!(place.lsm(["scan"]).ok(), "a\t1\nb\t2\nc\t3\n");
}

#[test]
fn malformed_lines_are_skipped_if_asked_and_each_is_named() {
    let place = Place::new();
    let long_key = "k".repeat(65_536);
    let lines = format!(
        "a\t1\nno tab\nb\\q\t2\nc\t3\\\nd\t4\t5\n{long_key}\t6\n{}\t7\nz\t8",
        &long_key[1..]
    );
    let ran = place.lsm_with_input(["load", "--on-error", "skip", "-"], lines.as_bytes());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("loaded 3 records") && ran.out.contains("skipped 5 malformed lines"));
    let said: Vec<&str> = ran.err.lines().collect();
    assert_eq!(said.len(), 5, "{said:?}");
    for (said, expected) in said.iter().zip([
        "line 2: no TAB",
        "line 3: key, byte 1",
        "line 4: value, byte 1",
        "line 5: a second TAB, at byte 3",
        "line 6: a key of 65536 bytes is longer than the 65535 allowed",
    ]) {
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(place.lsm(["scan", "--keys"]).ok(), format!("a\n{}\nz\n", &long_key[1..]));
}

#[test]
fn what_scan_prints_as_json_is_loaded_again() {
    let place = Place::new();
    let file = place.file("n.tsv", numbered(500));
    place.lsm(["load", arg(&file)]).ok();
    place.lsm(["put", r"odd\t\xff", r#"quote " and \\ and \n"#]).ok();
    let lines = place.lsm(["--json", "scan"]).ok();
    let copy = Place::new();
    copy.lsm_with_input(["load", "--format", "json", "-"], lines.as_bytes()).ok();
    assert_eq!(copy.lsm(["scan"]).ok(), place.lsm(["scan"]).ok());
    let error = copy.lsm_with_input(["load", "--format", "json", "-"], b"{}\n").failed(2);
    assert!(error.contains(r#"line 1: no string "key" in the JSON object"#), "{error}");
}

#[test]
fn of_many_malformed_lines_only_the_first_are_named() {
    let place = Place::new();
    let ran = place.lsm_with_input(["load", "--on-error", "skip", "-"], &b"bad\n".repeat(1000));
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("skipped 1,000 malformed lines"), "{}", ran.out);
    assert_eq!(ran.err.lines().count(), 11, "{}", ran.err);
}

#[test]
fn lines_beyond_the_limit_are_malformed() {
    let place = Place::new();
    let lines = format!("a\t{}\nb\t2\n", "x".repeat(5000));
    let args = ["load", "--line-max", "4KiB", "--on-error", "skip", "-"];
    let ran = place.lsm_with_input(args, lines.as_bytes());
    assert!(ran.err.contains("line 1: longer than the 4096 bytes that a line may have"), "{ran:?}");
    assert_eq!(place.lsm(["scan"]).ok(), "b\t2\n");
}

#[test]
fn a_file_that_is_not_there_makes_no_database() {
    let place = Place::new();
    let error = place.lsm(["load", "/no/such/file.tsv"]).failed(6);
    assert!(error.contains("cannot read /no/such/file.tsv"), "{error}");
    let error = place.lsm(["load", arg(&place.path("."))]).failed(6);
    assert!(error.contains("cannot read"), "{error}");
    assert!(!place.db().exists());
}

#[test]
fn an_empty_file_is_no_records() {
    let place = Place::new();
    let said = place.lsm_with_input(["load", "-"], b"").ok();
    assert!(said.starts_with("loaded 0 records"), "{said}");
    assert_eq!(place.lsm(["count"]).ok(), "0\n");
}

/// Kills loads at moments spread over their whole run; each must leave a prefix of whole batches,
/// and must be taken up again where it stopped.
#[test]
fn a_killed_load_leaves_a_prefix_of_whole_batches() {
    const RECORDS: u32 = 30_000;
    const BATCH: u32 = 64;
    let source = numbered(RECORDS);
    let options =
        ["--write-buffer", "64KiB", "--table", "32KiB", "load", "--batch", &BATCH.to_string()]
            .map(str::to_owned);
    let whole = Place::new();
    let file = whole.file("n.tsv", &source);
    let started = Instant::now();
    whole.lsm(options.iter().map(String::as_str).chain([arg(&file)])).ok();
    let time = started.elapsed();

    let mut partial = 0;
    for round in 1..=9u32 {
        let place = Place::new();
        let mut child = place
            .command(options.iter().map(String::as_str).chain([arg(&file)]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(time * round / 10 + Duration::from_micros(137) * round);
        child.kill().unwrap();
        child.wait().unwrap();
        let scan = place.lsm(["scan"]);
        // Code 3: it was killed before there was a database.
        let found = if scan.code == 3 { String::new() } else { scan.ok() };
        let count = u32::try_from(found.lines().count()).unwrap();
        assert!(source.starts_with(&found), "round {round}: not a prefix");
        assert!(
            count % BATCH == 0 || count == RECORDS,
            "round {round}: {count} is no whole batches"
        );
        partial += u32::from(count > 0 && count < RECORDS);
        let again = (count + 1).to_string();
        place.lsm(["load", "--from-line", &again, arg(&file)]).ok();
        place.lsm(["compare", arg(&file)]).ok();
    }
    assert!(partial >= 1, "no load was caught in the middle");
}

/// Killed again and again, a load that is resumed ends with each record once, and leaves no trace.
#[test]
fn a_killed_load_is_resumed_by_the_same_command() {
    const RECORDS: u32 = 60_000;
    let place = Place::new();
    let file = place.file("n.tsv", numbered(RECORDS));
    let args = ["--write-buffer", "64KiB", "load", "--resume", "--batch", "64", arg(&file)];
    let mut resumed = 0;
    for round in 0..12u64 {
        let mut child =
            place.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + 15 * round));
        child.kill().unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        resumed += u32::from(said.contains("going on from line"));
    }
    let said = place.lsm(["--json"].iter().chain(&args));
    let said: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    place.lsm(["compare", arg(&file)]).ok();
    let first = said["resumed_at"].as_u64().unwrap_or(1);
    assert_eq!(said["records"].as_u64().unwrap(), u64::from(RECORDS) - (first - 1), "{said}");
    assert!(resumed > 0, "no kill came in time");
    assert_eq!(place.lsm(["families"]).ok(), "default\n", "no mark is left");
    let error = place.lsm_with_input(["load", "--resume", "-"], b"").failed(2);
    assert!(error.contains("--resume needs a file"), "{error}");
}

#[test]
fn a_mended_line_is_where_a_resumed_load_goes_on() {
    let place = Place::new();
    let file = place.file("n.tsv", "a\t1\nb\t2\nbad\nd\t4\n");
    place.lsm(["load", "--resume", arg(&file)]).failed(2);
    std::fs::write(&file, "A\tnot read again\nB\t\nc\t3\nd\t4\n").unwrap();
    let ran = place.lsm(["load", "--resume", arg(&file)]);
    assert_eq!((ran.code, ran.err.contains("going on from line 3")), (0, true), "{ran:?}");
    assert_eq!(place.lsm(["scan"]).ok(), "a\t1\nb\t2\nc\t3\nd\t4\n");
}

#[test]
fn binary_pairs_are_stored_as_the_server_stores_them() {
    for (format, wide, bytes) in [("pairs", None, 4), ("pairs64", Some("--wide"), 8)] {
        let place = Place::new();
        let numbers = [(5i64, 1i64), (-7, 2), (i64::from(i32::MIN), -1), (5, 3)];
        let raw = |n: i64| n.to_le_bytes()[..bytes].to_vec();
        let mut file: Vec<u8> =
            numbers.iter().flat_map(|&(k, v)| [raw(k), raw(v)].concat()).collect();
        file.push(9);
        let file = place.file("n.bin", file);
        let ran = place.lsm(["load", "--format", format, arg(&file)]);
        assert!(ran.out.starts_with("loaded 4 records ("), "{ran:?}");
        assert!(ran.err.contains("left out 1 bytes at the end: no whole pair"), "{ran:?}");
        let dsl = ["dsl"].into_iter().chain(wide);
        let said = place.lsm_with_input(dsl, b"r -2147483648 100\n").ok();
        assert_eq!(said, "-2147483648:-1 -7:2 5:3\n");
        place.lsm(["load", "--format", format, "--from-line", "4", arg(&file)]);
        assert_eq!(place.lsm(["count"]).ok(), "3\n");
    }
}
