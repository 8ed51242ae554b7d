//! Ways into the decoders for fuzzing; only in builds with `--cfg fuzzing`, which also skip
//! checksums.

use std::sync::{Arc, OnceLock};

use crate::block::bytes::Bytes;
use crate::block::cursor::Position;
use crate::block::{DataBlock, mixed, search};
use crate::codec::{self, Codec, Coding, Packed, ReadDictionary};
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
    let (dictionary, data) = dictionary(codec, bytes);
    let dictionary = dictionary.as_deref();
    if let Ok(body) = codec::decompress(Packed { codec, data, entries, original_size, dictionary })
    {
        assert_eq!(body.len(), original_size);
    }
}

/// What blocks of `Dictionary` are read with: what the bytes begin with, whatever it is, or, after
/// a length of 0, one that was trained. Returns it and the rest of the bytes.
fn dictionary(codec: Codec, bytes: &[u8]) -> (Option<Arc<ReadDictionary>>, &[u8]) {
    static TRAINED: OnceLock<Option<Arc<ReadDictionary>>> = OnceLock::new();
    if codec != Codec::Dictionary {
        return (None, bytes);
    }
    let Some((length, rest)) = bytes.split_first() else { return (None, bytes) };
    if *length == 0 {
        return (TRAINED.get_or_init(trained).clone(), rest);
    }
    let (own, rest) = rest.split_at(rest.len().min(usize::from(*length) * 4));
    (ReadDictionary::new(own).ok().map(Arc::new), rest)
}

fn trained() -> Option<Arc<ReadDictionary>> {
    let sample = |rank: u32| format!("{{\"id\":{rank},\"name\":\"user {}\"}}", rank % 97).repeat(9);
    let samples: Vec<String> = (0..300).map(sample).collect();
    let samples: Vec<&[u8]> = samples.iter().map(String::as_bytes).collect();
    let bytes = codec::train(&samples, 1024, Coding::new(Codec::Dictionary));
    assert!(!bytes.is_empty(), "enough to train on");
    ReadDictionary::new(&bytes).ok().map(Arc::new)
}

/// Sets a mixed data block apart; what comes of it is that block, mixed again.
pub fn mixed(bytes: &[u8], entries: u16) {
    if let Ok(body) = mixed::set_apart(bytes, usize::from(entries)) {
        let mut again = Vec::new();
        mixed::mix(&body, usize::from(entries), &mut again).expect("just set apart");
        assert_eq!(again, bytes);
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
