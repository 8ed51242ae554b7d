//! The engines, one a file: how each is opened with equal memory and the guarantee asked for.

use workloads::lsm_engine::LsmEngine;
use workloads::null::{Floor, Null};
use workloads::{Engine, Result, Setup};

#[cfg(any(feature = "leveldb", feature = "rocksdb", feature = "rocksdb-system"))]
mod c_api;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "heed")]
mod heed;
#[cfg(feature = "leveldb")]
mod leveldb;
#[cfg(feature = "redb")]
mod redb;
#[cfg(any(feature = "rocksdb", feature = "rocksdb-system"))]
mod rocksdb;
#[cfg(any(feature = "rocksdb", feature = "rocksdb-system"))]
pub(crate) mod rocksdb_shaped;
#[cfg(feature = "sled")]
mod sled;
#[cfg(feature = "surrealkv")]
mod surrealkv;
#[cfg(feature = "wiredtiger")]
mod wiredtiger;

/// What an engine is, as far as the tables need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours.
    Ours,
    /// Another log-structured merge tree.
    Lsm,
    /// A B-tree.
    Tree,
    /// Loses writes that have returned when it is killed: out of every comparison of writes.
    #[cfg_attr(not(feature = "sled"), expect(dead_code, reason = "sled alone is so"))]
    Forgetful,
    /// Keeps what it acknowledged when it is killed, but a power cut may leave nothing readable:
    /// out of every comparison.
    #[cfg_attr(not(feature = "heed"), expect(dead_code, reason = "LMDB alone can be so"))]
    Fragile,
    /// A stand-in.
    Bound,
}

/// An engine that was compiled in.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// How the guarantees, the codec and the memory are met.
    pub(crate) note: &'static str,
    pub(crate) open: fn(&Setup<'_>) -> Result<Box<dyn Engine>>,
}

/// All engines of this build, in the order of the tables.
pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry {
            name: "lsm",
            kind: Kind::Ours,
            note: "defaults; LZ4",
            open: |setup| Ok(Box::new(LsmEngine::open(setup, &lsm::Options::default())?)),
        },
        #[cfg(any(feature = "rocksdb", feature = "rocksdb-system"))]
        rocksdb::ENTRY,
        #[cfg(feature = "fjall")]
        fjall::ENTRY,
        #[cfg(feature = "leveldb")]
        leveldb::ENTRY,
        #[cfg(feature = "surrealkv")]
        surrealkv::ENTRY,
        #[cfg(feature = "heed")]
        heed::ENTRY,
        #[cfg(feature = "heed")]
        heed::MAPPED,
        #[cfg(feature = "redb")]
        redb::ENTRY,
        #[cfg(feature = "wiredtiger")]
        wiredtiger::ENTRY,
        #[cfg(feature = "sled")]
        sled::ENTRY,
        Entry {
            name: "floor",
            kind: Kind::Bound,
            note: "one write() a put, and nothing else",
            open: |setup| Ok(Box::new(Floor::open(setup)?)),
        },
        Entry {
            name: "null",
            kind: Kind::Bound,
            note: "stores nothing: what the harness costs",
            open: |_| Ok(Box::new(Null)),
        },
    ]
}
