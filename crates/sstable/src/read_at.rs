//! Where the bytes of a table come from: reads at an offset, from several threads at once.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// A file that can be read at any offset through a shared reference.
pub trait ReadAt: Send + Sync + Debug {
    /// Fills `buf` with the bytes at `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before `buf` is full; else what the
    /// system says.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Returns the file's length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Returns whether the file holds no bytes.
    ///
    /// # Errors
    /// As [`ReadAt::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Returns the whole file as memory, if it is mapped: the same bytes at the same place for as
    /// long as `self` lives. Blocks that are stored plainly are then used without a copy.
    fn mapped(&self) -> Option<&[u8]> {
        None
    }
}

#[cfg(unix)]
impl ReadAt for File {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

#[cfg(windows)]
impl ReadAt for File {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buf = &mut buf[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start
            .and_then(|start| self.get(start..start.checked_add(buf.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.as_slice())
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Arc<R> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }

    fn mapped(&self) -> Option<&[u8]> {
        (**self).mapped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn check(file: &dyn ReadAt) {
        assert_eq!(file.len().unwrap(), 10);
        assert!(!file.is_empty().unwrap());
        for offset in 0..=10_usize {
            for bytes in 0..=10 - offset {
                let mut buf = vec![0xff; bytes];
                file.read_exact_at(&mut buf, offset as u64).unwrap();
                assert_eq!(buf, &b"0123456789"[offset..offset + bytes]);
            }
            let mut beyond = vec![0; 11 - offset];
            let error = file.read_exact_at(&mut beyond, offset as u64).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(file.read_exact_at(&mut [0], u64::MAX).is_err());
    }

    #[test]
    fn files_and_memory_answer_alike() {
        check(&b"0123456789".to_vec());
        check(&Arc::<[u8]>::from(&b"0123456789"[..]));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        #[cfg(unix)]
        assert!(ReadAt::read_exact_at(&file, &mut [0], 1 << 62).is_err());
        let mut whole = [0; 10];
        ReadAt::read_exact_at(&file, &mut whole, 0).unwrap();
        assert_eq!(&whole, b"0123456789");
        assert!(ReadAt::read_exact_at(&file, &mut whole, 1).is_err());
    }
}
