//! Positioned reads: all that a table needs of a file.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Something that can be read at any place, by several threads at once.
pub trait ReadAt: Send + Sync + Debug {
    /// Fills `buf` with the bytes at `offset`.
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if they do not all exist; whatever the medium answers.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Length in bytes.
    /// # Errors
    /// Whatever the medium answers.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are no bytes.
    /// # Errors
    /// Whatever the medium answers.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl ReadAt for File {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Copies from a slice as a file would be read.
fn read_slice(bytes: &[u8], buf: &mut [u8], offset: u64) -> io::Result<()> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(buf.len());
    let found = bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
    buf.copy_from_slice(found);
    Ok(())
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        read_slice(self, buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }
}

impl ReadAt for Arc<[u8]> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        read_slice(self, buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.as_ref().len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_answer_like_files() {
        let mut file = tempfile();
        std::io::Write::write_all(&mut file, b"0123456789").unwrap();
        let sources: [&dyn ReadAt; 3] =
            [&file, &b"0123456789".to_vec(), &Arc::<[u8]>::from(*b"0123456789")];
        for source in sources {
            assert_eq!(source.len().unwrap(), 10);
            assert!(!source.is_empty().unwrap());
            for place in (0..12_usize).flat_map(|start| (1..12).map(move |n| (start, start + n))) {
                let mut buf = vec![0; place.1 - place.0];
                let read = source.read_exact_at(&mut buf, place.0 as u64).map_err(|e| e.kind());
                let expected = b"0123456789".get(place.0..place.1);
                assert_eq!(read.map(|()| &*buf), expected.ok_or(io::ErrorKind::UnexpectedEof));
            }
        }
    }

    fn tempfile() -> File {
        let path = std::env::temp_dir().join(format!("read_at-{}", std::process::id()));
        let options = File::options().read(true).write(true).create(true).truncate(true).clone();
        let file = options.open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }
}
