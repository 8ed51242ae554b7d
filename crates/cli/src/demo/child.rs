//! The child that is killed, from both sides.
//!
//! ```text
//! parent                                  child
//! starts it, reads its output             opens the database
//!                                         writes batch n; when the engine says done, prints n
//! has read enough: kills it (SIGKILL)     is gone in the middle of whatever it did
//! reads what is left, to the end
//! ```
//!
//! 1. The child prints a number only after the engine has acknowledged that batch.
//! 2. It writes one batch after the other. So when the last number read is `a`, the engine has
//!    acknowledged all up to `a`, and may hold `a + 1`, but never more.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::args::{Cli, DemoWriterArgs};
use crate::demo::workload;
use crate::engine::Db;
use crate::failure::Failure;
use crate::open;

/// What a killed child has said.
#[derive(Debug)]
pub(crate) struct Killed {
    /// The last batch that was acknowledged.
    pub(crate) last: u64,
    /// How many batches were acknowledged to this child.
    pub(crate) count: u64,
}

/// How to start a child, and when to kill it.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The database folder.
    pub(crate) dir: &'a Path,
    /// Seed of the batches.
    pub(crate) seed: u64,
    /// The first batch that the child writes.
    pub(crate) first: u64,
    /// The child is killed when it has acknowledged this many batches
    pub(crate) acknowledged: u64,
    /// and this time has passed.
    pub(crate) then: Duration,
    /// Options for opening the database, as flags.
    pub(crate) flags: Vec<OsString>,
}

/// Starts a child, kills it as planned, and returns what it has said.
pub(crate) fn run_and_kill(plan: &Plan<'_>) -> Result<Killed, Failure> {
    let refuse = |source| Failure::Io { what: "start the writing child".into(), source };
    let program = std::env::current_exe().map_err(refuse)?;
    let mut child = Command::new(program)
        .arg("--db")
        .arg(plan.dir)
        .args(&plan.flags)
        .arg("demo-writer")
        .args(["--seed", &plan.seed.to_string(), "--first", &plan.first.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(refuse)?;
    let output = child.stdout.take().map(BufReader::new);
    let said = output.map_or_else(
        || Err(io::Error::other("it has no output")),
        |output| listen(output, plan, || child.kill()),
    );
    // Whatever happened, no child is left behind.
    let killed = child.kill().and_then(|()| child.wait());
    let said =
        said.map_err(|source| Failure::Io { what: "follow the writing child".into(), source })?;
    let status = killed.map_err(|source| Failure::Io { what: "kill the child".into(), source })?;
    said.ok_or_else(|| Failure::Proof(format!("the child stopped by itself: {status}")))
}

/// Reads numbers until the plan says kill, then what is left; `None` if the child ended before.
fn listen(
    mut output: impl BufRead,
    plan: &Plan<'_>,
    mut kill: impl FnMut() -> io::Result<()>,
) -> io::Result<Option<Killed>> {
    let mut last = None;
    let mut count = 0;
    let mut alive = true;
    let mut line = String::new();
    loop {
        line.clear();
        output.read_line(&mut line)?;
        // A line that was cut short was not said.
        let Some(number) = line.strip_suffix('\n') else { break };
        last = Some(number.parse::<u64>().map_err(io::Error::other)?);
        count += 1;
        if alive && count >= plan.acknowledged {
            std::thread::sleep(plan.then);
            kill()?;
            alive = false;
        }
    }
    Ok(last.filter(|_| !alive).map(|last| Killed { last, count }))
}

/// The child: writes batches until it is killed, or nobody listens.
pub(crate) fn writer(cli: &Cli, args: &DemoWriterArgs) -> Result<(), Failure> {
    let mut options = super::options(open::base(&cli.open)?);
    open::apply(&cli.open, &mut options)?;
    options.create_if_missing = false;
    let db = Db::open(open::folder(cli)?, options)?;
    let mut output = io::stdout().lock();
    for number in args.first.. {
        db.write(workload::write_batch(&workload::batch(args.seed, number)))?;
        writeln!(output, "{number}").and_then(|()| output.flush()).map_err(Failure::output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: &str, acknowledged: u64) -> Option<(u64, u64)> {
        let plan = Plan {
            dir: Path::new(""),
            seed: 0,
            first: 0,
            acknowledged,
            then: Duration::ZERO,
            flags: vec![],
        };
        let mut kills = 0;
        let count_kill = || {
            kills += 1;
            Ok(())
        };
        let killed = listen(said.as_bytes(), &plan, count_kill).unwrap();
        assert_eq!(kills, u32::from(killed.is_some()), "killed once, or not at all");
        killed.map(|killed| (killed.last, killed.count))
    }

    #[test]
    fn what_is_left_in_the_pipe_counts_and_half_a_number_does_not() {
        assert_eq!(heard("5\n6\n7\n8\n", 2), Some((8, 4)));
        assert_eq!(heard("5\n6\n7\n81", 2), Some((7, 3)));
        assert_eq!(heard("5\n6\n", 2), Some((6, 2)));
    }

    #[test]
    fn a_child_that_ends_by_itself_is_no_proof() {
        assert_eq!(heard("", 1), None);
        assert_eq!(heard("5\n6\n", 3), None);
    }
}
