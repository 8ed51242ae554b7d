//! Comparing what the database says with what it must say, byte for byte.

use crate::demo::workload::Records;
use crate::engine::{Db, Key, Result as EngineResult, Value};
use crate::escape::Escaped;
use crate::failure::Failure;

/// Checks that `found` gives exactly the records of `expected`, in their order.
///
/// # Errors
/// [`Failure::Proof`] names the first record that differs.
pub(crate) fn same<'a>(
    what: &str,
    found: impl Iterator<Item = EngineResult<(Key, Value)>>,
    mut expected: impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>,
) -> Result<u64, Failure> {
    let mut count = 0;
    for record in found {
        let (key, value) = record?;
        match expected.next() {
            Some((k, v)) if **k == *key && **v == *value => count += 1,
            Some((k, _)) => {
                let (found, expected) = (Escaped(&key), Escaped(k));
                return Err(Failure::Proof(format!(
                    "{what}: record {count} is {found}, not as it was written; expected {expected}"
                )));
            }
            None => {
                let found = Escaped(&key);
                return Err(Failure::Proof(format!(
                    "{what}: {found} is there and must not be, after all {count} records"
                )));
            }
        }
    }
    match expected.next() {
        None => Ok(count),
        Some((key, _)) => Err(Failure::Proof(format!("{what}: {} is missing", Escaped(key)))),
    }
}

/// Checks `db` against `expected`: a scan forward, a scan backward, and a `get` for every key.
pub(crate) fn whole(what: &str, db: &Db, expected: &Records) -> Result<u64, Failure> {
    let count = same(&format!("{what}, scanned"), db.scan::<&[u8]>(..)?, expected.iter())?;
    let backward = db.scan::<&[u8]>(..)?.rev();
    same(&format!("{what}, scanned backward"), backward, expected.iter().rev())?;
    for (key, value) in expected {
        if db.get(key)?.as_deref() != Some(&value[..]) {
            let key = Escaped(key);
            return Err(Failure::Proof(format!("{what}: get {key} gives another value, or none")));
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(pairs: &[(&str, &str)]) -> Records {
        pairs
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    fn compare(found: &[(&str, &str)], expected: &[(&str, &str)]) -> Result<u64, String> {
        let expected = records(expected);
        let found = found
            .iter()
            .map(|(key, value)| Ok((Key::from(key.as_bytes()), Value::from(value.as_bytes()))));
        same("test", found, expected.iter()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let right = [("a", "1"), ("b", "2"), ("c", "3")];
        assert_eq!(compare(&right, &right), Ok(3));
        assert_eq!(compare(&[], &[]), Ok(0));
        for wrong in [
            &[("a", "1"), ("b", "2")][..],
            &[("a", "1"), ("c", "3")],
            &[("b", "2"), ("c", "3")],
            &[("a", "1"), ("b", "x"), ("c", "3")],
            &[("a", "1"), ("b", "2"), ("bb", "2"), ("c", "3")],
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")],
            &[("b", "2"), ("a", "1"), ("c", "3")],
            &[],
        ] {
            assert!(
                compare(wrong, &right).unwrap_err().contains("not as it must be: test"),
                "{wrong:?}"
            );
        }
    }
}
