//! A buffer that puts a filter's lines on cache lines.

use crate::format::HEADER_BYTES;

const CACHE_LINE_BYTES: usize = 64;

/// A copy of a filter's bytes whose body starts on a cache line.
///
/// A filter works at any address, but a line that lies across two cache lines costs two reads from
/// memory. Worth the copy for filters that outlive a few lookups and do not fit the caches.
#[derive(Clone, Debug)]
pub struct AlignedBytes {
    buffer: Vec<u8>,
    start: usize,
}

impl AlignedBytes {
    /// Copies the bytes of a filter.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer: Vec<u8> = Vec::with_capacity(bytes.len() + CACHE_LINE_BYTES);
        let body = buffer.as_ptr().addr() + HEADER_BYTES;
        let start = body.next_multiple_of(CACHE_LINE_BYTES) - body;
        // Neither call reallocates: there is room.
        buffer.resize(start, 0);
        buffer.extend_from_slice(bytes);
        Self { buffer, start }
    }
}

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Filter, Kind, build};

    #[test]
    fn copies_are_aligned_and_equal() {
        for count in [0, 1, 10, 5_000] {
            let bytes = build(Kind::DoubleProbe, 10.0, &(0..count).collect::<Vec<u64>>());
            let copy = AlignedBytes::copy_of(&bytes);
            assert_eq!(copy.as_ref(), bytes);
            assert_eq!((copy.as_ref().as_ptr().addr() + HEADER_BYTES) % CACHE_LINE_BYTES, 0);
            assert!(Filter::decode(copy).is_ok());
        }
        assert_eq!(AlignedBytes::copy_of(b"").as_ref(), b"");
    }
}
