//! What the C faces of LevelDB and RocksDB have in common: the same calls under other names.
#![expect(unsafe_code, reason = "calls of a C library")]

use std::ffi::{CStr, CString, c_char, c_uchar, c_void};

use workloads::engine::{Batch, Each, Read};
use workloads::{Error, Result, Session};

/// An object of the library.
pub(super) type Handle = *mut c_void;

/// Where a call leaves its error: null, or a text to be freed.
pub(super) type ErrorText = *mut *mut c_char;

type Bytes = *const c_char;

/// The calls a session makes; each is the library's function of that name.
#[derive(Clone, Copy)]
pub(super) struct Calls {
    pub(super) put: unsafe extern "C" fn(Handle, Handle, Bytes, usize, Bytes, usize, ErrorText),
    pub(super) delete: unsafe extern "C" fn(Handle, Handle, Bytes, usize, ErrorText),
    pub(super) write: unsafe extern "C" fn(Handle, Handle, Handle, ErrorText),
    pub(super) batch_create: unsafe extern "C" fn() -> Handle,
    pub(super) batch_put: unsafe extern "C" fn(Handle, Bytes, usize, Bytes, usize),
    pub(super) batch_delete: unsafe extern "C" fn(Handle, Bytes, usize),
    pub(super) batch_destroy: unsafe extern "C" fn(Handle),
    /// Answers null if the key is absent; else an object for `value` and `release`.
    pub(super) get:
        unsafe extern "C" fn(Handle, Handle, Bytes, usize, *mut usize, ErrorText) -> *mut c_char,
    pub(super) iterate: unsafe extern "C" fn(Handle, Handle) -> Handle,
    pub(super) seek: unsafe extern "C" fn(Handle, Bytes, usize),
    pub(super) valid: unsafe extern "C" fn(Handle) -> c_uchar,
    pub(super) next: unsafe extern "C" fn(Handle),
    pub(super) key: unsafe extern "C" fn(Handle, *mut usize) -> Bytes,
    pub(super) value: unsafe extern "C" fn(Handle, *mut usize) -> Bytes,
    pub(super) iterator_error: unsafe extern "C" fn(Handle, ErrorText),
    pub(super) iterator_destroy: unsafe extern "C" fn(Handle),
    pub(super) free: unsafe extern "C" fn(*mut c_void),
}

/// An open database with its options for reads and writes.
///
/// Invariants: 1. all handles are live, and made by the library whose `calls` these are; 2. the
/// library lets any thread use them at once (both document that a database is safe to share).
pub(super) struct Store {
    pub(super) calls: Calls,
    pub(super) database: Handle,
    pub(super) reads: Handle,
    pub(super) writes: Handle,
}

// SAFETY: invariant 2.
unsafe impl Send for Store {}
// SAFETY: invariant 2.
unsafe impl Sync for Store {}

/// Runs a call that leaves an error.
pub(super) fn checked<T>(
    free: unsafe extern "C" fn(*mut c_void),
    call: impl FnOnce(ErrorText) -> T,
) -> Result<T> {
    let mut error: *mut c_char = std::ptr::null_mut();
    let answer = call(&raw mut error);
    if error.is_null() {
        return Ok(answer);
    }
    // SAFETY: the library leaves null or a text that ends with a zero byte, for us to free.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
    // SAFETY: as above, and nothing uses it any more.
    unsafe { free(error.cast()) };
    Err(Error::from(text))
}

/// A path as C wants it.
pub(super) fn c_path(path: &std::path::Path) -> Result<CString> {
    Ok(CString::new(path.to_string_lossy().into_owned())?)
}

/// The bytes a C call has lent.
///
/// # Safety
/// `data` is null or points to `len` bytes that stay as they are while the slice is used.
unsafe fn lent<'a>(data: Bytes, len: usize) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

impl Session for &Store {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
        // SAFETY: invariant 1; the slices live through the call.
        checked(self.calls.free, |error| unsafe {
            (self.calls.put)(self.database, self.writes, k, key.len(), v, value.len(), error);
        })
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        // SAFETY: invariant 1; the slice lives through the call.
        checked(self.calls.free, |error| unsafe {
            (self.calls.delete)(self.database, self.writes, key.as_ptr().cast(), key.len(), error);
        })
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        // SAFETY: invariant 1.
        let writes = unsafe { (self.calls.batch_create)() };
        for (key, value) in batch {
            let k = key.as_ptr().cast();
            // SAFETY: `writes` is live; the slices are copied.
            unsafe {
                match value {
                    Some(value) => {
                        let v = value.as_ptr().cast();
                        (self.calls.batch_put)(writes, k, key.len(), v, value.len());
                    }
                    None => (self.calls.batch_delete)(writes, k, key.len()),
                }
            }
        }
        // SAFETY: invariant 1, and `writes` is live.
        let written = checked(self.calls.free, |error| unsafe {
            (self.calls.write)(self.database, self.writes, writes, error);
        });
        // SAFETY: made above, used no more.
        unsafe { (self.calls.batch_destroy)(writes) };
        written
    }

    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool> {
        let mut len = 0;
        let k = key.as_ptr().cast();
        // SAFETY: invariant 1; the slice lives through the call.
        let found = checked(self.calls.free, |error| unsafe {
            (self.calls.get)(self.database, self.reads, k, key.len(), &raw mut len, error)
        })?;
        if found.is_null() {
            return Ok(false);
        }
        // SAFETY: the library hands over `len` bytes, for us to free.
        read(unsafe { lent(found, len) });
        // SAFETY: as above, and nothing uses them any more.
        unsafe { (self.calls.free)(found.cast()) };
        Ok(true)
    }

    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()> {
        // SAFETY: invariant 1.
        let entries = unsafe { (self.calls.iterate)(self.database, self.reads) };
        // SAFETY: `entries` is live; the slice lives through the call.
        unsafe { (self.calls.seek)(entries, from.as_ptr().cast(), from.len()) };
        // SAFETY: `entries` is live in all calls below, and on an entry where it is asked for one;
        // what it lends stays until `next`.
        unsafe {
            while (self.calls.valid)(entries) != 0 {
                let (mut key_len, mut value_len) = (0, 0);
                let key = (self.calls.key)(entries, &raw mut key_len);
                let value = (self.calls.value)(entries, &raw mut value_len);
                if !each(lent(key, key_len), lent(value, value_len)) {
                    break;
                }
                (self.calls.next)(entries);
            }
        }
        // SAFETY: `entries` is live.
        let end = checked(self.calls.free, |error| unsafe {
            (self.calls.iterator_error)(entries, error);
        });
        // SAFETY: made above, used no more.
        unsafe { (self.calls.iterator_destroy)(entries) };
        end
    }
}
