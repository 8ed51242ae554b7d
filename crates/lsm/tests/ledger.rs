//! What `Db::memory` says, against what was really asked of the allocator: a counting one stands
//! before the system's. One test, as all threads of the process are counted.

#![expect(unsafe_code, reason = "a counting allocator")]
#![expect(clippy::print_stderr, reason = "figures beside the limits")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};

use lsm::{Db, FamilyOptions, MemoryUsage, Options};

struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

fn note(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("bytes")
}

// SAFETY: everything is the system's; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(note(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(note(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(note(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        LIVE.fetch_add(note(bytes) - note(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const MIB: i64 = 1 << 20;

/// What the database holds of the heap beyond `before`, by the allocator and by its own books.
/// Pages of the log are not of the heap.
fn both(db: &Db, before: i64) -> (i64, i64, MemoryUsage) {
    let memory = db.memory();
    let said = i64::try_from(memory.total_bytes() - memory.log_bytes).expect("bytes");
    (LIVE.load(Ordering::Relaxed) - before, said, memory)
}

/// When nothing runs, the books are right within a sixteenth and `margin` bytes; in it is memory of
/// blocks that waits for the next ones of any database.
fn check(what: &str, db: &Db, before: i64, margin: i64) -> MemoryUsage {
    db.wait_idle().expect("idle");
    let (held, said, memory) = both(db, before);
    eprintln!("{what}: held {held}, said {said}, {memory:?}");
    let off = (held - said).abs();
    assert!(off <= held / 16 + margin, "{what}: held {held}, said {said}, {memory:?}");
    memory
}

fn key(n: u32) -> [u8; 8] {
    (u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1).to_le_bytes()
}

fn value(n: u32) -> Vec<u8> {
    let mut word = u64::from(n) | 1;
    let words = (0..40).flat_map(|_| {
        word = word.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
        word.to_le_bytes()
    });
    words.collect()
}

#[test]
fn the_books_say_what_the_allocator_was_asked_for() {
    let folder = tempfile::tempdir().expect("folder");
    let budget = 32 << 20;
    let options = Options::default().with_memory_budget(budget);
    let own = FamilyOptions { table_bytes: options.table_bytes, ..FamilyOptions::default() };
    let before = LIVE.load(Ordering::Relaxed);
    let db = Db::open(folder.path().join("db"), options).expect("open");
    // What an empty database has beside all accounts (histograms, threads, events) is what the
    // budget sets aside for the process.
    let fixed = both(&db, before).0 - both(&db, before).1;
    assert!((0..MIB).contains(&fixed), "{fixed} bytes");
    let before = before + fixed;
    check("empty", &db, before, MIB / 16);

    let families: Vec<_> = (0..50)
        .map(|n| db.create_family(&format!("family {n}"), own.clone()).expect("family"))
        .collect();
    let memory = check("50 families without data", &db, before, MIB / 4);
    assert!(memory.active_memtable_bytes < 50 * (64 << 10), "{memory:?}");

    let count = 150_000;
    for n in 0..count {
        db.put(key(n), value(n)).expect("put");
        if n % 500 == 0 {
            // Running jobs have reserved what they may need; reads under way come on top.
            let (held, said, memory) = both(&db, before);
            assert!(held <= said + said / 16 + MIB, "{n}: held {held}, said {said}, {memory:?}");
            assert!(memory.total_bytes() <= memory.limit_bytes, "{memory:?}");
        }
    }
    db.wait_idle().expect("idle"); // a job that ends may empty the cache
    for n in (0..count).step_by(7) {
        assert!(db.get(key(n)).expect("get").is_some());
    }
    let memory = check("loaded and read", &db, before, MIB);
    assert!(memory.block_cache_bytes > 4 << 20, "the cache is in use: {memory:?}");
    assert!(memory.table_bytes > 256 << 10, "{memory:?}");
    assert_eq!(
        (memory.iterator_bytes, memory.kept_memtable_bytes, memory.background_bytes),
        (0, 0, 0)
    );

    let mut scans: Vec<_> = (0..40)
        .map(|n| {
            let mut scan = db.scan(key(n * 1000)..).expect("scan");
            for entry in scan.by_ref().take(2000) {
                entry.expect("entry");
            }
            scan
        })
        .collect();
    let memory = check("with 40 iterators", &db, before, MIB);
    assert!(memory.iterator_bytes > 40 * (4 << 10), "{memory:?}");
    families[0].put(b"in a memtable", b"that an iterator will keep").expect("put");
    scans.extend(families[0].scan::<&[u8]>(..).ok());
    scans.last_mut().and_then(Iterator::next).expect("an entry").expect("no error");
    db.flush().expect("flush");
    let memory = check("with a memtable that is read after its flush", &db, before, MIB);
    assert!(memory.kept_memtable_bytes > 0, "{memory:?}");
    drop(scans);
    let memory = check("without them", &db, before, MIB);
    assert_eq!((memory.iterator_bytes, memory.kept_memtable_bytes), (0, 0), "{memory:?}");

    let before_drop = memory.table_bytes;
    db.compact().expect("compact");
    let memory = check("compacted", &db, before, MIB);
    // The new tables' indexes may be a little larger than the old ones'; both would be twice that.
    let most = before_drop + before_drop / 8;
    assert!(memory.table_bytes <= most, "replaced tables are off the books: {memory:?}");
    db.close().expect("close");
}
