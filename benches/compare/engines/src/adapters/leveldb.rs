//! LevelDB, the system's library, through its C face.
#![expect(unsafe_code, reason = "calls of a C library")]

use std::ffi::{c_char, c_int, c_uchar, c_void};

use workloads::{Engine, Guarantee, Result, Session, Setup};

use super::c_api::{Calls, ErrorText, Handle, Store, c_path, checked};
use super::{Entry, Kind};

pub(super) const ENTRY: Entry = Entry {
    name: "leveldb",
    kind: Kind::Lsm,
    note: "snappy; write() of the log a put; synced: its sync option",
    open: |setup| Ok(Box::new(LevelDb::open(setup)?)),
};

unsafe extern "C" {
    fn leveldb_open(options: Handle, path: *const c_char, error: ErrorText) -> Handle;
    fn leveldb_close(database: Handle);
    fn leveldb_compact_range(
        database: Handle,
        from: *const c_char,
        from_len: usize,
        to: *const c_char,
        to_len: usize,
    );
    fn leveldb_options_create() -> Handle;
    fn leveldb_options_set_create_if_missing(options: Handle, yes: c_uchar);
    fn leveldb_options_set_write_buffer_size(options: Handle, bytes: usize);
    fn leveldb_options_set_cache(options: Handle, cache: Handle);
    fn leveldb_options_set_filter_policy(options: Handle, policy: Handle);
    fn leveldb_cache_create_lru(bytes: usize) -> Handle;
    fn leveldb_filterpolicy_create_bloom(bits: c_int) -> Handle;
    fn leveldb_readoptions_create() -> Handle;
    fn leveldb_writeoptions_create() -> Handle;
    fn leveldb_writeoptions_set_sync(options: Handle, yes: c_uchar);
    fn leveldb_put(
        database: Handle,
        options: Handle,
        key: *const c_char,
        key_len: usize,
        value: *const c_char,
        value_len: usize,
        error: ErrorText,
    );
    fn leveldb_delete(
        database: Handle,
        options: Handle,
        key: *const c_char,
        key_len: usize,
        error: ErrorText,
    );
    fn leveldb_write(database: Handle, options: Handle, batch: Handle, error: ErrorText);
    fn leveldb_get(
        database: Handle,
        options: Handle,
        key: *const c_char,
        key_len: usize,
        value_len: *mut usize,
        error: ErrorText,
    ) -> *mut c_char;
    fn leveldb_writebatch_create() -> Handle;
    fn leveldb_writebatch_put(
        batch: Handle,
        key: *const c_char,
        key_len: usize,
        value: *const c_char,
        value_len: usize,
    );
    fn leveldb_writebatch_delete(batch: Handle, key: *const c_char, key_len: usize);
    fn leveldb_writebatch_destroy(batch: Handle);
    fn leveldb_create_iterator(database: Handle, options: Handle) -> Handle;
    fn leveldb_iter_seek(iterator: Handle, key: *const c_char, key_len: usize);
    fn leveldb_iter_valid(iterator: Handle) -> c_uchar;
    fn leveldb_iter_next(iterator: Handle);
    fn leveldb_iter_key(iterator: Handle, len: *mut usize) -> *const c_char;
    fn leveldb_iter_value(iterator: Handle, len: *mut usize) -> *const c_char;
    fn leveldb_iter_get_error(iterator: Handle, error: ErrorText);
    fn leveldb_iter_destroy(iterator: Handle);
    fn leveldb_free(pointer: *mut c_void);
}

const CALLS: Calls = Calls {
    put: leveldb_put,
    delete: leveldb_delete,
    write: leveldb_write,
    batch_create: leveldb_writebatch_create,
    batch_put: leveldb_writebatch_put,
    batch_delete: leveldb_writebatch_delete,
    batch_destroy: leveldb_writebatch_destroy,
    get: leveldb_get,
    iterate: leveldb_create_iterator,
    seek: leveldb_iter_seek,
    valid: leveldb_iter_valid,
    next: leveldb_iter_next,
    key: leveldb_iter_key,
    value: leveldb_iter_value,
    iterator_error: leveldb_iter_get_error,
    iterator_destroy: leveldb_iter_destroy,
    free: leveldb_free,
};

struct LevelDb {
    store: Store,
}

impl LevelDb {
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let path = c_path(setup.path)?;
        // SAFETY: every handle is made just before it is used; the options live as long as the
        // process, as the library wants of the cache and the filter.
        unsafe {
            let options = leveldb_options_create();
            leveldb_options_set_create_if_missing(options, 1);
            leveldb_options_set_write_buffer_size(options, setup.write_buffer_bytes);
            leveldb_options_set_cache(options, leveldb_cache_create_lru(setup.cache_bytes));
            leveldb_options_set_filter_policy(options, leveldb_filterpolicy_create_bloom(10));
            let database =
                checked(leveldb_free, |error| leveldb_open(options, path.as_ptr(), error))?;
            let (reads, writes) = (leveldb_readoptions_create(), leveldb_writeoptions_create());
            let synced = setup.guarantee == Guarantee::Synced;
            leveldb_writeoptions_set_sync(writes, u8::from(synced));
            Ok(Self { store: Store { calls: CALLS, database, reads, writes } })
        }
    }
}

impl Engine for LevelDb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(&self.store))
    }

    /// It has no call to wait for its compactions; they rest when the folder no longer changes.
    fn settle(&self) -> Result<()> {
        std::thread::sleep(std::time::Duration::from_secs(2));
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        let none = std::ptr::null();
        // SAFETY: the database is open; null stands for no bound.
        unsafe { leveldb_compact_range(self.store.database, none, 0, none, 0) };
        Ok(true)
    }

    fn close(self: Box<Self>) -> Result<()> {
        // SAFETY: open until here, and no session outlives `self`.
        unsafe { leveldb_close(self.store.database) };
        Ok(())
    }
}
