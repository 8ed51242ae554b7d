//! Many keys at once: each memtable is searched for all of them in step, each filter, index and
//! block is visited once for all that may be there.

use std::ops::Range;

use sstable::{Found, SeqNo, Table, Trailer, Wanted};

use crate::error::Result;
use crate::read::answer;
use crate::slice::{Slice, Value};
use crate::state::FamilyView;
use crate::version::Run;

/// The values of `keys` at `at`, in the order of the keys.
pub(crate) fn get_many<K: AsRef<[u8]>>(
    view: &FamilyView,
    keys: &[K],
    at: SeqNo,
) -> Result<Vec<Option<Value>>> {
    let newest = Trailer::newest_at(at);
    let deleted: Vec<SeqNo> = keys.iter().map(|key| view.deleted_at(key.as_ref(), at)).collect();
    let mut answers: Vec<Option<Value>> = vec![None; keys.len()];
    // Ranks of the keys that nothing has answered yet.
    let mut open: Vec<usize> = (0..keys.len()).collect();
    for memtable in view.memtables() {
        let wanted: Vec<&[u8]> = open.iter().map(|&rank| keys[rank].as_ref()).collect();
        let found = memtable.get_many(&wanted, newest);
        for (&rank, found) in open.iter().zip(&found) {
            if let Some((trailer, value)) = found {
                answers[rank] = answer(*trailer, deleted[rank], || Slice::from(&**value))?;
            }
        }
        let mut found = found.into_iter();
        open.retain(|_| found.next().is_some_and(|found| found.is_none()));
    }
    // By key, so that a run's tables are met one after the other.
    open.sort_by(|&a, &b| keys[a].as_ref().cmp(keys[b].as_ref()));
    let mut open: Vec<(usize, Wanted<'_>)> =
        open.into_iter().map(|rank| (rank, Wanted::new(keys[rank].as_ref(), newest))).collect();
    for run in view.version.runs() {
        let mut answered = vec![false; open.len()];
        for (piece, table) in pieces(run, &open) {
            let wanted: Vec<_> = open[piece.clone()].iter().map(|(_, wanted)| *wanted).collect();
            for (at, found) in piece.zip(table.get_many(&wanted)?) {
                let Some(Found { trailer, value, .. }) = found else { continue };
                let rank = open[at].0;
                answers[rank] = answer(trailer, deleted[rank], || Slice::pinned(value))?;
                answered[at] = true;
            }
        }
        let mut answered = answered.into_iter();
        open.retain(|_| answered.next() == Some(false));
    }
    Ok(answers)
}

/// Cuts the open keys, ascending, into the pieces that each table of a run may hold.
fn pieces<'a>(run: &'a Run, open: &[(usize, Wanted<'_>)]) -> Vec<(Range<usize>, &'a Table)> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some((_, wanted)) = open.get(from) {
        let rank = run.tables.partition_point(|file| file.largest() < wanted.key);
        let Some(file) = run.tables.get(rank) else { break };
        let rest = &open[from..];
        let start = from + rest.partition_point(|(_, wanted)| wanted.key < file.smallest());
        let end = from + rest.partition_point(|(_, wanted)| wanted.key <= file.largest());
        if start < end {
            pieces.push((start..end, &**file.table()));
        }
        from = end.max(start);
    }
    pieces
}
