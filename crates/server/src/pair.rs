//! Numbers as the database stores them.
//!
//! 1. A key is a signed number of 4 or 8 bytes, big-endian, with its sign bit flipped: so the
//!    bytewise order of the database is the order of the numbers, negative ones first.
//! 2. A value is written the same way. Every bit pattern is a number; none is special.

/// How wide keys and values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Width {
    /// Signed 32-bit numbers: what the course asks for.
    #[default]
    Bits32,
    /// Signed 64-bit numbers. A database is used with one width; the other cannot read it.
    Bits64,
}

/// A number in stored form: the first [`Width::bytes`] bytes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    bytes: [u8; 8],
    length: usize,
}

impl AsRef<[u8]> for Stored {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Width {
    /// Returns the bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Width::Bits32 => 4,
            Width::Bits64 => 8,
        }
    }

    /// Returns the smallest number.
    pub fn min(self) -> i64 {
        match self {
            Width::Bits32 => i64::from(i32::MIN),
            Width::Bits64 => i64::MIN,
        }
    }

    /// Returns the largest number.
    pub fn max(self) -> i64 {
        match self {
            Width::Bits32 => i64::from(i32::MAX),
            Width::Bits64 => i64::MAX,
        }
    }

    /// Encodes a number between [`Width::min`] and [`Width::max`] as it is stored: big-endian, the
    /// sign bit flipped. Of a number beyond, the low bits are taken.
    #[expect(clippy::big_endian_bytes, reason = "the order of bytes must be that of the numbers")]
    pub fn encode(self, number: i64) -> Stored {
        // Adding 2^(bits - 1) flips the sign bit; the low bytes are the same for both widths.
        let shift = 64 - 8 * self.bytes();
        let bytes = ((number << shift) ^ i64::MIN).to_be_bytes();
        Stored { bytes, length: self.bytes() }
    }

    /// Decodes a stored number; `None` if it is not one of this width.
    #[expect(clippy::big_endian_bytes, reason = "the order of bytes must be that of the numbers")]
    pub fn decode(self, bytes: &[u8]) -> Option<i64> {
        match self {
            Width::Bits32 => {
                let bits = i32::from_be_bytes(bytes.try_into().ok()?) ^ i32::MIN;
                Some(i64::from(bits))
            }
            Width::Bits64 => Some(i64::from_be_bytes(bytes.try_into().ok()?) ^ i64::MIN),
        }
    }

    /// Decodes a number of a load file: little-endian, as the course's tools write it.
    pub fn decode_loaded(self, bytes: &[u8]) -> Option<i64> {
        match self {
            Width::Bits32 => Some(i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
            Width::Bits64 => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
        }
    }
}

/// Appends `number` in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [i64; 13] = [
        i64::MIN,
        i64::MIN + 1,
        i32::MIN as i64,
        i32::MIN as i64 + 1,
        -256,
        -1,
        0,
        1,
        255,
        256,
        i32::MAX as i64,
        i64::MAX - 1,
        i64::MAX,
    ];

    #[test]
    fn numbers_come_back_and_keep_their_order() {
        for width in [Width::Bits32, Width::Bits64] {
            let fits = |n: &i64| (width.min()..=width.max()).contains(n);
            let mut numbers: Vec<i64> = EDGES.iter().copied().filter(fits).collect();
            let mut step = -0x1234_5678_9abc_i64;
            while let Some(next) = step.checked_mul(-3) {
                numbers.extend([next].into_iter().filter(fits));
                step = next;
            }
            numbers.sort_unstable();
            for pair in numbers.windows(2) {
                let (a, b) = (width.encode(pair[0]), width.encode(pair[1]));
                assert_eq!(a.as_ref().cmp(b.as_ref()), pair[0].cmp(&pair[1]), "{pair:?}");
            }
            for number in numbers {
                let stored = width.encode(number);
                assert_eq!(stored.as_ref().len(), width.bytes());
                assert_eq!(width.decode(stored.as_ref()), Some(number));
            }
        }
        assert_eq!(Width::Bits32.encode(0).as_ref(), [0x80, 0, 0, 0]);
        assert_eq!(Width::Bits32.encode(-1).as_ref(), [0x7f, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn other_lengths_are_no_numbers() {
        for length in [0, 1, 3, 5, 7, 9] {
            assert_eq!(Width::Bits32.decode(&vec![0; length]), None);
            assert_eq!(Width::Bits64.decode(&vec![0; length]), None);
        }
    }

    #[test]
    fn decimals_are_those_of_the_standard_library() {
        for number in EDGES {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
