//! Unsigned integers in 7-bit groups, least significant first (LEB128).
//!
//! Decoding is total: it answers `None` on a cut or overlong number and never reads past the slice.

/// Appends `value`.
#[inline]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Returns the number at the front of `bytes` and the count of bytes it takes.
#[inline]
#[must_use]
pub fn get(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (count, &byte) in bytes.iter().take(10).enumerate() {
        let group = u64::from(byte & 0x7f);
        if count == 9 && group > 1 {
            return None;
        }
        value |= group << (7 * count);
        if byte < 0x80 {
            return Some((value, count + 1));
        }
    }
    None
}

/// Takes a number off the front of `bytes`.
#[must_use]
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (value, count) = get(bytes)?;
    *bytes = bytes.get(count..)?;
    Some(value)
}

/// Appends a byte string with its length before it.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a byte string with its length before it off the front of `bytes`.
#[must_use]
pub fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (head, tail) = bytes.split_at_checked(length)?;
    *bytes = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_round_trips_and_every_cut_is_refused() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put(&mut bytes, value);
                assert_eq!(get(&bytes), Some((value, bytes.len())));
                for cut in 0..bytes.len() {
                    assert_eq!(get(&bytes[..cut]), None);
                }
            }
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        assert_eq!(get(&[0xff; 10]), None);
        assert_eq!(get(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]), None);
        assert_eq!(get(&[0x80; 11]), None);
    }

    #[test]
    fn byte_strings_longer_than_the_rest_are_refused() {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, b"abc");
        let mut rest = &bytes[..];
        assert_eq!(take_bytes(&mut rest), Some(&b"abc"[..]));
        assert_eq!(take_bytes(&mut &bytes[..3]), None);
        assert_eq!(take_bytes(&mut &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), None);
    }
}
