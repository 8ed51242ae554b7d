//! Decompression. Total: whatever the bytes, it fills the memory it was given or refuses.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::{MATCH_MIN, NIBBLE_FULL};
use crate::format::Fault;

/// Bytes that are copied at once where there is room, whatever the count.
const WORD: usize = 16;
/// The same for longer runs.
const LINE: usize = 64;

/// Fills `out` with what `data` holds.
pub(in crate::codec) fn decompress(data: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    read(data, out).ok_or(Fault::Damaged("LZ4 data of the size that the header names"))
}

fn read(data: &[u8], out: &mut [u8]) -> Option<()> {
    let (mut from, mut to) = (0, 0);
    loop {
        let token = *data.get(from)?;
        from += 1;
        let mut literals = usize::from(token >> 4);
        if literals == NIBBLE_FULL {
            literals = literals.checked_add(more(data, &mut from)?)?;
        }
        copy_literals(data.get(from..)?, out.get_mut(to..)?, literals)?;
        from += literals;
        to += literals;
        let Some(distance) = data.get(from..).and_then(<[u8]>::first_chunk::<2>) else {
            // The last sequence has no match.
            return (from == data.len() && to == out.len()).then_some(());
        };
        from += 2;
        let mut bytes = usize::from(token & 0xf);
        if bytes == NIBBLE_FULL {
            bytes = bytes.checked_add(more(data, &mut from)?)?;
        }
        bytes = bytes.checked_add(MATCH_MIN)?;
        to = copy_match(out, to, usize::from(u16::from_le_bytes(*distance)), bytes)?;
    }
}

/// Reads what is beyond the token of a length.
#[inline(always)]
fn more(data: &[u8], from: &mut usize) -> Option<usize> {
    let mut sum = 0_usize;
    loop {
        let byte = *data.get(*from)?;
        *from += 1;
        // No more than 255 times as much as there are bytes.
        sum += usize::from(byte);
        if byte < 255 {
            return Some(sum);
        }
    }
}

#[inline(always)]
fn copy_literals(from: &[u8], to: &mut [u8], bytes: usize) -> Option<()> {
    if bytes <= WORD && copy_whole::<WORD>(from, to)
        || bytes <= LINE && copy_whole::<LINE>(from, to)
    {
        return Some(());
    }
    to.get_mut(..bytes)?.copy_from_slice(from.get(..bytes)?);
    Some(())
}

/// Copies `N` bytes, if there are so many on both sides.
#[inline(always)]
fn copy_whole<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) else {
        return false;
    };
    *to = *from;
    true
}

/// Copies a match that begins `distance` bytes before `at`; returns where it ends.
#[inline(always)]
fn copy_match(out: &mut [u8], at: usize, distance: usize, bytes: usize) -> Option<usize> {
    let end = at.checked_add(bytes)?;
    if distance == 0 || end > out.len() {
        return None;
    }
    let (before, after) = out.split_at_mut_checked(at)?;
    let from = before.get(before.len().checked_sub(distance)?..)?;
    if bytes <= WORD && copy_whole::<WORD>(from, after)
        || bytes <= LINE && copy_whole::<LINE>(from, after)
    {
        return Some(end);
    }
    if bytes <= LINE
        && let Some(line) = line_of(from)
        && copy_whole::<LINE>(&line, after)
    {
        return Some(end);
    }
    let after = after.get_mut(..bytes)?;
    if let Some(from) = from.get(..bytes) {
        after.copy_from_slice(from);
    } else if let [byte] = from {
        after.fill(*byte);
    } else {
        repeat(from, after)?;
    }
    Some(end)
}

/// A short pattern over and over, if it is one of those that fill words evenly.
#[inline(always)]
fn line_of(pattern: &[u8]) -> Option<[u8; LINE]> {
    if pattern.len() > 8 || !pattern.len().is_power_of_two() {
        return None;
    }
    let mut line = [0; LINE];
    let word = match *pattern {
        [byte] => [byte; 8],
        [low, high] => [low, high, low, high, low, high, low, high],
        _ => {
            let (half, _) = pattern.split_first_chunk::<4>()?;
            let [.., first, second, third, fourth] = *pattern else { return None };
            let [low, b, c, high] = *half;
            [low, b, c, high, first, second, third, fourth]
        }
    };
    for part in line.chunks_exact_mut(8) {
        part.copy_from_slice(&word);
    }
    Some(line)
}

/// Fills `after` with what stands before it, over and over.
fn repeat(pattern: &[u8], after: &mut [u8]) -> Option<()> {
    let (first, _) = after.split_at_mut_checked(pattern.len())?;
    first.copy_from_slice(pattern);
    let mut done = pattern.len();
    while done < after.len() {
        let (before, rest) = after.split_at_mut_checked(done)?;
        let bytes = done.min(rest.len());
        rest.get_mut(..bytes)?.copy_from_slice(before.get(..bytes)?);
        done += bytes;
    }
    Some(())
}
