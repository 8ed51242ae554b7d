//! The few calls of RocksDB's C interface that write one table file.

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

fn check(error: *mut c_char) {
    if !error.is_null() {
        // SAFETY: the library hands out a NUL-terminated message, which stays allocated.
        panic!("rocksdb: {}", unsafe { CStr::from_ptr(error) }.to_string_lossy());
    }
}
