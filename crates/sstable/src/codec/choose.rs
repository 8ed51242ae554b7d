//! Which codec for which data: by level, by content, by sampled bytes. By load: [`super::load`].
//!
//! The rules are those of the 2025 report on an LSM tree for Harvard's CS265 (sections 2.7.3 and
//! 2.7.4), with its word "level" fixed: level 0 is the newest, deeper levels are larger.

use super::{Codec, Coding};

/// Bytes of a block that are looked at, in stripes that lie evenly over all of it.
const SAMPLE_BYTES: usize = STRIPES * STRIPE_BYTES;
const STRIPES: usize = 64;
const STRIPE_BYTES: usize = 64;
/// Bits a byte beyond which data counts as already compressed or encrypted.
const ENTROPY_MAX: f64 = 7.5;
/// Samples shorter than this do not fill 256 buckets well enough to tell.
const ENTROPY_SAMPLE_MIN: usize = 1000;

/// How the codec of each block is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chooser {
    /// The codec that the options name. The default.
    #[default]
    Fixed,
    /// By a look at each block: nothing for bytes that look random (sampled entropy over 7.5 bits
    /// a byte), columns ([`Codec::Delta`]) where keys and values are fixed-width and that comes out
    /// smaller, else the codec that the options name.
    ByData,
}

/// What kind of data a table holds, as its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// JSON, XML, logs, prose.
    Text,
    /// Records with binary fields.
    Binary,
    /// Integers of one width, such as time series.
    Integers,
    /// Images, archives, encrypted bytes.
    Compressed,
}

impl Coding {
    /// A codec by level: LZ4 at level 0, Snappy at 1 and 2, Zstandard 3 at 3 to 5 and 10 below.
    /// Codecs that are not built in give way to LZ4 or none.
    #[must_use]
    pub fn for_level(level: u32) -> Self {
        let wanted = match level {
            0 => Self::new(Codec::Lz4),
            1 | 2 => Self::new(Codec::Snappy),
            3..=5 => Self { codec: Codec::Zstd, level: 3 },
            _ => Self { codec: Codec::Zstd, level: 10 },
        };
        wanted.or_built_in()
    }

    /// A codec by what the data is: Zstandard for text, LZ4 for binary records, columns for
    /// integers, none for what is compressed already.
    #[must_use]
    pub fn for_content(content: Content) -> Self {
        let wanted = match content {
            Content::Text => Self::new(Codec::Zstd),
            Content::Binary => Self::new(Codec::Lz4),
            Content::Integers => Self::new(Codec::Delta),
            Content::Compressed => Self::new(Codec::None),
        };
        wanted.or_built_in()
    }

    /// A codec by a sample of the data and the bytes there will be: none if it looks random, LZ4
    /// below 8 KiB, Zstandard 3 below 256 KiB and 10 from there on.
    #[must_use]
    pub fn for_data(sample: &[u8], bytes: u64) -> Self {
        let wanted = match bytes {
            _ if looks_random(sample) => Self::new(Codec::None),
            0..8192 => Self::new(Codec::Lz4),
            8192..262_144 => Self { codec: Codec::Zstd, level: 3 },
            _ => Self { codec: Codec::Zstd, level: 10 },
        };
        wanted.or_built_in()
    }

    /// This codec, or LZ4 or none if it is not built in.
    fn or_built_in(self) -> Self {
        [self, Self::new(Codec::Lz4)]
            .into_iter()
            .find(|coding| coding.codec.is_built_in())
            .unwrap_or(Self::new(Codec::None))
    }
}

/// Whether bytes look compressed or encrypted already, by the entropy of 4,096 of them.
///
/// A block holds its keys first, so that its beginning would tell of keys only.
pub(crate) fn looks_random(bytes: &[u8]) -> bool {
    if bytes.len() < ENTROPY_SAMPLE_MIN {
        return false;
    }
    let Some(room) = bytes.len().checked_sub(SAMPLE_BYTES) else {
        return entropy(&[bytes]) > ENTROPY_MAX;
    };
    let stripe = |rank: usize| {
        let start = rank * STRIPE_BYTES + rank * room / (STRIPES - 1);
        bytes.get(start..start + STRIPE_BYTES).unwrap_or_default()
    };
    entropy(&std::array::from_fn::<_, STRIPES, _>(stripe)) > ENTROPY_MAX
}

/// Shannon entropy of single bytes (1948), in bits a byte.
fn entropy(stripes: &[&[u8]]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in stripes.iter().copied().flatten() {
        counts[usize::from(*byte)] += 1;
    }
    let total = f64::from(counts.iter().sum::<u32>());
    let bits = |count: &u32| {
        let share = f64::from(*count) / total;
        if *count == 0 { 0.0 } else { -share * share.log2() }
    };
    counts.iter().map(bits).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn entropy_is_what_shannon_says() {
        assert!(entropy(&[&[7; 100][..]]) < 1e-9);
        assert!((entropy(&[&b"abab"[..], b"abab"]) - 1.0).abs() < 1e-9);
        let all: Vec<u8> = (0..=255).collect();
        assert!((entropy(&[&all[..]]) - 8.0).abs() < 1e-9);
        let mut random = StdRng::seed_from_u64(41);
        let noise: Vec<u8> = (0..5000).map(|_| random.random()).collect();
        assert!(looks_random(&noise) && !looks_random(&noise[..999]));
        assert!(!looks_random(&b"plain words, again and again. ".repeat(100)));
    }

    /// Found by reading: keys stand first in a block, and they alone were looked at.
    #[test]
    fn the_sample_lies_over_the_whole_block() {
        let mut random = StdRng::seed_from_u64(42);
        let mut noise = |bytes: usize| -> Vec<u8> { (0..bytes).map(|_| random.random()).collect() };
        let words = |bytes: usize| b"plain words, again and again. ".repeat(bytes / 30);
        for bytes in [4096, 4097, 8000, 8192, 65_536] {
            assert!(looks_random(&noise(bytes)));
            assert!(!looks_random(&[noise(bytes), words(bytes)].concat()), "words last");
            assert!(!looks_random(&[words(bytes), noise(bytes)].concat()), "words first");
        }
        // A few words before much noise do not hide it.
        assert!(looks_random(&[words(6000), noise(2 << 20)].concat()));
    }

    #[test]
    fn the_rules_are_those_of_the_report() {
        let built_in = |codec: Codec| codec.is_built_in();
        if built_in(Codec::Lz4) && built_in(Codec::Snappy) && built_in(Codec::Zstd) {
            let zstd = |level| Coding { codec: Codec::Zstd, level };
            assert_eq!(Coding::for_level(0), Coding::new(Codec::Lz4));
            assert_eq!(Coding::for_level(2), Coding::new(Codec::Snappy));
            assert_eq!((Coding::for_level(3), Coding::for_level(6)), (zstd(3), zstd(10)));
            assert_eq!(Coding::for_data(b"text", 100), Coding::new(Codec::Lz4));
            assert_eq!(Coding::for_data(b"text", 9000), zstd(3));
            assert_eq!(Coding::for_data(b"text", 1 << 20), zstd(10));
        }
        for level in 0..9 {
            assert!(built_in(Coding::for_level(level).codec));
        }
        assert_eq!(Coding::for_content(Content::Compressed).codec, Codec::None);
        assert_eq!(Coding::for_content(Content::Integers).codec, Codec::Delta);
    }
}
