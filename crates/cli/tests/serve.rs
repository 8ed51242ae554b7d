//! `serve`, `dsl` and `client`, through the program.

mod common;

use std::fmt::Write as _;

use common::{Place, Serving, arg};

#[test]
fn the_language_on_standard_input_is_the_courses_program() {
    let place = Place::new();
    let commands = b"p 10 7\np -2147483648 5\np 11 -4\ng 10\ng 99\nr -2147483648 11\nd 10\ng 10\n";
    let said = place.lsm_with_input(["dsl", "--framing", "silent"], commands).ok();
    assert_eq!(said, "7\n\n-2147483648:5 10:7\n\n");
    let file = place.file("more.txt", "g 11\nnonsense\ng -2147483648\n");
    let said = place.lsm(["dsl", arg(&file)]).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[2]), ("-4", "5"), "{said}");
    assert!(lines[1].starts_with("Error: "), "{said}");
}

#[test]
fn a_client_gets_the_answers_of_its_commands_in_order() {
    let place = Place::new();
    let server = Serving::start(&place, &["--quit-ends", "server"]);
    let mut commands = String::new();
    let mut expected = String::new();
    for n in 0..20_000 {
        writeln!(commands, "p {n} {}\ng {n}", n * 3).unwrap();
        writeln!(expected, "OK\n{}", n * 3).unwrap();
    }
    let client = ["client", "--address", &server.address];
    let said = place.lsm_with_input(client, commands.as_bytes()).ok();
    assert!(said == expected, "{} bytes of {}", said.len(), expected.len());
    let quiet = place
        .lsm_with_input(["client", "--address", &server.address, "--quiet", "--timing"], b"g 7\n");
    assert_eq!((quiet.code, &*quiet.out), (0, ""));
    assert!(quiet.err.contains("3 B of answers in"), "{}", quiet.err);
    // The server's `q`, and what it has answered is there afterwards.
    place.lsm_with_input(client, b"q\n").ok();
    drop(server);
    assert_eq!(place.lsm_with_input(["dsl"], b"g 19999\n").ok(), "59997\n");
}

#[test]
fn other_machines_and_strangers_are_kept_out() {
    let place = Place::new();
    let error = place.lsm(["serve", "--address", "0.0.0.0:0"]).failed(2);
    assert!(error.contains("can be reached from other machines"), "{error}");
    assert!(!place.db().exists(), "nothing was made");

    let server = Serving::start(&place, &["--token", "sesame"]);
    let ask = |more: &[&str]| {
        let args = ["client", "--address", &server.address];
        place.lsm_with_input(args.iter().chain(more), b"p 1 2\ng 1\n")
    };
    let said = ask(&[]).out;
    assert!(!said.contains("OK\n") && said.contains("Error"), "{said}");
    let said = ask(&["--token", "sesame"]).ok();
    assert!(said.ends_with("OK\n2\n"), "{said}");
}

#[test]
fn a_server_that_is_not_there_is_said() {
    let place = Place::new();
    let error = place.lsm_with_input(["client", "--address", "127.0.0.1:1"], b"").failed(6);
    assert!(error.contains("cannot connect to 127.0.0.1:1"), "{error}");
}
