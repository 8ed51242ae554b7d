//! Records as lines: `key TAB value NEWLINE`, bytes escaped as in [`crate::escape`]; or, as
//! `--json` prints them, `{"key": "...", "value": "..."}` with the escaped forms as strings.
//!
//! 1. Line numbers count from 1 and count every line, good or bad.
//! 2. A malformed line is reported and passed: the next call goes on with the line after it.
//! 3. Memory is bounded by the longest line allowed, whatever the file holds.
//! 4. A line ends with a newline, a return and a newline, or the end of the file. A return that
//!    belongs to the value is written `\r`.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};

use crate::escape::{BadEscape, unescape};

/// The longest line taken unless told otherwise: 64 MiB.
pub const LINE_BYTES_MAX: u64 = 64 << 20;

/// How a record is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Key, TAB, value.
    #[default]
    Tsv,
    /// An object with the strings `key` and `value`; other fields are left alone.
    Json,
}

/// One record, borrowed from the reader where nothing was escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The line it stands on, counted from 1.
    pub line: u64,
    /// The key's bytes.
    pub key: Cow<'a, [u8]>,
    /// The value's bytes.
    pub value: Cow<'a, [u8]>,
}

/// Why a line is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is nothing to end the key.
    #[error("no TAB between key and value")]
    NoTab,
    /// There is more than one TAB.
    #[error(r"a second TAB, at byte {at}; inside a key or value a TAB is written \t")]
    SecondTab {
        /// Where, in bytes from the start of the line.
        at: usize,
    },
    /// The key holds a backslash that begins no escape.
    #[error("key, {0}")]
    Key(BadEscape),
    /// The value holds a backslash that begins no escape.
    #[error("value, {0}")]
    Value(BadEscape),
    /// The line is no JSON.
    #[error("no JSON object, from column {column} on")]
    NoJson {
        /// Where, counted from 1.
        column: usize,
    },
    /// A field of the JSON object is missing, or no string.
    #[error("no string \"{0}\" in the JSON object")]
    NoField(&'static str),
    /// The line is longer than the reader takes.
    #[error("longer than the {limit} bytes that a line may have")]
    TooLong {
        /// The reader's limit in bytes.
        limit: u64,
    },
}

/// What stops or disturbs the reading of records.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input could not be read; it may be read no further.
    #[error("cannot read line {line}: {source}")]
    Io {
        /// The line that was being read.
        line: u64,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A line is not a record; the next call goes on after it.
    #[error("line {line}: {fault}")]
    Malformed {
        /// The line.
        line: u64,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// Reads records from lines.
///
/// ```
/// let mut reader = lsm_cli::tsv::Reader::new(&b"ant\t1\nbad line\nbee\\t2\tx\n"[..]);
/// assert_eq!(&*reader.record().unwrap().unwrap().key, b"ant");
/// assert_eq!(reader.record().unwrap_err().to_string(), "line 2: no TAB between key and value");
/// assert_eq!(&*reader.record().unwrap().unwrap().key, b"bee\t2");
/// assert!(reader.record().unwrap().is_none());
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    text: Vec<u8>,
    line: u64,
    line_bytes_max: u64,
    bytes: u64,
    format: Format,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`, lines of at most [`LINE_BYTES_MAX`].
    pub fn new(input: R) -> Self {
        Self::with_line_bytes_max(input, LINE_BYTES_MAX)
    }

    /// Reads from `input`, lines of at most `line_bytes_max` bytes, their end not counted.
    pub fn with_line_bytes_max(input: R, line_bytes_max: u64) -> Self {
        let format = Format::default();
        Self { input, text: Vec::new(), line: 0, line_bytes_max, bytes: 0, format }
    }

    /// The same, for records in `format`.
    pub fn in_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Bytes read so far, line ends included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lines read so far.
    pub fn lines(&self) -> u64 {
        self.line
    }

    /// Returns the next record, or `None` at the end of the input.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a line that is no record: call again to go on after it.
    /// [`Error::Io`] if the input cannot be read.
    pub fn record(&mut self) -> Result<Option<Record<'_>>, Error> {
        if !self.next_line()? {
            return Ok(None);
        }
        let line = self.line;
        let parsed = match self.format {
            Format::Tsv => parse(&self.text),
            Format::Json => parse_json(&self.text),
        };
        match parsed {
            Ok((key, value)) => Ok(Some(Record { line, key, value })),
            Err(fault) => Err(Error::Malformed { line, fault }),
        }
    }

    /// Puts the next line, without its end, into `text`; false at the end of the input.
    fn next_line(&mut self) -> Result<bool, Error> {
        self.text.clear();
        self.line += 1;
        let line = self.line;
        let limit = self.line_bytes_max;
        // Two more than the limit: the line's end is not part of it.
        let read = (&mut self.input)
            .take(limit.saturating_add(2))
            .read_until(b'\n', &mut self.text)
            .map_err(|source| Error::Io { line, source })?;
        self.bytes += read as u64;
        if read == 0 {
            self.line -= 1;
            return Ok(false);
        }
        let ended = self.text.pop_if(|byte| *byte == b'\n').is_some();
        if ended {
            self.text.pop_if(|byte| *byte == b'\r');
        }
        if self.text.len() as u64 > limit {
            if !ended {
                self.bytes +=
                    self.input.skip_until(b'\n').map_err(|source| Error::Io { line, source })?
                        as u64;
            }
            return Err(Error::Malformed { line, fault: Fault::TooLong { limit } });
        }
        Ok(true)
    }
}

type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Key and value of one line, without its end.
fn parse(text: &[u8]) -> Result<Pair<'_>, Fault> {
    let tab = text.iter().position(|&byte| byte == b'\t').ok_or(Fault::NoTab)?;
    let (key, rest) = text.split_at(tab);
    let value = rest.get(1..).unwrap_or_default();
    if let Some(second) = value.iter().position(|&byte| byte == b'\t') {
        return Err(Fault::SecondTab { at: tab + 1 + second });
    }
    Ok((unescape(key).map_err(Fault::Key)?, unescape(value).map_err(Fault::Value)?))
}

/// Key and value of one line of JSON.
fn parse_json(text: &[u8]) -> Result<Pair<'static>, Fault> {
    let object: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| Fault::NoJson { column: error.column() })?;
    let field = |name| {
        let text = object.get(name).and_then(serde_json::Value::as_str);
        let text = text.ok_or(Fault::NoField(name))?;
        let bad = if name == "key" { Fault::Key } else { Fault::Value };
        unescape(text.as_bytes()).map(|bytes| Cow::Owned(bytes.into_owned())).map_err(bad)
    };
    Ok((field("key")?, field("value")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::escape_into;

    /// Everything the reader says, in words.
    fn read(input: &[u8], limit: u64) -> Vec<String> {
        let mut reader = Reader::with_line_bytes_max(input, limit);
        let mut said = Vec::new();
        loop {
            match reader.record() {
                Ok(None) => break,
                Ok(Some(Record { line, key, value })) => {
                    said.push(format!("{line} {key:?} {value:?}"));
                }
                Err(error) => said.push(error.to_string()),
            }
        }
        assert_eq!(reader.bytes(), input.len() as u64, "every byte is accounted for");
        said
    }

    fn record(line: u64, key: &[u8], value: &[u8]) -> String {
        format!("{line} {key:?} {value:?}")
    }

    #[test]
    fn records_and_faults_come_in_order_with_their_lines() {
        let input = b"a\t1\r\n\nb\t2\t3\n\t\nc\\q\t4\nd\t5\\\ne\\\\\\t\t\\x00\xff";
        assert_eq!(
            read(input, 100),
            [
                record(1, b"a", b"1"),
                "line 2: no TAB between key and value".into(),
                r"line 3: a second TAB, at byte 3; inside a key or value a TAB is written \t"
                    .into(),
                record(4, b"", b""),
                r"line 5: key, byte 1: a backslash must begin \t \n \r \0 \\ or \xHH".into(),
                r"line 6: value, byte 1: a backslash must begin \t \n \r \0 \\ or \xHH".into(),
                record(7, b"e\\\t", b"\0\xff"),
            ]
        );
        assert!(read(b"", 100).is_empty());
    }

    #[test]
    fn json_records_and_their_faults() {
        let input = br#"{"key": "a\\t\u00e9", "value": "\\xff", "more": [1]}
{"key": "b"}
{"key": 7, "value": ""}
{"key": "\\q", "value": ""}
key	value
[]
{"value":"","key":""}"#;
        let mut reader = Reader::new(&input[..]).in_format(Format::Json);
        let first = reader.record().unwrap().unwrap();
        assert_eq!((&*first.key, &*first.value), ("a\té".as_bytes(), &b"\xff"[..]));
        let faults = [
            Fault::NoField("value"),
            Fault::NoField("key"),
            Fault::Key(BadEscape { at: 0 }),
            Fault::NoJson { column: 1 },
            Fault::NoField("key"),
        ];
        for (line, expected) in (2..).zip(faults) {
            match reader.record() {
                Err(Error::Malformed { line: at, fault }) => {
                    assert_eq!((at, fault), (line, expected));
                }
                other => panic!("line {line}: {other:?}"),
            }
        }
        assert_eq!(reader.record().unwrap().unwrap().line, 7);
        assert!(reader.record().unwrap().is_none());
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_beyond_is_skipped_whole() {
        for end in ["\n", "\r\n"] {
            let input = format!("k\t234{end}k\t2345{end}k\t{}{end}z\t9{end}", "x".repeat(99));
            let long = "longer than the 5 bytes that a line may have";
            assert_eq!(
                read(input.as_bytes(), 5),
                [
                    record(1, b"k", b"234"),
                    format!("line 2: {long}"),
                    format!("line 3: {long}"),
                    record(4, b"z", b"9"),
                ]
            );
        }
        assert_eq!(
            read(b"k\t23456789", 5),
            ["line 1: longer than the 5 bytes that a line may have"]
        );
    }

    #[test]
    fn an_input_that_fails_names_the_line() {
        struct Failing;
        impl io::Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the cable is out"))
            }
        }
        let input = io::BufReader::new(io::Read::chain(&b"a\t1\nb\t"[..], Failing));
        let mut reader = Reader::new(input);
        assert!(reader.record().unwrap().is_some());
        assert_eq!(
            reader.record().unwrap_err().to_string(),
            "cannot read line 2: the cable is out"
        );
    }

    #[test]
    fn whatever_is_escaped_is_read_back() {
        let mut text = String::new();
        let all: Vec<u8> = (0..=255).collect();
        for shift in 0..256 {
            let bytes = [&all[shift..], &all[..shift]].concat();
            escape_into(&bytes, &mut text);
            text.push('\t');
            escape_into(&bytes[..shift], &mut text);
            text.push('\n');
        }
        let mut reader = Reader::new(text.as_bytes());
        for shift in 0..256 {
            let bytes = [&all[shift..], &all[..shift]].concat();
            let record = reader.record().unwrap().unwrap();
            assert_eq!((&*record.key, &*record.value), (&bytes[..], &bytes[..shift]));
        }
        assert!(reader.record().unwrap().is_none());
    }
}
