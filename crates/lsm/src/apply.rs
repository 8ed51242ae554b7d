//! Applying: operations that have their numbers go into the memtables.
//!
//! An insert waits for memory at every level of the memtable. Those of one batch, and those that a
//! replay reads, go in side by side, so that their waits overlap.

use std::sync::Arc;

use sstable::SeqNo;

use crate::batch::{Operation, Operations};
use crate::memtable::Memtable;

/// Operations that go in together.
const GROUP: usize = 64;

/// Inserts a batch whose first operation has number `first`; operations on families that are not
/// there are left out.
///
/// # Errors
/// What was expected of the batch's bytes, if they are not a batch.
pub(crate) fn apply(
    memtables: &[Option<Arc<Memtable>>],
    first: SeqNo,
    payload: &[u8],
) -> Result<(), &'static str> {
    let operations = Operations::new(payload)?;
    if operations.left() > 1 {
        return apply_all(memtables, [(first, payload)]);
    }
    for operation in operations {
        let operation = operation?;
        if let Some(Some(memtable)) = memtables.get(operation.family as usize) {
            memtable.insert(first, &operation);
        }
    }
    Ok(())
}

/// [`apply`] for several batches, each with its first number.
///
/// # Errors
/// As [`apply`]; what comes before the bad bytes is inserted.
pub(crate) fn apply_all<'a>(
    memtables: &'a [Option<Arc<Memtable>>],
    batches: impl IntoIterator<Item = (SeqNo, &'a [u8])>,
) -> Result<(), &'static str> {
    let mut group = Group { memtables, family: 0, operations: Vec::with_capacity(GROUP) };
    for (first, payload) in batches {
        for (seqno, operation) in (first..).zip(Operations::new(payload)?) {
            group.add(seqno, operation?);
        }
    }
    group.insert();
    Ok(())
}

/// Operations of one family that wait to go in together.
struct Group<'a> {
    memtables: &'a [Option<Arc<Memtable>>],
    family: u32,
    operations: Vec<(SeqNo, Operation<'a>)>,
}

impl<'a> Group<'a> {
    fn add(&mut self, seqno: SeqNo, operation: Operation<'a>) {
        if operation.family != self.family || self.operations.len() == GROUP {
            self.insert();
            self.family = operation.family;
        }
        self.operations.push((seqno, operation));
    }

    fn insert(&mut self) {
        if let Some(Some(memtable)) = self.memtables.get(self.family as usize) {
            memtable.insert_all(&self.operations);
        }
        self.operations.clear();
    }
}
