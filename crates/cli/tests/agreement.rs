//! The language against a plain map: every kind of command at random, over TCP and on standard
//! input, with restarts and kills in between.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use common::{Place, Serving};

/// A stream of numbers that a seed repeats (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    /// Any 32 bits, or one of the numbers where mistakes live.
    fn number(&mut self) -> i32 {
        const EDGES: [i32; 7] = [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX];
        match self.next(8) {
            0 => EDGES[usize::try_from(self.next(7)).expect("it fits")],
            _ => u32::try_from(self.next(1 << 32)).expect("it fits").cast_signed(),
        }
    }
}

/// What the answers must be, and what to ask.
struct Model {
    pairs: BTreeMap<i32, i32>,
    /// Every key that was ever put: for hits, overwrites, deletes and gets of deleted keys.
    used: Vec<i32>,
    random: Random,
    files: u32,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self { pairs: BTreeMap::new(), used: vec![7], random: Random(seed), files: 0 }
    }

    fn used_key(&mut self) -> i32 {
        let at = self.random.next(self.used.len() as u64);
        self.used[usize::try_from(at).expect("it fits")]
    }

    fn put(&mut self, key: i32) -> i32 {
        let value = self.random.number();
        self.pairs.insert(key, value);
        self.used.push(key);
        value
    }

    /// One more command and its answer, each with its line end.
    fn command(&mut self, place: &Place) -> (String, String) {
        match self.random.next(100) {
            0..40 => {
                let key = self.random.number();
                (format!("p {key} {}\n", self.put(key)), "OK\n".into())
            }
            40..52 => {
                let key = self.used_key();
                (format!("p {key} {}\n", self.put(key)), "OK\n".into())
            }
            52..68 => {
                let key = self.used_key();
                let value = self.pairs.get(&key).map(i32::to_string).unwrap_or_default();
                (format!("g {key}\n"), value + "\n")
            }
            68..76 => {
                let key = self.random.number();
                let value = self.pairs.get(&key).map(i32::to_string).unwrap_or_default();
                (format!("g {key}\n"), value + "\n")
            }
            76..88 => {
                let key = self.used_key();
                self.pairs.remove(&key);
                (format!("d {key}\n"), "OK\n".into())
            }
            88..98 => {
                let (one, other) = (i64::from(self.random.number()), i64::from(self.used_key()));
                // Now and then upside down, and past the largest key.
                let high = other + i64::from(self.random.next(2) == 0);
                let inside = |key: &i32| (one..high).contains(&i64::from(*key));
                let pairs = self.pairs.iter().filter(|(key, _)| inside(key));
                let pairs: Vec<String> = pairs.map(|(k, v)| format!("{k}:{v}")).collect();
                (format!("r {one} {high}\n"), pairs.join(" ") + "\n")
            }
            98 => self.load(place),
            _ => ("f\n".into(), "OK\n".into()),
        }
    }

    /// A file of pairs, some of them twice, with a partial one at its end.
    fn load(&mut self, place: &Place) -> (String, String) {
        self.files += 1;
        let name = format!("{}.bin", self.files);
        let mut bytes = Vec::new();
        for _ in 0..self.random.next(300) {
            let key = if self.random.next(3) == 0 { self.used_key() } else { self.random.number() };
            let value = self.put(key);
            bytes.extend(key.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend([9; 5]);
        place.file(&name, bytes);
        (format!("l \"{name}\"\n"), "OK\n".into())
    }

    /// Many commands as one text, and all their answers.
    fn commands(&mut self, count: u32, place: &Place) -> (String, String) {
        let (mut asked, mut expected) = (String::new(), String::new());
        for _ in 0..count {
            let (line, answer) = self.command(place);
            asked.push_str(&line);
            expected.push_str(&answer);
        }
        (asked, expected)
    }

    /// Everything, asked for by one range.
    fn all(&self) -> (&'static str, String) {
        let mut text = String::new();
        for (key, value) in &self.pairs {
            write!(text, "{key}:{value} ").expect("it fits");
        }
        ("r -2147483648 2147483648\n", text.trim_end().to_owned() + "\n")
    }
}

/// Compares without printing a page for one wrong byte.
#[track_caller]
fn same(got: &str, expected: &str, asked: &str) {
    if let Some(at) = got.lines().zip(expected.lines()).position(|(a, b)| a != b) {
        let line = |text: &str| text.lines().nth(at).unwrap_or_default().to_owned();
        panic!("to {:?} it said {:?}, not {:?}", line(asked), line(got), line(expected));
    }
    assert_eq!(got.lines().count(), expected.lines().count());
}

const OPTIONS: [&str; 4] = ["--write-buffer", "64KiB", "--table", "32KiB"];

/// `lsm dsl` under way, its input still open.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(place: &Place) -> Self {
        let mut child = place
            .command(OPTIONS.iter().chain(&["dsl"]))
            .current_dir(place.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, input, output }
    }

    fn ask(&mut self, asked: &str, answers: usize) -> String {
        let mut got = String::new();
        std::thread::scope(|scope| {
            scope.spawn(|| self.input.write_all(asked.as_bytes()).expect("it listens"));
            for _ in 0..answers {
                self.output.read_line(&mut got).expect("it answers");
            }
        });
        got
    }
}

#[test]
fn on_standard_input_with_restarts_and_kills() {
    for seed in 1..=3 {
        let place = Place::new();
        let mut model = Model::new(seed);
        for round in 0..6 {
            let mut session = Session::start(&place);
            let (asked, expected) = model.commands(1500, &place);
            same(&session.ask(&asked, 1500), &expected, &asked);
            if round % 2 == 0 {
                session.child.kill().expect("it runs");
            }
            drop(session.input);
            session.child.wait().expect("it ends");
        }
        let (asked, expected) = model.all();
        same(&Session::start(&place).ask(asked, 1), &expected, asked);
    }
}

#[test]
fn over_tcp_with_restarts_and_kills() {
    for seed in 11..=13 {
        let place = Place::new();
        let mut model = Model::new(seed);
        let folder = place.path("");
        let arguments = ["--load-from", folder.to_str().expect("it fits"), "--quit-ends", "server"];
        let arguments: Vec<&str> = OPTIONS.into_iter().chain(arguments).collect();
        for round in 0..6 {
            let server = Serving::start(&place, &arguments);
            let mut stream = TcpStream::connect(&server.address).expect("a connection");
            let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
            let (asked, expected) = model.commands(1500, &place);
            let mut got = String::new();
            std::thread::scope(|scope| {
                scope.spawn(|| stream.write_all(asked.as_bytes()).expect("it listens"));
                for _ in 0..1500 {
                    answers.read_line(&mut got).expect("it answers");
                }
            });
            same(&got, &expected, &asked);
            if round % 2 == 0 {
                drop(server); // killed, without warning
            } else {
                stream.write_all(b"q\n").expect("it listens");
                server.ended();
            }
        }
        let server = Serving::start(&place, &arguments);
        let (asked, expected) = model.all();
        let got = place.lsm_with_input(["client", "--address", &server.address], asked.as_bytes());
        same(&got.ok(), &expected, asked);
    }
}
