//! Thousands of clients at once: each is answered, and an idle one costs next to nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lsm::{Db, Options};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Server, ServerOptions};
use tokio::sync::oneshot;

/// Clients, unless `SERVER_CROWD` says otherwise.
const CLIENTS: usize = 2_000;

/// Memory that a client may cost once it has gone quiet: its task, and what allocators keep of the
/// buffers that many had at once (5 to 31 KB seen). Two buffers of a line each would be 128 KiB.
const QUIET_BYTES: u64 = 64 << 10;

/// Lets this process open as many files as the system allows; returns how many clients fit, with
/// both ends of each connection in this process.
fn room_for_clients() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("raising the own soft limit");
    let files = limit.maximum.map_or(usize::MAX, |files| usize::try_from(files).expect("small"));
    (files.saturating_sub(100)) / 2
}

/// Bytes of memory in use, where the system says so.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[test]
fn thousands_of_clients_are_served_at_once() {
    let wanted = std::env::var("SERVER_CROWD").map_or(CLIENTS, |text| text.parse().expect("count"));
    let count = wanted.min(room_for_clients());
    assert!(count >= 400, "this system lets a process open too few files to try");
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open(folder.path(), Options::default()).expect("a database");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ServerOptions { address, connections_max: count, ..ServerOptions::default() };
    let server = runtime.block_on(Server::bind(db, options)).expect("a port");
    let address = server.local_addr().expect("an address");
    let (end, ended) = oneshot::channel::<()>();
    let running = runtime.spawn(server.run(async { ended.await.unwrap_or(()) }));

    let before = resident_bytes();
    let mut clients: Vec<TcpStream> = (0..count)
        .map(|_| {
            let stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket option");
            stream
        })
        .collect();
    for round in 0..3 {
        // All have something under way before any of them is heard.
        for (n, stream) in clients.iter_mut().enumerate() {
            let text = format!("p {n} {}\ng {n}\nd {n}\ng {n}\n", n * 3 + round);
            stream.write_all(text.as_bytes()).expect("sending");
        }
        for (n, stream) in clients.iter_mut().enumerate() {
            let expected = format!("OK\n{}\nOK\n\n", n * 3 + round);
            let mut got = vec![0; expected.len()];
            stream.read_exact(&mut got).expect("an answer");
            assert_eq!(String::from_utf8_lossy(&got), expected, "client {n}, round {round}");
        }
    }
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        let each = after.saturating_sub(before) / count as u64;
        assert!(each < QUIET_BYTES, "{each} bytes for each client");
    }
    // One more than there are seats is told so; nobody else notices.
    let mut refused = String::new();
    let mut late = TcpStream::connect(address).expect("a connection");
    late.read_to_string(&mut refused).expect("the refusal");
    assert_eq!(refused, "Error: too many clients\n");

    drop(end);
    let report = runtime.block_on(running).expect("no panic").expect("no error");
    assert_eq!((report.connections, report.refused, report.cut), (count as u64, 1, 0));
    let mut rest = Vec::new();
    clients[0].read_to_end(&mut rest).expect("a clean close");
    assert!(rest.is_empty());
}
