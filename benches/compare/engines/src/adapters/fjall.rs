//! fjall: an LSM tree in Rust. Every write goes to its journal with a `write()`; synced, an
//! fdatasync follows.

use std::time::Duration;

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use workloads::engine::{Batch, Each, Read};
use workloads::{Engine, Guarantee, Result, Session, Setup};

use super::{Entry, Kind};

pub(super) const ENTRY: Entry = Entry {
    name: "fjall",
    kind: Kind::Lsm,
    note: "LZ4; write() of the journal a put; synced: fdatasync",
    open: |setup| Ok(Box::new(Fjall::open(setup)?)),
};

struct Fjall {
    database: Database,
    keyspace: Keyspace,
    synced: bool,
}

impl Fjall {
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let database = Database::builder(setup.path).cache_size(setup.cache_bytes as u64).open()?;
        let keyspace = database.keyspace("all", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(setup.write_buffer_bytes as u64)
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        })?;
        Ok(Self { database, keyspace, synced: setup.guarantee == Guarantee::Synced })
    }

    fn wait(&self) {
        while self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Engine for Fjall {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(FjallSession { fjall: self }))
    }

    fn settle(&self) -> Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        self.wait();
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        self.keyspace.rotate_memtable_and_wait()?;
        self.keyspace.major_compact()?;
        self.wait();
        Ok(true)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct FjallSession<'a> {
    fjall: &'a Fjall,
}

impl FjallSession<'_> {
    fn persist(&self) -> Result<()> {
        if self.fjall.synced {
            self.fjall.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

impl Session for FjallSession<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.fjall.keyspace.insert(key, value)?;
        self.persist()
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.fjall.keyspace.remove(key)?;
        self.persist()
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        let mode = if self.fjall.synced { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut writes = self.fjall.database.batch().durability(Some(mode));
        for (key, value) in batch {
            match value {
                Some(value) => writes.insert(&self.fjall.keyspace, *key, *value),
                None => writes.remove(&self.fjall.keyspace, *key),
            }
        }
        Ok(writes.commit()?)
    }

    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool> {
        let found = self.fjall.keyspace.get(key)?;
        found.as_deref().map(read);
        Ok(found.is_some())
    }

    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()> {
        for guard in self.fjall.keyspace.range(from..) {
            let (key, value) = guard.into_inner()?;
            if !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}
