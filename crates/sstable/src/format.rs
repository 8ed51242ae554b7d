//! The frame of a table file: block headers, what each block is, and the footer.
//!
//! ```text
//! file   := block* footer                  blocks lie end to end from byte 0
//! block  := header | body
//! header := magic: u32 = 0x7573626c        "usbl"
//!         | version: u8                    1; 2: a compressed data block whose keys and values
//!                                          are mixed
//!         | flags: u8                      bits 0-3 codec, bits 4-7 what the block is
//!         | entry_count: u16               data blocks: entries; else 0
//!         | data_size: u32                 bytes of the body as stored (modulo 2^32)
//!         | original_size: u32             bytes of the body once decompressed (modulo 2^32)
//!         | crc32c: u32      of header[0..16] ++ body ++ table_id: u64 ++ offset: u64
//! footer := version: u16               the highest of its blocks
//!         | reserved: u16 = 0 | footer_bytes: u32 = 64
//!         | table_id: u64 | file_bytes: u64
//!         | directory_offset: u64 | directory_bytes: u32
//!         | blocks: u32                    count of blocks of the file, of all kinds
//!         | chain: u32                     crc32c of the crc32c fields of all blocks, in order
//!         | reserved: u64 = 0
//!         | crc32c: u32                    of footer[0..52]
//!         | magic: u64 = "lsmtable"
//! ```
//!
//! All numbers are little-endian. A checksum covers the table's id and the block's offset, so that
//! a block at the wrong place or from another table is refused like a damaged one.

use crate::block::Form;
use crate::codec::Codec;
use crate::crc;

/// The newest version of the block header and the footer that this build writes and reads.
pub(crate) const VERSION: u8 = 2;
pub(crate) const HEADER_BYTES: usize = 20;
pub(crate) const FOOTER_BYTES: usize = 64;
const BLOCK_MAGIC: u32 = 0x7573_626c;
const FOOTER_MAGIC: u64 = u64::from_le_bytes(*b"lsmtable");

/// Bodies beyond this are stored as they are, so that a decoder may bound what it allocates.
pub(crate) const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BlockKind {
    Data = 0,
    Index = 1,
    Filter = 2,
    Top = 3,
    Properties = 4,
    Directory = 5,
    Dictionary = 6,
    /// Reserved: no version writes it yet.
    RangeDelete = 7,
}

impl BlockKind {
    const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Data,
            1 => Self::Index,
            2 => Self::Filter,
            3 => Self::Top,
            4 => Self::Properties,
            5 => Self::Directory,
            6 => Self::Dictionary,
            7 => Self::RangeDelete,
            _ => return None,
        })
    }

    /// The block's name in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Data => "data block",
            Self::Index => "index block",
            Self::Filter => "filter block",
            Self::Top => "top index block",
            Self::Properties => "properties block",
            Self::Directory => "directory block",
            Self::Dictionary => "dictionary block",
            Self::RangeDelete => "range-delete block",
        }
    }
}

/// Where a block lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handle {
    /// First byte of the header, from the start of the file.
    pub(crate) offset: u64,
    /// Header and body, in bytes.
    pub(crate) bytes: u64,
}

/// The 20 bytes before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// How a data block is laid out once it is decompressed: the header's version.
    pub(crate) form: Form,
    pub(crate) codec: Codec,
    pub(crate) kind: BlockKind,
    pub(crate) entry_count: u16,
    pub(crate) data_size: u32,
    pub(crate) original_size: u32,
    pub(crate) crc: u32,
}

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Damaged; says what was expected.
    Damaged(&'static str),
    /// Sound as far as can be told, but not for this build.
    Unsupported(String),
    /// Packed by a codec that is not built in.
    #[cfg_attr(
        all(feature = "lz4", feature = "snappy", feature = "zstd", feature = "lzma"),
        expect(dead_code, reason = "all codecs are built in")
    )]
    UnsupportedCodec(Codec),
}

impl Form {
    /// The version of blocks that are laid out so.
    pub(crate) const fn version(self) -> u8 {
        match self {
            Self::Apart => 1,
            Self::Mixed => 2,
        }
    }
}

impl Header {
    /// Encodes the header and seals it, with its body, against damage and misplacement.
    pub(crate) fn seal(mut self, body: &[u8], place: Place) -> [u8; HEADER_BYTES] {
        let mut bytes = self.encode();
        self.crc = checksum(&bytes, body, place);
        bytes = self.encode();
        bytes
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..4].copy_from_slice(&BLOCK_MAGIC.to_le_bytes());
        out[4] = self.form.version();
        out[5] = self.codec as u8 | (self.kind as u8) << 4;
        out[6..8].copy_from_slice(&self.entry_count.to_le_bytes());
        out[8..12].copy_from_slice(&self.data_size.to_le_bytes());
        out[12..16].copy_from_slice(&self.original_size.to_le_bytes());
        out[16..20].copy_from_slice(&self.crc.to_le_bytes());
        out
    }

    /// The bytes of the body as stored, modulo 2^32, whatever else the header says.
    pub(crate) fn stored_bytes(head: &[u8; HEADER_BYTES]) -> u32 {
        let [.., d0, d1, d2, d3, _, _, _, _, _, _, _, _] = *head;
        u32::from_le_bytes([d0, d1, d2, d3])
    }

    /// Reads a header without looking at the body.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Fault> {
        let [m0, m1, m2, m3, version, flags, e0, e1, sizes @ ..] = *bytes;
        let [d0, d1, d2, d3, o0, o1, o2, o3, c0, c1, c2, c3] = sizes;
        if u32::from_le_bytes([m0, m1, m2, m3]) != BLOCK_MAGIC {
            return Err(Fault::Damaged("a block header that starts with 'lbsu'"));
        }
        let form = match version {
            1 => Form::Apart,
            2 => Form::Mixed,
            _ => return Err(Fault::Unsupported(format!("block version {version}"))),
        };
        let Some(codec) = Codec::from_u8(flags & 0xf) else {
            return Err(Fault::Unsupported(format!("codec number {}", flags & 0xf)));
        };
        let Some(kind) = BlockKind::from_u8(flags >> 4) else {
            return Err(Fault::Unsupported(format!("block kind {}", flags >> 4)));
        };
        if form == Form::Mixed && (kind != BlockKind::Data || codec == Codec::None) {
            return Err(Fault::Damaged("a compressed data block, as it is of version 2"));
        }
        Ok(Self {
            form,
            codec,
            kind,
            entry_count: u16::from_le_bytes([e0, e1]),
            data_size: u32::from_le_bytes([d0, d1, d2, d3]),
            original_size: u32::from_le_bytes([o0, o1, o2, o3]),
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }
}

/// What a checksum says about where a block belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) table_id: u64,
    pub(crate) offset: u64,
}

/// Computes the checksum of a block from its encoded header (its last four bytes do not count).
pub(crate) fn checksum(header: &[u8; HEADER_BYTES], body: &[u8], place: Place) -> u32 {
    let crc = crc::append(crc::EMPTY, &header[..HEADER_BYTES - 4]);
    with_place(crc::append(crc, body), place)
}

/// Completes the checksum of a header and a body with where the block belongs.
pub(crate) fn with_place(crc: u32, place: Place) -> u32 {
    let mut tail = [0; 16];
    tail[..8].copy_from_slice(&place.table_id.to_le_bytes());
    tail[8..].copy_from_slice(&place.offset.to_le_bytes());
    crc::append(crc, &tail)
}

/// Whether the checksum that a header ends with is that of the block.
fn is_sealed(head: &[u8; HEADER_BYTES], body: &[u8], place: Place) -> bool {
    let crc = checksum(head, body, place).to_le_bytes();
    head.ends_with(&crc)
}

/// Checks a whole block as read (header, then body) and returns its header.
pub(crate) fn check(bytes: &[u8], place: Place) -> Result<Header, Fault> {
    let Some((head, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Fault::Damaged("a block of at least 20 bytes"));
    };
    let header = Header::decode(head).map_err(|fault| match fault {
        // Only what is sealed says that it is of another version; else it is damaged.
        Fault::Unsupported(_) if !cfg!(fuzzing) && !is_sealed(head, body, place) => {
            Fault::Damaged("a block of a known version, codec and kind, or the checksum of another")
        }
        fault => fault,
    })?;
    // Sizes are modulo 2^32: the index knows the rest.
    if u64::from(header.data_size) != body.len() as u64 & 0xffff_ffff {
        return Err(Fault::Damaged("the stored size that the index names"));
    }
    if !cfg!(fuzzing) && header.crc != checksum(head, body, place) {
        return Err(Fault::Damaged("the block's checksum"));
    }
    Ok(header)
}

/// The last 64 bytes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// The highest of its blocks.
    pub(crate) version: u8,
    pub(crate) table_id: u64,
    pub(crate) file_bytes: u64,
    pub(crate) directory: Handle,
    pub(crate) blocks: u32,
    pub(crate) chain: u32,
}

impl Footer {
    pub(crate) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let directory_bytes = u32::try_from(self.directory.bytes).expect("a directory is small");
        let mut out = [0; FOOTER_BYTES];
        out[0..2].copy_from_slice(&u16::from(self.version).to_le_bytes());
        out[4..8].copy_from_slice(&64_u32.to_le_bytes());
        out[8..16].copy_from_slice(&self.table_id.to_le_bytes());
        out[16..24].copy_from_slice(&self.file_bytes.to_le_bytes());
        out[24..32].copy_from_slice(&self.directory.offset.to_le_bytes());
        out[32..36].copy_from_slice(&directory_bytes.to_le_bytes());
        out[36..40].copy_from_slice(&self.blocks.to_le_bytes());
        out[40..44].copy_from_slice(&self.chain.to_le_bytes());
        let crc = crc::append(crc::EMPTY, &out[..52]);
        out[52..56].copy_from_slice(&crc.to_le_bytes());
        out[56..64].copy_from_slice(&FOOTER_MAGIC.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; FOOTER_BYTES]) -> Result<Self, Fault> {
        let mut rest = &bytes[..];
        let version = take_u16(&mut rest);
        let reserved = take_u16(&mut rest);
        let footer_bytes = take_u32(&mut rest);
        let table_id = take_u64(&mut rest);
        let file_bytes = take_u64(&mut rest);
        let offset = take_u64(&mut rest);
        let directory = Handle { offset, bytes: u64::from(take_u32(&mut rest)) };
        let blocks = take_u32(&mut rest);
        let chain = take_u32(&mut rest);
        let reserved = u64::from(reserved) | take_u64(&mut rest);
        let crc = take_u32(&mut rest);
        if take_u64(&mut rest) != FOOTER_MAGIC {
            return Err(Fault::Damaged("a table footer that ends with 'lsmtable'"));
        }
        if !cfg!(fuzzing) && crc != crc::append(crc::EMPTY, &bytes[..52]) {
            return Err(Fault::Damaged("the footer's checksum"));
        }
        let known = u8::try_from(version).ok().filter(|version| (1..=VERSION).contains(version));
        match known {
            Some(version) if footer_bytes == 64 && reserved == 0 => {
                Ok(Self { version, table_id, file_bytes, directory, blocks, chain })
            }
            _ => Err(Fault::Unsupported(format!("table version {version}"))),
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    // Only for arrays whose length is known: what is beyond the end reads as zero.
    let Some((head, tail)) = rest.split_first_chunk::<N>() else { return [0; N] };
    *rest = tail;
    *head
}

fn take_u16(rest: &mut &[u8]) -> u16 {
    u16::from_le_bytes(take(rest))
}

fn take_u32(rest: &mut &[u8]) -> u32 {
    u32::from_le_bytes(take(rest))
}

fn take_u64(rest: &mut &[u8]) -> u64 {
    u64::from_le_bytes(take(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        form: Form::Apart,
        codec: Codec::Zstd,
        kind: BlockKind::Filter,
        entry_count: 0x0102,
        data_size: 5,
        original_size: 0x0a0b_0c0d,
        crc: 0,
    };
    const PLACE: Place = Place { table_id: 7, offset: 4096 };

    #[test]
    fn the_header_is_laid_out_as_drawn() {
        let bytes = HEADER.seal(b"hello", PLACE);
        let drawn = b"lbsu\x01\x23\x02\x01\x05\0\0\0\x0d\x0c\x0b\x0a";
        assert_eq!(&bytes[..16], drawn);
        let mut covered = drawn.to_vec();
        covered.extend(b"hello\x07\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0");
        assert_eq!(bytes[16..], crc32c::crc32c(&covered).to_le_bytes());
    }

    #[test]
    fn a_block_is_refused_if_any_bit_or_its_place_differs() {
        let mut block = HEADER.seal(b"hello", PLACE).to_vec();
        block.extend(b"hello");
        let sealed = check(&block, PLACE).unwrap();
        assert_eq!(Header { crc: 0, ..sealed }, HEADER);
        for bit in 0..block.len() * 8 {
            block[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&block, PLACE).is_err(), "bit {bit}");
            block[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in 0..block.len() {
            assert!(check(&block[..cut], PLACE).is_err());
        }
        assert!(check(&block, Place { table_id: 8, ..PLACE }).is_err());
        assert!(check(&block, Place { offset: 8192, ..PLACE }).is_err());
    }

    #[test]
    fn a_footer_is_refused_if_any_bit_differs() {
        let footer = Footer {
            version: 1,
            table_id: 1 << 60,
            file_bytes: 1 << 50,
            directory: Handle { offset: 1 << 40, bytes: 77 },
            blocks: 9,
            chain: 0xdead_beef,
        };
        let mut bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes), Ok(footer));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = HEADER.seal(b"", PLACE);
        bytes[4] = 3;
        assert_eq!(Header::decode(&bytes), Err(Fault::Unsupported("block version 3".into())));
        bytes[4] = 1;
        bytes[5] = 0x0f;
        assert_eq!(Header::decode(&bytes), Err(Fault::Unsupported("codec number 15".into())));
    }
}
