//! The server over real sockets: many clients against models, pipelining, limits, tokens,
//! shutdown that loses nothing.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use common::{Commands, Model};
use lsm::{Db, Options};
use server::{Error, Framing, Quit, Reach, ServeReport, Server, ServerOptions, SessionOptions};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server on a free port, and the way to end it.
struct Running {
    runtime: Runtime,
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    handle: JoinHandle<server::Result<ServeReport>>,
    db: Db,
}

impl Running {
    fn start(folder: &Path, options: ServerOptions) -> Running {
        let small = Options { write_buffer_bytes: 32 << 10, ..Options::default() };
        let db = Db::open(folder, small).expect("a database");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = ServerOptions { address, ..options };
        let server = runtime.block_on(Server::bind(db.clone(), options)).expect("a port");
        let address = server.local_addr().expect("an address");
        let (end, ended) = oneshot::channel::<()>();
        let handle = runtime.spawn(server.run(async {
            // A dropped sender ends the server too.
            ended.await.unwrap_or(());
        }));
        Running { runtime, address, end: Some(end), handle, db }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
        stream
    }

    fn stop(mut self) -> (ServeReport, Db) {
        drop(self.end.take());
        let report = self.runtime.block_on(self.handle).expect("no panic").expect("no error");
        (report, self.db)
    }
}

fn framed(framing: Framing) -> ServerOptions {
    let session = SessionOptions { framing, ..SessionOptions::default() };
    ServerOptions { session, ..ServerOptions::default() }
}

/// Joins what `line` says of each number, a line each.
fn lines<N>(numbers: impl Iterator<Item = N>, line: impl Fn(N) -> String) -> String {
    numbers.fold(String::new(), |text, n| text + &line(n) + "\n")
}

/// Sends `text`, says that no more comes, and reads all answers.
fn exchange(mut stream: TcpStream, text: &str) -> Vec<u8> {
    let mut writer = stream.try_clone().expect("a second handle");
    let text = text.to_owned();
    let sender = thread::spawn(move || {
        writer.write_all(text.as_bytes()).expect("sending");
        writer.shutdown(Shutdown::Write).expect("half a close");
    });
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).expect("answers");
    sender.join().expect("no panic");
    answers
}

#[test]
fn random_commands_agree_with_the_model_in_every_framing() {
    for framing in [Framing::Line, Framing::Silent, Framing::CrlfCrlf, Framing::Eom] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut model = Model::default();
        let mut commands = Commands::new(7, 300);
        for _ in 0..3 {
            // Each round is a server of its own on the same folder.
            let server = Running::start(folder.path(), framed(framing));
            let (mut text, mut expected) = (String::new(), Vec::new());
            for _ in 0..3_000 {
                let line = commands.line();
                model.run(&line, framing, &mut expected);
                text.push_str(&line);
                text.push('\n');
            }
            let got = exchange(server.connect(), &text);
            assert!(got == expected, "{framing:?}");
            let (report, db) = server.stop();
            assert_eq!((report.connections, report.cut), (1, 0));
            db.close().expect("closing");
        }
    }
}

/// Clients on keys of their own see their own model, whatever the others do.
#[test]
fn many_clients_at_once_agree_with_their_models() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path(), framed(Framing::Line));
    let threads: Vec<_> = (0..12i32)
        .map(|client| {
            let stream = server.connect();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
                let mut stream = stream;
                let (mut model, base) = (Model::default(), client * 1000);
                for round in 0..150i32 {
                    let (mut text, mut expected) = (String::new(), Vec::new());
                    for step in 0..10 {
                        let key = base + (round * 7 + step * 13) % 90;
                        let lines = [
                            format!("p {key} {}", round * 10 + step),
                            format!("g {key}"),
                            format!("d {}", key + 1),
                            format!("r {base} {}", base + 100),
                        ];
                        let line = &lines[usize::try_from((round + step) % 4).expect("small")];
                        model.run(line, Framing::Line, &mut expected);
                        text.push_str(line);
                        text.push('\n');
                    }
                    stream.write_all(text.as_bytes()).expect("sending");
                    let mut got = vec![0; expected.len()];
                    reader.read_exact(&mut got).expect("answers");
                    assert_eq!(
                        String::from_utf8_lossy(&got),
                        String::from_utf8_lossy(&expected),
                        "client {client}, round {round}"
                    );
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a client found the server wrong");
    }
    let (report, _db) = server.stop();
    assert_eq!(report.connections, 12);
}

#[test]
fn a_range_far_larger_than_the_buffers_comes_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path(), framed(Framing::Line));
    let count = 120_000;
    let text = lines(0..count, |n| format!("p {n} {n}"));
    assert_eq!(exchange(server.connect(), &text), "OK\n".repeat(count).into_bytes());
    let expected: Vec<String> = (0..count).map(|n| format!("{n}:{n}")).collect();
    let answer = exchange(server.connect(), &format!("r 0 {count}\ng 5\n"));
    assert_eq!(String::from_utf8(answer).expect("text"), expected.join(" ") + "\n5\n");
    let stats = exchange(server.connect(), "s\n");
    let stats = String::from_utf8(stats).expect("text");
    assert!(stats.starts_with(&format!("Logical Pairs: {count}\nLVL")), "{}", &stats[..80]);
    assert!(stats.ends_with("\n\n"));
    let dumped = stats.lines().skip(2).flat_map(|line| line.split(' ')).filter(|e| !e.is_empty());
    assert!(dumped.count() >= count);
}

#[test]
fn lines_that_are_too_long_are_refused_and_memory_is_not_filled() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ServerOptions { line_bytes_max: 100, ..framed(Framing::Line) };
    let server = Running::start(folder.path(), options);
    let flood = "x".repeat(5_000_000);
    let text = format!("p 1 2\n{flood}\ng 1\n{}\ng 1\n", "y".repeat(101));
    let answer = String::from_utf8(exchange(server.connect(), &text)).expect("text");
    let refused = "Error: a line is longer than 100 bytes";
    assert_eq!(answer, format!("OK\n{refused}\n2\n{refused}\n2\n"));
    // A command without its line end is not run: it may have been cut.
    assert_eq!(exchange(server.connect(), "p 1 3"), b"");
    assert_eq!(exchange(server.connect(), "g 1\n"), b"2\n");
}

#[test]
fn too_many_clients_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ServerOptions { connections_max: 2, ..framed(Framing::Line) };
    let server = Running::start(folder.path(), options);
    let hello = |stream: &mut TcpStream| {
        stream.write_all(b"g 1\n").expect("sending");
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).expect("an answer");
    };
    let (mut first, mut second) = (server.connect(), server.connect());
    hello(&mut first);
    hello(&mut second);
    let mut text = String::new();
    server.connect().read_to_string(&mut text).expect("the refusal");
    assert_eq!(text, "Error: too many clients\n");
    drop(first);
    // Its seat is free soon.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut stream = server.connect();
        stream.write_all(b"g 1\n").expect("sending");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        if line == "\n" {
            break;
        }
        assert!(Instant::now() < deadline, "the seat never came free");
        thread::sleep(Duration::from_millis(20));
    }
    let (report, _db) = server.stop();
    assert!(report.refused >= 1);
}

#[test]
fn without_the_token_nothing_is_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = Some("s3cret".to_owned());
    let server = Running::start(folder.path(), ServerOptions { token, ..framed(Framing::Line) });
    let ask = |text: &str| String::from_utf8(exchange(server.connect(), text)).expect("text");
    assert_eq!(ask("auth s3cret\np 1 2\ng 1\n"), "OK\nOK\n2\n");
    let refused = "Error: the first line must be: auth TOKEN\n";
    for text in ["g 1\ng 1\n", "auth wrong!\ng 1\n", "auth \n", "q\n"] {
        let mut stream = server.connect();
        stream.write_all(text.as_bytes()).expect("sending");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        assert_eq!(line, refused);
    }
}

/// Whatever was acknowledged before the end is there after it; whole lines under way are run.
#[test]
fn shutdown_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path(), framed(Framing::Line));
    let clients: Vec<_> = (0..4i32)
        .map(|client| {
            let mut stream = server.connect();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
                let (mut acknowledged, mut line) = (0, String::new());
                for n in 0..1_000_000i32 {
                    let key = client * 1_000_000 + n;
                    if stream.write_all(format!("p {key} {n}\n").as_bytes()).is_err() {
                        break;
                    }
                    line.clear();
                    match reader.read_line(&mut line) {
                        Ok(3) if line == "OK\n" => acknowledged = n + 1,
                        _ => break,
                    }
                }
                (client, acknowledged)
            })
        })
        .collect();
    let mut silent = server.connect(); // a client that only listens must not hold up the end
    thread::sleep(Duration::from_millis(300));
    let address = server.address;
    let begun = Instant::now();
    let (report, db) = server.stop();
    assert_eq!(report.cut, 0);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(TcpStream::connect(address).is_err(), "nobody is let in any more");
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).expect("a clean close");
    db.close().expect("closing");
    let db = Db::open(folder.path(), Options::default()).expect("the database again");
    let mut answer = Vec::new();
    for client in clients {
        let (client, acknowledged) = client.join().expect("no panic");
        assert!(acknowledged > 0, "client {client} got nowhere");
        let text = lines(0..acknowledged, |n| format!("g {}", client * 1_000_000 + n));
        let expected = lines(0..acknowledged, |n| n.to_string());
        answer.clear();
        let silent = SessionOptions { framing: Framing::Silent, ..SessionOptions::default() };
        server::run(&db, &silent, text.as_bytes(), &mut answer).expect("in memory");
        assert!(answer == expected.as_bytes(), "client {client} lost a write");
    }
}

#[test]
fn quit_ends_the_connection_or_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path(), framed(Framing::Line));
    let mut stream = server.connect();
    stream.write_all(b"p 1 2\nq\n").expect("sending");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("a close");
    assert_eq!(answer, b"OK\nOK\n");
    assert_eq!(exchange(server.connect(), "g 1\n"), b"2\n");
    let (_, db) = server.stop();
    db.close().expect("closing");

    let options = ServerOptions { quit: Quit::Server, ..framed(Framing::Line) };
    let server = Running::start(folder.path(), options);
    let mut stream = server.connect();
    stream.write_all(b"q\n").expect("sending");
    let report = server.runtime.block_on(server.handle).expect("no panic").expect("no error");
    assert_eq!(report.connections, 1);
}

#[test]
fn silent_clients_are_closed_after_their_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let idle = Some(Duration::from_millis(100));
    let server = Running::start(folder.path(), ServerOptions { idle, ..framed(Framing::Line) });
    let mut stream = server.connect();
    stream.write_all(b"g 1\n").expect("sending");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("a close");
    assert_eq!(answer, b"\n");
}

/// A client that asks for much and reads nothing is dropped, and the others do not notice.
#[test]
fn a_client_that_does_not_read_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer_timeout = Duration::from_millis(200);
    let options = ServerOptions { answer_timeout, ..framed(Framing::Line) };
    let server = Running::start(folder.path(), options);
    let text = lines(0..20_000, |n| format!("p {n} {n}"));
    exchange(server.connect(), &text);
    let mut greedy = server.connect();
    greedy.write_all("r 0 20000\n".repeat(200).as_bytes()).expect("sending");
    assert_eq!(exchange(server.connect(), "g 7\n"), b"7\n");
    thread::sleep(Duration::from_millis(600));
    let mut all = Vec::new();
    let ended = greedy.read_to_end(&mut all);
    assert!(ended.is_err() || all.len() < 200 * 200_000, "it was cut off");
}

#[test]
fn other_machines_need_to_be_allowed() {
    let address: SocketAddr = "0.0.0.0:0".parse().expect("an address");
    let options = ServerOptions { address, ..ServerOptions::default() };
    assert!(matches!(options.validate(), Err(Error::Remote { .. })));
    let allowed = ServerOptions { reach: Reach::Remote, ..options };
    assert!(allowed.validate().is_ok());
    for (bad, name) in [
        (ServerOptions { line_bytes_max: 1, ..ServerOptions::default() }, "line_bytes_max"),
        (ServerOptions { connections_max: 0, ..ServerOptions::default() }, "connections_max"),
        (ServerOptions { token: Some(String::new()), ..ServerOptions::default() }, "token"),
    ] {
        let error = bad.validate().expect_err("outside of its limits");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// `json` is not of the course's language: what a viewer needs, on one line.
#[test]
fn a_viewer_is_told_what_the_server_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path(), framed(Framing::Line));
    let text = lines(0..200, |n| format!("p {n} {n}")) + &lines(0..160, |n| format!("g {n}"));
    exchange(server.connect(), &text);
    let answer = exchange(server.connect(), "f\nr 0 3\njson\n");
    let answer = String::from_utf8(answer).expect("text");
    let json = answer.strip_prefix("OK\n0:0 1:1 2:2\n").expect(&answer);
    assert_eq!(json.matches('\n').count(), 1, "{json}");
    let report: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(report["stats"]["operations"], 200);
    assert_eq!((&report["clients"]["served"], &report["width"]), (&2.into(), &32.into()));
    let counted = |what: &str| -> u64 {
        let counts = report["latencies"][what].as_array().expect("a list");
        counts.iter().map(|pair| pair[1].as_u64().expect("a count")).sum()
    };
    assert_eq!((counted("get"), counted("range")), (10, 1));
    assert!(counted("write") >= 1);
    let tables = report["shape"]["levels"][0][0].as_array().expect("tables");
    assert_eq!(tables[0][5], "80000000");
}
