//! Verification: every byte of every live table, and the order of the tree above them.

use crate::error::{Error, Result};
use crate::inner::Inner;
use crate::state::View;
use crate::version::Version;

/// What a verification has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Tables read.
    pub tables: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries in them, every version and deletion counted.
    pub entries: u64,
    /// Data blocks in them.
    pub blocks: u64,
}

/// Reads and checks all live tables.
pub(crate) fn verify(inner: &Inner) -> Result<VerifyReport> {
    verify_view(&inner.state.view(), || inner.check_open())
}

/// Reads and checks the tables of a view, as long as `go_on` allows.
pub(crate) fn verify_view(view: &View, go_on: impl Fn() -> Result<()>) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    for file in view.families().flat_map(|family| family.version.tables()) {
        go_on()?;
        let read = file.table().verify()?;
        report.tables += 1;
        report.bytes += file.info().bytes;
        report.entries += read.entries;
        report.blocks += read.blocks;
        if read.entries != file.info().entries {
            return Err(Error::corruption(
                file.path(),
                0,
                format!("{} entries, as the manifest says", file.info().entries),
            ));
        }
    }
    view.families().try_for_each(|family| check_order(&family.version))?;
    Ok(report)
}

/// Checks that the tables of each run ascend and do not overlap.
pub(crate) fn check_order(version: &Version) -> Result<()> {
    for run in version.runs() {
        for pair in run.tables.windows(2) {
            if pair[0].largest() >= pair[1].smallest() {
                let expected = format!("keys above those of {}", pair[0].path().display());
                return Err(Error::corruption(pair[1].path(), 0, expected));
            }
        }
    }
    Ok(())
}
