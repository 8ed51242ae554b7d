//! WiredTiger, the system's library: a B-tree with a log. Buffered: its log is written, not synced,
//! at each commit; synced: its `fsync` method. A session and a cursor a thread.
#![expect(unsafe_code, reason = "calls of a C library")]

use std::ffi::{CString, c_char, c_int, c_void};

use workloads::engine::{Batch, Each, Read};
use workloads::{Engine, Guarantee, Result, Session, Setup};

use super::{Entry, Kind};

pub(super) const ENTRY: Entry = Entry {
    name: "WiredTiger",
    kind: Kind::Tree,
    note: "snappy; B-tree; the log written, not synced, at each commit; synced: fsync",
    open: |setup| Ok(Box::new(WiredTiger::open(setup)?)),
};

type Bytes = *const c_void;

unsafe extern "C" {
    fn calls_open(
        path: *const c_char,
        config: *const c_char,
        connection: *mut *mut c_void,
    ) -> c_int;
    fn calls_close(connection: *mut c_void) -> c_int;
    fn calls_session_open(connection: *mut c_void, session: *mut *mut c_void) -> c_int;
    fn calls_session_close(session: *mut c_void);
    fn calls_put(
        session: *mut c_void,
        key: Bytes,
        key_len: usize,
        value: Bytes,
        len: usize,
    ) -> c_int;
    fn calls_delete(session: *mut c_void, key: Bytes, key_len: usize) -> c_int;
    fn calls_begin(session: *mut c_void) -> c_int;
    fn calls_commit(session: *mut c_void) -> c_int;
    fn calls_find(session: *mut c_void, key: Bytes, key_len: usize) -> c_int;
    fn calls_seek(session: *mut c_void, key: Bytes, key_len: usize) -> c_int;
    fn calls_next(session: *mut c_void) -> c_int;
    fn calls_entry(
        session: *mut c_void,
        key: *mut Bytes,
        key_len: *mut usize,
        value: *mut Bytes,
        len: *mut usize,
    ) -> c_int;
    fn calls_reset(session: *mut c_void) -> c_int;
    fn calls_checkpoint(session: *mut c_void) -> c_int;
    fn calls_compact(session: *mut c_void) -> c_int;
}

/// Invariant: `connection` is open, and may be shared between threads (its documentation says so).
struct WiredTiger {
    connection: *mut c_void,
}

// SAFETY: the invariant.
unsafe impl Send for WiredTiger {}
// SAFETY: the invariant.
unsafe impl Sync for WiredTiger {}

fn done(answer: c_int) -> Result<()> {
    if answer == 0 { Ok(()) } else { Err(format!("WiredTiger answers {answer}").into()) }
}

/// Of a call that answers 1 on an entry and 0 beyond the last.
fn found(answer: c_int) -> Result<bool> {
    if answer < 0 { Err("WiredTiger cannot search".into()) } else { Ok(answer == 1) }
}

impl WiredTiger {
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let sync = match setup.guarantee {
            Guarantee::Buffered => "enabled=false",
            Guarantee::Synced => "enabled=true,method=fsync",
        };
        // Its cache holds writes and pages alike.
        let cache = setup.cache_bytes + setup.write_buffer_bytes;
        let config = CString::new(format!(
            "create,cache_size={cache},log=(enabled=true,file_max=64MB),\
             transaction_sync=({sync}),checkpoint=(wait=30),\
             extensions=[libwiredtiger_snappy.so]"
        ))?;
        let mut connection = std::ptr::null_mut();
        let path = CString::new(setup.path.to_string_lossy().into_owned())?;
        // SAFETY: both texts end with a zero byte; the pointer receives the connection.
        done(unsafe { calls_open(path.as_ptr(), config.as_ptr(), &raw mut connection) })?;
        Ok(Self { connection })
    }

    fn session(&self) -> Result<WiredTigerSession<'_>> {
        let mut session = std::ptr::null_mut();
        // SAFETY: the invariant; the pointer receives the session.
        done(unsafe { calls_session_open(self.connection, &raw mut session) })?;
        Ok(WiredTigerSession { session, _of: std::marker::PhantomData })
    }
}

impl Engine for WiredTiger {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self.session()?))
    }

    fn settle(&self) -> Result<()> {
        // SAFETY: the session is open.
        done(unsafe { calls_checkpoint(self.session()?.session) })
    }

    fn compact(&self) -> Result<bool> {
        // SAFETY: the session is open.
        done(unsafe { calls_compact(self.session()?.session) })?;
        self.settle()?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Result<()> {
        // SAFETY: open until here, and no session outlives `self`.
        done(unsafe { calls_close(self.connection) })
    }
}

/// Invariant: `session` is open until the drop, and used by one thread (it is not `Send`).
struct WiredTigerSession<'a> {
    session: *mut c_void,
    _of: std::marker::PhantomData<&'a WiredTiger>,
}

impl Drop for WiredTigerSession<'_> {
    fn drop(&mut self) {
        // SAFETY: the invariant.
        unsafe { calls_session_close(self.session) };
    }
}

impl WiredTigerSession<'_> {
    /// Key and value under the cursor, until it moves.
    fn entry(&self) -> Result<(&[u8], &[u8])> {
        let (mut key, mut value) = (std::ptr::null(), std::ptr::null());
        let (mut key_len, mut len) = (0, 0);
        // SAFETY: the cursor is on an entry; the pointers receive it.
        done(unsafe {
            calls_entry(self.session, &raw mut key, &raw mut key_len, &raw mut value, &raw mut len)
        })?;
        // SAFETY: the library lends both until the cursor moves, which the borrow of `self` ends.
        Ok(unsafe {
            let key = std::slice::from_raw_parts(key.cast(), key_len);
            (key, std::slice::from_raw_parts(value.cast(), len))
        })
    }
}

impl Session for WiredTigerSession<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
        // SAFETY: the invariant; the slices live through the call.
        done(unsafe { calls_put(self.session, k, key.len(), v, value.len()) })
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        // SAFETY: the invariant; the slice lives through the call.
        done(unsafe { calls_delete(self.session, key.as_ptr().cast(), key.len()) })
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        // SAFETY: the invariant.
        done(unsafe { calls_begin(self.session) })?;
        for (key, value) in batch {
            match value {
                Some(value) => self.put(key, value)?,
                None => self.delete(key)?,
            }
        }
        // SAFETY: the invariant.
        done(unsafe { calls_commit(self.session) })
    }

    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool> {
        // SAFETY: the invariant; the slice lives through the call.
        let there = found(unsafe { calls_find(self.session, key.as_ptr().cast(), key.len()) })?;
        if there {
            read(self.entry()?.1);
        }
        // SAFETY: the invariant.
        done(unsafe { calls_reset(self.session) })?;
        Ok(there)
    }

    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()> {
        // SAFETY: the invariant; the slice lives through the call.
        let mut on = found(unsafe { calls_seek(self.session, from.as_ptr().cast(), from.len()) })?;
        while on {
            let (key, value) = self.entry()?;
            if !each(key, value) {
                break;
            }
            // SAFETY: the invariant.
            on = found(unsafe { calls_next(self.session) })?;
        }
        // SAFETY: the invariant.
        done(unsafe { calls_reset(self.session) })
    }
}
