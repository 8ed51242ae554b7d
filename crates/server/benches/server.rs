//! What the language costs on top of the engine: parsing, a session in memory, pipelined clients on
//! loopback, and the engine alone beside them. `cargo bench -p server`

#![expect(missing_docs, reason = "criterion's macros make undocumented items")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lsm::{Db, Options};
use server::{Framing, Server, ServerOptions, SessionOptions, Width, parse, run};

const COMMANDS: u32 = 20_000;

/// Keys that jump through the whole range.
fn keys() -> impl Iterator<Item = i32> {
    (0..COMMANDS).map(|n| n.wrapping_mul(2_654_435_761).cast_signed())
}

fn script(name: &str) -> String {
    keys().fold(String::new(), |mut text, key| {
        let value = if name == "p" { " 7" } else { "" };
        writeln!(text, "{name} {key}{value}").expect("a string");
        text
    })
}

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for line in ["p -1234567890 1234567890", "g 10", "r -1000 1000"] {
        group.bench_function(line, |b| {
            b.iter(|| parse(black_box(line.as_bytes()), Width::Bits32));
        });
    }
    group.finish();
}

/// Without a network, beside the engine alone.
fn sessions(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open(folder.path(), Options::default()).expect("a database");
    let options = SessionOptions { framing: Framing::Line, ..SessionOptions::default() };
    let mut group = c.benchmark_group("session");
    group.throughput(Throughput::Elements(COMMANDS.into())).sample_size(10);
    for name in ["p", "g"] {
        let text = script(name);
        group.bench_function(name, |b| {
            b.iter(|| run(&db, &options, text.as_bytes(), &mut std::io::sink()));
        });
    }
    let stored: Vec<[u8; 4]> = keys().map(i32::to_le_bytes).collect();
    group.bench_function("engine alone, put", |b| {
        b.iter(|| stored.iter().for_each(|key| db.put(key, key).expect("a put")));
    });
    group.bench_function("engine alone, get", |b| {
        b.iter(|| stored.iter().filter(|key| db.get(key).expect("a get").is_some()).count());
    });
    group.finish();
}

/// Sends everything and counts the answers.
fn client(address: SocketAddr, text: &str) -> usize {
    let mut stream = TcpStream::connect(address).expect("a connection");
    thread::scope(|scope| {
        let mut writer = stream.try_clone().expect("a second handle");
        scope.spawn(move || {
            writer.write_all(text.as_bytes()).expect("sending");
            writer.shutdown(Shutdown::Write).expect("half a close");
        });
        let (mut buffer, mut answers) = (vec![0; 1 << 16], 0);
        loop {
            match stream.read(&mut buffer).expect("answers") {
                0 => return answers,
                bytes => answers += buffer[..bytes].split(|&byte| byte == b'\n').count() - 1,
            }
        }
    })
}

fn two_clients(address: SocketAddr, text: &str) -> usize {
    thread::scope(|scope| {
        let clients = [(); 2].map(|()| scope.spawn(|| client(address, text)));
        clients.into_iter().map(|client| client.join().expect("no panic")).sum()
    })
}

fn pipelined(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open(folder.path(), Options::default()).expect("a database");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ServerOptions { address, ..ServerOptions::default() };
    let server = runtime.block_on(Server::bind(db, options)).expect("a port");
    let address = server.local_addr().expect("an address");
    runtime.spawn(server.run(std::future::pending()));
    let mut group = c.benchmark_group("two pipelined clients");
    group.throughput(Throughput::Elements(2 * u64::from(COMMANDS))).sample_size(10);
    for name in ["p", "g"] {
        let text = script(name);
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(two_clients(address, &text), 2 * COMMANDS as usize));
        });
    }
    group.finish();
}

criterion_group!(benches, parsing, sessions, pipelined);
criterion_main!(benches);
