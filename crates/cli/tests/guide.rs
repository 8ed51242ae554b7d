//! What `docs/cli.md` shows is what happens: its session and its settings file.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Place, Serving, arg};

/// The guide; nothing in a crate on its own.
fn guide() -> Option<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    page.exists().then(|| std::fs::read_to_string(page).expect("the guide is text"))
}

/// The fenced blocks of a section that begin with this fence.
fn blocks<'a>(guide: &'a str, section: &str, fence: &str) -> Vec<&'a str> {
    let start = guide.find(&format!("\n## {section}\n")).expect("the section is there");
    let rest = &guide[start + 4..];
    let section = &rest[..rest.find("\n## ").unwrap_or(rest.len())];
    let fence = format!("```{fence}\n");
    let found = section.split(fence.as_str()).skip(1);
    found.map(|block| block.split("```").next().expect("a block ends")).collect()
}

/// A line without what differs from run to run: how long something took, a table's random id, the
/// byte or two by which a moment's number is longer than another's.
fn stable(line: &str) -> String {
    let took = line.rsplit_once(" in ").filter(|(_, time)| time.starts_with(char::is_numeric));
    let line = took.map_or(line, |(before, _)| before);
    let random = |word: &&str| word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit());
    let number = |word: &str| word.parse::<u64>().is_ok();
    let words: Vec<&str> = line.split(' ').collect();
    let stable = words.iter().enumerate().map(|(rank, word)| match words.get(rank + 1) {
        _ if random(word) => "ID",
        Some(&("B" | "B,")) if number(word) => "N",
        _ => word,
    });
    stable.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_session_of_the_guide_gives_what_is_shown() {
    let Some(guide) = guide() else { return };
    let place = Place::new();
    let program = Path::new(env!("CARGO_BIN_EXE_lsm")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut commands = 0;
    for block in blocks(&guide, "A session", "console") {
        for step in block.split("\n$ ").map(|step| step.trim_start_matches("$ ")) {
            let (command, shown) = step.split_once('\n').unwrap_or((step, ""));
            let mut shell = Command::new("sh");
            for name in ["COLUMNS", "NO_COLOR", "LSM_DB"] {
                shell.env_remove(name);
            }
            shell.args(["-c", command]).current_dir(place.path("")).env("PATH", &path);
            let ran = shell.stdin(Stdio::null()).output().expect("a shell");
            let told = [ran.stdout, ran.stderr].concat();
            let told = String::from_utf8(told).expect("UTF-8");
            let lines = |text: &str| text.trim_end().lines().map(stable).collect::<Vec<_>>();
            assert_eq!(lines(&told), lines(shown), "{command}\n{told}");
            commands += 1;
        }
    }
    assert!(commands > 10, "only {commands} commands were found");
}

#[test]
fn the_settings_file_of_the_guide_serves() {
    let Some(guide) = guide() else { return };
    let settings = blocks(&guide, "The CS265 language", "toml")[0];
    let place = Place::new();
    // A free port instead of a fixed one.
    let file = place.file("numbers.toml", settings.replace(":8080", ":0"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_lsm"));
    command.args(["serve", "--config", arg(&file)]).stdin(Stdio::null());
    let server = Serving::run(command);
    let client = ["client", "--address", &server.address];
    let answers = place.lsm_with_input(client, b"p 10 7\ng 10\nq\n").ok();
    assert_eq!(answers, "OK\n7\nOK\n");
    assert!(place.path("numbers").is_dir(), "the database is where the file says");
    server.ended();
}
