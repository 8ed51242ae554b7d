//! The language from a reader to a writer: the course's example, a random workload against the
//! model with restarts between, files, statistics, and lines that are wrong.

mod common;

use std::path::Path;

use common::{Commands, Model};
use lsm::{Db, Options};
use server::{Framing, LoadFrom, RunReport, SessionOptions, Width, run};

fn small() -> Options {
    Options { write_buffer_bytes: 16 << 10, table_bytes: 16 << 10, ..Options::default() }
}

fn open(folder: &Path) -> Db {
    Db::open(folder, small()).expect("a database")
}

fn options(framing: Framing) -> SessionOptions {
    SessionOptions { framing, load_from: LoadFrom::Anywhere, ..SessionOptions::default() }
}

fn answers(db: &Db, options: &SessionOptions, commands: &[u8]) -> (String, RunReport) {
    let mut out = Vec::new();
    let report = run(db, options, commands, &mut out).expect("readers and writers in memory");
    (String::from_utf8(out).expect("text"), report)
}

fn ask(db: &Db, commands: &str) -> String {
    answers(db, &options(Framing::Silent), commands.as_bytes()).0
}

#[test]
fn the_course_example() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(folder.path());
    let commands = "p 10 7\np 63 222\ng 10\ng 15\np 15 5\ng 15\np 13 2\np 17 99\np 12 22\n\
                    r 10 12\nr 10 15\nr 14 15\nd 10\ng 10\n";
    assert_eq!(ask(&db, commands), "7\n\n5\n10:7\n10:7 12:22 13:2\n\n\n");
}

#[test]
fn the_whole_range_of_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(folder.path());
    let commands = "p -2147483648 -2147483648\np 2147483647 2147483647\np -1 0\np 0 -1\n\
                    g -2147483648\ng 2147483647\nr -2147483648 2147483647\n\
                    r -2147483648 2147483648\nr 2147483647 2147483648\nr 5 5\nr 9 1\n\
                    d -2147483648\ng -2147483648\n";
    let expected = "-2147483648\n2147483647\n\
                    -2147483648:-2147483648 -1:0 0:-1\n\
                    -2147483648:-2147483648 -1:0 0:-1 2147483647:2147483647\n\
                    2147483647:2147483647\n\n\n\n";
    assert_eq!(ask(&db, commands), expected);
}

#[test]
fn wide_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(folder.path());
    let wide = SessionOptions { width: Width::Bits64, ..options(Framing::Silent) };
    let commands = "p -9223372036854775808 1\np 9223372036854775807 2\np 0 3\n\
                    r -9223372036854775808 9223372036854775808\n";
    let expected = "-9223372036854775808:1 0:3 9223372036854775807:2\n";
    assert_eq!(answers(&db, &wide, commands.as_bytes()).0, expected);
    // The other width says so instead of answering nonsense.
    let (text, report) = answers(&db, &options(Framing::Line), b"r -10 10\n");
    assert!(text.contains("Error: an entry of 8 bytes"), "{text}");
    assert_eq!(report.failures, 1);
}

#[test]
fn random_commands_agree_with_the_model_over_restarts() {
    for framing in [Framing::Silent, Framing::Line, Framing::CrlfCrlf, Framing::Eom] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut model = Model::default();
        let mut commands = Commands::new(33, 400);
        for round in 0..6 {
            let db = open(folder.path());
            let (mut text, mut expected) = (String::new(), Vec::new());
            for _ in 0..2_500 {
                let line = commands.line();
                model.run(&line, framing, &mut expected);
                text.push_str(&line);
                text.push('\n');
            }
            let (got, report) = answers(&db, &options(framing), text.as_bytes());
            assert!(got.as_bytes() == expected, "{framing:?}, round {round}");
            assert_eq!(report, RunReport { lines: 2_500, failures: 0 });
            db.close().expect("closing");
        }
    }
}

#[test]
fn load_files_are_little_endian_pairs_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(&folder.path().join("db"));
    let file = folder.path().join("a file.dat");
    let mut bytes = Vec::new();
    for (key, value) in [(5i32, 1i32), (-7, 2), (5, 3), (i32::MIN, i32::MAX)] {
        bytes.extend(key.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([1, 2, 3]); // a partial pair is ignored
    std::fs::write(&file, bytes).expect("a file");
    let commands = format!("l \"{}\"\ng 5\nr -2147483648 10\n", file.display());
    assert_eq!(ask(&db, &commands), "3\n-2147483648:2147483647 -7:2 5:3\n");
    // A large one takes several batches.
    let pairs = 10_000i32;
    let bytes: Vec<u8> =
        (0..pairs).flat_map(|n| [n.to_le_bytes(), (-n).to_le_bytes()].concat()).collect();
    std::fs::write(&file, bytes).expect("a file");
    let (text, _) = answers(
        &db,
        &options(Framing::Line),
        format!("l {}\ng 9999\ns 0\n", file.display()).as_bytes(),
    );
    assert!(text.starts_with("OK\n-9999\nLogical Pairs: 10002\nLVL"), "{text}");
}

#[test]
fn files_outside_of_the_folder_are_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(&folder.path().join("db"));
    let inside = folder.path().join("loads");
    std::fs::create_dir(&inside).expect("a folder");
    std::fs::write(inside.join("in.dat"), 1u64.to_le_bytes()).expect("a file");
    std::fs::write(folder.path().join("out.dat"), 2u64.to_le_bytes()).expect("a file");
    let in_folder = SessionOptions {
        load_from: LoadFrom::Folder(inside.clone()),
        load_bytes_max: 100,
        ..options(Framing::Line)
    };
    let ask = |line: &str| answers(&db, &in_folder, format!("{line}\n").as_bytes()).0;
    assert_eq!(ask("l \"in.dat\""), "OK\n");
    assert_eq!(ask("g 1"), "0\n");
    let missing = ask("l nowhere.dat");
    assert!(missing.starts_with("Error: there is no file"), "{missing}");
    for outside in ["../out.dat", &folder.path().join("out.dat").display().to_string(), ".."] {
        let text = ask(&format!("l {outside}"));
        assert!(text.starts_with("Error: there is no file"), "{text}");
    }
    assert!(ask("l .").contains("is not a file"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path().join("out.dat"), inside.join("link.dat"))
            .expect("a link");
        assert!(ask("l link.dat").starts_with("Error: there is no file"));
    }
    std::fs::write(inside.join("big.dat"), [0; 101]).expect("a file");
    assert!(ask("l big.dat").contains("more than the 100 allowed"));
    assert_eq!(ask("g 2"), "\n", "nothing of it came in");
    let nowhere = SessionOptions { load_from: LoadFrom::Nowhere, ..options(Framing::Line) };
    assert!(answers(&db, &nowhere, b"l in.dat\n").0.contains("may read no files"));
}

#[test]
fn command_files_run_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(&folder.path().join("db"));
    let file = folder.path().join("commands.txt");
    std::fs::write(&file, "p 1 2\ng 1\nr 0 10\nd 1\np 3 4\n").expect("a file");
    let line = format!("b \"{}\"\nr 0 10\n", file.display());
    let ask = || answers(&db, &options(Framing::Line), line.as_bytes()).0;
    assert_eq!(ask(), "OK\n3:4\n");
    std::fs::write(&file, format!("p 5 6\nnonsense\nb {}\n", file.display())).expect("a file");
    let text = ask();
    assert!(text.contains("2 commands failed, the first at or before line 2"), "{text}");
    assert!(text.ends_with("3:4 5:6\n"), "{text}");
}

#[test]
fn statistics_count_and_dump_every_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(folder.path());
    assert_eq!(ask(&db, "s\n"), "Logical Pairs: 0\n");
    assert_eq!(
        ask(&db, "p 1 10\np -2 20\np 3 30\ns\n"),
        "Logical Pairs: 3\nLVL1: 3\n-2:20:L1 1:10:L1 3:30:L1\n"
    );
    // A deletion and a newer version lie in a run of their own.
    let text = ask(&db, "d 3\np 1 11\ni\n");
    assert_eq!(text, "Logical Pairs: 2\nLVL1: 5\n");
    db.compact().expect("compaction");
    let text = answers(&db, &options(Framing::Line), b"s\n").0;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Logical Pairs: 2");
    assert!(lines[1].starts_with("LVL") && lines[1].ends_with(": 2"), "{text}");
    assert!(lines[2].starts_with("-2:20:L") && lines[2].contains(" 1:11:L"), "{text}");
    assert_eq!(lines[3], "", "an empty line ends statistics in the line framing");
    assert_eq!(lines.len(), 4);
    let text = ask(&db, "s 1\n");
    assert_eq!(text.lines().nth(2).map(|l| l.split(' ').count()), Some(1), "{text}");
    assert_eq!(ask(&db, "s 0\n").lines().count(), 2);
    assert!(ask(&db, "d 1\ns\n").contains("1:TOMBSTONE:L1"));
}

#[test]
fn wrong_lines_are_answered_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(folder.path());
    let long = "g ".to_owned() + &"1".repeat(100_000);
    let commands = format!("p 1 1\nbogus\np 1\n{long}\n\n  g  1  \r\np 2147483648 1\ng 1");
    let (text, report) = answers(&db, &options(Framing::Line), commands.as_bytes());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "OK");
    assert!(lines[1].starts_with("Error: unknown command"), "{text}");
    assert_eq!(lines[2], "Error: expected: p KEY VALUE");
    assert!(lines[3].starts_with("Error: a line is longer than"), "{text}");
    assert_eq!(lines[4], "1");
    assert!(lines[5].contains("\"2147483648\" is not a number from -2147483648"), "{text}");
    assert_eq!(lines[6], "1", "the last line needs no line end");
    assert_eq!((lines.len(), report.failures), (7, 4));
}

#[test]
fn nothing_is_read_after_quit() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(folder.path());
    assert_eq!(answers(&db, &options(Framing::Line), b"p 1 2\nq\np 1 3\n").0, "OK\nOK\n");
    assert_eq!(ask(&db, "g 1\n"), "2\n");
}
