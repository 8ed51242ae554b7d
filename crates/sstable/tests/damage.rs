//! Damaged tables: the right answer or an error that names file, place and expectation.

#![expect(
    clippy::unwrap_used,
    clippy::big_endian_bytes,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests: what fails must stop them, and their numbers are small"
)]

mod common;

use std::sync::Arc;

use common::{Entry, Shape, build, entries, expected, get, here, open, scan};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sstable::{
    Codec, Cursor, Error, Expect, ReadAt, ReadOptions, Table, TableCursor, Trailer, Wanted,
    WriteOptions,
};

fn small(codec: Codec) -> (Vec<Entry>, Vec<u8>) {
    let mut random = StdRng::seed_from_u64(11);
    let all = entries(Shape::Prefixed, 90, &mut random);
    let options = WriteOptions {
        block_bytes: 512,
        codec,
        ratio_min: 1.0,
        compress_bytes_min: 64, // the index as well
        hash_index: true,
        ..WriteOptions::default()
    };
    let bytes = build(&all, &options);
    (all, bytes)
}

fn codecs() -> impl Iterator<Item = Codec> {
    Codec::ALL.into_iter().filter(|codec| codec.is_built_in())
}

/// Everything a cursor shows from its end on, in stored order, or the error that ended it.
fn scan_backwards(cursor: &mut impl Cursor) -> Result<Vec<Entry>, Error> {
    let mut seen = Vec::new();
    cursor.seek_to_last()?;
    while let Some(entry) = here(cursor) {
        seen.push(entry);
        cursor.prev()?;
    }
    seen.reverse();
    Ok(seen)
}

/// Reads the damaged bytes in every way: each answer is right or an error. Returns the first.
fn read_all(bytes: Vec<u8>, all: &[Entry]) -> Result<(), Error> {
    read_file(Arc::new(bytes), all)
}

fn read_file(file: Arc<dyn ReadAt>, all: &[Entry]) -> Result<(), Error> {
    let expect = Expect { table_id: Some(42), file_bytes: None };
    let table = Arc::new(Table::open(file, "test.sst", expect, None)?);
    let mut first = Ok(());
    let cursor = || TableCursor::new(Arc::clone(&table), ReadOptions::default());
    for seen in [scan(&mut cursor()), scan_backwards(&mut cursor())] {
        match seen {
            Ok(seen) => assert_eq!(seen, all),
            Err(error) => first = first.and(Err(error)),
        }
    }
    let wanted: Vec<Wanted<'_>> = all.iter().map(|e| Wanted::new(&e.0, Trailer::FIRST)).collect();
    match table.get_many(&wanted) {
        Ok(answers) => {
            for (entry, answer) in all.iter().zip(answers) {
                let answer = answer.map(|found| (found.trailer, found.value.to_vec()));
                assert_eq!(answer, expected(all, &entry.0, Trailer::FIRST));
            }
        }
        Err(error) => first = first.and(Err(error)),
    }
    // One by one, about a hundred of them.
    for entry in all.iter().step_by(all.len().div_ceil(100)) {
        match get(&table, &entry.0, Trailer::FIRST) {
            Ok(found) => assert_eq!(found, expected(all, &entry.0, Trailer::FIRST)),
            Err(error) => first = first.and(Err(error)),
        }
    }
    assert!(table.verify().is_err(), "damage that verify does not see");
    first
}

fn names_file_and_place(error: &Error, file_bytes: usize) {
    match error {
        Error::Corruption { file, offset, expected } => {
            assert_eq!(&**file, "test.sst");
            assert!(*offset <= file_bytes as u64 && !expected.is_empty(), "{error}");
        }
        Error::Unsupported { file, what } => assert!(&**file == "test.sst" && !what.is_empty()),
        Error::UnsupportedCodec { file, codec } => {
            assert!(file.as_deref() == Some("test.sst") && !codec.is_built_in());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_byte_flipped() {
    for codec in codecs() {
        let (all, bytes) = small(codec);
        for at in 0..bytes.len() {
            // The frame is the same for all: every pattern once, then one that varies.
            let all_flips = [0x01, 0x80, 0xff];
            let flips =
                if codec == Codec::None { &all_flips[..] } else { &all_flips[at % 3..=at % 3] };
            for flip in flips {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                if let Err(error) = read_all(damaged, &all) {
                    names_file_and_place(&error, bytes.len());
                }
            }
        }
    }
}

/// Damaged in a hundred ways, in a file that is mapped or read past the page cache.
#[cfg(all(feature = "mmap", feature = "direct-io", target_os = "linux"))]
#[test]
#[expect(unsafe_code, reason = "the files are this test's own")]
fn mapped_and_direct_files_are_no_different() {
    let mut random = StdRng::seed_from_u64(15);
    for codec in codecs() {
        let (all, bytes) = small(codec);
        for rank in 0..100 {
            let mut damaged = bytes.clone();
            let at = random.random_range(0..bytes.len());
            match rank % 4 {
                0 => damaged[at] ^= 1 << random.random_range(0..8),
                1 => damaged.truncate(at),
                2 => damaged[at / 512 * 512..(at / 512 * 512 + 512).min(bytes.len())].fill(0),
                _ => damaged[at..(at + 64).min(bytes.len())].fill_with(|| random.random()),
            }
            if damaged == bytes {
                continue;
            }
            let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            std::fs::write(file.path(), &damaged).unwrap();
            let opened = std::fs::File::open(file.path()).unwrap();
            if !damaged.is_empty() {
                // SAFETY: nobody else knows the temporary file.
                let mapped = unsafe { sstable::MappedFile::new(&opened) }.unwrap();
                if let Err(error) = read_file(Arc::new(mapped), &all) {
                    names_file_and_place(&error, bytes.len());
                }
            }
            let direct = sstable::DirectFile::open(file.path()).unwrap();
            if let Err(error) = read_file(Arc::new(direct), &all) {
                names_file_and_place(&error, bytes.len());
            }
        }
    }
}

#[test]
fn every_length_cut() {
    for codec in codecs() {
        let (_, bytes) = small(codec);
        for cut in 0..bytes.len() {
            let error = open(bytes[..cut].to_vec(), None).unwrap_err();
            names_file_and_place(&error, bytes.len());
            // A cut file followed by zeros is no better.
            let mut zeroed = bytes[..cut].to_vec();
            zeroed.resize(bytes.len(), 0);
            if zeroed != bytes {
                names_file_and_place(&open(zeroed, None).unwrap_err(), bytes.len());
            }
        }
    }
}

#[test]
fn blocks_swapped_or_zeroed() {
    for codec in codecs() {
        let (all, bytes) = small(codec);
        swap_and_zero_blocks(&all, &bytes);
        swap_any_two_blocks(&all, &bytes);
    }
}

/// Where blocks begin, and the last one ends.
fn block_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(at) = starts.last().copied().filter(|at| *at < bytes.len() - 64) {
        assert!(bytes[at..].starts_with(b"lbsu"));
        let size = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        starts.push(at + 20 + size as usize);
    }
    assert_eq!(starts.last(), Some(&(bytes.len() - 64)));
    starts
}

/// Every pair of blocks trades places; what lies between moves if they differ in length.
fn swap_any_two_blocks(all: &[Entry], bytes: &[u8]) {
    let starts = block_starts(bytes);
    for one in 0..starts.len() - 1 {
        for other in one + 1..starts.len() - 1 {
            let mut swapped = bytes[..starts[one]].to_vec();
            swapped.extend(&bytes[starts[other]..starts[other + 1]]);
            swapped.extend(&bytes[starts[one + 1]..starts[other]]);
            swapped.extend(&bytes[starts[one]..starts[one + 1]]);
            swapped.extend(&bytes[starts[other + 1]..]);
            assert_eq!(swapped.len(), bytes.len());
            if let Err(error) = read_all(swapped, all) {
                names_file_and_place(&error, bytes.len());
            }
            // And one block in the place of another as well, where it fits there.
            let (from, to) = (starts[one]..starts[one + 1], starts[other]..starts[other + 1]);
            if from.len() == to.len() {
                let mut doubled = bytes.to_vec();
                doubled.copy_within(from, to.start);
                if let Err(error) = read_all(doubled, all) {
                    names_file_and_place(&error, bytes.len());
                }
            }
        }
    }
}

fn swap_and_zero_blocks(all: &[Entry], bytes: &[u8]) {
    let starts = block_starts(bytes);
    assert!(starts.len() > 5, "several blocks");
    for pair in starts.windows(3) {
        let mut swapped = bytes[..pair[0]].to_vec();
        swapped.extend(&bytes[pair[1]..pair[2]]);
        swapped.extend(&bytes[pair[0]..pair[1]]);
        swapped.extend(&bytes[pair[2]..]);
        match read_all(swapped, all) {
            Ok(()) => {}
            Err(error) => names_file_and_place(&error, bytes.len()),
        }
        let mut zeroed = bytes.to_vec();
        zeroed[pair[0]..pair[1]].fill(0);
        if let Err(error) = read_all(zeroed, all) {
            names_file_and_place(&error, bytes.len());
        }
    }
}

#[test]
fn a_block_of_another_table_is_refused() {
    let (all, bytes) = small(Codec::None);
    let mut other =
        sstable::TableWriter::new(Vec::new(), "o", 43, &WriteOptions::default()).unwrap();
    for (key, trailer, value) in &all {
        other.add(key, *trailer, value).unwrap();
    }
    let (_, other) = other.finish().unwrap();
    assert!(open(other.clone(), None).unwrap_err().to_string().contains("table number 42, not 43"));
    // The same bytes at the same place, but sealed for table 43.
    let mut mixed = bytes.clone();
    let end = bytes.windows(4).skip(1).position(|w| w == b"lbsu").unwrap() + 1;
    mixed[..end].copy_from_slice(&other[..end]);
    assert!(read_all(mixed, &all).is_err());
}

/// Gives the block at `at` another body and the file its new end, all sealed again.
fn with_last_block(bytes: &[u8], at: usize, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = bytes[..at].to_vec();
    let mut head = bytes[at..at + 16].to_vec();
    head[5] = kind << 4;
    head[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[12..16].copy_from_slice(&(body.len() as u32).to_le_bytes());
    let mut crc = crc32c::crc32c(&head);
    crc = crc32c::crc32c_append(crc, body);
    crc = crc32c::crc32c_append(crc, &42_u64.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &(at as u64).to_le_bytes());
    out.extend(head);
    out.extend(crc.to_le_bytes());
    out.extend(body);
    let mut footer = bytes[bytes.len() - 64..].to_vec();
    footer[16..24].copy_from_slice(&((out.len() + 64) as u64).to_le_bytes());
    footer[24..32].copy_from_slice(&(at as u64).to_le_bytes());
    footer[32..36].copy_from_slice(&((20 + body.len()) as u32).to_le_bytes());
    let crc = crc32c::crc32c(&footer[..52]);
    footer[52..56].copy_from_slice(&crc.to_le_bytes());
    out.extend(footer);
    out
}

/// A table whose range deletes this version does not know must not be read without them.
#[test]
fn what_must_be_understood_is_refused_and_what_may_be_skipped_is_skipped() {
    let (all, bytes) = small(Codec::None);
    let starts = block_starts(&bytes);
    let at = starts[starts.len() - 2];
    let directory = &bytes[at + 20..bytes.len() - 64];
    // The directory as it is, sealed again: the table as it was, but for the footer's chain.
    let same = open(with_last_block(&bytes, at, 5, directory), None).unwrap();
    assert!(scan(&mut TableCursor::new(same, ReadOptions::default())).unwrap() == all);
    for (tag, known) in [(4_u8, false), (5, false), (63, false), (64, true), (100, true)] {
        let longer = [directory, &[tag, 0, 20]].concat();
        let opened = open(with_last_block(&bytes, at, 5, &longer), None);
        match opened {
            Ok(table) => {
                assert!(known, "tag {tag}");
                let mut cursor = TableCursor::new(table, ReadOptions::default());
                assert!(scan(&mut cursor).unwrap() == all);
            }
            Err(Error::Unsupported { file, what }) => {
                assert!(!known && &*file == "test.sst", "tag {tag}");
                assert!(what.contains(&tag.to_string()), "{what}");
            }
            Err(other) => panic!("tag {tag}: {other}"),
        }
    }
    // A directory that is of another kind: the reserved one, and one beyond.
    for kind in [7, 8, 15] {
        let error = open(with_last_block(&bytes, at, kind, directory), None).unwrap_err();
        names_file_and_place(&error, bytes.len());
        assert!(kind == 7 || matches!(error, Error::Unsupported { .. }), "{kind}: {error}");
    }
}

#[test]
fn the_owner_knows_the_length() {
    let (_, bytes) = small(Codec::None);
    let expect = Expect { file_bytes: Some(bytes.len() as u64 + 1), ..Expect::default() };
    let error = Table::open(Arc::new(bytes), "test.sst", expect, None).unwrap_err();
    assert!(error.to_string().contains("expected a file of"), "{error}");
}

#[test]
fn random_bytes_are_refused() {
    let mut random = StdRng::seed_from_u64(12);
    let (_, bytes) = small(Codec::None);
    for _ in 0..3000 {
        let mut noise: Vec<u8> =
            (0..random.random_range(0..300)).map(|_| random.random()).collect();
        assert!(open(noise.clone(), None).is_err());
        noise.extend(&bytes[bytes.len() - 64..]);
        assert!(open(noise, None).is_err());
    }
}

#[test]
fn pages_of_zeros() {
    for codec in codecs() {
        let (all, bytes) = small(codec);
        for page in (0..bytes.len()).step_by(512) {
            let mut damaged = bytes.clone();
            let end = (page + 512).min(bytes.len());
            damaged[page..end].fill(0);
            if let Err(error) = read_all(damaged, &all) {
                names_file_and_place(&error, bytes.len());
            }
        }
    }
}

/// A table of three partitions and more, small enough to flip every byte of it.
#[test]
fn every_byte_of_several_partitions_flipped() {
    let all: Vec<Entry> = (0..90_u64)
        .map(|rank| {
            let value = [rank as u8; 120].to_vec();
            (format!("k{rank:03}").into_bytes(), Trailer::from_raw(rank << 8 | 1), value)
        })
        .collect();
    // The values shrink in the one and are what they are in the other.
    for (codec, hash_index) in [(Codec::Delta, false), (Codec::None, true)] {
        let options = WriteOptions {
            block_bytes: 512,
            partition_blocks: 8,
            codec,
            ratio_min: 1.0,
            hash_index,
            ..WriteOptions::default()
        };
        let bytes = build(&all, &options);
        let table = open(bytes.clone(), None).unwrap();
        assert!(table.meta().partitions >= 3, "{:?}", table.meta());
        flip_every_byte(&all, &bytes);
    }
}

/// Flips every byte, each in one of three ways.
fn flip_every_byte(all: &[Entry], bytes: &[u8]) {
    read_whole(bytes, all);
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= [0x01, 0x80, 0xff][at % 3];
        if let Err(error) = read_all(damaged, all) {
            names_file_and_place(&error, bytes.len());
        }
    }
}

fn read_whole(bytes: &[u8], all: &[Entry]) {
    let table = open(bytes.to_vec(), None).unwrap();
    let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
    assert!(scan(&mut cursor).unwrap() == all && scan_backwards(&mut cursor).unwrap() == all);
    table.verify().unwrap();
}

/// Records that name their own keys: blocks of version 2.
#[cfg(any(feature = "lz4", feature = "snappy", feature = "zstd"))]
#[test]
fn every_byte_of_a_table_of_version_2_flipped() {
    let mut random = StdRng::seed_from_u64(14);
    let all: Vec<Entry> = (0..80_u64)
        .map(|rank| {
            let key = format!("{rank:04}/{:016x}", random.random::<u64>());
            let value = format!("{{\"key\":\"{key}\",\"text\":\"{}\"}}", "words ".repeat(20));
            (key.into_bytes(), Trailer::from_raw(rank << 8 | 1), value.into_bytes())
        })
        .collect();
    let mut tried = Vec::new();
    for codec in codecs().filter(|c| !matches!(c, Codec::None | Codec::BitPack | Codec::Delta)) {
        let options = WriteOptions {
            block_bytes: 8192,
            restart_interval: 4,
            codec,
            ratio_min: 1.0,
            ..WriteOptions::default()
        };
        let bytes = build(&all, &options);
        if bytes[bytes.len() - 64] == 1 {
            continue; // nothing gained with this codec
        }
        tried.push(codec);
        flip_every_byte(&all, &bytes);
        // A version that is another's, sealed again: refused by name or by what does not fit.
        let at = bytes.windows(6).position(|head| head.starts_with(b"lbsu\x02")).unwrap();
        let size = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        for version in [0, 1, 3, 255] {
            let mut forged = bytes.clone();
            forged[at + 4] = version;
            let mut crc = crc32c::crc32c(&forged[at..at + 16]);
            crc = crc32c::crc32c_append(crc, &forged[at + 20..at + 20 + size]);
            crc = crc32c::crc32c_append(crc, &42_u64.to_le_bytes());
            crc = crc32c::crc32c_append(crc, &(at as u64).to_le_bytes());
            forged[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
            let table = open(forged, None).unwrap();
            names_file_and_place(&table.verify().unwrap_err(), bytes.len());
            let mut cursor = TableCursor::new(table, ReadOptions::default());
            match scan(&mut cursor) {
                Err(error) => names_file_and_place(&error, bytes.len()),
                // A block that is read as it is not laid out may still parse; it is sealed so.
                Ok(seen) => assert!(version == 1 && seen.len() == all.len(), "{version}"),
            }
        }
    }
    assert!(!tried.is_empty());
}

#[cfg(feature = "zstd")]
fn with_a_dictionary(count: u64, block_bytes: usize) -> (Vec<Entry>, Vec<u8>) {
    let all: Vec<Entry> = (0..count)
        .map(|rank| {
            let value = format!("{{\"id\":{rank},\"name\":\"user {}\",\"on\":true}}", rank % 97);
            (format!("k{rank:06}").into_bytes(), Trailer::from_raw(rank << 8 | 1), value.into())
        })
        .collect();
    let options = WriteOptions {
        block_bytes,
        partition_blocks: 8,
        codec: Codec::Dictionary,
        dictionary_bytes: 1024,
        ratio_min: 1.0,
        ..WriteOptions::default()
    };
    let bytes = build(&all, &options);
    let meta = open(bytes.clone(), None).unwrap().meta().clone();
    let blocks = meta.blocks_by_codec[Codec::Dictionary as usize];
    assert!(blocks > 10, "a dictionary was trained: {meta:?}");
    assert!(meta.partitions > 1, "{meta:?}");
    (all, bytes)
}

#[cfg(feature = "zstd")]
#[test]
fn a_table_with_a_dictionary_survives_flips() {
    let (all, bytes) = with_a_dictionary(4000, 4096);
    let mut random = StdRng::seed_from_u64(13);
    for _ in 0..60 {
        let mut damaged = bytes.clone();
        let at = random.random_range(0..bytes.len());
        damaged[at] ^= 1 << random.random_range(0..8);
        if let Err(error) = read_all(damaged, &all) {
            names_file_and_place(&error, bytes.len());
        }
    }
}

#[cfg(feature = "zstd")]
#[test]
fn every_byte_of_a_table_with_a_dictionary_flipped() {
    let (all, bytes) = with_a_dictionary(300, 512);
    flip_every_byte(&all, &bytes);
}
