//! A point read of a cached block takes no memory, and neither does moving within a block.

#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use sstable::{
    BlockCache, Codec, Cursor, Expect, Kind, ReadOptions, Table, TableCursor, TableWriter, Trailer,
    WriteOptions, hash_key,
};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is passed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps to the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from `alloc` above, which is `System`'s.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn reads_of_cached_blocks_take_no_memory() {
    let keys: Vec<String> = (0..5000).map(|rank| format!("key{rank:08}")).collect();
    for codec in [Codec::None, WriteOptions::default().codec] {
        let options = WriteOptions { codec, ..WriteOptions::default() };
        let mut writer = TableWriter::new(Vec::new(), "t", 1, &options).unwrap();
        for (rank, key) in keys.iter().enumerate() {
            writer.add(key.as_bytes(), Trailer::new(rank as u64, Kind::Put), &[7; 100]).unwrap();
        }
        let (_, bytes) = writer.finish().unwrap();
        let cache = Arc::new(BlockCache::new(64 << 20));
        let table = Table::open(Arc::new(bytes), "t", Expect::default(), Some(cache)).unwrap();
        let table = Arc::new(table);
        let read_all = || {
            for key in &keys {
                let hash = hash_key(key.as_bytes());
                let found = table.get(key.as_bytes(), hash, Trailer::FIRST).unwrap().unwrap();
                assert_eq!(found.value.len(), 100);
            }
        };
        read_all();
        assert!(allocations(|| drop(vec![0_u8; 10])) > 0, "the allocator counts");
        assert_eq!(allocations(read_all), 0);

        let mut cursor = TableCursor::new(Arc::clone(&table), ReadOptions::default());
        cursor.seek_to_first().unwrap();
        let walk = || {
            while cursor.valid() {
                cursor.next().unwrap();
            }
        };
        let walked = allocations(walk);
        assert!(walked < 10, "{walked} allocations over {} entries", keys.len());
    }
}
