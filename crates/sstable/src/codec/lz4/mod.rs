//! LZ4 block format (Yann Collet, 2011).
//!
//! ```text
//! data     := sequence* last
//! sequence := token | more literals? | literal* | offset: u16 | more match?
//! last     := token | more literals? | literal*
//! token    := u8          bits 4-7 count of literals, bits 0-3 length of the match - 4; 15: more
//! more     := 255* | u8   their sum is added
//! ```
//!
//! Written by a library, read here: safe code as fast as a scan needs it. What the library reads is
//! read, byte for byte, and all else is refused.

mod read;
mod write;

pub(super) use read::decompress;
pub(super) use write::{Finder, compress};

/// The shortest match.
const MATCH_MIN: usize = 4;
/// Lengths from here on do not fit a token.
const NIBBLE_FULL: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// Bodies of many kinds: noise, runs, words, records, numbers, and mixtures of them.
    fn body(random: &mut StdRng) -> Vec<u8> {
        let bytes = match random.random_range(0..10) {
            0 => random.random_range(0..40),
            1 => random.random_range(65_000..66_000),
            2 => random.random_range(0..200_000),
            _ => random.random_range(0..6000),
        };
        let mut body: Vec<u8> = Vec::new();
        while body.len() < bytes {
            let count = random.random_range(1..=300);
            match random.random_range(0..6) {
                0 => body.extend((0..count).map(|_| random.random::<u8>())),
                1 => body.resize(body.len() + count, random.random()),
                2 => body.extend(format!("{:016}", random.random_range(0..1 << 20)).bytes()),
                3 => body.extend((random.random_range(0..999_u64) * 60).to_le_bytes()),
                4 if !body.is_empty() => {
                    // Something again, overlapping itself or not.
                    let from = body.len() - random.random_range(1..=body.len().min(70_000));
                    for at in from..from + count {
                        body.push(body[at]);
                    }
                }
                _ => body.extend((0..count).map(|_| b'a' + random.random_range(0..3))),
            }
        }
        body.truncate(bytes);
        body
    }

    #[test]
    fn it_writes_and_reads_what_the_published_library_does() {
        let mut random = StdRng::seed_from_u64(64);
        let (mut finder, mut packed) = (Finder::default(), Vec::new());
        for round in 0..3000 {
            let body = body(&mut random);
            let bytes = compress(&mut finder, &body, &mut packed);
            let theirs = lz4_flex::block::compress(&body);
            assert!(packed[..bytes] == theirs, "round {round}, {} bytes", body.len());
            let mut back = vec![0x55; body.len()];
            decompress(&theirs, &mut back).unwrap();
            assert!(back == body, "round {round}, {} bytes", body.len());
        }
    }

    /// Whether the library takes `data` for `bytes` bytes, and which.
    fn theirs(data: &[u8], bytes: usize) -> Option<Vec<u8>> {
        let mut out = vec![0; bytes];
        let count = lz4_flex::block::decompress_into(data, &mut out).ok()?;
        (count == bytes).then_some(out)
    }

    #[test]
    fn damaged_data_is_read_or_refused_as_the_published_library_does() {
        let mut random = StdRng::seed_from_u64(65);
        let mut sound = 0;
        for _ in 0..2000 {
            let mut body = body(&mut random);
            body.truncate(3000);
            let mut data = lz4_flex::block::compress(&body);
            for _ in 0..20 {
                let kept = data.clone();
                let at = random.random_range(0..data.len());
                match random.random_range(0..4) {
                    0 => data.truncate(at),
                    1 => data[at] = random.random(),
                    2 => data[at] ^= 1 << random.random_range(0..8),
                    _ => data.extend(random.random::<[u8; 2]>()),
                }
                let bytes = body.len() + random.random_range(0..3) - 1.min(body.len());
                let mut out = vec![0; bytes];
                let ours = decompress(&data, &mut out).is_ok().then_some(out);
                sound += usize::from(ours.is_some());
                assert!(ours == theirs(&data, bytes), "{} of {bytes}: {data:?}", data.len());
                data = kept;
            }
        }
        assert!(sound > 1000, "{sound}");
    }
}
