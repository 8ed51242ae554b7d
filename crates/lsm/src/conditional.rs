//! Writes that depend on what is there: compare-and-swap, get-or-insert.
//!
//! The condition is looked at while nobody else can get a number: all writes before are visible
//! (the look waits for those on their way), and none can come between the look and the write.

use std::sync::Arc;

use sstable::Kind;

use crate::batch;
use crate::commit;
use crate::error::Result;
use crate::inner::Inner;
use crate::read;
use crate::slice::Value;

/// What became of a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// The value was the expected one and has been replaced.
    Done,
    /// The value is another one, or there is none; nothing was written.
    Refused(Option<Value>),
}

/// Writes `new` (`None` deletes) if the value of `key` is `expected` (`None`: there is none).
pub(crate) fn compare_and_swap(
    inner: &Arc<Inner>,
    family: u32,
    key: &[u8],
    (expected, new): (Option<&[u8]>, Option<&[u8]>),
) -> Result<Swap> {
    write_if(inner, family, (key, new), |found| found.as_deref() == expected)
}

/// Writes `value` if `key` has none, and returns the value that it has.
pub(crate) fn get_or_insert(
    inner: &Arc<Inner>,
    family: u32,
    key: &[u8],
    value: &[u8],
) -> Result<Option<Value>> {
    // Most callers find the value: look without stopping the writers first.
    if let Some(found) = inner.get_at(family, key, None)? {
        return Ok(Some(found));
    }
    match write_if(inner, family, (key, Some(value)), Option::is_none)? {
        Swap::Done => Ok(None),
        Swap::Refused(found) => Ok(found),
    }
}

/// Writes if `condition` holds for the value that is there.
fn write_if(
    inner: &Arc<Inner>,
    family: u32,
    (key, new): (&[u8], Option<&[u8]>),
    condition: impl Fn(&Option<Value>) -> bool,
) -> Result<Swap> {
    let kind = if new.is_some() { Kind::Put } else { Kind::Delete };
    let mut buffer = Vec::new();
    batch::encode_single(&mut buffer, family, kind, (key, new.unwrap_or_default()))?;
    let payload = batch::Payload { bytes: &buffer, count: 1, families: &[family] };
    let mut swap = Swap::Done;
    let written = commit::write_when(inner, payload, |last| {
        if !inner.visible.wait(last) {
            return Err(inner.writes_stopped());
        }
        let found = read::get(inner.state.peek().family(family)?, &inner.counters, key, last)?;
        let holds = condition(&found);
        if !holds {
            swap = Swap::Refused(found);
        }
        Ok(holds)
    })?;
    assert_eq!(written, swap == Swap::Done, "written exactly if the condition held");
    Ok(swap)
}
