//! A memtable on the skip list of `crossbeam-skiplist`: lock-free, an allocation for each node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_skiplist::SkipMap;
use sstable::Trailer;

use super::entry::{Copied, Entry, From, Probe, Stored, Versioned};

/// The map and its size.
#[derive(Debug, Default)]
pub(crate) struct Table {
    map: SkipMap<Stored, Arc<[u8]>>,
    /// Bytes of keys and values.
    data_bytes: AtomicUsize,
}

impl Table {
    /// Inserts an entry; no two have the same key and version.
    pub(super) fn insert(&self, key: &[u8], version: u64, value: &[u8]) {
        self.map.insert(Stored { key: key.into(), version }, value.into());
        // ORDERING: Relaxed; a size publishes nothing.
        self.data_bytes.fetch_add(key.len() + value.len(), Ordering::Relaxed);
    }

    /// The newest version of `key` at or before `version`.
    pub(super) fn get(&self, key: &[u8], version: u64) -> Option<(Trailer, Arc<[u8]>)> {
        let probe: &dyn Versioned = &Probe(key, version);
        let entry = self.map.lower_bound(std::ops::Bound::Included(probe))?;
        let stored = entry.key();
        (*stored.key == *key)
            .then(|| (Trailer::from_raw(stored.version), Arc::clone(entry.value())))
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn data_bytes(&self) -> usize {
        // ORDERING: Relaxed; a size publishes nothing.
        self.data_bytes.load(Ordering::Relaxed)
    }

    /// The smallest and the largest key.
    pub(super) fn key_range(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        Some((self.map.front()?.key().key.to_vec(), self.map.back()?.key().key.to_vec()))
    }
}

type Found<'a> = crossbeam_skiplist::map::Entry<'a, Stored, Arc<[u8]>>;

fn copy(entry: &Found<'_>) -> Entry {
    (entry.key().clone(), Arc::clone(entry.value()))
}

impl Copied for Table {
    fn ascending(&self, from: From<'_>, count: usize, out: &mut Vec<Entry>) {
        let mut entry = self.map.lower_bound(from);
        for _ in 0..count {
            let Some(found) = entry else { return };
            out.push(copy(&found));
            entry = found.next();
        }
    }

    fn descending(&self, from: From<'_>, count: usize, out: &mut Vec<Entry>) {
        let mut entry = self.map.upper_bound(from);
        for _ in 0..count {
            let Some(found) = entry else { return };
            out.push(copy(&found));
            entry = found.prev();
        }
    }
}
