//! `top`, on a server and on a folder, through the program.

mod common;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;

use common::{Place, Serving, arg, numbered};

fn widest(text: &str) -> usize {
    text.lines().map(console::measure_text_width).max().unwrap_or(0)
}

#[test]
fn a_running_server_is_watched() {
    let place = Place::new();
    let server = Serving::start(&place, &["--write-buffer", "64KiB"]);
    let mut text = String::new();
    for n in 0..20_000 {
        writeln!(text, "p {n} {n}\ng {n}").unwrap();
    }
    let address = ["--address", &server.address];
    let commands = text + "f\nr 0 10\n";
    place.lsm_with_input(["client", "--quiet"].iter().chain(&address), commands.as_bytes()).ok();

    let report =
        place.lsm(["top", "--json", "--count", "1", "--interval", "0.05"].iter().chain(&address));
    let report = report.json();
    assert_eq!(report["stats"]["operations"], 20_000, "{report}");
    assert_eq!(report["stats"]["gets"], 20_000, "{report}");
    assert_eq!(report["clients"]["served"], 2, "{report}");

    // Something happens between the two looks, so there are rates and latencies.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let busy = std::thread::spawn(move || {
        while stream.write_all(b"p 1 2\ng 1\n").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    for columns in ["80", "200"] {
        let args = ["top", "--count", "2", "--interval", "0.3", "--width", columns];
        let frames = place.lsm(args.iter().chain(&address)).ok();
        assert!(widest(&frames) <= columns.parse().unwrap(), "{frames}");
        assert_eq!(frames.matches("lsm top  127.0.0.1:").count(), 2, "{frames}");
        for expected in ["writes", "gets", "p99.9", "cache", "filters", "stalls", "jobs", "L0"] {
            assert!(frames.contains(expected), "no {expected} in\n{frames}");
        }
        // Keys are written as the numbers they are.
        assert!(frames.contains("╵0"), "{frames}");
        let writes = frames.lines().rfind(|line| line.starts_with("writes")).unwrap();
        let rate = writes.split_whitespace().nth(1).unwrap();
        assert!(rate != "0/s" && rate.ends_with("/s"), "{writes}");
        let get = frames.lines().rfind(|line| line.starts_with("get ")).unwrap();
        assert!(get.contains("us") || get.contains("ms") || get.contains("ns"), "{get}");
    }
    drop(server);
    busy.join().unwrap();
}

#[test]
fn a_folder_is_watched_and_left_as_it_is() {
    let place = Place::new();
    let file = place.file("n.tsv", numbered(20_000));
    place.lsm(["--write-buffer", "64KiB", "--table", "32KiB", "load", arg(&file)]).ok();
    let before = place.db_files("");
    let frame = place.lsm(["top", "--count", "1", "--interval", "0.05"]).ok();
    assert!(frame.contains("(its files)") && frame.contains("L6"), "{frame}");
    assert!(frame.contains("logs") && !frame.contains("cache"), "{frame}");
    let report = place.lsm(["top", "--count", "1", "--interval", "0.05", "--json"]).json();
    assert!(report["stats"]["table_entries"].as_u64().unwrap() >= 20_000, "{report}");
    assert_eq!(place.db_files(""), before);
    // It works beside a process that has the database open.
    let server = Serving::start(&place, &[]);
    place.lsm(["top", "--count", "1", "--interval", "0.05"]).ok();
    drop(server);
    let error = place.lsm(["-f", "nuts", "top", "--count", "1"]).failed(2);
    assert!(error.contains("no family nuts; there are default"), "{error}");
}

#[test]
fn what_is_not_there_is_said() {
    let place = Place::new();
    let error = place.lsm(["top", "--count", "1"]).failed(3);
    assert!(error.contains("db"), "{error}");
    let error = place.lsm(["top", "--count", "1", "--address", "127.0.0.1:1"]).failed(6);
    assert!(error.contains("cannot connect to 127.0.0.1:1"), "{error}");
    let server = Serving::start(&place, &["--token", "sesame"]);
    let ask = |more: &[&str]| {
        let args = ["top", "--count", "1", "--interval", "0.01", "--address", &server.address];
        place.lsm(args.iter().chain(more))
    };
    let error = ask(&[]).failed(2);
    assert!(error.contains("auth TOKEN"), "{error}");
    ask(&["--token", "sesame"]).ok();
}
