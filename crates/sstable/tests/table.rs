//! Tables against a sorted list, under many options.

#![expect(
    clippy::unwrap_used,
    clippy::big_endian_bytes,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests: what fails must stop them, and their numbers are small"
)]

mod common;

use std::sync::Arc;

use common::{Entry, SHAPES, Shape, build, entries, expected, get, here, open, scan};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sstable::{
    BlockCache, Chooser, Codec, Coding, Cursor, Kind, ReadOptions, Table, TableCursor, TableWriter,
    Trailer, WriteOptions,
};
#[cfg(feature = "zstd")]
use sstable::{Load, LoadGauge, TableMeta};

/// Options that between them reach every path.
fn variants() -> Vec<WriteOptions> {
    let plain = WriteOptions { block_bytes: 512, codec: Codec::None, ..WriteOptions::default() };
    let mut all = vec![
        plain.clone(),
        WriteOptions { hash_index: true, ..plain.clone() },
        WriteOptions { restart_interval: 1, filter_bits_per_key: 0.0, ..plain.clone() },
        WriteOptions { block_bytes: 65_536, hash_index: true, ..plain.clone() },
        WriteOptions { block_bytes: 65_536, restart_interval: 1024, ..plain.clone() },
        WriteOptions { partition_blocks: 8, fence: fence::Layout::Eytzinger, ..plain.clone() },
    ];
    for codec in Codec::ALL.into_iter().filter(|codec| codec.is_built_in()) {
        all.push(WriteOptions { codec, ratio_min: 1.0, ..plain.clone() });
        all.push(WriteOptions { codec, compression_threads: 2, ..WriteOptions::default() });
    }
    all.push(WriteOptions { chooser: Chooser::ByData, ..WriteOptions::default() });
    all
}

fn check_points(table: &Table, entries: &[Entry], random: &mut StdRng) {
    for (key, trailer, value) in entries {
        assert!(table.may_contain(bloom::hash_key(key)));
        assert_eq!(get(table, key, *trailer).unwrap(), Some((*trailer, value.clone())));
    }
    for _ in 0..500 {
        let mut key = if entries.is_empty() || random.random_bool(0.2) {
            (0..random.random_range(0..4)).map(|_| random.random()).collect()
        } else {
            entries[random.random_range(0..entries.len())].0.clone()
        };
        if random.random_bool(0.3) {
            key.push(0);
        }
        let at = Trailer::newest_at(random.random_range(0..100_001));
        assert_eq!(get(table, &key, at).unwrap(), expected(entries, &key, at));
    }
}

/// The same random moves on the table and on the list.
fn check_walk(table: &Arc<Table>, entries: &[Entry], random: &mut StdRng, options: ReadOptions) {
    let mut cursor = TableCursor::new(Arc::clone(table), options);
    let mut oracle = sstable::SliceCursor::new(entries);
    for _ in 0..800 {
        let move_to = random.random_range(0..20);
        if move_to < 4 || !oracle.valid() {
            let key = match entries.len() {
                0 => b"x".to_vec(),
                len => entries[random.random_range(0..len)].0.clone(),
            };
            let at = Trailer::from_raw(random.random_range(0..100_000 << 8));
            match move_to % 4 {
                0 => (cursor.seek_to_first().unwrap(), oracle.seek_to_first().unwrap()),
                1 => (cursor.seek_to_last().unwrap(), oracle.seek_to_last().unwrap()),
                2 => (cursor.seek(&key, at).unwrap(), oracle.seek(&key, at).unwrap()),
                _ => (
                    cursor.seek_for_prev(&key, at).unwrap(),
                    oracle.seek_for_prev(&key, at).unwrap(),
                ),
            };
        } else {
            let forward = move_to < 12;
            for _ in 0..random.random_range(1..80) {
                if !oracle.valid() {
                    break;
                }
                assert_eq!(here(&cursor), here(&oracle));
                if forward {
                    cursor.next().unwrap();
                    oracle.next().unwrap();
                } else {
                    cursor.prev().unwrap();
                    oracle.prev().unwrap();
                }
            }
        }
        assert_eq!(here(&cursor), here(&oracle));
    }
}

#[test]
fn tables_agree_with_a_sorted_list() {
    let mut random = StdRng::seed_from_u64(2);
    let cache = Arc::new(BlockCache::new(100_000));
    for (number, options) in variants().into_iter().enumerate() {
        for shape in SHAPES {
            for count in [0, 1, 2, 17, 3000] {
                let entries = entries(shape, count, &mut random);
                let bytes = build(&entries, &options);
                let cached = number % 2 == 0;
                cache.clear();
                let table = open(bytes, cached.then(|| Arc::clone(&cache))).unwrap();
                let read = ReadOptions { fill_cache: cached, ..ReadOptions::default() };
                let mut cursor = TableCursor::new(Arc::clone(&table), read);
                assert_eq!(scan(&mut cursor).unwrap(), entries);
                check_points(&table, &entries, &mut random);
                check_walk(&table, &entries, &mut random, read);
                let report = table.verify().unwrap();
                assert_eq!(report.entries, entries.len() as u64);
                assert_eq!(report.bytes, table.meta().file_bytes);
            }
        }
    }
}

#[test]
fn one_key_of_many_versions_fills_many_blocks() {
    let entry = |seqno| (b"k".to_vec(), Trailer::new(seqno, Kind::Put), vec![seqno as u8; 100]);
    let mut all: Vec<Entry> = vec![(b"a".to_vec(), Trailer::new(5, Kind::Put), vec![])];
    all.extend((0..5000).rev().map(entry));
    all.push((b"z".to_vec(), Trailer::new(5, Kind::Put), vec![]));
    for partition_blocks in [8, 32_768] {
        let options =
            WriteOptions { block_bytes: 512, partition_blocks, ..WriteOptions::default() };
        let table = open(build(&all, &options), None).unwrap();
        assert!(table.meta().block_count > 900);
        table.verify().unwrap();
        let mut random = StdRng::seed_from_u64(3);
        check_points(&table, &all, &mut random);
        check_walk(&table, &all, &mut random, ReadOptions::default());
    }
}

#[test]
fn properties_tell_what_was_written() {
    let mut random = StdRng::seed_from_u64(4);
    let all = entries(Shape::Mixed, 2000, &mut random);
    let options = WriteOptions { codec: Codec::None, ..WriteOptions::default() };
    let mut writer = TableWriter::new(Vec::new(), "t", 42, &options).unwrap().with_origin(3, 77);
    for (key, trailer, value) in &all {
        writer.add(key, *trailer, value).unwrap();
    }
    let estimate = writer.estimated_bytes();
    let (meta, bytes) = writer.finish().unwrap();
    let table = open(bytes, None).unwrap();
    assert_eq!(table.meta(), &meta);
    assert_eq!((meta.level, meta.created_at_us, meta.table_id), (3, 77, 42));
    let tombstones = all.iter().filter(|e| e.1.kind() == Some(Kind::Delete)).count();
    assert_eq!((meta.entries, meta.tombstones), (all.len() as u64, tombstones as u64));
    let data: usize = all.iter().map(|e| e.0.len() + e.2.len()).sum();
    assert_eq!(meta.data_bytes, data as u64);
    assert_eq!((&meta.smallest, &meta.largest), (&all[0].0, &all[all.len() - 1].0));
    let seqnos = || all.iter().map(|e| e.1.seqno());
    assert_eq!((Some(meta.min_seqno), Some(meta.max_seqno)), (seqnos().min(), seqnos().max()));
    assert_eq!(meta.blocks_by_codec[0], meta.block_count);
    // What the 2025 report keeps in a file beside each run (2.8.1), fences and all.
    assert_eq!((meta.codec, meta.block_bytes), (Codec::None, 4096));
    assert!((meta.filter_bits_per_key - options.filter_bits_per_key).abs() < 1e-9);
    assert_eq!((meta.restart_interval, meta.partitions), (16, 1));
    assert!(meta.block_count > 10 && meta.index_bytes > meta.block_count, "{meta:?}");
    assert!(meta.stored_bytes + meta.filter_bytes + meta.index_bytes < meta.file_bytes);
    assert!(estimate.abs_diff(meta.file_bytes) < meta.file_bytes / 20, "{estimate}");
    assert!(table.memory_usage() as u64 > meta.filter_bytes);
}

#[test]
fn keys_and_values_at_the_limits() {
    let longest = vec![0xff; sstable::KEY_BYTES_MAX];
    let at = Trailer::new(sstable::SEQNO_MAX, Kind::Put);
    let all = vec![
        (vec![], at, vec![]),
        (vec![], Trailer::new(0, Kind::Delete), vec![]),
        (b"big".to_vec(), at, vec![7; 3_000_000]),
        (longest[..65_534].to_vec(), at, vec![1]),
        (longest.clone(), at, vec![2]),
    ];
    for options in variants() {
        let table = open(build(&all, &options), None).unwrap();
        assert_eq!(
            scan(&mut TableCursor::new(Arc::clone(&table), ReadOptions::default())).unwrap(),
            all
        );
        table.verify().unwrap();
        assert_eq!(get(&table, &longest, at).unwrap(), Some((at, vec![2])));
    }
    let mut writer = TableWriter::new(Vec::new(), "t", 1, &WriteOptions::default()).unwrap();
    let error = writer.add(&vec![0; 65_536], at, b"").unwrap_err();
    assert_eq!(error.to_string(), "key of 65536 bytes is longer than the 65535 allowed");
    writer.add(&longest, at, b"").unwrap();
}

#[test]
#[should_panic(expected = "entries must ascend")]
fn entries_out_of_order_are_a_bug() {
    let mut writer = TableWriter::new(Vec::new(), "t", 1, &WriteOptions::default()).unwrap();
    writer.add(b"b", Trailer::new(1, Kind::Put), b"").unwrap();
    writer.add(b"a", Trailer::new(1, Kind::Put), b"").unwrap();
}

#[test]
fn equal_input_gives_equal_bytes() {
    let mut random = StdRng::seed_from_u64(5);
    let all = entries(Shape::Mixed, 1000, &mut random);
    for options in variants() {
        assert_eq!(build(&all, &options), build(&all, &options));
    }
}

/// Text-like rows; enough to train a dictionary on.
fn rows(count: usize) -> Vec<Entry> {
    let row = |rank: usize| {
        let value = format!(
            "{{\"id\":{rank},\"name\":\"user {}\",\"mail\":\"u{}@example.org\",\"active\":{}}}",
            rank * 7919 % 1000,
            rank * 31,
            rank.is_multiple_of(3)
        );
        (format!("row{rank:08}").into_bytes(), Trailer::new(rank as u64, Kind::Put), value.into())
    };
    (0..count).map(row).collect()
}

#[test]
fn threads_and_the_writer_alone_write_the_same_bytes() {
    let all = rows(20_000);
    for codec in Codec::ALL.into_iter().filter(|codec| codec.is_built_in()) {
        let options = WriteOptions { codec, dictionary_bytes: 4096, ..WriteOptions::default() };
        let alone = build(&all, &options);
        let threads = WriteOptions { compression_threads: 3, ..options.clone() };
        assert!(alone == build(&all, &threads), "{}", codec.name());
        let table = open(alone, None).unwrap();
        let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
        assert!(scan(&mut cursor).unwrap() == all);
        table.verify().unwrap();
    }
}

/// Prose: a few hundred made-up words, thirty to a value.
fn prose(count: usize) -> Vec<Entry> {
    let mut random = StdRng::seed_from_u64(8);
    let letters = b"etaoinshrdlu";
    let mut word = |_| {
        let bytes = random.random_range(3..10);
        (0..bytes).map(|_| char::from(letters[random.random_range(0..12)])).collect::<String>()
    };
    let words: Vec<String> = (0..400).map(&mut word).collect();
    let mut random = StdRng::seed_from_u64(9);
    let value = |random: &mut StdRng| {
        let words = (0..30).map(|_| words[random.random_range(0..400)].as_str());
        words.collect::<Vec<_>>().join(" ").into_bytes()
    };
    let entry = |rank: u64| {
        let key = format!("page{rank:08}").into_bytes();
        (key, Trailer::new(rank, Kind::Put), value(&mut random))
    };
    (0..count as u64).map(entry).collect()
}

#[cfg(feature = "zstd")]
#[test]
fn a_dictionary_pays_on_small_blocks_of_like_rows() {
    let all = prose(20_000);
    let size = |codec| {
        let options = WriteOptions { codec, filter_bits_per_key: 0.0, ..WriteOptions::default() };
        let table = open(build(&all, &options), None).unwrap();
        (table.meta().file_bytes, table.meta().blocks_by_codec[codec as usize])
    };
    let (plain, _) = size(Codec::Zstd);
    let (dictionary, blocks) = size(Codec::Dictionary);
    assert!(blocks > 100, "{blocks} blocks use the dictionary");
    assert!(dictionary * 115 < plain * 100, "{dictionary} with, {plain} without");
}

#[test]
fn one_table_holds_blocks_of_several_codecs() {
    let mut random = StdRng::seed_from_u64(6);
    let mut all = rows(3000);
    // Integers before, noise behind.
    for rank in 0..2000_u64 {
        let value = (rank * 3).to_le_bytes().to_vec();
        all.push((format!("a{rank:010}").into_bytes(), Trailer::new(rank, Kind::Put), value));
    }
    for rank in 0..50_u32 {
        let noise = (0..3000).map(|_| random.random()).collect();
        all.push((format!("z{rank:05}").into_bytes(), Trailer::new(7, Kind::Put), noise));
    }
    all.sort_by(|a, b| sstable::compare(&a.0, a.1, &b.0, b.1));
    let options = WriteOptions { chooser: Chooser::ByData, ..WriteOptions::default() };
    let table = open(build(&all, &options), None).unwrap();
    let blocks = table.meta().blocks_by_codec;
    let chosen = |codec: Codec| blocks[codec as usize];
    assert!(chosen(Codec::Delta) > 3 && chosen(Codec::None) > 10, "{blocks:?}");
    assert_eq!(blocks.iter().sum::<u64>(), table.meta().block_count);
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    assert!(scan(&mut cursor).unwrap() == all);
    table.verify().unwrap();
}

/// Found by reading: random keys stood for the whole block, whose values were text.
#[cfg(feature = "lz4")]
#[test]
fn text_under_random_keys_is_compressed() {
    let mut random = StdRng::seed_from_u64(24);
    let text = b"{\"name\": \"somebody\", \"city\": \"somewhere\", \"notes\": \"none so far\"}";
    let mut all: Vec<Entry> = (0..2000)
        .map(|rank| {
            let key: [u8; 64] = random.random();
            (key.to_vec(), Trailer::new(rank, Kind::Put), text.repeat(2))
        })
        .collect();
    all.sort();
    let options =
        WriteOptions { block_bytes: 16 << 10, chooser: Chooser::ByData, ..WriteOptions::default() };
    let table = open(build(&all, &options), None).unwrap();
    let meta = table.meta();
    assert_eq!(meta.blocks_by_codec[Codec::Lz4 as usize], meta.block_count, "{meta:?}");
}

/// Records that name their own keys, of a hundred bytes of other text and more.
fn documents(count: usize) -> Vec<Entry> {
    let mut random = StdRng::seed_from_u64(27);
    let mut all: Vec<Entry> = Vec::new();
    for rank in 0..count {
        let (id, noise): (u64, u64) = (random.random(), random.random());
        let key = format!("{rank:07}/{id:016x}");
        let words = "so many words that say nothing. ".repeat(random.random_range(3..12));
        let value =
            format!("{{\"key\":\"{key}\",\"noise\":\"{noise:016x}\",\"text\":\"{words}\"}}");
        all.push((key.into_bytes(), Trailer::from_raw((rank as u64) << 8 | 1), value.into_bytes()));
    }
    all
}

/// Data blocks of the table that are of version 2, and of version 1.
fn versions(bytes: &[u8]) -> [usize; 2] {
    let count = |version: u8| {
        let is_data =
            |head: &&[u8]| head.starts_with(b"lbsu") && head[4] == version && head[5] < 16;
        bytes.windows(8).filter(is_data).count()
    };
    [count(2), count(1)]
}

#[test]
fn values_that_repeat_their_keys_are_stored_behind_them() {
    let all = documents(6000);
    // What a reference back costs the others depends little on how far it reaches.
    let gains = |codec: &Codec| matches!(codec, Codec::Zstd | Codec::Dictionary | Codec::Lzma);
    for codec in Codec::ALL.into_iter().filter(|codec| codec.is_built_in()) {
        for block_bytes in [4096, 65_536] {
            let options = WriteOptions {
                codec,
                block_bytes,
                dictionary_bytes: 1024,
                hash_index: true,
                ..WriteOptions::default()
            };
            let bytes = build(&all, &options);
            let threads = WriteOptions { compression_threads: 2, ..options.clone() };
            assert!(bytes == build(&all, &threads), "{codec:?}");
            let [mixed, apart] = versions(&bytes);
            if block_bytes > 4096 && gains(&codec) {
                assert!(mixed > 10 * apart, "{codec:?}: {mixed} {apart}");
            } else if matches!(codec, Codec::None | Codec::BitPack | Codec::Delta) {
                assert_eq!(mixed, 0, "{codec:?}");
            }
            assert_eq!(bytes[bytes.len() - 64], if mixed > 0 { 2 } else { 1 }, "its footer");
            let table = open(bytes, None).unwrap();
            table.verify().unwrap();
            let mut random = StdRng::seed_from_u64(28);
            check_points(&table, &all[..300], &mut random);
            check_walk(&table, &all, &mut random, ReadOptions::default());
            let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
            assert!(scan(&mut cursor).unwrap() == all);
        }
    }
}

/// An index of many blocks has much in common; a filter has nothing.
#[test]
fn indexes_are_compressed_and_filters_are_not() {
    let all = rows(30_000);
    for codec in Codec::ALL.into_iter().filter(|codec| codec.is_built_in()) {
        let options = WriteOptions { codec, partition_blocks: 100, ..WriteOptions::default() };
        let bytes = build(&all, &options);
        let codecs = |kind: u8| -> Vec<u8> {
            let is_it = |head: &&[u8]| head.starts_with(b"lbsu") && head[5] >> 4 == kind;
            bytes.windows(8).filter(is_it).map(|head| head[5] & 15).collect()
        };
        let (index, filter) = (codecs(1), codecs(2));
        assert!(index.len() > 2 && index.len() == filter.len(), "{codec:?}");
        assert!(filter.iter().all(|codec| *codec == 0));
        // The last one may be small.
        let expected = match codec {
            Codec::None | Codec::BitPack | Codec::Delta => Codec::None,
            Codec::Dictionary => Codec::Zstd,
            other => other,
        };
        assert!(index[..2].iter().all(|codec| *codec == expected as u8), "{codec:?}: {index:?}");
        let table = open(bytes, None).unwrap();
        table.verify().unwrap();
        let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
        assert!(scan(&mut cursor).unwrap() == all);
    }
}

/// Small entries, and values that have nothing of their keys, stay in tables of version 1.
#[test]
fn tables_stay_of_version_1_where_nothing_is_gained() {
    for all in [rows(6000), prose(2000)] {
        for codec in Codec::ALL.into_iter().filter(|codec| codec.is_built_in()) {
            let bytes = build(&all, &WriteOptions { codec, ..WriteOptions::default() });
            assert_eq!(versions(&bytes)[0], 0, "{codec:?}");
            assert_eq!(bytes[bytes.len() - 64], 1);
        }
    }
}

/// What LZ4 and Snappy refer back to lies within 64 KiB: a block does not reach just beyond.
#[test]
fn blocks_of_64_kib_do_not_reach_beyond_it() {
    let all = documents(2000);
    let options =
        WriteOptions { codec: Codec::None, block_bytes: 65_536, ..WriteOptions::default() };
    let bytes = build(&all, &options);
    let sizes: Vec<u32> = (0..bytes.len() - 20)
        .filter(|at| bytes[*at..].starts_with(b"lbsu\x01\0"))
        .map(|at| u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()))
        .collect();
    assert!(sizes.len() >= 10, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 65_535), "{sizes:?}");
    let (_, full) = sizes.split_last().unwrap();
    assert!(full.iter().all(|size| *size > 65_536 * 9 / 10), "{sizes:?}");
}

/// The table of `rows` whose writer looks at a gauge that shows `load_at` the rank of each row.
#[cfg(feature = "zstd")]
fn under_load(
    rows: &[Entry],
    options: &WriteOptions,
    load_at: impl Fn(usize) -> Load,
) -> (TableMeta, Vec<u8>) {
    let gauge = Arc::new(LoadGauge::default());
    let writer = TableWriter::new(Vec::new(), "t", 42, options).unwrap();
    let mut writer = writer.with_load(Arc::clone(&gauge));
    for (rank, (key, trailer, value)) in rows.iter().enumerate() {
        gauge.set(load_at(rank));
        writer.add(key, *trailer, value).unwrap();
    }
    writer.finish().unwrap()
}

#[cfg(all(feature = "lz4", feature = "zstd"))]
#[test]
fn the_load_of_the_machine_chooses_the_codec() {
    let all = prose(20_000);
    let bytes: usize = all.iter().map(|entry| entry.2.len()).sum();
    assert!(bytes > 3 << 20, "many groups of 256 KiB: {bytes}");
    let third = all.len() / 3;
    let busy = Load { cpu: 0.9, ..Load::default() };
    let full = Load { io: 0.9, ..Load::default() };
    for codec in [Codec::Lz4, Codec::Zstd, Codec::Dictionary] {
        for threads in [0, 2] {
            let options =
                WriteOptions { codec, compression_threads: threads, ..WriteOptions::default() };
            // Nothing to give way to: the same bytes as without a gauge.
            let (_, idle) = under_load(&all, &options, |_| Load::default());
            assert!(idle == build(&all, &options), "{codec:?}");
            let phases = |rank: usize| [Load::default(), busy, full][(rank / third).min(2)];
            let (meta, bytes) = under_load(&all, &options, phases);
            let (_, again) = under_load(&all, &options, phases);
            assert!(bytes == again, "equal loads give equal tables");
            let count = |codec: Codec| meta.blocks_by_codec[codec as usize];
            let (near, blocks) = (meta.block_count / 4, meta.block_count);
            match codec {
                Codec::Lz4 => assert!(count(Codec::Zstd) > near && count(Codec::Lz4) > near * 2),
                other => assert!(count(Codec::Lz4) > near && count(other) > near * 2),
            }
            assert_eq!(meta.blocks_by_codec.iter().sum::<u64>(), blocks);
            let table = open(bytes, None).unwrap();
            let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
            assert!(scan(&mut cursor).unwrap() == all);
            table.verify().unwrap();
        }
    }
}

/// Too little to train on: what the load makes of a dictionary must not stay one.
#[cfg(feature = "zstd")]
#[test]
fn a_table_too_small_for_a_dictionary_can_be_read_under_any_load() {
    let all = prose(40);
    let options =
        WriteOptions { codec: Codec::Dictionary, block_bytes: 512, ..WriteOptions::default() };
    let share = [0.0, 0.9];
    for (cpu, io) in share.into_iter().flat_map(|cpu| share.map(|io| (cpu, io))) {
        let (_, bytes) = under_load(&all, &options, |_| Load { cpu, io, memory: 0.0 });
        let mut cursor = TableCursor::new(open(bytes, None).unwrap(), ReadOptions::default());
        assert!(scan(&mut cursor).unwrap() == all, "{cpu} {io}");
    }
}

#[test]
fn the_codec_may_change_on_the_way() {
    let all = rows(6000);
    let built_in = || Codec::ALL.into_iter().filter(|c| c.is_built_in() && *c != Codec::Dictionary);
    let mut codecs = built_in().cycle();
    let mut writer = TableWriter::new(Vec::new(), "t", 42, &WriteOptions::default()).unwrap();
    for (rank, (key, trailer, value)) in all.iter().enumerate() {
        if rank % 200 == 0 {
            writer.set_coding(Coding::new(codecs.next().unwrap())).unwrap();
        }
        writer.add(key, *trailer, value).unwrap();
    }
    assert!(writer.set_coding(Coding::new(Codec::Dictionary)).is_err());
    assert!(writer.set_coding(Coding { codec: Codec::None, level: 1 }).is_err());
    let (meta, bytes) = writer.finish().unwrap();
    let table = open(bytes, None).unwrap();
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    assert!(scan(&mut cursor).unwrap() == all);
    for codec in built_in().filter(|c| !matches!(c, Codec::BitPack | Codec::Delta)) {
        assert!(meta.blocks_by_codec[codec as usize] > 0, "{}", codec.name());
    }
}
