//! What the workloads need of a store: [`Engine`], one a database, and [`Session`], one a thread.

use std::path::Path;

/// Whatever an engine fails with.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of an engine's call.
pub type Result<T> = std::result::Result<T, Error>;

/// What a write that has returned survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// A killed process: the write has reached the operating system.
    Buffered,
    /// A power cut: the write has reached the medium.
    Synced,
}

/// How an engine is opened: equal memory and guarantee for all; LZ4 where it has it.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The database's folder; it exists.
    pub path: &'a Path,
    /// Bytes of writes held in memory, for engines that do so.
    pub write_buffer_bytes: usize,
    /// Bytes of the block or page cache, for engines that have one.
    pub cache_bytes: usize,
    /// What a write survives.
    pub guarantee: Guarantee,
}

/// One batch: keys with their new values, or `None` to delete.
pub type Batch<'a> = [(&'a [u8], Option<&'a [u8]>)];

/// Called with the value that was found.
pub type Read<'a> = dyn FnMut(&[u8]) + 'a;

/// Called with each key and value in order until it answers false.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> bool + 'a;

/// An open database.
pub trait Engine: Send + Sync {
    /// A thread's way to the data.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn session(&self) -> Result<Box<dyn Session + '_>>;

    /// Writes what is in memory to tables and waits until background work rests, as far as the
    /// engine lets one ask for it.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn settle(&self) -> Result<()>;

    /// Compacts everything; false if the engine has no such call.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn compact(&self) -> Result<bool>;

    /// Closes the database.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn close(self: Box<Self>) -> Result<()>;

    /// False for the stand-ins that store nothing: then reads are not checked.
    fn stores(&self) -> bool {
        true
    }
}

/// One thread's way to the data. Every call stands for itself: a read sees all writes that have
/// returned before it began.
pub trait Session {
    /// Stores a value.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Deletes a key.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn delete(&mut self, key: &[u8]) -> Result<()>;

    /// Applies a batch atomically.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn write(&mut self, batch: &Batch<'_>) -> Result<()>;

    /// Whether the key is there; its value goes to `read`.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool>;

    /// Walks the entries from the first key at or after `from`, over a view made for this call.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()>;
}
