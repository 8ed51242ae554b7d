//! One file's bytes: as reads see them, as the medium has them, and the changes between.

use std::cmp::Ordering;
use std::io;

use super::DataLoss;
use crate::random::Random;

/// What the medium writes whole, in bytes.
const SECTOR_BYTES: usize = 512;

/// What a processor stores whole, in bytes: the smallest step of a torn store.
const WORD_BYTES: usize = 8;

/// A file's contents.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// What changed since the last sync, in order.
    pending: Vec<Change>,
    /// Space is taken up to here, though nothing may be written there yet.
    reserved: usize,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize { bytes: usize },
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*offset..end].copy_from_slice(bytes);
            }
            Self::Resize { bytes } => file.resize(*bytes, 0),
        }
    }

    /// The first part of a change that was cut.
    fn torn(&self, random: &mut Random) -> Option<Self> {
        let Self::Write { offset, bytes } = self else { return None };
        let step = if random.below(2) == 0 { SECTOR_BYTES } else { WORD_BYTES };
        let end = (offset + random.below(bytes.len() + 1)) / step * step;
        let kept = bytes.get(..end.checked_sub(*offset)?)?.to_vec();
        Some(Self::Write { offset: *offset, bytes: kept })
    }
}

impl Content {
    /// What reads see.
    pub(super) fn written(&self) -> &[u8] {
        &self.written
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.change(Change::Write { offset, bytes: bytes.to_vec() });
        }
    }

    /// What it takes of the disk.
    pub(super) fn used_bytes(&self) -> u64 {
        self.written.len().max(self.reserved) as u64
    }

    /// What `bytes` more at the end would take beside that.
    pub(super) fn space_for(&self, bytes: usize) -> u64 {
        ((self.written.len() + bytes) as u64).saturating_sub(self.used_bytes())
    }

    /// Takes space for `bytes` behind the end.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.reserved = self.reserved.max(self.written.len() + bytes);
    }

    pub(super) fn resize(&mut self, bytes: u64) {
        self.reserved = 0;
        self.change(Change::Resize { bytes: usize::try_from(bytes).expect("fits memory") });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.written);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    pub(super) fn lose_unsynced(&mut self) {
        self.pending.clear();
    }

    pub(super) fn flip(&mut self, offset: u64, mask: u8) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        *self.written.get_mut(at).ok_or(io::ErrorKind::InvalidInput)? ^= mask;
        if let Some(byte) = self.durable.get_mut(at) {
            *byte ^= mask;
        }
        for change in &mut self.pending {
            if let Change::Write { offset, bytes } = change
                && let Some(byte) = at.checked_sub(*offset).and_then(|at| bytes.get_mut(at))
            {
                *byte ^= mask;
            }
        }
        Ok(())
    }

    /// The file after a crash: after a power cut, what it has is on the medium.
    pub(super) fn after_crash(&self, random: &mut Random, loss: DataLoss) -> Self {
        let left = match loss {
            DataLoss::Nothing => return self.clone(),
            DataLoss::Unsynced => self.durable.clone(),
            DataLoss::Torn => self.torn(random),
            DataLoss::Reordered => self.reordered(random),
        };
        Self { written: left.clone(), durable: left, ..Self::default() }
    }

    fn torn(&self, random: &mut Random) -> Vec<u8> {
        let mut file = self.durable.clone();
        let kept = random.below(self.pending.len() + 1);
        self.pending[..kept].iter().for_each(|change| change.apply(&mut file));
        if let Some(cut) = self.pending.get(kept).and_then(|change| change.torn(random)) {
            cut.apply(&mut file);
        }
        file
    }

    fn reordered(&self, random: &mut Random) -> Vec<u8> {
        let changes = self.pending.len();
        // The length has its own moment; the sectors within it have theirs.
        let mut length = self.durable.len();
        let kept = random.below(changes + 1);
        for change in &self.pending[..kept] {
            length = match change {
                Change::Write { offset, bytes } => length.max(offset + bytes.len()),
                Change::Resize { bytes } => *bytes,
            };
        }
        let longest = length.max(self.written.len()).max(self.durable.len());
        // Some cuts lose nearly everything, some nearly nothing: a single hole is the hard case.
        let late = [0, 50, 90, 99][random.below(4)];
        let mut moment = || {
            if random.below(100) < late { changes } else { random.below(changes + 1) }
        };
        let moments: Vec<usize> = (0..longest.div_ceil(SECTOR_BYTES)).map(|_| moment()).collect();
        let mut file = self.durable.clone();
        let filler = if random.below(4) == 0 { random.next().to_le_bytes()[0] } else { 0 };
        file.resize(longest, filler);
        for (i, change) in self.pending.iter().enumerate() {
            match change {
                Change::Resize { bytes } => {
                    let grown = self.durable.len().max(*bytes).min(longest);
                    zero_sectors(&mut file, *bytes..grown, |sector| i < moments[sector]);
                }
                Change::Write { offset, bytes } => {
                    let mut until = |sector: usize| match i.cmp(&moments[sector]) {
                        Ordering::Less => SECTOR_BYTES,
                        Ordering::Equal if random.below(2) == 0 => torn_sector(random),
                        _ => 0,
                    };
                    write_sectors(&mut file, *offset, bytes, &mut until);
                }
            }
        }
        file.truncate(length);
        file
    }
}

/// Where a store was cut within a sector.
fn torn_sector(random: &mut Random) -> usize {
    random.below(SECTOR_BYTES) / WORD_BYTES * WORD_BYTES
}

/// Copies `bytes` to `offset`, in each sector only up to the place within it that `until` says.
fn write_sectors(
    file: &mut [u8],
    offset: usize,
    bytes: &[u8],
    until: &mut dyn FnMut(usize) -> usize,
) {
    let end = offset + bytes.len();
    let mut at = offset;
    while at < end {
        let sector = at / SECTOR_BYTES;
        let next = ((sector + 1) * SECTOR_BYTES).min(end);
        let stop = (sector * SECTOR_BYTES + until(sector)).min(next);
        if stop > at {
            file[at..stop].copy_from_slice(&bytes[at - offset..stop - offset]);
        }
        at = next;
    }
}

fn zero_sectors(file: &mut [u8], place: std::ops::Range<usize>, reached: impl Fn(usize) -> bool) {
    for at in place {
        if reached(at / SECTOR_BYTES) {
            file[at] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [DataLoss; 3] = [DataLoss::Unsynced, DataLoss::Torn, DataLoss::Reordered];

    #[test]
    fn synced_bytes_survive_everything() {
        let mut content = Content::default();
        content.write(0, &[7; 5000]);
        content.sync();
        content.write(5000, &[8; 3000]);
        for seed in 0..200 {
            for mode in MODES {
                let file = content.after_crash(&mut Random::new(seed), mode).written;
                assert!(file.len() >= 5000 && file.len() <= 8000, "{mode:?}");
                assert!(file[..5000] == [7; 5000], "{mode:?}, seed {seed}");
            }
        }
    }

    #[test]
    fn an_overwritten_sector_is_old_or_new_word_by_word() {
        let mut content = Content::default();
        content.write(0, &[1; 4096]);
        content.sync();
        content.write(512, &[2; 1024]);
        let (mut old, mut new, mut torn, mut holes) = (false, false, false, false);
        for seed in 0..300 {
            let file = content.after_crash(&mut Random::new(seed), DataLoss::Reordered).written;
            assert_eq!(file.len(), 4096);
            assert!(file.iter().all(|byte| *byte == 1 || *byte == 2));
            assert!(file[..512].iter().chain(&file[1536..]).all(|byte| *byte == 1));
            assert!(file.chunks(8).all(|word| word.iter().all(|byte| *byte == word[0])));
            let (first, second) = (&file[512..1024], &file[1024..1536]);
            old |= first == [1; 512] && second == [1; 512];
            new |= first == [2; 512] && second == [2; 512];
            torn |= first.contains(&1) && first.contains(&2);
            holes |= first == [1; 512] && second == [2; 512];
        }
        assert!(old && new && torn && holes, "every kind of outcome is met");
    }

    #[test]
    fn torn_changes_keep_their_order() {
        let mut content = Content::default();
        for n in 0..10_u8 {
            content.write(usize::from(n) * 600, &[n + 1; 600]);
        }
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let file = content.after_crash(&mut Random::new(seed), DataLoss::Torn).written;
            assert!(file == content.written()[..file.len()], "a prefix");
            lengths.insert(file.len());
        }
        assert!(lengths.contains(&0) && lengths.contains(&6000) && lengths.len() > 20);
    }

    #[test]
    fn a_failed_sync_loses_what_reads_still_show() {
        let mut content = Content::default();
        content.write(0, &[1; 10]);
        content.lose_unsynced();
        content.write(10, &[2; 10]);
        content.sync();
        assert_eq!(content.written()[..10], [1; 10]);
        let file = content.after_crash(&mut Random::new(1), DataLoss::Unsynced).written;
        assert_eq!((&file[..10], &file[10..]), (&[0_u8; 10][..], &[2_u8; 10][..]));
    }

    #[test]
    fn rot_reaches_the_medium() {
        let mut content = Content::default();
        content.write(0, &[0; 4]);
        content.sync();
        content.write(4, &[0; 4]);
        content.flip(1, 8).unwrap();
        content.flip(6, 1).unwrap();
        assert!(content.flip(8, 1).is_err());
        content.sync();
        let file = content.after_crash(&mut Random::new(1), DataLoss::Unsynced).written;
        assert_eq!((content.written(), &*file), (&[0, 8, 0, 0, 0, 0, 1, 0][..], content.written()));
    }
}
