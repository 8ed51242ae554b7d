//! The few calls of RocksDB's C interface that write one table file, and read it as the only one
//! of a database.

#![allow(unsafe_code, reason = "foreign calls")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

unsafe extern "C" {
    fn rocksdb_options_create() -> *mut c_void;
    fn rocksdb_options_destroy(options: *mut c_void);
    fn rocksdb_options_set_compression(options: *mut c_void, codec: c_int);
    fn rocksdb_options_set_compression_options(
        options: *mut c_void,
        window_bits: c_int,
        level: c_int,
        strategy: c_int,
        dict_bytes_max: c_int,
    );
    fn rocksdb_options_set_compression_options_zstd_max_train_bytes(options: *mut c_void, n: c_int);
    fn rocksdb_options_set_block_based_table_factory(options: *mut c_void, table: *mut c_void);
    fn rocksdb_block_based_options_create() -> *mut c_void;
    fn rocksdb_block_based_options_destroy(table: *mut c_void);
    fn rocksdb_block_based_options_set_block_size(table: *mut c_void, bytes: usize);
    fn rocksdb_block_based_options_set_format_version(table: *mut c_void, version: c_int);
    fn rocksdb_block_based_options_set_filter_policy(table: *mut c_void, policy: *mut c_void);
    fn rocksdb_filterpolicy_create_bloom_full(bits_per_key: f64) -> *mut c_void;
    fn rocksdb_envoptions_create() -> *mut c_void;
    fn rocksdb_envoptions_destroy(env: *mut c_void);
    fn rocksdb_sstfilewriter_create(env: *const c_void, options: *const c_void) -> *mut c_void;
    fn rocksdb_sstfilewriter_destroy(writer: *mut c_void);
    fn rocksdb_sstfilewriter_open(w: *mut c_void, name: *const c_char, error: *mut *mut c_char);
    fn rocksdb_sstfilewriter_put(
        writer: *mut c_void,
        key: *const c_char,
        key_bytes: usize,
        value: *const c_char,
        value_bytes: usize,
        error: *mut *mut c_char,
    );
    fn rocksdb_sstfilewriter_finish(writer: *mut c_void, error: *mut *mut c_char);
    fn rocksdb_options_set_create_if_missing(options: *mut c_void, yes: u8);
    fn rocksdb_block_based_options_set_block_cache(table: *mut c_void, cache: *mut c_void);
    fn rocksdb_block_based_options_set_no_block_cache(table: *mut c_void, yes: u8);
    fn rocksdb_cache_create_lru(bytes: usize) -> *mut c_void;
    fn rocksdb_cache_destroy(cache: *mut c_void);
    fn rocksdb_open(
        options: *const c_void,
        name: *const c_char,
        error: *mut *mut c_char,
    ) -> *mut c_void;
    fn rocksdb_close(db: *mut c_void);
    fn rocksdb_ingestexternalfileoptions_create() -> *mut c_void;
    fn rocksdb_ingestexternalfileoptions_destroy(options: *mut c_void);
    fn rocksdb_ingest_external_file(
        db: *mut c_void,
        files: *const *const c_char,
        count: usize,
        options: *const c_void,
        error: *mut *mut c_char,
    );
    fn rocksdb_readoptions_create() -> *mut c_void;
    fn rocksdb_readoptions_destroy(options: *mut c_void);
    fn rocksdb_get_pinned(
        db: *mut c_void,
        options: *const c_void,
        key: *const c_char,
        key_bytes: usize,
        error: *mut *mut c_char,
    ) -> *mut c_void;
    fn rocksdb_pinnableslice_value(slice: *const c_void, bytes: *mut usize) -> *const c_char;
    fn rocksdb_pinnableslice_destroy(slice: *mut c_void);
    fn rocksdb_create_iterator(db: *mut c_void, options: *const c_void) -> *mut c_void;
    fn rocksdb_iter_destroy(iterator: *mut c_void);
    fn rocksdb_iter_seek_to_first(iterator: *mut c_void);
    fn rocksdb_iter_next(iterator: *mut c_void);
    fn rocksdb_iter_valid(iterator: *const c_void) -> u8;
    fn rocksdb_iter_key(iterator: *const c_void, bytes: *mut usize) -> *const c_char;
    fn rocksdb_iter_value(iterator: *const c_void, bytes: *mut usize) -> *const c_char;
}

/// RocksDB's numbers of codecs.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Compression {
    None = 0,
    Snappy = 1,
    Lz4 = 4,
    Zstd = 7,
}

/// Writes a table with a 10-bit Bloom filter and format version 5, the defaults otherwise; returns
/// the file's bytes. `dict_bytes` of 0 means no dictionary.
pub fn write(
    path: &Path,
    pairs: &[(Vec<u8>, Vec<u8>)],
    compression: Compression,
    block_bytes: usize,
    dict_bytes: c_int,
) -> u64 {
    // SAFETY: every pointer handed over comes from the library's own constructors just before and
    // is destroyed once, after its last use; slices outlive the calls, which copy them.
    unsafe {
        let options = rocksdb_options_create();
        rocksdb_options_set_compression(options, compression as c_int);
        // -14, level 32767 and strategy 0 are the library's defaults.
        rocksdb_options_set_compression_options(options, -14, 32_767, 0, dict_bytes);
        if dict_bytes > 0 {
            let train = dict_bytes * 100;
            rocksdb_options_set_compression_options_zstd_max_train_bytes(options, train);
        }
        let table = rocksdb_block_based_options_create();
        rocksdb_block_based_options_set_block_size(table, block_bytes);
        rocksdb_block_based_options_set_format_version(table, 5);
        let policy = rocksdb_filterpolicy_create_bloom_full(10.0);
        rocksdb_block_based_options_set_filter_policy(table, policy);
        rocksdb_options_set_block_based_table_factory(options, table);
        let env = rocksdb_envoptions_create();
        let writer = rocksdb_sstfilewriter_create(env, options);
        let name = CString::new(path.to_str().expect("a plain path")).expect("no NUL");
        let mut error = ptr::null_mut();
        rocksdb_sstfilewriter_open(writer, name.as_ptr(), &mut error);
        check(error);
        for (key, value) in pairs {
            let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
            rocksdb_sstfilewriter_put(writer, k, key.len(), v, value.len(), &mut error);
            check(error);
        }
        rocksdb_sstfilewriter_finish(writer, &mut error);
        check(error);
        rocksdb_sstfilewriter_destroy(writer);
        rocksdb_envoptions_destroy(env);
        rocksdb_block_based_options_destroy(table);
        rocksdb_options_destroy(options);
    }
    std::fs::metadata(path).expect("just written").len()
}

/// A database of one table, for reading. Its blocks are cached, or read from the file (that is,
/// from the system's cache) and decompressed each time.
pub struct Reader {
    db: *mut c_void,
    read: *mut c_void,
}

impl Reader {
    /// Makes a database of the table at `table` in the folder `dir`, which must not exist.
    /// `cache_bytes` of 0 means no block cache.
    pub fn new(dir: &Path, table: &Path, cache_bytes: usize) -> Self {
        let path =
            |path: &Path| CString::new(path.to_str().expect("a plain path")).expect("no NUL");
        let (dir, table) = (path(dir), path(table));
        let mut error = ptr::null_mut();
        // SAFETY: every pointer handed over comes from the library's own constructors just before
        // and is destroyed once, after its last use; the database keeps what it needs.
        unsafe {
            let options = rocksdb_options_create();
            rocksdb_options_set_create_if_missing(options, 1);
            rocksdb_options_set_compression(options, Compression::None as c_int);
            let blocks = rocksdb_block_based_options_create();
            let cache = rocksdb_cache_create_lru(cache_bytes.max(1));
            if cache_bytes > 0 {
                rocksdb_block_based_options_set_block_cache(blocks, cache);
            } else {
                rocksdb_block_based_options_set_no_block_cache(blocks, 1);
            }
            let policy = rocksdb_filterpolicy_create_bloom_full(10.0);
            rocksdb_block_based_options_set_filter_policy(blocks, policy);
            rocksdb_options_set_block_based_table_factory(options, blocks);
            let db = rocksdb_open(options, dir.as_ptr(), &mut error);
            check(error);
            let ingest = rocksdb_ingestexternalfileoptions_create();
            rocksdb_ingest_external_file(db, &table.as_ptr(), 1, ingest, &mut error);
            check(error);
            rocksdb_ingestexternalfileoptions_destroy(ingest);
            rocksdb_cache_destroy(cache);
            rocksdb_block_based_options_destroy(blocks);
            rocksdb_options_destroy(options);
            Self { db, read: rocksdb_readoptions_create() }
        }
    }

    /// Calls `take` with the value of `key`, where it lies; `None` if there is none.
    pub fn get<T>(&self, key: &[u8], take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut error = ptr::null_mut();
        // SAFETY: database and options live as long as `self`; the value lies where the library
        // says until the slice is destroyed, after its use.
        unsafe {
            let at = key.as_ptr().cast();
            let slice = rocksdb_get_pinned(self.db, self.read, at, key.len(), &mut error);
            check(error);
            if slice.is_null() {
                return None;
            }
            let mut bytes = 0;
            let value = rocksdb_pinnableslice_value(slice, &mut bytes);
            let taken = take(std::slice::from_raw_parts(value.cast(), bytes));
            rocksdb_pinnableslice_destroy(slice);
            Some(taken)
        }
    }

    /// Shows every record, in order.
    pub fn scan(&self, mut show: impl FnMut(&[u8], &[u8])) {
        // SAFETY: as above; key and value lie where the library says until the iterator moves.
        unsafe {
            let iterator = rocksdb_create_iterator(self.db, self.read);
            rocksdb_iter_seek_to_first(iterator);
            while rocksdb_iter_valid(iterator) != 0 {
                let (mut key_bytes, mut value_bytes) = (0, 0);
                let key = rocksdb_iter_key(iterator, &mut key_bytes);
                let value = rocksdb_iter_value(iterator, &mut value_bytes);
                show(
                    std::slice::from_raw_parts(key.cast(), key_bytes),
                    std::slice::from_raw_parts(value.cast(), value_bytes),
                );
                rocksdb_iter_next(iterator);
            }
            rocksdb_iter_destroy(iterator);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe {
            rocksdb_readoptions_destroy(self.read);
            rocksdb_close(self.db);
        }
    }
}

fn check(error: *mut c_char) {
    if !error.is_null() {
        // SAFETY: the library hands out a NUL-terminated message, which stays allocated.
        panic!("rocksdb: {}", unsafe { CStr::from_ptr(error) }.to_string_lossy());
    }
}
