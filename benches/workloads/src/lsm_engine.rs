//! The adapter of `lsm`.

use lsm::{Db, Durability, Options, WriteBatch};

use crate::engine::{Batch, Each, Engine, Guarantee, Read, Result, Session, Setup};

/// An open `lsm` database.
#[derive(Debug)]
pub struct LsmEngine {
    db: Db,
}

impl LsmEngine {
    /// Opens with `options`, but for what the setup sets.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn open(setup: &Setup<'_>, options: &Options) -> Result<Self> {
        let options = Options {
            write_buffer_bytes: setup.write_buffer_bytes,
            block_cache_bytes: setup.cache_bytes,
            durability: match (setup.guarantee, options.durability) {
                (Guarantee::Synced, _) => Durability::Sync,
                (Guarantee::Buffered, asked) => asked,
            },
            ..options.clone()
        };
        Ok(Self { db: Db::open(setup.path, options)? })
    }
}

impl Engine for LsmEngine {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(LsmSession { db: &self.db }))
    }

    fn settle(&self) -> Result<()> {
        self.db.flush()?;
        Ok(self.db.wait_idle()?)
    }

    fn compact(&self) -> Result<bool> {
        self.db.compact()?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.close()?)
    }
}

struct LsmSession<'a> {
    db: &'a Db,
}

impl Session for LsmSession<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.db.put(key, value)?)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        Ok(self.db.delete(key)?)
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        let mut writes = WriteBatch::new();
        for (key, value) in batch {
            match value {
                Some(value) => writes.put(key, value),
                None => writes.delete(key),
            };
        }
        Ok(self.db.write(writes)?)
    }

    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool> {
        Ok(self.db.get_with(key, |value| read(value))?.is_some())
    }

    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()> {
        let mut cursor = self.db.cursor::<&[u8]>(..)?;
        cursor.seek(from)?;
        while cursor.valid() && each(cursor.key(), cursor.value()) {
            cursor.next()?;
        }
        Ok(())
    }
}
