//! What the command uses of the engine: the one place where its crates are named.

pub(crate) use lsm::compaction::Strategy;
pub(crate) use lsm::{
    Codec, Coding, Damage, Db, Durability, Error, Family, FamilyOptions, FilterVerdict,
    FoundVersion, GetPath, GetStep, Key, LevelShape, Loss, MemtableShape, Options, Probe, ReadOnly,
    ReadOnlyOptions, RepairReport, Result, RunShape, Scan, ScanPath, ScanSource, Shape, Stats,
    TableShape, Value, VerifyReport, WriteBatch,
};
pub(crate) use lsm::{RecoveryMode, compaction, fs, inspect, manifest, wal};
pub(crate) use sstable::{
    Cursor, Expect, KEY_BYTES_MAX, Kind, ReadAt, ReadOptions, Table, TableCursor, TableMeta,
    VALUE_BYTES_MAX,
};
