//! Reading a manifest: its edits in order, up to where its records end.

use std::io;
use std::path::Path;

use super::edit::{self, Edit};
use super::{Contents, State};
use crate::error::{Error, Result};
use crate::fs::ReadAt;
use crate::record::{self, FILE_HEADER_BYTES, FileHeader, HeaderError, Reader, RecordKind, Role};

/// Reads manifest `number` out of `file`.
pub(super) fn read(path: &Path, file: &dyn ReadAt, number: u64) -> Result<Contents> {
    read_each(path, file, number, &mut |_, _| {})
}

/// The same, and shows every edit with its number.
pub(super) fn read_each(
    path: &Path,
    file: &dyn ReadAt,
    number: u64,
    visit: &mut dyn FnMut(u64, &Edit),
) -> Result<Contents> {
    let failed = |error| Error::io("read", path, error);
    let mut bytes = [0; FILE_HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(Error::corruption(path, 0, "a manifest header of 64 bytes"));
        }
        read => read.map_err(failed)?,
    }
    let header = match FileHeader::decode(&bytes, Role::Manifest, number) {
        Ok(header) => header,
        Err(HeaderError::Unknown(what)) => {
            return Err(Error::Unsupported { path: path.to_path_buf(), what });
        }
        Err(HeaderError::Damaged(offset, expected)) => {
            return Err(Error::corruption(path, offset, expected));
        }
    };
    let version = FileHeader::version(&bytes);
    let mut contents =
        Contents { database: header.database, number, edit: 0, end: 0, state: State::default() };
    let mut reader = Reader::new(file, header.seed()).map_err(failed)?;
    while let Some(record) = reader.next().map_err(failed)? {
        let (offset, header) = (record.offset, record.header);
        let damaged = |expected: String| Error::corruption(path, offset, expected);
        let first = contents.edit == 0;
        match header.kind {
            RecordKind::Data if first || header.tag == contents.edit + 1 => {
                contents.edit = header.tag;
                let edit = decode(path, offset, (record.payload, version))?;
                visit(header.tag, &edit);
                contents.state.apply(&edit).map_err(damaged)?;
            }
            RecordKind::Vouch if header.tag == contents.edit => {}
            _ => return Err(damaged(format!("edit {}", contents.edit + 1))),
        }
    }
    contents.end = reader.offset();
    let rest = reader.rest().map_err(failed)?;
    if rest.is_damage() {
        let expected = "an edit, since a later record proves that it was there";
        return Err(Error::corruption(path, rest.at, expected));
    }
    if contents.edit == 0 {
        return Err(Error::corruption(path, rest.at, "a first edit with the whole state"));
    }
    Ok(contents)
}

/// Reads an edit's payload, of a manifest of this version.
fn decode(path: &Path, offset: u64, (payload, version): (&[u8], u32)) -> Result<Edit> {
    Edit::decode(payload, version).map_err(|error| match error {
        edit::EditError::Malformed(at, expected) => {
            let at = offset + record::RECORD_HEADER_BYTES as u64 + at as u64;
            Error::corruption(path, at, expected)
        }
        edit::EditError::UnknownTag(tag) => {
            let what = format!("an edit has a field {tag} of a later build");
            Error::Unsupported { path: path.to_path_buf(), what }
        }
    })
}
