//! The CS265 key-value command language, parsed, executed and served over TCP.
//!
//! Invariants: only `pair` knows how numbers are stored; only `session` touches the database; only
//! `client` and `serve` touch the network.
//!
#![doc = include_str!("../README.md")]

mod client;
mod error;
mod files;
mod framing;
mod observe;
mod pair;
mod parse;
mod serve;
mod session;
mod stats;
mod stdin;

pub use error::{Error, Result};
pub use files::LoadFrom;
pub use framing::Framing;
pub use observe::{database_json, stats_json};
pub use pair::{Stored, Width};
pub use parse::{Command, ParseError, parse};
pub use serve::{Quit, Reach, ServeReport, Server, ServerOptions, serve};
pub use session::SessionOptions;
pub use stdin::{RunReport, run};
