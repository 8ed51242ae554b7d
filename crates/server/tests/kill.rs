//! A server process is killed without warning: every acknowledged write is there afterwards, and
//! nothing is there that no client sent.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Commands, Model};
use lsm::{Db, Options};
use server::{Framing, ServerOptions, SessionOptions, run, serve};

/// Names the folder to serve in the child process.
const FOLDER: &str = "SERVER_KILL_TEST_FOLDER";

fn small() -> Options {
    Options { write_buffer_bytes: 32 << 10, ..Options::default() }
}

/// Not a test by itself: what the killed process runs.
#[test]
fn child_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let db = Db::open(folder.join("db"), small()).expect("a database");
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let told = |address: SocketAddr| {
        // The line end says that the address is whole.
        std::fs::write(folder.join("address"), format!("{address}\n")).expect("a file");
    };
    serve(db, ServerOptions { address, ..ServerOptions::default() }, told).expect("serving");
}

/// The server's process; killed when it is dropped.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().expect("killing the child");
        self.0.wait().expect("its end");
    }
}

fn start(folder: &Path) -> (Victim, TcpStream) {
    let told = folder.join("address");
    if told.exists() {
        std::fs::remove_file(&told).expect("removing a file");
    }
    let child = Victim(
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_process"])
            .env(FOLDER, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child process"),
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        if let Some(address) = text.strip_suffix('\n') {
            return (child, TcpStream::connect(address).expect("a connection"));
        }
        assert!(Instant::now() < deadline, "the child never listened");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn acknowledged_writes_survive_a_kill() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mut model, mut commands) = (Model::default(), Commands::new(11, 5_000));
    for round in 0..4u32 {
        let (child, stream) = start(folder.path());
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut stream = stream;
        let mut answered = 0;
        for _ in 0..400 {
            let (mut text, mut expected) = (String::new(), Vec::new());
            for _ in 0..20 {
                let line = commands.line();
                model.run(&line, Framing::Line, &mut expected);
                text += &(line + "\n");
            }
            stream.write_all(text.as_bytes()).expect("sending");
            for line in expected.split_inclusive(|&byte| byte == b'\n') {
                let mut got = String::new();
                reader.read_line(&mut got).expect("an answer");
                assert_eq!(got.as_bytes(), line, "round {round}, answer {answered}");
                answered += 1;
            }
        }
        drop(child); // without warning, connections open
    }
    let db = Db::open(folder.path().join("db"), small()).expect("the database again");
    let silent = SessionOptions { framing: Framing::Silent, ..SessionOptions::default() };
    let mut answer = Vec::new();
    run(&db, &silent, &b"r -2147483648 2147483648\n"[..], &mut answer).expect("in memory");
    let text = String::from_utf8(answer).expect("text");
    let found: BTreeMap<i32, i32> = text
        .split_whitespace()
        .map(|pair| {
            let (key, value) = pair.split_once(':').expect("a pair");
            (key.parse().expect("a key"), value.parse().expect("a value"))
        })
        .collect();
    assert!(found == model.pairs && !found.is_empty());
}
