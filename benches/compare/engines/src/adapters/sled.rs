//! sled 1.0 alpha: a tree in memory, flushed every 200 ms. It has no log: a killed process loses
//! what was written since the last flush, so its writes stand beside the others' only for
//! information.

use std::sync::{Mutex, PoisonError};

use sled::{Batch as SledBatch, Config, Db};
use workloads::engine::{Batch, Each, Read};
use workloads::{Engine, Guarantee, Result, Session, Setup};

use super::{Entry, Kind};

pub(super) const ENTRY: Entry = Entry {
    name: "sled",
    kind: Kind::Forgetful,
    note: "zstd; no log: a kill loses up to 200 ms of writes; synced: flush() a put",
    open: |setup| Ok(Box::new(Sled::open(setup)?)),
};

struct Sled {
    /// A handle may move between threads but not be shared; each session has its own.
    db: Mutex<Db<1024>>,
    synced: bool,
}

impl Sled {
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let config = Config::new().path(setup.path).cache_capacity_bytes(setup.cache_bytes);
        Ok(Self { db: Mutex::new(config.open()?), synced: setup.guarantee == Guarantee::Synced })
    }
}

impl Sled {
    fn handle(&self) -> Db<1024> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Engine for Sled {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(SledSession { db: self.handle(), synced: self.synced }))
    }

    fn settle(&self) -> Result<()> {
        self.handle().flush()?;
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        Ok(false)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.handle().flush()?;
        Ok(())
    }
}

struct SledSession {
    db: Db<1024>,
    synced: bool,
}

impl SledSession {
    fn persist(&self) -> Result<()> {
        if self.synced {
            self.db.flush()?;
        }
        Ok(())
    }
}

impl Session for SledSession {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.db.insert(key, value)?;
        self.persist()
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.db.remove(key)?;
        self.persist()
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        let mut writes = SledBatch::default();
        for (key, value) in batch {
            match value {
                Some(value) => writes.insert(*key, *value),
                None => writes.remove(*key),
            }
        }
        self.db.apply_batch(writes)?;
        self.persist()
    }

    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool> {
        let found = self.db.get(key)?;
        found.as_deref().map(read);
        Ok(found.is_some())
    }

    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()> {
        for entry in self.db.range(from..) {
            let (key, value) = entry?;
            if !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}
