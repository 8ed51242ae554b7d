//! `demo`, through the program.

mod common;

use common::{Place, arg};

#[test]
fn the_demo_proves_all_it_claims_and_leaves_its_folder_if_asked() {
    let place = Place::new();
    let dir = place.path("kept");
    let said =
        place.lsm(["--write-buffer", "16KiB", "demo", "--kills", "1", "--dir", arg(&dir)]).ok();
    for expected in ["34,888 records", "killed without warning", "proofs, none failed", "L6"] {
        assert!(said.contains(expected), "no {expected:?} in:\n{said}");
    }
    let kept = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lsm"));
        let output = command.arg("-d").arg(&dir).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, snow) = kept(&["scan", "--prefix", "SNOW"]);
    assert!(code == Some(0) && snow.contains("SNOWMAN"), "{snow}");
    assert_eq!(kept(&["verify"]).0, Some(0));
    let error = place.lsm(["demo", "--dir", arg(&dir)]).failed(2);
    assert!(error.contains("is not empty"), "{error}");
}

#[test]
fn the_demo_for_machines_is_one_object() {
    let place = Place::new();
    let small = ["--write-buffer", "16KiB", "--strategy", "tiered"];
    let said = place.lsm(small.into_iter().chain(["--json", "demo", "--kills", "1"])).json();
    assert!(said["proofs"].as_u64().unwrap() >= 6, "{said}");
}

#[test]
fn without_a_log_there_is_nothing_to_prove() {
    let place = Place::new();
    let error = place.lsm(["--durability", "none", "demo"]).failed(2);
    assert!(error.contains("without a log"), "{error}");
}
