//! `top`: what a database does, again and again: throughput, latencies, cache, filters, stalls,
//! jobs, and the tree.
//!
//! On a terminal it draws over itself on a screen of its own, and takes keys; elsewhere it prints
//! one frame after another.

mod frame;
mod sample;
mod screen;
mod source;

use std::time::Duration;

use self::frame::Seen;
use self::sample::Sample;
use self::screen::{Key, Screen};
use self::source::{Folder, Server};
use crate::args::{Cli, TopArgs};
use crate::failure::Failure;
use crate::open::folder;
use crate::terminal::Terminal;

/// Rows of a frame that is not drawn on a screen.
const ROWS: usize = 200;

/// Where samples come from.
#[derive(Debug)]
enum Source {
    Server(Server),
    Folder(Folder),
}

impl Source {
    fn sample(&mut self) -> Result<Sample, Failure> {
        match self {
            Self::Server(server) => server.sample(),
            Self::Folder(folder) => folder.sample(),
        }
    }
}

/// Looks at a server, or at a folder, until told to end.
pub(crate) fn top(cli: &Cli, args: &TopArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let (mut source, title) = if let Some(address) = args.address {
        let server = Server::connect(address, args.token.as_deref())?;
        (Source::Server(server), format!("lsm top  {address}"))
    } else {
        let path = folder(cli)?;
        let family = cli.family.as_deref().unwrap_or("default");
        let title = format!("lsm top  {} (its files)", path.display());
        (Source::Folder(Folder::new(path, family)), title)
    };
    let interval = Duration::try_from_secs_f64(args.interval)
        .map_err(|error| Failure::Request(format!("--interval: {error}")))?;
    let mut seen = Seen::default();
    seen.take(source.sample()?);
    if args.count.is_none() && !terminal.json && Screen::possible() {
        return watch(&mut source, seen, &title, interval, terminal);
    }
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        std::thread::sleep(interval);
        seen.take(source.sample()?);
        left -= 1;
        if terminal.json {
            let report = &seen.now().report;
            terminal.json_line(report)?;
        } else {
            let size = (terminal.columns, ROWS);
            terminal.line(seen.frame(&title, size, terminal.paint).join("\n"))?;
            if left > 0 {
                terminal.line("")?;
            }
        }
        terminal.flush()?;
    }
    Ok(())
}

/// Draws on the terminal until a key ends it.
fn watch(
    source: &mut Source,
    mut seen: Seen,
    title: &str,
    interval: Duration,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let screen = Screen::enter()?;
    let mut paused = false;
    loop {
        let help = if paused { "  paused: p goes on, q quits" } else { "  q quits, p pauses" };
        let title = format!("{title}{help}");
        Screen::draw(&seen.frame(&title, Screen::size(), terminal.paint))?;
        match screen.key(interval)? {
            Some(Key::Quit) => return Ok(()),
            Some(Key::Pause) => paused = !paused,
            Some(Key::Other) => {}
            None if paused => {}
            None => seen.take(source.sample()?),
        }
    }
}
