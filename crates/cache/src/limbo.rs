//! What was unlinked but may still be seen by a reader.
//!
//! Unlinked things gather in `fresh`. A look at the readers turns them into `waiting`, with the
//! readers that were inside a read at that moment; when those have left, they are free. The look
//! costs a write to every thread's seat, so it is taken once for several things.

use crate::published::Retired;
use crate::readers::{Blocker, Readers};
use crate::table::Table;

/// So many things are gathered at most before a look.
const FRESH_MAX: usize = 64;

/// A thing in limbo.
#[derive(Debug)]
pub(crate) enum Dead {
    /// A retired slot and its weight.
    Slot(u32, u64),
    /// A table that was grown out of.
    Table(Retired<Table>),
}

#[derive(Debug, Default)]
pub(crate) struct Limbo {
    fresh: Vec<Dead>,
    waiting: Vec<Dead>,
    blockers: Vec<Blocker>,
    bytes: u64,
}

impl Limbo {
    /// Adds what the caller has just unlinked.
    pub(crate) fn add(&mut self, dead: Dead) {
        if let Dead::Slot(_, weight) = dead {
            self.bytes += weight;
        }
        self.fresh.push(dead);
    }

    /// Weight of the slots in limbo.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.waiting.is_empty()
    }

    pub(crate) fn memory_usage(&self) -> usize {
        (self.fresh.capacity() + self.waiting.capacity()) * size_of::<Dead>()
            + self.blockers.capacity() * size_of::<Blocker>()
    }

    /// Slots in limbo, for checks.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.fresh.iter().chain(&self.waiting).filter_map(|dead| match dead {
            Dead::Slot(index, _) => Some(*index),
            Dead::Table(_) => None,
        })
    }

    /// Hands `free` what no reader can see any more. Looks at the readers if enough has gathered,
    /// or more than `bytes_max`.
    pub(crate) fn sweep(
        &mut self,
        readers: &'static Readers,
        bytes_max: u64,
        mut free: impl FnMut(Dead),
    ) {
        self.settle(&mut free);
        if self.waiting.is_empty()
            && (self.fresh.len() >= FRESH_MAX || self.bytes > bytes_max)
            && !self.fresh.is_empty()
        {
            if !readers.inside(&mut self.blockers) {
                return; // another time
            }
            std::mem::swap(&mut self.fresh, &mut self.waiting);
            self.settle(&mut free);
        }
    }

    /// Frees what waits if nobody blocks it any more.
    fn settle(&mut self, free: &mut impl FnMut(Dead)) {
        self.blockers.retain(Blocker::blocks);
        if self.blockers.is_empty() {
            for dead in self.waiting.drain(..) {
                if let Dead::Slot(_, weight) = dead {
                    self.bytes -= weight;
                }
                free(dead);
            }
        }
    }

    /// Everything, for an owner without rivals.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Dead> + '_ {
        self.bytes = 0;
        self.fresh.drain(..).chain(self.waiting.drain(..))
    }
}
