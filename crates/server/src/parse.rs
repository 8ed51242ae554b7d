//! One line of the language to one command.
//!
//! ```text
//! p KEY VALUE | g KEY | r LO HI | d KEY | l "PATH" | s [N] | i | f | b "PATH" | q | json
//! ```
//!
//! Fields are separated by blanks; a CR at the end is ignored. Nothing here touches a database.

use std::fmt;

use crate::pair::Width;

/// A command, with its numbers checked against the width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `p`: set a key.
    Put(i64, i64),
    /// `g`: get a key.
    Get(i64),
    /// `r`: all pairs from the first key (included) to the second (excluded). Bounds may lie beyond
    /// the width, so that the largest key can be reached.
    Range(i128, i128),
    /// `d`: delete a key.
    Delete(i64),
    /// `l`: put all pairs of a binary file.
    Load(String),
    /// `s`: statistics, with at most so many pairs of each level.
    Stats(Option<u64>),
    /// `i`: statistics without pairs.
    Info,
    /// `f`: flush the memory buffer.
    Flush,
    /// `b`: run the commands of a file without answers.
    Batch(String),
    /// `q`: quit.
    Quit,
    /// `json`: what the server does and holds, for `lsm top`; not of the course's language.
    Report,
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The line is empty.
    Empty,
    /// There is no such command.
    Unknown,
    /// The command takes other fields.
    Usage(&'static str),
    /// A field is not a number, or beyond the width.
    Number {
        /// The field, shortened.
        field: String,
        /// The smallest number allowed.
        min: i64,
        /// The largest number allowed.
        max: i64,
    },
    /// A path is not UTF-8.
    Path,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Empty => write!(f, "empty line"),
            ParseError::Unknown => {
                write!(f, "unknown command; there are p, g, r, d, l, s, i, f, b, q and json")
            }
            ParseError::Usage(usage) => write!(f, "expected: {usage}"),
            ParseError::Number { field, min, max } => {
                write!(f, "{field:?} is not a number from {min} to {max}")
            }
            ParseError::Path => write!(f, "the path is not UTF-8"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Reads one line, without its line end.
///
/// # Errors
/// [`ParseError`] says what was expected; no input panics.
pub fn parse(line: &[u8], width: Width) -> Result<Command, ParseError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = trim(line);
    let (name, rest) = match line.iter().position(|&byte| is_blank(byte)) {
        Some(end) => line.split_at(end),
        None => (line, &b""[..]),
    };
    let rest = trim(rest);
    match name {
        b"" => Err(ParseError::Empty),
        b"p" => match fields(rest) {
            Some([key, value]) => Ok(Command::Put(number(key, width)?, number(value, width)?)),
            None => Err(ParseError::Usage("p KEY VALUE")),
        },
        b"g" => match fields(rest) {
            Some([key]) => Ok(Command::Get(number(key, width)?)),
            None => Err(ParseError::Usage("g KEY")),
        },
        b"d" => match fields(rest) {
            Some([key]) => Ok(Command::Delete(number(key, width)?)),
            None => Err(ParseError::Usage("d KEY")),
        },
        b"r" => match fields(rest) {
            Some([low, high]) => Ok(Command::Range(bound(low, width)?, bound(high, width)?)),
            None => Err(ParseError::Usage("r LO HI")),
        },
        b"l" => Ok(Command::Load(path(rest, "l \"PATH\"")?)),
        b"b" => Ok(Command::Batch(path(rest, "b \"PATH\"")?)),
        b"s" => stats(rest),
        b"i" => alone(rest, Command::Info, "i"),
        b"json" => alone(rest, Command::Report, "json"),
        b"f" => alone(rest, Command::Flush, "f"),
        b"q" => alone(rest, Command::Quit, "q"),
        _ => Err(ParseError::Unknown),
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// Splits into exactly `N` fields.
fn fields<const N: usize>(text: &[u8]) -> Option<[&[u8]; N]> {
    let mut parts = text.split(|&byte| is_blank(byte)).filter(|part| !part.is_empty());
    let mut found = [&b""[..]; N];
    for slot in &mut found {
        *slot = parts.next()?;
    }
    parts.next().is_none().then_some(found)
}

fn alone(rest: &[u8], command: Command, usage: &'static str) -> Result<Command, ParseError> {
    if rest.is_empty() { Ok(command) } else { Err(ParseError::Usage(usage)) }
}

fn stats(rest: &[u8]) -> Result<Command, ParseError> {
    if rest.is_empty() {
        return Ok(Command::Stats(None));
    }
    let count = decimal(rest).and_then(|n| u64::try_from(n).ok());
    count.map(|n| Command::Stats(Some(n))).ok_or(ParseError::Usage("s [N], N from 0"))
}

fn number(field: &[u8], width: Width) -> Result<i64, ParseError> {
    let fits = |n: &i64| (width.min()..=width.max()).contains(n);
    let number = decimal(field).and_then(|n| i64::try_from(n).ok()).filter(fits);
    number.ok_or_else(|| no_number(field, width))
}

fn bound(field: &[u8], width: Width) -> Result<i128, ParseError> {
    decimal(field).ok_or_else(|| no_number(field, width))
}

fn no_number(field: &[u8], width: Width) -> ParseError {
    let start = field.get(..field.len().min(24)).unwrap_or(field);
    let field = String::from_utf8_lossy(start).into_owned();
    ParseError::Number { field, min: width.min(), max: width.max() }
}

/// Reads an optional sign and 1 to 30 digits.
fn decimal(field: &[u8]) -> Option<i128> {
    let negative = field.first() == Some(&b'-');
    let digits = field.strip_prefix(b"-").or(field.strip_prefix(b"+")).unwrap_or(field);
    if digits.is_empty() || digits.len() > 30 {
        return None;
    }
    let mut number = 0i128;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i128::from(byte - b'0');
    }
    Some(if negative { -number } else { number })
}

/// Takes a path with or without quotes; there are no escapes.
fn path(rest: &[u8], usage: &'static str) -> Result<String, ParseError> {
    let bare = match rest {
        [b'"', inner @ .., b'"'] => inner,
        [b'"', ..] => return Err(ParseError::Usage(usage)),
        bare => bare,
    };
    if bare.is_empty() {
        return Err(ParseError::Usage(usage));
    }
    match std::str::from_utf8(bare) {
        Ok(path) => Ok(path.to_owned()),
        Err(_) => Err(ParseError::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, ParseError> {
        parse(line.as_bytes(), Width::Bits32)
    }

    #[test]
    fn every_command_is_read() {
        assert_eq!(parsed("p 10 7"), Ok(Command::Put(10, 7)));
        assert_eq!(
            parsed("p -2147483648 2147483647"),
            Ok(Command::Put(-2_147_483_648, 2_147_483_647))
        );
        assert_eq!(parsed("g +15\r"), Ok(Command::Get(15)));
        assert_eq!(parsed("  r   10\t12 "), Ok(Command::Range(10, 12)));
        assert_eq!(parsed("r 0 2147483648"), Ok(Command::Range(0, 2_147_483_648)));
        assert_eq!(parsed("d 10"), Ok(Command::Delete(10)));
        assert_eq!(parsed("l \"a file.bin\""), Ok(Command::Load("a file.bin".into())));
        assert_eq!(parsed("l 0.dat"), Ok(Command::Load("0.dat".into())));
        assert_eq!(parsed("b \"x\""), Ok(Command::Batch("x".into())));
        assert_eq!(parsed("s"), Ok(Command::Stats(None)));
        assert_eq!(parsed("s 0"), Ok(Command::Stats(Some(0))));
        assert_eq!(parsed("i"), Ok(Command::Info));
        assert_eq!(parsed("f"), Ok(Command::Flush));
        assert_eq!(parsed("q"), Ok(Command::Quit));
        assert_eq!(parsed("json"), Ok(Command::Report));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parsed(""), Err(ParseError::Empty));
        assert_eq!(parsed(" \t "), Err(ParseError::Empty));
        assert_eq!(parsed("x 1"), Err(ParseError::Unknown));
        assert_eq!(parsed("put 1 2"), Err(ParseError::Unknown));
        assert_eq!(parsed("p 1"), Err(ParseError::Usage("p KEY VALUE")));
        assert_eq!(parsed("p 1 2 3"), Err(ParseError::Usage("p KEY VALUE")));
        assert_eq!(parsed("g"), Err(ParseError::Usage("g KEY")));
        assert_eq!(parsed("s -1"), Err(ParseError::Usage("s [N], N from 0")));
        assert_eq!(parsed("q now"), Err(ParseError::Usage("q")));
        assert_eq!(parsed("l"), Err(ParseError::Usage("l \"PATH\"")));
        assert_eq!(parsed("l \"x"), Err(ParseError::Usage("l \"PATH\"")));
        assert_eq!(parse(b"l \xff", Width::Bits32), Err(ParseError::Path));
        for bad in ["p 2147483648 1", "p 1 -2147483649", "g 1.5", "g --1", "g 0x10", "d -", "g 1_0"]
        {
            assert!(matches!(parsed(bad), Err(ParseError::Number { .. })), "{bad}");
        }
        let long = format!("g {}", "9".repeat(100));
        let Err(ParseError::Number { field, .. }) = parsed(&long) else { panic!("{long}") };
        assert_eq!(field.len(), 24);
    }

    #[test]
    fn wide_numbers_need_the_wide_mode() {
        let line = b"p -9223372036854775808 9223372036854775807";
        assert_eq!(parse(line, Width::Bits64), Ok(Command::Put(i64::MIN, i64::MAX)));
        assert!(parse(line, Width::Bits32).is_err());
    }

    /// Any bytes give a command or an error, and what is printed again is read the same.
    #[test]
    fn no_line_panics() {
        let alphabet = b"pgrdlsbifq 019-+\"\t\r\xff.";
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 40).unwrap()
        };
        for _ in 0..200_000 {
            let length = next() % 12;
            let line: Vec<u8> = (0..length).map(|_| alphabet[next() % alphabet.len()]).collect();
            if let Ok(Command::Put(key, value)) = parse(&line, Width::Bits32) {
                assert_eq!(parsed(&format!("p {key} {value}")), Ok(Command::Put(key, value)));
            }
        }
    }
}
