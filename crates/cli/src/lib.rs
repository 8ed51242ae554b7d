//! The `lsm` command: load, look inside, and run an LSM-tree database from the terminal.
//!
//! The library exists so that the parts can be tested one by one; [`run`] is the command itself.

mod args;
mod axis;
mod bench;
mod commands;
mod config;
pub mod data;
mod demo;
mod engine;
pub mod escape;
mod failure;
mod open;
pub mod pairs;
mod picture;
mod progress;
mod terminal;
mod top;
pub mod tsv;
pub mod units;
mod view;

/// The examples of the two READMEs, run as tests.
#[cfg(doctest)]
mod readme {
    #[doc = include_str!("../../../README.md")]
    mod project {}
    #[doc = include_str!("../README.md")]
    mod own {}
}

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::failure::Failure;
use crate::terminal::Terminal;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(failure) => return report(&failure, false),
    };
    let mut terminal = Terminal::new(cli.json, cli.color, cli.width);
    // What was printed before a failure is printed, whatever failed.
    let done = commands::run(&cli, &mut terminal);
    let flushed = terminal.flush();
    match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure, cli.json),
    }
}

/// The command line, with the flags of a configuration file if it names one. Ends the process
/// with help, version or usage, as clap does.
fn parse() -> Result<args::Cli, Failure> {
    let command = args::Cli::command();
    let given: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let mut matches = command.clone().get_matches_from(&given);
    let mut built = command.clone();
    built.build();
    let more = config::flags(&built, &matches)?;
    if !more.is_empty() {
        matches = command.get_matches_from(given.into_iter().chain(more));
    }
    Ok(args::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

fn report(failure: &Failure, json: bool) -> ExitCode {
    let code = failure.exit_code();
    if code == 0 {
        return ExitCode::SUCCESS;
    }
    if json {
        terminal::say_json(&serde_json::json!({ "error": failure.to_string(), "code": code }));
        return ExitCode::from(code);
    }
    terminal::say(failure);
    if let Some(hint) = failure.hint() {
        terminal::say(format_args!("({hint})"));
    }
    ExitCode::from(code)
}
