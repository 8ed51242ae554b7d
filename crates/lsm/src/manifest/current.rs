//! `CURRENT`: which manifest is in use, and how much of it must be there.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::Fs;

/// More than any pointer file of ours has, in bytes.
const CURRENT_BYTES_MAX: usize = 256;

/// The path of the pointer file.
pub fn current_path(dir: &Path) -> PathBuf {
    dir.join("CURRENT")
}

/// What the file says.
pub(super) fn current_text(number: u64, bytes: u64) -> String {
    let text = format!("MANIFEST-{number:06}\nbytes {bytes}\n");
    let crc = crc32c::crc32c(text.as_bytes());
    format!("{text}crc32c {crc:08x}\n")
}

/// The number of the manifest in use, and how many bytes of it must be there.
pub(super) fn read_current(fs: &dyn Fs, dir: &Path) -> Result<(u64, u64)> {
    let path = current_path(dir);
    let file = match fs.open_read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NotADatabase {
                path: dir.to_path_buf(),
                why: "it has no CURRENT file".into(),
            });
        }
        file => file.map_err(|error| Error::io("open", &path, error))?,
    };
    let bytes = file.len().map_err(|error| Error::io("read", &path, error))?;
    let damaged = || Error::corruption(&path, 0, "the name of a manifest, its length, a CRC32C");
    let length = usize::try_from(bytes).ok().filter(|length| *length <= CURRENT_BYTES_MAX);
    let mut text = vec![0; length.ok_or_else(damaged)?];
    file.read_exact_at(&mut text, 0).map_err(|error| Error::io("read", &path, error))?;
    let parsed = std::str::from_utf8(&text).ok().and_then(|text| {
        let mut lines = text.lines();
        let number = lines.next()?.strip_prefix("MANIFEST-")?.parse().ok()?;
        let bytes = lines.next()?.strip_prefix("bytes ")?.parse().ok()?;
        // Checks the rest.
        (current_text(number, bytes) == text || cfg!(fuzzing)).then_some((number, bytes))
    });
    parsed.ok_or_else(damaged)
}
