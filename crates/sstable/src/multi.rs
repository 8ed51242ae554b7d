//! Many point reads at once: each filter, index and block is visited once.

use crate::error::Result;
use crate::format::Handle;
use crate::key::Trailer;
use crate::table::{Block, Table};
use crate::value::{Found, kept};

/// A key to be read by [`Table::get_many`].
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The user key.
    pub key: &'a [u8],
    /// `bloom::hash_key(key)`.
    pub hash: u64,
    /// The newest trailer that may answer.
    pub at: Trailer,
}

impl<'a> Wanted<'a> {
    /// Wants the newest version of `key` at or before `at` in age.
    #[must_use]
    pub fn new(key: &'a [u8], at: Trailer) -> Self {
        Self { key, hash: bloom::hash_key(key), at }
    }
}

/// A key and the block it may be in.
#[derive(Clone, Copy)]
struct Visit {
    handle: Handle,
    /// Rank among the keys wanted.
    rank: usize,
}

impl Table {
    /// Reads many keys: `answers[i]` is what [`Table::get`] would answer for `wanted[i]`, in any
    /// order of keys. Each block is read and looked up once, in the order of the file.
    ///
    /// # Errors
    /// As [`Table::get`]; then there is no answer at all.
    pub fn get_many(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Found>>> {
        let mut answers = Vec::new();
        answers.resize_with(wanted.len(), || None);
        let mut visits = self.plan(wanted)?;
        visits.sort_unstable_by_key(|visit| (visit.handle.offset, visit.rank));
        for group in visits.chunk_by(|a, b| a.handle.offset == b.handle.offset) {
            let Some(first) = group.first() else { continue };
            let block = self.data_block(first.handle, true)?;
            for visit in group {
                let Wanted { key, hash, at } = wanted[visit.rank];
                let wanted = (key, hash, at);
                answers[visit.rank] = self.find_in(&block, visit.handle, wanted, kept)?;
            }
        }
        Ok(answers)
    }

    /// Finds the block of each key that the filters let pass.
    fn plan(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Visit>> {
        let mut ranks: Vec<(usize, usize)> = wanted
            .iter()
            .enumerate()
            .filter_map(|(rank, wanted)| Some((self.top().find(wanted.key)?, rank)))
            .collect();
        ranks.sort_unstable();
        let mut visits = Vec::with_capacity(ranks.len());
        for group in ranks.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(part, _)) = group.first() else { continue };
            let pass = self.filter_many(part, group, wanted)?;
            if !pass.contains(&true) {
                continue;
            }
            let held = self.index(part)?;
            let Some(index) = held.index() else { continue };
            for (&(_, rank), _) in group.iter().zip(pass).filter(|(_, pass)| *pass) {
                let place = index.find(wanted[rank].key, wanted[rank].at);
                let handle = place.and_then(|place| index.handle(place));
                visits.extend(handle.map(|handle| Visit { handle, rank }));
            }
        }
        Ok(visits)
    }

    /// Asks a partition's filter about all of its keys in one go.
    fn filter_many(
        &self,
        part: usize,
        group: &[(usize, usize)],
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<bool>> {
        let mut pass = vec![true; group.len()];
        let block = self.filter_of(part)?;
        if let Some(filter) = block.as_ref().and_then(Block::filter) {
            let hashes: Vec<u64> = group.iter().map(|(_, rank)| wanted[*rank].hash).collect();
            filter.may_contain_hashes(&hashes, &mut pass);
        }
        Ok(pass)
    }
}
