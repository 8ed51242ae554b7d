//! Families: trees of their own in one database, with one log and one order of writes.
//!
//! A batch may write to several families and stays atomic. Each family has its own memtables,
//! levels and table options; they are sealed together, when the write buffer or the log segment
//! is full, and flushed together in one edit, so a log is given up as a whole and a family that
//! is written to rarely holds none back.

use std::ops::RangeBounds;
use std::sync::Arc;

use compaction::Policy;

use crate::batch::WriteBatch;
use crate::commit;
use crate::conditional::{self, Swap};
use crate::cursor::DbCursor;
use crate::error::{Error, Result};
use crate::family_options::FamilyOptions;
use crate::inner::Inner;
use crate::manifest::{AddedFamily, Edit};
use crate::manual;
use crate::memtable::Memtable;
use crate::scan::{Scan, bounds_of, bounds_of_prefix};
use crate::shape::Shape;
use crate::slice::Value;
use crate::state::FamilyView;
use crate::version::Version;
use sstable::Kind;

/// The id of the family that every database has.
pub(crate) const DEFAULT_FAMILY: u32 = 0;

/// Its name.
pub(crate) const DEFAULT_FAMILY_NAME: &str = "default";

/// Bytes of a family's name at most.
const NAME_BYTES_MAX: usize = 255;

/// What a family is like. Replaced as a whole when its options change; id and name stay.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) options: FamilyOptions,
    pub(crate) policy: Box<dyn Policy>,
}

impl Core {
    pub(crate) fn new(id: u32, name: &str, options: FamilyOptions) -> Result<Arc<Self>> {
        options.validate()?;
        let policy = options.compaction_options().build();
        let policy = policy.map_err(|error| Error::InvalidOptions(error.to_string()))?;
        Ok(Arc::new(Self { id, name: name.to_owned(), options, policy }))
    }
}

/// A handle to a family of an open database.
///
/// ```
/// # fn main() -> lsm::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
/// let users = db.create_family("users", lsm::FamilyOptions::default())?;
/// users.put(b"ada", b"1815")?;
/// assert!(db.get(b"ada")?.is_none(), "families share no keys");
///
/// let mut batch = lsm::WriteBatch::new();
/// batch.put(b"users", b"2").put_in(&users, b"grace", b"1906");
/// db.write(batch)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Family {
    inner: Arc<Inner>,
    core: Arc<Core>,
}

impl Family {
    pub(crate) fn new(inner: Arc<Inner>, core: Arc<Core>) -> Self {
        Self { inner, core }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    pub(crate) fn id(&self) -> u32 {
        self.core.id
    }

    /// What it was like when the handle was taken.
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// As [`Db::put`](crate::Db::put); [`Error::FamilyDropped`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        commit::write_one(&self.inner, self.id(), Kind::Put, key.as_ref(), value.as_ref())
    }

    /// Deletes `key`, whether it is there or not.
    ///
    /// # Errors
    /// As [`Family::put`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        commit::write_one(&self.inner, self.id(), Kind::Delete, key.as_ref(), &[])
    }

    /// Deletes every key from `start` on, before `end`; nothing if the range is empty.
    ///
    /// # Errors
    /// As [`Family::put`].
    pub fn delete_range(&self, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.delete_range_in(self, start, end);
        commit::write(&self.inner, batch.payload()?)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// As [`Db::get`](crate::Db::get); [`Error::FamilyDropped`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.inner.get_at(self.id(), key.as_ref(), None)
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`Family::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get_with(key, |_| ())?.is_some())
    }

    /// As [`Db::get_with`](crate::Db::get_with).
    ///
    /// # Errors
    /// As [`Family::get`].
    pub fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        self.inner.get_with_at(self.id(), key.as_ref(), None, read)
    }

    /// As [`Db::multi_get`](crate::Db::multi_get).
    ///
    /// # Errors
    /// As [`Family::get`].
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>> {
        self.inner.get_many_at(self.id(), keys, None)
    }

    /// As [`Db::compare_and_swap`](crate::Db::compare_and_swap).
    ///
    /// # Errors
    /// As [`Family::get`] and [`Family::put`].
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Swap> {
        conditional::compare_and_swap(&self.inner, self.id(), key.as_ref(), (expected, new))
    }

    /// As [`Db::get_or_insert`](crate::Db::get_or_insert).
    ///
    /// # Errors
    /// As [`Family::get`] and [`Family::put`].
    pub fn get_or_insert(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Option<Value>> {
        conditional::get_or_insert(&self.inner, self.id(), key.as_ref(), value.as_ref())
    }

    /// The entries of `range` in key order, as of now.
    ///
    /// # Errors
    /// A closed database; [`Error::FamilyDropped`].
    pub fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<Scan> {
        self.inner.scan_at(self.id(), bounds_of(&range), None)
    }

    /// The entries whose keys begin with `prefix`, as of now.
    ///
    /// # Errors
    /// As [`Family::scan`].
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.inner.scan_at(self.id(), bounds_of_prefix(prefix.as_ref()), None)
    }

    /// A cursor over the entries of `range`, as of now.
    ///
    /// # Errors
    /// As [`Family::scan`].
    pub fn cursor<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<DbCursor> {
        self.inner.cursor_at(self.id(), bounds_of(&range), None)
    }
}

/// Operating a family.
impl Family {
    /// Flushes all families, then merges what this one holds within `range` into its deepest
    /// level.
    ///
    /// # Errors
    /// Files that cannot be read or written; [`Error::FamilyDropped`].
    pub fn compact<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<()> {
        manual::compact_range(&self.inner, self.id(), &bounds_of(&range))
    }

    /// Its tree: memtables, levels, runs and tables.
    ///
    /// # Errors
    /// A closed database; [`Error::FamilyDropped`].
    pub fn shape(&self) -> Result<Shape> {
        self.inner.check_open()?;
        Ok(Shape::of(self.inner.state.peek().family(self.id())?))
    }
}

/// Makes a family; it is in the manifest when this returns.
pub(crate) fn create(inner: &Arc<Inner>, name: &str, options: FamilyOptions) -> Result<Family> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::InvalidOptions(format!(
            "a family's name has 1 to {NAME_BYTES_MAX} bytes, not {}",
            name.len()
        )));
    }
    // No write may be numbered between the edit and the view.
    let mut tail = inner.tail.lock();
    inner.check_writable()?;
    if inner.state.peek().named(name).is_some() {
        return Err(Error::FamilyExists { name: name.to_owned() });
    }
    let mut tree = inner.tree.lock();
    let id = tree.new_family_id()?;
    for warning in options.check() {
        tracing::warn!(path = %inner.path.display(), family = name, "{warning}");
    }
    let core = Core::new(id, name, options)?;
    let added = AddedFamily { id, name: name.to_owned(), options: core.options.to_text() };
    let edit = Edit {
        added_families: vec![added],
        reason: format!("create family {name}"),
        ..Edit::default()
    };
    inner.append_edit(&mut tree, edit)?;
    let active = Arc::new(Memtable::new(&inner.arena));
    tail.set_memtable(id, Some(Arc::clone(&active)));
    inner.state.change(|view| {
        let version = Arc::new(Version::empty());
        let family = FamilyView { core: Arc::clone(&core), active, sealed: Vec::new(), version };
        view.set_family(id, Arc::new(family));
    });
    Ok(Family::new(Arc::clone(inner), core))
}

/// The living family of this name.
pub(crate) fn named(inner: &Arc<Inner>, name: &str) -> Result<Option<Family>> {
    inner.check_open()?;
    let core = inner.state.peek().named(name).map(|family| Arc::clone(&family.core));
    Ok(core.map(|core| Family::new(Arc::clone(inner), core)))
}

/// Drops a family: its name is free, its tables go when the last reader has left.
pub(crate) fn drop_family(inner: &Arc<Inner>, name: &str) -> Result<()> {
    if name == DEFAULT_FAMILY_NAME {
        return Err(Error::InvalidOptions("the default family cannot be dropped".into()));
    }
    let mut tail = inner.tail.lock();
    inner.check_writable()?;
    let mut tree = inner.tree.lock();
    let view = inner.state.view();
    let Some(family) = view.named(name) else {
        return Err(Error::FamilyDropped { name: name.to_owned() });
    };
    let id = family.core.id;
    let edit = Edit {
        dropped_families: vec![id],
        removed: family.version.tables().map(|file| file.info().id).collect(),
        reason: format!("drop family {name}"),
        ..Edit::default()
    };
    inner.append_edit(&mut tree, edit)?;
    tail.set_memtable(id, None);
    inner.state.change(|view| view.drop_family(id));
    for file in family.version.tables() {
        file.retire();
        inner.events.tell_later(file.deleted());
    }
    Ok(())
}
