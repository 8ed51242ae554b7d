//! The bytes of version 1: files written once are read for ever, and written again the same.
//!
//! `BLOOM_WRITE_GOLDEN=1` writes the files anew, for a new version beside the old ones.

use std::path::PathBuf;

use bloom::{Builder, Filter, Kind, PrefixRule, build, hash_key};

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect()
}

fn check(name: &str, bytes: &[u8], members: &[u64], absent: &[u64]) {
    let path = golden(name);
    if std::env::var_os("BLOOM_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, bytes).expect("the folder is there");
    }
    let written = std::fs::read(&path).expect("the file is there");
    assert!(written == bytes, "{name} is not written as it was");
    let filter = Filter::decode(&written).expect("a filter of version 1");
    assert!(members.iter().all(|&hash| filter.may_contain_hash(hash)), "{name}");
    let positives = absent.iter().filter(|&&hash| filter.may_contain_hash(hash)).count();
    assert!(positives <= absent.len() / 20, "{name}: {positives}");
}

#[test]
fn version_1_of_every_kind() {
    let hash = |n: u64| hash_key(&n.to_le_bytes());
    let members: Vec<u64> = (0..20).map(hash).collect();
    let absent: Vec<u64> = (1_000..2_000).map(hash).collect();
    for (name, kind) in [
        ("double-probe-v1.bin", Kind::DoubleProbe),
        ("standard-v1.bin", Kind::Standard),
        ("blocked-v1.bin", Kind::Blocked),
        ("ribbon-v1.bin", Kind::Ribbon),
        ("split-block-v1.bin", Kind::SplitBlock),
    ] {
        check(name, &build(kind, 10.5, &members), &members, &absent);
    }
    // Large enough to bump into several layers, with two widths.
    let members: Vec<u64> = (0..700).map(hash).collect();
    check("ribbon-layers-v1.bin", &build(Kind::Ribbon, 7.6, &members), &members, &absent);
}

#[test]
fn version_1_with_prefixes() {
    let mut builder = Builder::new(Kind::DoubleProbe, 12.0).with_prefixes(PrefixRule::UpTo(b'/'));
    for key in ["a/1", "a/2", "b/1"] {
        builder.add(key.as_bytes());
    }
    let members = ["a/1", "a/2", "b/1"].map(|key| hash_key(key.as_bytes()));
    check("prefixes-v1.bin", &builder.finish(), &members, &[]);
}
