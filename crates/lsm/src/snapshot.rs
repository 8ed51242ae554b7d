//! [`Snapshot`]: the database as it was at one moment, and the register of those in use.
//!
//! A compaction keeps, of each key, the newest version and whatever a registered snapshot sees.
//! Taking a snapshot and asking for the list happen under one lock: a snapshot that comes after
//! the list was taken is newer than every entry which that compaction may drop.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;

use parking_lot::Mutex;
use sstable::SeqNo;

use crate::cursor::DbCursor;
use crate::error::{Error, Result};
use crate::family::{DEFAULT_FAMILY, Family};
use crate::inner::Inner;
use crate::planted::{self, Bug};
use crate::publish::Visible;
use crate::scan::{Scan, bounds_of, bounds_of_prefix};
use crate::slice::Value;

/// The snapshots in use, with the number of handles for each.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    held: Mutex<BTreeMap<SeqNo, usize>>,
}

impl Snapshots {
    /// Registers the present moment.
    pub(crate) fn acquire(&self, visible: &Visible) -> SeqNo {
        let mut held = self.held.lock();
        let at = visible.get();
        *held.entry(at).or_insert(0) += 1;
        at
    }

    /// Gives one registration of `at` back.
    fn release(&self, at: SeqNo) {
        let mut held = self.held.lock();
        if let Some(count) = held.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                held.remove(&at);
            }
        }
    }

    /// The registered sequence numbers, ascending.
    pub(crate) fn list(&self) -> Vec<SeqNo> {
        let held = self.held.lock();
        let forgotten = planted::has(Bug::ForgottenSnapshot);
        held.keys().filter(|_| !forgotten).copied().collect()
    }
}

/// The database as it was when [`Db::snapshot`](crate::Db::snapshot) was called: the default
/// family, and others by [`Snapshot::family`].
///
/// Later writes do not change it. While it lives, compactions keep what it sees.
///
/// ```
/// # fn main() -> lsm::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
/// let users = db.create_family("users", lsm::FamilyOptions::default())?;
/// users.put("ada", "1815")?;
/// db.put("users", "1")?;
/// let then = db.snapshot();
/// users.put("grace", "1906")?;
/// db.put("users", "2")?;
///
/// assert_eq!(then.get("users")?.as_deref(), Some(&b"1"[..]));
/// let users_then = then.family(&users)?;
/// assert!(users_then.contains("ada")? && !users_then.contains("grace")?);
/// assert_eq!(users_then.scan::<&[u8]>(..)?.count(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Snapshot {
    db: Arc<Inner>,
    at: SeqNo,
}

/// A family as it was at a snapshot's moment.
///
/// It is made by [`Snapshot::family`], and reads as [`Family`] does. It knows the family by what it
/// is, not by its name: once that is dropped, so is this, though a new one may have the name.
#[derive(Debug, Clone, Copy)]
pub struct FamilySnapshot<'a> {
    snapshot: &'a Snapshot,
    family: u32,
}

impl Snapshot {
    pub(crate) fn new(db: Arc<Inner>) -> Self {
        let at = db.snapshots.acquire(&db.visible);
        Self { db, at }
    }

    /// `family` at that moment; one that was made later holds nothing.
    ///
    /// # Errors
    /// [`Error::ForeignFamily`] for a family of another open database.
    pub fn family(&self, family: &Family) -> Result<FamilySnapshot<'_>> {
        if family.inner().opening == self.db.opening {
            Ok(FamilySnapshot { snapshot: self, family: family.id() })
        } else {
            Err(Error::ForeignFamily { name: family.name().to_owned() })
        }
    }

    pub(crate) fn default_family(&self) -> FamilySnapshot<'_> {
        FamilySnapshot { snapshot: self, family: DEFAULT_FAMILY }
    }

    /// The value of `key` at that moment.
    ///
    /// # Errors
    /// A table that cannot be read, or a closed database.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.default_family().get(key)
    }

    /// Whether `key` had a value at that moment.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.default_family().contains(key)
    }

    /// As [`Db::get_with`](crate::Db::get_with), at that moment.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        self.default_family().get_with(key, read)
    }

    /// The values of many keys at that moment, in the order of the keys.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>> {
        self.default_family().multi_get(keys)
    }

    /// The entries of `range` at that moment.
    ///
    /// # Errors
    /// A closed database.
    pub fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<Scan> {
        self.default_family().scan(range)
    }

    /// The entries whose keys begin with `prefix`, at that moment.
    ///
    /// # Errors
    /// A closed database.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.default_family().scan_prefix(prefix)
    }

    /// A cursor over the entries of `range` at that moment.
    ///
    /// # Errors
    /// A closed database.
    pub fn cursor<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<DbCursor> {
        self.default_family().cursor(range)
    }
}

impl FamilySnapshot<'_> {
    /// Database, family and moment.
    pub(crate) fn place(&self) -> (&Inner, u32, SeqNo) {
        (&self.snapshot.db, self.family, self.snapshot.at)
    }

    /// The value of `key` at that moment.
    ///
    /// # Errors
    /// A table that cannot be read; a closed database; [`Error::FamilyDropped`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        let (db, family, at) = self.place();
        db.get_at(family, key.as_ref(), Some(at))
    }

    /// Whether `key` had a value at that moment.
    ///
    /// # Errors
    /// As [`FamilySnapshot::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get_with(key, |_| ())?.is_some())
    }

    /// As [`Db::get_with`](crate::Db::get_with), at that moment.
    ///
    /// # Errors
    /// As [`FamilySnapshot::get`].
    pub fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        let (db, family, at) = self.place();
        db.get_with_at(family, key.as_ref(), Some(at), read)
    }

    /// The values of many keys at that moment, in the order of the keys.
    ///
    /// # Errors
    /// As [`FamilySnapshot::get`].
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>> {
        let (db, family, at) = self.place();
        db.get_many_at(family, keys, Some(at))
    }

    /// The entries of `range` at that moment.
    ///
    /// # Errors
    /// A closed database; [`Error::FamilyDropped`].
    pub fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<Scan> {
        let (db, family, at) = self.place();
        db.scan_at(family, bounds_of(&range), Some(at))
    }

    /// The entries whose keys begin with `prefix`, at that moment.
    ///
    /// # Errors
    /// As [`FamilySnapshot::scan`].
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        let (db, family, at) = self.place();
        db.scan_at(family, bounds_of_prefix(prefix.as_ref()), Some(at))
    }

    /// A cursor over the entries of `range` at that moment.
    ///
    /// # Errors
    /// As [`FamilySnapshot::scan`].
    pub fn cursor<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<DbCursor> {
        let (db, family, at) = self.place();
        db.cursor_at(family, bounds_of(&range), Some(at))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.db.snapshots.release(self.at);
    }
}
