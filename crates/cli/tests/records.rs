//! `put`, `get`, `del`, `scan`, `count` and `export`, through the program.

mod common;

use common::{Place, arg, numbered};
use serde_json::json;

#[test]
fn what_is_put_is_got_until_it_is_deleted() {
    let place = Place::new();
    assert_eq!(place.lsm(["put", "greeting", r"hello\nworld"]).ok(), "");
    assert_eq!(place.lsm(["get", "greeting"]).ok(), "hello\\nworld\n");
    place.lsm(["put", "greeting", "again"]).ok();
    place.lsm(["put", "empty", ""]).ok();
    assert_eq!(place.lsm(["get", "greeting"]).ok(), "again\n");
    assert_eq!(place.lsm(["get", "empty"]).ok(), "\n");
    assert_eq!(place.lsm(["get", "greeting", "empty"]).ok(), "greeting\tagain\nempty\t\n");
    place.lsm(["del", "greeting", "never there"]).ok();
    assert_eq!(place.lsm(["get", "greeting"]).failed(1), "lsm: no such key: greeting\n");
    assert_eq!(place.lsm(["count"]).ok(), "1\n");
}

#[test]
fn one_missing_key_of_several_is_said_and_the_others_are_printed() {
    let place = Place::new();
    place.lsm(["put", "a", "1"]).ok();
    place.lsm(["put", "c", "3"]).ok();
    let ran = place.lsm(["get", "a", r"b\t", "c"]);
    assert_eq!((ran.code, &*ran.out, &*ran.err), (1, "a\t1\nc\t3\n", "lsm: no such key: b\\t\n"));
}

#[test]
fn every_byte_passes_through_keys_values_and_files() {
    let place = Place::new();
    let all: Vec<u8> = (0..=255).collect();
    let escaped = all.iter().fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"));
    place.lsm(["put", &escaped, &escaped]).ok();
    let file = place.file("raw", &all);
    place.lsm(["put", "from file", "--file", arg(&file)]).ok();
    place.lsm_with_input(["put", "from input", "--file", "-"], &all).ok();
    for key in [&*escaped, "from file", "from input"] {
        let raw = place.command(["get", "--raw", key]).output().unwrap().stdout;
        assert_eq!(raw, all);
    }
    // What scan and export print is what load reads.
    let exported = place.path("all.tsv");
    place.lsm(["export", arg(&exported)]);
    assert_eq!(std::fs::read_to_string(&exported).unwrap(), place.lsm(["scan"]).ok());
    let copy = Place::new();
    copy.lsm(["load", arg(&exported)]).ok();
    assert_eq!(copy.lsm(["scan"]).ok(), place.lsm(["scan"]).ok());
    copy.lsm(["compare", arg(&exported)]).ok();
}

#[test]
fn ranges_prefixes_limits_and_directions() {
    let place = Place::new();
    let file = place.file("n.tsv", numbered(2000));
    place.lsm(["load", arg(&file)]).ok();
    let scan = |args: &[&str]| {
        let all = ["scan", "--keys"].iter().chain(args);
        place.lsm(all).ok().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let key = |n: u32| format!("key{n:06}");
    assert_eq!(scan(&[]), (0..2000).map(key).collect::<Vec<_>>());
    assert_eq!(scan(&["--reverse"]), (0..2000).rev().map(key).collect::<Vec<_>>());
    assert_eq!(scan(&["--prefix", "key0010"]), (1000..1100).map(key).collect::<Vec<_>>());
    let range = ["--from", "key000500", "--to", "key000600"];
    assert_eq!(scan(&range), (500..600).map(key).collect::<Vec<_>>(), "the end is left out");
    let last = [&range[..], &["--reverse", "--limit", "3"]].concat();
    assert_eq!(scan(&last), [key(599), key(598), key(597)]);
    assert_eq!(scan(&["--from", "key001998x"]), [key(1999)]);
    assert_eq!(scan(&["--to", "key000001"]), [key(0)]);
    assert_eq!(scan(&["--from", "a", "--to", "a"]), [""; 0]);
    assert_eq!(scan(&["--prefix", "nothing"]), [""; 0]);
    assert_eq!(scan(&["--limit", "0"]), [""; 0]);
    assert_eq!(place.lsm(["count", "--from", "key000500", "--to", "key000600"]).ok(), "100\n");
    let error = place.lsm(["scan", "--from", "b", "--to", "a"]).failed(2);
    assert!(error.contains("upside down"), "{error}");
}

#[test]
fn ranges_are_deleted_whole_and_nothing_beside_them() {
    let place = Place::new();
    let file = place.file("n.tsv", numbered(300));
    place.lsm(["load", arg(&file)]).ok();
    place.lsm(["del", "--from", "key000010", "--to", "key000020", "key000005"]).ok();
    place.lsm(["del", "--prefix", "key0001"]).ok();
    let kept = |n: &u32| !(10..20).contains(n) && !(100..200).contains(n) && *n != 5;
    let expected: Vec<String> = (0..300).filter(kept).map(|n| format!("key{n:06}")).collect();
    let found = place.lsm(["scan", "--keys"]).ok();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    place.lsm(["compact"]).ok();
    assert_eq!(place.lsm(["count"]).ok(), "189\n");
    let error = place.lsm(["del", "--prefix", r"\xff"]).failed(2);
    assert!(error.contains("no key comes after"), "{error}");
    place.lsm(["del"]).failed(2);
}

#[test]
fn families_share_no_keys() {
    let place = Place::new();
    place.lsm(["put", "a", "1"]).ok();
    place.lsm(["--family", "other", "put", "a", "2"]).ok();
    place.lsm_with_input(["-f", "other", "load", "-"], b"b\t3\n").ok();
    assert_eq!(place.lsm(["scan"]).ok(), "a\t1\n");
    assert_eq!(place.lsm(["-f", "other", "scan"]).ok(), "a\t2\nb\t3\n");
    assert_eq!(place.lsm(["families"]).ok(), "default\nother\n");
    place.lsm(["-f", "other", "del", "a"]).ok();
    place.lsm(["-f", "other", "compact"]).ok();
    assert_eq!(place.lsm(["-f", "other", "scan"]).ok(), "b\t3\n");
    let error = place.lsm(["-f", "third", "get", "a"]).failed(2);
    assert!(error.contains("no family third; the database has default, other"), "{error}");
    place.lsm(["families", "--drop", "other"]).ok();
    assert_eq!(place.lsm(["families"]).ok(), "default\n");
    assert_eq!(place.lsm(["get", "a"]).ok(), "1\n");
}

#[test]
fn json_for_machines_is_lossless_too() {
    let place = Place::new();
    place.lsm(["put", r"k\t1", r"\xffv"]).ok();
    let record = json!({ "key": r"k\t1", "value": r"\xffv" });
    assert_eq!(place.lsm(["--json", "get", r"k\t1"]).json(), record);
    assert_eq!(place.lsm(["--json", "scan"]).json(), record);
    assert_eq!(place.lsm(["--json", "scan", "--keys"]).json(), json!({ "key": r"k\t1" }));
    assert_eq!(place.lsm(["--json", "count"]).json(), json!({ "records": 1, "bytes": 5 }));
    let error = place.lsm(["--json", "get", "absent"]).failed(1);
    let error: serde_json::Value = serde_json::from_str(&error).unwrap();
    assert_eq!(error, json!({ "code": 1, "error": "no such key: absent" }));
}

#[test]
fn an_export_that_cannot_be_written_leaves_nothing_under_its_name() {
    let place = Place::new();
    place.lsm(["put", "a", "1"]).ok();
    let target = place.path("no such folder/all.tsv");
    let error = place.lsm(["export", arg(&target)]).failed(6);
    assert!(error.contains("no such folder/all.tsv.part"), "{error}");
    assert_eq!(place.lsm(["export", "-"]).ok(), "a\t1\n");
    assert!(!target.exists());
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    use std::io::Read as _;
    let place = Place::new();
    let file = place.file("n.tsv", numbered(20_000));
    place.lsm(["load", arg(&file)]).ok();
    let piped = || std::process::Stdio::piped();
    let mut child = place.command(["scan"]).stdout(piped()).stderr(piped()).spawn().unwrap();
    let mut first = [0; 9];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"key000000");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
