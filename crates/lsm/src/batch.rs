//! [`WriteBatch`]: several writes that become visible and durable together, or not at all.
//!
//! A batch is kept in the form in which the log stores it, so that committing it copies its bytes
//! once:
//!
//! ```text
//! batch := count: u32 little-endian | operation * count
//! operation := kind: u8 | family: varint | key_len: varint | key | [value_len: varint | value]
//! ```
//!
//! Only a put carries a value, and a range delete, whose key is the start of the range and whose
//! value is its end. Operations take consecutive sequence numbers, in order: a later one wins.

use sstable::{KEY_BYTES_MAX, Kind, VALUE_BYTES_MAX, varint};

use crate::error::{Error, Result};
use crate::family::{DEFAULT_FAMILY, Family};

/// Bytes before the first operation.
const COUNT_BYTES: usize = 4;

/// Bytes of a batch in the log at most: a record's length is a `u32`.
const PAYLOAD_BYTES_MAX: u64 = u32::MAX as u64;

/// Bytes of a batch in a memtable at most, what its entries take beyond keys and values included:
/// so much fits in whatever chunks a memtable has its memory (see `fastskip::Options`), here and
/// in the recovery of a database that is opened with a small write buffer.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// Writes that are applied atomically, in order.
///
/// ```
/// let mut batch = lsm::WriteBatch::new();
/// batch.put(b"k", b"v").delete(b"old");
/// assert_eq!(batch.len(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    count: u32,
    /// The families it writes to, each once.
    families: Vec<u32>,
    /// The opening that the families' handles are of; 0 without handles.
    opening: u64,
    refused: Option<Error>,
}

impl Default for WriteBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        let bytes = vec![0; COUNT_BYTES];
        Self { bytes, count: 0, families: Vec::new(), opening: 0, refused: None }
    }

    /// Sets `key` to `value`.
    ///
    /// A key over 65,535 bytes, a value over 4 GiB - 1, or a batch that is too large as a whole
    /// makes all of it fail when it is written, with [`Error::TooLong`]: see [`Db::write`].
    ///
    /// [`Db::write`]: crate::Db::write
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.push(DEFAULT_FAMILY, Kind::Put, key.as_ref(), value.as_ref())
    }

    /// Deletes every key from `start` on, before `end`; nothing if the range is empty.
    pub fn delete_range(&mut self, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> &mut Self {
        self.push_range(DEFAULT_FAMILY, start.as_ref(), end.as_ref())
    }

    /// Deletes a range of keys in a family.
    pub fn delete_range_in(
        &mut self,
        family: &Family,
        start: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.enter(family).push_range(family.id(), start.as_ref(), end.as_ref())
    }

    /// Sets `key` to `value` in a family.
    ///
    /// A handle that is not of the open database which the batch is written to makes the whole
    /// batch fail, with [`Error::ForeignFamily`].
    pub fn put_in(
        &mut self,
        family: &Family,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.enter(family).push(family.id(), Kind::Put, key.as_ref(), value.as_ref())
    }

    /// Deletes `key` in a family.
    pub fn delete_in(&mut self, family: &Family, key: impl AsRef<[u8]>) -> &mut Self {
        self.enter(family).push(family.id(), Kind::Delete, key.as_ref(), &[])
    }

    /// Deletes `key`, whether it is there or not.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.push(DEFAULT_FAMILY, Kind::Delete, key.as_ref(), &[])
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether the batch holds no operation.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the batch takes in the log, without the record's header.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(COUNT_BYTES, 0);
        self.count = 0;
        self.families.clear();
        self.opening = 0;
        self.refused = None;
    }

    /// Takes note of a handle: all must be of one open database.
    fn enter(&mut self, family: &Family) -> &mut Self {
        let opening = family.inner().opening;
        if self.opening == 0 {
            self.opening = opening;
        } else if self.opening != opening {
            self.refused
                .get_or_insert_with(|| Error::ForeignFamily { name: family.name().to_owned() });
        }
        self
    }

    fn push_range(&mut self, family: u32, start: &[u8], end: &[u8]) -> &mut Self {
        if let Err(error) = check_lengths(end, &[]) {
            self.refused.get_or_insert(error);
        }
        if start < end { self.push(family, Kind::RangeDelete, start, end) } else { self }
    }

    fn push(&mut self, family: u32, kind: Kind, key: &[u8], value: &[u8]) -> &mut Self {
        if let Err(error) = check_lengths(key, value) {
            self.refused.get_or_insert(error);
            return self;
        }
        if self.count == u32::MAX {
            self.refused.get_or_insert(Error::TooLong {
                what: "batch",
                bytes: self.bytes.len() as u64,
                limit: u64::from(u32::MAX),
            });
            return self;
        }
        encode_operation(&mut self.bytes, family, kind, (key, value));
        if self.families.last() != Some(&family) && !self.families.contains(&family) {
            self.families.push(family);
        }
        self.count += 1;
        self
    }

    /// The batch as the log stores it, for the database of this opening.
    pub(crate) fn payload_for(&mut self, opening: u64) -> Result<Payload<'_>> {
        if self.opening != 0 && self.opening != opening {
            let id = self.families.iter().find(|id| **id != DEFAULT_FAMILY);
            let name = format!("number {}", id.unwrap_or(&DEFAULT_FAMILY));
            self.refused.get_or_insert(Error::ForeignFamily { name });
        }
        self.payload()
    }

    /// The batch as the log stores it.
    pub(crate) fn payload(&mut self) -> Result<Payload<'_>> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        if let Some(head) = self.bytes.first_chunk_mut() {
            *head = self.count.to_le_bytes();
        }
        Ok(Payload { bytes: &self.bytes, count: self.count, families: &self.families })
    }
}

/// A batch in the log's form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload<'a> {
    pub(crate) bytes: &'a [u8],
    /// Number of operations.
    pub(crate) count: u32,
    /// The families it writes to, each once.
    pub(crate) families: &'a [u32],
}

/// Encodes a batch of one operation into `buffer`, replacing what it held.
pub(crate) fn encode_single(
    buffer: &mut Vec<u8>,
    family: u32,
    kind: Kind,
    (key, value): (&[u8], &[u8]),
) -> Result<()> {
    check_lengths(key, value)?;
    buffer.clear();
    buffer.extend_from_slice(&1u32.to_le_bytes());
    encode_operation(buffer, family, kind, (key, value));
    Ok(())
}

/// Refuses a batch that has `payload_bytes` in the log and takes `memory_bytes` of a memtable, if
/// either is too much: before it has a place in the order, so that it fails alone.
pub(crate) fn check_size(payload_bytes: u64, memory_bytes: u64) -> Result<()> {
    for (what, bytes, limit) in [
        ("batch", payload_bytes, PAYLOAD_BYTES_MAX),
        ("batch in memory", memory_bytes, MEMORY_BYTES_MAX),
    ] {
        if bytes > limit {
            return Err(Error::TooLong { what, bytes, limit });
        }
    }
    Ok(())
}

fn check_lengths(key: &[u8], value: &[u8]) -> Result<()> {
    for (what, bytes, limit) in
        [("key", key.len(), KEY_BYTES_MAX as u64), ("value", value.len(), VALUE_BYTES_MAX)]
    {
        if bytes as u64 > limit {
            return Err(Error::TooLong { what, bytes: bytes as u64, limit });
        }
    }
    Ok(())
}

fn encode_operation(buffer: &mut Vec<u8>, family: u32, kind: Kind, (key, value): (&[u8], &[u8])) {
    buffer.reserve(key.len() + value.len() + 16);
    buffer.push(kind as u8);
    varint::put(buffer, u64::from(family));
    varint::put_bytes(buffer, key);
    if kind != Kind::Delete {
        varint::put_bytes(buffer, value);
    }
}

/// One operation of a decoded batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation<'a> {
    pub(crate) family: u32,
    pub(crate) kind: Kind,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Reads the operations of a batch in the log's form. Total: bad bytes give `Err` with what was
/// expected, and nothing after.
#[derive(Debug)]
pub(crate) struct Operations<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Operations<'a> {
    /// Starts reading `payload`.
    pub(crate) fn new(payload: &'a [u8]) -> std::result::Result<Self, &'static str> {
        let (head, rest) =
            payload.split_first_chunk::<COUNT_BYTES>().ok_or("a batch's operation count")?;
        Ok(Self { rest, left: u32::from_le_bytes(*head) })
    }

    /// Operations not read yet.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// The bytes of the operations not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn read(&mut self) -> std::result::Result<Operation<'a>, &'static str> {
        let (&kind, mut rest) = self.rest.split_first().ok_or("an operation")?;
        let kind = match kind {
            k if k == Kind::Put as u8 => Kind::Put,
            k if k == Kind::Delete as u8 => Kind::Delete,
            k if k == Kind::RangeDelete as u8 => Kind::RangeDelete,
            _ => return Err("a put, a delete or a range delete"),
        };
        let family = varint::take(&mut rest).and_then(|number| u32::try_from(number).ok());
        let family = family.ok_or("a family number")?;
        let bytes = |rest: &mut &'a [u8], limit: u64| {
            varint::take_bytes(rest).filter(|bytes| bytes.len() as u64 <= limit)
        };
        let key = bytes(&mut rest, KEY_BYTES_MAX as u64).ok_or("a key")?;
        let value = match kind {
            Kind::Put => bytes(&mut rest, VALUE_BYTES_MAX).ok_or("a value")?,
            Kind::RangeDelete => bytes(&mut rest, KEY_BYTES_MAX as u64)
                .filter(|end| key < *end)
                .ok_or("the end of a range, behind its start")?,
            _ => &[],
        };
        self.rest = rest;
        Ok(Operation { family, kind, key, value })
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = std::result::Result<Operation<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let stray = !std::mem::take(&mut self.rest).is_empty();
            return stray.then_some(Err("the end of the batch"));
        }
        self.left -= 1;
        let operation = self.read();
        if operation.is_err() {
            self.left = 0;
            self.rest = &[];
        }
        Some(operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(payload: &[u8]) -> std::result::Result<Vec<Operation<'_>>, &'static str> {
        Operations::new(payload)?.collect()
    }

    #[test]
    fn a_batch_reads_back_in_order() {
        let mut batch = WriteBatch::new();
        batch.put(b"a", b"1").delete(b"").put(b"a", vec![7u8; 300]);
        batch.delete_range(b"a", b"b").delete_range(b"b", b"a");
        let payload = batch.payload().unwrap();
        assert_eq!((payload.count, payload.families), (4, &[0][..]));
        let read = operations(payload.bytes).unwrap();
        assert_eq!(read[0], Operation { family: 0, kind: Kind::Put, key: b"a", value: b"1" });
        assert_eq!(read[1], Operation { family: 0, kind: Kind::Delete, key: b"", value: b"" });
        assert_eq!(read[2].value, vec![7u8; 300]);
        assert_eq!(
            (read[3].kind, read[3].key, read[3].value),
            (Kind::RangeDelete, &b"a"[..], &b"b"[..])
        );
    }

    #[test]
    fn every_cut_is_an_error() {
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value").delete(b"other").delete_range(b"k", b"l");
        let payload = batch.payload().unwrap().bytes;
        for length in 0..payload.len() {
            assert!(operations(&payload[..length]).is_err(), "cut at {length}");
        }
        let mut longer = payload.to_vec();
        longer.push(0);
        assert!(operations(&longer).is_err());
    }

    #[test]
    fn an_oversized_key_refuses_the_whole_batch() {
        let mut batch = WriteBatch::new();
        batch.put(b"fine", b"x").put(vec![0u8; KEY_BYTES_MAX + 1], b"x");
        assert!(matches!(batch.payload(), Err(Error::TooLong { what: "key", .. })));
        batch.clear();
        batch.put(vec![0u8; KEY_BYTES_MAX], b"x");
        assert!(batch.payload().is_ok());
    }

    #[test]
    fn a_batch_is_as_large_as_a_record_of_the_log_and_a_memtable_can_be() {
        let limit = u64::from(u32::MAX);
        assert!(check_size(limit, limit + 1).is_ok());
        let refused = check_size(limit + 1, limit + 1).unwrap_err().to_string();
        assert_eq!(refused, "batch of 4294967296 bytes is longer than the 4294967295 allowed");
        let refused = check_size(1, limit + 2).unwrap_err();
        assert!(matches!(refused, Error::TooLong { what: "batch in memory", .. }), "{refused}");
    }
}
