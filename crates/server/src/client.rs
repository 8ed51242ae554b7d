//! One connection of the server: lines in, answers out, never more than two buffers.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::serve::{Quit, ServerOptions};
use crate::session::{Flow, Session};

/// Bytes of answers gathered before they are written.
const OUT_BYTES: usize = 256 << 10;
/// Bytes read at once.
const IN_BYTES: usize = 64 << 10;
/// Bytes of commands that a client may still have under way when the server ends.
const LAST_BYTES: usize = 1 << 20;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// It was closed, by either side.
    Closed,
    /// The client asked the server to end, and may do so.
    Quit,
}

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Wait for input: every whole line was run.
    Read,
    /// Take the next line.
    Line,
    /// Go on with an answer.
    Answer,
    /// Close after the answers are out.
    Close,
    /// The same, because of `q`.
    Quit,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    session: Session,
    options: Arc<ServerOptions>,
    ended: watch::Receiver<bool>,
    /// Bytes received; those before `taken` are done with.
    input: Vec<u8>,
    taken: usize,
    /// Whether the rest of an oversize line is being skipped.
    skipping: bool,
    /// Whether the token was given.
    trusted: bool,
    /// Whether nothing more is to be read.
    last: bool,
}

impl Client {
    pub(crate) fn new(
        stream: TcpStream,
        session: Session,
        options: Arc<ServerOptions>,
        ended: watch::Receiver<bool>,
    ) -> Client {
        let trusted = options.token.is_none();
        Client {
            stream,
            session,
            options,
            ended,
            input: Vec::new(),
            taken: 0,
            skipping: false,
            trusted,
            last: false,
        }
    }

    /// Serves the client until one side ends it.
    pub(crate) async fn serve(mut self) -> Goodbye {
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!(%error, "setting a socket option");
        }
        let (mut out, mut next) = (Vec::new(), Next::Read);
        loop {
            if next == Next::Read {
                if self.last || !self.receive(&mut out).await {
                    return Goodbye::Closed;
                }
                next = Next::Line;
            }
            next = tokio::task::block_in_place(|| self.work(next, &mut out));
            if !self.answer(&mut out).await {
                return Goodbye::Closed; // gone, or too slow
            }
            match next {
                Next::Quit if self.options.quit == Quit::Server => return Goodbye::Quit,
                Next::Close | Next::Quit => return Goodbye::Closed,
                Next::Read | Next::Line | Next::Answer => {}
            }
        }
    }

    async fn answer(&mut self, out: &mut Vec<u8>) -> bool {
        if out.is_empty() {
            return true;
        }
        let written = timeout(self.options.answer_timeout, self.stream.write_all(out)).await;
        out.clear();
        out.shrink_to(OUT_BYTES);
        matches!(written, Ok(Ok(())))
    }

    /// Reads what has come; `false` when nothing will come any more. While there is nothing to
    /// read, an idle client holds no buffers.
    async fn receive(&mut self, out: &mut Vec<u8>) -> bool {
        self.input.drain(..self.taken);
        self.taken = 0;
        loop {
            if *self.ended.borrow() {
                return self.receive_last();
            }
            self.input.reserve(IN_BYTES);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(bytes) => return bytes > 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    tracing::debug!(%error, "reading from a client");
                    return false;
                }
            }
            self.input.shrink_to_fit();
            *out = Vec::new();
            if !self.wait().await {
                return false;
            }
        }
    }

    /// Waits until there may be something to read, or the server ends; `false` if the client has
    /// been silent for too long.
    async fn wait(&mut self) -> bool {
        let readable = async {
            match self.options.idle {
                Some(idle) => timeout(idle, self.stream.readable()).await.ok(),
                None => Some(self.stream.readable().await),
            }
        };
        tokio::select! {
            ready = readable => ready.is_some(),
            _ = self.ended.changed() => true,
        }
    }

    /// Takes what has already arrived, because the server ends.
    fn receive_last(&mut self) -> bool {
        self.last = true;
        while self.input.len() < LAST_BYTES {
            self.input.reserve(IN_BYTES);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    tracing::debug!(%error, "reading from a client");
                    break;
                }
            }
        }
        true
    }

    /// Runs lines until there is none left or the output is full.
    fn work(&mut self, mut next: Next, out: &mut Vec<u8>) -> Next {
        while out.len() < OUT_BYTES {
            next = match next {
                Next::Answer => flow(self.session.more(out, OUT_BYTES)),
                Next::Line | Next::Read => {
                    let Some(line) = self.line() else {
                        next = self.rest(out);
                        break;
                    };
                    self.take(line, out)
                }
                Next::Close | Next::Quit => break,
            };
        }
        self.session.settle(out);
        next
    }

    /// Finds the next whole line.
    fn line(&mut self) -> Option<Range<usize>> {
        let start = self.taken;
        let length = self.input.get(start..)?.iter().position(|&byte| byte == b'\n')?;
        self.taken = start + length + 1;
        Some(start..start + length)
    }

    /// Judges what is left when there is no whole line: too much is skipped.
    fn rest(&mut self, out: &mut Vec<u8>) -> Next {
        if self.input.len() - self.taken > self.options.line_bytes_max {
            if !self.skipping {
                self.refuse_line(out);
            }
            self.skipping = true;
            self.taken = self.input.len();
        }
        Next::Read
    }

    fn take(&mut self, line: Range<usize>, out: &mut Vec<u8>) -> Next {
        if std::mem::take(&mut self.skipping) {
            return Next::Line; // the end of a line that was refused
        }
        let text = self.input.get(line).unwrap_or_default();
        if text.len() > self.options.line_bytes_max {
            self.refuse_line(out);
            return Next::Line;
        }
        if self.trusted {
            return flow(self.session.take(text, out));
        }
        let token = self.options.token.as_deref().unwrap_or_default().as_bytes();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.strip_prefix(b"auth ").is_some_and(|given| same(given, token)) {
            self.trusted = true;
            self.options.session.framing.push_done(out);
            return Next::Line;
        }
        self.session.fail(&"the first line must be: auth TOKEN", out);
        Next::Close
    }

    fn refuse_line(&mut self, out: &mut Vec<u8>) {
        let limit = self.options.line_bytes_max;
        self.session.settle(out);
        self.session.fail(&format!("a line is longer than {limit} bytes"), out);
    }
}

fn flow(flow: Flow) -> Next {
    match flow {
        Flow::Continue => Next::Line,
        Flow::Answering => Next::Answer,
        Flow::Quit => Next::Quit,
    }
}

/// Compares in a time that does not tell where the first difference lies.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y)) == 0
}
