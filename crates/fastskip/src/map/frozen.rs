//! The content of a sealed list, to be read, flushed and dropped.

use super::store::Store;
use std::fmt;
use std::sync::Arc;

/// What a list held when it was sealed; it changes no more. Its memory goes back, all at once, when
/// neither this nor the list is left.
#[derive(Clone)]
pub struct FrozenMemtable {
    store: Arc<Store>,
}

impl FrozenMemtable {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

read_verbs!(FrozenMemtable);

impl fmt::Debug for FrozenMemtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenMemtable").field("len", &self.len()).finish_non_exhaustive()
    }
}
