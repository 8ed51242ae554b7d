//! The bytes of a filter: a header of 48 bytes, then the body; all integers little-endian.
//!
//!   magic: u32 = "BLMF" | version: u8 | kind: u8 | probes: u8 | seed: u8
//!   keys: u64 | units: u32 | prefixes: u32 | zero: u64 * 2 | checksum: u64
//!   body: units * 64 bytes (double probe, blocked), units * 32 bytes (split block),
//!         units * 8 bytes (standard, ribbon)
//!
//! 1. `checksum` is XXH3-64 of the body, seeded with the XXH3-64 of the 40 header bytes before it.
//! 2. `probes = 0` with no body says *maybe* to every key; `keys = 0` with no body says *no*.
//! 3. Decoding is total: any bytes give a shape that fits them exactly, or an error.
//!
//! 48 and not 40 bytes: large allocations of glibc start 16 bytes into a page, which puts the body
//! on a cache line of its own.

#![deny(clippy::indexing_slicing)]

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::{DecodeError, Kind, PrefixRule, probe, ribbon};

/// The version of the format that this build writes.
pub const VERSION: u8 = 1;

/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 48;

const CHECKED_BYTES: usize = 40;
const MAGIC: u32 = u32::from_le_bytes(*b"BLMF");

/// What the header says: all that a lookup needs besides the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Probes a key, columns of a ribbon; 0 if there is no body.
    pub(crate) probes: u8,
    /// Which hash functions were used, where a build may try several.
    pub(crate) seed: u8,
    /// Keys in the filter, as far as the builder could tell them apart.
    pub(crate) keys: u64,
    /// Size of the body in units of the kind.
    pub(crate) units: u32,
    /// Whose prefixes are in the filter besides the keys.
    pub(crate) prefixes: Option<PrefixRule>,
}

impl Shape {
    /// A filter without a body: *no* to every key if it holds none, else *maybe*.
    pub(crate) fn bare(kind: Kind, keys: u64) -> Self {
        Self { kind, probes: 0, seed: 0, keys, units: 0, prefixes: None }
    }

    /// Bytes of the body.
    pub(crate) fn body_bytes(&self) -> u64 {
        let unit = match self.kind {
            Kind::DoubleProbe | Kind::Blocked => probe::LINE_BYTES as u64,
            Kind::SplitBlock => probe::BLOCK_BYTES as u64,
            Kind::Standard | Kind::Ribbon => 8,
        };
        u64::from(self.units) * unit
    }

    /// Fills in the header of `bytes`, whose body is complete.
    ///
    /// # Panics
    /// If `bytes` has not the length that the shape calls for.
    pub(crate) fn seal(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len() as u64, HEADER_BYTES as u64 + self.body_bytes());
        let (header, body) = bytes.split_at_mut(HEADER_BYTES);
        let mut fields = Vec::with_capacity(HEADER_BYTES);
        fields.extend_from_slice(&MAGIC.to_le_bytes());
        fields.extend_from_slice(&[VERSION, self.kind as u8, self.probes, self.seed]);
        fields.extend_from_slice(&self.keys.to_le_bytes());
        fields.extend_from_slice(&self.units.to_le_bytes());
        fields.extend_from_slice(&PrefixRule::number(self.prefixes).to_le_bytes());
        fields.resize(CHECKED_BYTES, 0);
        let checksum = xxh3_64_with_seed(body, xxh3_64(&fields));
        fields.extend_from_slice(&checksum.to_le_bytes());
        header.copy_from_slice(&fields);
    }

    /// Reads the header of `bytes` and checks it against their number; not the checksum.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let found = bytes.len() as u64;
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(DecodeError::Length { expected: HEADER_BYTES as u64, found });
        };
        let [magic, _, low, high, units, prefixes, zeros @ .., _, _] = words(header);
        let [_, _, _, _, version, kind, probes, seed, ..] = *header;
        if magic != MAGIC {
            return Err(DecodeError::Magic);
        }
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let kind = Kind::from_number(kind).ok_or(DecodeError::Kind(kind))?;
        if zeros.iter().any(|zero| *zero != 0) {
            return Err(DecodeError::Field("reserved bytes are not zero"));
        }
        let keys = u64::from(low) | u64::from(high) << 32;
        let prefixes = PrefixRule::from_number(prefixes)?;
        let shape = Self { kind, probes, seed, keys, units, prefixes };
        shape.check()?;
        let expected = HEADER_BYTES as u64 + shape.body_bytes();
        if found != expected {
            return Err(DecodeError::Length { expected, found });
        }
        Ok(shape)
    }

    fn check(&self) -> Result<(), DecodeError> {
        if (self.units == 0) != (self.probes == 0) {
            return Err(DecodeError::Field("probes and size contradict each other"));
        }
        if self.units != 0 && self.keys == 0 {
            return Err(DecodeError::Field("a body without keys"));
        }
        if self.probes > probes_max(self.kind) {
            return Err(DecodeError::Field("more probes than the layout has"));
        }
        if self.kind == Kind::SplitBlock && self.units != 0 && self.probes != probe::SPLIT_PROBES {
            return Err(DecodeError::Field("a split block has eight probes"));
        }
        Ok(())
    }
}

/// The most probes, or columns, that the layout of `kind` has.
pub(crate) fn probes_max(kind: Kind) -> u8 {
    match kind {
        Kind::DoubleProbe => probe::DOUBLE_PROBES_MAX,
        Kind::Blocked => probe::BLOCKED_PROBES_MAX,
        Kind::Standard => probe::STANDARD_PROBES_MAX,
        Kind::Ribbon => ribbon::COLUMNS_MAX,
        Kind::SplitBlock => probe::SPLIT_PROBES,
    }
}

/// The body of a filter's `bytes`; nothing if even the header is cut.
#[inline(always)]
pub(crate) fn body_of(bytes: &[u8]) -> &[u8] {
    bytes.get(HEADER_BYTES..).unwrap_or(&[])
}

/// Checks the checksum of bytes whose header was read.
pub(crate) fn verify(bytes: &[u8]) -> Result<(), DecodeError> {
    let found = bytes.len() as u64;
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::Length { expected: HEADER_BYTES as u64, found });
    };
    let (fields, checksum) = header.split_at(CHECKED_BYTES);
    if xxh3_64_with_seed(body, xxh3_64(fields)).to_le_bytes() == checksum {
        Ok(())
    } else {
        Err(DecodeError::Checksum)
    }
}

fn words(header: &[u8; HEADER_BYTES]) -> [u32; HEADER_BYTES / 4] {
    let (words, _) = header.as_chunks::<4>();
    let mut out = [0; HEADER_BYTES / 4];
    for (word, bytes) in out.iter_mut().zip(words) {
        *word = u32::from_le_bytes(*bytes);
    }
    out
}
