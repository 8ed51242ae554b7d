//! Chooses what a dictionary should hold: the stretches of the samples whose short substrings occur
//! in most of them.
//!
//! The algorithm is COVER (Liao, Petri, Moffat and Wirth, 2016) as zstd's fastCover has it: short
//! substrings are counted by their hash; the samples are cut into epochs, and each gives in turn
//! its best stretch, whose substrings then count no more. What a substring is worth is the number
//! of samples it occurs in, as within one sample the codec finds repetitions by itself.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

/// Bytes of the substrings that are counted.
const SUBSTRING_BYTES: usize = 6;
/// Bytes of each stretch that is chosen.
const STRETCH_BYTES: usize = 200;
/// Times that all epochs are gone through to fill a dictionary.
const ROUNDS: usize = 4;
/// Counts kept at most, a power of two.
const COUNTS_BITS_MAX: u32 = 20;
/// Epochs in a row that have nothing to give before it is given up.
const IDLE_EPOCHS_MAX: usize = 100;

/// Appends at most `bytes_max` bytes to `out`, the most valuable last: there a codec can name them
/// most cheaply. `sizes` says where each sample of `data` ends and the next one begins.
pub(super) fn choose(data: &[u8], sizes: &[usize], bytes_max: usize, out: &mut Vec<u8>) {
    let Some(places) = data.len().checked_sub(WORD - 1) else { return };
    let mut counts = Counts::of(data, sizes);
    let mut window = Window::new(counts.values.len());
    let stretch = STRETCH_BYTES.min(bytes_max);
    let epochs = (bytes_max / stretch.max(1) / ROUNDS).max(1);
    let epoch_places = (places / epochs).max(stretch * 10).min(places).max(1);
    let epochs = (places / epoch_places).max(1);
    let (mut chosen, mut left, mut idle) = (Vec::new(), bytes_max, 0);
    for epoch in (0..epochs).cycle() {
        let from = epoch * epoch_places;
        let to = (from + epoch_places).min(places);
        let best = window.best(data, from..to, stretch, &counts);
        let bytes = best.len().min(left);
        if best.is_empty() {
            idle += 1;
        } else {
            idle = 0;
            counts.forget(data, best.clone());
            chosen.push(best.start..best.start + bytes);
            left -= bytes;
        }
        if left < SUBSTRING_BYTES || idle > IDLE_EPOCHS_MAX.min(epochs) {
            break;
        }
    }
    for stretch in chosen.into_iter().rev() {
        out.extend_from_slice(data.get(stretch).unwrap_or_default());
    }
}

/// Bytes that are read to hash a substring.
const WORD: usize = 8;

/// In how many samples each substring occurs, by its hash.
struct Counts {
    values: Vec<u32>,
    shift: u32,
}

impl Counts {
    fn of(data: &[u8], sizes: &[usize]) -> Self {
        // Four slots a place and more, if that is not too many: few substrings share one.
        let bits = (data.len().max(2).ilog2() + 3).min(COUNTS_BITS_MAX);
        let mut counts = Self { values: vec![0; 1 << bits], shift: u64::BITS - bits };
        let mut last_seen = vec![u32::MAX; 1 << bits];
        let (mut at, mut sample) = (0, 0);
        for size in sizes {
            for place in at..at + size {
                let Some(slot) = counts.slot(data, place) else { break };
                if let (Some(value), Some(last)) =
                    (counts.values.get_mut(slot), last_seen.get_mut(slot))
                    && *last != sample
                {
                    *value += 1;
                    *last = sample;
                }
            }
            at += size;
            sample += 1;
        }
        // What occurs in one sample only is worth nothing to others.
        counts.values.iter_mut().for_each(|value| *value = value.saturating_sub(1));
        counts
    }

    /// Where the count of the substring at `place` is.
    #[inline]
    fn slot(&self, data: &[u8], place: usize) -> Option<usize> {
        let word = u64::from_le_bytes(*data.get(place..)?.first_chunk::<WORD>()?);
        // Multiplicative hashing (Knuth, 1973), the prime is zstd's.
        let hash = (word << (64 - 8 * SUBSTRING_BYTES)).wrapping_mul(227_718_039_650_203);
        usize::try_from(hash >> self.shift).ok()
    }

    fn value(&self, slot: usize) -> u64 {
        self.values.get(slot).copied().map_or(0, u64::from)
    }

    /// Makes the substrings of a stretch worth nothing.
    fn forget(&mut self, data: &[u8], stretch: std::ops::Range<usize>) {
        for place in stretch {
            if let Some(value) = self.slot(data, place).and_then(|slot| self.values.get_mut(slot)) {
                *value = 0;
            }
        }
    }
}

/// A stretch that moves over the data, and what it is worth.
struct Window {
    /// How often each substring occurs in the stretch: it counts once.
    within: Vec<u16>,
}

impl Window {
    fn new(slots: usize) -> Self {
        Self { within: vec![0; slots] }
    }

    /// The stretch of the epoch that is worth most; empty if none is worth anything.
    fn best(
        &mut self,
        data: &[u8],
        epoch: std::ops::Range<usize>,
        stretch: usize,
        counts: &Counts,
    ) -> std::ops::Range<usize> {
        let substrings = (stretch + 1).saturating_sub(SUBSTRING_BYTES).max(1);
        let (mut start, mut worth) = (epoch.start, 0);
        let (mut best, mut best_worth) = (epoch.start..epoch.start, 0);
        for place in epoch.clone() {
            worth += self.enter(counts, counts.slot(data, place));
            if place - start == substrings {
                worth -= self.leave(counts, counts.slot(data, start));
                start += 1;
            }
            if worth > best_worth {
                (best, best_worth) = (start..place + 1, worth);
            }
        }
        for place in start..epoch.end {
            self.leave(counts, counts.slot(data, place));
        }
        let worthless =
            |place: &usize| counts.slot(data, *place).is_none_or(|slot| counts.value(slot) == 0);
        let front = best.clone().take_while(worthless).count();
        let back = best.clone().rev().take_while(worthless).count();
        if best_worth == 0 {
            return epoch.start..epoch.start;
        }
        best.start + front..(best.end - back + SUBSTRING_BYTES - 1).min(data.len())
    }

    #[inline]
    fn enter(&mut self, counts: &Counts, slot: Option<usize>) -> u64 {
        let Some(slot) = slot else { return 0 };
        let Some(within) = self.within.get_mut(slot) else { return 0 };
        *within += 1;
        if *within == 1 { counts.value(slot) } else { 0 }
    }

    #[inline]
    fn leave(&mut self, counts: &Counts, slot: Option<usize>) -> u64 {
        let Some(slot) = slot else { return 0 };
        let Some(within) = self.within.get_mut(slot) else { return 0 };
        *within -= 1;
        if *within == 0 { counts.value(slot) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn noise(random: &mut StdRng, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|_| random.random()).collect()
    }

    fn chosen(samples: &[Vec<u8>], bytes_max: usize) -> Vec<u8> {
        let sizes: Vec<usize> = samples.iter().map(Vec::len).collect();
        let mut out = Vec::new();
        choose(&samples.concat(), &sizes, bytes_max, &mut out);
        assert!(out.len() <= bytes_max);
        out
    }

    #[test]
    fn what_most_samples_share_is_chosen_and_what_one_repeats_is_not() {
        let mut random = StdRng::seed_from_u64(51);
        let shared: Vec<Vec<u8>> = (0..3).map(|_| noise(&mut random, 150)).collect();
        let own = noise(&mut random, 100);
        let mut samples = Vec::new();
        for rank in 0..200 {
            let mut sample = noise(&mut random, 300);
            // The first is in all, the second in half, the third in a tenth of them.
            for (piece, every) in shared.iter().zip([1, 2, 10]) {
                if rank % every == 0 {
                    sample.extend(piece);
                }
                sample.extend(noise(&mut random, 300));
            }
            samples.push(sample);
        }
        samples[77] = own.repeat(50);
        let dictionary = chosen(&samples, 4096);
        // An epoch may end within a piece that stands in it: the middle is there somewhere whole.
        let at = |piece: &[u8]| dictionary.windows(piece.len()).position(|window| window == piece);
        let places: Vec<usize> = shared.iter().map(|piece| at(&piece[30..120]).unwrap()).collect();
        assert!(places[0] > places[1] && places[1] > places[2], "the best last: {places:?}");
        assert_eq!(at(&own[..50]), None);
        assert_eq!(chosen(&samples, 4096), dictionary, "equal samples, equal dictionaries");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert!(chosen(&[], 1000).is_empty());
        assert!(chosen(&[vec![1; 7]], 1000).is_empty());
        let samples: Vec<Vec<u8>> = (0..50).map(|_| b"all of them alike".to_vec()).collect();
        for bytes_max in [0, 1, 5, 6, 100, 199, 200, 201, 1 << 20] {
            chosen(&samples, bytes_max);
        }
    }
}
