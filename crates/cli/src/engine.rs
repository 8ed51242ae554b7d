//! What the command uses of the engine: the one place where its crates are named.

pub(crate) use lsm::compaction::Strategy;
pub(crate) use lsm::{
    Codec, Db, Durability, Error, Key, LevelShape, MemtableShape, Options, Result, RunShape, Scan,
    Shape, Stats, TableShape, Value, WriteBatch,
};
pub(crate) use sstable::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
