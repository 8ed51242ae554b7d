//! Numbers of a fixed count of bits, end to end, least significant bit first.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

/// Bits needed for `value`: 0 to 64.
pub(super) fn width(value: u64) -> u8 {
    (64 - value.leading_zeros()).try_into().unwrap_or(64)
}

/// Bytes that `count` numbers of `width` bits take.
pub(super) fn packed_bytes(count: usize, width: u8) -> usize {
    (count * usize::from(width)).div_ceil(8)
}

/// Appends `values`, of which only the low `width` bits may be set.
pub(super) fn pack(values: impl IntoIterator<Item = u64>, width: u8, out: &mut Vec<u8>) {
    let (mut pending, mut bits) = (0_u128, 0_u32);
    for value in values {
        pending |= u128::from(value) << bits;
        bits += u32::from(width);
        while bits >= 8 {
            out.push((pending & 0xff) as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push((pending & 0xff) as u8);
    }
}

/// Appends `count` numbers of `width` bits from `packed`, which must hold [`packed_bytes`].
pub(super) fn unpack(packed: &[u8], count: usize, width: u8, out: &mut Vec<u64>) -> Option<()> {
    if width > 64 || packed.len() < packed_bytes(count, width) {
        return None;
    }
    let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
    out.reserve(count);
    for rank in 0..count {
        let bit = rank * usize::from(width);
        let rest = packed.get(bit / 8..)?;
        let (low, high) = if let Some([low @ .., high]) = rest.first_chunk::<9>() {
            (u64::from_le_bytes(*low), u64::from(*high))
        } else {
            let mut bytes = [0; 8];
            for (to, from) in bytes.iter_mut().zip(rest) {
                *to = *from;
            }
            (u64::from_le_bytes(bytes), u64::from(rest.get(8).copied().unwrap_or_default()))
        };
        let shift = bit % 8;
        out.push((low >> shift | high << (63 - shift) << 1) & mask);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn every_width_round_trips_and_cuts_are_refused() {
        let mut random = StdRng::seed_from_u64(21);
        for width_wanted in 0..=64_u8 {
            for count in [0, 1, 7, 8, 9, 100] {
                let mask = u64::MAX.checked_shr(64 - u32::from(width_wanted)).unwrap_or(0);
                let values: Vec<u64> = (0..count).map(|_| random.random::<u64>() & mask).collect();
                assert!(values.iter().all(|value| width(*value) <= width_wanted));
                let mut packed = Vec::new();
                pack(values.iter().copied(), width_wanted, &mut packed);
                assert_eq!(packed.len(), packed_bytes(count, width_wanted));
                let mut back = Vec::new();
                assert_eq!(unpack(&packed, count, width_wanted, &mut back), Some(()));
                assert_eq!(back, values);
                if !packed.is_empty() {
                    let cut = &packed[..packed.len() - 1];
                    assert_eq!(unpack(cut, count, width_wanted, &mut back), None);
                }
            }
        }
    }
}
