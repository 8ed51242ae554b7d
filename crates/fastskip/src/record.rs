//! Records: one entry each, written once, never changed.
//!
//! ```text
//! record := [stamp: u32] | version: u64 | key_bytes: u32 | value_bytes: u32 | key | value
//! ```
//! 4-byte aligned; a record's place is that of its version. Only the records of a list made for
//! [`ConcurrentSkipList`](crate::ConcurrentSkipList) have a stamp, the only part that changes.
//!
//! Invariant: a [`RecordPlace`] names a record that was wholly written before the place was
//! published, in the arena it is used with. (Places come from [`Arena::add_record`] and travel only
//! through the words of nodes of the same list.)
#![expect(unsafe_code, reason = "reads and writes records in arena memory")]

use crate::arena::{Arena, GRANULE, Purpose};
use crate::chunk::LINE;
use crate::error::InsertError;
use crate::sync::{AtomicU32, prefetch_write};
use std::marker::PhantomData;

#[cfg(not(loom))]
pub(crate) const HEADER_BYTES: usize = 16;
/// Under loom a record also carries what loom watches.
#[cfg(loom)]
pub(crate) const HEADER_BYTES: usize = 16 + size_of::<Watch>() + align_of::<Watch>();

/// A read of the cell that is not ordered after its write is a reported race; the stamp is loom's
/// own atomic, and stands here instead of before the header.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Watch {
    cell: loom::cell::UnsafeCell<()>,
    stamp: AtomicU32,
}

/// Where a record is; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordPlace(pub(crate) u32);

/// A record in the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    start: *const u8,
    lifetime: PhantomData<&'a Arena>,
}

/// An entry of a list, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The version.
    pub version: u64,
    /// The value.
    pub value: &'a [u8],
}

/// Whether the records of a list have a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamps {
    Without,
    With,
}

/// Lines ahead of a new record that are asked for: about its own length, three records away.
const AHEAD_LINES: std::ops::Range<usize> = 6..9;

/// Granules of a stamp.
const STAMP_GRANULES: u32 = 1;
const _: () = assert!(STAMP_GRANULES as usize * GRANULE == size_of::<u32>());

impl Stamps {
    fn granules(self) -> u32 {
        match self {
            Self::Without => 0,
            Self::With => STAMP_GRANULES,
        }
    }

    /// Bytes of a record.
    pub(crate) fn record_bytes(self, key: &[u8], value: &[u8]) -> usize {
        self.granules() as usize * GRANULE + HEADER_BYTES + key.len() + value.len()
    }
}

impl Arena {
    /// Writes a record, with `stamp` if the arena's records have stamps.
    ///
    /// # Errors
    /// As [`Arena::alloc`].
    #[inline]
    pub(crate) fn add_record(
        &self,
        shard: usize,
        stamp: u32,
        entry: Entry<'_>,
    ) -> Result<RecordPlace, InsertError> {
        let Entry { key, version, value } = entry;
        let too_large = |_| InsertError::TooLarge;
        let key_bytes = u32::try_from(key.len()).map_err(too_large)?;
        let value_bytes = u32::try_from(value.len()).map_err(too_large)?;
        let stamps = self.stamps();
        let place = self.alloc(shard, Purpose::Record, stamps.record_bytes(key, value))?;
        if stamps == Stamps::With {
            // SAFETY: the first 4 bytes at `place` were just handed out to us.
            unsafe { self.address(place).cast::<u32>().write_unaligned(stamp) };
        }
        let place = place + stamps.granules();
        let start = self.address(place);
        // The records to come follow this one: have their lines before they are written. (What
        // lies beyond the slice is asked for in vain, once a slice.)
        for line in AHEAD_LINES {
            prefetch_write(start.cast_const().wrapping_add(line * LINE));
        }
        let lengths = u64::from(value_bytes) << 32 | u64::from(key_bytes);
        // SAFETY: the 16 bytes at `start` were just handed out to us.
        unsafe { start.cast::<[u64; 2]>().write_unaligned([version, lengths]) };
        #[cfg(loom)]
        watch(start, |cell| {
            let (new, stamp) = (loom::cell::UnsafeCell::new(()), AtomicU32::new(stamp));
            // SAFETY: the cell lies in the header, which was just handed out to us.
            unsafe { cell.write(Watch { cell: new, stamp }) };
            // SAFETY: written the line before.
            unsafe { &*cell }.cell.with_mut(|_| ());
        });
        // SAFETY: `alloc` gave room for header, key and value.
        let key_start = unsafe { start.add(HEADER_BYTES) };
        // SAFETY: as above; fresh memory does not overlap the caller's slice.
        unsafe { key_start.copy_from_nonoverlapping(key.as_ptr(), key.len()) };
        // SAFETY: as above.
        let value_start = unsafe { key_start.add(key.len()) };
        // SAFETY: as above.
        unsafe { value_start.copy_from_nonoverlapping(value.as_ptr(), value.len()) };
        Ok(RecordPlace(place))
    }

    /// Takes back a record that was never published.
    pub(crate) fn take_record_back(
        &self,
        shard: usize,
        place: RecordPlace,
        key: &[u8],
        value: &[u8],
    ) {
        let stamps = self.stamps();
        let place = place.0 - stamps.granules();
        self.take_back(shard, Purpose::Record, place, stamps.record_bytes(key, value));
    }

    /// The record at `place`.
    #[inline]
    pub(crate) fn record(&self, place: RecordPlace) -> Record<'_> {
        let start = self.address(place.0).cast_const();
        #[cfg(loom)]
        watch(start.cast_mut(), |cell| {
            // SAFETY: written in `add_record` before the place was published.
            unsafe { &*cell }.cell.with(|_| ());
        });
        Record { start, lifetime: PhantomData }
    }
}

#[cfg(loom)]
fn watch<T>(start: *mut u8, act: impl FnOnce(*mut Watch) -> T) -> T {
    let cell = start.wrapping_add(16);
    act(cell.wrapping_add(cell.align_offset(align_of::<Watch>())).cast())
}

impl<'a> Record<'a> {
    /// The record's stamp. Only for lists whose records have stamps.
    #[cfg(loom)]
    pub(crate) fn stamp(self) -> &'a AtomicU32 {
        // SAFETY: written in `add_record` before the place was published; the arena, borrowed for
        // 'a, keeps it.
        watch(self.start.cast_mut(), |watch| unsafe { &(*watch).stamp })
    }

    /// The record's stamp. Only for lists whose records have stamps.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn stamp(self) -> &'a AtomicU32 {
        // SAFETY: in such a list, a stamp stands before the header (see the module's picture).
        let stamp = unsafe { self.start.sub(size_of::<u32>()) };
        // SAFETY: 4-byte aligned as all places are, written before the record was published, and
        // only used as an atomic since; the arena, borrowed for 'a, keeps it.
        unsafe { AtomicU32::from_ptr(stamp.cast_mut().cast()) }
    }

    #[inline]
    pub(crate) fn version(self) -> u64 {
        // SAFETY: the module's invariant: a written header is at `start`.
        unsafe { self.start.cast::<u64>().read_unaligned() }
    }

    /// Bytes of key and value.
    #[inline]
    fn lengths(self) -> (usize, usize) {
        // SAFETY: the module's invariant: a written header is at `start`, 16 bytes long.
        let at = unsafe { self.start.add(8) };
        // SAFETY: as above.
        let lengths = unsafe { at.cast::<u64>().read_unaligned() };
        ((lengths & 0xffff_ffff) as usize, (lengths >> 32) as usize)
    }

    #[inline]
    pub(crate) fn key(self) -> &'a [u8] {
        let (key_bytes, _) = self.lengths();
        // SAFETY: the module's invariant: the key follows the header.
        let start = unsafe { self.start.add(HEADER_BYTES) };
        // SAFETY: as above; never written again, and the arena, borrowed for 'a, keeps it.
        unsafe { std::slice::from_raw_parts(start, key_bytes) }
    }

    #[inline]
    pub(crate) fn value(self) -> &'a [u8] {
        let (key_bytes, value_bytes) = self.lengths();
        // SAFETY: the module's invariant: the value follows the key.
        let start = unsafe { self.start.add(HEADER_BYTES + key_bytes) };
        // SAFETY: as in `key`.
        unsafe { std::slice::from_raw_parts(start, value_bytes) }
    }

    #[inline]
    pub(crate) fn entry(self) -> Entry<'a> {
        Entry { key: self.key(), version: self.version(), value: self.value() }
    }
}
