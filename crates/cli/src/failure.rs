//! [`Failure`]: why a command did not do what was asked, and the exit code that says so.

use std::error::Error as _;
use std::io;
use std::path::Path;

use crate::engine;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// `get`: no such key. The command has said which.
    #[error("{0}")]
    NotFound(String),
    /// The request, or what was to be loaded, is wrong.
    #[error("{0}")]
    Request(String),
    /// The engine refused, or found damage.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The operating system refused something outside the database.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, and on which file.
        what: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Whoever read our output has gone: not an error.
    #[error("the output was closed")]
    OutputClosed,
    /// `demo` or `compare`: something is not as it must be.
    #[error("not as it must be: {0}")]
    Proof(String),
}

impl Failure {
    /// Wraps the system's answer to what was tried on `path`.
    pub(crate) fn io(verb: &str, path: &Path, source: io::Error) -> Self {
        Self::Io { what: format!("{verb} {}", path.display()), source }
    }

    /// Wraps what went wrong in writing to standard output.
    pub(crate) fn output(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::Io { what: "write the output".into(), source }
    }

    /// The exit code, as `lsm --help` lists them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::NotFound(_) => 1,
            Self::Request(_) => 2,
            Self::Engine(error) => engine_exit_code(error),
            Self::Io { .. } => 6,
            Self::Proof(_) => 7,
        }
    }

    /// What to do about it, if there is something.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Engine(engine::Error::NotADatabase { .. }) => {
                Some("`load` and `put` make a database in a new or empty folder")
            }
            Self::Engine(engine::Error::Locked { .. }) => {
                Some("one process at a time may have a database open")
            }
            _ => None,
        }
    }
}

impl From<server::Error> for Failure {
    fn from(error: server::Error) -> Self {
        match error {
            server::Error::Database(error) => Self::Engine(error),
            server::Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                Self::OutputClosed
            }
            server::Error::Io { operation, source } => {
                Self::Io { what: operation.to_owned(), source }
            }
            refused => Self::Request(refused.to_string()),
        }
    }
}

impl From<engine::compaction::InvalidOption> for Failure {
    fn from(error: engine::compaction::InvalidOption) -> Self {
        Self::Request(error.to_string())
    }
}

impl From<crate::tsv::Error> for Failure {
    fn from(error: crate::tsv::Error) -> Self {
        match error {
            crate::tsv::Error::Io { line, source } => {
                Self::Io { what: format!("read line {line}"), source }
            }
            malformed @ crate::tsv::Error::Malformed { .. } => Self::Request(malformed.to_string()),
        }
    }
}

fn engine_exit_code(error: &engine::Error) -> u8 {
    match error {
        engine::Error::InvalidOptions(_)
        | engine::Error::TooLong { .. }
        | engine::Error::NotAscending { .. } => 2,
        engine::Error::NotADatabase { .. } => 3,
        engine::Error::Locked { .. } => 4,
        // A write that was refused by the system somewhere below is the system's refusal.
        error if has_io_source(error) => 6,
        engine::Error::WritesStopped { .. } => 6,
        _ => 5,
    }
}

fn has_io_source(error: &engine::Error) -> bool {
    if matches!(error, engine::Error::Io { .. }) {
        return true;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<io::Error>() {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn exit_codes_are_those_of_the_help() {
        let path = || Path::new("/db").to_path_buf();
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        for (failure, code) in [
            (Failure::NotFound(String::new()), 1),
            (Failure::Request(String::new()), 2),
            (engine::Error::InvalidOptions(String::new()).into(), 2),
            (engine::Error::TooLong { what: "key", bytes: 2, limit: 1 }.into(), 2),
            (engine::Error::NotADatabase { path: path(), why: String::new() }.into(), 3),
            (engine::Error::Locked { path: path() }.into(), 4),
            (engine::Error::corruption(&path(), 7, "a header").into(), 5),
            (engine::Error::Unsupported { path: path(), what: String::new() }.into(), 5),
            (engine::Error::io("open", &path(), denied()).into(), 6),
            (engine::Error::WritesStopped { why: Arc::from("") }.into(), 6),
            (Failure::io("open", &path(), denied()), 6),
            (Failure::output(denied()), 6),
            (Failure::output(io::ErrorKind::BrokenPipe.into()), 0),
            (Failure::Proof(String::new()), 7),
        ] {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }
}
