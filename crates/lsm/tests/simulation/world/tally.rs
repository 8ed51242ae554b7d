//! What happened in a world, in numbers.

use std::collections::BTreeMap;
use std::fmt;

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Failed,
    /// The power went on the way.
    Cut,
}

/// What happened, in numbers.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) operations: u64,
    pub(crate) kills: u64,
    pub(crate) power_cuts: u64,
    pub(crate) cuts_in_recovery: u64,
    pub(crate) faults: u64,
    pub(crate) calls: u64,
    /// How often each kind of operation was done, failed and was cut.
    kinds: BTreeMap<&'static str, [u64; 3]>,
    /// Of everything that was done and seen.
    pub(crate) trace: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.cuts_in_recovery += other.cuts_in_recovery;
        self.faults += other.faults;
        self.calls += other.calls;
        for (kind, fates) in &other.kinds {
            let sums = self.kinds.entry(kind).or_default();
            sums.iter_mut().zip(fates).for_each(|(sum, more)| *sum += more);
        }
    }

    pub(super) fn count(&mut self, kind: &'static str, fate: Fate) {
        self.kinds.entry(kind).or_default()[fate as usize] += 1;
    }

    /// The kind of operation that was done least often, and how often; 0 for one of `expected`
    /// that never was.
    pub(crate) fn rarest(&self, expected: &[&'static str]) -> Option<(&'static str, u64)> {
        let done = |kind: &&'static str| (*kind, self.kinds.get(kind).map_or(0, |fates| fates[0]));
        expected.iter().map(done).min_by_key(|(_, done)| *done)
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations, {} calls, {} power cuts while running and {} while opening, {} killed \
             processes, {} faults; done (failed, cut):",
            self.operations,
            self.calls,
            self.power_cuts,
            self.cuts_in_recovery,
            self.kills,
            self.faults
        )?;
        for (kind, [done, failed, cut]) in &self.kinds {
            write!(f, " {kind} {done} ({failed}, {cut}),")?;
        }
        write!(f, " trace {:016x}", self.trace)
    }
}
