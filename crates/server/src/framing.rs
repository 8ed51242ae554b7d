//! How answers are marked off on the wire.
//!
//! | framing | an answer ends with | put, delete, load | absent key, empty range |
//! |---|---|---|---|
//! | line | LF | `OK` | an empty line |
//! | silent | LF | nothing at all | an empty line |
//! | crlfcrlf | CR LF CR LF | `OK` | nothing before the mark |
//! | eom | `<END_OF_MESSAGE>` | `<OK>` | `<NO_VALUE>` |
//!
//! Statistics take several lines; in the line framing an empty line ends them. Requests are lines
//! in all framings.

use std::str::FromStr;

/// A way to mark off answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// One line an answer, writes acknowledged: fit for pipelining.
    #[default]
    Line,
    /// The course's form: only what was asked for.
    Silent,
    /// For clients of the report's server.
    CrlfCrlf,
    /// For clients that wait for `<END_OF_MESSAGE>`.
    Eom,
}

impl FromStr for Framing {
    type Err = String;

    fn from_str(name: &str) -> Result<Framing, String> {
        match name {
            "line" => Ok(Framing::Line),
            "silent" => Ok(Framing::Silent),
            "crlfcrlf" => Ok(Framing::CrlfCrlf),
            "eom" => Ok(Framing::Eom),
            other => Err(format!("no framing {other:?}; there are line, silent, crlfcrlf and eom")),
        }
    }
}

impl Framing {
    /// Appends the answer to a command that only acts.
    pub(crate) fn push_done(self, out: &mut Vec<u8>) {
        match self {
            Framing::Silent => {}
            Framing::Eom => self.push_text(out, b"<OK>"),
            Framing::Line | Framing::CrlfCrlf => self.push_text(out, b"OK"),
        }
    }

    /// Appends the answer to a get that found nothing or a range without pairs.
    pub(crate) fn push_nothing(self, out: &mut Vec<u8>) {
        let text: &[u8] = if self == Framing::Eom { b"<NO_VALUE>" } else { b"" };
        self.push_text(out, text);
    }

    /// Appends a whole answer of one line.
    pub(crate) fn push_text(self, out: &mut Vec<u8>, text: &[u8]) {
        out.extend_from_slice(text);
        self.push_end(out);
    }

    /// Appends the mark that ends an answer of one line.
    pub(crate) fn push_end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Framing::Line | Framing::Silent => b"\n",
            Framing::CrlfCrlf => b"\r\n\r\n",
            Framing::Eom => b"<END_OF_MESSAGE>",
        });
    }

    /// Appends what ends a line inside of an answer.
    pub(crate) fn push_line_end(self, out: &mut Vec<u8>) {
        let end: &[u8] = if self == Framing::CrlfCrlf { b"\r\n" } else { b"\n" };
        out.extend_from_slice(end);
    }

    /// Appends what ends an answer of several lines, each ended by [`Framing::push_line_end`].
    pub(crate) fn push_lines_end(self, out: &mut Vec<u8>) {
        match self {
            Framing::Line => out.push(b'\n'),
            Framing::Silent => {}
            // The last line's end is the first half of the mark.
            Framing::CrlfCrlf => out.extend_from_slice(b"\r\n"),
            Framing::Eom => self.push_end(out),
        }
    }

    /// Whether the pairs of a range are followed by a blank each, rather than separated by one.
    pub(crate) fn trails_blank(self) -> bool {
        self == Framing::Eom
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_look_as_the_table_says() {
        let shown = |framing: Framing| {
            let mut out = Vec::new();
            framing.push_done(&mut out);
            framing.push_nothing(&mut out);
            framing.push_text(&mut out, b"7");
            framing.push_line_end(&mut out);
            framing.push_lines_end(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(Framing::Line), "OK\n\n7\n\n\n");
        assert_eq!(shown(Framing::Silent), "\n7\n\n");
        assert_eq!(shown(Framing::CrlfCrlf), "OK\r\n\r\n\r\n\r\n7\r\n\r\n\r\n\r\n");
        assert_eq!(
            shown(Framing::Eom),
            "<OK><END_OF_MESSAGE><NO_VALUE><END_OF_MESSAGE>7<END_OF_MESSAGE>\n<END_OF_MESSAGE>"
        );
    }

    #[test]
    fn names_are_read() {
        for (name, framing) in [
            ("line", Framing::Line),
            ("silent", Framing::Silent),
            ("crlfcrlf", Framing::CrlfCrlf),
            ("eom", Framing::Eom),
        ] {
            assert_eq!(name.parse(), Ok(framing));
        }
        assert!("Line".parse::<Framing>().is_err());
    }
}
