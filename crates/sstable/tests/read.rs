//! Other ways to read: many keys at once, ahead, mapped, past the page cache, from ruins.

#![expect(
    clippy::unwrap_used,
    clippy::big_endian_bytes,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests: what fails must stop them, and their numbers are small"
)]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Entry, SHAPES, Shape, build, entries, expected, open, scan};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sstable::{
    BlockCache, BytesPerSecond, Codec, Cursor, Expect, Paced, ReadAt, ReadOptions, Table,
    TableCursor, TableWriter, Trailer, Wanted, WriteOptions, salvage,
};

/// Counts reads of blocks.
#[derive(Debug)]
struct Counting {
    bytes: Vec<u8>,
    reads: AtomicUsize,
}

impl Counting {
    fn reads(&self) -> usize {
        // ORDERING: Relaxed, one thread counts and reads.
        self.reads.swap(0, Ordering::Relaxed)
    }
}

impl ReadAt for Counting {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        // ORDERING: Relaxed, one thread counts and reads.
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(&self.bytes)
    }
}

fn counting(bytes: Vec<u8>, cache: Option<Arc<BlockCache>>) -> (Arc<Counting>, Arc<Table>) {
    let file = Arc::new(Counting { bytes, reads: AtomicUsize::new(0) });
    let shared: Arc<dyn ReadAt> = Arc::<Counting>::clone(&file);
    let table = Table::open(shared, "test.sst", Expect::default(), cache).unwrap();
    file.reads();
    (file, Arc::new(table))
}

#[test]
fn many_keys_at_once_answer_as_one_by_one() {
    let mut random = StdRng::seed_from_u64(51);
    for shape in SHAPES {
        for partition_blocks in [8, 32_768] {
            let all = entries(shape, 3000, &mut random);
            let options =
                WriteOptions { block_bytes: 512, partition_blocks, ..WriteOptions::default() };
            let table = open(build(&all, &options), None).unwrap();
            let keys: Vec<(Vec<u8>, Trailer)> = (0..700)
                .map(|_| {
                    let mut key = all[random.random_range(0..all.len())].0.clone();
                    if random.random_bool(0.3) {
                        key.push(random.random());
                    }
                    (key, Trailer::newest_at(random.random_range(0..100_001)))
                })
                .collect();
            let wanted: Vec<Wanted<'_>> =
                keys.iter().map(|(key, at)| Wanted::new(key, *at)).collect();
            let answers = table.get_many(&wanted).unwrap();
            for ((key, at), answer) in keys.iter().zip(answers) {
                let answer = answer.map(|found| (found.trailer, found.value.to_vec()));
                assert_eq!(answer, expected(&all, key, *at));
            }
        }
    }
    let (_, empty) = counting(build(&[], &WriteOptions::default()), None);
    assert!(empty.get_many(&[Wanted::new(b"a", Trailer::FIRST)]).unwrap()[0].is_none());
    assert!(empty.get_many(&[]).unwrap().is_empty());
}

#[test]
fn many_keys_visit_each_block_once() {
    let mut random = StdRng::seed_from_u64(52);
    let all = entries(Shape::Integers, 5000, &mut random);
    let (file, table) = counting(build(&all, &WriteOptions::default()), None);
    let wanted: Vec<Wanted<'_>> =
        all.iter().rev().map(|e| Wanted::new(&e.0, Trailer::FIRST)).collect();
    assert!(table.get_many(&wanted).unwrap().iter().all(Option::is_some));
    assert_eq!(file.reads() as u64, table.meta().block_count);
}

#[test]
fn a_scan_reads_ahead_and_a_cached_one_does_not_read() {
    let mut random = StdRng::seed_from_u64(53);
    let all = entries(Shape::Integers, 50_000, &mut random);
    let bytes = build(&all, &WriteOptions { codec: Codec::None, ..WriteOptions::default() });
    let cache = Arc::new(BlockCache::new(16 << 20));
    let (file, table) = counting(bytes, Some(cache));
    let blocks = table.meta().block_count as usize;
    let reads = |options| {
        let mut cursor = TableCursor::new(Arc::clone(&table), options);
        assert!(scan(&mut cursor).unwrap() == all);
        file.reads()
    };
    let single = ReadOptions { fill_cache: false, read_ahead_bytes: 0 };
    assert_eq!(reads(single), blocks);
    let ahead = ReadOptions { fill_cache: false, ..ReadOptions::default() };
    let few = reads(ahead);
    assert!(few < blocks / 8, "{few} reads for {blocks} blocks");
    let filling = reads(ReadOptions::default());
    assert!(filling < blocks / 8, "{filling} reads for {blocks} blocks");
    assert_eq!(reads(ReadOptions::default()), 0);
}

/// Everything a cursor shows from its end on, in stored order.
fn scan_back(cursor: &mut TableCursor) -> Vec<Entry> {
    let mut seen = Vec::new();
    cursor.seek_to_last().unwrap();
    while let Some(entry) = common::here(cursor) {
        seen.push(entry);
        cursor.prev().unwrap();
    }
    seen.reverse();
    seen
}

#[test]
fn a_scan_backward_reads_ahead_too() {
    let mut random = StdRng::seed_from_u64(58);
    let all = entries(Shape::Integers, 50_000, &mut random);
    for partition_blocks in [32_768, 64] {
        let options =
            WriteOptions { codec: Codec::None, partition_blocks, ..WriteOptions::default() };
        let (file, table) =
            counting(build(&all, &options), Some(Arc::new(BlockCache::new(16 << 20))));
        let (blocks, parts) = (table.meta().block_count as usize, table.meta().partitions as usize);
        let reads = |options| {
            let mut cursor = TableCursor::new(Arc::clone(&table), options);
            assert!(scan_back(&mut cursor) == all);
            file.reads()
        };
        // Index partitions come through the cache, where they are not held while the table is open.
        reads(ReadOptions { fill_cache: false, read_ahead_bytes: 0 });
        assert_eq!(reads(ReadOptions { fill_cache: false, read_ahead_bytes: 0 }), blocks);
        let few = reads(ReadOptions { fill_cache: false, ..ReadOptions::default() });
        // Of each partition the last two blocks are read for themselves, or begin a window.
        assert!(few < blocks / 8 + 4 * parts, "{few} reads for {blocks} blocks");
        let filling = reads(ReadOptions::default());
        assert!(filling < blocks / 8 + 4 * parts, "{filling} reads for {blocks} blocks");
        assert_eq!(reads(ReadOptions::default()), 0);
    }
}

/// A cursor that goes to and fro over the border of two blocks reads little, and what is right.
#[test]
fn to_and_fro_reads_no_more_than_it_needs() {
    let mut random = StdRng::seed_from_u64(59);
    let all = entries(Shape::Integers, 20_000, &mut random);
    let options = WriteOptions { codec: Codec::None, ..WriteOptions::default() };
    let (file, table) = counting(build(&all, &options), None);
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    cursor.seek_to_first().unwrap();
    let mut rank = 0_usize;
    for step in 0..4000_usize {
        // Ten forward, seven back.
        if step % 17 < 10 {
            cursor.next().unwrap();
            rank += 1;
        } else {
            cursor.prev().unwrap();
            rank -= 1;
        }
        assert_eq!(common::here(&cursor).as_ref(), all.get(rank));
    }
    let blocks = table.meta().block_count as usize * rank / all.len();
    assert!(file.reads() < 4 * blocks + 10, "{blocks} blocks");
}

/// All entries by a scan and by point reads.
fn check_file(file: Arc<dyn ReadAt>, all: &[Entry], cache: Option<Arc<BlockCache>>) {
    let table = Arc::new(Table::open(file, "test.sst", Expect::default(), cache).unwrap());
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    assert!(scan(&mut cursor).unwrap() == all);
    for (key, trailer, value) in all {
        let found = common::get(&table, key, *trailer).unwrap();
        assert_eq!(found, Some((*trailer, value.clone())));
    }
    table.verify().unwrap();
}

fn on_disk(all: &[Entry], codec: Codec) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(file.path(), build(all, &WriteOptions { codec, ..WriteOptions::default() }))
        .unwrap();
    file
}

#[test]
fn files_and_memory_that_counts_as_mapped_read_alike() {
    let mut random = StdRng::seed_from_u64(54);
    let all = entries(Shape::Mixed, 3000, &mut random);
    for codec in [Codec::None, WriteOptions::default().codec] {
        let file = on_disk(&all, codec);
        check_file(Arc::new(std::fs::File::open(file.path()).unwrap()), &all, None);
    }
}

#[cfg(feature = "mmap")]
#[test]
#[expect(unsafe_code, reason = "the file is this test's own")]
fn mapped_files_read_alike_and_plain_blocks_take_no_memory() {
    let mut random = StdRng::seed_from_u64(55);
    let all = entries(Shape::Mixed, 3000, &mut random);
    for codec in [Codec::None, WriteOptions::default().codec] {
        let file = on_disk(&all, codec);
        let file = std::fs::File::open(file.path()).unwrap();
        // SAFETY: nobody else knows the temporary file.
        let mapped = Arc::new(unsafe { sstable::MappedFile::new(&file) }.unwrap());
        let cache = Arc::new(BlockCache::new(16 << 20));
        check_file(mapped, &all, Some(Arc::clone(&cache)));
        let bytes = all.iter().map(|e| e.0.len() + e.2.len()).sum::<usize>();
        if codec == Codec::None {
            assert!(cache.weight_bytes() < bytes / 4, "{} bytes cached", cache.weight_bytes());
        }
    }
}

#[cfg(all(feature = "direct-io", target_os = "linux"))]
#[test]
fn direct_files_read_alike() {
    let mut random = StdRng::seed_from_u64(56);
    let all = entries(Shape::Mixed, 3000, &mut random);
    let file = on_disk(&all, Codec::None);
    let direct = sstable::DirectFile::open(file.path()).unwrap();
    let whole = std::fs::read(file.path()).unwrap();
    for _ in 0..300 {
        let from = random.random_range(0..whole.len());
        let bytes = random.random_range(0..=(whole.len() - from).min(20_000));
        let mut buf = vec![0; bytes];
        direct.read_exact_at(&mut buf, from as u64).unwrap();
        assert!(buf == whole[from..from + bytes]);
    }
    let end = whole.len() as u64;
    let error = direct.read_exact_at(&mut [0; 2], end - 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(direct.read_exact_at(&mut [0; 2], end + 100_000).is_err());
    check_file(Arc::new(direct), &all, None);
}

#[test]
fn a_paced_table_is_the_same_table() {
    let mut random = StdRng::seed_from_u64(57);
    let all = entries(Shape::Mixed, 500, &mut random);
    let pace = Arc::new(BytesPerSecond::new(1 << 30));
    let options = WriteOptions::default();
    let mut writer =
        TableWriter::new(Paced::new(Vec::new(), pace), "test.sst", 42, &options).unwrap();
    for (key, trailer, value) in &all {
        writer.add(key, *trailer, value).unwrap();
    }
    let (_, sink) = writer.finish().unwrap();
    assert!(sink.into_inner() == build(&all, &options));
}

fn salvaged(bytes: Vec<u8>, id: Option<u64>) -> (Vec<Entry>, sstable::SalvageReport) {
    let mut seen = Vec::new();
    let report = salvage(Arc::new(bytes), "test.sst", id, |key, trailer, value| {
        seen.push((key.to_vec(), trailer, value.to_vec()));
        Ok(())
    });
    (seen, report.unwrap())
}

#[test]
fn salvage_finds_everything_in_a_sound_table() {
    let mut random = StdRng::seed_from_u64(58);
    for codec in Codec::ALL.into_iter().filter(|codec| codec.is_built_in()) {
        let all = entries(Shape::Mixed, 2000, &mut random);
        let options = WriteOptions { codec, dictionary_bytes: 1024, ..WriteOptions::default() };
        let (seen, report) = salvaged(build(&all, &options), None);
        assert!(seen == all, "{}", codec.name());
        assert_eq!((report.table_id, report.lost.len()), (42, 0));
        assert_eq!(report.entries_expected, Some(all.len() as u64));
    }
}

#[test]
fn salvage_loses_only_what_is_damaged() {
    let mut random = StdRng::seed_from_u64(59);
    let all = entries(Shape::Prefixed, 2000, &mut random);
    let bytes = build(&all, &WriteOptions { block_bytes: 512, ..WriteOptions::default() });
    let blocks = open(bytes.clone(), None).unwrap().meta().block_count;
    for _ in 0..100 {
        let mut damaged = bytes.clone();
        let at = random.random_range(0..damaged.len());
        damaged[at] ^= 1 << random.random_range(0..8);
        let (seen, report) = salvaged(damaged, None);
        assert!(report.data_blocks + 1 >= blocks);
        let [lost] = report.lost.as_slice() else { panic!("{:?}", report.lost) };
        assert!(lost.offset <= at as u64 && (at as u64) < lost.offset + lost.bytes);
        // What is left is in order and part of the whole.
        let mut rest = all.iter();
        assert!(seen.iter().all(|entry| rest.any(|whole| whole == entry)));
    }
}

#[test]
fn salvage_survives_any_cut() {
    let mut random = StdRng::seed_from_u64(60);
    let all = entries(Shape::Prefixed, 300, &mut random);
    let bytes = build(&all, &WriteOptions { block_bytes: 512, ..WriteOptions::default() });
    for cut in 0..bytes.len() {
        let (seen, report) = salvaged(bytes[..cut].to_vec(), Some(42));
        assert!(seen == all[..seen.len()], "a cut at {cut} leaves a prefix");
        let lost: u64 = report.lost.iter().map(|lost| lost.bytes).sum();
        assert!(lost <= cut as u64);
        // Without its number, a table whose footer and properties are gone tells so.
        if let Err(error) = salvage(Arc::new(bytes[..cut].to_vec()), "t", None, |_, _, _| Ok(())) {
            assert!(error.to_string().contains("the table's number"), "{error}");
        }
    }
    let (seen, _) = salvaged(bytes[..bytes.len() - 64].to_vec(), None);
    assert!(seen == all, "the properties tell the number when the footer is gone");
}

#[test]
fn threads_share_a_table_and_a_cache_too_small_for_it() {
    let mut random = StdRng::seed_from_u64(61);
    let all = entries(Shape::Integers, 20_000, &mut random);
    for partition_blocks in [8, 32_768] {
        let options = WriteOptions { partition_blocks, ..WriteOptions::default() };
        let cache = Arc::new(BlockCache::new(64 << 10));
        let table = open(build(&all, &options), Some(cache)).unwrap();
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let (table, all) = (&table, &all);
                scope.spawn(move || read_at_random(table, all, seed));
            }
        });
    }
}

fn read_at_random(table: &Arc<Table>, all: &[Entry], seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..3000 {
        let (key, trailer, value) = &all[random.random_range(0..all.len())];
        let found = common::get(table, key, Trailer::FIRST).unwrap();
        assert_eq!(found, Some((*trailer, value.clone())));
    }
    let mut cursor = TableCursor::new(Arc::clone(table), ReadOptions::default());
    assert!(scan(&mut cursor).unwrap() == all);
}
