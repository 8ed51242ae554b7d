//! An embedded LSM-tree storage engine: crash-proof, bounded in memory, pleasant to read.
//!
//! # A tour
//!
//! ```
//! # fn main() -> lsm::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! use lsm::{Db, FamilyOptions, Options, WriteBatch};
//!
//! let db = Db::open(folder.path().join("fruit"), Options::mixed())?;
//! db.put("apple", "red")?;
//! db.put("banana", "yellow")?;
//! db.put("blueberry", "blue")?;
//! db.delete("apple")?;
//!
//! // Values are lent from where they lie, or asked for by the batch.
//! assert_eq!(db.get("banana")?.as_deref(), Some(&b"yellow"[..]));
//! assert!(!db.contains("apple")?);
//! assert_eq!(db.get_with("banana", |colour| colour.len())?, Some(6));
//! let many = db.multi_get(&["apple", "blueberry"])?;
//! assert_eq!(many[1].as_deref(), Some(&b"blue"[..]));
//!
//! // Ranges and prefixes, from both ends; every item is a `Result`.
//! let keys = |scan: lsm::Scan| -> lsm::Result<Vec<Vec<u8>>> {
//!     scan.map(|entry| Ok(entry?.0.to_vec())).collect()
//! };
//! assert_eq!(keys(db.scan("a".."c")?)?, [&b"banana"[..], b"blueberry"]);
//! let last = db.scan_prefix("b")?.next_back().unwrap()?;
//! assert_eq!(&*last.0, b"blueberry");
//!
//! // A cursor seeks, both ways.
//! let mut cursor = db.cursor::<&[u8]>(..)?;
//! cursor.seek(b"bb")?;
//! assert_eq!(cursor.key(), b"blueberry");
//! cursor.seek_for_prev(b"bb")?;
//! assert_eq!(cursor.key(), b"banana");
//!
//! // A snapshot stays as it is; one record deletes a range.
//! let before = db.snapshot();
//! db.delete_range("b", "c")?;
//! assert!(db.get("banana")?.is_none());
//! assert!(before.get("banana")?.is_some());
//!
//! // Families have their own keys and options; a batch over several is atomic.
//! let stock = db.create_family("stock", FamilyOptions::default())?;
//! let mut batch = WriteBatch::new();
//! batch.put("cherry", "red").put_in(&stock, "cherry", "12");
//! db.write(batch)?;
//! let stock = db.family("stock")?.expect("it was made above");
//! assert_eq!(stock.get("cherry")?.as_deref(), Some(&b"12"[..]));
//!
//! // Into tables, merged, checked.
//! db.flush()?;
//! db.compact()?;
//! assert_eq!(db.verify()?.tables, 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What to know
//!
//! Of [`Options`], most programs need `durability`, `write_buffer_bytes`, `block_cache_bytes`,
//! `codec`, `filter_bits_per_key`, `strategy` and `background_threads`, or only a preset
//! ([`Options::write_heavy`], [`Options::read_heavy`], [`Options::mixed`],
//! [`Options::scan_heavy`]) and [`Options::with_memory_budget`]. [`Options::check`] says in words
//! what goes badly together.
//!
//! # Features
//!
//! `lz4`, `snappy` and `zstd` (with trained dictionaries) are on, `lzma` is off. Zstandard and LZMA
//! are built from C; `default-features = false, features = ["lz4", "snappy"]` needs no C compiler.
//! A database that needs a codec which is off is refused by the codec's name, never misread.

mod adaptive;
mod admission;
mod allocator;
mod apply;
mod background;
mod batch;
mod check;
mod checkpoint;
pub mod clock;
mod commit;
mod compact;
mod conditional;
mod cursor;
mod db;
mod deadlines;
mod env;
mod error;
mod events;
mod explain;
mod family;
mod family_options;
mod filters;
mod flush;
pub mod fs;
mod histogram;
mod holdings;
mod inner;
pub mod inspect;
mod latencies;
mod ledger;
mod load;
mod logs;
pub mod manifest;
mod manual;
mod memory;
mod memtable;
mod merge;
mod meter;
mod metrics;
mod multi_get;
mod names;
mod open_files;
mod option_changes;
mod options;
mod output;
mod owed;
mod pace;
mod planted;
mod presets;
mod publish;
mod random;
mod range_delete;
mod read;
mod read_only;
mod record;
mod recovery;
mod repair;
mod scan;
pub mod scheduler;
mod shape;
mod sizes;
mod slice;
mod snapshot;
mod source;
mod state;
mod sync;
mod tree;
mod verify;
mod version;
pub mod wal;

pub use bloom;
pub use compaction;
pub use fence;
pub use sstable::{Chooser, Codec, Coding};

pub use crate::admission::Pressure;
pub use crate::batch::WriteBatch;
pub use crate::checkpoint::CheckpointReport;
pub use crate::conditional::Swap;
pub use crate::cursor::DbCursor;
pub use crate::db::Db;
pub use crate::env::Env;
pub use crate::error::{Error, Result};
pub use crate::events::{Event, Listener, Listeners, Past};
pub use crate::explain::{
    BlockProbe, FenceProbe, FilterVerdict, FoundVersion, GetPath, GetStep, Probe, ScanPath,
    ScanSource,
};
pub use crate::family::Family;
pub use crate::family_options::FamilyOptions;
pub use crate::filters::FilterSplit;
pub use crate::histogram::Histogram;
pub use crate::latencies::Latencies;
pub use crate::load::LoadReport;
pub use crate::memory::MemoryUsage;
pub use crate::memtable::{MemtableKind, Placement};
pub use crate::metrics::Stats;
pub use crate::option_changes::{Effect, OptionChange};
pub use crate::options::{Durability, Options};
pub use crate::pace::Haste;
pub use crate::read_only::{Damage, ReadOnly, ReadOnlyOptions, Skipped};
pub use crate::repair::{Loss, RepairReport};
pub use crate::scan::Scan;
pub use crate::shape::{LevelShape, MemtableShape, RunShape, Shape, TableShape};
pub use crate::sizes::RangeSize;
pub use crate::slice::{Key, Slice, Value};
pub use crate::snapshot::{FamilySnapshot, Snapshot};
pub use crate::verify::VerifyReport;
pub use crate::wal::RecoveryMode;

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
