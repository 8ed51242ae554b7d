//! Data blocks of fixed-width integers as columns: codecs `BitPack` and `Delta`.
//!
//! ```text
//! data    := mode: u8 = 0 | body                      the fall-back: as it is
//!          | mode: u8 = 1 | interval: varint | flags: u8      bit 0: the block has a hash index
//!            | key_bytes: varint | prefix: varint and bytes | value_bytes: varint
//!            | column*                                trailers, key words, value words
//! column  := how: u8           bit 0 differences, bit 1 big-endian words, bits 2-7 shift
//!          | base: varint | first: varint (differences only) | width: u8 | packed bits
//! ```
//!
//! A key is the prefix that all keys of the block share and then big-endian words of 8 bytes, the
//! first one shorter if need be; a value is words of the largest of 8, 4, 2 and 1 bytes that
//! divides its length. A column is stored as differences from its minimum (frame of reference:
//! Goldstein, Ramakrishnan and Shaft, 1998), or, for `Delta` where that is smaller, as differences
//! from the number before, less the smallest of them. Low bits that are 0 in all of a column's
//! differences, the shift of them, are left out: the equal kinds of trailers, for one.
//!
//! Decoding builds the very block again that the writer built: entries in, equal bytes out.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::bits;
use crate::block::builder::BlockBuilder;
use crate::block::cursor::Position;
use crate::block::{Layout, View};
use crate::format::Fault;
use crate::key::{Trailer, common_prefix};
use crate::varint;

const MODE_RAW: u8 = 0;
const MODE_COLUMNS: u8 = 1;
const HASH_INDEX: u8 = 1;
const DIFFERENCES: u8 = 1;
const BIG_ENDIAN: u8 = 2;
const SHIFT_AT: u8 = 2;
/// Key bytes after the common prefix, and value bytes, beyond which columns are not tried.
const KEY_WORD_BYTES_MAX: usize = 32;
const VALUE_BYTES_MAX: usize = 64;

/// Which ways of storing a column may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    /// From the minimum only.
    BitPack,
    /// From the minimum or from the number before.
    Delta,
}

/// Makes `out` the body of a data block of `entries`, compressed, and returns its length: one byte
/// more than the body's at worst.
pub(super) fn compress(ways: Ways, body: &[u8], entries: usize, out: &mut Vec<u8>) -> usize {
    out.clear();
    let columns = Table::read(body, entries).map(|table| table.encode(ways, out));
    if columns.is_none() || out.len() > body.len() {
        out.clear();
        out.push(MODE_RAW);
        out.extend_from_slice(body);
    }
    out.len()
}

/// Returns what `data` holds.
pub(super) fn decompress(data: &[u8], entries: usize, original: usize) -> Result<Vec<u8>, Fault> {
    let body = match data.split_first() {
        Some((&MODE_RAW, body)) => Some(body.to_vec()),
        Some((&MODE_COLUMNS, rest)) => {
            Table::decode(rest, entries, original).and_then(|table| table.build())
        }
        _ => None,
    };
    let body = body.filter(|body| body.len() == original);
    body.ok_or(Fault::Damaged("columns of the size that the header names"))
}

/// The entries of a block as columns of numbers.
#[derive(Debug, Default)]
struct Table {
    entries: usize,
    interval: usize,
    hash_index: bool,
    prefix: Vec<u8>,
    key_bytes: usize,
    value_bytes: usize,
    trailers: Vec<u64>,
    /// Key words first, then value words, as they read little-endian.
    words: Vec<Vec<u64>>,
}

/// Widths of the words that a run of bytes is cut into.
fn key_words(bytes: usize) -> impl Iterator<Item = usize> + Clone {
    let head = bytes % 8;
    (head > 0).then_some(head).into_iter().chain(std::iter::repeat_n(8, bytes / 8))
}

fn value_words(bytes: usize) -> impl Iterator<Item = usize> + Clone {
    let word = [8, 4, 2, 1].into_iter().find(|word| bytes.is_multiple_of(*word)).unwrap_or(1);
    std::iter::repeat_n(word, bytes / word)
}

fn load(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

impl Table {
    /// Takes a block apart; `None` if its keys or its values are not of one length, or too long.
    fn read(body: &[u8], entries: usize) -> Option<Self> {
        let layout = Layout::parse(body, entries).ok()?;
        let value_bytes = layout.value_len().filter(|bytes| *bytes <= VALUE_BYTES_MAX)?;
        let view = View { body, layout: &layout };
        let mut position = Position::default();
        position.first(view)?;
        let first = position.key().to_vec();
        position.last(view)?;
        // Keys ascend: what first and last share, all share.
        let shared = common_prefix(&first, position.key());
        let key_bytes = first.len();
        if key_bytes - shared > KEY_WORD_BYTES_MAX {
            return None;
        }
        let mut table = Self {
            entries,
            interval: layout.interval(),
            hash_index: !layout.buckets().is_empty(),
            prefix: first.get(..shared)?.to_vec(),
            key_bytes,
            value_bytes,
            ..Self::default()
        };
        table.make_columns();
        let mut more = position.first(view)?;
        while more {
            if position.key().len() != key_bytes {
                return None;
            }
            let value = body.get(position.value(layout.values_at()))?;
            table.push(position.key().get(shared..)?, position.trailer(), value);
            more = position.next(view)?;
        }
        Some(table)
    }

    fn word_widths(&self) -> impl Iterator<Item = usize> + use<> {
        let suffix = self.key_bytes - self.prefix.len();
        key_words(suffix).chain(value_words(self.value_bytes))
    }

    fn make_columns(&mut self) {
        self.words = self.word_widths().map(|_| Vec::with_capacity(self.entries)).collect();
    }

    fn push(&mut self, suffix: &[u8], trailer: Trailer, value: &[u8]) {
        self.trailers.push(trailer.raw());
        let (mut key_rest, mut value_rest) = (suffix, value);
        for (column, bytes) in
            self.words.iter_mut().zip(key_words(suffix.len()).chain(value_words(value.len())))
        {
            let rest = if key_rest.is_empty() { &mut value_rest } else { &mut key_rest };
            let (word, tail) = rest.split_at(bytes.min(rest.len()));
            *rest = tail;
            column.push(load(word));
        }
    }

    fn encode(&self, ways: Ways, out: &mut Vec<u8>) {
        out.push(MODE_COLUMNS);
        varint::put(out, self.interval as u64);
        out.push(if self.hash_index { HASH_INDEX } else { 0 });
        varint::put(out, self.key_bytes as u64);
        varint::put_bytes(out, &self.prefix);
        varint::put(out, self.value_bytes as u64);
        // Versions are not the columns that were asked about: what is smallest will do.
        put_column(&self.trailers, 8, Ways::Delta, out);
        for (column, bytes) in self.words.iter().zip(self.word_widths()) {
            put_column(column, bytes, ways, out);
        }
    }

    fn decode(mut rest: &[u8], entries: usize, original: usize) -> Option<Self> {
        let number = |rest: &mut &[u8]| usize::try_from(varint::take(rest)?).ok();
        let interval = number(&mut rest)?;
        let (&flags, tail) = rest.split_first()?;
        rest = tail;
        let key_bytes = number(&mut rest)?;
        let prefix = varint::take_bytes(&mut rest)?.to_vec();
        let value_bytes = number(&mut rest)?;
        let suffix = key_bytes.checked_sub(prefix.len())?;
        // Bounds what is allocated for columns that take no bits.
        let sane = View::key_fits(key_bytes)
            && suffix <= KEY_WORD_BYTES_MAX
            && value_bytes <= VALUE_BYTES_MAX
            && interval > 0
            && (1..=original).contains(&entries)
            && flags & !HASH_INDEX == 0;
        if !sane {
            return None;
        }
        let hash_index = flags & HASH_INDEX != 0;
        let mut table = Self {
            entries,
            interval,
            hash_index,
            prefix,
            key_bytes,
            value_bytes,
            ..Self::default()
        };
        table.trailers = take_column(&mut rest, entries, 8)?;
        for bytes in table.word_widths() {
            table.words.push(take_column(&mut rest, entries, bytes)?);
        }
        rest.is_empty().then_some(table)
    }

    /// Puts the block together again.
    fn build(&self) -> Option<Vec<u8>> {
        let mut builder = BlockBuilder::new(self.interval, self.hash_index);
        let (mut key, mut value) = (self.prefix.clone(), Vec::new());
        let widths: Vec<usize> = self.word_widths().collect();
        for (rank, trailer) in self.trailers.iter().enumerate() {
            key.truncate(self.prefix.len());
            value.clear();
            for (column, bytes) in self.words.iter().zip(&widths) {
                let word = column.get(rank)?.to_le_bytes();
                let to = if key.len() < self.key_bytes { &mut key } else { &mut value };
                to.extend_from_slice(word.get(..*bytes)?);
            }
            let hash = if self.hash_index { bloom::hash_key(&key) } else { 0 };
            let shared = common_prefix(builder.last_key(), &key);
            builder.add((&key, shared), Trailer::from_raw(*trailer), &value, hash);
        }
        Some(builder.finish().0.to_vec())
    }
}

/// One way to store a column.
struct Plan {
    how: u8,
    base: u64,
    /// Low bits that all differences from the base have as 0.
    shift: u8,
    width: u8,
}

impl Plan {
    /// The plan for numbers that lie at or above `base`, in the order of wrapping differences.
    fn above(base: u64, how: u8, numbers: impl Iterator<Item = u64>) -> Self {
        let set = numbers.fold(0, |set, number| set | number.wrapping_sub(base));
        let shift = if set == 0 { 0 } else { set.trailing_zeros() };
        let shift = u8::try_from(shift).unwrap_or_default();
        Self { how, base, shift, width: bits::width(set >> shift) }
    }

    fn bytes(&self, count: usize) -> usize {
        bits::packed_bytes(count, self.width)
    }

    fn store(&self, numbers: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
        out.push(self.width);
        let packed = numbers.map(|number| number.wrapping_sub(self.base) >> self.shift);
        bits::pack(packed, self.width, out);
    }
}

/// Reverses the order of the low `bytes` bytes.
fn swapped(word: u64, bytes: usize) -> u64 {
    word.swap_bytes() >> (64 - 8 * bytes)
}

fn put_column(words: &[u64], bytes: usize, ways: Ways, out: &mut Vec<u8>) {
    let mut flipped = Vec::new();
    let mut best = plan(words, ways);
    if bytes > 1 {
        flipped.extend(words.iter().map(|word| swapped(*word, bytes)));
        let other = plan(&flipped, ways);
        if other.bytes(words.len()) < best.bytes(words.len()) {
            best = Plan { how: other.how | BIG_ENDIAN, ..other };
        }
    }
    let words = if best.how & BIG_ENDIAN == 0 { words } else { &flipped };
    out.push(best.how | best.shift << SHIFT_AT);
    varint::put(out, best.base);
    if best.how & DIFFERENCES == 0 {
        best.store(words.iter().copied(), out);
    } else {
        varint::put(out, words.first().copied().unwrap_or_default());
        best.store(differences(words), out);
    }
}

/// The difference of each number but the first from the one before.
fn differences(words: &[u64]) -> impl Iterator<Item = u64> {
    words.iter().zip(words.iter().skip(1)).map(|(before, word)| word.wrapping_sub(*before))
}

fn plan(words: &[u64], ways: Ways) -> Plan {
    let low = words.iter().copied().min().unwrap_or_default();
    let packed = Plan::above(low, 0, words.iter().copied());
    if ways == Ways::BitPack || words.len() < 2 {
        return packed;
    }
    // Differences wrap; as signed numbers the small ones of both signs lie together.
    let low = differences(words).map(u64::cast_signed).min().unwrap_or_default().cast_unsigned();
    let delta = Plan::above(low, DIFFERENCES, differences(words));
    // The first number and the base may take ten bytes each.
    if delta.bytes(words.len() - 1) + 20 < packed.bytes(words.len()) { delta } else { packed }
}

fn take_column(rest: &mut &[u8], count: usize, bytes: usize) -> Option<Vec<u64>> {
    let (&how, tail) = rest.split_first()?;
    *rest = tail;
    let base = varint::take(rest)?;
    let differences = how & DIFFERENCES != 0;
    let first = if differences { varint::take(rest)? } else { 0 };
    let (&width, tail) = rest.split_first()?;
    let packed_count = if differences { count.checked_sub(1)? } else { count };
    let shift = how >> SHIFT_AT;
    if usize::from(width) + usize::from(shift) > 64 {
        return None;
    }
    let (packed, tail) = tail.split_at_checked(bits::packed_bytes(packed_count, width))?;
    *rest = tail;
    let mut words = Vec::with_capacity(count);
    if differences {
        words.push(first);
    }
    bits::unpack(packed, packed_count, width, &mut words)?;
    if differences {
        let mut last = first;
        for word in words.iter_mut().skip(1) {
            last = last.wrapping_add(base).wrapping_add(*word << shift);
            *word = last;
        }
    } else {
        for word in &mut words {
            *word = (*word << shift).wrapping_add(base);
        }
    }
    if how & BIG_ENDIAN != 0 {
        for word in &mut words {
            *word = swapped(*word, bytes);
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn block(entries: &[(Vec<u8>, u64, Vec<u8>)], hash_index: bool) -> Vec<u8> {
        let mut builder = BlockBuilder::new(16, hash_index);
        for (key, seqno, value) in entries {
            let trailer = Trailer::new(*seqno, Kind::Put);
            let shared = common_prefix(builder.last_key(), key);
            builder.add((key, shared), trailer, value, bloom::hash_key(key));
        }
        let (body, tally) = builder.finish();
        assert_eq!(usize::from(tally.entries), entries.len());
        body.to_vec()
    }

    fn check(entries: &[(Vec<u8>, u64, Vec<u8>)], columns: bool) {
        for hash_index in [false, true] {
            let body = block(entries, hash_index);
            for ways in [Ways::BitPack, Ways::Delta] {
                let mut packed = Vec::new();
                compress(ways, &body, entries.len(), &mut packed);
                assert!(packed.len() <= body.len() + 1);
                assert_eq!(packed[0] == MODE_COLUMNS, columns);
                let back = decompress(&packed, entries.len(), body.len()).unwrap();
                assert_eq!(back, body);
                for cut in 0..packed.len() {
                    assert!(decompress(&packed[..cut], entries.len(), body.len()).is_err());
                }
            }
        }
    }

    #[test]
    #[expect(clippy::big_endian_bytes, reason = "keys that sort as numbers")]
    fn integers_become_columns_and_come_back() {
        let mut random = StdRng::seed_from_u64(31);
        for value_bytes in [0, 1, 2, 3, 4, 8, 12, 16, 64] {
            let entries: Vec<_> = (0..300_u64)
                .map(|rank| {
                    let mut key = b"series/".to_vec();
                    key.extend((1_700_000_000 + rank * 60).to_be_bytes());
                    let mut value = vec![0; value_bytes];
                    if let Some(byte) = value.first_mut() {
                        *byte = random.random_range(0..40);
                    }
                    (key, 1000 + rank, value)
                })
                .collect();
            check(&entries, true);
            let body = block(&entries, false);
            let mut packed = Vec::new();
            compress(Ways::Delta, &body, entries.len(), &mut packed);
            assert!(packed.len() * 4 < body.len(), "{} of {}", packed.len(), body.len());
        }
    }

    #[test]
    fn wide_and_falling_numbers_come_back() {
        let mut random = StdRng::seed_from_u64(32);
        let entries: Vec<_> = (0..100_u8)
            .map(|rank| {
                let mut value = random.random::<u64>().to_le_bytes().to_vec();
                value.extend((u64::MAX - u64::from(rank) * 3).to_le_bytes());
                (vec![rank; 20], random.random_range(0..1 << 40), value)
            })
            .collect();
        check(&entries, true);
        check(&entries[..1], false);
    }

    #[test]
    fn a_block_smaller_than_its_restart_interval_comes_back() {
        let mut builder = BlockBuilder::new(1024, false);
        for rank in 0..20_u8 {
            builder.add((&[rank], 0), Trailer::from_raw(u64::from(rank) << 8), &[], 0);
        }
        let (body, mut packed) = (builder.finish().0.to_vec(), Vec::new());
        let entries = 20;
        compress(Ways::Delta, &body, entries, &mut packed);
        assert_eq!((packed[0], body.len() < 1024), (MODE_COLUMNS, true));
        assert_eq!(decompress(&packed, entries, body.len()), Ok(body));
    }

    #[test]
    fn what_is_not_of_one_length_is_kept_as_it_is() {
        let entry =
            |key: &str, value: &str| (key.as_bytes().to_vec(), 7, value.as_bytes().to_vec());
        check(&[entry("a", "1"), entry("bb", "2")], false);
        check(&[entry("a", "1"), entry("b", "22")], false);
        check(&[entry("a", &"1".repeat(65)), entry("b", &"2".repeat(65))], false);
    }
}
