//! `client`: commands to a server, from a file or a pipe without waiting for answers, or by hand
//! with a history.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};
use serde_json::json;
use server::Framing;

use super::serve::open_bytes;
use crate::args::ClientArgs;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal, say, say_json};
use crate::units::{Bytes, Count, Time, per_second};

/// Bytes copied at a time.
const COPY_BYTES: usize = 64 << 10;

/// The commands, for completion: what begins a line, and what it takes.
const COMMANDS: [(&str, &str); 11] = [
    ("p ", "p KEY VALUE   put"),
    ("g ", "g KEY         get"),
    ("r ", "r LO HI       list LO <= key < HI"),
    ("d ", "d KEY         delete"),
    ("l \"", "l \"FILE\"      load binary pairs that lie with the server"),
    ("s", "s [N]         statistics, at most N pairs of a level"),
    ("i", "i             statistics without pairs"),
    ("f", "f             flush"),
    ("b \"", "b \"FILE\"      run a file of commands that lies with the server"),
    ("q", "q             quit"),
    ("json", "json          everything, for programs"),
];

/// Sends commands to a server and prints its answers.
pub(crate) fn client(args: &ClientArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let by_hand = args.file == Path::new("-") && io::stdin().is_terminal();
    if by_hand { interactive(args, terminal) } else { batch(args, terminal) }
}

/// What went wrong with the connection.
fn refuse(args: &ClientArgs, what: &str, source: io::Error) -> Failure {
    Failure::Io { what: format!("{what} {}", args.address), source }
}

fn connect(args: &ClientArgs) -> Result<TcpStream, Failure> {
    let mut stream =
        TcpStream::connect(args.address).map_err(|error| refuse(args, "connect to", error))?;
    // A command waits for its answer, not for more to send along with it.
    stream.set_nodelay(true).map_err(|error| refuse(args, "talk to", error))?;
    if let Some(token) = &args.token {
        send(&mut stream, args, &format!("auth {token}\n"))?;
    }
    Ok(stream)
}

/// Sends a whole line at once: in two pieces the second would wait for an acknowledgement.
fn send(stream: &mut TcpStream, args: &ClientArgs, line: &str) -> Result<(), Failure> {
    stream.write_all(line.as_bytes()).map_err(|error| refuse(args, "talk to", error))
}

/// Commands are sent without waiting for answers, on a thread of their own; so neither side can
/// hold the other up.
fn batch(args: &ClientArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut input = open_bytes(&args.file)?;
    let started = Instant::now();
    let mut stream = connect(args)?;
    let mut sending = stream.try_clone().map_err(|error| refuse(args, "talk to", error))?;
    // Not joined: on a terminal it may wait for a line that nobody will type.
    let sender = std::thread::spawn(move || {
        let copied = copy(&mut input, &mut sending);
        sending.shutdown(Shutdown::Write).and(copied)
    });
    let mut answers = vec![0; COPY_BYTES];
    let (mut bytes, mut lines) = (0u64, 0u64);
    loop {
        let length = match stream.read(&mut answers) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(refuse(args, "hear", error)),
        };
        let came = answers.get(..length).unwrap_or_default();
        bytes += length as u64;
        lines += came.split(|&byte| byte == b'\n').count() as u64 - 1;
        if !args.quiet {
            terminal.raw(came)?;
            terminal.flush()?;
        }
    }
    // The server may close first, on `q`; what could not be sent then is not wanted any more.
    if sender.is_finished()
        && let Ok(Err(error)) = sender.join()
        && !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected)
    {
        return Err(refuse(args, "talk to", error));
    }
    if args.timing {
        tell_timing(terminal, (bytes, lines), started.elapsed());
    }
    Ok(())
}

fn tell_timing(terminal: &Terminal, (bytes, lines): (u64, u64), time: Duration) {
    if terminal.json {
        return say_json(&json!({
            "answer_bytes": bytes, "answer_lines": lines, "seconds": time.as_secs_f64(),
        }));
    }
    let (size, count, rate) = (Bytes(bytes), Count(lines), per_second(lines, time));
    say(format_args!("{size} of answers in {}: {count} lines, {rate} lines/s", Time(time)));
}

/// Copies everything, and hands on at once what has come.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(buffer.get(..length).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// One command at a time, each answer waited for.
fn interactive(args: &ClientArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    if args.framing == Framing::Silent {
        let why = "by hand it must be clear where an answer ends: not with --framing silent";
        return Err(Failure::Request(why.into()));
    }
    let stream = connect(args)?;
    let mut answers = BufReader::new(stream);
    if args.token.is_some() {
        show(&answer(&mut answers, args, false)?, terminal)?;
    }
    let broken = |error| Failure::Request(format!("the line editor: {error}"));
    let mut editor: Editor<Language, DefaultHistory> = Editor::new().map_err(broken)?;
    editor.set_helper(Some(Language));
    let history = history_file();
    if let Some(path) = &history
        && path.exists()
        && let Err(error) = editor.load_history(path)
    {
        say(format_args!("no history from {}: {error}", path.display()));
    }
    say(format_args!("connected to {}; TAB shows the commands, ^D ends", args.address));
    loop {
        let line = match editor.readline("> ") {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(broken(error)),
        };
        editor.add_history_entry(&line).map_err(broken)?;
        let begun = Instant::now();
        send(answers.get_mut(), args, &format!("{line}\n"))?;
        let many = matches!(line.trim_start().as_bytes(), [b's' | b'i', ..]);
        let text = answer(&mut answers, args, many)?;
        let time = begun.elapsed();
        if !args.quiet {
            show(&text, terminal)?;
        }
        if args.timing {
            let time = terminal.style(Style::Dim, Time(time));
            terminal.line(time)?;
            terminal.flush()?;
        }
        if line.trim() == "q" {
            break;
        }
    }
    if let Some(path) = &history {
        save(&mut editor, path);
    }
    Ok(())
}

fn show(text: &[u8], terminal: &mut Terminal) -> Result<(), Failure> {
    terminal.raw(text)?;
    if !text.ends_with(b"\n") {
        terminal.line("")?;
    }
    terminal.flush()
}

/// Reads one answer; `many` says that it has several lines. Without its end mark where that is no
/// line end.
fn answer(
    from: &mut BufReader<TcpStream>,
    args: &ClientArgs,
    many: bool,
) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let ended = |text: &[u8]| match args.framing {
        Framing::CrlfCrlf => text.ends_with(b"\r\n\r\n"),
        Framing::Eom => text.ends_with(b"<END_OF_MESSAGE>"),
        _ if many && !text.starts_with(b"Error: ") => text.ends_with(b"\n\n"),
        _ => true,
    };
    let last = if args.framing == Framing::Eom { b'>' } else { b'\n' };
    loop {
        let read = from.read_until(last, &mut text).map_err(|error| refuse(args, "hear", error))?;
        if read == 0 {
            return Err(refuse(args, "hear", io::ErrorKind::UnexpectedEof.into()));
        }
        if ended(&text) {
            break;
        }
    }
    for mark in [&b"\r\n\r\n"[..], b"<END_OF_MESSAGE>"] {
        if let Some(bare) = text.strip_suffix(mark) {
            return Ok(bare.to_vec());
        }
    }
    Ok(text)
}

/// Where the history is kept: `$LSM_HISTORY`, or `~/.lsm_history`; nowhere if that is empty.
fn history_file() -> Option<PathBuf> {
    let named = std::env::var_os("LSM_HISTORY").map(PathBuf::from);
    let path = named.or_else(|| Some(std::env::home_dir()?.join(".lsm_history")))?;
    (!path.as_os_str().is_empty()).then_some(path)
}

fn save(editor: &mut Editor<Language, DefaultHistory>, path: &Path) {
    if let Err(error) = editor.save_history(path) {
        say(format_args!("the history could not be kept in {}: {error}", path.display()));
    }
}

/// What the line editor knows of the language.
struct Language;

impl Completer for Language {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok((0, completions(line.get(..at).unwrap_or(line))))
    }
}

/// The commands that `line` may become.
fn completions(line: &str) -> Vec<Pair> {
    let pair = |(begin, about): &(&str, &str)| Pair {
        display: (*about).to_owned(),
        replacement: (*begin).to_owned(),
    };
    COMMANDS.iter().filter(|(begin, _)| begin.starts_with(line)).map(pair).collect()
}

impl Hinter for Language {
    type Hint = String;

    /// Once the command is clear, what it takes.
    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<String> {
        let (_, about) = COMMANDS.iter().find(|(begin, _)| begin.trim_end() == line.trim_end())?;
        (at == line.len() && !line.is_empty()).then(|| format!("    {about}"))
    }
}

impl Highlighter for Language {}
impl Validator for Language {}
impl Helper for Language {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_are_the_commands_that_begin_so() {
        assert_eq!(completions("").len(), COMMANDS.len());
        let texts = |line| completions(line).into_iter().map(|p| p.replacement).collect::<Vec<_>>();
        assert_eq!(texts("p"), ["p "]);
        assert_eq!(texts("js"), ["json"]);
        assert!(texts("x").is_empty() && texts("p 1").is_empty());
    }
}
