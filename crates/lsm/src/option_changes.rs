//! Options over time: what they were when the database was last open, what has changed, and
//! changing them while it is open.
//!
//! The file `OPTIONS` holds, as text, the options in force when it was last written: at each open
//! that changes something, and at each change. It is there to compare with and to be read by
//! people; nothing that is needed to read data is in it, and a database without it opens. One line
//! is a promise: `key_order=bytewise`. A file that says otherwise was written by a version that
//! sorts differently, and is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::background;
use crate::db::Db;
use crate::deadlines;
use crate::error::{Error, Result};
use crate::family::{Core, DEFAULT_FAMILY, DEFAULT_FAMILY_NAME, Family};
use crate::family_options::FamilyOptions;
use crate::fs::Fs;
use crate::inner::Inner;
use crate::manifest::{ChangedFamily, Edit};
use crate::memory;
use crate::names;
use crate::options::Options;

/// Bytes of the file at most; more is damage.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// When a change of an option is felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// At once. The option may be changed while the database is open.
    AtOnce,
    /// By tables written from now on, and by compactions; existing tables stay as they are and
    /// readable. The option may be changed while the database is open.
    NewTables,
    /// At the next opening.
    NextOpen,
}

/// An option that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionChange {
    /// The field of [`Options`] or [`FamilyOptions`].
    pub name: String,
    /// What it was; `None` if the version that wrote the file did not know it.
    pub before: Option<String>,
    /// What it is; `None` if this version does not know it.
    pub after: Option<String>,
    /// When that is felt.
    pub effect: Effect,
}

/// `codec: 0 -> 1, for tables written from now on`
impl fmt::Display for OptionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
        let effect = match self.effect {
            Effect::AtOnce => "at once",
            Effect::NewTables => "for tables written from now on",
            Effect::NextOpen => "from the next opening on",
        };
        write!(f, "{}: {} -> {}, {effect}", self.name, value(&self.before), value(&self.after))
    }
}

/// When a change of the option is felt.
fn effect(name: &str) -> Effect {
    match name {
        "write_buffer_bytes"
        | "write_buffer_entries"
        | "sealed_memtables_max"
        | "block_cache_bytes"
        | "merge_bytes_per_second" => Effect::AtOnce,
        "block_bytes"
        | "codec"
        | "codec_level"
        | "level_codecs"
        | "chooser"
        | "dictionary_bytes"
        | "compression_threads"
        | "hash_index"
        | "partition_blocks"
        | "filter_bits_per_key"
        | "filter_kind"
        | "filter_kind_last"
        | "filter_split"
        | "fence"
        | "strategy"
        | "size_ratio"
        | "adaptive"
        | "tombstone_age_max_us"
        | "tombstone_density"
        | "table_bytes"
        | "base_bytes" => Effect::NewTables,
        _ => Effect::NextOpen,
    }
}

/// All options but listeners, a line each.
fn to_text(options: &Options) -> String {
    let mut text = String::from("key_order=bytewise\n");
    let mut line = |name: &str, value: &dyn fmt::Display| {
        writeln!(text, "{name}={value}").expect("a string takes everything");
    };
    line("durability", &format_args!("{:?}", options.durability));
    line("write_buffer_bytes", &options.write_buffer_bytes);
    line("write_buffer_entries", &options.write_buffer_entries);
    line("sealed_memtables_max", &options.sealed_memtables_max);
    line("memtable", &options.memtable);
    line("block_cache_bytes", &options.block_cache_bytes);
    line("memory_budget_bytes", &options.memory_budget_bytes);
    line("background_threads", &options.background_threads);
    line("latency_sampling", &options.latency_sampling);
    line("table_reads", &format_args!("{:?}", options.table_reads));
    line("merge_bytes_per_second", &options.merge_bytes_per_second);
    line("codec_by_load", &options.codec_by_load);
    line("open_files_max", &options.open_files_max);
    line("recovery", &format_args!("{:?}", options.recovery));
    text + &FamilyOptions::from(options).to_text()
}

fn lines(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

/// What has changed between two texts, by name.
fn differences(before: &str, after: &str) -> Vec<OptionChange> {
    let (before, after) = (lines(before), lines(after));
    let mut names: Vec<&str> = before.keys().chain(after.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let value = |all: &BTreeMap<&str, &str>, name| all.get(name).map(|value| (*value).to_owned());
    let changes = names.into_iter().map(|name| OptionChange {
        name: name.to_owned(),
        before: value(&before, name),
        after: value(&after, name),
        effect: effect(name),
    });
    changes.filter(|change| change.before != change.after).collect()
}

/// What the file holds, if there is one.
fn read(fs: &dyn Fs, path: &Path) -> Result<Option<String>> {
    let failed = |error| Error::io("read", path, error);
    let bytes = match fs.file_bytes(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(failed)?,
    };
    let damaged = |expected: &str| Error::corruption(path, 0, expected);
    if bytes > FILE_BYTES_MAX {
        return Err(damaged("at most 64 KiB of options"));
    }
    let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
    fs.open_read(path).and_then(|file| file.read_exact_at(&mut text, 0)).map_err(failed)?;
    String::from_utf8(text).map(Some).or(Err(damaged("options as UTF-8 text")))
}

/// The options in force while the database is open.
#[derive(Debug)]
pub(crate) struct Live {
    write_buffer_bytes: AtomicUsize,
    /// Where memtables are sealed: at the write buffer's size, or earlier for want of memory.
    seal_bytes: AtomicUsize,
    write_buffer_entries: AtomicUsize,
    sealed_memtables_max: AtomicUsize,
    merge_bytes_per_second: AtomicU64,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    options: Options,
    at_open: Vec<OptionChange>,
}

impl Live {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            write_buffer_bytes: options.write_buffer_bytes.into(),
            seal_bytes: options.write_buffer_bytes.into(),
            write_buffer_entries: options.write_buffer_entries.into(),
            sealed_memtables_max: options.sealed_memtables_max.into(),
            merge_bytes_per_second: options.merge_bytes_per_second.into(),
            current: Mutex::new(Current { options: options.clone(), at_open: Vec::new() }),
        }
    }

    fn set(&self, options: &Options) {
        // ORDERING: Relaxed, all; numbers that steer, and publish nothing.
        self.write_buffer_bytes.store(options.write_buffer_bytes, Ordering::Relaxed);
        self.seal_bytes.store(options.write_buffer_bytes, Ordering::Relaxed);
        self.write_buffer_entries.store(options.write_buffer_entries, Ordering::Relaxed);
        self.sealed_memtables_max.store(options.sealed_memtables_max, Ordering::Relaxed);
        self.merge_bytes_per_second.store(options.merge_bytes_per_second, Ordering::Relaxed);
    }

    /// Lets memtables be sealed at `bytes`.
    pub(crate) fn seal_at(&self, bytes: usize) {
        // ORDERING: Relaxed; as in `set`.
        self.seal_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Where memtables are sealed.
    #[inline]
    pub(crate) fn seal_bytes(&self) -> usize {
        // ORDERING: Relaxed; as in `set`.
        self.seal_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn write_buffer_bytes(&self) -> usize {
        // ORDERING: Relaxed; as in `set`.
        self.write_buffer_bytes.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn write_buffer_entries(&self) -> usize {
        // ORDERING: Relaxed; as in `set`.
        self.write_buffer_entries.load(Ordering::Relaxed)
    }

    pub(crate) fn sealed_memtables_max(&self) -> usize {
        // ORDERING: Relaxed; as in `set`.
        self.sealed_memtables_max.load(Ordering::Relaxed)
    }

    pub(crate) fn merge_bytes_per_second(&self) -> u64 {
        // ORDERING: Relaxed; as in `set`.
        self.merge_bytes_per_second.load(Ordering::Relaxed)
    }

    /// The options in force.
    pub(crate) fn options(&self) -> Options {
        self.current.lock().options.clone()
    }

    /// Looks at the options in force; they do not change meanwhile.
    pub(crate) fn with_options(&self, look: impl FnOnce(&Options)) {
        look(&self.current.lock().options);
    }
}

/// Refuses a database whose keys are sorted in another way.
pub(crate) fn check_order(fs: &dyn Fs, folder: &Path) -> Result<()> {
    let path = folder.join(names::OPTIONS);
    let stored = read(fs, &path)?.unwrap_or_default();
    match lines(&stored).get("key_order") {
        None | Some(&"bytewise") => Ok(()),
        Some(other) => Err(Error::Unsupported { path, what: format!("keys in {other} order") }),
    }
}

/// Notes what has changed since the database was last open, and stores what is in force now.
pub(crate) fn opened(inner: &Inner) -> Result<()> {
    let path = inner.path.join(names::OPTIONS);
    let stored = read(&*inner.env.fs, &path)?;
    let text = to_text(&inner.options);
    if stored.as_ref() == Some(&text) {
        return Ok(());
    }
    if let Some(stored) = stored {
        let mut changes = differences(&stored, &text);
        for change in &mut changes {
            // This is the next opening.
            if change.effect == Effect::NextOpen {
                change.effect = Effect::AtOnce;
            }
            tracing::info!(%change, "an option is not what it was");
        }
        inner.live.current.lock().at_open = changes;
    }
    store(inner, &path, &text)
}

fn store(inner: &Inner, path: &Path, text: &str) -> Result<()> {
    let stored = inner.env.fs.replace(path, text.as_bytes());
    stored.map_err(|error| Error::io("write", path, error))
}

/// Options while the database is open.
impl Db {
    /// The options in force.
    pub fn options(&self) -> Options {
        self.inner().live.options()
    }

    /// The options that were different when the database was last open, for a log or a warning;
    /// none for a new database. No option makes stored data unreadable.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("db");
    /// use lsm::{Db, Options};
    /// Db::open(&path, Options::default())?.close()?;
    /// let db = Db::open(&path, Options { size_ratio: 8, ..Options::default() })?;
    /// let words: Vec<String> = db.changed_options().iter().map(|c| c.to_string()).collect();
    /// assert_eq!(words, ["size_ratio: 10 -> 8, for tables written from now on"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn changed_options(&self) -> Vec<OptionChange> {
        self.inner().live.current.lock().at_open.clone()
    }

    /// Changes options while the database is open, and returns what has changed. These may
    /// change: at once `write_buffer_bytes`, `write_buffer_entries`, `sealed_memtables_max`,
    /// `block_cache_bytes` and `merge_bytes_per_second`; for tables of the default family written
    /// from now on, and for its compactions, all that [`FamilyOptions`] has too. Other families:
    /// [`Family::set_options`].
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = lsm::Db::open(folder.path().join("db"), lsm::Options::default())?;
    /// db.set_options(|options| options.block_cache_bytes = 256 << 20)?;
    /// assert_eq!(db.options().block_cache_bytes, 256 << 20);
    /// let refused = db.set_options(|options| options.background_threads = 4);
    /// assert!(matches!(refused, Err(lsm::Error::InvalidOptions(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] for a value outside its range, or another option; then nothing
    /// has changed, nor if there is no space to store them. A closed database; a file that cannot
    /// be renamed, or a failed sync: the change is then in force, and may be forgotten at the next
    /// opening.
    pub fn set_options(&self, change: impl FnOnce(&mut Options)) -> Result<Vec<OptionChange>> {
        change_database(self.inner(), |options| {
            change(options);
            Ok(())
        })
    }
}

/// Options of a family while the database is open.
impl Family {
    /// Its options in force; those of its last day if it was dropped. With
    /// [`adaptive`](FamilyOptions::adaptive), `strategy` and `size_ratio` are where its steps have
    /// led.
    pub fn options(&self) -> FamilyOptions {
        let view = self.inner().state.peek();
        let core = view.family(self.id()).map_or(self.core(), |family| &family.core);
        core.options.clone()
    }

    /// Changes options while the database is open, for tables written from now on and for
    /// compactions, and returns what has changed. Existing tables stay as they are and readable.
    /// The change is on the medium when this returns, and lasts.
    ///
    /// The options of the default family are among those of the database: they are changed there,
    /// as by [`Db::set_options`], and `base_bytes` follows from `write_buffer_bytes`.
    ///
    /// ```
    /// # fn main() -> lsm::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("db");
    /// use lsm::compaction::Strategy;
    /// use lsm::{Db, FamilyOptions, Options};
    /// let db = Db::open(&path, Options::default())?;
    /// let events = db.create_family("events", FamilyOptions::default())?;
    /// let changes = events.set_options(|options| options.strategy = Strategy::Tiered)?;
    /// let told = changes[0].to_string();
    /// assert_eq!(told, "strategy: leveled -> tiered, for tables written from now on");
    ///
    /// db.close()?;
    /// let db = Db::open(&path, Options::default())?;
    /// let events = db.family("events")?.expect("it lives");
    /// assert_eq!(events.options().strategy, Strategy::Tiered, "it lasts");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] for a value outside its range; then nothing has changed. A closed
    /// database; [`Error::FamilyDropped`]; a manifest that cannot be written: if only space is
    /// lacking nothing has changed, else writes stop.
    pub fn set_options(
        &self,
        change: impl FnOnce(&mut FamilyOptions),
    ) -> Result<Vec<OptionChange>> {
        if self.id() != DEFAULT_FAMILY {
            return change_family(self.inner(), self.id(), change);
        }
        change_database(self.inner(), |options| {
            let mut own = FamilyOptions::from(&*options);
            change(&mut own);
            own.put_into(options)
        })
    }
}

fn change_database(
    inner: &Arc<Inner>,
    change: impl FnOnce(&mut Options) -> Result<()>,
) -> Result<Vec<OptionChange>> {
    inner.check_writable()?;
    let mut current = inner.live.current.lock();
    let mut options = current.options.clone();
    change(&mut options)?;
    options.validate()?;
    let text = to_text(&options);
    let changes = differences(&to_text(&current.options), &text);
    if let Some(fixed) = changes.iter().find(|change| change.effect == Effect::NextOpen) {
        let why = format!("{} cannot change while the database is open", fixed.name);
        return Err(Error::InvalidOptions(why));
    }
    if (options.block_cache_bytes == 0) != inner.cache.is_none() {
        let why = "block_cache_bytes cannot become 0, or stop being 0, while the database is \
                   open";
        return Err(Error::InvalidOptions(why.into()));
    }
    // A full disk is met here, before anything has changed.
    let path = inner.path.join(names::OPTIONS);
    let failed = |error| Error::io("write", &path, error);
    let fs = &inner.env.fs;
    let aside = fs.write_aside(&path, text.as_bytes()).map_err(failed)?;
    apply(inner, &options)?;
    current.options = options;
    fs.rename(&aside, &path).and_then(|()| fs.sync_dir(&inner.path)).map_err(failed)?;
    drop(current);
    inner.progress.notify();
    background::schedule(inner);
    deadlines::arm(inner);
    Ok(changes)
}

fn change_family(
    inner: &Arc<Inner>,
    id: u32,
    change: impl FnOnce(&mut FamilyOptions),
) -> Result<Vec<OptionChange>> {
    // Closing takes it too: no edit comes after its last.
    let _tail = inner.tail.lock();
    inner.check_writable()?;
    let mut tree = inner.tree.lock();
    let name = inner.state.peek().family(id)?.core.name.clone();
    // Not those in force, which may be steps that the family took by itself.
    let before = tree.family_options(id).to_owned();
    let mut options = FamilyOptions::from_text(&before).map_err(|line| {
        Error::InvalidOptions(format!("family {name} has the option {line:?} of a later version"))
    })?;
    change(&mut options);
    let core = Core::new(id, &name, options)?;
    let options = core.options.to_text();
    let changes = differences(&before, &options);
    if changes.is_empty() {
        return Ok(changes);
    }
    let edit = Edit {
        changed_families: vec![ChangedFamily { id, options }],
        reason: format!("change options of family {name}"),
        ..Edit::default()
    };
    inner.append_edit(&mut tree, edit)?;
    inner.state.change(|view| {
        view.change_family(id, |family| family.core = core);
        inner.admission.update(inner, view);
    });
    drop(tree);
    inner.progress.notify();
    background::schedule(inner);
    deadlines::arm(inner);
    Ok(changes)
}

fn apply(inner: &Arc<Inner>, options: &Options) -> Result<()> {
    let core = Core::new(DEFAULT_FAMILY, DEFAULT_FAMILY_NAME, FamilyOptions::from(options))?;
    inner.live.set(options);
    if inner.options.memory_budget_bytes > 0 {
        memory::rebalance_for(inner, options);
    } else if let Some(cache) = &inner.cache {
        cache.set_capacity(options.block_cache_bytes);
    }
    inner.state.change(|view| {
        view.change_family(DEFAULT_FAMILY, |family| family.core = core);
        inner.admission.update(inner, view);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_what_came_what_went_and_what_changed() {
        let before = "a=1\ncodec=0\ngone=x\nsame=1\n";
        let after = "a=1\ncodec=1\nnew=y\nsame=1\n";
        let words: Vec<_> = differences(before, after).iter().map(ToString::to_string).collect();
        let expected = [
            "codec: 0 -> 1, for tables written from now on",
            "gone: x -> unknown, from the next opening on",
            "new: unknown -> y, from the next opening on",
        ];
        assert_eq!(words, expected);
        assert!(differences(after, after).is_empty());
    }
}
