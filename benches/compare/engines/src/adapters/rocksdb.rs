//! RocksDB through its C face: compiled from source (feature `rocksdb`) or the system's library
//! (`rocksdb-system`).
#![expect(unsafe_code, reason = "calls of a C library")]

use std::ffi::{CStr, c_char, c_double, c_int, c_uchar, c_void};

#[cfg(feature = "rocksdb")]
use librocksdb_sys as _; // Only to be linked.
use workloads::{Engine, Guarantee, Result, Session, Setup};

use super::c_api::{Calls, ErrorText, Handle, Store, c_path, checked};
use super::{Entry, Kind};

const LZ4: c_int = 4;

pub(super) const ENTRY: Entry = Entry {
    name: "RocksDB",
    kind: Kind::Lsm,
    note: "LZ4; write() of the log a put; synced: its sync option; two background jobs",
    open: |setup| Ok(Box::new(RocksDb::open(setup)?)),
};

unsafe extern "C" {
    fn rocksdb_open(options: Handle, path: *const c_char, error: ErrorText) -> Handle;
    fn rocksdb_close(database: Handle);
    fn rocksdb_compact_range(
        database: Handle,
        from: *const c_char,
        from_len: usize,
        to: *const c_char,
        to_len: usize,
    );
    fn rocksdb_property_int(database: Handle, name: *const c_char, value: *mut u64) -> c_int;
    fn rocksdb_flush(database: Handle, options: Handle, error: ErrorText);
    fn rocksdb_flushoptions_create() -> Handle;
    fn rocksdb_options_create() -> Handle;
    fn rocksdb_options_set_create_if_missing(options: Handle, yes: c_uchar);
    fn rocksdb_options_set_write_buffer_size(options: Handle, bytes: usize);
    fn rocksdb_options_set_compression(options: Handle, codec: c_int);
    fn rocksdb_options_set_max_background_jobs(options: Handle, jobs: c_int);
    fn rocksdb_options_set_block_based_table_factory(options: Handle, table: Handle);
    fn rocksdb_block_based_options_create() -> Handle;
    fn rocksdb_block_based_options_set_block_cache(table: Handle, cache: Handle);
    fn rocksdb_block_based_options_set_filter_policy(table: Handle, policy: Handle);
    fn rocksdb_cache_create_lru(bytes: usize) -> Handle;
    fn rocksdb_filterpolicy_create_bloom_full(bits: c_double) -> Handle;
    fn rocksdb_readoptions_create() -> Handle;
    fn rocksdb_writeoptions_create() -> Handle;
    fn rocksdb_writeoptions_set_sync(options: Handle, yes: c_uchar);
    fn rocksdb_put(
        database: Handle,
        options: Handle,
        key: *const c_char,
        key_len: usize,
        value: *const c_char,
        value_len: usize,
        error: ErrorText,
    );
    fn rocksdb_delete(
        database: Handle,
        options: Handle,
        key: *const c_char,
        key_len: usize,
        error: ErrorText,
    );
    fn rocksdb_write(database: Handle, options: Handle, batch: Handle, error: ErrorText);
    fn rocksdb_get(
        database: Handle,
        options: Handle,
        key: *const c_char,
        key_len: usize,
        value_len: *mut usize,
        error: ErrorText,
    ) -> *mut c_char;
    fn rocksdb_writebatch_create() -> Handle;
    fn rocksdb_writebatch_put(
        batch: Handle,
        key: *const c_char,
        key_len: usize,
        value: *const c_char,
        value_len: usize,
    );
    fn rocksdb_writebatch_delete(batch: Handle, key: *const c_char, key_len: usize);
    fn rocksdb_writebatch_destroy(batch: Handle);
    fn rocksdb_create_iterator(database: Handle, options: Handle) -> Handle;
    fn rocksdb_iter_seek(iterator: Handle, key: *const c_char, key_len: usize);
    fn rocksdb_iter_valid(iterator: Handle) -> c_uchar;
    fn rocksdb_iter_next(iterator: Handle);
    fn rocksdb_iter_key(iterator: Handle, len: *mut usize) -> *const c_char;
    fn rocksdb_iter_value(iterator: Handle, len: *mut usize) -> *const c_char;
    fn rocksdb_iter_get_error(iterator: Handle, error: ErrorText);
    fn rocksdb_iter_destroy(iterator: Handle);
    fn rocksdb_free(pointer: *mut c_void);
}

const CALLS: Calls = Calls {
    put: rocksdb_put,
    delete: rocksdb_delete,
    write: rocksdb_write,
    batch_create: rocksdb_writebatch_create,
    batch_put: rocksdb_writebatch_put,
    batch_delete: rocksdb_writebatch_delete,
    batch_destroy: rocksdb_writebatch_destroy,
    get: rocksdb_get,
    iterate: rocksdb_create_iterator,
    seek: rocksdb_iter_seek,
    valid: rocksdb_iter_valid,
    next: rocksdb_iter_next,
    key: rocksdb_iter_key,
    value: rocksdb_iter_value,
    iterator_error: rocksdb_iter_get_error,
    iterator_destroy: rocksdb_iter_destroy,
    free: rocksdb_free,
};

struct RocksDb {
    store: Store,
}

/// Options with a cache, filters of 10 bits, a write buffer and a codec by RocksDB's number.
pub(super) fn plain_options(cache_bytes: usize, write_buffer_bytes: usize, codec: c_int) -> Handle {
    // SAFETY: every handle is made just before it is used, and lives as long as the process.
    unsafe {
        let table = rocksdb_block_based_options_create();
        let cache = rocksdb_cache_create_lru(cache_bytes);
        rocksdb_block_based_options_set_block_cache(table, cache);
        let filter = rocksdb_filterpolicy_create_bloom_full(10.0);
        rocksdb_block_based_options_set_filter_policy(table, filter);
        let options = rocksdb_options_create();
        rocksdb_options_set_create_if_missing(options, 1);
        rocksdb_options_set_write_buffer_size(options, write_buffer_bytes);
        rocksdb_options_set_compression(options, codec);
        rocksdb_options_set_max_background_jobs(options, 3);
        rocksdb_options_set_block_based_table_factory(options, table);
        options
    }
}

/// Opens a database.
pub(super) fn open_store(path: &CStr, options: Handle, synced: bool) -> Result<Store> {
    // SAFETY: `options` is live; the other handles are made just before they are used.
    unsafe {
        let database = checked(rocksdb_free, |error| rocksdb_open(options, path.as_ptr(), error))?;
        let (reads, writes) = (rocksdb_readoptions_create(), rocksdb_writeoptions_create());
        rocksdb_writeoptions_set_sync(writes, u8::from(synced));
        Ok(Store { calls: CALLS, database, reads, writes })
    }
}

/// A number that RocksDB tells of a database.
pub(super) fn property(store: &Store, name: &CStr) -> u64 {
    let mut value = 0;
    // SAFETY: the database is open, and the name ends with a zero byte.
    unsafe { rocksdb_property_int(store.database, name.as_ptr(), &raw mut value) };
    value
}

/// Waits until no flush and no compaction is running or due. Universal compaction counts as due
/// where there is nothing to pick, so what is only due is waited for 3 ms.
pub(super) fn wait_idle(store: &Store) {
    let running = [
        c"rocksdb.num-running-compactions",
        c"rocksdb.num-running-flushes",
        c"rocksdb.mem-table-flush-pending",
    ];
    let mut due = 0;
    loop {
        if running.iter().any(|name| property(store, name) > 0) {
            due = 0;
        } else if due == 6 || property(store, c"rocksdb.compaction-pending") == 0 {
            return;
        } else {
            due += 1;
        }
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
}

/// Frees what the library has handed over.
///
/// # Safety
/// The library made it, for the caller to free, and nothing uses it any more.
pub(super) unsafe fn free(pointer: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { rocksdb_free(pointer) }
}

/// Closes a database that nothing uses any more.
pub(super) fn close(store: &Store) {
    // SAFETY: open until here, and no session outlives it.
    unsafe { rocksdb_close(store.database) };
}

impl RocksDb {
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let options = plain_options(setup.cache_bytes, setup.write_buffer_bytes, LZ4);
        let synced = setup.guarantee == Guarantee::Synced;
        Ok(Self { store: open_store(&c_path(setup.path)?, options, synced)? })
    }
}

impl Engine for RocksDb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(&self.store))
    }

    fn settle(&self) -> Result<()> {
        // SAFETY: the database is open; the options are made here.
        checked(rocksdb_free, |error| unsafe {
            rocksdb_flush(self.store.database, rocksdb_flushoptions_create(), error);
        })?;
        wait_idle(&self.store);
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        let none = std::ptr::null();
        // SAFETY: the database is open; null stands for no bound.
        unsafe { rocksdb_compact_range(self.store.database, none, 0, none, 0) };
        Ok(true)
    }

    fn close(self: Box<Self>) -> Result<()> {
        close(&self.store);
        Ok(())
    }
}
