//! What is wrong gets a clear message and its exit code, and loses nothing.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Stdio;

use common::{Place, arg, numbered};

#[test]
fn a_folder_that_is_not_there_is_not_made_by_reading() {
    let place = Place::new();
    for args in [
        &["get", "a"][..],
        &["del", "a"],
        &["scan"],
        &["count"],
        &["stats"],
        &["shape"],
        &["compact"],
        &["verify"],
        &["export", "-"],
    ] {
        let error = place.lsm(args).failed(3);
        assert!(error.contains("db is not a database"), "{args:?}: {error}");
        assert!(error.contains("`load` and `put` make a database"), "{args:?}: {error}");
        assert!(!place.db().exists(), "{args:?} made something");
    }
}

#[test]
fn a_foreign_folder_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.db()).unwrap();
    let letter = place.db().join("letter.txt");
    fs::write(&letter, "dear reader").unwrap();
    let file = place.file("n.tsv", numbered(10));
    for args in [&["get", "a"][..], &["put", "a", "b"], &["load", arg(&file)], &["verify"]] {
        let error = place.lsm(args).failed(3);
        assert!(error.contains("db is not a database"), "{args:?}: {error}");
    }
    assert_eq!(fs::read_to_string(&letter).unwrap(), "dear reader");
    assert_eq!(fs::read_dir(place.db()).unwrap().count(), 1, "nothing was added");
}

#[test]
fn a_file_is_no_folder() {
    let place = Place::new();
    place.file("db", "I am a file");
    let ran = place.lsm(["get", "a"]);
    assert!(ran.code == 3 || ran.code == 6, "{ran:?}");
    assert!(ran.err.contains("db"), "{ran:?}");
    assert_eq!(fs::read_to_string(place.db()).unwrap(), "I am a file");
}

#[test]
fn no_folder_named_is_said() {
    let place = Place::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lsm"));
    let output = command.args(["get", "a"]).env_remove("LSM_DB").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("give its folder with --db DIR, or set LSM_DB"), "{error}");
    place.lsm(["put", "a", "b"]).ok();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lsm"));
    let output = command.args(["get", "a"]).env("LSM_DB", place.db()).output().unwrap();
    assert_eq!(output.stdout, b"b\n");
}

#[test]
fn a_folder_in_use_is_refused_until_it_is_free() {
    let place = Place::new();
    place.lsm(["put", "a", "b"]).ok();
    // A load from a pipe that stays open holds the database, once it has come so far.
    let (mut holder, error) = (1..=10)
        .find_map(|attempt| {
            let mut holder = place
                .command(["--json", "load", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(200 * attempt));
            let ran = place.lsm(["get", "a"]);
            if ran.code == 4 {
                return Some((holder, ran.failed(4)));
            }
            holder.kill().unwrap();
            holder.wait().unwrap();
            None
        })
        .expect("the holder takes the lock within seconds");
    assert!(error.contains("db is in use by another process"), "{error}");
    drop(holder.stdin.take());
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(holder.wait().unwrap().success());
    assert_eq!(place.lsm(["get", "a"]).ok(), "b\n");
}

#[test]
fn keys_and_values_beyond_the_limits_are_refused() {
    let place = Place::new();
    let key = "k".repeat(65_535);
    place.lsm(["put", &key, "longest"]).ok();
    assert_eq!(place.lsm(["get", &key]).ok(), "longest\n");
    let error = place.lsm(["put", &format!("{key}k"), "too long"]).failed(2);
    assert!(error.contains("key of 65536 bytes is longer than the 65535 allowed"), "{error}");
    // A file of 4 GiB that takes no room.
    let big = place.path("big");
    File::create(&big).unwrap().set_len(1 << 32).unwrap();
    let error = place.lsm(["put", "big", "--file", arg(&big)]).failed(2);
    assert!(error.contains("value of 4294967296 bytes is longer than the 4294967295"), "{error}");
    assert_eq!(place.lsm(["count"]).ok(), "1\n");
}

#[test]
fn wrong_usage_is_explained() {
    let place = Place::new();
    for (args, expected) in [
        (&["get"][..], "<KEY>"),
        (&["put", "only a key"], "<VALUE>"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["get", r"bad\escape"], "a backslash must begin"),
        (&["--write-buffer", "64 parsecs", "count"], "the unit must be one of"),
        (&["--write-buffer", "1", "put", "a", "b"], "write_buffer"),
        (&["load", "--batch", "0", "x"], "0 is not in"),
        (&["scan", "--prefix", "a", "--from", "b"], "cannot be used with"),
    ] {
        let error = place.lsm(args).failed(2);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}

/// A database with several tables and an empty log.
fn with_tables() -> Place {
    let place = Place::new();
    let file = place.file("n.tsv", numbered(5000));
    place.lsm(["--write-buffer", "64KiB", "--table", "32KiB", "load", arg(&file)]).ok();
    place.lsm(["verify"]).ok();
    place
}

#[test]
fn a_flipped_byte_is_found_and_named_with_its_place() {
    let place = with_tables();
    let tables = place.db_files(".sst");
    assert!(tables.len() > 1, "{tables:?}");
    let table = &tables[tables.len() / 2];
    let bytes = fs::metadata(table).unwrap().len();
    let name = table.file_name().unwrap().to_string_lossy().into_owned();
    for at in [30, bytes / 2, bytes - 1] {
        let file = OpenOptions::new().read(true).write(true).open(table).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
        let error = place.lsm(["verify"]).failed(5);
        assert!(error.contains(&name), "byte {at}: {error}");
        file.write_all_at(&byte, at).unwrap();
        place.lsm(["verify"]).ok();
    }
}

#[test]
fn a_truncated_table_is_found_and_named() {
    let place = with_tables();
    let table = place.db_files(".sst").pop().unwrap();
    let name = table.file_name().unwrap().to_string_lossy().into_owned();
    let whole = fs::read(&table).unwrap();
    for kept in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&table, &whole[..kept]).unwrap();
        let error = place.lsm(["verify"]).failed(5);
        assert!(error.contains(&name), "{kept} bytes kept: {error}");
    }
    fs::remove_file(&table).unwrap();
    let ran = place.lsm(["count"]);
    assert!(ran.code == 5 || ran.code == 6, "{ran:?}");
    assert!(ran.err.contains(&name), "{ran:?}");
    fs::write(&table, &whole).unwrap();
    assert_eq!(place.lsm(["count"]).ok(), "5000\n", "nothing was lost meanwhile");
}

#[test]
fn a_read_only_folder_is_said_and_nothing_is_lost() {
    let place = with_tables();
    let set = |mode| fs::set_permissions(place.db(), fs::Permissions::from_mode(mode)).unwrap();
    set(0o555);
    // Root may write anywhere: then there is nothing to see here.
    let refused = File::create(place.db().join("probe")).is_err();
    if refused {
        let error = place.lsm(["put", "a", "b"]).failed(6);
        assert!(error.contains("ermission denied"), "{error}");
    }
    set(0o755);
    drop(fs::remove_file(place.db().join("probe")));
    assert_eq!(place.lsm(["count"]).ok(), "5000\n");
}

#[test]
fn an_output_that_is_full_is_said() {
    let place = with_tables();
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else { return };
    let output = place.command(["scan"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot write the output: No space left on device"), "{error}");
}
