//! `bench`: every workload runs, small, and says what it measured.

mod common;

use common::{Place, arg};
use serde_json::Value;

const NAMES: [&str; 29] = [
    "fillseq",
    "fillrandom",
    "fillbatch",
    "overwrite",
    "readrandom",
    "readzipf",
    "readmissing",
    "seek10",
    "seek100",
    "seek1000",
    "readseq",
    "readwhilewriting",
    "mixed",
    "report-80-20",
    "report-20-80",
    "report-ranges",
    "report-equal",
    "compact",
    "deletehalf",
    "ycsb-load",
    "ycsb-a",
    "ycsb-b",
    "ycsb-c",
    "ycsb-f",
    "ycsb-d",
    "ycsb-e",
    "mixgraph",
    "queue",
    "fillsync",
];

#[test]
fn every_workload_runs_and_measures() {
    let place = Place::new();
    let help = place.lsm(["help", "bench"]).ok();
    assert!(NAMES.iter().all(|name| help.contains(&format!("\n  {name} "))), "{help}");
    let small = ["--json", "bench", "--records", "2000", "--seconds", "0.05", "--clients", "2"];
    let said = place.lsm(small.iter().chain(&NAMES)).ok();
    let rows: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= NAMES.len(), "{said}");
    for row in &rows {
        if row["per_second"].is_null() {
            assert!(row["figure"].as_f64().is_some(), "{row}");
            continue;
        }
        assert!(row["operations"].as_u64().unwrap() > 0, "{row}");
        assert!(row["per_second"].as_f64().unwrap() > 0.0, "{row}");
        // Scans are timed as a whole.
        if let Some(p50) = row["p50_us"].as_f64() {
            assert!(p50 > 0.0 && p50 <= row["max_us"].as_f64().unwrap(), "{row}");
        }
    }
    assert!(!place.db().exists(), "it does not touch the database that is named");
}

#[test]
fn a_table_for_people_and_a_folder_that_is_kept() {
    let place = Place::new();
    let dir = place.path("ground");
    let args = ["bench", "fillrandom", "readrandom", "--records", "2000", "--dir", arg(&dir)];
    let table = place.lsm(args).ok();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("workload") && lines[0].contains("p99.9"), "{table}");
    assert!(lines[1].starts_with("fillrandom ") && lines[2].starts_with("readrandom "), "{table}");
    let kept = dir.join("1-fillrandom");
    assert_eq!(place.lsm(["--db", arg(&kept), "count"]).ok(), "2000\n");
    let error = place.lsm(args).failed(2);
    assert!(error.contains("wants a new or empty folder"), "{error}");
    place.lsm(["bench", "nonsense"]).failed(2);
    let error = place.lsm(["bench", "--size-ratio", "1", "fillseq"]).failed(2);
    assert!(error.contains("size_ratio"), "{error}");
}
