//! A data block with each value behind its key, as it is handed to a codec where that pays.
//!
//! ```text
//! body  := flags ... bucket_count          as in `super`: the same fields with the same contents
//!        | buckets | trailers              without the restarts, which follow from the entries
//!        | (entry | value)*                the entries of `keys`, each with its value behind it
//! ```
//!
//! A codec finds more where a value repeats its key and stands beside it: a record that names its
//! own id. In memory a block is always as in [`super`], where a search touches fewer lines.
//!
//! 1. [`set_apart`] undoes [`mix`] to the byte, and is total: what `mix` never gives is a
//!    [`Fault`].

use super::{Layout, head};
use crate::block::bytes::{Bytes, Fresh};
use crate::format::Fault;

/// Replaces `out` by `body`, the body of a block of `entries` as in [`super`], with each value
/// behind its key; `None` if it is malformed.
pub(crate) fn mix(body: &[u8], entries: usize, out: &mut Vec<u8>) -> Option<()> {
    let layout = Layout::parse(body, entries).ok()?;
    let (keys, mut values) = layout.key_values(body)?;
    out.clear();
    out.extend_from_slice(body.get(..layout.restarts_range().start)?);
    out.extend_from_slice(body.get(layout.before_keys())?);
    let mut at = 0;
    for _ in 0..entries {
        let entry = head(keys, at, layout.value_len())?;
        let (value, rest) = values.split_at_checked(entry.value_len)?;
        out.extend_from_slice(keys.get(at..entry.end)?);
        out.extend_from_slice(value);
        (at, values) = (entry.end, rest);
    }
    (at == keys.len() && values.is_empty()).then_some(())
}

/// Returns the body of a block of `entries` as in [`super`], in fresh memory.
pub(crate) fn set_apart(mixed: &[u8], entries: usize) -> Result<Bytes, Fault> {
    let damaged = Fault::Damaged("a data block whose keys and values can be set apart");
    let layout = Layout::parse_mixed(mixed, entries)?;
    sort_out(mixed, &layout).ok_or(damaged)
}

fn sort_out(mixed: &[u8], layout: &Layout) -> Option<Bytes> {
    let pair_bytes = layout.restart_bytes();
    let restarts_bytes = (layout.restarts() - 1) * pair_bytes;
    let mut body = Fresh::new(mixed.len().checked_add(restarts_bytes)?);
    let (front, back) = body.own().split_at_mut_checked(layout.restarts_range().start)?;
    front.copy_from_slice(mixed.get(..front.len())?);
    let (restarts, back) = back.split_at_mut_checked(restarts_bytes)?;
    let before_keys = layout.before_keys();
    let (sections, back) = back.split_at_mut_checked(before_keys.len())?;
    sections.copy_from_slice(mixed.get(before_keys.clone())?);
    let (mut keys, mut values) = back.split_at_mut_checked(layout.keys_bytes())?;
    let mut rest = mixed.get(before_keys.end..)?;
    let mut restarts = restarts.chunks_exact_mut(pair_bytes);
    let (mut key_at, mut value_at) = (0, 0);
    for rank in 0..layout.entries() {
        if rank > 0 && rank.is_multiple_of(layout.interval()) {
            put_restart(restarts.next()?, key_at, value_at)?;
        }
        let entry = head(rest, 0, layout.value_len())?;
        let (key, tail) = rest.split_at_checked(entry.end)?;
        let (value, tail) = tail.split_at_checked(entry.value_len)?;
        keys.split_off_mut(..key.len())?.copy_from_slice(key);
        values.split_off_mut(..value.len())?.copy_from_slice(value);
        rest = tail;
        key_at += key.len();
        value_at += value.len();
    }
    (rest.is_empty() && keys.is_empty() && values.is_empty()).then(|| body.filled())
}

/// Writes where a restart's entry and value start: two numbers that share `to`.
fn put_restart(to: &mut [u8], key_at: usize, value_at: usize) -> Option<()> {
    if to.len() == 4 {
        let pair =
            u32::from(u16::try_from(value_at).ok()?) << 16 | u32::from(u16::try_from(key_at).ok()?);
        to.copy_from_slice(&pair.to_le_bytes());
    } else {
        let pair =
            u64::from(u32::try_from(value_at).ok()?) << 32 | u64::from(u32::try_from(key_at).ok()?);
        to.copy_from_slice(&pair.to_le_bytes());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::builder::BlockBuilder;
    use crate::key::{Trailer, common_prefix};
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// How many entries, of how long values, all alike or up to that.
    #[derive(Clone, Copy)]
    struct Kind(usize, usize, bool);

    fn body(builder: &mut BlockBuilder, kind: Kind, random: &mut StdRng) -> (Vec<u8>, usize) {
        let Kind(count, value_bytes, equal) = kind;
        for rank in 0..count {
            let key = format!("{:09}/{}", rank * 7, "k".repeat(rank % 40));
            let low = if equal { value_bytes } else { 0 };
            let bytes = random.random_range(low..=value_bytes);
            let value = format!("{key} again").repeat(bytes / 10 + 1);
            let raw = if rank % 2 == 0 { 1 } else { random.random() };
            let hash = bloom::hash_key(key.as_bytes());
            let value = &value.as_bytes()[..bytes];
            let shared = common_prefix(builder.last_key(), key.as_bytes());
            builder.add((key.as_bytes(), shared), Trailer::from_raw(raw), value, hash);
        }
        let (body, tally) = builder.finish();
        let made = (body.to_vec(), usize::from(tally.entries));
        builder.clear();
        made
    }

    /// Bodies of every kind that a builder makes, with their counts of entries.
    fn bodies() -> Vec<(Vec<u8>, usize)> {
        let mut random = StdRng::seed_from_u64(31);
        let mut all = Vec::new();
        for (interval, hashed) in [(1, false), (3, true), (16, false), (16, true), (1024, false)] {
            let mut builder = BlockBuilder::new(interval, hashed);
            for kind in [
                Kind(1, 10, true),
                Kind(2, 0, true),
                Kind(16, 20, false),
                Kind(17, 300, false),
                Kind(40, 8, true),
                Kind(200, 900, false),
            ] {
                all.push(body(&mut builder, kind, &mut random));
            }
        }
        assert!(all.iter().any(|(body, _)| body.len() > 70_000), "wide restarts");
        all
    }

    #[test]
    fn what_was_mixed_is_set_apart_to_the_byte() {
        let mut mixed = Vec::new();
        for (body, entries) in bodies() {
            mix(&body, entries, &mut mixed).unwrap();
            assert!(mixed.len() <= body.len());
            assert_eq!(*set_apart(&mixed, entries).unwrap(), *body);
        }
    }

    #[test]
    fn a_value_stands_behind_its_key() {
        let mut builder = BlockBuilder::new(16, false);
        builder.add((b"apple", 0), Trailer::from_raw(1), b"RED", 0);
        builder.add((b"apricot", 2), Trailer::from_raw(1), b"ORANGE", 0);
        let mut mixed = Vec::new();
        let (body, _) = builder.finish();
        mix(body, 2, &mut mixed).unwrap();
        assert!(body.ends_with(b"\x05\x03apple\x25\x06ricotREDORANGE"), "{body:?}");
        assert!(mixed.ends_with(b"\x05\x03appleRED\x25\x06ricotORANGE"), "{mixed:?}");
    }

    #[test]
    fn damaged_ones_are_refused_or_give_a_body_of_the_same_entries() {
        let mut random = StdRng::seed_from_u64(32);
        let mut mixed = Vec::new();
        for (body, entries) in bodies().into_iter().filter(|(body, _)| body.len() < 8000) {
            mix(&body, entries, &mut mixed).unwrap();
            for cut in 0..mixed.len().min(300) {
                assert!(set_apart(&mixed[..cut], entries).is_err(), "{cut}");
            }
            for count in [0, entries - 1, entries + 1, 65_535] {
                if let Ok(other) = set_apart(&mixed, count) {
                    assert_ne!(count, entries);
                    let mut again = Vec::new();
                    mix(&other, count, &mut again).unwrap();
                    assert_eq!(again, mixed);
                }
            }
            for _ in 0..300 {
                let mut damaged = mixed.clone();
                let at = random.random_range(0..damaged.len());
                damaged[at] ^= random.random_range(1..=255_u8);
                if let Ok(other) = set_apart(&damaged, entries) {
                    let mut again = Vec::new();
                    mix(&other, entries, &mut again).unwrap();
                    assert_eq!(again, damaged);
                }
            }
        }
    }
}
