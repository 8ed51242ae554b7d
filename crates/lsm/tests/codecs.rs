//! Codecs in every build: what is built in keeps records through close and reopening, what is not
//! is refused by name, whether it is asked for or met in a file.

use std::path::Path;

use lsm::{Codec, Coding, Db, Error, FamilyOptions, Options};

fn options(codec: Codec, codec_level: u8) -> Options {
    Options {
        codec,
        codec_level,
        dictionary_bytes: 1024,
        write_buffer_bytes: 64 << 10,
        table_bytes: 64 << 10,
        block_bytes: 1024,
        ..Options::default()
    }
}

fn record(n: u32) -> (String, String) {
    (format!("user{n:06}"), format!("{{\"name\":\"{:x}\",\"visits\":{}}}", n * 40_503, n % 7))
}

fn fill(db: &Db) -> lsm::Result<()> {
    for (key, value) in (0..4000).map(record) {
        db.put(key, value)?;
    }
    db.compact()
}

#[test]
fn each_codec_keeps_its_records_or_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for codec in Codec::ALL {
        let path = folder.path().join(codec.name());
        let opened = Db::open(&path, options(codec, 0));
        if !codec.is_built_in() {
            let message = opened.unwrap_err().to_string();
            assert!(message.contains(codec.name()), "{message}");
            continue;
        }
        let db = opened.unwrap();
        fill(&db).unwrap();
        drop(db);
        // With the default codec: a table says by itself what it was written with.
        let db = Db::open(&path, Options::default()).unwrap();
        let found: Vec<_> = db.scan::<&str>(..).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.len(), 4000);
        for (n, (key, value)) in found.iter().enumerate() {
            let (expected_key, expected) = record(u32::try_from(n).unwrap());
            assert_eq!((&key[..], &value[..]), (expected_key.as_bytes(), expected.as_bytes()));
        }
    }
}

#[test]
fn a_default_database_needs_no_codec_that_is_not_built_in() {
    let folder = tempfile::tempdir().unwrap();
    for (name, preset) in [
        ("default", Options::default()),
        ("write", Options::write_heavy()),
        ("read", Options::read_heavy()),
        ("mixed", Options::mixed()),
        ("scan", Options::scan_heavy()),
        ("report", Options::report()),
    ] {
        let level_codecs = Options::codecs_by_level();
        for options in [preset.clone(), Options { level_codecs, ..preset }] {
            let db = Db::open(folder.path().join(name), options).unwrap();
            db.put("key", "value").unwrap();
            db.flush().unwrap();
        }
    }
}

/// The golden tables of `sstable` hold one codec each: taken in, or refused by the codec's name.
#[test]
fn a_table_of_a_codec_that_is_not_built_in_is_refused_by_name() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sstable/tests/golden");
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(golden).unwrap() {
        let table = entry.unwrap().path();
        let name = table.file_stem().unwrap().to_str().unwrap().to_owned();
        let Some(codec) = Codec::ALL.into_iter().find(|codec| name.ends_with(codec.name())) else {
            continue;
        };
        seen += 1;
        let db = Db::open(folder.path().join(&name), Options::default()).unwrap();
        let taken = db.ingest(&[&table]);
        if codec.is_built_in() {
            // Read to where it stops being what an ingested table may hold: two versions of a key.
            let two = |error: &Error| matches!(error, Error::NotAscending { .. });
            assert!(taken.as_ref().err().is_none_or(two), "{taken:?}");
            continue;
        }
        let error = taken.unwrap_err().to_string();
        let named = error.contains(codec.name()) && error.contains("not built in");
        assert!(named && error.contains(&*table.to_string_lossy()), "{error}");
        assert_eq!(db.approximate_len().unwrap(), 0);
    }
    assert!(seen >= Codec::COUNT - 1, "{seen} golden tables");
}

#[test]
fn a_codec_tries_as_hard_as_its_level_says() {
    if !Codec::Zstd.is_built_in() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str, options: Options| {
        let whole = Options { write_buffer_bytes: 8 << 20, table_bytes: 8 << 20, ..options };
        let db = Db::open(folder.path().join(name), whole).unwrap();
        fill(&db).unwrap();
        let (key, value) = record(0);
        db.put(key, value).unwrap(); // so that there is something to merge
        db.compact().unwrap();
        db.stats().table_bytes
    };
    let fast = bytes("fast", options(Codec::Zstd, 1));
    let hard = bytes("hard", options(Codec::Zstd, 19));
    assert!(hard < fast, "{hard} of {fast}");
    // Table numbers and times are in the files too, and may be a byte longer.
    let as_hard = |bytes: u64| bytes.abs_diff(hard) < 16;
    // The same by level: what has been merged down was compressed hard.
    let level_codecs =
        vec![Coding { codec: Codec::Zstd, level: 1 }, Coding { codec: Codec::Zstd, level: 19 }];
    let by_level = bytes("levels", Options { level_codecs, ..options(Codec::None, 0) });
    assert!(as_hard(by_level), "{by_level} of {hard}");
    // Threads beside the writer change nothing but the time.
    let threads = Options { compression_threads: 2, ..options(Codec::Zstd, 19) };
    let threads = bytes("threads", threads);
    assert!(as_hard(threads), "{threads} of {hard}");
}

#[test]
fn levels_that_a_codec_does_not_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bad = Options { codec_level: 1, codec: Codec::None, ..Options::default() };
    let error = Db::open(folder.path().join("db"), bad).unwrap_err();
    assert!(matches!(error, Error::InvalidOptions(_)), "{error:?}");
    assert!(error.to_string().contains("codec_level"), "{error}");
    let db = Db::open(folder.path().join("db"), Options::default()).unwrap();
    let bad = FamilyOptions { dictionary_bytes: 1, ..FamilyOptions::default() };
    let error = db.create_family("users", bad).unwrap_err();
    assert!(error.to_string().contains("dictionary_bytes"), "{error}");
}

/// A table of many partitions reads the same: index and filter come in through the cache.
#[test]
fn indexes_and_filters_in_partitions_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let partitioned = Options { partition_blocks: 16, block_bytes: 512, ..Options::default() };
    let db = Db::open(folder.path().join("db"), partitioned).unwrap();
    fill(&db).unwrap();
    let whole = Options { partition_blocks: 32_768, block_bytes: 512, ..Options::default() };
    let other = Db::open(folder.path().join("other"), whole).unwrap();
    fill(&other).unwrap();
    let [parts, whole] = [&db, &other].map(|db| db.memory().table_bytes);
    assert!(parts < whole / 2, "they are not kept open: {parts} of {whole}");
    for (key, value) in (0..4000).map(record) {
        assert_eq!(db.get(&key).unwrap().unwrap(), value.as_bytes());
        assert!(!db.contains(format!("{key} is absent")).unwrap());
    }
}
