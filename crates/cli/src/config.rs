//! `serve --config FILE`: the command's own flags in a file of TOML.
//!
//! ```toml
//! # Every flag of `lsm serve`, and every option for opening, under its long name.
//! db = "/var/lib/numbers"
//! address = "127.0.0.1:8080"
//! write-buffer = "64MiB"
//! connections = 10000
//! remote = false
//! ```
//!
//! A flag that is given, or its variable in the environment, wins over the file; the file wins over
//! the default. A name that is no flag is an error: a mistyped limit must not be no limit.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};

use crate::failure::Failure;

/// The name of the subcommand that takes a file.
const SERVE: &str = "serve";

/// The flags that a file adds to those given, if one was named.
///
/// # Errors
/// A file that cannot be read or is no TOML; a name that is no flag; a value that is none.
pub(crate) fn flags(command: &Command, matches: &ArgMatches) -> Result<Vec<OsString>, Failure> {
    let Some((SERVE, given)) = matches.subcommand() else { return Ok(Vec::new()) };
    let Some(path) = given.get_one::<std::path::PathBuf>("config") else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, error))?;
    let bad = |why: String| Failure::Request(format!("{}: {why}", path.display()));
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| bad(format!("no TOML: {}", error.message())))?;
    let known = command.find_subcommand(SERVE).into_iter().flat_map(Command::get_arguments);
    let known: Vec<&clap::Arg> = known.chain(command.get_arguments()).collect();
    let mut flags = Vec::new();
    for (name, value) in &table {
        let named = |arg: &&&clap::Arg| arg.get_long() == Some(name);
        let refused = ["config", "help", "version"].contains(&name.as_str());
        let Some(arg) = known.iter().find(named).filter(|_| !refused) else {
            return Err(bad(format!("{name:?} is no flag of `lsm serve`")));
        };
        let source = given.value_source(arg.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        flags.extend(flag(name, value, switch, path).map_err(bad)?);
    }
    Ok(flags)
}

/// One line of the file as a flag.
fn flag(
    name: &str,
    value: &toml::Value,
    switch: bool,
    path: &Path,
) -> Result<Option<OsString>, String> {
    let text = match (value, switch) {
        (toml::Value::Boolean(on), true) => return Ok(on.then(|| format!("--{name}").into())),
        (_, true) => return Err(format!("{name} is true or false")),
        (toml::Value::String(text), false) => text.clone(),
        (toml::Value::Integer(number), false) => number.to_string(),
        (toml::Value::Float(number), false) => number.to_string(),
        _ => return Err(format!("{name} is a string or a number")),
    };
    // A path in a file is meant from where the file is.
    let relative = ["db", "load-from"].contains(&name) && Path::new(&text).is_relative();
    let mut flag = OsString::from(format!("--{name}="));
    match path.parent().filter(|_| relative) {
        Some(folder) => flag.push(folder.join(text)),
        None => flag.push(text),
    }
    Ok(Some(flag))
}
