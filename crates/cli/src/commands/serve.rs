//! `serve`, `dsl` and `client`: the CS265 language, over TCP and on standard input.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use server::{LoadFrom, Quit, Reach, ServerOptions, SessionOptions, Width};

use crate::args::{Cli, ClientArgs, DslArgs, QuitEnds, ServeArgs, SessionArgs};
use crate::failure::Failure;
use crate::open::{Missing, open};
use crate::terminal::{Terminal, say};
use crate::units::{Bytes, Count, Time};

/// Bytes copied at a time.
const COPY_BYTES: usize = 64 << 10;

/// Serves the database until the process is asked to end.
pub(crate) fn serve(cli: &Cli, args: &ServeArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let session = SessionOptions {
        load_from: args.load_from.clone().map_or(LoadFrom::Nowhere, LoadFrom::Folder),
        ..session_options(&args.session)
    };
    let options = ServerOptions {
        address: args.address,
        reach: if args.remote { Reach::Remote } else { Reach::Loopback },
        token: args.token.clone(),
        connections_max: args.connections,
        idle: args.idle.map(Duration::from_secs),
        quit: match args.quit_ends {
            QuitEnds::Connection => Quit::Connection,
            QuitEnds::Server => Quit::Server,
        },
        session,
        ..ServerOptions::default()
    };
    options.validate()?;
    let db = open(cli, Missing::Create)?;
    let json = terminal.json;
    let mut told = Ok(());
    let report = server::serve(db.clone(), options, |address| {
        let text = if json {
            serde_json::json!({ "listening": address.to_string() }).to_string()
        } else {
            format!("listening on {address}")
        };
        told = terminal.line(text).and_then(|()| terminal.flush());
    })?;
    told?;
    // What was answered is in the log; closing puts it on the medium.
    db.close()?;
    if !json {
        say(format_args!(
            "served {} clients, turned {} away, cut {} off at the end",
            Count(report.connections),
            Count(report.refused),
            Count(report.cut)
        ));
    }
    Ok(())
}

/// Runs the language from a file or standard input, as the course's program does.
pub(crate) fn dsl(cli: &Cli, args: &DslArgs) -> Result<(), Failure> {
    let input = open_bytes(&args.file)?;
    let options =
        SessionOptions { load_from: LoadFrom::Anywhere, ..session_options(&args.session) };
    let db = open(cli, Missing::Create)?;
    server::run(&db, &options, input, &mut io::stdout().lock())?;
    Ok(db.close()?)
}

fn session_options(args: &SessionArgs) -> SessionOptions {
    SessionOptions {
        width: if args.wide { Width::Bits64 } else { Width::Bits32 },
        framing: args.framing,
        ..SessionOptions::default()
    }
}

fn open_bytes(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = std::fs::File::open(path).map_err(|error| Failure::io("read", path, error))?;
    Ok(Box::new(file))
}

/// Sends commands to a server and prints its answers.
///
/// Commands are sent without waiting for answers, on a thread of their own; so neither side can
/// hold the other up.
pub(crate) fn client(args: &ClientArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let refuse =
        |what: &str, source| Failure::Io { what: format!("{what} {}", args.address), source };
    let mut input = open_bytes(&args.file)?;
    let started = Instant::now();
    let mut stream =
        TcpStream::connect(args.address).map_err(|error| refuse("connect to", error))?;
    let mut sending = stream.try_clone().map_err(|error| refuse("talk to", error))?;
    if let Some(token) = &args.token {
        writeln!(sending, "auth {token}").map_err(|error| refuse("talk to", error))?;
    }
    // Not joined: on a terminal it may wait for a line that nobody will type.
    let sender = std::thread::spawn(move || {
        let copied = copy(&mut input, &mut sending);
        sending.shutdown(Shutdown::Write).and(copied)
    });
    let mut answers = vec![0; COPY_BYTES];
    let mut bytes = 0u64;
    loop {
        let length = match stream.read(&mut answers) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(refuse("hear", error)),
        };
        bytes += length as u64;
        if !args.quiet {
            terminal.raw(answers.get(..length).unwrap_or_default())?;
            terminal.flush()?;
        }
    }
    // The server may close first, on `q`; what could not be sent then is not wanted any more.
    if sender.is_finished()
        && let Ok(Err(error)) = sender.join()
        && !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected)
    {
        return Err(refuse("talk to", error));
    }
    if args.timing {
        say(format_args!("{} of answers in {}", Bytes(bytes), Time(started.elapsed())));
    }
    Ok(())
}

/// Copies everything, and hands on at once what has come.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(buffer.get(..length).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
