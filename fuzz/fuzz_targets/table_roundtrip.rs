//! Any entries under any options: what is written is read back, entry by entry.
#![no_main]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sstable::{
    Chooser, Codec, Cursor, Expect, ReadOptions, Table, TableCursor, TableWriter, Trailer,
    WriteOptions,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[codec, shape, block, interval], mut rest)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let options = WriteOptions {
        codec: Codec::from_u8(codec % 8).expect("eight codecs"),
        hash_index: shape & 1 != 0,
        chooser: if shape & 2 != 0 { Chooser::ByData } else { Chooser::Fixed },
        filter_bits_per_key: if shape & 4 != 0 { 0.0 } else { 10.0 },
        ratio_min: 1.0,
        compress_bytes_min: 0,
        block_bytes: 512 + usize::from(block) * 8,
        restart_interval: 1 + usize::from(interval) % 40,
        partition_blocks: 8,
        dictionary_bytes: 1024,
        ..WriteOptions::default()
    };
    // Entry: key length, value length, trailer byte, then the bytes themselves.
    let mut entries = BTreeMap::new();
    while let Some((&[key_bytes, value_bytes, trailer], tail)) = rest.split_first_chunk::<3>() {
        let (key, tail) = tail.split_at(tail.len().min(usize::from(key_bytes) % 64));
        let (value, tail) = tail.split_at(tail.len().min(usize::from(value_bytes)));
        rest = tail;
        let trailer = Trailer::from_raw(u64::from(trailer) << 8 | 1);
        entries.insert((key, Reverse(trailer)), value);
    }
    let mut writer = TableWriter::new(Vec::new(), "fuzz", 1, &options).expect("valid options");
    for ((key, Reverse(trailer)), value) in &entries {
        writer.add(key, *trailer, value).expect("memory does not fail");
    }
    let (_, file) = writer.finish().expect("memory does not fail");
    let table = Table::open(Arc::new(file), "fuzz", Expect::default(), None).expect("just written");
    let table = Arc::new(table);
    table.verify().expect("just written");
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    cursor.seek_to_first().expect("just written");
    for ((key, Reverse(trailer)), value) in &entries {
        assert_eq!((cursor.key(), cursor.trailer(), cursor.value()), (*key, *trailer, *value));
        let found = table.get(key, bloom::hash_key(key), *trailer).expect("just written");
        let found = found.expect("written");
        assert_eq!((found.trailer, &*found.value), (*trailer, *value));
        cursor.next().expect("just written");
    }
    assert!(!cursor.valid());
});
