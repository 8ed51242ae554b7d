//! The kinds of filter, and their numbers on disk.

/// A layout of bits. The numbers are part of the format and never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// One cache line a key; each probe tests two bits of one 64-bit word. The fastest to build
    /// and, at 10 bits a key for 1 %, as small as any filter that touches a single line.
    #[default]
    DoubleProbe = 1,
}

impl Kind {
    /// Every kind that [`Builder`](crate::Builder) can build.
    pub const ALL: &[Self] = &[Self::DoubleProbe];

    /// Returns the kind whose number on disk is `number`.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| *kind as u8 == number)
    }
}
