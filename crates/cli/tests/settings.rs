//! `serve` configured by file and environment, manual pages, completions.

mod common;

use common::{Place, Serving, arg};

#[test]
fn a_server_takes_its_settings_from_a_file_below_environment_and_flags() {
    let place = Place::new();
    let text = "address = \"127.0.0.1:0\"\nquit-ends = \"server\"\ntoken = \"from file\"\n\
                write-buffer = \"128KiB\"\nconnections = 3\nwide = true\nload-from = \"loads\"\n";
    let file = place.file("numbers.toml", text);
    std::fs::create_dir(place.path("loads")).unwrap();
    std::fs::write(place.path("loads/one.bin"), [1u64.to_le_bytes(), 2u64.to_le_bytes()].concat())
        .unwrap();
    // The file's token has a blank, which is refused: so the file is read, and the flag wins.
    let error = place.lsm(["serve", "--config", arg(&file)]).failed(2);
    assert!(error.contains("token"), "{error}");
    let mut command = place.command(["serve", "--config", arg(&file), "--token", "sesame"]);
    command.env("LSM_QUIT_ENDS", "connection");
    let server = Serving::run(command);
    let ask = |text: &str| {
        let args = ["client", "--token", "sesame", "--address", &server.address];
        place.lsm_with_input(args, text.as_bytes()).ok()
    };
    assert_eq!(ask("p 5000000000 1\nl one.bin\ng 1\nq\n"), "OK\nOK\nOK\n2\nOK\n");
    assert_eq!(ask("g 5000000000\n"), "OK\n1\n", "the variable won over the file: it still serves");
}

#[test]
fn a_file_that_is_wrong_serves_nothing() {
    let place = Place::new();
    for (text, expected) in [
        ("adress = \"127.0.0.1:0\"", "\"adress\" is no flag of `lsm serve`"),
        ("config = \"x\"", "\"config\" is no flag"),
        ("remote = 1", "remote is true or false"),
        ("address = [1]", "address is a string or a number"),
        ("address = ", "no TOML"),
        ("connections = \"many\"", "invalid value 'many'"),
    ] {
        let file = place.file("bad.toml", text);
        let error = place.lsm(["serve", "--config", arg(&file)]).failed(2);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = place.lsm(["serve", "--config", "/no/such.toml"]).failed(6);
    assert!(error.contains("/no/such.toml"), "{error}");
    assert!(!place.db().exists());
}

#[test]
fn options_for_opening_come_from_the_environment_too() {
    let place = Place::new();
    let ran = place.command(["put", "a", "b"]).env("LSM_CODEC", "nonsense").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("nonsense"));
    let ran = place.command(["put", "a", "b"]).env("LSM_CODEC", "none").output().unwrap();
    assert_eq!(ran.status.code(), Some(0));
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let place = Place::new();
    let page = place.lsm(["man"]).ok();
    assert!(page.contains(".TH LSM 1") && page.contains("Exit codes"), "{page}");
    let dir = place.path("man");
    place.lsm(["man", "--dir", arg(&dir)]).ok();
    let help = place.lsm(["--help"]).ok();
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    // A command stands two columns in; what it does is further right, over several lines.
    let names = commands.lines().filter_map(|line| {
        let line = line.strip_prefix("  ")?;
        line.starts_with(char::is_alphanumeric).then(|| line.split_whitespace().next().unwrap())
    });
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let path = dir.join(format!("lsm-{name}.1"));
        let page =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH DESCRIPTION"), "{page}");
    }
    assert!(!dir.join("lsm-demo-writer.1").exists());
}
