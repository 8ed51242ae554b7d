//! LMDB through heed: a copy-on-write B-tree in a memory map. Synced: its default. Buffered: no
//! sync; pages are written, or with `MDB_WRITEMAP` stored to the map. Either survives a killed
//! process. One transaction a call. No codec, no cache of its own.
//!
//! After a power cut the first is whole if the file system keeps the order of writes (LMDB's own
//! documentation of `MDB_NOSYNC`), the second may be damaged beyond use. The logs of the LSM
//! engines lose their last writes at most. So the first is what they are compared with, and the
//! second stands beside.
#![expect(unsafe_code, reason = "heed marks opening and its flags unsafe")]

use std::ops::Bound;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, RwTxn, WithTls};
use workloads::engine::{Batch, Each, Read};
use workloads::{Engine, Guarantee, Result, Session, Setup};

use super::{Entry, Kind};

pub(super) const ENTRY: Entry = Entry {
    name: "LMDB",
    kind: Kind::Tree,
    note: "no codec; the system's page cache; MDB_NOSYNC; synced: its default",
    open: |setup| Ok(Box::new(Lmdb::open(setup, EnvFlags::NO_SYNC)?)),
};

pub(super) const MAPPED: Entry = Entry {
    name: "LMDB mapped",
    kind: Kind::Fragile,
    note: "as LMDB, with MDB_WRITEMAP: a power cut may damage all of it; in no comparison",
    open: |setup| Ok(Box::new(Lmdb::open(setup, EnvFlags::NO_SYNC | EnvFlags::WRITE_MAP)?)),
};

struct Lmdb {
    env: Env<WithTls>,
    records: Database<Bytes, Bytes>,
}

impl Lmdb {
    /// Opens with `unsynced` where no sync is asked for.
    fn open(setup: &Setup<'_>, unsynced: EnvFlags) -> Result<Self> {
        let mut options = EnvOpenOptions::new();
        options.map_size(64 << 30);
        if setup.guarantee == Guarantee::Buffered {
            // SAFETY: a system crash may damage the database, which nothing reads afterwards.
            unsafe { options.flags(unsynced) };
        }
        // SAFETY: the folder is this process's own, and nothing else maps or changes its files.
        let env = unsafe { options.open(setup.path)? };
        let mut txn = env.write_txn()?;
        let records = env.create_database(&mut txn, None)?;
        txn.commit()?;
        Ok(Self { env, records })
    }
}

impl Engine for Lmdb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(LmdbSession { lmdb: self }))
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        Ok(false)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

struct LmdbSession<'a> {
    lmdb: &'a Lmdb,
}

impl LmdbSession<'_> {
    fn commit(&self, work: impl FnOnce(&mut RwTxn<'_>) -> heed::Result<()>) -> Result<()> {
        let mut txn = self.lmdb.env.write_txn()?;
        work(&mut txn)?;
        Ok(txn.commit()?)
    }
}

impl Session for LmdbSession<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.commit(|txn| self.lmdb.records.put(txn, key, value))
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.commit(|txn| self.lmdb.records.delete(txn, key).map(|_| ()))
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.commit(|txn| {
            batch.iter().try_for_each(|(key, value)| match value {
                Some(value) => self.lmdb.records.put(txn, key, value),
                None => self.lmdb.records.delete(txn, key).map(|_| ()),
            })
        })
    }

    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool> {
        let txn = self.lmdb.env.read_txn()?;
        let found = self.lmdb.records.get(&txn, key)?;
        found.map(read);
        Ok(found.is_some())
    }

    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()> {
        let txn = self.lmdb.env.read_txn()?;
        if from.is_empty() {
            // LMDB knows no empty keys.
            return visit(self.lmdb.records.iter(&txn)?, each);
        }
        let range = (Bound::Included(from), Bound::Unbounded);
        visit(self.lmdb.records.range(&txn, &range)?, each)
    }
}

fn visit<'a>(
    entries: impl Iterator<Item = heed::Result<(&'a [u8], &'a [u8])>>,
    each: &mut Each<'_>,
) -> Result<()> {
    for entry in entries {
        let (key, value) = entry?;
        if !each(key, value) {
            break;
        }
    }
    Ok(())
}
