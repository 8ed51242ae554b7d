//! The server beside the engine alone: pipelined gets and puts of two clients on loopback, and the
//! same calls from threads of this process. Prints a Markdown table; takes half a minute.
//!
//! `cargo bench -p server --bench loopback`

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lsm::{Db, Durability, Options};
use server::{Server, ServerOptions, Width};

/// Operations of each thread or client.
const OPERATIONS: u32 = 400_000;
/// How often each is measured; the best counts.
const TIMES: usize = 5;
/// Threads, and clients.
const CLIENTS: u32 = 2;

/// Keys that jump through the whole range, each once.
fn keys(client: u32) -> impl Iterator<Item = i32> {
    let first = client * OPERATIONS;
    (first..first + OPERATIONS).map(|n| n.wrapping_mul(2_654_435_761).cast_signed())
}

/// What was measured: operations a second, and a second of CPU time.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    per_cpu_second: f64,
}

/// Seconds of CPU time that this process has used.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// The best of several runs of `work`, which does `operations`.
fn best(operations: u32, work: impl Fn()) -> Rate {
    let mut best = Rate { per_second: 0.0, per_cpu_second: 0.0 };
    for _ in 0..TIMES {
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        work();
        let per_second = f64::from(operations) / begun.elapsed().as_secs_f64();
        let per_cpu_second = f64::from(operations) / (cpu_seconds() - cpu).max(0.01);
        if per_second > best.per_second {
            best = Rate { per_second, per_cpu_second };
        }
    }
    best
}

/// The engine alone on `threads` threads.
fn alone(db: &Db, threads: u32, call: impl Fn(&Db, i32) + Sync) -> Rate {
    best(threads * OPERATIONS, || {
        thread::scope(|scope| {
            for client in 0..threads {
                let call = &call;
                scope.spawn(move || keys(client).for_each(|key| call(db, key)));
            }
        });
    })
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
        let (mut buffer, mut answers) = (vec![0; 256 << 10], 0);
        loop {
            match stream.read(&mut buffer).expect("answers") {
                0 => return answers,
                bytes => answers += buffer[..bytes].split(|&byte| byte == b'\n').count() - 1,
            }
        }
    })
}

fn served(address: SocketAddr, command: &str, value: &str) -> Rate {
    let script = |of| {
        keys(of).fold(String::new(), |mut text, key| {
            writeln!(text, "{command} {key}{value}").expect("a string");
            text
        })
    };
    let scripts: Vec<String> = (0..CLIENTS).map(script).collect();
    best(CLIENTS * OPERATIONS, || {
        thread::scope(|scope| {
            for text in &scripts {
                scope.spawn(move || assert_eq!(client(address, text), OPERATIONS as usize));
            }
        });
    })
}

fn rows(durability: Durability) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { durability, ..Options::default() };
    let db = Db::open(folder.path(), options).expect("a database");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ServerOptions { address, ..ServerOptions::default() };
    let server = runtime.block_on(Server::bind(db.clone(), options)).expect("a port");
    let address = server.local_addr().expect("an address");
    runtime.spawn(server.run(std::future::pending()));
    let stored = |key: i32| Width::Bits32.encode(key.into());
    let put = |db: &Db, key: i32| db.put(stored(key), stored(7)).expect("a put");
    let get = |db: &Db, key: i32| assert!(db.get(stored(key)).expect("a get").is_some());
    for (name, command, value) in [("put", "p", " 7"), ("get", "g", "")] {
        let engine = |threads| match name {
            "put" => alone(&db, threads, put),
            _ => alone(&db, threads, get),
        };
        let (one, two) = (engine(1), engine(CLIENTS));
        let server = served(address, command, value);
        println!(
            "| {name} | {} | {:.0}k | {:.0}k | {:.0}k | {:.0} % | {:.0} % | {:.0} % |",
            format!("{durability:?}").to_lowercase(),
            one.per_second / 1e3,
            two.per_second / 1e3,
            server.per_second / 1e3,
            100.0 * server.per_second / one.per_second,
            100.0 * server.per_second / two.per_second,
            100.0 * server.per_cpu_second / two.per_cpu_second,
        );
        thread::sleep(Duration::from_millis(200)); // background work of one is not the other's
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn main() {
    println!(
        "| | durability | engine, 1 thread | engine, 2 threads | 2 clients | of 1 thread | of 2 \
         threads | per CPU second |\n|---|---|---:|---:|---:|---:|---:|---:|"
    );
    for durability in [Durability::Buffered, Durability::None] {
        rows(durability);
    }
}
