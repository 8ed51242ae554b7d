//! `serve` and `dsl`: the CS265 language, over TCP and on standard input.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use server::{LoadFrom, Quit, Reach, ServerOptions, SessionOptions, Width};

use crate::args::{Cli, DslArgs, QuitEnds, ServeArgs, SessionArgs};
use crate::failure::Failure;
use crate::open::{Missing, open};
use crate::terminal::{Terminal, say};
use crate::units::Count;

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

/// Opens a file, or standard input.
pub(crate) fn open_bytes(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = std::fs::File::open(path).map_err(|error| Failure::io("read", path, error))?;
    Ok(Box::new(file))
}
