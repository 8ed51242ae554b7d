//! Fences of format version 1, kept as files: they must stay readable, and building must still give
//! these bytes. `FENCE_BLESS=1` writes them anew, for a new version only.

use std::path::Path;

use fence::{Builder, Fence, Layout};

/// Short, long and nested keys, duplicates, and stretches that share their first bytes.
fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = vec![b"k".to_vec(), b"k".to_vec(), b"k\0".to_vec()];
    keys.extend((0..60_u32).map(|n| format!("k{n:02}").into_bytes()));
    keys.extend((0..80_u32).map(|n| format!("key/of/some/length/{:04}/{n}", n * n).into_bytes()));
    keys.sort();
    keys
}

#[test]
fn files_of_version_1_are_read_and_made_again() {
    let keys = keys();
    for layout in Layout::ALL {
        let mut builder = Builder::new(*layout);
        for key in &keys {
            builder.push(key);
        }
        builder.set_bounds(b"k", b"kz");
        let made = builder.finish();
        let name = format!("{layout:?}.v1.fence").to_lowercase();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if std::env::var_os("FENCE_BLESS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let stored = std::fs::read(&path).unwrap();
        let fence = Fence::decode(&stored).unwrap();
        assert_eq!(fence.layout(), *layout);
        assert_eq!(fence.smallest().zip(fence.largest()), Some((&b"k"[..], &b"kz"[..])));
        let read: Vec<Vec<u8>> = (0..fence.len()).map(|rank| fence.separator(rank)).collect();
        assert_eq!(read, keys, "{layout:?}");
        for key in &keys {
            assert_eq!(fence.find(key), keys.partition_point(|other| other < key), "{layout:?}");
        }
        assert!(made == stored, "{layout:?}: the bytes of version 1 must not change");
    }
}
