//! Stand-ins that show what the harness itself costs, and what the log's floor is.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;

use crate::engine::{Batch, Each, Engine, Guarantee, Read, Result, Session, Setup};

/// Stores nothing: its figures are the harness's own cost.
#[derive(Debug)]
pub struct Null;

/// Appends each batch to a file with one `write()`, synced if asked, and nothing else.
#[derive(Debug)]
pub struct Floor {
    file: File,
    synced: bool,
}

impl Floor {
    /// Opens an empty log.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn open(setup: &Setup<'_>) -> Result<Self> {
        let file = File::options().append(true).create(true).open(setup.path.join("log"))?;
        Ok(Self { file, synced: setup.guarantee == Guarantee::Synced })
    }
}

impl Engine for Null {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Sink { log: None, record: Vec::new() }))
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        Ok(false)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    fn stores(&self) -> bool {
        false
    }
}

impl Engine for Floor {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Sink { log: Some(self), record: Vec::new() }))
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        Ok(false)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.file.sync_all()?)
    }

    fn stores(&self) -> bool {
        false
    }
}

struct Sink<'a> {
    log: Option<&'a Floor>,
    record: Vec<u8>,
}

impl Sink<'_> {
    /// Twelve bytes of framing, key and value, in one call to the system.
    fn append(&mut self, batch: &Batch<'_>) -> Result<()> {
        let Some(log) = self.log else {
            black_box(batch);
            return Ok(());
        };
        self.record.clear();
        for (key, value) in batch {
            self.record.extend_from_slice(&[0; 12]);
            self.record.extend_from_slice(key);
            self.record.extend_from_slice(value.unwrap_or_default());
        }
        (&log.file).write_all(&self.record)?;
        if log.synced {
            log.file.sync_data()?;
        }
        Ok(())
    }
}

impl Session for Sink<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.append(&[(key, Some(value))])
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.append(&[(key, None)])
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.append(batch)
    }

    fn get(&mut self, key: &[u8], _: &mut Read<'_>) -> Result<bool> {
        black_box(key);
        Ok(false)
    }

    fn scan(&mut self, from: &[u8], _: &mut Each<'_>) -> Result<()> {
        black_box(from);
        Ok(())
    }
}
