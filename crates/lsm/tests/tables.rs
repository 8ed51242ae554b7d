//! The options of how tables are written and read: whatever they are, the records are the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lsm::fs::TableReads;
use lsm::{Chooser, Codec, Coding, Db, Options};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Values that do not compress, from a fixed seed.
fn records(count: u64) -> Records {
    let mut state = 88_172_645_463_325_252_u64;
    let mut value = || {
        let mut bytes = Vec::new();
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes
    };
    (0..count)
        .map(|rank| (format!("key{:08}", rank * 7919 % count).into_bytes(), value()))
        .collect()
}

fn options() -> Options {
    Options { write_buffer_bytes: 64 << 10, table_bytes: 128 << 10, ..Options::default() }
}

fn fill(db: &Db, records: &Records) {
    for (key, value) in records {
        db.put(key, value).expect("ok");
    }
    db.flush().expect("ok");
}

fn check(db: &Db, records: &Records) {
    for (key, value) in records {
        assert_eq!(db.get(key).expect("ok").as_deref(), Some(&value[..]));
        assert_eq!(db.get([&key[..], b"x"].concat()).expect("ok"), None);
    }
    let scanned: Records = db
        .scan::<&[u8]>(..)
        .expect("ok")
        .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).expect("ok"))
        .collect();
    assert_eq!(&scanned, records);
    db.verify().expect("ok");
}

#[test]
fn records_are_the_same_however_tables_are_written_and_read() {
    let records = records(5_000);
    for table_reads in [TableReads::Positioned, TableReads::Mapped, TableReads::Direct] {
        let folder = tempfile::tempdir().expect("ok");
        let written = Options {
            level_codecs: [Codec::None, Codec::Snappy, Codec::Zstd].map(Coding::new).to_vec(),
            chooser: Chooser::ByData,
            hash_index: true,
            table_reads,
            ..options()
        };
        let db = Db::open(folder.path(), written).expect("ok");
        fill(&db, &records);
        check(&db, &records);
        db.compact().expect("ok");
        check(&db, &records);
        db.close().expect("ok");
        let db = Db::open(folder.path(), options()).expect("ok");
        check(&db, &records);
    }
}

#[test]
fn merges_keep_to_their_rate() {
    let records = records(20_000); // 2 MB
    let folder = tempfile::tempdir().expect("ok");
    let slow =
        Options { merge_bytes_per_second: 4 << 20, write_buffer_bytes: 8 << 20, ..options() };
    let db = Db::open(folder.path(), slow).expect("ok");
    fill(&db, &records);
    fill(&db, &records);
    let begun = Instant::now();
    db.compact().expect("ok");
    // 2 MB at 4 MiB a second, of which a tenth of a second's worth is free at the start.
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    check(&db, &records);
}
