//! Logs, written and read back after everything that can happen to them.

use std::io;

use super::*;
use crate::fs::{Call, CrashMode, Effect, Fault, FaultFs, MemFs};
use crate::random::Random;

const DATABASE: u64 = 0xDA7A;
/// A log of one synced batch, sealed: format version 1 for ever.
const GOLDEN_LOG: [&str; 9] = [
    "6c736d206c6f670a0100000000000000", // "lsm log\n", version 1, flags 0
    "01000000000000007ada000000000000", // number 1, database 0xda7a
    "00010000000000000000000000000000", // capacity 256
    "000000000000000000000000f726fc3b", // zero, CRC32C
    "eb57cf0347d1ca770900000001000000", // header CRC, payload CRC, 9 bytes, kind 1 (a batch)
    "40000000000000000100000000000000", // watermark 64, tag 1
    "01000000010000000000000000000000", // 1 operation, its body, padding
    "7a60d247000000000000000002000000", // header CRC, no payload, kind 2 (the end)
    "70000000000000000200000000000000", // watermark 112, tag 2
];

const DIR: &str = "/db";

/// A batch of `count` operations whose body tells its first number; not decoded here.
fn batch(first: SeqNo, count: u32, body_bytes: usize) -> Vec<u8> {
    let mut payload = count.to_le_bytes().to_vec();
    payload.extend(first.to_le_bytes().iter().cycle().take(body_bytes));
    payload
}

fn disk() -> MemFs {
    let fs = MemFs::new();
    fs.create_dir_all(Path::new(DIR)).unwrap();
    fs
}

fn segment(fs: &dyn Fs, number: u64, capacity: u64) -> Segment {
    Segment::create(fs, Path::new(DIR), number, DATABASE, capacity, None).unwrap()
}

fn append(segment: &Segment, first: SeqNo, count: u32, body_bytes: usize) -> u64 {
    let payload = batch(first, count, body_bytes);
    segment.try_append(first, &payload, payload_crc(&payload)).unwrap().expect("has room")
}

/// What a replay of logs 1 to `logs` applies: first numbers and operation counts.
fn read(fs: &MemFs, logs: u64, mode: RecoveryMode) -> Result<(Vec<(SeqNo, u32)>, ReplayReport)> {
    read_after(fs, logs, mode, 0)
}

fn read_after(
    fs: &MemFs,
    logs: u64,
    mode: RecoveryMode,
    after: SeqNo,
) -> Result<(Vec<(SeqNo, u32)>, ReplayReport)> {
    let mut found = Vec::new();
    let numbers: Vec<u64> = (1..=logs).collect();
    let mut sink = |first, payload: &[u8]| {
        let count = u32::from_le_bytes(*payload.first_chunk().unwrap());
        assert_eq!(payload, batch(first, count, payload.len() - 4), "the bytes of that batch");
        found.push((first, count));
        Ok(())
    };
    let report = replay(fs, Path::new(DIR), &numbers, DATABASE, after, mode, &mut sink)?;
    Ok((found, report))
}

fn firsts(found: &[(SeqNo, u32)]) -> Vec<SeqNo> {
    found.iter().map(|(first, _)| *first).collect()
}

/// A sealed log of ten synced batches of one operation, and what it holds.
fn sealed_log() -> MemFs {
    let fs = disk();
    let log = segment(&fs, 1, 2048);
    for n in 1..=10 {
        append(&log, n, 1, 20 + usize::try_from(n).unwrap());
    }
    log.sync().unwrap();
    log.seal(11).unwrap();
    log.sync().unwrap();
    fs
}

#[test]
fn logs_read_back_in_order() {
    let fs = disk();
    let (one, two) = (segment(&fs, 1, 4096), segment(&fs, 2, 4096));
    append(&one, 1, 3, 100);
    append(&one, 4, 1, 0);
    one.seal(5).unwrap();
    append(&two, 5, 2, 1000);
    let (found, report) = read(&fs, 2, RecoveryMode::Strict).unwrap();
    assert_eq!(found, [(1, 3), (4, 1), (5, 2)]);
    assert_eq!((report.last_seqno, report.records, report.bytes), (6, 3, 104 + 4 + 1004));
    assert_eq!((report.logs[0].how, report.logs[1].how), (LogEnd::Sealed, LogEnd::Open));
    assert_eq!(report.torn, None);
    for (after, expected) in [(3, &[4, 5][..]), (2, &[1, 4, 5]), (4, &[5]), (6, &[])] {
        let (found, report) = read_after(&fs, 2, RecoveryMode::Strict, after).unwrap();
        assert_eq!(firsts(&found), expected);
        assert_eq!(report.last_seqno, 6);
    }
    assert!(read_after(&fs, 0, RecoveryMode::Strict, 9).unwrap().1.last_seqno == 9);
}

#[test]
#[expect(clippy::big_endian_bytes, reason = "prints bytes in their order")]
fn the_bytes_are_pinned() {
    let fs = disk();
    let log = segment(&fs, 1, 256);
    append(&log, 1, 1, 5);
    log.sync().unwrap();
    log.seal(2).unwrap();
    let bytes = fs.contents(&log_path(Path::new(DIR), 1)).unwrap();
    let number = |line: &[u8]| u128::from_be_bytes(*line.first_chunk().unwrap());
    let hex: Vec<String> = bytes.chunks(16).map(|line| format!("{:032x}", number(line))).collect();
    assert_eq!(hex[..9].join("\n"), GOLDEN_LOG.join("\n"));
    assert!(hex[9..].iter().all(|line| line == "00000000000000000000000000000000"));
}

#[test]
fn a_full_segment_takes_no_more_and_keeps_room_for_its_end() {
    let fs = disk();
    let log = segment(&fs, 1, Segment::capacity_for(100));
    append(&log, 1, 1, 96);
    let payload = batch(2, 1, 0);
    assert_eq!(log.try_append(2, &payload, payload_crc(&payload)).unwrap(), None);
    log.vouch(0).unwrap();
    log.vouch(0).unwrap(); // no room: does without
    log.seal(2).unwrap();
    log.seal(2).unwrap();
    assert_eq!(log.end(), log.capacity());
    assert_eq!(log.try_append(2, &payload, payload_crc(&payload)).unwrap(), None);
    let (found, report) = read(&fs, 1, RecoveryMode::Strict).unwrap();
    assert_eq!((found, report.logs[0].how), (vec![(1, 1)], LogEnd::Sealed));
}

#[test]
#[should_panic(expected = "numbers follow each other")]
fn numbers_must_follow() {
    let fs = disk();
    let log = segment(&fs, 1, 4096);
    append(&log, 1, 2, 0);
    append(&log, 4, 1, 0);
}

#[test]
fn recycled_space_shows_no_old_records() {
    let fs = disk();
    let old = segment(&fs, 1, 4096);
    for n in 1..=40 {
        append(&old, n, 1, 28);
    }
    let path = old.path().to_path_buf();
    drop(old);
    let dir = Path::new(DIR);
    let log = Segment::create(&fs, dir, 2, DATABASE, 4096, Some(&path)).unwrap();
    // Records of the same sizes and numbers, so that every old record is at a place of a new one.
    for n in 1..=7 {
        append(&log, n, 1, 28);
    }
    let mut found = Vec::new();
    let mut sink = |first, _: &[u8]| {
        found.push(first);
        Ok(())
    };
    let report = replay(&fs, dir, &[2], DATABASE, 0, RecoveryMode::Strict, &mut sink).unwrap();
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((report.torn, report.logs[0].how), (None, LogEnd::Open));
}

#[test]
fn every_shorter_file_is_damage() {
    let fs = sealed_log();
    let path = log_path(Path::new(DIR), 1);
    let bytes = fs.file_bytes(&path).unwrap();
    for length in 0..bytes {
        let copy = fs.crash(0, CrashMode::KILL);
        copy.cut(&path, length).unwrap();
        for mode in [RecoveryMode::Strict, RecoveryMode::TolerateTornTail] {
            let error = read(&copy, 1, mode).unwrap_err();
            assert!(matches!(&error, Error::Corruption { path: p, .. } if *p == path), "{error}");
        }
        for mode in [RecoveryMode::PointInTime, RecoveryMode::Salvage] {
            let (found, report) = read(&copy, 1, mode).unwrap();
            let expected: Vec<SeqNo> = (1..=found.len() as u64).collect();
            assert_eq!(firsts(&found), expected);
            assert!(report.torn.is_some());
        }
    }
}

#[test]
fn a_log_that_was_not_synced_reads_as_a_prefix_at_every_cut() {
    let fs = disk();
    let log = segment(&fs, 1, 2048);
    let ends: Vec<u64> = (1..=10).map(|n| append(&log, n, 1, 30)).collect();
    let bytes = fs.contents(log.path()).unwrap();
    for cut in FILE_HEADER_BYTES..bytes.len() {
        let after = disk();
        let file = after.create_log(log.path(), 2048).unwrap();
        let mut torn = bytes.clone();
        torn[cut..].fill(0);
        file.write_at(0, &torn).unwrap();
        let (found, report) = read(&after, 1, RecoveryMode::TolerateTornTail).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut as u64).count();
        // Zeros that were zeros before (padding) make no difference.
        assert!(found.len() == whole || torn[cut..] == bytes[cut..] || found.len() == whole + 1);
        assert_eq!(firsts(&found), (1..=found.len() as u64).collect::<Vec<_>>());
        assert!(report.last_seqno == found.len() as u64);
    }
}

#[test]
fn every_flipped_byte_of_a_synced_log_is_damage_or_makes_no_difference() {
    let fs = sealed_log();
    let path = log_path(Path::new(DIR), 1);
    let bytes = fs.contents(&path).unwrap();
    let batches = (1..=10).map(|n| record_bytes(4 + 20 + n)).sum::<u64>();
    let end_record = FILE_HEADER_BYTES as u64 + batches;
    for offset in 0..bytes.len() as u64 {
        for mask in [1, 0x80, 0xff] {
            let copy = fs.crash(0, CrashMode::KILL);
            copy.flip(&path, offset, mask).unwrap();
            match read(&copy, 1, RecoveryMode::TolerateTornTail) {
                Ok((found, _)) => {
                    assert_eq!(found.len(), 10, "all of it was synced; byte {offset}");
                    assert!(offset >= end_record, "only the end and what follows; byte {offset}");
                }
                Err(Error::Corruption { path: p, offset: at, expected }) => {
                    assert_eq!(p, path);
                    assert!(at <= offset && !expected.is_empty());
                }
                Err(Error::Unsupported { .. }) => assert!((8..12).contains(&offset)),
                Err(error) => panic!("{error}"),
            }
            // Point in time: a prefix; salvage: all but the damaged record.
            if offset >= FILE_HEADER_BYTES as u64 {
                let (found, _) = read(&copy, 1, RecoveryMode::PointInTime).unwrap();
                assert_eq!(firsts(&found), (1..=found.len() as u64).collect::<Vec<_>>());
                let (found, _) = read(&copy, 1, RecoveryMode::Salvage).unwrap();
                assert!(found.len() >= 9, "byte {offset}: {found:?}");
            }
        }
    }
}

#[test]
fn a_cut_last_record_is_torn_and_strict_refuses_it() {
    let fs = disk();
    let log = segment(&fs, 1, 4096);
    append(&log, 1, 1, 10);
    let start = append(&log, 2, 1, 10);
    append(&log, 3, 1, 500);
    fs.flip(log.path(), start + 100, 1).unwrap();
    let (found, report) = read(&fs, 1, RecoveryMode::TolerateTornTail).unwrap();
    assert_eq!(firsts(&found), [1, 2]);
    let torn = report.torn.unwrap();
    assert_eq!((torn.offset, torn.lost_bytes, torn.lost_records), (start, 32 + 504, 1));
    assert_eq!(report.logs[0].how, LogEnd::Torn);
    let error = read(&fs, 1, RecoveryMode::Strict).unwrap_err();
    assert!(matches!(error, Error::Corruption { offset, .. } if offset == start));
}

#[test]
fn an_unsynced_hole_ends_the_prefix_and_a_synced_one_is_damage() {
    for synced in [false, true] {
        let fs = disk();
        let log = segment(&fs, 1, 4096);
        append(&log, 1, 1, 10);
        let hole = append(&log, 2, 1, 10);
        append(&log, 3, 1, 10);
        if synced {
            log.sync().unwrap();
        }
        append(&log, 4, 1, 10);
        append(&log, 5, 1, 10);
        fs.flip(log.path(), hole + 4, 1).unwrap();
        let outcome = read(&fs, 1, RecoveryMode::TolerateTornTail);
        if synced {
            assert!(matches!(outcome, Err(Error::Corruption { offset, .. }) if offset == hole));
        } else {
            let (found, report) = outcome.unwrap();
            assert_eq!(firsts(&found), [1, 2]);
            assert_eq!(report.torn.unwrap().lost_records, 2, "4 and 5 are told of, not applied");
        }
        let (found, _) = read(&fs, 1, RecoveryMode::PointInTime).unwrap();
        assert_eq!(firsts(&found), [1, 2]);
        let (found, report) = read(&fs, 1, RecoveryMode::Salvage).unwrap();
        assert_eq!(firsts(&found), [1, 2, 4, 5]);
        assert!(report.torn.is_some());
    }
}

#[test]
fn a_log_without_its_end_may_be_followed_only_by_the_next_operation() {
    for lost in 0..3_u64 {
        let fs = disk();
        let (one, two, three) =
            (segment(&fs, 1, 4096), segment(&fs, 2, 4096), segment(&fs, 3, 4096));
        append(&one, 1, 2, 10);
        append(&two, 3 + lost, 1, 10);
        append(&two, 4 + lost, 1, 10);
        append(&three, 5 + lost, 1, 10);
        let (found, report) = read(&fs, 3, RecoveryMode::TolerateTornTail).unwrap();
        if lost == 0 {
            assert_eq!((firsts(&found), report.torn), (vec![1, 3, 4, 5], None));
        } else {
            assert_eq!((firsts(&found), report.last_seqno), (vec![1], 2));
            let torn = report.torn.unwrap();
            assert_eq!((torn.path, torn.lost_records), (one.path().to_path_buf(), 3));
            assert!(read(&fs, 3, RecoveryMode::Strict).is_err());
            let (found, _) = read(&fs, 3, RecoveryMode::Salvage).unwrap();
            assert_eq!(firsts(&found), [1, 3 + lost, 4 + lost, 5 + lost]);
        }
    }
}

#[test]
fn a_gap_after_a_complete_log_is_damage() {
    let fs = disk();
    let (one, two) = (segment(&fs, 1, 4096), segment(&fs, 2, 4096));
    append(&one, 1, 2, 10);
    one.seal(3).unwrap();
    append(&two, 4, 1, 10);
    let error = read(&fs, 2, RecoveryMode::TolerateTornTail).unwrap_err();
    assert!(error.to_string().contains("000002.log"), "{error}");
    assert!(error.to_string().contains("operation 3"), "{error}");
    assert_eq!(firsts(&read(&fs, 2, RecoveryMode::PointInTime).unwrap().0), [1]);
    assert_eq!(firsts(&read(&fs, 2, RecoveryMode::Salvage).unwrap().0), [1, 4]);
}

#[test]
fn logs_that_start_too_late_or_are_missing_are_damage() {
    let fs = disk();
    let log = segment(&fs, 1, 4096);
    append(&log, 5, 2, 10);
    assert!(read_after(&fs, 1, RecoveryMode::TolerateTornTail, 3).is_err(), "4 is nowhere");
    assert_eq!(firsts(&read_after(&fs, 1, RecoveryMode::TolerateTornTail, 4).unwrap().0), [5]);
    let error = read_after(&fs, 2, RecoveryMode::TolerateTornTail, 4).unwrap_err();
    assert!(error.to_string().contains("000002.log"), "{error}");
}

#[test]
fn the_loss_of_a_log_that_was_vouched_for_is_damage() {
    for vouched in [false, true] {
        let fs = disk();
        let (one, two) = (segment(&fs, 1, 4096), segment(&fs, 2, 4096));
        let start = append(&one, 1, 1, 10);
        append(&one, 2, 1, 10);
        one.sync().unwrap();
        if vouched {
            two.vouch(2).unwrap();
        }
        append(&two, 3, 1, 10);
        fs.flip(one.path(), start + 40, 1).unwrap();
        let outcome = read(&fs, 2, RecoveryMode::TolerateTornTail);
        if vouched {
            assert!(matches!(outcome, Err(Error::Corruption { offset, .. }) if offset == start));
        } else {
            assert_eq!(firsts(&outcome.unwrap().0), [1]);
        }
    }
}

#[test]
fn a_log_of_another_database_or_number_is_refused() {
    let fs = disk();
    let log = Segment::create(&fs, Path::new(DIR), 1, 77, 4096, None).unwrap();
    append(&log, 1, 1, 10);
    let error = read(&fs, 1, RecoveryMode::TolerateTornTail).unwrap_err();
    assert!(matches!(error, Error::Corruption { offset: 24, .. }), "{error}");
    let log = segment(&fs, 2, 4096);
    fs.rename(log.path(), &log_path(Path::new(DIR), 1)).unwrap();
    let error = read(&fs, 1, RecoveryMode::TolerateTornTail).unwrap_err();
    assert!(matches!(error, Error::Corruption { offset: 16, .. }), "{error}");
}

#[test]
fn a_record_without_space_never_was_and_the_next_one_fits() {
    for effect in [Effect::Nothing, Effect::Half, Effect::Done] {
        let mem = disk();
        let fs = FaultFs::new(Arc::new(mem.clone()));
        let log = segment(&fs, 1, 4096);
        append(&log, 1, 1, 10);
        let error = io::ErrorKind::StorageFull;
        fs.add(Fault { error, effect, ..Fault::next(Call::LogWrite) });
        let bytes = batch(2, 3, 100);
        let refused = log.try_append(2, &bytes, payload_crc(&bytes)).unwrap_err();
        assert!(refused.is_out_of_space() && !log.has_failed(), "{refused}");
        for mode in CrashMode::POWER_CUTS.into_iter().chain([CrashMode::KILL]) {
            let left = mem.crash(5, mode);
            let (found, _) = read(&left, 1, RecoveryMode::TolerateTornTail).unwrap();
            assert_eq!(firsts(&found), [1], "{effect:?}, {mode:?}");
        }
        append(&log, 2, 1, 10);
        log.seal(3).unwrap();
        log.sync().unwrap();
        let (found, _) = read(&mem, 1, RecoveryMode::Strict).unwrap();
        assert_eq!(found, [(1, 1), (2, 1)]);
    }
}

#[test]
fn after_a_failure_nothing_is_appended_or_synced() {
    for call in [Call::LogWrite, Call::LogSync] {
        let mem = disk();
        let fs = FaultFs::new(Arc::new(mem.clone()));
        let log = segment(&fs, 1, 4096);
        let end = append(&log, 1, 1, 10);
        log.sync().unwrap();
        fs.add(Fault { effect: Effect::Half, ..Fault::next(call) });
        let payload = batch(2, 1, 10);
        let crc = payload_crc(&payload);
        let first = log.try_append(2, &payload, crc).and_then(|_| log.sync());
        assert!(matches!(first, Err(Error::Io { .. })));
        assert!(matches!(log.try_append(2, &payload, crc), Err(Error::WritesStopped { .. })));
        assert!(matches!(log.seal(2), Err(Error::WritesStopped { .. })));
        assert!(log.sync_to(end).is_ok(), "what was synced stays so");
        assert!(call == Call::LogWrite || log.sync().is_err());
        let (found, _) = read(&mem, 1, RecoveryMode::TolerateTornTail).unwrap();
        assert_eq!(firsts(&found)[0], 1);
    }
}

#[test]
fn one_sync_serves_many_threads() {
    let fs = FaultFs::new(Arc::new(disk()));
    let log = segment(&fs, 1, 1 << 20);
    let order = Mutex::new(1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let mut next = order.lock();
                    let end = append(&log, *next, 1, 10);
                    *next += 1;
                    drop(next);
                    log.sync_to(end).unwrap();
                    assert!(log.synced() >= end);
                }
            });
        }
    });
    assert!(fs.calls_of(Call::LogSync) <= 801, "never more than one an append, and the header's");
}

#[test]
fn what_a_failed_sync_has_lost_is_stored_again_before_anything_is_built_on_it() {
    let fs = disk();
    let log = segment(&fs, 1, 4096);
    append(&log, 1, 1, 100);
    log.sync().unwrap();
    append(&log, 2, 1, 1000);
    fs.lose_at_sync(0);
    assert!(log.sync().is_err());
    let next = fs.crash(1, CrashMode::KILL);
    let (found, report) = read(&next, 1, RecoveryMode::TolerateTornTail).unwrap();
    assert_eq!(firsts(&found), [1, 2], "the page cache shows it");
    for log in &report.logs {
        make_durable(&next, Path::new(DIR), log).unwrap();
    }
    let after = next.crash(1, CrashMode::POWER_CUTS[3]);
    assert_eq!(firsts(&read(&after, 1, RecoveryMode::TolerateTornTail).unwrap().0), [1, 2]);
}

#[test]
fn hostile_bytes_give_errors_and_no_panic() {
    let fs = sealed_log();
    let path = log_path(Path::new(DIR), 1);
    let bytes = fs.contents(&path).unwrap();
    let mut random = Random::new(11);
    for _ in 0..3000 {
        let copy = fs.crash(0, CrashMode::KILL);
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len()) as u64;
            copy.flip(&path, at, random.next().to_le_bytes()[0]).unwrap();
        }
        for mode in [RecoveryMode::TolerateTornTail, RecoveryMode::Salvage] {
            if let Ok((found, _)) = read(&copy, 1, mode) {
                let mut sorted = firsts(&found);
                sorted.dedup();
                assert!(sorted.is_sorted() && sorted.len() == found.len());
            }
        }
    }
}

/// One history under one kind of crash: what was synced is there, what is there is a prefix.
fn crash_once(seed: u64, mode: CrashMode) {
    let mut random = Random::new(seed);
    let fs = disk();
    let (mut next, mut synced, mut logs) = (1, 0, 1);
    let mut log = segment(&fs, 1, 4096);
    let mut recyclable = None;
    for _ in 0..random.below(60) {
        let count = 1 + u32::try_from(random.below(3)).unwrap();
        let payload = batch(next, count, random.below(700));
        if log.try_append(next, &payload, payload_crc(&payload)).unwrap().is_none() {
            log.seal(next).unwrap();
            log.sync().unwrap(); // promise: an old log is synced before a new one is used
            synced = next - 1;
            logs += 1;
            let dir = Path::new(DIR);
            let recycle: Option<PathBuf> = recyclable.take();
            log = Segment::create(&fs, dir, logs, DATABASE, 4096, recycle.as_deref()).unwrap();
            log.vouch(synced).unwrap();
            continue;
        }
        next += u64::from(count);
        if random.below(4) == 0 {
            log.sync().unwrap();
            synced = next - 1;
        }
        if random.below(20) == 0 {
            let spare = Segment::create(&fs, Path::new(DIR), 1000 + next, DATABASE, 4096, None);
            let spare = spare.unwrap();
            append(&spare, 1, 1, 3000);
            recyclable = Some(spare.path().to_path_buf());
        }
    }
    let after = fs.crash(seed, mode);
    let (found, report) = read(&after, logs, RecoveryMode::TolerateTornTail)
        .unwrap_or_else(|error| panic!("seed {seed}, {mode:?}: {error}"));
    let mut expected = 1;
    for (first, count) in found {
        assert_eq!(first, expected, "seed {seed}, {mode:?}");
        expected += u64::from(count);
    }
    assert!(report.last_seqno >= synced, "seed {seed}, {mode:?}: synced operations are lost");
    assert!(report.last_seqno < next);
    if mode == CrashMode::KILL {
        assert_eq!(report.last_seqno, next - 1, "seed {seed}: a killed process loses nothing");
    }
}

#[test]
fn crashes_leave_prefixes_with_everything_synced() {
    for seed in 0..400 {
        crash_once(seed, CrashMode::KILL);
        for mode in CrashMode::POWER_CUTS {
            crash_once(seed, mode);
        }
    }
}

/// A batch whose checksum holds and whose bytes are no batch: the error says where it lies.
#[test]
fn a_sink_that_meets_damage_is_told_the_place() {
    let fs = sealed_log();
    let mut batches = 0;
    let mut sink = |_, _: &[u8]| {
        batches += 1;
        if batches < 3 { Ok(()) } else { Err(Error::corruption(Path::new(""), 0, "a put")) }
    };
    let mode = RecoveryMode::Salvage;
    let error = replay(&fs, Path::new(DIR), &[1], DATABASE, 0, mode, &mut sink).unwrap_err();
    let Error::Corruption { path, offset, expected } = error else { panic!("{error}") };
    assert_eq!((path, expected.as_str()), (log_path(Path::new(DIR), 1), "a put"));
    assert!(offset > 64, "the third record, not the file's start: {offset}");
}
