//! Running the program, and looking at what it says.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A folder to work in; the database is in `db` there.
pub(crate) struct Place {
    dir: TempDir,
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code().expect("not killed by a signal"),
            out: String::from_utf8(output.stdout).expect("output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }

    /// The output of a run that must have gone well and silently.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self.out
    }

    /// The output, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).expect("one JSON value")
    }

    /// The messages of a run that must have failed with `code` and printed nothing.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        self.err
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.path("db")
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("write a file");
        path
    }

    /// The program, with the database named and nothing of the caller's surroundings.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lsm"));
        for name in ["COLUMNS", "NO_COLOR", "LSM_DB"] {
            command.env_remove(name);
        }
        // Small, so that opening costs little; a test that says otherwise wins.
        command.args(["--write-buffer", "1MiB", "--db"]).arg(self.db()).args(args);
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub(crate) fn lsm<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::new(self.command(args).output().expect("the program starts"))
    }

    /// Runs the program with `input` on standard input.
    pub(crate) fn lsm_with_input<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::thread::scope(|scope| {
            scope.spawn(move || drop(stdin.write_all(input)));
            Ran::new(child.wait_with_output().expect("the program ends"))
        })
    }

    /// Files of the database whose names end with `suffix`.
    pub(crate) fn db_files(&self, suffix: &str) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.db())
            .expect("the database folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.to_string_lossy().ends_with(suffix))
            .collect();
        files.sort();
        files
    }
}

/// `count` records in key order, `key000042 TAB value 42 ...`, as lines.
pub(crate) fn numbered(count: u32) -> String {
    let line = |n| [numbered_key(n), "\t".into(), numbered_value(n), "\n".into()].concat();
    (0..count).map(line).collect()
}

pub(crate) fn numbered_key(n: u32) -> String {
    format!("key{n:06}")
}

pub(crate) fn numbered_value(n: u32) -> String {
    format!("value {n} {}", "abcdefghij".repeat((n % 13) as usize))
}

/// The path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A server, killed and waited for however a test ends.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
}

impl Serving {
    pub(crate) fn start(place: &Place, args: &[&str]) -> Self {
        Self::run(place.command(["serve", "--address", "127.0.0.1:0"].iter().chain(args)))
    }

    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let address = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
        Self { child, address }
    }
}

impl Serving {
    /// Waits until it ends by itself.
    pub(crate) fn ended(mut self) {
        assert!(self.child.wait().expect("it runs").success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
