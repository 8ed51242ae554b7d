//! Where blocks go: seals each one with its place and writes it.

use std::io::{self, Write};
use std::sync::Arc;

use crate::block::Form;
use crate::codec::Codec;
use crate::crc;
use crate::error::{Error, Result};
use crate::format::{BlockKind, Footer, HEADER_BYTES, Handle, Header, Place};

/// A block's body as it is to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) kind: BlockKind,
    pub(crate) form: Form,
    pub(crate) codec: Codec,
    pub(crate) entries: u16,
    pub(crate) original_bytes: usize,
    pub(crate) body: &'a [u8],
}

/// Appends blocks to a sink, end to end.
#[derive(Debug)]
pub(crate) struct BlockSink<W> {
    sink: W,
    name: Arc<str>,
    table_id: u64,
    offset: u64,
    /// The highest of the blocks so far.
    version: u8,
    blocks: u32,
    /// CRC32C of the checksums of all blocks so far.
    chain: u32,
}

impl<W: Write> BlockSink<W> {
    pub(crate) fn new(sink: W, name: &str, table_id: u64) -> Self {
        Self { sink, name: name.into(), table_id, offset: 0, version: 1, blocks: 0, chain: 0 }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    fn io_error(&self, source: io::Error) -> Error {
        Error::Io { file: Arc::clone(&self.name), offset: self.offset, source }
    }

    /// The footer counts blocks in 32 bits.
    fn full(&self) -> Error {
        Error::TableFull { file: Arc::clone(&self.name), blocks: self.blocks }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes).map_err(|source| self.io_error(source))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Writes a block and returns where it lies.
    pub(crate) fn put(&mut self, block: Stored<'_>) -> Result<Handle> {
        // Sizes are modulo 2^32: a block of more holds one plain value, and the index knows.
        let low = |bytes: usize| (bytes as u64 & 0xffff_ffff) as u32;
        let header = Header {
            form: block.form,
            codec: block.codec,
            kind: block.kind,
            entry_count: block.entries,
            data_size: low(block.body.len()),
            original_size: low(block.original_bytes),
            crc: 0,
        };
        let blocks = self.blocks.checked_add(1).ok_or_else(|| self.full())?;
        let offset = self.offset;
        let sealed = header.seal(block.body, Place { table_id: self.table_id, offset });
        self.chain = crc::append(self.chain, &sealed[HEADER_BYTES - 4..]);
        self.version = self.version.max(block.form.version());
        self.blocks = blocks;
        self.write(&sealed)?;
        self.write(block.body)?;
        Ok(Handle { offset, bytes: self.offset - offset })
    }

    /// Writes a block whose body is stored as it is.
    pub(crate) fn put_plain(&mut self, kind: BlockKind, body: &[u8]) -> Result<Handle> {
        let original_bytes = body.len();
        let (form, codec) = (Form::Apart, Codec::None);
        self.put(Stored { kind, form, codec, entries: 0, original_bytes, body })
    }

    /// Writes the footer, flushes, and gives back the length of the file and the sink.
    pub(crate) fn finish(mut self, directory: Handle) -> Result<(u64, W)> {
        let file_bytes = self.offset + crate::format::FOOTER_BYTES as u64;
        let footer = Footer {
            version: self.version,
            table_id: self.table_id,
            file_bytes,
            directory,
            blocks: self.blocks,
            chain: self.chain,
        };
        self.write(&footer.encode())?;
        self.sink.flush().map_err(|source| self.io_error(source))?;
        Ok((file_bytes, self.sink))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_blocks_than_a_footer_can_count_are_refused() {
        let mut sink = BlockSink::new(Vec::new(), "big.sst", 1);
        sink.blocks = u32::MAX - 1;
        sink.put_plain(BlockKind::Filter, b"the last").unwrap();
        let (offset, chain) = (sink.offset, sink.chain);
        let error = sink.put_plain(BlockKind::Filter, b"one more").unwrap_err();
        assert!(matches!(error, Error::TableFull { blocks: u32::MAX, .. }), "{error}");
        assert!(error.to_string().contains("big.sst"), "{error}");
        assert_eq!((sink.offset, sink.chain), (offset, chain), "nothing was written");
    }
}
