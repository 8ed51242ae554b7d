//! Hashes of entries lately evicted from the trial queue: a second miss shows one is wanted.
//!
//!   set := 4 * word,  word := age stamp: u32 << 32 | key hash: u32,  0 = empty
//!
//! A word counts while fewer than `window` hashes were added after it. Within a full set the oldest
//! word gives way, which forgets some hashes early; there are a quarter more words than the window.

const WAYS: usize = 4;

/// A bounded, forgetful set of 32-bit hashes.
#[derive(Debug)]
pub(crate) struct Ghost {
    words: Vec<u64>,
    /// Stamp of the next hash. Starts at 1, so that no word is 0.
    now: u32,
    window: u32,
}

impl Ghost {
    pub(crate) fn new() -> Self {
        Self { words: vec![0; WAYS], now: 1, window: 1 }
    }

    /// Remembers the last `window` hashes from now on.
    pub(crate) fn set_window(&mut self, window: u32) {
        self.window = window.max(1);
        let wanted = (self.window as usize + self.window as usize / 4).next_multiple_of(WAYS);
        if wanted > self.words.len() || wanted < self.words.len() / 2 {
            let old = std::mem::replace(&mut self.words, vec![0; wanted]);
            for word in old {
                if self.counts(word) {
                    self.put(word);
                }
            }
        }
    }

    pub(crate) fn add(&mut self, hash: u32) {
        self.put(u64::from(self.now) << 32 | u64::from(hash));
        self.now = self.now.checked_add(1).unwrap_or_else(|| {
            self.words.fill(0); // once in four thousand million evictions
            1
        });
    }

    /// Forgets `hash` and says whether it was remembered.
    pub(crate) fn take(&mut self, hash: u32) -> bool {
        let range = self.set(hash);
        for at in range {
            let word = self.words[at];
            if word & 0xffff_ffff == u64::from(hash) && self.counts(word) {
                self.words[at] = 0;
                return true;
            }
        }
        false
    }

    pub(crate) fn clear(&mut self) {
        self.words.fill(0);
    }

    pub(crate) fn memory_usage(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    fn counts(&self, word: u64) -> bool {
        word != 0 && u64::from(self.now) - (word >> 32) <= u64::from(self.window)
    }

    fn put(&mut self, word: u64) {
        let range = self.set((word & 0xffff_ffff) as u32);
        if let Some(oldest) = self.words[range].iter_mut().min() {
            *oldest = word; // an empty word is the smallest
        }
    }

    fn set(&self, hash: u32) -> std::ops::Range<usize> {
        // High bits by multiplication: shards and table buckets have used up the low ones.
        let sets = (self.words.len() / WAYS) as u64;
        let set = ((u64::from(hash.wrapping_mul(0x9e37_79b1)) * sets) >> 32) as usize;
        set * WAYS..(set + 1) * WAYS
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Ghost;

    #[test]
    fn remembers_the_window_and_forgets_what_is_older() {
        let mut ghost = Ghost::new();
        ghost.set_window(1000);
        for n in 0..3000_u32 {
            ghost.add(n.wrapping_mul(0x85eb_ca6b));
        }
        let remembered = |ghost: &mut Ghost, range: std::ops::Range<u32>| {
            range.filter(|n| ghost.take(n.wrapping_mul(0x85eb_ca6b))).count()
        };
        assert_eq!(remembered(&mut ghost, 0..2000), 0);
        let kept = remembered(&mut ghost, 2000..3000);
        assert!(kept > 900, "only {kept} of 1000 kept");
        assert_eq!(remembered(&mut ghost, 2000..3000), 0, "taken is forgotten");
    }

    #[test]
    fn survives_growth_and_the_end_of_its_clock() {
        let mut ghost = Ghost::new();
        ghost.set_window(8);
        (0..8).for_each(|n| ghost.add(n));
        ghost.set_window(5000);
        assert!((0..8).filter(|&n| ghost.take(n)).count() >= 7);
        ghost.now = u32::MAX - 2;
        (100..110).for_each(|n| ghost.add(n));
        assert!(ghost.take(109) && ghost.now < 100);
        ghost.clear();
        assert!(!ghost.take(108));
    }
}
