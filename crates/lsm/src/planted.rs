//! Bugs on purpose, to show that the simulation finds them: built only with `--cfg planted`, and
//! chosen by the variable `LSM_PLANTED`. `scripts/planted.sh` tries them all.

/// A mistake that an engine of this kind can make; most were made by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A log's sync does nothing.
    SkippedLogSync,
    /// A new log's name is not synced.
    SkippedFolderSync,
    /// Tables are entered in the manifest before they are on the medium.
    EditBeforeSync,
    /// An edit counts as done before it is on the medium.
    UnsyncedEdit,
    /// A record is believed without its checksum.
    IgnoredChecksum,
    /// A compaction drops deletions that still hide something.
    ResurrectedTombstone,
    /// Versions that a snapshot sees are dropped.
    ForgottenSnapshot,
    /// A number is given out again after a restart.
    ReusedFileNumber,
    /// A flush gives up logs whose writes are in no table.
    LogDroppedEarly,
    /// A batch is logged in two pieces.
    SplitBatch,
    /// A gap between two logs is passed over.
    IgnoredGap,
    /// After a failed sync the page cache is believed.
    TrustedPageCache,
}

/// Whether `bug` is to be there.
#[cfg(not(planted))]
#[inline(always)]
pub(crate) const fn has(_bug: Bug) -> bool {
    false
}

/// Whether `bug` is to be there.
#[cfg(planted)]
pub(crate) fn has(bug: Bug) -> bool {
    use std::sync::LazyLock;
    static CHOSEN: LazyLock<String> =
        LazyLock::new(|| std::env::var("LSM_PLANTED").unwrap_or_default());
    format!("{bug:?}") == *CHOSEN
}

/// The two halves of a batch of several operations.
pub(crate) fn halves(payload: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut operations = crate::batch::Operations::new(payload).ok()?;
    let count = operations.left();
    let first = count / 2;
    for _ in 0..first {
        operations.next()?.ok()?;
    }
    let rest = operations.rest();
    let (head, body) = payload.split_at_checked(payload.len() - rest.len())?;
    let head = [&first.to_le_bytes(), head.get(4..)?].concat();
    (first > 0).then(|| (head, [&(count - first).to_le_bytes(), body].concat()))
}
