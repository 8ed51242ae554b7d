//! RocksDB with its compaction style, sizes and ratio set, and the bytes that it counts.
#![expect(unsafe_code, reason = "calls of a C library")]

use std::ffi::{CStr, c_char, c_double, c_int, c_uchar};
use std::path::Path;

use workloads::{Result, Session as _};

use super::c_api::{Handle, Store, c_path};
use super::rocksdb as face;
use crate::amplification::{Amplification, Counted, Counts};

/// How RocksDB compacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Level sizes from the first down.
    Leveled,
    /// Level sizes from the last up.
    LeveledDynamic,
    /// Universal, with this many runs at most.
    Universal(u8),
}

/// The styles that are measured, with their names.
pub(crate) const STYLES: [(&str, Style); 5] = [
    ("RocksDB leveled", Style::Leveled),
    ("RocksDB leveled, dynamic", Style::LeveledDynamic),
    ("RocksDB universal, 4 runs", Style::Universal(4)),
    ("RocksDB universal, 8 runs", Style::Universal(8)),
    ("RocksDB universal, 10 runs", Style::Universal(10)),
];

/// Levels of RocksDB's default.
const LEVELS: usize = 7;

unsafe extern "C" {
    fn rocksdb_options_set_target_file_size_base(options: Handle, bytes: u64);
    fn rocksdb_options_set_max_bytes_for_level_base(options: Handle, bytes: u64);
    fn rocksdb_options_set_max_bytes_for_level_multiplier(options: Handle, ratio: c_double);
    fn rocksdb_options_set_level_compaction_dynamic_level_bytes(options: Handle, yes: c_uchar);
    fn rocksdb_options_set_level0_file_num_compaction_trigger(options: Handle, files: c_int);
    fn rocksdb_options_set_compaction_style(options: Handle, style: c_int);
    fn rocksdb_options_enable_statistics(options: Handle);
    fn rocksdb_options_statistics_get_string(options: Handle) -> *mut c_char;
    fn rocksdb_property_value(database: Handle, name: *const c_char) -> *mut c_char;
}

struct Shaped {
    store: Store,
    options: Handle,
    style: Style,
}

/// Opens RocksDB in a folder with the sizes that `lsm` gets.
pub(crate) fn open(folder: &Path, asked: &Amplification, style: Style) -> Result<Box<dyn Counted>> {
    let path = c_path(folder)?;
    let buffer = asked.buffer_bytes();
    // SAFETY: every handle is made just before it is used, and lives as long as the process.
    unsafe {
        let options = face::plain_options(8 << 20, buffer, 0);
        rocksdb_options_set_target_file_size_base(options, buffer as u64);
        rocksdb_options_set_max_bytes_for_level_base(options, 4 * buffer as u64);
        rocksdb_options_set_max_bytes_for_level_multiplier(options, asked.size_ratio.into());
        let dynamic = u8::from(style == Style::LeveledDynamic);
        rocksdb_options_set_level_compaction_dynamic_level_bytes(options, dynamic);
        if let Style::Universal(runs) = style {
            rocksdb_options_set_compaction_style(options, 1);
            rocksdb_options_set_level0_file_num_compaction_trigger(options, runs.into());
        }
        rocksdb_options_enable_statistics(options);
        let store = face::open_store(&path, options, false)?;
        Ok(Box::new(Shaped { store, options, style }))
    }
}

impl Shaped {
    /// A text of the library's, as ours.
    fn text(text: *mut c_char) -> String {
        if text.is_null() {
            return String::new();
        }
        // SAFETY: the library hands over a text that ends with a zero byte, for us to free.
        let ours = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: as above, and nothing uses it any more.
        unsafe { face::free(text.cast()) };
        ours
    }

    fn files_at(&self, level: usize) -> u64 {
        let name = format!("rocksdb.num-files-at-level{level}\0");
        // SAFETY: the database is open, and the name ends with a zero byte.
        let text = unsafe { rocksdb_property_value(self.store.database, name.as_ptr().cast()) };
        Self::text(text).trim().parse().unwrap_or(0)
    }
}

/// The count behind `name` in RocksDB's statistics.
fn ticker(statistics: &str, name: &str) -> u64 {
    let line =
        statistics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" COUNT : "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

impl Counted for Shaped {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        (&self.store).put(key, value)
    }

    fn get(&mut self, key: &[u8]) -> Result<bool> {
        (&self.store).get(key, &mut |_| ())
    }

    fn rest(&mut self) -> Result<()> {
        face::wait_idle(&self.store);
        Ok(())
    }

    fn counts(&mut self) -> Counts {
        // SAFETY: the options live as long as the process.
        let statistics = Self::text(unsafe { rocksdb_options_statistics_get_string(self.options) });
        let levels: Vec<u64> = (0..LEVELS).map(|level| self.files_at(level)).collect();
        let runs = levels[0] + levels[1..].iter().filter(|files| **files > 0).count() as u64;
        assert!(self.style != Style::Leveled || runs < 40, "level 0 must not pile up");
        Counts {
            flushed_bytes: ticker(&statistics, "rocksdb.flush.write.bytes"),
            compacted_bytes: ticker(&statistics, "rocksdb.compact.write.bytes"),
            table_bytes: face::property(&self.store, c"rocksdb.live-sst-files-size"),
            runs,
            blocks: ticker(&statistics, "rocksdb.block.cache.data.miss")
                + ticker(&statistics, "rocksdb.block.cache.data.hit"),
        }
    }
}

impl Drop for Shaped {
    fn drop(&mut self) {
        face::close(&self.store);
    }
}
