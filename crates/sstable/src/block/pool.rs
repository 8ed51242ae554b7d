//! Memory for blocks, used again: what one thread's block leaves, the next block of any thread
//! gets.
//!
//! An allocator with an arena for each thread keeps what was freed for that thread. Blocks come by
//! one thread and go by another, as a cache evicts them, so that every arena grew to the most that
//! its thread had ever brought in: under a budget of 32 MiB, three threads that read a cache of
//! 8 MiB held 10 MiB that were free. And memory that was just in use needs no zeros.
//!
//! 1. Pieces are [`STEP_BYTES`] apart in size. A block lies at the end of its piece.
//! 2. What waits is bounded, for each size; where two threads meet, one of them asks the allocator.

use std::sync::{Arc, Mutex};

/// Pieces have sizes that are multiples of this, in bytes.
const STEP_BYTES: usize = 256;

/// Longer blocks are the allocator's alone, in bytes.
const PIECE_BYTES_MAX: usize = 16 << 10;

/// Sizes of pieces.
const SIZES: usize = PIECE_BYTES_MAX / STEP_BYTES;

/// Bytes of pieces of one size that wait at most.
const WAITING_BYTES_MAX: usize = 64 << 10;

type Pieces = Mutex<Vec<Arc<[u8]>>>;

/// What waits, by size.
static WAITING: [Pieces; SIZES] = [const { Mutex::new(Vec::new()) }; SIZES];

/// Those of the size of a piece of `bytes`, if there is such a size.
fn waiting(bytes: usize) -> Option<&'static Pieces> {
    let whole = bytes > 0 && bytes.is_multiple_of(STEP_BYTES);
    WAITING.get((bytes / STEP_BYTES).wrapping_sub(1)).filter(|_| whole)
}

/// A piece of `bytes` at least, that nobody else knows; what is in it, nobody knows either.
pub(crate) fn take(bytes: usize) -> Arc<[u8]> {
    let bytes = match bytes {
        0..=PIECE_BYTES_MAX => bytes.next_multiple_of(STEP_BYTES),
        _ => bytes,
    };
    let used = waiting(bytes).and_then(|pieces| pieces.try_lock().ok()?.pop());
    used.unwrap_or_else(|| std::iter::repeat_n(0, bytes).collect())
}

/// Gives up a share of a piece; the last one leaves it to the next block.
#[inline]
pub(crate) fn give(piece: Arc<[u8]>) {
    if Arc::strong_count(&piece) == 1 {
        keep(piece);
    }
}

fn keep(piece: Arc<[u8]>) {
    let bytes = piece.len();
    if let Some(pieces) = waiting(bytes)
        && let Ok(mut pieces) = pieces.try_lock()
        && pieces.len() * bytes < WAITING_BYTES_MAX
    {
        pieces.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_used_again_by_whoever_comes_next() {
        // A size that no other test's blocks have.
        let bytes = PIECE_BYTES_MAX - STEP_BYTES + 1;
        let piece = take(bytes);
        assert_eq!(piece.len(), PIECE_BYTES_MAX);
        let (address, other) = (piece.as_ptr() as usize, Arc::clone(&piece));
        give(piece);
        assert_ne!(take(bytes).as_ptr() as usize, address, "it is shared still");
        std::thread::spawn(move || give(other)).join().unwrap();
        assert_eq!(take(bytes).as_ptr() as usize, address);
    }

    #[test]
    fn long_ones_and_odd_ones_are_not_kept_and_not_too_many_of_any() {
        let bytes = PIECE_BYTES_MAX - STEP_BYTES;
        let many: Vec<_> = (0..100).map(|_| take(bytes)).collect();
        many.into_iter().for_each(give);
        let kept = waiting(bytes).unwrap().lock().unwrap().len();
        assert!((1..=WAITING_BYTES_MAX / bytes + 1).contains(&kept), "{kept}");
        assert_eq!(take(PIECE_BYTES_MAX + 1).len(), PIECE_BYTES_MAX + 1);
        assert!(waiting(PIECE_BYTES_MAX + STEP_BYTES).is_none() && waiting(0).is_none());
        give(take(PIECE_BYTES_MAX + 1));
        give(Arc::from([1, 2, 3]));
        assert_eq!(take(0).len(), 0);
    }
}
