//! [`View`]: a family to read from, opened as the command line says: with the folder's lock, or for
//! reading only.

use std::ops::Bound;

use crate::args::Cli;
use crate::engine::{
    Damage, GetPath, ReadOnly, ReadOnlyOptions, Scan, ScanPath, Shape, Stats, Value, VerifyReport,
};
use crate::failure::Failure;
use crate::open::{DEFAULT_FAMILY, Missing, Opened, folder, open_family, options};
use crate::terminal::say;

/// Where a range begins and ends.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A family that is read.
#[derive(Debug)]
pub(crate) enum View {
    /// Of a database that is open in this process.
    Opened(Opened),
    /// Of files that are only read, as they were when they were opened.
    ReadOnly(ReadOnly),
}

impl View {
    /// Opens the family that `cli` names; for reading only if it says so.
    pub(crate) fn open(cli: &Cli) -> Result<Self, Failure> {
        if cli.read_only || cli.pass_over_damage {
            return Self::open_read_only(cli);
        }
        Ok(Self::Opened(open_family(cli, Missing::Refuse)?))
    }

    /// Opens the family that `cli` names for reading only.
    pub(crate) fn open_read_only(cli: &Cli) -> Result<Self, Failure> {
        let mut how = ReadOnlyOptions {
            block_cache_bytes: options(&cli.open)?.block_cache_bytes,
            ..ReadOnlyOptions::default()
        };
        if cli.pass_over_damage {
            how.damage = Damage::PassOver;
        }
        let database = ReadOnly::open(folder(cli)?, how)?;
        for skipped in database.skipped() {
            say(format_args!("left out {}: {}", skipped.path.display(), skipped.why));
        }
        let name = cli.family.as_deref().unwrap_or(DEFAULT_FAMILY);
        let family = database.family(name).ok_or_else(|| {
            let names = database.families().join(", ");
            Failure::Request(format!("there is no family {name}; the database has {names}"))
        })?;
        Ok(Self::ReadOnly(family))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>, Failure> {
        Ok(match self {
            Self::Opened(opened) => opened.family.get(key)?,
            Self::ReadOnly(family) => family.get(key)?,
        })
    }

    /// Records in key order.
    pub(crate) fn scan(&self, bounds: Bounds) -> Result<Scan, Failure> {
        Ok(match self {
            Self::Opened(opened) => opened.family.scan(bounds)?,
            Self::ReadOnly(family) => family.scan(bounds),
        })
    }

    /// Records whose keys begin with `prefix`, in key order.
    pub(crate) fn scan_prefix(&self, prefix: &[u8]) -> Result<Scan, Failure> {
        Ok(match self {
            Self::Opened(opened) => opened.family.scan_prefix(prefix)?,
            Self::ReadOnly(family) => family.scan_prefix(prefix),
        })
    }

    /// The family's tree.
    pub(crate) fn shape(&self) -> Result<Shape, Failure> {
        Ok(match self {
            Self::Opened(opened) => opened.family.shape()?,
            Self::ReadOnly(family) => family.shape(),
        })
    }

    /// What the database holds.
    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Opened(opened) => opened.db.stats(),
            Self::ReadOnly(family) => family.stats(),
        }
    }

    /// Reads and checks every table.
    pub(crate) fn verify(&self) -> Result<VerifyReport, Failure> {
        Ok(match self {
            Self::Opened(opened) => opened.db.verify()?,
            Self::ReadOnly(family) => family.verify()?,
        })
    }

    /// How a key is read.
    pub(crate) fn explain_get(&self, key: &[u8]) -> Result<GetPath, Failure> {
        Ok(match self {
            Self::Opened(opened) => opened.family.explain_get(key)?,
            Self::ReadOnly(family) => family.explain_get(key)?,
        })
    }

    /// How a range is read.
    pub(crate) fn explain_scan(&self, bounds: Bounds, limit: u64) -> Result<ScanPath, Failure> {
        Ok(match self {
            Self::Opened(opened) => opened.family.explain_scan(bounds, limit)?,
            Self::ReadOnly(family) => family.explain_scan(bounds, limit)?,
        })
    }
}
