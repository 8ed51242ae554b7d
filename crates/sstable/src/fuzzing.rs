//! Ways into the decoders for fuzzing; only in builds with `--cfg fuzzing`, which also skip
//! checksums.

use crate::block::bytes::Bytes;
use crate::block::cursor::Position;
use crate::block::{DataBlock, search};
use crate::codec::{self, Codec, Packed};
use crate::format::{FOOTER_BYTES, Footer, HEADER_BYTES, Header};
use crate::index::{Directory, Index, Top};
use crate::key::Trailer;
use crate::meta::TableMeta;
use crate::varint;

/// Reads a data block in every way: both directions and every kind of search.
pub fn data_block(bytes: &[u8], entries: u16, key: &[u8]) {
    let Ok(block) = DataBlock::parse(Bytes::heap(bytes.into(), 0), usize::from(entries)) else {
        return;
    };
    let (view, trailer) = (block.view(), Trailer::from_raw(1 << 20));
    let mut position = Position::default();
    let mut more = position.first(view);
    while more == Some(true) {
        std::hint::black_box(view.trailer(position.rank()));
        assert!(position.key().len() <= 65_535);
        more = position.next(view);
    }
    more = position.last(view);
    while more == Some(true) {
        more = position.prev(view);
    }
    for moved in [position.seek(view, key, trailer), position.seek_for_prev(view, key, trailer)] {
        assert!(moved != Some(true) || position.key().len() <= 65_535);
    }
    if let Some(Some(spot)) = search::point(view, key, bloom::hash_key(key), trailer) {
        assert!(spot.rank < usize::from(entries));
    }
}

/// Decompresses bytes with any codec.
pub fn codec(bytes: &[u8], number: u8, entries: u16, original_size: u32) {
    let Some(codec) = Codec::from_u8(number % 8) else { return };
    let original_size = original_size as usize % (1 << 20);
    let entries = usize::from(entries);
    let packed = Packed { codec, data: bytes, entries, original_size, dictionary: None };
    if let Ok(body) = codec::decompress(packed) {
        assert_eq!(body.len(), original_size);
    }
}

/// Reads everything else that a table holds.
pub fn metadata(bytes: &[u8]) {
    if let Some(index) = Index::decode(bytes) {
        for rank in 0..index.blocks() {
            assert!(index.handle(rank).is_some_and(|handle| handle.bytes >= 20));
        }
        let found = index.find(b"key", Trailer::FIRST);
        assert!(found.is_none_or(|rank| rank < index.blocks()));
    }
    if let Some(top) = Top::decode(bytes) {
        assert!(top.find(b"key").is_none_or(|rank| rank < top.parts.len()));
    }
    if let Some(meta) = TableMeta::decode(bytes) {
        let mut again = Vec::new();
        meta.encode(&mut again);
        assert!(TableMeta::decode(&again).is_some());
    }
    if let Some(Ok(directory)) = Directory::decode(bytes) {
        let mut again = Vec::new();
        directory.encode(&mut again);
        assert!(matches!(Directory::decode(&again), Some(Ok(same)) if same == directory));
    }
    if let Some(head) = bytes.first_chunk::<HEADER_BYTES>() {
        drop(Header::decode(head));
    }
    if let Some(Ok(footer)) = bytes.first_chunk::<FOOTER_BYTES>().map(Footer::decode) {
        assert!(footer.directory.bytes <= u64::from(u32::MAX));
    }
    if let Some((value, count)) = varint::get(bytes) {
        let mut again = Vec::new();
        varint::put(&mut again, value);
        assert!(again.len() <= count);
    }
}
