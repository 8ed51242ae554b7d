//! [`View`]: everything a read needs, swapped whole.
//!
//! A read takes the view first and the visible sequence number second. The view then holds every
//! write that was acknowledged before the read began, and the number hides what is not published;
//! writes that went into a later memtable are newer than all the view holds, so what is seen is
//! always a prefix of all writes. (The other order could miss a key: between the two loads a
//! compaction may drop the version that the older number sees.)

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sstable::SeqNo;

use crate::error::{Error, Result};
use crate::family::Core;
use crate::memtable::{Memtable, Sealed};
use crate::range_delete::RangeDeletes;
use crate::version::Version;

/// The memtables and tables of all families at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// By id; dropped ones leave a gap.
    families: Vec<Option<Arc<FamilyView>>>,
    /// Those that were dropped since the opening, by id: handles to them may be about.
    dropped: Arc<BTreeMap<u32, String>>,
    /// Memtables that wait for their flush, by the time they were sealed, newest first.
    pub(crate) sealed: Vec<Arc<Sealed>>,
}

/// The memtables and tables of a family at one moment.
#[derive(Debug, Clone)]
pub(crate) struct FamilyView {
    pub(crate) core: Arc<Core>,
    /// Takes the writes.
    pub(crate) active: Arc<Memtable>,
    /// Waiting for their flush, newest first.
    pub(crate) sealed: Vec<Arc<Memtable>>,
    pub(crate) version: Arc<Version>,
}

/// A family's tables without its memtables: what a long job may hold.
#[derive(Debug)]
pub(crate) struct FamilyTables {
    pub(crate) core: Arc<Core>,
    pub(crate) version: Arc<Version>,
}

impl View {
    /// The family of this id.
    ///
    /// # Errors
    /// [`Error::FamilyDropped`].
    #[inline]
    pub(crate) fn family(&self, id: u32) -> Result<&Arc<FamilyView>> {
        match self.families.get(id as usize) {
            Some(Some(family)) => Ok(family),
            _ => Err(self.dropped(id)),
        }
    }

    /// The error for the family of this id, which does not live.
    #[cold]
    pub(crate) fn dropped(&self, id: u32) -> Error {
        let name = self.dropped.get(&id).cloned();
        Error::FamilyDropped { name: name.unwrap_or_else(|| format!("number {id}")) }
    }

    /// The family of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<FamilyView>> {
        self.families().find(|family| family.core.name == name)
    }

    /// The living families.
    pub(crate) fn families(&self) -> impl Iterator<Item = &Arc<FamilyView>> {
        self.families.iter().flatten()
    }

    /// Puts a family in its place.
    pub(crate) fn set_family(&mut self, id: u32, family: Arc<FamilyView>) {
        let id = id as usize;
        if self.families.len() <= id {
            self.families.resize(id + 1, None);
        }
        self.families[id] = Some(family);
    }

    /// Takes a family away; its name is remembered.
    pub(crate) fn drop_family(&mut self, id: u32) {
        if let Some(family) = self.families.get_mut(id as usize).and_then(Option::take) {
            Arc::make_mut(&mut self.dropped).insert(id, family.core.name.clone());
        }
    }

    /// Changes a living family; a dropped one stays away.
    pub(crate) fn change_family(&mut self, id: u32, change: impl FnOnce(&mut FamilyView)) {
        if let Some(Some(family)) = self.families.get_mut(id as usize) {
            change(Arc::make_mut(family));
        }
    }

    /// Whether all that was written is in tables.
    pub(crate) fn is_quiet(&self) -> bool {
        self.sealed.is_empty() && self.families().all(|family| family.active.is_empty())
    }

    /// Runs in level 0, of the family that has most. Families whose strategy lets them be, as FIFO
    /// does, do not count: nothing would ever bring their number down.
    pub(crate) fn l0_runs_max(&self) -> usize {
        let bounded = |family: &&Arc<FamilyView>| {
            family.core.policy.max_runs(&family.version.shape, 0) != usize::MAX
        };
        let runs = |family: &Arc<FamilyView>| family.version.shape.level(0).runs.len();
        self.families().filter(bounded).map(runs).max().unwrap_or(0)
    }

    /// Bytes that must be merged until no level of any family asks for a compaction.
    pub(crate) fn debt_bytes(&self) -> u64 {
        self.families().map(|family| family.core.policy.debt_bytes(&family.version.shape)).sum()
    }
}

impl FamilyView {
    /// The tables of the moment.
    pub(crate) fn tables_only(&self) -> FamilyTables {
        FamilyTables { core: Arc::clone(&self.core), version: Arc::clone(&self.version) }
    }

    /// The newest range delete over `key` at or before `at`; 0 if there is none.
    #[inline]
    pub(crate) fn deleted_at(&self, key: &[u8], at: SeqNo) -> SeqNo {
        let mut deleted = 0;
        for memtable in self.memtables() {
            if let Some(ranges) = memtable.range_deletes() {
                deleted = deleted.max(ranges.newest_at(key, at));
            }
        }
        if !self.version.range_deletes.is_empty() {
            deleted = deleted.max(self.version.range_deletes.newest_at(key, at));
        }
        deleted
    }

    /// All range deletes, in sets that are not empty.
    pub(crate) fn range_deletes(&self) -> Vec<Arc<RangeDeletes>> {
        let flushed = Some(&self.version.range_deletes).filter(|ranges| !ranges.is_empty());
        self.memtables().filter_map(|m| m.range_deletes()).chain(flushed.cloned()).collect()
    }

    /// The memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }
}

/// The current view.
#[derive(Debug)]
pub(crate) struct State {
    view: ArcSwap<View>,
    change: Mutex<()>,
}

impl State {
    pub(crate) fn new(view: View) -> Self {
        Self { view: ArcSwap::from_pointee(view), change: Mutex::new(()) }
    }

    /// The view, for a short read: no reference count is touched.
    #[inline]
    pub(crate) fn peek(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// The view, to be kept.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Replaces the view by a changed copy.
    pub(crate) fn change(&self, change: impl FnOnce(&mut View)) {
        let _one_at_a_time = self.change.lock();
        let mut view = View::clone(&self.view.load());
        change(&mut view);
        self.view.store(Arc::new(view));
    }
}
