//! The language over TCP: many clients, pipelined commands, bounded buffers, a quiet end.
//!
//! 1. A connection reads what has come, runs the whole lines in it in order, and writes the
//!    answers before it reads on. So a client that does not read is not read from, and its memory
//!    is one input buffer and one output buffer.
//! 2. Writes that came together are committed together ([`crate::session`]).
//! 3. On shutdown nobody new is let in; each connection runs what it has received in whole lines,
//!    writes the answers, and closes. An acknowledged write is committed before its answer.
//! 4. Commands run where the runtime expects blocking work; a long one holds up its own client.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lsm::Db;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Client, Goodbye};
use crate::error::{Error, Result};
use crate::observe::Observer;
use crate::session::{Session, SessionOptions};

/// Who may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Programs on this machine: other addresses are refused at the start.
    #[default]
    Loopback,
    /// Whoever can reach the address. There is no encryption; set a token at least.
    Remote,
}

/// What `q` ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Quit {
    /// The client's own connection.
    #[default]
    Connection,
    /// The server, as in the course's programs.
    Server,
}

/// How a server listens and what it allows.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen. Default: 127.0.0.1, port 8080. Port 0 takes any free one.
    pub address: SocketAddr,
    /// Who may connect. Default: this machine only.
    pub reach: Reach,
    /// If set, a client's first line must be `auth TOKEN`. Default: none.
    pub token: Option<String>,
    /// Clients at the same time; others are told and closed. Default: 4096.
    pub connections_max: usize,
    /// Bytes of the longest command. Longer lines are skipped with an error. Default: 4096, at
    /// least 64.
    pub line_bytes_max: usize,
    /// How long a client may say nothing. Default: `None`, for ever.
    pub idle: Option<Duration>,
    /// How long a client may take to accept the answers waiting for it. Default: 30 s.
    pub answer_timeout: Duration,
    /// How long clients may take to end on shutdown. Default: 5 s.
    pub grace: Duration,
    /// What `q` ends. Default: the connection.
    pub quit: Quit,
    /// How commands are read and answered.
    pub session: SessionOptions,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            reach: Reach::default(),
            token: None,
            connections_max: 4096,
            line_bytes_max: 4096,
            idle: None,
            answer_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            quit: Quit::default(),
            session: SessionOptions::default(),
        }
    }
}

impl ServerOptions {
    /// Checks the limits.
    ///
    /// # Errors
    /// [`Error::Remote`] for an address beyond this machine that was not allowed;
    /// [`Error::InvalidOption`] for a number outside of its limits.
    pub fn validate(&self) -> Result<()> {
        let invalid = |name, expected| Err(Error::InvalidOption { name, expected });
        if self.reach == Reach::Loopback && !self.address.ip().is_loopback() {
            return Err(Error::Remote { address: self.address });
        }
        if !(64..=1 << 20).contains(&self.line_bytes_max) {
            return invalid("line_bytes_max", "64 to 1,048,576");
        }
        if self.connections_max == 0 || self.connections_max > 1 << 20 {
            return invalid("connections_max", "1 to 1,048,576");
        }
        if self.token.as_ref().is_some_and(|t| t.is_empty() || t.contains(char::is_whitespace)) {
            return invalid("token", "at least one character and no blanks");
        }
        Ok(())
    }
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServeReport {
    /// Clients served.
    pub connections: u64,
    /// Clients turned away because there were too many.
    pub refused: u64,
    /// Connections cut at shutdown because they did not end in time.
    pub cut: u64,
}

/// A server that listens but does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    db: Db,
    options: Arc<ServerOptions>,
    observer: Arc<Observer>,
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    /// As [`ServerOptions::validate`]; [`Error::Io`] if the address cannot be had.
    pub async fn bind(db: Db, options: ServerOptions) -> Result<Server> {
        options.validate()?;
        let listener =
            TcpListener::bind(options.address).await.map_err(Error::io("listen on the address"))?;
        let observer = Arc::new(Observer::new()?);
        Ok(Server { listener, db, options: Arc::new(options), observer })
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    /// [`Error::Io`] if the operating system does not say.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(Error::io("learn the address"))
    }

    /// Serves until `shutdown` is ready or a client ends the server, then lets the clients finish.
    /// The database stays open. Needs a runtime of several threads.
    ///
    /// # Errors
    /// [`Error::Database`] if the last writes cannot be handed to the medium.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<ServeReport> {
        let (ending, ended) = watch::channel(false);
        let ending = Arc::new(ending);
        let seats = Arc::new(Semaphore::new(self.options.connections_max));
        let mut clients: JoinSet<()> = JoinSet::new();
        let mut closed = ended.clone();
        tokio::pin!(shutdown);
        loop {
            let stream = tokio::select! {
                () = &mut shutdown => break,
                _ = closed.changed() => break,
                Some(_) = clients.join_next(), if !clients.is_empty() => continue,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of descriptors, most likely: wait for clients to go.
                        tracing::warn!(%error, "accepting a client");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
                self.observer.clients(|clients| clients.refused += 1);
                clients.spawn(turn_away(stream, Arc::clone(&self.options)));
                continue;
            };
            let observer = Arc::clone(&self.observer);
            observer.clients(|clients| {
                clients.served += 1;
                clients.now += 1;
            });
            let (db, options) = (self.db.clone(), self.options.session.clone());
            let session = Session::observed(db, options, Arc::clone(&observer));
            let client = Client::new(stream, session, Arc::clone(&self.options), ended.clone());
            let ending = Arc::clone(&ending);
            clients.spawn(async move {
                if client.serve().await == Goodbye::Quit {
                    ending.send_replace(true);
                }
                observer.clients(|clients| clients.now -= 1);
                drop(seat);
            });
        }
        drop(self.listener);
        ending.send_replace(true);
        let cut = finish(clients, self.options.grace).await;
        self.db.sync()?;
        let clients = self.observer.report();
        Ok(ServeReport { connections: clients.served, refused: clients.refused, cut })
    }
}

/// Waits for the clients to end; returns how many had to be cut off.
async fn finish(mut clients: JoinSet<()>, grace: Duration) -> u64 {
    let all = async { while clients.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_ok() {
        return 0;
    }
    let cut = clients.len() as u64;
    clients.shutdown().await;
    cut
}

async fn turn_away(mut stream: TcpStream, options: Arc<ServerOptions>) {
    let mut out = Vec::new();
    options.session.framing.push_text(&mut out, b"Error: too many clients");
    // The client is gone either way; a failure to tell it so changes nothing.
    if let Ok(Err(error)) = timeout(Duration::from_secs(1), stream.write_all(&out)).await {
        tracing::debug!(%error, "turning a client away");
    }
}

/// Serves `db` until the process is asked to end (interrupt or terminate), on a runtime of its own.
/// `ready` is told the address once clients can connect.
///
/// # Errors
/// As [`Server::bind`] and [`Server::run`]; [`Error::Io`] if threads or signals cannot be had.
pub fn serve(
    db: Db,
    options: ServerOptions,
    ready: impl FnOnce(SocketAddr),
) -> Result<ServeReport> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start threads"))?;
    runtime.block_on(async {
        let ending = end_of_process()?;
        let server = Server::bind(db, options).await?;
        ready(server.local_addr()?);
        server.run(ending).await
    })
}

/// A future that is ready when the process is asked to end.
#[cfg(unix)]
fn end_of_process() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(Error::io("listen for the interrupt signal"))?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(Error::io("listen for the terminate signal"))?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A future that is ready when the process is asked to end.
#[cfg(not(unix))]
fn end_of_process() -> Result<impl Future<Output = ()>> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "listening for the interrupt signal");
            std::future::pending::<()>().await;
        }
    })
}
