//! Names of the files in a database folder; no other file makes or reads one.
//!
//! ```text
//! LOCK                held while the database is open
//! CURRENT             names the manifest in use
//! OPTIONS             the options it was last opened with, as text
//! MANIFEST-000001     which files are live
//! 000002.log          a log segment
//! 000003.sst          a table
//! *.tmp               on its way to be renamed; left by a crash, removed at the next open
//! ```

use std::path::{Path, PathBuf};

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const OPTIONS: &str = "OPTIONS";

/// What a file name says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Lock,
    Current,
    Options,
    Manifest(u64),
    Log(u64),
    Table(u64),
    Temporary,
}

/// Reads a file name; `None` if this engine does not make such names.
pub(crate) fn parse(name: &str) -> Option<FileKind> {
    let number = |digits: &str| -> Option<u64> {
        (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().ok())?
    };
    match name {
        LOCK => Some(FileKind::Lock),
        "CURRENT" => Some(FileKind::Current),
        OPTIONS => Some(FileKind::Options),
        _ => {
            if let Some(digits) = name.strip_prefix("MANIFEST-") {
                number(digits).map(FileKind::Manifest)
            } else if let Some(digits) = name.strip_suffix(".log") {
                number(digits).map(FileKind::Log)
            } else if let Some(digits) = name.strip_suffix(".sst") {
                number(digits).map(FileKind::Table)
            } else {
                name.strip_suffix(".tmp").map(|_| FileKind::Temporary)
            }
        }
    }
}

/// The path of table `number`.
pub(crate) fn table_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:06}.sst"))
}

/// The path of log segment `number`.
pub(crate) fn log_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:06}.log"))
}

/// Where the new contents of a file are put, to be renamed over it.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_os_string();
    aside.push(".tmp");
    PathBuf::from(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let name = |path: PathBuf| path.to_string_lossy().into_owned();
        assert_eq!(parse(&name(table_path(Path::new(""), 7))), Some(FileKind::Table(7)));
        assert_eq!(
            parse(&name(log_path(Path::new(""), 12_345_678))),
            Some(FileKind::Log(12_345_678))
        );
        assert_eq!(parse("MANIFEST-000010"), Some(FileKind::Manifest(10)));
        assert_eq!(parse("OPTIONS"), Some(FileKind::Options));
        assert_eq!(parse("CURRENT.tmp"), Some(FileKind::Temporary));
        for foreign in
            ["notes.txt", "7.sst", "00000x.log", "MANIFEST-", ".log", "99999999999999999999.sst"]
        {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
    }
}
