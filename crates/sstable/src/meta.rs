//! What a table knows about itself: the properties block.
//!
//! ```text
//! properties := (tag: varint | bytes: varint | content)*     tags ascending
//! content    := varint                                       numbers
//!             | raw bytes                                    keys
//! ```
//!
//! Tags are never reused. A reader skips tags it does not know: nothing here is needed to read an
//! entry right. A property that is missing reads as zero or empty.

use crate::codec::Codec;
use crate::key::SeqNo;
use crate::varint;

/// What is known about a table without reading its entries.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TableMeta {
    /// The number mixed into every checksum of the table.
    pub table_id: u64,
    /// Length of the file, in bytes.
    pub file_bytes: u64,
    /// Count of entries, all versions and tombstones included.
    pub entries: u64,
    /// Count of entries of the kinds `Delete` and `RangeDelete`.
    pub tombstones: u64,
    /// User keys as given, before any compression, in bytes.
    pub key_bytes: u64,
    /// Values as given, before any compression, in bytes.
    pub value_bytes: u64,
    /// User keys and values as given, in bytes: `key_bytes + value_bytes`.
    pub data_bytes: u64,
    /// Data blocks as stored, headers included, in bytes.
    pub stored_bytes: u64,
    /// Count of data blocks.
    pub block_count: u64,
    /// The smallest user key; empty if the table has no entry.
    pub smallest: Vec<u8>,
    /// The largest user key; empty if the table has no entry.
    pub largest: Vec<u8>,
    /// The smallest sequence number of an entry.
    pub min_seqno: SeqNo,
    /// The largest sequence number of an entry.
    pub max_seqno: SeqNo,
    /// The codec asked for; blocks that did not shrink are stored plainly all the same.
    pub codec: Codec,
    /// Target size of a data block before compression, in bytes.
    pub block_bytes: u32,
    /// Entries from one full key to the next within a block.
    pub restart_interval: u32,
    /// Bits a key of the filter; 0 if the table has none.
    pub filter_bits_per_key: f64,
    /// Filter blocks, headers included, in bytes.
    pub filter_bytes: u64,
    /// Index blocks, headers included, in bytes.
    pub index_bytes: u64,
    /// Count of index partitions; 1 for all but very large tables.
    pub partitions: u64,
    /// The level the table was written for; 0 is the newest.
    pub level: u32,
    /// When the table was made, in microseconds since 1970 by the maker's clock; 0 if not told.
    pub created_at_us: u64,
    /// Whose the table is, as its maker numbers owners; 0 if not told.
    pub owner: u64,
    /// Data blocks by the codec they were stored with; the rank is the codec's number.
    pub blocks_by_codec: [u64; Codec::COUNT],
}

/// One property: how it is numbered, written and read.
enum Field<'a> {
    Number(&'a mut u64),
    Small(&'a mut u32),
    Real(&'a mut f64),
    Key(&'a mut Vec<u8>),
    Codec(&'a mut Codec),
}

impl TableMeta {
    /// Appends the properties block; `file_bytes` stands in the footer instead.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut copy = self.clone();
        let mut content = Vec::new();
        for tag in 1..=Self::LAST_TAG {
            if tag == Self::OWNER_TAG && self.owner == 0 {
                continue; // as before there were owners
            }
            let Some(field) = copy.field(tag) else { continue };
            content.clear();
            match field {
                Field::Number(number) => varint::put(&mut content, *number),
                Field::Small(number) => varint::put(&mut content, u64::from(*number)),
                Field::Real(real) => content.extend_from_slice(&real.to_bits().to_le_bytes()),
                Field::Key(key) => content.extend_from_slice(key),
                Field::Codec(codec) => content.push(*codec as u8),
            }
            varint::put(out, tag);
            varint::put_bytes(out, &content);
        }
    }

    /// Reads a properties block; `None` if it is malformed.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut meta = Self::default();
        while !bytes.is_empty() {
            let tag = varint::take(&mut bytes)?;
            let mut content = varint::take_bytes(&mut bytes)?;
            match meta.field(tag) {
                None => {}
                Some(Field::Number(number)) => *number = varint::take(&mut content)?,
                Some(Field::Small(number)) => {
                    *number = varint::take(&mut content)?.try_into().ok()?;
                }
                Some(Field::Real(real)) => {
                    *real = f64::from_bits(u64::from_le_bytes(content.try_into().ok()?));
                }
                Some(Field::Key(key)) => *key = content.to_vec(),
                Some(Field::Codec(codec)) => *codec = Codec::from_u8(*content.first()?)?,
            }
        }
        meta.data_bytes = meta.key_bytes.saturating_add(meta.value_bytes);
        Some(meta)
    }

    const OWNER_TAG: u64 = 21;
    const LAST_TAG: u64 = 31 + Codec::COUNT as u64;

    fn field(&mut self, tag: u64) -> Option<Field<'_>> {
        Some(match tag {
            1 => Field::Number(&mut self.entries),
            2 => Field::Number(&mut self.tombstones),
            3 => Field::Number(&mut self.key_bytes),
            4 => Field::Number(&mut self.value_bytes),
            5 => Field::Number(&mut self.stored_bytes),
            6 => Field::Number(&mut self.block_count),
            7 => Field::Key(&mut self.smallest),
            8 => Field::Key(&mut self.largest),
            9 => Field::Number(&mut self.min_seqno),
            10 => Field::Number(&mut self.max_seqno),
            11 => Field::Codec(&mut self.codec),
            12 => Field::Small(&mut self.block_bytes),
            13 => Field::Small(&mut self.restart_interval),
            14 => Field::Real(&mut self.filter_bits_per_key),
            15 => Field::Number(&mut self.filter_bytes),
            16 => Field::Number(&mut self.index_bytes),
            17 => Field::Number(&mut self.partitions),
            18 => Field::Small(&mut self.level),
            19 => Field::Number(&mut self.created_at_us),
            20 => Field::Number(&mut self.table_id),
            21 => Field::Number(&mut self.owner),
            32.. => Field::Number(self.blocks_by_codec.get_mut(usize::try_from(tag - 32).ok()?)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> TableMeta {
        let mut meta = TableMeta {
            smallest: b"a\0".to_vec(),
            largest: vec![0xff; 300],
            codec: Codec::Zstd,
            filter_bits_per_key: 9.5,
            block_bytes: 4096,
            restart_interval: 16,
            level: 6,
            ..TableMeta::default()
        };
        for tag in 1..=TableMeta::LAST_TAG {
            if let Some(Field::Number(number)) = meta.field(tag) {
                *number = 1 << tag;
            }
        }
        meta.data_bytes = meta.key_bytes + meta.value_bytes;
        meta
    }

    #[test]
    fn properties_round_trip_and_unknown_tags_are_skipped() {
        let meta = full();
        let mut bytes = Vec::new();
        meta.encode(&mut bytes);
        assert_eq!(TableMeta::decode(&bytes), Some(meta.clone()));
        varint::put(&mut bytes, 1_000_000);
        varint::put_bytes(&mut bytes, b"from a later version");
        assert_eq!(TableMeta::decode(&bytes), Some(meta));
        assert_eq!(TableMeta::decode(&[]), Some(TableMeta::default()));
    }

    #[test]
    fn cut_properties_never_panic() {
        let mut bytes = Vec::new();
        full().encode(&mut bytes);
        for cut in 0..bytes.len() {
            if let Some(meta) = TableMeta::decode(&bytes[..cut]) {
                assert_ne!(meta, full(), "a cut at byte {cut} went unnoticed");
            }
        }
    }
}
