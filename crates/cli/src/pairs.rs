//! Binary pairs, as the CS265 tools write them: two little-endian signed numbers, key then value,
//! of 32 or 64 bits, and no header. They are stored as the server stores them.
//!
//! A partial pair at the end is no record; [`Reader::rest`] says how many bytes it has.

use std::io::{self, BufRead};

use server::Width;

/// Reads pairs.
///
/// ```
/// let bytes = [1i32.to_le_bytes(), (-2i32).to_le_bytes()].concat();
/// let mut reader = lsm_cli::pairs::Reader::new(&bytes[..], server::Width::Bits32);
/// let (key, value) = reader.pair().unwrap().unwrap();
/// assert_eq!((key.as_ref(), value.as_ref()), (&[128, 0, 0, 1][..], &[127, 255, 255, 254][..]));
/// assert!(reader.pair().unwrap().is_none());
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    width: Width,
    pairs: u64,
    rest: u64,
}

/// Key and value as the database stores them.
pub type Pair = (server::Stored, server::Stored);

impl<R: BufRead> Reader<R> {
    /// Reads pairs of numbers of `width` from `input`.
    pub fn new(input: R, width: Width) -> Self {
        Self { input, width, pairs: 0, rest: 0 }
    }

    /// Pairs read so far.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.pairs * 2 * self.width.bytes() as u64 + self.rest
    }

    /// Bytes of a partial pair at the end.
    pub fn rest(&self) -> u64 {
        self.rest
    }

    /// Returns the next pair, or `None` at the end.
    ///
    /// # Errors
    /// The input's.
    pub fn pair(&mut self) -> io::Result<Option<Pair>> {
        let mut bytes = [0; 16];
        let (width, mut length) = (self.width, 0);
        let whole = 2 * width.bytes();
        let pair = &mut bytes[..whole];
        while length < whole {
            match self.input.read(&mut pair[length..]) {
                Ok(0) => {
                    self.rest = length as u64;
                    return Ok(None);
                }
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pairs += 1;
        let (key, value) = pair.split_at(width.bytes());
        let stored = |bytes| width.decode_loaded(bytes).map(|number| width.encode(number));
        Ok(stored(key).zip(stored(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl io::Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            io::Read::read(&mut self.0, &mut buffer[..length])
        }
    }

    #[test]
    fn pairs_of_both_widths_come_whole_and_a_partial_one_is_counted() {
        for (width, key) in [(Width::Bits32, i64::from(i32::MIN)), (Width::Bits64, i64::MAX)] {
            let number = |n: i64| n.to_le_bytes()[..width.bytes()].to_vec();
            let bytes = [number(key), number(-1), number(5), number(6), vec![1, 2, 3]].concat();
            let mut reader = Reader::new(io::BufReader::with_capacity(1, Slow(&bytes)), width);
            let (k, v) = reader.pair().unwrap().unwrap();
            assert_eq!(width.decode(k.as_ref()), Some(key));
            assert_eq!(width.decode(v.as_ref()), Some(-1));
            assert!(reader.pair().unwrap().is_some() && reader.pair().unwrap().is_none());
            assert_eq!((reader.pairs(), reader.rest()), (2, 3));
            assert_eq!(reader.bytes(), bytes.len() as u64);
        }
    }
}
