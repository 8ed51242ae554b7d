//! [`View`]: everything a read needs, swapped whole.
//!
//! A read takes the view first and the visible sequence number second. The view then holds every
//! write that was acknowledged before the read began, and the number hides what is not published;
//! writes that went into a later memtable are newer than all the view holds, so what is seen is
//! always a prefix of all writes. (The other order could miss a key: between the two loads a
//! compaction may drop the version that the older number sees.)

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::memtable::Memtable;
use crate::version::Version;

/// The memtables and tables at one moment.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Takes the writes.
    pub(crate) active: Arc<Memtable>,
    /// Waiting for their flush, newest first.
    pub(crate) sealed: Vec<Arc<Memtable>>,
    pub(crate) version: Arc<Version>,
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
