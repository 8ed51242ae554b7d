//! [`Allowance`]: what cursors hold beside the cache, and how far ahead they may read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory that cursors share: each is charged for the largest block it has stood on and for what
/// it reads ahead. A cursor always gets its block; where no more is allowed, it reads no further
/// ahead than it did, or not at all.
///
/// Changes when a cursor begins, reads further ahead, meets a larger block, and ends: not with each
/// step.
#[derive(Debug)]
#[repr(align(64))]
pub struct Allowance {
    held: AtomicU64,
    limit: AtomicU64,
}

impl Allowance {
    /// An allowance of `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: u64) -> Self {
        Self { held: AtomicU64::new(0), limit: AtomicU64::new(limit_bytes) }
    }

    /// Bytes that cursors hold now.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        // ORDERING: Relaxed, here and below; numbers that steer, and publish nothing.
        self.held.load(Ordering::Relaxed)
    }

    /// Allows `bytes` from now on; what is held stays.
    pub fn set_limit(&self, bytes: u64) {
        // ORDERING: Relaxed; as above.
        self.limit.store(bytes, Ordering::Relaxed);
    }
}

/// A cursor's part of an [`Allowance`], given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    of: Option<Arc<Allowance>>,
    block_bytes: usize,
    ahead_bytes: usize,
}

impl Hold {
    pub(crate) fn new(of: Arc<Allowance>) -> Self {
        Self { of: Some(of), ..Self::default() }
    }

    /// Takes note of a block of `bytes`.
    #[inline]
    pub(crate) fn block(&mut self, bytes: usize) {
        if bytes > self.block_bytes {
            self.grow(bytes - self.block_bytes);
            self.block_bytes = bytes;
        }
    }

    /// Whether `bytes` may be read ahead.
    pub(crate) fn may_read_ahead(&self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.ahead_bytes) as u64;
        self.of.as_ref().is_none_or(|of| {
            // ORDERING: Relaxed; cursors that ask at the same time may go beyond it a little.
            more == 0 || of.held_bytes().saturating_add(more) <= of.limit.load(Ordering::Relaxed)
        })
    }

    /// Takes note of a buffer of `bytes` for what is read ahead.
    pub(crate) fn ahead(&mut self, bytes: usize) {
        if bytes > self.ahead_bytes {
            self.grow(bytes - self.ahead_bytes);
            self.ahead_bytes = bytes;
        }
    }

    fn grow(&self, bytes: usize) {
        if let Some(of) = &self.of {
            // ORDERING: Relaxed; as in `Allowance`.
            of.held.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let bytes = (self.block_bytes + self.ahead_bytes) as u64;
        if let Some(of) = &self.of
            && bytes > 0
        {
            // ORDERING: Relaxed; as in `Allowance`.
            of.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}
