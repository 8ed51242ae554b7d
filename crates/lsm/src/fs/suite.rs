//! What every file system of ours must do, stamped on each.

use std::io::{self, Write};
use std::path::Path;

use super::{Fs, LogFile};

/// Runs every case below `root`, an existing, empty folder.
pub(crate) fn all(fs: &dyn Fs, root: &Path) {
    names(fs, &root.join("names"));
    appending(fs, &root.join("appending"));
    logs(fs, &root.join("logs"));
    recycling(fs, &root.join("recycling"));
    locks(fs, &root.join("locks"));
    replacing(fs, &root.join("replacing"));
}

fn contents(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    let file = fs.open_read(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(fs.file_bytes(path).unwrap(), bytes.len() as u64);
    bytes
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("must fail").kind()
}

fn sorted(fs: &dyn Fs, path: &Path) -> Vec<String> {
    let mut names = fs.list(path).unwrap();
    names.sort();
    names
}

fn put(fs: &dyn Fs, path: &Path, bytes: &[u8]) {
    let mut file = fs.create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync().unwrap();
}

fn names(fs: &dyn Fs, root: &Path) {
    let deep = root.join("a/b/c");
    assert!(!fs.exists(&deep).unwrap());
    assert_eq!(kind(fs.list(&deep)), io::ErrorKind::NotFound);
    fs.create_dir_all(&deep).unwrap();
    fs.create_dir_all(&deep).unwrap();
    assert!(fs.exists(&deep).unwrap());
    assert_eq!(sorted(fs, root), ["a"]);
    let (one, two, three) = (deep.join("one"), deep.join("two"), deep.join("three"));
    put(fs, &one, b"1");
    put(fs, &two, b"22");
    fs.sync_dir(&deep).unwrap();
    assert_eq!(kind(fs.create(&one)), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(fs.open_read(&three)), io::ErrorKind::NotFound);
    assert_eq!(kind(fs.file_bytes(&three)), io::ErrorKind::NotFound);
    assert_eq!(kind(fs.remove(&three)), io::ErrorKind::NotFound);
    assert_eq!(kind(fs.rename(&three, &one)), io::ErrorKind::NotFound);
    assert_eq!(kind(fs.hard_link(&one, &two)), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(fs.create(&root.join("missing/file"))), io::ErrorKind::NotFound);

    fs.hard_link(&one, &three).unwrap();
    fs.rename(&two, &one).unwrap();
    assert_eq!(sorted(fs, &deep), ["one", "three"]);
    assert_eq!((contents(fs, &one), contents(fs, &three)), (b"22".to_vec(), b"1".to_vec()));
    let open = fs.open_read(&three).unwrap();
    fs.remove(&three).unwrap();
    let mut byte = [0];
    open.read_exact_at(&mut byte, 0).unwrap();
    assert_eq!(&byte, b"1", "an open file outlives its name");
    assert_eq!(kind(open.read_exact_at(&mut byte, 1)), io::ErrorKind::UnexpectedEof);
}

fn appending(fs: &dyn Fs, root: &Path) {
    fs.create_dir_all(root).unwrap();
    let path = root.join("file");
    let mut expected = Vec::new();
    let mut file = fs.create(&path).unwrap();
    for n in 0..200_usize {
        let bytes = vec![u8::try_from(n).unwrap(); n * n % 9001];
        file.write_all(&bytes).unwrap();
        expected.extend_from_slice(&bytes);
        assert_eq!(file.written(), expected.len() as u64);
    }
    file.write_all(&vec![9; 600 << 10]).unwrap(); // more than any buffer
    expected.extend_from_slice(&vec![9; 600 << 10]);
    file.flush().unwrap();
    assert!(contents(fs, &path) == expected, "flushed bytes are there to read");
    file.truncate(1000).unwrap();
    expected.truncate(1000);
    file.write_all(b"tail").unwrap();
    expected.extend_from_slice(b"tail");
    file.sync().unwrap();
    assert_eq!(kind(file.truncate(5000)), io::ErrorKind::InvalidInput);
    // Bytes that are held back, and space kept behind the end, go as others do.
    file.write_all(b"held").unwrap();
    file.reserve(100_000).unwrap();
    file.truncate(expected.len() as u64 + 2).unwrap();
    assert_eq!(file.written(), expected.len() as u64 + 2);
    file.reserve(100_000).unwrap();
    file.write_all(b"and more").unwrap();
    file.truncate(expected.len() as u64).unwrap();
    file.sync().unwrap();
    drop(file);
    assert!(contents(fs, &path) == expected);
    let mut file = fs.open_append(&path).unwrap();
    assert_eq!(file.written(), expected.len() as u64);
    file.write_all(b"more").unwrap();
    file.sync().unwrap();
    expected.extend_from_slice(b"more");
    assert!(contents(fs, &path) == expected);
    assert_eq!(kind(fs.open_append(&root.join("none"))), io::ErrorKind::NotFound);
}

fn refuses_odd_places(log: &dyn LogFile) {
    let capacity = log.capacity();
    for (offset, length) in [(1, 8), (8, 7), (capacity, 8), (capacity - 8, 16), (u64::MAX - 7, 8)] {
        let bytes = vec![1; length];
        assert_eq!(kind(log.write_at(offset, &bytes)), io::ErrorKind::InvalidInput);
    }
}

fn logs(fs: &dyn Fs, root: &Path) {
    fs.create_dir_all(root).unwrap();
    let path = root.join("log");
    assert_eq!(kind(fs.create_log(&path, 0)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(fs.create_log(&path, 4097)), io::ErrorKind::InvalidInput);
    let log = fs.create_log(&path, 64 << 10).unwrap();
    assert_eq!(kind(fs.create_log(&path, 4096)), io::ErrorKind::AlreadyExists);
    assert!(contents(fs, &path) == vec![0; 64 << 10], "a new log is all zero");
    refuses_odd_places(&*log);
    log.write_at(0, b"").unwrap();
    let mut expected = vec![0_u8; 64 << 10];
    // Threads write disjoint places at once; a reader sees them without any sync.
    std::thread::scope(|scope| {
        for t in 0..4_u8 {
            let log = &*log;
            scope.spawn(move || {
                for i in (usize::from(t)..1024).step_by(4) {
                    let bytes: Vec<u8> = (0..64).map(|n| n ^ t).collect();
                    log.write_at(i as u64 * 64, &bytes).unwrap();
                }
            });
        }
    });
    for (i, chunk) in expected.chunks_mut(64).enumerate() {
        for (n, byte) in chunk.iter_mut().enumerate() {
            *byte = u8::try_from(n ^ (i % 4)).unwrap();
        }
    }
    assert!(contents(fs, &path) == expected);
    log.sync().unwrap();
    drop(log);
    assert!(contents(fs, &path) == expected);
    let log = fs.open_log(&path).unwrap();
    assert_eq!(log.capacity(), 64 << 10);
    log.write_at(4096, b"rewrites").unwrap();
    log.sync().unwrap();
    expected[4096..4104].copy_from_slice(b"rewrites");
    assert!(contents(fs, &path) == expected, "the rest is as it was");
    assert_eq!(kind(fs.open_log(&root.join("none"))), io::ErrorKind::NotFound);
    put(fs, &root.join("odd"), b"123");
    assert_eq!(kind(fs.open_log(&root.join("odd"))), io::ErrorKind::InvalidInput);
}

fn recycling(fs: &dyn Fs, root: &Path) {
    fs.create_dir_all(root).unwrap();
    let (old, new, third) = (root.join("1"), root.join("2"), root.join("3"));
    let log = fs.create_log(&old, 4096).unwrap();
    log.write_at(8, b"oldbytes").unwrap();
    drop(log);
    assert_eq!(kind(fs.reuse_log(&new, &third, 4096)), io::ErrorKind::NotFound);
    let log = fs.reuse_log(&old, &new, 8192).unwrap();
    assert_eq!(log.capacity(), 8192);
    log.write_at(8184, b"newbytes").unwrap();
    log.sync().unwrap();
    fs.sync_dir(root).unwrap();
    assert_eq!(sorted(fs, root), ["2"]);
    let bytes = contents(fs, &new);
    assert_eq!(bytes.len(), 8192);
    assert_eq!((&bytes[8..16], &bytes[8184..]), (&b"oldbytes"[..], &b"newbytes"[..]));
    assert!(bytes[16..8184].iter().all(|byte| *byte == 0));
    let log = fs.create_log(&old, 4096).unwrap();
    assert_eq!(kind(fs.reuse_log(&old, &new, 4096)), io::ErrorKind::AlreadyExists);
    drop(log);
}

fn locks(fs: &dyn Fs, root: &Path) {
    fs.create_dir_all(root).unwrap();
    let path = root.join("LOCK");
    let held = fs.lock(&path).unwrap();
    assert_eq!(kind(fs.lock(&path)), io::ErrorKind::WouldBlock);
    drop(held);
    let held = fs.lock(&path).unwrap();
    drop(held);
    assert_eq!(kind(fs.lock(&root.join("missing/LOCK"))), io::ErrorKind::NotFound);
}

fn replacing(fs: &dyn Fs, root: &Path) {
    fs.create_dir_all(root).unwrap();
    let path = root.join("CURRENT");
    fs.replace(&path, b"one").unwrap();
    put(fs, &root.join("CURRENT.tmp"), b"left over from a crash");
    fs.replace(&path, b"second").unwrap();
    assert_eq!(contents(fs, &path), b"second");
    assert_eq!(sorted(fs, root), ["CURRENT"]);
}
