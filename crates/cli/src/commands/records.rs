//! `get`, `put` and `del`: single records.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::json;

use crate::args::{BytesArg, Cli, DelArgs, GetArgs, PutArgs};
use crate::engine::{VALUE_BYTES_MAX, WriteBatch};
use crate::escape::Escaped;
use crate::failure::Failure;
use crate::open::{Missing, Opened, open_family};
use crate::terminal::{Terminal, json_bytes};
use crate::view::View;

/// Prints the values of keys.
pub(crate) fn get(cli: &Cli, args: &GetArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let family = View::open(cli)?;
    let mut missing = Vec::new();
    for BytesArg(key) in &args.keys {
        let Some(value) = family.get(key)? else {
            missing.push(Escaped(key).to_string());
            continue;
        };
        if terminal.json {
            terminal.json_line(&json!({ "key": json_bytes(key), "value": json_bytes(&value) }))?;
        } else if args.raw {
            terminal.raw(&value)?;
        } else if args.keys.len() == 1 {
            terminal.line(Escaped(&value))?;
        } else {
            terminal.line(format_args!("{}\t{}", Escaped(key), Escaped(&value)))?;
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::NotFound(format!("no such key: {}", missing.join(", "))))
}

/// Writes one record.
pub(crate) fn put(cli: &Cli, args: &PutArgs) -> Result<(), Failure> {
    let value = match (&args.value, &args.file) {
        (Some(BytesArg(value)), _) => value.clone(),
        (None, Some(path)) => read_value(path)?,
        (None, None) => return Err(Failure::Request("which value?".into())),
    };
    let Opened { db, family } = open_family(cli, Missing::Create)?;
    family.put(&args.key.0, value)?;
    Ok(db.close()?)
}

/// The first key after all that begin with `prefix`.
fn prefix_end(prefix: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Ok(end);
        }
    }
    Err(Failure::Request("no key comes after all with this prefix; give --from and --to".into()))
}

/// Deletes keys and ranges, all or none of them.
pub(crate) fn del(cli: &Cli, args: &DelArgs) -> Result<(), Failure> {
    let end = args.prefix.as_ref().map(|prefix| prefix_end(&prefix.0)).transpose()?;
    let Opened { db, family } = open_family(cli, Missing::Refuse)?;
    let mut batch = WriteBatch::new();
    for BytesArg(key) in &args.keys {
        batch.delete_in(&family, key);
    }
    if let (Some(BytesArg(prefix)), Some(end)) = (&args.prefix, end) {
        batch.delete_range_in(&family, prefix, end);
    }
    if let (Some(BytesArg(from)), Some(BytesArg(to))) = (&args.from, &args.to) {
        batch.delete_range_in(&family, from, to);
    }
    db.write(batch)?;
    Ok(db.close()?)
}

/// All of a file, or of standard input. Reads no more than a value may have.
fn read_value(path: &Path) -> Result<Vec<u8>, Failure> {
    let refuse = |error| Failure::io("read", path, error);
    let limit = VALUE_BYTES_MAX;
    let too_long = |bytes| crate::engine::Error::TooLong { what: "value", bytes, limit };
    let mut input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let file = File::open(path).map_err(refuse)?;
        let bytes = file.metadata().map_err(refuse)?.len();
        if bytes > limit {
            return Err(too_long(bytes).into());
        }
        Box::new(file)
    };
    let mut value = Vec::new();
    (&mut input).take(limit + 1).read_to_end(&mut value).map_err(refuse)?;
    if value.len() as u64 > limit {
        return Err(too_long(value.len() as u64).into());
    }
    Ok(value)
}
