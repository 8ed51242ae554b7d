//! Salvage from media that fail and from files made to mislead it.

#![expect(
    clippy::unwrap_used,
    clippy::big_endian_bytes,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests: what fails must stop them, and their numbers are small"
)]

mod common;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::{Entry, Shape, build, entries, open};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sstable::{Codec, Error, ReadAt, SalvageReport, WriteOptions, salvage};

/// A file that counts what is read of it and that cannot be read everywhere.
#[derive(Debug, Default)]
struct Medium {
    bytes: Vec<u8>,
    bad: Vec<Range<u64>>,
    /// The one read that fails wherever it is.
    bad_read: Option<u64>,
    reads: AtomicU64,
    bytes_read: AtomicU64,
}

impl ReadAt for Medium {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes_read.fetch_add(buf.len() as u64, Relaxed);
        let end = offset + buf.len() as u64;
        let bad = self.bad.iter().any(|bad| bad.start < end && offset < bad.end);
        if bad || self.bad_read == Some(self.reads.fetch_add(1, Relaxed)) {
            return Err(io::Error::other("bad sector"));
        }
        self.bytes.read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}

fn salvaged(medium: &Arc<Medium>, id: Option<u64>) -> (Vec<Entry>, SalvageReport) {
    let mut seen = Vec::new();
    let file: Arc<dyn ReadAt> = Arc::<Medium>::clone(medium);
    let report = salvage(file, "test.sst", id, |key, trailer, value| {
        seen.push((key.to_vec(), trailer, value.to_vec()));
        Ok(())
    });
    (seen, report.unwrap())
}

/// What is recovered where nothing fails to be read.
fn from_memory(bytes: &[u8]) -> (Vec<Entry>, SalvageReport) {
    salvaged(&Arc::new(Medium { bytes: bytes.to_vec(), ..Medium::default() }), Some(42))
}

fn table(count: usize, options: &WriteOptions) -> (Vec<Entry>, Vec<u8>) {
    let all = entries(Shape::Mixed, count, &mut StdRng::seed_from_u64(71));
    let bytes = build(&all, options);
    (all, bytes)
}

fn lost_bytes(report: &SalvageReport) -> u64 {
    report.lost.iter().map(|lost| lost.bytes).sum()
}

/// Found by reading: one read that failed ended the salvage.
#[test]
fn bad_sectors_lose_what_lies_in_them_and_no_more() {
    let (all, bytes) = table(20_000, &WriteOptions::default());
    let end = bytes.len() as u64;
    assert!(end > 1 << 20, "more than one window: {end}");
    let page = |at: u64| at / 4096 * 4096..(at / 4096 * 4096 + 4096).min(end);
    let places = [vec![0], vec![end - 1], vec![300_000], vec![8192, 12_288, 700_000, 1 << 20]];
    for places in places.into_iter().chain([(0..end).step_by(4096).collect()]) {
        let bad: Vec<Range<u64>> = places.iter().map(|at| *at..at + 1).collect();
        // As if the pages held nothing.
        let mut zeroed = bytes.clone();
        for at in &places {
            zeroed[page(*at).start as usize..page(*at).end as usize].fill(0);
        }
        let (expected, other) = from_memory(&zeroed);
        let medium = Arc::new(Medium { bytes: bytes.clone(), bad, ..Medium::default() });
        let (seen, report) = salvaged(&medium, Some(42));
        assert!(seen == expected, "{places:?}");
        assert!(seen.len() < all.len() || places[0] == end - 1, "{places:?}");
        assert_eq!(report.blocks, other.blocks);
        assert_eq!(lost_bytes(&report), lost_bytes(&other), "{places:?}: {:?}", report.lost);
        for at in &places {
            let told = |lost: &&sstable::Lost| (lost.offset..lost.offset + lost.bytes).contains(at);
            let lost = report.lost.iter().find(told).unwrap();
            assert!(lost.unread && lost.why.contains("bad sector"), "{lost:?}");
        }
        let pages = report.lost.iter().filter(|lost| lost.unread).map(|lost| lost.bytes);
        let all_pages: u64 = places.iter().map(|at| page(*at).end - page(*at).start).sum();
        assert_eq!(pages.sum::<u64>(), all_pages, "{places:?}");
        assert!(medium.bytes_read.load(Relaxed) < 3 * end + 200);
    }
}

#[test]
fn a_read_that_fails_once_loses_at_most_a_block() {
    let (all, bytes) = table(500, &WriteOptions::default());
    let whole = Arc::new(Medium { bytes: bytes.clone(), ..Medium::default() });
    assert!(salvaged(&whole, Some(42)).0 == all);
    let reads = whole.reads.load(Relaxed);
    let blocks = open(bytes.clone(), None).unwrap().meta().block_count;
    assert!(reads > blocks, "{reads} reads of {blocks} blocks");
    let mut lossy = 0;
    for bad_read in 0..reads {
        let bytes = bytes.clone();
        let medium = Medium { bytes, bad_read: Some(bad_read), ..Medium::default() };
        let (seen, report) = salvaged(&Arc::new(medium), Some(42));
        assert!(report.lost.len() <= 1 && report.data_blocks + 1 >= blocks, "{report:?}");
        if report.data_blocks == blocks {
            assert!(seen == all, "read {bad_read}");
            continue;
        }
        lossy += 1;
        assert!(report.lost[0].unread, "{report:?}");
        let mut rest = all.iter();
        assert!(seen.iter().all(|entry| rest.any(|whole| whole == entry)), "read {bad_read}");
    }
    assert_eq!(lossy, blocks, "each block was read once");
}

/// Changes the block of kind `kind`, given as header and body, and seals it again.
fn forge(bytes: &mut [u8], kind: u8, change: impl FnOnce(&mut [u8])) -> usize {
    let is_it = |at: &usize| bytes[*at..].starts_with(b"lbsu\x01") && bytes[at + 5] >> 4 == kind;
    let at = (0..bytes.len() - 20).find(is_it).unwrap();
    let size = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    let block = &mut bytes[at..at + 20 + size];
    change(block);
    let mut crc = crc32c::crc32c(&block[..16]);
    crc = crc32c::crc32c_append(crc, &block[20..]);
    crc = crc32c::crc32c_append(crc, &42_u64.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &(at as u64).to_le_bytes());
    block[16..20].copy_from_slice(&crc.to_le_bytes());
    at
}

/// Found by reading: a dictionary that could not be loaded ended the salvage.
#[cfg(feature = "zstd")]
#[test]
fn a_dictionary_that_cannot_be_loaded_costs_only_its_blocks() {
    let options = WriteOptions {
        codec: Codec::Dictionary,
        dictionary_bytes: 1024,
        ..WriteOptions::default()
    };
    let mut writer = sstable::TableWriter::new(Vec::new(), "t", 42, &options).unwrap();
    let mut all = Vec::new();
    for rank in 0..40_000_u64 {
        if rank == 39_000 {
            writer.set_coding(sstable::Coding::new(Codec::Zstd)).unwrap();
        }
        let key = format!("k{rank:06}").into_bytes();
        let value = format!("{{\"id\":{rank},\"name\":\"user {}\",\"on\":true}}", rank % 97);
        let trailer = sstable::Trailer::from_raw(rank << 8 | 1);
        writer.add(&key, trailer, value.as_bytes()).unwrap();
        all.push((key, trailer, value.into_bytes()));
    }
    let (meta, mut bytes) = writer.finish().unwrap();
    let by = meta.blocks_by_codec;
    let (needy, others) = (by[Codec::Dictionary as usize], by[Codec::Zstd as usize]);
    assert!(needy > 100 && others > 5, "{by:?}");
    assert!(from_memory(&bytes).0 == all);
    // The magic number of a dictionary, stored plainly, and none of its tables.
    let at = forge(&mut bytes, 6, |block| {
        block[5] = 6 << 4;
        block.copy_within(8..12, 12);
        block[20..24].copy_from_slice(&0xec30_a437_u32.to_le_bytes());
        block[24..].fill(0xff);
    });
    let (seen, report) = from_memory(&bytes);
    assert!(!seen.is_empty() && seen == all[all.len() - seen.len()..]);
    assert_eq!(report.data_blocks, others);
    assert_eq!(report.lost.len() as u64, needy + 1, "and the dictionary");
    let lost = report.lost.iter().find(|lost| lost.offset == at as u64).unwrap();
    assert!(lost.why.contains("dictionary") && !lost.unread, "{lost:?}");
}

/// Blocks of version 2 are found and set apart as those of version 1 are.
#[cfg(feature = "zstd")]
#[test]
fn mixed_blocks_are_recovered_and_a_damaged_one_costs_only_itself() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v2-zstd.sst");
    let golden = std::fs::read(golden).unwrap();
    let (all, whole) = from_memory(&golden);
    assert_eq!((all.len(), whole.entries, whole.lost.len()), (500, 500, 0));
    let is_mixed = |at: &usize| golden[*at..].starts_with(b"lbsu\x02");
    let starts: Vec<usize> = (0..golden.len() - 20).filter(is_mixed).collect();
    assert!(starts.len() > 1, "several mixed blocks");
    for at in starts {
        let entries = usize::from(golden[at + 6]) + usize::from(golden[at + 7]) * 256;
        let mut damaged = golden.clone();
        damaged[at + 100] ^= 1;
        let (seen, report) = from_memory(&damaged);
        assert_eq!(report.data_blocks + 1, whole.data_blocks);
        assert_eq!(seen.len(), all.len() - entries);
        assert!(seen.iter().all(|entry| all.contains(entry)));
        assert_eq!(report.lost[0].offset, at as u64, "{report:?}");
    }
}

/// In a build without Zstandard, the blocks that do not need it are there all the same.
#[cfg(not(feature = "zstd"))]
#[test]
fn a_dictionary_that_is_not_built_in_costs_only_its_blocks() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1-dictionary.sst");
    let golden = std::fs::read(golden).unwrap();
    let (seen, report) = from_memory(&golden);
    assert!(report.blocks > 5 && report.lost.len() > 2, "{report:?}");
    assert_eq!(report.entries, seen.len() as u64);
    for lost in &report.lost {
        assert!(lost.why.contains("codec dictionary is not built in") && lost.unread, "{lost:?}");
    }
}

/// Found by reading: a block that was sealed damaged ended the salvage.
#[test]
fn blocks_that_were_sealed_damaged_cost_only_themselves() {
    let options = WriteOptions { codec: Codec::None, block_bytes: 512, ..WriteOptions::default() };
    let (all, bytes) = table(400, &options);
    let blocks = open(bytes.clone(), None).unwrap().meta().block_count;
    // The properties, as if compressed by something that they are not.
    let mut forged = bytes.clone();
    let at = forge(&mut forged, 4, |block| block[5] |= Codec::BitPack as u8);
    let (seen, report) = from_memory(&forged);
    assert!(seen == all && report.entries_expected.is_none());
    assert_eq!(report.lost.len(), 1);
    assert_eq!(report.lost[0].offset, at as u64);
    // The first data block, each byte of its body.
    let size = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    let mut lost = 0;
    for at in 20..20 + size {
        let mut forged = bytes.clone();
        forge(&mut forged, 0, |block| block[at] ^= 0x55);
        let (seen, report) = from_memory(&forged);
        assert!(report.data_blocks + 1 >= blocks && report.lost.len() <= 1, "{report:?}");
        assert!(seen.ends_with(&all[all.len() / 10..]), "byte {at}");
        lost += report.lost.len();
    }
    assert!(lost > 10, "{lost} of {size}");
}

/// Headers, one after another, that claim all there is to the end of the file.
fn hostile(from: usize, bytes: usize, kind: u8, random: &mut StdRng) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes);
    while out.len() + 20 <= bytes {
        let reach = match random.random_range(0..3) {
            0 => random.random_range(0..bytes - out.len() - 19),
            _ => bytes - out.len() - 20,
        };
        out.extend(b"lbsu\x01");
        out.push(kind << 4);
        out.extend([0, 0]);
        out.extend((reach as u32).to_le_bytes());
        out.extend((reach as u32).to_le_bytes());
        out.extend((from as u32).to_le_bytes()); // hardly a checksum
    }
    out.resize(bytes, 0);
    out
}

/// Found by reading: each false header was read to its end, and a window for the next.
#[test]
fn hostile_headers_do_not_multiply_the_reading() {
    let mut random = StdRng::seed_from_u64(72);
    let (all, bytes) = table(500, &WriteOptions::default());
    for kind in [0, 4, 6] {
        let tail = hostile(bytes.len(), 200_000, kind, &mut random);
        let mixed = [&bytes[..], &tail].concat();
        let length = mixed.len() as u64;
        for (id, times) in [(Some(42), 2), (None, 4)] {
            let medium = Arc::new(Medium { bytes: mixed.clone(), ..Medium::default() });
            let (seen, report) = salvaged(&medium, id);
            assert!(seen == all, "kind {kind}");
            assert_eq!((report.lost.len(), report.table_id), (1, 42));
            let read = medium.bytes_read.load(Relaxed);
            assert!(read <= times * length + 200, "{read} of {length} bytes, kind {kind}");
        }
        // Nothing but: there is no number to be found.
        let medium = Arc::new(Medium { bytes: tail, ..Medium::default() });
        let file: Arc<dyn ReadAt> = Arc::<Medium>::clone(&medium);
        let error = salvage(file, "test.sst", None, |_, _, _| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Corruption { .. }), "{error}");
        assert!(medium.bytes_read.load(Relaxed) <= 2 * 200_000 + 200);
    }
}

#[test]
fn false_headers_before_and_within_blocks_hide_nothing() {
    // Values that hold tables and headers: those belong elsewhere.
    let (_, inner) = table(60, &WriteOptions { codec: Codec::None, ..WriteOptions::default() });
    let mut random = StdRng::seed_from_u64(73);
    let all: Vec<Entry> = (0..40_u64)
        .map(|rank| {
            let mut value = hostile(0, 3000, rank as u8 % 7, &mut random);
            value.extend(&inner);
            let trailer = sstable::Trailer::from_raw(rank << 8 | 1);
            (format!("k{rank:03}").into_bytes(), trailer, value)
        })
        .collect();
    let bytes = build(&all, &WriteOptions { codec: Codec::None, ..WriteOptions::default() });
    let (seen, report) = from_memory(&bytes);
    assert!(seen == all && report.lost.is_empty(), "{:?}", report.lost);
}
