//! Reads blocks of one table: bounds first, then bytes, then checksum, then codec.

use std::io;
use std::sync::Arc;

use crate::block::Form;
use crate::block::bytes::{Bytes, Fresh};
use crate::block::mixed::set_apart;
use crate::codec::{self, Codec, Packed, ReadDictionary};
use crate::error::{Error, Result};
use crate::format::{self, BlockKind, Fault, HEADER_BYTES, Handle, Header, Place};
use crate::read_at::ReadAt;

/// The file behind a table, with what every message and checksum needs.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) file: Arc<dyn ReadAt>,
    pub(crate) name: Arc<str>,
    pub(crate) table_id: u64,
    /// Blocks end here: the footer's first byte.
    pub(crate) blocks_end: u64,
    /// What blocks of the codec `Dictionary` were compressed with.
    pub(crate) dictionary: Option<Arc<ReadDictionary>>,
}

/// A block that passed its checks: what the header says and the body, decompressed.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) header: Header,
    pub(crate) bytes: Bytes,
}

impl Source {
    pub(crate) fn io_error(&self, offset: u64, source: io::Error) -> Error {
        Error::Io { file: Arc::clone(&self.name), offset, source }
    }

    pub(crate) fn damaged(&self, offset: u64, expected: impl Into<String>) -> Error {
        Error::Corruption { file: Arc::clone(&self.name), offset, expected: expected.into() }
    }

    pub(crate) fn fault(&self, offset: u64, fault: Fault) -> Error {
        match fault {
            Fault::Damaged(expected) => self.damaged(offset, expected),
            Fault::Unsupported(what) => Error::Unsupported { file: Arc::clone(&self.name), what },
            Fault::UnsupportedCodec(codec) => {
                Error::UnsupportedCodec { file: Some(Arc::clone(&self.name)), codec }
            }
        }
    }

    /// Refuses a handle that does not lie among the blocks.
    pub(crate) fn check_bounds(&self, handle: Handle) -> Result<()> {
        let end = handle.offset.checked_add(handle.bytes);
        if handle.bytes < HEADER_BYTES as u64 || end.is_none_or(|end| end > self.blocks_end) {
            return Err(self.damaged(handle.offset, "a block that lies within the file"));
        }
        Ok(())
    }

    /// Reads a run of bytes that was checked to lie within the file.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                return self.damaged(offset, "a file as long as its footer says");
            }
            self.io_error(offset, source)
        })
    }

    /// Reads the dictionary that blocks were compressed with.
    pub(crate) fn load_dictionary(&mut self, handle: Handle) -> Result<()> {
        let body = self.block(handle, BlockKind::Dictionary)?;
        let dictionary = ReadDictionary::new(&body.bytes);
        let dictionary = dictionary.map_err(|fault| self.fault(handle.offset, fault))?;
        self.dictionary = Some(Arc::new(dictionary));
        Ok(())
    }

    /// Reads and checks a block.
    pub(crate) fn block(&self, handle: Handle, kind: BlockKind) -> Result<Body> {
        self.check_bounds(handle)?;
        if let Some(body) = self.mapped_block(handle, kind) {
            return body;
        }
        let bytes = usize::try_from(handle.bytes)
            .map_err(|_too_large| self.damaged(handle.offset, "a block that fits in memory"))?;
        let mut raw = Fresh::new(bytes);
        self.read(handle.offset, raw.own())?;
        let raw = raw.filled();
        let header = self.check(&raw, handle, kind)?;
        if header.codec == Codec::None {
            return Ok(Body { header, bytes: raw.behind(HEADER_BYTES) });
        }
        self.decompress(header, &raw, handle)
    }

    /// A block of a mapped file: used in place if it is stored plainly.
    fn mapped_block(&self, handle: Handle, kind: BlockKind) -> Option<Result<Body>> {
        let start = usize::try_from(handle.offset).ok()?;
        let end = start.checked_add(usize::try_from(handle.bytes).ok()?)?;
        let raw = self.file.mapped()?.get(start..end)?;
        Some(self.check(raw, handle, kind).and_then(|header| {
            if header.codec == Codec::None {
                let bytes = Bytes::mapped(Arc::clone(&self.file), start + HEADER_BYTES, end);
                return Ok(Body { header, bytes });
            }
            self.decompress(header, raw, handle)
        }))
    }

    /// Checks a block whose bytes (header, then body) are at hand.
    pub(crate) fn block_from(&self, raw: &[u8], handle: Handle, kind: BlockKind) -> Result<Body> {
        let header = self.check(raw, handle, kind)?;
        self.decompress(header, raw, handle)
    }

    fn check(&self, raw: &[u8], handle: Handle, kind: BlockKind) -> Result<Header> {
        let place = Place { table_id: self.table_id, offset: handle.offset };
        let header = format::check(raw, place).map_err(|fault| self.fault(handle.offset, fault))?;
        if header.kind != kind {
            let expected = format!("a {}, not a {}", kind.name(), header.kind.name());
            return Err(self.damaged(handle.offset, expected));
        }
        Ok(header)
    }

    fn decompress(&self, header: Header, raw: &[u8], handle: Handle) -> Result<Body> {
        let data = raw.get(HEADER_BYTES..).unwrap_or_default();
        // Plain blocks may be larger than the header can tell; others may not.
        let original_size = match header.codec {
            Codec::None => data.len(),
            _ => header.original_size as usize,
        };
        let bytes = codec::decompress(Packed {
            codec: header.codec,
            data,
            entries: usize::from(header.entry_count),
            original_size,
            dictionary: self.dictionary.as_deref(),
        })
        .and_then(|bytes| match header.form {
            Form::Apart => Ok(bytes),
            Form::Mixed => set_apart(&bytes, usize::from(header.entry_count)),
        })
        .map_err(|fault| self.fault(handle.offset, fault))?;
        Ok(Body { header, bytes })
    }
}
