//! The language without a network: commands from a reader, answers to a writer.

use std::io::{BufRead, BufReader, Read, Write};

use lsm::Db;

use crate::error::{Error, Result};
use crate::session::{Flow, Session, SessionOptions};

/// Bytes of answers that are gathered before they are written.
const OUT_BYTES: usize = 1 << 16;
/// Bytes of the longest line.
const LINE_BYTES_MAX: usize = 1 << 16;

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Lines read.
    pub lines: u64,
    /// Commands that were answered with an error.
    pub failures: u64,
}

/// Runs the lines of `input` until its end or `q`, and writes the answers to `output` whenever the
/// input has no further line ready. With [`crate::Framing::Silent`] this is the course's program.
///
/// # Errors
/// [`Error::Io`] if `input` cannot be read or `output` cannot be written. What is wrong with a
/// command is part of the output.
pub fn run(
    db: &Db,
    options: &SessionOptions,
    input: impl Read,
    output: &mut impl Write,
) -> Result<RunReport> {
    let mut session = Session::new(db.clone(), options.clone());
    let mut input = BufReader::with_capacity(LINE_BYTES_MAX, input);
    let (mut out, mut line, mut lines) = (Vec::new(), Vec::new(), 0);
    loop {
        // Nothing more is ready: whoever waits for an answer gets it now.
        if out.len() >= OUT_BYTES || !input.buffer().contains(&b'\n') {
            session.settle(&mut out);
            write(output, &mut out)?;
            output.flush().map_err(Error::io("write an answer"))?;
        }
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = input.by_ref().take(limit).read_until(b'\n', &mut line);
        let length = read.map_err(Error::io("read a command"))?;
        if length == 0 {
            break;
        }
        lines += 1;
        if line.last() != Some(&b'\n') && length > LINE_BYTES_MAX {
            input.skip_until(b'\n').map_err(Error::io("read a command"))?;
            session.settle(&mut out);
            session.fail(&format!("a line is longer than {LINE_BYTES_MAX} bytes"), &mut out);
            continue;
        }
        let mut flow = session.take(line.strip_suffix(b"\n").unwrap_or(&line), &mut out);
        while flow == Flow::Answering {
            flow = session.more(&mut out, OUT_BYTES);
            write(output, &mut out)?;
        }
        if flow == Flow::Quit {
            break;
        }
    }
    session.settle(&mut out);
    write(output, &mut out)?;
    output.flush().map_err(Error::io("write an answer"))?;
    Ok(RunReport { lines, failures: session.failures() })
}

fn write(output: &mut impl Write, out: &mut Vec<u8>) -> Result<()> {
    output.write_all(out).map_err(Error::io("write an answer"))?;
    out.clear();
    Ok(())
}
