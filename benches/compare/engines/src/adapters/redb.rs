//! redb: a copy-on-write B-tree in Rust. Buffered: commits as always, but the file's sync does
//! nothing, so that every commit has been written to the operating system; synced: its default. One
//! transaction a call.

use std::fs::File;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition, WriteTransaction};
use workloads::engine::{Batch, Each, Read};
use workloads::{Engine, Guarantee, Result, Session, Setup};

use super::{Entry, Kind};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("all");

pub(super) const ENTRY: Entry = Entry {
    name: "redb",
    kind: Kind::Tree,
    note: "no codec; buffered: a file whose sync does nothing; synced: its default",
    open: |setup| Ok(Box::new(Redb::open(setup)?)),
};

/// A file whose sync does nothing if it is not asked for.
#[derive(Debug)]
struct Backend {
    file: FileBackend,
    synced: bool,
}

impl StorageBackend for Backend {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        if self.synced { self.file.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }
}

struct Redb {
    database: Database,
}

impl Redb {
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let path = setup.path.join("redb");
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let synced = setup.guarantee == Guarantee::Synced;
        let database = Database::builder()
            .set_cache_size(setup.cache_bytes)
            .create_with_backend(Backend { file: FileBackend::new(file)?, synced })?;
        let txn = database.begin_write()?;
        txn.open_table(RECORDS)?;
        txn.commit()?;
        Ok(Self { database })
    }
}

impl Engine for Redb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(RedbSession { redb: self }))
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        // Wants the database for itself alone; see the note in docs/performance.md.
        Ok(false)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct RedbSession<'a> {
    redb: &'a Redb,
}

impl RedbSession<'_> {
    fn commit(&self, work: impl FnOnce(&WriteTransaction) -> Result<()>) -> Result<()> {
        let txn = self.redb.database.begin_write()?;
        work(&txn)?;
        Ok(txn.commit()?)
    }
}

impl Session for RedbSession<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(&[(key, Some(value))])
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.write(&[(key, None)])
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.commit(|txn| {
            let mut table = txn.open_table(RECORDS)?;
            for (key, value) in batch {
                match value {
                    Some(value) => drop(table.insert(key, value)?),
                    None => drop(table.remove(key)?),
                }
            }
            Ok(())
        })
    }

    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool> {
        let table = self.redb.database.begin_read()?.open_table(RECORDS)?;
        let found = redb::ReadableTable::get(&table, key)?;
        if let Some(value) = &found {
            read(value.value());
        }
        Ok(found.is_some())
    }

    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()> {
        let table = self.redb.database.begin_read()?.open_table(RECORDS)?;
        for entry in redb::ReadableTable::range(&table, from..)? {
            let (key, value) = entry?;
            if !each(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }
}
