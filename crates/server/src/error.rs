//! What ends a server or a session; what is merely wrong with a command is answered to the client.

use std::io;
use std::net::SocketAddr;

/// The result of what this crate does.
pub type Result<T> = std::result::Result<T, Error>;

/// Why serving ended or did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The address is reachable from other machines, and that was not allowed.
    #[error("{address} can be reached from other machines; allow remote clients to use it")]
    Remote {
        /// The address asked for.
        address: SocketAddr,
    },
    /// An option is outside of its limits.
    #[error("option {name}: expected {expected}")]
    InvalidOption {
        /// The option's name.
        name: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// The database failed where no client could be told.
    #[error(transparent)]
    Database(#[from] lsm::Error),
}

impl Error {
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { operation, source }
    }
}
