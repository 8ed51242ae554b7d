//! Which codec under which load: faster while processors are busy, smaller while the medium or
//! memory is (the 2025 report on an LSM tree for Harvard's CS265, section 2.7.3).
//!
//! 1. [`Coding::under`] is a function of its arguments alone: equal loads give equal tables.
//! 2. A [`LoadGauge`] holds what its owner measured last; nothing here measures or reads a clock.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Codec, Coding};

/// How busy the machine is; each from 0 (idle) to 1 (full).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Processors.
    pub cpu: f64,
    /// The medium.
    pub io: f64,
    /// Memory.
    pub memory: f64,
}

/// A load beyond this counts as full.
const LOAD_HIGH: f64 = 0.8;

impl Coding {
    /// This codec, or a faster one while processors are the bottleneck, or a smaller one while the
    /// medium or memory is; itself where the build has none of that sort.
    ///
    /// Processors above 0.8 make LZ4 of Zstandard, LZMA and dictionaries; else the medium or memory
    /// above 0.8 makes Zstandard 3 of LZ4 and Snappy, and at least 10 of Zstandard's level. What is
    /// stored plainly or in columns stays so. [`crate::TableWriter::with_load`] asks for it.
    #[must_use]
    pub fn under(self, load: Load) -> Self {
        let other = if load.cpu > LOAD_HIGH {
            self.faster()
        } else if load.io > LOAD_HIGH || load.memory > LOAD_HIGH {
            self.smaller()
        } else {
            self
        };
        if other.codec.is_built_in() { other } else { self }
    }

    fn faster(self) -> Self {
        match self.codec {
            Codec::Zstd | Codec::Lzma | Codec::Dictionary => Self::new(Codec::Lz4),
            Codec::None | Codec::Lz4 | Codec::Snappy | Codec::BitPack | Codec::Delta => self,
        }
    }

    fn smaller(self) -> Self {
        match self.codec {
            Codec::Lz4 | Codec::Snappy => Self { codec: Codec::Zstd, level: 3 },
            Codec::Zstd | Codec::Dictionary => Self { level: self.effort().max(10), ..self },
            Codec::None | Codec::Lzma | Codec::BitPack | Codec::Delta => self,
        }
    }
}

/// Where the load of the machine can be read while tables are written: its owner sets it from time
/// to time, writers that share it ask before each group of blocks.
///
/// ```
/// use std::sync::Arc;
/// use sstable::{Load, LoadGauge};
///
/// let gauge = Arc::new(LoadGauge::default());
/// assert_eq!(gauge.load(), Load::default());
/// gauge.set(Load { cpu: 0.95, io: 0.2, memory: 0.5 });
/// assert!(gauge.load().cpu > 0.9);
/// ```
#[derive(Debug, Default)]
pub struct LoadGauge {
    /// Each in 65,535ths, in 16 bits: what is read was set at once.
    packed: AtomicU64,
}

const FULL: f64 = 65_535.0;

impl LoadGauge {
    /// Notes how busy the machine is now. What is below 0 counts as 0, above 1 as 1, and what is
    /// not a number as 0.
    pub fn set(&self, load: Load) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within 0 to 65,535; what is not a number becomes 0"
        )]
        let part = |share: f64| u64::from((share.clamp(0.0, 1.0) * FULL).round() as u16);
        let packed = part(load.cpu) | part(load.io) << 16 | part(load.memory) << 32;
        // ORDERING: Relaxed, as the number is all there is to see: it orders nothing else.
        self.packed.store(packed, Ordering::Relaxed);
    }

    /// Returns what was set last; idle before that.
    #[must_use]
    pub fn load(&self) -> Load {
        // ORDERING: Relaxed, as in `set`.
        let packed = self.packed.load(Ordering::Relaxed);
        let part = |shift: u32| (packed >> shift & 0xffff) as f64 / FULL;
        Load { cpu: part(0), io: part(16), memory: part(32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Load = Load { cpu: 0.0, io: 0.0, memory: 0.0 };

    #[test]
    fn a_codec_gives_way_only_above_the_limit_and_only_to_one_that_is_built_in() {
        let codings = Codec::ALL.into_iter().flat_map(|codec| {
            let levels = 0..=Coding::new(codec).level_max();
            levels.map(move |level| Coding { codec, level })
        });
        for coding in codings {
            for load in [
                IDLE,
                Load { cpu: 0.8, io: 0.8, memory: 0.8 },
                Load { cpu: f64::NAN, io: f64::NAN, memory: f64::NAN },
            ] {
                assert_eq!(coding.under(load), coding, "{load:?}");
            }
            for load in [
                Load { cpu: 0.81, ..IDLE },
                Load { io: 0.81, ..IDLE },
                Load { memory: 0.81, ..IDLE },
                Load { cpu: 1.0, io: 1.0, memory: 1.0 },
            ] {
                let other = coding.under(load);
                assert!(other.codec.is_built_in() || other == coding, "{other:?}");
                assert!(other.level <= other.level_max(), "{other:?}");
            }
        }
    }

    #[cfg(all(feature = "lz4", feature = "zstd"))]
    #[test]
    fn busy_processors_come_before_a_busy_medium() {
        let zstd = |level| Coding { codec: Codec::Zstd, level };
        let dictionary = |level| Coding { codec: Codec::Dictionary, level };
        let lz4 = Coding::new(Codec::Lz4);
        for cpu in [Load { cpu: 0.9, ..IDLE }, Load { cpu: 0.9, io: 0.9, memory: 0.9 }] {
            assert_eq!(zstd(10).under(cpu), lz4);
            assert_eq!(dictionary(3).under(cpu), lz4);
            assert_eq!(lz4.under(cpu), lz4);
        }
        for full in [Load { io: 0.9, ..IDLE }, Load { memory: 0.9, ..IDLE }] {
            assert_eq!(lz4.under(full), zstd(3));
            assert_eq!(Coding::new(Codec::Snappy).under(full), zstd(3));
            assert_eq!((zstd(0).under(full), zstd(12).under(full)), (zstd(10), zstd(12)));
            assert_eq!(dictionary(0).under(full), dictionary(10));
        }
    }

    #[test]
    fn a_gauge_shows_what_was_set_last() {
        let gauge = LoadGauge::default();
        assert_eq!(gauge.load(), IDLE);
        gauge.set(Load { cpu: 1.0, io: 0.5, memory: 0.25 });
        let seen = gauge.load();
        let near = |one: f64, other: f64| (one - other).abs() < 1e-4;
        assert!(near(seen.cpu, 1.0) && near(seen.io, 0.5) && near(seen.memory, 0.25), "{seen:?}");
        gauge.set(Load { cpu: -1.0, io: 7.0, memory: f64::NAN });
        assert_eq!(gauge.load(), Load { cpu: 0.0, io: 1.0, memory: 0.0 });
    }
}
