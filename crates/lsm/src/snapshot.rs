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

/// The database as it was when [`Db::snapshot`](crate::Db::snapshot) was called.
///
/// Later writes do not change it. While it lives, compactions keep what it sees.
#[derive(Debug)]
pub struct Snapshot {
    db: Arc<Inner>,
    at: SeqNo,
}

impl Snapshot {
    pub(crate) fn new(db: Arc<Inner>) -> Self {
        let at = db.snapshots.acquire(&db.visible);
        Self { db, at }
    }

    /// The value of `key` at that moment.
    ///
    /// # Errors
    /// A table that cannot be read, or a closed database.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.db.get_at(DEFAULT_FAMILY, key.as_ref(), Some(self.at))
    }

    /// Whether `key` had a value at that moment.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.db.get_with_at(DEFAULT_FAMILY, key.as_ref(), Some(self.at), |_| ())?.is_some())
    }

    /// The values of many keys at that moment, in the order of the keys.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>> {
        self.db.get_many_at(DEFAULT_FAMILY, keys, Some(self.at))
    }

    /// The entries of `range` at that moment.
    ///
    /// # Errors
    /// A closed database.
    pub fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<Scan> {
        self.db.scan_at(DEFAULT_FAMILY, bounds_of(&range), Some(self.at))
    }

    /// The entries whose keys begin with `prefix`, at that moment.
    ///
    /// # Errors
    /// A closed database.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.db.scan_at(DEFAULT_FAMILY, bounds_of_prefix(prefix.as_ref()), Some(self.at))
    }

    /// A cursor over the entries of `range` at that moment.
    ///
    /// # Errors
    /// A closed database.
    pub fn cursor<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<DbCursor> {
        self.db.cursor_at(DEFAULT_FAMILY, bounds_of(&range), Some(self.at))
    }
}

/// The same in a family.
impl Snapshot {
    /// The family's id, if it is of this database.
    fn id_of(&self, family: &Family) -> Result<u32> {
        if family.inner().opening == self.db.opening {
            Ok(family.id())
        } else {
            Err(Error::ForeignFamily { name: family.name().to_owned() })
        }
    }

    /// The value of `key` in `family` at that moment.
    ///
    /// # Errors
    /// As [`Snapshot::get`]; [`Error::FamilyDropped`]; [`Error::ForeignFamily`].
    pub fn get_in(&self, family: &Family, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.db.get_at(self.id_of(family)?, key.as_ref(), Some(self.at))
    }

    /// The entries of `range` in `family` at that moment.
    ///
    /// # Errors
    /// A closed database; [`Error::FamilyDropped`]; [`Error::ForeignFamily`].
    pub fn scan_in<K: AsRef<[u8]>>(
        &self,
        family: &Family,
        range: impl RangeBounds<K>,
    ) -> Result<Scan> {
        self.db.scan_at(self.id_of(family)?, bounds_of(&range), Some(self.at))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.db.snapshots.release(self.at);
    }
}
