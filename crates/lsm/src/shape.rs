//! [`Shape`]: a family's tree as plain data, for people and tools.

use crate::state::FamilyView;

/// What a family holds, level by level.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Shape {
    /// The memtables, the active one first, then the sealed ones, newest first.
    pub memtables: Vec<MemtableShape>,
    /// The levels, newest first; empty levels included.
    pub levels: Vec<LevelShape>,
}

/// A memtable.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MemtableShape {
    /// Versions and deletions in it.
    pub entries: u64,
    /// Bytes of memory it holds.
    pub memory_bytes: u64,
    /// The smallest and the largest key of its entries, if there are any.
    pub key_range: Option<(Vec<u8>, Vec<u8>)>,
}

/// A level.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LevelShape {
    /// Its runs, newest first.
    pub runs: Vec<RunShape>,
}

/// A run: tables in ascending order of keys.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunShape {
    /// The run's number.
    pub id: u64,
    /// Its tables, ascending.
    pub tables: Vec<TableShape>,
}

/// A table.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TableShape {
    /// The file's number.
    pub number: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of its keys and values before compression.
    pub raw_bytes: u64,
    /// Versions and deletions in it.
    pub entries: u64,
    /// Deletions among them.
    pub tombstones: u64,
    /// Its smallest key.
    pub smallest: Vec<u8>,
    /// Its largest key.
    pub largest: Vec<u8>,
}

impl LevelShape {
    /// Bytes of the level's files.
    pub fn bytes(&self) -> u64 {
        self.tables().map(|table| table.bytes).sum()
    }

    /// Versions and deletions in the level.
    pub fn entries(&self) -> u64 {
        self.tables().map(|table| table.entries).sum()
    }

    /// The level's tables, run by run.
    pub fn tables(&self) -> impl Iterator<Item = &TableShape> {
        self.runs.iter().flat_map(|run| &run.tables)
    }
}

impl Shape {
    pub(crate) fn of(view: &FamilyView) -> Self {
        let memtable = |table: &std::sync::Arc<crate::memtable::Memtable>| MemtableShape {
            entries: table.len() as u64,
            memory_bytes: table.memory_bytes() as u64,
            key_range: table.key_range(),
        };
        let table = |file: &std::sync::Arc<crate::version::TableFile>| {
            let info = file.info();
            TableShape {
                number: info.id,
                bytes: info.bytes,
                raw_bytes: file.table().meta().data_bytes,
                entries: info.entries,
                tombstones: info.tombstones,
                smallest: info.smallest.clone(),
                largest: info.largest.clone(),
            }
        };
        let run = |(run, info): (&crate::version::Run, &std::sync::Arc<compaction::Run>)| {
            RunShape { id: info.id, tables: run.tables.iter().map(table).collect() }
        };
        let version = &view.version;
        let level = |(runs, info): (&Vec<crate::version::Run>, &compaction::Level)| LevelShape {
            runs: runs.iter().zip(&info.runs).map(run).collect(),
        };
        Self {
            memtables: view.memtables().map(memtable).collect(),
            levels: version.levels.iter().zip(&version.shape.levels).map(level).collect(),
        }
    }
}
