//! Which shard a thread uses: a small number that the thread holds while it lives.
//!
//! Invariants
//! 1. A number below [`HELD_MAX`] is held by one thread at a time. It goes back when its thread
//!    ends, so that it does not matter how many threads come and go, and what the thread did comes
//!    before what the next holder does.
//! 2. `HELD_MAX` itself stands for all other threads (when more than that many live, or while a
//!    thread's locals are being destroyed): what it chooses must be safe to share.

#[cfg(not(loom))]
pub(crate) use held::current;

/// Under loom the first thread to ask holds 0 and all others are 1, so that a list with one shard
/// has an owner of a lane of its gate and others that share one. (The arena and the fingers of
/// such a list are shared by all: the case with the most interleavings.)
#[cfg(loom)]
pub(crate) fn current() -> usize {
    TOKEN.with(|token| *token)
}

#[cfg(loom)]
loom::lazy_static! {
    static ref TAKEN: crate::sync::AtomicUsize = crate::sync::AtomicUsize::new(0);
}

#[cfg(loom)]
loom::thread_local! {
    // ORDERING: Relaxed: only tells the first from the others.
    static TOKEN: usize = TAKEN.fetch_add(1, crate::sync::Ordering::Relaxed).min(1);
}

/// Numbers handed out at one time.
#[cfg(not(loom))]
const HELD_MAX: usize = 1024;

#[cfg(not(loom))]
mod held {
    use super::HELD_MAX;
    use std::sync::atomic::{AtomicU64, Ordering};

    static HELD: [AtomicU64; HELD_MAX / 64] = [const { AtomicU64::new(0) }; HELD_MAX / 64];

    /// A number taken from [`HELD`], given back on drop.
    struct Token(usize);

    impl Token {
        fn take() -> Self {
            for (rank, word) in HELD.iter().enumerate() {
                // ORDERING: Acquire: what the former holder did alone comes before; pairs with the
                // Release in `drop`.
                let taken = word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |bits| {
                    (bits != u64::MAX).then(|| bits | (bits + 1))
                });
                if let Ok(bits) = taken {
                    return Self(rank * 64 + bits.trailing_ones() as usize);
                }
            }
            Self(HELD_MAX)
        }
    }

    impl Drop for Token {
        fn drop(&mut self) {
            if let Some(word) = HELD.get(self.0 / 64) {
                // ORDERING: Release: see `take`.
                word.fetch_and(!(1 << (self.0 % 64)), Ordering::Release);
            }
        }
    }

    thread_local! {
        static TOKEN: Token = Token::take();
    }

    /// The calling thread's number, below [`HELD_MAX`] + 1.
    #[inline]
    pub(crate) fn current() -> usize {
        TOKEN.try_with(|token| token.0).unwrap_or(HELD_MAX)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_word_of_living_threads_hold_different_numbers() {
        let barrier = std::sync::Barrier::new(150);
        let mut held: Vec<usize> = std::thread::scope(|scope| {
            let hold = || {
                let token = current();
                barrier.wait();
                token
            };
            let threads: Vec<_> = (0..150).map(|_| scope.spawn(hold)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        held.sort_unstable();
        held.dedup();
        assert_eq!(held.len(), 150);
    }

    #[test]
    fn living_threads_hold_different_numbers_and_dead_ones_give_them_back() {
        let mine = current();
        assert_eq!(mine, current());
        let barrier = std::sync::Barrier::new(8);
        let mut held: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let token = current();
                        barrier.wait();
                        token
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        held.push(mine);
        held.sort_unstable();
        held.dedup();
        assert_eq!(held.len(), 9);
        // Far more threads than numbers, one after the other: numbers are reused.
        for _ in 0..2 * HELD_MAX {
            assert!(std::thread::spawn(current).join().unwrap() < HELD_MAX);
        }
    }
}
